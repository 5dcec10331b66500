"""Rows as a stream: paced, encoded, sent, received, and held against their source.

    stream.send(rows.read("data/penguins.csv"), "udp://localhost:9999", every=(1, 3), limit=12)
    stream.receive("udp://localhost:9999", "outputs/out9.txt")
    stream.reconcile(rows.read("data/penguins.csv"), "outputs/out9.txt")

How a row becomes a line of bytes, and back, is in `streamlib.records`. Senders import this module,
so it imports no pandas.
"""

import random
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from streamlib import home, wire
from streamlib.fates import good, reconcile, verdict  # noqa: F401 - they belong to streams
from streamlib.records import Malformed, course, decode, encode, encode_end

FORMATS = ("json", "course")
SLICE_S = 0.2  # a pause is cut in such parts, so that a stop is heard
DRAIN_S = 2.0  # so long a stopped receiver still takes what had arrived before
LINGER_S, SILENCE_S = 1.0, 10.0  # after an end record: for late rows; for senders that go on
GAPS, SENDERS = 2_000, 100  # missing numbers and senders that are kept in mind, at most


def pace(items: Iterable, every: float | tuple[float, float], seed: int | None = None) -> Iterator:
    """Yield the items at their times: the first at once, each other `every` seconds later.

    every: seconds, or a pair of bounds to draw from anew each time; times the time scale;
    seed: for those draws.

    Each waits for its deadline, not for an interval: being late once makes nothing else late.
    """
    least, most = _interval(every)  # complained of now, not when the first item is asked for
    return _paced(items, least, most, random.Random(seed))


def _paced(items: Iterable, least: float, most: float, rng: random.Random) -> Iterator:
    scale = home.scale()
    due = time.perf_counter()
    for item in items:
        while (left := due - time.perf_counter()) > 0:
            time.sleep(min(left, SLICE_S))
            if _stop.asked:
                return
        yield item
        due += scale * rng.uniform(least, most)


def _check_limit(limit: int | None) -> None:
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise ValueError(f"limit is {limit!r}: give a whole number of rows, 1 or more.")


def _interval(every: float | tuple[float, float]) -> tuple[float, float]:
    both = every if isinstance(every, tuple | list) else (every, every)
    if len(both) != 2 or home.seconds("every", both[0]) > home.seconds("every", both[1]):
        raise ValueError(f"every is {every!r}: give seconds, or two of them, the smaller first.")
    return tuple(both)


class _Stop:
    """Whether Ctrl-C, or a cell's stop button, was pressed during a stream."""

    asked = False

    @contextmanager
    def heard(self) -> Iterator["_Stop"]:
        """Let a first Ctrl-C set `asked`, so that no row is cut in two; a second one interrupts."""
        self.asked = False
        if threading.current_thread() is not threading.main_thread():
            yield self
            return

        def ask(number: int, frame: object) -> None:
            if self.asked:
                raise KeyboardInterrupt
            self.asked = True

        before = signal.signal(signal.SIGINT, ask)
        try:
            yield self
        finally:
            self.asked = False
            signal.signal(signal.SIGINT, before)


_stop = _Stop()


@dataclass
class Sent:
    """What `send` did: rows sent, seconds, why it stopped, problems (a sentence each)."""

    url: str
    rows: int = 0
    seconds: float = 0.0
    stopped: str = ""
    acknowledged: bool = False
    refused: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems

    def __repr__(self) -> str:
        return f"<sent {self.rows:,} rows; {self.stopped}>"


def send(
    table: Iterable[dict],
    url: str,
    *,
    every: float | tuple[float, float] | None = None,
    limit: int | None = None,
    seed: int | None = None,
    format: str = "json",
    flow_control: bool = True,
) -> Sent:
    """Send rows one by one to a URL, and an end record after them; return what was sent.

    table: rows as `rows.read` gives them, or any iterable of dicts, endless ones too;
    every: seconds from row to row, or a pair of bounds, as `pace` has it; without it, full speed;
    limit: stop after so many rows; seed: for the pace;
    format: "json" for records, "course" for `[a, b, c]`, see `streamlib.records`;
    flow_control: at full speed over UDP, wait for the receiver's acknowledgements.

    Ctrl-C and a cell's stop button end it cleanly. Raises ValueError or OSError with one sentence
    for a row, URL or file that cannot be used; what was sent before then is ended properly.
    """
    if format not in FORMATS:
        raise ValueError(f"The format is {format!r}: choose from {' and '.join(FORMATS)}.")
    _check_limit(limit)
    if every is not None:
        _interval(every)
    control = None if every is not None else flow_control and format == "json"
    result, began = Sent(url), time.perf_counter()
    with _stop.heard() as stop, wire.sink(url, control) as sink:
        if hasattr(sink, "stopping"):
            sink.stopping = lambda: stop.asked
        taken = islice(table, limit)
        paced = taken if every is None else pace(taken, every, seed)
        push, as_record, seq = sink.send, format == "json", 0
        try:
            for seq, row in enumerate(paced, start=1):
                if stop.asked:
                    break
                try:
                    push(encode(seq, row) if as_record else course(row).encode())
                except (ValueError, TypeError) as error:
                    where = f"line {row.line}" if hasattr(row, "line") else f"row {seq}"
                    raise ValueError(f"{where} cannot be sent: {error}.") from None
                result.rows = seq
            at_limit = limit is not None and seq == limit
            result.stopped = "limit reached" if at_limit else "all rows sent"
            if stop.asked:
                result.stopped = "stopped by hand"
        except wire.NoAnswer as error:
            result.stopped = "no answer"
            result.problems.append(f"{error}: start it again, then send again.")
        finally:
            _end(sink, encode_end(result.rows) if as_record else None, result)
    result.seconds = time.perf_counter() - began
    result.problems += sink.problems
    result.acknowledged = getattr(sink, "acknowledged", True)
    result.refused = getattr(sink, "refused", 0)
    if result.refused:
        result.problems.append(
            f"Nobody listened on {sink.endpoint.url} for at least {result.refused:,} of the rows, "
            "as this machine reported: start a receiver first."
        )
    return result


def _end(sink, line: bytes | None, result: Sent) -> None:
    try:
        sink.end(line)
    except wire.NoAnswer as error:
        if not result.problems:
            result.problems.append(f"{error}: the last ones may not have been written.")


@dataclass
class Received:
    """What `receive` took in, and what it did not: counts, and why it stopped.

    rows: written; undecodable: no UTF-8 JSON; malformed: JSON, but no record; by their sequence
    numbers repeated, late and missing; unended: senders that had not ended yet; drops: those that
    the kernel dropped (None: not known); vanished: senders whose connection closed before their
    end record; broken: connections that broke off in the middle of a line, or sent one without an
    end.
    """

    url: str
    rows: int = 0
    undecodable: int = 0
    malformed: int = 0
    repeated: int = 0
    late: int = 0
    missing: int = 0
    drops: int | None = None
    vanished: int = 0
    unended: int = 0
    broken: int = 0
    stopped: str = ""

    @property
    def ok(self) -> bool:
        odd = self.undecodable or self.malformed or self.repeated or self.late or self.missing
        return not (odd or self.vanished or self.broken)

    def why(self) -> list[str]:
        """One sentence for each kind of trouble."""
        said = {
            "missing, by their sequence numbers": self.missing,
            "late, after a row with a greater number": self.late,
            "repeated, and written again": self.repeated,
            "undecodable, left out: no JSON in UTF-8": self.undecodable,
            "malformed, left out: JSON without seq, sent and row": self.malformed,
            "dropped by the system, the receive buffer being full": self.drops,
            "of the senders had not ended: what they sent later is lost": self.unended,
            "of the senders closed without an end record": self.vanished,
            "connections broke off in a record, or sent one without an end": self.broken,
        }
        return [f"{count:,} {what}." for what, count in said.items() if count]

    def __repr__(self) -> str:
        trouble = "nothing missing or odd" if self.ok else " ".join(self.why())
        return f"<received {self.rows:,} rows; {self.stopped}; {trouble}>"


def receive(
    url: str,
    out: Path | str,
    *,
    limit: int | None = None,
    format: str = "json",
    stamp: bool = False,
    listening: Callable[[wire.Endpoint], object] | None = None,
    watch: Callable[[int, bytes], object] | None = None,
) -> Received:
    """Write each row that arrives at a URL to the file `out`, at once; return what was received.

    limit: leave after so many rows; format: "json", or "course" to take any text;
    stamp: add to each record when it was received, `received`, seconds since 1970;
    listening: called with the endpoint once the port is open;
    watch: called with the number of rows and the last one whenever no more is there to read.

    It leaves when all senders it has heard have ended (late rows have a second left), at the
    limit, and at Ctrl-C or a cell's stop button. Raises OSError or ValueError with one sentence.
    """
    _check_limit(limit)
    result = Received(url)
    told, line, until = 0, b"", 0.0
    with wire.source(url) as source, wire.open_for_lines(out) as file, _stop.heard() as stop:
        book = _Book(result, source.tells_who_leaves)
        if listening:
            listening(source.endpoint)
        for item in source:
            if until or stop.asked:
                # Leave, but with all that has arrived by now.
                until = until or time.monotonic() + DRAIN_S
                if item is None or time.monotonic() > until:
                    if stop.asked or book.is_complete():
                        break
                    until = 0.0  # somebody new was heard
            if item is None:
                if watch and result.rows > told:
                    told = result.rows
                    watch(told, line)
                if book.is_over():
                    break
                continue
            data, sender = item
            if data is None:
                book.gone(sender)
                kind = "end" if result.vanished else ""
            elif format == "course":
                kind, line = "row", data
                result.rows += 1
            else:
                kind = book.enter(data, sender)
                if kind == "row":
                    if stamp:
                        data = b'%s, "received": %.6f}' % (data.rstrip()[:-1], time.time())
                    line = data
            if data is not None and kind in ("row", "end"):
                # A record is one line, also if its sender broke it into several.
                wire.write_line(file, data.replace(b"\n", b" ") if b"\n" in data else data)
            if data is not None and kind in ("end", "again", "ask"):
                source.reply(data, sender)
            if result.rows == limit:
                break
            if kind == "end" and book.is_complete():
                until = until or time.monotonic() + DRAIN_S
        result.stopped = (
            "stopped by hand"
            if stop.asked
            else "limit reached"
            if result.rows == limit
            else "the sender vanished"
            if result.vanished
            else "the sender ended"
        )
        result.drops, result.broken = source.drops(), source.broken
    book.close()
    if watch and result.rows > told:
        watch(result.rows, line)
    return result


class _Book:
    """Who sent what, told by sequence numbers: for each sender in turn, in bounded memory."""

    def __init__(self, result: Received, told_who_leaves: bool = False):
        self.result, self.told_who_leaves = result, told_who_leaves
        self.finished = 0  # senders whose connection has closed
        self.senders: dict[tuple, _Sequence] = {}
        self.gaps: dict[tuple, None] = {}  # the (sender, number) that are missing, the latest ones
        self.quiet_since: float | None = None

    def enter(self, data: bytes, sender: tuple) -> str:
        """Return what a datagram is: row, end, again (a repeated end), ask or nothing."""
        result = self.result
        try:
            record = decode(data)
        except Malformed:
            if data.startswith(b'{"ask": ') and len(data) < 40:
                return "ask"
            result.malformed += 1
            return ""
        except ValueError:
            result.undecodable += 1
            return ""
        sequence, seq = self.senders.get(sender), record["seq"]
        if sequence is None:
            if "end" in record and seq:  # the end of a stream of which nothing was heard
                result.malformed += 1
                return ""
            sequence = self._greet(sender)
        if "row" in record:
            result.rows += 1
            self.quiet_since = None
            if seq == sequence.next:
                sequence.next += 1
            else:
                sequence.odd(seq)
            return "row"
        if sequence.ended:
            return "again"
        sequence.ended = True
        if seq >= sequence.next:
            sequence.odd(seq + 1)
            sequence.next = seq + 1
        return "end"

    def gone(self, sender: tuple) -> None:
        """A connection has closed: if its end record is missing, it vanished."""
        sequence = self.senders.pop(sender, None)
        if sequence:
            self._add(sequence)
            self.finished += 1
            self.result.vanished += not sequence.ended

    def _greet(self, sender: tuple) -> "_Sequence":
        if len(self.senders) >= SENDERS:
            return _Sequence(sender, {})  # its rows are taken, its numbers are not accounted for
        return self.senders.setdefault(sender, _Sequence(sender, self.gaps))

    def is_complete(self) -> bool:
        every = self.senders.values()
        heard = self.finished or len(every)
        return bool(heard) and all(one.ended and not one.missing for one in every)

    def is_over(self) -> bool:
        """Whether one has ended, and so long nothing came that nothing more is to be waited for."""
        ended = [one.ended for one in self.senders.values()]
        if not (self.finished or any(ended)) or (self.told_who_leaves and not all(ended)):
            return False
        now = time.monotonic()
        self.quiet_since = self.quiet_since or now
        return now - self.quiet_since > (LINGER_S if all(ended) else SILENCE_S)

    def close(self) -> None:
        for one in self.senders.values():
            self._add(one)
            self.result.unended += not one.ended

    def _add(self, one: "_Sequence") -> None:
        self.result.missing += one.missing
        self.result.late += one.late
        self.result.repeated += one.repeated


class _Sequence:
    """What the sequence numbers of one sender tell: how many are missing, late, repeated."""

    def __init__(self, sender: tuple, gaps: dict[tuple, None]) -> None:
        self.sender, self.gaps, self.ended = sender, gaps, False
        self.next, self.missing, self.late, self.repeated = 1, 0, 0, 0

    def odd(self, seq: int) -> None:
        """Take a number that is not the next one."""
        if seq >= self.next:
            self.missing += seq - self.next
            for number in range(max(self.next, seq - GAPS), seq):
                self.gaps[self.sender, number] = None
            while len(self.gaps) > GAPS:
                del self.gaps[next(iter(self.gaps))]
            self.next = seq + 1
        elif (self.sender, seq) in self.gaps:
            del self.gaps[self.sender, seq]
            self.missing -= 1
            self.late += 1
        else:
            self.repeated += 1
