# ruff: noqa: E501  (a command is a line)
"""The anomaly of a broken schedule is called by its name, with the turns that collide.

The programs are lists of SQL commands. What each does wrong, and in which turns, was worked out by
hand from its commands and its simplest broken schedule. All of them are explored in two runs.
"""

import json
import sqlite3
import sys
from collections import Counter
from contextlib import ExitStack, closing

import cloudpickle
import pytest

from streamlib import processes, schedule

# Workers that stand here go to their processes by value: those are not to import all of this.
cloudpickle.register_pickle_by_value(sys.modules[__name__])
pytestmark = pytest.mark.usefixtures("nothing_left_behind")


def runs(text, isolation=None):
    """A worker that runs commands, split by semicolons; what they read, the later ones can use.

    "step x" is a step, "if x" goes on only if x was read as true, "assert x" raises an
    error if not, and "b: ..." uses the file b.db.
    """

    def worker(me):
        values, opened = {}, {}
        with ExitStack() as stack:
            for line in map(str.strip, text.split(";")):
                word, _, rest = line.partition(" ")
                if word == "step":
                    me.step(rest)
                elif word == "if" and not values[rest]:
                    return
                elif word == "assert":
                    assert values[rest]
                elif word != "if":
                    file, command = (word, rest) if word.endswith(":") else ("", line)
                    if file not in opened:
                        path = me.db.with_name(f"{file[:-1]}.db") if file else me.db
                        one = sqlite3.connect(path, isolation_level=isolation)
                        one.row_factory = sqlite3.Row
                        opened[file] = stack.enter_context(closing(one))
                    if command == "commit":
                        opened[file].commit()
                    else:
                        for row in opened[file].execute(command, values).fetchall():
                            values |= dict(row)

    return worker


def makes(text):
    """A setup that runs commands on new databases; "b: ..." is for b.db."""

    def setup(path):
        for old in path.parent.glob("*.db*"):
            old.unlink()
        for command in map(str.strip, text.split(";")):
            file = path
            if command[1:2] == ":":
                file, command = path.with_name(f"{command[0]}.db"), command[3:]
            with closing(sqlite3.connect(file, isolation_level=None)) as connection:
                connection.execute(command)

    return setup


def is_true(query):
    """An invariant: the first value that the query finds is true; "b: ..." asks b.db."""

    def invariant(path):
        file, sql = path, query
        if query[1] == ":":
            file, sql = path.with_name(f"{query[0]}.db"), query[3:]
        with closing(sqlite3.connect(file)) as connection:
            return bool(connection.execute(sql).fetchone()[0])

    return invariant


def runs_what_is_written(me):
    """Run the program that stands for this process in a file beside the database."""
    text, isolation = json.loads(me.db.with_name("programs.json").read_text("utf-8"))[me.name]
    runs(text, isolation)(me)


@pytest.fixture(scope="module")
def verdicts():
    """The verdict on each program; those of equally many workers share the processes of one run."""
    found, run = {}, processes.run
    for size in (1, 2, 3):
        cases = {n: case for n, case in PROGRAMS.items() if len(case["workers"]) == size}
        plan = {f"P{n}": runs_what_is_written for n in range(1, size + 1)}

        def play(session, cases=cases, plan=plan):
            file = session.db.with_name("programs.json")
            for name, case in cases.items():
                texts = [(text, case["isolation"]) for text in case["workers"]]
                file.write_text(json.dumps(dict(zip(plan, texts, strict=True))), encoding="utf-8")
                session._setup = makes(case["setup"])
                session.children.problems.clear()
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(processes, "run", lambda _, schedule, **__: schedule(session))
                    asks = is_true(case["wanted"])
                    found[name] = schedule.explore(plan, asks, setup=session._setup)
            file.unlink()

        run(plan, schedule=play, setup=lambda path: None)
    return found


def case(setup, wanted, *workers, isolation=None, said=("", "")):
    """A program, the query that is to be true, and what is to be said: schedule and anomaly."""
    return {
        "setup": setup,
        "wanted": wanted,
        "workers": workers,
        "isolation": isolation,
        "said": said,
    }


COUNTER = "CREATE TABLE counter (value); INSERT INTO counter VALUES (0)"
STOCK = (
    "CREATE TABLE stock (name TEXT PRIMARY KEY, n); INSERT INTO stock VALUES ('ink', 5), ('pen', 7)"
)
BANK = "CREATE TABLE bank (name, money); INSERT INTO bank VALUES ('Ann', 100), ('Bob', 100)"
SEEN = "; CREATE TABLE seen (what, then_)"
PAIR = "CREATE TABLE pair (a, b); INSERT INTO pair VALUES (1, 1)"
ADDS = "SELECT value FROM counter; UPDATE counter SET value = :value + 1"
INK = "SELECT n FROM stock WHERE name = 'ink'"
SEAT = "CREATE TABLE seat (number, owner); INSERT INTO seat VALUES (12, NULL)"
DUTY = "CREATE TABLE duty (name TEXT PRIMARY KEY, there); INSERT INTO duty VALUES ('Ann', 1), ('Bob', 1)"
LEAVES = "SELECT count(*) > 1 AS more FROM duty WHERE there; if more; UPDATE duty SET there = 0 WHERE name = "
MOVES = "UPDATE bank SET money = money - 10 WHERE name = 'Ann'; UPDATE bank SET money = money + 10 WHERE name = 'Bob'"
LOCKED = "BEGIN IMMEDIATE; {}; COMMIT"
TELLS = "INSERT INTO seen VALUES (:what, :then_)"
SAME = "SELECT count(*) = 0 FROM seen WHERE what <> then_"

BUGS = {
    "a counter": case(
        COUNTER,
        "SELECT value = 2 FROM counter",
        ADDS,
        ADDS,
        said=(
            "1s 2s 2u 1u",
            "lost update: P1 read value 0 in turn 1, P2 wrote 1 in turn 3, P1 wrote over it in turn 4",
        ),
    ),
    "a counter of three": case(
        COUNTER,
        "SELECT value = 3 FROM counter",
        ADDS,
        ADDS,
        ADDS,
        said=(
            "1s 1u 2s 3s 3u 2u",
            "lost update: P2 read value 1 in turn 3, P3 wrote 2 in turn 5, P2 wrote over it in turn 6",
        ),
    ),
    "a counter with steps": case(
        COUNTER,
        "SELECT value = 2 FROM counter",
        *[
            "step look; SELECT value FROM counter; step add; step store; UPDATE counter SET value = :value + 1"
        ]
        * 2,
        said=(
            "1l 1a 2l 2a 2s 1s",
            "lost update: P1 read value 0 in turn 1, P2 wrote 1 in turn 5, P1 wrote over it in turn 6",
        ),
    ),
    "a counter in implicit transactions": case(
        COUNTER,
        "SELECT value = 2 FROM counter",
        *[ADDS + "; commit"] * 2,
        isolation="",
        said=(
            "1s 2s 2u 2c 1u 1c",
            "lost update: P1 read value 0 in turn 1, P2 wrote 1 in turn 3 (committed in turn 4), P1 wrote over it in turn 5",
        ),
    ),
    "a counter in WAL mode": case(
        COUNTER + "; PRAGMA journal_mode = WAL",
        "SELECT value = 2 FROM counter",
        ADDS,
        ADDS,
        said=(
            "1s 2s 2u 1u",
            "lost update: P1 read value 0 in turn 1, P2 wrote 1 in turn 3, P1 wrote over it in turn 4",
        ),
    ),
    "a lock taken too late": case(
        COUNTER,
        "SELECT value = 2 FROM counter",
        *[
            "SELECT value FROM counter; BEGIN IMMEDIATE; UPDATE counter SET value = :value + 1; COMMIT"
        ]
        * 2,
        said=(
            "1s 2s 2b 2u 2c 1b 1u 1c",
            "lost update: P1 read value 0 in turn 1, P2 wrote 1 in turn 4 (committed in turn 5), P1 wrote over it in turn 7",
        ),
    ),
    "only one takes the lock": case(
        COUNTER,
        "SELECT value = 2 FROM counter",
        ADDS,
        LOCKED.format(ADDS),
        said=(
            "1s 2b 2s 2u 2c 1u",
            "lost update: P1 read value 0 in turn 1, P2 wrote 1 in turn 4 (committed in turn 5), P1 wrote over it in turn 6",
        ),
    ),
    "one adds at once": case(
        COUNTER,
        "SELECT value = 2 FROM counter",
        ADDS,
        "UPDATE counter SET value = value + 1",
        said=(
            "1s 2u 1u",
            "lost update: P1 read value 0 in turn 1, P2 wrote 1 in turn 2, P1 wrote over it in turn 3",
        ),
    ),
    "a key that is text": case(
        STOCK,
        "SELECT n = 2 FROM stock WHERE name = 'ink'",
        INK + "; UPDATE stock SET n = :n - 1 WHERE name = 'ink'",
        INK + "; UPDATE stock SET n = :n - 2 WHERE name = 'ink'",
        said=(
            "1s 2s 2u 1u",
            "lost update: P1 read n 5 in turn 1, P2 wrote 3 in turn 3, P1 wrote over it in turn 4",
        ),
    ),
    "REPLACE": case(
        STOCK,
        "SELECT n = 3 FROM stock WHERE name = 'ink'",
        *[INK + "; REPLACE INTO stock VALUES ('ink', :n - 1)"] * 2,
        said=(
            "1s 2s 2r 1r",
            "lost update: P1 read n 5 in turn 1, P2 inserted a row in turn 3, P1 wrote over it in turn 4",
        ),
    ),
    "an upsert": case(
        STOCK,
        "SELECT n = 3 FROM stock WHERE name = 'ink'",
        *[
            INK
            + "; INSERT INTO stock VALUES ('ink', :n - 1) ON CONFLICT DO UPDATE SET n = excluded.n"
        ]
        * 2,
        said=(
            "1s 2s 2i 1i",
            "lost update: P1 read n 5 in turn 1, P2 wrote 4 in turn 3, P1 wrote over it in turn 4",
        ),
    ),
    "a seat sold twice": case(
        SEAT + SEEN,
        "SELECT count(*) = 1 FROM seen",
        *[
            f"SELECT owner IS NULL AS free FROM seat; if free; UPDATE seat SET owner = '{who}'; INSERT INTO seen VALUES ('{who}', 12)"
            for who in ("Ann", "Bob")
        ],
        said=(
            "1s 2s 2u 2i 1u 1i",
            "lost update: P1 read free 1 in turn 1, P2 wrote 'Bob' in turn 3, P1 wrote over it in turn 5",
        ),
    ),
    "one left, sold twice": case(
        "CREATE TABLE stock (n); INSERT INTO stock VALUES (1)",
        "SELECT n >= 0 FROM stock",
        *["SELECT n > 0 AS left FROM stock; if left; UPDATE stock SET n = n - 1"] * 2,
        said=(
            "1s 2s 2u 1u",
            "lost update: P1 read left 1 in turn 1, P2 wrote 0 in turn 3, P1 wrote over it in turn 4",
        ),
    ),
    "a whole row is written": case(
        PAIR,
        "SELECT a = 2 AND b = 2 FROM pair",
        "SELECT a, b FROM pair; UPDATE pair SET a = :a + 1, b = :b",
        "SELECT a, b FROM pair; UPDATE pair SET a = :a, b = :b + 1",
        said=(
            "1s 2s 2u 1u",
            "lost update: P1 read a 1, b 1 in turn 1, P2 wrote 1 and 2 in turn 3, P1 wrote over it in turn 4",
        ),
    ),
    "words are added": case(
        "CREATE TABLE note (words); INSERT INTO note VALUES ('')",
        "SELECT length(words) = 6 FROM note",
        *[
            f"SELECT words FROM note; UPDATE note SET words = :words || '{who}'"
            for who in ("Ann", "Bob")
        ],
        said=(
            "1s 2s 2u 1u",
            "lost update: P1 read words '' in turn 1, P2 wrote 'Bob' in turn 3, P1 wrote over it in turn 4",
        ),
    ),
    "a counter in another file": case(
        COUNTER + "; b: CREATE TABLE many (n); b: INSERT INTO many VALUES (0)",
        "b: SELECT n = 2 FROM many",
        *["b: SELECT n FROM many; b: UPDATE many SET n = :n + 1"] * 2,
        said=(
            "1s 2s 2u 1u",
            "lost update: P1 read n 0 in turn 1, P2 wrote 1 in turn 3, P1 wrote over it in turn 4",
        ),
    ),
    "deleted as empty": case(
        "CREATE TABLE stock (name TEXT PRIMARY KEY, n); INSERT INTO stock VALUES ('ink', 0)",
        "SELECT count(*) FROM stock",
        "SELECT n = 0 AS gone FROM stock; if gone; DELETE FROM stock WHERE name = 'ink'",
        "INSERT INTO stock VALUES ('ink', 5) ON CONFLICT DO UPDATE SET n = n + 5",
        said=(
            "1s 2i 1d",
            "lost update: P1 read gone 1 in turn 1, P2 wrote 5 in turn 2, P1 wrote over it in turn 3",
        ),
    ),
    "a sum between two updates": case(
        BANK + SEEN,
        "SELECT count(*) = 0 FROM seen WHERE what <> 200",
        MOVES,
        "SELECT sum(money) AS what FROM bank; INSERT INTO seen VALUES (:what, 0)",
        said=(
            "1u 2s 2i 1u",
            "half of a change seen: P1 wrote 90 in turn 1, P2 read what 190 in turn 2, P1 wrote 110 in turn 4",
        ),
    ),
    "two reads around a transaction": case(
        BANK + SEEN,
        "SELECT count(*) = 0 FROM seen WHERE what + then_ <> 200",
        LOCKED.format(MOVES),
        "SELECT money AS what FROM bank WHERE name = 'Ann'; SELECT money AS then_ FROM bank WHERE name = 'Bob'; "
        + TELLS,
        said=(
            "2s 1b 1u 1u 1c 2s 2i",
            "half of a change seen: P2 read what 100 in turn 1, P1 wrote 90 in turn 3 (committed in turn 5), P1 wrote 110 in turn 4 (committed in turn 5), P2 read then_ 110 in turn 6",
        ),
    ),
    "two tables": case(
        "CREATE TABLE orders (id); CREATE TABLE lines (id)" + SEEN,
        SAME,
        "INSERT INTO orders VALUES (1); INSERT INTO lines VALUES (1)",
        "SELECT count(*) AS what FROM orders; SELECT count(*) AS then_ FROM lines; " + TELLS,
        said=(
            "1i 2s 2s 2i 1i",
            "half of a change seen: P1 inserted a row in turn 1, P2 read what 1 in turn 2, P2 read then_ 0 in turn 3, P1 inserted a row in turn 5",
        ),
    ),
    "two columns": case(
        PAIR + SEEN,
        SAME,
        "UPDATE pair SET a = 2, b = 2",
        "SELECT a AS what FROM pair; SELECT b AS then_ FROM pair; " + TELLS,
        said=(
            "2s 1u 2s 2i",
            "half of a change seen: P2 read what 1 in turn 1, P1 wrote 2 in turn 2, P2 read then_ 2 in turn 3",
        ),
    ),
    "two rows of one UPDATE": case(
        BANK + SEEN,
        SAME,
        "SELECT money AS what FROM bank WHERE name = 'Ann'; SELECT money AS then_ FROM bank WHERE name = 'Bob'; "
        + TELLS,
        "UPDATE bank SET money = money * 2",
        said=(
            "1s 2u 1s 1i",
            "half of a change seen: P1 read what 100 in turn 1, P2 wrote 200 in turn 2, P1 read then_ 200 in turn 3",
        ),
    ),
    "two files": case(
        COUNTER + SEEN + "; b: CREATE TABLE many (n); b: INSERT INTO many VALUES (0)",
        SAME,
        "UPDATE counter SET value = 1; b: UPDATE many SET n = 1",
        "SELECT value AS what FROM counter; b: SELECT n AS then_ FROM many; " + TELLS,
        said=(
            "1u 2s 2s 2i 1u",
            "half of a change seen: P1 wrote 1 in turn 1, P2 read what 1 in turn 2, P2 read then_ 0 in turn 3, P1 wrote 1 in turn 5",
        ),
    ),
    "INSERT SELECT": case(
        BANK + SEEN,
        "SELECT coalesce(sum(what), 200) = 200 FROM seen",
        MOVES,
        "INSERT INTO seen SELECT money, 0 FROM bank WHERE name = 'Ann'; INSERT INTO seen SELECT money, 0 FROM bank WHERE name = 'Bob'",
        said=(
            "1u 2i 2i 1u",
            "half of a change seen: P1 wrote 90 in turn 1, P2 read money 90, 0 0 in turn 2, P2 read money 100, 0 0 in turn 3, P1 wrote 110 in turn 4",
        ),
    ),
    "a book between shelf and desk": case(
        "CREATE TABLE shelf (book); INSERT INTO shelf VALUES ('Emma'); CREATE TABLE desk (book)"
        + SEEN,
        "SELECT count(*) = 0 FROM seen WHERE what = 0",
        "DELETE FROM shelf; INSERT INTO desk VALUES ('Emma')",
        "SELECT (SELECT count(*) FROM shelf) + (SELECT count(*) FROM desk) AS what; INSERT INTO seen VALUES (:what, 0)",
        said=(
            "1d 2s 2i 1i",
            "half of a change seen: P1 deleted a row in turn 1, P2 read what 0 in turn 2, P1 inserted a row in turn 4",
        ),
    ),
    "one shoe, three processes": case(
        "CREATE TABLE shoes (side)" + SEEN,
        "SELECT count(*) = 0 FROM seen WHERE what = 1",
        "INSERT INTO shoes VALUES ('left'); INSERT INTO shoes VALUES ('right')",
        "SELECT count(*) AS what FROM shoes; INSERT INTO seen VALUES (:what, 0)",
        "INSERT INTO seen VALUES (2, 2)",
        said=(
            "1i 2s 2i 1i 3i",
            "half of a change seen: P1 inserted a row in turn 1, P2 read what 1 in turn 2, P1 inserted a row in turn 4",
        ),
    ),
    "two columns, implicit transactions": case(
        PAIR + SEEN,
        SAME,
        "UPDATE pair SET a = 2; UPDATE pair SET b = 2; commit",
        "SELECT a AS what FROM pair; SELECT b AS then_ FROM pair; " + TELLS + "; commit",
        isolation="",
        said=(
            "2s 1u 1u 1c 2s 2i 2c",
            "half of a change seen: P2 read what 1 in turn 1, P1 wrote 2 in turn 2 (committed in turn 4), P1 wrote 2 in turn 3 (committed in turn 4), P2 read then_ 2 in turn 5",
        ),
    ),
    "a value read twice": case(
        COUNTER + SEEN,
        SAME,
        "SELECT value AS what FROM counter; SELECT value AS then_ FROM counter; " + TELLS,
        "UPDATE counter SET value = 1",
        said=(
            "1s 2u 1s 1i",
            "non-repeatable read: P1 read what 0 in turn 1, P2 wrote 1 in turn 2, P1 read then_ 1 in turn 3",
        ),
    ),
    "a phantom row": case(
        BANK + SEEN,
        SAME,
        "INSERT INTO bank VALUES ('Cid', 5)",
        "SELECT count(*) AS what FROM bank; SELECT count(*) AS then_ FROM bank; " + TELLS,
        said=(
            "2s 1i 2s 2i",
            "non-repeatable read: P2 read what 2 in turn 1, P1 inserted a row in turn 2, P2 read then_ 3 in turn 3",
        ),
    ),
    "a sum and a count": case(
        BANK + SEEN,
        "SELECT count(*) = 0 FROM seen WHERE what <> 100 * then_",
        "INSERT INTO bank VALUES ('Cid', 100)",
        "SELECT sum(money) AS what FROM bank; SELECT count(*) AS then_ FROM bank; " + TELLS,
        said=(
            "2s 1i 2s 2i",
            "non-repeatable read: P2 read what 200 in turn 1, P1 inserted a row in turn 2, P2 read then_ 3 in turn 3",
        ),
    ),
    "a row gone": case(
        STOCK + SEEN,
        SAME,
        "SELECT count(*) AS what FROM stock WHERE name = 'ink'; SELECT count(*) AS then_ FROM stock WHERE name = 'ink'; "
        + TELLS,
        "DELETE FROM stock WHERE name = 'ink'",
        said=(
            "1s 2d 1s 1i",
            "non-repeatable read: P1 read what 1 in turn 1, P2 deleted a row in turn 2, P1 read then_ 0 in turn 3",
        ),
    ),
    "a value read twice around a lock": case(
        STOCK + SEEN,
        SAME,
        "SELECT n AS what FROM stock WHERE name = 'pen'; SELECT n AS then_ FROM stock WHERE name = 'pen'; "
        + TELLS,
        "BEGIN IMMEDIATE; UPDATE stock SET n = n - 1 WHERE name = 'pen'; COMMIT",
        said=(
            "1s 2b 2u 2c 1s 1i",
            "non-repeatable read: P1 read what 7 in turn 1, P2 wrote 6 in turn 3 (committed in turn 4), P1 read then_ 6 in turn 5",
        ),
    ),
    "a value read twice, three processes": case(
        COUNTER + SEEN,
        SAME,
        "step first; SELECT value AS what FROM counter; step second; SELECT value AS then_ FROM counter; step tell; "
        + TELLS,
        "step add; UPDATE counter SET value = value + 1",
        "step other; INSERT INTO seen VALUES (3, 3)",
        said=(
            "1f 2a 1s 1t 3o",
            "non-repeatable read: P1 read what 0 in turn 1, P2 wrote 1 in turn 2, P1 read then_ 1 in turn 3",
        ),
    ),
    "the last on duty leaves": case(
        DUTY,
        "SELECT sum(there) FROM duty",
        LEAVES + "'Ann'",
        LEAVES + "'Bob'",
        said=(
            "1s 2s 2u 1u",
            "write skew: P1 read more 1 in turn 1, P2 read more 1 in turn 2, P2 wrote 0 in turn 3, P1 wrote 0 in turn 4",
        ),
    ),
    "the lock after the look": case(
        DUTY,
        "SELECT sum(there) FROM duty",
        *[
            LEAVES.replace("if more; ", "if more; BEGIN IMMEDIATE; ") + f"'{who}'; COMMIT"
            for who in ("Ann", "Bob")
        ],
        said=(
            "1s 2s 2b 2u 2c 1b 1u 1c",
            "write skew: P1 read more 1 in turn 1, P2 read more 1 in turn 2, P2 wrote 0 in turn 4 (committed in turn 5), P1 wrote 0 in turn 7 (committed in turn 8)",
        ),
    ),
    "overdrawn": case(
        BANK,
        "SELECT sum(money) >= 0 FROM bank",
        *[
            f"SELECT sum(money) >= 150 AS enough FROM bank; if enough; UPDATE bank SET money = money - 150 WHERE name = '{who}'"
            for who in ("Ann", "Bob")
        ],
        said=(
            "1s 2s 2u 1u",
            "write skew: P1 read enough 1 in turn 1, P2 read enough 1 in turn 2, P2 wrote -50 in turn 3, P1 wrote -50 in turn 4",
        ),
    ),
    "a name taken twice": case(
        "CREATE TABLE users (name)",
        "SELECT count(*) = 1 FROM users",
        *[
            "SELECT count(*) = 0 AS free FROM users WHERE name = 'ann'; if free; INSERT INTO users VALUES ('ann')"
        ]
        * 2,
        said=(
            "1s 2s 2i 1i",
            "write skew: P1 read free 1 in turn 1, P2 read free 1 in turn 2, P2 inserted a row in turn 3, P1 inserted a row in turn 4",
        ),
    ),
    "the same number twice": case(
        "CREATE TABLE tickets (n)",
        "SELECT count(DISTINCT n) = 2 FROM tickets",
        *["SELECT coalesce(max(n), 0) + 1 AS next FROM tickets; INSERT INTO tickets VALUES (:next)"]
        * 2,
        said=(
            "1s 2s 2i 1i",
            "write skew: P1 read next 1 in turn 1, P2 read next 1 in turn 2, P2 inserted a row in turn 3, P1 inserted a row in turn 4",
        ),
    ),
    "two columns of a row": case(
        PAIR,
        "SELECT a + b > 0 FROM pair",
        "SELECT b FROM pair; if b; UPDATE pair SET a = 0",
        "SELECT a FROM pair; if a; UPDATE pair SET b = 0",
        said=(
            "1s 2s 2u 1u",
            "write skew: P1 read b 1 in turn 1, P2 read a 1 in turn 2, P2 wrote 0 in turn 3, P1 wrote 0 in turn 4",
        ),
    ),
    "a cat and a dog": case(
        "CREATE TABLE cats (name); CREATE TABLE dogs (name)",
        "SELECT (SELECT count(*) FROM cats) + (SELECT count(*) FROM dogs) = 1",
        "SELECT count(*) = 0 AS none FROM dogs; if none; INSERT INTO cats VALUES ('Tom')",
        "SELECT count(*) = 0 AS none FROM cats; if none; INSERT INTO dogs VALUES ('Rex')",
        said=(
            "1s 2s 2i 1i",
            "write skew: P1 read none 1 in turn 1, P2 read none 1 in turn 2, P2 inserted a row in turn 3, P1 inserted a row in turn 4",
        ),
    ),
    "the last on duty, three processes": case(
        DUTY + "; INSERT INTO duty VALUES ('Cid', 0)",
        "SELECT sum(there) FROM duty",
        LEAVES + "'Ann'",
        LEAVES + "'Cid'",
        LEAVES + "'Bob'",
        said=(
            "1s 2s 2u 3s 3u 1u",
            "write skew: P1 read more 1 in turn 1, P3 read more 1 in turn 4, P3 wrote 0 in turn 5, P1 wrote 0 in turn 6",
        ),
    ),
    "crossed": case(
        "CREATE TABLE t (x)",
        "SELECT 1",
        "a: BEGIN IMMEDIATE; b: BEGIN IMMEDIATE",
        "b: BEGIN IMMEDIATE; a: BEGIN IMMEDIATE",
        said=(
            "1b 2b",
            "deadlock: P1 locked a.db (write) in turn 1, P2 locked b.db (write) in turn 2, and now all wait",
        ),
    ),
    "crossed, with steps": case(
        "CREATE TABLE t (x)",
        "SELECT 1",
        "step first; a: BEGIN IMMEDIATE; step second; b: BEGIN IMMEDIATE",
        "step first; b: BEGIN IMMEDIATE; step second; a: BEGIN IMMEDIATE",
        said=(
            "1f 2f",
            "deadlock: P1 locked a.db (write) in turn 1, P2 locked b.db (write) in turn 2, and now all wait",
        ),
    ),
    "a ring of three": case(
        "CREATE TABLE t (x)",
        "SELECT 1",
        "a: BEGIN IMMEDIATE; b: BEGIN IMMEDIATE",
        "b: BEGIN IMMEDIATE; c: BEGIN IMMEDIATE",
        "c: BEGIN IMMEDIATE; a: BEGIN IMMEDIATE",
        said=(
            "1b 2b 3b",
            "deadlock: P1 locked a.db (write) in turn 1, P2 locked b.db (write) in turn 2, P3 locked c.db (write) in turn 3, and now all wait",
        ),
    ),
    "crossed by updates": case(
        COUNTER + "; b: CREATE TABLE many (n); b: INSERT INTO many VALUES (0)",
        "SELECT 1",
        "BEGIN; UPDATE counter SET value = 1; b: UPDATE many SET n = 1; COMMIT",
        "b: BEGIN; b: UPDATE many SET n = 2; UPDATE counter SET value = 2; b: COMMIT",
        said=(
            "1u 2u",
            "deadlock: P1 locked lab.db (write) in turn 1, P2 locked b.db (write) in turn 2, and now all wait",
        ),
    ),
    "a process and itself": case(
        "CREATE TABLE t (x)",
        "SELECT 1",
        "a: BEGIN IMMEDIATE; ./a: BEGIN IMMEDIATE",
        said=("1b", "deadlock: P1 locked a.db (write) in turn 1, and now all wait"),
    ),
    "crossed, and a third process": case(
        COUNTER,
        "SELECT 1",
        "a: BEGIN EXCLUSIVE; b: BEGIN EXCLUSIVE",
        "b: BEGIN EXCLUSIVE; a: BEGIN EXCLUSIVE",
        "UPDATE counter SET value = 1",
        said=(
            "1b 2b 3u",
            "deadlock: P1 locked a.db (write) in turn 1, P2 locked b.db (write) in turn 2, and now all wait",
        ),
    ),
    "a sum that is asserted": case(
        BANK,
        "SELECT 1",
        MOVES,
        "SELECT sum(money) = 200 AS whole FROM bank; assert whole",
        said=(
            "1u 2s 1u",
            "half of a change seen: P1 wrote 90 in turn 1, P2 read whole 0 in turn 2, P1 wrote 110 in turn 3",
        ),
    ),
    "a value that is asserted": case(
        COUNTER,
        "SELECT 1",
        "UPDATE counter SET value = 1",
        "SELECT value AS a FROM counter; SELECT value = :a AS same FROM counter; assert same",
        said=(
            "2s 1u 2s",
            "non-repeatable read: P2 read a 0 in turn 1, P1 wrote 1 in turn 2, P2 read same 0 in turn 3",
        ),
    ),
    "a key of two columns": case(
        "CREATE TABLE s (a TEXT, b TEXT, n, PRIMARY KEY (a, b)) WITHOUT ROWID; INSERT INTO s VALUES ('x', 'y', 1)",
        "SELECT n = 3 FROM s",
        *["SELECT n FROM s WHERE b = 'y'; UPDATE s SET n = :n + 1 WHERE a = 'x' AND b = 'y'"] * 2,
        said=(
            "1s 2s 2u 1u",
            "lost update: P1 read n 1 in turn 1, P2 wrote 2 in turn 3, P1 wrote over it in turn 4",
        ),
    ),
    "a view": case(
        BANK + SEEN + "; CREATE VIEW total AS SELECT sum(money) AS what FROM bank",
        "SELECT count(*) = 0 FROM seen WHERE what <> 200",
        MOVES,
        "SELECT what FROM total; INSERT INTO seen VALUES (:what, 0)",
        said=(
            "1u 2s 2i 1u",
            "half of a change seen: P1 wrote 90 in turn 1, P2 read what 190 in turn 2, P1 wrote 110 in turn 4",
        ),
    ),
}
NAMELESS = {  # broken, but by none of the five
    "wrong from the start": case(
        COUNTER, "SELECT value = 3 FROM counter", ADDS, ADDS, said=("1s 1u 2s 2u", "")
    ),
    "another order": case(
        COUNTER,
        "SELECT value = 2 FROM counter",
        "UPDATE counter SET value = 1",
        "UPDATE counter SET value = 2",
        said=("2u 1u", ""),
    ),
    "too late to see it": case(
        COUNTER,
        "SELECT value = 1 FROM counter",
        "SELECT value FROM counter; if value; UPDATE counter SET value = 5",
        "UPDATE counter SET value = 1",
        said=("2u 1s 1u", ""),
    ),
    "refused at once": case(
        COUNTER,
        "SELECT 1",
        *["BEGIN; SELECT value FROM counter; UPDATE counter SET value = :value + 1; COMMIT"] * 2,
        said=("1s 1u 2s 2u 1c", ""),
    ),
    "a unique name": case(
        "CREATE TABLE users (name PRIMARY KEY)",
        "SELECT count(*) = 1 FROM users",
        *[
            "SELECT count(*) = 0 AS free FROM users WHERE name = 'ann'; if free; INSERT INTO users VALUES ('ann')"
        ]
        * 2,
        said=("1s 2s 2i 1i", ""),
    ),
    "blind writes": case(
        PAIR,
        "SELECT a = b FROM pair",
        "UPDATE pair SET a = 2; UPDATE pair SET b = 2",
        "UPDATE pair SET a = 3; UPDATE pair SET b = 3",
        said=("1u 2u 2u 1u", ""),
    ),
    "a job done twice": case(
        "CREATE TABLE jobs (id); INSERT INTO jobs VALUES (1); CREATE TABLE done (id)",
        "SELECT count(*) = 1 FROM done",
        *[
            "SELECT count(*) AS many, min(id) AS id FROM jobs; if many; DELETE FROM jobs WHERE id = :id; INSERT INTO done VALUES (:id)"
        ]
        * 2,
        said=("1s 2s 2d 2i 1d 1i", ""),
    ),
    "no such table": case(
        COUNTER, "SELECT 1", "SELECT * FROM nowhere", ADDS, said=("1s 2s 2u", "")
    ),
}
SOUND = {
    "locked": case(COUNTER, "SELECT value = 2 FROM counter", *[LOCKED.format(ADDS)] * 2),
    "at once by both": case(
        COUNTER, "SELECT value = 2 FROM counter", *["UPDATE counter SET value = value + 1"] * 2
    ),
    "three at once": case(
        COUNTER, "SELECT value = 3 FROM counter", *["UPDATE counter SET value = value + 1"] * 3
    ),
    "a lock for a seat": case(
        SEAT + SEEN,
        "SELECT count(*) = 1 FROM seen",
        *[
            f"BEGIN IMMEDIATE; SELECT owner IS NULL AS free FROM seat; if free; UPDATE seat SET owner = '{who}'; INSERT INTO seen VALUES ('{who}', 12); COMMIT"
            for who in ("Ann", "Bob")
        ],
    ),
    "only if it is still so": case(
        SEAT,
        "SELECT owner IS NOT NULL FROM seat",
        *[
            f"SELECT owner IS NULL AS free FROM seat; if free; UPDATE seat SET owner = '{who}' WHERE owner IS NULL"
            for who in ("Ann", "Bob")
        ],
    ),
    "a transfer, read at once": case(
        BANK + SEEN,
        "SELECT count(*) = 0 FROM seen WHERE what <> 200",
        LOCKED.format(MOVES),
        "SELECT sum(money) AS what FROM bank; INSERT INTO seen VALUES (:what, 0)",
    ),
    "a transfer, read in a transaction": case(
        BANK + SEEN,
        "SELECT count(*) = 0 FROM seen WHERE what + then_ <> 200",
        LOCKED.format(MOVES),
        "BEGIN; SELECT money AS what FROM bank WHERE name = 'Ann'; SELECT money AS then_ FROM bank WHERE name = 'Bob'; COMMIT; "
        + TELLS,
    ),
    "a snapshot": case(
        COUNTER + "; PRAGMA journal_mode = WAL" + SEEN,
        SAME,
        "BEGIN; SELECT value AS what FROM counter; SELECT value AS then_ FROM counter; COMMIT; "
        + TELLS,
        "UPDATE counter SET value = 1",
    ),
    "duty with a lock": case(
        DUTY,
        "SELECT sum(there) FROM duty",
        *[f"BEGIN IMMEDIATE; {LEAVES}'{who}'; COMMIT" for who in ("Ann", "Bob")],
    ),
    "the same order of files": case(
        "CREATE TABLE t (x)", "SELECT 1", *["a: BEGIN IMMEDIATE; b: BEGIN IMMEDIATE"] * 2
    ),
    "other rows": case(
        STOCK,
        "SELECT sum(n) = 10 FROM stock",
        *[
            f"SELECT n FROM stock WHERE name = '{it}'; UPDATE stock SET n = :n - 1 WHERE name = '{it}'"
            for it in ("ink", "pen")
        ],
    ),
}
PROGRAMS = BUGS | NAMELESS | SOUND


@pytest.mark.parametrize("name", BUGS | NAMELESS)
def test_a_broken_program_is_called_by_its_name_with_its_turns(verdicts, name):
    verdict = verdicts[name]
    assert verdict.verdict == "broken"
    assert (verdict.schedule, verdict.anomaly) == PROGRAMS[name]["said"]
    assert repr(verdict).endswith(verdict.anomaly)


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_program_has_no_anomaly(verdicts, name):
    verdict = verdicts[name]
    assert (verdict.verdict, verdict.schedule, verdict.anomaly) == ("holds", "", "")
    assert "\n" not in repr(verdict)


def test_the_bugs_are_of_five_kinds():
    kinds = Counter(bug["said"][1].partition(":")[0] for bug in BUGS.values())
    assert set(kinds) == {
        "lost update",
        "half of a change seen",
        "non-repeatable read",
        "write skew",
        "deadlock",
    }
    assert min(kinds.values()) >= 6 and sum(kinds.values()) >= 30 and len(SOUND) >= 10


def test_an_anomaly_in_a_file_elsewhere_has_its_name(tmp_path):
    def adds(me):
        with closing(sqlite3.connect(tmp_path / "far.db", isolation_level=None)) as connection:
            (value,) = connection.execute("SELECT value FROM counter").fetchone()
            connection.execute("UPDATE counter SET value = ?", (value + 1,))

    def elsewhere(path):
        makes(COUNTER)(tmp_path / "far.db")

    def is_two(path):
        return is_true("SELECT value = 2 FROM counter")(tmp_path / "far.db")

    verdict = schedule.explore({"P1": adds, "P2": adds}, is_two, setup=elsewhere)
    assert verdict.schedule == "1s 2s 2u 1u" and verdict.anomaly.startswith("lost update: P1 read")


def test_a_database_in_memory_costs_the_name_and_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def adds(me):
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.execute("CREATE TABLE own (value)")
        runs(ADDS)(me)

    asks = is_true("SELECT value = 2 FROM counter")
    verdict = schedule.explore({"P1": adds, "P2": adds}, asks, setup=makes(COUNTER))
    assert (verdict.verdict, verdict.anomaly) == ("broken", "") and not list(tmp_path.iterdir())
