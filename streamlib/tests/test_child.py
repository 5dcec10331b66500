"""What runs in a child: its worker, what it prints and raises, its handle, its turns."""

import contextlib
import functools
import multiprocessing
import os
import queue
import re
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest

from streamlib import database, home, processes
from streamlib.processes import child
from streamlib.tests.conftest import UNIX

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


def test_a_worker_is_a_function_of_this_place_and_what_it_prints_is_kept():
    shout = "from the cell"

    def worker(me):
        print(f"{me.name} {shout}")

    run = processes.run({"A b": worker, "Ü": worker})
    assert run.output == {"A b": "A b from the cell\n", "Ü": "Ü from the cell\n"}
    assert run.workers["exit"].tolist() == [0, 0]


def test_a_seed_repeats_the_luck_of_each_process():
    def worker(me):
        me.step("draw", me.rng.randrange(10**9))

    drawn = [
        processes.run({"P1": worker, "P2": worker}, rounds=2, seed=7).items["item"].tolist()
        for _ in range(2)
    ]
    assert sorted(drawn[0]) == sorted(drawn[1])
    assert len(set(drawn[0])) == 4


def test_a_mark_says_state_item_resource_and_detail_in_one_call():
    def worker(me):
        me.step("insert", "Ace")
        me.mark("working", "Ace")
        me.mark("waiting", item=7, resource="lab.db", detail="timeout 5 s")

    events = processes.run({"P1": worker}).events
    columns = ["state", "step", "item", "resource", "detail"]
    rows = events[columns].astype(object).where(events[columns].notna(), None)
    assert rows.values.tolist() == [
        ["started", None, None, None, None],
        ["step", "insert", "Ace", None, "insert"],
        ["working", "insert", "Ace", None, None],
        ["waiting", "insert", "7", "lab.db", "timeout 5 s"],
        ["ended", "insert", None, None, None],
    ]


def test_under_a_schedule_nobody_has_to_wait():
    def worker(me):
        me.step("work")
        print(me.scale)
        me.hold(3600)
        me.think()

    run = processes.run({"P1": worker}, schedule="1", think_s=3600)
    assert run.problems == [] and run.output == {"P1": "0\n"}


def test_a_thread_of_a_worker_takes_no_turn():
    def worker(me):
        me.step("begin")
        thread = threading.Thread(target=me.step, args=("aside",))
        thread.start()
        thread.join()
        me.step("end")

    run = processes.run({"P1": worker}, schedule="1b 1e")
    assert (run.schedule, run.problems) == ("1b 1e", [])
    assert run.events["step"].dropna().unique().tolist() == ["begin", "aside", "end"]


def test_a_worker_that_raises_is_told_with_its_line_and_the_others_go_on():
    def bad(me):
        me.step("insert", "Ace")
        raise ZeroDivisionError("by zero")

    run = processes.run({"P1": bad, "P2": database.pets(["Cooper"])}, rounds=2)
    assert run.workers["exit"].to_dict() == {"P1": 1, "P2": 0}
    assert len(run.problems) == 2
    assert run.problems[0].startswith("P1 raised ZeroDivisionError: by zero (line ")
    assert run.problems[1].startswith("Round 2: P1 raised")
    assert "Traceback" in run.output["P1"]
    assert (
        run.verdict == "2 of 4 rows are stored, 2 lost; P1 did not end well, so more may be missing"
    )


def test_a_worker_that_exits_ends_its_process_with_that_status():
    run = processes.run({"P1": lambda me: sys.exit(3), "P2": lambda me: sys.exit()}, rounds=2)
    assert run.workers["exit"].isna().tolist() == [False, True]
    assert sorted(run.problems) == [
        "1 of 2 rounds were run.",
        "P1 ended early with exit code 3.",
        "P2 ended early with exit code 0.",
    ]


@UNIX
def test_a_fork_in_a_worker_loses_no_mark_and_does_not_answer_for_it():
    def forks(me):
        me.mark("before")
        if os.fork() == 0:
            me.mark("copy")
            return
        os.wait()
        me.mark("after")

    run = processes.run({"P1": forks}, rounds=2)
    states = ["started", "before", "copy", "ended", "after", "ended"]
    assert run.problems == [] and run.events["state"].tolist() == states * 2


def test_a_worker_that_leaves_in_mid_work_has_not_ended_well_whatever_its_exit_code():
    def leaves(leave):
        def worker(me):
            me.mark("at work", "Ace")
            leave()

        return worker

    exits = [lambda: os._exit(0), lambda: sys.exit(256), lambda: sys.exit()]
    run = processes.run({f"P{n}": leaves(leave) for n, leave in enumerate(exits)})
    assert run.workers["exit"].isna().all() and not run.ok
    assert "P0, P1, P2 did not end well" in run.verdict
    assert sorted(run.why()) == [f"P{n} ended early with exit code 0." for n in range(3)]


def test_a_maker_of_workers_is_not_taken_for_a_worker():
    def maker(names):
        return lambda me: None

    run = processes.run({"P1": maker, "P2": database.pets})
    assert len(run.problems) == 2 and not run.ok
    assert any(
        "P1's worker makes workers: call it, as in database.pets" in said for said in run.problems
    )
    assert any("P2 raised ValueError: names is <streamlib" in said for said in run.problems)


def test_a_worker_whose_module_is_gone_cannot_be_loaded(monkeypatch, tmp_path):
    (tmp_path / "gone_soon.py").write_text("def worker(me): pass\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    import gone_soon

    (tmp_path / "gone_soon.py").unlink()
    run = processes.run({"P1": gone_soon.worker})
    assert "cannot be loaded (ModuleNotFoundError" in run.problems[0]
    assert run.problems[1:] == ["0 of 1 rounds were run."]
    assert run.workers["exit"].tolist() == [1]
    assert run.params["rounds"] == 1 and not run.ok


@pytest.mark.parametrize("name", ["1st", "xwrite", "", "-", 3, None])
def test_a_step_that_no_schedule_could_name_is_refused(name):
    run = processes.run({"P1": lambda me: me.step(name)})
    assert f"ValueError: {name!r} cannot name a step" in run.problems[0]


@pytest.mark.parametrize(
    "plan", [{}, [("P1", print), ("P1", print)], {"": print}, {1: print}, None]
)
def test_a_plan_is_a_dict_of_names(plan):
    with pytest.raises(TypeError, match=r"give a dict, as in {\"P1\": worker}"):
        child.packed(plan)


@pytest.mark.parametrize("worker", [3, lambda: 0])
def test_a_worker_takes_one_argument(worker):
    with pytest.raises(TypeError, match=r"The worker of P1 .*give a function of one argument"):
        child.packed({"P1": worker})


def test_a_worker_that_holds_a_connection_cannot_be_sent():
    with closing(sqlite3.connect(":memory:")) as connection:

        def worker(me):
            connection.execute("SELECT 1")

        with pytest.raises(TypeError, match=r"cannot be sent to a process .*open files, connect"):
            child.packed({"P1": worker})


def test_children_leave_when_their_parent_is_killed(tmp_path):
    """A killed kernel leaves no orphan."""
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, sys, time\n"
        "from streamlib import processes\n"
        "def worker(me):\n"
        "    print(os.getpid(), flush=True)\n"
        "    time.sleep(600)\n"
        "def say(event):\n"
        "    print(event.state, flush=True)\n"
        "if __name__ == '__main__':\n"
        "    processes.run({'P1': worker, 'P2': worker}, watch=say)\n",
        encoding="utf-8",
    )
    environment = os.environ | {"STREAMLIB_OUTPUTS": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        assert [parent.stdout.readline() for _ in range(2)] == ["started\n"] * 2
        deadline = time.monotonic() + 20
        pids = []
        while len(pids) < 2 and time.monotonic() < deadline:  # each prints its own when it runs
            texts = [f.read_text(encoding="utf-8") for f in tmp_path.glob("runs/*/*.out")]
            pids = [int(text) for text in texts if text.endswith("\n")]
        parent.kill()
        try:
            # The children hold the other end of this pipe: it closes when the last one is gone.
            parent.communicate(timeout=20)
        finally:
            for pid in [pid for pid in pids if not _is_gone(pid)]:
                os.kill(pid, 9)
    assert len(pids) == 2


def _is_gone(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().split()[2] == "Z"
    except OSError:
        return True


def test_children_import_neither_pandas_nor_numpy():
    code = "import streamlib.processes, streamlib.schedule, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "streamlib.processes.child" in done.stdout.split()
    assert not {"pandas", "numpy", "matplotlib"} & set(done.stdout.split())


async def later(me):
    """An async function, as beginners write it."""


def yielding(me):
    """A generator."""
    yield me


async def streaming(me):
    """An async generator."""
    yield me


class Later:
    """An object whose call is async."""

    async def __call__(self, me):
        return me


class Yielding:
    """An object whose call is a generator."""

    def __call__(self, me):
        yield me


ASYNC = [later, yielding, streaming, Later(), Yielding(), Later().__call__]
ASYNC += [functools.partial(lambda me: None), functools.partial(later), functools.partial(yielding)]


@pytest.mark.parametrize("number", range(len(ASYNC)))
def test_an_async_worker_or_a_generator_is_refused(number):
    if number == 6:  # a plain one
        assert child.packed({"P1": ASYNC[number]})
        return
    with pytest.raises(TypeError, match=r"async or yields, but must be a plain function"):
        child.packed({"P1": ASYNC[number]})


def test_work_that_was_only_promised_is_a_problem():
    @functools.wraps(print)
    def wrapped(me):
        return later(me)

    promises = {
        "generator": lambda me: (n for n in range(3)),
        "coroutine": wrapped,
        "async_generator": lambda me: streaming(me),
        "map": lambda me: map(print, range(3)),
    }
    run = processes.run(promises)
    assert not run.ok and set(run.workers["exit"]) == {1}
    for kind in promises:
        [said] = [problem for problem in run.problems if problem.startswith(f"{kind}'s worker ret")]
        assert kind[:12] in said.split("returned <")[1]
        assert ", which has not done its work: write it without async" in said


@pytest.mark.parametrize("schedule", [None, "1 2 3 4"])
def test_a_value_that_a_worker_returns_is_dropped_and_the_run_says_so_once(schedule):
    class Silent:
        def __repr__(self):
            raise RuntimeError("no words")

    plan = {"P1": lambda me: True, "P2": lambda me: "a\nb", "P3": lambda me: Silent()}
    plan |= {"P4": lambda me: None}
    run = processes.run(plan, **({"schedule": schedule} if schedule else {"rounds": 2}))
    assert run.ok and run.workers["exit"].tolist() == [0] * 4
    said = [problem.split(", which is dropped: store it")[0] for problem in sorted(run.problems)]
    assert said[:2] == ["P1's worker returned True", r"P2's worker returned 'a\nb'"]
    assert said[2].startswith("P3's worker returned <Silent instance") and len(said) == 3


CONTEXT = multiprocessing.get_context("spawn")
SHARED = [CONTEXT.Lock, CONTEXT.Queue, CONTEXT.Event, CONTEXT.Barrier, threading.Lock, queue.Queue]


@pytest.mark.parametrize("number", range(len(SHARED) + 2))
def test_a_lock_for_all_processes_is_the_one_of_the_database(number):
    make = [*SHARED, functools.partial(CONTEXT.Value, "i"), threading.Event][number]
    shared = make(2) if make == CONTEXT.Barrier else make()
    with pytest.raises(TypeError, match=r"sent .* its BEGIN IMMEDIATE is their lock") as no:
        child.packed({"P1": lambda me: shared})
    assert "locks inside" not in str(no.value)


def test_a_worker_that_raised_keeps_no_lock_from_the_others():
    def raises(me):
        connection = sqlite3.connect(me.db)
        connection.execute("INSERT INTO pets (name, process) VALUES ('Ace', 'P1')")
        raise ZeroDivisionError

    def stores(me):
        time.sleep(0.3)  # until the other one has raised
        with closing(sqlite3.connect(me.db, timeout=5)) as connection, connection:
            row = ("Buddy", me.name, os.getpid())
            connection.execute("INSERT INTO pets (name, process, pid) VALUES (?, ?, ?)", row)

    run = processes.run({"P1": raises, "P2": stores})
    assert [row["name"] for row in run.rows] == ["Buddy"]
    assert run.workers["exit"].tolist() == [1, 0]


def test_a_lock_of_a_manager_is_one_for_all():
    with CONTEXT.Manager() as manager:
        lock, seen = manager.Lock(), manager.list()

        def worker(me):
            with lock:
                seen.append(me.name)

        run = processes.run({"P1": worker, "P2": worker})
        assert run.problems == [] and sorted(seen) == ["P1", "P2"]


@pytest.mark.parametrize(
    "make", [lambda: socket.socketpair()[0].makefile("w"), socket.socket, lambda: yielding(1)]
)
def test_what_belongs_to_one_process_is_to_be_opened_in_the_worker(make):
    with contextlib.closing(make()) as mine:
        with pytest.raises(TypeError, match=r"P1 cannot be sent .*, and open files, connections"):
            child.packed({"P1": lambda me: mine})


IN_A_NOTEBOOK = """
import functools, sys
sys.modules["__main__"].__dict__.pop("__file__", None)
from streamlib import processes
@functools.cache
def square(n):
    return n * n
print(*processes.run({"P1": lambda me: square(3)}).problems)
"""


def test_a_function_with_a_cache_in_a_notebook_is_said(tmp_path):
    said = _python(IN_A_NOTEBOOK, tmp_path).stdout
    assert "'square'" in said
    assert ": write it in the notebook (without a cache) or a file beside it." in said


NAMES = ["signal", "random", "csv"]


def test_a_file_that_hides_a_module_of_python_is_named(tmp_path):
    """A notebook looks for modules in its own folder first, and so do the processes it starts."""
    code = "import os, sys\nsys.path.insert(0, '')\nfrom streamlib import processes\n"
    for name in NAMES:
        code += f"open('{name}.py', 'w').close()\nprint(*processes.run({{'P1': print}}).problems)\n"
        code += f"os.remove('{name}.py')\n"
    said = _python(code, tmp_path).stdout.splitlines()
    assert len(said) == len(NAMES)
    for name, line in zip(NAMES, said, strict=True):
        assert f"; rename {name}.py, which hides a module of Python's own." in line


def test_a_traceback_is_kept_without_colors(monkeypatch):
    """Kernels set FORCE_COLOR, which Pythons since 3.13 follow."""
    monkeypatch.setenv("FORCE_COLOR", "1")

    def worker(me):
        assert os.environ["NO_COLOR"] == "1"
        raise ZeroDivisionError

    run = processes.run({"P1": worker})
    assert "ZeroDivisionError" in run.problems[0] and "\033" not in run.output["P1"]


def _python(code, folder):
    """Run a text as a notebook would: there is no script that children could load."""
    environment = os.environ | {"STREAMLIB_OUTPUTS": str(folder / "outputs")}
    environment["PYTHONPATH"] = os.pathsep.join([str(home.root), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", code]
    options = {"cwd": folder, "env": environment, "capture_output": True, "text": True}
    return subprocess.run(command, timeout=60, **options)


def test_what_a_worker_prints_is_kept_up_to_a_bound_and_the_output_says_so():
    """The beginning and the end of it, tracebacks too; the file does not grow without end."""

    def loud(me):
        print("first")
        for number in range(100_000):
            print("line", number, "é" * 20)
        print("x" * 3_000_000)
        raise KeyError("at last")

    run = processes.run({"P1": loud, "P2": lambda me: print("short")})
    text, size = run.output["P1"], (run.folder / "1.out").stat().st_size
    assert size < 4 * child.KEPT_BYTES and run.output["P2"] == "short\n"
    assert text.startswith("first\nline 0 é") and text.endswith("KeyError: 'at last'\n")
    [left] = re.findall(r"\n\((\d+) bytes are left out here\.\)\n", text)
    lines = sum(len(f"line {number} {'é' * 20}\n".encode()) for number in range(100_000))
    printed = len("first\n") + lines + 3_000_001 + len(text) - text.index("Traceback")
    assert size - len(f"\n({left} bytes are left out here.)\n") + int(left) == printed


def test_a_maker_that_forgets_to_return_its_worker_is_told_so():
    with pytest.raises(TypeError, match=r"^The worker of P1 is None: .* `return worker`\.$"):
        processes.run({"P1": None})


def test_a_worker_that_asks_for_input_is_told_that_it_has_no_keyboard():
    run = processes.run({"P1": lambda me: input("Name? ")})
    assert "a worker has no keyboard" in run.problems[0]


def test_an_exception_of_several_lines_keeps_its_type():
    def fails(me):
        raise ValueError("bad\nvalue")

    [problem] = processes.run({"P1": fails}).problems
    assert problem.startswith("P1 raised ValueError: bad value (line ")


def test_half_a_letter_in_its_name_ends_no_process():
    run = processes.run({"P\ud800": lambda me: me.think()})
    assert run.problems == []
