"""Read any CSV file by column name in constant memory; what the file does not state is guessed."""

import csv
import io
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, zip_longest
from pathlib import Path

from streamlib.rows.encoding import FORMATS, UNREADABLE, likeliest

LOOK_S = 0.05  # how often a growing file is looked at
LONGEST = 4 * 1024 * 1024  # characters of a row; this bounds memory
DELIMITERS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "pipe", " ": "blanks"}
FEW = 8  # a problem names this many lines and counts the others
VALUE = re.compile(r"(?i)[-+$€£ ]*\.?\d([a-z]{3,9}[- .]\d\d|[-+.,:/\d TZ%apm])*+")  # number or time
LABEL = re.compile(r"(1[5-9]|20)\d\d([-/]\d\d?){0,2}|\d\d?[-/:]\d\d?([-/:]\d{2,4})?")  # of a column
EMPTY = {"", "-", "--", "?", ".", "na", "n/a", "#n/a", "<na>", "nan", "nat", "null", "none"}
TITLE = re.compile(r"^#[#!\s]|^sep=.$|, |[, ]$")  # a comment, or blanks beside delimiters
csv.field_size_limit(LONGEST)


class Row(dict):
    """One row, column name -> text; `line` is the line of the file in which it ends."""

    __slots__ = ("line",)


class Growing(io.FileIO):
    """A file that may still grow: at its end, reading waits for more until `until()` is true."""

    def __init__(self, path: Path, until: Callable[[], bool] | None = None):
        self._until = until or (lambda: True)
        while not path.exists() and not self._until():
            time.sleep(LOOK_S)
        super().__init__(path)

    def readinto(self, buffer: memoryview) -> int:
        while not (count := super().readinto(buffer)) and not self._until():
            time.sleep(LOOK_S)
        return count or super().readinto(buffer)  # what came just before until() was true


class Rows:
    """The rows of a CSV file by column name; each loop over them reads the file anew.

    columns: which to keep; encoding, delimiter (one character), header (True or False): give them
    where `.assumed` is wrong; until: asked at the end of a growing file, True stops the reading.
    `.problems` tells about the last loop. Raises OSError or ValueError if this is not a table.
    """

    def __init__(
        self, path: Path | str, *, columns=None, encoding="", delimiter="", header=None, until=None
    ):
        if delimiter and not re.fullmatch(r'[^"\r\n]', delimiter):
            raise ValueError(f"The delimiter is {delimiter!r}: give one character, such as ';'.")
        self.path, self._until, said = Path(path), until, encoding
        encoding, lines = _beginning(self.path, encoding, until)
        self._layout, sample = _layout(lines, delimiter or ",\t;|")
        titles = _titles(sample, self._layout["delimiter"])
        first, *others = sample[titles:] or [[]]
        header = _is_header(sample[titles:]) is not False if header is None else header
        if not first or (header and not others and not until):
            raise ValueError(f"{path} has no rows, or a quote that never ends: correct it.")
        self.assumed = dict(encoding=encoding, **self._layout, header=header, titles=titles)
        if not said and not encoding.startswith("utf"):
            self.assumed["guess"] = f"{encoding} is a guess; encoding=... (--encoding) overrides it"
        names = self._names = _names(first if header else [""] * len(first))
        self.columns = [columns] if isinstance(columns, str) else columns or names
        if missing := [column for column in self.columns if column not in names]:
            raise ValueError(f"{self.path.name} has no column {missing[0]!r}: choose from {names}.")
        self._seen: dict[str, tuple[int, list[int]]] = {}

    def __iter__(self) -> Iterator[Row]:
        def lines() -> Iterator[str]:
            size = 0  # of the row that is being read
            for line in iter(lambda: file.readline(LONGEST), ""):
                size = len(line) + (size if reader.line_num > ended else 0)
                if size >= LONGEST:
                    raise ValueError(f"Line {ended + 1}: this row never ends; close its quotes.")
                if UNREADABLE in line:
                    self._note("unreadable characters, shown as \ufffd", reader.line_num + 1)
                    line = line.replace(UNREADABLE, "\ufffd")
                yield line
            if reader.line_num > ended:  # the parser asked for more within a row
                self._note("a quote is opened in this row and never closed", ended + 1)

        self._seen = {}
        names, above, ended = self._names, self.assumed["titles"] + self.assumed["header"], 0
        with io.BufferedReader(Growing(self.path, self._until)) as raw:
            file = io.TextIOWrapper(raw, self.assumed["encoding"], "unreadable", newline="")
            reader = csv.reader(lines(), **self._layout)
            for values in reader:
                ended = reader.line_num
                if above or not values:  # a title, the header, a blank line
                    above -= bool(values)
                    continue
                row = Row(zip(names, values, strict=False))
                if len(values) != len(names):
                    size = "fewer" if len(values) < len(names) else "more"
                    self._note(f"{size} fields than the {len(names)} columns", ended)
                    wider = _names(names + [""] * (len(values) - len(names)))
                    row.update(zip_longest(wider, values, fillvalue=""))
                if self.columns is not names:
                    row = Row((name, row[name]) for name in self.columns)
                row.line = ended
                yield row

    def _note(self, what: str, line: int) -> None:
        count, few = self._seen.get(what, (0, []))
        self._seen[what] = (count + 1, few if count >= FEW else [*few, line])

    @property
    def problems(self) -> list[str]:
        return [in_lines(few, count, what) for what, (count, few) in self._seen.items()]

    def __repr__(self) -> str:
        encoding, mark, _, header, titles, *guess = self.assumed.values()
        fields = f"{DELIMITERS.get(mark, repr(mark))} between fields"
        first = f"row {titles + 1} is the header" if titles else "the first row is a header"
        assumed = "; ".join([f"{encoding}, {fields}, {first if header else 'no header'}", *guess])
        plural = "s" * (len(self.columns) > 1)
        return f"<rows of {self.path.name}: {len(self.columns)} column{plural}; assumed: {assumed}>"


read = Rows  # a lesson says rows.read(path)


def in_lines(lines: Sequence[int], count: int, what: str) -> str:
    """Return a sentence about what is wrong in `count` lines, given the first of them."""
    more = f" and {count - FEW:,} more" if count > FEW else ""
    return f"Line{'s' if count > 1 else ''} {', '.join(map(str, lines[:FEW]))}{more}: {what}."


def _beginning(path: Path, encoding: str | None, until: Callable | None) -> tuple[str, list[str]]:
    """Return a file's encoding and its first lines, as soon as there are any."""
    try:
        with io.BufferedReader(Growing(path, until), LONGEST // 4) as file:
            any(map(bytes.strip, iter(lambda: file.readline(LONGEST), b"")))  # waits for a line
            file.seek(0)
            head = file.peek()
    except OSError as error:
        why = f"cannot be read ({error.strerror})" if path.exists() else "does not exist"
        raise OSError(f"{path} {why}: check its name and folder.") from None
    encoding = likeliest(path, encoding)
    try:
        text = io.TextIOWrapper(io.BytesIO(head), encoding, "replace", newline="")
        lines = list(islice((line for line in text if line.strip("\r\n")), 200))
    except (LookupError, UnicodeError) as error:
        raise ValueError(f"{path}: {error}; give another encoding, or none.") from None
    for kind, start in FORMATS.items():
        if re.match(start, "".join(lines), re.IGNORECASE):
            raise ValueError(f"{path} is {kind}.")
    return encoding, lines


def _layout(lines: list[str], marks: str) -> tuple[dict, list[list[str]]]:
    """Return the layout in which the most rows have the same width, and the rows read by it."""
    ways, text = [], "".join(lines)
    for mark in marks:
        blanks = re.search(rf'{re.escape(mark)} +"[^"\r\n{re.escape(mark)}]', text)
        layout = {"delimiter": mark, "skipinitialspace": mark == " " or bool(blanks)}
        rows = list(csv.reader(lines, **layout))
        width, count = Counter(map(len, rows)).most_common(1)[0]
        ways.append(((width > 1 and count / len(rows), width), layout, rows))
    (fit, _), layout, rows = max(ways, key=lambda way: way[0])
    if not fit and len(marks) > 1:  # a column, or several between blanks
        aligned, parts = _layout(lines, " ")
        if len(set(map(len, parts))) == 1 < len(parts[0]) and _is_header(parts) is not None:
            return aligned, parts
    return layout, rows


def _titles(rows: list[list[str]], mark: str) -> int:
    """Return how many rows stand above the table: comments, single fields, titles of a header."""
    width = Counter(map(len, rows)).most_common(1)[0][0]
    tells = not TITLE.search(mark.join(rows[-1]))  # if not, all rows may look like that
    is_title = [len(r) != width or (tells and bool(TITLE.search(mark.join(r)))) for r in rows]
    above = [*is_title, False].index(False)
    sure = all(len(row) == 1 < width or re.match("#|sep=", row[0]) for row in rows[:above])
    return above if sure or _is_header(rows[above:]) else 0


def _is_header(rows: list[list[str]]) -> bool | None:
    """Return whether names or labels, such as years, stand above values; None without values."""
    rows, found = [row for row in rows if len(row) == len(rows[0])][:11], set()
    for at, (first, *others) in enumerate(zip(*rows, strict=True)):
        below = [text for text in others or [first] if text.strip().lower() not in EMPTY]
        is_told = not at or first.strip().lower() not in EMPTY
        if below and all(map(VALUE.fullmatch, below)) and is_told:
            is_label = LABEL.fullmatch(first) and not any(map(LABEL.fullmatch, below))
            found.add("label" if is_label else "value" if VALUE.fullmatch(first) else "name")
    return "name" in found or "value" not in found if found else None


def _names(texts: list[str]) -> list[str]:
    """Return a name for each column; no name is empty or used twice."""
    names: dict[str, None] = {}
    for number, text in enumerate(texts, start=1):
        name = text.strip() or f"column {number}"
        while name in names:
            name += f" {number}"
        names[name] = None
    return list(names)
