"""Who waits for whom: the wait-for graph of a run, from its recordings, and its cycle in words.

A wait for a lock can end if one of its holders can go on; a wait for a queue, if anybody else can.
What is left over is a deadlock, and `graphlib` names its cycle. E. G. Coffman, M. J. Elphick and
A. Shoshani, System Deadlocks, 1971.
"""

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import pandas as pd

Run = Any  # `processes.result.Run`: it stands above this module
QUEUE = {"an item": "an item in", "its end": "the end of"}  # what a process waits for at a queue


class Mark(NamedTuple):
    """What a process last marked about a resource, waiting or holding, and since when."""

    state: str
    detail: str | None
    since: float


Marks = dict[str, Mark]  # resource -> the last mark of one process


class Wait(NamedTuple):
    """A process of a cycle and what it waits for; whom: the next one, None if nobody is left."""

    process: str
    resource: str
    whom: str | None
    mark: Mark

    def __str__(self) -> str:
        if what := QUEUE.get(self.mark.detail):
            by = f"which is up to {self.whom or 'nobody who is left'}"
            return f"waits for {what} {self.resource}, {by}"
        return f"waits for {named(self.resource)}, held by {self.whom}"


def named(resource: str) -> str:
    """Return how a sentence names a resource: the printer, the write lock of lab.db, fork 1."""
    file = "." in resource and " " not in resource
    return f"{'the write lock of ' * file}{'the ' * resource.isalpha()}{resource}"


def after(own: Marks, since: float, state: str, resource: str, detail: str | None) -> Marks:
    """Return what a process holds and waits for, after one more mark."""
    if state in ("started", "ended", "died"):
        return {}
    if state in ("waiting", "holding"):
        return own | {resource: Mark(state, detail, since)}
    ends = state in ("done", "gave_up")
    return {name: mark for name, mark in own.items() if name != resource} if ends else own


def ring(marks: dict[str, Marks]) -> list[Wait]:
    """Return the waits of a deadlock, each for the process of the next; [] if there is none.

    marks: what each process holds and waits for that has not ended, in plan order.
    """
    left, stuck = {one: _waits(one, marks) for one in marks}, {}
    while left != stuck:
        stuck, left = left, {}
        for one, waits in stuck.items():
            hopeless = {name: whom for name, whom in waits.items() if {*whom} <= stuck.keys()}
            left |= {one: hopeless} if hopeless else {}
    try:
        TopologicalSorter({one: chain(*waits.values()) for one, waits in stuck.items()}).prepare()
        pairs = [(one, None) for one, waits in stuck.items() if [] in waits.values()][:1]
    except CycleError as error:
        found = error.args[1][:0:-1]  # each waits for the next one, the last for the first
        at = found.index(min(found, key=[*marks].index))
        pairs = pairwise([*found[at:], *found[: at + 1]])
    waits = []
    for one, whom in pairs:
        name = next(name for name, of in stuck[one].items() if whom in of or not of)
        waits.append(Wait(one, name, whom, marks[one][name]))
    return waits


def _waits(one: str, marks: dict[str, Marks]) -> dict[str, list[str | None]]:
    """Return what a process waits for, and who can end that: None is somebody unknown."""
    found = {}
    for name, mark in marks[one].items():
        if mark.state == "waiting" and mark.detail in QUEUE:
            found[name] = [other for other in marks if other != one]
        elif mark.state == "waiting":
            holders = [p for p, own in marks.items() if own.get(name, mark).state == "holding"]
            found[name] = holders or [None]
    return found


def words(waits: list[Wait]) -> str:
    """Return a cycle in words, a long one without its middle."""
    texts, left_out = [str(wait) for wait in waits], len(waits) - 6
    if left_out > 2:
        texts[2:-3] = [f"{texts[2]}, and so on for {left_out} more, to {waits[-3].process}"]
    return f"{waits[0].process} {', which '.join(texts)}" if waits else ""


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
    for number, played in enumerate(schedules, start=1):
        before, taken = {}, []  # taken: when each turn was
        for time, who, state, marks in _replay(run, number):
            taken += [time] if state == "step" else []
            waits = ring(before) if state in ("gave_up", "ended", "died") else []
            if who in [wait.process for wait in waits]:
                closed = max(wait.mark.since for wait in waits)
                led = " ".join(played[: sum(turn <= closed for turn in taken)])
                rows.append((number, closed, time, who, words(waits), led))
            before = marks
    return pd.DataFrame(rows, columns="round closed ended victim cycle schedule".split())


def graph(run: Run, at: float | None = None, number: int = 1) -> "pd.DataFrame":
    """Return who held and waited for what, one a row: process, state, resource, since, in_cycle.

    at: seconds since the start gate of that round, by default when its first deadlock closed, or
    else when most was held and waited for. `attrs["cycle"]` has the cycle in words.
    """
    if at is None:
        at = next((row.closed for row in found(run).itertuples() if row.round == number), None)
    stood = [{}, *(marks for time, *_, marks in _replay(run, number) if at is None or time <= at)]
    marks = max(stood, key=lambda marks: sum(map(len, marks.values()))) if at is None else stood[-1]
    return as_table(marks, run.params["processes"])


def as_table(marks: dict[str, Marks], names: list[str]) -> "pd.DataFrame":
    """Return a row for each of these marks, as `graph` does, those of a cycle first, around it."""
    import pandas as pd

    waits = ring(marks)
    first = [(one, wait.resource) for wait in waits for one in (wait.process, wait.whom) if one]
    rows = [
        (one, mark.state, name, mark.since, (one, name) in first)
        for one, name in dict.fromkeys(first + [(one, n) for one in marks for n in marks[one]])
        if (mark := marks[one].get(name))  # nobody holds a queue
    ]
    table = pd.DataFrame(rows, columns="process state resource since in_cycle".split())
    table["process"] = pd.Categorical(table["process"], names)
    table.attrs["cycle"] = words(waits)
    return table


def _replay(run: Run, number: int) -> Iterator[tuple]:
    """Yield the time, process and state of each mark of a round, and all marks that then stand."""
    events = run.events[run.events["round"] == number].astype(object)
    events = events.where(events.notna(), None)
    marks = {one: {} for one in run.params["processes"] if one in set(events["process"])}
    columns = ["start", "process", "state", "resource", "detail"]
    for time, who, *more in events[columns].itertuples(index=False, name=None):
        if who in marks:
            marks = marks | {who: after(marks[who], time, *more)}
        if more[0] in ("ended", "died"):
            marks = {one: own for one, own in marks.items() if one != who}
        yield time, who, more[0], marks
