"""Exploring finds every interleaving that breaks an invariant, and claims no more than it saw.

Stepping through a run shows where each process is, what it holds, and what is stored.
"""

import os
import random
import sqlite3
import sys
import time
from contextlib import closing

import cloudpickle
import pytest

from streamlib import database, orders, processes, schedule
from streamlib.processes import parent
from streamlib.tests.conftest import PETS, TWO, add_one, counter, is_two
from streamlib.tests.simulated import random_case, worker_of

# Workers that stand here go to their processes by value: those are not to import all of this.
cloudpickle.register_pickle_by_value(sys.modules[__name__])
COUNT = int(os.environ.get("STREAMLIB_SCHEDULES", "6"))
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


@pytest.fixture(scope="module")
def lost_update():
    """The verdict on the lost update, and the run of all its interleavings."""
    return schedule.explore(TWO, is_two, setup=counter), processes.history("explore")[-1]


def test_the_lost_update_is_found_and_replayed(lost_update):
    verdict, explored = lost_update
    assert verdict.verdict == "broken"
    assert (verdict.explored, verdict.total, len(verdict.broken)) == (20, 20, 18)
    assert verdict.schedule == verdict.broken[0] and orders.switches(verdict.schedule) == 2
    played = explored.orders()["schedule"]
    assert len(played) == 20 and explored.problems == []
    assert set(played) - set(verdict.broken) == {"1r 1a 1w 2r 2a 2w", "2r 2a 2w 1r 1a 1w"}
    for _ in range(3):
        run = processes.run(TWO, schedule=verdict.schedule, setup=counter)
        assert run.schedule == verdict.schedule
        assert run.shared[-1] == {"counter": [{"value": 1}]}
    assert str(verdict) == (
        "broken: explored 20 of 20 interleavings, 18 broken, the simplest is   1r 1a 2r 2a 2w 1w\n"
        "lost update: P1 read value 0 in turn 1, P2 wrote 1 in turn 5, P1 wrote over it in turn 6"
    )


def test_interleavings_are_grouped_by_what_they_led_to(lost_update):
    verdict, _ = lost_update
    assert [(outcome, len(led)) for outcome, led in verdict.outcomes.items()] == [
        ("counter: 1", 18),
        ("counter: 2", 2),
    ]
    assert verdict.outcomes["counter: 1"][0] == verdict.schedule == "1r 1a 2r 2a 2w 1w"
    assert verdict.outcomes["counter: 2"] == ["1r 1a 1w 2r 2a 2w", "2r 2a 2w 1r 1a 1w"]


def test_an_error_and_a_deadlock_are_outcomes_too():
    def crossed(me):
        paths = [str(me.db), f"{me.db}.other"][:: 1 if me.name == "P1" else -1]
        with closing(sqlite3.connect(paths[0])) as one, closing(sqlite3.connect(paths[1])) as other:
            one.execute("BEGIN IMMEDIATE")
            other.execute("BEGIN IMMEDIATE")
            raise KeyError("no such pet")

    verdict = schedule.explore({"P1": crossed, "P2": crossed}, lambda db: True, setup=counter)
    assert [len(led) for led in verdict.outcomes.values()] == [2, 1, 1]
    dead, *errors = verdict.outcomes
    assert dead == "deadlock"
    assert [error.partition(" (")[0] for error in errors] == [
        "P1 raised KeyError: 'no such pet'",
        "P2 raised KeyError: 'no such pet'",
    ]


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
    assert verdict.verdict == "unknown" and verdict.total is None
    assert 10 < verdict.explored <= 20 and verdict.sampled == verdict.explored - 10
    assert "of an unknown number of interleavings (" in str(
        verdict
    ) and "sampled with seed 5)" in str(verdict)
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


@pytest.mark.parametrize("bound", [0, -1, 1.5, "20", None])
def test_a_bound_that_is_not_a_whole_number_from_one_is_refused(bound):
    with pytest.raises(ValueError, match=f"bound is {bound!r}: give a whole number from 1."):
        schedule.explore(TWO, is_two, setup=counter, bound=bound)


@pytest.mark.parametrize("given", [None, "counter", 3])
def test_a_setup_or_invariant_that_is_not_a_function_is_refused(given):
    with pytest.raises(TypeError, match=r"setup is .*: give a function of the database's path"):
        schedule.explore(TWO, is_two, setup=given)
    with pytest.raises(TypeError, match=r"invariant is .*: give a function of the database's path"):
        schedule.explore(TWO, given, setup=counter)


def test_a_worker_that_raises_breaks_every_invariant():
    def raises(me):
        me.step("read")
        raise KeyError("no such pet")

    verdict = schedule.explore({"P1": raises}, lambda db: True, setup=counter)
    assert verdict.verdict == "broken" and "KeyError" in verdict.why


def test_a_worker_that_cannot_be_loaded_makes_it_unknown(monkeypatch, tmp_path):
    (tmp_path / "gone_too_soon.py").write_text("def worker(me): pass\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    import gone_too_soon

    (tmp_path / "gone_too_soon.py").unlink()
    verdict = schedule.explore({"P1": gone_too_soon.worker}, lambda db: True)
    assert (verdict.verdict, verdict.explored) == ("unknown", 0)
    assert verdict.why.startswith("The worker of P1 cannot be loaded (ModuleNotFoundError")


def test_a_worker_that_dies_in_one_interleaving_makes_it_unknown():
    def dies_if_late(me):
        with closing(database.open(me)) as connection:
            if connection.execute("SELECT value FROM counter").fetchone()[0]:
                os._exit(3)

    plan = {"P1": dies_if_late, "P2": add_one_at_once}
    verdict = schedule.explore(plan, lambda db: True, setup=counter)
    assert (verdict.verdict, verdict.total) == ("unknown", None)
    assert verdict.why.endswith("P1 ended early with exit code 3.")


def test_a_worker_that_blocks_makes_it_unknown(monkeypatch):
    monkeypatch.setattr(parent, "TURN_S", 0.5)
    endless = dict.fromkeys(["P1", "P2"], lambda me: time.sleep(600))
    verdict = schedule.explore(endless, is_two, setup=counter)
    assert verdict.verdict == "unknown" and "did not finish turn 1" in str(verdict)


@pytest.mark.parametrize("seed", range(COUNT))
def test_small_random_programs_agree_with_the_model(seed):
    """COUNT of them; the environment variable STREAMLIB_SCHEDULES asks for more."""
    model = random_case(seed, most=60)

    def setup(path):
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"PRAGMA journal_mode = {'WAL' if model.wal else 'DELETE'}")
        counter(path)

    def invariant(path):
        with closing(sqlite3.connect(path)) as connection:
            return connection.execute("SELECT value FROM counter").fetchone()[0] in model.wanted

    workers = map(worker_of, model.programs, model.isolations)
    plan = {f"P{n}": worker for n, worker in enumerate(workers, start=1)}
    verdict = schedule.explore(plan, invariant, setup=setup, gives_up=model.gives_up)
    broken = [text for text, ok in model.leaves if not ok]
    broken.sort(key=lambda text: (orders.switches(text), text))
    assert verdict.verdict == ("broken" if broken else "holds"), model.programs
    assert verdict.explored == verdict.total == len(model.leaves), model.programs
    assert verdict.broken == broken and verdict.schedule == "".join(broken[:1])
    texts = [text for text, _ in model.leaves]
    texts = random.Random(seed).sample(texts, min(3, len(texts)))
    run = processes.run(plan, schedule=texts, setup=setup)
    assert run.orders()["schedule"].tolist() == texts and not any(run.stopped)


@pytest.mark.parametrize("swapped", [False, True])
def test_a_step_that_was_refused_once_is_not_forbidden_for_ever(swapped):
    def holds(me):
        with closing(database.open(me)) as connection:
            me.step("begin")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("UPDATE counter SET value = value + 1")
            me.step("insert")
            me.step("commit")
            connection.execute("COMMIT")

    def begins_thrice(me):
        with closing(database.open(me)) as connection:
            for _ in range(2):
                me.step("begin")
                connection.execute("UPDATE counter SET value = value")
            me.step("begin")
            assert connection.execute("SELECT value FROM counter").fetchone() == (1,)

    plan = {"P1": holds, "P2": begins_thrice}
    text = "2b 2b 1b 1u 1i 2b 1c"
    if swapped:
        plan = {"P1": begins_thrice, "P2": holds}
        text = "1b 1b 2b 2u 2i 1b 2c"
    verdict = schedule.explore(plan, lambda db: True, setup=counter)
    assert verdict.verdict == "broken" and text in verdict.broken
    assert (verdict.explored, verdict.total, len(verdict.broken)) == (7, 7, 4)


def test_no_more_are_explored_than_there_are():
    """Neither more than are said to be there at most, nor all of fewer than there are."""

    def looks(me):
        with closing(database.open(me)) as connection:
            me.step("look")
            if connection.execute("SELECT value FROM counter").fetchone()[0]:
                me.step("again")
            me.step("bye")

    def adds(me):
        add_one_at_once(me)
        me.step("then")
        me.step("end")

    for bound in (1, 3, 6, 13, 14):
        verdict = schedule.explore(
            {"P1": looks, "P2": adds}, lambda db: True, setup=counter, bound=bound
        )
        assert (verdict.explored, verdict.verdict) == (bound, "holds" if bound == 14 else "unknown")
        assert verdict.total == (14 if bound == 14 else None)


def by_round(me):
    """It takes a step more in its third round."""
    for _ in range(1 + (me.round == 3)):
        me.step("go")


def by_luck(me):
    if random.SystemRandom().random() < 0.5:
        me.step("go")
    me.step("come")


CACHE = []


def by_a_cache(me):
    with closing(database.open(me)) as connection:
        if not CACHE:
            CACHE.append(connection.execute("SELECT value FROM counter").fetchone()[0])
        connection.execute("UPDATE counter SET value = ?", (CACHE[0] + 1,))


@pytest.mark.parametrize("worker", [by_round, by_luck, by_a_cache])
def test_a_worker_that_is_not_the_same_in_each_round_leaves_it_unknown(worker):
    plan = {"P1": worker, "P2": worker, "P3": worker}
    verdict = schedule.explore(plan, lambda db: False, setup=counter)
    assert (verdict.verdict, verdict.schedule, verdict.broken) == ("unknown", "", [])
    assert verdict.why == "the worker is not the same in each round" and verdict.total is None


def test_a_single_worker_is_played_again_to_see_that_it_is_the_same():
    assert schedule.explore({"P1": by_round}, lambda db: True).verdict == "unknown"


def polls(me):
    with closing(database.open(me)) as connection:
        while True:
            me.step("poll")
            if connection.execute("SELECT value FROM counter").fetchone() == (1,):
                break


@pytest.mark.parametrize("plan", [(polls, add_one_at_once), (add_one_at_once, polls)])
def test_a_consumer_that_polls_is_left_after_some_turns(plan, monkeypatch):
    monkeypatch.setattr(schedule.exploring, "MOST_TURNS", 20)
    plan = dict(zip(["P1", "P2"], plan, strict=True))
    verdict = schedule.explore(plan, lambda db: True, setup=counter)
    assert (verdict.verdict, verdict.total) == ("unknown", None) and verdict.explored > 10
    assert verdict.why == "a round was left after 20 turns: let each process end"


def waits_for_itself(me):
    with closing(database.open(me)) as one, closing(database.open(me)) as other:
        one.execute("BEGIN IMMEDIATE")
        other.execute("BEGIN IMMEDIATE")


def test_a_process_that_waits_for_itself_is_a_deadlock():
    verdict = schedule.explore({"P1": waits_for_itself}, lambda db: True)
    assert (verdict.verdict, verdict.broken, verdict.total) == ("broken", ["1b"], 1)
    assert verdict.why == "after 1b all wait for a lock forever"
    assert verdict.anomaly == "deadlock: P1 locked lab.db (write) in turn 1, and now all wait"


def test_a_lock_that_another_program_holds_is_no_deadlock():
    with closing(sqlite3.connect(database.home.outputs / "held.db")) as held:
        held.execute("BEGIN EXCLUSIVE")

        def waits(me):
            with closing(sqlite3.connect(me.db.parents[2] / "held.db")) as connection:
                connection.execute("BEGIN IMMEDIATE")

        verdict = schedule.explore({"P1": waits}, lambda db: True)
    assert (verdict.verdict, verdict.explored, verdict.anomaly) == ("unknown", 0, "")
    assert verdict.why == "after the start all wait for a lock forever"


def test_if_no_interleaving_comes_to_its_end_it_is_unknown(monkeypatch):
    monkeypatch.setattr(schedule.exploring, "MOST_TURNS", 20)

    def endless(me):
        while True:
            me.step("go")

    verdict = schedule.explore({"P1": endless, "P2": endless}, lambda db: True)
    assert (verdict.verdict, verdict.explored, verdict.total) == ("unknown", 0, None)


def test_a_deadlock_of_two_files_is_no_interleaving_that_holds():
    def crossed(me):
        paths = [str(me.db), f"{me.db}.other"][:: 1 if me.name == "P1" else -1]
        with closing(sqlite3.connect(paths[0])) as one, closing(sqlite3.connect(paths[1])) as other:
            for connection in (one, other):
                connection.execute("BEGIN IMMEDIATE")

    verdict = schedule.explore({"P1": crossed, "P2": crossed}, lambda db: True, setup=counter)
    assert (verdict.verdict, verdict.explored, verdict.total) == ("broken", 4, 4)
    assert verdict.broken == ["1b 2b", "2b 1b"]
    assert verdict.why == "after 1b 2b all wait for a lock forever"


def test_patience_is_said_and_giving_up_can_be_tried():
    plan = {"P1": add_one_locked, "P2": add_one_locked}
    patient = schedule.explore(plan, is_two, setup=counter)
    assert patient.verdict == "holds" and "gives_up=True tries giving up, too" in str(patient)
    verdict = schedule.explore(plan, is_two, setup=counter, gives_up=True)
    assert (verdict.verdict, verdict.schedule) == ("broken", "1b 1r 1w 2x 1c")
    assert (verdict.explored, len(verdict.broken)) == (8, 6)
    assert "P2 raised sqlite3.OperationalError: database is locked" in verdict.why
    run = processes.run(plan, schedule=verdict.schedule, setup=counter)
    assert (run.schedule, run.stopped) == (verdict.schedule, [""])


def test_a_row_that_is_given_up_is_lost():
    two = {name: PETS[name] for name in ("P1", "P2")}
    plan = dict(two, P2=database.pets(["Cooper"]))
    verdict = schedule.explore(plan, lambda db: len(database.rows(db)) == 3, gives_up=True)
    assert verdict.verdict == "broken" and verdict.schedule == "1b 1i 1c 1b 1i 2x 1c"
    assert processes.run(plan, schedule=verdict.schedule).verdict.endswith("1 lost")


def with_odd_names(me):
    with closing(database.open(me)) as connection:
        me.step("read 1st")
        (value,) = connection.execute("SELECT value FROM counter").fetchone()
        me.step("read-2nd.")
        me.step("écrire")
        connection.execute("UPDATE counter SET value = ?", (value + 1,))
        me.step("写下")
        me.step("read")


def leaves_at_once(me):
    if me.db:
        return
    me.step("never")


@pytest.mark.parametrize(
    ("plan", "simplest"),
    [
        ([with_odd_names, add_one_at_once], "1read_1 1read_2 2u 1é 1写 1read"),
        ([leaves_at_once, one_piece, one_piece], "1 2u 3u 3u 2u"),
        ([lambda me: None, locked_too_late, leaves_at_once, one_piece], None),
    ],
)
def test_each_schedule_that_it_prints_is_one_that_run_takes(plan, simplest):
    plan = {f"P{n}": worker for n, worker in enumerate(plan, start=1)}
    verdict = schedule.explore(plan, is_two, setup=counter, bound=50)
    assert verdict.verdict == "broken" and simplest in (None, verdict.schedule)
    texts = verdict.broken[:: 1 + len(verdict.broken) // 3]
    run = processes.run(plan, schedule=texts, setup=counter)
    assert run.orders()["schedule"].tolist() == texts and not any(run.stopped)
    assert not is_two(run.db)


def test_each_turn_shows_the_last_and_the_next_steps_and_the_tables():
    run = processes.run(TWO, schedule="1r 2r 1a 2a 2w 1w", setup=counter)
    start, middle, end = (schedule.at(run, turn=k) for k in (0, 5, 6))
    assert start["last"].tolist() == ["not begun", "not begun", "value = 0"]
    assert start["next"].tolist() == ["read", "read", ""]
    assert middle["last"].tolist() == ["add", "write", "value = 1"]
    assert middle["turn"].tolist()[:2] == [3, 5]
    assert middle["next"].tolist() == ["write", "ended", ""]
    assert end["next"].tolist() == ["ended", "ended", ""] and end["last"]["counter"] == "value = 1"
    assert list(end.columns) == ["last", "turn", "holds", "next"] and end.index.name == "what"


def test_it_says_who_holds_the_lock_and_who_gave_up():
    run = processes.run(PETS, schedule="1b 2x 1i 1c")
    assert schedule.at(run, turn=2)["last"]["P2"] == "gave up"
    held = schedule.at(run, turn=3)["holds"]
    assert held["P1"] == "lab.db" and held["P2"] == ""
    assert schedule.at(run, turn=4)["holds"]["P1"] == ""


def test_commands_that_nobody_marked_can_be_stepped_through():
    def adds(me):
        with closing(sqlite3.connect(me.db)) as connection, connection:
            (value,) = connection.execute("SELECT value FROM counter").fetchone()
            connection.execute("UPDATE counter SET value = ?", (value + 1,))

    run = processes.run({"P1": adds, "P2": adds}, schedule="1s 2s 2u 2c 1u 1c", setup=counter)
    middle = schedule.at(run, turn=3)
    assert middle["last"].tolist() == ["select", "update", "value = 0"]
    assert middle["next"].tolist() == ["update", "commit", ""]
    assert schedule.at(run, turn=4)["last"]["counter"] == "value = 1"


def test_a_schedule_that_stopped_leaves_no_turn():
    stopped = processes.run(TWO, schedule="1r 2r 1a 2a 1w", setup=counter)
    assert schedule.at(stopped, turn=5)["next"]["P2"] == "no turn left"


@pytest.mark.parametrize("turn", [-1, 4])
def test_a_turn_that_was_not_played_is_refused(turn):
    run = processes.run({"P1": TWO["P1"]}, schedule="1r 1a 1w", setup=counter)
    with pytest.raises(ValueError, match=f"There is no turn {turn}: step through 0 to 3"):
        schedule.at(run, turn=turn)


def test_a_free_run_has_no_turns():
    with pytest.raises(ValueError, match="This run was free"):
        schedule.at(processes.run(TWO, setup=counter), turn=1)


@pytest.mark.parametrize("turn", [1.5, "1", None])
def test_a_turn_that_is_no_number_is_refused(turn):
    run = processes.run({"P1": TWO["P1"]}, schedule="1r 1a 1w", setup=counter)
    with pytest.raises(ValueError, match=f"There is no turn {turn!r}: step through 0 to 3"):
        schedule.at(run, turn=turn)


@pytest.mark.parametrize(("number", "said"), [(19, False), (30, True)])
def test_a_table_is_shown_up_to_a_bound_which_is_said(number, said):
    def stores(me):
        with closing(sqlite3.connect(me.db)) as connection, connection:
            rows = [(n,) for n in range(1, number)]
            connection.executemany("INSERT INTO counter VALUES (?)", rows)

    shown = schedule.at(processes.run({"P1": stores}, schedule="1", setup=counter), turn=1)
    last = shown["last"]["counter"].tolist()
    assert last[0] == "value = 0" and len(last) == min(number, 20) + said
    assert ("(no more than 20 rows are shown)" in last) == said
