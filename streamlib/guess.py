"""What a CSV file does not say itself: its encoding, its delimiter, whether it has a header."""

import codecs
import contextlib
import csv
import re
from collections import Counter
from collections.abc import Container, Iterator
from itertools import count
from pathlib import Path

from charset_normalizer import from_bytes

from streamlib.sorting import is_value

LONGEST = 4 * 1024 * 1024  # characters of one line or field: more is no table, and memory is finite
BLOCK = 1024 * 1024
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
DELIMITERS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "pipe"}
WESTERN = set("àáâãäåæçèéêëìíîïñòóôõöøùúûüÿœßÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜŒ‘’“”–—…€°«»¿¡")


def reader(lines: Iterator[str], assumed: dict) -> Iterator[list[str]]:
    csv.field_size_limit(LONGEST)
    spaces = assumed["spaces"] == "left out"
    return csv.reader(lines, delimiter=assumed["delimiter"], skipinitialspace=spaces)


def encoding(path: Path, head: bytes) -> str:
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
                return _not_utf8(path, block[max(0, error.start - 64000) : error.start + 64000])
            last = block[-64000:]
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return _not_utf8(path, last)
    return "utf-8"


def _not_utf8(path: Path, sample: bytes) -> str:
    """Western text is in Windows' or the old Macintosh's code page; else the library's guess.

    The library alone takes a München in Mac Roman for one in cp1252, misspelt. Western text is told
    by its single letters among ASCII: other alphabets have long runs beyond it.
    """
    letters = re.findall("[^\x00-\x7f]", sample.decode("utf-8", "replace"))
    if letters.count("\ufffd") < len(letters) / 2:
        return "utf-8"  # with a few bytes in it that are not
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


def delimiter(lines: list[str]) -> str:
    """The one that gives most rows the same number of fields, more than one."""

    def fit(delimiter: str) -> tuple:
        assumed = {"delimiter": delimiter, "spaces": "kept"}
        widths: Counter[int] = Counter()
        with contextlib.suppress(csv.Error):  # a field too long; what came before it counts
            widths.update(len(values) for values in reader(iter(lines), assumed) if values)
        width, count = widths.most_common(1)[0] if widths else (1, 0)
        return (count / max(1, widths.total()) if width > 1 else 0, width)

    return max(DELIMITERS, key=fit)


def titles(sample: list[list[str]]) -> int:
    """How many rows of one field stand before a table that has more: a title, a comment."""
    widths = Counter(map(len, sample))
    width, often = widths.most_common(1)[0]
    first = next(place for place, row in enumerate(sample) if len(row) == width)
    ahead = all(len(row) == 1 for row in sample[:first])
    return first if ahead and often > 2 and often >= 0.9 * (len(sample) - first) else 0


def has_header(sample: list[list[str]]) -> bool:
    """False if the first row has a number or a time in each column where the others have them."""
    first, others = sample[0], sample[1:11]
    if not others:
        return not any(map(is_value, first))
    telling = [
        name
        for column, name in enumerate(first)
        if all(len(row) > column and is_value(row[column]) for row in others)
    ]
    return not (telling and all(map(is_value, telling)))


def columns(first: list[str], header: bool) -> list[str]:
    """The names, without spaces around them, none empty and none twice."""
    names: list[str] = []
    for number, text in enumerate(first, start=1):
        names.append(free_name((text.strip() if header else "") or f"column {number}", names))
    return names


def free_name(name: str, taken: Container[str]) -> str:
    """The name, or with the least number behind it that makes it another one."""
    copies = (f"{name} {n}" for n in count(2))
    return name if name not in taken else next(copy for copy in copies if copy not in taken)
