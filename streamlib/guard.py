"""Nothing that the lab has started outlives its kernel, even one that is killed.

What the lab starts has a mark, a variable in its environment, which all that it starts inherits. A
process beside each kernel runs this file: when the kernel has ended, it ends what has the mark.
"""

import os
import signal
import sys
import time
from contextlib import suppress
from functools import cache
from multiprocessing import resource_tracker
from subprocess import DEVNULL, Popen


@cache
def mark() -> str:
    """Return the mark of what this kernel starts; its guard starts at the first call."""
    name = f"STREAMLIB_{os.getpid()}_{time.time_ns()}"
    command = [sys.executable, "-P", __file__, str(os.getpid()), name]
    own = {key: os.environ[key] for key in os.environ if not key.startswith("STREAMLIB_")}
    quiet = dict.fromkeys(["stdin", "stdout", "stderr"], DEVNULL)
    mark.guard = Popen(command, env=own, start_new_session=True, **quiet)
    return name


def start(process) -> None:
    """Start a process of `multiprocessing` with the mark, and deaf to Ctrl-C while it starts up."""
    os.environ[mark()] = ""
    if os.name == "posix":
        resource_tracker.ensure_running()  # or it would end the block
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        os.environ.pop(mark(), None)
        if os.name == "posix":
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def end(name: str) -> int:
    """End every process with this mark; return how many there were."""
    import psutil  # only now: children load this module, too

    found = [one for one in psutil.process_iter(["environ"]) if name in (one.info["environ"] or ())]
    for one in found:
        with suppress(psutil.Error):  # it has just ended
            one.kill()
    return len(found)


if __name__ == "__main__":  # the guard: it waits until the kernel has ended, then ends the rest
    import psutil

    with suppress(psutil.Error):  # it is gone
        while psutil.Process(int(sys.argv[1])).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.2)
    time.sleep(2)  # for programs to leave by themselves
    end(sys.argv[2])
