"""Which items of two lists are the same ones, where no number says so."""

from collections import Counter, defaultdict, deque
from collections.abc import Hashable, Sequence

WINDOW = 16_384  # items that are compared with each other at once, so that the time grows linearly


def align(wanted: Sequence[Hashable], came: Sequence[Hashable]) -> dict[int, int]:
    """Return index in `came` -> index in `wanted` of equal items, each of them used once.

    As many as possible are in the same order in both; the others have moved.

    >>> align("ABACD", "BACA")
    {0: 1, 1: 2, 2: 3, 3: 0}
    """
    pairs = _in_order(wanted, came)
    taken, arrived, free = set(pairs.values()), {came[at] for at in pairs}, defaultdict(deque)
    for place, item in enumerate(wanted):
        if place not in taken:
            free[item].append(place)
    here, only_moved = -1, Counter(wanted) == Counter(came)
    for at, item in enumerate(came):
        if at in pairs:
            here = pairs[at]
        # One that is far too early is more likely a copy of an equal one that arrived.
        elif free[item] and (only_moved or item not in arrived or free[item][0] <= here + 2):
            pairs[at] = free[item].popleft()
    return pairs


def _in_order(wanted: Sequence[Hashable], came: Sequence[Hashable]) -> dict[int, int]:
    """Go through both side by side; where they differ, compare the windows that begin there."""
    pairs, place, at = {}, 0, 0
    while place < len(wanted) and at < len(came):
        if wanted[place] == came[at]:
            pairs[at] = place
            place, at = place + 1, at + 1
        elif common := _longest_common(wanted[place : place + WINDOW], came[at : at + WINDOW]):
            half = common[: (len(common) + 1) // 2]  # the next window may change the other half
            pairs |= {at + there: place + here for here, there in half}
            place, at = place + half[-1][0] + 1, at + half[-1][1] + 1
        else:
            place, at = place + WINDOW, at + WINDOW
    return pairs


def _longest_common(wanted: Sequence[Hashable], came: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Return the places of a longest common subsequence, by bits: Hyyrö (2004)."""
    bits = defaultdict(int)
    for place, item in enumerate(wanted):
        bits[item] |= 1 << place
    full = (1 << len(wanted)) - 1
    rows = [full]  # after each item: a 0 where a place made the subsequence longer
    for item in came:
        met = rows[-1] & bits[item]
        rows.append((rows[-1] + met | rows[-1] - met) & full)
    pairs, place = [], len(wanted) - 1
    for at in reversed(range(len(came))):
        while place >= 0 and rows[at + 1] >> place & 1:
            place -= 1
        if place >= 0 and rows[at] >> place & 1:
            pairs.append((place, at))
            place -= 1
    return pairs[::-1]
