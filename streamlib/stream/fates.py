"""What became of each row: the source held against what was received, by content.

pandas is imported only when a table is made, since senders import this module.
"""

import gc
import json
from bisect import bisect
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import SequenceMatcher
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from streamlib import rows
from streamlib.records import course, decode

if TYPE_CHECKING:
    import pandas as pd

GOOD = ("arrived", "not sent")
OF_SOURCE = ("arrived", "out of order", "altered", "lost", "not sent")
BESIDES = ("duplicated", "never in the source", "header sent as data")
FATES = OF_SOURCE + BESIDES


class Arrival(NamedTuple):
    """One line that was received: its sequence number (None: it has none), and what it holds."""

    seq: int | None
    content: dict | str


def reconcile(
    source: Iterable[dict] | Path | str, received: Iterable[dict] | Path | str
) -> "pd.DataFrame":
    """Return the fate of each row: line, seq, arrival (1 came first), fate, expected, got.

    source: the rows in the order in which they were sent, or the path of a CSV file or of records;
    received: the path of what was received (records, `[a, b, c]` lines or CSV), or records.

    Content is compared, not counts. Fates: arrived; out of order (after a later row, as RFC 4737
    has it); altered; lost; not sent (as the end record says); and, one more row each: duplicated,
    never in the source, header sent as data. `verdict` says it in one sentence.
    """
    with _no_collecting():
        return _reconcile(source, received)


@contextmanager
def _no_collecting() -> Iterator[None]:
    """Without garbage collection, which goes through a million new rows again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _reconcile(source: Iterable[dict] | Path | str, received: Iterable) -> "pd.DataFrame":
    expected = list(load(source) if isinstance(source, str | Path) else source)
    columns = list(expected[0]) if expected else []
    arrivals, sent = _arrivals(received, columns)
    names = {tuple(one.content) for one in arrivals if isinstance(one.content, dict)}
    fewer = next(iter(names)) if len(names) == 1 else ()
    some = bool(fewer) and set(fewer) < set(columns)  # only these columns were sent
    if some:
        expected = [_pick(row, fewer) for row in expected]
    as_text = bool(arrivals) and all(isinstance(one.content, str) for one in arrivals)
    wanted = [course(row) for row in expected] if as_text else expected
    matched, left = _match_in_step(wanted, arrivals)
    altered, besides = {}, {}
    if left:
        strange, besides = _match_by_content(wanted, arrivals, matched, left, columns)
        headers = [at for at, (fate, _) in besides.items() if fate == "header sent as data"]
        altered = _match_by_place(wanted, arrivals, matched, strange, headers)
        foreign = strange.difference(altered.values())
        besides |= dict.fromkeys(foreign, ("never in the source", None))
    table = _table(expected, arrivals, matched, altered, dict(sorted(besides.items())), sent)
    # A list of records says itself where it ends; a file without an end record may be cut short.
    table.attrs["ended"] = sent is not None or not isinstance(received, str | Path)
    table.attrs["columns"] = (len(fewer), len(columns)) if some else None
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
    bad = [f"{count[fate]:,} {fate}" for fate in OF_SOURCE[1:4] if count[fate]]
    extra = [f"{count[fate]:,} {fate}" for fate in BESIDES if count[fate]]
    said = f"Of {total:,} rows {count['arrived']:,} arrived in order"
    said += "".join(f", {words}" for words in bad) + more
    said += f"; besides: {', '.join(extra)}" * bool(extra)
    if not fates.attrs.get("ended", True):
        said += "; there is no end record, so the last ones may never have been sent"
    return said + "."


def good(fates: "pd.DataFrame") -> bool:
    """Whether every row that was sent is there once, unaltered and in order."""
    return bool(fates["fate"].isin(GOOD).all() and (fates["fate"] == "arrived").any())


def count_good(fates: "pd.DataFrame") -> int:
    """Return how many rows of the source arrived in order."""
    return int((fates["fate"] == "arrived").sum())


def load(path: Path | str) -> Iterable[dict]:
    """Return the rows of a CSV file, or those of a file of records such as out9.txt."""
    path = Path(path)
    if path.is_file():
        with path.open("rb") as file:
            if file.read(1000).lstrip()[:1] == b"{":
                arrivals, _ = _arrivals(path, [])
                return [one.content for one in arrivals if isinstance(one.content, dict)]
    return rows.read(path)


def _arrivals(
    received: Iterable[dict] | Path | str, columns: list[str]
) -> tuple[list[Arrival], int | None]:
    """What was received, in order, and how many rows the end record tells of (None: no end)."""
    if not isinstance(received, str | Path):
        every = list(received)
        arrivals = [Arrival(one.get("seq"), one["row"]) for one in every if "row" in one]
        return arrivals, next((one["seq"] for one in every if "end" in one), None)
    path = Path(received)
    if not path.is_file():
        raise OSError(f"{path} is not there: give the file that the receiver wrote.")
    arrivals, sent = [], None
    with path.open("rb") as file:
        if file.read(1000).lstrip()[:1] not in (b"{", b"[", b""):
            pasted = rows.read(path, header=False)
            return [Arrival(None, _pasted(row, columns)) for row in pasted], None
        file.seek(0)
        for line in file:
            try:
                record = decode(line)
            except ValueError:
                text = line.decode("utf-8", "replace").rstrip("\r\n")
                arrivals.append(Arrival(None, text))
                continue
            if "row" in record:
                arrivals.append(Arrival(record["seq"], record["row"]))
            else:
                sent = record["seq"]
    return arrivals, sent


def _pick(row: dict, columns: Iterable[str]) -> rows.Row:
    picked = rows.Row((name, row[name]) for name in columns if name in row)
    if hasattr(row, "line"):
        picked.line = row.line
    return picked


def _pasted(row: dict, columns: list[str]) -> dict:
    """A row of a CSV file without a header, with the source's names."""
    values = list(row.values())
    names = [*columns, *(f"column {n}" for n in range(len(columns) + 1, len(values) + 1))]
    return dict.fromkeys(columns, "") | dict(zip(names, values, strict=False))


def _match_in_step(wanted: list, arrivals: list[Arrival]) -> tuple[list[int | None], list[int]]:
    """Return which arrival each row is, if place and content agree; and the arrivals left."""
    matched: list[int | None] = [None] * len(wanted)
    left = []
    for at, (seq, content) in enumerate(arrivals):
        place = at if seq is None else seq - 1
        if 0 <= place < len(wanted) and matched[place] is None and wanted[place] == content:
            matched[place] = at
        else:
            left.append(at)
    if left and all(seq is None for seq, _ in arrivals):  # without numbers: the longest runs alike
        keys = [list(map(_key, wanted)), [_key(content) for _, content in arrivals]]
        matched, left = [None] * len(wanted), set(range(len(arrivals)))
        for place, at, size in SequenceMatcher(None, *keys, autojunk=False).get_matching_blocks():
            matched[place : place + size] = range(at, at + size)
            left.difference_update(range(at, at + size))
    return matched, sorted(left)


def _match_by_content(
    wanted: list, arrivals: list[Arrival], matched: list, left: list[int], columns: list[str]
) -> tuple[set[int], dict[int, tuple]]:
    """Find the arrivals left anywhere in the source; return those that are not there, and extras.

    An extra is (its fate, the place of the row that it repeats).
    """
    open_places, known = defaultdict(deque), {}
    for place, row in enumerate(wanted):
        key = _key(row)
        known.setdefault(key, place)
        if matched[place] is None:
            open_places[key].append(place)
    header = {name: name for name in columns}
    headers = {_key(header), course(header)}
    strange, besides = set(), {}
    for at in left:
        key = _key(arrivals[at].content)
        if open_places[key]:
            matched[open_places[key].popleft()] = at
        elif key in headers:
            besides[at] = ("header sent as data", None)
        elif key in known:
            besides[at] = ("duplicated", known[key])
        else:
            strange.add(at)
    return strange, besides


def _match_by_place(
    wanted: list, arrivals: list[Arrival], matched: list, strange: set[int], headers: list[int]
) -> dict[int, int]:
    """Return place -> arrival of the altered rows: where one is missing, one that is like it came.

    The place is told by the sequence number, perhaps less the headers that took one before it;
    where there is no number, by the neighbour that arrived before it.
    """
    altered: dict[int, int] = {}
    place_of = {at: place for place, at in enumerate(matched) if at is not None}
    place = -1
    for at, (seq, content) in enumerate(arrivals):
        if at in place_of:
            place = place_of[at]
        elif at in strange:
            shifted = (seq or 0) - 1 - bisect(headers, at)
            for guess in (place + 1,) if seq is None else (seq - 1, shifted):
                free = 0 <= guess < len(wanted) and matched[guess] is None and guess not in altered
                if free and (_fields(wanted[guess]) & _fields(content)):
                    altered[guess] = at
                    place = guess
                    break
    return altered


def _key(content: dict | str) -> str:
    if isinstance(content, str):
        return content
    return json.dumps(content, sort_keys=True, default=str)


def _fields(content: dict | str) -> set:
    if isinstance(content, dict):
        content = course(content)
    return set(content.strip("[]{}").split(", "))


def _table(
    expected: list,
    arrivals: list[Arrival],
    matched: list,
    altered: dict[int, int],
    besides: dict[int, tuple],
    sent: int | None,
) -> "pd.DataFrame":
    import pandas as pd

    fate = ["lost" if at is None else "arrived" for at in matched]
    if None in matched:
        for place in altered:
            fate[place] = "altered"
        unsent = 0 if sent is None else len(expected) - sent
        for place in range(len(expected) - 1, len(expected) - 1 - unsent, -1):
            if place < 0 or fate[place] != "lost":
                break
            fate[place] = "not sent"
    latest = -1
    arrived = [place for place, at in enumerate(matched) if at is not None]
    for place in sorted(arrived, key=matched.__getitem__):
        if place < latest:
            fate[place] = "out of order"
        latest = max(latest, place)

    came = [altered.get(place) if at is None else at for place, at in enumerate(matched)]
    came += besides
    lines = [getattr(row, "line", n) for n, row in enumerate(expected, start=1)]
    places = [place for _, place in besides.values()]
    got = [None if at is None else arrivals[at] for at in came]
    table = pd.DataFrame(
        {
            "line": lines + [None if place is None else lines[place] for place in places],
            "seq": [one and one.seq for one in got],
            "arrival": [None if at is None else at + 1 for at in came],
            "fate": pd.Categorical([*fate, *(one for one, _ in besides.values())], FATES),
            "expected": pd.Series([*expected, *[None] * len(besides)], dtype=object),
            "got": pd.Series([one and one.content for one in got], dtype=object),
        }
    ).astype(dict.fromkeys(["line", "seq", "arrival"], "Int64"))
    return table
