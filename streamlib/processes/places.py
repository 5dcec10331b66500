"""Where a turn may end beside the steps: at SQL commands, told by SQLite; what is not mixed."""

import functools
import os
import re
import sqlite3
import sys
import threading
from collections.abc import Callable
from typing import Any

from streamlib import resources
from streamlib.database import is_locked

COMMENTS = re.compile(r"--[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
MOST_LETTERS = 10_000  # of a command that is told; what is cut cannot be run again
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
UNMIXED = re.compile(r"(os|socket|subprocess|fcntl|mmap|msvcrt|_thread|ctypes\.dlsym)")  # events
SHARED = re.compile(r"mmap|socket\.(bind|connect)")  # also when it is made at the loading
UNSEEN = (os.devnull, resources.PAPER)  # a page is printed in a turn of its own
WRITING = {"begin", "insert", "update", "delete", "replace", "create", "drop", "alter"}
SAFE = re.compile(r"os\.(f?walk|list|scan|get|put|unset|chdir|add)|(socket|msvcrt)\.(_|get|open)")
opened: dict[sqlite3.Connection, None] = {}  # in the present round, and not closed
_me: Any = None  # the `child.Me` whose turns the commands of this process take


class Abandoned(BaseException):
    """Raised in a worker whose round was given up, so that it leaves and cleans up."""


def watch(me: Any) -> None:
    """Have every connection of this process tell `me` of its commands; note what is unmixed."""
    global _me
    _me, connect = me, functools.partial(sqlite3.connect, factory=Connection)
    for module in (sqlite3, sqlite3.dbapi2, sys.modules["_sqlite3"]):
        module.Connection, module.Cursor, module.connect = Connection, Cursor, connect
    sys.dont_write_bytecode = True  # what an import writes is not the worker's doing
    sys.addaudithook(_audit)
    threading.setprofile(lambda *_: me._note("starts a thread"))  # Python 3.11 has no event for it


def _audit(event: str, args: tuple) -> None:
    """Note what this process does beside its steps; Python calls it for each audit event."""
    if event == "open" and args[2] & WRITES and not str(args[0]).endswith(UNSEEN):
        _me._note(f"writes {os.path.basename(str(args[0]))}", "files")
    elif event == "sqlite3.connect/handle" and not isinstance(args[0], Connection):
        _me._note("makes a connection that the lab cannot see")
    elif UNMIXED.match(event) and not SAFE.match(event) and (_me.round or SHARED.match(event)):
        path = f" ({os.path.basename(args[0])})" if args and isinstance(args[0], str) else ""
        _me._note(f"calls {event}{path}")


def words(command: str) -> list[str]:
    """Return the words of an SQL command in small letters, without comments."""
    return re.findall(r"\w+", COMMENTS.sub(" ", command).lower()) or ["nothing"]


def _waiting(method: Callable) -> Callable:
    """Return this method of a cursor or connection, made to wait where a lock refuses it."""
    again = method.__name__ == "execute"  # of the others a part may be done

    def call(self, *args, **kwargs):
        connection = getattr(self, "connection", self)
        while True:
            connection.last = ""
            try:
                return method(self, *args, **kwargs)
            except sqlite3.OperationalError as error:
                mine = _me._takes_turns()
                if mine and again and not connection.last and _me._command(words(args[0])[0]):
                    continue  # it failed while it was prepared, before its turn
                if not (mine and _me._waits(connection._refusal(error, again))):
                    raise

    return call


def _noted(method: Callable) -> Callable:
    said = f"calls {method.__name__} of a connection"
    return lambda *args, **kwargs: _me._note(said) or method(*args, **kwargs)


def _by_a_cursor(method: Callable) -> Callable:
    return lambda self, *args: getattr(self.cursor(), method.__name__)(*args)


class Cursor(sqlite3.Cursor):
    """A cursor whose commands wait where a lock refuses them."""


class Connection(sqlite3.Connection):
    """A connection that tells of its commands; SQLite itself does not wait for a lock."""

    last = ""  # the first word of the command under way, "" while it is prepared
    ran = 0  # commands in the present transaction that may have taken a lock
    writes = False  # whether one of them took the write lock
    file = ""  # the path of its database

    def __init__(self, database: Any, timeout: float = 5.0, *args, **kwargs) -> None:
        super().__init__(database, 0, *args, **kwargs)
        super().set_authorizer(_ignore_timeouts)
        super().create_function("streamlib_idle", 0, int)
        super().set_trace_callback(self._tell)
        self.file = os.path.abspath(os.fsdecode(database))
        opened.update({self: None} if _me._takes_turns() else {})

    def _tell(self, command: str) -> None:
        """Let the process's turn end here; SQLite calls this before it runs a command."""
        self.ran *= self.in_transaction
        self.last, *more = words(command)
        if self.last in ("begin", "savepoint") and not {"immediate", "exclusive"} & {*more}:
            return self._ran(command)  # it takes no lock: it belongs to the command after it
        try:
            _me._takes_turns() and _me._command(self.last)
            _me._room, self.ran = False, self.ran + 1
            self.writes = self.last in WRITING or (self.writes and self.ran > 1)
            self._ran(command)
        except Abandoned:  # SQLite would swallow it, and run the command
            self.interrupt()

    def _ran(self, command: str) -> None:
        _me._answer.ran.append((id(self), self.file, command[:MOST_LETTERS]))

    def _refusal(self, error: sqlite3.Error, again: bool) -> str:
        """Return how a lock refused the last command, as in `child.Answer`; "" if none did."""
        self.ran -= bool(self.last)
        if self.last and is_locked(error):
            del _me._answer.ran[-1:]
        reads, ends = self.in_transaction and self.ran, self.last in ("commit", "end", "release")
        try:
            super().create_function("streamlib_idle", 0, int)
        except sqlite3.OperationalError:  # SQLite refuses that while a cursor is unfinished
            reads = True
        self.writes &= ends or not is_locked(error)
        if not is_locked(error) or (reads and not ends):
            return ""  # a process that holds a read cannot wait: this is an outcome
        return "waits" if again and not ends else "gave up"

    def cursor(self, factory: type = Cursor) -> sqlite3.Cursor:
        """Return a cursor whose commands wait where a lock refuses them."""
        return super().cursor(factory)

    def close(self) -> None:
        """Close it; what is not committed is rolled back."""
        opened.pop(self, None)
        self._ran("ROLLBACK")
        super().close()

    def __exit__(self, kind: type | None, *_: object) -> None:
        (self.rollback if kind else self.commit)()


def locks() -> list[str]:
    """Return which databases the transactions of this process have locked, and for what."""
    held = [one for one in opened if one.in_transaction and one.ran]
    return [f"{os.path.basename(one.file)} ({'write' if one.writes else 'read'})" for one in held]


def _ignore_timeouts(_: int, name: str, value: str | None, *__: object) -> int:
    return sqlite3.SQLITE_IGNORE if name == "busy_timeout" and value else sqlite3.SQLITE_OK


for _class, _made, _names in [
    (Cursor, _waiting, "execute executemany executescript fetchone fetchmany fetchall __next__"),
    (Connection, _by_a_cursor, "execute executemany executescript"),
    (Connection, _waiting, "commit rollback"),
    (Connection, _noted, "backup blobopen deserialize serialize set_trace_callback"),
]:
    for _name in set(_names.split()) & set(dir(_class)):
        setattr(_class, _name, _made(getattr(_class, _name)))
