"""Rows sorted by real time or number, never as text."""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from streamlib.rows.reading import FEW, in_lines

MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
DAY, MONTH = r"(?P<day>\d\d?)", rf"(?P<month>\d\d?|({'|'.join(MONTHS)})[a-z]*\.?)"
YEAR = r"(?P<year>\d{4}|\d\d)"
CLOCK = r"(?P<hour>[01]?\d|2[0-3])(:(?P<minute>[0-5]\d)(:(?P<second>[0-5]\d(\.\d*)?))?)?"
CLOCK += r"( ?(?P<half>[ap])\.?m\.?)?(?P<zone>Z|[-+]\d\d:?\d\d)?"
TIMES = {
    "time as year-month-day": rf"(?P<year>\d{{4}})[-/. ]{MONTH}[-/. ]{DAY}([T ]{CLOCK})?",
    "time as month/day/year": rf"{MONTH}[/ ]{DAY}(/|,? ){YEAR}( {CLOCK})?",
    "time as day/month/year": rf"{DAY}[-/. ]{MONTH}[-/. ]{YEAR}( {CLOCK})?",
}
KINDS = TIMES | {
    "number": r"[-+]?((\d+|\d{1,3}(,\d{3})+)(\.\d*)?|\.\d+)(e[-+]?\d+)?",
    "number with a decimal comma": r"[-+]?(\d+([.,]\d*)?|[.,]\d+)",
    "time of day": CLOCK,
}


class Sorted(list):
    """Sorted rows, with the `columns` and `problems` of their table; `by` says by what."""


def oldest_first(table: Iterable[dict], by: str | None = None) -> Sorted:
    """Return the rows sorted by time or number, all of them in memory.

    by: a column; rows with nothing in it come last. Without it, Year, Month, Day and Time together
    if the table has them, else the first column with a time in every row. A time without a zone
    counts as UTC. Raises ValueError if the rows cannot be sorted so.
    """
    rows = list(table)
    if not rows:
        raise ValueError("There are no rows to sort: give a table that has some.")
    columns = list(getattr(table, "columns", rows[0]))
    if by is not None and by not in columns:
        raise ValueError(f"There is no column {by!r}: choose from {', '.join(columns)}.")
    lines = [getattr(row, "line", number) for number, row in enumerate(rows, start=1)]
    most = 0  # of the rows could be read as one kind
    for names, kind in [([by], kind) for kind in KINDS] if by else _candidates(columns):
        keys = _keys(rows, names, kind)
        empty = [line for line, (is_empty, _) in zip(lines, keys, strict=False) if is_empty]
        if len(keys) == len(rows) > len(empty) and (by or not empty):
            found = Sorted(rows[at] for at in sorted(range(len(rows)), key=keys.__getitem__))
            found.by, found.columns = f"{', '.join(names)} ({kind})", columns
            last = in_lines(empty[:FEW], len(empty), f"no {by}, so sorted last")
            found.problems = [*getattr(table, "problems", []), *[last] * bool(empty)]
            return found
        most = max(most, len(keys) % len(rows))
    if by is None:
        raise ValueError("No column has a time in every row: name the one to sort by (by=...).")
    odd = f"{rows[most].get(by)!r} in line {lines[most]}"
    raise ValueError(f"{by} is not one kind of time or number ({odd}): choose another column.")


def _candidates(columns: Sequence[str]) -> Iterator[tuple[list[str], str]]:
    """The columns that may hold the time, each with a kind it may be; the likeliest first."""
    found = {name.casefold(): name for name in columns}
    if {"year", "month", "day"} <= found.keys():
        parts = ("year", "month", "day", "time", "hour")
        yield [found[part] for part in parts if part in found][:4], next(iter(TIMES))
    yield from (([name], kind) for name in columns for kind in TIMES)


def _keys(rows: Sequence[dict], names: Sequence[str], kind: str) -> list[tuple]:
    """A key to sort by for each row up to the first that is not of this kind; empty ones last."""
    keys = []
    with suppress(ValueError):
        for row in rows:
            fields = [str(row.get(name, "")).strip() for name in names]
            keys.append((False, _value(" ".join(fields), kind)) if all(fields) else (True, 0))
    return keys


def _value(text: str, kind: str) -> datetime | float:
    """The time or number in a text of this kind. Raises ValueError if it is not one."""
    match = re.fullmatch(KINDS[kind], text, re.IGNORECASE)
    if not match:
        raise ValueError(f"{text!r} is not a {kind}")
    if "number" in kind:
        return float(text.replace(",", "." if "comma" in kind else ""))
    part = {name: found for name, found in match.groupdict().items() if found}
    year, month = part.get("year", "2000"), part.get("month", "1")[:3].lower()
    century = ("20" if year < "69" else "19") * (len(year) == 2)  # as in Python's own strptime
    month = MONTHS.index(month) + 1 if month in MONTHS else int(month)
    hour, minute, second = (float(part.get(name, 0)) for name in ("hour", "minute", "second"))
    hour = hour % 12 + 12 * (part["half"] in "pP") if "half" in part else hour
    zone = datetime.strptime(part["zone"], "%z").tzinfo if "zone" in part else UTC
    day = datetime(int(century + year), month, int(part.get("day", 1)), tzinfo=zone)
    return day + timedelta(hours=hour, minutes=minute, seconds=second)
