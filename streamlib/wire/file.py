"""A file that takes lines: each whole or not at all, and handed to the system at once."""

import contextlib
import io
import os
import zlib
from pathlib import Path

from streamlib import home, records


class FileSink(io.FileIO):
    """A file that takes lines, without a buffer, which a killed process would lose."""

    acknowledged, refused, begun = True, 0, False  # no receiver has to acknowledge them

    def __init__(self, path: Path | str):
        super().__init__(path, "r+")
        self.problems = []

    def send(self, line: bytes) -> None:
        write_line(self, line)

    def end(self, line: bytes | None) -> None:
        if line is not None and self.begun:  # without a row, what it holds stays
            write_line(self, line)

    def begin(self, line: bytes) -> None:
        """Empty the file, and note its first line, by which it is known as ours."""
        self.begun = True
        if Path(self.name).is_file():
            self.truncate()
            with contextlib.suppress(OSError):  # without a note it is not written again
                _note(self.name).parent.mkdir(parents=True, exist_ok=True)
                _note(self.name).write_bytes(line)


def open_for_lines(path: Path | str) -> FileSink:
    """Open a file for `write_line`: what it holds stays there until its first line is written.

    Raises ValueError if that is not a stream that the lab wrote, OSError if it cannot be written.
    """
    try:
        io.FileIO(path, "a").close()  # so that it is there
        file = FileSink(path)
    except OSError as error:
        why = f"{path} cannot be written ({error.strerror})"
        raise OSError(f"{why}: name a file in a folder that exists.") from None
    if Path(path).is_file() and not _is_ours(path):
        file.close()
        raise ValueError(f"{path} holds something other than a stream: give another name.")
    return file


def _is_ours(path: Path | str) -> bool:
    """Whether a file is empty, or its first line is a record or what the lab noted of it."""
    with open(path, "rb") as file:
        line = file.readline(records.LONGEST)
    with contextlib.suppress(ValueError):
        return not line or bool(records.decode(line))
    note = _note(path)
    return note.exists() and note.read_bytes() == line


def _note(path: Path | str) -> Path:
    """Where the lab keeps the first line that it wrote to a file."""
    return home.runs / "written" / f"{zlib.crc32(os.fsencode(os.path.realpath(path))):08x}.txt"


def write_line(file: FileSink, line: bytes) -> None:
    """Write a line whole or not at all; raise OSError if the disk takes no more."""
    line += b"\n"
    try:
        if not file.begun:
            file.begin(line)
        written = file.write(line)
        if written == len(line):
            return
        file.seek(-written, io.SEEK_CUR)
        file.truncate()
        why = "only a part of the line found room"
    except OSError as error:
        why = error.strerror
    raise OSError(f"{file.name} takes no more ({why}): make room, then run this again.")
