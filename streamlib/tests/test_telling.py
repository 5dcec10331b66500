"""What compare tells: in which order rows came, what differs, how much is not shown."""

import random
from collections import Counter

import pytest

from streamlib import records, rows, stream
from streamlib.stream.telling import changes

SOURCE = [
    {"Day": f"2024-01-{n:02}", "Town": town, "Temp": temp}
    for n, (town, temp) in enumerate(
        [("Ames", "3"), ("Dover", "100"), ("Cork", "11"), ("Bern", "20"), ("Erie", "9")] * 3, 1
    )
]
for number, one in enumerate(SOURCE):
    one["Temp"] = str(int(one["Temp"]) + 100 * (number // 5))


def compared(tmp_path, sent, source=SOURCE, form=records.course):
    """What is told of rows that were received as lines, in this order."""
    out = tmp_path / "out9.txt"
    out.write_text("".join(f"{form(row)}\n" for row in sent), encoding="utf-8")
    return stream.in_sent_order(source, out)


ORDERS = {
    "": SOURCE,
    "reversed: the last row first": SOURCE[::-1],
    "sorted by Temp (number)": rows.oldest_first(SOURCE, "Temp"),
    "backwards: sorted by Temp (number)": rows.oldest_first(SOURCE, "Temp")[::-1],
    "sorted by Temp as text, so 100 comes before 11": sorted(SOURCE, key=lambda row: row["Temp"]),
    "sorted by Town as text": sorted(SOURCE, key=lambda row: row["Town"]),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("limit", [4, 11, 15])
def test_an_order_that_explains_what_came_is_named(order, limit, tmp_path):
    table = compared(tmp_path, ORDERS[order][:limit])
    assert stream.good(table) and bool(table.attrs["order"]) == bool(order)
    if limit == 15:
        assert table.attrs["order"].startswith(order)
        assert sorted(table["line"]) == list(range(1, 16))


def test_what_is_lost_or_altered_is_told_in_that_order_too(tmp_path):
    sent = list(rows.oldest_first(SOURCE, "Temp"))
    sent[4] = sent[4] | {"Town": "Paris"}
    del sent[8]
    table = compared(tmp_path, sent)
    assert table.attrs["order"].startswith("sorted by Temp")
    assert Counter(table["fate"]) == {"arrived": 13, "altered": 1, "lost": 1}


def test_oldest_first_is_claimed_only_where_the_source_is_not(tmp_path):
    newest_first = SOURCE[::-1]
    assert (
        compared(tmp_path, SOURCE, newest_first).attrs["order"].startswith("oldest first, by Day")
    )
    assert compared(tmp_path, SOURCE).attrs["order"] == ""
    assert compared(tmp_path, newest_first, newest_first).attrs["order"] == ""
    lost = compared(tmp_path, [*SOURCE[:3], *SOURCE[5:]])
    assert lost.attrs["order"] == "" and Counter(lost["fate"]) == {"arrived": 13, "lost": 2}


def test_no_order_is_claimed_for_rows_that_are_mixed_up(tmp_path):
    mixed = SOURCE[:]
    random.Random(1).shuffle(mixed)
    table = compared(tmp_path, mixed)
    assert table.attrs["order"] == "" and not stream.good(table)
    swapped = [SOURCE[1], SOURCE[0], *SOURCE[2:]]
    table = compared(tmp_path, swapped)
    assert table.attrs["order"] == ""
    assert Counter(table["fate"]) == {"arrived": 14, "out of order": 1}


def test_records_that_the_network_turned_round_are_out_of_order(tmp_path):
    """Their numbers are in the order of the source, so no order of the sender's explains that."""
    numbered = [records.encode(n, row).decode() for n, row in enumerate(SOURCE, 1)]
    table = compared(tmp_path, numbered[::-1], form=str)
    assert table.attrs["order"] == ""
    assert Counter(table["fate"]) == {"arrived": 1, "out of order": 14}


def test_rows_sent_by_a_column_are_compared_so(tmp_path):
    out = tmp_path / "out9.txt"
    stream.send(rows.oldest_first(SOURCE, "Temp"), f"file:{out}", limit=9)
    table = stream.in_sent_order(SOURCE, out)
    assert table.attrs["order"] == "sorted by Temp (number)"
    assert Counter(table["fate"]) == {"arrived": 9, "not sent": 6}


def test_columns_that_were_not_sent_still_tell_the_order(tmp_path):
    sent = [{"Town": row["Town"], "Day": row["Day"]} for row in rows.oldest_first(SOURCE, "Temp")]
    assert compared(tmp_path, sent).attrs["order"].startswith("sorted by Temp")


@pytest.mark.parametrize(
    ("one", "other", "shown"),
    [
        ("3", "3.0", "'3' -> '3.0'"),
        ("3", "3 ", "'3' -> '3 '"),
        ("a b", "a\xa0b", r"'a b' -> 'a\xa0b' (' ' -> '\xa0')"),
        ("Jos\xe9", "Jose\u0301", "'Jos\xe9' -> 'Jose\u0301' ('\\xe9' -> 'e')"),
        ("Jose", "Jose\u0301", "'Jose' -> 'Jose\u0301' ('' -> '\\u0301')"),
        (
            "Wroc\u0142aw",
            "Wroc\u2265aw",
            "'Wroc\u0142aw' -> 'Wroc\u2265aw' ('\\u0142' -> '\\u2265')",
        ),
        ("A", "\u0410", "'A' -> '\u0410' ('A' -> '\\u0410')"),
        ("x", "x\u200b", r"'x' -> 'x\u200b' ('' -> '\u200b')"),
        ("x", "\x1b[31mx\x07", r"'x' -> '\x1b[31mx\x07'"),
        ("", " ", "'' -> ' '"),
        ("a" * 500 + "b", "a" * 500 + "c", f"...'{'a' * 20}b' -> ...'{'a' * 20}c'"),
    ],
)
def test_a_difference_is_shown_where_it_is_and_with_what_cannot_be_seen(one, other, shown):
    row = {"n": "1", "Town": one}
    assert changes(row, row | {"Town": other}) == f"Town: {shown}"
    assert changes(row, records.course(row | {"Town": other})) == f"Town: {shown}"


def test_fields_that_agree_are_not_shown_and_numbers_are_as_good_as_their_text():
    assert changes({"a": "1", "b": "2", "c": "3"}, {"a": 1, "b": "5", "c": "4"}) == (
        "b: '2' -> '5'; c: '3' -> '4'"
    )
    assert changes({"a": "x", "b": "y"}, "[x, y, z]") == "row: 'x, y' -> 'x, y, z'"


def test_what_is_not_shown_is_counted(tmp_path):
    source = [{"n": str(n), "text": "x"} for n in range(1000)]
    table = compared(tmp_path, [{"n": "999", "text": "x"}], source)
    told = list(stream.told(table))
    assert told[0] == "line 1: lost: '[0, x]'" and len(told) == 21
    assert told[-1] == "... and 979 more that are not well."
    assert list(stream.told(compared(tmp_path, source, source))) == []
