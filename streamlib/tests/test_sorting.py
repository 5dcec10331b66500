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
        assert found.columns == header.split(";")
        assert ["could also be" in said for said in found.problems] == [True] * ("4/9/13" in text)


DATE_AND_TIME = [
    ("Date,Time", "1/5/2024,09:15 1/5/2024,13:08 1/16/2024,1:00", "Date, Time"),
    ("Time,Date", "9:15,2024-01-05 13:08,2024-01-05 1:00,2024-01-06", "Date, Time"),
    ("Date,Time", "5.1.2024,9:15 5.1.2024,13:08 16.1.2024,1:00", "Date, Time"),
    ("Date,Time", "1/15/2024,9:15PM 1/15/2024,10:08PM 1/16/2024,1:00AM", "Date, Time"),
    ("sale_date,sale_time", "2024-01-05,9:15 2024-01-05,10:08", "sale_date, sale_time"),
    ("date_in,time_in", "2024-01-05,9:15 2024-01-05,10:08", "date_in, time_in"),
    ("Datum,Uhrzeit", "5.1.2024,9:15 5.1.2024,10:08", "Datum, Uhrzeit"),
    ("Date,Time", "2024-01-05,903 2024-01-05,1225 2024-01-06,145", "Date, Time"),
    ("Date,Time", "2024-01-05,0905 2024-01-05,1225", "Date, Time"),
    ("Date,Time", "2024-01-05,90300 2024-01-05,122500", "Date, Time"),
    ("Date,Time", "5.1.2024,9.15 5.1.2024,13.08", "Date, Time"),
    ("Date,Hour", "2024-01-05,9 2024-01-05,12", "Date, Hour"),
    ("arrival_year,arrival_month,arrival_day", "2023,12,31 2024,1,9 2024,1,10", "arrival_day"),
    ("hotel_year,hotel_month", "2023,December 2024,April 2024,May", "hotel_year, hotel_month"),
    ("y_year,y_month,y_day_of_month", "2024,May,9 2024,May,10", "y_day_of_month"),
    ("Year,Month,Day,Time", "2024,1,9,903 2024,1,9,1225 2024,1,10,5", "Year, Month, Day, Time"),
    ("month_sold,day_sold,year_sold,time_sold", "5,9,2023,9:00 5,9,2023,10:00", "time_sold"),
]


@pytest.mark.parametrize(("header", "oldest_to_newest", "by"), DATE_AND_TIME)
def test_a_date_and_a_time_of_day_are_sorted_by_together(csv_file, header, oldest_to_newest, by):
    right = [line.split(",") for line in oldest_to_newest.split()]
    for given_order in (right, right[::-1]):
        text = "\n".join([header, *map(",".join, given_order)])
        found = rows.oldest_first(rows.read(csv_file(text)))
        assert values(found) == right
        assert f"{by} (time as" in found.by
        assert not any("not used" in said for said in found.problems)


@pytest.mark.parametrize(
    ("text", "by", "unused"),
    [
        ("Date,Time\n1/25/2024,13:08\n1/25/2024,\n", None, "Time"),
        ("Date,Time\n1/25/2024,13:08\n1/25/2024,late\n", None, "Time"),
        ("Date,Time\n1/25/2024,13:08\n1/25/2024,9:15\n", "Date", "Time"),
        ("day,start_time,end_time\n2024-01-05,9:15,9:30\n", None, "end_time"),
        ("ship_time,sale_date,sale_time\n9:00,2024-01-05,9:15\n", None, "sale_time"),
        ("date,laptime\n2024-01-05,75:10\n2024-01-05,61:00\n", None, "laptime"),
    ],
)
def test_a_time_of_day_that_was_not_used_is_said(csv_file, text, by, unused):
    found = rows.oldest_first(rows.read(csv_file(text)), by)
    said = f"Equal times stay in the order they had; not used: {unused}."
    assert said in found.problems


@pytest.mark.parametrize(
    ("right", "kind"),
    [
        ("Dec-09 Feb-10 Mar-10 Jan-11", "time as month-year"),
        ("Dec 2009|Feb 2010|Mar 2010", "time as month-year"),
        ("12/2009 02/2010 03/2010", "time as month-year"),
        ("2009-12 2010-02 2010-10", "time as year-month-day"),
        ("2009 December|2010 February|2010 March", "time as year-month-day"),
        ("February 5, 2024|February 13, 2024", "time as month/day/year"),
        ("2/13/2024, 9:15:00 AM|2/13/2024, 1:08:00 PM", "time as month/day/year"),
        ("01-15-2024 02-14-2024", "time as month/day/year"),
        ("5.2.2024 09:15|13.2.2024 08:00", "time as day/month/year"),
        ("2024-02-05 09:15 UTC|2024-02-05 10:00 UTC", "time as year-month-day"),
        ("2024-02-05 09:15 +0200|2024-02-05 08:00 +0000", "time as year-month-day"),
        ("1989 1990 2001 2010", "digits of a time"),
        ("19991231 20000101 20100405", "digits of a time"),
        ("1700000000 1700003600", "digits of a time"),
        ("1700000000000 1700003600000", "digits of a time"),
    ],
)
def test_a_column_of_times_is_found_without_its_name(right, kind):
    right = right.split("|" if "|" in right else " ")
    found = rows.oldest_first([{"n": "1", "When": text} for text in reversed(right)])
    assert [row["When"] for row in found] == right
    assert (found.by, found.problems) == (f"When ({kind})", [])


@pytest.mark.parametrize("nothing", ["", " ", "N/A", "NA", "-", "NULL", "None", "nan", "?", "NaT"])
def test_what_stands_for_nothing_comes_last(nothing):
    found = rows.oldest_first([{"n": text} for text in (nothing, "10", "9")], by="n")
    assert [row["n"] for row in found] == ["9", "10", nothing]
    assert found.problems == ["Line 1: no n, so sorted last."]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (
            ["1/5/2024", "2/5/2024"],
            "could also be a time as day/month/year: it was taken as a time as month/day/year",
        ),
        (
            ["1/5/24 9:00", "2/5/24 8:00"],
            "could also be a time as day/month/year: it was taken as a time as month/day/year",
        ),
        (
            ["1-5-2024", "2-5-2024"],
            "could also be a time as day/month/year: it was taken as a time as month/day/year",
        ),
    ],
)
def test_where_day_and_month_fit_both_ways_it_says_so(texts, said):
    for by in (None, "n"):
        found = rows.oldest_first([{"n": text} for text in texts], by)
        assert len(found.problems) == 1 and said in found.problems[0]


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (
            ["12/05/2024", "03/05/2024", "11/04/2024", "02/04/2024"],
            "day/month/year",
        ),  # newest first
        (["02/04/2024", "11/04/2024", "03/05/2024", "12/05/2024"], "day/month/year"),
        (["01/12/2024", "02/03/2024", "02/04/2024"], "month/day/year"),
    ],
)
def test_where_both_ways_fit_the_one_in_which_the_file_is_in_order_is_taken(texts, kind):
    found = rows.oldest_first([{"n": text} for text in texts])
    assert kind in found.by and kind in found.problems[0].rpartition("taken")[2]
    assert [row["n"] for row in found] in (texts, texts[::-1])


@pytest.mark.parametrize("texts", [["1/5/2024", "1/13/2024"], ["5/5/2024", "6/6/2024"]])
def test_where_day_and_month_fit_one_way_nothing_is_said(texts):
    assert rows.oldest_first([{"n": text} for text in texts]).problems == []


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
        (
            "n,m\n1,2\n",
            None,
            r"n is not a time as year-month-day \('1' in line 2\): .* another column by --by",
        ),
        (
            "n,m\n2013-04-09,2\n,3\n",
            None,
            "n is a time in 1 rows and empty in 1: --by n puts them last",
        ),
        ("n,m\n2013-02-30,2\n2013-02-27,2\n", None, "n is not a time .*2013-02-30"),
        (
            'n,m\n1,"x\ny"\ntwo,3\n3,4\n',
            "n",
            r"n is not a number \('two' in line 4\): correct it, or choose",
        ),
        ("n,m\n1,2\n2013-04-09,3\n", "n", "'2013-04-09' in line 3"),
        ("n,m\n,1\n,2\n", "n", r"n is not a .* \('' in line 2\)"),
        ("n,m\n,1\n1,2\ntwo,3\n", "n", "'two' in line 4"),
        ("n,m\n1_000,1\n", "n", "'1_000' in line 2"),
        (
            "title,date_added,release_year\na,2013-04-09,1999\nb,,1998\nc,2013-04-08,2000\n",
            None,
            "date_added is a time in 2 rows and empty in 1: "
            r"--by date_added puts them last \('' in line 3\)",
        ),
        ("n,my date\n1,2013-04-09\n2,N/A\n", None, "--by 'my date' puts them last"),
        (
            "n,when\n1,2013-04-09\n2,soon\n3,2013-04-07\n",
            None,
            r"when is not a time as year-month-day \('soon' in line 3\): correct it",
        ),
        ("n,Time\n1,9:00\n2,10:00\n", None, "choose another column by --by"),
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
