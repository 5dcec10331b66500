"""The orders in which the inserts of several processes can happen: counting and comparing.

An order is a text of letters, one an insert. Letters go by the plan: with two inserts in each of
three processes A and B are P1's, C and D are P2's, E and F are P3's, and within a process the
first comes first. `counts` says how many inserts each process makes: (2, 2, 2).

A schedule is the same said by process numbers: the order CAEDFB is the schedule 2 1 3 2 3 1.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from math import factorial, log2, prod

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def labels(counts: Sequence[int]) -> list[str]:
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
    each = iter(labels(counts))
    queues = [[next(each) for _ in range(n)] for n in counts]

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
    return dict(zip(labels(counts), each, strict=True))


def is_serial(order: str, owners: dict[str, str]) -> bool:
    """Tell whether each process made all its inserts in one go, none between them."""
    who = [owners[label] for label in split(order)]
    changes = sum(a != b for a, b in pairwise(who))
    return changes == len(set(who)) - 1


def schedule(order: str, owners: dict[str, str]) -> str:
    """Return the schedule that forces an order, each turn one insert.

    >>> schedule("CAEDFB", owners((2, 2, 2)))
    '2 1 3 2 3 1'
    """
    number = {name: str(p) for p, name in enumerate(dict.fromkeys(owners.values()), start=1)}
    return " ".join(number[owners[label]] for label in split(order))


def entropy(seen: Iterable[str]) -> float:
    """Return how uncertain the next order is, in bits: 0 if all are alike, log2(90) at most for 90.

    The plug-in estimate of C. E. Shannon, A Mathematical Theory of Communication, 1948; too low
    while there are few runs.
    """
    times = Counter(seen)
    total = sum(times.values())
    return sum(n / total * log2(total / n) for n in times.values())


def surprise(order: str, seen: Iterable[str], possible: int) -> float:
    """Return how surprising an order is to somebody who knows the orders `seen`, in bits.

    It is -log2 of its probability, with one imagined run of each possible order added to those
    seen (Laplace's rule), so that an order never seen is not infinitely surprising. With nothing
    seen that is log2(possible): all orders are alike.
    """
    seen = list(seen)
    return log2((len(seen) + possible) / (seen.count(order) + 1))


def coverage(seen: Iterable[str], counts: Sequence[int], before: Iterable[str] = ()) -> dict:
    """Say how many of the possible orders were seen, and how luck spread over them.

    before: orders that others have seen, for the surprise.
    Returns runs, seen (different orders), possible, serial (share of runs in which no process
    was interrupted), entropy (bits; at most log2 of possible), missing (a list), and surprise:
    order -> (times seen, bits against all being alike, bits against `before`), for each seen.
    Orders that lack a row, or are none of the possible ones, count as runs only.
    """
    seen, before = list(seen), list(before)
    every = list(possible(counts))
    times = Counter(seen)
    whole = [order for order in every if times[order]]
    whose = owners(counts)
    surprises = {
        order: (times[order], surprise(order, [], len(every)), surprise(order, before, len(every)))
        for order in whole
    }
    return {
        "runs": len(seen),
        "seen": len(whole),
        "possible": len(every),
        "serial": sum(times[o] for o in whole if is_serial(o, whose)) / max(1, len(seen)),
        "entropy": entropy(seen),
        "missing": [order for order in every if not times[order]],
        "surprise": surprises,
    }


def letters_of(steps: Iterable[str]) -> dict[str, str]:
    """Return the shortest beginning of each step's name that tells it from the others.

    >>> letters_of(["read", "write", "wait"])
    {'read': 'r', 'wait': 'wa', 'write': 'wr'}
    """
    names = sorted(set(steps))

    def shortest(name: str) -> str:
        begins = (name[:n] for n in range(1, len(name)))
        return next((b for b in begins if sum(n.startswith(b) for n in names) == 1), name)

    return {name: shortest(name) for name in names}
