"""What was received: records, or rows in lines as learners write them.

No way of writing has a case of its own. A file is read in the way that makes most of its first
lines agree with the source: of all that may be around rows (UNWRAP) and between fields (MARKS).
"""

import ast
import csv
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path

from streamlib import records, rows

LITERAL = re.compile(r"""\b[bB](?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")(?=[\s),.;:\]}]|$)""")
AHEAD = re.compile(  # time stamps, levels, labels, numbers
    r"(\W*(\d{4}-\d\d-\d\d[T ])?\d\d:\d\d:\d\d([.,]\d+)?Z?\b\W*|\W*(DEBUG|INFO|WARNING|ERROR)\b\W*"
    r"|[A-Za-z_][\w #()]*(:|->|=>|=) *|\d+[:.)] +)*"
)
BEHIND = re.compile(r" (on|from|to|via) +(port\b|\(|[\w.]+:\d).*$")
UNWRAP = (  # functions from a line to the rows in it
    lambda text: [text],
    lambda text: [BEHIND.sub("", text[AHEAD.match(text[:200]).end() :])],
    lambda text: re.split(r"\] ?,? ?\[|(?<=\}),? ?(?=\{)", _inside(text, "[", "]")),
    lambda text: [_inside(text, "(", ")")],
)
MARKS = [(mark, False) for mark in (", ", ",", "; ", ";", " | ", "|", "\t", " ")]
MARKS += [(mark, True) for mark in (",", ";", "|", "\t", None)]  # with any blanks around
LONGEST = 10_000  # characters of a text that is parsed as Python or JSON
SAMPLE = 40  # lines that show how a file is written


@dataclass
class Arrivals:
    """Numbers (None if there is none) and contents by arrival, and how they were read."""

    seqs: list = field(default_factory=list)
    contents: list = field(default_factory=list)  # a row, or the text of what is not one
    sent: int | None = None  # as the end record tells
    read: list[str] = field(default_factory=list)  # sentences
    empty: str = ""  # said of a file with nothing in it
    ambiguous: int = 0  # lines that may be one of several rows of the source


def arrivals(received: Iterable[dict] | Path | str, expected: list[dict]) -> Arrivals:
    """Return what was received: records, or the path of a file of records or other lines."""
    found, first = Arrivals(), {}
    is_path = isinstance(received, str | Path)
    for record in _records(Path(received)) if is_path else received:
        seq, content = record.get("seq"), record.get("row")
        if content is None:
            found.sent = seq
            continue
        if seq and seq <= len(expected) and content == expected[seq - 1]:
            content = expected[seq - 1]  # equal rows are kept in memory once
        elif not seq and is_path and len(first) < SAMPLE:
            first[content] = record["line"]
        found.seqs.append(seq)
        found.contents.append(content)
    if is_path and not found.seqs and found.sent is None:
        found.empty = f"{received} is empty: nothing was received."
    elif first and expected and found.sent is None and not any(found.seqs):
        _read_lines(found, first, expected)
    return found


def _records(path: Path) -> Iterator[dict]:
    """Yield the records in a file; a message that is not one is the `row`, without a number."""
    if not path.is_file():
        raise OSError(f"{path} does not exist: give the file that the receiver wrote.")
    with path.open(encoding=_encoding(path), errors="backslashreplace") as file:
        for line in iter(partial(file.readline, rows.LONGEST), ""):
            try:
                yield records.decode(line.encode())
            except ValueError:
                for message in _messages(line.rstrip("\n")):
                    try:
                        yield records.decode(message.encode())
                    except ValueError:
                        yield {"row": message, "line": line.rstrip("\n")}


def _encoding(path: Path) -> str:
    """Return the encoding of a file: UTF-16 as Windows writes it, UTF-8, or a guess."""
    with path.open("rb") as file:
        head = file.read(2**20)
    if b"\0" in head[:4]:
        return "utf-16" if head[:1] in b"\xff\xfe" else f"utf-16-{'lb'[head[0] == 0]}e"
    try:
        head[: head.rfind(b"\n") + 1 or None].decode()
    except UnicodeDecodeError:
        with suppress(ValueError):
            return rows.read(path, header=False).assumed["encoding"]
    return "utf-8-sig"


def _messages(line: str) -> list[str]:
    """Return the texts in a line: what b'...' stands for, or the line itself; none if blank."""
    found = []
    with suppress(ValueError, SyntaxError):
        for literal in LITERAL.findall(line):
            text = ast.literal_eval(literal).decode(errors="backslashreplace")
            found.append(text.strip("\r\n"))
    return found or [line] * bool(line.strip())


def _inside(text: str, opening: str, closing: str) -> str:
    return text.partition(opening)[2].rpartition(closing)[0] or text


def _read_lines(found: Arrivals, first: dict[str, str], expected: list[dict]) -> None:
    """Put rows in place of texts, read in the likeliest way."""
    texts, found.contents, skipped, held = found.contents, [], [], ""
    way = _likeliest(list(first), list(expected[0]), expected)
    broken = any("\n" in str(value) for row in expected for value in row.values())
    for at, text in enumerate(texts, start=1):
        held += text
        if broken and held.count('"') % 2 and at < len(texts):  # a quoted field goes on
            held += "\n"
            continue
        for row in map(way.row, way.unwrap(held)):
            short = isinstance(row, str) and len(way.split(row)) < len(way.columns)
            is_chatter = way.fit and short and not re.match(r"\W*[\[({]", held[:50])
            (skipped if is_chatter else found.contents).append(row)
        held = ""
    found.seqs, found.ambiguous = [None] * len(found.contents), way.used.total()
    as_rows = ((line, way.row(way.unwrap(text)[0])) for text, line in first.items())
    whole = (
        f"such as {line!r:.200} as {row!s:.300}" for line, row in as_rows if way.agreement(row) == 1
    )
    example = next(whole, "none of them as in the source")
    count = len(found.contents)
    found.read = [f"{count:,} row{'s' * (count != 1)} read from lines, {example}."]
    if extra := way.columns.count(None):
        found.read.append(f"Fields of each line that are no column of the source: {extra}.")
    if skipped:
        some = ", ".join(f"{one!r:.80}" for one in skipped[:3]) + ", ..." * (len(skipped) > 3)
        found.read.append(f"Lines left out, since they are no row: {len(skipped):,} ({some}).")


class _Way:
    """A way in which rows are written: what is around them, between fields, in which columns."""

    def __init__(self, unwrap, mark, columns, known, values, label):
        self.unwrap, self.mark, self.columns, self.known = unwrap, mark, columns, known
        self.values = values  # of each column
        self.label = label  # the name of a column before each field, if there is one
        self.ahead = next(at for at, name in enumerate(columns) if name is not None)
        self.fit, self.used = 0, Counter()  # used: texts that may be one of several rows

    def split(self, text: str) -> list[str]:
        mark, loose = self.mark
        pieces = (self.label.sub("", text) if self.label else text).split(mark)
        return [(one.strip() if loose else one).strip("\"'") for one in pieces]

    def row(self, text: str) -> dict | str:
        """Return the row in a text, or the text if it has none."""
        pieces = self.split(text)
        behind = len(self.columns) - self.ahead - len(self.values)
        key = tuple(pieces[self.ahead : len(pieces) - behind])
        same = self.known.get(key, ())
        if len(same) == 1:
            return same[0]
        parsed = _parsed(text, self.mark[0] or " ", list(self.values))
        if isinstance(parsed, dict):
            return parsed
        if same and not parsed:
            self.used[key] += 1
            return same[(self.used[key] - 1) % len(same)]
        pieces = parsed or pieces
        if len(pieces) != len(self.columns):
            return text
        pairs = zip(self.columns, pieces, strict=True)
        return {name: piece for name, piece in pairs if name is not None}

    def agreement(self, row: dict | str) -> float:
        """Return which part of a row stands in the columns of the source."""
        pairs = row.items() if isinstance(row, dict) else ()
        return sum(value in self.values[name] for name, value in pairs) / max(1, len(pairs))


def _likeliest(texts: list[str], columns: list, expected: list[dict]) -> _Way:
    """Return the way in which the rows in these texts agree most with the source."""
    best = None
    names = [name for name in columns if name is not None]
    distinct = {tuple(str(row.get(name, "")) for name in names): row for row in expected}
    values = dict(zip(names, map(set, zip(*distinct, strict=True)), strict=True))
    label = re.compile(rf"\b({'|'.join(map(re.escape, names))}) ?[:=] ?")
    label = label if any(map(label.search, texts)) else None
    for mark in MARKS:
        known = {}
        for unwrap in UNWRAP:
            way = _Way(unwrap, mark, columns, known, values, label)
            for one in distinct if not known else ():
                text = " ".join((mark[0] or " ").join(one).splitlines())
                known.setdefault(tuple(way.split(text)), []).append(
                    dict(zip(names, one, strict=True))
                )
            for text in texts:
                agree = [way.agreement(way.row(part)) for part in unwrap(text)]
                way.fit += sum(agree) / len(agree)
            if not best or way.fit > best.fit:
                best = way
            way.used.clear()
        if best.fit > 0.9 * len(texts):
            return best
    if best.fit < len(texts) / 2 and columns == list(expected[0]):  # columns are missing or added
        for unwrap in UNWRAP:
            columns = _columns([part for text in texts for part in unwrap(text)], expected)
            if any(columns) and columns != list(expected[0]):
                best = max(best, _likeliest(texts, columns, expected), key=lambda way: way.fit)
    return best


def _columns(parts: list[str], expected: list[dict]) -> list[str | None]:
    """Return for each field of the texts the column it comes from; None for none."""
    fields = [re.split(r"[,;|\t]", part) for part in parts[:10]]
    fields = [
        [plain(one.strip(" \"'")) for one in (f if len(f) > 1 else f[0].split())] for f in fields
    ]
    width, count = Counter(map(len, fields)).most_common(1)[0]
    source = [{name: plain(str(value)) for name, value in row.items()} for row in expected]
    sets, votes, columns = (
        [set(row.values()) for row in source],
        [Counter() for _ in range(width)],
        [],
    )
    for one in (one for one in fields if len(one) == width):
        row = source[max(range(len(source)), key=lambda at: len(sets[at].intersection(one)))]
        for vote, value in zip(votes, one, strict=True):
            vote.update(name for name in row if row[name] == value)
    for vote in votes:
        free = [name for name in source[0] if 2 * vote[name] >= count and name not in columns]
        columns.append(max(free, key=vote.__getitem__, default=None))
    names = list(expected[0])
    in_place = [one in (None, name) for one, name in zip(columns, names, strict=False)]
    return names if width == len(names) and all(in_place) else columns  # the others are altered


def _parsed(text: str, mark: str, names: list[str]) -> dict | list | None:
    """Return the fields of a text with quotes: JSON, a literal of Python, or CSV."""
    if len(text) > LONGEST or not ('"' in text or "'" in text):
        return None
    value = None
    for parse in (partial(json.loads, parse_int=str, parse_float=str), ast.literal_eval):
        with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
            if '""' in text and parse is ast.literal_eval:
                break  # doubled, as in CSV; Python would join two texts
            value = value or parse(f"[{text}]")
    while isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict):
        value = next((one for one in value.values() if isinstance(one, dict)), value)
        value = {plain(str(name)): _text(one) for name, one in value.items()}
        return {name: value[plain(name)] for name in names if plain(name) in value} or None
    if isinstance(value, list | tuple):
        return list(map(_text, value))
    with suppress(csv.Error):
        return next(csv.reader([text], delimiter=mark.strip(" ") or " ", skipinitialspace=True))
    return None


def _text(value: object) -> str:
    return "" if value is None else str(value)


@lru_cache(2**16)
def plain(text: str) -> str:
    """Return what two ways to write a value have in common, such as 3 and 3.0."""
    try:
        return str(float(text))
    except ValueError:
        return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
