"""What a run could have lost: every way of handing its lock on, computed from its calls.

A process that waits sleeps between its looks: it takes a free lock at once or at its next look.
Whoever asks just as the lock comes free is quicker, as its last holder is: the lock's habit.
"""

from functools import cache
from itertools import cycle, islice
from typing import NamedTuple

import pandas as pd

LOOK = 100  # ms, between two looks at the lock in SQLite, after these first ones:
LOOKS = [0, 1, 3, 8, 18, 33, 53, 78, 103, 128, 178, 228]
MOST, DEEPEST = 100_000, 100  # situations to look at, calls


class WhatIf(NamedTuple):
    """How many rows can be `lost`, a set; how many by the lock's `habit` (None: it depends)."""

    lost: set[int]
    habit: int | None
    said: str

    def __repr__(self) -> str:
        return self.said


def what_if(calls: pd.DataFrame, scale: float, processes: int | None, said: str) -> WhatIf:
    """Return what these calls can lose, by process: pause_s (before it), hold_s, timeout_s."""
    tie, ms = round(min(LOOK, max(15, LOOK * scale))), 1000 * calls  # what real times vary by
    ms = ms.where((ms - ms.median()).abs() > tie, ms.median(), axis=1).round().astype(int)
    each = [tuple(own.itertuples(False, None)) for _, own in ms.groupby(level=0, observed=True)]
    lines = [(0, own) for own in islice(cycle(each), processes or len(each))]
    lost, usual = losses(lines, tie), losses(lines, tie, habit=True)
    words = [" or ".join(", ".join(map(str, sorted(n))).rsplit(", ", 1)) for n in (lost, usual)]
    rows = f"{words[0]} of {sum(len(own) for _, own in lines)} rows are lost"
    habit = usual.pop() if len(usual) == 1 else None
    return WhatIf(lost, habit, f"{said}: {rows}, {words[1]} by the lock's habit")


def losses(lines: list[tuple], tie: int, habit: bool = False) -> set[int]:
    """Return each number of calls that can be lost. Raises ValueError if there are too many ways.

    lines: for each process since when it is free, and its calls, (pause, held, timeout), in ms;
    tie: times this near count as equal; habit: a process that asks just then gets the lock.
    """

    @cache
    def after(lines: tuple) -> set[int]:  # the lock comes free at 0
        if after.cache_info().misses > MOST or sum(len(left) for _, left in lines) > DEEPEST:
            raise ValueError("There are too many ways to hand the lock on: give fewer processes.")
        found = set()
        for limit in (-tie, tie):  # those whose time is up just then may be in time, or not
            lost, now = 0, []
            for at, left in lines:
                while left and (since := at + left[0][0]) < 0 and since + left[0][2] <= limit:
                    at, left, lost = since + left[0][2], left[1:], lost + 1
                if left:
                    slept = tie * (since < 0) - since
                    look = next((s for s in LOOKS if s >= slept), slept + (28 - slept) % LOOK)
                    now.append((at, left, since, max(0, since + min(look, left[0][2]))))
            found |= set() if now else {lost}
            first = min((look for *_, look in now), default=0) + tie
            awake = habit and any(0 <= since <= LOOK for _, _, since, _ in now)
            for n, (_, left, since, look) in enumerate(now):
                for taken in {max(since, 0), look}:
                    if taken <= first and not (awake and since < 0):
                        free = taken + left[0][1]
                        rest = [(at - free, own) for at, own, *_ in now[:n] + now[n + 1 :]]
                        more = after(tuple(sorted([*rest, (0, left[1:])])))
                        found |= {lost + others for others in more}
        return found

    return after(tuple(sorted(lines)))
