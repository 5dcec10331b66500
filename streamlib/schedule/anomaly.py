"""What went wrong in an interleaving, by its name: from the SQL commands of its turns.

All commands of a process are one unit of work. They are run again, on copies of the databases, where
triggers tell what is written. A read missed a change if it finds something else once that is made,
too. Names as in H. Berenson and others, A Critique of ANSI SQL Isolation Levels, 1995.
"""

import re
import shutil
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing, suppress
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

from streamlib import database
from streamlib.processes import places, turns

MOST, MOST_BYTES = 200, 500_000  # commands, and bytes of a database: of more, no name is looked for
READS = re.compile(r"\b(with|select)\b.*", re.IGNORECASE | re.DOTALL)
TABLES = "SELECT name FROM main.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
TRIGGER = """CREATE TEMP TRIGGER IF NOT EXISTS "{0} {1[0]} {3}" AFTER {1} ON main."{0}"
    BEGIN SELECT noted({2}, '{0}', '{3}', {4}); END"""


def deadlock(round: turns.Round, names: list[str]) -> str:
    """Say who locked what in which turn, where all that are left wait; "" if nobody did."""
    since: dict[int, dict[str, int]] = {}
    for turn, one in enumerate(round.taken, start=1):
        before = since.get(one.turn.process, {})
        since[one.turn.process] = {lock: before.get(lock, turn) for lock in one.answer.locks}
    held = sorted((turn, n, lock) for n in round.waiting for lock, turn in since.get(n, {}).items())
    said = ", ".join(f"{names[n - 1]} locked {lock} in turn {turn}" for turn, n, lock in held)
    return f"deadlock: {said}, and now all wait" * bool(held)


def outcome(files: Iterable[str | Path]) -> str:
    """Return what the tables in these databases hold, the first rows of each, in one line."""
    tables = {name: rows for file in files for name, rows in database.tables(file).items()}
    shown = {t: ", ".join(" ".join(map(str, r.values())) for r in rows) for t, rows in tables.items()}
    return "; ".join(f"{name}: {rows or 'no rows'}" for name, rows in shown.items())


def find(round: turns.Round, names: list[str], setup: Callable, files: list[str], ended: str) -> str:
    """Return the anomaly of a round and the turns that collide; "" if it has none of the names.

    setup: makes the first of the files; ended: what their `outcome` was.
    """
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder, ExitStack() as stack:
        copies = {file: Path(folder, Path(file).name) for file in files}
        setup(copies[files[0]])
        for file in files:
            if Path(file).parent != Path(files[0]).parent and Path(file).is_file():
                shutil.copy(file, copies[file])
        large = any(copy.stat().st_size > MOST_BYTES for copy in copies.values() if copy.is_file())
        steps = _again([] if large else round.ran[:MOST], names, copies, stack)
        if outcome(copies.values()) != ended:  # what the commands do is not the same again
            return ""
    return _named([s for s in steps if s.found], [s for s in steps if s.cells and s.seen])


def _again(ran: list[tuple], names: list[str], copies: dict, stack: ExitStack) -> list:
    """Run the commands again; return what each found or wrote, in which state, and who saw it."""
    steps, opened = [], {}
    for at, (turn, process, number, file, sql) in enumerate(ran, start=1):
        if (process, number) not in opened:
            db = sqlite3.connect(copies[file], timeout=0, isolation_level=None)
            db.set_authorizer(lambda action, *_: action == sqlite3.SQLITE_ATTACH)  # 1 denies it
            opened[process, number] = stack.enter_context(closing(db)), []
        db, own = opened[process, number]  # own: the commands of the present transaction
        one = SimpleNamespace(who=names[process - 1], turn=turn, at=at, file=file, sql=sql)
        one.since, one.seen, one.cells = own[0].at if own else at, 0, {}
        _watch(db, one.cells)
        query = READS.search(sql)
        one.image, one.query = db.serialize(), query and query[0]
        one.found = query and _found(one.image, one.query)
        try:
            db.execute(sql).fetchall()
        except sqlite3.Error:
            one.cells.clear()
        word = places.words(sql)[0]
        own += [one] * (word != "begin")
        for each in own if word == "rollback" else ():
            each.cells.clear()
        for each in [] if db.in_transaction else own:
            each.seen, each.seen_in = at, turn
        steps.append(one)
        if not db.in_transaction:
            own.clear()
    return steps


def _watch(db: sqlite3.Connection, cells: dict) -> None:
    """Note in `cells` what is written from now on: (table, column, key) -> what was done."""
    db.create_function("noted", -1, lambda did, *cell: cells.update({cell: did}))
    for (table,) in db.execute(TABLES).fetchall():
        columns = db.execute(f'PRAGMA table_info("{table}")').fetchall()
        keys = [column[1] for column in columns if column[5]] or ["rowid"]
        each = {f'UPDATE OF "{c[1]}"': (f"""'wrote ' || quote(NEW."{c[1]}")""", c[1]) for c in columns}
        whole = {"INSERT": ("'inserted a row'", ""), "DELETE": ("'deleted a row'", "")}
        for when, (did, column) in (each | whole).items():
            key = ", ".join(f'{"NEW" if when == "INSERT" else "OLD"}."{key}"' for key in keys)
            with suppress(sqlite3.Error):  # of an odd name
                db.execute(TRIGGER.format(table, when, did, column, key))


def _found(image: bytes, query: str, change: str = "") -> tuple | None:
    """Return the columns and rows that a query finds after a change; None if it finds nothing."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db, suppress(sqlite3.Error):
        db.deserialize(image[:18] + b"\1\1" + image[20:])  # there is no WAL in memory
        db.execute(change)
        found = db.execute(query)
        return [column[0] for column in found.description or ()], found.fetchall()
    return None


def _named(reads: list, writes: list) -> str:
    """Return the first anomaly that there is, by its name, and its steps in order."""
    pairs = [(r, w) for r in reads for w in writes if r.who != w.who and r.file == w.file]
    missed = [(r, w) for r, w in pairs if w.seen > r.since]
    missed = [(r, w) for r, w in missed if _found(r.image, r.query, w.sql) not in (None, r.found)]
    saw = [(r, w) for r, w in pairs if w.seen < r.since]
    saw = [(r, w) for r, w in saw if _found(w.image, r.query) != _found(w.image, r.query, w.sql)]
    for over, (r, w) in product(writes, missed[::-1]):
        own = over.who == r.who and r.at < over.at and w.seen < over.seen
        fresh = any(q.who == r.who and v is w and q.at < over.at for q, v in saw)
        if own and not fresh and _same(w, over):
            return _said("lost update", r, w) + f", {over.who} wrote over it in turn {over.turn}"
    for (r, w), (q, v) in product(missed, missed):
        if (r.who, q.who) == (v.who, w.who) and r.at < v.at and q.at < w.at:
            return _said("write skew", r, w, q, v)
    found = [(r, w, q, v) for (r, w), (q, v) in product(missed, saw) if (r.who, w.who) == (q.who, v.who)]
    for r, w, q, v in found:
        again = r.query == q.query or (w is v and len(w.cells) == 1)
        if r.found != q.found and again:
            return _said("non-repeatable read", r, w, q, v)
    return _said("half of a change seen", *found[0]) if found else ""


def _same(one: SimpleNamespace, other: SimpleNamespace) -> bool:
    """Tell whether two commands wrote to the same value, or row if one put it in or out."""
    pairs = [(a, b) for a, b in product(one.cells, other.cells) if (a[0], a[2:]) == (b[0], b[2:])]
    return one.file == other.file and any(a[1] == b[1] or "" in (a[1], b[1]) for a, b in pairs)


def _said(name: str, *steps: SimpleNamespace) -> str:
    """Return what the steps of an anomaly did, in the order of their turns."""
    said = {}
    for one in sorted(steps, key=lambda one: one.at):
        what = " and ".join(dict.fromkeys(one.cells.values())).replace(" and wrote", " and")
        if not what:
            columns, rows = one.found
            what = ", ".join(f"{name} {value!r}" for row in rows[:1] for name, value in zip(columns, row, strict=True))
            what = "read " + (what if len(rows) == 1 else f"{len(rows) or 'no'} rows")
        later = f" (committed in turn {one.seen_in})" * (one.cells != {} and one.seen_in != one.turn)
        said[one.at] = f"{one.who} {what:.80} in turn {one.turn}{later}"
    return f"{name}: {', '.join(said.values())}"
