"""Who waits for whom: the wait-for graph of a run, from its recordings, and its cycle in words.

A process that waits for a lock can go on if one of the lock's holders can; one that waits for a
queue, if anybody else can. Those left over wait for ever: that is a deadlock, and `graphlib` names
its cycle. See E. G. Coffman et al., System Deadlocks, 1971.
"""

from collections.abc import Collection, Mapping
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Any, NamedTuple

from streamlib import orders

    from streamlib.processes.result import Run

WANTS = {  # of a queue, and who can end that wait
    "an item": "an item in the queue {}, which {} can put",
    "room": "room in the queue {}, which {} can make",
    "the end": "the queue {} to be empty, which {} can bring about",
}


class Mark(NamedTuple):
    """What a process last marked about a resource: "waiting" or "holding"."""

    state: str
    detail: str | None
    time: float


Marks = dict[str, dict[str, Mark]]  # process -> resource -> its last mark; no entry: it has ended


def after(own: dict[str, Mark], state: str, resource: str | None, *more: object) -> dict[str, Mark]:
    """Return a process's last marks after one more; more: its detail and time."""
    if state in ("started", "ended", "died"):
        return {}
    if state in ("waiting", "holding") and resource is not None:
        return own | {resource: Mark(state, *more)}
    ends = state in ("done", "gave_up")
    return {name: mark for name, mark in own.items() if name != resource} if ends else own


def named(resource: str) -> str:
    """Return how a sentence names a resource: the printer, the write lock of lab.db, fork 1."""
    return (
        f"the write lock of {resource}" * ("." in resource)
        or "the " * resource.isalpha() + resource
    )


def ring(marks: Marks) -> list[tuple[str, str, str | None]]:
    """Return (process, resource, of whom) for each wait of a deadlock, [] if there is none.

    The first is that of the process that stands first in `marks`; of whom: None if nobody is left.
    """
    stuck = {}
    for one, own in marks.items():
        waits = {
            name: _of_whom(one, name, marks) for name, m in own.items() if m.state == "waiting"
        }
        stuck |= {one: waits} if waits else {}
    while free := [one for one, waits in stuck.items() if not _hopeless(waits, stuck)]:
        for one in free:
            del stuck[one]
    waits = {one: _hopeless(waits, stuck) for one, waits in stuck.items()}
    try:
        TopologicalSorter({one: sum(of.values(), []) for one, of in waits.items()}).prepare()
    except CycleError as error:
        found = error.args[1][::-1]  # each waits for the next; the first is the last
        at = min(range(len(found) - 1), key=lambda n: [*marks].index(found[n]))
        found = [*found[at:-1], *found[: at + 1]]
        chosen = {
            one: [n for n, of in waits[one].items() if to in of] for one, to in pairwise(found)
        }
        return [(one, chosen[one][0], to) for one, to in pairwise(found)]
    return [(one, name, None) for one, of in waits.items() for name in of if not of[name]][:1]


def _of_whom(one: str, name: str, marks: Marks) -> list[str] | None:
    """Return those who can end this wait; None if that is unknown."""
    if (marks[one][name].detail or "").partition(",")[0] in WANTS:
        return [other for other in marks if other != one]
    holders = [p for p, own in marks.items() if name in own and own[name].state == "holding"]
    return holders or None


def _hopeless(
    waits: Mapping[str, list[str] | None], stuck: Collection[str]
) -> dict[str, list[str]]:
    """Return those of the waits that only processes that are stuck can end."""
    return {name: of for name, of in waits.items() if of is not None and {*of} <= {*stuck}}


def sentence(edges: list[tuple[str, str, str | None]], marks: Marks) -> str:
    """Return the cycle in words."""
    parts = []
    for one, name, whom in edges:
        wants = (marks[one][name].detail or "").partition(",")[0]
        held = f"{named(name)}, held by {whom}"
        if wants in WANTS:
            held = WANTS[wants].format(name, f"only {whom}" if whom else "nobody left")
        parts.append(f"waits for {held}")
    return f"{edges[0][0]} {', which '.join(parts)}" if edges else ""
