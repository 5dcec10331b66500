"""A file that takes lines: each whole or not at all, and handed to the system at once."""

import contextlib
import io
from pathlib import Path

OURS = (b"", b"[", b'{"seq"')  # how a stream begins: with nothing, `[a, b, c]`, or a record


class FileSink(contextlib.AbstractContextManager):
    """Writes lines to a file, which needs no receiver to acknowledge them."""

    acknowledged, refused = True, 0

    def __init__(self, endpoint):
        self.problems, self._file = [], open_for_lines(endpoint.path)

    def send(self, line: bytes) -> None:
        write_line(self._file, line)

    def end(self, line: bytes | None) -> None:
        if line is not None:
            write_line(self._file, line)

    def __exit__(self, *error: object) -> None:
        self._file.close()


def open_for_lines(path: Path | str) -> io.FileIO:
    """Open a file anew for `write_line`, without a buffer, which a killed process would lose.

    Raises ValueError if it holds something other than a stream, OSError if it cannot be written.
    """
    try:
        if Path(path).is_file():
            with open(path, "rb") as file:
                start = file.read(6)
            if start not in OURS and start[:1] not in OURS:
                raise ValueError(f"{path} holds something other than a stream: give another name.")
        return open(path, "wb", buffering=0)
    except OSError as error:
        why = f"{path} cannot be written ({error.strerror})"
        raise OSError(f"{why}: name a file in a folder that exists.") from None


def write_line(file: io.FileIO, line: bytes) -> None:
    """Write a line whole or not at all; raise OSError if the disk takes no more."""
    line += b"\n"
    try:
        written = file.write(line)
        if written == len(line):
            return
        file.seek(-written, io.SEEK_CUR)
        file.truncate()
        why = "only a part of the line found room"
    except OSError as error:
        why = error.strerror
    raise OSError(f"{file.name} takes no more ({why}): make room, then run this again.")
