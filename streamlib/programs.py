"""The lab's programs, started from a notebook as from a terminal: each ends with the notebook."""

import contextlib
import os
import re
import sys
import threading
from pathlib import Path
from subprocess import PIPE, STDOUT, Popen, TimeoutExpired

from streamlib import guard, home

BEGIN_S, LEAVE_S = 30.0, 5.0
OWN = {"STREAMLIB_STOP_AT_EOF": "1", "PYTHONUTF8": "1", "NO_COLOR": "1"}
PIPES = {"stdin": PIPE, "stdout": PIPE, "stderr": STDOUT, "encoding": "utf-8", "errors": "replace"}


class Program(contextlib.AbstractContextManager):
    """A program beside the notebook: its `lines` of output so far, and the first `url` in them."""

    def __init__(self, arguments: list[str]):
        self.name, self.lines, self.url, self._begun = arguments[0], [], "", threading.Event()
        command = [sys.executable, "-u", "-m", "streamlib", *arguments]
        own = {"env": os.environ | OWN | {guard.mark(): ""}, "start_new_session": True}
        self._process = Popen(command, **PIPES, **own)  # a cell's stop button is for the cell alone
        scheme = re.search("(?:udp|tcp)://|$", " ".join(arguments))[0]
        self._first = re.compile(scheme and scheme + r"\S+")  # what is told first: "" without a URL
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))
            if found := self._first.search(line):
                self.url = self.url or found[0]
                self._begun.set()
        self._begun.set()

    @property
    def status(self) -> int | None:
        """Its exit status: None while it runs, negative if a signal ended it."""
        return self._process.poll()

    def done(self) -> bool:
        """Whether it has ended."""
        return self.status is not None

    def wait(self, timeout_s: float = 60) -> int:
        """Wait until it ends; return its exit status. Raises TimeoutError if it does not end."""
        with contextlib.suppress(TimeoutExpired):
            self._process.wait(timeout_s)
            return self.kill()
        raise TimeoutError(f"{self.name} still runs after {timeout_s:g} s: stop it or wait longer.")

    def stop(self) -> int:
        """End it as Ctrl-C in its terminal would; return its exit status."""
        with contextlib.suppress(OSError, ValueError):  # it has ended, or does not end
            self._process.stdin.write("stop")  # others may hold this pipe open
            self._process.stdin.close()
            return self.wait(LEAVE_S)
        return self.kill()

    def kill(self) -> int:
        """End it, if it is still running, with no time to tidy up; return its exit status."""
        self._process.kill()
        self._reader.join(LEAVE_S)
        self._process.stdin.close()
        return self._process.wait()

    def __exit__(self, *error: object) -> None:
        self.stop()


def start(program: str, *arguments: object) -> Program:
    """Start `python -m streamlib PROGRAM ARGUMENTS`; return once it has told its URL, or anything.

    Raises OSError, with the program's own sentence if it has one, if it cannot begin.
    """
    started = Program([program, *map(str, arguments)])
    if not started._begun.wait(BEGIN_S):
        started.kill()
        raise OSError(f"{program} did not begin within {BEGIN_S:g} s: try again.")
    said = [line for line in started.lines if line.startswith("python -m streamlib")]  # its error
    if (said or (started._first.pattern and not started.url)) and started.wait() != 0:
        why = f"{program} ended before it began ({''.join(started.lines[-1:])})"
        raise OSError(said[-1] if said else f"{why}: try again{home.hiding_files()}.")
    return started


def receive(out: Path | str, url: str = "udp://localhost:0", *options: object) -> Program:
    """Start a receiver that writes the file `out`; return it once its port is open: its `url`."""
    return start("receive", url, "--out", out, *options)
