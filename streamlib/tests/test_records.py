"""A row comes back from its record; what is not a record is refused or left out."""

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlib import records
from streamlib.rows import reading

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(st.integers(1, records.GREATEST), st.dictionaries(st.text(), JSON, max_size=4))
def test_a_row_comes_back_from_its_record(seq, row):
    line = records.encode(seq, row)
    assert b"\n" not in line and b"\r" not in line
    record = records.decode(line)
    assert (record["seq"], record["row"]) == (seq, row) and type(record["sent"]) is float


def test_an_end_record_comes_back():
    for rows in (0, 12):
        record = records.decode(records.encode_end(rows))
        assert (record["seq"], record["end"], "row" in record) == (rows, True, False)


@pytest.mark.parametrize(
    "row",
    [["a"], {"a": float("nan")}, {"a": float("inf")}, {"a": {1}}, {"a": b"x"}, {"a": "\ud800"}],
)
def test_a_row_that_json_cannot_hold_is_refused(row):
    with pytest.raises((ValueError, TypeError)):
        records.encode(1, row)


WHOLE = b'{"seq": 1, "sent": 2.5, "row": {"a": "\xc3\xa9"}}'


@pytest.mark.parametrize(
    "line",
    [
        *[WHOLE[:at] for at in range(len(WHOLE))],
        WHOLE + WHOLE,
        b"\xff" + WHOLE,
        WHOLE.replace(b'"a"', b"a"),
        *[WHOLE.replace(b"2.5", word) for word in (b"NaN", b"Infinity", b"-Infinity")],
        WHOLE.replace(b": 1", b": 1" + b"0" * 5000),
        b"[" * 60_000,
    ],
)
def test_a_line_that_is_not_json_is_refused(line):
    with pytest.raises(ValueError) as error:
        records.decode(line)
    assert "it has no seq" not in str(error.value)


@pytest.mark.parametrize(
    "line",
    [
        *[WHOLE.replace(b": 1", b": " + seq) for seq in b"0 -1 true 1.0 null".split()],
        *[WHOLE.replace(b": 1", b": %d" % seq) for seq in (2**53 + 1, 2**60, 10**4000)],
        *[WHOLE.replace(b"2.5", sent) for sent in (b'"now"', b"true", b"null", b"[]")],
        *[b'{"seq": 1, "sent": 2, "row": %s}' % row for row in (b'"a"', b"[1]", b"null", b"1")],
        *[b"[]", b"{}", b"1", b'""', b"null", b'{"seq": 1, "sent": 2}', b'{"ask": 3}'],
        b'{"seq": 1, "sent": 2, "end": 1}',
        b'{"seq": 1, "row": {}}',
        b'{"sent": 1, "row": {}}',
        b'{"seq": 0, "sent": 2, "row": "a", "end": true}',
        b'{"seq": 1, "sent": 2, "row": {"a": "1"}, "end": true}',
        b'{"seq": 1, "sent": 2, "row": {"a": "1"}, "end": false}',
        WHOLE.replace(b"2.5", b"1e999"),
        b'{"seq": 1, "sent": 2, "row": {"a": %s}}' % (b"[" * 21 + b"]" * 21),
    ],
)
def test_json_that_is_not_a_record_is_refused(line):
    json.loads(line)
    with pytest.raises(ValueError, match="it has no seq, sent and row"):
        records.decode(line)


def test_the_course_format_cannot_be_read_back():
    one, two = {"a": "x, y", "b": "z"}, {"a": "x", "b": "y, z"}
    assert records.course(one) == records.course(two) == "[x, y, z]"
    assert records.encode(1, one)[-30:] != records.encode(1, two)[-30:]


def test_records_read_from_a_file_are_the_rows_and_nothing_else(tmp_path):
    out = tmp_path / "out9.txt"
    rows = [{"a": "1\n2"}, {"a": "\u2028\r"}]
    lines = [records.encode(seq, row) for seq, row in enumerate(rows, start=1)]
    deep = b"[" * 60_000
    out.write_bytes(b"\n".join([b"\xff", *lines, deep, b"[a, b]", records.encode_end(2), b""]))
    assert [(one["seq"], one["row"]) for one in records.read(out)] == list(enumerate(rows, 1))


def test_a_line_of_any_length_costs_bounded_memory_and_no_record(tmp_path):
    out, line = tmp_path / "out9.txt", records.encode(1, {"a": "1"})
    out.write_bytes(line + b"\n" + b"x" * 30_000_000 + b"\n" + line)
    tracemalloc.start()
    try:
        assert len(list(records.read(out))) == 2
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("early", [True, False], ids=["there before", "not yet there"])
def test_a_growing_file_of_records_is_read_to_its_last_whole_line(tmp_path, monkeypatch, early):
    monkeypatch.setattr(reading, "LOOK_S", 0)
    out, line = tmp_path / "out9.txt", records.encode(1, {"a": "1"}) + b"\n"
    steps = [line[:9], line[9:] + line[:5], line[5:] + line[:-2]]
    if early:
        out.touch()

    def until():
        if not steps:
            return True
        with out.open("ab") as file:
            file.write(steps.pop(0))
        return False

    assert len(list(records.read(out, until))) == 2


def test_a_file_of_records_that_never_came_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        list(records.read(tmp_path / "out9.txt", until=lambda: True))
