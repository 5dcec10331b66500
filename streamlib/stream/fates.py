"""What became of each row: the source held against what was received, by content.

A row's place is its index in the source; an arrival is the index of a line that was received.
pandas is imported only where a table is made, since senders import this module.
"""

import gc
import re
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from streamlib import records, rows
from streamlib.records import course
from streamlib.stream import pasted
from streamlib.stream.pasted import plain

if TYPE_CHECKING:
    import pandas as pd

OF_SOURCE = ("arrived", "out of order", "altered", "lost", "not sent", "unknown")
BESIDES = ("duplicated", "never in the source", "header sent as data")
FATES = OF_SOURCE + BESIDES
FINE = ("arrived", "not sent", "unknown")
WINDOW = 16_384  # rows compared with each other at once, so that the time grows linearly


def reconcile(
    source: Iterable[dict] | Path | str, received: Iterable[dict] | Path | str
) -> "pd.DataFrame":
    """Return the fate of each row: line, seq, arrival (1 came first), fate, expected, got.

    source: the rows in the order in which they were sent, or the path of a CSV file or of records;
    received: records, or the path of what was received: records, or rows in lines of any form.

    A row of the source arrived, or is out of order (it came after a later row, as in RFC 4737),
    altered, lost, not sent (as the end record tells), or its fate is unknown: a file without an
    end record does not tell whether it was sent. One more row each: duplicated, never in the
    source, header sent as data. attrs: read (sentences on how the lines were read), columns (how
    many of how many were sent, if not all), ambiguous (lines that may be one of several rows).
    """
    expected = rows_of(source)
    lines = [getattr(row, "line", n) for n, row in enumerate(expected, start=1)]
    found, columns = pasted.arrivals(received, expected), list(expected[0]) if expected else []
    came = [one for one in found.contents if isinstance(one, dict)]
    sent = list(came[0]) if came else columns
    names = [name for name in sent if name in columns]
    if names and sent != columns and all(row.keys() == came[0].keys() for row in came):
        expected, found.contents = _only(names, expected), _only(names, found.contents)
        if extra := [name for name in sent if name not in columns]:
            found.read.append(f"Columns that the source does not have: {extra!r:.200}.")
    else:
        names = columns
    matches = _match(expected, found.seqs, found.contents)
    is_path = isinstance(received, str | Path)
    if is_path and not any(found.seqs):  # lines, as the course has them
        found.contents = [one if isinstance(one, str) else course(one) for one in found.contents]
    may_go_on = is_path and found.sent is None
    table = _table(lines, expected, found, may_go_on, *matches)
    some = (len(names), len(columns)) if len(names) < len(columns) else None
    table.attrs |= {"ended": not may_go_on, "columns": some}
    return table


def _only(names: list[str], contents: list) -> list:
    """Return rows with these columns alone; a text stays as it is."""
    return [
        one if isinstance(one, str) else {name: one[name] for name in names if name in one}
        for one in contents
    ]


def verdict(fates: "pd.DataFrame") -> str:
    """Say in one sentence what a table of fates shows."""
    if fates.attrs.get("empty"):
        return fates.attrs["empty"]
    count = fates["fate"].value_counts()
    total = int(count[list(OF_SOURCE[:4])].sum())
    more = f"; {count['not sent']:,} more of the source were not sent" * bool(count["not sent"])
    more += "; whether more were sent is not known" * bool(count["unknown"])
    if fates.attrs.get("columns"):
        more += "; {} of the source's {} columns were sent".format(*fates.attrs["columns"])
    if unclear := fates.attrs.get("ambiguous"):
        more += f"; ambiguous lines, which may be one of several rows each: {unclear:,}"
    if good(fates) and count["unknown"]:
        first = f"The first {total:,}" if total > 1 else "The first"
        of = f"{total + count['unknown']:,} rows arrived unaltered and in order"
        return f"{first} of {of}{more}."
    if good(fates):
        rows = f"All {total:,} rows" if total > 1 else "The one row"
        return f"{rows} arrived once, unaltered and in order{more}."
    bad = "".join(f", {count[fate]:,} {fate}" for fate in OF_SOURCE[1:4] if count[fate])
    extra = ", ".join(f"{count[fate]:,} {fate}" for fate in BESIDES if count[fate])
    said = f"Of {total:,} rows {count['arrived']:,} arrived in order{bad}"
    said = said if total else "No row of the source arrived"
    return f"{said}{more}" + f"; also: {extra}" * bool(extra) + "."


def good(fates: "pd.DataFrame") -> bool:
    """Return whether every row that was sent is there once, unaltered and in order."""
    fine = fates["fate"].isin(FINE)
    return bool(fine.all() and (fates["fate"] == "arrived").any())


def rows_of(source: Iterable[dict] | Path | str) -> list[dict]:
    """Return the rows of a source, which may be the path of a CSV file or of records."""
    if isinstance(source, str | Path):
        head = b""
        if (path := Path(source)).is_file():
            with path.open("rb") as file:
                head = file.read(1000).strip()
            if not head:
                raise ValueError(f"{source} is empty: give the file that was sent.")
        is_stream = head.startswith(b"{")
        source = (one["row"] for one in records.read(path)) if is_stream else rows.read(source)
    gc.disable()  # garbage collection would go through all rows again and again
    try:
        return list(source)
    finally:
        gc.enable()


def _match(wanted: list, seqs: list, contents: list) -> tuple[list, set, dict]:
    """Return place -> arrival, the places of altered rows, and arrival -> (fate, place) of others.

    Rows are matched by number, then by content. A line that is left is an altered row if it has
    the number of a missing row, or no number and comes where that row should.
    """
    shift = 1 + (
        seqs[:1] == [1] and _is_header(contents[0], wanted, 0)
    )  # the header took a number, too
    places, besides, left = [None] * len(wanted), {}, {}
    for at, (seq, content) in enumerate(zip(seqs, contents, strict=True)):
        place = seq - shift if seq else -1
        if not 0 <= place < len(wanted) or wanted[place] != content:
            left[at] = _key(content)
        elif places[place] is None:
            places[place] = at
        else:
            besides[at] = "duplicated", place
    if not left:
        return places, set(), besides
    keys = [_key(row) for row in wanted]
    missing, arrivals = [place for place, at in enumerate(places) if at is None], list(left)
    for n, place in _align([keys[place] for place in missing], list(left.values())).items():
        places[missing[place]] = arrivals[n]
    place_of = {at: place for place, at in enumerate(places) if at is not None}
    altered, first = set(), {key: place for place, key in reversed([*enumerate(keys)])}
    for at in (at for at in arrivals if at not in place_of):
        before = place_of.setdefault(at, place_of.get(at - 1, -1))
        guess = seqs[at] - shift if seqs[at] else before + 1
        if left[at] in first:
            besides[at] = "duplicated", first[left[at]]
        elif _is_header(contents[at], wanted, at):
            besides[at] = "header sent as data", None
        elif places[max(guess, 0) : guess + 1] == [None] and _alike(wanted[guess], contents[at]):
            places[guess], place_of[at] = at, guess
            altered.add(guess)
        else:
            besides[at] = "never in the source", None
    return places, altered, besides


def _align(wanted: Sequence, came: Sequence) -> dict[int, int]:
    """Return index in `came` -> index in `wanted` of equal items, each of them used once.

    As many as possible are in the same order in both; the others have moved.

    >>> _align("ABACD", "BACA")
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
        # One that comes far too early is more likely a copy of an equal one that arrived.
        elif free[item] and (only_moved or item not in arrived or free[item][0] <= here + 2):
            pairs[at] = free[item].popleft()
    return pairs


def _in_order(wanted: Sequence, came: Sequence) -> dict[int, int]:
    """Pair equal items side by side; where they differ, compare the windows that begin there."""
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


def _longest_common(wanted: Sequence, came: Sequence) -> list[tuple[int, int]]:
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


def _key(content: dict | str) -> str:
    """Return what is compared: the number 3 is as good as its text."""
    return content if isinstance(content, str) else "\x1f".join(map(str, content.values()))


def _fields(content: dict | str) -> list[str]:
    values = content.values() if isinstance(content, dict) else re.split("[,;|\t]", content)
    return [plain(str(value)) for value in values]


def _alike(*contents: dict | str) -> bool:
    """Return whether at least half of the fields of two rows are the same."""
    one, other = map(_fields, contents)
    return 2 * (Counter(one) & Counter(other)).total() >= max(len(one), len(other))


def _is_header(content: dict | str, source: list[dict], at: int) -> bool:
    """Return whether this is a header: names of columns, or what came first and has no number.

    Half of the names must agree, or the row must lack numbers where the source has them.
    """
    fields, names = _fields(content), [plain(name) for name in source[0]] if source else []
    if len(fields) != len(names):
        return False
    named = sum(
        re.sub(r"\W|_", "", a) == re.sub(r"\W|_", "", b) for a, b in zip(fields, names, strict=True)
    )
    numbers = any(re.search(r"\d", value) for value in _fields(source[0]))
    return 2 * named >= len(names) or (at == 0 and numbers and not re.search(r"\d", str(fields)))


def _table(lines, expected, found, may_go_on, places, altered, besides) -> "pd.DataFrame":
    """Make the table; only here are rows called out of order, lost, not sent, or unknown.

    Where the end may be missing, a row is lost only if a later one came.
    """
    import pandas as pd

    seqs, contents, latest = found.seqs, found.contents, -1
    last = max((place for place, at in enumerate(places) if at is not None), default=-1)
    number = last + 1 if may_go_on else len(places) if found.sent is None else found.sent
    beyond = "unknown" if may_go_on else "not sent"
    fate = ["lost" if place < number else beyond for place in range(len(places))]
    came = [place for place, at in enumerate(places) if at is not None]
    for place in sorted(came, key=places.__getitem__):
        in_order = "arrived" if place > latest else "out of order"
        fate[place] = "altered" if place in altered else in_order
        latest = latest if place in altered else max(latest, place)
    others = sorted(besides.items())
    came = [*places, *(at for at, _ in others)]
    repeated = [None if place is None else lines[place] for _, (_, place) in others]
    table = pd.DataFrame(
        {
            "line": pd.array(lines + repeated, "Int64"),
            "seq": pd.array([None if at is None else seqs[at] for at in came], "Int64"),
            "arrival": pd.array([None if at is None else at + 1 for at in came], "Int64"),
            "fate": pd.Categorical(fate + [fate for _, (fate, _) in others], FATES),
            "expected": pd.Series([*expected, *[None] * len(others)], dtype=object),
            "got": pd.Series([None if at is None else contents[at] for at in came], dtype=object),
        }
    )
    table.attrs |= {"read": found.read, "empty": found.empty, "ambiguous": found.ambiguous}
    return table
