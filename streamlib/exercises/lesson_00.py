"""The exercises of notebook 00."""

from streamlib.exercises import is_number


def rows_of_four_processes(answer: object) -> str:
    """How many rows do four processes with two pets each store?"""
    right = is_number(answer, 8)
    return "" if right else "four processes with two pets each; look at run.verdict."


EXERCISES = {"00.1": rows_of_four_processes}
