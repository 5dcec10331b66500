"""The shared SQLite database: one file, one table of pets, one write lock.

Children import this module, so it imports neither pandas nor matplotlib.
"""

import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from streamlib import home

Me = Any  # the handle that a worker gets, `streamlib.processes.child.Me`: it stands above this room

PETS = {"P1": ("Ace", "Buddy"), "P2": ("Cooper", "Dingo"), "P3": ("Emma", "Felix")}
TABLE = """CREATE TABLE IF NOT EXISTS pets (
    id INTEGER PRIMARY KEY,   -- counts up in commit order: only the holder of the lock inserts
    name TEXT NOT NULL,
    process TEXT NOT NULL,
    pid INTEGER)"""


def fresh(path: Path | str, *, keep: bool = False) -> Path:
    """Make the database at `path` ready for a run: an empty table `pets`; return the path.

    keep: leave the rows of earlier runs where they are.
    Other tables in the file are never touched, nor is a file that is not a database.
    Raises OSError with one sentence if the path cannot be used.
    """
    path = Path(path)
    if keep and "pets" in tables(path):
        return path  # another program may hold the write lock for long: do not ask for it
    try:
        patience = 60.0 if keep else 2.0
        with closing(sqlite3.connect(path, timeout=patience, isolation_level=None)) as connection:
            if not keep:
                connection.execute("PRAGMA journal_mode = DELETE")
            connection.execute("BEGIN IMMEDIATE")
            if not keep:
                connection.execute("DROP TABLE IF EXISTS pets")
            connection.execute(TABLE)
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise OSError(_why_unusable(path, error)) from None
    return path


def _why_unusable(path: Path, error: sqlite3.Error) -> str:
    if path.is_dir():
        return f"{path} is a folder: give the name of a file for the database."
    if not path.parent.is_dir():
        return f"{path.parent} does not exist: make that folder first, or give another path."
    if is_locked(error):
        return f"{path} is locked by another program: end that program, or give another path."
    if "not a database" in str(error) or "malformed" in str(error):
        return f"{path} is not a sound SQLite database: give another path (it was left as it is)."
    return f"{path} cannot be used as a database ({error}): give a path that you may write to."


def open(me: Me, timeout_s: float = 5) -> sqlite3.Connection:
    """Return a connection to `me.db`; transactions are explicit: BEGIN IMMEDIATE ... COMMIT.

    timeout_s: how long to wait for the write lock, seconds (times the time scale), before
    SQLite gives up with "database is locked". Close it: `with closing(database.open(me)) as ...`.
    """
    timeout = home.seconds("timeout_s", timeout_s) * me.scale
    connection = sqlite3.connect(me.db, timeout=timeout, isolation_level=None)
    me.watch_sql(connection)
    return connection


def is_locked(error: sqlite3.Error) -> bool:
    """Tell whether the error means that another connection held the lock for too long."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, 6)


def insert(me: Me, connection: sqlite3.Connection, pet: str, hold_s: float = 0) -> bool:
    """Insert one pet in one transaction that takes `hold_s` seconds; False if it was locked out.

    Marks waiting, holding and done or gave_up; its steps are begin, insert and commit.
    """
    lock = me.db.name
    timeout = connection.execute("PRAGMA busy_timeout").fetchone()[0] / 1000
    try:
        me.step("begin", pet)
        me.mark("waiting", pet, lock, f"timeout {timeout:g} s")
        connection.execute("BEGIN IMMEDIATE")
        me.mark("holding", pet, lock)
        me.step("insert", pet)
        connection.execute(
            "INSERT INTO pets (name, process, pid) VALUES (?, ?, ?)", (pet, me.name, os.getpid())
        )
        me.hold(hold_s)
        me.step("commit", pet)
        connection.execute("COMMIT")
    except sqlite3.OperationalError as error:
        if not is_locked(error):
            raise
        me.mark("gave_up", pet, lock, str(error))
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        return False
    me.mark("done", pet, lock)
    return True


def pets(names: Sequence[str], hold_s: float = 0, timeout_s: float = 5) -> Callable[[Me], None]:
    """Return a worker that inserts the pets one after another, thinking before each.

    hold_s: how long each insert keeps the write lock, seconds; timeout_s: see `open`.
    """
    home.seconds("hold_s", hold_s)
    home.seconds("timeout_s", timeout_s)
    if isinstance(names, str) or not isinstance(names, Sequence):
        kind = type(names).__name__
        raise ValueError(f"names is of type {kind}: give a list, as in database.pets(['Ace']).")
    if len(set(names)) < len(names):
        raise ValueError(f"names has a name twice, {list(names)}: give each pet one of its own.")

    def worker(me: Me) -> None:
        with closing(open(me, timeout_s)) as connection:
            for pet in names:
                me.think()
                insert(me, connection, pet, hold_s)

    return worker


def rows(path: Path | str) -> list[dict]:
    """Return the rows of the table `pets` in commit order, each with id, name, process, pid.

    Raises OSError with one sentence if there is no such table to read.
    """
    path = Path(path)
    if not path.is_file():
        raise OSError(f"{path} does not exist: run the cell that makes the database first.")
    try:
        with closing(sqlite3.connect(path, timeout=10.0)) as connection:
            connection.row_factory = sqlite3.Row
            found = connection.execute("SELECT id, name, process, pid FROM pets ORDER BY id")
            return [dict(row) for row in found]
    except sqlite3.Error as error:
        if "no such table" in str(error):
            raise OSError(f"{path} has no table pets: make one with database.fresh.") from None
        raise OSError(_why_unusable(path, error)) from None


def tables(path: Path | str, most: int = 20) -> dict[str, list[dict]]:
    """Return each table's first rows as a process that only reads sees them: what is committed."""
    if not Path(path).is_file():
        return {}
    try:
        with closing(sqlite3.connect(path, timeout=0)) as connection:
            connection.row_factory = sqlite3.Row
            names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            found = {}
            for (name,) in names.fetchall():
                quoted = '"' + name.replace('"', '""') + '"'
                rows = connection.execute(f"SELECT * FROM {quoted} LIMIT ?", (most,))
                found[name] = [dict(row) for row in rows]
            return found
    except sqlite3.Error:
        return {}  # locked at this very moment, or no database
