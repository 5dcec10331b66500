"""Recordings: what each process did, one line a mark, in a CSV file that outlives a crash.

Columns: t_ns (time.perf_counter_ns), seq (a number of the caller's), pid, process, state, item,
resource, detail. The first mark, `scale`, tells the time scale. Once `mark` has returned, the
operating system has the line, so it survives a kill (a power cut may take it).
"""

import contextlib
import csv
import io
import os
import re
import time
from collections import namedtuple
from functools import lru_cache, partial
from pathlib import Path

Mark = namedtuple("Mark", "t_ns seq pid process state item resource detail")
Reading = namedtuple("Reading", "marks damaged end")
HEADER = ",".join(Mark._fields).encode() + b"\n"
WHOLE = re.compile(r"\A\d{1,18},[^\0-\x1f]+\r?\Z")
ESCAPES = {code: repr(chr(code))[1:-1] for code in [*range(32), 127, ord("\\")]}
KINDS = 10_000  # different marks to remember, in writing and in reading


class Recorder:
    """Write the recording of this process to `path`; raise OSError if it exists already.

    If the disk fills up, `problem` says so, and later marks are dropped.
    """

    def __init__(self, path: Path | str, process: str, scale: float = 1.0):
        self.problem = ""
        with open(path, "xb") as file:
            file.write(HEADER)
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115 - closed in close()
        self._write = self._file.write
        self._template = lru_cache(KINDS)(partial(_template, os.getpid(), process))
        self.mark("scale", detail=scale)

    def mark(self, state: str, item=None, resource=None, detail=None, seq: int = 0) -> None:
        """Record what happened now, as `child.Me.mark` does; seq: a number of at most 17 digits."""
        texts = [word if word is None else str(word) for word in (item, resource, detail)]
        line = self._template(state, *texts) % (time.perf_counter_ns(), seq)
        try:
            if (done := self._write(line)) < len(line):
                self._write(line[done:])  # raises what kept the rest out
        except OSError as error:
            self._write = len  # later marks go nowhere
            _cut_torn_line(self._file.name)
            self.problem = f"{self._file.name} ends here ({error.strerror}): free some disk space."

    def close(self) -> None:
        """Stop recording; later marks are dropped."""
        self._write = len
        self._file.close()


def died(path: Path | str, pid: int, process: str, t_ns: int, detail: str) -> None:
    """Add to a dead process's recording that it died, noticed at `t_ns`; OSError if it has none."""
    _cut_torn_line(path)
    with open(path, "ab") as file:
        file.write(_template(pid, process, "died", None, None, detail) % (t_ns, 0))


def read(path: Path | str, at: int = 0) -> Reading:
    """Read a recording from byte `at` on; if it still grows, read on from `end` later.

    Returns its marks and how many damaged lines were left out.
    Raises OSError if it cannot be read.
    """
    with open(path, "rb") as file:
        file.seek(at)
        *lines, torn = file.read().removeprefix(HEADER).split(b"\n")
        end = file.tell() - len(torn)
    marks = []
    for line in lines:
        with contextlib.suppress(ValueError, TypeError, csv.Error):
            t_ns, seq, text = line.split(b",", 2)
            marks.append(Mark(int(t_ns[:18]), int(seq[:18]), *_kind(text)))
    return Reading(marks, len(lines) - len(marks) + bool(torn), end)


def _template(pid: int, process: str, *words: str | None) -> bytes:
    """Return the line of one kind of mark, with %d for the time and for seq; cut long texts."""
    texts = [word and str(word)[:2000].translate(ESCAPES) for word in (process, *words)]
    csv.writer(line := io.StringIO(), lineterminator="\n").writerow([pid, *texts])
    return b"%d,%d," + line.getvalue().replace("%", "%%").encode("utf-8", "backslashreplace")


@lru_cache(KINDS)
def _kind(text: bytes) -> tuple:
    """Return what `_template` was given. Raises an error if the line is damaged."""
    [fields] = csv.reader(WHOLE.findall(text.decode()), strict=True)
    plain = [f.encode("latin-1", "backslashreplace").decode("unicode_escape") for f in fields]
    return int(plain[0]), *plain[1:3], *(word or None for word in plain[3:])


def _cut_torn_line(path: Path | str) -> None:
    os.truncate(path, Path(path).read_bytes().rfind(b"\n") + 1)
