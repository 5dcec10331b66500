"""Rows as a stream: paced, encoded, sent, received, and held against their source.

    stream.send(rows.read("data/penguins.csv"), "udp://localhost:9999", every=(1, 3), limit=12)
    stream.receive("udp://localhost:9999", "outputs/out9.txt")
    stream.reconcile(rows.read("data/penguins.csv"), "outputs/out9.txt")

How a row becomes a line of bytes, and back, is in `streamlib.records`. Senders import this module,
so it imports no pandas.
"""

import random
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from streamlib import home, wire
from streamlib.records import course, encode, encode_end
from streamlib.stream import stopping
from streamlib.stream.fates import good, reconcile, verdict  # noqa: F401 - they belong to streams
from streamlib.stream.receiving import Received, receive  # noqa: F401 - the other end of a stream

FORMATS = ("json", "course")
SLICE_S = 0.2  # a pause is cut in such parts, so that a stop is heard


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
            if stopping.stop.asked:
                return
        yield item
        due += scale * rng.uniform(least, most)


def _interval(every: float | tuple[float, float]) -> tuple[float, float]:
    both = every if isinstance(every, tuple | list) else (every, every)
    if len(both) != 2 or home.seconds("every", both[0]) > home.seconds("every", both[1]):
        raise ValueError(f"every is {every!r}: give seconds, or two of them, the smaller first.")
    return tuple(both)


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
    stopping.check_limit(limit)
    if every is not None:
        _interval(every)
    control = None if every is not None else flow_control and format == "json"
    result, began = Sent(url), time.perf_counter()
    with stopping.stop.heard() as stop, wire.sink(url, control) as sink:
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
