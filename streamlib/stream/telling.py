"""What a table of fates shows: in which order the rows came, and what became of each."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import pairwise, takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from streamlib import rows
from streamlib.records import course
from streamlib.stream.fates import FINE, reconcile, rows_of

if TYPE_CHECKING:
    import pandas as pd


def in_sent_order(source: Iterable[dict] | Path | str, received: Path | str) -> "pd.DataFrame":
    """Reconcile with the source in the order in which its rows were sent: attrs["order"] names it.

    The order is "" if the source as it stands explains as much, or nothing explains more.
    """
    source = rows_of(source)
    fates = reconcile(source, received)
    fates.attrs["order"] = order = ""
    # The numbers are the sender's order, the arrivals perhaps the network's.
    sent = fates["arrival" if fates["seq"].isna().all() else "seq"].head(len(source)).dropna()
    came = [source[place] for place in sent.sort_values().index]
    few, place_of = came[:: len(came) // 500 + 1], {id(row): n for n, row in enumerate(source)}
    best = 0.9  # of the neighbors, at least, are in that order
    for name, sort in _orders(source, place_of) if not sent.is_monotonic_increasing else ():
        with suppress(ValueError):  # there is nothing to sort it by
            rank = {id(row): n for n, row in enumerate(sort(few))}
            rising = sum(rank[id(a)] < rank[id(b)] for a, b in pairwise(few)) / (len(few) - 1)
            if rising > best:
                best, order, chosen = rising, name, sort
    if not order:
        return fates
    taken = chosen(came + [row for place, row in enumerate(source) if place not in sent])
    again = reconcile(taken, received)
    again.attrs["order"] = order + getattr(taken, "by", "")
    return max(fates, again, key=_explained)


def _explained(fates: "pd.DataFrame") -> int:
    count = fates["fate"].value_counts()
    return count["arrived"] - count["lost"] - count["out of order"]


def _line(row: dict) -> str:
    return ",".join(map(str, row.values()))


def _orders(source: list[dict], place_of: dict[int, int]) -> Iterator[tuple[str, Callable]]:
    """Yield orders by name, as functions that sort rows and leave equal ones as they are."""

    def backwards(sort: Callable, table: list) -> list:
        found = sort(table[::-1])
        found.reverse()  # in place, since it has `by`
        return found

    orders = [("sorted by ", partial(rows.oldest_first, by=name)) for name in source[0]]
    for name in source[0]:
        key = partial(lambda name, row: str(row.get(name)), name)
        orders.append(
            (f"sorted by {name} as text, so 100 comes before 11", partial(sorted, key=key))
        )
    orders.append(("sorted as text, so 100 comes before 11", partial(sorted, key=_line)))
    yield "oldest first, by ", rows.oldest_first
    yield "reversed: the last row first", partial(sorted, key=lambda row: -place_of[id(row)])
    yield "newest first, by ", partial(backwards, rows.oldest_first)
    for name, sort in orders:
        yield name, sort
        yield f"backwards: {name}", partial(backwards, sort)


def told(fates: "pd.DataFrame", most: int = 20) -> Iterator[str]:
    """Yield a sentence on each row that is not well, and how many there are beyond the first."""
    bad = fates[~fates["fate"].isin(FINE)]
    for row in bad.head(most).itertuples():
        at = [
            f"{name} {n}"
            for name, n in (("line", row.line), ("arrival", row.arrival))
            if str(n).isdigit()
        ]
        what = row.expected if row.got is None else row.got
        text = what if isinstance(what, str) else course(what)
        said = changes(row.expected, row.got) if row.fate == "altered" else f"{text!r:.200}"
        yield f"{', '.join(at)}: {row.fate}: {said}"
    if len(bad) > most:
        yield f"... and {len(bad) - most:,} more that are not well."


def changes(expected: dict, got: dict | str) -> str:
    """Say field by field what differs in an altered row.

    >>> changes({"Town": "Ames", "Temp": "3"}, "[Ames, 3.0]")
    "Temp: '3' -> '3.0'"
    """
    names, sent = list(expected), list(map(str, expected.values()))
    came = got[1:-1].split(", ") if isinstance(got, str) else list(map(str, got.values()))
    if len(came) != len(sent):
        names, sent, came = ["row"], [", ".join(sent)], [", ".join(came)]
    said = []
    for name, one, other in zip(names, sent, came, strict=True):
        alike = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
        at = len(list(alike))  # both are shown from shortly before it
        start, letters = max(0, at - 20), (one[at : at + 1], other[at : at + 1])
        dots, codes = "..." * (start > 0), "({!a} -> {!a})".format(*letters)
        shown = f"{name}: {dots}{one[start:][:60]!r} -> {dots}{other[start:][:60]!r}"
        said += [f"{shown} {codes}" * (not "".join(letters).isascii()) or shown] * (one != other)
    return "; ".join(said)
