"""The recordings of a run as one tidy table of events, and what can be read from it.

One row a span or instant, in the order of their times:

run, round, process, pid    which run, which round (from 1), which process
turn, step                  the turn under a schedule (missing if free), the step it was in
item, resource, state       what was worked on, what was shared, and how
start, end                  seconds since the round's start gate; equal for an instant
detail                      what else was said about it

A span lasts until its process's next mark on the same resource, or until its process ends the
round. Text columns are categories.
"""

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import pandas as pd

from streamlib.processes import recorder

INSTANTS = ["started", "step", "done", "gave_up", "ended", "died"]
BOUNDS = ["started", "ended", "died"]  # these end every span of their process
COLUMNS = "run round process pid turn step item resource state start end detail".split()


def events(paths: Iterable[Path | str]) -> pd.DataFrame:
    """Return the events of these recordings; the module tells the columns.

    Events at the same time are in the order of `paths`, as are the processes. `attrs["scale"]`
    is the time scale, `attrs["problems"]` has a sentence for each recording that is damaged.
    Raises OSError if a recording cannot be read.
    """
    marks, problems, run = [], [], ""
    for path in map(Path, paths):
        run, found = path.parent.name, recorder.read(path)
        marks += found.marks
        if found.damaged or not found.marks:
            sums = f"marks read: {len(found.marks)}, lines left out: {found.damaged}"
            problems.append(f"{path.name} is damaged or empty ({sums}).")
    table = pd.DataFrame(marks, columns=recorder.Mark._fields).astype({"t_ns": int, "seq": int})
    for column in recorder.Mark._fields[3:]:
        table[column] = pd.Categorical(table[column], table[column].dropna().unique())
    scales = pd.to_numeric(table["detail"][table["state"] == "scale"], errors="coerce").dropna()
    table = table[table["state"] != "scale"].sort_values("t_ns", kind="stable", ignore_index=True)
    table = _spans(table).assign(run=pd.Categorical([run] * len(table)))[COLUMNS]
    table.attrs = {"scale": next(iter(scales), 1.0), "problems": problems}
    return table


def _spans(table: pd.DataFrame) -> pd.DataFrame:
    """Return marks in the order of their times with their round, turn, step and span."""
    state, seq = table["state"], table["seq"]
    who, resource = table["process"].cat.codes, table["resource"].cat.codes
    ns = table["t_ns"] - table["t_ns"].min()  # small enough to be exact as floats
    started, stepped = state == "started", state == "step"
    begun = started.groupby(who).cumsum()  # rounds, 0 before the first
    number = begun.clip(lower=1)

    gate = (ns + seq - table["t_ns"]).where(started).groupby([who, number]).transform("first")
    start = ns - gate.fillna(ns.groupby(who).transform("first"))

    row = table.index.to_series().where(stepped).groupby([who, begun]).ffill()  # the latest step's
    turn = seq.where(seq >= 0).reindex(row).astype("Int64").array
    step = table["detail"].reindex(row).array.remove_unused_categories()

    bound = ns.where(state.isin(BOUNDS)).groupby(who).shift(-1).groupby(who).bfill()
    ends = [ns.groupby([who, resource]).shift(-1), bound, ns.groupby(who).transform("last")]
    length = pd.concat(ends, axis=1).min(axis=1).mask(state.isin(INSTANTS), ns) - ns
    times = {"start": start / 1e9, "end": (start + length) / 1e9}
    return table.assign(round=number, turn=turn, step=step, **times)


def handoffs(events: pd.DataFrame) -> pd.DataFrame:
    """Return how each shared resource went from holder to holder, one row a hand-off.

    Columns: round, resource, releaser, taker, item (the taker's), released, taken and waited
    (seconds), passed (how many processes that had waited longer were passed over), barging.
    """
    rows = []
    for key, spans in events.groupby(["round", "resource"], observed=True):
        waits, holds = spans[spans["state"] == "waiting"], spans[spans["state"] == "holding"]
        for before, taken in pairwise(holds.to_dict("records")):
            now = taken["start"]
            waiting = waits[(waits["start"] <= now) & (now <= waits["end"])]
            since = waiting.groupby("process", observed=True)["start"].min()
            mine = since.get(taken["process"], now)
            who = before["process"], taken["process"], taken["item"]
            rows.append((*key, *who, before["end"], now, now - mine, (since < mine).sum()))
    columns = "round resource releaser taker item released taken waited passed".split()
    return pd.DataFrame(rows, columns=columns).assign(barging=lambda table: table["passed"] > 0)


def lock_moves(events: pd.DataFrame) -> list[tuple[str, str]]:
    """Return who did what to the lock, in its order: b(egin), i(nsert), c(ommit) or x (gave up)."""
    letters = {"holding": "b", "gave_up": "x", "done": "c"}
    moves, holder = [], None
    for process, state, step in events[["process", "state", "step"]].itertuples(index=False):
        move = "i" if (state, step) == ("step", "insert") else letters.get(state)
        if move == "b" and holder not in (None, process):
            moves.append((holder, "c"))  # it has freed the lock, but marks that only later
        if move and not (move == "c" and holder != process):
            moves.append((process, move))
        if move == "b" or (move in ("c", "x") and holder == process):
            holder = process if move == "b" else None
    return moves
