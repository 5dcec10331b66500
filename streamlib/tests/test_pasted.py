"""Files as learners write them: each form is written as a file, and compared with its source."""

import csv
import json
from collections import Counter

import pytest

from streamlib import records, rows, stream
from streamlib.stream import pasted

COLUMNS = ["Day", "Town", "Temp"]
ROWS = [
    ["2024-01-01", "Ames", "3"],
    ["2024-01-02", "Bern", "4"],
    ["2024-01-03", "Cork", "5"],
    ["2024-01-04", "Dover", "6"],
]
STAMP = "2024-02-01 10:00:0{},123 - INFO - "


def bracketed(row):
    return f"[{', '.join(row)}]"


def lines(form):
    """A file with a line for each row, as this form writes it."""
    return "".join(f"{form(row)}\n" for row in ROWS)


def stamped(form):
    return "".join(f"{STAMP.format(n)}{form(row)}\n" for n, row in enumerate(ROWS))


def as_dict(row):
    return dict(zip(COLUMNS, row, strict=True))


def as_bytes(row):
    return repr(bracketed(row).encode())


def logged(row):
    return f"Sent: {as_bytes(row)} on port 9999."


FORMS = {
    "as the course has it": lines(bracketed),
    "no blanks": lines(lambda row: f"[{','.join(row)}]"),
    "bytes": lines(as_bytes),
    "bytes in double quotes": lines(lambda row: f'b"{bracketed(row)}"'),
    "bytes with their line end": lines(lambda row: repr((bracketed(row) + "\n").encode())),
    "sent": lines(logged),
    "sent, with a time stamp": stamped(logged),
    "some with a time stamp, some without": lines(logged)[:46] + stamped(logged)[76:],
    "the default of logging": lines(lambda row: f"INFO:root:{logged(row)}"),
    "sent as text": lines(lambda row: f"Sent: {bracketed(row)} to ('localhost', 9999)"),
    "sent as text, no bracket": lines(lambda row: f"Sent: {', '.join(row)} to ('localhost', 9999)"),
    "received from": lines(lambda row: f"Received: {as_bytes(row)} from ('127.0.0.1', 5000)"),
    "what recvfrom returned": lines(lambda row: f"({as_bytes(row)}, ('127.0.0.1', 5000))"),
    "all in one line": "".join(map(bracketed, ROWS)),
    "two in one line": lines(bracketed).replace("]\n[", "][", 1),
    "all in one line, in bytes": repr("".join(map(bracketed, ROWS)).encode()),
    "pipes": lines("|".join),
    "pipes and blanks": lines(" | ".join),
    "semicolons": lines(";".join),
    "semicolons in brackets": lines(lambda row: f"[{'; '.join(row)}]"),
    "tabs": lines("\t".join),
    "blanks": lines(" ".join),
    "columns of one width": lines(lambda row: "{:<12}{:<8}{}".format(*row)),
    "commas": lines(",".join),
    "blanks here and there": lines(lambda row: "[{},{},  {}]".format(*row)),
    "all quoted": lines(lambda row: ",".join(f'"{value}"' for value in row)),
    "a list": lines(str),
    "a list in bytes": lines(lambda row: repr(str(row).encode())),
    "a tuple": lines(lambda row: str(tuple(row))),
    "a list with a number": lines(lambda row: str([*row[:2], int(row[2])])),
    "a dict": lines(lambda row: str(as_dict(row))),
    "a dict, logged": stamped(lambda row: f"Sent: {as_dict(row)}"),
    "JSON": lines(lambda row: json.dumps(as_dict(row))),
    "JSON with a number": lines(lambda row: json.dumps(as_dict(row) | {"Temp": int(row[2])})),
    "JSON in an envelope": lines(lambda row: json.dumps({"n": 1, "data": as_dict(row)})),
    "a JSON list": lines(json.dumps),
    "JSON in one line": json.dumps([as_dict(row) for row in ROWS]),
    "a time stamp ahead": stamped(",".join),
    "the time in front": lines(lambda row: f"12:00:01 {bracketed(row)}"),
    "numbered": "".join(f"{n}: {bracketed(row)}\n" for n, row in enumerate(ROWS, 1)),
    "an index as the first column": "".join(f"{n},{','.join(r)}\n" for n, r in enumerate(ROWS)),
    "a time as the last column": lines(lambda row: ",".join([*row, "1700000000.5"])),
    "CR LF": lines(bracketed).replace("\n", "\r\n"),
    "CR": lines(bracketed).replace("\n", "\r"),
    "blank lines": lines(bracketed).replace("\n", "\n\n"),
    "no end of the last line": lines(bracketed).rstrip(),
    "what the program says": f"Streaming...\n{lines(bracketed)}Done.\n",
    "what the program says, logged": STAMP + "Streaming\n" + stamped(logged) + STAMP + "Done.\n",
    "records that were printed": lines(
        lambda row: repr(records.encode(ROWS.index(row) + 1, as_dict(row)))
    ),
}


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "src.csv"
    path.write_text("Day,Town,Temp\n" + lines(",".join), encoding="utf-8")
    return path


@pytest.mark.parametrize("form", FORMS)
def test_rows_are_read_in_each_form(form, source, tmp_path):
    out = tmp_path / "out9.txt"
    out.write_bytes(FORMS[form].encode())
    table = stream.reconcile(source, out)
    assert stream.verdict(table) == "All 4 rows arrived once, unaltered and in order.", table


@pytest.mark.parametrize("form", [bracketed, as_bytes, logged, ",".join, "|".join, str, as_dict])
def test_what_is_altered_lost_or_repeated_is_told_in_each_form(form, source, tmp_path):
    out = tmp_path / "out9.txt"
    came = [ROWS[0], ROWS[0], ["2024-01-02", "Bern", "4.0"], ROWS[3], ["2020-01-01", "York", "9"]]
    out.write_text("".join(f"{form(row)}\n" for row in came), encoding="utf-8")
    table = stream.reconcile(source, out)
    counts = {"arrived": 2, "duplicated": 1, "altered": 1, "lost": 1, "never in the source": 1}
    assert Counter(table["fate"]) == counts
