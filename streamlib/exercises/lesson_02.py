"""The exercises of notebook 02."""

from streamlib.exercises import is_number
from streamlib.processes.result import Run


def lost_at_4_s(answer: object) -> str:
    """With tasks of 4 s and a timeout of 5 s, how many of the six rows are lost?"""
    right = is_number(answer, 3)
    return "" if right else "at 4 s, who can get the lock before 5 s are over, and who after that?"


def none_lost_at_3_s(answer: object) -> str:
    """A run with tasks of 3 s that loses nothing, since the timeout is long enough."""
    right = (
        isinstance(answer, Run)
        and answer.ok
        and len(answer.rows) == 6 * answer.params["rounds"]
        and bool((answer.items["held"] >= 2.9 * answer.params["scale"]).all())
    )
    hint = (
        "give a run of six inserts that each hold the lock for 3 s, with a timeout that is "
        "long enough for the process that waits longest."
    )
    return "" if right else hint


EXERCISES = {"02.1": lost_at_4_s, "02.2": none_lost_at_3_s}
