"""The exercises of notebook 01."""

from streamlib import orders
from streamlib.exercises import number, reason


def three_rows_each(answer: object) -> str:
    """A run in which each process stores three rows."""
    if type(answer).__name__ != "Run":  # by name, so that a wrong answer loads no pandas
        return "give the run itself: run = processes.run(...), then exercises.check('01.2', run)."
    if len(answer.params["processes"]) < 2:
        return "this run has one process: give the plan a second one."
    if not answer.ok:
        return f"this run did not store all it worked on: {answer.verdict}."
    if not (answer.workers["stored"] == 3).all():
        return "each process must store three rows; run.workers counts them."
    return ""


EXERCISES = {
    "01.1": number(
        orders.count((2, 2, 2, 2)),
        "in how many orders of eight inserts does each process make its own two in sequence?",
    ),
    "01.2": three_rows_each,
    "01.3": reason(
        right="b",
        wrong={
            "a": "the file is whole: Cooper and all the other rows could be read from it.",
            "c": "P2 is killed at the same place each time; run it again and compare.",
        },
    ),
}
HINTS = {
    "01.1": [
        "there are eight inserts now: in how many ways can eight things be arranged?",
        "of the two arrangements of a process's own two inserts only one is left.",
        "divide 8! by 2! for each of the four processes.",
    ],
    "01.2": [
        "start from `two_pets`: which line says which pets are inserted?",
        "each process needs pets of its own: nine different names for three processes.",
    ],
    "01.3": [
        "which calls did P2 make for Cooper that it did not make for Dingo?",
    ],
}
SOLUTIONS = {
    "01.1": "8! / (2! · 2! · 2! · 2!) = 40,320 / 16 = 2,520; orders.count((2, 2, 2, 2)) agrees.",
    "01.2": """\
def pets(*names):
    def worker(me):
        connection = sqlite3.connect(me.db)
        for pet in names:
            me.step("insert", pet)
            connection.execute("INSERT INTO pets (name, process) VALUES (?, ?)", (pet, me.name))
            connection.commit()
        connection.close()

    return worker


run = processes.run({"P1": pets("Ace", "Buddy", "Coco"), "P2": pets("Dingo", "Emma", "Felix")})
exercises.check("01.2", run)""",
    "01.3": "(b): what was committed outlives its process; what was only executed is rolled back.",
}
