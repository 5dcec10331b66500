"""The orders in which the inserts of several processes can happen: counting and comparing.

An order is a text of letters, one an insert. Letters go by the plan: with two inserts in each of
three processes A and B are P1's, C and D are P2's, E and F are P3's, and within a process the
first comes first. `counts` says how many inserts each process makes: (2, 2, 2).

A schedule is the same said by process numbers: the order CAEDFB is the schedule 2 1 3 2 3 1.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from math import factorial, prod

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def letters(counts: Sequence[int]) -> list[str]:
    """Return the labels of all inserts in plan order; numbers such as 2.1 past 52 inserts."""
    if sum(counts) <= len(LETTERS):
        return list(LETTERS[: sum(counts)])
    return [f"{p}.{i + 1}" for p, count in enumerate(counts, start=1) for i in range(count)]


def join(labels: Iterable[str]) -> str:
    """Return labels as one order: CAEDFB, or with spaces between where labels are longer."""
    labels = list(labels)
    return ("" if all(len(label) == 1 for label in labels) else " ").join(labels)


def split(order: str) -> list[str]:
    """Return the labels of an order: the inverse of `join`."""
    return order.split() if {" ", "."} & set(order) else list(order)


def count(counts: Sequence[int]) -> int:
    """Return how many orders there are: (sum of counts)! / (product of each count!).

    >>> count((2, 2, 2))
    90
    """
    return factorial(sum(counts)) // prod(factorial(n) for n in counts)


def possible(counts: Sequence[int]) -> Iterator[str]:
    """Yield every order in which each process keeps its own, sorted.

    >>> list(possible((2, 1)))
    ['ABC', 'ACB', 'CAB']
    """
    labels = iter(letters(counts))
    queues = [[next(labels) for _ in range(n)] for n in counts]

    def extend(done: list[str], left: list[int]) -> Iterator[str]:
        if not any(left):
            yield join(done)
        for p, queue in enumerate(queues):
            if left[p]:
                fewer = [n - (q == p) for q, n in enumerate(left)]
                yield from extend([*done, queue[len(queue) - left[p]]], fewer)

    return extend([], list(counts))


def owners(counts: Sequence[int], names: Sequence[str] | None = None) -> dict[str, str]:
    """Return whose insert a letter is: label -> process, named P1, P2 ... if not told."""
    names = names or [f"P{p}" for p in range(1, len(counts) + 1)]
    each = [name for name, n in zip(names, counts, strict=True) for _ in range(n)]
    return dict(zip(letters(counts), each, strict=True))


def is_serial(order: str, owners: dict[str, str]) -> bool:
    """Tell whether each process made all its inserts in one go, none between them."""
    who = [owners[label] for label in split(order)]
    changes = sum(a != b for a, b in pairwise(who))
    return changes == len(set(who)) - 1


def coverage(seen: Iterable[str], counts: Sequence[int]) -> dict:
    """Say how many of the possible orders were seen, and which never were.

    Returns runs, seen (different orders), possible, serial (how many of the runs) and missing.
    Orders that lack a row, or are none of the possible ones, count as runs only.
    """
    seen = list(seen)
    every = list(possible(counts))
    whole = set(seen) & set(every)
    whose = owners(counts)
    return {
        "runs": len(seen),
        "seen": len(whole),
        "possible": len(every),
        "serial": sum(order in whole and is_serial(order, whose) for order in seen),
        "missing": [order for order in every if order not in whole],
    }
