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
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
UNMIXED = {  # what is not mixed: what a process does with it, and the audit events that tell so
    "files": (
        "changes {}",
        "os.link os.mkdir os.remove os.rename os.rmdir os.symlink os.truncate "
        "fcntl.flock fcntl.lockf msvcrt.locking",
    ),
    "sockets": ("uses a socket", "socket.bind socket.connect socket.sendmsg socket.sendto"),
    "processes": (
        "starts or signals a process",
        "os.exec os.fork os.forkpty os.kill os.posix_spawn os.spawn os.startfile os.system "
        "subprocess.Popen",
    ),
    "threads": ("starts a thread", "_thread.start_joinable_thread _thread.start_new_thread"),
}
ENDS = ("commit", "end", "release")  # a transaction that ends may wait for readers to end theirs
MOST_OPEN = 20  # connections that nobody closed
EVENTS = {event: kind for kind, (_, events) in UNMIXED.items() for event in events.split()}

_me: Me = None  # whose turns the commands of this process take
_here = (0, 0)  # the process and the thread that take them: others have no turns
_opened = 0  # connections that have been made but do not tell of their commands
_connections: weakref.WeakSet = weakref.WeakSet()
_loading: set | None = set()  # files that are written while the worker is loaded; None after that


def watch(me: Me) -> None:
    """Have the connections of this process tell `me` of their commands; note what is unmixed."""
    global _me, _here
    _me, _here = me, (os.getpid(), threading.get_ident())
    for module in (sqlite3, sqlite3.dbapi2, sys.modules["_sqlite3"]):
        module.Connection, module.Cursor, module.connect = Connection, Cursor, _connect
    sys.dont_write_bytecode = True  # what an import would write is no business of the worker
    sys.addaudithook(_audit)
    threading.setprofile(_in_a_thread)  # Python 3.11 has no audit event for it


def loaded() -> None:
    """Note the files that the worker's modules keep open; what else they did is no one's affair."""
    global _loading
    paths, _loading = _loading, None
    for path in paths:
        with contextlib.suppress(OSError, ValueError):
            if _is_open(path):
                _me.unmixed("files", f"keeps {_name(path)} open")


def _is_open(path: object) -> bool:
    file = os.stat(path)
    for number in range(256):
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(number), file):
                return True
    return False


def _audit(event: str, args: tuple) -> None:
    """Note what this process does beside the lab; Python calls it for each audit event."""
    global _opened
    if event == "sqlite3.connect":
        _opened += 1  # until the connection turns out to be one of ours
    elif event == "open" and args[2] & WRITES and args[0] != os.devnull:
        if _loading is None:
            _me.unmixed("files", f"writes {_name(args[0])}")
        else:
            _loading.add(args[0])
    elif _loading is None and (kind := EVENTS.get(event)):
        _me.unmixed(kind, UNMIXED[kind][0].format(_name(args[0])))


def _name(path: object) -> str:
    return os.path.basename(os.fsdecode(path)) if isinstance(path, str | bytes) else "a file"


def _in_a_thread(*_: object) -> None:
    sys.setprofile(None)
    if _loading is None:
        _me.unmixed("threads", UNMIXED["threads"][0])


def _takes_turns() -> bool:
    return _here == (os.getpid(), threading.get_ident())


def undo() -> None:
    """Undo what a worker has left unfinished, as the end of its process would.

    Python closes a connection that nobody closed only when it collects garbage.
    """
    for connection in list(_connections):
        with contextlib.suppress(sqlite3.Error):  # it may be closed
            connection.rollback()
    if len(_connections) > MOST_OPEN:
        gc.collect()


def unseen() -> bool:
    """Tell whether this process has a connection that does not tell of its commands."""
    return _opened > 0


def words(command: str) -> list[str]:
    """Return the words of an SQL command, lower-case, without its comments."""
    return re.findall(r"\w+", COMMENTS.sub(" ", command).lower()) or ["nothing"]


def _takes_its_turn(method: Callable) -> Callable:
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
                _me.leave_if_abandoned()
                begun = connection.told > told  # otherwise it failed while it was prepared
                command = words(args[0])[0] if args and isinstance(args[0], str) else "commit"
                if not begun and _me.reaches(command):
                    continue  # when its turn comes, perhaps it can be prepared
                once = begun and method.__name__ != "execute"  # part of it may be done
                if not (is_locked(error) and _me.refused(connection.refusal(begun, once))):
                    raise

    return call


def _unmixed(method: Callable) -> Callable:
    """Return this method of a connection, which tells of no command, made to say so."""

    @functools.wraps(method)
    def call(self, *args, **kwargs):
        _me.unmixed("such calls", f"calls {method.__name__} of a connection")
        return method(self, *args, **kwargs)

    return call


class Cursor(sqlite3.Cursor):
    """A cursor whose commands wait where a lock refuses them."""

    execute = _takes_its_turn(sqlite3.Cursor.execute)
    executemany = _takes_its_turn(sqlite3.Cursor.executemany)
    executescript = _takes_its_turn(sqlite3.Cursor.executescript)
    fetchone = _takes_its_turn(sqlite3.Cursor.fetchone)
    fetchmany = _takes_its_turn(sqlite3.Cursor.fetchmany)
    fetchall = _takes_its_turn(sqlite3.Cursor.fetchall)
    __next__ = _takes_its_turn(sqlite3.Cursor.__next__)


class Connection(sqlite3.Connection):
    """A connection that tells of its commands; SQLite itself does not wait for a lock."""

    told = 0  # commands, so far
    last = ""  # the first word of the last one
    ran = 0  # commands in the present transaction that may have taken a lock
    _also: Callable | None = None  # the worker's own trace callback

    def __init__(self, *args, **kwargs) -> None:
        global _opened
        super().__init__(*args, **kwargs)
        _opened -= 1
        super().execute("PRAGMA busy_timeout = 0")
        super().set_authorizer(_ignore_timeouts)
        super().create_function("streamlib_idle", 0, int)
        _connections.add(self)
        itself = weakref.ref(self)  # SQLite keeps the callback: it must not keep the connection
        super().set_trace_callback(lambda command: itself()._before(command))

    def _before(self, command: str) -> None:
        """Let the process's turn end here; SQLite calls this before it runs a command."""
        if self._also:
            self._also(command)
        if not _takes_turns():
            return
        self.told += 1
        if not self.in_transaction:
            self.ran = 0
        self.last, *more = words(command)
        if self.last == "begin" and not {"immediate", "exclusive"} & set(more):
            return  # it takes no lock: it belongs to the command after it
        self.ran += self.last != "savepoint"
        if not _me.goes_on(self.last):
            self.interrupt()

    def refusal(self, begun: bool, once: bool) -> str:
        """Return how a lock refused the last command; see `child.Answer`.

        begun: the command was told; once: it cannot be run again, for a part of it may be done.
        """
        self.ran -= begun
        if self._holds_a_read():
            return "gave up" if begun and self.last in ENDS else "fails"
        return "gave up" if once else "waits"

    def _holds_a_read(self) -> bool:
        if self.in_transaction and self.ran:
            return True
        try:
            super().create_function("streamlib_idle", 0, int)
        except sqlite3.OperationalError:
            return True  # a cursor is unfinished
        return False

    def set_trace_callback(self, callback: Callable | None) -> None:
        """Call this, too, before each command."""
        self._also = callback

    def cursor(self, factory: type = Cursor) -> sqlite3.Cursor:
        """Return a cursor whose commands wait where a lock refuses them."""
        return super().cursor(factory)

    def execute(self, *args) -> sqlite3.Cursor:
        return self.cursor().execute(*args)

    def executemany(self, *args) -> sqlite3.Cursor:
        return self.cursor().executemany(*args)

    def executescript(self, *args) -> sqlite3.Cursor:
        return self.cursor().executescript(*args)

    commit = _takes_its_turn(sqlite3.Connection.commit)
    rollback = _takes_its_turn(sqlite3.Connection.rollback)
    __exit__ = _takes_its_turn(sqlite3.Connection.__exit__)
    backup = _unmixed(sqlite3.Connection.backup)
    blobopen = _unmixed(sqlite3.Connection.blobopen)


def _connect(*args, **kwargs) -> sqlite3.Connection:
    factory = args[5] if len(args) > 5 else kwargs.get("factory", Connection)
    return factory(*args, **kwargs)


def _ignore_timeouts(action: int, name: str, value: str | None, *_: object) -> int:
    sets = action == sqlite3.SQLITE_PRAGMA and name.lower() == "busy_timeout" and value is not None
    return sqlite3.SQLITE_IGNORE if sets else sqlite3.SQLITE_OK
