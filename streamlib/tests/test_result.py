"""A run's tables, orders, verdict and sentences, from real runs and from recordings made here."""

import json
import sqlite3
from contextlib import closing
from unittest import mock

import pytest

from streamlib import charts, database, orders, processes
from streamlib.processes.recorder import Recorder
from streamlib.processes.result import ROW, Run
from streamlib.tests.conftest import title

PLAN = {name: database.pets(pets) for name, pets in database.PETS.items()}
GATE = 10**12  # ns


def make(folder, plan, rows=(), **about):
    """Keep a run of one round in `folder`; plan: process -> its marks; return the Run.

    A mark is (second, state, item) and may go on with resource and detail; rows: (id, name,
    process), or None if there is no table; about: what run.json is to say differently.
    """
    folder.mkdir(exist_ok=True)
    for number, (process, marks) in enumerate(plan.items(), start=1):
        with mock.patch("time.perf_counter_ns", return_value=GATE) as clock:
            recorder = Recorder(folder / f"{number}.csv", process)
            recorder.mark("started", seq=GATE)
            for second, *words in marks:
                clock.return_value = GATE + round(second * 1e9)
                recorder.mark(*words)
        recorder.close()
    known = {
        "label": "",
        "params": {"processes": list(plan), "rounds": 1, "scale": 1.0},
        "db": str(folder / "lab.db"),
        "problems": [],
        "exits": dict.fromkeys(plan, 0),
        "rounds_run": 1,
        "rows": None if rows is None else [dict(zip(ROW, (1, *row), strict=True)) for row in rows],
        "played": [],
        "stopped": [],
        "shared": [],
    }
    (folder / "run.json").write_text(json.dumps(known | about), encoding="utf-8")
    return Run(folder)


def insert(item, called, holding=None, done=None, lock="db"):
    """The marks of one insert, which gave up if it is not done."""
    marks = [(called, "waiting", item, lock, "timeout 5 s")]
    if done is None:
        return [*marks, (called + 5, "gave_up", item, lock, "database is locked")]
    return [*marks, (holding, "holding", item, lock), (done, "done", item, lock)]


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
        assert "longer than its timeout of 0.5 s" in sentence
        assert "while P" in sentence and "another program" not in sentence
    assert run.schedule.count("x") == 2


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
    assert run.verdict == "unknown: P1 stored Ace twice; give each row its own name"
    assert not run.ok


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", "3", '{"label": "a"}', '{"label": "a", "params": {"pro', "\0" * 99],
)
def test_a_run_json_that_is_not_whole_is_refused(tmp_path, text):
    (tmp_path / "run.json").write_text(text, encoding="utf-8")
    with pytest.raises((ValueError, TypeError, KeyError)):
        Run(tmp_path)


def test_a_run_json_that_is_no_text_raises_valueerror(tmp_path):
    (tmp_path / "run.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError):
        Run(tmp_path)


def test_a_run_read_again_from_its_folder_is_the_same():
    run = processes.run(PLAN, rounds=2, label="again")
    again = Run(run.folder)
    assert repr(again) == repr(run) == "<Run again: 3 processes, 2 rounds>"
    for table in ("items", "workers", "events"):
        assert getattr(again, table).equals(getattr(run, table))
    assert again.orders().equals(run.orders())
    assert (again.verdict, again.owners, again.rows) == (run.verdict, run.owners, run.rows)


def test_damaged_recordings_are_problems_and_hide_no_row(tmp_path):
    """The database still tells what is stored, the healthy recording what was done."""
    plan = {
        "P1": insert("Ace", 0, 1, 2),
        "P2": insert("Bo", 0, 3, 4),
        "P3": insert("Cy", 0, 5, 6),
    }
    run = make(tmp_path, plan, [(1, "Ace", "P1"), (2, "Bo", "P2"), (3, "Cy", "P3")])
    (tmp_path / "1.csv").write_bytes(b"")
    (tmp_path / "2.csv").write_bytes(bytes(500))
    (tmp_path / "3.csv").write_bytes((tmp_path / "3.csv").read_bytes()[:-9])
    assert run.verdict == "3 of 3 rows are stored, 0 lost"
    assert len(run.problems) == 3 and run.why() == run.problems
    assert run.items["called"].notna().tolist() == [True, False, False]
    assert run.orders()["committed"].tolist() == ["ABC"]
    assert run.workers["stored"].tolist() == [1, 1, 1]
    assert run.handoffs().empty


def test_an_item_has_one_row_with_its_times_and_its_outcome(tmp_path):
    plan = {
        "P1": [*insert("Ace", 0, 1, 3), *insert("Bo", 3, 4, 6)],
        "P2": [*insert("Cy", 1.5), (8, "step", "Di", None, "look")],
    }
    run = make(tmp_path, plan, [(1, "Ace", "P1"), (2, "Bo", "P1")])
    columns = ["process", "item", "label", "called", "waited", "held", "outcome"]
    assert run.items[columns].round(6).values.tolist() == [
        ["P1", "Ace", "A", 0, 1, 2, "stored"],
        ["P2", "Cy", "C", 1.5, 5, 0, "locked"],
        ["P1", "Bo", "B", 3, 1, 2, "stored"],
        ["P2", "Di", "D", 8, 0, 0, "lost"],
    ]
    assert run.items["id"].isna().tolist() == [False, True, False, True]
    assert run.workers[["stored", "locked", "waited", "held", "exit"]].round(6).values.tolist() == [
        [2, 0, 2, 4, 0],
        [0, 1, 5, 0, 0],
    ]
    assert run.lost == 2 and not run.ok and run.verdict == "2 of 4 rows are stored, 2 lost"
    assert run.orders().iloc[0].to_dict() == {
        "round": 1,
        "called": "ACBD",
        "committed": "AB",
        "schedule": "1b 1c 1b 1c 2x",
        "stored": 2,
        "locked": 1,
        "ties": 0,
    }
    assert run.why() == [
        "P2 lost Cy: it waited for the write lock of db from 1.500 s to 6.500 s, longer than its "
        "timeout 5 s, while P1 held the lock from 1.000 s to 3.000 s (Ace) and P1 held the lock "
        "from 4.000 s to 6.000 s (Bo).",
        "P2 called Di, reported no error, and the row is not in the database: was it committed, "
        "or an error hidden?",
    ]


def test_a_lock_that_nobody_of_the_run_held_was_held_by_another_program(tmp_path):
    run = make(tmp_path, {"P1": insert("Ace", 0), "P2": insert("Bo", 0, 0, 1)})
    assert run.why()[0] == (
        "P1 lost Ace: it waited for the write lock of db from 0.000 s to 5.000 s, longer than its "
        "timeout 5 s, while P2 held the lock from 0.000 s to 1.000 s (Bo) and another program "
        "held it for most of that time."
    )


@pytest.mark.parametrize("words", [("Ace",), ("Ace", "db"), (None,), ("Ace", "db", "too slow")])
def test_giving_up_without_having_waited_is_told_in_few_words(tmp_path, words):
    run = make(tmp_path, {"P1": [(2, "gave_up", *words)]}, problems=["P1 is unwell."])
    assert run.why()[0].startswith(f"P1 gave up {words[0] or 'nan'} at 2.000 s")
    assert run.why()[-1] == "P1 is unwell."


def test_calls_at_the_same_time_are_ties(tmp_path):
    run = make(tmp_path, {"P1": insert("Ace", 1, 2, 3), "P2": insert("Bo", 1, 4, 5)})
    assert run.orders()["ties"].tolist() == [1] and run.orders()["called"].tolist() == ["AB"]


def test_letters_are_initials_only_where_those_run_in_plan_order(tmp_path):
    plan = {"P1": insert("Zoe", 2, 3, 4), "P2": [*insert("Ace", 0, 1, 2), *insert("Bo", 5, 6, 7)]}
    run = make(tmp_path, plan)
    assert run.owners == {"A": "P1", "B": "P2", "C": "P2"}
    assert run.orders()["called"].tolist() == ["BAC"]


def test_more_items_than_letters_are_numbered(tmp_path):
    plan = {"P1": [(n, "step", n) for n in range(30)], "P2": [(n, "step", n) for n in range(30)]}
    run = make(tmp_path, plan)
    assert run.owners["2.30"] == "P2" and len(run.owners) == 60


def test_steps_without_a_lock_make_a_schedule_of_steps(tmp_path):
    plan = {
        "P1": [(1, "step", None, None, "read"), (3, "step", None, None, "write")],
        "P2": [(2, "step", None, None, "read")],
    }
    assert make(tmp_path, plan).schedule == "1r 2r 1w"


def test_a_run_that_was_cut_short_may_miss_more(tmp_path):
    run = make(tmp_path, {"P1": insert("Ace", 0, 1, 2)}, [(1, "Ace", "P1")], rounds_run=0)
    assert run.verdict == (
        "1 of 1 rows are stored, 0 lost; the run did not end well, so more may be missing"
    )
    assert not run.ok and run.orders().empty


def test_without_a_table_of_pets_the_verdict_is_unknown(tmp_path):
    run = make(tmp_path, {"P1": [(1, "step", "page 1")]}, rows=None)
    assert run.verdict == "unknown: there is no table of pets to count"
    assert not run.ok and run.why() == [] and run.rows == []


def test_a_schedule_that_was_not_followed_leaves_the_verdict_unknown(tmp_path):
    played, stopped = ["1", "1 2"], ["", "Turn 2 (2): P2 has ended."]
    run = make(tmp_path, {"P1": []}, played=played, stopped=stopped, rounds_run=2)
    assert run.verdict == "unknown: 1 of 2 schedules were not followed; Turn 2 (2): P2 has ended."
    assert run.orders()["schedule"].tolist() == played and run.schedule == "1"


def test_who_gives_up_in_a_turn_is_told_with_the_holder():
    run = processes.run(
        {"P1": database.pets(["Ace"]), "P2": database.pets(["Cooper"])}, schedule="1b 2x 1i 1c"
    )
    assert run.why() == ["P2 gave up Cooper in turn 2: P1 held the write lock of lab.db."]


def test_what_workers_printed_is_kept_in_plan_order():
    def worker(me):
        print("from", me.name)

    run = processes.run({"P2": worker, "P1": worker})
    assert list(run.output.items()) == [("P2", "from P2\n"), ("P1", "from P1\n")]
    assert run.items.empty and run.workers["stored"].tolist() == [0, 0] and run.owners == {}


@pytest.mark.parametrize("idle", ["P1", "P2", "P3"])
def test_a_process_without_an_item_keeps_its_number(idle):
    plan = {name: (lambda me: None) if name == idle else PLAN[name] for name in PLAN}
    run = processes.run(plan)
    busy = [str(n) for n, name in enumerate(plan, start=1) if name != idle for _ in range(2)]
    committed = run.orders()["committed"][0]
    forced = orders.schedule(committed, run.owners)
    assert sorted(forced.split()) == busy and run.owners.plan == list(plan)
    again = processes.run(plan, schedule=f"{forced} {idle[1]}")
    assert again.orders()["committed"].tolist() == [committed] and again.stopped == [""]
    assert Run(run.folder).owners.plan == list(plan)


@pytest.mark.parametrize("number", [127, 128, 129, 260])
def test_a_run_of_more_than_127_processes_has_its_tables_and_charts(
    tmp_path, number, close_figures
):
    """Pandas counts the categories of a column in a byte up to 127 of them."""
    plan = {f"P{n}": insert(f"pet {n}", 0, n, n + 1) for n in range(1, number + 1)}
    rows = [(n, f"pet {n}", f"P{n}") for n in range(1, number + 1)]
    run = make(tmp_path, plan, rows)
    assert run.ok and run.verdict == f"{number} of {number} rows are stored, 0 lost"
    assert run.workers["stored"].tolist() == [1] * number and len(run.owners) == number
    assert run.schedule == " ".join(str(n) for n in range(1, number + 1))
    assert run.items["waited"].round(6).tolist() == list(range(1, number + 1))
    assert len(run.handoffs()) == number - 1
    assert title(charts.timeline(run.events)).startswith(f"{number} of {number} processes won once")
    charts.strip(run.items)
    charts.many(run.orders()["committed"], run.owners)
    charts.handoff(run.events, run.handoffs())


def test_of_more_rows_than_the_lab_counts_the_verdict_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "MOST_ROWS", 3)
    plan = {"P1": [*insert("Ace", 0, 1, 2), *insert("Bo", 2, 3, 4)]}
    assert make(tmp_path, plan, [(1, "Ace", "P1"), (2, "Bo", "P1")]).ok
    run = make(tmp_path / "more", plan, [(n, f"pet {n}", "P1") for n in range(3)])
    assert run.verdict == "unknown: the run stored more rows than the 3 that the lab counts"
    assert not run.ok and run.why() == []
