"""Endpoints by URL, and rows as records: what is taken, and what is refused in one sentence."""

import contextlib
import json
import os
import re
import socket
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlib import records, wire
from streamlib.wire import udp

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def one_sentence(error):
    """Whether an error says one thing on one line, and ends it; paths may be long."""
    text = str(error.value)
    short = re.sub(r"[^\s']*/[^\s']*", "PATH", text)
    return "\n" not in text and text.endswith(".") and len(short) < 250


@pytest.mark.parametrize(
    ("url", "path", "address", "again"),
    [
        ("udp://localhost:9999", None, ("127.0.0.1", 9999), "udp://127.0.0.1:9999"),
        ("udp://:9999", None, ("127.0.0.1", 9999), "udp://127.0.0.1:9999"),
        ("udp://127.0.0.1:0", None, ("127.0.0.1", 0), "udp://127.0.0.1:0"),
        ("udp://[::1]:65535", None, ("::1", 65535, 0, 0), "udp://[::1]:65535"),
        ("file:outputs/out9.txt", Path("outputs/out9.txt"), (), "file:outputs/out9.txt"),
        ("file:/tmp/a%20b", Path("/tmp/a%20b"), (), "file:/tmp/a%20b"),
        ("file:///tmp/a%20b", Path("/tmp/a b"), (), "file:/tmp/a b"),
    ],
)
def test_urls_of_this_machine(url, path, address, again):
    endpoint = wire.parse(url)
    assert (endpoint.path, endpoint.address, endpoint.note) == (path, address, "")
    assert endpoint.url == again


@pytest.mark.parametrize(
    ("url", "words"),
    [("udp://0.0.0.0:0", "more than this machine"), ("udp://192.0.2.1:9", "unencrypted")],
)
def test_a_url_that_leaves_this_machine_says_so(url, words):
    assert words in wire.parse(url).note


@pytest.mark.parametrize(
    ("url", "words"),
    [
        *[(url, "is no endpoint of this lab") for url in ("ftp://localhost:9", "", "out9.txt")],
        *[(url, "is no endpoint of this lab") for url in ("file:", "file://", "file://x", None)],
        *[(f"udp://localhost{port}", "has no port") for port in ("", ":", ":70000", ":-1", ":x")],
        ("udp://[::1:9", "has no port"),
        ("udp://no.such.host.invalid:9999", "'no.such.host.invalid' is not known"),
        ("udp://..:9999", "is not known"),
    ],
)
def test_urls_that_name_nothing(url, words):
    with pytest.raises((ValueError, OSError), match=words) as error:
        wire.parse(url)
    assert one_sentence(error)


def test_a_port_in_use():
    with wire.source("udp://localhost:0") as first:
        with pytest.raises(OSError, match=r"Port \d+ is in use by another program") as error:
            wire.source(first.endpoint.url)
        assert one_sentence(error)
    with wire.source(first.endpoint.url) as again:  # its port is free again
        assert again.endpoint == first.endpoint


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs users as POSIX has them")
def test_a_port_that_is_not_open_to_you():
    endpoint, user = wire.parse("udp://localhost:99"), os.geteuid()
    os.seteuid(user or 65534)  # root may do everything: be nobody for a moment
    try:
        with socket.socket(type=socket.SOCK_DGRAM) as plain:
            try:
                plain.bind(endpoint.address)
                pytest.skip("this system opens every port to everybody")
            except PermissionError:
                pass
        with pytest.raises(OSError, match="Port 99 is not open to you: choose one") as error:
            udp.UdpSource(endpoint)
    finally:
        os.seteuid(user)
    assert one_sentence(error) and "in use" not in str(error.value)


def test_what_cannot_be_listened_on():
    for url in ("udp://192.0.2.1:9", "file:out9.txt"):
        with pytest.raises((OSError, ValueError), match="cannot be listened on") as error:
            wire.source(url)
        assert one_sentence(error)


def test_outputs_that_cannot_be_written(tmp_path):
    folder = tmp_path / "no" / "x"
    for path, words in [(tmp_path, "it is a folder"), (folder, "there is no folder")]:
        with pytest.raises(OSError, match=words) as error:
            wire.sink(f"file:{path.as_posix()}")
        assert one_sentence(error)


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's own")
def test_a_full_disk():
    full = pytest.raises(OSError, match=r"/dev/full takes no more \(No space left on device\)")
    with wire.sink("file:/dev/full") as sink, full as error:
        sink.send(b"{}")
    assert one_sentence(error)


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
    "row", [{"a": float("nan")}, {"a": float("inf")}, {"a": {1}}, {"a": b"x"}, {"a": "\ud800"}]
)
def test_rows_that_json_has_no_word_for(row):
    with pytest.raises((ValueError, TypeError)):
        records.encode(1, row)


WHOLE = b'{"seq": 1, "sent": 2.5, "row": {"a": "\xc3\xa9"}}'


@pytest.mark.parametrize(
    "line",
    [
        *[WHOLE[:at] for at in range(len(WHOLE))],
        b"\xff" + WHOLE,
        WHOLE.replace(b'"a"', b"a"),
        *[WHOLE.replace(b"2.5", word) for word in (b"NaN", b"Infinity", b"-Infinity")],
        WHOLE.replace(b": 1", b": 1" + b"0" * 5000),
        b"[" * 60_000,
    ],
)
def test_lines_that_are_no_json(line):
    with pytest.raises(ValueError) as error:
        records.decode(line)
    assert not isinstance(error.value, records.Malformed)


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
        b'{"seq": 1, "sent": 2, "row": {"a": "1"}, "end": false}',
        WHOLE.replace(b"2.5", b"1e999"),
        b'{"seq": 1, "sent": 2, "row": {"a": %s}}' % (b"[" * 21 + b"]" * 21),
    ],
)
def test_json_that_is_no_record(line):
    json.loads(line)
    with pytest.raises(records.Malformed):
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


def test_a_growing_file_of_records_is_read_to_its_last_whole_line(tmp_path):
    out, looks = tmp_path / "out9.txt", iter(range(100))
    line = records.encode(1, {"a": "1"}) + b"\n"
    steps = [line[:9], line[9:] + line[:5], line[5:]]

    def until():
        next(looks)  # in place of a deadline
        with contextlib.suppress(IndexError), out.open("ab") as file:
            file.write(steps.pop(0))
            return False
        return True

    assert len(list(records.read(out, until))) == 2
