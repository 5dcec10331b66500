"""Rows sorted by real time or number, never as text."""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, time, timedelta
from itertools import product, takewhile
from os.path import commonprefix

from streamlib.rows.reading import EMPTY, FEW, in_lines

MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
WEEKDAY = r"((mon|tue|wed|thu|fri|sat|sun)[a-z]*[,.]? )?"
DAY, MONTH = r"(?P<day>\d\d?)", rf"(?P<month>\d\d?|({'|'.join(MONTHS)})[a-z]*\.?)"
YEAR = r"(?P<year>\d{4}|\d\d)"
CLOCK = r"(?P<hour>[01]?\d|2[0-4])([: ]?(?P<minute>[0-5]\d)(:?(?P<second>[0-5]\d(\.\d*)?))?)?"
CLOCK += r"( ?(?P<half>[ap])\.?m\.?)?( ?(?P<zone>Z|UTC|GMT|[-+]\d\d:?\d\d))?"
BOTH_WAYS = {
    "time as month/day/year": rf"{WEEKDAY}{MONTH}[/ ]{DAY}(/|,? ){YEAR}(,? {CLOCK})?",
    "time as day/month/year": rf"{WEEKDAY}{DAY}[-/. ]{MONTH}[-/. ]{YEAR}(,? {CLOCK})?",
    "time as month-day-year": rf"{MONTH}-{DAY}-{YEAR}( {CLOCK})?",
}
TIMES = {
    "time as year-month-day": rf"(?P<year>\d{{4}})[-/. ]{MONTH}[-/. ]{DAY}([T ]{CLOCK})?",
    **BOTH_WAYS,
    "time as year-month": rf"(?P<year>\d{{4}})[-/ ]{MONTH}",
    "time as month-year": rf"(?=.*([a-z]|\d{{4}})){MONTH}[-/. ]{YEAR}",
    "time as day-month": rf"(?=.*[a-z]){DAY}[-/. ]{MONTH}",
}
DIGITS = {"digits of a time": r"(1[5-9]|20)\d\d([01]\d([0-3]\d)?)?|\d{10}(\.\d*)?|\d{13}"}
NAMED = re.compile("date|time|year|stamp|epoch|when", re.IGNORECASE)  # a column of times, probably
Fit = tuple[list[str], str, list[tuple]]  # the columns and the kind that fit each row, the keys
KINDS = TIMES | {
    "number": r"[-+]?((\d+|\d{1,3}(,\d{3})+)(\.\d*)?|\.\d+)(e[-+]?\d+)?",
    "number with a decimal comma": r"[-+]?(\d+([.,]\d*)?|[.,]\d+)",
    "time of day": CLOCK,
}


class Sorted(list):
    """Sorted rows, with the `columns` and `problems` of their table; `by` says by what."""


def oldest_first(table: Iterable[dict], by: str | None = None) -> Sorted:
    """Return the rows sorted by time or number, all of them in memory.

    by: a column; rows with nothing in it come last. Without it, the first column with a time in
    every row, or Year, Month and Day together, and a column of times of day with them. A time
    without a zone counts as UTC. Raises ValueError if the rows cannot be sorted so.
    """
    rows = list(table)
    if not rows:
        raise ValueError("There are no rows to sort: give a table that has some.")
    columns = list(getattr(table, "columns", rows[0]))
    if by is not None and by not in columns:
        raise ValueError(f"There is no column {by!r}: choose from {', '.join(columns)}.")
    lines = [getattr(row, "line", number) for number, row in enumerate(rows, start=1)]
    problems = list(getattr(table, "problems", []))
    if by:
        fits = _fits(rows, product([[by]], KINDS))
    else:
        fits = filter(_is_full, _fits(rows, product(_candidates(columns), TIMES)))
    names, kind, keys = next(fits, None) or _digits(rows, lines, by, columns)
    if empty := [line for line, (is_empty, _) in zip(lines, keys, strict=True) if is_empty]:
        problems.append(in_lines(empty[:FEW], len(empty), f"no {by}, so sorted last"))
    if kind in TIMES and all(is_empty or key.time() == time(0) for is_empty, key in keys):
        clocks = _clocks(rows, columns, names)
        finer = _fits(rows, [([*names, clock], kind) for clock in clocks if not by])
        names, _, keys = next(filter(_is_full, finer), (names, kind, keys))
        if unused := ", ".join(clock for clock in clocks if clock not in names):
            problems.append(f"Equal dates stay in the order they had: {unused} not used.")
    for _, other, ways in _fits(rows, product([names], BOTH_WAYS if kind in BOTH_WAYS else ())):
        if ways != keys:
            at = [one == two for one, two in zip(ways, keys, strict=True)].index(False)
            text = f"{rows[at][names[0]]!r} in line {lines[at]}"
            problems.append(f"{text} could be a {other}, too: it was taken as a {kind}.")
    done = Sorted(rows[at] for at in sorted(range(len(rows)), key=keys.__getitem__))
    done.by, done.columns, done.problems = f"{', '.join(names)} ({kind})", columns, problems
    return done


def _fits(rows: list[dict], ways: Iterable[tuple]) -> Iterator[Fit]:
    """The ways to sort by (columns and a kind) that fit each row, be it empty in some."""
    for names, kind in ways:
        keys = list(takewhile(bool, _keys(rows, names, kind)))
        if len(keys) == len(rows) and not all(is_empty for is_empty, _ in keys):
            yield names, kind, keys


def _is_full(fit: Fit) -> bool:
    return not any(is_empty for is_empty, _ in fit[2])


def _candidates(columns: Sequence[str]) -> list[list[str]]:
    """The columns that may hold the time, alone or together; the likeliest first."""
    found, together = {name.casefold(): name for name in columns}, []
    for year in [name for name in found if "year" in name]:
        others = [
            [found[like] for part in parts if (like := year.replace("year", part)) in found]
            for parts in (["month"], ["day", "day_of_month"], ["time", "hour"], ["minute"])
        ]
        known = list(takewhile(bool, others))
        names = [found[year], *(parts[0] for parts in known)]
        together += [names[:end] for end in range(len(names), 1, -1)]
    return [*together, *([name] for name in columns)]


def _clocks(rows: list[dict], columns: list[str], dates: list[str]) -> list[str]:
    """The other columns with a time of day, the one named most like the date last."""

    def is_clock(name: str) -> bool:
        texts = [str(row.get(name, "")).strip() for row in rows]
        texts = [text for text in texts if text.casefold() not in EMPTY]
        sure = re.search("(time|hour|clock)$", name, re.IGNORECASE) or all(":" in t for t in texts)
        return bool(texts and sure) and all(re.fullmatch(CLOCK, t, re.IGNORECASE) for t in texts)

    def likeness(name: str) -> int:
        pair = [name.casefold(), dates[0].casefold()]
        return len(commonprefix(pair)) + len(commonprefix([text[::-1] for text in pair]))

    return sorted(filter(is_clock, set(columns) - set(dates)), key=likeness)


def _digits(rows: list[dict], lines: list[int], by: str | None, columns: list[str]) -> Fit:
    """Years, epochs and the like, where no column is a time. Raises ValueError if none is that."""

    def count(way: tuple[str, str]) -> int:
        return sum(key[:1] == (False,) for key in _keys(rows[:1000], [way[0]], way[1]))

    name, kind = max(product([by] if by else columns, KINDS if by else TIMES), key=count)
    keys = list(_keys(rows, [name], kind))
    times = sum(key[:1] == (False,) for key in keys)
    odd = keys.index(()) if () in keys else None
    where = odd is not None and f"{rows[odd].get(name)!r} in line {lines[odd]}"
    if by:
        raise ValueError(
            f"{by} is not one kind of time or number ({where}): choose another column."
        )
    says = "No column has a time in every row"
    if times and where:
        raise ValueError(f"{says}: {name} is one in {times:,} rows, but not {where}; correct it.")
    if times:
        raise ValueError(
            f"{says}: {name} is a time in {times:,} rows and empty in {len(rows) - times:,}: by={name!r} or --by {name} puts them last"
        )
    fits = _fits(rows, product([[name] for name in columns if NAMED.search(name)], DIGITS))
    if fit := next(filter(_is_full, fits), None):
        return fit
    raise ValueError(f"{says}: name the one to sort by (by=... or --by).")


def _keys(rows: Sequence[dict], names: Sequence[str], kind: str) -> Iterator[tuple]:
    """A key to sort by for each row, () for one that is not of this kind; empty ones come last."""
    columns = [[str(row.get(name, "")).strip() for row in rows] for name in names]
    for clock in columns[1:]:  # 9 or 903 beside 1225: zeros in front
        longest = max(map(len, clock))
        clock[:] = [text.zfill(longest + longest % 2) if text.isdigit() else text for text in clock]
    for fields in zip(*columns, strict=True):
        try:
            empty = any(text.casefold() in EMPTY for text in fields)
            yield (True, 0) if empty else (False, _value(" ".join(fields), kind))
        except ValueError:
            yield ()


def _value(text: str, kind: str) -> datetime | float:
    """The time or number in a text of this kind. Raises ValueError if it is not one."""
    match = re.fullmatch((KINDS | DIGITS)[kind], text, re.IGNORECASE)
    if not match:
        raise ValueError(f"{text!r} is not a {kind}")
    if kind not in TIMES and kind != "time of day":
        return float(text.replace(",", "." if "comma" in kind else ""))
    part = {name: found for name, found in match.groupdict().items() if found}
    year, month = part.get("year", "2000"), part.get("month", "1")[:3].lower()
    century = ("20" if year < "69" else "19") * (len(year) == 2)  # as in Python's own strptime
    month = MONTHS.index(month) + 1 if month in MONTHS else int(month)
    hour, minute, second = (float(part.get(name, 0)) for name in ("hour", "minute", "second"))
    hour = hour % 12 + 12 * (part["half"] in "pP") if "half" in part else hour
    offset = part.get("zone", "Z").upper().replace("UTC", "Z").replace("GMT", "Z")
    day = datetime(int(century + year), month, int(part.get("day", 1)))
    day = day.replace(tzinfo=datetime.strptime(offset, "%z").tzinfo)
    return day + timedelta(hours=hour, minutes=minute, seconds=second)
