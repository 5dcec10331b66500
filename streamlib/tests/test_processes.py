"""Runs of good, bad and unlucky workers, and that nothing is left behind by any of them."""

import json
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest

from streamlib import database, home, processes

PLAN = {name: database.pets(pets) for name, pets in database.PETS.items()}


@pytest.fixture(autouse=True)
def nothing_left_behind():
    """Whatever a test does to its workers, no process of theirs outlives it."""
    yield
    assert multiprocessing.active_children() == []


def test_three_processes_store_six_rows():
    run = processes.run(PLAN, label="six")
    assert run.verdict == "6 of 6 rows are stored, 0 lost"
    assert run.ok and run.why() == []
    assert run.workers["stored"].tolist() == [2, 2, 2]
    assert run.workers["exit"].tolist() == [0, 0, 0]
    assert sorted(run.orders()["called"][0]) == list("ABCDEF")
    assert sorted(run.schedule.split()) == ["1", "1", "2", "2", "3", "3"]
    assert len(set(run.events["pid"])) == 3


def test_the_committed_order_is_the_order_of_the_row_ids():
    run = processes.run(PLAN, rounds=5, think_s=0.01)
    letters = run.items.set_index(["round", "item"])["label"]
    for number, order in run.orders().set_index("round")["committed"].items():
        rows = sorted((row["id"], row["name"]) for row in run.rows if row["round"] == number)
        assert order == "".join(letters[number, name] for _, name in rows)
    assert run.verdict == "30 of 30 rows are stored, 0 lost"


def test_slow_tasks_lose_two_rows_and_say_why():
    plan = {name: database.pets(pets, 3) for name, pets in database.PETS.items()}
    run = processes.run(plan)
    assert run.lost == 2 and not run.ok
    assert run.verdict == "4 of 6 rows are stored, 2 lost"
    assert run.workers["exit"].tolist() == [0, 0, 0]  # no process failed, and yet
    assert len(run.why()) == 2
    for sentence in run.why():
        assert "longer than its timeout 0.5 s" in sentence
        assert "held by P" in sentence and "another program" not in sentence
    assert run.schedule.count("x") == 2


def test_a_function_of_this_place_and_what_it_prints():
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


def test_a_worker_that_raises():
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


def test_a_maker_of_workers_in_place_of_a_worker():
    def maker(names):
        return lambda me: None

    run = processes.run({"P1": maker, "P2": database.pets})
    assert len(run.problems) == 2 and not run.ok
    assert any("P1: its worker only returned a function" in said for said in run.problems)
    assert any("P2 raised ValueError: names is of type Me" in said for said in run.problems)


def test_a_forgotten_commit_is_asked_after():
    def forgets(me):
        with closing(sqlite3.connect(me.db)) as connection:
            me.step("insert", "Ace")
            connection.execute("INSERT INTO pets (name, process) VALUES ('Ace', 'P1')")

    run = processes.run({"P1": forgets})
    assert run.verdict == "0 of 1 rows are stored, 1 lost"
    assert "P1 called Ace, reported no error, and the row is not in the database" in run.why()[0]


def test_a_name_stored_twice_is_not_counted_as_one():
    def twice(me):
        with closing(sqlite3.connect(me.db)) as connection:
            for _ in range(2):
                me.step("insert", "Ace")
                connection.execute("INSERT INTO pets (name, process) VALUES ('Ace', 'P1')")
                connection.commit()

    run = processes.run({"P1": twice})
    assert run.verdict == "unknown: P1 stored Ace more than once; give each row a name of its own"
    assert not run.ok


def test_a_worker_that_exits_with_a_status():
    def bad(me):
        sys.exit(3)

    run = processes.run({"P1": bad})
    assert run.workers["exit"].tolist() == [3]
    assert run.problems == ["P1 called sys.exit(3)."]


def test_a_worker_that_is_killed_in_its_transaction():
    def killed(me):
        with closing(database.open(me)) as connection:
            database.insert(me, connection, "Ace")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO pets (name, process) VALUES ('Buddy', 'P1')")
            me.step("commit", "Buddy")
            os.kill(os.getpid(), signal.SIGTERM)

    run = processes.run({"P1": killed, "P2": database.pets(["Cooper"])}, rounds=3)
    assert [row["name"] for row in run.rows if row["process"] == "P1"] == ["Ace"]
    assert run.workers["exit"]["P1"] != 0 and run.workers["exit"]["P2"] == 0
    assert run.problems[0].startswith("P1 ended early with ")
    assert run.problems[1] == "1 of 3 rounds were run."
    assert "died" in set(run.events["state"])
    assert not run.ok


def test_a_worker_that_never_ends_is_ended():
    def endless(me):
        while True:
            time.sleep(0.1)

    run = processes.run({"P1": endless, "P2": database.pets(["Cooper"])}, timeout_s=1)
    assert run.problems == ["P1 was still running after 1 s and was ended by the lab."]
    assert run.workers["exit"]["P1"] != 0
    assert run.workers["stored"]["P2"] == 1


def test_a_worker_that_leaves_a_thread_running_is_ended(monkeypatch):
    monkeypatch.setattr("streamlib.processes.parent.LEAVE_S", 1)

    def threads(me):
        threading.Thread(target=time.sleep, args=(600,)).start()

    run = processes.run({"P1": threads})
    assert run.problems == ["P1 did not leave after its last round and was ended by the lab."]


def test_an_interrupted_run_ends_its_processes_and_keeps_its_events():
    def slow(me):
        me.mark("holding", "Ace", "lab.db")
        time.sleep(600)

    seen = []

    def watch(event):
        seen.append(event)
        if event.state == "holding":
            raise KeyboardInterrupt

    with pytest.raises(processes.Interrupted, match="all processes of this run were ended"):
        processes.run({"P1": slow, "P2": slow}, watch=watch, label="interrupted")
    run = processes.history("interrupted")[-1]
    assert (run.events["state"] == "died").sum() == 2
    assert "The run was cut short by KeyboardInterrupt." in run.problems
    assert seen


def test_children_leave_when_the_parent_is_killed(tmp_path):
    """A killed kernel leaves no orphan: the children note it and go."""
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
        started = [parent.stdout.readline() for _ in range(2)]
        assert started == ["started\n"] * 2
        parent.kill()
        pids = [int(f.read_text(encoding="utf-8")) for f in tmp_path.glob("runs/*/*.out")]
        try:
            # The children hold the other end of this pipe: it closes when the last one has gone.
            parent.communicate(timeout=20)
        finally:
            for pid in [pid for pid in pids if not _gone(pid)]:
                os.kill(pid, signal.SIGKILL)
    assert len(pids) == 2


def _gone(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().split()[2] == "Z"
    except OSError:
        return True


def test_a_script_without_the_main_line_is_told_so(tmp_path):
    script = tmp_path / "no_guard.py"
    script.write_text(
        "from streamlib import processes\n"
        "def worker(me): pass\n"
        "print(processes.run({'P1': worker}).problems)\n",
        encoding="utf-8",
    )
    environment = os.environ | {"STREAMLIB_OUTPUTS": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, env=environment, timeout=60
    )
    assert done.returncode == 0
    assert 'needs the line   if __name__ == "__main__":' in done.stdout


@pytest.mark.parametrize(
    ("plan", "error", "words"),
    [
        ({}, ValueError, "The plan has no process"),
        ([("P1", print), ("P1", print)], TypeError, "give a dict"),
        ({"P1": print, "p1 ": print}, ValueError, "Two processes are named alike"),
        ({"": print}, ValueError, "cannot name a process"),
        ({"P1": 3}, TypeError, "The worker of P1 is a int"),
        ({"P1": lambda: 0}, TypeError, r"cannot be called with one argument .*def worker\(me\)"),
    ],
)
def test_a_plan_that_cannot_be_run(plan, error, words):
    with pytest.raises(error, match=words):
        processes.run(plan)


def test_a_worker_that_cannot_be_sent():
    with closing(sqlite3.connect(":memory:")) as connection:

        def worker(me):
            connection.execute("SELECT 1")

        with pytest.raises(TypeError, match="The worker of P1 cannot be sent to another process"):
            processes.run({"P1": worker})


def test_a_worker_from_a_module_that_is_not_there(monkeypatch, tmp_path):
    (tmp_path / "gone_soon.py").write_text("def worker(me): pass\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    import gone_soon

    (tmp_path / "gone_soon.py").unlink()
    run = processes.run({"P1": gone_soon.worker})
    assert "cannot be loaded (ModuleNotFoundError" in run.problems[0]
    assert run.params["rounds"] == 1 and not run.ok


@pytest.mark.parametrize("rounds", [0, -1, 2.5, 10**9])
def test_rounds_that_make_no_sense(rounds):
    with pytest.raises(ValueError, match="rounds is"):
        processes.run(PLAN, rounds=rounds)


@pytest.mark.parametrize("duration", [-1, float("nan"), 1e9, "3", True])
@pytest.mark.parametrize("name", ["think_s", "timeout_s"])
def test_durations_that_make_no_sense(name, duration):
    with pytest.raises(ValueError, match=f"{name} is"):
        processes.run(PLAN, **{name: duration})


def test_outputs_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    monkeypatch.setattr(home, "runs", tmp_path / "file" / "runs")
    with pytest.raises(OSError, match="The run cannot be kept"):
        processes.run(PLAN)


def test_a_run_is_kept_found_again_and_cleared(monkeypatch, tmp_path):
    monkeypatch.setattr(home, "runs", tmp_path / "runs")
    first = processes.run(PLAN, label="one", seed=5)
    processes.run(PLAN, label="two")
    assert [run.label for run in processes.history()] == ["one", "two"]
    again = processes.history("one")[0]
    assert again.id == first.id and again.params["seed"] == 5
    assert again.items.equals(first.items)
    assert json.loads((again.folder / "run.json").read_text(encoding="utf-8"))["label"] == "one"
    processes.clear()
    assert processes.history() == []


def test_thirty_processes():
    plan = {f"P{n}": database.pets([f"{n} first", f"{n} second"], timeout_s=60) for n in range(30)}
    run = processes.run(plan)
    assert run.verdict == "60 of 60 rows are stored, 0 lost"
    assert len(run.orders()["committed"][0].split()) == 60
