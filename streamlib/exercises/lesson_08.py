"""The exercises of notebook 08."""

from streamlib.exercises import reason

OURS = ["as in task 2", "timeout 0", "longer timeout", "shorter transaction", "WAL", "reads first"]
OURS += ["BEGIN IMMEDIATE", "retry with jitter", "lock ahead", "crossed locks", "ordered locks"]
OURS += ["one writer"]  # as in lesson_fixes, which loads more than a check needs


def an_entry_that_loses_nothing(answer: object) -> str:
    """The table of a tournament with an entry of one's own, which loses no row of 8 processes."""
    if type(answer).__name__ != "DataFrame" or not {"entry", "lost"} <= set(answer.columns):
        return "give the table: fixes.tournament({'mine': mine}, processes=8)."
    own = answer[(answer["processes"] == 8) & ~answer["entry"].isin(OURS)]
    if own.empty:
        return "let an entry of your own run with 8 processes."
    row = own.iloc[-1]
    return "" if row["verdict"] == "stored" else f"{row['entry']} {row['verdict']}: {row['why']}"


EXERCISES = {
    "08.1": an_entry_that_loses_nothing,
    "08.2": reason(
        right="b",
        wrong={
            "a": "it was: the setup of the entry runs PRAGMA journal_mode = WAL.",
            "c": "in WAL mode readers keep nobody waiting, and there is no reader here.",
            "d": "it grows as needed.",
        },
    ),
    "08.3": reason(
        right="b",
        wrong={
            "a": "look at the hand-offs in notebook 2: how often does the same process go on?",
            "c": "launching has nothing to do with it: all pass the start gate together.",
            "d": "in WAL mode waiting processes sleep and look again as well.",
        },
    ),
}
HINTS = {
    "08.1": [
        "which entries lose nothing, and what do they have in common?",
        "a longer timeout is the least change: how long can a process have to wait for 15 tasks?",
    ],
    "08.2": ["how many processes may write at the same time?"],
    "08.3": ["what does a waiting process do, and what does the one that frees the lock?"],
}
SOLUTIONS = {
    "08.1": """\
def mine(me):
    for pet in fixes.pets(me):
        me.hold(3)
        with resources.hold(me, "database"), closing(database.open(me)) as connection:
            database.insert(me, connection, pet)""",
    "08.2": "(b): WAL changes what readers and the writer do to each other.",
    "08.3": "(b): who waits sleeps and looks again; who frees it is awake and asks at once.",
}
