"""The receiving end of a stream: what arrives is written at once, and accounted for."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from streamlib import wire
from streamlib.records import Malformed, decode
from streamlib.stream import stopping

DRAIN_S = 2.0  # so long a stopped receiver still takes what had arrived before
LINGER_S, SILENCE_S = 1.0, 10.0  # after an end record: for late rows; for senders that go on
GAPS, SENDERS = 2_000, 100  # missing numbers and senders that are kept in mind, at most


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
    stopping.check_limit(limit)
    result = Received(url)
    told, line, until = 0, b"", 0.0
    with (
        wire.source(url) as source,
        wire.open_for_lines(out) as file,
        stopping.stop.heard() as stop,
    ):
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
