"""The receiving end of a stream: what arrives is written at once, and accounted for."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from streamlib import home, records, wire
from streamlib.wire import stop

DRAIN_S, LATE_S = 2.0, 1.0  # to wait for what had arrived, and for late rows
SILENCE_S, QUIET_S = 10.0, 20.0  # to wait for more text; for a sender that does not end
GAPS, SENDERS = 1_000, 100  # missing numbers of a sender, and senders, that are remembered
TROUBLE = {
    "missing": "missing, by their sequence numbers",
    "late": "late, after a row with a greater number",
    "repeated": "repeated, and written again",
    "malformed": "malformed, and left out: not a record (--format course takes any text)",
    "dropped": "dropped by the system, because the receive buffer was full",
    "vanished": "vanished: senders without an end record; whether they sent more is not known",
}


@dataclass
class Received:
    """What `receive` wrote, how it ended, and what went wrong; `ok`: no loss is known."""

    rows: int = 0  # of the sender that came first
    ended: str = "the sender ended"  # or vanished, fell silent; "limit reached"; "stopped by hand"
    counts: Counter = field(default_factory=Counter)  # of what went wrong, see TROUBLE
    others: Counter = field(default_factory=Counter)  # rows of each other sender, by its file

    @property
    def problems(self) -> list[str]:
        """One sentence for each kind of trouble."""
        told = [f"{n:,} {said}." for kind, said in TROUBLE.items() if (n := self.counts[kind])]
        return told + [f"Rows of another sender, in {at}: {n:,}." for at, n in self.others.items()]

    @property
    def ok(self) -> bool:
        return not any(self.counts[loss] for loss in ("missing", "malformed", "dropped"))


def receive(
    url: str,
    out: Path | str,
    *,
    limit: int | None = None,
    format: str = "json",
    stamp: bool = False,
    listening: Callable[[wire.Endpoint], object] = lambda endpoint: None,
    watch: Callable[[int, bytes], object] = lambda rows, line: None,
) -> Received:
    """Write each row that arrives at a URL to the file `out`, at once; return what was received.

    limit: leave after this many rows; listening: called with the endpoint once the port is open;
    watch: called with the number of rows so far and each row; format: "json", or "course" for any
    text; stamp: put a time ahead of a text, or `received`, seconds since 1970, into a record.

    Each sender but the first gets a file of its own, `out` with a number. It leaves when all have
    ended (late rows have a second), SILENCE_S after the end or last text of the first at latest, at
    the limit, and at Ctrl-C or a stop button. Raises OSError or ValueError if it cannot begin.
    """
    result, is_text, opened = Received(), format == "course", ExitStack()
    with stop.heard(limit), wire.source(url) as source, wire.FileSink(out) as first, opened:
        book = _Book(result.counts, is_text, _files(first, opened))
        listening(source.endpoint)
        for item in source:
            over_at = min(stop.at, book.over_at()) + (0 if item is None else DRAIN_S)
            if time.monotonic() >= over_at or result.rows == limit:
                break
            line, sender = item or (None, None)
            kind, one = book.enter(line, sender), book.senders.get(sender)
            if kind in ("row", "end"):
                line = line.rstrip(b" \r\n\0").replace(b"\n", b" ")  # one record, one line
                if stamp and is_text:
                    line = time.strftime("%Y-%m-%d %H:%M:%S ").encode() + line
                elif stamp and kind == "row":
                    line = b'%s, "received": %.6f}' % (line[: line.rindex(b"}")], time.time())
                one.file.send(line)
            if kind == "row" and one.file is not first:
                result.others[str(one.file.name)] += 1
            elif kind == "row":
                result.rows += 1
                watch(result.rows, line)
            elif kind:
                source.reply(line, sender)
        result.counts["dropped"] = source.drops()
        if stop.asked or result.rows == limit:
            result.ended = "stopped by hand" if stop.asked else "limit reached"
        else:
            result.counts["vanished"] += sum(not one.ended for one in book.senders.values())
            ended = "fell silent" if is_text else "ended" if book.first.ended else "vanished"
            result.ended = f"the sender {ended}"
    return result


def _files(first: wire.FileSink, opened: ExitStack) -> Iterator[wire.FileSink]:
    """Yield a file for each sender: the first, then others beside it, but not a learner's."""
    yield first
    for n in range(2, SENDERS + 1) if Path(first.name).is_file() else ():  # none in /dev
        with suppress(OSError, ValueError):
            path = Path(first.name).with_stem(f"{Path(first.name).stem}-{n}")
            yield opened.enter_context(wire.FileSink(path))


class _Sender:
    """The file of one sender, and what its sequence numbers tell, in bounded memory."""

    def __init__(self, counts: Counter, file: wire.FileSink, ended: bool):
        self.counts, self.file, self.ended = counts, file, ended
        self.wait_s = SILENCE_S if ended else QUIET_S  # after what was heard last
        self.next, self.heard_at, self.gaps = 1, 0.0, deque(maxlen=GAPS)  # the latest missing ones

    def skip_to(self, seq: int) -> None:
        self.counts["missing"] += seq - self.next
        self.gaps.extend(range(max(self.next, seq - GAPS), seq))
        self.next = seq

    def take(self, seq: int) -> None:
        if seq >= self.next:
            self.skip_to(seq)
            self.next += 1
        elif seq in self.gaps:
            self.gaps.remove(seq)
            self.counts.update(missing=-1, late=1)
        else:
            self.counts["repeated"] += 1


class _Book:
    """What each sender has sent, and whether there is anything to wait for."""

    def __init__(self, counts: Counter, texts: bool, files: Iterator[wire.FileSink]):
        self.counts, self.texts, self.files = counts, texts, files
        self.senders, self.first, self.lone, self.someone_ended = {}, None, None, texts

    def enter(self, line: bytes | None, sender: object) -> str:
        """Return what a line is: "row", "end", "echo" (to be answered only), or "" for nothing."""
        if line is None:
            if one := self.senders.pop(sender, None):
                self.someone_ended, one.wait_s = True, SILENCE_S if self.texts else 0
                self.counts["vanished"] += not one.ended
            return ""
        try:
            record = {"seq": 0, "row": {}} if self.texts and line.strip() else records.decode(line)
            seq, is_row, is_new = record["seq"], "row" in record, sender not in self.senders
            one = self._newcomer(sender, seq, is_row) if is_new else self.senders[sender]
            if seq and not one:
                raise ValueError("the end of a stream of which nothing was heard")
        except ValueError:
            if self.texts or (line.startswith(b'{"ask": ') and len(line) < 40):
                return "echo"
            if not self.counts["malformed"]:
                home.say(f"{line[:80]!r} came, not a record: --format course takes any text.")
            self.counts["malformed"] += 1
            return ""
        if not is_row and (not one or one.ended):  # the end of no rows could be anybody's
            return "echo"
        one.heard_at = time.monotonic()
        self.lone = sender if is_new and isinstance(sender, tuple) else None
        if is_row:
            one.take(seq or one.next)  # a text has no number
            return "row"
        one.skip_to(max(seq + 1, one.next))
        one.ended = self.someone_ended = True
        one.wait_s = LATE_S if self.counts["missing"] else 0
        return "end"

    def _newcomer(self, sender: object, seq: int, is_row: bool) -> _Sender | None:
        """Return who sends from a new address: nobody, if it is the end of an unknown stream."""
        last = self.senders.get(self.lone)  # which may open a socket for each row
        if last and (self.texts or (seq >= last.next if is_row else seq == last.next - 1)):
            with suppress(OSError):  # no, its port is in use: it is still there
                wire.listen(wire.Endpoint("udp", address=self.lone))[0].close()
                self.senders[sender] = self.senders.pop(self.lone)
        if is_row and sender not in self.senders:
            others = {at: one.heard_at for at, one in self.senders.items() if one != self.first}
            if others and len(self.senders) >= SENDERS:
                self.counts["vanished"] += not self.senders.pop(min(others, key=others.get)).ended
            file = next(self.files, self.first and self.first.file)
            self.senders[sender] = _Sender(self.counts, file, self.texts)
            self.first = self.first or self.senders[sender]
        return self.senders.get(sender)

    def over_at(self) -> float:
        """When the first has ended, left or fallen silent, and others had SILENCE_S more."""
        if not (self.first and self.someone_ended):
            return float("inf")
        mine, *all_s = (one.heard_at + one.wait_s for one in [self.first, *self.senders.values()])
        return max(mine, min(mine + SILENCE_S, max(all_s, default=0)))
