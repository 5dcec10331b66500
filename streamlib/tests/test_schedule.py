"""Forced orders, forbidden ones, exploring, and everything that a schedule can be wrong about."""

import os
import random
import sqlite3
import threading
import time
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlib import charts, database, orders, processes, schedule
from streamlib.processes import parent as rounds

PLAN = {name: database.pets(pets) for name, pets in database.PETS.items()}
OWNERS = orders.owners((2, 2, 2))
COUNT = int(os.environ.get("STREAMLIB_SCHEDULES", "30"))


def counter(path):
    """Make the counter: one row, 0."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        connection.execute("DROP TABLE IF EXISTS counter")
        connection.execute("CREATE TABLE counter (value)")
        connection.execute("INSERT INTO counter VALUES (0)")
        connection.execute("COMMIT")


def is_two(path):
    """Whether no update was lost: two processes, each adds one."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT value FROM counter").fetchone() == (2,)


def add_one(me):
    """Add one, as the counter's naive users do."""
    with closing(database.open(me)) as connection:
        me.step("read")
        value = connection.execute("SELECT value FROM counter").fetchone()[0]
        me.step("add")
        value += 1
        me.step("write")
        connection.execute("UPDATE counter SET value = ?", (value,))


def add_one_at_once(me):
    """Add one in one command."""
    with closing(database.open(me)) as connection:
        me.step("update")
        connection.execute("UPDATE counter SET value = value + 1")


def add_one_locked(me):
    """Add one while holding the write lock."""
    with closing(database.open(me)) as connection:
        me.step("begin")
        connection.execute("BEGIN IMMEDIATE")
        me.step("read")
        value = connection.execute("SELECT value FROM counter").fetchone()[0]
        me.step("write")
        connection.execute("UPDATE counter SET value = ?", (value + 1,))
        connection.execute("COMMIT")


TWO = {"P1": add_one, "P2": add_one}


def test_every_order_can_be_forced():
    every = list(orders.possible((2, 2, 2)))
    run = processes.run(PLAN, schedule=[orders.schedule(order, OWNERS) for order in every])
    assert run.orders()["committed"].tolist() == every
    assert run.orders()["schedule"].tolist() == [orders.schedule(o, OWNERS) for o in every]
    assert run.verdict == "540 of 540 rows are stored, 0 lost"


def random_schedule(counts, seed):
    """A schedule in which process p has counts[p - 1] turns, in an order drawn with the seed."""
    turns = [str(p) for p, n in enumerate(counts, start=1) for _ in range(n)]
    random.Random(seed).shuffle(turns)
    return " ".join(turns)


def test_random_schedules_give_exactly_the_order_they_say():
    """COUNT of them; the environment variable STREAMLIB_SCHEDULES asks for more."""
    texts = [random_schedule((2, 2, 2), seed) for seed in range(COUNT)]
    run = processes.run(PLAN, schedule=texts)
    assert run.orders()["schedule"].tolist() == texts
    place = {"P1": "1", "P2": "2", "P3": "3"}
    for number, text in enumerate(texts, start=1):
        rows = sorted((row["id"], row["process"]) for row in run.rows if row["round"] == number)
        assert " ".join(place[process] for _, process in rows) == text
    assert run.problems == []


def test_a_free_run_is_replayed_from_its_string():
    free = processes.run({name: database.pets(p, 3) for name, p in database.PETS.items()})
    assert free.lost == 2
    again = processes.run(PLAN, schedule=free.schedule)
    assert again.schedule == free.schedule and again.problems == []
    assert again.orders()["committed"][0] == free.orders()["committed"][0]
    assert (again.items.set_index("item")["outcome"].sort_index()).equals(
        free.items.set_index("item")["outcome"].sort_index()
    )


def test_a_quick_free_run_is_replayed_from_its_string():
    free = processes.run(PLAN, think_s=0.01)
    again = processes.run(PLAN, schedule=free.schedule)
    assert again.orders()["committed"][0] == free.orders()["committed"][0]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "1 3 9",
            "Turn 3 of the schedule, '9', names process 9: the plan has 1 (P1), 2 (P2), 3 (P3)",
        ),
        ("1 2b", "Turn 2 of the schedule, '2b', mixes whole units with steps"),
        ("1 P2", "Turn 2 of the schedule, 'P2', is not a turn"),
        ("0", "names process 0"),
        ("", "The schedule is empty"),
    ],
)
def test_what_is_no_schedule(text, sentence):
    with pytest.raises(ValueError) as error:
        processes.run(PLAN, schedule=text)
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("1 1 2 2 3", "The schedule ends after turn 5, but not all are done: P3 waits at begin."),
        ("1 1 1", "Turn 3 (1): P1 has ended already, in turn 2."),
        ("1b 1c", "Turn 2 (1c): P1 has no such step here, its next step is insert."),
        ("1z", "Turn 1 (1z): P1 has no such step here, its next step is begin."),
        (
            "1b 1i 2b 1c",
            "Turn 3 (2b): P2 cannot begin here, P1 holds the write lock of lab.db until turn 4.",
        ),
        ("1b 1i 2b", "Turn 3 (2b): P2 cannot begin here, P1 holds the write lock of lab.db."),
        ("2x", "Turn 1 (2x): P2 did not give up, for nobody held what it wanted."),
    ],
)
def test_what_cannot_be_followed(text, sentence):
    run = processes.run(PLAN, schedule=[text, "1 1 2 2 3 3"])
    assert run.problems == [sentence]
    assert run.verdict == f"unknown: 1 of 2 schedules were not followed; {sentence}"
    assert run.orders()["committed"][1] == "ABCDEF"  # the next one can be
    assert run.workers["exit"].tolist() == [0, 0, 0]


def test_giving_up_can_be_scheduled():
    run = processes.run(PLAN, schedule="1b 2x 1i 1c 1b 1i 1c 2b 2i 2c 3b 3i 3c 3b 3i 3c")
    assert run.verdict == "5 of 6 rows are stored, 1 lost"
    assert run.items.set_index("item")["outcome"]["Cooper"] == "locked"


def test_a_worker_without_steps_is_one_turn():
    def plain(me):
        with closing(sqlite3.connect(me.db)) as connection:
            connection.execute("INSERT INTO pets (name, process) VALUES ('x', ?)", (me.name,))
            connection.commit()

    run = processes.run({"P1": plain, "P2": plain}, schedule="2 1")
    assert [row["process"] for row in run.rows] == ["P2", "P1"] and run.problems == []


def test_a_worker_that_never_reaches_its_next_step(monkeypatch):
    monkeypatch.setattr(rounds, "TURN_S", 0.5)

    def endless(me):
        me.step("read")
        time.sleep(600)

    run = processes.run({"P1": endless, "P2": add_one}, schedule="2r 1r 2a", setup=counter)
    assert run.problems[0].startswith("Turn 2 (1r): P1 did not finish turn 2 within 0.5 s")
    assert run.workers["exit"]["P1"] != 0 and run.workers["exit"]["P2"] == 0


def test_a_worker_that_dies_in_its_turn():
    def dies(me):
        me.step("read")
        os._exit(3)

    run = processes.run({"P1": dies, "P2": add_one}, schedule="2r 1r 2a", setup=counter)
    assert run.problems[0] == "Turn 2 (1r): P1 ended early with exit code 3."


def test_a_step_that_is_not_in_its_turn():
    def threads(me):
        me.step("read")
        other = threading.Thread(target=me.step, args=("write",))
        other.start()
        other.join()

    run = processes.run({"P1": threads}, schedule="1")
    assert "me.step('write') was called by a second thread, which has no turn" in run.problems[0]


def test_rounds_and_a_schedule_exclude_each_other():
    with pytest.raises(ValueError, match="either rounds or a schedule"):
        processes.run(PLAN, schedule="1 2 3 1 2 3", rounds=2)


@given(st.sampled_from(list(orders.possible((2, 2, 2)))))
def test_an_order_and_its_schedule_are_the_same_turns(order):
    items = orders.parse(orders.schedule(order, OWNERS), ["P1", "P2", "P3"])
    assert [f"P{item.process}" for item in items] == [OWNERS[letter] for letter in order]


def test_the_lost_update_is_found_and_replayed():
    verdict = schedule.explore(TWO, is_two, setup=counter)
    assert verdict.verdict == "broken" and not verdict.run.problems
    assert (verdict.explored, verdict.total, len(verdict.broken)) == (20, 20, 18)
    assert orders.switches(verdict.schedule) == 2
    assert set(dict(verdict.schedules)) - set(verdict.broken) == {
        "1r 1a 1w 2r 2a 2w",
        "2r 2a 2w 1r 1a 1w",
    }
    for _ in range(3):
        run = processes.run(TWO, schedule=verdict.schedule, setup=counter)
        assert run.schedule == verdict.schedule
        assert run.shared[-1] == {"counter": [{"value": 1}]}
    assert "explored 20 of 20 interleavings, 18 broken" in str(verdict)


@pytest.mark.parametrize(("worker", "total"), [(add_one_at_once, 2), (add_one_locked, 2)])
def test_the_fixed_counter_holds(worker, total):
    verdict = schedule.explore({"P1": worker, "P2": worker}, is_two, setup=counter)
    assert (verdict.verdict, verdict.explored, verdict.total) == ("holds", total, total)
    assert verdict.schedule == ""


def too_late(me):
    """Take the lock after reading, in the same piece."""
    with closing(database.open(me)) as connection:
        me.step("read")
        (number,) = connection.execute("SELECT value FROM counter").fetchone()
        connection.execute("BEGIN IMMEDIATE")
        me.step("write")
        connection.execute("UPDATE counter SET value = ?", (number + 1,))
        connection.execute("COMMIT")


def one_piece(me):
    """Read and write in one step, which is two commands all the same."""
    with closing(database.open(me)) as connection:
        me.step("update")
        (number,) = connection.execute("SELECT value FROM counter").fetchone()
        connection.execute("UPDATE counter SET value = ?", (number + 1,))


@pytest.mark.parametrize("worker", [too_late, one_piece])
def test_what_was_not_mixed_is_not_said_to_hold(worker):
    verdict = schedule.explore({"P1": worker, "P2": worker}, is_two, setup=counter)
    assert verdict.verdict == "unknown"
    assert "runs 2 SQL commands in step" in verdict.why


def test_a_transaction_that_cannot_be_finished_is_no_wait():
    """Both have read in a transaction: one of them must fail, however long they wait."""

    def deferred(me):
        with closing(database.open(me)) as connection:
            me.step("begin")
            connection.execute("BEGIN")
            me.step("read")
            (number,) = connection.execute("SELECT value FROM counter").fetchone()
            me.step("write")
            connection.execute("UPDATE counter SET value = ?", (number + 1,))
            connection.execute("COMMIT")

    verdict = schedule.explore({"P1": deferred, "P2": deferred}, is_two, setup=counter)
    assert verdict.verdict == "broken" and "database is locked" in verdict.why


def test_a_lock_taken_too_late_is_found_out():
    def late(me):
        with closing(database.open(me)) as connection:
            me.step("read")
            (number,) = connection.execute("SELECT value FROM counter").fetchone()
            me.step("begin")
            connection.execute("BEGIN IMMEDIATE")
            me.step("write")
            connection.execute("UPDATE counter SET value = ?", (number + 1,))
            connection.execute("COMMIT")

    verdict = schedule.explore({"P1": late, "P2": late}, is_two, setup=counter)
    assert verdict.verdict == "broken" and verdict.explored == verdict.total == 8


@pytest.mark.parametrize("name", ["1st", "xwrite", "", "-"])
def test_a_step_that_no_schedule_could_name(name):
    run = processes.run({"P1": lambda me: me.step(name)})
    assert f"ValueError: {name!r} cannot name a step" in run.problems[0]


def test_invariants_that_return_nothing_or_assert():
    with pytest.raises(ValueError, match="The invariant returned None"):
        schedule.explore(TWO, lambda db: None, setup=counter)

    def asserts(db):
        assert is_two(db)
        return True

    assert len(schedule.explore(TWO, asserts, setup=counter).broken) == 18


def test_a_bound_below_one():
    with pytest.raises(ValueError, match="bound is 0"):
        schedule.explore(TWO, is_two, setup=counter, bound=0)


@pytest.mark.parametrize("text", [12, ["1", 2]])
def test_a_schedule_that_is_no_text(text):
    with pytest.raises(TypeError, match="write it as a text in quotes"):
        processes.run(TWO, schedule=text, setup=counter)


def test_stepping_through_a_schedule_that_stopped_or_was_refused():
    stopped = processes.run(TWO, schedule="1r 2r 1a 2a 1w", setup=counter)
    assert schedule.at(stopped, turn=5)["next"]["P2"] == "no turn left"
    refused = processes.run(PLAN, schedule="1b 2x 1i 1c")
    assert schedule.at(refused, turn=2)["last"]["P2"] == "gave up"


def test_the_pets_step_by_step_have_90_feasible_interleavings():
    verdict = schedule.explore(PLAN, lambda db: len(database.rows(db)) == 6, bound=1000)
    assert (verdict.verdict, verdict.explored, verdict.total) == ("holds", 90, 90)


def test_past_the_bound_it_samples_and_says_so():
    three = dict.fromkeys(["P1", "P2", "P3"], add_one)
    verdict = schedule.explore(three, lambda db: True, setup=counter, bound=20, seed=5)
    assert verdict.verdict == "unknown" and verdict.total == 1680
    assert 10 < verdict.explored <= 20 and verdict.sampled == verdict.explored - 10
    assert "of 1,680 interleavings (" in str(verdict) and "sampled with seed 5)" in str(verdict)
    again = schedule.explore(three, lambda db: True, setup=counter, bound=20, seed=5)
    assert again.schedules == verdict.schedules


def test_an_invariant_that_raises():
    with pytest.raises(ValueError, match="The invariant raised ZeroDivisionError"):
        schedule.explore(TWO, lambda db: 1 / 0, setup=counter)


def test_exploring_a_worker_that_blocks_is_unknown(monkeypatch):
    monkeypatch.setattr(rounds, "TURN_S", 0.5)
    endless = dict.fromkeys(["P1", "P2"], lambda me: time.sleep(600))
    verdict = schedule.explore(endless, is_two, setup=counter)
    assert verdict.verdict == "unknown" and "did not finish turn 1" in str(verdict)


def test_a_worker_that_raises_breaks_every_invariant():
    def raises(me):
        me.step("read")
        raise KeyError("no such pet")

    verdict = schedule.explore({"P1": raises}, lambda db: True, setup=counter)
    assert verdict.verdict == "broken" and "KeyError" in verdict.why


def test_stepping_through():
    run = processes.run(TWO, schedule="1r 2r 1a 2a 2w 1w", setup=counter)
    start, middle, end = (schedule.at(run, turn=k) for k in (0, 5, 6))
    assert start["last"].tolist() == ["not begun", "not begun", "value = 0"]
    assert middle["last"].tolist() == ["add", "write", "value = 1"]
    assert middle["next"].tolist() == ["write", "ended", ""]
    assert end["next"].tolist() == ["ended", "ended", ""] and end["last"]["counter"] == "value = 1"
    for step in (-1, 7):
        with pytest.raises(ValueError, match="There is no turn"):
            schedule.at(run, turn=step)
    with pytest.raises(ValueError, match="This run was free"):
        schedule.at(processes.run(TWO, setup=counter), turn=1)


def test_stepping_through_says_who_holds_the_lock():
    run = processes.run(PLAN, schedule="1b 2x 1i 1c")
    held = schedule.at(run, turn=3)["holds"]
    assert held["P1"] == "lab.db" and held["P2"] == ""
    assert schedule.at(run, turn=4)["holds"]["P1"] == ""


def test_ten_thousand_turns_run_and_chart():
    def many(me):
        for _ in range(5000):
            me.step("go")

    text = random_schedule((5000, 5000), seed=1)
    run = processes.run({"P1": many, "P2": many}, schedule=text)
    assert run.schedule == text and run.problems == []
    assert charts.interleaving(run.events).get_title("left").startswith("10,000 turns")
    assert charts.timeline(run.events)


def test_the_chart_of_an_interleaving():
    run = processes.run(TWO, schedule="1r 2r 1a 2a 2w 1w", setup=counter)
    ax = charts.interleaving(run.events, at=4)
    assert ax.get_title("left") == "6 turns, 4 switches between processes; after turn 4"
    assert sorted(text.get_text() for text in ax.texts if text.get_text().strip()) == sorted(
        ["read", "add", "write"] * 2
    )
    marked = charts.timeline(run.events, at=4)
    assert "after turn 4" in [text.get_text() for text in marked.texts]
    with pytest.raises(ValueError, match="This run was free"):
        charts.interleaving(processes.run(TWO, setup=counter).events)
