"""Orders as letters, schedules as text (see `streamlib.schedule`): count, list, parse, compare.

An order is a text of letters, one for each insert. `counts` says how many inserts each process
makes: with (2, 2, 2), A and B are P1's, C and D are P2's, E and F are P3's.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, pairwise
from math import factorial, prod
from typing import NamedTuple

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def labels(counts: Sequence[int]) -> list[str]:
    """Return a label for each insert, in plan order: letters, or 1.1, 1.2 ... past 52 inserts."""
    if sum(counts) <= len(LETTERS):
        return list(LETTERS[: sum(counts)])
    return [f"{p}.{i + 1}" for p, count in enumerate(counts, start=1) for i in range(count)]


def join(labels: Sequence[str]) -> str:
    """Return labels as one order: CAEDFB, or with blanks between labels that are longer."""
    return ("" if all(len(label) == 1 for label in labels) else " ").join(labels)


def count(counts: Sequence[int]) -> int:
    """Return how many orders there are: (sum of counts)! / (product of each count!).

    >>> count((2, 2, 2))
    90
    """
    return factorial(sum(counts)) // prod(factorial(n) for n in counts)


def possible(counts: Sequence[int]) -> Iterator[str]:
    """Yield, sorted, every order in which each process makes its own inserts in sequence.

    >>> list(possible((2, 1)))
    ['ABC', 'ACB', 'CAB']
    """
    each = iter(labels(counts))

    def extend(done: list[str], left: list[list[str]]) -> Iterator[str]:
        if not any(left):
            yield join(done)
        for p, own in enumerate(left):
            if own:
                yield from extend([*done, own[0]], [*left[:p], own[1:], *left[p + 1 :]])

    return extend([], [list(islice(each, n)) for n in counts])


def coverage(seen: Iterable[str], counts: Sequence[int]) -> dict:
    """Return how many different ones of the possible orders were seen, and which are missing."""
    every, seen = list(possible(counts)), set(seen)
    missing = [order for order in every if order not in seen]
    return {"seen": len(every) - len(missing), "missing": missing}


class Owners(dict[str, str]):
    """Whose each label of an order is; `plan` names all processes, also those without a label."""

    plan: Sequence[str]


def schedule(order: str, owners: Mapping[str, str]) -> str:
    """Return the schedule that forces an order, one insert in each turn.

    >>> schedule("CABD", {"A": "P1", "B": "P1", "C": "P2", "D": "P2"})
    '2 1 1 2'
    """
    plan = getattr(owners, "plan", dict.fromkeys(owners.values()))
    number = {name: str(p) for p, name in enumerate(plan, start=1)}
    labels = order.split() if {" ", "."} & set(order) else order  # as `join` made it
    return " ".join(number[owners[label]] for label in labels)


class Turn(NamedTuple):
    """One turn of a schedule: a process and what it does."""

    process: int  # from 1
    step: str | None  # how a place's name begins; "": any; "x" first: gives up; None: a whole unit

    def __str__(self) -> str:
        return f"{self.process}{self.step or ''}"


def parse(text: str, names: Sequence[str]) -> list[Turn]:
    """Return the turns of a schedule, such as 1r or P1R, for a plan with these names.

    Raises TypeError if the schedule is not a text, ValueError if no such plan can follow it.

    >>> parse("1b 2x", ["P1", "P2"])
    [Turn(process=1, step='b'), Turn(process=2, step='x')]
    """
    if not isinstance(text, str):
        raise TypeError(f"The schedule is {text!r}: write it as a text in quotes, as in '1 2 1 2'.")
    turns, units = [], {}
    for at, word in enumerate(text.replace(",", " ").split(), start=1):
        said = f"Turn {at} of the schedule, {word!r},"
        if not (match := re.fullmatch(r"([Pp]?(\d+))([^\W\d]\w*)?", word)):
            raise ValueError(f"{said} is not a turn: write 2, or 2b with a step, and blanks.")
        name, step = match[1].upper(), match[3] and match[3].casefold()
        turn = Turn(names.index(name) + 1 if name in names else int(match[2]), step)
        if not 1 <= turn.process <= len(names):
            known = ", ".join(f"{n} ({name})" for n, name in enumerate(names, start=1))
            raise ValueError(f"{said} names process {turn.process}: the plan has {known}.")
        turns.append(turn)
        if units.setdefault(turn.process, turn.step is None) != (turn.step is None):
            raise ValueError(f"{said} mixes whole units with steps: choose one for a process.")
    if not turns:
        raise ValueError("The schedule is empty: give at least one turn, as in '1 2 1 2'.")
    return turns


def process_of(word: str) -> int:
    """Return the process number of one turn of a schedule: 2 for 2b."""
    return int(re.match(r"\d+", word)[0])


def switches(schedule: str) -> int:
    """Return how often a schedule switches from one process to another."""
    return sum(a != b for a, b in pairwise(map(process_of, schedule.split())))


def slug(name: str) -> str:
    """Return the name of a step as a schedule has it: read_2nd_last for read 2nd-last."""
    return re.sub(r"\W+", "_", name).casefold()


def letters_of(places: Iterable[str]) -> dict[str, str]:
    """Return the shortest beginning of each name's slug that tells it from the others.

    >>> letters_of(["read", "write", "wait"])
    {'read': 'r', 'wait': 'wa', 'write': 'wr'}
    """
    slugs = {name: slug(name) for name in sorted(set(places))}

    def shortest(own: str) -> str:
        begins, others = (own[:n] for n in range(1, len(own))), {*slugs.values()} - {own}
        return next((b for b in begins if not any(s.startswith(b) for s in others)), own)

    return {name: shortest(own) for name, own in slugs.items()}
