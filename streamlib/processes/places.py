"""Where a turn may end beside the steps: before each SQL command; and what cannot be mixed at all.

Under a schedule each connection of a process, however it is made, tells of each command before
SQLite runs it, and may be held up there. An audit hook tells of files, sockets, processes, threads.
"""

import functools
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
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
UNMIXED = frozenset(  # audit events; see also `_audit`
    "fcntl.flock fcntl.lockf mmap.__new__ msvcrt.locking os.chmod os.exec os.fork os.forkpty "
    "os.kill os.link os.mkdir os.posix_spawn os.remove os.rename os.rmdir os.setxattr os.spawn "
    "os.startfile os.symlink os.system os.truncate os.utime socket.bind socket.connect "
    "socket.sendmsg socket.sendto subprocess.Popen _thread.start_new_thread".split()
)
SILENT = {"backup", "blobopen", "deserialize", "serialize"}  # they run no command

connections: weakref.WeakSet = weakref.WeakSet()
_me: Me = None  # whose turns the commands of this process take
_here = (0, 0)  # the process and the thread that take them: others have no turns
_making = False  # one of our connections is being made


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
        _me._note("makes a connection that the lab cannot see", "such connections")
    elif event == "open" and args[2] & WRITES and args[0] != os.devnull:
        _me._note(f"writes {os.path.basename(str(args[0]))}", "files")
    elif event in UNMIXED and _me.round:  # what loading a module does is over by then
        path = f" ({os.path.basename(args[0])})" if args and isinstance(args[0], str) else ""
        _me._note(f"calls {event}{path}", "such calls")


def _in_a_thread(*_: object) -> None:
    sys.setprofile(None)
    _me._note("starts a thread", "threads")


def takes_turns() -> bool:
    """Tell whether this is the thread and the process whose turns the lab grants."""
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
                if not takes_turns():
                    raise
                begun = connection.told > told  # otherwise it failed while it was prepared
                if not begun and _me._reaches(_words(str(args[0]))[0] if args else "commit"):
                    continue  # when its turn comes, perhaps it can be prepared
                once = begun and method.__name__ != "execute"  # a part of it may be done
                if not _me._waits(connection.refusal(begun, once) if is_locked(error) else ""):
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
        super().set_trace_callback(lambda command: itself()._tell(command))
        connections.add(self)

    def _tell(self, command: str) -> None:
        """Let the process's turn end here; SQLite calls this before it runs a command."""
        if takes_turns():
            self._before(command)
        if self._also:
            self._also(command)  # last: SQLite swallows what it raises

    def _before(self, command: str) -> None:
        self.told += 1
        if not self.in_transaction:
            self.ran = 0
        self.last, *more = _words(command)
        if self.last == "begin" and not {"immediate", "exclusive"} & set(more):
            return  # it takes no lock: it belongs to the command after it
        self.ran += self.last != "savepoint"
        if not _me._goes_on(self.last):
            self.interrupt()

    def refusal(self, begun: bool, once: bool) -> str:
        """Return how a lock refused the last command; see `child.Answer`.

        begun: it was told before; once: it cannot be run again.
        """
        self.ran -= begun
        reads = self.in_transaction and self.ran
        try:
            super().create_function("streamlib_idle", 0, int)
        except sqlite3.OperationalError:  # SQLite refuses that while a cursor is unfinished
            reads = True
        if reads:  # it cannot wait, unless it ends: then it waits for readers to end, too
            return "gave up" if begun and self.last in ("commit", "end", "release") else "fails"
        return "gave up" if once else "waits"

    def set_trace_callback(self, callback: Callable | None) -> None:
        """Call this, too, before each command."""
        self._also = callback

    def cursor(self, factory: type = Cursor) -> sqlite3.Cursor:
        """Return a cursor whose commands wait where a lock refuses them."""
        return super().cursor(factory)


def _by_a_cursor(name: str) -> Callable:
    return lambda self, *args: getattr(self.cursor(), name)(*args)


def _noted(name: str) -> Callable:
    def call(self, *args, **kwargs):
        _me._note(f"calls {name} of a connection", "such calls")
        return getattr(super(Connection, self), name)(*args, **kwargs)

    return call


for _name in ("execute", "executemany", "executescript"):
    setattr(Connection, _name, _by_a_cursor(_name))
    setattr(Cursor, _name, _waiting(getattr(Cursor, _name)))
for _name in ("fetchone", "fetchmany", "fetchall", "__next__"):
    setattr(Cursor, _name, _waiting(getattr(Cursor, _name)))
for _name in ("commit", "rollback", "__exit__"):
    setattr(Connection, _name, _waiting(getattr(Connection, _name)))
for _name in SILENT & set(dir(Connection)):
    setattr(Connection, _name, _noted(_name))


def _ignore_timeouts(action: int, name: str, value: str | None, *_: object) -> int:
    sets = action == sqlite3.SQLITE_PRAGMA and name.lower() == "busy_timeout" and value is not None
    return sqlite3.SQLITE_IGNORE if sets else sqlite3.SQLITE_OK
