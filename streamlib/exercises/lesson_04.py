"""The exercises of notebook 04."""

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
    hint = (
        "give both functions, as in (encode, decode); every list of texts must come back the same, "
        "[''] and ['a, b', '\\n'] too, and its line must be one line."
    )
    return "" if pair and _comes_back(*answer) else hint


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
    hint = (
        "give the table of stream.reconcile for ten rows or more of another file; each of them "
        "arrived, or was not sent."
    )
    if not {"fate", "got"} <= set(getattr(answer, "columns", ())):
        return hint
    arrived = answer[answer["fate"] == "arrived"]
    well = set(answer["fate"]) <= {"arrived", "not sent", "unknown"}
    another = all("icao" not in row for row in arrived["got"])
    return "" if len(arrived) >= 10 and well and another else hint


EXERCISES = {"04.1": a_format_of_your_own, "04.2": ten_rows_of_another_file}
