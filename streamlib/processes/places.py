"""Where a turn may end beside the steps: before each SQL command; and what cannot be mixed at all.

Under a schedule each connection of a process, however it is made, tells of each command before
SQLite runs it, and may be held up there. An audit hook tells of files, sockets, processes, threads.
"""

import contextlib
import functools
import gc
import os
import re
import sqlite3
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

from streamlib.database import is_locked

Me = Any  # the handle that a worker gets, `child.Me`: it stands above this module

COMMENTS = re.compile(r"--[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
ENDS = ("commit", "end", "release")  # a transaction that ends may wait for readers to end theirs
MOST_OPEN = 20  # connections that nobody closed
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
UNMIXED = {  # what is not mixed, and the audit events that tell of it
    "files": "os.chmod os.link os.mkdir os.remove os.rename os.rmdir os.setxattr os.symlink "
    "os.truncate os.utime fcntl.flock fcntl.lockf msvcrt.locking",
    "memory": "mmap.__new__",
    "sockets": "socket.bind socket.connect socket.sendmsg socket.sendto",
    "processes": "os.exec os.fork os.forkpty os.kill os.posix_spawn os.spawn os.startfile "
    "os.system subprocess.Popen",
    "threads": "_thread.start_joinable_thread _thread.start_new_thread",
}
EVENTS = {event: kind for kind, events in UNMIXED.items() for event in events.split()}

_me: Me = None  # whose turns the commands of this process take
_here = (0, 0)  # the process and the thread that take them: others have no turns
_making = False  # one of our connections is being made
_connections: weakref.WeakSet = weakref.WeakSet()


def watch(me: Me) -> None:
    """Have the connections of this process tell `me` of their commands; note what is unmixed."""
    global _me, _here
    _me, _here = me, (os.getpid(), threading.get_ident())
    connect = functools.partial(sqlite3.connect, factory=Connection)
    for module in (sqlite3, sqlite3.dbapi2, sys.modules["_sqlite3"]):
        module.Connection, module.Cursor, module.connect = Connection, Cursor, connect
    sys.dont_write_bytecode = True  # what an import would write is no business of the worker
    sys.addaudithook(_audit)
    threading.setprofile(_in_a_thread)  # Python 3.11 has no audit event for it


def _audit(event: str, args: tuple) -> None:
    """Note what this process does beside the lab; Python calls it for each audit event."""
    if event == "sqlite3.connect" and not _making:
        _me.unmixed("such connections", "makes a connection that the lab cannot see")
    elif event == "open" and args[2] & WRITES and args[0] != os.devnull:
        _me.unmixed("files", f"writes {_name(args)}")
    elif event in EVENTS and _me.round:  # what loading a module does is over before the gate opens
        _me.unmixed(EVENTS[event], f"calls {event} {_name(args)}".strip())


def _name(args: tuple) -> str:
    named = args and isinstance(args[0], str | bytes)
    return os.path.basename(os.fsdecode(args[0])) if named else ""


def _in_a_thread(*_: object) -> None:
    sys.setprofile(None)
    _me.unmixed("threads", "starts a thread")


def undo() -> None:
    """Undo what a worker has left unfinished, as the end of its process would.

    Python closes a connection that nobody closed only when it collects garbage.
    """
    for connection in list(_connections):
        with contextlib.suppress(sqlite3.Error):  # it may be closed
            connection.rollback()
    if len(_connections) > MOST_OPEN:
        gc.collect()


def _takes_turns() -> bool:
    return _here == (os.getpid(), threading.get_ident())


def _words(command: str) -> list[str]:
    """Return the words of an SQL command, lower-case, without its comments."""
    return re.findall(r"\w+", COMMENTS.sub(" ", command).lower()) or ["nothing"]


def _waiting(method: Callable) -> Callable:
    """Return this method of a cursor or connection, made to wait where a lock refuses it."""

    @functools.wraps(method)
    def call(self, *args, **kwargs):
        connection = self if isinstance(self, sqlite3.Connection) else self.connection
        while True:
            told = connection.told
            try:
                return method(self, *args, **kwargs)
            except sqlite3.OperationalError as error:
                if not _takes_turns():
                    raise
                begun = connection.told > told  # otherwise it failed while it was prepared
                if not begun and _me.reaches(_words(str(args[0]))[0] if args else "commit"):
                    continue  # when its turn comes, perhaps it can be prepared
                once = begun and method.__name__ != "execute"  # part of it may be done
                how = connection.refusal(begun, once) if is_locked(error) else ""
                if not _me.waits(how):
                    raise

    return call


class Cursor(sqlite3.Cursor):
    """A cursor whose commands wait where a lock refuses them."""


class Connection(sqlite3.Connection):
    """A connection that tells of its commands; SQLite itself does not wait for a lock."""

    told = 0  # commands, so far
    last = ""  # the first word of the last one
    ran = 0  # commands in the present transaction that may have taken a lock
    _also: Callable | None = None  # the worker's own trace callback

    def __init__(self, *args, **kwargs) -> None:
        global _making
        _making = True
        try:
            super().__init__(*args, **kwargs)
        finally:
            _making = False
        super().execute("PRAGMA busy_timeout = 0")
        super().set_authorizer(_ignore_timeouts)
        super().create_function("streamlib_idle", 0, int)
        itself = weakref.ref(self)  # SQLite keeps the callback: it must not keep the connection
        super().set_trace_callback(lambda command: itself()._before(command))
        _connections.add(self)

    def _before(self, command: str) -> None:
        """Let the process's turn end here; SQLite calls this before it runs a command."""
        if self._also:
            self._also(command)
        if not _takes_turns():
            return
        self.told += 1
        if not self.in_transaction:
            self.ran = 0
        self.last, *more = _words(command)
        if self.last == "begin" and not {"immediate", "exclusive"} & set(more):
            return  # it takes no lock: it belongs to the command after it
        self.ran += self.last != "savepoint"
        if not _me.goes_on(self.last):
            self.interrupt()

    def refusal(self, begun: bool, once: bool) -> str:
        """Return how a lock refused the last command; see `child.Answer`.

        begun: it was told before; once: it cannot be run again, for a part of it may be done.
        """
        self.ran -= begun
        if self._holds_a_read():
            return "gave up" if begun and self.last in ENDS else "fails"
        return "gave up" if once else "waits"

    def _holds_a_read(self) -> bool:
        """Tell whether it is in a transaction that has read, or has an unfinished cursor."""
        if self.in_transaction and self.ran:
            return True
        try:
            super().create_function("streamlib_idle", 0, int)
        except sqlite3.OperationalError:
            return True  # SQLite refuses that while a cursor is unfinished
        return False

    def set_trace_callback(self, callback: Callable | None) -> None:
        """Call this, too, before each command."""
        self._also = callback

    def cursor(self, factory: type = Cursor) -> sqlite3.Cursor:
        """Return a cursor whose commands wait where a lock refuses them."""
        return super().cursor(factory)


def _silent(method: Callable) -> Callable:
    """Return this method of a connection, which runs no command that could be told, but noted."""

    @functools.wraps(method)
    def call(self, *args, **kwargs):
        _me.unmixed("such calls", f"calls {method.__name__} of a connection")
        return method(self, *args, **kwargs)

    return call


def _by_a_cursor(name: str) -> Callable:
    return lambda self, *args: getattr(self.cursor(), name)(*args)


for _name_ in ("execute", "executemany", "executescript"):
    setattr(Connection, _name_, _by_a_cursor(_name_))
    setattr(Cursor, _name_, _waiting(getattr(Cursor, _name_)))
for _name_ in ("fetchone", "fetchmany", "fetchall", "__next__"):
    setattr(Cursor, _name_, _waiting(getattr(Cursor, _name_)))
for _name_ in {"backup", "blobopen", "deserialize", "serialize"} & set(dir(Connection)):
    setattr(Connection, _name_, _silent(getattr(Connection, _name_)))
for _name_ in ("commit", "rollback", "__exit__"):
    setattr(Connection, _name_, _waiting(getattr(Connection, _name_)))


def _ignore_timeouts(action: int, name: str, value: str | None, *_: object) -> int:
    sets = action == sqlite3.SQLITE_PRAGMA and name.lower() == "busy_timeout" and value is not None
    return sqlite3.SQLITE_IGNORE if sets else sqlite3.SQLITE_OK
