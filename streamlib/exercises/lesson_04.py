"""The exercises of notebook 04."""

import contextlib
import json
from unittest import mock

from streamlib.exercises import reason

RAN = []  # what a decoder has run
TEXTS = [
    "",
    ",",
    "a, b",
    '"',
    "'",
    "[x]",
    "\\",
    "\n",
    "\r\n",
    "\t",
    "é",
    "a|b;c",
    " a ",
    "\\n",
    "%2C",
]


def a_format_of_your_own(answer: object) -> str:
    """A pair of functions: one line for any list of texts, and the same list from it again."""
    pair = isinstance(answer, tuple) and len(answer) == 2 and all(map(callable, answer))
    try:
        if pair:
            answer[1](str(answer[0](["a, b", ""])))
    except Exception as error:  # whatever the learner's functions raise
        return f"it raised {type(error).__name__}: {error}."
    hint = (
        "give both functions, as in (encode, decode); every list of texts must come back the same, "
        "[''] and ['a, b', '\\n'] too, and its line must be one line."
    )
    if pair and _runs(answer[1]):
        return "decode runs what it is given as Python code; so a stranger's line would be run."
    if pair and _is_json(*answer) and _comes_back(*answer):
        return "this works, but it is JSON; write a format of your own."
    return "" if pair and _comes_back(*answer) else hint


def _runs(decode) -> bool:
    """Whether it runs a line as Python code."""
    RAN.clear()
    with contextlib.suppress(Exception):  # whatever the learner's function raises
        decode(f"__import__({__name__!r}, fromlist=['RAN']).RAN.append(1)")
    return bool(RAN)


def _is_json(*functions) -> bool:
    """Whether they fail without the module json, under whatever name they call it."""
    with mock.patch.multiple(json.JSONEncoder, encode=None, iterencode=None):
        return not _comes_back(*functions)


def _comes_back(encode, decode) -> bool:
    lists = [[text] for text in TEXTS] + [[a, b] for a in TEXTS for b in TEXTS] + [TEXTS]
    try:
        lists += [[encode(list(values))] for values in lists]  # its own lines are texts, too
        lines = [encode(list(values)) for values in lists]
        one_line = all(isinstance(line, str) and len(line.splitlines()) <= 1 for line in lines)
        return one_line and [list(decode(line)) for line in lines] == lists
    except Exception:  # whatever the learner's functions raise, they are not right yet
        return False


def ten_rows_of_another_file(answer: object) -> str:
    """A table of fates: ten rows or more of another file, all of them there or not sent."""
    if not {"fate", "got"} <= set(getattr(answer, "columns", ())):
        return "give the table of stream.reconcile for ten rows or more of another file."
    arrived = answer[answer["fate"] == "arrived"]
    if odd := set(answer["fate"]) - {"arrived", "not sent", "unknown"}:
        return f"some rows are {' and some '.join(sorted(odd))}; stream them again."
    if len(arrived) < 10:
        return f"ten rows have to arrive; in this table {len(arrived)} did."
    if any("icao" in row for row in arrived["got"]):
        return "these are the rows of this notebook's file; take another one."
    return ""


EXERCISES = {
    "04.1": a_format_of_your_own,
    "04.2": ten_rows_of_another_file,
    "04.3": reason(
        right="b",
        wrong={
            "a": "that may be, but the question is what the file proves.",
            "c": "stream.reconcile reads pasted lines as well; what do they prove?",
            "d": "out9.txt was written without UDP.",
        },
    ),
}
HINTS = {
    "04.1": [
        "choose a character that ends a field, and one that announces a replaced character.",
        "replace the second one first: a backslash by two backslashes; then the ends of lines.",
        "an empty list and a list with one empty text must differ, too.",
    ],
    "04.2": [
        "rows.read(home.data / 'class_runs.csv') reads another file.",
        "send with limit=10 or more, wait for the receiver, then reconcile source and file.",
    ],
    "04.3": ["who wrote the lines of a pasted file, and what had that person seen?"],
}
SOLUTIONS = {
    "04.1": """\
def encode(values):
    return "".join(value.encode().hex() + "." for value in values)  # hexadecimal digits: 0-9, a-f


def decode(line):
    return [bytes.fromhex(part).decode() for part in line.split(".")[:-1]]


exercises.check("04.1", (encode, decode))""",
    "04.2": """\
source = rows.read(home.data / "class_runs.csv")
with programs.receive(home.outputs / "class.txt") as receiver:
    stream.send(source, receiver.url, every=0.1, limit=12)
    receiver.wait()
fates = stream.reconcile(source, home.outputs / "class.txt")
exercises.check("04.2", fates)""",
    "04.3": "(b): what is pasted was on the screen; whether it was sent, and when, it can't say.",
}
