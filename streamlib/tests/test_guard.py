"""A kernel that is killed leaves nothing of what the lab has started, and all that is not."""

import os
import subprocess
import sys
import time

import psutil

from streamlib import guard, home
from streamlib.tests.conftest import UNIX, aside, until

KERNEL = """
import multiprocessing, os, re, signal, socket, subprocess, sys, threading, time
from streamlib import processes, programs

def holds_the_interpreter(me):
    sum(range(10**13))

def matches(me):
    re.match("(a+)+$", "a" * 60 + "b")

def starts_programs(me):
    for options in ({}, {"start_new_session": True}):
        subprocess.Popen(["sleep", "600"], **options)
    subprocess.Popen(["sh", "-c", "setsid sh -c 'sleep 600 & sleep 600' & exit"])
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)

def closes_its_files(me):
    while not os.path.exists("begun"):
        time.sleep(0.01)
    os.closerange(0, 100)
    while True:
        pass

def tell(event):
    begun.append(event.state)
    if begun.count("started") == 4:
        open("begun", "x").close()
        time.sleep(0.3)
        print("begun", flush=True)

if __name__ == "__main__":
    begun, names = [], [f"{sys.argv[1]}/{name}" for name in ("out9.txt", "fifo", "log.txt")]
    programs.receive(names[0])
    os.mkfifo(names[1])
    deaf = socket.socket()
    deaf.bind(("127.0.0.1", 0))
    deaf.listen(0)
    at = deaf.getsockname()
    full = [socket.socket() for _ in range(3)]  # the queue of those who wait to be accepted
    for one in full:
        one.setblocking(False)
        one.connect_ex(at)
    stuck = ["send", sys.argv[2], "--to", f"tcp://127.0.0.1:{at[1]}"]
    for words in (["receive", "udp://localhost:0", "--out", names[1]], stuck):
        threading.Thread(target=programs.start, args=words, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    programs.start("pets", "--hold", "60", "--out", names[2])
    pool = multiprocessing.get_context("fork").Pool(1)  # it holds the pipes of the receiver, too
    plan = [holds_the_interpreter, matches, starts_programs, closes_its_files]
    processes.run({f"P{n}": worker for n, worker in enumerate(plan)}, watch=tell)
"""


def processes_with(variable):
    found = []
    for process in psutil.process_iter():
        try:
            if variable in process.environ() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            pass
    return found


@UNIX
def test_nothing_outlives_a_kernel_that_is_killed(tmp_path, numbers):
    """Workers inside C, without files, with daemons; programs that wait for what never comes."""
    script, mine = tmp_path / "kernel.py", f"TEST_{time.time_ns()}"
    script.write_text(KERNEL, encoding="utf-8")
    command = [sys.executable, script, tmp_path, numbers]
    environment = os.environ | {mine: "1", "STREAMLIB_OUTPUTS": str(tmp_path)}
    environment["PYTHONPATH"] = str(home.root)
    kernel = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        assert aside(kernel.stdout.readline)() == b"begun\n"
        pool = [
            p for p in psutil.Process(kernel.pid).children() if p.cmdline()[1:2] == [str(script)]
        ]
        assert len(pool) == 1 and len(processes_with(mine)) >= 18
        kernel.kill()
        until(lambda: not [p for p in processes_with(mine) if p not in pool], deadline_s=15)
    finally:
        kernel.kill()
        kernel.stdout.close()
        kernel.wait()
        for one in processes_with(mine):
            one.kill()


class Starter:
    """As a process of `multiprocessing`, as far as `guard.start` knows it."""

    def start(self):
        self.program = waits()


def waits():
    return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)


def test_only_what_the_lab_starts_bears_its_mark():
    worker = Starter()
    guard.start(worker)
    mine = waits()
    assert [guard.mark() in psutil.Process(p.pid).environ() for p in (worker.program, mine)] == [
        True,
        False,
    ]
    assert mine.communicate(b"\n") and worker.program.communicate(b"\n")
