"""Logs of processes -> one tidy table of events, and what can be read off it.

The table has one row a span or instant:

run, round, process, pid   which run, which repetition (from 1), which process
turn, step                 the turn under a schedule (missing when free), the step it was in
item, resource, state    what was worked on, what was shared, and how
start, end                 seconds since that round's start gate; equal for an instant
seq, detail                the caller's number; words

A span lasts until the process's next mark on the same resource. Text columns are categories.
"""

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from streamlib.processes import recorder

INSTANTS = {"started", "step", "done", "gave_up", "ended", "died", "sent", "received"}
LAST = {"ended", "died"}  # these end every span of their process
TEXTS = ["state", "item", "resource", "detail"]


class _Log(NamedTuple):
    """One file's marks as arrays; the texts stay with their codes."""

    header: dict
    t_ns: np.ndarray
    seq: np.ndarray
    code: np.ndarray
    texts: list[list]  # by code
    problems: list[str]


def events(paths: Iterable[Path | str]) -> pd.DataFrame:
    """Read the logs at `paths` into one table of events, in the order of their times.

    The order of `paths` is the order of the process category, and of events with equal times.
    `attrs["scale"]` is the time scale; `attrs["problems"]` has one sentence for each damage
    found, a file that is no log included.
    """
    logs, problems, run = [], [], ""
    for path in map(Path, paths):
        run = path.parent.name
        try:
            logs.append(_load(path))
            problems += logs[-1].problems
        except (OSError, ValueError) as error:
            problems.append(str(error))
    names = list(dict.fromkeys(log.header["process"] for log in logs))
    categories: dict[str, dict] = {column: {} for column in [*TEXTS, "step"]}
    parts = [_columns(log, names, categories) for log in logs] or [_no_columns()]
    t_ns = np.concatenate([part.pop("t_ns") for part in parts])
    order = np.argsort(t_ns, kind="stable")
    table = {key: np.concatenate([part[key] for part in parts])[order] for key in parts[0]}
    for column, values in [*categories.items(), ("process", dict.fromkeys(names))]:
        table[column] = pd.Categorical.from_codes(table[column], list(values))
    table["run"] = pd.Categorical.from_codes(np.zeros(len(order), np.int8), [run])
    table["turn"] = pd.arrays.IntegerArray(table["turn"], table["turn"] < 0)
    columns = "run round process pid turn step item resource state start end seq detail"
    found = pd.DataFrame({column: table[column] for column in columns.split()}, copy=False)
    found.attrs = {"scale": logs[0].header["scale"] if logs else 1.0, "problems": problems}
    return found


def _load(path: Path) -> _Log:
    if not path.stat().st_size:
        raise ValueError(f"{path.name} is empty: its process ended before it recorded anything.")
    data = np.fromfile(path, dtype=np.uint8)
    rest = len(data) % 24
    slots = data[: len(data) - rest].view(np.int64).reshape(-1, 3)
    word = slots[:, 2].copy()
    whole = (word & 0xFF) == recorder.MARKER
    torn = int(slots[~whole].any(axis=1).sum())
    at = np.flatnonzero(whole & (word >> 32 > 0))
    known = recorder.texts(path, [(int(word[i]), slots[i, :2].tobytes()) for i in at])
    header = known.pop(recorder.HEADER)
    texts = [known.get(code) for code in range(max(known, default=0) + 1)]
    marks = np.flatnonzero(whole & (word >> 32 == 0))
    code = word[marks] >> 8
    sound = np.isin(code, list(known)) if code.size else np.zeros(0, bool)
    unknown = int((~sound).sum())
    if unknown:
        marks, code = marks[sound], code[sound]
    if (np.diff(slots[marks, 0]) < 0).any():  # threads may store out of the order of their times
        order = np.argsort(slots[marks, 0], kind="stable")
        marks, code = marks[order], code[order]
    problems = recorder.odd(path, torn, unknown, rest)
    return _Log(header, slots[marks, 0], slots[marks, 1], code, texts, problems)


def _columns(log: _Log, names: list[str], categories: dict[str, dict]) -> dict[str, np.ndarray]:
    """Return the columns of one process; texts as numbers into `categories`, which it adds to."""
    t_ns, code, count = log.t_ns, log.code, len(log.code)

    def numbers(column: str, texts: list) -> np.ndarray:
        index = categories[column]
        by_code = [-1 if text is None else index.setdefault(text, len(index)) for text in texts]
        return np.array(by_code, dtype=np.int32)

    by_column = list(zip(*[text or [None] * 4 for text in log.texts], strict=True)) or [()] * 4
    states = by_column[0]
    column = {
        name: numbers(name, texts)[code] for name, texts in zip(TEXTS, by_column, strict=True)
    }
    instant = np.isin(states, list(INSTANTS))[code]
    started = np.isin(states, ["started"])[code]
    step = np.isin(states, ["step"])[code]
    bound = np.isin(states, ["started", *LAST])[code]

    rounds = np.maximum(np.cumsum(started), 1)
    gates = log.seq[started] if started.any() else t_ns[:1]
    gate_ns = gates[rounds - 1] if count else t_ns

    # each event's step and turn are those of the latest step mark of its round
    here = np.arange(count)
    latest = np.maximum.accumulate(np.where(step | started, here, 0)) if count else here
    in_step = step[latest]
    named = numbers(
        "step", [by_column[3][i] if s == "step" else None for i, s in enumerate(states)]
    )
    turn = np.where(in_step, log.seq[latest], -1)

    # a span ends at the next mark on its resource, or where its process ends or begins a round
    after = np.minimum.accumulate(np.where(bound, here, count - 1)[::-1])[::-1]
    closing_ns = t_ns[np.append(after[1:], count - 1)] if count else t_ns
    end_ns = closing_ns.copy()
    for resource in np.unique(column["resource"]):
        same = np.flatnonzero(column["resource"] == resource)
        end_ns[same[:-1]] = np.minimum(t_ns[same[1:]], closing_ns[same[:-1]])
    end_ns[instant] = t_ns[instant]

    return column | {
        "t_ns": t_ns,
        "round": rounds,
        "process": np.full(count, names.index(log.header["process"])),
        "pid": np.full(count, log.header["pid"]),
        "turn": turn,
        "step": np.where(in_step, named[code[latest]], -1) if count else code,
        "start": (t_ns - gate_ns) / 1e9,
        "end": (end_ns - gate_ns) / 1e9,
        "seq": np.where(started, rounds, np.where(step, 0, log.seq)),
    }


def _no_columns() -> dict[str, np.ndarray]:
    keys = [*TEXTS, "t_ns", "round", "process", "pid", "turn", "step", "start", "end", "seq"]
    return {key: np.zeros(0, float if key in ("start", "end") else np.int64) for key in keys}


def handoffs(events: pd.DataFrame) -> pd.DataFrame:
    """Return how each shared resource went from holder to holder, one row a hand-off.

    Columns: round, resource, releaser, taker, item (the taker's), released and taken (s),
    waited (s, by the taker), passed (how many processes that had waited for longer were passed
    over) and barging (whether any was).
    """
    rows = []
    spans = events[events["state"].isin(["waiting", "holding"])]
    for (number, resource), group in spans.groupby(["round", "resource"], observed=True):
        holds = group[group["state"] == "holding"].to_dict("records")
        waits = group[group["state"] == "waiting"]
        for before, taken in pairwise(holds):
            then = waits[(waits["start"] <= taken["start"]) & (taken["start"] <= waits["end"])]
            mine = then[then["process"] == taken["process"]]
            since = mine["start"].max() if len(mine) else taken["start"]
            others = then[(then["process"] != taken["process"]) & (then["start"] < since)]
            rows.append(
                {
                    "round": number,
                    "resource": resource,
                    "releaser": before["process"],
                    "taker": taken["process"],
                    "item": taken["item"],
                    "released": before["end"],
                    "taken": taken["start"],
                    "waited": taken["start"] - since,
                    "passed": others["process"].nunique(),
                }
            )
    columns = "round resource releaser taker item released taken waited passed".split()
    table = pd.DataFrame(rows, columns=columns)
    table["barging"] = table["passed"] > 0
    table.attrs = dict(events.attrs)
    return table


def lock_moves(events: pd.DataFrame) -> list[tuple[str, str]]:
    """Return what the processes did to the lock, in its order: b(egin), i(nsert), c(ommit), x.

    A commit frees the lock before its process can mark it, so the next begin may bear an earlier
    time; the lock itself says which came first.
    """
    letters = {"holding": "b", "gave_up": "x", "done": "c"}
    moves, holder, already = [], None, set()
    for event in events.to_dict("records"):
        process, state = event["process"], event["state"]
        letter = "i" if (state, event["step"]) == ("step", "insert") else letters.get(state)
        if letter == "b":
            if holder not in (None, process):  # it has committed, its mark is still to come
                moves.append((holder, "c"))
                already.add(holder)
            holder = process
        elif letter == "c":
            holder = None if holder == process else holder
            if process in already:
                already.remove(process)
                continue
        if letter:
            moves.append((process, letter))
    return moves
