"""The receiving end of a stream: what arrives is written at once, and accounted for."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from streamlib import records, wire
from streamlib.stream import stopping

DRAIN_S = 2.0  # how long a receiver that leaves still takes what had arrived before
LATE_S = 1.0  # how long it waits for late rows after the last end record
GAPS, SENDERS = 1_000, 100  # missing numbers of a sender, and senders, that are remembered

TROUBLE = {
    "missing": "missing, by their sequence numbers",
    "late": "late, after a row with a greater number",
    "repeated": "repeated, and written again",
    "malformed": "malformed, left out: not a record in JSON and UTF-8",
    "drops": "dropped by the system, as the receive buffer was full",
    "vanished": "senders vanished without an end record",
}


@dataclass
class Received:
    """What `receive` wrote, what it missed, and how it ended.

    rows: written; malformed: lines that were not records; drops: None where the system does not
    tell; vanished: senders that left, or fell silent, before their end record; ended: "the sender
    ended", "the sender vanished", "limit reached" or "stopped by hand".
    """

    url: str
    rows: int = 0
    missing: int = 0
    late: int = 0
    repeated: int = 0
    malformed: int = 0
    drops: int | None = None
    vanished: int = 0
    ended: str = ""

    @property
    def problems(self) -> list[str]:
        """One sentence for each kind of trouble."""
        counts = {said: getattr(self, name) for name, said in TROUBLE.items()}
        return [f"{count:,} {said}." for said, count in counts.items() if count]

    @property
    def ok(self) -> bool:
        """Whether nothing went wrong, as far as is known."""
        return not self.problems

    def __repr__(self) -> str:
        trouble = " ".join(self.problems) or "nothing missing or odd"
        return f"<received {self.rows:,} rows; {self.ended}; {trouble}>"


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

    limit: the number of rows after which to leave; format: "json", or "course" for any text;
    stamp: whether to add to each record when it arrived, `received`, seconds since 1970;
    listening: called with the endpoint once the port is open;
    watch: called with the number of rows and the last one whenever no more is there to read.

    It leaves when all senders have ended (late rows have a second), at the limit, and at Ctrl-C or
    a cell's stop button. Raises OSError or ValueError if the URL or the file cannot be used.
    """
    stopping.check_limit(limit)
    result, told, line = Received(url), 0, b""
    with (
        wire.source(url) as source,
        wire.open_for_lines(out) as file,
        stopping.stop.heard() as stop,
    ):
        book = _Book(result, source.silence_s)
        if listening:
            listening(source.endpoint)
        for item in source:
            if stop.asked and (item is None or time.monotonic() > stop.since + DRAIN_S):
                break
            if item is None:
                if watch and result.rows > told:
                    told = result.rows
                    watch(told, line)
                if book.is_over(0):
                    break
                continue
            data, sender = item
            if data is None:
                book.gone(sender)
                continue
            data = data.rstrip().replace(b"\n", b" ")  # a record is one line
            kind = book.enter(data, sender) if format == "json" else "row"
            if kind == "row":
                result.rows += 1
                if stamp:
                    data = b'%s, "received": %.6f}' % (data[:-1], time.time())
                line = data
            if kind in ("row", "end"):
                wire.write_line(file, data)
            if kind in ("end", "again", "ask"):
                source.reply(data, sender)
            if result.rows == limit or (kind != "row" and book.is_over(DRAIN_S)):
                break
        result.drops = source.drops()
        result.ended = "stopped by hand" if stop.asked else "limit reached"
    if result.ended == "limit reached" and result.rows != limit:
        result.vanished += sum(not one.ended for one in book.senders.values())
        result.ended = "the sender vanished" if result.vanished else "the sender ended"
    if watch and result.rows > told:
        watch(result.rows, line)
    return result


class _Sender:
    """What the sequence numbers of one sender tell."""

    def __init__(self) -> None:
        self.next, self.ended = 1, False
        self.gaps: deque[int] = deque(maxlen=GAPS)  # the latest numbers that are missing

    def skip_to(self, seq: int) -> int:
        """Note that the numbers before this one are missing; return how many."""
        self.gaps.extend(range(max(self.next, seq - GAPS), seq))
        skipped, self.next = seq - self.next, seq
        return skipped


class _Book:
    """Who sent what, told by sequence numbers, in bounded memory."""

    def __init__(self, result: Received, silence_s: float):
        self.result, self.silence_s = result, silence_s
        self.senders: dict[object, _Sender] = {}
        self.heard_at, self.someone_left = 0.0, False

    def enter(self, data: bytes, sender: object) -> str:
        """Return what a line is: row, end, again (a repeated end), ask, or nothing."""
        try:
            record = records.decode(data)
        except ValueError:
            if data.startswith(b'{"ask": ') and len(data) < 40:
                return "ask"
            self.result.malformed += 1
            return ""
        one, seq, is_row = self.senders.get(sender), record["seq"], "row" in record
        if one is None and len(self.senders) >= SENDERS:
            return "row" if is_row else "again"  # taken, but not accounted for
        if one is None:
            if seq and not is_row:  # the end of a stream of which nothing was heard
                self.result.malformed += 1
                return ""
            one = self.senders[sender] = _Sender()
        if not is_row and one.ended:
            return "again"
        self.heard_at = time.monotonic()
        if is_row:
            self._number(one, seq)
            return "row"
        one.ended = True
        self.result.missing += one.skip_to(max(seq + 1, one.next))
        return "end"

    def _number(self, one: _Sender, seq: int) -> None:
        if seq >= one.next:
            if seq > one.next:
                self.result.missing += one.skip_to(seq)
            one.next += 1
        elif seq in one.gaps:
            one.gaps.remove(seq)
            self.result.missing -= 1
            self.result.late += 1
        else:
            self.result.repeated += 1

    def gone(self, sender: object) -> None:
        """Note that a connection has closed."""
        one = self.senders.pop(sender, None)
        if one:
            self.someone_left = True
            self.result.vanished += not one.ended

    def is_over(self, grace_s: float) -> bool:
        """Whether all senders have ended or gone, and no late row is worth waiting for."""
        ended = [one.ended for one in self.senders.values()]
        if not (self.someone_left or any(ended)):
            return False
        wait_s = self.silence_s
        if all(ended):
            wait_s = LATE_S if self.result.missing else 0
        return time.monotonic() >= self.heard_at + wait_s + grace_s
