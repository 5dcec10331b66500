"""Any CSV file that a learner brings, row by row and by column name, in constant memory.

    table = rows.read("data/penguins.csv")
    table.assumed               # encoding, delimiter, header: what the file does not say itself
    for row in table:
        row["Species"], row.line
    table.odd                   # what was strange, and in which lines

The csv module parses and charset-normalizer guesses; senders import this, so pandas stays out.
"""

import codecs
import contextlib
import csv
import io
import re
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TextIO

from streamlib import guess
from streamlib.guess import BLOCK, DELIMITERS, LONGEST
from streamlib.sorting import oldest_first  # noqa: F401 - rows.oldest_first

LOOK_S = 0.05  # how often a growing file is looked at
NO_TEXT = {
    b"PK\x03\x04": "a spreadsheet or another zip file",
    b"\xd0\xcf\x11\xe0": "an old Excel spreadsheet",
    b"\x1f\x8b": "a gzip file",
    b"%PDF": "a PDF",
    b"SQLite format 3": "a SQLite database",
}
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
        header, titles = self.assumed["header"] == "first row", self.assumed["titles"]
        with _open(self.path, self.assumed["encoding"]) as file:
            lines = Lines(file, self.path, self._until, self._note)
            reader = guess.reader(iter(lines), self.assumed)
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
                elif titles:
                    titles -= 1
                    self._note("a title before the table, left out", ended)
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
            for number, value in enumerate(values[width:], start=width + 1):
                row[guess.free_name(f"column {number}", row)] = value
            what = f"more fields than the {width} columns"
            if self.columns == self._names:
                what += f", kept as column {width + 1} and on"
        self._note(what, row.line)

    def _note(self, what: str, line: int) -> None:
        seen, lines = self._odd.get(what, (0, []))
        self._odd[what] = (seen + 1, lines if seen >= FEW else [*lines, line])

    def __repr__(self) -> str:
        encoding, delimiter, header = (
            self.assumed[what] for what in ("encoding", "delimiter", "header")
        )
        plural = "s" * (len(self.columns) > 1)
        header = "the first row is a header" if header == "first row" else "no header"
        return (
            f"<rows of {self.path.name}: {len(self.columns)} column{plural}; assumed: {encoding}, "
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
    if delimiter is not None and len(delimiter) != 1:
        raise ValueError(f"delimiter is {delimiter!r}: give one character, such as ';'.")
    if encoding and head.startswith(codecs.BOM_UTF8) and codecs.lookup(encoding).name == "utf-8":
        encoding = "utf-8-sig"
    assumed = {"encoding": encoding or guess.encoding(path, head)}
    try:
        with _open(path, assumed["encoding"]) as file:
            full = (line for line in Lines(file, path) if line.strip("\r\n"))
            lines = list(islice(full, 200))
    except UnicodeError as error:
        raise ValueError(
            f"{path} is not in the encoding {encoding} ({error}): name another one, or none."
        ) from None
    if not "".join(lines).strip():
        raise ValueError(f"{path} holds nothing but blank lines: give a CSV file with rows.")
    assumed["delimiter"] = delimiter or guess.delimiter(lines)
    mark = re.escape(assumed["delimiter"])
    spaced = re.compile(rf'{mark} +"(?!"|{mark}|\s*$)')
    assumed["spaces"] = "left out" if any(map(spaced.search, lines[:50])) else "kept"
    sample = []
    with contextlib.suppress(csv.Error):  # said when its line is reached
        sample.extend(values for values in guess.reader(iter(lines), assumed) if values)
    if not sample:
        raise ValueError(f"{path} cannot be read as a table: give a CSV file.")
    assumed["titles"] = guess.titles(sample)
    sample = sample[assumed["titles"] :]
    has_header = guess.has_header(sample) if header is None else header
    assumed["header"] = "first row" if has_header else "none"
    if has_header and len(sample) == 1 and until is None:
        raise ValueError(f"{path} has a header but no rows: give a file with at least one row.")
    names = guess.columns(sample[0], has_header)
    if isinstance(columns, str):
        raise ValueError(f"columns is the text {columns!r}: give a list, as in [{columns!r}].")
    if columns is not None and not 0 < len(columns) == len(set(columns)):
        raise ValueError(f"columns is {columns!r}: give at least one name, and none twice.")
    for column in columns or ():
        if column not in names:
            raise ValueError(f"{path.name} has no column {column!r}: choose from {names}.")
    return Rows(path, names, list(columns or names), assumed, until)


class Lines:
    """The lines of an open text file, one at a time, none longer than LONGEST; `over` at its end.

    until: for a file that grows: asked while no new line comes, True ends it. note: called with
    what is odd and the number of a line.
    """

    def __init__(self, file: TextIO, path: Path, until: Callable | None = None, note=None):
        self.file, self.path, self.until, self.note = file, path, until, note
        self.over = False

    def __iter__(self) -> Iterator[str]:
        lines = iter(partial(self.file.readline, LONGEST), "")
        for number, line in enumerate(self._growing() if self.until else lines, start=1):
            if len(line) >= LONGEST:
                raise ValueError(
                    f"{self.path.name}, line {number} has more than {LONGEST:,} characters: "
                    "that is no table with rows; give another file."
                )
            if self.note and "\ufffd" in line:
                self.note("characters that cannot be read, shown as \ufffd", number)
            yield line
        self.over = True

    def _growing(self) -> Iterator[str]:
        """The lines so far, then each one as soon as its end has come, until until()."""
        # Not by the text file itself: at the end so far it would give half a letter for a whole.
        decoder = codecs.getincrementaldecoder(self.file.encoding)(errors="replace")
        rest = ""
        while True:
            over = self.until()  # asked before the last look, not after it
            while block := self.file.buffer.read(BLOCK):
                *whole, rest = io.StringIO(rest + decoder.decode(block) + "\0", newline="")
                # The last one may go on; so may a lone CR, to a CRLF.
                if whole and rest == "\0" and whole[-1].endswith("\r"):
                    rest = whole.pop() + rest
                rest = rest[:-1]
                yield from whole
                if len(rest) >= LONGEST:
                    break
            if over or len(rest) >= LONGEST:
                break
            time.sleep(LOOK_S)
        if rest := rest + decoder.decode(b"", final=True):
            yield rest


def _open(path: Path, encoding: str) -> TextIO:
    try:
        return path.open(encoding=encoding, errors="replace", newline="")
    except LookupError:
        raise ValueError(f"There is no encoding {encoding!r}: use utf-8 or cp1252.") from None


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
            while until and b"\n" not in head.lstrip() and not until():
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
