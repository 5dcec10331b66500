"""A deadlock is named while it stands, over different kinds of resource; none is that was not."""

import os
import socket
import sqlite3
import sys
from collections import deque
from contextlib import closing, suppress

import cloudpickle
import pytest

from streamlib import database, deadlock, processes, resources, schedule
from streamlib.tests.conftest import counter, is_one_sentence

cloudpickle.register_pickle_by_value(sys.modules[__name__])
pytestmark = pytest.mark.usefixtures("nothing_left_behind")
FULL = "STREAMLIB_DEADLOCKS" in os.environ
ROUNDS = int(os.environ.get("STREAMLIB_DEADLOCKS", "8"))
CYCLE = "P1 waits for the scanner, held by P2, which waits for the printer, held by P1"


def takes(first, second, **options):
    """Return a worker that copies a page: it holds one device, then the other as well."""

    def worker(me):
        me.think()
        with resources.hold(me, first, **options):
            me.think()
            with resources.hold(me, second, **options):
                pass

    return worker


COPIERS = {"P1": takes("printer", "scanner"), "P2": takes("scanner", "printer")}
DEVICES = resources.shared("printer", "scanner")


@pytest.fixture(scope="module")
def copied():
    """ROUNDS of two copiers; the environment variable STREAMLIB_DEADLOCKS asks for more."""
    run = processes.run(COPIERS, rounds=ROUNDS, think_s=0.004, seed=1, setup=DEVICES)
    return run, deadlock.found(run)


def test_every_deadlock_of_two_resources_is_named_and_no_other(copied):
    run, found = copied
    holds = run.events[run.events["state"] == "holding"]
    assert set(found["cycle"]) == {CYCLE} and found["round"].is_unique
    for number in range(1, ROUNDS + 1):
        # Both are lost if both hold their first device before one of them has got its second.
        mine = holds[holds["round"] == number]
        second = mine["start"][mine.duplicated("process")].min()
        stood = bool(mine.drop_duplicates("process")["start"].max() < second)
        assert (number in set(found["round"])) == stood, number
    told = [problem for problem in run.problems if f"raised Deadlock: {CYCLE}: take" in problem]
    assert len(told) == len(run.problems) == len(found)
    assert 0 < len(found) < ROUNDS + (not FULL)  # of a few, all may end so


def test_the_process_that_closed_it_gives_way(copied):
    run, found = copied
    waiting = run.events[run.events["state"] == "waiting"]
    for row in found.itertuples():
        waits = waiting[waiting["round"] == row.round]
        last = waits.loc[waits["start"] == row.closed]
        assert list(last["process"]) == [row.victim]
    assert is_one_sentence(f"{CYCLE}: take what you need in one order.")


def brute(plans, units):
    """Count the interleavings of these programs, and list the beginnings after which all wait."""
    ended, stuck = 0, []

    def go(at, free, turns):
        nonlocal ended
        left = [p for p, plan in enumerate(plans) if at[p] < len(plan)]
        able = [
            p for p in left if all(free[n] > 0 for n in plans[p][at[p]][1] if plans[p][at[p]][0])
        ]
        ended += not left
        if left and not able:
            stuck.append(" ".join(turns))
        for p in able:
            takes, names = plans[p][at[p]]
            then = free | {name: free[name] + (-1 if takes else 1) for name in names}
            go([n + (q == p) for q, n in enumerate(at)], then, [*turns, f"{p + 1}{names[0][0]}"])

    go([0] * len(plans), units, [])
    return ended, sorted(stuck)


def crossed(*pairs):
    return [[(1, a), (1, b), (0, b), (0, a)] for a, b in (((x,), (y,)) for x, y in pairs)]


def philosopher(left, right):
    def worker(me):
        with resources.hold(me, left), resources.hold(me, right):
            pass

    return worker


def explored(plan, setup=DEVICES, **options):
    """Explore a plan; return how many interleavings ended, and after which all waited."""
    verdict = schedule.explore(plan, lambda path: True, setup=setup, **options)
    found = deadlock.found(processes.history("explore")[-1])
    stuck = sorted(set(found["schedule"]))
    assert stuck == sorted(verdict.outcomes.get("deadlock", []))
    return verdict.explored - len(stuck), stuck, verdict


def test_exploring_finds_each_beginning_that_ends_in_a_deadlock():
    ended, stuck, verdict = explored(COPIERS)
    assert (ended, stuck) == brute(crossed("ps", "sp"), {"p": 1, "s": 1}) == (4, ["1p 2s", "2s 1p"])
    assert verdict.verdict != "holds"


@pytest.mark.skipif(not FULL, reason="takes some seconds: set STREAMLIB_DEADLOCKS")
def test_exploring_finds_each_deadlock_of_three_philosophers():
    plan = {"P1": philosopher("a", "b"), "P2": philosopher("b", "c"), "P3": philosopher("c", "a")}
    ended, stuck, _ = explored(plan, resources.shared("a", "b", "c"))
    assert (ended, stuck) == brute(crossed("ab", "bc", "ca"), dict.fromkeys("abc", 1))
    assert len(stuck) == 6
    plan["P3"] = philosopher("a", "c")  # in the order of the others
    ended, stuck, verdict = explored(plan, resources.shared("a", "b", "c"))
    assert (ended, stuck) == brute(crossed("ab", "bc", "ac"), dict.fromkeys("abc", 1))
    assert (stuck, verdict.verdict) == ([], "holds")


def at_once(me):
    with resources.hold(me, "scanner", "printer"):
        pass


def politely(me):
    """Try; if that fails, let go of what is held. So nothing held is kept while one waits."""
    with resources.hold(me, "scanner"), suppress(TimeoutError):
        with resources.hold(me, "printer", timeout_s=0):
            pass


FIXES = {  # each turns one of the four conditions off
    "mutual exclusion": (COPIERS, resources.shared("scanner", printer=2)),
    "hold and wait": ({"P1": COPIERS["P1"], "P2": at_once}, DEVICES),
    "no preemption": ({"P1": COPIERS["P1"], "P2": politely}, DEVICES),
    "circular wait": ({"P1": COPIERS["P1"], "P2": COPIERS["P1"]}, DEVICES),
}


@pytest.mark.parametrize(("plan", "setup"), FIXES.values(), ids=FIXES)
def test_with_one_of_the_four_conditions_off_no_interleaving_deadlocks(plan, setup):
    ended, stuck, verdict = explored(plan, setup)
    assert (verdict.verdict, stuck) == ("holds", []) and ended == verdict.total
    if setup is not DEVICES:
        assert ended == brute(crossed("ps", "sp"), {"p": 2, "s": 1})[0]
    assert not FULL or deadlock.cycle(processes.run(plan, setup=setup, rounds=5)) == ""


def test_the_graph_is_drawn_before_at_the_closing_edge_and_after_the_victim():
    run = processes.run(COPIERS, schedule="1p 2s", setup=DEVICES)
    [found] = deadlock.found(run).itertuples()
    assert (
        (found.schedule, found.cycle) == ("1p 2s", CYCLE) == (found.schedule, deadlock.cycle(run))
    )
    graph = deadlock.graph(run)
    assert graph.attrs["cycle"] == CYCLE and graph["in_cycle"].all()
    assert graph[["process", "state", "resource"]].to_numpy().tolist() == [
        ["P1", "waiting", "scanner"],
        ["P2", "holding", "scanner"],
        ["P2", "waiting", "printer"],
        ["P1", "holding", "printer"],
    ]
    before = deadlock.graph(run, found.closed - 1e-9)
    after = deadlock.graph(run, found.ended)
    assert len(before) == 3 and len(after) < 4
    assert before.attrs["cycle"] == after.attrs["cycle"] == ""
    assert not (before["in_cycle"].any() or after["in_cycle"].any())


def test_a_deadlock_of_many_processes_is_one_sentence_and_everyone_ends():
    """50 of them with STREAMLIB_DEADLOCKS."""
    many = 50 if FULL else 9
    forks = [f"fork {n}" for n in range(1, many + 1)]

    def eats(left, right):
        def worker(me):
            with resources.hold(me, left):
                me.hold(1)  # until each has one
                with resources.hold(me, right):
                    pass

        return worker

    plan = {f"P{n + 1}": eats(forks[n], forks[(n + 1) % many]) for n in range(many)}
    run = processes.run(plan, setup=resources.shared(*forks))
    [found] = deadlock.found(run).itertuples()
    assert len(run.problems) == 1 and found.cycle in run.problems[0]
    assert found.cycle.startswith(
        "P1 waits for fork 2, held by P2, which waits for fork 3, held by"
    )
    assert f"and so on for {many - 6} more, to P{many - 2}, which waits" in found.cycle
    assert run.workers["exit"].value_counts().to_dict() == {0: many - 1, 1: 1}
    assert len(deadlock.graph(run)) == 2 * many


def stores_then_prints(me):
    with closing(database.open(me)) as connection:
        me.mark("waiting", None, me.db.name)
        connection.execute("BEGIN IMMEDIATE")
        me.mark("holding", None, me.db.name)
        resources.put(me, "stores", 1)
        resources.get(me, "prints")
        with resources.hold(me, "printer"):
            pass


def prints_then_stores(me):
    with closing(database.open(me, 50)) as connection, resources.hold(me, "printer"):
        resources.put(me, "prints", 1)
        resources.get(me, "stores")
        database.insert(me, connection, "Ace")


def test_the_write_lock_of_the_database_is_part_of_a_cycle():
    plan = {"P1": stores_then_prints, "P2": prints_then_stores}
    run = processes.run(plan, setup=resources.shared("printer", prints=deque(), stores=deque()))
    cycle = (
        "P1 waits for the printer, held by P2, which waits for the write lock of lab.db, held by P1"
    )
    assert deadlock.cycle(run) == cycle
    assert [row["name"] for row in run.rows] == ["Ace"]
    assert run.problems[0].startswith(f"P1 raised Deadlock: {cycle}: ") and len(run.problems) == 1


def locks(first, second):
    """Return a worker that locks two databases; it marks that itself."""

    def worker(me):
        with closing(sqlite3.connect(me.db.with_name(first), 0.4, isolation_level=None)) as one:
            me.mark("waiting", None, first)
            one.execute("BEGIN IMMEDIATE")
            me.mark("holding", None, first)
            resources.put(me, second[0], 1)
            resources.get(me, first[0])
            with closing(sqlite3.connect(me.db.with_name(second), 0.4)) as other:
                try:
                    me.mark("waiting", None, second, "timeout of 0.4 s")
                    other.execute("BEGIN IMMEDIATE")
                except sqlite3.OperationalError:
                    me.mark("gave_up", None, second)
        me.mark("done", None, first)

    return worker


def test_two_databases_locked_in_opposite_order_are_told_while_they_stand():
    setup = resources.shared(a=deque(), b=deque())
    run = processes.run({"P1": locks("a.db", "b.db"), "P2": locks("b.db", "a.db")}, setup=setup)
    cycle = deadlock.cycle(run)
    assert cycle == (
        "P1 waits for the write lock of b.db, held by P2, which waits for the write lock of a.db, "
        "held by P1"
    )
    assert run.problems == [f"Deadlock: {cycle}; only a timeout ends that."]


def upgrades(me):
    """Read, then write, in one transaction, and say so."""
    with closing(sqlite3.connect(me.db, 0.3, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        (value,) = connection.execute("SELECT value FROM counter").fetchone()
        me.mark("holding", None, "reading")
        resources.put(me, "read", 1)
        resources.get(me, "go")
        try:
            me.mark("waiting", None, "lab.db")
            connection.execute("UPDATE counter SET value = ?", (value + 1,))
            me.mark("holding", None, "lab.db")
            me.mark("waiting", None, "reading")
            resources.put(me, "go", 1)
            connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            me.mark("gave_up", None, "lab.db", error)


def test_the_cycle_that_sqlite_ends_at_once_is_told_afterwards():
    def starts_one(me):
        for _ in range(2):
            resources.get(me, "read")
        resources.put(me, "go", 1)

    plan = {"P1": upgrades, "P2": upgrades, "P3": starts_one}
    setup = resources.shared(setup=counter, read=deque(), go=deque())
    run = processes.run(plan, setup=setup)
    assert run.problems == []
    [found] = deadlock.found(run).itertuples()
    one, other = ("P1", "P2") if found.victim == "P2" else ("P2", "P1")
    assert found.cycle in (
        f"{one} waits for the reading, held by {other}, which waits for the write lock of lab.db, "
        f"held by {one}",
        f"{other} waits for the write lock of lab.db, held by {one}, which waits for the reading, "
        f"held by {other}",
    )


def puts_and_joins(me):
    for item in range(3):
        resources.put(me, "jobs", item)
    resources.join(me, "jobs")


def test_a_queue_joined_before_it_is_drained_is_told():
    def takes_two(me):
        for _ in range(2):
            resources.get(me, "jobs")

    plan = {"P1": puts_and_joins, "P2": takes_two}
    run = processes.run(plan, setup=resources.shared(jobs=deque()))
    cycle = "P1 waits for the end of jobs, which is up to nobody who is left"
    assert deadlock.cycle(run) == cycle
    [problem] = run.problems
    assert problem.startswith(f"P1 raised Deadlock: {cycle}: let another process put or take")


def test_two_that_wait_for_each_others_items_are_told():
    def asks(mine, other):
        def worker(me):
            resources.get(me, mine)
            resources.put(me, other, 1)

        return worker

    plan = {"P1": asks("a", "b"), "P2": asks("b", "a")}
    run = processes.run(plan, setup=resources.shared(a=deque(), b=deque()))
    assert deadlock.cycle(run) == (
        "P1 waits for an item in a, which is up to P2, which waits for an item in b, "
        "which is up to P1"
    )


def test_a_wait_for_an_item_that_a_timeout_ends_is_no_deadlock():
    def waits(me):
        resources.get(me, "jobs")

    def looks_now_and_then(me):
        with suppress(TimeoutError):
            resources.get(me, "mail", timeout_s=2)
        resources.put(me, "jobs", 1)

    plan = {"P1": waits, "P2": looks_now_and_then}
    run = processes.run(plan, setup=resources.shared(jobs=deque(), mail=deque()))
    assert run.problems == [] and deadlock.cycle(run) == ""


def test_what_names_no_resource_is_in_no_cycle_and_not_drawn():
    def marks_alone(me):
        me.mark("holding")
        me.mark("waiting")
        with resources.hold(me, "printer"):
            me.mark("waiting")

    run = processes.run({"P1": marks_alone, "P2": marks_alone}, setup=DEVICES)
    assert run.problems == [] and deadlock.cycle(run) == ""
    assert set(deadlock.graph(run)["resource"]) == {"printer"}


def test_a_wait_for_a_process_that_only_takes_its_time_is_no_deadlock():
    def works(me):
        with resources.hold(me, "printer"):
            me.hold(1.5)  # longer than two looks

    run = processes.run({"P1": works, "P2": works}, setup=DEVICES)
    assert run.problems == [] and deadlock.cycle(run) == ""


def test_two_locks_with_timeouts_are_told_and_then_go_on():
    plan = {"P1": takes("printer", "scanner", timeout_s=2), "P2": COPIERS["P2"]}
    run = processes.run(plan, setup=DEVICES, think_s=0.01, seed=1, rounds=4)
    found = deadlock.found(run)
    assert len(found) > 0 and set(found["victim"]) == {"P1"}
    told = [problem for problem in run.problems if f"Deadlock: {CYCLE}; only a timeout" in problem]
    assert len(told) == len(found) == sum("raised TimeoutError" in p for p in run.problems)


def sends_first(me, other):
    """Send more than all buffers hold, then read: as the other does."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        resources.put(me, other, server.getsockname())
        address = resources.get(me, me.name)
        with socket.create_connection(address) as out, server.accept()[0] as comes_in:
            me.mark("holding", None, f"inbox {me.name}")  # only this process can empty it
            me.mark("waiting", None, f"inbox {other}")
            out.sendall(bytes(50_000_000))
            comes_in.recv(1)


def test_two_programs_that_wait_for_each_other_over_full_sockets_are_told():
    plan = {"P1": lambda me: sends_first(me, "P2"), "P2": lambda me: sends_first(me, "P1")}
    setup = resources.shared(P1=deque(), P2=deque())
    run = processes.run(plan, setup=setup, timeout_s=0.8)
    cycle = "P1 waits for inbox P2, held by P2, which waits for inbox P1, held by P1"
    assert deadlock.cycle(run) == cycle
    assert run.problems[0].startswith(f"Deadlock: {cycle}; ")
    assert all("was still running after 0.8 s" in problem for problem in run.problems[1:])
