"""The sending end of a stream: each row when it is due, and an end record after the last."""

import random
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice, takewhile

from streamlib import home, records, wire
from streamlib.wire import stop

ENCODERS = {"json": records.encode, "course": lambda _, row: records.course(row).encode()}


def pace(items: Iterable, every: float | tuple[float, float], seed: int | None = None) -> Iterator:
    """Return items at a pace: the first at once, each of the others `every` seconds later.

    every: seconds, times the time scale, or two bounds between which each pause is drawn;
    seed: for these draws. Each item waits for its deadline, so delays do not add up.

    >>> list(pace("abc", every=0.001))
    ['a', 'b', 'c']
    """
    bounds = tuple(every) if isinstance(every, tuple | list) else (every,)
    if len(bounds) not in (1, 2) or [home.seconds("every", s) for s in bounds] != sorted(bounds):
        raise ValueError(f"every is {bounds}: give seconds, or two of them, the smaller first.")
    return _paced(items, bounds[0], bounds[-1], random.Random(seed))


def _paced(items: Iterable, least: float, most: float, rng: random.Random) -> Iterator:
    scale, due = home.scale(), time.perf_counter()
    for item in items:
        while not stop.asked and (left := due - time.perf_counter()) > 0:
            time.sleep(min(left, 0.2))  # so that a stop is noticed soon
        yield item
        due += scale * rng.uniform(least, most)


@dataclass
class Sent:
    """What `send` did: how many rows, and how it ended."""

    rows: int = 0
    ended: str = "all rows sent"  # or "limit reached", "stopped by hand", "no answer"
    acknowledged: bool = False  # the end was
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems

    def __repr__(self) -> str:
        return f"<sent {self.rows:,} rows; {self.ended}>"


def send(
    rows: Iterable[dict],
    url: str,
    *,
    every: float | tuple[float, float] | None = None,
    limit: int | None = None,
    seed: int | None = None,
    format: str = "json",
) -> Sent:
    """Send rows one by one to a URL, and an end record after them; return what was sent.

    rows: as `rows.read` gives them, or any iterable of dicts, even an endless one;
    every, seed: as for `pace`; without `every`, full speed; limit: stop after this many rows;
    format: "json" for records, "course" for `[a, b, c]`, see `streamlib.records`.

    Ctrl-C or a cell's stop button ends it cleanly. Raises ValueError or OSError if a row, the URL
    or the file cannot be used; the rows before that are properly ended.
    """
    if format not in ENCODERS:
        raise ValueError(f"The format is {format!r}: choose {' or '.join(ENCODERS)}.")
    rows = rows if every is None else pace(rows, every, seed)
    result, as_records = Sent(), format == "json"
    with stop.heard(limit), wire.sink(url, as_records and every is None) as sink:
        try:
            for seq, row in enumerate(takewhile(lambda _: not stop.asked, islice(rows, limit)), 1):
                try:
                    sink.send(ENCODERS[format](seq, row))
                except (ValueError, TypeError) as error:
                    where = f"line {row.line}" if hasattr(row, "line") else f"row {seq}"
                    raise ValueError(f"{where} cannot be sent: {error}.") from None
                result.rows = seq
            if stop.asked or result.rows == limit:
                result.ended = "stopped by hand" if stop.asked else "limit reached"
        except wire.NoAnswer as error:
            result.ended = "no answer"
            result.problems.append(f"{error}: start it again, then send again.")
        finally:
            sink.end(records.encode_end(result.rows) if as_records else None)
    result.problems += sink.problems
    result.acknowledged = sink.acknowledged
    return result
