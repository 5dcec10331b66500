"""The encoding of a small file is guessed rightly; what is not a table is refused by name."""

import gzip
import sqlite3

import pytest

from streamlib import rows
from streamlib.rows.encoding import likeliest
from streamlib.tests.conftest import is_one_sentence
from streamlib.tests.languages import LANGUAGES, SIZES, cases, is_right

# Too little text to tell: a letter or two could be of several languages.
UNKNOWN = {
    "Slovak cp1250 once in 50",
    "Slovak iso8859-2 once in 50",
    "Spanish cp1252 once in 50",
    "Italian cp1252 once in 50",
    "Italian cp850 once in 50",
    "Swedish cp1252 3 towns",
    "Swedish mac_roman 3 towns",
    "Swedish cp850 3 towns",
    "Latvian cp1257 3 towns",
    "Latvian cp1257 once in 50",
    "Japanese euc_jp 3 towns",
}
SMALL = {size: count for size, count in SIZES.items() if count < 60}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_small_file_is_decoded_rightly(tmp_path, language):
    path, wrong = tmp_path / "small.csv", set()
    for case in cases(SMALL, [language]):
        path.write_bytes(case.content)
        if not is_right(lambda _: likeliest(path), case):
            wrong.add(case.name)
    assert wrong == {name for name in UNKNOWN if name.startswith(language)}


@pytest.mark.parametrize("code", ["cp1250", "iso8859-2"])
@pytest.mark.parametrize("language", ["Polish", "Czech", "Hungarian"])
def test_four_hundred_rows_keep_their_letters(csv_file, language, code):
    [case] = (one for one in cases({"400 rows": 400}, [language]) if one.encoding == code)
    read = ["".join(row.values()) for row in rows.read(csv_file(case.content))]
    assert read == ["".join(line.split(case.text[2])) for line in case.text.splitlines()[1:]]


@pytest.mark.parametrize(
    "text", ["20 °C", "100 µg", "5 m³", "½ cup", "10 × 20", "€ 5", "§ 5", "it’s", "“so”", "1–2"]
)
def test_a_sign_among_plain_letters_is_western(csv_file, text):
    [row] = rows.read(csv_file(f"a,b\n{text},1\n".encode("cp1252")))
    assert row["a"] == text


def sqlite():
    return sqlite3.connect(":memory:").execute("CREATE TABLE t(a)").connection.serialize()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<!DOCTYPE html>\n<html><head>", "a web page or XML: get"),
        (b"<!-- a, b -->\n<html>", "a web page or XML: get"),
        (b"\r\n <HTML lang='en'>\n<body>x, y", "a web page or XML: get"),
        ("\ufeff<html><body>a,b</body>".encode(), "a web page or XML: get"),
        ("<html><body>a,b</body>\n".encode("utf-16"), "a web page or XML: get"),
        (b'<?xml version="1.0"?>\n<a b="1,2"/>\n', "a web page or XML: get"),
        (b"<rows>\n  <row a='1'/>\n", "a web page or XML: get"),
        (b'[{"a": 1, "b": 2}]', "JSON: convert"),
        (b'[\n  {\n "a": 1}\n]', "JSON: convert"),
        (b'{"a": 1, "b": 2}\n{"a": 3, "b": 4}\n', "JSON: convert"),
        (b"[[1, 2],\n [3, 4]]", "JSON: convert"),
        (b"{\\rtf1\\ansi a,b\\par\n1,2}", "rich text"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n", "a pointer to"),
        (b"/annex/objects/SHA256E-s12--ab.csv\n", "a pointer to a large file"),
        (b"../.git/annex/objects/x/y/ab.csv\n", "a pointer to a large file"),
        (b"PK\x03\x04 and so on", "an Excel workbook or a zip archive: save"),
        (gzip.compress(b"a,b\n1,2\n" * 50), "not plain text: unpack it"),
        (b"%PDF-1.4\n1 0 obj<</Title(a, b)>>\nendobj\n2, 0 obj\n", "not plain text"),
        (b"\x89PNG\r\n\x1a\n\0\0 and so on", "not plain text"),
        (sqlite(), "not plain text"),
    ],
    ids=(
        "page comment PAGE marked-page utf-16-page xml xml-rows json json-lines objects lists "
        "rtf lfs annex annex-link zip gzip pdf png sqlite"
    ).split(),
)
def test_a_file_that_is_not_a_table_is_refused_by_name(csv_file, content, words):
    for said in ({}, {"encoding": "cp1252"}):
        with pytest.raises(ValueError, match=rf"given\.csv is {words}") as error:
            rows.read(csv_file(content), **said)
        assert is_one_sentence(str(error.value))


@pytest.mark.parametrize(
    "text", ["BMI,age\n3,4\n", "{,a\n1,2\n", "<a>,<b>\n1,2\n", "PAR1,a\n1,2\n"]
)
def test_a_table_that_begins_almost_like_another_format_is_read(csv_file, text):
    assert [*map(list, (row.values() for row in rows.read(csv_file(text))))] in (
        [["3", "4"]],
        [["1", "2"]],
    )
