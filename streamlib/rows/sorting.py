"""Rows sorted by real time or number, never as text."""

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, time, timedelta
from itertools import product, takewhile
from operator import itemgetter

from streamlib.rows.reading import EMPTY, FEW, in_lines

MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
WEEKDAY = r"((mon|tue|wed|thu|fri|sat|sun)[a-z]*[,.]? )?"
DAY, MONTH = r"(?P<day>\d\d?)", rf"(?P<month>\d\d?|({'|'.join(MONTHS)})[a-z]*\.?)"
YEAR = r"(?P<year>\d{4}|\d\d)"
CLOCK = r"(?P<hour>[01]?\d|2[0-4])([:. ]?(?P<minute>[0-5]\d)(:?(?P<second>[0-5]\d(\.\d*)?))?)?"
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
DIGITS = {  # a year, 202403, 20240315, 2024-W05, 2024-Q1; seconds or milliseconds since 1970
    "digits of a time": r"(1[5-9]|20)\d\d([01]\d([0-3]\d)?|[- ]?(W\d\d|Q\d))?|\d{10}(\.\d*)?|\d{13}"
}
TIMELY = re.compile("date|time|year|stamp|epoch|when|week|quarter|^dt$", re.I)  # a column of times
KINDS = TIMES | {
    "number": r"[-+]?((\d+|\d{1,3}(,\d{3})+)(\.\d*)?|\.\d+)(e[-+]?\d+)?",
    "number with a decimal comma": r"[-+]?(\d+([.,]\d*)?|[.,]\d+)",
    "time of day": CLOCK,
    **DIGITS,
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
    ways = [*product([[by]], KINDS)] if by else [*product(_candidates(columns), TIMES)]
    named = [[name] for name in columns if TIMELY.search(name)]
    fits = [*_fits(rows, ways)] or [*_fits(rows, () if by else product(named, DIGITS))]
    empties, names, kind, keys = min(fits, key=itemgetter(0), default=(len(rows), [], "", []))
    if not fits or (empties and not by):
        raise ValueError(_refusal(rows, lines, by, ways))
    if empty := [line for line, (is_empty, _) in zip(lines, keys, strict=True) if is_empty]:
        problems.append(in_lines(empty[:FEW], len(empty), f"no {by}, so sorted last"))
    for _, others, other, found in fits:
        if others == names and {kind, other} <= set(BOTH_WAYS) and found != keys:
            example = f"{rows[0].get(names[0])}, as all the others, could also be a {other}"
            problems.append(f"{example}: it was taken as a {kind}.")
    if kind in TIMES and all(is_empty or key.time() == time(0) for is_empty, key in keys):
        clocks = _clocks(rows, [name for name in columns if name not in names], names[0])
        for clock in () if by else clocks:  # a time, or an hour and then a minute
            for count, finer, _, times in _fits(rows, [([*names, clock], kind)]):
                names, keys = (names, keys) if count else (finer, times)
        if unused := ", ".join(clock for clock in clocks if clock not in names):
            problems.append(f"Equal dates stay in the order they had; not used: {unused}.")
    done = Sorted(rows[at] for at in sorted(range(len(rows)), key=keys.__getitem__))
    done.by, done.columns, done.problems = f"{', '.join(names)} ({kind})", columns, problems
    return done


def _fits(rows: list[dict], ways: Iterable[tuple]) -> Iterator[tuple]:
    """The ways (columns, a kind) that fit all rows; in how many they are empty, a key for each."""
    for names, kind in ways:
        keys = list(takewhile(bool, _keys(rows, names, kind)))
        empties = sum(is_empty for is_empty, _ in keys)
        if len(keys) == len(rows) > empties:
            yield empties, names, kind, keys


def _candidates(columns: Sequence[str]) -> list[list[str]]:
    """The columns that may hold the time, alone or together; the likeliest first."""
    found, together = {name.casefold(): name for name in columns}, []
    for year in [name for name in found if "year" in name]:
        parts = ["month", "mo"], ["day", "day_of_month", "dy", "da"]
        likely = [[year.replace("year", part) for part in names] for names in parts]
        months, days = ([found[name] for name in names if name in found] for names in likely)
        together += [[found[year], month, *days[:1]] for month in months[:1]]
    return [*together, *([name] for name in columns)]


def _clocks(rows: list[dict], columns: list[str], date: str) -> list[str]:
    """The columns of a time of day; first the one named most like the date, minutes last."""

    def order(name: str) -> tuple[bool, int]:
        words, others = (set(re.findall("[A-Z]?[a-z]+", text)) for text in (name, date))
        return name.casefold().endswith("minute"), -len(words & others)

    named = re.compile("(time|hour|hr|minute)s?$", re.IGNORECASE).search
    stamp = re.compile(rf"(?=.*:){CLOCK}", re.IGNORECASE).fullmatch
    texts = {name: [str(row.get(name, "")).strip() for row in rows[:FEW]] for name in columns}
    return sorted(
        (name for name in texts if named(name) or any(map(stamp, texts[name]))), key=order
    )


def _refusal(rows: list[dict], lines: list[int], by: str | None, ways: list[tuple]) -> str:
    """Why the rows cannot be sorted, by what comes nearest to a time, and what to do."""

    def fit(way: tuple) -> tuple[int, int]:
        keys = [*_keys(rows[:1000], *way), ()]
        return sum(key[:1] == (False,) for key in keys), keys.index(())

    ([name, *_], kind), says = max(ways, key=fit), "No column has a time in every row"
    keys = list(_keys(rows, [name], kind))
    count = sum(key[:1] == (False,) for key in keys)
    at = keys.index(() if () in keys else (True, 0))
    odd = f"{rows[at].get(name)!r} in line {lines[at]}"
    if by:
        return f"{by} is not one kind of time or number ({odd}): choose another column."
    last = f"empty in {len(rows) - count:,}: --by {shlex.quote(name)} puts them last"
    last = "not in others: correct them" if () in keys else last
    if count:
        return f"{says} ({odd}): {name} is a time in {count:,} rows and {last}."
    example = next(filter(TIMELY.search, rows[0]), name)
    return f"{says}: name the one to sort by, as in --by {shlex.quote(example)}."


def _keys(rows: Sequence[dict], names: Sequence[str], kind: str) -> Iterator[tuple]:
    """A key to sort by for each row, () for one that is not of this kind; empty ones come last."""
    sizes = [max(len(str(row.get(name, ""))) for row in rows) for name in names[1:]]
    for row in rows:
        fields = [str(row.get(name, "")).strip() for name in names]
        for at, size in enumerate(sizes, start=1):  # 9 or 903 beside 1225: zeros in front
            if fields[at].isdigit():
                fields[at] = fields[at].zfill(size + size % 2)
        try:
            is_empty = not EMPTY.isdisjoint(map(str.casefold, fields))
            yield (True, 0) if is_empty else (False, _value(" ".join(fields), kind))
        except ValueError:
            yield ()


def _value(text: str, kind: str) -> datetime | float:
    """The time or number in a text of this kind. Raises ValueError if it is not one."""
    match = re.fullmatch(KINDS[kind], text, re.IGNORECASE)
    if not match:
        raise ValueError(f"{text!r} is not a {kind}")
    if kind not in TIMES and kind != "time of day":
        text = re.sub("[- ]?[WQ]", ".", text, flags=re.IGNORECASE)  # of a week or quarter
        return float(text.replace(",", "." if "comma" in kind else ""))
    part = {name: found for name, found in match.groupdict().items() if found}
    year, month = part.get("year", "2000"), part.get("month", "1")[:3].lower()
    century = ("20" if year < "69" else "19") * (len(year) == 2)  # as in Python's own strptime
    month = MONTHS.index(month) + 1 if month in MONTHS else int(month)
    hour, minute, second = (float(part.get(name, 0)) for name in ("hour", "minute", "second"))
    hour = hour % 12 + 12 * (part["half"] in "pP") if "half" in part else hour
    zone = UTC
    if "zone" in part and part["zone"].upper() not in ("UTC", "GMT"):
        zone = datetime.strptime(part["zone"], "%z").tzinfo
    day = datetime(int(century + year), month, int(part.get("day", 1)), tzinfo=zone)
    return day + timedelta(hours=hour, minutes=minute, seconds=second)
