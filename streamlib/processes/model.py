"""What a run would have lost with other times: every way of handing its lock on, computed.

A process that waits sleeps between its looks, so it finds a free lock at once or only at its next
look. One that asks just then is quicker: that the last holder does so is the lock's habit.
"""

from bisect import bisect_right
from functools import cache
from itertools import accumulate, cycle, islice
from typing import NamedTuple

from streamlib import home

LOOK = 100  # ms, SQLite's longest sleep between two looks; its first ones are shorter
LOOKS = [*accumulate([0, 1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50] + [LOOK] * 36_000)]
MOST = 20_000  # situations


class WhatIf(NamedTuple):
    """How many rows can be `lost`, a set; how many are by the lock's `habit` (None: it depends)."""

    lost: set[int]
    habit: int | None
    said: str

    def __repr__(self) -> str:
        return self.said


def losses(lines: tuple, tie: int, habit: bool = False) -> set[int]:
    """Return each number of calls that can be lost. Raises ValueError if there are too many ways.

    lines: a process each: when it calls, and its calls, (held, timeout, pause after it) in ms;
    tie: times this near count as equal; habit: a process that asks just then gets the lock.
    """

    @cache
    def after(lines: tuple) -> set[int]:
        """Return what can be lost from time 0 on, when the lock comes free."""
        if after.cache_info().misses > MOST:
            raise ValueError("There are too many ways to hand the lock on: give fewer processes.")
        found = set()
        for limit in (-tie, tie):  # those whose time is up just now may be in time, or not
            lost, now = 0, []
            for since, left in lines:
                while left and since < 0 and since + left[0][1] <= limit:
                    since, left, lost = since + left[0][1] + left[0][2], left[1:], lost + 1
                now += [(since, left)] * bool(left)
            looks = [
                s if s >= 0 else max(0, s + min(LOOKS[bisect_right(LOOKS, tie - s)], left[0][1]))
                for s, left in now
            ]
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
