"""The exercises of notebook 00."""

from streamlib.exercises import number, reason

EXERCISES = {
    "00.1": number(8, "each process stores two pets; how many do four processes store in all?"),
    "00.2": reason(
        right="b",
        wrong={
            "a": "a process may miss a row and not notice; what would tell you?",
            "c": "all of them end with 0 in whatever order they took their turns.",
        },
    ),
}
HINTS = {
    "00.1": [
        "each process stores two pets of its own.",
        "add a fourth process to the plan, run it, and look at run.verdict.",
    ],
    "00.2": ["who sets an exit code, and what does that one know of the database?"],
}
SOLUTIONS = {
    "00.1": "4 processes with 2 pets each store 8 rows: exercises.check('00.1', 8)",
    "00.2": "(b): an exit code is what a process says of itself; the rows have to be counted.",
}
