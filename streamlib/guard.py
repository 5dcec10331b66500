"""Nothing that the lab has started outlives its kernel, not even a kernel that is killed.

What the lab starts has a mark in its environment and hands it on to whatever it starts itself. A
process beside each kernel, which runs this file, waits for the kernel's end; soon after it ends all
that bear the mark. No thread of theirs has to run for that, and no pipe has to close.
"""

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

VARIABLE = "STREAMLIB_STARTED_BY"
LOOK_S, GRACE_S, KILL_S = 0.2, 2.0, 1.0  # between looks; to leave by oneself; to be ended

_guards: dict[int, tuple[str, subprocess.Popen]] = {}  # a kernel, maybe a forked one -> its mark
_lock = threading.Lock()


def mark() -> str:
    """Return what the marks of everything begin with that this kernel starts; start its guard."""
    kernel = os.getpid()
    if VARIABLE in os.environ:  # this is no kernel: the guard of whoever started it is enough
        return os.environ[VARIABLE]
    if kernel not in _guards or _guards[kernel][1].poll() is not None:
        own, null = uuid.uuid4().hex, subprocess.DEVNULL
        command = [sys.executable, "-P", __file__, str(kernel), own]
        options = {"stdin": null, "stdout": null, "stderr": null, "start_new_session": True}
        _guards[kernel] = own, subprocess.Popen(command, **options)
    return _guards[kernel][0]


@contextmanager
def marking(text: str) -> Iterator[None]:
    """Let whatever this block starts bear the mark."""
    with _lock:
        before = os.environ.get(VARIABLE)
        os.environ[VARIABLE] = text
        try:
            yield
        finally:
            del os.environ[VARIABLE]
            if before is not None:
                os.environ[VARIABLE] = before


def pids() -> set[int]:
    """Return the numbers of all processes on this machine."""
    import psutil  # only now: children do not need it

    return set(psutil.pids())


def bearers(text: str, pids: Iterable[int], sessions: Iterable[int] = ()) -> list:
    """Return those of the processes whose mark begins with `text`, or that are in these sessions.

    A program that was given another environment is still in the session of whoever started it.
    """
    import psutil

    found, session_of = [], getattr(os, "getsid", lambda pid: None)
    for pid in pids:
        with suppress(psutil.Error, OSError):  # it has just ended, or is somebody else's
            process = psutil.Process(pid)
            marked = process.environ().get(VARIABLE, "").startswith(text)
            over = process.status() == psutil.STATUS_ZOMBIE
            if not over and (marked or session_of(pid) in sessions):
                found.append(process)
    return found


def end(processes: list) -> list[str]:
    """End these processes at once; return the name and the number of each."""
    import psutil

    ended = []
    for one in processes:
        with suppress(psutil.Error):  # it has just ended by itself
            ended.append(f"{one.name()}, process {one.pid}")
            one.kill()
    psutil.wait_procs(processes, KILL_S)
    return ended


def main(kernel: int, text: str) -> None:
    """Wait until the kernel has ended, then end all that bear its mark and are still there."""
    import psutil

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(psutil.Error):  # it is gone already
        process = psutil.Process(kernel)
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(LOOK_S)
    deadline = time.monotonic() + GRACE_S
    while (left := bearers(text, pids())) and time.monotonic() < deadline:
        time.sleep(LOOK_S)
    end(bearers(text, pids(), {one.pid for one in left}))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
