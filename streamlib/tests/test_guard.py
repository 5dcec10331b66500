"""A kernel that is killed leaves nothing of what the lab has started, and all that is not."""

import os
import signal
import subprocess
import sys
import time

import psutil

from streamlib import guard, home
from streamlib.tests.conftest import UNIX, aside, is_gone, until

KERNEL = """
import multiprocessing, os, re, signal, socket, subprocess, sys, threading, time
from streamlib import processes, programs

def holds_the_interpreter(me):
    sum(range(10**13))

def matches(me):
    re.match("(a+)+$", "a" * 60 + "b")

def starts_programs(me):
    for options in ({}, {"start_new_session": True}, {"env": {}}):
        subprocess.Popen(["sleep", str(10**6 + os.getppid())], **options)
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
        [scrubbed] = [p for p in psutil.process_iter() if _is_scrubbed(p, 10**6 + kernel.pid)]
        kernel.kill()
        until(lambda: not [p for p in processes_with(mine) if p not in pool], deadline_s=15)
        until(lambda: is_gone(scrubbed.pid))
    finally:
        kernel.kill()
        kernel.stdout.close()
        kernel.wait()
        for one in processes_with(mine):
            one.kill()


def _is_scrubbed(process, seconds):
    try:
        return process.cmdline() == ["sleep", str(seconds)] and process.environ() == {}
    except psutil.Error:
        return False


class Starter:
    """As a process of `multiprocessing`, as far as `guard.start` knows it."""

    def start(self):
        self.mark = os.environ[guard.VARIABLE]
        self.program = waits()


def waits():
    return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)


def test_only_what_the_lab_starts_bears_its_mark(start):
    program, worker = start("receive", "udp://localhost:0", "--out", os.devnull)._process, Starter()
    guard.start(worker, guard.mark() + " a worker's")
    mine = waits()
    try:
        pids = [worker.program.pid, mine.pid, program.pid]
        found = guard.bearers(guard.mark(), pids, ())
        assert [one.pid for one in found] == [worker.program.pid, program.pid]
        assert [one.pid for one in guard.bearers("a worker's", pids, ())] == pids[:1]
    finally:
        for one in (worker.program, mine):
            one.communicate(b"\n")


def test_marks_within_marks_are_put_back(monkeypatch):
    monkeypatch.setenv(guard.VARIABLE, "outer")
    inner = Starter()
    guard.start(inner, guard.mark() + " inner")
    inner.program.communicate(b"\n")
    assert inner.mark.startswith("outer<") and inner.mark.endswith("> inner")
    assert os.environ[guard.VARIABLE] == "outer"


@UNIX
def test_a_guard_that_was_killed_is_started_anew():
    before = guard.mark()
    first = guard._guards[os.getpid()]
    first.kill()
    first.wait()
    assert guard.mark() == before and guard._guards[os.getpid()].pid != first.pid


@UNIX
def test_a_guard_leaves_with_its_kernel_if_nothing_is_left():
    code = (
        "from streamlib import guard; guard.mark(); print(*[g.pid for g in guard._guards.values()])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=home.root, capture_output=True)
    [pid] = map(int, done.stdout.split())
    assert done.stderr == b""
    until(lambda: is_gone(pid), 5)


@UNIX
def test_the_children_of_a_program_that_is_killed_leave(start):
    program = start("pets", "--hold", 60)
    until(lambda: any("Insert" in line for line in program.lines))
    children = psutil.Process(program._process.pid).children()
    workers = [one for one in children if "spawn_main" in str(one.cmdline())]
    assert len(workers) == 3
    assert program.kill() == -signal.SIGKILL
    until(lambda: all(is_gone(one.pid) for one in workers), 15)
