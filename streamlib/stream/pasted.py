"""What was received, read as learners write it: records, or lines that hold rows in some way.

No way of writing has a case of its own: the way of a file is the one in which most of its first
lines are rows of the source, of all that can be around a row (UNWRAP) and between fields (BETWEEN).
"""

import ast
import csv
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from streamlib import records, rows

LITERAL = re.compile(r"""\b[bB](?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""")
AHEAD = re.compile(  # time stamps, levels, labels, numbers
    r"(\W*(\d{4}-\d\d-\d\d[T ])?\d\d:\d\d:\d\d([.,]\d+)?Z?\b\W*|\W*(DEBUG|INFO|WARNING|ERROR)\b\W*"
    r"|[A-Za-z_][\w #()]*(:|->|=>|=) *|\d+[:.)] +)*"
)
BEHIND = re.compile(r" (on|from|to|via) +(port\b|\(|[\w.]+:\d).*$")
UNWRAP: tuple[Callable[[str], list[str]], ...] = (
    lambda text: [text],
    lambda text: [BEHIND.sub("", text[AHEAD.match(text[:200]).end() :])],
    lambda text: re.split(r"\] ?,? ?\[|(?<=\}),? ?(?=\{)", _inside(text, "[", "]")),
    lambda text: [_inside(text, "(", ")")],
)
BETWEEN = [(mark, False) for mark in (", ", ",", "; ", ";", " | ", "|", "\t", " ")]
BETWEEN += [(mark, True) for mark in (",", ";", "|", "\t", None)]  # and whatever blanks
LONGEST = 10_000  # characters of a text that is parsed as Python or JSON
SAMPLE = 40  # lines that show in which way a file is written


@dataclass
class Arrivals:
    """Numbers (None if there is none) and contents by arrival, and how they were read."""

    seqs: list = field(default_factory=list)
    contents: list = field(default_factory=list)  # a row, or the text of what is none
    sent: int | None = None  # as the end record tells
    read: list[str] = field(default_factory=list)  # sentences
    ambiguous: int = 0  # lines that could stand for more than one row of the source


def arrivals(received: Iterable[dict] | Path | str, expected: list[dict]) -> Arrivals:
    """Return what was received: records, or the path of a file of records or of other lines."""
    found, first = Arrivals(), {}
    is_path = isinstance(received, str | Path)
    for record in _records(Path(received)) if is_path else received:
        seq, content = record.get("seq"), record.get("row")
        if content is None:
            found.sent = seq
            continue
        if seq and seq <= len(expected) and content == expected[seq - 1]:
            content = expected[seq - 1]  # equal rows are kept in memory once
        elif not seq and len(first) < SAMPLE:
            first[content] = record["line"]
        found.seqs.append(seq)
        found.contents.append(content)
    if is_path and not found.seqs and found.sent is None:
        found.read = [f"{received} is empty: nothing was received."]
    elif is_path and expected and found.sent is None and not any(found.seqs):
        _read_lines(found, first, expected)
    return found


def _records(path: Path) -> Iterator[dict]:
    """Yield the records in a file; what is in a line that is not one has no `seq`."""
    if not path.is_file():
        raise OSError(f"{path} does not exist: give the file that the receiver wrote.")
    with open(path, encoding=_encoding(path), errors="backslashreplace") as file:
        for line in iter(partial(file.readline, rows.LONGEST), ""):
            try:
                yield records.decode(line.encode())
            except ValueError:
                line = line.rstrip("\n")
                for text in map(_literal, LITERAL.findall(line) or [line] * bool(line.strip())):
                    try:
                        yield records.decode(text.encode("utf-8", "replace"))
                    except ValueError:
                        yield {"row": text, "line": line}


def _encoding(path: Path) -> str:
    """Return the encoding of a file: UTF-8 if it can be; UTF-16 as Windows writes it; a guess."""
    with path.open("rb") as file:
        head = file.read(2**20)
    if b"\0" in head[:4]:
        return "utf-16" if head[:1] in b"\xff\xfe" else "utf-16-be" if head[0] == 0 else "utf-16-le"
    try:
        head[: head.rfind(b"\n") + 1 or None].decode()
    except UnicodeDecodeError:
        with suppress(ValueError):
            return rows.read(path, header=False).assumed["encoding"]
    return "utf-8-sig"


def _literal(text: str) -> str:
    """Return the text of a Python literal such as b'Z\\xc3\\xbcrich'; of another text, itself."""
    if not LITERAL.fullmatch(text):
        return text
    with suppress(ValueError, SyntaxError):
        return ast.literal_eval(text).decode(errors="backslashreplace").strip("\r\n")
    return text


def _inside(text: str, opening: str, closing: str) -> str:
    """Return what stands between the first opening bracket and the last closing one, if any."""
    return text.partition(opening)[2].rpartition(closing)[0] or text


def _read_lines(found: Arrivals, first: dict[str, str], expected: list[dict]) -> None:
    """Replace texts by rows, in the likeliest way in which they are written."""
    texts, found.seqs, found.contents = found.contents, [], []
    way = _likeliest(list(first), list(expected[0]), expected)
    if way.whole < len(first) / 2:
        for unwrap in UNWRAP:
            columns = _columns([part for text in first for part in unwrap(text)], expected)
            other = _likeliest(list(first), columns, expected) if any(columns) else way
            way = max(way, other, key=lambda one: one.fit)
    way.used.clear()
    example, skipped = "", []
    for text in _unbroken(texts, expected):
        for row in way.rows(text):
            if way.whole and way.is_chatter(row, text):
                skipped.append(text)
            else:
                found.contents.append(row)
                if not example and way.agreement(row) == 1:
                    example = f", such as {first.get(text, text)!r:.200} as {row}"
    found.seqs = [None] * len(found.contents)
    found.ambiguous = way.used.total()
    found.read = [f"{len(found.contents):,} rows were read from lines{example}."]
    if extra := way.columns.count(None):
        found.read.append(f"Fields of each line that are no column of the source: {extra}.")
    if skipped:
        some = ", ".join(map(repr, skipped[:3])) + ", ..." * (len(skipped) > 3)
        found.read.append(f"Lines that are no row, left out: {len(skipped):,} ({some}).")


def _unbroken(texts: list[str], expected: list[dict]) -> Iterator[str]:
    """Yield texts, joined where a quoted field goes on in the next line, as some of the source."""
    broken, held = any("\n" in str(value) for row in expected for value in row.values()), ""
    for text in texts:
        held += text
        if broken and held.count('"') % 2 and len(held) < LONGEST:
            held += "\n"
        else:
            yield held
            held = ""
    yield from [held] * bool(held)


class _Way:
    """A way to write rows: what is around them, what stands between fields, which columns."""

    def __init__(self, unwrap, between, columns, known, values):
        self.unwrap, (self.mark, self.loose), self.columns = unwrap, between, columns
        self.known, self.values = known, values
        self.names = [name for name in columns if name is not None]
        self.used = Counter()  # texts that stand for several rows of the source
        self.fit = self.whole = 0

    def rows(self, text: str) -> list[dict | str]:
        return [self.row(part) for part in self.unwrap(text)]

    def row(self, text: str) -> dict | str:
        """Return the row in a text, or the text if it has none."""
        pieces = _split(text, self.mark, self.loose)
        ahead = next(at for at, name in enumerate(self.columns) if name is not None)
        behind = len(self.columns) - ahead - len(self.names)
        key = tuple(pieces[ahead : len(pieces) - behind])
        same = self.known.get(key, ())
        if len(same) == 1:
            return same[0]
        parsed = _parsed(text, self.mark or " ", self.names)
        if isinstance(parsed, dict):
            return parsed
        if parsed and len(parsed) == len(self.columns):
            pieces = parsed
        elif same:
            self.used[key] += 1
            return same[(self.used[key] - 1) % len(same)]
        if len(pieces) != len(self.columns):
            return text
        pairs = zip(self.columns, pieces, strict=True)
        return {name: piece for name, piece in pairs if name is not None}

    def agreement(self, row: dict | str) -> float:
        """Return 1 for a row of the source, 0 for what has no field of one."""
        if isinstance(row, str):
            return 0
        if list(row) != self.names or tuple(row.values()) in self.values:
            return 1
        agree = sum(value in its for value, its in zip(row.values(), self.by_name, strict=True))
        return agree / (2 * len(self.names))

    def is_chatter(self, row: dict | str, text: str) -> bool:
        """Return whether a text has too few fields for a row, and nothing of a row around it."""
        few = isinstance(row, str) and len(_split(row, self.mark, self.loose)) < len(self.columns)
        return few and not re.match(r"\W*[\[({]", text)


def _likeliest(sample: list[str], columns: list, expected: list[dict]) -> _Way:
    """Return the way in which most texts of a sample are rows of the source, or nearly so."""
    names = [name for name in columns if name is not None]
    values = {tuple(str(row.get(name, "")) for name in names): row for row in expected}
    ways, by_name = [], [set(its) for its in zip(*values, strict=True)]
    for between in BETWEEN:
        known = {}
        for one, row in values.items():
            text = " ".join((between[0] or " ").join(one).splitlines())
            row = {name: row.get(name, "") for name in names}
            known.setdefault(tuple(_split(text, *between)), []).append(row)
        for unwrap in UNWRAP:
            way = _Way(unwrap, between, columns, known, values)
            way.by_name = by_name
            for text in sample:
                agree = [way.agreement(row) for row in way.rows(text)]
                way.fit += sum(agree) / len(agree)
                way.whole += 1 in agree
            ways.append(way)
        best = max(ways, key=lambda way: way.fit)
        if best.fit > 0.9 * len(sample):
            break
    return best


def _columns(parts: list[str], expected: list[dict]) -> list[str | None]:
    """Return for each field of the texts the column whose values it has; None if there is none."""
    fields = [re.split(r"[,;|\t]", part) for part in parts[:10]]
    fields = [[plain(one) for one in (f if len(f) > 1 else f[0].split())] for f in fields]
    width, count = Counter(map(len, fields)).most_common(1)[0]
    whole = [{name: plain(str(value)) for name, value in row.items()} for row in expected]
    sets, votes = [set(row.values()) for row in whole], [Counter() for _ in range(width)]
    for one in (one for one in fields if len(one) == width):
        here = set(one)
        row = whole[max(range(len(whole)), key=lambda at: len(here & sets[at]))]
        for vote, value in zip(votes, one, strict=True):
            vote.update(name for name in row if row[name] == value)
    columns, names = [], list(expected[0])
    for vote in votes:
        free = [name for name in names if vote[name] * 2 >= count and name not in columns]
        columns.append(max(free, key=vote.__getitem__, default=None))
    if all(one in (None, name) for one, name in zip(columns, names)) and width == len(names):
        return names  # the others are altered
    return columns


def _split(text: str, mark: str | None, loose: bool) -> list[str]:
    """Split at a mark; quotes around fields, and blanks if `loose`, are no part of them."""
    pieces = text.split(mark)
    return [(one.strip() if loose else one).strip("\"'") for one in pieces]


def _parsed(text: str, mark: str, names: list[str]) -> dict | list | None:
    """Return the fields of a text with quotes: JSON, a literal of Python, or CSV."""
    if len(text) > LONGEST or not ('"' in text or "'" in text):
        return None
    value = None
    for parse in (partial(json.loads, parse_int=str, parse_float=str), ast.literal_eval):
        with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
            value = value or parse(f"[{text}]")
    while isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict):
        value = next((one for one in value.values() if isinstance(one, dict)), value)
        row = {name: _text(value[name]) for name in names if name in value}
        return row or None
    if isinstance(value, list | tuple):
        return list(map(_text, value))
    with suppress(csv.Error):
        return next(csv.reader([text], delimiter=mark.strip(" ") or " ", skipinitialspace=True))
    return None


def _text(value: object) -> str:
    return "" if value is None else str(value)


def plain(text: str) -> str:
    """Return what two writings of one value have in common, such as 3 and 3.0."""
    try:
        return str(float(text))
    except ValueError:
        return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
