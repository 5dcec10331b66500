"""A crash-proof log of what one process did, cheap enough for a hot loop.

The log is a file that is mapped into memory: a mark is one store of 24 bytes, no system call
and no lock. What was stored stays with the operating system when the process is killed. (Not
when the machine loses power: that would take a flush for each event.)

A file is a row of 24-byte records in the machine's own byte order:

    t_ns    8 bytes   time.perf_counter_ns(), comparable between the processes of one machine
    value   8 bytes   the caller's number, `seq`
    word    8 bytes   part << 32 | code << 8 | 0xE7

The word is stored last, so a record that a kill cut in two has no 0xE7 in its lowest byte and is
known as torn. Text is stored once and numbered: its code. Records with a part of 1 or more carry
16 bytes of a text in place of t_ns and value; a code is handed out only after its whole text is
stored. Code 0 is the header, code 1 is kept for `died`.

Only the standard library is imported here, since every child process imports this module.
"""

import contextlib
import itertools
import json
import mmap
import os
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

RECORD = struct.Struct("qqQ")  # native: each field is one 8-byte store, in this order
TEXT = struct.Struct("16sQ")
MARKER = 0xE7
SEGMENT = 196_608  # bytes; a multiple of 24 and of every system's page and mapping size
HEADER, DIED = 0, 1


class Log(NamedTuple):
    """What `read` found in one file."""

    header: dict  # process, pid, scale
    texts: dict[int, list]  # code -> [state, item, resource, detail]
    marks: list[tuple[int, int, int]]  # (t_ns, seq, code) in the order of storing
    problems: list[str]


def _word(code: int, part: int = 0) -> int:
    return part << 32 | code << 8 | MARKER


def _text_records(code: int, text: object) -> Iterable[tuple[bytes, int]]:
    data = json.dumps(text).encode("ascii")  # ASCII without NUL, so zeros at the end are padding
    for part, at in enumerate(range(0, len(data), 16), start=1):
        yield data[at : at + 16], _word(code, part)


class Recorder:
    """Write the log of this process to `path`, which must not exist yet.

    `mark(code, seq=0)` records that something happened now; `code(...)` gives the code.
    If the file cannot grow (a full disk), recording stops, `problem` says so and standard
    error is told once; marks after that are dropped and earlier ones survive.

    >>> log = Recorder(path, process="P1")
    >>> holding = log.code("holding", item="Ace", resource="lab.db")
    >>> log.mark(holding)
    """

    def __init__(self, path: Path | str, process: str, scale: float = 1.0):
        self.path = Path(path)
        self.problem = ""
        self._file = open(self.path, "x+b")  # noqa: SIM115 - closed in close()
        self._codes: dict[tuple, int] = {}
        self._lock = threading.RLock()
        self._size = 0
        self._segment = (bytearray(24), iter(()))  # full: the first mark makes room
        self._store = self._make_mark()
        header = {"recorder": 1, "process": process, "pid": os.getpid(), "scale": scale}
        self._define(HEADER, header)

    def _make_mark(self) -> Callable[[int, int], None]:
        pack_into, now = RECORD.pack_into, time.perf_counter_ns

        def mark(code: int, seq: int = 0) -> None:
            """Record that `code` happened now; `seq` is any whole number of yours."""
            # View and slot are taken as one pair, so that threads never mix two segments.
            view, slots = self._segment
            try:
                pack_into(view, next(slots), now(), seq, code)
            except StopIteration:
                self._grow(view)
                mark(code, seq)

        return mark

    def mark(self, state, item=None, resource=None, detail=None, seq: int = 0) -> None:
        """Record that something happened now; a number is a code, as `code` gives it, and a seq."""
        if isinstance(state, int):
            self._store(state, item or 0)
        else:
            self._store(self.code(state, item, resource, detail), seq)

    def code(
        self,
        state: str,
        item: object = None,
        resource: str | None = None,
        detail: str | None = None,
    ) -> int:
        """Return the number that stands for this kind of event, to be given to `mark`.

        state: `waiting`, `holding`, `done`, `gave_up` ... or a word of your own;
        item: what is worked on; resource: what is shared; detail: in words.
        """
        key = (state, None if item is None else str(item), resource, detail)
        if key not in self._codes:
            with self._lock:
                if key not in self._codes:
                    number = DIED + 1 + len(self._codes)
                    self._define(number, [k and k[:2000] for k in key])
                    self._codes[key] = _word(number)
        return self._codes[key]

    def _define(self, number: int, text: object) -> None:
        for chunk, word in _text_records(number, text):
            while True:
                view, slots = self._segment
                try:
                    TEXT.pack_into(view, next(slots), chunk, word)
                    break
                except StopIteration:
                    self._grow(view)

    def _grow(self, full: object) -> None:
        """Map the next segment in place of `full`, unless another thread has done so."""
        with self._lock:
            if self._segment[0] is not full:
                return
            try:
                _allocate(self._file.fileno(), self._size, SEGMENT)
                view = mmap.mmap(self._file.fileno(), SEGMENT, offset=self._size)
            except OSError as error:
                self.problem = (
                    f"Recording to {self.path.name} stopped after {self._size // 24} records: "
                    f"{error.strerror}; free some disk space and run again."
                )
                self._stop()
                with contextlib.suppress(OSError):
                    self._file.truncate(self._size)  # what was allocated of the next segment
                print(self.problem, file=sys.stderr)
                return
            self._size += SEGMENT
            self._segment = view, iter(range(0, SEGMENT, 24))

    def _stop(self) -> None:
        self._segment = bytearray(24), itertools.repeat(0)  # later marks land in this scrap

    def close(self) -> None:
        """Stop recording and cut the file to what was written."""
        with self._lock:
            self._stop()
            if not self._file.closed:
                self._file.close()
                trim(self.path)


def _allocate(fd: int, at: int, size: int) -> None:
    # A full disk must show here as an error: found later, at a store into the mapped memory,
    # it would kill the process (SIGBUS). Writing zeros serves every system, and makes the marks
    # that follow a tenth faster than posix_fallocate does, for the pages are in memory then.
    os.lseek(fd, at, os.SEEK_SET)
    left = size
    while left:
        left -= os.write(fd, bytes(left))


def trim(path: Path | str) -> None:
    """Cut the empty records from the end of a log, which a killed process leaves there."""
    with contextlib.suppress(PermissionError), open(path, "r+b") as file:
        used = len(file.read().rstrip(b"\0"))
        file.truncate(-(-used // 24) * 24)


def died(path: Path | str, t_ns: int, detail: str) -> None:
    """Add to the log of a dead process that it died at `t_ns`, as its parent noticed it."""
    if not Path(path).stat().st_size:
        raise ValueError(f"{Path(path).name} is empty.")
    trim(path)
    with open(path, "ab") as file:
        for chunk, word in _text_records(DIED, ["died", None, None, detail]):
            file.write(TEXT.pack(chunk, word))
        file.write(RECORD.pack(t_ns, 0, _word(DIED)))


def texts(path: Path | str, parts: Iterable[tuple[int, bytes]]) -> dict[int, object]:
    """Put the texts of a log together from their (word, 16 bytes) parts.

    Raises ValueError if there is no header, so that no other file is taken for a log.
    """
    found: dict[int, bytes] = {}
    for word, chunk in parts:
        code = word >> 8 & 0xFFFFFF
        if len(found.setdefault(code, b"")) == 16 * ((word >> 32) - 1):  # none between is missing
            found[code] += chunk
    decoded = {}
    for code, data in found.items():
        with contextlib.suppress(ValueError):  # a text that a kill cut short was never used
            decoded[code] = json.loads(data.rstrip(b"\0"))
    header = decoded.get(HEADER)
    if not (isinstance(header, dict) and header.get("recorder") == 1):
        raise ValueError(f"{Path(path).name} is not a log of this lab: give a .rec file of a run.")
    return decoded


def odd(path: Path | str, torn: int, unknown: int, rest: int) -> list[str]:
    """Return one sentence for each kind of damage in a log; the sound records are still used."""
    name = Path(path).name
    said = []
    if torn:
        said.append(f"{name}: {torn} torn records, left out (its process was ended in mid-mark).")
    if unknown:
        said.append(f"{name}: {unknown} records whose text is missing, left out.")
    if rest:
        said.append(f"{name}: cut off in the middle of a record, read up to there.")
    return said


def read(path: Path | str, since: int | None = None):
    """Read one log with the standard library alone; a log still being written may be read too.

    Raises ValueError if the file is not a log. For tables use `streamlib.trace.events`.
    """
    data = Path(path).read_bytes()
    rest = len(data) % 24
    parts, marks, torn = [], [], 0
    for at, (t_ns, value, word) in enumerate(RECORD.iter_unpack(data[: len(data) - rest])):
        if word & 0xFF != MARKER:
            torn += bool(t_ns or value or word)
        elif word >> 32:
            parts.append((word, data[at * 24 : at * 24 + 16]))
        else:
            marks.append((t_ns, value, word >> 8))
    known = texts(path, parts)
    header = known.pop(HEADER)
    sound = [mark for mark in marks if mark[2] in known]
    if since is not None:  # the marks from this one on: times, seqs, kinds, problems, end
        times, seqs, codes = zip(*sound[since:], strict=True) if sound[since:] else ((), (), ())
        kinds = [(header["pid"], header["process"], *known[code]) for code in codes]
        return times, seqs, kinds, [], len(sound)
    return Log(header, known, sound, odd(path, torn, len(marks) - len(sound), rest))
