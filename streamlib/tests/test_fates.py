"""What became of each row: a plan of faults is made, and its counts must come out exactly."""

from collections import Counter
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlib import home, records, rows, stream
from streamlib.stream import fates

OPS = ("keep", "drop", "duplicate", "alter", "swap")
ENDED = "; there is no end record, so the last ones may never have been sent."


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


def check(table, counts, source):
    """The counts are those of the plan, and each row of the table says what it is about."""
    assert Counter(table["fate"]) == counts
    assert list(table["expected"][: len(source)]) == source
    for fate, expected, got in zip(table["fate"], table["expected"], table["got"], strict=True):
        assert (got is None) == (fate in ("lost", "not sent"))
        assert (expected is None) == (fate in fates.BESIDES)
        assert fate not in ("arrived", "out of order") or got == expected
    assert fates.good(table) == (counts.keys() <= {"arrived", "not sent"} and counts["arrived"] > 0)
    assert fates.count_good(table) == counts["arrived"]
    verdict = fates.verdict(table)
    assert ("arrived once, unaltered and in order" in verdict) == fates.good(table)
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
def test_several_faults_at_once(ops, foreign, header, unsent, data):
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
    assert table.attrs["ended"] and ENDED not in fates.verdict(table)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=25), st.sampled_from(OPS), st.data())
def test_one_kind_of_fault_among_rows_that_are_alike(kinds, op, data):
    source = [row(kind) for kind in kinds]
    ops = [data.draw(st.sampled_from(["keep", op])) for _ in source]
    arrivals, counts = carried_out(source, ops)
    check(fates.reconcile(source, as_records(arrivals, sent=len(source))), counts, source)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(OPS), st.booleans(), st.data())
def test_one_kind_of_fault_in_lines_without_numbers(op, as_csv, data):
    source = [row(n) for n in range(data.draw(st.integers(2, 20)))]
    ops = [data.draw(st.sampled_from(["keep", op])) for _ in source[1:]]
    arrivals, counts = carried_out(source, ["keep", *ops])
    form = (lambda one: ",".join(one.values())) if as_csv else records.course
    path = home.outputs / "fates-received.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(form(one) + "\n" for _, one in arrivals), encoding="utf-8")
    table = fates.reconcile(source, path)
    assert Counter(table["fate"]) == counts and not table.attrs["ended"]
    assert fates.good(table) or fates.verdict(table).endswith(ENDED)


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


def test_what_was_sent_twice_is_the_same_but_for_the_time(penguins, tmp_path):
    outs = [tmp_path / name for name in ("out9.txt", "out99.txt")]
    for out in outs:
        stream.send(penguins, f"file:{out}")
    assert outs[0].read_bytes() != outs[1].read_bytes()
    table = fates.reconcile(*outs)
    assert fates.verdict(table) == "All 168 rows arrived once, unaltered and in order."
    assert list(table["seq"]) == list(table["line"]) == list(range(1, 169))


def test_rows_that_were_not_sent_and_rows_that_were_lost(tmp_path):
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
    assert Counter(table["fate"]) == {"arrived": 6, "lost": 4}
    assert fates.verdict(table) == "Of 10 rows 6 arrived in order, 4 lost" + ENDED


@pytest.mark.parametrize("content", [b"", records.encode_end(0) + b"\n"], ids=["empty", "end"])
def test_nothing_was_received(content, tmp_path):
    out = tmp_path / "out9.txt"
    out.write_bytes(content)
    table = fates.reconcile([row(1), row(2)], out)
    assert Counter(table["fate"]) == {"not sent" if content else "lost": 2}
    assert not fates.good(table) and table["seq"].isna().all()


def test_the_one_row(tmp_path):
    table = fates.reconcile([row(1)], as_records([(1, row(1))]))
    assert fates.verdict(table) == "The one row arrived once, unaltered and in order."


def test_a_torn_line_and_junk_are_no_row_of_the_source(tmp_path):
    source, out = [row(n) for n in range(3)], tmp_path / "out9.txt"
    lines = [records.encode(seq, one) for seq, one in enumerate(source, 1)]
    out.write_bytes(b"\n".join([lines[0], b"\xff\xfe", lines[1], lines[2][:40]]))
    counts = {"arrived": 2, "lost": 1, "never in the source": 2}
    assert Counter(fates.reconcile(source, out)["fate"]) == counts


def test_paths_that_cannot_be_used(tmp_path):
    for path in (tmp_path / "out9.txt", tmp_path):
        with pytest.raises(OSError, match=r"is not there: give the file that the receiver wrote\."):
            fates.reconcile([row(1)], path)
    with pytest.raises(OSError, match="is not there"):
        fates.reconcile(tmp_path / "no.csv", as_records([]))


def test_a_pasted_row_with_a_field_more_is_altered(tmp_path):
    out, source = tmp_path / "pasted.csv", [row(n) for n in range(3)]
    lines = [",".join(one.values()) for one in source]
    out.write_text("\n".join([lines[0], lines[1] + ",more", lines[2]]), encoding="utf-8")
    assert Counter(fates.reconcile(source, out)["fate"]) == {"arrived": 2, "altered": 1}


def test_one_of_two_equal_rows_is_lost_in_lines_without_numbers(tmp_path):
    out, source = tmp_path / "out9.txt", [row(1), row(2), row(1), row(3)]
    stream.send(source[1:], f"file:{out}", format="course")
    assert Counter(fates.reconcile(source, out)["fate"]) == {"arrived": 3, "lost": 1}


def test_a_space_before_a_record_is_no_csv(tmp_path):
    out, source = tmp_path / "out9.txt", [row(1), row(2)]
    lines = [records.encode(seq, one) for seq, one in enumerate(source, 1)]
    assert records.decode(b" " + lines[0])  # so a receiver writes it
    out.write_bytes(b" " + b"\n".join(lines) + b"\n")
    assert fates.good(fates.reconcile(source, out))


def test_a_row_altered_after_a_header_that_was_sent(tmp_path):
    source = [row(n) for n in range(5)]
    sent = [{name: name for name in row(0)}, *source]
    sent[3] = sent[3] | {"name": "changed"}
    table = fates.reconcile(source, as_records(enumerate(sent, 1), sent=6))
    assert Counter(table["fate"]) == {"arrived": 4, "altered": 1, "header sent as data": 1}


def test_only_some_columns_were_sent(penguins):
    some = [{"Species": row["Species"], "Date Egg": row["Date Egg"]} for row in penguins]
    table = fates.reconcile(penguins, as_records(list(enumerate(some, 1)), sent=len(some)))
    assert fates.good(table) and "2 of the source's 17 columns were sent" in fates.verdict(table)
    some[3]["Species"] = "Emperor"
    table = fates.reconcile(penguins, as_records(list(enumerate(some, 1)), sent=len(some)))
    assert Counter(table["fate"]) == {"arrived": 167, "altered": 1}
