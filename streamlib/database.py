"""The shared SQLite database: one file, one table of pets, one write lock."""

import itertools
import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from streamlib import home

Me = Any  # the handle that a worker gets, `processes.child.Me`: it stands above this module

PETS = {"P1": ("Ace", "Buddy"), "P2": ("Cooper", "Dingo"), "P3": ("Emma", "Felix")}
MOST_ROWS = 200_000  # of one run that are counted
SHOWN = 20  # of a table, for stepping through
TABLE = """CREATE TABLE pets (
    id INTEGER PRIMARY KEY,   -- counts up in commit order: only the holder of the lock inserts
    name TEXT NOT NULL,
    process TEXT NOT NULL,
    pid INTEGER)"""


def fresh(path: Path | str, *, keep: bool = False) -> Path:
    """Make the database at `path` ready for a run, with an empty table `pets`; return the path.

    keep: keep the rows of earlier runs. Other tables in the file are never touched.
    Raises OSError if the path cannot be used; what the lab did not make stays as it is.
    """
    path = Path(path)
    try:
        with closing(sqlite3.connect(path, timeout=60 if keep else 2, isolation_level=None)) as db:
            pets = db.execute("SELECT sql FROM sqlite_master WHERE name LIKE 'pets'").fetchall()
            if pets not in ([], [(TABLE,)]):
                raise OSError(f"{path} has pets that the lab did not make: give another path.")
            if keep and pets:
                return path  # do not ask for the write lock: another program may hold it for long
            db.execute("PRAGMA journal_mode = DELETE")
            db.execute("DELETE FROM pets" if pets else TABLE.replace("pets", "IF NOT EXISTS pets"))
    except sqlite3.Error as error:
        raise OSError(_why_unusable(path, error)) from None
    return path


def _why_unusable(path: Path, error: sqlite3.Error) -> str:
    if "no such table" in str(error):
        return f"{path} has no table pets: make one with database.fresh."
    if is_locked(error):
        return f"{path} is locked: COMMIT what this notebook has open, or end the other program."
    advice = "name another file, in a folder of this machine that you may write to"
    return f"{path} cannot be used as a database ({error}): {advice}."


def open(me: Me, timeout_s: float = 5) -> sqlite3.Connection:
    """Return a connection to `me.db`; close it: `with closing(database.open(me)) as connection`.

    A transaction is explicit: BEGIN IMMEDIATE ... COMMIT. timeout_s: how long SQLite waits for
    the write lock before it gives up with "database is locked", seconds (times the time scale).
    """
    timeout = home.seconds("timeout_s", timeout_s) * me.scale
    return sqlite3.connect(me.db, timeout=timeout, isolation_level=None)


def is_locked(error: sqlite3.Error) -> bool:
    """Tell whether the error means that another connection held a lock for too long."""
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def insert(me: Me, connection: sqlite3.Connection, pet: str, hold_s: float = 0) -> bool:
    """Insert one pet in a transaction that takes `hold_s` seconds; False if it was locked out.

    Its steps are begin, insert and commit; it marks waiting, holding, and done or gave_up.
    """
    lock, row = me.db.name, (pet, me.name, os.getpid())
    # under a schedule it is 0: nobody waits, and each command is a place
    timeout = connection.execute("PRAGMA busy_timeout").fetchone()[0] / 1000 if me.scale else 0
    try:
        me.step("begin", pet)
        me.mark("waiting", pet, lock, f"timeout of {timeout:g} s")
        connection.execute("BEGIN IMMEDIATE")
        me.mark("holding", pet, lock)
        me.step("insert", pet)
        connection.execute("INSERT INTO pets (name, process, pid) VALUES (?, ?, ?)", row)
        me.hold(hold_s)
        me.step("commit", pet)
        connection.execute("COMMIT")
    except sqlite3.OperationalError as error:
        if not is_locked(error):
            raise
        me.mark("gave_up", pet, lock, str(error))
        connection.rollback()
        return False
    me.mark("done", pet, lock)
    return True


def pets(names: Sequence[str], hold_s: float = 0, timeout_s: float = 5) -> Callable[[Me], None]:
    """Return a worker that inserts the pets one after another and thinks before each.

    hold_s: how long each insert holds the write lock, seconds; timeout_s: as for `open`.
    Raises ValueError unless the names are a list of different ones.
    """
    home.seconds("hold_s", hold_s)
    home.seconds("timeout_s", timeout_s)
    if isinstance(names, str) or not isinstance(names, Sequence) or len({*names}) < len(names):
        raise ValueError(f"names is {names!r}: give a list of different ones, as ['Ace', 'Buddy'].")

    def worker(me: Me) -> None:
        with closing(open(me, timeout_s)) as connection:
            for pet in names:
                me.think()
                insert(me, connection, pet, hold_s)

    return worker


def rows(path: Path | str, last: int = -1) -> list[dict]:
    """Return the rows of the table `pets` in commit order, each with id, name, process, pid.

    last: how many, from the end; -1: all. Raises OSError if there is no such table to read.
    """
    sql = f"SELECT id, name, process, pid FROM pets ORDER BY id DESC LIMIT {last}"
    try:
        return _select(path, 10, sql)[::-1]
    except sqlite3.Error as error:
        raise OSError(_why_unusable(Path(path), error)) from None


def tables(path: Path | str) -> dict[str, list[dict]]:
    """Return the first 20 committed rows of each table; a long value is cut and ends in "…"."""
    found = {}
    try:
        for table in _select(path, 0, "SELECT name FROM sqlite_master WHERE type = 'table'"):
            quoted = table["name"].replace('"', '""')
            found[table["name"]] = _select(path, 0, f'SELECT * FROM "{quoted}" LIMIT {SHOWN}')
    except (OSError, sqlite3.Error):
        return {}  # not there, locked at this moment, or not a database
    for row in itertools.chain(*found.values()):
        row |= {name: f"{v!s:.200}…" for name, v in row.items() if len(str(v)) > 200}
    return found


def _select(path: Path | str, timeout_s: float, sql: str) -> list[dict]:
    if not Path(path).is_file():  # SQLite would make it
        raise OSError(f"{path} does not exist: run the cell that makes the database first.")
    with closing(sqlite3.connect(path, timeout=timeout_s)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql)]
