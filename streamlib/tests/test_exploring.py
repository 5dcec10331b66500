"""Exploring finds every interleaving that breaks an invariant, and claims no more than it saw."""

import time
from contextlib import closing

import pytest

from streamlib import database, orders, processes, schedule
from streamlib.processes import parent
from streamlib.tests.conftest import PETS, TWO, add_one, counter, is_two

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


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
        (value,) = connection.execute("SELECT value FROM counter").fetchone()
        me.step("write")
        connection.execute("UPDATE counter SET value = ?", (value + 1,))
        connection.execute("COMMIT")


def locked_too_late(me):
    """Take the lock after reading, in the same piece."""
    with closing(database.open(me)) as connection:
        me.step("read")
        (value,) = connection.execute("SELECT value FROM counter").fetchone()
        connection.execute("BEGIN IMMEDIATE")
        me.step("write")
        connection.execute("UPDATE counter SET value = ?", (value + 1,))
        connection.execute("COMMIT")


def one_piece(me):
    """Read and write in one step, which is two commands all the same."""
    with closing(database.open(me)) as connection:
        me.step("update")
        (value,) = connection.execute("SELECT value FROM counter").fetchone()
        connection.execute("UPDATE counter SET value = ?", (value + 1,))


def test_the_lost_update_is_found_and_replayed():
    verdict = schedule.explore(TWO, is_two, setup=counter)
    assert verdict.verdict == "broken"
    assert (verdict.explored, verdict.total, len(verdict.broken)) == (20, 20, 18)
    assert verdict.schedule == verdict.broken[0] and orders.switches(verdict.schedule) == 2
    explored = processes.history("explore")[-1]
    played = explored.orders()["schedule"]
    assert len(played) == 20 and explored.problems == []
    assert set(played) - set(verdict.broken) == {"1r 1a 1w 2r 2a 2w", "2r 2a 2w 1r 1a 1w"}
    for _ in range(3):
        run = processes.run(TWO, schedule=verdict.schedule, setup=counter)
        assert run.schedule == verdict.schedule
        assert run.shared[-1] == {"counter": [{"value": 1}]}
    assert str(verdict) == (
        "broken: explored 20 of 20 interleavings, 18 broken, the simplest is   1r 1a 2r 2a 2w 1w"
    )


@pytest.mark.parametrize("worker", [add_one_at_once, add_one_locked])
def test_the_fixed_counter_holds(worker):
    verdict = schedule.explore({"P1": worker, "P2": worker}, is_two, setup=counter)
    assert (verdict.verdict, verdict.explored, verdict.total) == ("holds", 2, 2)
    assert verdict.schedule == ""
    assert str(verdict).startswith("holds: explored 2 of 2 interleavings")
    assert ("gives_up=True" in str(verdict)) == (worker is add_one_locked)


@pytest.mark.parametrize(
    ("worker", "simplest"),
    [(locked_too_late, "1r 2r 2b 2w 2c 1b 1w 1c"), (one_piece, "1u 2u 2u 1u")],
)
def test_what_stands_in_one_step_is_mixed_all_the_same(worker, simplest):
    verdict = schedule.explore({"P1": worker, "P2": worker}, is_two, setup=counter)
    assert (verdict.verdict, verdict.schedule) == ("broken", simplest)


def test_a_transaction_that_cannot_be_finished_is_no_wait():
    """Both have read in a transaction: one of them must fail, however long they wait."""

    def deferred(me):
        with closing(database.open(me)) as connection:
            me.step("begin")
            connection.execute("BEGIN")
            me.step("read")
            (value,) = connection.execute("SELECT value FROM counter").fetchone()
            me.step("write")
            connection.execute("UPDATE counter SET value = ?", (value + 1,))
            connection.execute("COMMIT")

    verdict = schedule.explore({"P1": deferred, "P2": deferred}, is_two, setup=counter)
    assert verdict.verdict == "broken" and "database is locked" in verdict.why


def test_a_lock_taken_too_late_is_found_out():
    def late(me):
        with closing(database.open(me)) as connection:
            me.step("read")
            (value,) = connection.execute("SELECT value FROM counter").fetchone()
            me.step("begin")
            connection.execute("BEGIN IMMEDIATE")
            me.step("write")
            connection.execute("UPDATE counter SET value = ?", (value + 1,))
            connection.execute("COMMIT")

    verdict = schedule.explore({"P1": late, "P2": late}, is_two, setup=counter)
    assert verdict.verdict == "broken" and verdict.explored == verdict.total == 10


def test_the_pets_step_by_step_have_90_feasible_interleavings():
    verdict = schedule.explore(PETS, lambda db: len(database.rows(db)) == 6, bound=1000)
    assert (verdict.verdict, verdict.explored, verdict.total) == ("holds", 90, 90)


def test_past_the_bound_it_samples_and_says_so():
    three = dict.fromkeys(["P1", "P2", "P3"], add_one)
    verdict = schedule.explore(three, lambda db: True, setup=counter, bound=20, seed=5)
    assert verdict.verdict == "unknown" and verdict.total == 1680
    assert 10 < verdict.explored <= 20 and verdict.sampled == verdict.explored - 10
    assert "of 1,680 interleavings (" in str(verdict) and "sampled with seed 5)" in str(verdict)
    schedule.explore(three, lambda db: True, setup=counter, bound=20, seed=5)
    first, again = processes.history("explore")[-2:]
    assert again.orders()["schedule"].equals(first.orders()["schedule"])


def test_an_assertion_is_an_invariant():
    def asserts(db):
        assert is_two(db)
        return True

    assert len(schedule.explore(TWO, asserts, setup=counter).broken) == 18


@pytest.mark.parametrize("returned", [None, 1, "yes", [], (True,)])
def test_an_invariant_that_returns_neither_true_nor_false_is_refused(returned):
    with pytest.raises(ValueError, match=r"The invariant returned .*let it return True or False"):
        schedule.explore(TWO, lambda db: returned, setup=counter)


def test_an_invariant_may_return_what_numpy_takes_for_true():
    def holds(db):
        import numpy as np

        return np.bool_(True)

    assert schedule.explore({"P1": add_one}, holds, setup=counter).verdict == "holds"


def test_what_an_invariant_raises_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        schedule.explore(TWO, lambda db: 1 / 0, setup=counter)


def test_a_bound_below_one_is_refused():
    with pytest.raises(ValueError, match="bound is 0"):
        schedule.explore(TWO, is_two, setup=counter, bound=0)


def test_a_worker_that_raises_breaks_every_invariant():
    def raises(me):
        me.step("read")
        raise KeyError("no such pet")

    verdict = schedule.explore({"P1": raises}, lambda db: True, setup=counter)
    assert verdict.verdict == "broken" and "KeyError" in verdict.why


def test_a_worker_that_blocks_makes_it_unknown(monkeypatch):
    monkeypatch.setattr(parent, "TURN_S", 0.5)
    endless = dict.fromkeys(["P1", "P2"], lambda me: time.sleep(600))
    verdict = schedule.explore(endless, is_two, setup=counter)
    assert verdict.verdict == "unknown" and "did not finish turn 1" in str(verdict)
