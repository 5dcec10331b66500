"""Files as learners write them: each form is written as a file, and compared with its source."""

import csv
import json
from collections import Counter

import pytest

from streamlib import records, stream

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
    "named": lines(lambda row: "Day: {}, Town: {}, Temp: {}".format(*row)),
    "named, with =": lines(lambda row: "Day={}; Town={}; Temp={}".format(*row)),
    "JSON": lines(lambda row: json.dumps(as_dict(row))),
    "JSON with a number": lines(lambda row: json.dumps(as_dict(row) | {"Temp": int(row[2])})),
    "JSON in an envelope": lines(lambda row: json.dumps({"n": 1, "data": as_dict(row)})),
    "a JSON list": lines(json.dumps),
    "a time stamp ahead": stamped(",".join),
    "the time in front": lines(lambda row: f"12:00:01 {bracketed(row)}"),
    "numbered": "".join(f"{n}: {bracketed(row)}\n" for n, row in enumerate(ROWS, 1)),
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


def said(source, out, content):
    """What a table of fates says of a file with this content, and the table."""
    out.write_bytes(content if isinstance(content, bytes) else content.encode())
    table = stream.reconcile(source, out)
    return stream.verdict(table), table


ALL_4 = "All 4 rows arrived once, unaltered and in order"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("form", [bracketed, ",".join, logged])
def test_what_windows_writes_is_read(encoding, form, tmp_path):
    source, out = tmp_path / "src.csv", tmp_path / "out9.txt"
    towns = ["Zürich", "Köln", "Nürnberg", "Düsseldorf"]
    rows = [[day, town, temp] for (day, _, temp), town in zip(ROWS, towns, strict=True)]
    written = "".join(f"{','.join(row)}\n" for row in rows)
    source.write_text("Day,Town,Temp\n" + written, encoding="utf-8")
    content = "".join(f"{form(row)}\r\n" for row in rows)
    assert said(source, out, content.encode(encoding))[0] == ALL_4 + "."


def test_records_that_powershell_wrote_are_read(source, tmp_path):
    written = [records.encode(n, as_dict(row)).decode() for n, row in enumerate(ROWS, 1)]
    content = "\r\n".join([*written, records.encode_end(4).decode(), ""]).encode("utf-16")
    verdict, table = said(source, tmp_path / "out9.txt", content)
    assert verdict == ALL_4 + "." and table["seq"].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("form", "columns"),
    [
        (lambda row: f"[{row[1]}, {row[2]}]", 2),
        (lambda row: repr(f"{row[0]},{row[2]}".encode()), 2),
        (lambda row: f"{row[1]}|{row[2]}", 2),
        (lambda row: row[1], 1),
        (lambda row: json.dumps({"Town": row[1]}), 1),
        (lambda row: str({"Town": row[1], "Temp": row[2]}), 2),
        (lambda row: f"2024-02-01 10:00:01.123 - INFO - [{row[1]};{row[2]}]", 2),
    ],
)
def test_some_of_the_columns_are_found_by_what_is_in_them(form, columns, source, tmp_path):
    verdict, _ = said(source, tmp_path / "out9.txt", lines(form))
    assert verdict == f"{ALL_4}; {columns} of the source's 3 columns were sent."


@pytest.mark.parametrize(
    "names", ["Day,Town,Temp", "DAY,TOWN,TEMP", "day, town , temp", "Date,Town,Temp"]
)
@pytest.mark.parametrize("form", [lambda row: ",".join(row), bracketed, "; ".join, as_bytes, str])
def test_a_header_is_one_whatever_its_names(names, form, source, tmp_path):
    content = form(names.split(",")) + "\n" + lines(form)
    table = said(source, tmp_path / "out9.txt", content)[1]
    assert Counter(table["fate"]) == {"arrived": 4, "header sent as data": 1}


def test_lines_that_could_be_either_of_two_rows_are_called_ambiguous(tmp_path):
    source, out = tmp_path / "src.csv", tmp_path / "out9.txt"
    rows = [["a, b", "c", "1"], ["a", "b, c", "1"], ["d", "e", "2"], ["f", "g", "3"]]
    with open(source, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    verdict, _ = said(source, out, "".join(f"{bracketed(row)}\n" for row in rows))
    assert verdict == f"{ALL_4}; ambiguous lines, which may be one of several rows: 2."


def test_fields_with_delimiters_and_quotes_are_read_as_they_were_written(tmp_path):
    source, out = tmp_path / "src.csv", tmp_path / "out9.txt"
    rows = [["1", 'the "big" one', "x, y"], ["2", "O'Brien", "two; lines"], ["3", "", "[z]"]]
    with open(source, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["n", "name", "note"], *rows])
    written = source.read_text(encoding="utf-8").partition("\n")[2]
    for content in (written, "".join(f"{bracketed(row)}\n" for row in rows)):
        verdict, table = said(source, out, content)
        assert verdict == "All 3 rows arrived once, unaltered and in order.", table["got"].tolist()


def test_how_the_lines_were_read_is_said(source, tmp_path):
    content = stamped(lambda row: f"Sent: {bracketed(row)} on port 9999.")
    _, table = said(source, tmp_path / "out9.txt", f"Streaming...\n{content}Done.\n")
    shown = f"such as {content.splitlines()[-1]!r}; 10 words before and 3 after each left out."
    assert table.attrs["read"] == [
        f"4 rows read from text lines, {shown}",
        "Lines that are not rows: 2, such as ['Streaming...', 'Done.'].",
    ]


def test_a_file_that_has_nothing_of_the_source_is_not_called_chatter(source, tmp_path):
    verdict, table = said(source, tmp_path / "out9.txt", "hello\nworld\n")
    assert Counter(table["fate"]) == {"unknown": 4, "never in the source": 2}
    assert verdict == (
        "No row of this source came, so look whether it is the right one; "
        "whether more were sent is not known; also: 2 never in the source."
    )


@pytest.mark.parametrize(
    "line",
    [
        "[" * 9000 + '"',
        "-" * 9000 + '"',
        "(" * 100_000,
        " " * 1_000_000 + ",",
        "b'" * 50_000,
        "INFO " * 50_000,
        "12:00:00 " * 50_000 + "]",
        "'\\" * 50_000,
        '{"a":' * 1_900 + "'",
        "][" * 9000,
        " on" * 100_000,
        "\0" * 1000,
        "\x1b[2J\u202e",
    ],
    ids=lambda line: ascii(line[:8]),
)
def test_whatever_stands_in_a_line_the_reader_goes_on(line, source, tmp_path):
    table = said(source, tmp_path / "out9.txt", lines(bracketed) + line + "\n")[1]
    assert list(table["fate"][:4]) == ["arrived"] * 4


ODD = ["Łódź", 'say "hi"', "one\ntwo", "C:\\new\\temp", "it's", "a, b", "😀"]
ESCAPING = {
    "JSON": json.dumps,
    "JSON in UTF-8": lambda row: json.dumps(row, ensure_ascii=False),
    "a dict": str,
    "a list": lambda row: str(list(row.values())),
    "bytes of JSON": lambda row: repr(json.dumps(row).encode()),
    "bytes": lambda row: repr(bracketed(row.values()).encode()),
    "bars, in one line": lambda row: "|".join(row.values()).replace("\n", " "),
}


@pytest.mark.parametrize("form", ESCAPING)
@pytest.mark.parametrize("stamp", ["", "2024-02-01 10:00:00 "])
def test_letters_that_a_format_escapes_are_read_as_they_were(form, stamp, tmp_path):
    source = [{"n": str(n), "text": text, "m": "x"} for n, text in enumerate(ODD)]
    out = tmp_path / "out9.txt"
    text = "".join(f"{stamp}{ESCAPING[form](row)}\n" for row in source)
    out.write_text(text, encoding="utf-8", newline="")
    table = stream.reconcile(source, out)
    assert stream.verdict(table) == "All 7 rows arrived once, unaltered and in order."
