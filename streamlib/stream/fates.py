"""What became of each row: the source held against what was received, by content.

A row's place is its index in the source; an arrival is the index of a line that was received.
"""

import gc
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from streamlib import records, rows
from streamlib.stream.pasted import read_lines, records_in

OF_SOURCE = ("arrived", "out of order", "altered", "lost", "not sent", "unknown")
BESIDES = ("duplicated", "never in the source", "header sent as data")
FATES = OF_SOURCE + BESIDES
FINE = ("arrived", "not sent", "unknown")
gc.set_threshold(100_000)  # or it would go through all rows again and again


def reconcile(source: Iterable[dict] | Path | str, received: Iterable[dict] | Path | str) -> Any:
    """Return the fate of each row: line, seq, arrival (1 came first), fate, expected, got.

    source: rows as they were sent; received: records; or the paths of files with them, in lines.

    A row of the source arrived, or is out of order (it came after a later row, as in RFC 4737),
    altered, lost, not sent (as the end record tells) or unknown. One more row each: duplicated,
    never in the source, header sent as data. Without numbers a line is the next equal row of the
    source, else the first passed over; one that comes too often is a copy. attrs: read (how lines
    were read), ambiguous (how many), ended (False: the end may be missing), columns (some of all).
    """
    expected = _rows_of(source)
    lines = [getattr(row, "line", n) for n, row in enumerate(expected, start=1)]
    seqs, contents, sent, is_path = [], [], None, isinstance(received, str | Path)
    for record in records_in(Path(received)) if is_path else received:
        if "row" in record:
            seqs.append(record.get("seq"))
            contents.append(record["row"])
        else:
            sent = max(record["seq"], sent or 0)
    said, unclear, ended = [], 0, sent is not None or not is_path  # a list of records is whole
    if not ended and expected and contents and not any(seqs):
        contents, said, unclear = read_lines(contents, expected)
        seqs = [None] * len(contents)
    came = [one for one in contents if isinstance(one, dict)]
    names, columns = (one[0].keys() if one else set() for one in (came, expected))
    some = set() < set(names) < set(columns) and all(row.keys() == names for row in came)
    if some:
        expected = [{name: row[name] for name in names if name in row} for row in expected]
    found, places, shift = _match(expected, seqs, contents)
    last = max((place for place in places if place is not None), default=-1)
    number = sent + 1 - shift if sent is not None else len(expected) if ended else last + 1
    beyond = "not sent" if ended else "unknown"
    fate = ["lost" if place < number else beyond for place in range(len(expected))]
    table = _table(lines, expected, fate, found, places, seqs, contents)
    table.attrs |= {"read": said, "ambiguous": unclear, "ended": ended}
    table.attrs["columns"] = (len(names), len(columns)) if some else None
    return table


def verdict(fates: Any) -> str:
    """Say in one sentence what a table of fates shows."""
    count, attrs = fates["fate"].value_counts(), fates.attrs
    total = int(count[list(OF_SOURCE[:4])].sum())
    bad = "".join(f", {count[fate]:,} {fate}" for fate in OF_SOURCE[1:4] if count[fate])
    extra = ", ".join(f"{count[fate]:,} {fate}" for fate in BESIDES if count[fate])
    said = f"Of {total:,} rows {count['arrived']:,} arrived in order{bad}"
    said = said if total else "No row of this source came, so look whether it is the right one"
    if good(fates) and count["unknown"]:
        first = f"The first {total:,}" if total > 1 else "The first"
        said = f"{first} of {len(fates):,} rows arrived unaltered and in order"
    elif good(fates):
        rows = f"All {total:,} rows" if total > 1 else "The one row"
        said = f"{rows} arrived once, unaltered and in order"
    elif fates["arrival"].isna().all() and not attrs.get("ended", True):
        said = "Nothing was received: the file is empty"
    columns, unclear = attrs.get("columns"), attrs.get("ambiguous")
    notes = [
        f"{count['not sent']:,} more of the source were not sent" * bool(count["not sent"]),
        "whether more were sent is not known" * bool(count["unknown"]),
        columns and "{} of the source's {} columns were sent".format(*columns),
        unclear and f"ambiguous lines, which may be one of several rows: {unclear:,}",
        extra and f"also: {extra}",
    ]
    return "; ".join(filter(None, [said, *notes])) + "."


def good(fates: Any) -> bool:
    """Return whether every row that was sent is there once, unaltered and in order."""
    return bool(fates["fate"].isin(FINE).all() and (fates["fate"] == "arrived").any())


def in_sent_order(source: Iterable[dict] | Path | str, received: Path | str) -> Any:
    """Reconcile with the source as it was sent (by number, or as rows came): see attrs["read"]."""
    source = _rows_of(source)
    fates = reconcile(source, received)
    came = fates[fates["fate"].isin(("arrived", "out of order"))]
    places = came["arrival" if came["seq"].isna().all() else "seq"].sort_values().index
    sent, few = ([source[place] for place in of] for of in (places, sorted(places[:500])))
    for order, take in {} if places.is_monotonic_increasing else _orders(source).items():
        with suppress(ValueError):  # there is nothing to sort it by
            rest = iter(take(source) if take(few) == sent[:500] else ())
            if all(row in rest for row in sent):
                fates = reconcile(take(source), received)
                fates.attrs["read"].append(f"The rows came {repr(order)[1:-1]}.")
                break
    return fates


def _orders(source: list[dict]) -> dict[str, Callable]:
    """Return orders by name, as functions that leave rows with equal values as they are."""
    orders = {"oldest first": rows.oldest_first, "reversed": lambda table: table[::-1]}
    for name in source[0]:
        orders[f"sorted by {name}"] = partial(rows.oldest_first, by=name)
        orders[f"sorted by {name} as text"] = partial(sorted, key=lambda row, at=name: str(row[at]))
    for name, sort in list(orders.items()):
        orders[f"{name}, backwards"] = lambda table, sort=sort: sort(table[::-1])[::-1]
    return orders


def told(fates: Any) -> Iterator[str]:
    """Yield how lines were read, and what is not well: the first 20 rows, field by field."""
    yield from fates.attrs["read"]
    bad = fates[~fates["fate"].isin(FINE)]
    for row in bad.head(20).itertuples():
        shown = "; ".join(_changes(row.expected, row.got)) or f"{row.got or row.expected!r:.200}"
        where = f"line {row.line}" if row.expected else f"arrival {row.arrival}"
        yield f"{where}: {row.fate}: {shown}"
    yield from [f"... and {len(bad) - 20:,} more that are not well."] * (len(bad) > 20)


def _changes(expected: dict | None, got: dict | str | None) -> Iterator[str]:
    """Yield what differs, field by field, with the codes of letters that may look alike."""
    for name, one in expected.items() if expected and isinstance(got, dict) else ():
        if str(one) != (other := str(got.get(name))):
            codes = "" if f"{one}{other}".isascii() else f" ({one!a} -> {other!a})"
            yield f"{str(name)!r}"[1:-1] + f": {one!r} -> {other!r}{codes}"


def _rows_of(source: Iterable[dict] | Path | str) -> list[dict]:
    """Return the rows of a source, which may be the path of a CSV file or of records."""
    if isinstance(source, str | Path):
        is_stream = Path(source).is_file() and "seq" in next(records_in(Path(source)), ())
        source = (one["row"] for one in records.read(source)) if is_stream else rows.read(source)
    return list(source)


def _match(wanted: list, seqs: list, contents: list) -> tuple[list, list, int]:
    """Return fates and places by number, content, or where it came; and which row is first."""
    names, missing = wanted[0] if wanted else (), dict.fromkeys(range(len(wanted)), "arrived")
    found, places = [""] * len(seqs), [None] * len(seqs)
    shift = 1 + (seqs[:1] == [1] and contents[0] not in wanted[:1] and _alike(names, contents[0]))
    for at, (seq, content) in enumerate(zip(seqs, contents, strict=True)):
        place = seq - shift if seq else -1
        if 0 <= place < len(wanted) and wanted[place] == content:
            found[at], places[at] = missing.pop(place, "duplicated"), place
    left, free, before = [at for at, fate in enumerate(found) if not fate], list(missing), -1
    keys = {at: str(contents[at]) for at in left}
    for at, n in _align([str(wanted[place]) for place in free if left], [*keys.values()]).items():
        found[left[at]], places[left[at]] = missing.pop(free[n]), free[n]
    first = {str(row): place for place, row in reversed([*enumerate(wanted)]) if left}
    for at in range(len(seqs) if left else 0):
        guess = seqs[at] - shift if seqs[at] else before + 1
        if found[at]:
            before = places[at]
        elif keys[at] in first:
            found[at], places[at] = "duplicated", first[keys[at]]
        elif _alike(names, contents[at]):
            found[at] = "header sent as data"
        elif guess in missing and _alike(wanted[guess].values(), contents[at]):
            found[at], places[at], before = "altered", guess, guess
            del missing[guess]
        else:
            found[at] = "never in the source"
    return found, places, shift


def _align(wanted: Sequence, came: Sequence) -> dict[int, int]:
    """Return index in `came` -> index in `wanted` of equal items, each of them used once."""
    ahead, passed, copies = defaultdict(deque), defaultdict(deque), Counter(came) - Counter(wanted)
    for place, item in enumerate(wanted):
        ahead[item].append(place)
    pairs, here, arrived = {}, -1, set()
    for at, item in enumerate(came):
        after, before = ahead[item], passed[item]
        while after and after[0] < here:
            before.append(after.popleft())
        if copies[item] and item in arrived and not (after and after[0] == here + 1):
            copies[item] -= 1
        elif after:
            pairs[at] = here = after.popleft()
        elif before:
            pairs[at] = before.popleft()
        arrived.add(item)
    return pairs


def _alike(wanted: Iterable, content: dict | str) -> bool:
    """Return whether at least half of the fields agree, whatever their case."""
    fields = content.values() if isinstance(content, dict) else content.strip("[]").split(",")
    one, other = ([str(field).strip().casefold() for field in all] for all in (wanted, fields))
    return 2 * sum(map(str.__eq__, one, other)) >= max(len(one), len(other))


def _table(lines, expected, fate, found, places, seqs, contents) -> Any:
    """Make the table; only here are rows called out of order."""
    import pandas as pd  # only here, since senders import this module

    numbers = {"place": places, "seq": seqs, "arrival": range(1, len(seqs) + 1)}
    came = pd.DataFrame(numbers, dtype="Int64")
    came["fate"], came["got"] = (pd.Series(of, dtype=object) for of in (found, contents))
    arrived = came["place"][came["fate"] == "arrived"]
    came.loc[arrived.index[arrived < arrived.cummax()], "fate"] = "out of order"
    extra = came[came["fate"].isin(BESIDES)]
    source = pd.DataFrame({"line": lines}, dtype="Int64")
    table = source.join(came.drop(extra.index).set_index("place"))
    table = pd.concat([table, extra.join(source, on="place")], ignore_index=True)
    table["fate"] = pd.Categorical(table["fate"].fillna(pd.Series(fate, dtype=object)), FATES)
    table["expected"] = pd.Series([*expected, *[None] * len(extra)], dtype=object)
    table["got"] = table["got"].where(table["arrival"].notna(), None)
    return table[["line", "seq", "arrival", "fate", "expected", "got"]]
