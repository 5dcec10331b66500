"""The tournament tells what each entry lost and cost, whatever a learner's entry does."""

import functools
import os
import re
import sys
import time
from contextlib import closing
from unittest import mock

import cloudpickle
import matplotlib.pyplot as plt
import pandas as pd
import pytest

from streamlib import database, home, processes, resources
from streamlib.exercises import lesson_fixes as fixes

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # as the functions of a notebook are
pytestmark = pytest.mark.usefixtures("nothing_left_behind")
LOSSLESS = [
    "longer timeout",
    "shorter transaction",
    "retry with jitter",
    "lock ahead",
    "ordered locks",
    "one writer",
]


def mine(me):
    """Do as task 2 does, with three lines that differ."""
    with closing(database.open(me, timeout_s=5)) as connection:
        # a comment is no line to change
        names = fixes.pets(me)
        for pet in names:
            me.hold(3)
            database.insert(me, connection, pet)


@pytest.fixture(scope="module")
def table():
    """All of the entries, with two processes and a learner's own."""
    return fixes.tournament(fixes.ENTRIES | {"mine": mine}, [2])


def test_these_entries_lose_no_row_and_the_others_do(table):
    lossless = table["entry"][table["lost"] == 0].tolist()
    assert set(lossless) >= {*LOSSLESS, "mine"}
    lossy = table.set_index("entry")["lost"].drop(lossless)
    assert set(lossy.index) >= {"timeout 0", "reads first", "crossed locks"}
    assert (table["rows"] == 4).all()


def test_what_may_not_wait_loses_rows_as_soon_as_there_are_two_processes(table):
    lost = table.set_index("entry")["lost"]
    assert lost["timeout 0"] >= 1
    assert lost["reads first"] >= 1


def test_crossed_locks_are_told_by_their_cycle(table):
    crossed = table.set_index("entry").loc["crossed locks"]
    assert crossed["verdict"] == "raised"
    assert "waits for the database, held by P" in crossed["why"]
    assert "waits for the printer, held by P" in crossed["why"]


def test_work_before_the_lock_is_quicker_than_work_under_it(table):
    of = table.set_index("entry")["rows_a_second"]
    assert of["shorter transaction"] > 1.3 * of["lock ahead"]
    assert of["one writer"] > 1.3 * of["lock ahead"]


def test_lines_changed_are_counted_from_the_code(table):
    lines = table.set_index("entry")["lines_changed"].to_dict()
    expected = {"as in task 2": 0, "timeout 0": 1, "longer timeout": 1, "shorter transaction": 2}
    expected |= {"BEGIN IMMEDIATE": 1, "ordered locks": 1, "WAL": 3, "mine": 4}
    assert expected.items() <= lines.items()


def copied(me):
    """Do as task 2 does, from outside of the lesson's module."""
    with closing(database.open(me, timeout_s=5)) as connection:
        for pet in fixes.pets(me):  # with a comment
            database.insert(me, connection, pet, hold_s=3)


def test_a_copy_changes_no_line():
    assert fixes.lines_changed(fixes.Entry(copied)) == 0


def test_the_code_of_a_lambda_or_a_partial_is_unknown():
    for worker in (lambda me: mine(me), functools.partial(mine)):
        assert fixes.lines_changed(fixes.Entry(worker)) is None


def test_the_picture_has_a_panel_for_each_measure_and_names_the_finding(table):
    figure = fixes.picture(table)
    assert [ax.get_xlabel() for ax in figure.axes] == fixes.MEASURES
    count = (table["lost"] == 0).sum()
    assert f"With 2 processes {count} of 13 entries lose no row, and " in repr(figure)
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == [
        *reversed(table["entry"])
    ]
    plt.close(figure)


def test_the_picture_of_losers_names_no_winner():
    row = {"entry": "one", "processes": 3, "rows": 6, "lost": 6} | dict.fromkeys(fixes.MEASURES, 1)
    figure = fixes.picture(pd.DataFrame([row]))
    assert repr(figure) == "With 3 processes 0 of 1 entries lose no row"
    plt.close(figure)


# What a learner's entry does wrong


def raises(me):
    raise KeyError(me.name)


def hangs(me):
    time.sleep(1000)


def dies(me):
    os._exit(0)


def stores_nothing(me):
    pass


def locks_itself_out(me):
    with closing(database.open(me)) as mine, closing(database.open(me, timeout_s=2)) as other:
        mine.execute("BEGIN IMMEDIATE")
        for pet in fixes.pets(me):
            database.insert(me, other, pet)


def stores_twice(me):
    with closing(database.open(me, timeout_s=100)) as connection:
        for pet in fixes.pets(me) * 2:
            database.insert(me, connection, pet)


def skips_the_work(me):
    with closing(database.open(me, timeout_s=100)) as connection:
        for pet in fixes.pets(me):
            database.insert(me, connection, pet)


def drops_the_table(me):
    with closing(database.open(me, timeout_s=100)) as connection:
        connection.execute("DROP TABLE IF EXISTS pets")


def leaves_it_locked(me):
    me.kept = database.open(me)
    me.kept.execute("BEGIN EXCLUSIVE")
    raise ValueError("and then no more")


def yields(me):
    yield


async def waits(me):
    pass


def needs_nothing():
    pass


def bad_setup(path):
    raise RuntimeError("this setup fails")


SECONDS = r"from \d+\.\d s to \d+\.\d s, longer than its timeout of 2\.0 s"  # those of the lesson
WRONG = {
    "hangs": (hangs, "hung", r"P1 was still running after 1 s, so the lab ended it\."),
    "raises": (raises, "raised", r"P1 raised KeyError: 'P1' \(line \d+\)\."),
    "stores nothing": (stores_nothing, "lost", "2 of 2 rows are not there: store both .*"),
    "locks itself out": (locks_itself_out, "lost", f"P1 lost first of P1: .* {SECONDS}, .*"),
    "stores twice": (stores_twice, "extra", "2 rows too many are there: store each of .*"),
    "skips the work": (skips_the_work, "skipped", r"Two tasks took \d\.\d s, not 6: .*"),
    "drops the table": (drops_the_table, "lost", "2 of 2 rows are not there: store both .*"),
    "dies": (dies, "died", r"P1 ended early with exit code 0\."),
    "mine": (mine, "stored", ""),
}
UNSENT = "TypeError: The worker of mine cannot be sent to a process"
REFUSED = {
    "yields": (yields, f"{UNSENT} .*yields.*"),
    "is async": (waits, f"{UNSENT} .*async.*"),
    "has no argument": (needs_nothing, f"{UNSENT} .*"),
    "is none": (None, "TypeError: The worker of mine is None: .*"),
    "is a text": ("text", f"{UNSENT} .*"),
    "bad setup": (fixes.Entry(mine, setup=bad_setup), "RuntimeError: this setup fails"),
    "bad writer": (fixes.Entry(mine, writer=bad_setup), "RuntimeError: .*"),
}


@pytest.fixture(scope="module")
def told():
    """What the tournament tells of these: in one run those that start at all, the others alone."""
    known = {name: fixes.Entry(worker) for name, (worker, *_) in WRONG.items()}

    def play(plan, **options):
        return processes.run(plan, **options | {"timeout_s": 1})

    with mock.patch.multiple(fixes, ENTRIES=known | fixes.ENTRIES, run=play):
        return fixes.tournament(known, 1).set_index("entry")


@pytest.mark.parametrize("name", WRONG)
def test_an_entry_that_goes_wrong_is_told_in_one_word_and_a_sentence(name, told):
    _, verdict, why = WRONG[name]
    row = told.loc[name]
    assert (row["verdict"], row["rows"]) == (verdict, 2)
    assert re.fullmatch(why, row["why"]), row["why"]


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_entry_is_refused(name):
    entry, why = REFUSED[name]
    [row] = fixes.tournament({"mine": entry}, 1).to_dict("records")
    assert (row["verdict"], row["rows"], row["lost"]) == ("refused", 2, 2)
    assert re.fullmatch(why, row["why"]), row["why"]


def test_what_an_entry_leaves_locked_disturbs_no_other():
    table = fixes.tournament({"leaves it locked": leaves_it_locked, "mine": mine}, 1)
    assert table["verdict"].tolist() == ["raised", "stored"]


def test_an_entry_may_bring_locks_of_its_own():
    def locked(me):
        with resources.hold(me, "my own"):
            mine(me)

    entry = fixes.Entry(locked, setup=resources.shared("my own"))
    assert fixes.tournament({"locked": entry}, [1])["verdict"].tolist() == ["stored"]


@pytest.mark.parametrize("counts", [0, [-1], [31], [2.5], []])
def test_a_number_of_processes_that_cannot_be_is_refused(counts):
    with pytest.raises(ValueError, match="numbers of processes to 30"):
        fixes.tournament(processes=counts)


@pytest.mark.parametrize("entries", [{}, [mine], mine], ids=["none", "a list", "a worker"])
def test_entries_without_names_are_refused(entries):
    with pytest.raises(ValueError, match="Give a dict"):
        fixes.tournament(entries)


def test_the_time_scale_of_the_lab_is_what_it_was(monkeypatch):
    monkeypatch.setenv("STREAMLIB_SCALE", "0.5")
    fixes.tournament({"mine": stores_nothing}, [1])
    assert home.scale() == 0.5
