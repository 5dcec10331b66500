"""Rows sorted by real time or number, never as text."""

import re
import shlex
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import product, repeat, takewhile

from streamlib.rows.reading import EMPTY, in_lines

MONTHS = {m: n for n, m in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)}
YEAR, DAY = r"(?P<year>\d{4}|(?!^)\d\d)", r"(?P<day>\d\d?)"
MONTH = rf"(?P<month>\d\d?|({'|'.join(MONTHS)})[a-z]*\.?)"
CLOCK = r"(?P<hour>[01]?\d|2[0-4])([:. ]?(?P<minute>[0-5]\d)(:?(?P<second>[0-5]\d(\.\d*)?))?)?"
CLOCK += r"( ?(?P<half>[ap])\.?m\.?)?( ?(Z|UTC|GMT|(?P<zone>[-+]\d\d:?\d\d)))?"
TIMES = {
    "time as year-month-day": rf"(?!\d+\.\d+$){YEAR}[-/. ]{MONTH}([-/. ]{DAY}([T ]{CLOCK})?)?",
    "time as month/day/year": rf"{MONTH}[-/ ]{DAY}([-/ ]|, ?){YEAR}(,? {CLOCK})?",
    "time as day/month/year": rf"{DAY}[-/. ]{MONTH}[-/. ]{YEAR}(,? {CLOCK})?",
    "time as month-year": rf"(?=.*([a-z]|\d{{4}})){MONTH}[-/ ]{YEAR}",
}
KINDS = TIMES | {
    "number": r"[-+]?((\d+|\d{1,3}(,\d{3})+)(\.\d*)?|\.\d+)(e[-+]?\d+)?",
    "number with a decimal comma": r"[-+]?(\d+([.,]\d*)?|[.,]\d+)",
    "time of day": CLOCK,  # below: a year, 202403, 20240315, seconds or milliseconds since 1970
    "digits of a time": r"(1[5-9]|20)\d\d([01]\d([0-3]\d)?)?|\d{10}(\.\d*)?|\d{13}",
}
TIMELY = re.compile("date|time|year|stamp|epoch|when|^dt$", re.IGNORECASE)  # a column of times
LAST = (True, 0)  # the key of a row with nothing in that column


class Sorted(list):
    """Sorted rows; `columns` and `problems` are those of their table, and `by` names the key."""


def oldest_first(table: Iterable[dict], by: str | None = None) -> Sorted:
    """Return the rows, all of them in memory, sorted by time or number.

    by: a column; rows where it is empty come last. Without it: the first time that every row has,
    in one column or several. A time without a zone counts as UTC. Raises ValueError without one.
    """
    rows = list(table)
    if not rows:
        raise ValueError("There are no rows to sort: give a table that has some.")
    columns, problems = getattr(table, "columns", [*rows[0]]), [*getattr(table, "problems", [])]
    if by is not None and by not in columns:
        raise ValueError(f"There is no column {by!r}: choose from {', '.join(columns)}.")
    lines = [getattr(row, "line", number) for number, row in enumerate(rows, start=1)]
    clocks = [n for n in rows[0] if n.lower().endswith(("time", "hour")) or ":" in str(rows[0][n])]
    ways = product([[by]], KINDS) if by else _likely(columns, clocks)
    tried = [_tried(rows, *way) for way in ways]
    likeliest = max(tried, key=lambda way: way[0][:3])[1]
    best = max((way for way in tried if way[1] == likeliest), key=lambda way: way[0])
    (fits, is_time, count, _), names, kind, keys = best
    if not fits or (count < len(rows) and not by):
        raise ValueError(_refusal(rows, lines, *best))
    if empty := [line for line, key in zip(lines, keys, strict=True) if key == LAST]:
        problems.append(in_lines(empty, len(empty), f"no {by}, so sorted last"))
    for (_, also_time, *_), others, other, found in tried:
        if also_time and others == names and found != keys:
            problems.append(f"{names[0]} could also be a {other}: it was taken as a {kind}.")
    if is_time and (unused := [n for n in clocks if n not in names]) and names[0] not in clocks:
        problems.append(f"Equal times stay in the order they had; not used: {', '.join(unused)}.")
    done = Sorted(rows[at] for at in sorted(range(len(rows)), key=keys.__getitem__))
    done.by, done.columns, done.problems = f"{', '.join(names)} ({kind})", list(columns), problems
    return done


def _tried(rows: list[dict], names: list[str], kind: str) -> tuple[tuple, list[str], str, list]:
    """Return how well columns fit a kind, and the rows' keys, up to the first row without one."""
    fields = ([str(row.get(name, "")).strip() for name in names] for row in rows)
    keys = list(takewhile(bool, map(_key, fields, repeat(kind))))
    fits = len(keys) == len(rows) > keys.count(LAST)
    rises = fits and keys in (sorted(keys), sorted(keys, reverse=True))  # tells day from month
    return (fits, fits and kind in TIMES, len(keys) - keys.count(LAST), rises), names, kind, keys


def _likely(columns: Iterable[str], clocks: list[str]) -> Iterator[tuple[list[str], str]]:
    """Yield columns that may hold the time, alone or together, with a kind; the finest first."""
    found, dates = {name.casefold(): name for name in columns}, [[name] for name in columns]
    for year in [name for name in found if name.replace("year", "month") in found.keys() - {name}]:
        parts = (year.replace("year", part) for part in ("year", "month", "day", "day_of_month"))
        dates.insert(0, [found[name] for name in parts if name in found][:3])
    for date in dates:
        yield from product([*([*date, clock] for clock in clocks), date], TIMES)
    yield from (([name], "digits of a time") for name in columns if TIMELY.search(name))


def _refusal(rows: list, lines: list, fit: tuple, names: list, kind: str, keys: list) -> str:
    """Say why the rows cannot be sorted, judging by the closest fit, and what to do about it."""
    name, at = names[0], keys.index(LAST) if len(keys) == len(rows) else len(keys)
    odd = f"{rows[at].get(name)!r:.40} in line {lines[at]}"
    if fit[0]:
        last = f"empty in {len(rows) - fit[2]:,}: --by {shlex.quote(name)} puts them last"
        return f"{name} is a time in {fit[2]:,} rows and {last} ({odd})."
    return f"{name} is not a {kind} ({odd}): correct it, or choose another column by --by."


def _key(fields: list[str], kind: str) -> tuple | None:
    """Return a key to sort by, or None if the fields are not of this kind."""
    if not EMPTY.isdisjoint(map(str.casefold, fields)):
        return LAST
    match = re.fullmatch(KINDS[kind], text := " ".join(fields), re.IGNORECASE)
    if match and not match.groupdict():
        return False, float(text.replace(",", "." if "comma" in kind else ""))
    with suppress(ValueError):  # such as 30 February
        return match and (False, _time(**{k: v for k, v in match.groupdict().items() if v}))


def _time(year="2000", month="1", day="1", hour=0, minute=0, second=0, half="", zone=""):
    """Return the time that these parts of a text name; raise ValueError if it does not exist."""
    century = ("20" if year < "69" else "19") * (len(year) == 2)  # as in Python's own strptime
    month = MONTHS.get(month[:3].lower()) or int(month)
    hour = int(hour) % 12 + 12 * (half in "pP") if half else int(hour)
    tzinfo = datetime.strptime(zone, "%z").tzinfo if zone else UTC
    midnight = datetime(int(century + year), month, int(day), tzinfo=tzinfo)
    return midnight + timedelta(hours=hour, minutes=int(minute), seconds=float(second))
