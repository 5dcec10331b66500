"""Stepping through a run shows where each process is, what it holds, and what is stored."""

import sqlite3
from contextlib import closing

import pytest

from streamlib import processes, schedule
from streamlib.tests.conftest import PETS, TWO, counter

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


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
