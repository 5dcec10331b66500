"""The receiving end of a stream: what arrives is written at once, and accounted for."""

import json
import re
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import pairwise
from pathlib import Path

from streamlib import home, records, wire
from streamlib.stream.stopping import check_limit, stop

DRAIN_S, LATE_S = 2.0, 1.0  # how long it takes what had arrived before it leaves; and late rows
SILENCE_S = 10.0  # how long it waits for more after a text, which no end record follows
GAPS, SENDERS = 1_000, 100  # missing numbers of a sender, and senders, that are remembered
ARRIVALS = 10_000  # the latest ones, of which the pace is told
LOSSES = "missing", "malformed", "dropped", "crowded out"
TROUBLE = {
    "missing": "missing, by their sequence numbers",
    "malformed": "malformed, and left out: not a record (--format course takes any text)",
    "dropped": "dropped by the system, because the receive buffer was full",
    "crowded out": "crowded out: there were too many senders, or no room for their files",
    "late": "late, after a row with a greater number",
    "repeated": "repeated, and written again",
    "vanished": "vanished: senders without an end record; whether they sent more is not known",
}


@dataclass
class Received:
    """What `receive` wrote, how it ended, and the counts of what went wrong (see TROUBLE).

    rows: those of the stream that came first; arrivals: when the latest of them came, in seconds;
    others: how many rows went to each other file; ended: "the sender ended", "the sender vanished",
    "the sender fell silent", "limit reached" or "stopped by hand".
    """

    url: str
    rows: int = 0
    ended: str = "the sender ended"
    counts: Counter = field(default_factory=Counter)
    others: dict[str, int] = field(default_factory=dict)
    arrivals: deque[float] = field(default_factory=partial(deque, maxlen=ARRIVALS))

    @property
    def problems(self) -> list[str]:
        """One sentence for each kind of trouble."""
        return [
            f"{self.counts[kind]:,} {said}." for kind, said in TROUBLE.items() if self.counts[kind]
        ]

    @property
    def ok(self) -> bool:
        """Whether no loss is known; a row that came late or twice is not lost."""
        return not any(self.counts[kind] for kind in LOSSES)

    @property
    def pace(self) -> str:
        """How far apart the rows came, in words."""
        pauses = [after - before for before, after in pairwise(self.arrivals)] or [0]
        mean, least, most = sum(pauses) / len(pauses), min(pauses), max(pauses)
        return f"{self.rows:,} rows, {mean:.2f} s apart, least {least:.2f}, most {most:.2f}"

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

    limit: leave after this many rows; format: "json" for records, "course" for any other text, too;
    stamp: whether to note when each row arrived: as `received`, seconds since 1970, in a record,
    or as a time ahead of a text; listening: called with the endpoint once the port is open;
    watch: called with the number of rows so far and each row, a line of bytes.

    The stream that came first goes to `out`; each other one gets a file of its own, as the screen
    says. It leaves when all senders have ended (late rows have a second), SILENCE_S after the last
    text, at the limit, and at Ctrl-C or a cell's stop button. Raises OSError or ValueError if the
    URL or the file cannot be used.
    """
    check_limit(limit)
    result, others = Received(url), Counter()
    with wire.source(url) as source, ExitStack() as opened, stop.heard():
        book = _Book(result, source.silence_s, takes_text=format == "course")
        more, files = _files(out, opened), {}
        first = next(more)
        if listening:
            listening(source.endpoint)
        for item in source:
            if item is None:
                source.leaving = stop.asked or book.is_over()
                continue
            line, sender = item
            kind = book.enter(line, sender)
            for one in _lines(line, kind, stamp):
                file = files.get(sender)
                if not file and kind != "end":
                    file = next(more, None) if files else first
                if file:
                    files[sender] = file
                    wire.write_line(file, one)
                if kind == "end":
                    continue
                if file is not first:
                    others[file] += 1
                    continue
                result.rows += 1
                result.arrivals.append(book.heard_at)
                if watch:
                    watch(result.rows, one)
                if result.rows == limit:
                    break
            if kind in ("end", "echo"):
                source.reply(line.rstrip().replace(b"\n", b" "), sender)
            if result.rows == limit or (stop.asked and time.monotonic() > stop.at + DRAIN_S):
                break
            if kind not in ("row", "text") and book.is_over(DRAIN_S):
                break
        result.counts["crowded out"] = others.pop(None, 0)
        result.others = {str(file.name): count for file, count in others.items()}
        result.counts["dropped"] = source.drops()
        if stop.asked or result.rows == limit:
            result.ended = "stopped by hand" if stop.asked else "limit reached"
        else:
            result.counts["vanished"] += sum(not one.ended for one in book.senders.values())
            ended = "fell silent" if book.heard_text else "ended"
            result.ended = f"the sender {'vanished' if result.counts['vanished'] else ended}"
    return result


def _lines(message: bytes, kind: str, stamp: bool) -> list[bytes]:
    """Return what to write of a message: a record as one line; each row of a text, in UTF-8."""
    if kind in ("row", "end"):
        line = message.rstrip().replace(b"\n", b" ")
        if stamp and kind == "row":
            line = b'%s, "received": %.6f}' % (line[: line.rindex(b"}")], time.time())
        return [line]
    if kind != "text":
        return []
    if (encoding := json.detect_encoding(message)) != "utf-8":
        message = message.decode(encoding, "replace").encode()
    bracket = message[:1] if message[:1] in b"[{" else b""  # inside brackets a row may have lines
    rows = re.split(rb"[\r\n]+(?=%s)" % re.escape(bracket), message.strip(b"\r\n\0"))
    ahead = f"{datetime.now().isoformat(timespec='milliseconds')} ".encode() if stamp else b""
    return [ahead + re.sub(rb"[\r\n]+", b" ", row) for row in rows]


def _files(out: Path | str, opened: ExitStack) -> Iterator[wire.FileSink]:
    """Yield a file for each stream: `out`, then others beside it, but nothing of a learner's."""
    yield opened.enter_context(wire.open_for_lines(out))
    for n in range(2, SENDERS + 1) if Path(out).is_file() else ():  # none beside /dev/null
        with suppress(OSError, ValueError):
            path = Path(out).with_stem(f"{Path(out).stem}-{n}")
            file = opened.enter_context(wire.open_for_lines(path))
            home.say(f"Another sender came: its rows go to {path}.")
            yield file


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

    def __init__(self, result: Received, silence_s: float, takes_text: bool = False):
        self.counts, self.silence_s = result.counts, silence_s
        self.takes_text, self.heard_text = takes_text, False
        self.senders = defaultdict(partial(_Sender, result.counts))
        self.heard_at, self.someone_left = 0.0, False

    def enter(self, line: bytes | None, sender: object) -> str:
        """Return what a line is: "row", "end", "text", "echo" (only answered), or "" (nothing)."""
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
            return self._enter_text(line)
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

    def _enter_text(self, line: bytes) -> str:
        """Take what is not a record if texts are wanted; else count it, and tell of the first."""
        if self.takes_text and line.strip(b"\r\n\0"):
            self.heard_at, self.heard_text = time.monotonic(), True
            return "text"
        if not self.takes_text and not self.counts["malformed"]:
            start = line[:100].decode(json.detect_encoding(line), "backslashreplace")
            home.say(f"{start!r} came, which is not a record: --format course takes any text.")
        self.counts["malformed"] += not self.takes_text
        return ""

    def is_over(self, grace_s: float = 0) -> bool:
        """Whether all senders have ended or left, and no late row is worth waiting for."""
        ended = [one.ended for one in self.senders.values()]
        if not (self.someone_left or any(ended) or self.heard_text):
            return False
        wait_s = SILENCE_S if self.heard_text else self.silence_s
        if all(ended) and not self.heard_text:
            wait_s = LATE_S if self.counts["missing"] else 0
        return time.monotonic() >= self.heard_at + wait_s + grace_s
