"""What went wrong in an interleaving, by its name: from the SQL commands of its turns.

All commands of a process are one unit of work. They run once more, where triggers tell what is
written. A read missed a change if it finds something else once that is made, too. Names as in
H. Berenson and others, A Critique of ANSI SQL Isolation Levels, 1995.
"""

import os
import re
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from itertools import product
from pathlib import Path
from types import SimpleNamespace

from streamlib import database
from streamlib.processes import places, turns

MOST, MOST_BYTES = 100, 500_000  # commands, and bytes of a database: of more, no name is looked for
READS = re.compile(r"\b(?:with|select)\b.*", re.IGNORECASE | re.DOTALL)
TABLES = "SELECT name FROM main.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
TRIGGER = """CREATE TEMP TRIGGER IF NOT EXISTS "{0} {1[0]} {2}" AFTER {1} ON main."{0}"
    BEGIN SELECT noted({3}, '{0}', '{2}', {4}); END"""


def deadlock(round: turns.Round, names: list[str]) -> str:
    """Say who locked what in which turn, where all that are left wait."""
    held: dict[str, dict[str, int]] = {}  # process -> lock -> since which turn
    for turn, one in enumerate(round.taken, start=1):
        before = held.pop(who := names[one.turn.process - 1], {})
        held[who] = {lock: before.get(lock, turn) for lock in one.answer.locks}
    locks = [(who, *lock) for who, own in held.items() for lock in own.items()]
    said = [f"{who} locked {lock} in turn {turn}" for who, lock, turn in locks]
    return f"deadlock: {', '.join(said)}, and now all wait"


def outcome(round: turns.Round, db: Path) -> str:
    """Return what the tables of all databases hold after it, the first rows, in one line."""
    files = dict.fromkeys([str(db), *(file for *_, file, _ in round.ran)])
    tables = [table for file in files for table in database.tables(file).items()]
    rows = [(name, [" ".join(map(str, row.values())) for row in found]) for name, found in tables]
    return "; ".join(f"{name}: {', '.join(found) or 'no rows'}" for name, found in rows)


def name(round: turns.Round, tables: str, names: list[str], setup: Callable, db: Path) -> str:
    """Return the anomaly of a round, and in which turns what collides; "" if it has no name.

    tables: the outcome of the round, if there was no error; setup: makes the database db anew.
    """
    if round.waiting:
        return deadlock(round, names)
    with suppress(Exception), ExitStack() as stack:  # another program may have locked it, and more
        setup(db)
        size = max((os.path.getsize(file) for *_, file, _ in round.ran), default=0)
        if len(round.ran) <= MOST and size <= MOST_BYTES:
            steps = _again(round.ran, names, stack)
            if outcome(round, db) == tables:  # else the commands do not tell all that was done
                return _named(steps)
    return ""


def _again(ran: list[tuple], names: list[str], stack: ExitStack) -> list:
    """Run the commands again; return what each read or wrote, from which state, and until when."""
    steps, opened = [], {}
    for at, (turn, process, number, file, sql) in enumerate(ran):
        if (process, number) not in opened:
            db = sqlite3.connect(file, timeout=0, isolation_level=None)
            opened[process, number] = stack.enter_context(closing(db)), []
        db, own = opened[process, number]  # own: the commands of the present transaction
        one = SimpleNamespace(who=names[process - 1], turn=turn, at=at, seen=at, file=file, sql=sql)
        one.since, one.image, one.cells = own[0].at if own else at, db.serialize(), {}
        one.query = "".join(READS.findall(sql))
        one.found = _found(one.image, one.query) if one.query else None
        _watch(db, one.cells)
        try:
            db.execute(sql).fetchall()
        except sqlite3.Error:
            one.cells.clear()
        own += [one] * (places.words(sql)[0] != "begin")
        for each in own if places.words(sql)[0] == "rollback" else ():
            each.cells.clear()
        if not db.in_transaction:
            for each in own:
                each.seen, each.seen_in = at, turn
            own.clear()
        steps.append(one)
    return steps


def _watch(db: sqlite3.Connection, cells: dict) -> None:
    """Note in `cells` what is written: table, column ("" for a whole row) and key -> in words."""
    db.create_function("noted", -1, lambda did, *cell: cells.update({cell: did}))
    for (table,) in db.execute(TABLES).fetchall():
        columns = db.execute(f'PRAGMA table_info("{table}")').fetchall()
        keys = [f'"{column[1]}"' for column in columns if column[5]] or ["rowid"]
        ways = [("INSERT", "", "'inserted a row'"), ("DELETE", "", "'deleted a row'")]
        for _, c, *_ in columns:
            ways.append((f'UPDATE OF "{c}"', c, f"""'wrote ' || quote(NEW."{c}")"""))
        for when, column, did in ways:
            key = ", ".join(f"{'NEW' if when == 'INSERT' else 'OLD'}.{key}" for key in keys)
            with suppress(sqlite3.Error):  # of a name with quotes
                db.execute(TRIGGER.format(table, when, column, did, key))


def _found(image: bytes, query: str, change: str = "") -> list[dict] | None:
    """Return the rows that a query finds once a change is made, too; None if it finds nothing."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db, suppress(sqlite3.Error):
        db.deserialize(image[:18] + b"\1\1" + image[20:])  # there is no WAL in memory
        db.row_factory = sqlite3.Row
        db.execute(change)
        return [dict(row) for row in db.execute(query)]
    return None


def _named(steps: list) -> str:
    """Return the first anomaly that there is, by its name, and its steps in order."""
    pairs = [(r, w) for r, w in product(steps, steps) if r.who != w.who and r.file == w.file]
    pairs = [(r, w) for r, w in pairs if r.found is not None and w.cells]
    missed = [(r, w) for r, w in pairs if r.since < w.seen]
    missed = [(r, w) for r, w in missed if _found(r.image, r.query, w.sql) not in (None, r.found)]
    saw = [(r, w) for r, w in pairs if r.since > w.seen]
    saw = [(r, w) for r, w in saw if _found(w.image, r.query) != _found(w.image, r.query, w.sql)]
    for over, (r, w) in product(steps, missed[::-1]):
        later = over.who == r.who and r.at < over.at and w.seen < over.seen and _same(w, over)
        if later and not any((q.who, v) == (r.who, w) and q.at < over.at for q, v in saw):
            return _said("lost update", r, w) + f", {over.who} wrote over it in turn {over.turn}"
    for (r, w), (q, v) in product(missed, missed):
        if (r.who, q.who) == (v.who, w.who) and r.at < v.at and q.at < w.at:
            return _said("write skew", r, w, q, v)
    both = [(*one, *two) for one, two in product(missed, saw) if one[0].who == two[0].who]
    both = [(r, w, q, v) for r, w, q, v in both if w.who == v.who]
    for r, w, q, v in both:
        if r is not q and (r.query == q.query or (w is v and len(w.cells) == 1)):
            return _said("non-repeatable read", r, w, q, v)
    return _said("half of a change seen", *both[0]) if both else ""


def _same(one: SimpleNamespace, other: SimpleNamespace) -> bool:
    """Tell whether two commands wrote the same value, or one of them a row with what the other."""
    pairs = product(one.cells, other.cells) if one.file == other.file else ()
    pairs = [(a[1], b[1]) for a, b in pairs if (a[0], a[2:]) == (b[0], b[2:])]  # of the same row
    return any(a == b or "" in (a, b) for a, b in pairs)


def _said(name: str, *steps: SimpleNamespace) -> str:
    """Return what the steps of an anomaly did, a read and a write in turn, in order."""
    said = {}
    for read, write in zip(steps[::2], steps[1::2], strict=True):
        one = read.found[0].items() if len(read.found) == 1 else ()
        what = ", ".join(f"{column} {value!r}" for column, value in one)
        what = what or f"{len(read.found) or 'no'} rows"
        said[read.at] = f"{read.who} read {what:.80} in turn {read.turn}"
        did = " and ".join(dict.fromkeys(write.cells.values())).replace(" and wrote", " and")
        later = f" (committed in turn {write.seen_in})" * (write.seen_in != write.turn)
        said[write.at] = f"{write.who} {did:.80} in turn {write.turn}{later}"
    return f"{name}: {', '.join(said[at] for at in sorted(said))}"
