"""What would have been lost: against real runs, and against the course's tasks by reasoning.

STREAMLIB_WHAT_IF=full holds it against tasks of 1, 2, 3, 4 and 6 s, timeouts of 5 and 7 s, and two
to five processes: some four minutes.
"""

import os
from contextlib import closing
from itertools import product

import pytest

from streamlib import database, processes
from streamlib.processes import model
from streamlib.tests.conftest import PETS, TWO, counter, is_one_sentence
from streamlib.tests.test_result import insert, make

FEW = [(2, 3, 5), (3, 2, 5), (5, 1, 7)]  # processes, task and timeout, seconds
FULL = [*product((2, 3, 4, 5), (1, 2, 3, 4, 6), (5, 7))]
GRID, ROUNDS = (FULL, 3) if os.environ.get("STREAMLIB_WHAT_IF") == "full" else (FEW, 1)


def pets(count, hold_s, timeout_s=5):
    """A plan of so many processes that insert two pets each."""
    return {
        f"P{n}": database.pets([f"{n}a", f"{n}b"], hold_s, timeout_s) for n in range(1, count + 1)
    }


@pytest.fixture(scope="module")
def quick_run():
    """A real run of three processes whose tasks take 1 s."""
    return processes.run(pets(3, 1))


@pytest.fixture
def slow_run(tmp_path):
    """As the course's task 2 at its real speed: P1 holds the lock twice, then P2, then P3."""
    return make(
        tmp_path / "slow",
        {
            "P1": [*insert("Ace", 0, 0, 3), *insert("Buddy", 3, 3, 6)],
            "P2": [*insert("Cooper", 0), *insert("Dingo", 5, 6, 9)],
            "P3": [*insert("Emma", 0), *insert("Felix", 5, 9, 12)],
        },
    )


@pytest.mark.parametrize(("count", "hold_s", "timeout_s"), GRID)
def test_no_real_run_is_outside_of_what_it_allows(quick_run, count, hold_s, timeout_s):
    run = processes.run(pets(count, hold_s, timeout_s), rounds=ROUNDS)
    said = quick_run.what_if(hold_s=hold_s, timeout_s=timeout_s, processes=count)
    lost = run.orders()["locked"].tolist()
    assert set(lost) <= said.lost, said
    assert lost[0] in run.what_if().lost


TASKS = {1: ({0}, 0), 2: ({0, 1, 2}, 1), 3: ({2}, 2), 4: ({2, 3}, 3), 6: ({4}, 4)}


@pytest.mark.parametrize("hold_s", TASKS)
def test_it_allows_no_more_than_reasoning_does(slow_run, hold_s):
    said = slow_run.what_if(hold_s=hold_s)
    assert (said.lost, said.habit) == TASKS[hold_s]


@pytest.mark.parametrize("hold_s", TASKS)
def test_nor_at_a_tenth_of_the_time_where_a_look_is_as_long_as_a_task(hold_s):
    calls = ((1, 100 * hold_s + 1, 500),) * 2
    assert model.losses([(0, calls)] * 3, tie=15) == TASKS[hold_s][0]


def test_another_duration_is_given_as_to_the_tasks_whatever_the_scale(quick_run):
    assert quick_run.params["scale"] < 1
    assert quick_run.what_if(timeout_s=20, hold_s=3).lost == {0}
    assert quick_run.what_if(timeout_s=5, hold_s=6).lost == {4}
    assert quick_run.what_if(timeout_s=0.5).lost == {4}


def test_a_beginner_understands_what_it_says(slow_run):
    assert repr(slow_run.what_if(processes=2, timeout_s=4)) == (
        "With processes=2 and timeout_s=4: 0 or 1 of 4 rows are lost, 1 by the lock's habit"
    )
    assert repr(slow_run.what_if(hold_s=2)) == (
        "With hold_s=2: 0, 1 or 2 of 6 rows are lost, 1 by the lock's habit"
    )
    assert repr(slow_run.what_if()) == "As it was: 2 of 6 rows are lost, 2 by the lock's habit"


def test_times_that_are_equal_within_a_look_have_both_outcomes(slow_run):
    assert slow_run.what_if(processes=2, hold_s=2.4, timeout_s=5).lost == {0}
    near = slow_run.what_if(processes=2, hold_s=2.5, timeout_s=5)
    assert near.lost == {0, 1}
    assert near.habit is None
    assert "0 or 1 by the lock's habit" in repr(near)


def test_more_processes_are_copies_and_fewer_are_the_first_ones(slow_run):
    assert slow_run.what_if(processes=1).lost == {0}
    assert slow_run.what_if(processes=4).lost == {4}
    assert "of 20 rows" in repr(slow_run.what_if(processes=10))


def test_a_timeout_of_zero_fails_whenever_the_lock_is_held(slow_run):
    assert slow_run.what_if(timeout_s=0).lost == {4}


def test_each_process_has_its_own_timeout_and_tasks(tmp_path):
    def waits(item, at, timeout_s, until):
        return [
            (at, "waiting", item, "db", f"timeout of {timeout_s} s"),
            (at + 0.001, "holding", item, "db"),
            (until, "done", item, "db"),
        ]

    plan = {"P1": waits("Ace", 0, 9, 1), "P2": waits("Buddy", 2, 0.5, 5)}
    run = make(tmp_path / "own", plan)
    assert run.what_if().lost == {0}
    plan = {"P1": waits("Ace", 0, 0.5, 3), "P2": waits("Buddy", 2.9, 2, 8)}
    assert make(tmp_path / "in_time", plan).what_if().lost == {0}
    plan = {"P1": waits("Ace", 0, 9, 3), "P2": waits("Buddy", 0, 2, 1)}
    assert make(tmp_path / "in_turn", plan).what_if().lost == {0, 1}


def test_work_without_the_lock_is_not_taken_for_waiting():
    def works_first(me):
        with closing(database.open(me)) as connection:
            for pet in (f"{me.name} 1", f"{me.name} 2"):
                me.mark("working", pet)
                me.hold(3)
                database.insert(me, connection, pet)

    run = processes.run(dict.fromkeys(["P1", "P2", "P3"], works_first))
    assert run.what_if().lost == {run.lost} == {0}
    # two are late at 8 s; at 11 s one of them takes the lock, and at 17 s P1 has waited for 5 s
    assert run.what_if(hold_s=6).lost <= {3, 4}
    assert run.what_if(hold_s=6, timeout_s=30).lost == {0}


def test_of_several_rounds_it_takes_the_first_and_says_so():
    run = processes.run(pets(2, 0), rounds=2)
    said = repr(run.what_if(timeout_s=7))
    assert said == "With timeout_s=7 (round 1 of 2): 0 of 4 rows are lost, 0 by the lock's habit"


@pytest.mark.parametrize(
    "changes",
    [
        {"timeout_s": -1},
        {"timeout_s": "7"},
        {"timeout_s": None},
        {"hold_s": float("nan")},
        {"hold_s": True},
        {"processes": 0},
        {"processes": 11},
        {"processes": 2.0},
        {"processes": True},
        {"processes": "three"},
        {"processes": None},
        {"timeout": 7},
        {"pause_s": 1},
    ],
)
def test_a_wrong_argument_is_one_sentence(slow_run, changes):
    with pytest.raises((ValueError, TypeError)) as caught:
        slow_run.what_if(**changes)
    assert is_one_sentence(str(caught.value))
    assert next(iter(changes)) in str(caught.value)


def test_a_run_from_which_nothing_can_be_computed_is_refused(tmp_path):
    def refused(run):
        with pytest.raises(ValueError) as caught:
            run.what_if(timeout_s=7)
        assert is_one_sentence(str(caught.value))
        return str(caught.value)

    assert "schedule" in refused(processes.run(PETS, schedule="1 2 3 1 2 3"))
    assert "schedule" in refused(processes.run(TWO, setup=counter, schedule="1r 2r"))
    assert "timeout" in refused(processes.run(TWO, setup=counter))
    assert "timeout" in refused(make(tmp_path / "nothing", {"P1": []}))
    no_limit = [(0, "waiting", "Ace", "db"), (0, "holding", "Ace", "db"), (1, "done", "Ace", "db")]
    assert "timeout" in refused(make(tmp_path / "no_limit", {"P1": no_limit}))
    retried = [*insert("Ace", 0), *insert("Ace", 5, 6, 7)]
    assert "called once" in refused(make(tmp_path / "retried", {"P1": retried}))
    locks = {"P1": insert("Ace", 0, 0, 1, "a.db"), "P2": insert("Buddy", 0, 0, 1, "b.db")}
    assert "one lock" in refused(make(tmp_path / "locks", locks))
    killed = make(tmp_path / "killed", {"P1": insert("Ace", 0, 0, 1)}, exits={"P1": -9})
    assert "ended well" in refused(killed)
    assert "somebody got" in refused(make(tmp_path / "held", {"P1": insert("Ace", 0)}))


def test_too_many_ways_are_refused_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(model, "MOST", 1000)
    varied = {f"P{n}": [*insert("a", 0, 0, n), *insert("b", n, n, 2 * n)] for n in range(1, 7)}
    long = {"P1": [mark for n in range(101) for mark in insert(str(n), n, n, n + 1)]}
    for name, plan in (("varied", varied), ("long", long)):
        with pytest.raises(ValueError, match="too many ways") as caught:
            make(tmp_path / name, plan).what_if(timeout_s=20)
        assert is_one_sentence(str(caught.value))


def test_up_to_five_processes_with_three_items_each_are_not_too_many():
    model.losses([(0, ((0, 1000, 5000),) * 3)] * 5, tie=100)


def test_a_wait_of_many_looks_is_followed_to_its_end():
    hour = 3_600_000
    assert model.losses([(0, ((0, hour // 2, hour),) * 2)] * 2, tie=100) == {0, 1}
