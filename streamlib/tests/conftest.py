"""What several test files share."""

import multiprocessing
import sqlite3
from contextlib import closing

import pytest

from streamlib import database


@pytest.fixture
def nothing_left_behind():
    """Whatever a test does to its workers, no process outlives it."""
    yield
    assert multiprocessing.active_children() == []


# A counter that two processes increment: the lost update.


def counter(path):
    """Make the counter: one row, 0."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        connection.execute("DROP TABLE IF EXISTS counter")
        connection.execute("CREATE TABLE counter (value)")
        connection.execute("INSERT INTO counter VALUES (0)")
        connection.execute("COMMIT")


def is_two(path):
    """Tell whether no update was lost after two processes have added one each."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT value FROM counter").fetchone() == (2,)


def add_one(me):
    """Add one, as the counter's naive users do."""
    with closing(database.open(me)) as connection:
        me.step("read")
        (value,) = connection.execute("SELECT value FROM counter").fetchone()
        me.step("add")
        value += 1
        me.step("write")
        connection.execute("UPDATE counter SET value = ?", (value,))


TWO = {"P1": add_one, "P2": add_one}
PETS = {name: database.pets(pets) for name, pets in database.PETS.items()}
