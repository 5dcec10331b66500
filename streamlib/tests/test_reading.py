"""Any CSV file is read as it was written; what is strange is said, what is not a table refused."""

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
from streamlib.rows import reading
from streamlib.tests.conftest import is_one_sentence

own_file = [HealthCheck.function_scoped_fixture]  # each example writes it anew
quickly = settings(max_examples=300, deadline=None, database=None, suppress_health_check=own_file)
cells = st.text(st.sampled_from(" ,;|\t\"'\r\nab1é") | st.characters(codec="utf-8"), max_size=8)
tables = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(cells, min_size=width, max_size=width), min_size=2, max_size=6)
)


def values(table):
    return [list(row.values()) for row in table]


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"], ids=["comma", "tab", "semi", "pipe"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("encoding", "utf-8 utf-8-sig utf-16 cp1252 mac_roman".split())
def test_what_was_written_is_read(csv_file, encoding, end, delimiter):
    table = [
        ["name", "town", "said", "n"],
        ["Zoë", "München", "\"Hi\", she; said|so\tto 'Ace'", "1"],
        ["O'Malley, José", "São Paulo", f"two{end}lines, {end}no: three", "-2.5"],
        ["François", "Málaga", "", ""],
    ]
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator=end).writerows(table)
    read = rows.read(csv_file(text.getvalue().encode(encoding)))
    assert [read.columns, *values(read)] == table
    assert [row.line for row in read] == [2, 5, 6]
    assert codecs.lookup(read.assumed["encoding"]) == codecs.lookup(encoding)
    assert (read.assumed["delimiter"], read.assumed["header"]) == (delimiter, True)
    assert read.problems == []


@quickly
@given(tables)
def test_any_table_is_read_as_it_was_written(csv_file, table):
    text, ends = io.StringIO(newline=""), []
    for row in table:
        csv.writer(text).writerow(row)
        ends.append(len(re.findall("\r\n|\r|\n", text.getvalue())))
    assume(text.getvalue().strip() and "\0" not in text.getvalue())
    assume(text.getvalue().lstrip()[0] not in "\ufeff#{[<")  # a mark, a comment, another format
    read = rows.read(csv_file(text.getvalue()), delimiter=",", header=True)
    assert values(read) == table[1:]
    assert [row.line for row in read] == ends[1:]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('a, b\n1, "x, ""y"""\n2, z\n', [["1", 'x, "y"'], ["2", "z"]]),
        ('a, b\n1, "y"\n', [["1", "y"]]),
        ('1, "x, y"\n2, "z, y"\n', [["1", "x, y"], ["2", "z, y"]]),
        ('a,b\n"x, ", y\n', [["x, ", " y"]]),
        ("a,b\n1, y\n", [["1", " y"]]),
    ],
)
def test_blanks_after_delimiters_are_left_out_only_before_quotes(csv_file, text, expected):
    table = rows.read(csv_file(text))
    assert values(table) == expected
    assumed = table.assumed["delimiter"]
    assert assumed == "," and values(rows.read(table.path, delimiter=assumed)) == expected


@pytest.mark.parametrize(
    ("first", "columns"),
    [
        (" a ,\tb,c ", ["a", "b", "c"]),
        ("a,,", ["a", "column 2", "column 3"]),
        ("a,a,,a,a 2", ["a", "a 2", "column 3", "a 4", "a 2 5"]),
        ("column 2,", ["column 2", "column 2 2"]),
    ],
)
def test_every_column_has_a_name_of_its_own(csv_file, first, columns):
    table = rows.read(csv_file(f"{first}\n{','.join(columns)}\n"))
    assert table.columns == columns
    assert list(table) == [dict(zip(columns, columns, strict=True))]


@pytest.mark.parametrize(
    ("text", "expected", "problems"),
    [
        ("a,b,c\n1\n2,3,4\n5,6\n", ["1||", "2|3|4", "5|6|"], ["Lines 2, 4: fewer fields than the"]),
        ("a,b\n1,2,3,\n4,5", ["1|2|3|", "4|5"], ["Line 2: more fields than the 2 columns."]),
        ("a,b\n\n1\n2,3,4", ["1|", "2|3|4"], ["Line 3: fewer", "Line 4: more"]),
        ("a,b\n" + "1,2,3\n" * 1234, ["1|2|3"] * 1234, [", 9 and 1,226 more: more fields"]),
        ("column 3,b\n1,2,3", ["1|2|3"], ["Line 2: more"]),
        ('a,b\n1,"x\ny"\n3,"z\n4,5', ["1|x\ny", "3|z\n4,5"], ["Line 4: a quote is opened"]),
        ('a,b\n1,"', ["1|"], ["Line 2: a quote is opened in this row and never closed."]),
        ('a,b\n1,"x"\n\n\n', ["1|x"], []),
        ("\r\na,b\n\n1,2\n\n\n3,4\n\n", ["1|2", "3|4"], []),
        ("\n" * 250 + "a\n" + "\n" * 250 + "1\n", ["1"], []),
    ],
)
def test_every_field_of_a_strange_row_is_kept_and_its_line_said(csv_file, text, expected, problems):
    table = rows.read(csv_file(text))
    for _ in range(2):  # the second reading says the same, and not twice
        assert ["|".join(row) for row in values(table)] == expected
        assert len(table.problems) == len(problems)
        assert all(words in said for words, said in zip(problems, table.problems, strict=True))


def test_what_a_long_row_has_too_much_gets_names(csv_file):
    table = rows.read(csv_file("a\n1,2,3\n"))
    assert list(table) == [{"a": "1", "column 2": "2", "column 3": "3"}]


@pytest.mark.parametrize(
    "text",
    [
        "1,2.5\n3,4\n",
        "Ace,3\nBo,4\n",
        "2013-04-15,x\n2013-04-16,y\n",
        "9-Apr-13,x\n10-Apr-13,y\n",
        "9:00pm,$3\n10:00pm,$4\n",
    ],
)
def test_a_first_row_of_values_is_not_a_header(csv_file, text):
    table = rows.read(csv_file(text))
    assert (table.columns, table.assumed["header"]) == (["column 1", "column 2"], False)
    assert [(",".join(row.values()), row.line) for row in table] == [
        (line, n) for n, line in enumerate(text.split(), start=1)
    ]
    assert rows.read(table.path, header=True).columns == text.split()[0].split(",")


def test_a_title_above_the_table_is_left_out(csv_file):
    table = rows.read(csv_file("# from a page, of today\nby Ace\nDay;n\n1;2\n3;4\n5;6\n"))
    assert (table.columns, table.assumed["titles"]) == (["Day", "n"], 2)
    assert [(*row.values(), row.line) for row in table] == [
        ("1", "2", 4),
        ("3", "4", 5),
        ("5", "6", 6),
    ]


def test_what_is_said_is_not_guessed(csv_file):
    path = csv_file("a,é;c\n1,2;3\n".encode("cp437"))
    said = {"encoding": "cp437", "delimiter": ";", "header": False}
    table = rows.read(path, **said)
    assert values(table) == [["a,é", "c"], ["1,2", "3"]]
    assert said.items() <= table.assumed.items()


def test_what_was_assumed_is_said_in_words(csv_file):
    table = rows.read(home.data / "airports.csv", columns=["city", "icao", "name"])
    assert repr(table) == (
        "<rows of airports.csv: 3 columns; assumed: utf-8, comma between fields, "
        "the first row is a header>"
    )
    for mark, word in [("\t", "tab"), (";", "semicolon"), ("|", "pipe"), ("!", "'!'")]:
        table = rows.read(csv_file(f"1{mark}2\n"), columns="column 2", delimiter=mark)
        said = f"1 column; assumed: utf-8, {word} between fields, no header>"
        assert repr(table) == f"<rows of given.csv: {said}"


@pytest.mark.parametrize("mark", ["::", "; ", r"\t", "\n", '"'])
def test_a_delimiter_that_is_not_one_character_is_refused_in_one_sentence(csv_file, mark):
    with pytest.raises(ValueError, match=r"^The delimiter is .+: give one character") as error:
        rows.read(csv_file("a:b\n1:2\n"), delimiter=mark)
    assert is_one_sentence(str(error.value))


def test_columns_are_chosen_by_name(csv_file):
    table = rows.read(csv_file('a,b,c\n1,"x\ny",3\n4\n'), columns=["c", "a"])
    assert table.columns == ["c", "a"]
    assert [(row, row.line) for row in table] == [
        ({"c": "3", "a": "1"}, 3),
        ({"c": "", "a": "4"}, 4),
    ]
    assert [*rows.read(table.path, columns="b")] == [{"b": "x\ny"}, {"b": ""}]
    with pytest.raises(ValueError, match=r"^given.csv has no column 'd': choose") as error:
        rows.read(table.path, columns=["a", "d"])
    assert is_one_sentence(str(error.value))


def test_characters_that_cannot_be_read_are_said(csv_file):
    table = rows.read(csv_file("a,b\n1,2\nZoë,3\n".encode("cp1252")), encoding="utf-8")
    assert values(table)[1] == ["Zo\ufffd", "3"]
    assert table.problems == ["Line 3: unreadable characters, shown as \ufffd."]


@pytest.mark.parametrize(
    ("content", "said", "expected"),
    [
        (b"\xef\xbb\xbfa\nb\n", {}, "b"),
        (b"\xef\xbb\xbfa\nb\n", {"encoding": "utf-8"}, "b"),
        ("a\nMünchen\n".encode("mac_roman"), {}, "München"),
        ("a\nMünchen\n".encode() * 50 + b"\xf6\n", {}, "München"),
        (b"a\nAndr\xe9", {}, "André"),
        ("a\nGröße in ½ m²\n".encode("cp1252"), {}, "Größe in ½ m²"),
        ("a\nМосква, Россия\nСанкт-Петербург\n".encode("cp1251"), {}, "Москва"),
        ("a\nb\n".encode("utf-16-le"), {"encoding": "utf-16-le"}, "b"),
        (b"a,n\rTin Frog\xca,3\rLead Cat,4\r", {}, "Tin Frog\xa0"),
        (b"a\rTin Frog\xca\rRed Dog\r", {}, "Tin Frog\xa0"),
        ("a\nQuanto costa? 5 €\n".encode("cp1252"), {}, "Quanto costa? 5 €"),
        ("a\n¿Cuándo?\n".encode("cp1252"), {}, "¿Cuándo?"),
        ("a,n\n20 °C,1\n5 µm,2\n½,3\n".encode("cp1252"), {}, "20 °C"),
        ("a\nit’s “fine” – yes…\n".encode("cp1252"), {}, "it’s “fine” – yes…"),
        ("a\n3 km²\n£5\n".encode("cp1252"), {}, "3 km²"),
        ("a\nMichał\n".encode("cp1250"), {}, "Michał"),
        (b"a\n" + b"b\n" * 1_000_000 + b"\xe9\n", {}, "b"),
    ],
    ids=(
        "mark marked-utf-8 mac mostly-utf-8 cp1252 units cp1251 unmarked frog "
        "frog-1 euro asked degrees quotes area Michał late"
    ).split(),
)
def test_encodings_are_told_by_little_text(csv_file, content, said, expected):
    table = rows.read(csv_file(content), **said)
    assert next(iter(table))["a"] == expected
    assert len(content) < 1000 or table.assumed["encoding"] == "cp1252"


@pytest.mark.parametrize("code", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_replacement_character_in_the_file_itself_is_not_our_misreading(csv_file, code):
    table = rows.read(csv_file("a,b\n\ufffd,2\nx\ufffd,3\n".encode(code)))
    assert values(table) == [["\ufffd", "2"], ["x\ufffd", "3"]]
    assert table.problems == [] and table.assumed["encoding"] == code


def test_both_a_replacement_character_and_a_misreading_are_told_apart(csv_file):
    table = rows.read(csv_file(b"a\n\xef\xbf\xbd\xc3\xa9\n\xff\xc3\xa9\n"))
    assert values(table) == [["\ufffdé"], ["\ufffdé"]]
    assert table.problems == ["Line 3: unreadable characters, shown as \ufffd."]


def test_a_guess_at_the_encoding_says_so_and_names_the_override(csv_file):
    table = rows.read(csv_file("a;b\nWrocław;Łódź\n".encode("cp1250")))
    said = "cp1250 is a guess; encoding=... (--encoding) overrides it"
    assert table.assumed["guess"] == said and said in repr(table)
    for content, known in [("a\nŁódź\n".encode(), {}), (b"a\nb\xe9\n", {"encoding": "cp1252"})]:
        table = rows.read(csv_file(content), **known)
        assert "guess" not in table.assumed and "guess" not in repr(table)


@pytest.mark.parametrize(
    ("text", "columns", "first"),
    [
        ("country,1990,1991\nAmes,3,4\nBern,5,6\n", "country 1990 1991", "Ames 3 4"),
        ("country,1990,1991\nAmes,,4\nBern,5,\n", "country 1990 1991", "Ames  4"),
        ("1990,1991\n3,4\n5,6\n", "1990 1991", "3 4"),
        ('"1990","1991"\n"3","4"\n', "1990 1991", "3 4"),
        ("town,2010-01,2010-02\nAmes,3,4\nBern,5,6\n", "town 2010-01 2010-02", "Ames 3 4"),
        ("town,1/22/20,1/23/20\nAmes,3,4\nBern,5,6\n", "town 1/22/20 1/23/20", "Ames 3 4"),
        ("town,0:00,1:00\nAmes,3.5,4\nBern,5,6\n", "town 0:00 1:00", "Ames 3.5 4"),
        ("town,Q1/20,Q2/20\nAmes,3,4\n", "town Q1/20 Q2/20", "Ames 3 4"),
        ("town,temp\nAmes,NA\nBern,3\n", "town temp", "Ames NA"),
        (",0,1\n0,5,6\n1,7,8\n", "column_1 0 1", "0 5 6"),
        ("sep=;\nDay;Town\n1;Ames\n", "Day Town", "1 Ames"),
        ("sep=,\nDay,Town\n1,Ames\n", "Day Town", "1 Ames"),
        ("\ufeffsep=;\r\nDay;Town\r\n1;Ames,x\r\n", "Day Town", "1 Ames,x"),
        ("sep=\t\nDay\tTown\n1\tAmes\n", "Day Town", "1 Ames"),
        ("# a, b\nDay,Town\n1,Ames\n", "Day Town", "1 Ames"),
        ("# by Ace, of 2024, x\n## b\nDay,Town\n1,Ames\n", "Day Town", "1 Ames"),
        ("#,Town,n\n1,Ames,3\n2,Bern,4\n", "# Town n", "1 Ames 3"),
        ("Report, Ames\nDay,Town,n\n1,Ames,3\n2,Bern,4\n", "Day Town n", "1 Ames 3"),
        ("Report, of Ames, 2024\nDay,Town,n\n1,Ames,3\n2,Bern,4\n", "Day Town n", "1 Ames 3"),
        ("Report,,\nby Ace, of Bern,\nDay,Town,n\n1,Ames,3\n", "Day Town n", "1 Ames 3"),
        ("Report,,\n,,\nDay,Town,n\n1,Ames,3\n", "Day Town n", "1 Ames 3"),
        ("a,b,\n1,x,\n2,y,\n", "a b column_3", "1 x "),
        ("<DATE>\t<OPEN>\n2024.01.01\t3\n", "<DATE> <OPEN>", "2024.01.01 3"),
        ("town  temp\nAmes  3\nBern  14\n", "town temp", "Ames 3"),
        (" town temp\n Ames 3.5\n Bern 14\n", "town temp", "Ames 3.5"),
        ("name\nTin_Frog\nRed_Dog\n", "name", "Tin_Frog"),
        ('"Source","Bank",\n\n"Name","1990","1991",\n"Chad","5","",\n"Fiji","7","8",\n',
         "Name 1990 1991 column_4", "Chad 5  "),
    ],
)  # fmt: skip
def test_a_header_is_found_below_what_is_not_one(csv_file, text, columns, first):
    table = rows.read(csv_file(text))
    assert " ".join(name.replace(" ", "_") for name in table.columns) == columns
    assert " ".join(next(iter(table)).values()) == first
    assert table.assumed["header"] and table.problems == []


@pytest.mark.parametrize(
    ("text", "first", "count"),
    [
        ("Ames 3 4\nBern 5 6\n", "Ames|3|4", 2),
        ("Ames    3.5  4\nBern   12    6\n  Cork  7   8\n", "Ames|3.5|4", 3),
        ("2024-01-01 09:00 3\n2024-01-02 10:00 4\n", "2024-01-01|09:00|3", 2),
        ("Ames,,4\nBern,5,\nCork,4,4\n", "Ames||4", 3),
        ("Ames,NA,4\nBern,5,3\n", "Ames|NA|4", 2),
        ("Ace,1990,1991\nBo,1985,1999\n", "Ace|1990|1991", 2),
        ("sep=|\n1|2\n3|4\n", "1|2", 2),
        ("# a, b\n1,2\n3,4\n", "1|2", 2),
    ],
)
def test_without_a_header_no_row_is_lost(csv_file, text, first, count):
    table = rows.read(csv_file(text))
    assert (table.assumed["header"], table.problems) == (False, [])
    assert len(found := values(table)) == count and "|".join(found[0]) == first


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('a,b,c\n0,0,0\n1,"x,3\r\n2,y,4\r\n', "Line 3: a quote is opened in this row and never"),
        ('a;b;c\r1;"x;3\r2;y;4\r', "Line 2: a quote is opened in this row and never"),
    ],
)
def test_an_unclosed_quote_is_told_by_its_line(csv_file, text, problem):
    table = rows.read(csv_file(text))
    assert list(table) and problem in table.problems[0]


def test_a_comment_of_several_lines_is_not_an_unclosed_quote(csv_file):
    table = rows.read(csv_file('a,b,c\n1,"one,\ntwo, and\nthree",3\n2,x,4\n'))
    assert len(values(table)) == 2 and table.problems == []


def test_a_big_file_takes_little_memory(csv_file):
    path = csv_file("a,b,c,d,e\n" + f'1,"x, y",Zürich,{"z" * 1990}\n' * 10_000)  # all rows strange
    assert path.stat().st_size > 20e6
    tracemalloc.start()
    try:
        table = rows.read(path)
        assert sum(1 for _ in table) == 10_000
        assert tracemalloc.get_traced_memory()[1] < 8e6
    finally:
        tracemalloc.stop()
    assert "Lines 2, 3, 4, 5, 6, 7, 8, 9 and 9,992 more: fewer" in table.problems[0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty: give"),
        (b"\xef\xbb\xbf", "is empty: give"),
        (b"\n\r\n\n", "is empty: give"),
        (b"\n\r\n  \n", "is empty: give"),
        (b"name,town\n", "has no rows, or a quote"),
        (b"# only, a comment\n", "has no rows, or a quote"),
        (bytes(range(256)) * 8, "is not plain text: unpack it"),
        (b"MZ\x90\0 and so on\0\n", "is not plain text: unpack it"),
        (b"\x1f\x8b\x08gzip\n", "is not plain text: unpack it"),
        (b"\x89PNG\r\n\x1a\n", "is not plain text: unpack it"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1 old Excel\n", "is not plain text: unpack it"),
        (b'a,"b\n1,2\n3,4\n', "has no rows, or a quote that never ends: correct it"),
    ],
    ids="empty mark lines blank header comment binary program gzip png xls quote".split(),
)
def test_a_file_that_is_not_a_table_is_refused_in_one_sentence(csv_file, content, words):
    with pytest.raises(ValueError, match=rf"given\.csv,? {words}") as error:
        rows.read(csv_file(content))
    assert is_one_sentence(str(error.value))


def test_a_path_that_cannot_be_read_is_refused_in_one_sentence(tmp_path):
    with zipfile.ZipFile(tmp_path / "book.csv", "w") as book:
        book.writestr("xl/workbook.xml", "<workbook/>")
    for name, kind, words in [
        ("none.csv", OSError, "none.csv does not exist: check its name and folder"),
        (".", OSError, "cannot be read .*: check its name and folder"),
        ("book.csv", ValueError, "book.csv is an Excel workbook or a zip archive: save its"),
    ]:
        with pytest.raises(kind, match=words) as error:
            rows.read(tmp_path / name)
        assert str(tmp_path) in str(error.value) and is_one_sentence(str(error.value))


@pytest.mark.parametrize(
    ("encoding", "words"), [("klingon", "unknown encoding"), ("utf-16", "does not start with BOM")]
)
def test_a_wrong_encoding_is_refused_in_one_sentence(csv_file, encoding, words):
    with pytest.raises(ValueError, match=rf"given.csv: .*{words}.*; give another") as error:
        rows.read(csv_file("a,b\n1,2\n"), encoding=encoding)
    assert is_one_sentence(str(error.value).replace("stream does", "does"))


def test_a_field_of_a_megabyte_is_read(csv_file):
    assert values(rows.read(csv_file(f'a,b\n1,"{"x" * 1_000_000}"\n'))) == [["1", "x" * 1_000_000]]


@pytest.mark.parametrize(
    ("good", "rest"),
    [
        (300, '7,"x\n' + "1,2\n" * 2_000_000),
        (300, "7," + "x" * 5_000_000),
        (300, '7,"x' + '\n","x' * 1_000_000),
        (1, '7,"x\n' + ("x" * 99_999 + "\n") * 50),
    ],
    ids=["quote", "line", "fields", "near quote"],
)
def test_a_row_without_end_is_told_with_its_line(csv_file, good, rest):
    read, words = [], rf"Line {good + 2}: this row never ends; close its quotes"
    with pytest.raises(ValueError, match=words) as error:
        for row in rows.read(csv_file("a,b\n" + "1,2\n" * good + rest)):
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
def test_a_growing_file_is_read_to_its_end(csv_file, monkeypatch, parts, expected):
    """It grows by one part whenever it is asked whether it is over."""
    monkeypatch.setattr(reading, "LOOK_S", 0)
    path, rest = csv_file(parts[0]), parts[1:]

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
    assert table.problems == []


@pytest.mark.parametrize("first", [None, "\n", "a,b\n"])
def test_what_comes_with_the_last_answer_is_read(csv_file, tmp_path, first):
    path = tmp_path / "given.csv" if first is None else csv_file(first)
    table = rows.read(path, until=lambda: path.write_bytes(b"\na,b\n1,2\n3,4") > 0)
    assert values(table) == [["1", "2"], ["3", "4"]]


def test_rows_are_given_while_another_thread_writes(csv_file):
    path, read = csv_file("n,x\n"), threading.Event()

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
    ("name", "count", "columns", "encoding"),
    [
        ("batchfile_0_farenheit.csv", 216, 5, "utf-8-sig"),
        ("airports.csv", 280, 6, "utf-8"),
        ("penguins.csv", 344, 17, "utf-8"),
    ],
)
def test_the_data_of_the_course_is_read(name, count, columns, encoding):
    table = rows.read(home.root / "data" / name)
    assert [len(row) for row in table] == [columns] * count
    assert table.problems == [] and table.assumed["encoding"] == encoding


def test_senders_need_not_wait_for_pandas():
    code = "import sys; from streamlib import rows; print({'pandas', 'numpy'} & {*sys.modules})"
    ran = subprocess.run([sys.executable, "-c", code], cwd=home.root, capture_output=True)
    assert ran.stdout.split() == [b"set()"], ran.stderr


@pytest.mark.parametrize(
    "field", ["1" + "apm 12" * 9999 + "!", "1" + " " * 19_999 + "!", "9" * 99_999]
)
def test_no_field_keeps_the_search_for_a_header_busy(csv_file, field):
    table = rows.read(csv_file(f"a\n{field}\n"))
    assert values(table) == [[field]]
    with pytest.raises(ValueError, match="a is not a time"):
        rows.oldest_first(table)
