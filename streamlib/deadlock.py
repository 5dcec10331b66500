"""Who waits for whom: the wait-for graph of a run, from its recordings, and its cycle in words.

A wait for a lock can end if one of its holders can go on; a wait for a queue, if anybody else can.
What is left over is a deadlock, and `graphlib` names its cycle. E. G. Coffman, M. J. Elphick and
A. Shoshani, System Deadlocks, 1971.
"""

import math
from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

Run = Any  # `processes.result.Run`: it stands above this module
Mark = Any  # `processes.parent.Event`, or a row of the table of events
Wait = tuple[Mark, str]  # of a process, and whom it is up to
QUEUE = {"an item": "an item in", "its end": "the end of"}  # what a process waits for at a queue


def named(resource: str) -> str:
    """Return how a sentence names a resource: the printer, the write lock of lab.db, fork 1."""
    file = "." in resource and " " not in resource
    return f"{'the write lock of ' * file}{'the ' * resource.isalpha()}{resource}"


def ring(marks: Sequence[Mark], living: Sequence[str]) -> list[Wait]:
    """Return the waits of a deadlock, each up to the process of the next; [] if there is none.

    marks: the last of each process about each resource; living: who has not ended, in plan order.
    """
    marks = [mark for mark in marks if isinstance(mark.resource, str)]
    held = {(mark.process, mark.resource) for mark in marks if mark.state == "holding"}
    waits, before = {m: _up_to(m, held, living) for m in marks if m.state == "waiting"}, None
    while waits != before:
        before, stuck = waits, {wait.process for wait in waits}
        waits = {wait: whom for wait, whom in waits.items() if stuck.issuperset(whom)}
    hopeless = {wait.process: wait for wait in waits}  # one of each process
    try:
        TopologicalSorter({p: waits[hopeless[p]] for p in living if p in hopeless}).prepare()
    except CycleError as error:
        found = error.args[1][:0:-1]  # each waits for the next one, the last for the first
        at = found.index(min(found, key=living.index))
        found = [*found[at:], *found[: at + 1]]
        return [(hopeless[one], whom) for one, whom in pairwise(found)]
    return []


def _up_to(wait: Mark, held: set[tuple], living: Sequence[str]) -> list[str | None]:
    """Return who can end a wait: None is somebody unknown, itself nobody else who is left."""
    if wait.detail in QUEUE:
        return [one for one in living if one != wait.process] or [wait.process]
    return [one for one in living if (one, wait.resource) in held] or [None]


def words(waits: list[Wait]) -> str:
    """Return a cycle in words, a long one without its middle."""
    texts, left_out = [], len(waits) - 6
    for wait, whom in waits:
        if what := QUEUE.get(wait.detail):
            by = whom if whom != wait.process else "nobody who is left"
            texts.append(f"waits for {what} {wait.resource}, which is up to {by}")
        else:
            texts.append(f"waits for {named(wait.resource)}, held by {whom}")
    if left_out > 2:
        texts[2:-3] = [f"{texts[2]}, and so on for {left_out} more, to {waits[-3][0].process}"]
    return f"{waits[0][0].process} {', which '.join(texts)}" if waits else ""


def cycle(run: Run) -> str:
    """Return the first deadlock of a run in words, "" if it had none."""
    return next(iter(found(run)["cycle"]), "")


def found(run: Run) -> "pd.DataFrame":
    """Return the deadlocks of a run, one a row, as its recordings show them.

    Columns: round, closed, ended (when its first process gave up or ended), victim (which one),
    cycle (in words), schedule (the turns that led there; see `streamlib.schedule`).
    """
    import pandas as pd  # here, because children import this module

    rows, schedules = [], run.orders()["schedule"].str.split()
    for number, events in run.events.groupby("round"):
        for end in events[events["state"].isin(["gave_up", "ended", "died"])].itertuples():
            waits = ring(*_standing(run, events, math.nextafter(end.start, -1)))
            if end.process in [wait.process for wait, _ in waits]:
                closed = max(wait.start for wait, _ in waits)
                turns = (events["state"] == "step") & (events["start"] <= closed)
                led = " ".join(schedules[number - 1][: turns.sum()])
                rows.append((number, closed, end.start, end.process, words(waits), led))
    return pd.DataFrame(rows, columns="round closed ended victim cycle schedule".split())


def graph(run: Run, at: float | None = None, number: int = 1) -> "pd.DataFrame":
    """Return who held and waited for what, one a row: process, state, resource, since, in_cycle.

    at: seconds since the start gate of that round, by default when its first deadlock closed, or
    else when most was held and waited for. The rows of a cycle come first, around it;
    `attrs["cycle"]` has it in words.
    """
    import pandas as pd

    events = run.events[run.events["round"] == number]
    if at is None:
        at = next((row.closed for row in found(run).itertuples() if row.round == number), None)
    if at is None:
        times = events["start"][events["end"] > events["start"]]
        at = max(times, key=lambda time: len(_standing(run, events, time)[0]), default=0)
    marks, living = _standing(run, events, at)
    waits = ring(marks, living)
    around = [(one, wait.resource) for wait, whom in waits for one in (wait.process, whom)]
    rows = {(m.process, m.resource): (m.process, m.state, m.resource, m.start) for m in marks}
    rows = [(*rows[key], key in around) for key in dict.fromkeys([*around, *rows]) if key in rows]
    table = pd.DataFrame(rows, columns="process state resource since in_cycle".split())
    table["process"] = pd.Categorical(table["process"], run.params["processes"])
    table.attrs["cycle"] = words(waits)
    return table


def _standing(run: Run, events: "pd.DataFrame", at: float) -> tuple[list[Mark], list[str]]:
    """Return what is held and waited for at a time of a round, and who has not ended by then."""
    spans = events[(events["start"] <= at) & (events["end"] > at)].dropna(subset="resource")
    ends = events[events["state"].isin(["ended", "died"]) & (events["start"] <= at)]
    living = [one for one in run.params["processes"] if one not in {*ends["process"]}]
    return [*spans[spans["state"].isin(["waiting", "holding"])].itertuples()], living
