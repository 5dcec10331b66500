"""Read any CSV file by column name in constant memory; what the file does not state is guessed."""

import csv
import io
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice, product, takewhile, zip_longest
from pathlib import Path

from streamlib.rows.encoding import FORMATS, MARKS, UNREADABLE, likeliest

LOOK_S = 0.05  # how often a growing file is looked at
LONGEST = 4 * 1024 * 1024  # characters of a row; this bounds memory
BLOCK = 1024 * 1024
DELIMITERS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "pipe", " ": "blanks"}
FEW = 8  # a problem names this many lines and counts the others
VALUE = re.compile(r"(?i)[-+$€£ ]*\.?\d([a-z]{3,9}[- .]\d\d|[-+.,:/\d TZ%apm])*+")  # number or time
LABEL = re.compile(r"(1[5-9]|20)\d\d([-/]\d\d?){0,2}|\d\d?[-/:]\d\d?([-/:]\d{2,4})?")  # of a column
EMPTY = {"", "-", "--", "?", ".", "na", "n/a", "#n/a", "<na>", "nan", "nat", "null", "none"}
COMMENT = re.compile(r"#[#!\s].+|sep=.", re.DOTALL)
csv.field_size_limit(LONGEST)


class Row(dict):
    """One row, column name -> text; `line` is the line of the file in which it ends."""

    __slots__ = ("line",)


class Growing(io.FileIO):
    """A file that may still grow: where it ends so far, reading waits for more or for `until()`."""

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

    columns: the names of those wanted (all, if left out);
    encoding, delimiter (one character), header (True or False): say so where `.assumed` is wrong;
    until: for a file that still grows: asked while no more comes, True ends the reading.

    `.problems` says what was strange in the last loop. An empty or repeated column name gets the
    column's number. Raises OSError or ValueError if the file is not a table with rows.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        columns: Sequence[str] | None = None,
        encoding: str | None = None,
        delimiter: str | None = None,
        header: bool | None = None,
        until: Callable[[], bool] | None = None,
    ):
        if delimiter is not None and not re.fullmatch(r'[^"\r\n]', delimiter):
            raise ValueError(f"The delimiter is {delimiter!r}: give one character, such as ';'.")
        self.path, self._until = Path(path), until
        given, (encoding, lines) = encoding, _beginning(self.path, encoding, until)
        told = re.fullmatch('"?sep=(.)"?', lines[0].strip("\r\n"))  # as Excel writes it
        self._layout, sample = _layout(lines, delimiter or (told and told[1]) or ",\t;|")
        titles = _titles(sample, self._layout["delimiter"], sure=header is not None)
        first, *others = sample[titles:] or [[]]
        holds = _first_row(sample[titles:])
        header = ("name" in holds or "value" not in holds) if header is None else header
        if not others and "".join(first).endswith(("\n", "\r")):
            raise ValueError(f"{path}, line 1: a quote is opened and never closed; close it.")
        if not first or (header and not others and not until):
            raise ValueError(f"{path} has no rows: give a CSV file with a header and rows.")
        self.assumed = dict(encoding=encoding, **self._layout, header=header, titles=titles)
        if not given and not encoding.startswith("utf"):
            guess = f"{encoding} is a guess, so give encoding=... if letters are wrong"
            self.assumed["guess"] = f"{guess} (--encoding in a terminal)"
        names = self._names = _names(first if header else [""] * len(first))
        self.columns = [columns] if isinstance(columns, str) else list(columns or names)
        if missing := [column for column in self.columns if column not in names]:
            raise ValueError(f"{self.path.name} has no column {missing[0]!r}: choose from {names}.")
        self._seen: dict[str, tuple[int, list[int]]] = {}

    def __iter__(self) -> Iterator[Row]:
        def lines() -> Iterator[str]:
            size = 0  # of the row that is being read
            for line in iter(partial(file.readline, LONGEST), ""):
                size = len(line) + (size if reader.line_num > ended else 0)
                if size >= LONGEST:
                    here = f"{self.path.name}, line {ended + 1}"
                    raise ValueError(f"{here}: this row never ends; close its quotes.")
                if UNREADABLE in line:
                    self._note("unreadable characters, shown as \ufffd", reader.line_num + 1)
                    line = line.replace(UNREADABLE, "\ufffd")
                yield line if mark != " " else line.strip() + "\n"
            if reader.line_num > ended:  # the parser asked for more within a row
                self._note("a quote is opened in this row and never closed", ended + 1)

        self._seen = {}
        names, width, ended = self._names, len(self._names), 0
        chosen = self.columns if self.columns != names else None
        mark = self._layout["delimiter"]
        above = self.assumed["titles"] + self.assumed["header"]
        with io.BufferedReader(Growing(self.path, self._until)) as raw:
            file = io.TextIOWrapper(raw, self.assumed["encoding"], "unreadable", newline="")
            reader = csv.reader(lines(), **self._layout)
            for values in reader:
                last, ended = ended, reader.line_num
                if above or not values:  # a title, the header, a blank line
                    above -= bool(values)
                    continue
                if ended > last + 1 and width > 2:  # a row of several lines
                    below = [line for value in values for line in value.splitlines()[1:]]
                    if width - 1 in (line.count(mark) for line in below):
                        self._note("a field holds what look like rows; close its quote", last + 1)
                row = Row(zip(names, values, strict=False))
                if len(values) != width:
                    what = "fewer" if len(values) < width else "more"
                    self._note(f"{what} fields than the {width} columns", ended)
                    wider = _names(names + [""] * (len(values) - width))
                    row.update(zip_longest(wider, values, fillvalue=""))
                if chosen:
                    row = Row((name, row[name]) for name in chosen)
                row.line = ended
                yield row

    def _note(self, what: str, line: int) -> None:
        count, few = self._seen.get(what, (0, []))
        self._seen[what] = (count + 1, few if count >= FEW else [*few, line])

    @property
    def problems(self) -> list[str]:
        return [in_lines(few, count, what) for what, (count, few) in self._seen.items()]

    def __repr__(self) -> str:
        encoding, delimiter, _, has_header, _, *guess = self.assumed.values()
        columns = f"{len(self.columns)} column{'s' * (len(self.columns) > 1)}"
        fields = f"{DELIMITERS.get(delimiter, repr(delimiter))} between fields"
        header = "the first row is a header" if has_header else "no header"
        assumed = "; ".join([f"{encoding}, {fields}, {header}", *guess])
        return f"<rows of {self.path.name}: {columns}; assumed: {assumed}>"


read = Rows  # a lesson says rows.read(path)


def in_lines(lines: Sequence[int], count: int, what: str) -> str:
    """Return a sentence on what is strange in `count` lines, the first of which are given."""
    more = f" and {count - len(lines):,} more" if count > len(lines) else ""
    return f"Line{'s' if count > 1 else ''} {', '.join(map(str, lines))}{more}: {what}."


def _beginning(path: Path, encoding: str | None, until: Callable | None) -> tuple[str, list[str]]:
    """The encoding of a file, and its first lines, as soon as there are any."""
    try:
        with io.BufferedReader(Growing(path, until), BLOCK) as file:
            any(map(bytes.strip, iter(partial(file.readline, BLOCK), b"")))  # waits for a line
            file.seek(0)
            head = file.peek()
    except OSError as error:
        if path.is_dir():
            raise OSError(f"{path} is a folder: give a file in it.") from None
        why = f"cannot be read ({error.strerror})" if path.exists() else "does not exist"
        raise OSError(f"{path} {why}: check its name and folder.") from None
    mark = next((code for mark, code in MARKS.items() if head.startswith(mark)), None)
    encoding = mark or encoding or likeliest(path, head)
    try:
        text = io.TextIOWrapper(io.BytesIO(head), encoding, "replace", newline="")
        lines = list(islice((line for line in text if line.strip("\r\n")), 200))
    except (LookupError, UnicodeError) as error:
        raise ValueError(f"{path}: {error}; give another encoding, or none.") from None
    for kind, start in product(FORMATS, (head[:4096].decode("latin-1"), "".join(lines[:9]))):
        if re.match(FORMATS[kind], start, re.IGNORECASE):
            raise ValueError(f"{path} is {kind}.")
    if "\0" in "".join(lines):
        raise ValueError(f"{path} is not plain text: save it as CSV first, or name its encoding.")
    if not "".join(lines):
        raise ValueError(f"{path} is empty: give a CSV file with a header and rows.")
    return encoding, lines


def _layout(lines: list[str], marks: str) -> tuple[dict, list[list[str]]]:
    """The layout that gives most rows the same width, and these rows."""
    ways = []
    for mark, blanks in product(marks, (False, True)):  # are there blanks after delimiters?
        layout = {"delimiter": mark, "skipinitialspace": blanks}
        rows = list(csv.reader(lines, **layout))
        width, count = Counter(map(len, rows)).most_common(1)[0]
        quotes = sum(value.count('"') for values in rows for value in values)
        fit = (count / len(rows), -quotes, width) if width > 1 else (0,)
        ways.append((fit, layout, rows))
    fit, layout, rows = max(ways, key=lambda way: way[0])
    if fit == (0,) and len(marks) > 1:  # a column, or several between blanks
        aligned = {"delimiter": " ", "skipinitialspace": True}
        parts = list(csv.reader(map(str.strip, lines), **aligned))
        values = any(all(map(VALUE.fullmatch, column)) for column in zip(*parts[1:], strict=False))
        if len(set(map(len, parts))) == 1 < len(parts[0]) and (values or "  " in lines[0].strip()):
            return aligned, parts
    return layout, rows


def _titles(sample: list[list[str]], mark: str, sure: bool) -> int:
    """How many rows are comments or titles: `sure` ones, or also those that a header follows."""
    width = Counter(map(len, sample)).most_common(1)[0][0]
    alone = (len(row) == 1 < width or COMMENT.fullmatch(mark.join(row)) for row in sample)
    above = len(list(takewhile(bool, alone)))
    full = [len(row) == width and not re.search(", |[, ]$", ",".join(row)) for row in sample]
    at = full.index(True, above) if True in full[above:] else above
    is_title = any(len(row) != width and ", " in ",".join(row) for row in sample[above:at])
    return at if not sure and (is_title or _first_row(sample[at:]) == {"name"}) else above


def _first_row(rows: list[list[str]]) -> set[str]:
    """What is in the first row above columns of values: names, labels such as years, values."""
    if rows and len(rows[0]) == 1:  # several columns that could not be told apart, perhaps
        rows = [[" ".join(row).split(" ")[-1]] for row in rows]
    rows, found = [row for row in rows if len(row) == len(rows[0])][:11], set()
    for at, (first, *others) in enumerate(zip(*rows, strict=True)):
        below = [text for text in others or [first] if text.strip().lower() not in EMPTY]
        if (
            below
            and all(map(VALUE.fullmatch, below))
            and (not at or first.strip().lower() not in EMPTY)
        ):
            is_label = LABEL.fullmatch(first) and not any(map(LABEL.fullmatch, below))
            found.add("label" if is_label else "value" if VALUE.fullmatch(first) else "name")
    return found


def _names(texts: list[str]) -> list[str]:
    """A name for each column, none of them empty and none twice."""
    names: dict[str, None] = {}
    for number, text in enumerate(texts, start=1):
        name = text.strip() or f"column {number}"
        while name in names:
            name += f" {number}"
        names[name] = None
    return list(names)
