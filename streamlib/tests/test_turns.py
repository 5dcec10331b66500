"""Forced orders, forbidden ones, and everything that a schedule can be wrong about."""

import os
import random
import sqlite3
import sys
import time
from contextlib import closing

import cloudpickle
import pytest

from streamlib import database, orders, processes
from streamlib.processes import parent, turns
from streamlib.tests.conftest import PETS, add_one, counter

cloudpickle.register_pickle_by_value(sys.modules[__name__])
COUNT = int(os.environ.get("STREAMLIB_SCHEDULES", "10"))
pytestmark = pytest.mark.usefixtures("nothing_left_behind")


def random_schedule(counts, seed):
    """A schedule in which process p has counts[p - 1] turns, in an order drawn with the seed."""
    turns = [str(p) for p, n in enumerate(counts, start=1) for _ in range(n)]
    random.Random(seed).shuffle(turns)
    return " ".join(turns)


def test_every_order_can_be_forced():
    every, whose = (
        list(orders.possible((2, 2, 2))),
        {letter: f"P{at // 2 + 1}" for at, letter in enumerate("ABCDEF")},
    )
    texts = [orders.schedule(order, whose) for order in every]
    run = processes.run(PETS, schedule=texts)
    assert run.orders()["committed"].tolist() == every
    assert run.orders()["schedule"].tolist() == texts
    assert run.verdict == "540 of 540 rows are stored, 0 lost"


def test_random_schedules_give_exactly_the_order_they_say():
    """COUNT of them; the environment variable STREAMLIB_SCHEDULES asks for more."""
    texts = [random_schedule((2, 2, 2), seed) for seed in range(COUNT)]
    run = processes.run(PETS, schedule=texts)
    assert run.orders()["schedule"].tolist() == texts
    place = {"P1": "1", "P2": "2", "P3": "3"}
    for number, text in enumerate(texts, start=1):
        rows = sorted((row["id"], row["process"]) for row in run.rows if row["round"] == number)
        assert " ".join(place[process] for _, process in rows) == text
    assert run.problems == []


def test_a_free_run_is_replayed_from_its_string():
    free = processes.run({name: database.pets(p, 3) for name, p in database.PETS.items()})
    assert free.lost == 2
    again = processes.run(PETS, schedule=free.schedule)
    assert again.schedule == free.schedule and again.problems == []
    assert again.orders()["committed"][0] == free.orders()["committed"][0]
    assert (again.items.set_index("item")["outcome"].sort_index()).equals(
        free.items.set_index("item")["outcome"].sort_index()
    )


def test_a_quick_free_run_is_replayed_from_its_string():
    free = processes.run(PETS, think_s=0.01)
    again = processes.run(PETS, schedule=free.schedule)
    assert again.orders()["committed"][0] == free.orders()["committed"][0]


def test_a_schedule_that_cannot_be_followed_says_where_and_why():
    cases = [
        ("1 1 2 2 3", "The schedule ends after turn 5, but not all are done: P3 waits at begin."),
        ("1 1 1", "Turn 3 (1): P1 has ended already, in turn 2."),
        ("1b 1c", "Turn 2 (1c): P1 has no such step here: its next step is insert."),
        ("1z", "Turn 1 (1z): P1 has no such step here: its next step is begin."),
        (
            "1b 1i 2b 1c",
            "Turn 3 (2b): P2 cannot go on here because P1 holds the write lock of lab.db until "
            "turn 4.",
        ),
        (
            "1b 1i 2b",
            "Turn 3 (2b): P2 cannot go on here because P1 holds the write lock of lab.db.",
        ),
        ("2x", "Turn 1 (2x): P2 did not give up, for nobody held what it wanted."),
    ]
    sentences = [sentence for _, sentence in cases]
    run = processes.run(PETS, schedule=[one for text, _ in cases for one in (text, "1 1 2 2 3 3")])
    assert run.stopped[::2] == sentences and not any(run.stopped[1::2])
    rounds = [f"Round {number}: " if number > 1 else "" for number in range(1, 15, 2)]
    assert run.problems == [a + b for a, b in zip(rounds, sentences, strict=True)]
    assert run.verdict == f"unknown: 7 of 14 schedules were not followed; {sentences[0]}"
    assert run.orders()["committed"][1::2].tolist() == ["ABCDEF"] * 7  # the next one can be
    assert run.workers["exit"].unique().tolist() == [0]


def test_giving_up_can_be_scheduled():
    run = processes.run(PETS, schedule="1b 2x 1i 1c 1b 1i 1c 2b 2i 2c 3b 3i 3c 3b 3i 3c")
    assert run.verdict == "5 of 6 rows are stored, 1 lost"
    assert run.items.set_index("item")["outcome"]["Cooper"] == "locked"


def test_a_worker_without_steps_is_one_turn():
    def plain(me):
        with closing(sqlite3.connect(me.db)) as connection:
            connection.execute("INSERT INTO pets (name, process) VALUES ('x', ?)", (me.name,))
            connection.commit()

    run = processes.run({"P1": plain, "P2": plain}, schedule="2 1")
    assert [row["process"] for row in run.rows] == ["P2", "P1"] and run.problems == []
    run = processes.run({"P1": plain}, schedule="1b")
    assert run.problems == ["Turn 1 (1b): P1 has no such step here: it has no steps."]


def unmarked(me):
    """Add one with the lock held, and mark nothing."""
    with closing(sqlite3.connect(me.db, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        (value,) = connection.execute("SELECT value FROM counter").fetchone()
        connection.execute("UPDATE counter SET value = ?", (value + 1,))
        connection.execute("COMMIT")


def in_two_steps(me):
    """Run several commands in a step, and one before the first."""
    with closing(sqlite3.connect(me.db, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        me.step("read")
        (value,) = connection.execute("SELECT value FROM counter").fetchone()
        me.step("update")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE counter SET value = ?", (value + 1,))
        connection.execute("COMMIT")


def test_a_turn_ends_at_a_command_only_if_the_next_one_names_it():
    plan = {"P1": in_two_steps, "P2": in_two_steps}
    for text in ("1r 2r 2u 1u", "1r 1u 2r 2u", "1 2", "1p 2p 2r 1r 1u 1up 1c 2u"):
        run = processes.run(plan, schedule=text, setup=counter)
        assert (run.schedule, run.problems) == (text, [])
        lost = text not in ("1 2", "1r 1u 2r 2u")
        assert run.shared[-1] == {"counter": [{"value": 2 - lost}]}


def test_a_free_run_of_steps_with_several_commands_is_replayed_from_its_string():
    free = processes.run({"P1": in_two_steps, "P2": in_two_steps}, setup=counter)
    assert sorted(free.schedule.split()) == ["1r", "1u", "2r", "2u"]
    again = processes.run(
        {"P1": in_two_steps, "P2": in_two_steps}, schedule=free.schedule, setup=counter
    )
    assert (again.schedule, again.problems) == (free.schedule, [])


def test_commands_that_nobody_marked_can_be_scheduled():
    plan = {"P1": unmarked, "P2": unmarked}
    run = processes.run(plan, schedule="2b 2s 2u 2c 1b 1s 1u 1c", setup=counter)
    assert run.problems == [] and run.shared[-1] == {"counter": [{"value": 2}]}
    assert [look["counter"][0]["value"] for look in run.shared] == [0, 0, 0, 0, 1, 1, 1, 1, 2]
    steps = run.events[run.events["state"] == "step"]
    assert steps["step"].tolist() == ["begin", "select", "update", "commit"] * 2
    assert steps["turn"].tolist() == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_command_that_a_lock_refuses_stops_the_schedule_unless_it_gives_up():
    plan = {"P1": unmarked, "P2": unmarked}
    run = processes.run(plan, schedule="1b 1s 2b 1u 1c", setup=counter)
    assert run.problems[0].startswith("P2 raised sqlite3.OperationalError: database is locked")
    assert run.problems[1:] == [
        "Turn 3 (2b): P2 cannot go on here because P1 holds the write lock of lab.db until turn 5."
    ]
    for text in ("1b 1s 2xb 1u 1c", "1b 1s 2x 1u 1c"):
        run = processes.run(plan, schedule=text, setup=counter)
        assert run.stopped == [""] and run.schedule == text
        assert run.shared[-1] == {"counter": [{"value": 1}]}
    run = processes.run(plan, schedule="2xb", setup=counter)
    assert run.problems == ["Turn 1 (2xb): P2 did not give up, for nobody held what it wanted."]


def test_an_error_is_told_by_the_line_of_the_worker():
    run = processes.run({"P1": unmarked}, schedule="1", setup=database.fresh)
    line = unmarked.__code__.co_firstlineno + 4
    assert f"no such table: counter (line {line};" in run.problems[0]


def test_a_process_without_a_place_has_a_turn_among_those_with_steps():
    plan = {"P1": add_one, "P2": lambda me: None, "P3": database.pets(["Ace"])}

    def setup(path):
        counter(path)
        database.fresh(path)

    run = processes.run(plan, schedule="1r 2 1a 3 1w", setup=setup)
    assert (run.schedule, run.problems) == ("1r 2 1a 3 1w", []) and len(run.rows) == 1


def test_a_worker_that_never_reaches_its_next_step_is_ended(monkeypatch):
    monkeypatch.setattr(parent, "TURN_S", 0.5)

    def endless(me):
        me.step("read")
        time.sleep(600)

    run = processes.run({"P1": endless, "P2": add_one}, schedule="2r 1r 2a", setup=counter)
    assert run.problems[0].startswith("Turn 2 (1r): P1 did not finish turn 2 within 0.5 s")
    assert run.problems[0].endswith(", so the lab ended it.")
    assert run.workers["exit"]["P1"] != 0 and run.workers["exit"]["P2"] == 0


def test_a_worker_that_dies_in_its_turn_stops_the_schedule():
    def dies(me):
        me.step("read")
        os._exit(3)

    run = processes.run({"P1": dies, "P2": add_one}, schedule="2r 1r 2a", setup=counter)
    assert run.problems[0] == "Turn 2 (1r): P1 ended early with exit code 3."
    assert (run.events["state"] == "died").sum() == 1


def test_a_worker_that_raises_in_its_turn_is_told_and_ends():
    def raises(me):
        me.step("read")
        raise KeyError("no such pet")

    run = processes.run({"P1": raises, "P2": add_one}, schedule="2r 1r 2a 2w", setup=counter)
    assert len(run.problems) == 1 and run.problems[0].startswith("P1 raised KeyError")


def test_each_turn_looks_at_the_shared_tables():
    run = processes.run({"P1": add_one}, schedule=["1r 1a 1w", "1r 1a 1w"], setup=counter)
    assert [look["counter"][0]["value"] for look in run.shared] == [0, 0, 0, 1]


@pytest.mark.parametrize("schedule", ["1 2 3 1 2 3", ["1 2 3 1 2 3"], []])
def test_rounds_and_a_schedule_exclude_each_other(schedule):
    with pytest.raises(ValueError, match="either rounds or a schedule"):
        processes.run(PETS, schedule=schedule, rounds=2)


def test_a_list_of_schedules_is_not_empty():
    with pytest.raises(ValueError, match="a list with one for each round"):
        processes.run(PETS, schedule=[])


@pytest.mark.parametrize("text", [12, ["1", 2]])
def test_a_schedule_is_a_text(text):
    with pytest.raises(TypeError, match="write it as a text in quotes"):
        processes.run(PETS, schedule=text)


def test_ten_thousand_turns_are_followed():
    def many(me):
        for _ in range(5000):
            me.step("go")

    text = random_schedule((5000, 5000), seed=1)
    run = processes.run({"P1": many, "P2": many}, schedule=text)
    assert run.schedule == text and run.problems == []
    assert run.events["turn"].dropna().astype(int).unique().tolist() == list(range(1, 10_001))


def test_a_list_of_single_turns_is_not_played_as_rounds():
    with pytest.raises(ValueError, match=r"^The list has single turns: write one text"):
        turns.rounds_of(["1r", "2r", "1w", "2w"], 1, ["P1", "P2"])
    assert len(turns.rounds_of(["1", "1"], 1, ["P1"])) == 2
    assert len(turns.rounds_of(["1"], 1, ["P1", "P2"])) == 1
