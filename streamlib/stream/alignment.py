"""Which items of two lists are the same ones, where no number says so."""

from collections import defaultdict, deque
from collections.abc import Hashable, Sequence
from itertools import accumulate

WINDOW = 2048  # items that are compared with each other at once, so that the time grows linearly


def align(wanted: Sequence[Hashable], came: Sequence[Hashable]) -> dict[int, int]:
    """Return index in `came` -> index in `wanted` of equal items, each of them used once.

    Most are in the same order in both. Of the ways to pair the others, it takes the one that needs
    fewer faults (lost, duplicated, out of order) to explain it.

    >>> align("ABACD", "BACA")
    {0: 1, 1: 2, 2: 3, 3: 0}
    """
    in_order = max(
        {n: n for n, (one, other) in enumerate(zip(wanted, came, strict=False)) if one == other},
        _each_at_the_next(came, wanted),  # all of them, if rows were only lost
        {at: place for place, at in _each_at_the_next(wanted, came).items()},  # or only repeated
        _side_by_side(wanted, came),
        key=len,
    )
    taken, free = set(in_order.values()), defaultdict(deque)
    for place, item in enumerate(wanted):
        if place not in taken:
            free[item].append(place)
    others = ((at, free[item]) for at, item in enumerate(came) if at not in in_order)
    everything = in_order | {at: places.popleft() for at, places in others if places}
    # One that came too early makes all rows after it late, unless it is a copy of one that arrived.
    here, arrived, without_copies = -1, {came[at] for at in in_order}, {}
    for at, place in sorted(everything.items()):
        here = in_order.get(at, here)
        if place <= here or came[at] not in arrived:
            without_copies[at] = place
    return min(everything, without_copies, key=lambda pairs: _late(pairs) - 2 * len(pairs))


def _late(pairs: dict[int, int]) -> int:
    """Return how many came after one that follows them."""
    places = [place for _, place in sorted(pairs.items())]
    return sum(
        place < latest for place, latest in zip(places, accumulate(places, max), strict=True)
    )


def _each_at_the_next(few: Sequence[Hashable], many: Sequence[Hashable]) -> dict[int, int]:
    """Pair each of the few with the next equal one, until there is none."""
    rest = enumerate(many)
    found = (next((place for place, other in rest if other == item), None) for item in few)
    return {at: place for at, place in enumerate(found) if place is not None}


def _side_by_side(wanted: Sequence[Hashable], came: Sequence[Hashable]) -> dict[int, int]:
    """Go through both side by side; where they differ, compare the windows that begin there."""
    pairs, place, at = {}, 0, 0
    while place < len(wanted) and at < len(came):
        if wanted[place] == came[at]:
            pairs[at] = place
            place, at = place + 1, at + 1
            continue
        windows = wanted[place : place + WINDOW], came[at : at + WINDOW]
        over = place + WINDOW >= len(wanted) and at + WINDOW >= len(came)
        reach = WINDOW if over else WINDOW // 2  # what follows a window may change its second half
        common = [*_longest_common(*windows), (reach, reach)]
        last = next(n for n, pair in enumerate(common) if max(pair) >= reach)
        pairs |= {at + there: place + here for here, there in common[:last]}
        here, there = common[last]
        place, at = place + min(here, reach), at + min(there, reach)
    return pairs


def _longest_common(wanted: Sequence[Hashable], came: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Return the places of a longest common subsequence, by bits: Hyyrö (2004)."""
    bits = defaultdict(int)
    for place, item in enumerate(wanted):
        bits[item] |= 1 << place
    full = row = (1 << len(wanted)) - 1
    rows = []
    for item in came:
        met = row & bits[item]
        row = (row + met | row - met) & full
        rows.append(row)
    pairs, place, at = [], len(wanted), len(came)
    while place and at:
        if rows[at - 1] >> place - 1 & 1:
            place -= 1  # this place has no counterpart
        else:
            at -= 1
            if not at or rows[at - 1] >> place - 1 & 1:
                place -= 1
                pairs.append((place, at))
    return pairs[::-1]
