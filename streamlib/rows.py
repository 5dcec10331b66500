"""Any CSV file that a learner brings, row by row and by column name, in constant memory.

    table = rows.read("data/penguins.csv")
    table.assumed               # encoding, delimiter, header: what the file does not say itself
    for row in table:
        row["Species"], row.line
    table.odd                   # what was strange, and in which lines

The csv module parses and charset-normalizer guesses; senders import this, so pandas stays out.
"""

import codecs
import csv
import math
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import TextIO

from charset_normalizer import from_bytes

LONGEST = 4 * 1024 * 1024  # characters of one line or field: more is no table, and memory is finite
BLOCK = 1024 * 1024
LOOK_S = 0.05  # how often a growing file is looked at
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
NO_TEXT = {
    b"PK\x03\x04": "a spreadsheet or another zip file",
    b"\xd0\xcf\x11\xe0": "an old Excel spreadsheet",
    b"\x1f\x8b": "a gzip file",
    b"%PDF": "a PDF",
    b"SQLite format 3": "a SQLite database",
}
DELIMITERS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "pipe"}
WESTERN = set("àáâãäåæçèéêëìíîïñòóôõöøùúûüÿœßÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜŒ‘’“”–—…€°«»¿¡")
FEW = 8  # that many lines are named, the others counted


class Row(dict):
    """One row, column name -> text; `line` is the line of the file in which it ends."""

    __slots__ = ("line",)


class Rows:
    """The rows of a CSV file; each time they are iterated over, the file is read anew.

    path; columns (their names); assumed (what the file does not say itself: encoding, delimiter,
    header); odd (sentences on what was strange in the last reading, with its lines).
    """

    def __init__(
        self,
        path: Path,
        names: list[str],
        columns: list[str],
        assumed: dict,
        until: Callable[[], bool] | None,
    ):
        self.path, self.columns, self.assumed = path, columns, assumed
        self._names, self._until = names, until  # the names of all columns of the file
        self._odd: dict[str, tuple[int, list[int]]] = {}

    @property
    def odd(self) -> list[str]:
        return [
            f"Line{'s' * (seen > 1)} {', '.join(map(str, lines))}"
            + (f" and {seen - len(lines):,} more" if seen > len(lines) else "")
            + f": {what}."
            for what, (seen, lines) in self._odd.items()
        ]

    def __iter__(self) -> Iterator[Row]:
        self._odd = {}
        names, width, ended = self._names, len(self._names), 0
        chosen = self.columns if self.columns != names else None
        header = self.assumed["header"] == "first row"
        with _open(self.path, self.assumed["encoding"]) as file:
            lines = Lines(file, self.path, self._until, self._note)
            reader = _reader(iter(lines), self.assumed)
            while True:
                try:
                    values = next(reader, None)
                except csv.Error as error:
                    raise ValueError(
                        f"{self.path.name}, from line {ended + 1}: {error}; probably a closing "
                        "quote is missing there."
                    ) from None
                if values is None:
                    return
                ended = reader.line_num
                if lines.over:  # the parser asked for another line to end this row with
                    self._note("the file ends inside a quoted field", ended)
                if not values:
                    self._note("blank, left out", ended)
                elif header:
                    header = False
                else:
                    row = Row(zip(names, values, strict=False))
                    row.line = ended
                    if len(values) != width:
                        self._fit(row, values)
                    if chosen:
                        row = Row((name, row[name]) for name in chosen)
                        row.line = ended
                    yield row

    def _fit(self, row: Row, values: list[str]) -> None:
        """A ragged row: no field of it is thrown away, and it is noted."""
        width = len(self._names)
        if len(values) < width:
            row.update(dict.fromkeys(self._names[len(values) :], ""))
            what = f"fewer fields than the {width} columns, the missing ones left empty"
        else:
            row.update({f"column {n}": value for n, value in enumerate(values, 1) if n > width})
            what = f"more fields than the {width} columns, kept as column {width + 1} and on"
        self._note(what, row.line)

    def _note(self, what: str, line: int) -> None:
        seen, lines = self._odd.get(what, (0, []))
        self._odd[what] = (seen + 1, lines if seen >= FEW else [*lines, line])

    def __repr__(self) -> str:
        encoding, delimiter, header = (
            self.assumed[what] for what in ("encoding", "delimiter", "header")
        )
        header = "the first row is a header" if header == "first row" else "no header"
        return (
            f"<rows of {self.path.name}: {len(self.columns)} columns; assumed: {encoding}, "
            f"{DELIMITERS.get(delimiter, delimiter)} between fields, {header}>"
        )


def read(
    path: Path | str,
    *,
    columns: Sequence[str] | None = None,
    encoding: str | None = None,
    delimiter: str | None = None,
    header: bool | None = None,
    until: Callable[[], bool] | None = None,
) -> Rows:
    """Return the rows of a CSV file by column name; nothing but its beginning is read yet.

    columns: the names of those that are wanted; without it, all;
    encoding, delimiter, header: say so where the guess in `.assumed` is wrong;
    until: for a file that still grows: asked while no new line comes, True ends the reading.

    Empty names become `column 3`, repeated ones `name 2`. Raises OSError or ValueError with one
    sentence if the file cannot be read, is no table or has no rows.
    """
    path = Path(path)
    head = _head(path, until)
    assumed = {"encoding": encoding or _encoding(path, head)}
    with _open(path, assumed["encoding"]) as file:
        lines = list(islice(Lines(file, path), 200))
    if not "".join(lines).strip():
        raise ValueError(f"{path} holds nothing but blank lines: give a CSV file with rows.")
    assumed["delimiter"] = delimiter or _delimiter(lines)
    spaced = re.compile(re.escape(assumed["delimiter"]) + r' +"(?!")')
    assumed["spaces"] = "left out" if any(map(spaced.search, lines[:50])) else "kept"
    try:
        sample = [values for values in _reader(iter(lines), assumed) if values]
    except csv.Error as error:
        raise ValueError(f"{path} cannot be read as a table ({error}): give a CSV file.") from None
    has_header = _has_header(sample) if header is None else header
    assumed["header"] = "first row" if has_header else "none"
    if has_header and len(sample) == 1 and until is None:
        raise ValueError(f"{path} has a header but no rows: give a file with at least one row.")
    names = _columns(sample[0], has_header)
    if isinstance(columns, str):
        raise ValueError(f"columns is the text {columns!r}: give a list, as in [{columns!r}].")
    for column in columns or ():
        if column not in names:
            raise ValueError(f"{path.name} has no column {column!r}: choose from {names}.")
    return Rows(path, names, list(columns or names), assumed, until)


class Sorted(list):
    """Rows in the order of time or number; `by` says by what; `columns` and `odd` as in `Rows`."""

    by: str
    columns: list[str]
    odd: list[str]


def oldest_first(table: Iterable[Row], by: str | None = None) -> Sorted:
    """Return the rows sorted by real time or number, never as text; all of them, in memory.

    by: the column; without it, Year, Month, Day and Time together where they are there, else the
    first column whose every field is a time. Rows with an empty field in `by` come last.
    Raises ValueError with one sentence if no column will do.
    """
    every = list(table)
    if not every:
        raise ValueError("There are no rows to sort.")
    columns = list(every[0])
    if by is not None and by not in columns:
        raise ValueError(f"There is no column {by!r}: choose from {', '.join(columns)}.")
    together = _together(columns)
    candidates = [[by]] if by else [together] * bool(together) + [[name] for name in columns]
    for names in candidates:
        texts = [" ".join(row.get(name, "") for name in names).strip() for row in every]
        readers = TOGETHER if names is together else TIMES + OTHERS if by else TIMES
        for kind, reader in readers:
            keys = _keys(texts, reader, empty_too=by is not None)
            if keys:
                found = Sorted(every[at] for at in sorted(range(len(every)), key=keys.__getitem__))
                found.by, found.columns = f"{', '.join(names)} ({kind})", columns
                found.odd = list(getattr(table, "odd", []))
                return found
    if by is None:
        raise ValueError(
            "No column holds a time in every row: name the one to sort by, as in "
            f"rows.oldest_first(table, by={columns[0]!r})."
        )
    told = [
        f"{text!r} in line {getattr(row, 'line', n)}"
        for n, (row, text) in enumerate(zip(every, texts, strict=True), start=1)
        if not _is_value(text)
    ]
    raise ValueError(
        f"{by} is not a time or a number in every row"
        + (f" ({told[0]})" if told else ": they are not all alike")
        + "; mend these rows, or choose another column."
    )


def _together(columns: Sequence[str]) -> list[str]:
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
    number = float(text.replace(",", ".") if text.count(",") == 1 else text)
    if not math.isfinite(number):
        raise ValueError("no number to sort by")
    return number


CLOCKS = (" %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
DATES = (
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%m/%d/%y",
    "%d/%m/%y",
    "%d.%m.%Y",
    "%Y/%m/%d",
    "%d-%m-%Y",
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
OTHERS = [*_times(*(clock.strip() for clock in CLOCKS)), ("number", _number)]


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


def _is_value(text: str) -> bool:
    """Whether a text reads as a number or a time."""
    return any(_keys([text.strip()], reader, False) for _, reader in OTHERS + TIMES)


class Lines:
    """The lines of an open file, one at a time, none longer than LONGEST; `over` at its end.

    until: for a file that grows: a line counts when its end has come, or when until() is True.
    """

    def __init__(self, file: TextIO, path: Path, until: Callable | None = None, note=None):
        self.file, self.path, self.until, self.note = file, path, until, note
        self.over = False

    def __iter__(self) -> Iterator[str]:
        number, part = 0, ""
        while True:
            over = self.until is None or self.until()  # asked before the last look, not after it
            for line in iter(partial(self.file.readline, LONGEST), ""):
                line = part + line if part else line
                part = ""
                if len(line) >= LONGEST:
                    raise ValueError(
                        f"{self.path.name}, line {number + 1} has more than {LONGEST:,} "
                        "characters: that is no table with rows; give another file."
                    )
                if not over and line[-1] not in "\r\n":
                    part = line
                    break
                number += 1
                if self.note and "\ufffd" in line:
                    self.note("characters that cannot be read, shown as \ufffd", number)
                yield line
            if over:
                break
            time.sleep(LOOK_S)
        self.over = True


def _open(path: Path, encoding: str) -> TextIO:
    try:
        return path.open(encoding=encoding, errors="replace", newline="")
    except LookupError:
        raise ValueError(f"There is no encoding {encoding!r}: use utf-8 or cp1252.") from None


def _reader(lines: Iterator[str], assumed: dict) -> Iterator[list[str]]:
    csv.field_size_limit(LONGEST)
    spaces = assumed["spaces"] == "left out"
    return csv.reader(lines, delimiter=assumed["delimiter"], skipinitialspace=spaces)


def _head(path: Path, until: Callable[[], bool] | None) -> bytes:
    """The file's first block; of one that grows, at least a line."""
    if path.is_dir():
        raise OSError(f"{path} is a folder: give the name of a CSV file in it.")
    if not path.exists():
        raise OSError(f"{path} is not there: check the name, and the folder you are in.")
    if not path.is_file():
        raise OSError(f"{path} is not a file: give a CSV file.")
    try:
        with path.open("rb") as file:
            head = file.read(BLOCK)
            while until and b"\n" not in head and not until():
                time.sleep(LOOK_S)
                head += file.read(BLOCK)
    except OSError as error:
        raise OSError(f"{path} cannot be read ({error.strerror}): give another file.") from None
    if not head:
        raise ValueError(f"{path} is empty: give a CSV file with rows.")
    for start, what in NO_TEXT.items():
        if head.startswith(start):
            raise ValueError(f"{path} is {what}, not a CSV file: save it as CSV first.")
    return head


def _encoding(path: Path, head: bytes) -> str:
    """By its mark, else UTF-8 if all of it is that, else the likeliest one."""
    for mark, encoding in MARKS.items():
        if head.startswith(mark):
            return encoding
    if b"\0" in head:
        wide = from_bytes(head[:65536], cp_isolation=["utf_16_le", "utf_16_be"]).best()
        if wide is None or wide.encoding not in ("utf_16_le", "utf_16_be"):
            raise ValueError(f"{path} is a binary file, not text: give a CSV file.")
        return wide.encoding
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                sample = block[max(0, error.start - 2000) : error.start + 64000]
                return _not_utf8(path, sample)
    return "utf-8"


def _not_utf8(path: Path, sample: bytes) -> str:
    """Western text is in Windows' or the old Macintosh's code page; else the library's guess.

    The library alone takes a München in Mac Roman for one in cp1252, misspelt. Western text is told
    by its single letters among ASCII: other alphabets have long runs beyond it.
    """
    beyond = re.findall(rb"[\x80-\xff]+", sample)
    if sum(len(run) > 2 for run in beyond) < len(beyond) / 4:
        fits = {
            code: sum(letter in WESTERN for letter in b"".join(beyond).decode(code, "replace"))
            for code in ("cp1252", "mac_roman")
        }
        if fits["cp1252"] != fits["mac_roman"]:
            return max(fits, key=fits.get)
        best = from_bytes(sample, cp_isolation=list(fits)).best()
        return best.encoding if best else "cp1252"
    if best := from_bytes(sample).best():
        return best.encoding
    raise ValueError(f"{path} is not text in any known encoding: give a CSV file.")


def _delimiter(lines: list[str]) -> str:
    """The one that gives most rows the same number of fields, more than one."""

    def fit(delimiter: str) -> tuple:
        assumed = {"delimiter": delimiter, "spaces": "kept"}
        try:
            widths = Counter(len(values) for values in _reader(iter(lines), assumed) if values)
        except csv.Error:
            return (0, 0)
        width, count = widths.most_common(1)[0] if widths else (1, 0)
        return (count / max(1, widths.total()) if width > 1 else 0, width)

    return max(DELIMITERS, key=fit)


def _has_header(sample: list[list[str]]) -> bool:
    """False if the first row has a number or a time in each column where the others have them."""
    first, others = sample[0], sample[1:11]
    if not others:
        return not any(map(_is_value, first))
    telling = [
        name
        for column, name in enumerate(first)
        if all(len(row) > column and _is_value(row[column]) for row in others)
    ]
    return not (telling and all(map(_is_value, telling)))


def _columns(first: list[str], header: bool) -> list[str]:
    """The names, without spaces around them, none empty and none twice."""
    names: list[str] = []
    for number, text in enumerate(first, start=1):
        name = (text.strip() if header else "") or f"column {number}"
        copies = (f"{name} {n}" for n in count(2))
        names.append(name if name not in names else next(c for c in copies if c not in names))
    return names
