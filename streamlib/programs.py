"""The lab's programs started from a notebook: each a process of its own, as in a terminal.

    receiver = programs.start("receive", "udp://localhost:0", "--out", "outputs/out9.txt")
    sender = programs.start("send", "data/penguins.csv", "--to", receiver.url, "--limit", 12)
    sender.wait(), receiver.wait()

They end with the notebook: each watches the pipe to its starter, which breaks when that dies.
"""

import atexit
import contextlib
import os
import subprocess
import sys
import threading

READY_S, LEAVE_S = 30.0, 5.0
UNTIL_EOF = (
    "STREAMLIB_STOP_AT_EOF"  # set for a program that is to stop when its standard input ends
)


class Program:
    """A program that runs beside the notebook: its `lines` so far, its `url`, its exit `status`."""

    def __init__(self, arguments: list[str]):
        self.name, self.lines = arguments[0], []
        own_group = (
            {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
            if sys.platform == "win32"
            else {"start_new_session": True}  # a cell's stop button is for the cell alone
        )
        self._process = subprocess.Popen(
            [sys.executable, "-u", "-m", "streamlib", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            env=os.environ | {UNTIL_EOF: "1", "PYTHONUTF8": "1"},
            **own_group,
        )
        self._began = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        atexit.register(self.kill)

    def _read(self) -> None:
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))
            self._began.set()
        self._began.set()

    @property
    def url(self) -> str:
        """The URL in its first line: where a receiver listens."""
        return next((word for word in self.lines[0].split() if "://" in word), "")

    @property
    def status(self) -> int | None:
        """Its exit status; None while it runs; negative if a signal ended it."""
        return self._process.poll()

    def done(self) -> bool:
        """Whether it has ended."""
        return self.status is not None

    def wait(self, timeout_s: float = 60) -> int:
        """Wait until it has ended by itself; return its exit status. Raises TimeoutError."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise TimeoutError(
                f"{self.name} still runs after {timeout_s:g} s: stop() it, or wait longer."
            ) from None
        return self._over()

    def stop(self) -> int:
        """End it as Ctrl-C in its terminal would; return its exit status."""
        if not self.done():
            self._close_stdin()
            try:
                self._process.wait(LEAVE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        return self._over()

    def kill(self) -> int:
        """End it as a crash would, with no time to tidy up; return its exit status."""
        if not self.done():
            self._process.kill()
        return self._over()

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def _over(self) -> int:
        status = self._process.wait()
        self._reader.join(LEAVE_S)
        self._close_stdin()
        atexit.unregister(self.kill)
        return status

    def _close_stdin(self) -> None:
        with contextlib.suppress(OSError):  # it may have gone already
            self._process.stdin.close()

    def __repr__(self) -> str:
        state = "running" if self.status is None else f"exit status {self.status}"
        return f"<{self.name}: {state}>"


def start(program: str, *arguments: object) -> Program:
    """Start `python -m streamlib PROGRAM ARGUMENTS` beside the notebook; return its handle.

    It returns when the program has written its first line, which for a receiver means that its
    port is open. Raises OSError with the program's own sentence if it could not begin.
    """
    started = Program([program, *(str(one) for one in arguments)])
    if not started._began.wait(READY_S):
        started.kill()
        raise OSError(f"{program} did not begin within {READY_S:g} s: try again.")
    if started.lines and started.lines[0].startswith(("usage: ", "python -m streamlib ")):
        started.wait()
        raise OSError(started.lines[-1])
    return started
