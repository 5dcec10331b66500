"""Rows sorted by real time or number, never as text."""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime


class Sorted(list):
    """Rows in the order of time or number; `by` says by what; `columns` and `odd` as in `Rows`."""

    by: str
    columns: list[str]
    odd: list[str]


def oldest_first(table: Iterable[dict], by: str | None = None) -> Sorted:
    """Return the rows sorted by real time or number, never as text; all of them, in memory.

    by: the column; without it, Year, Month, Day and Time together where they are there, else the
    first column whose every field is a time. Rows with an empty field in `by` come last.
    Raises ValueError with one sentence if no column will do.
    """
    every = list(table)
    if not every:
        raise ValueError("There are no rows to sort.")
    columns = list(getattr(table, "columns", every[0]))
    if by is not None and by not in columns:
        raise ValueError(f"There is no column {by!r}: choose from {', '.join(columns)}.")
    parts = _parts(columns)
    candidates = [[by]] if by else [parts] * bool(parts) + [[name] for name in columns]
    for names in candidates:
        texts = [" ".join(row.get(name, "") for name in names).strip() for row in every]
        readers = TIMES if by is None else TIMES + OTHERS
        readers = TOGETHER if names is parts else readers
        for kind, reader in readers:
            keys = _keys(texts, reader, empty_too=by is not None)
            if keys:
                found = Sorted(every[at] for at in sorted(range(len(every)), key=keys.__getitem__))
                found.by, found.columns = f"{', '.join(names)} ({kind})", columns
                found.odd = list(getattr(table, "odd", []))
                empty = [row for row, key in zip(every, keys, strict=True) if key[0]]
                if empty:
                    where = ", ".join(str(getattr(row, "line", "?")) for row in empty[:8])
                    more = f" and {len(empty) - 8} more" if len(empty) > 8 else ""
                    found.odd.append(f"Line {where}{more}: nothing in {by}, so it comes last.")
                return found
    if by is None:
        raise ValueError(
            "No column holds a time in every row that this lab can read: name the column to sort "
            "by, a time or a number (by=..., in a terminal --by)."
        )
    told = [
        f"{text!r} in line {getattr(row, 'line', n)}"
        for n, (row, text) in enumerate(zip(every, texts, strict=True), start=1)
        if text and not is_value(text)
    ]
    raise ValueError(
        f"{by} is not a time or a number in every row"
        + (f" ({told[0]})" if told else ": they are not all alike")
        + "; mend these rows, or choose another column."
    )


def _parts(columns: Sequence[str]) -> list[str]:
    """The columns that hold one time in parts: Year, Month, Day and, if there, Time or Hour."""
    found = {name.casefold(): name for name in columns}
    if not {"year", "month", "day"} <= found.keys():
        return []
    rest = [found[name] for name in ("time", "hour") if name in found][:1]
    return [found["year"], found["month"], found["day"], *rest]


def _iso(text: str) -> datetime:
    if text.isdigit():
        raise ValueError("a number")  # 20130409 may be one; who means a time, has it in a format
    return datetime.fromisoformat(text)


def _format(pattern: str) -> Callable[[str], datetime]:
    return lambda text: datetime.strptime(text, pattern)


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number) or "_" in text:
        raise ValueError("no number to sort by")
    return number


def _with_thousands(text: str) -> float:
    if "," in text and not re.fullmatch(r"[-+]?\d{1,3}(,\d{3})+(\.\d*)?", text):
        raise ValueError("no comma for thousands")
    return _number(text.replace(",", ""))


def _with_comma(text: str) -> float:
    return _number(text.replace(",", ".") if text.count(",") == 1 else text)


CLOCKS = (" %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
DATES = (
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%m/%d/%y",
    "%d/%m/%y",
    "%d.%m.%Y",
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%d-%m-%Y",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%B %d, %Y",
    "%b %d, %Y",
    "%d %B %Y",
    "%d %b %Y",
)
WORDS = {
    "%Y": "year", "%y": "year", "%m": "month", "%b": "month", "%B": "month", "%d": "day",
    "%H": "hour", "%I": "hour", "%M": "minute", "%S": "second", "%p": "am or pm",
}  # fmt: skip


def _time(pattern: str) -> str:
    """In words: %m/%d/%Y is time as month/day/year."""
    return "time as " + re.sub("%.", lambda code: WORDS[code.group()], pattern)


def _times(*patterns: str) -> list[tuple[str, Callable]]:
    return [(_time(pattern), _format(pattern)) for pattern in patterns]


TOGETHER = _times(
    *(f"%Y {month} %d{clock}" for month in ("%m", "%b", "%B") for clock in ("", *CLOCKS, " %H"))
)
TIMES = [("time", _iso), *_times(*(date + clock for date in DATES for clock in ("", *CLOCKS)))]
OTHERS = [
    *_times(*(clock.strip() for clock in CLOCKS)),
    ("number", _number),
    ("number, commas for thousands", _with_thousands),
    ("number, a comma for the decimals", _with_comma),
]


def _keys(texts: Sequence[str], reader: Callable, empty_too: bool) -> list[tuple] | None:
    """A key to sort by for each text, the empty ones last; None if one of them cannot be read."""
    keys, aware = [], set()
    for text in texts:
        try:
            key = reader(text) if text or not empty_too else None
        except ValueError:
            return None
        if isinstance(key, datetime):
            aware.add(key.tzinfo is not None)
        keys.append((key is None, key or 0))
    return keys if len(aware) < 2 and any(not empty for empty, _ in keys) else None


def is_value(text: str) -> bool:
    """Whether a text reads as a number or a time."""
    return any(_keys([text.strip()], reader, False) for _, reader in OTHERS + TIMES)
