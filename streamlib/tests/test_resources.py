"""What processes share: locks, queues, windows, pages; free, under a schedule, explored, played."""

import os
import sys
import threading
from collections import deque
from contextlib import suppress

import cloudpickle
import pytest

from streamlib import deadlock, processes, resources, schedule
from streamlib.tests.conftest import counter, is_one_sentence

cloudpickle.register_pickle_by_value(sys.modules[__name__])
pytestmark = pytest.mark.usefixtures("nothing_left_behind")


def prints(me):
    for number in (1, 2):
        resources.page(me, f"{me.name}, page {number}")


def prints_alone(me):
    with resources.hold(me, "printer"):
        prints(me)


def prints_on_either(me):
    with resources.hold(me, "printer") as unit:
        for number in (1, 2):
            resources.page(me, f"{me.name}, page {number}", unit)


def spools(me):
    resources.put(me, "jobs", [f"{me.name}, page {number}" for number in (1, 2)])


def spooler(me):
    for _ in range(2):
        for text in resources.get(me, "jobs"):
            resources.page(me, text)


def jobs(path, unit=1):
    """The processes whose pages a printer has printed, page by page."""
    paper = resources.paper(path, unit)
    return [line.split(",")[0] for line in paper.read_text().splitlines()] if paper.exists() else []


def are_whole(path):
    """Whether the pages of each job lie together, on either printer."""
    printed = [jobs(path, unit) for unit in (1, 2)]
    assert sum(map(len, printed)) == 4
    return all(pages[i] == pages[i + 1] for pages in printed for i in range(0, len(pages), 2))


PRINTERS = {  # a plan, what it shares, and how often jobs are mixed up in how many interleavings
    "no lock": ({"P1": prints, "P2": prints}, {}, (4, 6)),
    "a lock": ({"P1": prints_alone, "P2": prints_alone}, {"printer": 1}, (0, 2)),
    "two printers": ({"P1": prints_on_either, "P2": prints_on_either}, {"printer": 2}, (0, 70)),
    "a spooler": ({"P1": spools, "P2": spools, "P3": spooler}, {"jobs": deque()}, None),
}


@pytest.mark.parametrize(("plan", "things", "count"), PRINTERS.values(), ids=PRINTERS)
def test_pages_of_two_jobs_are_mixed_only_without_a_lock(plan, things, count):
    setup = resources.shared(**things)
    verdict = schedule.explore(plan, are_whole, setup=setup)
    assert count in (None, (len(verdict.broken), verdict.total))
    assert verdict.verdict == ("broken" if things == {} else "holds")
    run = processes.run(plan, schedule=verdict.schedule or None, setup=setup)
    assert run.problems == [] and are_whole(run.db) == (verdict.verdict == "holds")
    if verdict.broken:
        assert jobs(run.db) in (["P1", "P2", "P2", "P1"], ["P1", "P2", "P1", "P2"])


def test_each_round_begins_with_clean_paper_whatever_the_database_is_called(tmp_path):
    other = tmp_path / "other.db.1.paper"
    other.write_text("not ours\n")
    setup = resources.shared("printer")
    run = processes.run({"P1": prints_alone}, rounds=2, db=tmp_path / "pets [1].db", setup=setup)
    assert resources.paper(run.db).read_text() == "P1, page 1\nP1, page 2\n"
    assert other.read_text() == "not ours\n" and run.problems == []


def test_two_printers_are_held_by_two_at_once_and_each_has_its_own():
    def meets(me):
        with resources.hold(me, "printer") as unit:
            resources.put(me, "here", unit)
            resources.get(me, "all")

    def counts(me):
        for _ in range(2):
            print(resources.get(me, "here"))
        for _ in range(2):
            resources.put(me, "all", "")

    setup = resources.shared(printer=2, here=deque(), all=deque())
    run = processes.run({"P1": meets, "P2": meets, "P3": counts}, setup=setup)
    assert run.problems == [] and sorted(run.output["P3"].split()) == ["1", "2"]


def test_a_lock_is_handed_on_in_the_order_of_asking_and_never_held_twice():
    def takes(me):
        for _ in range(20):
            with resources.hold(me, "printer"):
                pass

    run = processes.run(dict.fromkeys(("P1", "P2", "P3"), takes), setup=resources.shared("printer"))
    assert run.problems == []
    holds = run.events[run.events["state"] == "holding"].sort_values("start")
    assert len(holds) == 60 and (holds["start"][1:].to_numpy() >= holds["end"][:-1]).all()
    assert len(run.handoffs()) == 59


def test_who_got_which_item_and_how_long_it_waited_can_be_read():
    def puts(me):
        for item in "AB":
            resources.put(me, "jobs", item)

    def gets(me):
        with suppress(resources.Deadlock):  # until nobody is left to put one
            while True:
                resources.get(me, "jobs")

    setup = resources.shared(jobs=deque())
    run = processes.run({"P1": puts, "P2": puts, "P3": gets, "P4": gets}, setup=setup)
    got = resources.passed(run)
    assert got["number"].tolist() == [1, 2, 3, 4] and sorted(got["item"]) == list("AABB")
    assert set(got["putter"]) == {"P1", "P2"} and set(got["getter"]) <= {"P3", "P4"}
    assert (got["waited"] == (got["got"] - got["put"]).clip(lower=0)).all()
    assert run.problems == []


class Job:
    """An item of a learner's own kind."""

    pages = 3


def test_an_item_of_any_kind_arrives_as_it_was():
    def gets(me):
        print(resources.get(me, "jobs").pages, resources.get(me, "jobs"))

    def puts(me):
        resources.put(me, "jobs", Job())
        resources.put(me, "jobs", {"a": (1, None)})

    run = processes.run({"P1": puts, "P2": gets}, setup=resources.shared(jobs=deque()))
    assert run.output["P2"] == "3 {'a': (1, None)}\n" and run.problems == []


def test_a_queue_can_be_joined_when_it_has_been_drained():
    def puts(me):
        resources.put(me, "jobs", 1)
        resources.join(me, "jobs")
        resources.page(me, "joined")

    def gets(me):
        resources.page(me, "gets")
        resources.get(me, "jobs")

    plan = {"P1": puts, "P2": gets}
    setup = resources.shared(jobs=deque())

    def is_last(path):
        return resources.paper(path).read_text().split() == ["gets", "joined"]

    verdict = schedule.explore(plan, is_last, setup=setup)
    assert (verdict.verdict, verdict.total) == ("holds", 2)
    assert is_last(processes.run(plan, setup=setup).db)


def test_a_window_keeps_the_latest_values_of_all():
    def measures(me):
        for value in (1, 2):
            resources.put(me, "last", f"{me.name} {value}")

    def looks(me):
        measures(me)
        print(resources.window(me, "last"))

    setup = resources.shared(last=deque(["start"], maxlen=3))
    run = processes.run({"P1": measures, "P2": looks}, schedule="1pu 2pu 1pu 2pu 2w", setup=setup)
    assert run.output["P2"] == "['P2 1', 'P1 2', 'P2 2']\n"
    verdict = schedule.explore({"P1": measures, "P2": looks}, lambda path: True, setup=setup)
    assert (verdict.verdict, verdict.total) == ("holds", 10)


def test_a_game_shows_who_holds_what_and_what_comes():
    def takes(me):
        with resources.hold(me, "scanner"), resources.hold(me, "printer"):
            pass

    game = schedule.play({"P1": takes, "P2": takes}, setup=resources.shared("printer", "scanner"))
    try:
        assert game.turn("1 1").endswith("P1 went through printer.")
        assert "P1  scanner  printer  scanner, printer  release printer" in repr(game)
        assert game.turn("2") == ("Turn 3: P2 would wait at scanner for P1: nothing changes.")
    finally:
        game.close()


BAD = {
    "an unknown lock": (
        lambda me: resources.take(me, "plotter"),
        "ValueError: No lock is named 'plotter': name it in resources.shared, and",
    ),
    "an unknown queue": (
        lambda me: resources.get(me, "job"),
        "ValueError: No queue or window is named 'job': name it in resources.shared",
    ),
    "a queue taken": (
        lambda me: resources.take(me, "jobs"),
        "ValueError: No lock is named 'jobs':",
    ),
    "an item put into a lock": (
        lambda me: resources.put(me, "printer", 1),
        "ValueError: No queue or window is named 'printer':",
    ),
    "released, but not held": (
        lambda me: resources.release(me, "printer"),
        "ValueError: P1 releases printer, held by nobody: take it first.",
    ),
    "no text": (lambda me: resources.take(me, 3), "ValueError: No lock is named '3':"),
    "a list": (lambda me: resources.take(me, ["printer"]), 'ValueError: No lock is named "['),
    "a list of queues": (lambda me: resources.get(me, ["jobs"]), "ValueError: No queue or window"),
    "no name": (lambda me: resources.take(me), "TypeError: take() missing 1 required positional"),
    "twice at once": (
        lambda me: resources.take(me, "scanner", "scanner"),
        "Deadlock: P1 waits for the scanner, held by P1: take a lock once",
    ),
    "a timeout that is none": (
        lambda me: resources.take(me, "printer", timeout_s=-1),
        "ValueError: timeout_s is -1: give a number of seconds from 0 to 3600.",
    ),
    "held already": (
        lambda me: resources.take(me, "fax") and resources.take(me, "fax"),
        "Deadlock: P1 waits for the fax, held by P1: take a lock once",
    ),
}


def test_what_cannot_be_is_one_sentence():
    def tries_all(me):
        for worker, _ in BAD.values():
            try:
                worker(me)
            except Exception as error:
                print(f"{type(error).__name__}: {error}")

    setup = resources.shared("printer", "fax", scanner=2, jobs=deque())
    said = processes.run({"P1": tries_all}, setup=setup).output["P1"].splitlines()
    for line, (_, expected) in zip(said, BAD.values(), strict=True):
        assert line.startswith(expected)


def test_what_cannot_be_costs_its_process_one_turn_under_a_schedule():
    plan = {"P1": BAD["an unknown lock"][0], "P2": BAD["held already"][0]}
    run = processes.run(plan, schedule="1 2 2", setup=resources.shared("fax"))
    assert run.stopped == [""] and len(run.problems) == 2
    assert f"P1 raised {BAD['an unknown lock'][1]}" in run.problems[0]


def test_a_lock_that_another_holds_is_not_released_in_its_name():
    def holds(me):
        with resources.hold(me, "printer"):
            resources.put(me, "jobs", 1)
            resources.get(me, "back")

    def releases(me):
        resources.get(me, "jobs")
        try:
            resources.release(me, "printer")
        finally:
            resources.put(me, "back", 1)

    setup = resources.shared("printer", jobs=deque(), back=deque())
    [problem] = processes.run({"P1": releases, "P2": holds}, setup=setup).problems
    assert "P1 releases printer, held by P2: take it first." in problem


@pytest.mark.parametrize("how", ["killed", "exits", "forgets"])
def test_what_a_process_held_that_has_ended_is_free_and_told(how):
    def leaves(me):
        resources.take(me, "printer")
        resources.put(me, "jobs", 1)
        if how == "killed":
            os.kill(os.getpid(), 9)
        if how == "exits":
            sys.exit()

    def follows(me):
        resources.get(me, "jobs")
        with resources.hold(me, "printer"):
            resources.page(me, "mine")

    setup = resources.shared("printer", jobs=deque())
    run = processes.run({"P1": leaves, "P2": follows}, setup=setup)
    assert resources.paper(run.db).read_text() == "mine\n"
    said = "P1 ended and abandoned the printer, which it held: it is free again."
    assert said in run.problems and len(run.problems) == 1 + (how != "forgets")
    assert is_one_sentence(said) and deadlock.cycle(run) == ""


def test_a_timeout_is_kept_and_leaves_nothing_held():
    def holds(me):
        with resources.hold(me, "printer"):
            resources.put(me, "jobs", 1)
            resources.get(me, "back")

    def tries(me):
        resources.get(me, "jobs")
        for timeout_s in (0, 0.2):
            with suppress(TimeoutError):
                resources.take(me, "printer", timeout_s=timeout_s)
        resources.put(me, "back", 1)
        with resources.hold(me, "printer", timeout_s=60):
            resources.page(me, "after")

    setup = resources.shared("printer", jobs=deque(), back=deque())
    run = processes.run({"P1": holds, "P2": tries}, setup=setup)
    assert run.problems == [] and resources.paper(run.db).read_text() == "after\n"
    gave_up = run.events[run.events["state"] == "gave_up"]
    assert gave_up["detail"].tolist() == ["TimeoutError", "TimeoutError"]


def test_under_a_schedule_nobody_waits_and_who_holds_is_said():
    def takes(me):
        with resources.hold(me, "printer"):
            pass

    def gives_up(me):
        with suppress(TimeoutError):
            takes(me)

    plan, setup = {"P1": takes, "P2": gives_up}, resources.shared("printer")
    run = processes.run(plan, schedule=["1p 2x 1r", "1p 2p 1r 2r", "2x 1p 1r"], setup=setup)
    assert run.schedule == "1p 2x 1r"
    assert run.stopped == [
        "",
        "Turn 2 (2p): P2 cannot go on here because P1 holds the printer.",
        "Turn 1 (2x): P2 did not give up, for nobody held what it wanted.",
    ]
    assert len(run.problems) == 2
    verdict = schedule.explore(plan, lambda path: True, setup=setup, gives_up=True)
    assert verdict.verdict == "broken" and "TimeoutError" in verdict.why  # P1 raises it


def test_the_schedule_of_a_free_run_is_followed_when_it_is_played():
    def takes(me):
        me.think()
        with resources.hold(me, "scanner"), resources.hold(me, "printer"):
            resources.put(me, "jobs", 1)

    plan, setup = {"P1": takes, "P2": takes}, resources.shared("printer", "scanner", jobs=deque())
    free = processes.run(plan, think_s=0.005, setup=setup)
    again = processes.run(plan, schedule=free.schedule, setup=setup)
    assert len(free.schedule.split()) == 10
    assert (again.schedule, again.problems) == (free.schedule, [])


def test_a_thread_of_a_worker_shares_nothing():
    def asks_aside(me):
        def ask():
            try:
                resources.take(me, "printer")
            except RuntimeError as error:
                print(error)

        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()

    run = processes.run({"P1": asks_aside}, setup=resources.shared("printer"))
    assert run.output["P1"] == (
        "A thread or a copy of a worker shares nothing: let the worker do that.\n"
    )


@pytest.mark.parametrize(
    ("things", "said"),
    [
        ({"xerox": 1}, "'xerox' names nothing that is shared: begin with a letter, not x."),
        ({"2nd": 1}, "'2nd' names nothing that is shared: begin with a letter, not x."),
        ({"": 1}, "'' names nothing that is shared: begin with a letter, not x."),
        ({"printer": 0}, "printer is 0: give a deque, or how many there are (to 1,000)."),
        ({"printer": True}, "printer is True: give a deque"),
        ({"printer": 10**9}, "printer is 1000000000: give a deque"),
        ({"jobs": []}, "jobs is []: give a deque"),
    ],
)
def test_what_cannot_be_shared_is_refused_at_once(things, said):
    with pytest.raises(ValueError) as error:
        resources.shared(**things)
    assert str(error.value).startswith(said)


def test_stepping_shows_all_that_each_holds_turn_by_turn():
    def takes(me):
        with resources.hold(me, "scanner"), resources.hold(me, "printer"):
            pass

    setup = resources.shared("printer", "scanner")
    run = processes.run({"P1": takes}, schedule="1s 1p 1release_p", setup=setup)
    held = [schedule.at(run, turn).loc["P1", "holds"] for turn in range(4)]
    assert held == ["", "scanner", "scanner, printer", "scanner"]


def test_a_setup_of_ones_own_comes_first():
    seen = []
    make = resources.shared("printer", setup=lambda path: seen.append(counter(path)))
    run = processes.run({"P1": prints_alone}, setup=make)
    assert run.problems == [] and len(seen) == 1
