"""The receiving end of a stream: what is counted, what is told, and when it leaves."""

import sys
import threading
from types import SimpleNamespace

import pytest

from streamlib import records, stream
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
    assert repr(receiver.done) == "<received 60 rows; the sender ended; nothing missing or odd>"
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


@pytest.fixture
def book(monkeypatch):
    """The book of a receiver of datagrams, with a clock that stands still: `book.clock.now`."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(receiving, "time", SimpleNamespace(monotonic=lambda: clock.now))
    book = receiving._Book(receiving.Received("udp://localhost:0"), silence_s=10)
    book.clock = clock
    return book


def test_junk_does_not_keep_a_receiver_whose_senders_have_ended(book):
    sender, stranger = ("127.0.0.1", 1), ("127.0.0.1", 2)
    assert book.enter(records.encode(1, {}), sender) == "row"
    assert book.enter(records.encode_end(2), sender) == "end" and not book.is_over()
    for _ in range(20):
        book.clock.now += receiving.LATE_S / 2
        book.enter(b"junk", stranger)
    assert book.is_over()


def test_a_sender_that_falls_silent_is_waited_for_no_longer_than_it_may_be_silent(book):
    for port in (1, 2):
        book.enter(records.encode(1, {}), ("127.0.0.1", port))
    assert book.enter(records.encode_end(1), ("127.0.0.1", 1)) == "end"
    book.clock.now += 9.9
    assert not book.is_over()
    book.clock.now += 0.1
    assert book.is_over()


def test_one_sender_that_has_not_ended_is_waited_for_without_limit(book):
    assert book.enter(records.encode(1, {}), ("127.0.0.1", 1)) == "row"
    book.clock.now += 10_000
    assert not book.is_over()


def test_a_connection_that_closes_before_its_end_record_has_vanished(book):
    for sender in ("first", "second"):
        book.enter(records.encode(1, {}), sender)
    book.enter(records.encode_end(1), "first")
    book.enter(None, "first")
    assert not book.is_over() and not book.counts["vanished"]
    book.enter(None, "second")
    assert book.is_over() and book.counts["vanished"] == 1


def test_missing_numbers_and_senders_are_kept_in_bounded_memory(book):
    for port in range(2 * receiving.SENDERS):
        for seq in (2**50, 2**49):
            assert book.enter(records.encode(seq, {}), ("127.0.0.1", port)) == "row"
    assert len(book.senders) == receiving.SENDERS
    assert {len(one.gaps) for one in book.senders.values()} == {receiving.GAPS}


def test_the_end_of_a_stream_of_which_nothing_was_heard_ends_nobody(book):
    book.enter(records.encode(1, {}), "honest")
    assert book.enter(records.encode_end(9), "stranger") == ""
    assert book.counts["malformed"] == 1 and not book.is_over()
