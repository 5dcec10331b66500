"""The exercises of notebook 06, and the schedules that it plays if their prediction is skipped."""

from itertools import pairwise

from streamlib import orders, schedule
from streamlib.exercises import is_number

EXAMPLES = {
    "lost update": "2r 1r 1a 2a 1w 2w",
    "tries the lock": "1b 1r 2b 1w 2r 2w",
}


def interleavings_of_three(answer: object) -> str:
    """How many interleavings do three processes with three steps each have?"""
    right = is_number(answer, orders.count((3, 3, 3)))
    hint = "nine steps in all: 9! orders; each process keeps its own three in order."
    return "" if right else hint


def a_schedule_that_loses_p1(answer: object) -> str:
    """A schedule: P2 reads before P1 has written and writes after it; with two switches."""
    hint = (
        "give the text, with all six of 1r 1a 1w 2r 2a 2w; P2 must read before P1 writes and "
        "write after it, and one of the two goes through all its steps in one go."
    )
    turns = answer.split() if isinstance(answer, str) else []
    if sorted(turns) != ["1a", "1r", "1w", "2a", "2r", "2w"]:
        return hint
    at = {turn: place for place, turn in enumerate(turns)}
    feasible = all(at[f"{n}r"] < at[f"{n}a"] < at[f"{n}w"] for n in (1, 2))
    loses_p1 = at["2r"] < at["1w"] < at["2w"]
    switches = sum(one[0] != other[0] for one, other in pairwise(turns))
    return "" if feasible and loses_p1 and switches == 2 else hint


def a_lock_taken_too_late(answer: object) -> str:
    """The verdict of explore on a counter that takes the lock after it has read."""
    found = isinstance(answer, schedule.Verdict) and answer.verdict == "broken"
    hint = "give the verdict of explore; let the lock have a step of its own, after read."
    return "" if found and answer.explored > 2 else hint


EXERCISES = {
    "06.1": interleavings_of_three,
    "06.2": a_schedule_that_loses_p1,
    "06.3": a_lock_taken_too_late,
}
