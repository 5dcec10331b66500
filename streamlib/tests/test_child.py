"""What runs in a child: its worker, what it prints and raises, its handle, its turns."""

import os
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest

from streamlib import database, processes
from streamlib.processes import child

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
    assert run.workers["exit"].tolist() == [3, 0]
    assert sorted(run.problems) == [
        "1 of 2 rounds were run.",
        "P1 ended early with exit code 3.",
        "P2 ended early with exit code 0.",
    ]


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
