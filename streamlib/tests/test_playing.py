"""A game gives turns by hand: buttons in a cell, or by code; its processes are real ones."""

import multiprocessing
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing

import cloudpickle
import pytest

from streamlib import database, home, processes, schedule
from streamlib.processes import parent
from streamlib.schedule import playing
from streamlib.tests.conftest import PETS, TWO, UNIX, add_one, counter, is_gone, is_two, until
from streamlib.tests.simulated import random_case, worker_of

# Workers that stand here go to their processes by value: those are not to import all of this.
cloudpickle.register_pickle_by_value(sys.modules[__name__])
COUNT = int(os.environ.get("STREAMLIB_SCHEDULES", "2"))
CLOSED = "This game is closed: run its cell again."


@pytest.fixture
def play(monkeypatch):
    """As schedule.play; what a test leaves open is closed, and nothing is left then."""
    monkeypatch.setattr(playing, "_open", [])  # without those that stand for many tests
    before = {*multiprocessing.active_children()}
    yield lambda plan=TWO, setup=counter, **options: schedule.play(plan, setup=setup, **options)
    for game in playing._open[:]:
        game.close()
    assert {*multiprocessing.active_children()} == before


@pytest.fixture(scope="module")
def standing():
    """Two games that many tests play: the counter, to lose an update, and the pets."""
    games = schedule.play(dict(TWO), setup=counter, goal=is_not_two), schedule.play(dict(PETS))
    yield games
    for game in games:
        game.close()
    assert multiprocessing.active_children() == []


@pytest.fixture
def two(standing):
    """The game of the counter, before its first turn."""
    standing[0].again()
    return standing[0]


@pytest.fixture
def pets(standing):
    """The game of the pets, before its first turn."""
    standing[1].again()
    return standing[1]


def is_not_two(path):
    """The goal of the lost update."""
    return not is_two(path)


def value(game):
    """The counter as the game shows it."""
    return int(repr(game).splitlines()[-1])


def test_a_goal_is_reached_by_a_schedule_that_a_run_takes(two):
    for turn in ("1r", "2r", 1, "2", "1w"):
        two.turn(turn)
        assert not two.won
    said = two.turn("2w")
    assert two.won and two.schedule == "1r 2r 1a 2a 1w 2w" and value(two) == 1
    assert said == two.said and "The goal is reached in 6 turns: 1r 2r 1a 2a 1w 2w" in said
    run = processes.run(TWO, schedule=two.schedule, setup=counter)
    assert run.problems == [] and run.shared[-1] == {"counter": [{"value": 1}]}


def test_a_game_is_won_by_just_those_schedules_that_explore_calls_broken(two):
    verdict = schedule.explore(TWO, is_two, setup=counter)
    every = processes.history("explore")[-1].orders()["schedule"]
    for text in every:
        two.again()
        two.turn(text)
        assert two.won == (text in verdict.broken) and two.schedule == text
    assert len(every) == 20


def test_all_have_ended_and_the_goal_is_not_reached(two):
    said = two.turn("1r 1a 1w 2r 2a 2w")
    assert said.endswith("All have ended, but the goal is not reached: undo, or start again.")


def test_it_shows_the_turns_what_each_holds_what_comes_and_the_tables(pets):
    pets.turn("1b 1i")
    shown = repr(pets).splitlines()
    assert shown[1:6] == [
        "schedule: 1b 1i",
        "        1       2           holds    next",
        "P1  begin  insert  lab.db (write)  commit",
        "P2                                  begin",
        "P3                                  begin",
    ]
    pets.turn(1)
    assert "Ace" in repr(pets) and "(write)" not in repr(pets)
    assert pets.schedule == "1b 1i 1c"


def reads_first(me):
    """Hold a read in a transaction, then write in it."""
    with closing(sqlite3.connect(me.db, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        (value,) = connection.execute("SELECT value FROM counter").fetchone()
        connection.execute("UPDATE counter SET value = ?", (value + 1,))
        connection.execute("COMMIT")


def test_a_read_lock_is_shown_beside_a_write_lock(play):
    game = play({"P1": reads_first, "P2": reads_first})
    game.turn("1s 2s 1u")
    assert "lab.db (write)" in repr(game) and "lab.db (read)" in repr(game)
    assert "database is locked" in game.turn("2u")  # SQLite lets nobody wait who holds a read
    assert "lab.db (read)" not in repr(game)


def test_an_upgrade_that_fails_is_no_write_lock(play):
    def tries(me):
        with closing(sqlite3.connect(me.db, isolation_level=None)) as connection:
            connection.execute("BEGIN")
            connection.execute("SELECT value FROM counter").fetchone()
            try:
                connection.execute("UPDATE counter SET value = 5")
            except sqlite3.OperationalError:
                connection.execute("SELECT value FROM counter").fetchone()

    game = play({"P1": reads_first, "P2": tries})
    game.turn("1s 2s 1u 2u")
    assert [line.split()[-3:-1] for line in repr(game).splitlines()[3:5]] == [
        ["lab.db", "(write)"],
        ["lab.db", "(read)"],
    ]


def test_a_click_on_one_that_would_wait_says_for_whom_and_changes_nothing(pets):
    pets.turn("1b 1i")
    before = repr(pets).splitlines()[1:]
    assert pets.turn(2) == "Turn 3: P2 would wait at begin for P1: nothing changes."
    assert repr(pets).splitlines()[1:] == before
    pets.turn("1c 2b")
    assert pets.schedule == "1b 1i 1c 2b"
    assert "would wait at begin for P2" in pets.turn("1b 2i")  # the first that waits is the last
    assert pets.schedule == "1b 1i 1c 2b"


def test_a_commit_that_readers_hold_up_waits_for_each_of_them_and_is_undone(play):
    def writes(me):
        with closing(sqlite3.connect(me.db, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("UPDATE counter SET value = 7")
            connection.execute("COMMIT")

    def reads(me):
        with closing(sqlite3.connect(me.db, isolation_level=None)) as connection:
            connection.execute("BEGIN")
            connection.execute("SELECT value FROM counter").fetchone()
            connection.execute("COMMIT")

    game = play({"P1": writes, "P2": reads, "P3": reads, "P4": reads})
    game.turn("1b 1u 2s 4s")
    assert "P1 would wait at commit for P2 and P4" in game.turn(1)
    assert "P3 went through select" in game.turn(3)  # a COMMIT that waits keeps new readers out
    assert game.turn("2c 3c 4c 1c").startswith("Turn 9: P1 went through commit.")
    assert game.schedule == "1b 1u 2s 4s 3s 2c 3c 4c 1c" and value(game) == 7


def test_of_a_reader_and_a_writer_only_the_one_in_the_way_is_named(play):
    def begins(me):
        with closing(sqlite3.connect(me.db, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("COMMIT")

    game = play({"P1": reads_first, "P2": begins, "P3": begins})
    game.turn("1s 2b")
    assert "for P2: nothing" in game.turn(3)


@pytest.mark.parametrize("seed", range(COUNT))
def test_random_clicks_and_undos_come_to_what_a_run_of_the_schedule_comes_to(play, seed):
    """COUNT programs; the environment variable STREAMLIB_SCHEDULES asks for more."""
    model, rng = random_case(seed, most=60), random.Random(seed)

    def setup(path):
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"PRAGMA journal_mode = {'WAL' if model.wal else 'DELETE'}")
        counter(path)

    workers = map(worker_of, model.programs, model.isolations)
    plan = {f"P{n}": worker for n, worker in enumerate(workers, start=1)}
    game = play(plan, setup, goal=lambda path: True)
    for _ in range(3):
        game.again()
        while not game.won:
            if rng.random() < 0.2:
                game.undo()
            stood = repr(game).splitlines()[1:]
            if "would wait" in (said := game.turn(rng.randint(1, len(plan)))):
                assert repr(game).splitlines()[1:] == stood and "another program" not in said
        run = processes.run(plan, schedule=game.schedule, setup=setup)
        assert run.schedule == game.schedule and run.stopped == [""]
        assert run.shared[-1] == {"counter": [{"value": value(game)}]}


def two_locks(first, second):
    """A worker that takes two locks, each of a file of its own."""

    def worker(me):
        with (
            closing(sqlite3.connect(me.db.with_name(first), isolation_level=None)) as one,
            closing(sqlite3.connect(me.db.with_name(second), isolation_level=None)) as other,
        ):
            me.step("first")
            one.execute("BEGIN IMMEDIATE")
            me.step("second")
            other.execute("BEGIN IMMEDIATE")
            me.step("done")
            one.execute("COMMIT")
            other.execute("COMMIT")

    return worker


def two_files(path):
    """Make two databases, each with a table."""
    for name in ("a.db", "b.db"):
        with closing(sqlite3.connect(path.with_name(name))) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS things (name)")


PHILOSOPHERS = {"P1": two_locks("a.db", "b.db"), "P2": two_locks("b.db", "a.db")}


def test_a_deadlock_is_a_goal_and_its_schedule_says_where_it_stands(play):
    game = play(PHILOSOPHERS, two_files, goal="deadlock")
    game.turn("1f 1s")
    assert not game.won and game.turn(2).startswith("Turn 3: P2 would wait at first for P1")
    game.undo()
    said = game.turn("2f")
    assert game.won and said.endswith("The goal is reached in 2 turns: 1f 2f")
    assert repr(game).splitlines()[1:3] == ["schedule: 1f 2f", repr(game).splitlines()[2]]
    assert repr(game).splitlines()[2].split() == ["1", "2", "holds", "next"]
    assert "a.db (write)" in repr(game) and "b.db (write)" in repr(game)
    assert "would wait at second for P1" in game.turn(2) and game.won
    game.undo()
    assert not game.won
    run = processes.run(PHILOSOPHERS, schedule="1f 2f", setup=two_files)
    assert run.stopped == [
        "The schedule ends after turn 2, but not all are done: P1 waits at second, P2 waits at "
        "second."
    ]


def test_a_deadlock_is_none_as_long_as_one_can_go_on(play):
    game = play(PHILOSOPHERS | {"P3": add_one}, lambda path: (counter(path), two_files(path)))
    game.turn("1f 2f")
    assert not game.won and "would wait at second for P2" in game.turn(1)
    game.close()
    both = PHILOSOPHERS | {"P3": add_one}
    game = play(both, lambda path: (counter(path), two_files(path)), goal="deadlock")
    game.turn("1f 2f 3 3")
    assert not game.won
    game.turn(3)
    assert game.won


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("1w", "Turn 1: P1 has no such step here: its next step is read."),
        ("3", "names process 3: the plan has 1 (P1), 2 (P2)."),
        ("", "The schedule is empty"),
        ("x", "is not a turn"),
        (1.5, "is not a turn"),
        (None, "is not a turn"),
        (True, "is not a turn"),
        ("1 1r", "mixes whole units with steps"),
    ],
)
def test_what_is_no_turn_is_refused_in_a_sentence(two, typed, said):
    with pytest.raises(ValueError) as refused:
        two.turn(typed)
    assert said in str(refused.value) and two.schedule == ""


def test_the_letters_of_a_turn_may_be_longer_and_in_capitals(two):
    two.turn("P1Read, p2r")
    assert two.schedule == "1r 2r"


def test_a_process_that_has_ended_has_no_more_turns(two):
    assert two.turn("1 1 1 1") == "Turn 4 (1): P1 has ended already, in turn 3."
    assert two.schedule == "1r 1a 1w"


def test_a_process_can_give_up_where_another_holds_the_lock(pets):
    pets.turn("1b 2x 1i")
    assert pets.schedule == "1b 2x 1i" and "gives up" in repr(pets)
    pets.undo()
    pets.undo()
    assert pets.schedule == "1b"
    pets.again()
    assert "did not give up, for nobody held what it wanted" in pets.turn("2x")
    assert pets.schedule == "" and pets.turn("2b")


def test_undo_after_each_of_30_turns_gives_the_tables_and_the_string_of_the_shorter_game(play):
    plan = {f"P{n}": database.pets([f"{n}.{k}" for k in range(5)]) for n in (1, 2)}
    game = play(plan, database.fresh)
    stood = []
    for process in [1, 1, 1, 2, 2, 2] * 5:
        stood.append(repr(game).splitlines()[1:])
        game.turn(process)
    assert "2.4" in repr(game) and len(game.schedule.split()) == 30
    for shorter in reversed(stood):
        game.undo()
        assert repr(game).splitlines()[1:] == shorter
    assert game.undo() == "There is no turn to undo."
    assert game.schedule == "" and "(no rows)" in repr(game)


def test_undo_and_again_start_no_new_processes(play):
    def tells(me):
        with closing(sqlite3.connect(me.db)) as connection, connection:
            connection.execute("UPDATE counter SET value = ?", (os.getpid(),))

    game = play({"P1": tells})
    game.turn("1 1")
    first = value(game)
    for _ in range(3):
        game.undo()
        game.turn(1)
        assert value(game) == first
    game.again()
    game.turn("1 1")
    assert value(game) == first


def test_a_worker_that_raises_is_said(play):
    def raises(me):
        me.step("read")
        me.step("fail")
        raise KeyError("no such pet")

    game = play(TWO | {"P3": raises})
    game.turn("3r")
    assert game.turn("3f") == "Turn 2: P3 raised KeyError: 'no such pet'."
    assert game.turn("1r 1a 1w").endswith("P1 went through write.") and value(game) == 1
    game.close()
    assert processes.history("play")[-1].workers["exit"].tolist() == [0, 0, 1]


def leaves(me):
    me.step("read")
    me.step("leave")
    os._exit(3)


def hangs(me):
    me.step("read")
    me.step("hang")
    threading.Event().wait()


@pytest.mark.parametrize(
    ("worker", "said"),
    [
        (leaves, "Turn 3 (2): P2 ended early with exit code 3."),
        (hangs, "Turn 3 (2): P2 did not finish turn 3 within 0.5 s"),
    ],
)
def test_a_worker_that_dies_or_hangs_is_said_and_the_game_goes_on(play, worker, said, monkeypatch):
    monkeypatch.setattr(parent, "TURN_S", 0.5)
    game = play({"P1": add_one, "P2": worker})
    game.turn("2r 1r")
    before = repr(game).splitlines()[1:]
    assert game.turn(2).startswith(said)
    assert repr(game).splitlines()[1:] == before and game.schedule == "2r 1r"
    game.undo()
    assert game.turn("1r 1a 1w").endswith("P1 went through write.")


def test_a_worker_that_dies_in_its_first_turn_or_takes_none_can_be_played(play):
    game = play({"P1": lambda me: os._exit(4), "P2": lambda me: None, "P3": add_one})
    assert game.turn(1).startswith("Turn 1 (1): P1 ended early with exit code 4.")
    game.turn("2 3")
    assert game.schedule == "2 3r"


@UNIX
def test_a_process_that_is_killed_between_two_clicks_is_said_and_started_again(two):
    two.turn("1r")
    os.kill(two._round.children.all[0].process.pid, signal.SIGKILL)
    assert "P1 ended early with signal 9 (SIGKILL)" in two.turn("1")
    assert two.turn("1a 1w").endswith("P1 went through write.")


def test_a_worker_that_is_not_the_same_each_time_leaves_a_sentence(play, tmp_path):
    def changes(me):
        count = len(list(tmp_path.iterdir()))
        (tmp_path / str(count)).touch()
        if count < 2:
            me.step("first")
        me.step("second")

    game = play({"P1": changes})
    game.turn(1)
    said = game.undo()
    assert said and "\n" not in said


def test_workers_that_cannot_be_loaded_are_said_at_once(play, monkeypatch):
    with pytest.raises(TypeError, match="cannot be sent to a process"):
        lock = threading.Lock()
        play({"P1": lambda me: lock})
    assert playing._open == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"goal": "deadlok"},
            "goal is 'deadlok': give a function of the database's path, or \"deadlock\"",
        ),
        ({"goal": 3}, "goal is 3: give a function"),
        ({"goal": lambda: True}, "give a function"),
        ({"setup": "counter"}, "setup is 'counter': give a function of the database's path"),
        ({"plan": {}}, "The plan is {}"),
    ],
)
def test_what_cannot_be_played_is_refused(play, options, said):
    with pytest.raises(TypeError) as refused:
        play(**options)
    assert said in str(refused.value) and playing._open == []


@pytest.mark.parametrize("error", [OSError, SystemExit])
def test_a_setup_that_raises_does_so_in_the_cell_and_leaves_nothing(play, error):
    def fails(path):
        raise error("no room")

    with pytest.raises(error, match="no room"):
        play(setup=fails)


def test_a_goal_that_says_neither_yes_nor_no_is_refused_and_the_game_goes_on(play):
    game = play({"P1": add_one}, goal=lambda path: None)
    with pytest.raises(ValueError, match="The goal returned None: let it return True or False"):
        game.turn("1r 1a 1w")
    assert game.schedule == "1r 1a 1w" and not game.won
    assert game.undo() and game.schedule == "1r 1a"


def test_two_games_at_once_do_not_disturb_each_other(play):
    one, other = play(), play({"A": add_one, "B": add_one, "C": add_one})
    one.turn("1r 2r")
    other.turn("3r 3a 3w")
    one.turn("1a 1w 2a 2w")
    assert (value(one), value(other)) == (1, 1)
    assert (one.schedule, other.schedule) == ("1r 2r 1a 1w 2a 2w", "3r 3a 3w")


def test_two_games_of_one_plan_stand_at_once(play):
    one, other = play(), play()
    one.turn("1r 2r")
    other.turn("2r 2a 2w")
    assert (one.schedule, other.schedule, value(one), value(other)) == ("1r 2r", "2r 2a 2w", 0, 1)


def test_a_closed_game_says_so(play):
    game = play()
    game.close()
    for call in (game.undo, game.again, lambda: game.turn(1)):
        with pytest.raises(ValueError, match=CLOSED):
            call()


def test_an_order_of_committed_rows_can_be_the_goal(play):
    plan = {name: database.pets(pets[:1]) for name, pets in database.PETS.items()}

    def emma_first(path):
        return database.rows(path)[0]["name"] == "Emma"

    game = play(plan, database.fresh, goal=emma_first)
    game.turn("1b 1i 1c 2b 2i 2c 3b 3i 3c")
    assert not game.won
    game.again()
    game.turn("3b 3i 3c 1b 1i 1c 2b 2i")
    assert not game.won
    assert game.turn(2).endswith("The goal is reached in 9 turns: 3b 3i 3c 1b 1i 1c 2b 2i 2c")


def test_a_goal_whose_invariant_asserts_raises_and_is_not_taken_for_one_that_is_missed(play):
    def asserts(path):
        assert is_two(path)
        return True

    game = play(goal=lambda path: not asserts(path))
    with pytest.raises(AssertionError):
        game.turn("1r 2r 1a 2a 1w 2w")
    assert game.schedule == "1r 2r 1a 2a 1w 2w" and not game.won


def test_a_game_is_kept_as_a_run_when_it_is_closed(play):
    game = play(PETS, database.fresh)
    game.turn("1b 1i 1c 2b")
    game.undo()
    game.close()
    run = processes.history("play")[-1]
    assert run.problems == [] and run.workers["exit"].tolist() == [0, 0, 0]
    assert run.orders()["schedule"].iloc[-1] == "1b 1i 1c"
    game.close()
    assert processes.history("play")[-1].id == run.id


def test_a_plan_of_ten_processes_is_played_and_drawn(play):
    game = play({f"process {n}": add_one for n in range(1, 11)})
    for process in range(1, 11):
        game.turn(f"{process}r")
    shown = repr(game).splitlines()
    assert len({len(line) for line in shown[2:13]}) == 1 and len(shown) == 16
    bundle = game._repr_mimebundle_()
    assert [button.description for button in game._buttons] == [
        *(f"process {n}: add" for n in range(1, 11)),
        "Undo",
        "Start again",
    ]
    assert "application/vnd.jupyter.widget-view+json" in bundle


def test_the_buttons_show_the_next_steps_and_play(play):
    game = play()
    bundle = game._repr_mimebundle_()
    first, second, undo, again = game._buttons
    assert first.description == "P1: read" and not first.disabled
    first.click()
    assert (first.description, game.schedule) == ("P1: add", "1r")
    first.click(), first.click()
    assert (first.description, first.disabled, second.disabled) == ("P1: ended", True, False)
    undo.click()
    assert (first.description, first.disabled) == ("P1: write", False)
    game._repr_mimebundle_()  # shown a second time, it has the same buttons
    assert game._buttons[0] is first
    assert "schedule: 1r 1a" in game._text.value
    again.click()
    assert game.schedule == "" and "By code" not in game._text.value
    game.turn("2r")  # by code, the buttons follow
    assert second.description == "P2: add"
    assert 'play by code: game.turn("1")' in bundle["text/plain"]
    game.close()
    first.click()
    assert CLOSED in game._text.value


def test_without_ipywidgets_it_says_so_and_is_played_by_code(play, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    game = play()
    bundle = game._repr_mimebundle_()
    assert list(bundle) == ["text/plain"] and 'game.turn("1")' in bundle["text/plain"]
    assert game.turn("1r")


def test_names_and_values_are_shown_as_text(play):
    def marks(me):
        with closing(sqlite3.connect(me.db)) as connection, connection:
            connection.execute("UPDATE counter SET value = '<b>bold</b>'")

    game = play({"<i>P1</i>": marks})
    game._repr_mimebundle_()
    game.turn("1 1")
    assert "<b>" not in game._text.value and "<i>" not in game._text.value


def test_an_interrupted_turn_is_not_taken_and_the_game_goes_on(two, monkeypatch):
    two.turn("1r")
    with monkeypatch.context() as patched:

        def interrupted(*_):
            raise KeyboardInterrupt

        patched.setattr(parent.Children, "_answers", interrupted)  # the turn is under way
        with pytest.raises(KeyboardInterrupt):
            two.turn("2r")
    assert two.schedule == "1r"
    assert two.turn("2r") and two.schedule == "1r 2r"


GAME = """
import sys, time
from streamlib import schedule
def reads(me):
    me.step("read")
    me.step("write")
if __name__ == "__main__":
    game = schedule.play({{"P1": reads, "P2": reads}})
    game.turn("1r")
    print(*(one.process.pid for one in game._round.children.all), flush=True)
    {end}
"""


@pytest.mark.parametrize("end", ["raise ValueError", "time.sleep(60)"])
def test_nothing_is_left_when_the_kernel_ends_in_any_way(end, tmp_path):
    script = tmp_path / "game.py"
    script.write_text(GAME.format(end=end), encoding="utf-8")
    kernel = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(home.root), "STREAMLIB_OUTPUTS": str(tmp_path)},
    )
    with kernel:
        pids = [int(pid) for pid in kernel.stdout.readline().split()]
        if end.startswith("time"):
            kernel.kill()
        _, errors = kernel.communicate(timeout=30)
    assert len(pids) == 2
    until(lambda: all(map(is_gone, pids)))
    kept = list(tmp_path.glob("runs/*/run.json"))
    assert len(kept) == (not end.startswith("time"))
    assert errors.count("Traceback") == ("raise" in end)


def test_a_cell_that_runs_again_closes_its_older_game_and_no_other(play, monkeypatch):
    import IPython

    class Shell:
        @staticmethod
        def get_parent():
            return asked

    monkeypatch.setattr(IPython, "get_ipython", Shell)
    asked = {"metadata": {"cellId": "a"}, "header": {"msg_id": "1"}}
    one, other = play(dict(TWO)), play(dict(TWO))
    assert playing._open == [one, other]  # two games of one cell
    asked = {"metadata": {"cellId": "b"}, "header": {"msg_id": "2"}}
    third = play(dict(TWO))
    asked = {"metadata": {"cellId": "a"}, "header": {"msg_id": "3"}}
    again = play(dict(TWO))
    assert playing._open == [third, again]
    asked = {"metadata": {}, "content": {"code": "play()"}, "header": {"msg_id": "4"}}
    play(dict(TWO))  # a front end that does not tell the cell: known by its code
    asked = asked | {"header": {"msg_id": "5"}}
    last = play(dict(TWO))
    assert playing._open == [third, again, last]
