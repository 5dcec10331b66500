"""The log of tasks 1 and 2: what it says of each insert, and when it cannot be written."""

import contextlib
import re
import sys
from types import SimpleNamespace

import pandas as pd
import pytest

from streamlib import database, logs
from streamlib.tests.conftest import UNIX, is_one_sentence

NAMES = ["Ace", "Buddy"]


def event(state, start, detail=None):
    return SimpleNamespace(process="P1", item="Ace", state=state, start=start, detail=detail)


@pytest.fixture
def messages(tmp_path, capsys):
    """Return what is logged, as (level, message): the same on the screen and in the file."""
    path = tmp_path / "out0.txt"
    path.write_text("2024-01-01 10:00:00,000 - INFO - Task duration 0 s\n", encoding="utf-8")

    def messages(act):
        with logs.Log(path) as log:
            act(log)
        text = path.read_text(encoding="utf-8")
        assert text == capsys.readouterr().out
        return [tuple(line.split(" - ", 2)[1:]) for line in text.splitlines()]

    return messages


def run(tmp_path, rows, why=()):
    """A finished run that stored these pets."""
    db = database.fresh(tmp_path / "pets.db")
    stored = [{"name": name} for name in rows]
    workers = pd.DataFrame({"exit": [0, -9]}, index=["P1", "P2"])
    return SimpleNamespace(db=db, rows=stored, workers=workers, why=lambda: list(why))


def test_an_insert_that_is_stored_says_how_long_it_waited_and_held(messages):
    def act(log):
        for state, start in (("waiting", 1.0), ("holding", 1.25), ("done", 4.5)):
            log.watch(event(state, start))

    assert messages(act) == [
        ("INFO", "Insert of Ace by P1 at 1.000 s"),
        ("INFO", "COMMIT Ace by P1 at 4.500 s (waited 0.250 s, held the lock for 3.250 s)"),
    ]


def test_an_insert_that_gives_up_is_an_error_with_its_reason(messages):
    def act(log):
        log.watch(event("waiting", 1.0))
        log.watch(event("gave_up", 6.0, "database is locked"))

    last = ("ERROR", "LOCKED Ace by P1 at 6.000 s: database is locked (waited 5.000 s)")
    assert messages(act)[1:] == [last]


def test_it_opens_with_what_is_about_to_run(messages):
    first, system, *_ = messages(lambda log: log.opening(3, 5, "pets.db"))
    assert first == ("INFO", "Task duration 3 s, lock timeout 5 s, database pets.db")
    assert re.search(r"Python 3\.\d+", system[1])


def test_it_closes_with_success_when_every_row_is_stored(messages, tmp_path):
    said = messages(lambda log: log.closing(run(tmp_path, NAMES), expected=2))
    assert said[0] == ("INFO", "P1 ended with exit code 0")
    assert ("INFO", "Rows of this run in the database: 2 of 2: Ace, Buddy") in said
    assert said[-1] == ("INFO", "SUCCESS: all 2 rows are stored")


def test_it_closes_with_failure_and_the_reasons_when_rows_were_lost(messages, tmp_path):
    lost = run(tmp_path, [], why=["Ace was lost."])
    said = messages(lambda log: log.closing(lost, expected=2))
    assert said[0] == ("WARNING", "Ace was lost.")
    assert ("INFO", "Rows of this run in the database: 0 of 2: none") in said
    assert said[-1] == ("ERROR", "FAILURE: 2 of 2 rows were lost")


def test_a_log_that_cannot_be_written_is_one_sentence(tmp_path):
    with pytest.raises(OSError, match=r"^The log .* cannot be written .*: give another path.*\.$"):
        logs.Log(tmp_path / "nowhere" / "out.txt")


@pytest.mark.parametrize(
    "mine",
    [
        '{"cells": [], "metadata": {}, "nbformat": 4}\n',
        "[project]\nname = 'mine'\n",
        "2024-01-01 10:00:00,000 - INFO - Sent: [2024-01-01, Ames, 3]\n",
        "\ufeffWhat I think of task 1\n",
        "\n",
        "My log\n2024-01-01 10:00:00,000 - INFO - Task duration 0 s\n",
    ],
)
def test_a_file_that_is_not_a_log_of_the_lab_is_left_alone(tmp_path, mine):
    path = tmp_path / "out0.txt"
    path.write_text(mine, encoding="utf-8")
    before = path.read_bytes()
    with pytest.raises(
        OSError, match=r"out0\.txt cannot be .* is not a log of the lab's\): give another"
    ):
        logs.Log(path)
    assert path.read_bytes() == before


def test_an_older_log_is_kept_until_there_is_something_to_write(tmp_path):
    path = tmp_path / "out0.txt"
    for hold_s in (1, 2):
        with logs.Log(path) as log:
            log.opening(hold_s, 5, "pets.db")
    before = path.read_bytes()
    with contextlib.suppress(ZeroDivisionError), logs.Log(path):
        raise ZeroDivisionError
    assert path.read_bytes() == before and b"Task duration 2 s" in before.splitlines()[0]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit for the size of a file")
def test_a_log_for_which_there_is_no_room_is_one_sentence(tmp_path):
    import resource
    import signal

    limits, before = resource.getrlimit(resource.RLIMIT_FSIZE), signal.getsignal(signal.SIGXFSZ)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    full = pytest.raises(OSError, match=r"^The log .+out0\.txt cannot be written \(.+\): give ano")
    try:
        with full as error, logs.Log(tmp_path / "out0.txt") as log:
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
            log.opening(0, 5, "pets.db")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert is_one_sentence(str(error.value))


@UNIX
def test_of_two_programs_with_one_log_the_second_is_refused(tmp_path):
    with logs.Log(tmp_path / "out0.txt") as log:
        log.opening(0, 5, "pets.db")
        with pytest.raises(OSError, match=r"out0\.txt is in use: end its other writer"):
            logs.Log(tmp_path / "out0.txt")
    assert "Task duration 0 s" in (tmp_path / "out0.txt").read_text(encoding="utf-8")
