"""The exercises of notebook 03."""

from streamlib.exercises import is_number, reason


def mean_of_the_window(answer: object) -> str:
    """10, 20, 30, 40 go through deque(maxlen=3): what is the mean at the end?"""
    right = is_number(answer, 30)
    return "" if right else "when 40 comes in on the right, 10 leaves on the left."


def counts_agree_and_rows_do_not(answer: object) -> str:
    """A table of fates: as many rows came as were sent, one of them twice and another one never."""
    is_fates = {"fate", "got"} <= set(getattr(answer, "columns", ()))
    wanted = {"arrived": 11, "lost": 1, "duplicated": 1}
    right = is_fates and answer["fate"].value_counts()[lambda n: n > 0].to_dict() == wanted
    hint = (
        "give the table of stream.reconcile(oldest[:12], received), with 12 items in received: "
        "eleven different ones, and one of them once more."
    )
    return "" if right else hint


EXERCISES = {
    "03.1": mean_of_the_window,
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
