"""The exercises of notebook 06, and the schedules that it plays if their prediction is skipped."""

import re
from collections import Counter
from math import comb

from streamlib import orders
from streamlib.exercises import number, reason

EXAMPLES = {"lost update": "2r 1r 1a 2a 1w 2w"}


def a_schedule_that_loses_p1(answer: object) -> str:
    """A schedule: P2 reads before P1 has written and writes after it; with two switches."""
    text = " ".join(map(str, answer)) if isinstance(answer, list | tuple) else str(answer)
    turns = ["".join(turn) for turn in re.findall(r"([12]) ?([raw])[a-z]*", text.casefold())]
    if sorted(turns) != ["1a", "1r", "1w", "2a", "2r", "2w"]:
        return "give a text with each of 1r 1a 1w 2r 2a 2w once."
    at = {turn: place for place, turn in enumerate(turns)}
    if not all(at[f"{n}r"] < at[f"{n}a"] < at[f"{n}w"] for n in (1, 2)):
        return "each process reads, adds and writes in this order: r, a, w."
    if not at["2r"] < at["1w"] < at["2w"]:
        return "P2 must read before P1 writes, and write after it."
    switches = orders.switches(" ".join(turns))
    many = f"P1's update is lost, with {switches} switches; can you do it with two?"
    return many * (switches > 2)


def a_lock_taken_too_late(answer: object) -> str:
    """The verdict of explore on a counter that takes the lock after it has read."""
    if not all(hasattr(answer, name) for name in ("verdict", "schedule", "total")):
        return "give all of what schedule.explore returned, not only its word or its schedule."
    if answer.verdict != "broken":
        return f"this one is {answer.verdict}: let the worker take the lock only after it has read."
    counts = list(Counter(map(orders.process_of, answer.schedule.split())).values())
    if len(counts) != 2 or answer.total is None:
        return "explore two processes, without a bound."
    if answer.total >= sum(comb(sum(counts) - 2, count) for count in counts):
        return (
            "this one is broken for want of a lock: between reading and writing nobody ever had "
            "to wait; is there a BEGIN IMMEDIATE after me.step('begin'), and a COMMIT at the end?"
        )
    return ""


EXERCISES = {
    "06.1": number(
        orders.count((3, 3, 3)),
        "nine steps have 9! orders; in how many does each process keep its own three in sequence?",
    ),
    "06.2": a_schedule_that_loses_p1,
    "06.3": a_lock_taken_too_late,
    "06.4": reason(
        right="b",
        wrong={
            "a": "there is one writer at a time; step through the schedule that breaks it.",
            "c": "each of them closes its connection; look at the worker.",
            "d": "try the other launch order: the broken schedules come in pairs.",
        },
    ),
}
HINTS = {
    "06.1": [
        "in how many ways can nine things be arranged?",
        "a process's own three steps have one order left of 3! = 6.",
        "divide 9! by 6 for each of the three processes.",
    ],
    "06.2": [
        "which of the two has to read first, and which has to write last?",
        "P2 reads, then comes all of P1.",
    ],
    "06.3": [
        "start from `add_one_locked`: which two of its steps change places?",
        "read comes first, then begin with BEGIN IMMEDIATE, then write.",
        "give the check what schedule.explore returns.",
    ],
    "06.4": ["step through the simplest broken schedule: what does each process remember?"],
}
SOLUTIONS = {
    "06.1": "9! / (3! · 3! · 3!) = 362,880 / 216 = 1,680; orders.count((3, 3, 3)) agrees.",
    "06.2": 'exercises.check("06.2", "2r 1r 1a 1w 2a 2w")',
    "06.3": """\
def add_one_late(me):
    with closing(database.open(me)) as connection:
        me.step("read")
        (number,) = connection.execute("SELECT value FROM counter").fetchone()
        me.step("begin")
        connection.execute("BEGIN IMMEDIATE")
        me.step("write")
        connection.execute("UPDATE counter SET value = ?", (number + 1,))
        connection.execute("COMMIT")


late = schedule.explore({"P1": add_one_late, "P2": add_one_late}, is_two, setup=counter)
exercises.check("06.3", late)""",
    "06.4": "(b): a lock protects what is read while it is held, not what was read before.",
}
