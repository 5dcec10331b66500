"""What became of each row: the source held against what was received, by content.

A row's place is its index in the source; an arrival is the index of a line that was received.
pandas is imported only where a table is made, since senders import this module.
"""

import gc
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from streamlib import records, rows
from streamlib.records import course

if TYPE_CHECKING:
    import pandas as pd

OF_SOURCE = ("arrived", "out of order", "altered", "lost", "not sent")
BESIDES = ("duplicated", "never in the source", "header sent as data")
FATES = OF_SOURCE + BESIDES
WINDOW = 16_384  # rows compared with each other at once, so that the time grows linearly


def reconcile(
    source: Iterable[dict] | Path | str, received: Iterable[dict] | Path | str
) -> "pd.DataFrame":
    """Return the fate of each row: line, seq, arrival (1 came first), fate, expected, got.

    source: the rows in the order in which they were sent, or the path of a CSV file or of records;
    received: records, or the path of what was received: records, `[a, b, c]` lines, or CSV.

    A row of the source arrived, or is out of order (it came after a later row, as in RFC 4737),
    altered, lost, or not sent (as the end record tells). One more row each: duplicated, never in
    the source, header sent as data. attrs: ended (False: the end may be missing), columns (how
    many of how many were sent, if not all).
    """
    expected = _rows_of(source)
    lines = [getattr(row, "line", n) for n, row in enumerate(expected, start=1)]
    seqs, contents, sent = _arrivals(received, expected)
    came = [one for one in contents if isinstance(one, dict)]
    names = came[0].keys() if came else ()
    columns = expected[0].keys() if expected else ()
    some = set() < set(names) < set(columns) and all(row.keys() == names for row in came)
    if some:
        expected = [{name: row[name] for name in names if name in row} for row in expected]
    wanted = [course(row) for row in expected] if contents and not came else expected
    header = {name: name for name in (names if some else columns)}
    matches = _match(wanted, seqs, contents, {str(header), course(header)})
    table = _table(lines, expected, seqs, contents, sent, *matches)
    # A list of records is whole; a file without an end record may have been cut short.
    table.attrs["ended"] = sent is not None or not isinstance(received, str | Path)
    table.attrs["columns"] = (len(names), len(columns)) if some else None
    return table


def verdict(fates: "pd.DataFrame") -> str:
    """Say in one sentence what a table of fates shows."""
    count = fates["fate"].value_counts()
    total = int(count[list(OF_SOURCE)].sum() - count["not sent"])
    more = f"; {count['not sent']:,} more of the source were not sent" * bool(count["not sent"])
    if fates.attrs.get("columns"):
        more += "; {} of the source's {} columns were sent".format(*fates.attrs["columns"])
    if total and good(fates):
        rows = f"All {total:,} rows" if total > 1 else "The one row"
        return f"{rows} arrived once, unaltered and in order{more}."
    bad = "".join(f", {count[fate]:,} {fate}" for fate in OF_SOURCE[1:4] if count[fate])
    extra = ", ".join(f"{count[fate]:,} {fate}" for fate in BESIDES if count[fate])
    said = f"Of {total:,} rows {count['arrived']:,} arrived in order{bad}{more}"
    said += f"; also: {extra}" * bool(extra)
    if not fates.attrs.get("ended", True):
        said += "; there is no end record, so the last ones may never have been sent"
    return said + "."


def good(fates: "pd.DataFrame") -> bool:
    """Return whether every row that was sent is there once, unaltered and in order."""
    return bool(
        fates["fate"].isin(["arrived", "not sent"]).all() and (fates["fate"] == "arrived").any()
    )


def _rows_of(source: Iterable[dict] | Path | str) -> list[dict]:
    """Return the rows of a source, which may be the path of a CSV file or of records."""
    if isinstance(source, str | Path):
        is_stream = Path(source).is_file() and _first_byte(source) == b"{"
        source = (one["row"] for one in records.read(source)) if is_stream else rows.read(source)
    gc.disable()  # garbage collection would go through all rows again and again
    try:
        return list(source)
    finally:
        gc.enable()


def _arrivals(received, expected: list) -> tuple[list, list, int | None]:
    """Return numbers (None if there is none) and contents by arrival, and how many were sent."""
    seqs, contents, sent = [], [], None
    for record in _records(received):
        seq, content = record.get("seq"), record.get("row")
        if content is None:
            sent = seq
            continue
        if seq and seq <= len(expected) and content == expected[seq - 1]:
            content = expected[seq - 1]  # equal rows are kept in memory once
        seqs.append(seq)
        contents.append(content)
    return seqs, contents, sent


def _records(received: Iterable[dict] | Path | str) -> Iterator[dict]:
    """Yield the records that were received; the row of a line that is not a record is a text."""
    if not isinstance(received, str | Path):
        yield from received
    elif not Path(received).is_file():
        raise OSError(f"{received} does not exist: give the file that the receiver wrote.")
    elif _first_byte(received) not in (b"{", b"[", b""):
        yield from ({"row": course(row)} for row in rows.read(received, header=False))
    else:
        with open(received, "rb") as file:
            for line in file:
                try:
                    yield records.decode(line)
                except ValueError:
                    yield {"row": line.decode("utf-8", "replace").rstrip("\r\n")}


def _first_byte(path: Path | str) -> bytes:
    with open(path, "rb") as file:
        return file.read(1000).lstrip()[:1]


def _match(wanted: list, seqs: list, contents: list, header: set[str]) -> tuple[list, set, dict]:
    """Return place -> arrival, the places of altered rows, and arrival -> (fate, place) of others.

    Rows are matched by number, then by content. A line that is left is an altered row if it has
    the number of a missing row, or no number and comes where that row should.
    """
    shift = 1 + (seqs[:1] == [1] and str(contents[0]) in header)  # the header took a number, too
    places, besides, left = [None] * len(wanted), {}, {}
    for at, (seq, content) in enumerate(zip(seqs, contents, strict=True)):
        place = seq - shift if seq else -1
        if not 0 <= place < len(wanted) or wanted[place] != content:
            left[at] = str(content)
        elif places[place] is None:
            places[place] = at
        else:
            besides[at] = "duplicated", place
    if not left:
        return places, set(), besides
    keys = [str(row) for row in wanted]
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
        elif left[at] in header:
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


def _alike(*contents: dict | str) -> bool:
    """Return whether two rows have a field in common."""
    texts = (one if isinstance(one, str) else course(one) for one in contents)
    one, other = (set(text.strip("[]{}").split(", ")) for text in texts)
    return bool(one & other)


def _table(lines, expected, seqs, contents, sent, places, altered, besides) -> "pd.DataFrame":
    """Make the table; only here are rows called out of order, lost, or not sent."""
    import pandas as pd

    number, latest = len(places) if sent is None else sent, -1
    fate = ["lost" if place < number else "not sent" for place in range(len(places))]
    came = [place for place, at in enumerate(places) if at is not None]
    for place in sorted(came, key=places.__getitem__):
        in_order = "arrived" if place > latest else "out of order"
        fate[place] = "altered" if place in altered else in_order
        latest = latest if place in altered else max(latest, place)
    others = sorted(besides.items())
    came = [*places, *(at for at, _ in others)]
    repeated = [None if place is None else lines[place] for _, (_, place) in others]
    return pd.DataFrame(
        {
            "line": pd.array(lines + repeated, "Int64"),
            "seq": pd.array([None if at is None else seqs[at] for at in came], "Int64"),
            "arrival": pd.array([None if at is None else at + 1 for at in came], "Int64"),
            "fate": pd.Categorical(fate + [fate for _, (fate, _) in others], FATES),
            "expected": pd.Series([*expected, *[None] * len(others)], dtype=object),
            "got": pd.Series([None if at is None else contents[at] for at in came], dtype=object),
        }
    )
