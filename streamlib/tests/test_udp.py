"""Datagrams: a window that keeps a fast sender in step, and a sender that nobody answers."""

import threading
import time

import pytest

from streamlib import records, stream, wire
from streamlib.tests.conftest import (
    DEADLINE_S,
    Receiver,
    aside,
    datagrams,
    stored,
    table,
)
from streamlib.wire import udp


@pytest.mark.parametrize(("number", "width"), [(3000, 10), (400, 9_000), (60, 60_000)])
def test_at_full_speed_every_row_arrives_once_and_in_order(tmp_path, number, width):
    receiver, sent = Receiver(tmp_path / "out9.txt"), table(number, width)
    done, received = stream.send(sent, receiver.url), receiver.end()
    assert (done.rows, done.ok, done.acknowledged) == (number, True, True)
    assert done.ended == "all rows sent"
    assert received.ok and received.ended == "the sender ended"
    *arrived, end = stored(receiver.out)
    assert [(one["seq"], one["row"]) for one in arrived] == list(enumerate(sent, 1))
    assert (end["seq"], end["end"]) == (number, True)


@pytest.mark.parametrize("size", [1, 60, 190, 256, 1000, 16_384, 16_385, 65_507])
def test_the_receive_buffer_holds_the_windows_of_two_senders(size):
    """As between fast senders and a slow receiver: always two windows under way."""
    window = [b"x" * size] * (udp.WINDOW // (size + udp.OVERHEAD) + 1) + [b'{"ask": 99}']
    with wire.source("udp://localhost:0") as source:
        arrivals, arrived = iter(source), 0
        for _ in range(2):
            datagrams(source.endpoint.address, *window)
        for _ in range(40):
            arrived += sum(next(arrivals) is not None for _ in window)
            datagrams(source.endpoint.address, *window)
        arrived += sum(next(arrivals) is not None for _ in range(2) for _ in window)
        assert arrived == 42 * len(window)


def test_two_senders_at_full_speed_wait_for_a_slower_receiver(tmp_path, monkeypatch):
    def slowly(file, line, write=wire.FileSink.send):
        write(file, line)
        time.sleep(0.0003)  # as a slow disk would

    monkeypatch.setattr(wire.FileSink, "send", slowly)
    receiver, begun = Receiver(tmp_path / "out9.txt"), threading.Barrier(2, timeout=DEADLINE_S)

    def begin_together():
        for n, row in enumerate(table(1500, 150)):
            if n == 1:
                begun.wait()  # both of them have been heard
            yield row

    sending = [aside(stream.send, begin_together(), receiver.url) for _ in range(2)]
    assert all(result().ok for result in sending)
    assert (receiver.end().rows, receiver.done.counts["missing"]) == (1500, 0)
    assert list(receiver.done.others.values()) == [1500]


def test_what_a_full_buffer_drops_is_counted_as_missing(tmp_path, monkeypatch):
    """The receiver cannot write its first row until all have been sent: its buffer overflows."""
    all_sent, sent = threading.Event(), 20_000

    def when_all_are_sent(file, line, write=wire.FileSink.send):
        assert all_sent.wait(DEADLINE_S)
        write(file, line)

    monkeypatch.setattr(wire.FileSink, "send", when_all_are_sent)
    receiver = Receiver(tmp_path / "out9.txt")
    with wire.sink(receiver.url) as sink:  # with a pace nothing holds it back
        for seq in range(1, sent + 1):
            sink.send(records.encode(seq, {}))
        all_sent.set()
        sink.end(records.encode_end(sent))
    received = receiver.end()
    counts = received.counts
    assert sink.acknowledged and received.rows + counts["missing"] == sent
    assert counts["missing"] > 0 and not received.ok
    assert f"{counts['missing']:,} missing" in received.problems[0]
    assert len(stored(receiver.out)) == received.rows + 1


@pytest.mark.parametrize("every", [None, 0.01])
def test_the_end_of_a_short_stream_is_acknowledged(tmp_path, every):
    """Too short for a question: only the echo of the end record can tell."""
    receiver = Receiver(tmp_path / "out9.txt")
    assert stream.send(table(3), receiver.url, every=every).acknowledged
    assert receiver.end().ok


@pytest.mark.parametrize("every", [None, 0])
def test_rows_sent_to_nobody_are_refused(nobody, every):
    done = stream.send(table(300), nobody, every=every)
    assert (done.rows, done.acknowledged, done.ok) == (300, False, False)
    assert "start a receiver first" in done.problems[-1]


def test_a_listener_that_never_answers_gets_the_rows_all_the_same():
    with wire.source("udp://localhost:0") as deaf:
        done = stream.send(table(150), deaf.endpoint.url)
    assert (done.rows, done.acknowledged) == (150, False)
    assert done.problems == ["The receiver acknowledged nothing, so nothing kept it in step."]


def test_a_line_too_long_for_a_datagram_is_refused(nobody):
    with wire.sink(nobody) as sink, pytest.raises(ValueError, match=r"^70,000 bytes do not get"):
        sink.send(b"x" * 70_000)


@pytest.mark.parametrize("line", [b'{"ask": 1}', b'{"seq": 0, "end": true}', b""])
def test_two_receivers_do_not_answer_each_other_without_end(line):
    """As after one datagram that bears the address of the other."""
    with wire.source("udp://localhost:0") as one, wire.source("udp://localhost:0") as other:
        one.reply(line, other.endpoint.address)
        answers, silent = 0, 0
        while silent < 2 and answers < 1000:
            silent = 0
            for source in (one, other):
                item = next(iter(source))
                silent += item is None
                if item:
                    answers += 1
                    source.reply(*item)
        assert udp.ASKS <= answers <= 2 * udp.ASKS


def test_other_questions_are_still_answered():
    with wire.source("udp://localhost:0") as source, wire.source("udp://localhost:0") as asking:
        for number in range(3 * udp.ASKS):
            source.reply(b'{"ask": %d}' % number, asking.endpoint.address)
            assert next(iter(asking))[0] == b'{"ask": %d}' % number
