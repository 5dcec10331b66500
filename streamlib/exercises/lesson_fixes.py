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
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest import mock

from streamlib import database, home, resources
from streamlib.processes import child, run

Me = Any  # the handle that a worker gets, `processes.child.Me`
SCALE = 0.025  # 3 s take 75 ms; below that, the database's own work counts for too much
MEASURES = ["lost", "rows_a_second", "longest_wait_s", "fairness", "lines_changed"]
MEMORY = next(filter(Path.is_dir, [Path("/dev/shm")]), None)  # a disk may take 30 ms for a row
CROSSED = [("database", "printer"), ("printer", "database")]  # locks for the first pet, the second
VERDICTS = {"still running": "hung", "did not leave": "hung", "ended early": "died"}  # by problem
VERDICTS[" raised "] = "raised"


class Entry(NamedTuple):
    """A worker, and its setup, as for `processes.run`; mends: the entry it is a change of.

    writer: given how many processes there are, it returns the worker of one more.
    """

    worker: Callable[[Me], None]
    setup: Callable[[Path], object] = database.fresh
    writer: Callable[[int], Callable[[Me], None]] | None = None
    mends: str = "as in task 2"


def pets(me: Me) -> list[str]:
    """Return the two pets that this process is to store."""
    return [f"first of {me.name}", f"second of {me.name}"]


def store(me: Me, connection: sqlite3.Connection, pet: str, *commands: str) -> None:
    """Run the commands, insert a pet, take 3 s and commit; mark it as `database.insert` does."""
    me.mark("waiting", pet, me.db.name)
    try:
        for command in commands:
            connection.execute(command).fetchall()
        connection.execute("INSERT INTO pets (name, process) VALUES (?, ?)", (pet, me.name))
        me.mark("holding", pet, me.db.name)
        me.hold(3)
        connection.execute("COMMIT")
        me.mark("done", pet, me.db.name)
    except sqlite3.OperationalError as error:
        connection.rollback()
        me.mark("gave_up", pet, me.db.name, error)


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
            store(me, connection, pet, "BEGIN", "SELECT count(*) FROM pets")


def begin_immediate(me):
    with closing(database.open(me, timeout_s=5)) as connection:
        for pet in pets(me):
            store(me, connection, pet, "BEGIN IMMEDIATE", "SELECT count(*) FROM pets")


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
        for pet, (first, second) in zip(pets(me), CROSSED, strict=True):
            with resources.hold(me, first):
                me.hold(1)
                with resources.hold(me, second):
                    database.insert(me, connection, pet, hold_s=2)


def ordered_locks(me):
    with closing(database.open(me, timeout_s=5)) as connection:
        for pet, (first, second) in zip(pets(me), map(sorted, CROSSED), strict=True):
            with resources.hold(me, first):
                me.hold(1)
                with resources.hold(me, second):
                    database.insert(me, connection, pet, hold_s=2)


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


def tournament(entries: Mapping = ENTRIES, processes: Iterable[int] = (1, 3, 8)) -> Any:
    """Run each entry with so many processes; return what came of it, a row for each.

    Columns: entry, processes, rows (to be stored), lost, rows_a_second, longest_wait_s (of one
    process for one row), fairness (when the slowest process had finished over when the fastest
    had), lines_changed, verdict (a word), why (a sentence). A second is a third of a task, here and
    in `why`; really it takes a fortieth. Raises ValueError for what cannot be run.
    """
    import pandas as pd

    counts = [processes] if isinstance(processes, int) else [*dict.fromkeys(processes)]
    if not (isinstance(entries, Mapping) and entries and counts and {*counts} <= {*range(1, 31)}):
        raise ValueError('Give a dict, ENTRIES | {"mine": mine}, and numbers of processes to 30.')
    known = {name: e if isinstance(e, Entry) else Entry(e) for name, e in entries.items()}
    ours = [name for name, entry in known.items() if entry is ENTRIES.get(name)]
    found = []
    for count in counts:
        for group in [ours, *([name] for name in known if name not in ours)]:  # none disturbs ours
            while group:
                rows = _play({name: known[name] for name in group}, count)
                found, group = found + rows, group[len(rows) :]  # a hang has ended the processes
    table = pd.DataFrame(found, columns=["entry", "processes", "rows", *MEASURES, "verdict", "why"])
    return table.assign(rows=2 * table["processes"]).astype({"lines_changed": "Int64"})


def lines_changed(entry: Entry) -> int | None:
    """Return how many lines the entry adds or changes, None if its code is not to be seen."""
    try:
        before, after = _lines(ENTRIES[entry.mends].worker), _lines(entry.worker)
        for function in {entry.setup, entry.writer} - {database.fresh, None}:
            after += _lines(function)
    except (OSError, TypeError, ValueError, SyntaxError, AttributeError, KeyError):  # a lambda
        return None
    return sum(line.startswith("+") for line in difflib.ndiff(before, after))


def _lines(function: Callable) -> list[str]:
    """Return the lines of a function below its first one, without comments and docstring."""
    [tree] = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    body = tree.body[ast.get_docstring(tree) is not None :]
    return "\n".join(map(ast.unparse, body)).replace("fixes.", "").splitlines()


def _play(entries: dict[str, Entry], count: int) -> list[dict]:
    """Run these entries, each in a round; return a row for each, up to one that hung."""
    names = [f"P{n}" for n in range(1, count + 1)]
    workers, setups, makers, _ = zip(*entries.values(), strict=True)
    setting = iter(setups)

    def ready(path: Path) -> resources.Broker:
        own = next(setting)(path)
        ours = resources.shared("database", "printer", setup=str, rows=deque())
        return own if isinstance(own, resources.Broker) else ours(path)

    plan = dict.fromkeys(names, lambda me: workers[me.round - 1](me))
    lines = {name: lines_changed(entry) for name, entry in entries.items()}
    found = [{"entry": name, "processes": count, "lines_changed": lines[name]} for name in lines]
    scaled = mock.patch.object(home, "scale", lambda: SCALE)
    try:
        child.packed(dict(zip(entries, workers, strict=True)))
        if any(writers := [maker and maker(count) for maker in makers]):
            plan["writer"] = lambda me: writers[me.round - 1] and writers[me.round - 1](me)
        with scaled, tempfile.TemporaryDirectory(dir=MEMORY, ignore_cleanup_errors=True) as folder:
            own = {"label": f"tournament, {count} processes", "timeout_s": 2 + count / 2}
            played = run(plan, rounds=len(found), setup=ready, db=Path(folder, "lab.db"), **own)
    except Exception as error:  # whatever a setup or a writer's maker raises
        why = f"{type(error).__name__}: {error}"
        return [row | {"lost": 2 * count, "verdict": "refused", "why": why} for row in found]
    said, rounds = played.problems + played.why(), max(1, played.events["round"].nunique())
    return [row | _row(played, said, n, names) for n, row in enumerate(found[:rounds], start=1)]


def _row(played: Any, said: list[str], number: int, names: list[str]) -> dict:
    """Return what came of the entry that was played in this round; said: all that went wrong."""
    asked = {pet for name in names for pet in pets(SimpleNamespace(name=name))}
    stored = [row["name"] for row in played.rows if row["round"] == number]
    lost, extra = len(asked - {*stored}), len(stored) - len(asked & {*stored})
    about = [re.fullmatch(r"(?:Round (\d+): )?(.*)", one, re.DOTALL).groups("1") for one in said]
    why = next((text for about_, text in about if int(about_) == number), "")
    why = why.replace("; the whole traceback is in run.output", "")
    events = played.events[played.events["round"] == number]
    ends = events[events["state"] == "ended"]
    own = ends["start"][ends["process"].isin(names)]
    took = ends["start"].max() / SCALE if len(own) == len(names) else None
    verdict = next((word for phrase, word in VERDICTS.items() if phrase in why), "")
    if lost and not verdict:
        verdict = "lost"
        why = re.sub(r"[\d.]+(?= s\b)", lambda s: f"{float(s[0]) / SCALE:.1f}", why)
        why = why or f"{lost} of {len(asked)} rows are not there: store both pets(me)."
    elif extra and not verdict:
        verdict, why = "extra", f"{extra} rows too many are there: store each of pets(me) once."
    elif took and took < 6 and not verdict:
        verdict, why = "skipped", f"Two tasks took {took:.1f} s, not 6: for each call me.hold(3)."
    waits = events[(events["state"] == "waiting") & events["process"].isin(names)]
    items = waits["item"].astype(object).where(waits["item"].notna(), waits.index)
    waited = (waits["end"] - waits["start"]).groupby([waits["process"], items], observed=True).sum()
    return {
        "lost": lost,
        "rows_a_second": took and (len(asked) - lost) / took,
        "longest_wait_s": waited.max() / SCALE,
        "fairness": took and own.max() / own.min(),
        "verdict": verdict or "stored",
        "why": why if verdict else "",
    }


def picture(table: Any) -> Any:
    """Draw each measure of `tournament` for each entry, with a bar for each number of processes."""
    from streamlib import charts

    most = table[table["processes"] == table["processes"].max()].sort_values("rows_a_second")
    safe = most["entry"][most["lost"] == 0].tolist()
    ax = charts.axes("", 11, 1.5 + 0.4 * len(most))
    figure, names = ax.figure, [*dict.fromkeys(table["entry"])][::-1]
    ax.remove()
    panels = figure.subplots(1, len(MEASURES), sharey=True)
    for panel, measure in zip(panels, MEASURES, strict=True):
        bars = table.pivot(index="entry", columns="processes", values=measure).loc[names]
        look = {
            "cmap": "Greys",
            "edgecolor": "black",
            "xlabel": measure,
            "ylabel": "",
            "width": 0.8,
        }
        bars.astype(float).plot.barh(ax=panel, legend=measure == "lost", **look)
        panel.set_xscale("log" if measure == "fairness" else "linear")
    finding = f"With {most['processes'].max()} processes {len(safe)} of {len(most)} entries lose no"
    finding += f" row, and {safe[-1]} is the quickest of them" if safe else " row"
    panels[2].set_title(finding, loc="left", x=0.5, ha="center", parse_math=False)
    return figure
