"""A file that takes lines: whole or not at all, and on their way to the disk at once."""

import contextlib
from pathlib import Path

from streamlib.wire.endpoint import Endpoint


class FileSink:
    """A file that takes lines; each is on its way to the disk before the next is taken."""

    def __init__(self, endpoint: Endpoint):
        self.endpoint, self.problems = endpoint, []
        self._file = open_for_lines(endpoint.path)

    def send(self, line: bytes) -> None:
        write_line(self._file, line)

    def end(self, line: bytes | None) -> None:
        """Write the end record, if there is one."""
        if line is not None:
            self.send(line)

    def __enter__(self) -> "FileSink":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()


def open_for_lines(path: Path | str):
    """Open a file anew for `write_line`, without a buffer that a killed process would lose."""
    path = Path(path)
    try:
        if path.is_file():
            with path.open("rb") as file:
                if file.read(1) not in (b"", b"{", b"["):
                    raise ValueError(
                        f"{path} holds something else than a stream: give another name, or delete "
                        "it first."
                    )
        return path.open("wb", buffering=0)
    except OSError as error:
        why = error.strerror
        if path.is_dir():
            why = "it is a folder"
        elif not path.parent.is_dir():
            why = f"there is no folder {path.parent}"
        raise OSError(
            f"{path} cannot be written ({why}): give the name of a file in a folder that you may "
            "write to."
        ) from None


def write_line(file, line: bytes) -> None:
    """Write a line whole or not at all; OSError with one sentence if the disk is full."""
    left = line + b"\n"
    size = len(left)
    try:
        while left:
            left = left[file.write(left) :]
    except OSError as error:
        with contextlib.suppress(OSError):  # a device cannot be cut
            file.truncate(file.tell() - (size - len(left)))
        raise OSError(
            f"{file.name} takes no more ({error.strerror}): what was written before is kept; "
            "make room, then run this again."
        ) from None
