"""A row as one line of bytes, and back.

A *record* is one line of JSON: {"seq": 1, "sent": 1700000000.5, "row": {"Species": "Adelie"}}. The
last one of a stream, the end record, has "end": true in place of a row, and in `seq` the number of
rows that were sent. `sent` is in seconds since 1970.
"""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from streamlib.rows import LOOK_S, Lines

GREATEST = 2**53  # a whole number beyond it is none any more in other languages' JSON


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
_decode = json.JSONDecoder(parse_constant=_no_constant).raw_decode


class Malformed(ValueError):
    """Raised by `decode` for JSON that is no record."""


def encode(seq: int, row: dict) -> bytes:
    """Return a row as a record, without an end of line.

    Raises ValueError or TypeError if the row holds what JSON has no word for.
    """
    if not isinstance(row, dict):
        raise TypeError(f"a row is a dict of column and value, and this is a {type(row).__name__}")
    try:
        return _encode({"seq": seq, "sent": round(time.time(), 6), "row": row}).encode()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def encode_end(rows: int) -> bytes:
    """Return the end record of a stream of so many rows."""
    return _encode({"seq": rows, "sent": round(time.time(), 6), "end": True}).encode()


def course(row: dict) -> str:
    """Return a row as `[a, b, c]`, as the course has it: nobody can read it back for certain."""
    return " ".join(f"[{', '.join(map(str, row.values()))}]".splitlines())


def decode(line: bytes) -> dict:
    """Return the record of a line; raise ValueError if it is no JSON, Malformed if no record."""
    text = line.decode().strip()
    try:
        record, end = _decode(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if end != len(text):
        raise ValueError(f"more than one JSON value: {text[end : end + 20]!r} follows")
    if type(record) is dict:
        seq = record.get("seq")
        sent = record.get("sent")
        numbers = type(seq) is int and type(sent) in (float, int)
        if numbers and 0 <= seq <= GREATEST and abs(sent) < GREATEST:
            if "end" in record:
                whole = record["end"] is True and "row" not in record
            else:
                whole = type(record.get("row")) is dict and seq > 0
            if whole and not _is_deep(text, record):
                return record
    raise Malformed("it has no seq, sent and row")


def _is_deep(text: str, record: dict) -> bool:
    """Whether values are nested more than 20 deep: no row, but trouble for who prints it."""
    if text.count("[") + text.count("{") <= 20:
        return False
    level, depth = [record], 0
    while level:
        depth += 1
        inner = (value.values() if isinstance(value, dict) else value for value in level)
        level = [one for values in inner for one in values if isinstance(one, dict | list)]
    return depth > 20


def read(path: Path | str, until: Callable[[], bool] | None = None) -> Iterator[dict]:
    """Yield the records of rows that stand in a file such as out9.txt, without the end record.

    until: for a file that still grows: asked while no new line comes, True ends the reading.
    Lines that are no record are left out here; `streamlib.stream.reconcile` accounts for them.
    """
    path = Path(path)
    while until and not path.exists() and not until():
        time.sleep(LOOK_S)
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        for line in Lines(file, path, until):
            try:
                record = decode(line.encode())
            except ValueError:
                continue
            if "row" in record:
                yield record
