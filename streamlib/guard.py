"""Nothing that the lab has started outlives its kernel, not even a kernel that is killed.

What the lab starts has a mark in its environment and hands it on to whatever it starts itself. A
process beside each kernel, which runs this file, waits for the kernel's end; soon after it ends all
that bear the mark. Children do not load this module, so that they start without psutil.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection
from contextlib import suppress

import psutil

VARIABLE = "STREAMLIB_STARTED_BY"
LOOK_S, GRACE_S = 0.2, 2.0  # between two looks; for programs to leave by themselves
_guards, _lock = {}, threading.Lock()  # the guard of each kernel: a forked one has its own


def mark() -> str:
    """Return what is in the mark of all that this kernel starts; see to it that it has a guard."""
    kernel = os.getpid()
    text = f"<{kernel} {psutil.Process().create_time()}>"
    if kernel not in _guards or _guards[kernel].poll() is not None:
        command = [sys.executable, "-P", __file__, str(kernel), text]
        options = dict.fromkeys(["stdin", "stdout", "stderr"], subprocess.DEVNULL)
        options |= {"env": os.environ | {VARIABLE: ""}, "start_new_session": True}
        _guards[kernel] = subprocess.Popen(command, **options)
    return os.environ.get(VARIABLE, "") + text


def start(process, text: str) -> None:
    """Start a process of `multiprocessing`; it bears this mark, and misses Ctrl-C at first."""
    from multiprocessing import resource_tracker

    with _lock:
        if os.name == "posix":
            resource_tracker.ensure_running()  # it serves others, too, so it has no mark
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        before, os.environ[VARIABLE] = os.environ.get(VARIABLE, ""), text
        try:
            process.start()
        finally:
            os.environ[VARIABLE] = before
            if os.name == "posix":
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def bearers(text: str, pids: Collection[int], sessions: Collection[int]) -> list[psutil.Process]:
    """Return those of the processes whose mark has `text` in it, or that are in these sessions.

    A program that was given another environment is still in the session of whoever started it.
    """
    found, session_of = [], getattr(os, "getsid", lambda pid: None)
    for pid in pids:
        with suppress(psutil.Error, OSError):  # it has just ended, or is somebody else's
            one = psutil.Process(pid)
            marked = text in one.environ().get(VARIABLE, "") or session_of(pid) in sessions
            if marked and one.status() != psutil.STATUS_ZOMBIE:
                found.append(one)
    return found


def main(kernel: int, text: str) -> None:
    """Wait until the kernel has ended, then end all that bear its mark and are still there."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(psutil.Error):  # it has ended
        process = psutil.Process(kernel)
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(LOOK_S)
    deadline = time.monotonic() + GRACE_S
    while (left := bearers(text, psutil.pids(), ())) and time.monotonic() < deadline:
        time.sleep(LOOK_S)
    for one in bearers(text, psutil.pids(), {one.pid for one in left}):
        with suppress(psutil.Error):
            one.kill()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
