"""Rows as a stream: what arrives, what is counted as missing, and how a stream ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from itertools import count, pairwise
from types import SimpleNamespace

import pytest

from streamlib import home, records, rows, stream, wire
from streamlib.stream import receiving, sending, stopping
from streamlib.wire import udp

DEADLINE_S = 30  # who waits for another thread or process longer than that, fails


class Receiver:
    """A receiver in a thread of its own, once its port is open: `url`, `address`, `end()`."""

    def __init__(self, out, **options):
        self.out, self.error, self.done, self._open = out, None, None, threading.Event()
        self._thread = threading.Thread(target=self._run, args=(options,), daemon=True)
        self._thread.start()
        assert self._open.wait(DEADLINE_S), "its port did not open"
        if self.error:
            raise self.error

    def _run(self, options):
        try:
            self.done = stream.receive(
                "udp://localhost:0", self.out, listening=self._listening, **options
            )
        except BaseException as error:
            self.error = error
        self._open.set()

    def _listening(self, endpoint):
        self.url, self.address = endpoint.url, endpoint.address
        self._open.set()

    def end(self):
        """Return what it received, when it has left by itself."""
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive(), "the receiver did not leave"
        if self.error:
            raise self.error
        return self.done


def aside(function, *arguments, **options):
    """Call a function in a thread; return what waits for its result, with a deadline."""
    results = []
    thread = threading.Thread(
        target=lambda: results.append(function(*arguments, **options)), daemon=True
    )
    thread.start()

    def result():
        thread.join(DEADLINE_S)
        assert not thread.is_alive() and results, "it did not end, or raised an error"
        return results[0]

    return result


def table(number, width=10):
    """So many rows, all of them different."""
    return [{"n": str(n), "text": "x" * width} for n in range(number)]


def stored(out):
    """Return the records in a file, each of which stands on a line of its own, whole."""
    data = out.read_bytes()
    assert data.endswith(b"\n") or not data
    return [records.decode(line) for line in data.split(b"\n")[:-1]]


def datagrams(address, *lines):
    """Send lines as one sender would, each one datagram; to this machine only."""
    with socket.socket(type=socket.SOCK_DGRAM) as sender:
        for line in lines:
            sender.sendto(line, address)


@pytest.fixture
def nobody():
    """The URL of a port on which nobody listens."""
    with wire.source("udp://localhost:0") as source:
        url = source.endpoint.url
    return url


@pytest.mark.parametrize(("number", "width"), [(3000, 10), (400, 9_000), (60, 60_000)])
def test_at_full_speed_every_row_arrives_once_and_in_order(tmp_path, number, width):
    receiver, sent = Receiver(tmp_path / "out9.txt"), table(number, width)
    done, received = stream.send(sent, receiver.url), receiver.end()
    assert (done.rows, done.ok, done.acknowledged) == (number, True, True)
    assert done.stopped == "all rows sent"
    assert received.ok and not received.drops and received.stopped == "the sender ended"
    *arrived, end = stored(receiver.out)
    assert [(one["seq"], one["row"]) for one in arrived] == list(enumerate(sent, 1))
    assert (end["seq"], end["end"]) == (number, True)


@pytest.mark.parametrize("size", [60, 190, 256, 1000, 16_384, 16_385, 65_507])
def test_the_buffer_holds_a_window_of_flow_control(size):
    """As between a fast sender and a slow receiver: always one window under way, step by step."""
    half = [b"x" * size] * max(1, min(udp.HALF_ROWS, udp.HALF_BYTES // size)) + [b'{"ask": 99}']
    with wire.source("udp://localhost:0") as source:
        arrivals, arrived = iter(source), 0
        datagrams(source.endpoint.address, *half)
        for _ in range(40):
            datagrams(source.endpoint.address, *half)
            arrived += sum(next(arrivals) is not None for _ in half)
        assert arrived + sum(next(arrivals) is not None for _ in half) == 41 * len(half)


def test_flow_control_of_two_senders_waits_for_a_receiver_that_is_slower(tmp_path, monkeypatch):
    def slowly(file, line, write=wire.write_line):
        write(file, line)
        time.sleep(0.0003)  # as a slow disk would

    monkeypatch.setattr(wire, "write_line", slowly)
    receiver, begun = Receiver(tmp_path / "out9.txt"), threading.Barrier(2, timeout=DEADLINE_S)

    def begin_together():
        for n, row in enumerate(table(1500, 150)):
            if n == 1:
                begun.wait()  # both of them have been heard
            yield row

    sending = [aside(stream.send, begin_together(), receiver.url) for _ in range(2)]
    assert all(result().ok for result in sending)
    received = receiver.end()
    assert (received.rows, received.missing) == (3000, 0)


def test_without_flow_control_what_is_missing_was_dropped(tmp_path, monkeypatch):
    """The receiver cannot write its first row until all have been sent: its buffer overflows."""
    all_sent, overflow = threading.Event(), 20_000

    def when_all_are_sent(file, line, write=wire.write_line):
        assert all_sent.wait(DEADLINE_S)
        write(file, line)

    def rows_of_it():
        yield from table(overflow)
        all_sent.set()

    monkeypatch.setattr(wire, "write_line", when_all_are_sent)
    receiver = Receiver(tmp_path / "out9.txt")
    done, received = stream.send(rows_of_it(), receiver.url, flow_control=False), receiver.end()
    assert done.rows == overflow == received.rows + received.missing
    assert received.missing > 0 and not received.ok
    assert received.drops is None or received.missing <= received.drops <= received.missing + 3
    assert len(stored(receiver.out)) == received.rows + 1
    assert f"{received.missing:,} missing" in repr(received)


@pytest.mark.parametrize("every", [None, 0.01])
def test_the_end_of_a_short_stream_is_acknowledged(tmp_path, every):
    """Too short for a question of flow control: only the echo of the end record can tell."""
    receiver = Receiver(tmp_path / "out9.txt")
    assert stream.send(table(3), receiver.url, every=every).acknowledged
    assert receiver.end().ok


def test_with_a_pace_and_a_limit_an_endless_source_ends(tmp_path):
    receiver, drawn = Receiver(tmp_path / "out9.txt"), []

    def endless():
        for n in count():
            drawn.append(n)
            yield {"n": n}

    done = stream.send(endless(), receiver.url, every=(0, 0.1), limit=12, seed=1)
    assert (done.rows, done.stopped, done.ok) == (12, "limit reached", True)
    assert receiver.end().rows == 12 and receiver.done.ok and drawn == list(range(12))


def test_a_receiver_leaves_at_its_limit(tmp_path):
    receiver = Receiver(tmp_path / "out9.txt", limit=3)
    datagrams(receiver.address, *[records.encode(seq, {}) for seq in range(1, 6)])
    assert (receiver.end().rows, receiver.done.stopped) == (3, "limit reached")
    assert len(stored(receiver.out)) == 3


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_that_is_none_is_refused(tmp_path, limit):
    with pytest.raises(ValueError, match=f"^limit is {limit}: give a whole number of rows"):
        stream.receive("udp://localhost:0", tmp_path / "out9.txt", limit=limit)
    with pytest.raises(ValueError, match=f"^limit is {limit}: give a whole number of rows"):
        stream.send(table(3), f"file:{tmp_path / 'out9.txt'}", limit=limit)
    assert not (tmp_path / "out9.txt").exists()


def test_the_course_format_arrives_as_text(tmp_path):
    receiver, sent = Receiver(tmp_path / "out9.txt", limit=3, format="course"), table(3)
    done = stream.send(sent, receiver.url, format="course")
    assert done.ok and receiver.end().rows == 3
    text = receiver.out.read_text(encoding="utf-8")
    assert text == "".join(records.course(row) + "\n" for row in sent)


def test_a_file_takes_the_same_as_a_receiver(tmp_path):
    out, sent = tmp_path / "out99.txt", table(20)
    assert stream.send(sent, f"file:{out}").ok
    assert [one.get("row") for one in stored(out)] == [*sent, None]


def test_rows_sent_to_nobody(nobody):
    done = stream.send(table(300), nobody)
    assert (done.rows, done.acknowledged, done.ok) == (300, False, False)
    assert done.refused > 0 and "start a receiver first" in done.problems[-1]


def test_a_listener_that_never_answers():
    with wire.source("udp://localhost:0") as deaf:
        done = stream.send(table(150), deaf.endpoint.url)
    assert (done.rows, done.refused, done.acknowledged) == (150, 0, False)
    assert done.problems == ["Nobody acknowledged anything: it was sent without flow control."]


def test_the_receiver_leaves_when_the_last_of_two_senders_has_ended(tmp_path):
    receiver = Receiver(tmp_path / "out9.txt")
    second_begun, first_ended = threading.Event(), threading.Event()

    def first():
        assert second_begun.wait(DEADLINE_S)
        yield from ({"first": n} for n in range(60))

    def second():
        yield {"second": 0}
        second_begun.set()
        assert first_ended.wait(DEADLINE_S)
        yield from ({"second": n} for n in range(1, 60))

    sending = aside(stream.send, second(), receiver.url)
    assert stream.send(first(), receiver.url).acknowledged
    first_ended.set()
    assert sending().acknowledged
    assert receiver.end().rows == 120 and receiver.done.ok
    arrived = [one["row"] for one in stored(receiver.out) if "row" in one]
    for name in ("first", "second"):
        assert [row[name] for row in arrived if name in row] == list(range(60))


@pytest.mark.parametrize(
    ("seqs", "missing", "late", "repeated"),
    [([1, 2, 4], 1, 0, 0), ([1, 3, 2], 0, 1, 0), ([1, 1, 2], 0, 0, 1), ([3, 1, 1], 1, 1, 1)],
)
def test_counters_by_sequence_number(tmp_path, seqs, missing, late, repeated):
    receiver = Receiver(tmp_path / "out9.txt")
    lines = [records.encode(seq, {}) for seq in seqs]
    datagrams(receiver.address, *lines, records.encode_end(max(seqs)))
    got = receiver.end()
    assert (got.rows, got.missing, got.late, got.repeated) == (len(seqs), missing, late, repeated)
    assert [one["seq"] for one in stored(receiver.out)] == [*seqs, max(seqs)]


def test_rows_that_come_after_the_end_are_late(tmp_path):
    receiver = Receiver(tmp_path / "out9.txt")
    lines = [records.encode(seq, {}) for seq in (1, 2, 3, 4)]
    datagrams(receiver.address, lines[0], records.encode_end(4), *lines[1:])
    assert (receiver.end().rows, receiver.done.missing, receiver.done.late) == (4, 0, 3)


@pytest.fixture
def book(monkeypatch):
    """The book of a receiver, with a clock that stands still: `book.clock.now`."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(receiving, "time", SimpleNamespace(monotonic=lambda: clock.now))
    book = receiving._Book(receiving.Received("udp://localhost:0"))
    book.clock = clock
    return book


def test_junk_does_not_keep_a_receiver_whose_senders_have_ended(book):
    sender, stranger = ("127.0.0.1", 1), ("127.0.0.1", 2)
    assert book.enter(records.encode(1, {}), sender) == "row"
    assert book.enter(records.encode_end(2), sender) == "end" and not book.is_over()
    for _ in range(20):
        book.clock.now += receiving.LINGER_S / 2
        book.enter(b"junk", stranger)
    assert book.is_over()


def test_missing_numbers_are_kept_in_bounded_memory(book):
    for port in range(1, 11):
        book.enter(records.encode(2**50, {}), ("127.0.0.1", port))
    assert len(book.gaps) == receiving.GAPS


def test_a_row_too_large_for_a_datagram(tmp_path):
    source = tmp_path / "large.csv"
    lines = ["n,text", "1,x", "2,x", f"3,{'x' * 70_000}", "4,x"]
    source.write_text("\n".join(lines), encoding="utf-8")
    receiver = Receiver(tmp_path / "out9.txt")
    with pytest.raises(ValueError, match=r"^line 4 cannot be sent: 70,0\d\d bytes do not") as error:
        stream.send(rows.read(source), receiver.url)
    assert "send fewer columns, or cut the field in parts." in str(error.value)
    assert receiver.end().ok and [one["seq"] for one in stored(receiver.out)] == [1, 2, 2]


def test_a_row_that_json_has_no_word_for(tmp_path):
    out = tmp_path / "out9.txt"
    with pytest.raises(ValueError, match=r"^row 2 cannot be sent: .+\.$"):
        stream.send([{"a": 1.5}, {"a": float("nan")}, {"a": 2}], f"file:{out}")
    assert [one["seq"] for one in stored(out)] == [1, 1]


def test_a_connection_that_the_source_lost_is_not_the_receivers(tmp_path):
    def source():
        yield {"n": 1}
        raise ConnectionResetError("the source's own")

    with pytest.raises(ConnectionResetError, match="the source's own"):
        stream.send(source(), f"file:{tmp_path / 'out9.txt'}")


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's own")
def test_a_full_disk_is_one_sentence():
    receiver = Receiver("/dev/full")
    datagrams(receiver.address, records.encode(1, {}))
    for act in (receiver.end, lambda: stream.send(table(3), "file:/dev/full")):
        with pytest.raises(OSError, match=r"^/dev/full takes no more \(No space .+ again\.$"):
            act()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"format": "xml"}, "choose from json and course"),
        ({"limit": -1}, "limit is -1: give a whole number"),
        ({"limit": 1.5}, "limit is 1.5"),
        *[({"every": every}, "every is") for every in (-1, float("nan"), "3", True, 4000)],
        *[({"every": every}, "every is") for every in ((3, 1), (1, 2, 3), (), (-1, 1))],
    ],
)
def test_what_cannot_be_sent_so(tmp_path, options, words):
    with pytest.raises(ValueError, match=words):
        stream.send(table(3), f"file:{tmp_path / 'out9.txt'}", **options)


def test_a_pace_that_makes_no_sense_is_refused_before_anything_is_touched(tmp_path):
    out = tmp_path / "out9.txt"
    out.write_text("from before", encoding="utf-8")
    with pytest.raises(ValueError, match="the smaller first"):
        stream.send(table(3), f"file:{out}", every=(3, 1))
    assert out.read_text(encoding="utf-8") == "from before"


@pytest.fixture
def clock(monkeypatch):
    """A clock that only sleeping moves, which always takes a little too long."""
    clock = SimpleNamespace(now=50.0, late=0.001)

    def sleep(seconds):
        clock.now += seconds + clock.late

    fake = SimpleNamespace(perf_counter=lambda: clock.now, sleep=sleep)
    monkeypatch.setattr(sending, "time", fake)
    return clock


def moments(clock, every, seed=None, number=40, busy=lambda n: 0):
    """When each item came, in seconds of a lesson, if one is busy after each."""
    found = []
    for n in stream.pace(range(number), every, seed):
        found.append((clock.now - 50) / home.scale())
        clock.now += home.scale() * busy(n)
    assert len(found) == number
    return found


def test_a_pace_is_kept_however_late_one_was(clock):
    late = {10: 3.5, 20: 1.2}  # seconds that somebody needed for an item; for others 0.7
    found = moments(clock, 1, busy=lambda n: late.get(n, 0.7))
    slack = 2 * clock.late / home.scale()
    behind = {11: 2.5, 12: 2.2, 13: 1.9, 14: 1.6, 15: 1.3, 16: 1.0, 17: 0.7, 18: 0.4, 19: 0.1}
    for n, moment in enumerate(found):
        assert -1e-6 <= moment - n - behind.get(n, 0.2 if n == 21 else 0) <= slack


def test_random_pauses_keep_their_bounds_and_repeat_with_their_seed(clock):
    clock.late = 0
    found = []
    for seed in (1, 1, 2):
        clock.now = 50.0
        found.append(moments(clock, (1, 3), seed))
    assert found[0] == found[1] != found[2]
    pauses = [after - before for before, after in pairwise(found[0])]
    assert all(0.999 < pause < 3.001 for pause in pauses) and max(pauses) - min(pauses) > 1


@pytest.mark.skipif(os.name != "posix", reason="needs signals as POSIX has them")
def test_a_first_ctrl_c_ends_a_stream_between_two_rows(tmp_path):
    def source():
        for n in count():
            if n == 5:
                signal.raise_signal(signal.SIGINT)
            yield {"n": n}

    out, before = tmp_path / "out9.txt", signal.getsignal(signal.SIGINT)
    done = stream.send(source(), f"file:{out}")
    assert (done.rows, done.stopped, done.ok) == (5, "stopped by hand", True)
    assert [one["seq"] for one in stored(out)] == [1, 2, 3, 4, 5, 5]
    assert signal.getsignal(signal.SIGINT) is before and not stopping.stop.asked


def test_what_senders_import_is_light():
    """A sender that imports pandas starts half a second later."""
    code = (
        "import sys\n"
        "from streamlib import programs, records, rows, stream, wire\n"
        "print([m for m in ('pandas', 'numpy', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=home.root, capture_output=True, timeout=DEADLINE_S
    )
    assert json.loads(done.stdout) == []
