"""The exercises of notebook 02."""

import re

from streamlib.exercises import number, reason

ENOUGH_S = 13  # four tasks of 3 s in front of a process, and something for their overhead


def possible_at_4_s(answer: object) -> str:
    """With tasks of 4 s and a timeout of 5 s, how many of the six rows can be lost?"""
    given = set(re.findall(r"\d+", str(answer)))
    if not given:
        return "give a set of numbers, such as {1, 2}."
    wrong = "follow the lock from 0 to 4, 8 and 12 s: who can get it, and who has waited for 5 s?"
    return wrong * (given != {"2", "3"})


def none_lost_at_3_s(answer: object) -> str:
    """A run with tasks of 3 s that loses nothing, by a timeout that is just long enough."""
    if type(answer).__name__ != "Run":  # by name, so that a wrong answer loads no pandas
        return "give the run itself: run = processes.run(...), then exercises.check('02.2', run)."
    held = answer.items["held"] >= 2.9 * answer.params["scale"]
    six = len(answer.items) == 6 and len(answer.params["processes"]) == 3
    if not six or not held[answer.items["outcome"] == "stored"].all():
        return "give a run of six inserts in three processes that hold the lock for 3 s each."
    if not answer.ok:
        return f"this run lost something: {answer.verdict}."
    waits = answer.events.query("state == 'waiting'")["detail"].dropna()
    longest = max((float(re.findall(r"[\d.]+", text)[0]) for text in waits), default=0)
    if longest > ENOUGH_S * answer.params["scale"]:
        return "all six are stored; can you do it with a shorter timeout?"
    return ""


EXERCISES = {
    "02.1": possible_at_4_s,
    "02.2": none_lost_at_3_s,
    "02.3": reason(
        right="c",
        wrong={
            "a": "each process opened a connection of its own; look at database.pets.",
            "b": "the worker that closed its connection after each insert lost as many rows.",
            "d": "at 3 s every order loses two rows; look at possible_losses(3).",
        },
    ),
    "02.4": number(4, "run it: processes.run(tasks(1, timeout_s=0)).lost"),
}
HINTS = {
    "02.1": [
        "one process has the lock from 0 to 4, and asks again. Who may get it at 4?",
        "case one: the same process again. Then two others give up their first pet at 5.",
        "case two: another one. Who gives up at 5, and who may get the lock at 8?",
    ],
    "02.2": [
        "how many tasks of 3 s can a process have in front of it?",
        "each task takes a little longer than 3 s, and a waiting process looks every 0.1 s.",
    ],
    "02.3": ["which column of run.items do the lost rows have in common?"],
    "02.4": ["what does a process do that may not wait, when the lock is held?"],
}
SOLUTIONS = {
    "02.1": "{2, 3}: possible_losses(4) tries every way of handing the lock on.",
    "02.2": "run = processes.run(tasks(3, timeout_s=12.8)); exercises.check('02.2', run)",
    "02.3": "(c): for each lost row a process had waited its whole timeout for the lock.",
    "02.4": "4: one process gets the lock for its two pets; the others fail at once, each twice.",
}
