"""The exercises of notebook 00."""

from streamlib.exercises import is_number


def rows_of_four_processes(answer: object) -> str:
    """How many rows do four processes with two pets each store?"""
    right = is_number(answer, 8)
    return "" if right else "give a number: what four processes with two pets each store in all."


EXERCISES = {"00.1": rows_of_four_processes}
HINTS = {
    "00.1": [
        "each process stores two pets of its own.",
        "add a fourth process to the plan, run it, and look at run.verdict.",
    ]
}
SOLUTIONS = {"00.1": "4 processes with 2 pets each store 8 rows: exercises.check('00.1', 8)"}
