"""The tournament of fixes of notebook 07: task 2's worker, what is said to help it, what does not.

An entry is a worker, or an `Entry` if it needs more than that. Each process is to store its two
`pets`, each by a task of 3 s. Locks `database` and `printer` and a queue `rows` are there to share.
"""

import ast
import difflib
import inspect
import re
import sqlite3
import tempfile
import textwrap
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest import mock

from streamlib import database, home, resources
from streamlib.processes import child, run

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

Me = Any  # the handle that a worker gets, `processes.child.Me`
SCALE = 0.025  # 3 s and 5 s are 75 and 125 ms; below, the database itself takes too long for that
MEMORY = Path("/dev/shm")  # a disk's flush would take as long as such a task
WORDS = {"still running": "hung", " raised ": "raised", "ended early": "died"}


class Entry(NamedTuple):
    """A worker, and what else its code is.

    setup: makes the database ready; writer: given how many processes there are, returns the worker
    of one more; mends: the entry from which its code is counted.
    """

    worker: Callable[[Me], None]
    setup: Callable[[Path], object] = database.fresh
    writer: Callable[[int], Callable[[Me], None]] | None = None
    mends: str = "as in task 2"


# What the workers call


def pets(me: Me) -> list[str]:
    """Return the two pets that this process is to store."""
    return [f"first of {me.name}", f"second of {me.name}"]


@contextmanager
def attempt(me: Me, connection: sqlite3.Connection, pet: str) -> Iterator[None]:
    """Mark that a transaction waits, and whether it was done or was locked out."""
    me.mark("waiting", pet, me.db.name)
    try:
        yield
    except sqlite3.OperationalError as error:
        connection.rollback()
        me.mark("gave_up", pet, me.db.name, error)
    else:
        me.mark("done", pet, me.db.name)


def store(me: Me, connection: sqlite3.Connection, pet: str) -> None:
    """Insert a pet into the transaction that is open, take 3 s, and commit."""
    connection.execute("INSERT INTO pets (name, process) VALUES (?, ?)", (pet, me.name))
    me.mark("holding", pet, me.db.name)
    me.hold(3)
    connection.execute("COMMIT")


# The entries: a function differs from the one that it mends in as little as possible


def as_in_task_2(me):
    with closing(database.open(me, timeout_s=5)) as connection:
        for pet in pets(me):
            database.insert(me, connection, pet, hold_s=3)


def timeout_0(me):
    with closing(database.open(me, timeout_s=0)) as connection:
        for pet in pets(me):
            database.insert(me, connection, pet, hold_s=3)


def longer_timeout(me):
    with closing(database.open(me, timeout_s=120)) as connection:
        for pet in pets(me):
            database.insert(me, connection, pet, hold_s=3)


def shorter_transaction(me):
    with closing(database.open(me, timeout_s=5)) as connection:
        for pet in pets(me):
            me.hold(3)
            database.insert(me, connection, pet)


def in_wal_mode(path):
    database.fresh(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


def reads_first(me):
    with closing(database.open(me, timeout_s=5)) as connection:
        for pet in pets(me):
            with attempt(me, connection, pet):
                connection.execute("BEGIN")
                connection.execute("SELECT count(*) FROM pets").fetchone()
                store(me, connection, pet)


def begin_immediate(me):
    with closing(database.open(me, timeout_s=5)) as connection:
        for pet in pets(me):
            with attempt(me, connection, pet):
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("SELECT count(*) FROM pets").fetchone()
                store(me, connection, pet)


def retry_with_jitter(me):
    with closing(database.open(me, timeout_s=5)) as connection:
        for pet in pets(me):
            while not database.insert(me, connection, pet, hold_s=3):
                me.hold(me.rng.uniform(0, 1))


def lock_ahead(me):
    with closing(database.open(me, timeout_s=5)) as connection:
        for pet in pets(me):
            with resources.hold(me, "database"):
                database.insert(me, connection, pet, hold_s=3)


def crossed_locks(me):
    with closing(database.open(me, timeout_s=5)) as connection:
        for pet, locks in zip(pets(me), ["database printer", "printer database"], strict=True):
            first, second = locks.split()
            with resources.hold(me, first), resources.hold(me, second):
                database.insert(me, connection, pet, hold_s=3)


def ordered_locks(me):
    with closing(database.open(me, timeout_s=5)) as connection:
        for pet, locks in zip(pets(me), ["database printer", "printer database"], strict=True):
            first, second = sorted(locks.split())
            with resources.hold(me, first), resources.hold(me, second):
                database.insert(me, connection, pet, hold_s=3)


def feeds_the_writer(me):
    for pet in pets(me):
        me.hold(3)
        resources.put(me, "rows", pet)
    resources.put(me, "rows", None)


def writes_for(count):
    def worker(me):
        with closing(database.open(me, timeout_s=5)) as connection:
            for _ in range(count):
                while pet := resources.get(me, "rows"):
                    database.insert(me, connection, pet)

    return worker


ENTRIES = {
    "as in task 2": Entry(as_in_task_2),
    "timeout 0": Entry(timeout_0),
    "longer timeout": Entry(longer_timeout),
    "shorter transaction": Entry(shorter_transaction),
    "WAL": Entry(as_in_task_2, setup=in_wal_mode),
    "reads first": Entry(reads_first),
    "BEGIN IMMEDIATE": Entry(begin_immediate, mends="reads first"),
    "retry with jitter": Entry(retry_with_jitter),
    "lock ahead": Entry(lock_ahead),
    "crossed locks": Entry(crossed_locks),
    "ordered locks": Entry(ordered_locks, mends="crossed locks"),
    "one writer": Entry(feeds_the_writer, writer=writes_for),
}


# The tournament


def tournament(
    entries: Mapping[str, Callable | Entry] = ENTRIES, processes: Sequence[int] = (1, 3, 8)
) -> "pd.DataFrame":
    """Run each entry with so many processes; return what came of it, a row for each.

    Columns: entry, processes, rows (that were to be stored), lost, rows_a_second,
    longest_wait_s (of a process for one row), fairness (when the slowest process finished over when
    the fastest did), lines_changed, verdict (a word), why (a sentence). Seconds are those of the
    lesson, whose tasks take 3 s; here they take a fortieth of it. What is not known is missing.
    """
    import pandas as pd

    known = {name: e if isinstance(e, Entry) else Entry(e) for name, e in entries.items()}
    ours = [name for name, entry in known.items() if entry is ENTRIES.get(name)]
    groups = [ours, *([name] for name in known if name not in ours)]  # what they leave is their own
    found = []
    for count in processes:
        for group in groups:
            while group:
                rows = _play({name: known[name] for name in group}, count)
                found += rows
                group = group[len(rows) :]  # a hang has ended the processes
    table = pd.DataFrame(found).astype({"lost": int})
    lines = {name: lines_changed(entry) for name, entry in known.items()}
    table.insert(7, "lines_changed", table["entry"].map(lines).astype("Int64"))
    place = table["entry"].map([*known].index)
    table = table.assign(place=place).sort_values(["processes", "place"], ignore_index=True)
    return table.drop(columns="place")


def lines_changed(entry: Entry) -> int | None:
    """Return how many lines differ from the entry that it mends; None if the code is unknown."""
    try:
        before, after = (_lines(one.worker) for one in (ENTRIES[entry.mends], entry))
        more = {entry.setup, entry.writer} - {database.fresh, None}
        added = sum(len(_lines(function)) for function in more)
    except (OSError, TypeError, SyntaxError):  # as of what was typed at a prompt, or a lambda
        return None
    codes = difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    return added + sum(max(b - a, d - c) for code, a, b, c, d in codes if code != "equal")


def _lines(function: Callable) -> list[str]:
    """Return the lines of a function below its first one, without comments and docstring."""
    [tree] = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    if ast.get_docstring(tree):
        del tree.body[0]
    return [line for one in tree.body for line in ast.unparse(one).splitlines()]


def _play(entries: dict[str, Entry], count: int) -> list[dict]:
    """Run these entries, each in a round; return a row for each, up to the one that hung."""
    names = [f"P{n}" for n in range(1, count + 1)]
    waiting = iter(entries.values())
    workers = [entry.worker for entry in entries.values()]
    writers = [(entry.writer or (lambda _: _rests))(count) for entry in entries.values()]

    def ready(path: Path) -> resources.Broker:
        own = next(waiting).setup
        return resources.shared("database", "printer", setup=own, rows=deque())(path)

    plan = dict.fromkeys(names, lambda me: workers[me.round - 1](me))
    if {*writers} != {_rests}:
        plan["writer"] = lambda me: writers[me.round - 1](me)
    folder = tempfile.TemporaryDirectory(
        dir=MEMORY if MEMORY.is_dir() else None, ignore_cleanup_errors=True
    )
    try:
        child.packed({name: entry.worker for name, entry in entries.items()})
        with folder, mock.patch.object(home, "scale", lambda: SCALE):
            own = {"db": Path(folder.name, "lab.db"), "timeout_s": 2 + count / 2}
            label = f"the tournament with {count} processes"
            played = run(plan, rounds=len(entries), setup=ready, label=label, **own)
    except Exception as error:  # whatever a setup raises, or what is not a worker
        row = {"processes": count, "rows": 2 * count, "lost": 2 * count, "verdict": "refused"}
        return [row | {"entry": name, "why": f"{error}"} for name in entries]
    rounds = range(1, 1 + max(1, played.events["round"].nunique()))
    said = played.problems, played.why()
    return [_row(played, said, n, name, names) for n, name in zip(rounds, entries, strict=False)]


def _rests(me: Me) -> None:
    """Write nothing: in this round each process stores its own rows."""


def _row(played: Any, said: tuple, number: int, name: str, names: list[str]) -> dict:
    """Return what came of the entry that was played in this round; said: problems, and why."""
    events = played.events[played.events["round"] == number]
    asked = {pet for who in names for pet in pets(SimpleNamespace(name=who))}
    rows = [row["name"] for row in played.rows if row["round"] == number]
    lost, extra = len(asked - {*rows}), len(rows) - len(asked & {*rows})
    problem, why = (_first(sentences, number) for sentences in said)
    verdict = next((word for phrase, word in WORDS.items() if phrase in problem), "")
    why = re.sub(r"[\d.]+(?= s\b)", lambda s: f"{float(s[0]) / SCALE:.1f}", why)
    if lost and not why:
        why = f"{lost} of {len(asked)} rows are not in the database: store both of pets(me)."
    if extra:
        problem = problem or f"It stored {extra} rows twice, or not of pets(me): store each once."
    ends = events[events["state"] == "ended"]
    own = ends["start"][ends["process"].isin(names)]
    took = ends["start"].max() / SCALE if len(own) == len(names) else None
    waits = events[(events["state"] == "waiting") & events["process"].isin(names)]
    items = waits["item"].astype(object).where(waits["item"].notna(), waits.index)
    waited = (waits["end"] - waits["start"]).groupby([waits["process"], items], observed=True).sum()
    return {
        "entry": name,
        "processes": len(names),
        "rows": len(asked),
        "lost": lost,
        "rows_a_second": took and (len(asked) - lost) / took,
        "longest_wait_s": waited.max() / SCALE,
        "fairness": took and own.max() / own.min(),
        "verdict": verdict or ("lost" if lost else "extra" if extra else "stored"),
        "why": problem or why * (lost > 0),
    }


def _first(said: list[str], number: int) -> str:
    """Return the first of these sentences that is about this round, without the round."""
    own = [re.fullmatch(r"(?:Round (\d+): )?(.*)", one, re.DOTALL).groups("1") for one in said]
    return next((text for about, text in own if int(about) == number), "")


def picture(table: "pd.DataFrame") -> "Axes":
    """Draw the rows that each entry lost, for each number of processes; words for the most."""
    from streamlib import charts

    counts = sorted(table["processes"].unique())
    most = table[table["processes"] == counts[-1]].reset_index(drop=True)
    lossless = most[most["lost"] == 0].sort_values("rows_a_second")
    finding = f"With {counts[-1]} processes {len(lossless)} of {len(most)} entries lose no row"
    for best in lossless["entry"][-1:]:
        finding += f"; the quickest is {best}"
    ax = charts.axes(finding, 9, 1.2 + 0.42 * len(most))
    for n, count in enumerate(counts):
        lost = table[table["processes"] == count].set_index("entry").loc[most["entry"]]
        share, shade = 100 * lost["lost"] / lost["rows"], str(0.75 * (1 - n / max(1, n, len(counts) - 1)))
        at = most.index + 0.8 * ((n + 0.5) / len(counts) - 0.5)
        ax.barh(at, share, 0.7 / len(counts), color=shade, label=f"{count} processes")
    columns = {"rows_a_second": "rows/s", "longest_wait_s": "longest\nwait (s)"}
    columns |= {"fairness": "slowest/\nfastest", "lines_changed": "lines\nchanged"}
    for n, (column, words) in enumerate(columns.items()):
        place = {"xycoords": ("axes fraction", "data"), "annotation_clip": False, "ha": "right"}
        ax.annotate(words, (1.1 + 0.1 * n, -0.8), va="bottom", size=8, **place)
        for y, value in enumerate(most[column]):
            said = "?" if value != value or value is None else f"{value:.3g}"
            ax.annotate(said, (1.1 + 0.1 * n, y), va="center", size=8, **place)
    ax.set_yticks(most.index, most["entry"], parse_math=False)
    ax.set(xlim=(0, 100), ylim=(len(most) - 0.5, -0.5), xlabel="rows lost (%)")
    ax.legend(loc="lower right", fontsize=8)
    return ax
