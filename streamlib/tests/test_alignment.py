"""Equal items are paired: each once, as many in order as there can be."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from streamlib.stream import alignment

LISTS = st.lists(st.integers(0, 3), max_size=14), st.lists(st.integers(0, 4), max_size=14)


def longest(wanted, came):
    """Return the length of a longest common subsequence, by the table of every textbook."""
    table = [[0] * (len(came) + 1) for _ in range(len(wanted) + 1)]
    for place, one in enumerate(wanted):
        for at, other in enumerate(came):
            more = max(table[place][at + 1], table[place + 1][at])
            table[place + 1][at + 1] = table[place][at] + 1 if one == other else more
    return table[-1][-1]


def assert_in_order(pairs, wanted, came):
    """Each pair is equal, and its places rise."""
    pairs = sorted(pairs)
    assert all(wanted[place] == came[at] for at, place in pairs)
    assert [place for _, place in pairs] == sorted({place for _, place in pairs})


@settings(max_examples=300, deadline=None)
@given(*LISTS)
def test_as_many_are_in_order_as_can_be(wanted, came):
    pairs = alignment._in_order(wanted, came)
    assert_in_order(pairs.items(), wanted, came)
    assert len(pairs) == longest(wanted, came)


@settings(max_examples=300, deadline=None)
@given(*LISTS, st.integers(2, 6))
def test_windows_that_are_too_small_still_give_pairs_in_order(wanted, came, window):
    before, alignment.WINDOW = alignment.WINDOW, window
    try:
        assert_in_order(alignment._in_order(wanted, came).items(), wanted, came)
    finally:
        alignment.WINDOW = before


@settings(max_examples=300, deadline=None)
@given(*LISTS)
def test_each_is_used_once_and_what_has_no_copy_is_paired(wanted, came):
    pairs = alignment.align(wanted, came)
    assert len(set(pairs.values())) == len(pairs)
    assert all(wanted[place] == came[at] for at, place in pairs.items())
    assert {came[at] for at in pairs} == set(wanted) & set(came)
    assert len(pairs) >= longest(wanted, came)


def test_lists_longer_than_a_window_are_compared_to_their_ends():
    kinds = random.Random(1)
    wanted = [kinds.randrange(500) for _ in range(3 * alignment.WINDOW)]
    came = wanted[5:3000] + wanted[3500:5000] + wanted[4999:]
    pairs = alignment._in_order(wanted, came)
    assert len(pairs) == len(came) - 1
    assert_in_order(pairs.items(), wanted, came)
