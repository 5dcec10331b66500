"""A row as one line of bytes, and back.

A *record* is one line of JSON: {"seq": 1, "sent": 1700000000.5, "row": {"Species": "Adelie"}}. The
last one of a stream, the end record, has "end": true instead of a row, and in `seq` the number of
rows sent. `sent` is in seconds since 1970.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import BufferedReader
from pathlib import Path

from streamlib.rows import LONGEST, Growing

GREATEST = 2**53  # beyond it, JSON in other languages does not keep whole numbers exact
DEEPEST = 20  # values nested deeper are not a row, but trouble for whoever prints them


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
_decode = json.JSONDecoder(parse_constant=int).raw_decode  # int refuses NaN and Infinity


def encode(seq: int, row: dict) -> bytes:
    """Return a row as a record, without a line end.

    >>> decode(encode(1, {"Species": "Adelie"}))["row"]
    {'Species': 'Adelie'}

    Raises ValueError or TypeError if JSON has no way to write the row.
    """
    if not isinstance(row, dict):
        raise TypeError(f"a row is a dict of column and value, and this is a {type(row).__name__}")
    return _encode({"seq": seq, "sent": round(time.time(), 6), "row": row}).encode()


def encode_end(rows: int) -> bytes:
    """Return the end record of a stream of that many rows."""
    return _encode({"seq": rows, "sent": round(time.time(), 6), "end": True}).encode()


def course(row: dict) -> str:
    """Return a row as the course writes it, `[a, b, c]`, which cannot be read back for certain."""
    return " ".join(f"[{', '.join(map(str, row.values()))}]".splitlines())


def decode(line: bytes) -> dict:
    """Return the record in a line. Raises ValueError if it is not one, or not JSON at all."""
    text = line.decode().strip()
    try:
        record, end = _decode(text)
        deep = text.count("[") + text.count("{") > DEEPEST and _depth(record) > DEEPEST
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if type(record) is dict and end == len(text) and not deep:
        seq, sent = record.get("seq"), record.get("sent")
        numbers = type(seq) is int and type(sent) in (float, int)
        if numbers and 0 <= seq <= GREATEST and abs(sent) < GREATEST:
            is_row = "end" not in record and type(record.get("row")) is dict and seq > 0
            if is_row or (record.get("end") is True and "row" not in record):
                return record
    raise ValueError("it has no seq, sent and row" if end == len(text) else "more follows its JSON")


def _depth(value: object) -> int:
    """How deep values are nested; 1 for a text or a number."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0)


def read(path: Path | str, until: Callable[[], bool] | None = None) -> Iterator[dict]:
    """Yield the records of rows in a file such as out9.txt; what is not one is left out.

    until: for a file that still grows: asked while no more comes, True ends the reading.
    """
    with BufferedReader(Growing(Path(path), until)) as file:
        for line in iter(lambda: file.readline(LONGEST), b""):
            with suppress(ValueError):  # it is not a record
                if "row" in (record := decode(line)):
                    yield record
