"""Each SQL command is a place, however it is run; what the lab cannot mix is seen, and said."""

import mmap
import os
import socket
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing, suppress
from multiprocessing import shared_memory
from sqlite3 import connect as by_its_name

import cloudpickle
import pytest

from streamlib import database, processes, schedule
from streamlib.tests.conftest import counter, is_two

cloudpickle.register_pickle_by_value(sys.modules[__name__])
pytestmark = pytest.mark.usefixtures("nothing_left_behind")


class Mine(sqlite3.Connection):
    """A connection of the learner's own kind."""


def by_cursor(me):
    """Add one as notebook 1 does it."""
    connection = sqlite3.connect(me.db)
    cursor = connection.cursor()
    (value,) = cursor.execute("SELECT value FROM counter").fetchone()
    cursor.execute("UPDATE counter SET value = ?", (value + 1,))
    connection.commit()
    connection.close()


def with_a_block(me):
    """Let a block commit, and leave the connection open."""
    connection = sqlite3.connect(me.db)
    with connection:
        (value,) = connection.execute("SELECT value FROM counter").fetchone()
        connection.execute("UPDATE counter SET value = ?", (value + 1,))


def adds_one(connection):
    with closing(connection):
        ((value,),) = connection.execute("SELECT value FROM counter").fetchall()
        connection.execute("-- now\n UPDATE counter SET value = ?", (value + 1,))
        connection.commit()


def immediate(me):
    adds_one(sqlite3.connect(me.db, isolation_level="IMMEDIATE"))


PLAIN = {
    "a cursor, as in notebook 1": by_cursor,
    "a block": with_a_block,
    "connect, imported by its name": lambda me: adds_one(by_its_name(me.db)),
    "the class itself": lambda me: adds_one(sqlite3.Connection(me.db)),
    "a class of the learner's": lambda me: adds_one(sqlite3.connect(me.db, factory=Mine)),
    "the module behind sqlite3": lambda me: adds_one(sqlite3.dbapi2.connect(me.db, 5.0)),
}


@pytest.mark.parametrize("worker", PLAIN.values(), ids=PLAIN)
def test_the_commands_of_a_connection_are_places_however_it_was_made(worker):
    plan = {"P1": worker, "P2": worker}
    verdict = schedule.explore(plan, is_two, setup=counter)
    assert (verdict.verdict, verdict.explored, verdict.total) == ("broken", 8, 8)
    assert (len(verdict.broken), verdict.schedule) == (6, "1s 2s 2u 2c 1u 1c")
    run = processes.run(plan, schedule=verdict.schedule, setup=counter)
    assert (run.schedule, run.problems) == (verdict.schedule, []) and not is_two(run.db)


def test_a_begin_that_python_adds_is_a_place_if_it_takes_the_lock():
    verdict = schedule.explore({"P1": immediate, "P2": immediate}, is_two, setup=counter)
    assert (verdict.verdict, verdict.explored, len(verdict.broken)) == ("broken", 10, 8)
    assert verdict.schedule == "1s 2s 2b 2u 2c 1b 1u 1c"


def test_a_connection_that_autocommits_has_two_places():
    def worker(me):
        with closing(database.open(me)) as connection:
            (value,) = connection.execute("SELECT value FROM counter").fetchone()
            connection.execute("UPDATE counter SET value = ?", (value + 1,))

    verdict = schedule.explore({"P1": worker, "P2": worker}, is_two, setup=counter)
    assert (verdict.explored, verdict.total, len(verdict.broken)) == (6, 6, 4)
    assert verdict.schedule == "1s 2s 2u 1u"


def value(connection):
    return connection.execute("SELECT value FROM counter").fetchone()[0]


def exclusive(me):
    with closing(database.open(me)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("UPDATE counter SET value = ?", (value(connection) + 1,))
        connection.execute("COMMIT")


def impatient(me):
    """Nobody waits under a schedule, whatever timeout is asked for."""
    with closing(sqlite3.connect(me.db, 60, isolation_level=None)) as connection:
        connection.execute("PRAGMA busy_timeout = 60000")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE counter SET value = value + 1")
        connection.execute("COMMIT")


def attached(me):
    with closing(database.open(me)) as connection:
        connection.execute("ATTACH ? AS other", (f"{me.db}.other",))
        (number,) = connection.execute("PRAGMA other.user_version").fetchone()
        connection.execute(f"PRAGMA other.user_version = {number + 1}")


def other_is_two(db):
    with closing(sqlite3.connect(f"{db}.other")) as connection:
        return connection.execute("PRAGMA user_version").fetchone() == (2,)


def in_other(db):
    with closing(sqlite3.connect(f"{db}.other")) as connection:
        connection.execute("PRAGMA user_version = 0")


def many(me):
    """Each row is a command of its own where nobody has begun a transaction."""
    with closing(database.open(me)) as connection:
        connection.executemany("UPDATE counter SET value = value + ?", [(1,), (0,)])


def many_at_once(me):
    with closing(sqlite3.connect(me.db)) as connection, connection:
        connection.executemany("UPDATE counter SET value = value + ?", iter([(1,), (0,)]))


def script(me):
    with closing(database.open(me)) as connection:
        connection.executescript("BEGIN IMMEDIATE; UPDATE counter SET value = value + 1; COMMIT")


def returning(me):
    with closing(database.open(me)) as connection:
        connection.execute("UPDATE counter SET value = value + 1 RETURNING value").fetchone()


def unfinished(me):
    """A cursor that has more rows to give counts as a read: who holds it cannot wait."""
    with closing(database.open(me)) as connection:
        rows = connection.execute("SELECT value FROM counter UNION ALL SELECT 7 UNION ALL SELECT 8")
        connection.execute("UPDATE counter SET value = ?", (next(rows)[0] + 1,))


def deferred(me):
    with closing(database.open(me)) as connection:
        me.step("update")
        connection.execute("BEGIN")
        connection.execute("UPDATE counter SET value = ?", (value(connection) + 1,))
        connection.execute("COMMIT")


def swallows(me):
    """It asks again and again, which is how some wait."""
    with closing(database.open(me)) as connection:
        while not connection.in_transaction:
            with suppress(sqlite3.Error):
                connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE counter SET value = value + 1")
        connection.execute("COMMIT")


@pytest.mark.parametrize(
    ("worker", "verdict", "explored"),
    [
        (exclusive, "holds", 2),
        (impatient, "holds", 10),
        (many, "holds", 6),
        (many_at_once, "holds", 2),
        (script, "holds", 2),
        (returning, "holds", 2),
        (swallows, "holds", 2),
        (unfinished, "broken", 6),
        (deferred, "broken", 8),
    ],
)
def test_locks_are_as_sqlite_has_them(worker, verdict, explored):
    found = schedule.explore({"P1": worker, "P2": worker}, is_two, setup=counter)
    assert (found.verdict, found.explored, found.total) == (verdict, explored, explored)
    assert ("database is locked" in found.why) == (worker in (unfinished, deferred))


def test_another_file_and_a_pragma_are_mixed_too():
    verdict = schedule.explore({"P1": attached, "P2": attached}, other_is_two, setup=in_other)
    assert (verdict.verdict, verdict.schedule) == ("broken", "1a 1p 2a 2p 2p 1p")


def test_a_trigger_makes_several_places_of_one_command():
    def with_trigger(path):
        counter(path)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS log (value)")
            connection.execute(
                "CREATE TRIGGER logs AFTER UPDATE ON counter "
                "BEGIN INSERT INTO log VALUES (new.value); END"
            )

    def add(me):
        with closing(database.open(me)) as connection:
            connection.execute("UPDATE counter SET value = ?", (value(connection) + 1,))

    verdict = schedule.explore({"P1": add, "P2": add}, is_two, setup=with_trigger)
    assert verdict.verdict == "broken" and verdict.schedule.startswith("1s 2s 2u 2u")
    # SQLite tells of the update, of its trigger, and of the trigger's insert. Whoever updates first
    # has the lock for all three; the other may read at five moments, of which one is late enough.
    assert (verdict.explored, verdict.total, len(verdict.broken)) == (10, 10, 8)


def test_a_command_that_cannot_be_prepared_yet_has_its_place_all_the_same():
    def makes(me):
        with closing(database.open(me)) as connection:
            value(connection)
            connection.execute("CREATE TABLE more (a)")

    def uses(me):
        with closing(database.open(me)) as connection:
            value(connection)
            try:
                connection.execute("INSERT INTO more VALUES (1)")
            except sqlite3.OperationalError:
                connection.execute("UPDATE counter SET value = 2")

    def setup(path):
        counter(path)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("DROP TABLE IF EXISTS more")

    verdict = schedule.explore(
        {"P1": makes, "P2": uses}, lambda db: not is_two(db), setup=setup, seed=1
    )
    assert verdict.verdict == "broken"
    played = processes.history("explore")[-1].orders()["schedule"]
    assert {"1s 2s 1c 2i", "2s 1s 1c 2i"} < set(played)


def written(me):
    me.step("update")
    path = me.db.with_name("counter.txt")
    text = path.read_text(encoding="utf-8") if path.exists() else "0"
    path.write_text(str(int(text) + 1), encoding="utf-8")


def removed(me):
    me.step("update")
    me.db.with_name("counter.txt").unlink(missing_ok=True)


def appended(me):
    os.close(os.open(me.db.with_name("log.txt"), os.O_APPEND | os.O_WRONLY | os.O_CREAT))


def sent(me):
    with socket.socket(type=socket.SOCK_DGRAM) as sender:
        sender.sendto(b"1", ("127.0.0.1", 9))


def started(me):
    thread = threading.Thread(target=print)
    thread.start()
    thread.join()


def hidden(me):
    """A connection of the class that was there before the lab came."""
    sqlite3.Connection.__mro__[1](me.db).close()


def copied(me):
    with closing(sqlite3.connect(me.db)) as one, closing(sqlite3.connect(":memory:")) as other:
        one.backup(other)


def traced(me):
    with closing(sqlite3.connect(me.db)) as connection:
        connection.set_trace_callback(print)


def mapped(me):
    with open(me.db, "rb") as file:
        mmap.mmap(file.fileno(), 1, access=mmap.ACCESS_READ).close()


@pytest.mark.parametrize(
    ("worker", "what", "kind"),
    [
        (written, "writes counter.txt in step update", "files"),
        (removed, "calls os.remove (counter.txt) in step update", "such calls"),
        (appended, "writes log.txt before its first step", "files"),
        (sent, "calls socket.sendto before", "such calls"),
        (lambda me: subprocess.run([sys.executable, "-V"]), "calls subprocess.Popen", "such calls"),
        (lambda me: os.system(""), "calls os.system", "such calls"),
        (started, "starts a thread before", "such calls"),
        (hidden, "makes a connection that the lab cannot see before", "such calls"),
        (copied, "calls backup of a connection before", "such calls"),
        (traced, "calls set_trace_callback of a connection before", "such calls"),
        (mapped, "calls mmap.__new__ before", "such calls"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_what_is_not_mixed_is_seen_and_said(worker, what, kind):
    verdict = schedule.explore({"P1": worker}, lambda db: True)
    assert verdict.verdict == "unknown"
    assert verdict.why.startswith(f"P1 {what}")
    assert verdict.why.endswith(
        f"; the lab mixes steps and SQL commands, not what {kind} do between them"
    )


def test_what_only_reads_and_prints_hides_nothing():
    def harmless(me):
        me.step("read")
        print(me.db.read_bytes()[:6])
        with open(os.devnull, "w", encoding="utf-8") as nowhere:
            print("nothing", file=nowhere)
        import this  # noqa: F401 - which Python would keep as a .pyc file

    assert schedule.explore({"P1": harmless}, lambda db: True).verdict == "holds"


def test_a_file_that_a_module_opens_when_it_is_loaded_is_seen(monkeypatch, tmp_path):
    (tmp_path / "keeps_a_log.py").write_text(
        f"log = open({str(tmp_path / 'log.txt')!r}, 'a')\ndef worker(me): log.write('x')\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    import keeps_a_log

    verdict = schedule.explore({"P1": keeps_a_log.worker}, lambda db: True)
    keeps_a_log.log.close()
    assert verdict.verdict == "unknown" and "P1 writes log.txt" in verdict.why


def test_a_transaction_that_is_left_open_ends_with_its_round():
    def forgets(me):
        connection = sqlite3.connect(me.db)
        connection.execute("UPDATE counter SET value = ?", (value(connection) + 1,))

    verdict = schedule.explore({"P1": forgets, "P2": forgets}, is_two, setup=counter)
    assert (verdict.verdict, verdict.explored, len(verdict.broken)) == ("broken", 6, 6)


def test_a_worker_that_swallows_every_error_leaves_a_round_that_is_given_up(monkeypatch):
    monkeypatch.setattr(schedule.exploring, "MOST_TURNS", 4)

    def stubborn(me):
        with closing(database.open(me)) as connection:
            while True:
                try:
                    connection.execute("UPDATE counter SET value = value + 1")
                except sqlite3.Error:
                    print("again")

    verdict = schedule.explore({"P1": stubborn}, is_two, setup=counter)
    assert verdict.why == "a round was left after 4 turns: let each process end"
    run = processes.history("explore")[-1]
    assert run.problems == [] and run.stopped[0].endswith("P1 waits at update.")
    with closing(sqlite3.connect(run.db)) as connection:
        assert value(connection) == 4  # and no command more


def test_a_block_whose_commit_a_reader_holds_up_waits_for_it():
    def reads(me):
        with closing(database.open(me)) as connection:
            connection.execute("BEGIN")
            value(connection)
            connection.execute("COMMIT")

    def adds(me):
        with sqlite3.connect(me.db) as connection:
            connection.execute("UPDATE counter SET value = value + 1")

    verdict = schedule.explore({"P1": adds, "P2": reads}, lambda db: True, setup=counter)
    assert (verdict.verdict, verdict.explored, verdict.total) == ("holds", 4, 4)


def test_memory_that_a_worker_brings_along_is_seen_and_said():
    """It is mapped while the worker is loaded, before its first round."""
    with closing(shared_memory.SharedMemory(create=True, size=8)) as memory:

        def adds_one(me):
            memory.buf[0] += 1

        def zero(path):
            memory.buf[0] = 0

        plan = {"P1": adds_one, "P2": adds_one}
        found = schedule.explore(plan, lambda path: memory.buf[0] == 2, setup=zero)
        memory.unlink()
    assert found.verdict == "unknown" and "mmap" in found.why
