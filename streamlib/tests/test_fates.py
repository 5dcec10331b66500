"""What became of each row: a plan of faults is made, and its counts must come out exactly."""

import os
import random
from collections import Counter
from itertools import islice, takewhile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlib import home, records, rows, stream
from streamlib.stream import fates

OPS = ("keep", "drop", "duplicate", "alter", "swap")
STREAMS = int(os.environ.get("STREAMLIB_STREAMS", "80"))
UNKNOWN = "; whether more were sent is not known"


def row(n):
    """A row that shares no field with another one."""
    return {"id": f"n{n}", "name": f"Åse {n}", "mass": str(n * 0.5 + 0.25)}


def as_records(arrivals, sent=None):
    """Records of (seq, row), with an end record if one says how many were sent."""
    found = [{"seq": seq, "sent": 0.5, "row": content} for seq, content in arrivals]
    return found + [{"seq": sent, "sent": 0.5, "end": True}] * (sent is not None)


def carried_out(source, ops):
    """Return what arrives if these faults befall the rows, and how many of which fate there are."""
    arrivals, counts, steps = [], Counter(), iter(enumerate(zip(source, ops, strict=True), 1))
    for seq, (one, op) in steps:
        if op == "swap" and seq < len(source):
            after, (other, _) = next(steps)
            arrivals += [(after, other), (seq, one)]
            counts.update(["arrived", "out of order"])
        elif op == "alter":
            arrivals.append((seq, one | {"name": f"changed {seq}"}))
            counts["altered"] += 1
        else:
            arrivals += [(seq, one)] * {"drop": 0, "duplicate": 2}.get(op, 1)
            counts.update({"drop": ["lost"], "duplicate": ["arrived", "duplicated"]}.get(op, []))
            counts["arrived"] += op in ("keep", "swap")
    return arrivals, +counts


def without_an_end(fate, arrived):
    """Return fates as they are known without an end record: what comes after the last arrival is
    unknown."""
    last = max((place for place, one in enumerate(fate) if one in arrived), default=-1)
    return fate[: last + 1] + ["unknown"] * len(fate[last + 1 :])


def check(table, counts, source):
    """The counts are those of the plan, and each row of the table says what it is about."""
    assert Counter(table["fate"]) == counts
    assert list(table["expected"][: len(source)]) == source
    for fate, expected, got in zip(table["fate"], table["expected"], table["got"], strict=True):
        assert (got is None) == (fate in ("lost", "not sent", "unknown"))
        assert (expected is None) == (fate in fates.BESIDES)
        assert fate not in ("arrived", "out of order") or got == expected
    assert fates.good(table) == (counts.keys() <= {"arrived", "not sent"} and counts["arrived"] > 0)
    verdict = fates.verdict(table)
    assert ("unaltered and in order" in verdict) == fates.good(table)
    if not fates.good(table):
        for fate in counts.keys() - {"arrived", "not sent"}:
            assert f"{counts[fate]:,} {fate}" in verdict


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(OPS), min_size=1, max_size=25),
    st.integers(0, 2),
    st.booleans(),
    st.integers(0, 2),
    st.data(),
)
def test_several_faults_at_once_are_counted_one_by_one(ops, foreign, header, unsent, data):
    source = [row(n) for n in range(len(ops))]
    arrivals, counts = carried_out(source, ops)
    strangers = [(len(ops) + 9, row(1000 + n)) for n in range(foreign)]
    strangers += [(len(ops) + 9, {name: name for name in row(0)})] * header
    for stranger in strangers:
        arrivals.insert(data.draw(st.integers(0, len(arrivals))), stranger)
    counts += Counter({"never in the source": foreign, "header sent as data": int(header)})
    whole = source + [row(500 + n) for n in range(unsent)]
    counts += Counter({"not sent": unsent})
    table = fates.reconcile(whole, as_records(arrivals, sent=len(source)))
    check(table, counts, whole)
    assert table.attrs["ended"] and UNKNOWN not in fates.verdict(table)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=25), st.sampled_from(OPS), st.data())
def test_one_kind_of_fault_among_rows_that_are_alike_is_counted(kinds, op, data):
    source = [row(kind) for kind in kinds]
    ops = [data.draw(st.sampled_from(["keep", op])) for _ in source]
    arrivals, counts = carried_out(source, ops)
    check(fates.reconcile(source, as_records(arrivals, sent=len(source))), counts, source)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(OPS), st.booleans(), st.data())
def test_one_kind_of_fault_in_lines_without_numbers_is_counted(op, as_csv, data):
    source = [row(n) for n in range(data.draw(st.integers(2, 20)))]
    ops = [data.draw(st.sampled_from(["keep", op])) for _ in source[1:]]
    arrivals, counts = carried_out(source, ["keep", *ops])
    form = (lambda one: ",".join(one.values())) if as_csv else records.course
    path = home.outputs / "fates-received.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(form(one) + "\n" for _, one in arrivals), encoding="utf-8")
    table = fates.reconcile(source, path)
    tail = len([*takewhile(lambda one: one == "drop", reversed(ops))])  # nobody told of their end
    counts += Counter({"unknown": tail})
    counts["lost"] -= tail
    assert Counter(table["fate"]) == +counts and not table.attrs["ended"]
    assert (UNKNOWN in fates.verdict(table)) == (tail > 0)


@pytest.fixture
def penguins():
    """The first 168 rows of a real file, all of them different."""
    return list(islice(rows.read(home.data / "penguins.csv"), 168))


def test_counts_that_are_equal_prove_nothing(penguins, tmp_path):
    """168 rows were sent, 168 arrived: the header among them, and one never."""
    out = tmp_path / "out9.txt"
    arrived = [dict(zip(penguins[0], penguins[0], strict=True)), *penguins]
    del arrived[100]
    assert len(arrived) == len(penguins) == 168
    for format in ("json", "course"):
        stream.send(arrived, f"file:{out}", format=format)
        table = fates.reconcile(penguins, out)
        assert Counter(table["fate"]) == {"arrived": 167, "lost": 1, "header sent as data": 1}
        assert list(table["line"][table["fate"] == "lost"]) == [penguins[99].line]
        assert not fates.good(table)
        said = "Of 168 rows 167 arrived in order, 1 lost; also: 1 header sent as data"
        assert fates.verdict(table).startswith(said)


def test_two_streams_of_the_same_rows_differ_only_in_the_time(penguins, tmp_path):
    outs = [tmp_path / name for name in ("out9.txt", "out99.txt")]
    for out in outs:
        stream.send(penguins, f"file:{out}")
    assert outs[0].read_bytes() != outs[1].read_bytes()
    table = fates.reconcile(*outs)
    assert fates.verdict(table) == "All 168 rows arrived once, unaltered and in order."
    assert list(table["seq"]) == list(table["line"]) == list(range(1, 169))


def test_the_end_record_tells_rows_that_were_not_sent_from_rows_that_were_lost(tmp_path):
    source, out = [row(n) for n in range(10)], tmp_path / "out9.txt"
    stream.send(source, f"file:{out}", limit=6)
    assert fates.verdict(fates.reconcile(source, out)) == (
        "All 6 rows arrived once, unaltered and in order; 4 more of the source were not sent."
    )
    lines = out.read_bytes().splitlines(keepends=True)
    out.write_bytes(b"".join(lines[:5] + lines[6:]))  # the last row lost, the end record there
    counts = {"arrived": 5, "lost": 1, "not sent": 4}
    assert Counter(fates.reconcile(source, out)["fate"]) == counts
    out.write_bytes(b"".join(lines[:6]))
    table = fates.reconcile(source, out)
    assert Counter(table["fate"]) == {"arrived": 6, "unknown": 4} and fates.good(table)
    assert fates.verdict(table) == (
        f"The first 6 of 10 rows arrived unaltered and in order{UNKNOWN}."
    )
    out.write_bytes(b"".join(lines[:2] + lines[3:6]))
    table = fates.reconcile(source, out)
    assert Counter(table["fate"]) == {"arrived": 5, "lost": 1, "unknown": 4}
    assert fates.verdict(table) == f"Of 6 rows 5 arrived in order, 1 lost{UNKNOWN}."
    out.write_bytes(b"".join(lines[:1]))
    said = fates.verdict(fates.reconcile(source, out))
    assert said == f"The first of 10 rows arrived unaltered and in order{UNKNOWN}."
    assert fates.verdict(
        fates.reconcile(source[:6], [records.decode(one) for one in lines[:6]])
    ) == (fates.verdict(fates.reconcile(source[:6], as_records(enumerate(source[:6], 1), sent=6))))


@pytest.mark.parametrize("content", [b"", records.encode_end(0) + b"\n"], ids=["empty", "end"])
def test_where_nothing_was_received_nothing_is_good(content, tmp_path):
    out = tmp_path / "out9.txt"
    out.write_bytes(content)
    table = fates.reconcile([row(1), row(2)], out)
    assert Counter(table["fate"]) == {"not sent" if content else "unknown": 2}
    assert ("the file is empty" in fates.verdict(table)) != bool(content)
    assert not fates.good(table) and table["seq"].isna().all()


def test_a_single_row_is_called_the_one_row(tmp_path):
    table = fates.reconcile([row(1)], as_records([(1, row(1))]))
    assert fates.verdict(table) == "The one row arrived once, unaltered and in order."


def test_a_torn_line_and_junk_are_not_in_the_source(tmp_path):
    source, out = [row(n) for n in range(3)], tmp_path / "out9.txt"
    lines = [records.encode(seq, one) for seq, one in enumerate(source, 1)]
    out.write_bytes(b"\n".join([lines[0], b"\xff\xfe", lines[1], lines[2][:40]]))
    counts = {"arrived": 2, "unknown": 1, "never in the source": 2}
    assert Counter(fates.reconcile(source, out)["fate"]) == counts


def test_a_path_that_cannot_be_read_is_one_sentence(tmp_path):
    for path in (tmp_path / "out9.txt", tmp_path):
        with pytest.raises(
            OSError, match=r"does not exist: give the file that the receiver wrote\."
        ):
            fates.reconcile([row(1)], path)
    with pytest.raises(OSError, match="does not exist: check its name"):
        fates.reconcile(tmp_path / "no.csv", as_records([]))


def test_a_pasted_row_with_a_field_more_is_altered(tmp_path):
    out, source = tmp_path / "pasted.csv", [row(n) for n in range(3)]
    lines = [",".join(one.values()) for one in source]
    out.write_text("\n".join([lines[0], lines[1] + ",more", lines[2]]), encoding="utf-8")
    assert Counter(fates.reconcile(source, out)["fate"]) == {"arrived": 2, "altered": 1}


def test_a_lost_row_leaves_its_equal_in_order_in_lines_without_numbers(tmp_path):
    out, source = tmp_path / "out9.txt", [row(1), row(2), row(1), row(3)]
    stream.send(source[1:], f"file:{out}", format="course")
    assert Counter(fates.reconcile(source, out)["fate"]) == {"arrived": 3, "lost": 1}


def test_a_file_whose_first_record_follows_a_space_is_not_a_csv_file(tmp_path):
    out, source = tmp_path / "out9.txt", [row(1), row(2)]
    lines = [records.encode(seq, one) for seq, one in enumerate(source, 1)]
    assert records.decode(b" " + lines[0])  # so a receiver writes it
    out.write_bytes(b" " + b"\n".join(lines) + b"\n")
    assert fates.good(fates.reconcile(source, out))


def test_a_row_that_is_altered_after_a_header_is_told(tmp_path):
    source = [row(n) for n in range(5)]
    sent = [{name: name for name in row(0)}, *source]
    sent[3] = sent[3] | {"name": "changed"}
    table = fates.reconcile(source, as_records(enumerate(sent, 1), sent=6))
    assert Counter(table["fate"]) == {"arrived": 4, "altered": 1, "header sent as data": 1}


def test_some_of_the_columns_are_compared_alone(penguins):
    some = [{"Species": row["Species"], "Date Egg": row["Date Egg"]} for row in penguins]
    table = fates.reconcile(penguins, as_records(list(enumerate(some, 1)), sent=len(some)))
    assert fates.good(table) and "2 of the source's 17 columns were sent" in fates.verdict(table)
    some[3]["Species"] = "Emperor"
    table = fates.reconcile(penguins, as_records(list(enumerate(some, 1)), sent=len(some)))
    assert Counter(table["fate"]) == {"arrived": 167, "altered": 1}


# a slow and simple oracle

KINDS = [row(n) for n in range(3)]
FOREIGN = row(1000)


def oracle(source, arrivals, shift, sent):
    """Return the fates of records with numbers, by the definitions, one after the other."""
    fate, taken, besides = ["lost"] * len(source), [], []
    for seq, content in arrivals:
        place = seq - 1 - shift
        if content == dict(zip(row(0), row(0), strict=True)):
            besides.append("header sent as data")
        elif place < len(source) and content == source[place] and place in taken:
            besides.append("duplicated")
        elif place < len(source) and content == source[place]:
            fate[place] = "out of order" if any(place < other for other in taken) else "arrived"
            taken.append(place)
        elif place < len(source) and content["name"].startswith("changed"):
            fate[place] = "altered"
        else:
            besides.append("never in the source")
    unsent = range(sent, len(source))
    fate = [
        "not sent" if one == "lost" and place in unsent else one for place, one in enumerate(fate)
    ]
    return fate, besides


@settings(max_examples=STREAMS, deadline=None)
@given(st.lists(st.sampled_from(KINDS), min_size=1, max_size=8), st.booleans(), st.data())
def test_numbered_rows_have_the_fates_of_the_oracle(source, header, data):
    """Equal rows among them, every fault at once, and the header perhaps sent first."""
    shift, arrivals = int(header), []
    sent = data.draw(st.integers(0, len(source)))
    for seq, one in enumerate(source[:sent], start=1 + shift):
        op = data.draw(st.sampled_from(OPS))
        content = one | {"name": f"changed {seq}"} if op == "alter" else one
        arrivals += [(seq, content)] * {"drop": 0, "duplicate": 2}.get(op, 1)
    arrivals = data.draw(st.permutations(arrivals))
    arrivals += [(len(source) + 9, FOREIGN)] * data.draw(st.integers(0, 1))
    if header:
        arrivals.insert(0, (1, dict(zip(row(0), row(0), strict=True))))
    table = fates.reconcile(source, as_records(arrivals, sent=sent + shift))
    fate, besides = oracle(source, arrivals, shift, sent)
    assert list(table["fate"]) == fate + besides


@settings(max_examples=STREAMS, deadline=None)
@given(st.integers(1, 12), st.data())
def test_lines_without_numbers_have_the_fates_of_the_oracle(number, data):
    """All rows different, in any order, some lost, others that are not in the source."""
    source = [row(n) for n in range(number)]
    order = data.draw(st.permutations(range(number)))[: data.draw(st.integers(0, number))]
    lines = [records.course(source[place]) for place in order]
    lines += [records.course(FOREIGN)] * data.draw(st.integers(0, 2))
    fate = ["lost"] * number
    for n, place in enumerate(order):
        late = any(place < other for other in order[:n])
        fate[place] = "out of order" if late else "arrived"
    table = without_numbers(source, lines)
    fate = without_an_end(fate, ("arrived", "out of order"))
    assert list(table["fate"]) == fate + ["never in the source"] * (len(lines) - len(order))
    assert [at - 1 for at in table["arrival"][:number].dropna()] == [
        order.index(place) for place in range(number) if place in order
    ]


@settings(max_examples=STREAMS, deadline=None)
@given(
    st.lists(st.sampled_from(KINDS), min_size=1, max_size=25),
    st.sampled_from(["drop", "duplicate"]),
    st.data(),
)
def test_equal_lines_without_numbers_stay_in_order_around_what_was_lost_or_repeated(
    source, op, data
):
    ops = [data.draw(st.sampled_from(["keep", op])) for _ in source]
    lines = [
        records.course(one)
        for one, befell in zip(source, ops, strict=True)
        for _ in range({"keep": 1, "drop": 0, "duplicate": 2}[befell])
    ]
    count = Counter(without_numbers(source, lines)["fate"])
    count["lost"] += count.pop("unknown", 0)  # which of two equal ones is lost, nobody can tell
    count = +count
    lost, repeated = ops.count("drop"), ops.count("duplicate")
    expected = {"arrived": len(source) - lost, "lost": lost, "duplicated": repeated}
    assert count == {fate: number for fate, number in expected.items() if number}


@settings(max_examples=STREAMS, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=12), st.lists(st.integers(0, 4), max_size=12))
def test_no_row_and_no_line_is_counted_twice(source, lines):
    """Whatever equal rows are sent and received, in whatever order."""
    source = [row(n) for n in source]
    lines = [records.course(row(n)) for n in lines]
    table = without_numbers(source, lines)
    arrivals = table["arrival"].dropna()
    assert sorted(arrivals) == list(range(1, len(lines) + 1))
    came = table["fate"].isin(["arrived", "out of order"])
    for expected, got in zip(table["expected"][came], table["got"][came], strict=True):
        assert expected == got
    for got in table["got"][table["fate"] == "duplicated"]:
        assert got in source
    for got in table["got"][table["fate"] == "never in the source"]:
        assert got not in source


def without_numbers(source, lines):
    """The fates of rows that were received as lines such as [a, b, c]."""
    path = home.outputs / "without-numbers.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return fates.reconcile(source, path)


def test_10_000_lines_of_which_4_are_distinct_are_compared():
    """Lost, repeated and altered ones among them; it was the square of their number once."""
    source = [row(n * n % 7) for n in range(10_000)]
    assert len({one["id"] for one in source}) == 4
    lines = [records.course(one) for one in source]
    lost = lines[:3000] + lines[4000:]
    count = Counter(without_numbers(source, lost)["fate"])
    assert count["arrived"] == 9000 and count["lost"] + count["unknown"] == 1000
    both = lines[:2000] + lines[2001:6000] + lines[5999:]
    count = Counter(without_numbers(source, both)["fate"])
    assert count["arrived"] == 9999 and count.total() == 10_001


def test_a_number_tells_which_of_two_equal_rows_came_twice():
    source = [row(1), row(1), row(2), row(3)]
    arrivals = [(1, row(1)), (1, row(1)), (3, row(2)), (4, row(3))]
    table = fates.reconcile(source, as_records(arrivals, sent=4))
    assert list(table["fate"]) == ["arrived", "lost", "arrived", "arrived", "duplicated"]
    assert list(table["line"]) == [1, 2, 3, 4, 1]


def test_a_header_that_was_sent_does_not_confuse_equal_rows():
    source = [row(1), row(1), row(2)]
    sent = [{name: name for name in row(1)}, *source]
    table = fates.reconcile(source, as_records(enumerate(sent, 1), sent=4))
    assert Counter(table["fate"]) == {"arrived": 3, "header sent as data": 1}


# equal rows without numbers: each is used once

LISTS = st.lists(st.integers(0, 3), max_size=14), st.lists(st.integers(0, 4), max_size=14)


@settings(max_examples=STREAMS, deadline=None)
@given(*LISTS)
def test_each_is_used_once_and_what_has_no_copy_is_paired(wanted, came):
    pairs = fates._align(wanted, came)
    assert len(set(pairs.values())) == len(pairs)
    assert all(wanted[place] == came[at] for at, place in pairs.items())
    both = Counter(wanted) & Counter(came)
    assert Counter(came[at] for at in pairs) == both


def test_lists_that_are_reversed_or_swapped_lose_and_repeat_nothing():
    kinds = random.Random(1)
    wanted = [kinds.randrange(4) for _ in range(1000)]
    swapped = [item for n in range(0, 1000, 2) for item in (wanted[n + 1], wanted[n])]
    for came in (wanted[::-1], swapped):
        assert len(fates._align(wanted, came)) == 1000


# in which order rows came, and what is told of them

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


def order_of(table):
    """The order in which the source was taken; "" as it stands."""
    said = table.attrs["read"][-1:] or [""]
    return said[0].removeprefix("The rows came ") if "rows came" in said[0] else ""


ORDERS = {
    "": SOURCE,
    "reversed.": SOURCE[::-1],
    "sorted by Temp.": rows.oldest_first(SOURCE, "Temp"),
    "sorted by Temp, backwards.": sorted(SOURCE, key=lambda row: -int(row["Temp"])),
    "sorted by Temp as text.": sorted(SOURCE, key=lambda row: row["Temp"]),
    "sorted by Town as text.": sorted(SOURCE, key=lambda row: row["Town"]),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("limit", [11, 15])
def test_an_order_that_explains_what_came_is_named(order, limit, tmp_path):
    table = compared(tmp_path, ORDERS[order][:limit])
    assert stream.good(table) and order_of(table) == order
    assert sorted(table["line"]) == list(range(1, 16))


def test_what_is_lost_or_altered_is_told_in_that_order_too(tmp_path):
    sent = list(rows.oldest_first(SOURCE, "Temp"))
    sent[4] = sent[4] | {"Town": "Paris"}
    del sent[8]
    table = compared(tmp_path, sent)
    assert order_of(table) == "sorted by Temp."
    assert Counter(table["fate"]) == {"arrived": 13, "altered": 1, "lost": 1}


def test_oldest_first_is_claimed_only_where_the_source_is_not(tmp_path):
    newest_first = SOURCE[::-1]
    mixed = sorted(SOURCE, key=lambda row: row["Town"])
    assert order_of(compared(tmp_path, SOURCE, mixed)) == "oldest first."
    assert order_of(compared(tmp_path, SOURCE)) == ""
    assert order_of(compared(tmp_path, newest_first, newest_first)) == ""
    lost = compared(tmp_path, [*SOURCE[:3], *SOURCE[5:]])
    assert order_of(lost) == "" and Counter(lost["fate"]) == {"arrived": 13, "lost": 2}


def test_no_order_is_claimed_for_rows_that_are_mixed_up(tmp_path):
    mixed = SOURCE[:]
    random.Random(1).shuffle(mixed)
    table = compared(tmp_path, mixed)
    assert order_of(table) == "" and not stream.good(table)
    swapped = [SOURCE[1], SOURCE[0], *SOURCE[2:]]
    table = compared(tmp_path, swapped)
    assert order_of(table) == ""
    assert Counter(table["fate"]) == {"arrived": 14, "out of order": 1}


def test_records_that_the_network_turned_round_are_out_of_order(tmp_path):
    """Their numbers are in the order of the source, so no order of the sender's explains that."""
    numbered = [records.encode(n, row).decode() for n, row in enumerate(SOURCE, 1)]
    table = compared(tmp_path, numbered[::-1], form=str)
    assert order_of(table) == ""
    assert Counter(table["fate"]) == {"arrived": 1, "out of order": 14}


def test_rows_sent_by_a_column_are_compared_so(tmp_path):
    out = tmp_path / "out9.txt"
    stream.send(rows.oldest_first(SOURCE, "Temp"), f"file:{out}", limit=9)
    table = stream.in_sent_order(SOURCE, out)
    assert order_of(table) == "sorted by Temp."
    assert Counter(table["fate"]) == {"arrived": 9, "not sent": 6}


def test_columns_that_were_not_sent_still_tell_the_order(tmp_path):
    sent = [{"Day": row["Day"], "Town": row["Town"]} for row in rows.oldest_first(SOURCE, "Temp")]
    assert order_of(compared(tmp_path, sent)) == "sorted by Temp."


def test_equal_values_are_no_order(tmp_path):
    """Any order would be sorted by a column that is the same in all rows."""
    source = [{"n": str(n), "same": "x"} for n in (5, 1, 4, 2, 3)]
    table = compared(tmp_path, [source[n] for n in (0, 2, 1, 3, 4)], source)
    assert order_of(table) == "" and not stream.good(table)


def test_equal_rows_that_were_reversed_are_named_so(tmp_path):
    source = [row(n) for n in (1, 2, 1, 3, 3, 1)]
    assert order_of(compared(tmp_path, source[::-1], source)) == "reversed."


@pytest.mark.parametrize(
    ("one", "other", "shown"),
    [
        ("3", "3.0", "'3' -> '3.0'"),
        ("3", "3 ", "'3' -> '3 '"),
        ("a b", "a\xa0b", r"'a b' -> 'a\xa0b' ('a b' -> 'a\xa0b')"),
        ("A", "\u0410", "'A' -> '\u0410' ('A' -> '\\u0410')"),
        ("x", "x\u200b", r"'x' -> 'x\u200b' ('x' -> 'x\u200b')"),
        ("x", "\x1b[31mx\x07", r"'x' -> '\x1b[31mx\x07'"),
        ("", " ", "'' -> ' '"),
        ("a" * 500 + "b", "a" * 500 + "c", f"'{'a' * 500}b' -> '{'a' * 500}c'"),
    ],
)
def test_a_difference_is_shown_whole_and_with_what_cannot_be_seen(one, other, shown):
    source = [{"n": "1", "Town": one, "x": "y"}]
    table = fates.reconcile(source, as_records([(1, source[0] | {"Town": other})]))
    assert list(stream.told(table)) == [f"line 1: altered: Town: {shown}"]


def test_what_is_not_shown_is_counted(tmp_path):
    source = [{"n": str(n), "text": "x"} for n in range(1000)]
    told = list(stream.told(compared(tmp_path, [source[-1]], source)))
    assert told[1] == "line 1: lost: {'n': '0', 'text': 'x'}" and len(told) == 22
    assert told[-1] == "... and 979 more that are not well."
    assert len(list(stream.told(compared(tmp_path, source, source)))) == 1


# streams at random; the environment variable STREAMLIB_STREAMS asks for more of them


def numbered(rng, source):
    """A stream with numbers in which anything may befall, and its fates."""
    shift, arrivals, sent = rng.randrange(2), [], rng.randint(0, len(source))
    for seq, one in enumerate(source[:sent], start=1 + shift):
        op = rng.choice(OPS)
        content = one | {"name": f"changed {seq}"} if op == "alter" else one
        arrivals += [(seq, content)] * {"drop": 0, "duplicate": 2}.get(op, 1)
    rng.shuffle(arrivals)
    arrivals += [(len(source) + 9, FOREIGN)] * rng.randrange(2)
    arrivals = [(1, dict(zip(row(0), row(0), strict=True)))] * shift + arrivals
    return as_records(arrivals, sent=sent + shift), *oracle(source, arrivals, shift, sent)


def unnumbered(rng, source):
    """Rows without numbers, and their fates by the rule that the docstring states."""
    came = [one for one in source for _ in range(rng.choice((0, 1, 1, 1, 2)))]
    came += [FOREIGN] * rng.randrange(2)
    if rng.randrange(2):
        rng.shuffle(came)
    fate, besides, taken, latest = ["lost"] * len(source), [], set(), -1
    for at, one in enumerate(came):
        free = [n for n, other in enumerate(source) if other == one and n not in taken]
        ahead = [n for n in free if n > latest]
        too_many = came[at:].count(one) > len(free) and one in came[:at]
        if one not in source or (too_many and ahead[:1] != [latest + 1]):
            besides.append("duplicated" if one in source else "never in the source")
            continue
        place = min(ahead or free)
        fate[place] = "arrived" if ahead else "out of order"
        taken.add(place)
        latest = max(latest, place)
    return [{"row": one} for one in came], fate, besides


@pytest.mark.parametrize("make", [numbered, unnumbered])
def test_streams_at_random_have_the_fates_of_a_slow_oracle(make):
    for seed in range(STREAMS):
        rng = random.Random(seed)
        source = [row(rng.randrange(rng.choice((1, 3, 99)))) for _ in range(rng.randint(1, 12))]
        arrivals, fate, besides = make(rng, source)
        table = fates.reconcile(source, arrivals)
        assert list(table["fate"]) == fate + besides, f"{make.__name__}, seed {seed}"


@pytest.mark.parametrize(
    "content", [row(1), {}, {"a": "A"}, {"a": "a", "b": "b"}, {"a": 1}, {"a": ""}, {"": None}]
)
def test_whatever_equal_rows_hold_their_numbers_tell_which_is_lost(content, tmp_path):
    source, out = [dict(content) for _ in range(4)], tmp_path / "out9.txt"
    lines = [records.encode(seq, content) for seq in (1, 1, 3, 4)]
    out.write_bytes(b"\n".join([*lines, records.encode_end(4)]))
    for received in ([records.decode(line) for line in lines], out):
        table = fates.reconcile(source, received)
        assert list(table["fate"]) == ["arrived", "lost", "arrived", "arrived", "duplicated"]
        assert list(table["line"]) == [1, 2, 3, 4, 1]


def test_rows_past_the_end_record_are_not_lost():
    """The header took a number; and of two end records the greater counts."""
    source = [row(n) for n in range(5)]
    sent = [{name: name for name in row(0)}, *source[:3]]
    table = fates.reconcile(source, as_records(enumerate(sent, 1), sent=4))
    assert Counter(table["fate"]) == {"arrived": 3, "not sent": 2, "header sent as data": 1}
    arrivals = as_records(enumerate(source[:4], 1), sent=4) + as_records([], sent=1)
    assert Counter(fates.reconcile(source, arrivals)["fate"]) == {"arrived": 4, "not sent": 1}


ESCAPES = "\x1b[31m\x07\x9b2J\r\u202e"


def test_what_came_is_told_without_escape_sequences(tmp_path):
    source = [{"n": str(n), f"a{ESCAPES}": f"{n * 7 % 5}{ESCAPES}"} for n in range(5)]
    by_name = sorted(source, key=lambda one: one[f"a{ESCAPES}"])
    for sent in (by_name, [source[0] | {f"a{ESCAPES}": f"b{ESCAPES}"}, {ESCAPES: ESCAPES}]):
        for form in (str, records.course, lambda one: records.encode(1, one).decode()):
            told = [*stream.told(table := compared(tmp_path, sent, source, form))]
            assert "".join([*told, fates.verdict(table)]).isprintable()
    assert order_of(compared(tmp_path, by_name, source)).startswith(r"sorted by a\x1b[31m")
