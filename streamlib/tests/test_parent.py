"""Children that never end, die, linger or are watched: the parent ends them and says so."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest
import tqdm.auto
import tqdm.notebook

from streamlib import database, processes, schedule
from streamlib.processes import parent
from streamlib.tests.conftest import UNIX, is_gone, until

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


def test_a_worker_that_never_ends_is_ended():
    def endless(me):
        while True:
            time.sleep(0.1)

    run = processes.run({"P1": endless, "P2": database.pets(["Cooper"])}, timeout_s=1)
    assert run.problems == ["P1 was still running after 1 s, so the lab ended it."]
    assert run.workers["exit"]["P1"] != 0
    assert run.workers["stored"]["P2"] == 1


def test_a_worker_that_leaves_a_thread_running_is_ended(monkeypatch):
    monkeypatch.setattr(parent, "LEAVE_S", 1)

    def threads(me):
        threading.Thread(target=time.sleep, args=(600,)).start()

    run = processes.run({"P1": threads})
    assert run.problems == ["P1 did not leave after its last round, so the lab ended it."]


@UNIX
def test_a_worker_that_closes_all_its_files_and_spins_is_ended_at_the_timeout():
    def deaf(me):
        os.closerange(0, 100)
        while True:
            pass

    def slow(me):
        time.sleep(0.3)
        me.mark("after that")

    run = processes.run({"P1": deaf, "P2": slow}, timeout_s=1)
    assert run.problems == ["P1 was still running after 1 s, so the lab ended it."]
    assert run.workers["exit"].tolist() == [-9, 0] and "after that" in set(run.events["state"])


@UNIX
def test_what_workers_leave_running_is_ended_and_said():
    """A program, a daemon, and those of workers that die or are late."""

    def leaves(me):
        print(subprocess.Popen(["sleep", "600"]).pid)

    def dies(me):
        print(subprocess.Popen(["sleep", "600"], start_new_session=True).pid)
        os._exit(0)

    def lingers(me):
        print(subprocess.Popen(["sh", "-c", "sleep 600 & sleep 600"]).pid)
        time.sleep(600)

    plan = {"P1": leaves, "P2": dies, "P3": lingers}
    run = processes.run(plan | {"P4": lambda me: subprocess.run(["sleep", "0"])}, timeout_s=1)
    assert run.problems[-1] == "Programs left running by the workers, which the lab ended: 5."
    until(lambda: all(is_gone(int(run.output[name])) for name in plan))


def test_a_worker_that_is_killed_in_its_transaction_loses_only_that():
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


def test_a_watcher_sees_every_mark_in_order_and_in_seconds_since_the_gate():
    def worker(me):
        me.mark("holding", "Ace", "lab.db", f"round {me.round}")
        me.mark("done", "Ace", "lab.db")

    seen = []
    processes.run({"P1": worker, "P2": worker}, rounds=2, watch=seen.append)
    for name in ("P1", "P2"):
        states = [event.state for event in seen if event.process == name]
        assert states == ["started", "holding", "done", "ended"] * 2
    held = [event for event in seen if event.state == "holding"]
    assert [event[3:] for event in held] == [
        ("Ace", "lab.db", f"round {number}") for number in (1, 1, 2, 2)
    ]
    assert all(0 <= event.start < 30 for event in seen)


@pytest.fixture
def bar_at_once(monkeypatch):
    monkeypatch.setattr(parent, "SOON_S", 0)
    monkeypatch.setattr(parent, "OFTEN_S", 0.02)
    monkeypatch.setenv("STREAMLIB_PREDICT", "")


def waits(me):
    me.hold(4)


def test_a_run_that_takes_long_shows_its_rounds_and_who_is_at_work(bar_at_once, capsys):
    processes.run({"P1": waits, "P2": waits}, rounds=2)
    shown = capsys.readouterr().err
    assert "At work: P1, P2" in shown and "1 of 2 rounds done" in shown
    assert shown.endswith("\r")  # the bar is taken away


def test_a_bar_in_a_notebook_is_taken_away_at_the_end(bar_at_once, monkeypatch):
    bars = []

    def shown(**settings):
        bars.append(tqdm.notebook.tqdm(**settings, display=False))
        return bars[0]

    monkeypatch.setattr(tqdm.auto, "tqdm", shown)
    processes.run({"P1": waits}, rounds=2)
    [bar] = bars
    assert bar.container.children[1].bar_style == "" and bar.container.comm is None


def test_an_exploration_of_unknown_length_shows_its_rounds(bar_at_once, capsys):
    found = schedule.explore({"P1": lambda me: me.step("a")}, lambda db: True)
    assert found.verdict == "holds" and "of ? rounds done" in capsys.readouterr().err


def test_a_quick_run_shows_no_bar(bar_at_once, monkeypatch, capsys):
    monkeypatch.setattr(parent, "SOON_S", 60)  # a busy machine is not quick
    processes.run({"P1": waits})
    assert capsys.readouterr().err == ""


def test_a_run_that_is_watched_shows_no_bar(bar_at_once, capsys):
    processes.run({"P1": waits}, watch=lambda event: None)
    assert capsys.readouterr().err == ""


def test_where_predictions_are_skipped_there_is_no_bar(bar_at_once, monkeypatch, capsys):
    monkeypatch.setenv("STREAMLIB_PREDICT", "skip")
    processes.run({"P1": waits})
    assert capsys.readouterr().err == ""


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
    assert len(list(tmp_path.glob("runs/*"))) == 1


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "exit code 0"),
        (3, "exit code 3"),
        (-15, "signal 15 (SIGTERM)"),
        (-99, "exit code -99"),
        (None, "exit code None"),
    ],
)
def test_an_exit_code_is_told_in_words(code, words):
    assert parent.exit_words(code) == words
