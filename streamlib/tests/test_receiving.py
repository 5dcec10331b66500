"""The receiving end of a stream: what is counted, what is told, and when it leaves."""

import os
import re
import socket
import sys
import threading
from collections import Counter
from contextlib import ExitStack
from itertools import repeat
from types import SimpleNamespace

import pytest

from streamlib import records, stream, wire
from streamlib.stream import receiving
from streamlib.tests.conftest import DEADLINE_S, Receiver, aside, datagrams, stored, table, until


def test_a_receiver_leaves_at_its_limit(tmp_path):
    receiver = Receiver(tmp_path / "out9.txt", limit=3)
    datagrams(receiver.address, *[records.encode(seq, {}) for seq in range(1, 6)])
    assert (receiver.end().rows, receiver.done.ended) == (3, "limit reached")
    assert len(stored(receiver.out)) == 3 and receiver.done.ok


def test_a_limit_of_no_rows_is_refused_before_the_file_is_touched(tmp_path):
    with pytest.raises(ValueError, match=r"^limit is 0: give a whole number of rows"):
        stream.receive("udp://localhost:0", tmp_path / "out9.txt", limit=0)
    assert not (tmp_path / "out9.txt").exists()


@pytest.mark.parametrize("url", ["udp://localhost:0", "tcp://localhost:0"])
def test_the_receiver_leaves_when_the_last_of_two_senders_has_ended(tmp_path, url):
    receiver = Receiver(tmp_path / "out9.txt", url)
    first_ended = threading.Event()

    def first():
        until(lambda: b"second" in receiver.out.read_bytes())
        yield from ({"first": n} for n in range(60))

    def second():
        yield {"second": 0}
        assert first_ended.wait(DEADLINE_S)
        yield from ({"second": n} for n in range(1, 60))

    sending = aside(stream.send, second(), receiver.url)
    assert stream.send(first(), receiver.url).acknowledged
    first_ended.set()
    assert sending().acknowledged
    other = tmp_path / "out9-2.txt"
    assert receiver.end().rows == 60 and receiver.done.ok
    assert receiver.done.others == {str(other): 60}
    told = f"Rows of another sender, in {other}: 60."
    assert (receiver.done.rows, receiver.done.ended) == (60, "the sender ended")
    assert " ".join(receiver.done.problems) == told
    for name, out in (("second", receiver.out), ("first", other)):
        assert [one["row"] for one in stored(out)[:-1]] == [{name: n} for n in range(60)]


@pytest.mark.parametrize(
    ("seqs", "missing", "late", "repeated"),
    [([1, 2, 4], 1, 0, 0), ([1, 3, 2], 0, 1, 0), ([1, 1, 2], 0, 0, 1), ([3, 1, 1], 1, 1, 1)],
)
def test_sequence_numbers_tell_what_is_missing_late_and_repeated(
    tmp_path, seqs, missing, late, repeated
):
    receiver = Receiver(tmp_path / "out9.txt")
    lines = [records.encode(seq, {}) for seq in seqs]
    datagrams(receiver.address, *lines, records.encode_end(max(seqs)))
    got = receiver.end()
    assert (got.rows, got.ok, len(got.problems)) == (
        len(seqs), not missing, bool(missing) + bool(late) + bool(repeated)
    )  # fmt: skip
    assert [got.counts[kind] for kind in ("missing", "late", "repeated")] == [
        missing, late, repeated
    ]  # fmt: skip
    assert [one["seq"] for one in stored(receiver.out)] == [*seqs, max(seqs)]


def test_rows_that_come_after_the_end_are_late(tmp_path):
    receiver = Receiver(tmp_path / "out9.txt")
    lines = [records.encode(seq, {}) for seq in (1, 2, 3, 4)]
    datagrams(receiver.address, lines[0], records.encode_end(4), *lines[1:])
    assert receiver.end().rows == 4 and receiver.done.problems == [
        "3 late, after a row with a greater number."
    ]


def test_a_record_in_several_lines_is_written_as_one_and_can_be_stamped(tmp_path):
    receiver = Receiver(tmp_path / "out9.txt", stamp=True)
    row = records.encode(1, {"a": "b"}).replace(b", ", b",\r\n") + b"\n"
    datagrams(receiver.address, row, records.encode_end(1))
    assert receiver.end().ok
    record, end = stored(receiver.out)
    assert record["row"] == {"a": "b"} and abs(record["received"] - record["sent"]) < DEADLINE_S
    assert "received" not in end


def test_whoever_watches_sees_the_last_row(tmp_path):
    seen = []
    receiver = Receiver(tmp_path / "out9.txt", watch=lambda rows, line: seen.append((rows, line)))
    stream.send(table(300), receiver.url)
    assert receiver.end().rows == seen[-1][0] == 300
    assert seen[-1][1] == receiver.out.read_bytes().splitlines()[-2]
    assert [rows for rows, _ in seen] == sorted({rows for rows, _ in seen})


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's own")
def test_a_full_disk_is_one_sentence():
    receiver = Receiver("/dev/full")
    datagrams(receiver.address, records.encode(1, {}))
    for act in (receiver.end, lambda: stream.send(table(3), "file:/dev/full")):
        with pytest.raises(OSError, match=r"^/dev/full takes no more \(No space .+ again\.$"):
            act()


# Streams of several senders, each in a file of its own.


def texts(out):
    return out.read_text(encoding="utf-8").splitlines()


@pytest.fixture
def soon(monkeypatch):
    """A receiver of texts leaves after a shorter silence."""
    monkeypatch.setattr(receiving, "SILENCE_S", 0.3)


@pytest.mark.parametrize("format", ["json", "course"])
def test_rows_of_another_sender_never_land_in_the_file_of_the_first(tmp_path, format, soon):
    """Not even when they take turns from the first row on."""
    out, theirs = tmp_path / "out9.txt", tmp_path / "out9-2.txt"
    theirs.write_text("a text of somebody else\n", encoding="utf-8")
    receiver = Receiver(out, format=format)
    encode = {"json": records.encode, "course": lambda n, row: records.course(row).encode()}[format]
    with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as two:
        for n in range(1, 4):
            for name, sock in (("one", one), ("two", two)):
                sock.sendto(encode(n, {"who": name, "n": n}), receiver.address)
        if format == "json":
            for sock in (one, two):
                sock.sendto(records.encode_end(3), receiver.address)
        done = receiver.end()
    assert (done.rows, done.others, done.ok) == (3, {str(tmp_path / "out9-3.txt"): 3}, True)
    for name, file in (("one", out), ("two", tmp_path / "out9-3.txt")):
        lines = texts(file)
        assert len(lines) == 3 + (format == "json")
        assert all(name in line for line in lines[:3])
    assert theirs.read_text(encoding="utf-8") == "a text of somebody else\n"
    assert done.problems == [f"Rows of another sender, in {tmp_path / 'out9-3.txt'}: 3."]


def test_a_sender_that_comes_after_the_first_has_ended_gets_a_file_of_its_own(tmp_path, soon):
    receiver = Receiver(tmp_path / "out9.txt", format="course")
    for name in (b"first", b"second"):
        datagrams(receiver.address, *[name + b" %d" % n for n in range(3)])
    assert receiver.end().rows == 3
    assert texts(receiver.out) == [f"first {n}" for n in range(3)]
    assert texts(tmp_path / "out9-2.txt") == [f"second {n}" for n in range(3)]


@pytest.mark.parametrize("format", ["json", "course"])
def test_a_sender_that_opens_a_socket_for_each_row_is_one_sender(tmp_path, format, soon):
    receiver = Receiver(tmp_path / "out9.txt", format=format)
    for n in range(1, 6):
        line = records.encode(n, {"n": n}) if format == "json" else b"row %d" % n
        datagrams(receiver.address, line)
    if format == "json":
        datagrams(receiver.address, records.encode_end(5))
    done = receiver.end()
    assert (done.rows, done.others, done.problems) == (5, {}, [])


def test_nothing_is_put_beside_what_is_not_a_file(tmp_path, soon):
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    receiver = Receiver(pipe, format="course")
    for name in (b"first", b"second"):
        datagrams(receiver.address, name, name)
    assert receiver.end().rows == 4 and list(tmp_path.iterdir()) == [pipe]
    assert os.read(reader, 100) == b"first\nfirst\nsecond\nsecond\n"
    os.close(reader)


def test_where_no_other_file_can_be_opened_nothing_is_lost(tmp_path, monkeypatch, soon):
    monkeypatch.setattr(receiving, "SENDERS", 1)
    receiver = Receiver(tmp_path / "out9.txt", format="course")
    for name in (b"first", b"second"):
        datagrams(receiver.address, name, name)
    assert (receiver.end().rows, receiver.done.others) == (4, {})
    assert texts(receiver.out) == ["first", "first", "second", "second"]


# What senders of a learner's own send.


SENT_AND_WRITTEN = {
    "as the course has it": (b"[2024-01-01, Ames, 3]", b"[2024-01-01, Ames, 3]"),
    "a line end": (b"[2024-01-01, Ames, 3]\r\n", b"[2024-01-01, Ames, 3]"),
    "blanks and an empty last field": (b"a\tb\t", b"a\tb\t"),
    "a field of two lines": (b"[1, a\nb]", b"[1, a b]"),
    "a dict as JSON": (b'{"Day": "2024-01-01"}', b'{"Day": "2024-01-01"}'),
    "a dict as Python shows it": (b"{'Day': '2024-01-01'}", b"{'Day': '2024-01-01'}"),
    "letters of other encodings": (b"\xa3\xf3d\x9f", b"\xa3\xf3d\x9f"),
    "a large row": (b"x" * 65_000, b"x" * 65_000),
    "half a record": (b'{"seq": 1, "sent": 1, "row"', b'{"seq": 1, "sent": 1, "row"'),
    "a closing NUL": (b"1,a\0", b"1,a"),
}


def test_each_text_is_a_line_as_it_was_sent(tmp_path, soon):
    receiver = Receiver(tmp_path / "out9.txt", format="course")
    datagrams(receiver.address, *[sent for sent, _ in SENT_AND_WRITTEN.values()])
    assert receiver.end().ended == "the sender fell silent" and receiver.done.problems == []
    assert receiver.out.read_bytes().split(b"\n") == [
        *[written for _, written in SENT_AND_WRITTEN.values()], b""
    ]  # fmt: skip


def test_an_empty_message_is_not_a_row_and_a_text_can_be_stamped(tmp_path, soon):
    receiver = Receiver(tmp_path / "out9.txt", format="course", stamp=True)
    datagrams(receiver.address, b"[1, a]", b"", b"\n", b"[2, b]\n", b"")
    assert receiver.end().rows == 2 and receiver.done.ok
    times = r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d"
    first, second = texts(receiver.out)
    assert re.fullmatch(rf"{times} \[1, a\]", first) and re.fullmatch(rf"{times} \[2, b\]", second)


def test_texts_over_tcp_are_waited_for_though_their_sender_left(tmp_path, soon):
    receiver = Receiver(tmp_path / "out9.txt", "tcp://localhost:0", format="course")
    for name in (b"first", b"second"):
        with socket.create_connection(receiver.address) as client:
            client.sendall(name + b"\n" + name)
    assert receiver.end().rows == 2 and receiver.done.ok
    assert texts(receiver.out) == ["first"] * 2
    assert texts(tmp_path / "out9-2.txt") == ["second"] * 2


def test_a_stamp_cuts_nothing_off_a_record_with_an_odd_blank_behind_it(tmp_path):
    receiver = Receiver(tmp_path / "out9.txt", stamp=True)
    datagrams(
        receiver.address, records.encode(1, {"a": 1}) + "\u00a0".encode(), records.encode_end(1)
    )
    assert receiver.end().ok and stored(receiver.out)[0]["row"] == {"a": 1}


def test_a_receiver_of_texts_leaves_after_a_silence_but_not_before_something_came(clock):
    book = receiving._Book(Counter(), texts=True, files=repeat(None))
    clock.now += 1000
    assert not is_over(book)
    assert book.enter(b"[1, a]", "sender") == "row"
    clock.now += receiving.SILENCE_S - 0.1
    assert not is_over(book) and book.enter(b"", "sender") == "echo"
    clock.now += 0.1
    assert is_over(book) and not any(book.counts.values())


def test_the_first_text_is_told_at_once_with_the_option_that_takes_it(book, capsys):
    for line in (b"[2024-01-01, \x1b[31mAmes, 3]", b"more"):
        assert book.enter(line, "sender") == ""
    told = r"b'[2024-01-01, \x1b[31mAmes, 3]' came, not a record: "
    assert capsys.readouterr().out == f"{told}--format course takes any text.\n"
    assert "--format course" in receiving.TROUBLE["malformed"]


# What is known of a loss.


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what it dropped")
@pytest.mark.parametrize("options", [{"format": "course"}, {"limit": 100}])
def test_what_the_system_dropped_is_a_loss_in_every_format(tmp_path, monkeypatch, soon, options):
    all_sent = threading.Event()

    def when_all_are_sent(file, line, write=wire.FileSink.send):
        assert all_sent.wait(DEADLINE_S)
        write(file, line)

    monkeypatch.setattr(wire.FileSink, "send", when_all_are_sent)
    receiver = Receiver(tmp_path / "out9.txt", **options)
    encode = records.encode if "limit" in options else lambda n, row: b"[%d]" % n
    datagrams(receiver.address, *[encode(n, {}) for n in range(1, 20_000)])
    all_sent.set()
    assert receiver.end().counts["dropped"] > 0 and not receiver.done.ok


@pytest.mark.parametrize(
    ("kind", "ok"),
    [("missing", False), ("malformed", False), ("dropped", False),
     ("late", True), ("repeated", True), ("vanished", True)],
)  # fmt: skip
def test_all_trouble_is_told_but_only_a_known_loss_is_not_ok(kind, ok):
    received = receiving.Received()
    received.counts[kind] = 1
    assert received.ok is ok and received.problems[0].startswith(f"1 {kind}")
    assert set(receiving.TROUBLE) >= {kind}


def test_of_a_sender_that_vanished_it_is_not_known_whether_it_sent_more(tmp_path):
    receiver = Receiver(tmp_path / "out9.txt", "tcp://localhost:0")
    with socket.create_connection(receiver.address) as client:
        client.sendall(records.encode(1, {}) + b"\n")
    assert receiver.end().ok and receiver.done.ended == "the sender vanished"
    [problem] = receiver.done.problems
    assert problem.endswith("whether they sent more is not known.")


def is_over(book, grace_s=0):
    return receiving.time.monotonic() >= book.over_at() + grace_s


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still: `clock.now`."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(receiving, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.fixture
def book(clock):
    """The book of a receiver of datagrams; its clock stands still: `book.clock.now`."""
    book = receiving._Book(Counter(), texts=False, files=repeat(None))
    book.clock = clock
    return book


def test_junk_does_not_keep_a_receiver_whose_senders_have_ended(book):
    sender, stranger = ("127.0.0.1", 1), ("127.0.0.1", 2)
    assert book.enter(records.encode(1, {}), sender) == "row"
    assert book.enter(records.encode_end(2), sender) == "end" and not is_over(book)
    for _ in range(20):
        book.clock.now += receiving.LATE_S / 2
        book.enter(b"junk", stranger)
    assert is_over(book)


def test_a_sender_that_falls_silent_is_waited_for_no_longer_than_it_may_be_silent(book):
    for sender in ("first", "second"):
        book.enter(records.encode(1, {}), sender)
    assert book.enter(records.encode_end(1), "first") == "end"
    book.clock.now += receiving.SILENCE_S - 0.1
    assert not is_over(book)
    book.clock.now += 0.1
    assert is_over(book)


def test_one_sender_that_has_not_ended_is_waited_for_without_limit(book):
    assert book.enter(records.encode(1, {}), ("127.0.0.1", 1)) == "row"
    book.clock.now += 10_000
    assert not is_over(book)


def test_a_connection_that_closes_before_its_end_record_has_vanished(book):
    for sender in ("first", "second"):
        book.enter(records.encode(1, {}), sender)
    book.enter(records.encode_end(1), "first")
    book.enter(None, "first")
    assert not is_over(book) and not book.counts["vanished"]
    book.enter(None, "second")
    assert is_over(book) and book.counts["vanished"] == 1


def test_missing_numbers_and_senders_are_kept_in_bounded_memory(book):
    for port in range(2 * receiving.SENDERS):
        for seq in (2**50, 2**49):
            assert book.enter(records.encode(seq, {}), ("127.0.0.1", port)) == "row"
    assert len(book.senders) == receiving.SENDERS
    assert {len(one.gaps) for one in book.senders.values()} == {receiving.GAPS}


def test_the_end_of_a_stream_of_which_nothing_was_heard_ends_nobody(book):
    book.enter(records.encode(1, {}), "honest")
    assert book.enter(records.encode_end(9), "stranger") == ""
    assert book.counts["malformed"] == 1 and not is_over(book)


# Strangers.


FIRST, STRANGER = ("127.0.0.1", 1), ("127.0.0.1", 2)


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_the_end_of_a_strangers_stream_does_not_end_the_first(book, rows):
    """Not even while the first pauses."""
    assert book.enter(records.encode(1, {}), FIRST) == "row"
    for seq in range(1, rows + 1):
        assert book.enter(records.encode(seq, {}), STRANGER) == "row"
    assert book.enter(records.encode_end(rows), STRANGER) == ("end" if rows else "echo")
    book.clock.now += receiving.QUIET_S - 0.1
    assert not is_over(book)
    book.enter(records.encode(2, {}), FIRST)
    assert book.enter(records.encode_end(2), FIRST) == "end" and is_over(book)


def test_the_end_of_a_stream_without_rows_is_answered_and_ends_nobody(tmp_path):
    receiver = Receiver(tmp_path / "out9.txt")
    assert stream.send([], receiver.url).acknowledged
    assert stream.send(table(3), receiver.url).acknowledged
    assert receiver.end().rows == 3 and receiver.done.problems == []


def test_no_strangers_end_follows_a_row_from_a_socket_of_its_own(tmp_path):
    receiver = Receiver(tmp_path / "out9.txt")
    for line in (records.encode(1, {}), records.encode_end(9), records.encode(2, {})):
        datagrams(receiver.address, line)
    datagrams(receiver.address, records.encode_end(2))
    assert (receiver.end().rows, receiver.done.others) == (2, {})
    assert +receiver.done.counts == {"malformed": 1}


def test_junk_does_not_part_a_sender_that_opens_a_socket_for_each_row(book):
    book.enter(records.encode(1, {}), ("127.0.0.1", 1))
    assert book.enter(b"junk", STRANGER) == "" and book.lone == ("127.0.0.1", 1)


@pytest.mark.parametrize("url", ["udp://localhost:0", "tcp://localhost:0"])
@pytest.mark.parametrize("is_first", [False, True])
def test_100_strangers_hide_no_loss_and_keep_no_receiver(tmp_path, monkeypatch, url, is_first):
    """They send a row each and stay, before the honest sender comes or after its first row."""
    monkeypatch.setattr(receiving, "SILENCE_S", 0.3)
    monkeypatch.setattr(receiving, "QUIET_S", 0.3)
    receiver = Receiver(tmp_path / "out9.txt", url)
    kind = socket.SOCK_DGRAM if url.startswith("udp") else socket.SOCK_STREAM

    def client():
        sock = opened.enter_context(socket.socket(type=kind))
        sock.connect(receiver.address)
        return sock

    with ExitStack() as opened:
        strangers = [] if is_first else [client() for _ in range(99)]
        for sock in strangers:
            sock.send(records.encode(1, {}) + b"\n")
        honest = client()
        honest.send(records.encode(1, {}) + b"\n")
        if is_first:
            until(receiver.out.read_bytes)
            for sock in [client() for _ in range(110)]:
                sock.send(records.encode(1, {}) + b"\n")
        for line in (records.encode(3, {}), records.encode_end(3)):
            honest.send(line + b"\n")
        done = receiver.end()
    assert done.counts["missing"] == 1 and not done.ok


def test_the_101st_sender_is_accounted_for_and_the_first_never_forgotten(book):
    for port in range(1, 2 * receiving.SENDERS):
        book.clock.now += 0.01
        book.enter(records.encode(1, {}), ("127.0.0.1", port))
    assert len(book.senders) == receiving.SENDERS and FIRST in book.senders
    late = ("127.0.0.1", 2 * receiving.SENDERS - 1)
    book.enter(records.encode(3, {}), late)
    assert book.counts["missing"] == 1 and book.counts["vanished"] == receiving.SENDERS - 1


def test_a_stranger_that_never_pauses_does_not_keep_a_receiver(book):
    book.enter(records.encode(1, {}), FIRST)
    book.enter(records.encode_end(1), FIRST)
    for seq in range(1, 100):
        book.clock.now += receiving.SILENCE_S / 90
        book.enter(records.encode(seq, {}), STRANGER)
    assert is_over(book) and not is_over(book, receiving.DRAIN_S)


def test_of_two_receivers_on_one_file_the_second_is_refused(tmp_path):
    pytest.importorskip("fcntl")
    receiver = Receiver(tmp_path / "out9.txt")
    datagrams(receiver.address, records.encode(1, {"n": 1}))
    until(receiver.out.read_bytes)
    refused = pytest.raises(OSError, match=r"out9\.txt is in use: end its other writer")
    for second in (
        lambda: stream.receive("udp://localhost:0", receiver.out),
        lambda: stream.receive("tcp://localhost:0", tmp_path / "." / "out9.txt"),
        lambda: stream.send(table(3), f"file:{receiver.out}"),
    ):
        with refused:
            second()
    datagrams(receiver.address, records.encode(2, {}), records.encode_end(2))
    assert receiver.end().rows == 2 and len(stored(receiver.out)) == 3
    assert stream.send(table(3), f"file:{receiver.out}").ok  # it is free again


def test_of_connections_heard_at_the_same_moment_one_makes_room(book):
    """A clock may tick every 16 ms, and connections cannot be compared."""
    connections = [object() for _ in range(receiving.SENDERS + 1)]
    for one in connections:
        assert book.enter(records.encode(1, {}), one) == "row"
    assert len(book.senders) == receiving.SENDERS and book.senders[connections[0]] is book.first
