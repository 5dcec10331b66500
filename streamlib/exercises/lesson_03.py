"""The exercises of notebook 03."""

from streamlib.exercises import number, reason


def counts_agree_and_rows_do_not(answer: object) -> str:
    """A table of fates: as many rows came as were sent, one of them twice and another one never."""
    if not {"fate", "got"} <= set(getattr(answer, "columns", ())):
        return "give the table of stream.reconcile(oldest[:12], received), not the list itself."
    fates = answer["fate"].value_counts()[lambda n: n > 0].to_dict()
    if fates == {"arrived": 11, "lost": 1, "duplicated": 1}:
        return ""
    found = ", ".join(f"{count} {fate}" for fate, count in fates.items())
    return f"it has to be 11 arrived, 1 lost and 1 duplicated; this table has {found}."


EXERCISES = {
    "03.1": number(30, "when 40 comes in on the right, which number leaves on the left?"),
    "03.2": counts_agree_and_rows_do_not,
    "03.3": reason(
        right="b",
        wrong={
            "a": "the killed receiver's sender said that it had sent all 24, too.",
            "c": "sendto did not fail when nobody was listening.",
            "d": "the system dropped datagrams that had been sent, and told nobody.",
        },
    ),
}
HINTS = {
    "03.1": ["write down what the deque holds after each number.", "after 40 it holds 20, 30, 40."],
    "03.2": [
        "begin with the records of all twelve rows, made in a loop.",
        "take one of them out, and put another one in a second time.",
    ],
    "03.3": ["which part of the way does `sendto` see?"],
}
SOLUTIONS = {
    "03.1": "(20 + 30 + 40) / 3 = 30",
    "03.2": """\
received = [{"seq": n, "sent": 0.0, "row": row} for n, row in enumerate(oldest[:12], start=1)]
received[11] = received[10]
exercises.check("03.2", stream.reconcile(oldest[:12], received))""",
    "03.3": "(b): sent means handed to the operating system; only what arrived proves more.",
}
