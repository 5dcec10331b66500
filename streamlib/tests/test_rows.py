"""Any CSV file: what is in it comes back, what was strange is said, what is none is refused."""

import codecs
import csv
import io
import re
import subprocess
import sys
import threading
import tracemalloc
import zipfile

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from streamlib import home, rows

own_file = [HealthCheck.function_scoped_fixture]  # each example writes it anew
quickly = settings(max_examples=300, deadline=None, database=None, suppress_health_check=own_file)
cells = st.text(st.sampled_from(" ,;|\t\"'\r\nab1é") | st.characters(codec="utf-8"), max_size=8)
tables = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(cells, min_size=width, max_size=width), min_size=2, max_size=6)
)


@pytest.fixture
def file(tmp_path):
    """Writes this text or these bytes into a file."""

    def write(content):
        path = tmp_path / "given.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def values(table):
    return [list(row.values()) for row in table]


def is_one_sentence(text):
    """What is wrong and, after a colon or semicolon, what to do about it."""
    return re.fullmatch(r"[^\n]+[:;] [^\n]+\.", text) and not re.search(r"[.!?]\s", text)


@pytest.mark.parametrize("delimiter", rows.DELIMITERS)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("encoding", "utf-8 utf-8-sig utf-16 utf-16-le cp1252 mac_roman".split())
def test_what_was_written_is_read(file, encoding, end, delimiter):
    table = [
        ["name", "town", "said", "n"],
        ["Zoë", "München", "\"Hi\", she; said|so\tto 'Ace'", "1"],
        ["O'Malley, José", "São Paulo", f"two{end}lines, {end}no: three", "-2.5"],
        ["François", "Málaga", "", ""],
    ]
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator=end).writerows(table)
    read = rows.read(file(text.getvalue().encode(encoding)))
    assert [read.columns, *values(read)] == table
    assert [row.line for row in read] == [2, 5, 6]
    assert codecs.lookup(read.assumed["encoding"]) == codecs.lookup(encoding)
    assert (read.assumed["delimiter"], read.assumed["header"]) == (delimiter, "first row")
    assert read.odd == []


@quickly
@given(tables)
def test_any_table_is_read_as_it_was_written(file, table):
    text, ends = io.StringIO(newline=""), []
    for row in table:
        csv.writer(text).writerow(row)
        ends.append(len(re.findall("\r\n|\r|\n", text.getvalue())))
    assume(text.getvalue().strip() and "\0" not in text.getvalue())
    assume(not text.getvalue().startswith("\ufeff"))  # a mark, no text
    read = rows.read(file(text.getvalue()), delimiter=",", header=True)
    assert values(read) == table[1:]
    assert [row.line for row in read] == ends[1:]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('a, b\n1, "x, ""y"""\n2, z\n', [["1", 'x, "y"'], ["2", "z"]]),
        ('a,b\n"x, ", y\n', [["x, ", " y"]]),
    ],
)
def test_spaces_are_left_out_only_before_quotes(file, text, expected):
    assert values(rows.read(file(text))) == expected


@pytest.mark.parametrize(
    ("first", "columns"),
    [
        (" a ,\tb,c ", ["a", "b", "c"]),
        ("a,,", ["a", "column 2", "column 3"]),
        ("a,a,,a,a 2", ["a", "a 2", "column 3", "a 3", "a 2 2"]),
        ("column 2,", ["column 2", "column 2 2"]),
    ],
)
def test_every_column_has_a_name_of_its_own(file, first, columns):
    table = rows.read(file(f"{first}\n{','.join(columns)}\n"))
    assert table.columns == columns
    assert list(table) == [dict(zip(columns, columns, strict=True))]


@pytest.mark.parametrize(
    ("text", "expected", "odd"),
    [
        ("a,b,c\n1\n2,3,4\n5,6\n", ["1||", "2|3|4", "5|6|"], ["Lines 2, 4: fewer fields"]),
        ("a,b\n1,2,3,\n4,5", ["1|2|3|", "4|5"], ["Line 2: more fields"]),
        ("a,b\n1,2\n3", ["1|2", "3|"], ["Line 3: fewer fields"]),
        ("\r\na,b\n\n1,2\n\n\n3,4\n\n", ["1|2", "3|4"], ["Lines 1, 3, 5, 6, 8: blank, left out."]),
        ("a\n1\n" + "\n" * 1234 + "2\n", ["1", "2"], [", 10 and 1,226 more: blank, left out."]),
        ('a,b\n1,"x\ny"\n3,"z\n4,5', ["1|x\ny", "3|z\n4,5"], ["Line 5: the file ends inside a"]),
        ('a,b\n1,"', ["1|"], ["Line 2: the file ends inside a quoted field."]),
        ("a,b\n\n1\n2,3,4", ["1|", "2|3|4"], ["Line 2: blank", "Line 3: fewer", "Line 4: more"]),
        ("column 3,b\n1,2,3", ["1|2|3"], ["Line 2: more"]),
        ("a\n" + "\n" * 250 + "1\n", ["1"], ["blank"]),
        ("\n" * 250 + "a\n1\n", ["1"], ["blank"]),
    ],
)
def test_odd_rows_are_kept_and_said(file, text, expected, odd):
    table = rows.read(file(text))
    for _ in range(2):  # the second reading says the same, and not twice
        assert ["|".join(row) for row in values(table)] == expected
        assert len(table.odd) == len(odd)
        assert all(words in said for words, said in zip(odd, table.odd, strict=True))


def test_what_a_long_row_has_too_much_gets_names(file):
    assert [*rows.read(file("a\n1,2,3\n"))] == [{"a": "1", "column 2": "2", "column 3": "3"}]


@pytest.mark.parametrize("text", ["1,2.5\n3,4\n", "Ace,3\nBo,4\n", "2013-04-15,x\n2013-04-16,y\n"])
def test_a_first_row_of_values_is_no_header(file, text):
    table = rows.read(file(text))
    assert (table.columns, table.assumed["header"]) == (["column 1", "column 2"], "none")
    assert [(",".join(row.values()), row.line) for row in table] == [
        (line, n) for n, line in enumerate(text.split(), start=1)
    ]
    assert rows.read(table.path, header=True).columns == text.split()[0].split(",")


def test_what_is_said_is_not_guessed(file):
    path = file("a,é;c\n1,2;3\n".encode("cp437"))
    table = rows.read(path, encoding="cp437", delimiter=";", header=False)
    assert values(table) == [["a,é", "c"], ["1,2", "3"]]
    said = {"encoding": "cp437", "delimiter": ";", "header": "none"}
    assert said.items() <= table.assumed.items()
    assert "cp437" in repr(table) and "given.csv" in repr(table)


def test_columns_are_chosen_by_name(file):
    table = rows.read(file('a,b,c\n1,"x\ny",3\n4\n'), columns=["c", "a"])
    assert table.columns == ["c", "a"]
    assert [(row, row.line) for row in table] == [
        ({"c": "3", "a": "1"}, 3),
        ({"c": "", "a": "4"}, 4),
    ]
    for columns, words in [("a", "give a list, as in"), (["d"], "given.csv has no column 'd': ")]:
        with pytest.raises(ValueError, match=words) as error:
            rows.read(table.path, columns=columns)
        assert is_one_sentence(str(error.value))


def test_what_a_long_row_has_too_much_is_not_called_kept_when_columns_are_chosen(file):
    table = rows.read(file("a,b\n1,2,3\n"), columns=["a"])
    (row,) = table
    assert ("column 3" in row) == any("kept as column 3" in said for said in table.odd)


def test_characters_that_cannot_be_read_are_said(file):
    table = rows.read(file("a,b\n1,2\nZoë,3\n".encode("cp1252")), encoding="utf-8")
    assert values(table)[1] == ["Zo\ufffd", "3"]
    assert table.odd == ["Line 3: characters that cannot be read, shown as \ufffd."]


@pytest.mark.parametrize(
    ("content", "said", "expected"),
    [
        (b"\xef\xbb\xbfa\nb\n", {}, "b"),
        ("a\nMünchen\n".encode("mac_roman"), {}, "München"),
        (b"\xef\xbb\xbfa\nb\n", {"encoding": "utf-8"}, "b"),
        ("a\nMünchen\n".encode() * 50 + b"\xf6\n", {}, "München"),
        (b"a\nAndr\xe9", {}, "André"),
    ],
)
def test_encodings_of_little_text(file, content, said, expected):
    assert next(iter(rows.read(file(content), **said))) == {"a": expected}


def test_a_big_file_takes_little_memory(file):
    path = file("a,b,c,d,e\n" + f'1,"x, y",Zürich,{"z" * 490}\n' * 40_000)  # and every row is odd
    assert path.stat().st_size > 20e6
    tracemalloc.start()
    try:
        table = rows.read(path)
        assert sum(1 for _ in table) == 40_000
        assert tracemalloc.get_traced_memory()[1] < 8e6
    finally:
        tracemalloc.stop()
    assert "Lines 2, 3, 4, 5, 6, 7, 8, 9 and 39,992 more: fewer" in table.odd[0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty: give"),
        (b"\n\r\n  \n", "holds nothing but blank lines: give"),
        (b"name,town\n", "has a header but no rows: give"),
        (bytes(range(256)) * 8, "is a binary file, not text: give"),
        (b"\x1f\x8b\x08\0 and so on", "is a gzip file, not a CSV file: save"),
        (b"SQLite format 3\0 and so on", "is a SQLite database, not a CSV file: save"),
        (b"x" * rows.LONGEST, "line 1 has more than 4,194,304 characters: .*give another file"),
    ],
    ids=["empty", "blank", "header", "binary", "gzip", "sqlite", "long"],
)
def test_files_that_are_no_tables(file, content, words):
    with pytest.raises(ValueError, match=rf"given\.csv,? {words}") as error:
        rows.read(file(content))
    assert is_one_sentence(str(error.value))


def test_paths_that_cannot_be_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "book.csv", "w") as book:
        book.writestr("xl/workbook.xml", "<workbook/>")
    for name, kind, words in [
        ("none.csv", OSError, "none.csv is not there: check the name"),
        (".", OSError, "is a folder: give the name of a CSV file"),
        ("book.csv", ValueError, "book.csv is a spreadsheet or another zip file.*save it as CSV"),
    ]:
        with pytest.raises(kind, match=words) as error:
            rows.read(tmp_path / name)
        assert str(tmp_path) in str(error.value) and is_one_sentence(str(error.value))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"encoding": "klingon"}, "There is no encoding 'klingon': use"),
        ({"encoding": "utf-16"}, "given.csv"),
        ({"delimiter": "::"}, "'::'"),
    ],
)
def test_what_is_said_and_cannot_be(file, said, words):
    with pytest.raises(ValueError, match=words) as error:
        rows.read(file("a,b\n1,2\n"), **said)
    assert is_one_sentence(str(error.value))


def test_a_field_of_a_megabyte_is_read(file):
    assert values(rows.read(file(f'a,b\n1,"{"x" * 1_000_000}"\n'))) == [["1", "x" * 1_000_000]]


@pytest.mark.parametrize(
    ("good", "rest", "words"),
    [
        (300, '7,"x\n' + "1,2\n" * 2_000_000, "from line 302: .*a closing quote is missing there"),
        (300, "7," + "x" * 5_000_000, "line 302 has more than 4,194,304 characters: .*another"),
        (1, '7,"x\n' + ("x" * 99_999 + "\n") * 50, "from line 3: "),
    ],
    ids=["quote", "line", "near quote"],
)
def test_what_is_no_table_further_on_is_told_with_its_line(file, good, rest, words):
    path, read = file("a,b\n" + "1,2\n" * good + rest), []
    with pytest.raises(ValueError, match=f"given.csv, {words}") as error:
        for row in rows.read(path):
            read.append(row["b"])
    assert is_one_sentence(str(error.value)) and len(str(error.value)) < 200
    assert read == ["2"] * good


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([b"a,b\n1,2\n"], ["1|2"]),
        ([b"a,b\n", b"1,2\n", b"3,4\n5,6\n"], ["1|2", "3|4", "5|6"]),
        ([b"", b"a,", b"b\n", b"1,", b"", b"2", b"\n3,4\n"], ["1|2", "3|4"]),
        ([b"a,b\n", b'1,"x', b'\ny"\n2,"', b'z"\n'], ["1|x\ny", "2|z"]),
        ([b"a,b\n1,2\n3,4"], ["1|2", "3|4"]),
        ([b"a,b\n1,2\n", b"3,4"], ["1|2", "3|4"]),
        ([b"a,b\n", b"1,M\xc3", b"\xbcn\n"], ["1|Mün"]),
        ([b"a,b\r\n", b"1,2\r", b"\n3,4\r\n"], ["1|2", "3|4"]),
    ],
)
def test_a_growing_file_is_read_to_its_end(file, monkeypatch, parts, expected):
    """It grows by one part whenever it is asked whether it is over."""
    monkeypatch.setattr(rows, "LOOK_S", 0)
    path, rest = file(parts[0]), parts[1:]

    def until():
        if not rest:
            return True
        with path.open("ab") as end:
            end.write(rest.pop(0))
        return False

    table = rows.read(path, until=until)
    read = [("|".join(row.values()), row.line) for row in table]
    assert [text for text, _ in read] == expected
    assert read[-1][1] == len(path.read_bytes().splitlines())
    assert table.odd == []


def test_a_growing_file_may_begin_with_a_blank_line(file):
    path, rest = file("\n"), b"\na,b\n1,2\n"
    assert values(rows.read(path, until=lambda: path.write_bytes(rest) > 0)) == [["1", "2"]]


def test_what_comes_with_the_last_answer_is_read(file):
    path, lines = file("a,b\n"), b"a,b\n1,2\n3,4"
    table = rows.read(path, until=lambda: path.write_bytes(lines) > 0)
    assert values(table) == [["1", "2"], ["3", "4"]]


def test_rows_are_given_while_another_thread_writes(file):
    path, read = file("n,x\n"), threading.Event()

    def write():
        with path.open("a", encoding="utf-8") as end:
            for n in range(3):
                print(n, "é", sep=",", file=end, flush=True)
                assert read.wait(10)
                read.clear()

    writer, seen = threading.Thread(target=write), []
    writer.start()
    for row in rows.read(path, until=lambda: not writer.is_alive()):
        seen.append(row["n"])
        read.set()  # only now does the next row come
    assert seen == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("header", "oldest_to_newest", "by", "how"),
    [
        (
            "Year;Month;Day;Time",
            "2012;12;31;23:00 2013;4;9;9:00 2013;4;9;10:00 2013;4;10;0:00 2013;10;1;1:00",
            None,
            "time as year month day hour:minute",
        ),
        ("hour;day;month;year", "9;9;4;2013 10;9;4;2013 0;10;4;2013", None, "month day hour"),
        ("Day;Month;Year", "9;January;2013 9;April;2013 10;April;2013", None, "year month day"),
        ("Day;Month;Year", "30;Jan;2013 9;Apr;2013 10;Apr;2013", None, "year month day"),
        ("x;when", "9;2012-12-31T09:00 8;2013-04-09 7;2013-04-10", None, "when (time"),
        ("x;when", "9;2013-04-09T09:30+02:00 8;2013-04-09T08:00Z", None, "when (time"),
        ("x;when", "9;4/9/2013 8;4/10/2013 7;12/31/2013", None, "when (time as month/day/year"),
        ("x;when", "9;4/9/13 8;4/10/13 7;1/1/14", None, "when (time as month/day/year"),
        ("x;when", "9;31/12/2012 8;9/4/2013 7;1/5/2013", None, "when (time as day/month/year"),
        ("x;when", "9;31.12.2012 8;9.4.2013 7;10.4.2013", None, "when (time as day.month.year"),
        ("x;n", "9;-10 8;-2.5 7;-0.5 6;0 5;1,5 4;3 3;20", "n", "a comma for the decimals"),
        ("x;Time", "9;9:00 8;10:00 7;23:59", "Time", "Time (time as hour:minute"),
        ("n;when", "1;2014-01-01 2;2013-01-01", "n", "n (number"),
        ("n;when", "20130409;2014-01-01 20130410;2014-01-02", None, "when (time"),
    ],
)
def test_rows_are_sorted_by_time_or_number_not_as_text(file, header, oldest_to_newest, by, how):
    right = [line.split(";") for line in oldest_to_newest.split()]
    for given_order in (right, right[::-1], right[1:] + right[:1]):
        text = "\n".join([header, *map(";".join, given_order)])
        found = rows.oldest_first(rows.read(file(text), header=True, delimiter=";"), by)
        assert values(found) == right
        assert found.by.endswith(f"{how})")
        assert (found.columns, found.odd) == (header.split(";"), [])


@pytest.mark.parametrize(
    "right",
    [
        *(
            [f"{date} {clock}" for clock in clocks.split("|")]
            for date in ("4/9/2013", "9.4.2013", "April 9, 2013", "9 Apr 2013")
            for clocks in ("9:00|10:00|13:00", "9:00:05|10:00:04", "9:00 AM|10:00 AM|1:00 PM")
        ),
        (["2013-04-09 9:00", "2013-04-09 10:00"]),
        (["2013-4-9", "2013-4-10"]),
        (["999.5", "1,234"]),
    ],
    ids=" ".join,
)
def test_nine_comes_before_ten(right):
    found = rows.oldest_first([{"n": text} for text in reversed(right)], by="n")
    assert [row["n"] for row in found] == right


def test_ties_stay_as_they_were_and_empty_ones_come_last(file):
    found = rows.oldest_first(rows.read(file("n,who\n,a\n2,b\n1,c\n ,d\n2,e\n1,f\n")), by="n")
    assert [row["who"] for row in found] == list("cfbead")
    assert [row.line for row in found] == [4, 7, 3, 6, 2, 5]


@pytest.mark.parametrize(
    ("text", "odd"),
    [
        ("n,m\n2,3\n1\n", "Line 3: fewer fields"),
        ("n,m\n1,2,9\n2,3\n", "Line 2: more fields"),
        ("n,m\n2,3\n,4\n1,2\n", "Line 3"),
    ],
)
def test_what_is_sorted_has_the_columns_and_oddities_of_its_table(file, text, odd):
    found = rows.oldest_first(rows.read(file(text)), by="n")
    assert found.columns == ["n", "m"]
    assert [odd in said for said in found.odd] == [True]


@pytest.mark.parametrize(
    ("text", "by", "words"),
    [
        ("n,m\n1,2\n", "x", "There is no column 'x': choose from n, m"),
        ("n,m\n1,2\n", None, "No column holds a time in every row that this lab can read: name"),
        ("n,m\n2013-04-09,2\n,3\n", None, "No column holds a time in every row"),
        ('n,m\n1,"x\ny"\ntwo,3\n3,4\n', "n", "n is not a .*'two' in line 4.*; mend these rows"),
        ("n,m\n1,2\n2013-04-09,3\n", "n", "they are not all alike; mend these rows"),
        ("n,m\n2013-04-09T09:00Z,1\n2013-04-09T09:00,2\n", "n", "they are not all alike"),
        ("n,m\n,1\n,2\n", "n", "n is not a time or a number"),
        ("n,m\n,1\n1,2\ntwo,3\n", "n", "'two' in line 4"),
    ],
)
def test_what_cannot_be_sorted(file, text, by, words):
    with pytest.raises(ValueError, match=words) as error:
        rows.oldest_first(rows.read(file(text), header=True), by)
    assert is_one_sentence(str(error.value))


def test_no_rows_at_all_cannot_be_sorted():
    with pytest.raises(ValueError, match="There are no rows to sort"):
        rows.oldest_first([])


@pytest.mark.parametrize(
    ("name", "count", "columns", "encoding"),
    [
        ("batchfile_0_farenheit.csv", 216, 5, "utf-8-sig"),
        ("airports.csv", 280, 6, "utf-8"),
        ("penguins.csv", 344, 17, "utf-8"),
    ],
)
def test_the_data_of_the_course(name, count, columns, encoding):
    table = rows.read(home.root / "data" / name)
    assert [len(row) for row in table] == [columns] * count
    assert table.odd == [] and table.assumed["encoding"] == encoding


def test_the_batch_file_is_newest_first():
    table = rows.read(home.root / "data" / "batchfile_0_farenheit.csv")
    found = rows.oldest_first(table)
    assert found == list(table)[::-1]
    assert found.by == "Year, Month, Day, Time (time as year month day hour:minute)"


def test_senders_need_not_wait_for_pandas():
    code = "import sys; from streamlib import rows; print({'pandas', 'numpy'} & {*sys.modules})"
    ran = subprocess.run([sys.executable, "-c", code], cwd=home.root, capture_output=True)
    assert ran.stdout.split() == [b"set()"], ran.stderr


def test_a_title_above_the_table_is_left_out_and_said(file):
    table = rows.read(file("# from a page, of today\n" + "Day;n\n1;2\n3;4\n5;6\n"))
    assert values(table) == [["1", "2"], ["3", "4"], ["5", "6"]]
    assert table.columns == ["Day", "n"]
    assert table.odd == ["Line 1: a title before the table, left out."]


@pytest.mark.parametrize("columns", [[], ["a", "a"], "a"])
def test_columns_that_cannot_be_chosen(file, columns):
    with pytest.raises(ValueError, match=r"^columns is ") as error:
        rows.read(file("a,b\n1,2\n"), columns=columns)
    assert is_one_sentence(str(error.value))
