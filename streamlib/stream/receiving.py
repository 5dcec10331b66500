"""The receiving end of a stream: what arrives is written at once, and accounted for."""

import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from streamlib import records, wire
from streamlib.stream.stopping import check_limit, stop

DRAIN_S, LATE_S = 2.0, 1.0  # how long it takes what had arrived before it leaves; and late rows
GAPS, SENDERS = 1_000, 100  # missing numbers of a sender, and senders, that are remembered
TROUBLE = {
    "missing": "missing, by their sequence numbers",
    "late": "late, after a row with a greater number",
    "repeated": "repeated, and written again",
    "malformed": "malformed, and left out: not a record",
    "dropped": "dropped by the system, because the receive buffer was full",
    "vanished": "vanished: senders that left, or fell silent, without an end record",
}


@dataclass
class Received:
    """What `receive` wrote, how it ended, and the counts of what went wrong (see TROUBLE).

    ended: "the sender ended", "the sender vanished", "limit reached" or "stopped by hand".
    """

    url: str
    rows: int = 0
    ended: str = "the sender ended"
    counts: Counter = field(default_factory=Counter)

    @property
    def problems(self) -> list[str]:
        """One sentence for each kind of trouble."""
        return [
            f"{self.counts[kind]:,} {said}." for kind, said in TROUBLE.items() if self.counts[kind]
        ]

    @property
    def ok(self) -> bool:
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

    limit: leave after this many rows; format: "json", or "course" for any text;
    stamp: whether to add `received`, seconds since 1970, to each record;
    listening: called with the endpoint once the port is open;
    watch: called with the number of rows so far and each row, a line of bytes.

    It leaves when all senders have ended (late rows have a second), at the limit, and at Ctrl-C or
    a cell's stop button. Raises OSError or ValueError if the URL or the file cannot be used.
    """
    check_limit(limit)
    result = Received(url)
    with wire.source(url) as source, wire.open_for_lines(out) as file, stop.heard():
        book = _Book(result, source.silence_s)
        if listening:
            listening(source.endpoint)
        for item in source:
            if item is None:
                if stop.asked or book.is_over():
                    break
                continue
            line, sender = item
            kind = book.enter(line, sender) if format == "json" or line is None else "row"
            if kind in ("row", "end"):
                line = line.rstrip().replace(b"\n", b" ")  # one record, one line
                if kind == "row" and stamp:
                    line = b'%s, "received": %.6f}' % (line[:-1], time.time())
                wire.write_line(file, line)
            if kind == "row":
                result.rows += 1
                if watch:
                    watch(result.rows, line)
            elif kind:
                source.reply(line, sender)
            if result.rows == limit or (stop.asked and time.monotonic() > stop.at + DRAIN_S):
                break
            if kind != "row" and book.is_over(DRAIN_S):
                break
        result.counts["dropped"] = source.drops()
        if stop.asked or result.rows == limit:
            result.ended = "stopped by hand" if stop.asked else "limit reached"
        else:
            result.counts["vanished"] += sum(not one.ended for one in book.senders.values())
            result.ended = f"the sender {'vanished' if result.counts['vanished'] else 'ended'}"
    return result


class _Sender:
    """What the sequence numbers of one sender tell, in bounded memory."""

    def __init__(self, counts: Counter):
        self.counts, self.next, self.ended = counts, 1, False
        self.gaps: deque[int] = deque(maxlen=GAPS)  # the latest numbers that are missing

    def skip_to(self, seq: int) -> None:
        self.counts["missing"] += seq - self.next
        self.gaps.extend(range(max(self.next, seq - GAPS), seq))
        self.next = seq

    def take(self, seq: int) -> None:
        if seq >= self.next:
            if seq > self.next:
                self.skip_to(seq)
            self.next += 1
        elif seq in self.gaps:
            self.gaps.remove(seq)
            self.counts.update(missing=-1, late=1)
        else:
            self.counts["repeated"] += 1


class _Book:
    """Who has sent what, and whether there is anybody to wait for."""

    def __init__(self, result: Received, silence_s: float):
        self.counts, self.silence_s = result.counts, silence_s
        self.senders = defaultdict(partial(_Sender, result.counts))
        self.heard_at, self.someone_left = 0.0, False

    def enter(self, line: bytes | None, sender: object) -> str:
        """Return what a line is: "row", "end", "echo" (to be answered only), or "" for nothing."""
        if line is None:
            if one := self.senders.pop(sender, None):
                self.someone_left = True
                self.counts["vanished"] += not one.ended
            return ""
        try:
            record = records.decode(line)
            seq, is_row, is_known = record["seq"], "row" in record, sender in self.senders
            if seq and not is_row and not is_known:
                raise ValueError("the end of a stream of which nothing was heard")
        except ValueError:
            if line.startswith(b'{"ask": ') and len(line) < 40:
                return "echo"
            self.counts["malformed"] += 1
            return ""
        if not is_known and len(self.senders) == SENDERS:
            return "row" if is_row else "echo"  # taken, but not accounted for
        one = self.senders[sender]
        if not is_row and one.ended:
            return "echo"
        self.heard_at = time.monotonic()
        if is_row:
            one.take(seq)
            return "row"
        one.ended = True
        one.skip_to(max(seq + 1, one.next))
        return "end"

    def is_over(self, grace_s: float = 0) -> bool:
        """Whether all senders have ended or left, and no late row is worth waiting for."""
        ended = [one.ended for one in self.senders.values()]
        if not (self.someone_left or any(ended)):
            return False
        wait_s = self.silence_s
        if all(ended):
            wait_s = LATE_S if self.counts["missing"] else 0
        return time.monotonic() >= self.heard_at + wait_s + grace_s
