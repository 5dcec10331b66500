"""What a run would have lost with other times: every way of handing its lock on, computed.

A process that waits sleeps between its looks, so it finds a free lock at once or only at its next
look. One that asks just then is quicker: that the last holder does so is the lock's habit.
"""

from bisect import bisect_left
from functools import cache
from itertools import accumulate, cycle, islice
from typing import NamedTuple

LOOK = 100  # ms, SQLite's longest sleep between two looks; its first ones are shorter
LOOKS = [*accumulate([0, 1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50] + [LOOK] * 36_000)]
MOST = 100_000  # situations


class WhatIf(NamedTuple):
    """How many rows can be `lost`, a set; how many by the lock's `habit` (None: it depends)."""

    lost: set[int]
    habit: int | None
    said: str

    def __repr__(self) -> str:
        return self.said


def what_if(calls, scale: float, said: str, processes: int | None) -> WhatIf:
    """Return what the calls, a row each, can lose: process, pause_s (before), hold_s, timeout_s."""
    tie, ms = round(LOOK * min(1, scale)), 1000 * calls.drop(columns="process")
    ms = ms.where((ms - ms.median()).abs() > tie, ms.median(), axis=1)  # alike: fewer ways differ
    lines = []
    for _, own in ms.round().astype(int).groupby(calls["process"], observed=True):
        pauses, *times = own["pause_s"], own["hold_s"], own["timeout_s"]
        after = pauses.shift(-1, fill_value=0)
        lines.append((pauses.iloc[0], tuple(zip(*times, after, strict=True))))
    lines = tuple(sorted(islice(cycle(lines), processes or len(lines))))
    lost, habits = losses(lines, tie), losses(lines, tie, habit=True)
    numbers = " or ".join(", ".join(map(str, sorted(lost))).rsplit(", ", 1))
    habit = min(habits) if len(habits) == 1 else None
    how = f"{'no one number' if habit is None else habit} by the lock's habit"
    said += f": {numbers} of {sum(len(own) for _, own in lines)} rows are lost, "
    return WhatIf(lost, habit, said + (how if len(lost) > 1 else "whoever gets the lock"))


def losses(lines: tuple, tie: int, habit: bool = False) -> set[int]:
    """Return each number of calls that can be lost. Raises ValueError if there are too many ways.

    lines: a process each: when it calls, and its calls, (held, timeout, pause after it) in ms;
    tie: times this near count as equal; habit: a process that asks just then gets the lock.
    """

    @cache
    def after(lines: tuple) -> set[int]:  # the lock comes free at 0
        if after.cache_info().misses > MOST:
            raise ValueError("There are too many ways to hand the lock on: give fewer processes.")
        found = set()
        for limit in (-tie, tie):  # those whose time is up just then may be in time, or not
            lost, now, looks = 0, [], []
            for since, left in lines:
                while left and since < 0 and since + left[0][1] <= limit:
                    since, left, lost = since + left[0][1] + left[0][2], left[1:], lost + 1
                if left:
                    now.append((since, left))
                    slept = LOOKS[bisect_left(LOOKS, tie * (since < 0) - since)]
                    looks.append(max(0, since + min(slept, left[0][1])))
            awake = habit and any(0 <= since <= LOOK for since, _ in now)
            found |= set() if now else {lost}
            for n, (since, left) in enumerate(now):
                for taken in {max(since, 0), looks[n]}:
                    if taken <= min(looks) + tie and not (awake and since < 0):
                        free = taken + left[0][0]
                        rest = [*now[:n], (free + left[0][2], left[1:]), *now[n + 1 :]]
                        more = after(tuple(sorted((s - free, later) for s, later in rest)))
                        found |= {lost + others for others in more}
        return found

    return after(lines)
