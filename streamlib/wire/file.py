"""A file that takes lines: each whole or not at all, and handed to the system at once."""

import io
import zlib
from contextlib import suppress
from pathlib import Path

from streamlib import home, records


class FileSink(io.FileIO):
    """A file that takes lines, without a buffer, which a killed process would lose.

    What it holds stays there until its first line is written. Raises ValueError unless it is empty
    or the lab wrote it, OSError if it cannot be written.
    """

    acknowledged, problems, begun = True, [], False  # no receiver has to answer

    def __init__(self, path: Path | str):
        with home.one_sentence(f"{path} cannot be written", "name a file in a folder that exists"):
            if Path(path).is_file() and not _is_ours(path):
                raise ValueError(f"{path} holds something other than a stream: give another name.")
            super().__init__(path, "a")
        home.hold_alone(self)

    def send(self, line: bytes) -> None:
        """Write a line whole or not at all; raise OSError if the disk takes no more."""
        line += b"\n"
        if not self.begun:
            self.begun = True
            with suppress(OSError):  # a pipe cannot be emptied; without a note it is refused later
                self.truncate(0)
                _note(self.name).write_bytes(line)
        try:
            if (written := self.write(line)) < len(line):
                self.seek(-written, io.SEEK_CUR)
                self.truncate()
                raise OSError("only a part of the line found room")
        except OSError as error:
            why = f"{self.name} takes no more ({error.strerror or error})"
            raise OSError(f"{why}: make room, then run this again.") from None

    def end(self, line: bytes | None) -> None:
        if line is not None and self.begun:  # without a row, what it holds stays
            self.send(line)


def _is_ours(path: Path | str) -> bool:
    """Whether a file is empty, or its first line is a record or what the lab noted of it."""
    with open(path, "rb") as file:
        line = file.readline(records.LONGEST)
    with suppress(ValueError):
        return not line or bool(records.decode(line))
    return _note(path).exists() and _note(path).read_bytes() == line


def _note(path: Path | str) -> Path:
    """Return where the lab keeps the first line that it wrote to a file."""
    return home.outputs / f".first-{zlib.crc32(bytes(Path(path).resolve())):08x}"
