"""Nothing that the lab has started outlives its kernel, not even a kernel that is killed.

What the lab starts has a mark in its environment and hands it on to whatever it starts itself. A
process beside each kernel, which runs this file, waits for the kernel's end; soon after it ends all
that bear the mark. No thread of theirs has to run for that, and no pipe has to close.

Children do not load this module, so that they start without psutil.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress

import psutil

VARIABLE = "STREAMLIB_STARTED_BY"
LOOK_S, GRACE_S, KILL_S = 0.2, 2.0, 1.0  # between looks; to leave by oneself; to be ended

_guards: dict[int, subprocess.Popen] = {}  # the one of each kernel: of forked ones, too
_lock = threading.Lock()


def mark() -> str:
    """Return what is in the mark of all that this kernel starts; see to it that it has a guard."""
    kernel, before = os.getpid(), os.environ.get(VARIABLE, "")
    text = f"<{kernel} {psutil.Process().create_time()}>"
    if kernel not in _guards or _guards[kernel].poll() is not None:
        unmarked = {name: value for name, value in os.environ.items() if name != VARIABLE}
        options = dict.fromkeys(["stdin", "stdout", "stderr"], subprocess.DEVNULL)
        command = [sys.executable, "-P", __file__, str(kernel), text]
        options |= {"env": unmarked, "start_new_session": True}
        _guards[kernel] = subprocess.Popen(command, **options)
    return before + text


@contextmanager
def marking(text: str) -> Iterator[None]:
    """Let each process that is started in this block bear this mark, and miss Ctrl-C at first."""
    from multiprocessing import resource_tracker

    with _lock:
        if os.name == "posix":
            resource_tracker.ensure_running()  # which is to serve longer than what bears the mark
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        before = os.environ.get(VARIABLE)
        os.environ[VARIABLE] = text
        try:
            yield
        finally:
            os.environ.pop(VARIABLE)
            os.environ.update({} if before is None else {VARIABLE: before})
            if os.name == "posix":
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def bearers(
    text: str, pids: Collection[int], sessions: Collection[int] = ()
) -> list[psutil.Process]:
    """Return those of the processes whose mark has `text` in it, or that are in these sessions.

    A program that was given another environment is still in the session of whoever started it.
    """
    found, session_of = [], getattr(os, "getsid", lambda pid: None)
    for pid in pids:
        with suppress(psutil.Error, OSError):  # it has just ended, or is somebody else's
            one = psutil.Process(pid)
            marked = text in one.environ().get(VARIABLE, "")
            if (marked or session_of(pid) in sessions) and _is_there(one):
                found.append(one)
    return found


def end(processes: list[psutil.Process]) -> list[str]:
    """End these processes at once; return the name and the number of each."""
    ended = []
    for one in processes:
        with suppress(psutil.Error):  # it has just ended by itself
            ended.append(f"{one.name()}, process {one.pid}")
            one.kill()
    deadline = time.monotonic() + KILL_S
    while any(map(_is_there, processes)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return ended


def _is_there(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def main(kernel: int, text: str) -> None:
    """Wait until the kernel has ended, then end all that bear its mark and are still there."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(psutil.Error):  # it is gone already
        process = psutil.Process(kernel)
        while _is_there(process):
            time.sleep(LOOK_S)
    deadline = time.monotonic() + GRACE_S
    while (left := bearers(text, psutil.pids())) and time.monotonic() < deadline:
        time.sleep(LOOK_S)
    end(bearers(text, psutil.pids(), {one.pid for one in left}))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
