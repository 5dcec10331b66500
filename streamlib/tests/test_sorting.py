"""Rows are sorted by real time or number, never as text; what cannot be sorted says why."""

import pytest

from streamlib import home, rows
from streamlib.tests.conftest import is_one_sentence


def values(table):
    return [list(row.values()) for row in table]


YEAR_FIRST = "(time as year-month-day)"


@pytest.mark.parametrize(
    ("header", "oldest_to_newest", "by", "how"),
    [
        (
            "Year;Month;Day;Time",
            "2012;12;31;23:00 2013;4;9;9:00 2013;4;9;10:00 2013;4;10;0:00 2013;10;1;1:00",
            None,
            "Year, Month, Day, Time " + YEAR_FIRST,
        ),
        (
            "hour;day;month;year",
            "9;9;4;2013 10;9;4;2013 0;10;4;2013",
            None,
            "year, month, day, hour " + YEAR_FIRST,
        ),
        ("Day;Month;Year", "9;January;2013 9;April;2013 10;April;2013", None, YEAR_FIRST),
        ("Day;Month;Year", "30;Jan;2013 9;Apr;2013 10;Apr;2013", None, YEAR_FIRST),
        ("x;when", "9;2012-12-31T09:00 8;2013-04-09 7;2013-04-10", None, "when " + YEAR_FIRST),
        ("x;when", "9;2013-04-09T09:30+02:00 8;2013-04-09T08:00Z", None, "when " + YEAR_FIRST),
        ("x;when", "9;4/9/2013 8;4/10/2013 7;12/31/2013", None, "when (time as month/day/year)"),
        ("x;when", "9;4/9/13 8;4/10/13 7;1/1/14", None, "when (time as month/day/year)"),
        ("x;when", "9;31/12/2012 8;9/4/2013 7;1/5/2013", None, "when (time as day/month/year)"),
        ("x;when", "9;31.12.2012 8;9.4.2013 7;10.4.2013", None, "when (time as day/month/year)"),
        ("x;when", "9;1-Sep-69 8;31-Dec-99 7;1-Jan-00", None, "when (time as day/month/year)"),
        ("x;n", "9;-10 8;-2.5 7;-0.5 6;0 5;1,5 4;3 3;20", "n", "n (number with a decimal comma)"),
        ("x;Time", "9;9:00 8;10:00 7;23:59", "Time", "Time (time of day)"),
        ("n;when", "1;2014-01-01 2;2013-01-01", "n", "n (number)"),
        ("n;when", "20130409;2014-01-01 20130410;2014-01-02", None, "when " + YEAR_FIRST),
    ],
)
def test_rows_are_sorted_by_time_or_number_not_as_text(csv_file, header, oldest_to_newest, by, how):
    right = [line.split(";") for line in oldest_to_newest.split()]
    for given_order in (right, right[::-1], right[1:] + right[:1]):
        text = "\n".join([header, *map(";".join, given_order)])
        found = rows.oldest_first(rows.read(csv_file(text), header=True, delimiter=";"), by)
        assert values(found) == right
        assert found.by.endswith(how)
        assert (found.columns, found.problems) == (header.split(";"), [])


@pytest.mark.parametrize(
    "right",
    [
        *(
            [f"{date} {clock}" for clock in clocks.split("|")]
            for date in ("4/9/2013", "9.4.2013", "April 9, 2013", "9 Apr 2013")
            for clocks in ("9:00|10:00|13:00", "9:00:05|10:00:04.5", "12:05 AM|9:00 AM|1:00 PM")
        ),
        ["2013-04-09 9:00", "2013-04-09 10:00"],
        ["2013-4-9", "2013-4-10"],
        ["9 am", "10 am", "12 pm", "1 p.m."],
        ["999.5", "1,234"],
        ["-1e3", ".5", "2e2"],
    ],
    ids=" ".join,
)
def test_nine_comes_before_ten(right):
    found = rows.oldest_first([{"n": text} for text in reversed(right)], by="n")
    assert [row["n"] for row in found] == right


def test_ties_stay_as_they_were_and_empty_ones_come_last(csv_file):
    found = rows.oldest_first(rows.read(csv_file("n,who\n,a\n2,b\n1,c\n ,d\n2,e\n1,f\n")), by="n")
    assert [row["who"] for row in found] == list("cfbead")
    assert [row.line for row in found] == [4, 7, 3, 6, 2, 5]
    assert found.problems == ["Lines 2, 5: no n, so sorted last."]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("n,m\n2,3\n1\n", "Line 3: fewer fields"),
        ("n,m\n1,2,9\n2,3\n", "Line 2: more fields"),
        ("n,m\n2,3\n,4\n1,2\n", "Line 3: no n, so sorted last."),
    ],
)
def test_sorted_rows_have_the_columns_and_problems_of_their_table(csv_file, text, problem):
    found = rows.oldest_first(rows.read(csv_file(text)), by="n")
    assert found.columns == ["n", "m"]
    assert [problem in said for said in found.problems] == [True]


@pytest.mark.parametrize(
    ("text", "by", "words"),
    [
        ("n,m\n1,2\n", "x", "There is no column 'x': choose from n, m"),
        ("n,m\n1,2\n", None, "No column has a time in every row: name"),
        ("n,m\n2013-04-09,2\n,3\n", None, "No column has a time in every row"),
        ("n,m\n2013-02-30,2\n2013-02-27,2\n", None, "No column has a time in every row"),
        ('n,m\n1,"x\ny"\ntwo,3\n3,4\n', "n", r"n is not .*\('two' in line 4\): choose another"),
        ("n,m\n1,2\n2013-04-09,3\n", "n", "'2013-04-09' in line 3"),
        ("n,m\n,1\n,2\n", "n", "n is not one kind of time or number"),
        ("n,m\n,1\n1,2\ntwo,3\n", "n", "'two' in line 4"),
        ("n,m\n1_000,1\n", "n", "'1_000' in line 2"),
    ],
)
def test_what_cannot_be_sorted_is_refused_with_its_line(csv_file, text, by, words):
    with pytest.raises(ValueError, match=words) as error:
        rows.oldest_first(rows.read(csv_file(text), header=True), by)
    assert is_one_sentence(str(error.value))


def test_no_rows_at_all_cannot_be_sorted():
    with pytest.raises(ValueError, match="There are no rows to sort"):
        rows.oldest_first([])


def test_the_batch_file_is_newest_first():
    table = rows.read(home.root / "data" / "batchfile_0_farenheit.csv")
    found = rows.oldest_first(table)
    assert found == list(table)[::-1]
    assert found.by == "Year, Month, Day, Time (time as year-month-day)"
