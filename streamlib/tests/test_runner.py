"""A run from plan to run.json: rounds, rows, interruptions, and the history of runs."""

import errno
import functools
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from streamlib import database, home, processes
from streamlib.tests.conftest import (
    DEADLINE_S,
    PETS,
    TWO,
    UNIX,
    counter,
    is_one_sentence,
    until,
)

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


def test_three_processes_store_six_rows():
    run = processes.run(PETS, label="six")
    assert run.verdict == "6 of 6 rows are stored, 0 lost"
    assert run.ok and run.why() == []
    assert run.workers["stored"].tolist() == [2, 2, 2]
    assert run.workers["exit"].tolist() == [0, 0, 0]
    assert sorted(run.orders()["called"][0]) == list("ABCDEF")
    assert sorted(run.schedule.split()) == ["1", "1", "2", "2", "3", "3"]
    assert len(set(run.events["pid"])) == 3


def test_thirty_processes_store_sixty_rows():
    plan = {f"P{n}": database.pets([f"{n} first", f"{n} second"], timeout_s=60) for n in range(30)}
    run = processes.run(plan)
    assert run.verdict == "60 of 60 rows are stored, 0 lost"
    assert len(run.orders()["committed"][0].split()) == 60


def test_only_the_rows_of_this_run_and_round_count(tmp_path):
    """Rows that other programs have stored, or earlier rounds, are left and not counted."""
    db = database.fresh(tmp_path / "shared.db")

    def others(path):
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("INSERT INTO pets (name, process) VALUES ('Zoe', 'P9')")
            connection.commit()

    run = processes.run({"P1": database.pets(["Ace"])}, rounds=3, db=db, setup=others)
    assert run.verdict == "3 of 3 rows are stored, 0 lost"
    assert [(row["round"], row["id"]) for row in run.rows] == [(1, 2), (2, 4), (3, 6)]
    assert len(database.rows(db)) == 6


def test_a_run_without_pets_says_that_there_is_nothing_to_count():
    run = processes.run(TWO, setup=counter)
    assert run.verdict == "unknown: there is no table of pets to count" and run.rows == []


def test_an_interrupted_run_ends_its_processes_and_keeps_its_events():
    def slow(me):
        me.mark("holding", "Ace", "lab.db")
        time.sleep(600)

    def watch(event):
        if event.state == "holding":
            raise KeyboardInterrupt

    with pytest.raises(processes.Interrupted, match=r"kept as processes\.history"):
        processes.run({"P1": slow, "P2": slow}, watch=watch, label="interrupted")
    run = processes.history("interrupted")[-1]
    assert (run.events["state"] == "died").sum() == 2
    assert "The run was cut short by KeyboardInterrupt." in run.problems


INTERRUPTED = """
import json, random, signal, sys, time
from streamlib import home, processes

def lingers(me):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        try:
            time.sleep(0.05)
        except BaseException:
            pass

def leaves_a_thread(me):
    import threading
    threading.Thread(target=time.sleep, args=(600,)).start()

if __name__ == "__main__":
    from streamlib.processes import parent
    parent.LEAVE_S = 1.5
    print("begun", flush=True)
    try:
        processes.run({name: globals()[sys.argv[1]] for name in ("P1", "P2")})
    except KeyboardInterrupt as error:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print(error)
    [kept] = home.runs.glob("*/run.json")
    print(sorted(json.loads(kept.read_text(encoding="utf-8"))["exits"].values()))
"""


@UNIX
@pytest.mark.parametrize(
    ("worker", "presses"),
    [("lingers", 1), ("leaves_a_thread", 2), ("lingers", 5)],
)
def test_ctrl_c_however_often_leaves_no_child_a_sound_run_and_one_sentence(
    presses, worker, tmp_path
):
    """The presses reach all processes of the kernel, at times drawn with a seed."""
    script, rng = tmp_path / "kernel.py", random.Random(f"{presses} {worker}")
    script.write_text(INTERRUPTED, encoding="utf-8")
    kernel = subprocess.Popen(
        [sys.executable, script, worker],
        cwd=home.root,
        env=os.environ | {"STREAMLIB_OUTPUTS": str(tmp_path), "PYTHONPATH": str(home.root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        encoding="utf-8",
    )
    assert kernel.stdout.readline() == "begun\n"
    until(lambda: any(tmp_path.glob("runs/*/1.csv")))
    pauses = [rng.uniform(0, 0.4), *(rng.uniform(0, 0.2) for _ in range(presses - 1))]
    for pause in pauses:
        time.sleep(pause)
        os.killpg(kernel.pid, signal.SIGINT)
    said, _ = kernel.communicate(timeout=DEADLINE_S)  # all that hold this pipe have ended
    assert said == ("This run is kept as processes.history()[-1].\n[-9, -9]\n")


def test_a_setup_that_fails_in_a_later_round_ends_the_run_and_is_raised():
    rounds = []

    def setup(path):
        rounds.append(path)
        database.fresh(path)
        if len(rounds) == 2:
            raise ArithmeticError("no second round")

    with pytest.raises(ArithmeticError):
        processes.run(PETS, rounds=3, setup=setup, label="setup")
    run = processes.history("setup")[-1]
    assert len(run.rows) == 6 and "1 of 3 rounds were run." in run.problems


@pytest.mark.parametrize("rounds", [0, -1, 2.5, 10**9])
def test_rounds_that_make_no_sense_are_refused(rounds):
    with pytest.raises(ValueError, match="rounds is"):
        processes.run(PETS, rounds=rounds)


@pytest.mark.parametrize("duration", [-1, float("nan"), 1e9, "3", True])
@pytest.mark.parametrize("name", ["think_s", "timeout_s"])
def test_durations_that_make_no_sense_are_refused(name, duration):
    with pytest.raises(ValueError, match=f"{name} is"):
        processes.run(PETS, **{name: duration})


def test_outputs_that_cannot_be_written_are_refused_in_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    monkeypatch.setattr(home, "runs", tmp_path / "file" / "runs")
    with pytest.raises(OSError, match="The run cannot be kept"):
        processes.run(PETS)


def test_a_run_is_kept_and_found_again(monkeypatch, tmp_path):
    monkeypatch.setattr(home, "runs", tmp_path / "runs")
    first = processes.run(PETS, label="one", seed=5)
    processes.run(PETS, label="two")
    assert [run.label for run in processes.history()] == ["one", "two"]
    again = processes.history("one")[0]
    assert again.id == first.id and again.params["seed"] == 5
    assert again.items.equals(first.items)
    assert json.loads((again.folder / "run.json").read_text(encoding="utf-8"))["label"] == "one"


def test_a_run_that_json_cannot_hold_is_kept_as_text(monkeypatch, tmp_path):
    """A label, or a value in a table, of another type does not cost a run that has ended."""
    monkeypatch.setattr(home, "runs", tmp_path / "runs")

    def blob(path):
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS blobs AS SELECT x'00ff' AS value")

    run = processes.run({"P1": lambda me: None}, schedule="1", setup=blob, label=tmp_path)
    assert run.label == str(tmp_path)
    assert run.shared[0] == {"blobs": [{"value": repr(b"\0\xff")}]}


@pytest.mark.parametrize("damaged", ["", '{"label": "ha', "[]", '{"label": "half"}'])
def test_a_damaged_run_is_named_and_the_others_are_found(damaged, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(home, "runs", tmp_path / "runs")
    bad, good = (processes.run({"P1": lambda me: None}, label=label) for label in ("bad", "good"))
    path = bad.folder / "run.json"
    path.write_text(damaged, encoding="utf-8")
    assert [run.label for run in processes.history()] == ["good"]
    said = capsys.readouterr().out.strip()
    assert str(path) in said and is_one_sentence(said)
    assert path.read_text(encoding="utf-8") == damaged and good.folder.exists()


def test_clear_deletes_runs_and_nothing_else(monkeypatch, tmp_path):
    """A run whose kernel was killed, or whose run.json is damaged, goes too."""
    monkeypatch.setattr(home, "runs", tmp_path / "runs")
    whole, killed, damaged = (processes.run({"P1": lambda me: None}) for _ in range(3))
    (killed.folder / "run.json").unlink()
    (damaged.folder / "run.json").write_text("{", encoding="utf-8")
    names = ["predictions/a.json", "mine/run.json", "2024-05-17-notes/run.json"]
    kept = [home.runs / name for name in names]
    for path in kept:
        path.parent.mkdir()
        path.write_text("{}", encoding="utf-8")
    file = home.runs / whole.folder.name.replace("2", "3", 1)
    file.write_text("a file of that name", encoding="utf-8")
    processes.clear()
    assert processes.history() == []
    assert sorted(home.runs.iterdir()) == sorted([file, *(path.parent for path in kept)])
    assert [path.read_text(encoding="utf-8") for path in kept] == ["{}"] * 3


def test_clear_keeps_and_names_folders_that_only_look_like_runs(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(home, "runs", tmp_path / "runs")
    run = processes.run({"P1": lambda me: None})
    names = ["notes.txt", "1.csv", "lab.db/mine.txt", "run.json", "7.CSV"]
    strangers = [home.runs / f"20240517-120000-12345{n}" / name for n, name in enumerate(names)]
    for stranger in strangers:
        stranger.parent.mkdir(parents=True)
        stranger.write_text("epoch,loss\n1,0.5\n", encoding="utf-8")
    processes.clear()
    assert not run.folder.exists() and all(stranger.exists() for stranger in strangers)
    own = processes.run({"P1": lambda me: None}).folder / "my_notes.txt"
    own.write_text("mine", encoding="utf-8")
    capsys.readouterr()
    processes.clear()
    assert own.exists()
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said] == sorted(map(str, home.runs.iterdir()))
    assert all(is_one_sentence(line) for line in said)


@UNIX
def test_clear_follows_no_link(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(home, "runs", tmp_path / "runs")
    run = processes.run({"P1": lambda me: None})
    run.folder.rename(tmp_path / "elsewhere")
    run.folder.symlink_to(tmp_path / "elsewhere")
    processes.clear()
    assert (tmp_path / "elsewhere" / "run.json").exists() and run.folder.is_symlink()


def test_a_run_that_cannot_be_read_hides_no_other(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(home, "runs", tmp_path / "runs")
    bad, deep, good = (processes.run({"P1": lambda me: None}) for _ in range(3))
    (bad.folder / "run.json").unlink()
    (bad.folder / "run.json").mkdir()
    (deep.folder / "run.json").write_text("[" * 10_000, encoding="utf-8")
    assert [run.id for run in processes.history()] == [good.id]


def test_a_run_that_finds_no_room_is_one_sentence_and_leaves_nothing_running(monkeypatch):
    def full(path, *_, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match=r"run\.json cannot be written \(No space left") as refused:
        processes.run(PETS)
    assert is_one_sentence(str(refused.value))


def test_history_is_in_the_order_of_the_runs_wherever_the_clock_stands(monkeypatch, tmp_path):
    """Folders are named in UTC, so that a change of the local time mixes no runs."""
    monkeypatch.setattr(home, "runs", tmp_path / "runs")
    run = processes.run({"P1": lambda me: None})
    named = datetime.strptime(f"{run.id} +0000", "%Y%m%d-%H%M%S-%f %z")
    assert abs(datetime.now(UTC) - named) < timedelta(minutes=5)


@pytest.mark.parametrize("seed", [np.int64(3), np.uint8(3), 3])
def test_a_seed_may_be_a_whole_number_of_any_library(seed):
    assert processes.run({"P1": lambda me: None}, seed=seed).params["seed"] == 3


@pytest.mark.parametrize("seed", ["3", 3.5, np.float64(3), pytest.param(10**5000, id="huge"), [3]])
def test_a_seed_that_is_none_is_refused_before_anything_runs(seed, monkeypatch, tmp_path):
    monkeypatch.setattr(home, "runs", tmp_path / "runs")
    with pytest.raises(ValueError, match=r"give a whole number|Exceeds the limit"):
        processes.run(PETS, seed=seed)
    assert not home.runs.exists()


@pytest.mark.parametrize(
    ("label", "kept"),
    [
        (5, "5"),
        (0, "0"),
        (np.float64(0.5), "0.5"),
        (("a", 1), "('a', 1)"),
    ],
)
def test_a_label_is_kept_as_text_and_found_by_what_was_given(label, kept, monkeypatch, tmp_path):
    monkeypatch.setattr(home, "runs", tmp_path / "runs")
    run = processes.run({"P1": lambda me: None}, label=label)
    assert run.label == kept and f"{kept}".encode() in repr(run).encode()
    assert [one.id for one in processes.history(label)] == [run.id]


def test_numbers_of_numpy_in_rows_do_not_cost_the_run():
    """SQLite keeps such a number as bytes, whichever column it is put into."""

    def stores(name, pid):
        def worker(me):
            with closing(database.open(me)) as connection:
                row = (name, me.name, pid or os.getpid())
                connection.execute("INSERT INTO pets (name, process, pid) VALUES (?, ?, ?)", row)

        return worker

    run = processes.run({"P1": stores("Ace", np.int64(7)), "P2": stores(np.int64(7), None)})
    assert run.verdict == "2 of 2 rows are stored, 0 lost" and run.problems == []
    names = {row["process"]: row["name"] for row in run.rows}
    assert names == {"P1": "Ace", "P2": str(np.int64(7).tobytes())}


def test_whatever_is_marked_is_kept_as_text():
    things = [np.int64(3), np.nan, b"x", [1], {"a": 1}, np.array([1, 2]), True, 1, 1.0]

    def worker(me):
        for thing in things:
            me.mark("seen", thing)
            me.mark("used", "Ace", thing)
            me.mark("said", "Ace", "lab.db", thing)

    run = processes.run({"P1": worker})
    assert run.problems == []
    for state, column in (("seen", "item"), ("used", "resource"), ("said", "detail")):
        found = run.events[column][run.events["state"] == state].tolist()
        assert found == [str(thing) for thing in things]


WRONG = [3, "x", [1], (lambda: None), (lambda one, two: None), {"P1": 1}, b"lab.db"]


@pytest.mark.parametrize("number", range(len(WRONG)))
@pytest.mark.parametrize("name", ["setup", "watch", "db"])
def test_a_wrong_argument_is_one_sentence_before_anything_runs(name, number, monkeypatch, tmp_path):
    monkeypatch.setattr(home, "runs", tmp_path / "runs")
    given = "a\0b" if (name, number) == ("db", 1) else WRONG[number]
    with pytest.raises(TypeError, match=f"{name} is .*: give ") as refused:
        processes.run(PETS, **{name: given})
    assert is_one_sentence(str(refused.value)) and not home.runs.exists()


def test_a_watcher_may_be_any_function_of_an_event():
    seen = []
    for watch in (seen.append, seen.extend):
        assert processes.run({"P1": lambda me: me.mark("seen")}, watch=watch).problems == []
    assert [event.state for event in seen if hasattr(event, "state")].count("seen") == 1


def test_of_a_large_table_the_last_rows_are_counted(monkeypatch, tmp_path):
    """Those of a run, which stand at the end, whatever an earlier run has left."""
    monkeypatch.setattr(database, "MOST_ROWS", 10)
    db = database.fresh(tmp_path / "shared.db")
    with closing(sqlite3.connect(db)) as connection, connection:
        rows = [(f"pet {n}",) for n in range(50)]
        connection.executemany("INSERT INTO pets (name, process) VALUES (?, 'P9')", rows)
    keep = functools.partial(database.fresh, keep=True)
    run = processes.run(PETS, db=db, setup=keep)
    assert run.verdict == "6 of 6 rows are stored, 0 lost" and len(database.rows(db)) == 56


def test_a_run_that_stores_more_rows_than_are_counted_says_so(monkeypatch):
    monkeypatch.setattr(database, "MOST_ROWS", 10)
    run = processes.run({"P1": database.pets([f"pet {n}" for n in range(20)])})
    assert run.verdict == "unknown: the run stored more rows than the 10 that the lab counts"
    assert len(run.rows) == 10 and run.why() == []
