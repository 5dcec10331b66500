"""Every picture of the lab: each chart takes a tidy table and returns its `Axes`.

Hue is the process, texture is the state, names stand at the ends of rows, time 0 is the start
gate, and the title says what the table shows. `ax=None` draws on a new figure.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.image import AxesImage

from streamlib import trace

HUES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000")
BARGED = "#B00020"
FEW = 8  # the words beside more marks than this would overlap
CROWD = 200  # more marks than this are drawn smaller
LANE = 20  # image rows in a lane
WAITING, OTHER, HOLDING, TICK = range(4)
# first image row, row after the last, ink of the shortest span (fainter is missed), of long ones
TEXTURES = ((9, 13, 0.35, 0.45), (7, 15, 0.35, 0.6), (5, 16, 0.35, 1.0), (17, 20, 0.8, 1.0))


def timeline(events: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Show who waited, held and gave up, when: a lane a process, then a lane a resource.

    `events` has one row a span or instant, `start` and `end` in seconds. Returns the Axes.
    """
    events, note = _first_round(events, "event")
    names = _plan(events["process"])
    held = events["resource"][events["state"] == "holding"].dropna().unique()
    crossed = (events["state"] == "gave_up").to_numpy()
    ax = _draw_spans(ax, events, ~crossed, list(held))
    if crossed.any():
        _draw_crosses(ax, events, events[crossed], names)
    return _title(ax, _what_happened(events, names) + note, pad=16)


def handoff(events: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Show how a lock went from hand to hand: bars are holds, arrows go to the next holder.

    `events` as for `timeline` (seconds); the arrows are `trace.handoffs(events)`, dashed and red
    where somebody who had waited longer was passed over. Returns the Axes.
    """
    events, note = _first_round(events, "event")
    names = _plan(events["process"])
    ax = _draw_spans(ax, events, events["state"].isin(["waiting", "holding"]).to_numpy(), [])
    hands = trace.handoffs(events)
    source, target = _lanes(hands["releaser"], names), _lanes(hands["taker"], names)
    down = np.sign(target - source)  # 0: the same process took it again
    # From edge to edge of the bars; who takes it again, turns round above the bar.
    head = target - 0.36 * np.where(down, down, 1)
    hands = hands.assign(tail=source + 0.3 * down, head=head, aside=np.where(down < 0, -6, 3))
    barging = hands["barging"].to_numpy(bool)
    size, pen = (60, 1.5) if len(hands) <= CROWD else (4, 0.3)
    for chosen, colour, dash in ((~barging, "dimgrey", "-"), (barging, BARGED, "--")):
        arrows = hands[chosen & (down != 0)].assign(gap=np.nan)
        x, y = arrows[["released", "taken", "gap"]], arrows[["tail", "head", "gap"]]
        # One line with gaps, so that a thousand arrows are one artist.
        ax.plot(x.to_numpy().ravel(), y.to_numpy().ravel(), dash, color=colour, lw=pen)
        for direction, marker in ((1, "v"), (-1, "^"), (0, r"$\circlearrowright$")):
            ends = hands[chosen & (down == direction)]
            ax.scatter(ends["taken"], ends["head"], size, colour, marker=marker, zorder=3)
    for hand in hands[barging].itertuples() if barging.sum() <= FEW else ():
        words = f"past {hand.passed} waiting"
        _say(ax, words, (hand.taken, hand.head), (7, hand.aside), color=BARGED)
    finding = f"{barging.sum() or 'None'} of {len(hands):,} hand-offs barged past a longer wait"
    return _title(ax, (finding if len(hands) else "Nothing was handed on") + note)


def strip(records: pd.DataFrame, *, schedule: str = "", ax: Axes | None = None) -> Axes:
    """Show the order in which records were stored, and hollow at the end those that were not.

    `records` has one row a record (`called` in seconds, `id` the commit order); `schedule` is
    printed below. Returns the Axes.
    """
    records, note = _first_round(records, "record")
    names = _plan(records["process"])
    records = records.sort_values(["id", "called"], na_position="last")
    stored = records["id"].notna().to_numpy()
    slots = len(records) + (not stored.all())  # a gap before those that were not stored
    per_line = int(np.clip(150 // (max(map(len, names)) + 1), 10, 30))
    lines = -(-slots // per_line)
    across = max(12, min(slots, per_line))
    inches = 8.6 / across  # a slot's width
    items = schedule.split()
    printed = [" ".join(items[i : i + 30]) for i in range(0, len(items), 30)]
    height = 0.6 + inches * (1.5 * lines - 0.5) + 0.17 * len(printed) + 0.2 * bool(note)
    ax = _axes(ax, 9, height)

    y, x = np.divmod(np.arange(len(records)) + ~stored, per_line)
    y = 1.5 * y  # room for the names below the squares
    hues = [_hue(lane) for lane in _lanes(records["process"], names)]
    fills = [hue if full else "white" for hue, full in zip(hues, stored, strict=True)]
    ax.bar(x, 0.8, 0.8, bottom=y - 0.4, color=fills, edgecolor=hues, linewidth=2)
    size = 11 if records["label"].str.len().max() == 1 else 7
    for i, record in enumerate(records.itertuples()):
        label, name = (_short(word, int(17 * inches)) for word in (record.label, record.process))
        ink = _readable_on(fills[i]) if stored[i] else hues[i]
        _say(ax, label, (x[i], y[i]), ha="center", size=size, color=ink)
        _say(ax, name, (x[i], y[i] + 0.5), ha="center", va="top", size=7)
    if not stored.all():
        row, column = divmod(stored.sum(), per_line)
        _say(ax, "not\nstored", (column, 1.5 * row), ha="center", size=6)
    below = 1.5 * lines - 1
    _say(ax, "\n".join(printed), (-0.4, below), (0, -14), va="top", family="monospace", size=9)
    ax.set(xlim=(-0.5, across - 0.5), ylim=(below, -0.5), aspect="equal", anchor="NW")
    ax.axis("off")

    finding = f"{stored.sum() or 'None'} of {len(records)} records stored"
    if stored.any():
        in_order = records["called"][stored].is_monotonic_increasing
        finding += f", {'' if in_order else 'not '}in the order they were called"
    lost = records["outcome"][~stored].value_counts()
    lost = [f"{n} {how}" for how, n in lost[lost > 0].items()]
    return _title(ax, "; ".join([finding, *lost]) + note)


def many(seen: Sequence[str], owners: Mapping[str, str], *, ax: Axes | None = None) -> Axes:
    """Compare many runs: one row a distinct order, the commonest first, ×n at its end.

    `seen` has one order a run ("CAEDFB"), `owners` says whose each label is. Returns the Axes.
    """
    orders = _counted(seen, owners)
    names = list(dict.fromkeys(owners.values()))
    longest = max(1, *(len(labels) for labels, _ in orders))
    palette = np.array([to_rgb(_hue(i)) for i in range(len(names))] + [(1, 1, 1)])
    cells = np.full((len(orders), longest), len(names))  # white, where nothing was stored
    words = np.full(cells.shape, "", object)
    for i, (labels, _) in enumerate(orders):
        cells[i, : len(labels)] = [names.index(owners[label]) for label in labels]
        words[i, : len(labels) or 1] = labels or "none"
    ax = _axes(ax, min(10, 3 + 0.5 * longest), np.clip(1.3 + 0.24 * len(orders), 2.2, 12))
    _draw_cells(ax, palette[cells], words if len(orders) <= 40 else None)
    ax.set_yticks([])

    counts = pd.Series([n for _, n in orders])
    groups = counts.groupby(counts if len(orders) > 60 else counts.index, sort=False)
    row, free = _inches(ax)[1] / len(orders), -1.0
    for group in groups.groups.values():
        middle = (group[0] + group[-1]) / 2
        if middle * row >= free:  # inches below the top, where the last label ends
            free = middle * row + 0.1
            together = f" ({len(group)} orders)" if len(group) > 1 else ""
            _say(ax, f"×{counts[group[0]]}{together}", (longest - 0.5, middle), (5, 0))
    for i, name in enumerate(names):
        at = (i % 10 + 0.5) / min(10, len(names)), 0
        aside = 0, -44 - 11 * (i // 10)
        style = {"color": _hue(i), "weight": "bold", "ha": "center"}
        _say(ax, _short(name, 12), at, aside, xycoords="axes fraction", **style)
    found = f"{len(orders):,} different order{'s' * (len(orders) > 1)} in {len(seen):,} runs"
    most = orders[0][1]
    return _title(
        ax, f"{found}; " + (f"the commonest {_times(most)}" if most > 1 else "none twice")
    )


def positions(seen: Sequence[str], owners: Mapping[str, str], *, ax: Axes | None = None) -> Axes:
    """Show how often each process came first, second, ...: a heat map with the counts.

    `seen` and `owners` as for `many`. Returns the Axes.
    """
    orders = _counted(seen, owners)
    names = list(dict.fromkeys(owners.values()))
    counts = np.zeros((len(names), max(1, *(len(labels) for labels, _ in orders))), int)
    for labels, n in orders:
        counts[[names.index(owners[label]) for label in labels], range(len(labels))] += n
    paleness = 1 - np.array([to_rgb(_hue(i)) for i in range(len(names))])[:, None, :]
    ax = _axes(ax, min(12, 3 + 0.5 * counts.shape[1]), 1.2 + 0.35 * len(names))
    share = counts[:, :, None] / max(1, counts.max())
    _draw_cells(ax, 1 - share * paleness, counts.astype(str))
    _name_rows(ax, names)
    first = counts[:, 0].argmax()
    percent = 100 * counts[first, 0] / len(seen)
    return _title(ax, f"{names[first]} comes first in {percent:.0f} % of {len(seen):,} runs")


def discovery(seen: Sequence[str], total: int, *, label: str = "", ax: Axes | None = None) -> Axes:
    """Show how many distinct orders have turned up after each run, of `total` possible ones.

    `seen` has one order a run. A second call on the same `ax` adds a curve; `label` stands at
    the curve's end. Returns the Axes.
    """
    _need(seen, "order")
    distinct = np.append(0, (~pd.Series(list(seen)).duplicated()).cumsum())
    found, runs = distinct[-1], len(seen)
    ax = _axes(ax, 7, 4)
    before = ax.get_title("left")
    everything = f"{total:,}" if total < 10**6 else f"about 10^{len(str(total)) - 1}"
    if total > 20 * found and not before:  # a line so far up would press the curve flat
        _say(ax, f"all {everything}: far above", (0, 1), (4, -6), xycoords="axes fraction")
    elif not before:
        ax.axhline(total, ls="--", lw=1, color="dimgrey")
        _say(ax, f"all {everything}", (0, total), (4, 6))
    hue = _hue(before.count("runs"))  # one line of title a curve
    ax.plot(distinct, color=hue, drawstyle="steps-post")
    _say(ax, label, (runs, found), (4, 0), color=hue, weight="bold")
    ax.set(xlabel="runs made", ylabel="distinct orders seen")
    ax.set_xlim(left=0)
    ax.set_ylim(bottom=0)
    ax.spines[["top", "right"]].set_visible(False)
    finding = f"{found} of {everything} orders after {runs:,} runs"
    return _title(ax, f"{before}\n{label}: {finding}".strip("\n: "))


# What the charts share


def _need(table: Sequence | pd.DataFrame, thing: str) -> None:
    if len(table) == 0:
        raise ValueError(f"There is no {thing} to draw: run the cell that makes the run first.")


def _first_round(table: pd.DataFrame, thing: str) -> tuple[pd.DataFrame, str]:
    """The table's first round, and a second line of title that says so."""
    _need(table, thing)
    rounds = table["round"].unique()
    if len(rounds) == 1:
        return table, ""
    first = min(rounds)
    return table[table["round"] == first], f"\n(round {first}; the table has {len(rounds)} rounds)"


def _counted(seen: Sequence[str], owners: Mapping[str, str]) -> list[tuple[list[str], int]]:
    """Each distinct order as a list of labels, and how often it was seen; the commonest first."""
    _need(seen, "order")
    spaced = any(len(label) > 1 for label in owners)
    counts = pd.Series(list(seen)).value_counts()
    ranked = sorted(counts.items(), key=lambda order: (-order[1], order[0]))
    return [(order.split() if spaced else list(order), n) for order, n in ranked]


def _plan(process: pd.Series) -> list[str]:
    """Process names in plan order."""
    return list(process.astype("category").cat.categories)


def _hue(i: int) -> str:
    return HUES[i % len(HUES)]


def _lanes(process: pd.Series, names: Sequence[str]) -> np.ndarray:
    """The place of each row in `names`, -1 if it has none."""
    column = pd.Categorical(process)
    lane = pd.Index(names).get_indexer(column.categories)
    return np.append(lane, -1)[column.codes]


def _readable_on(colour: str | np.ndarray) -> str:
    return "black" if np.dot(to_rgb(colour), (0.299, 0.587, 0.114)) > 0.55 else "white"


def _axes(ax: Axes | None, width: float, height: float) -> Axes:
    """The axes asked for, or those of a new figure of so many inches."""
    return ax or plt.subplots(figsize=(width, height), layout="constrained")[1]


def _inches(ax: Axes) -> np.ndarray:
    """About how wide and high the axes are."""
    return ax.figure.get_size_inches() * ax.get_position().size


def _title(ax: Axes, finding: str, pad: float = 6) -> Axes:
    long = max(map(len, finding.split("\n"))) > 75
    ax.set_title(finding.replace("; ", ";\n") if long else finding, loc="left", size=11, pad=pad)
    return ax


def _say(ax: Axes, words: str, at: tuple, aside: tuple = (0, 0), **style) -> None:
    """Write words at a place in the chart, so many printer's points aside."""
    ax.annotate(words, at, aside, textcoords="offset points", **{"va": "center", "size": 8} | style)


def _short(name: str, room: int = 20) -> str:
    """A long name without its middle: the ends tell worker-1 from worker-12."""
    return name if len(name) <= room else f"{name[: room - room // 2 - 1]}…{name[-(room // 2) :]}"


def _times(n: int) -> str:
    return {1: "once", 2: "twice"}.get(n, f"{n:,} times")


def _nth(n: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{'th' if n // 10 % 10 == 1 else ending}"


def _what_happened(events: pd.DataFrame, names: Sequence[str]) -> str:
    """The timeline's finding: who won the lock most often, who gave up, who died."""

    def who(chosen: Sequence[str]) -> str:
        few = [_short(name, 16) for name in names if name in chosen]
        if len(few) > 3:
            return f"{len(few)} of {len(names)} processes"
        return " and ".join([", ".join(few[:-1]), few[-1]] if few[1:] else few)

    wins = events["process"][events["state"] == "holding"].value_counts()
    found = []
    if wins.any():
        found.append(f"{who(list(wins.index[wins == wins.max()]))} won {_times(wins.max())}")
    for state, did in (("gave_up", "gave up"), ("died", "died")):
        those = events[events["state"] == state]
        if len(those):
            when = those["start"].min(), those["start"].max()
            first, last = (f"{at:.1f}" if at >= 1 else f"{at:.2g}" for at in when)
            when = f"at {first} s" if first == last else f"from {first} to {last} s"
            found.append(f"{who(list(those['process'].unique()))} {did} {when}")
    if len(found) == 1 and wins.any():
        found.append("nobody gave up")
    lasted = f"{len(events):,} event{'s' * (len(events) > 1)} in {events['end'].max():.1f} s"
    return "; ".join(found) or f"Nobody held anything: {lasted}"


def _name_rows(ax: Axes, names: Sequence[str], shared: Sequence[str] = ()) -> None:
    """Names at the left ends of rows: processes in their hue, shared resources in grey."""
    ax.set_yticks(range(len(names) + len(shared)), [_short(name) for name in [*names, *shared]])
    ax.tick_params(axis="y", length=0)
    for i, text in enumerate(ax.get_yticklabels()):
        text.set(color=_hue(i) if i < len(names) else "dimgrey", fontweight="bold")


def _draw_cells(ax: Axes, rgb: np.ndarray, words: np.ndarray | None) -> None:
    """A grid of coloured cells, positions along x; the words inside if they can be read there."""
    rows, columns = rgb.shape[:2]
    ax.imshow(rgb, aspect="auto", interpolation="nearest")
    ax.set_xticks(range(0, columns, -(-columns // 15)))
    ax.set_xticklabels([_nth(int(i) + 1) for i in ax.get_xticks()])
    ax.set_xlabel("position in the order")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    if words is None:
        return
    ax.set_xticks(np.arange(columns - 1) + 0.5, minor=True)
    ax.set_yticks(np.arange(rows - 1) + 0.5, minor=True)
    ax.grid(which="minor", color="white")
    ax.tick_params(which="minor", length=0)
    width, height = 72 * _inches(ax) / (columns, rows)  # points a cell
    size = min(9, 0.8 * height, 1.4 * width / max(map(len, words.ravel())))
    if size > 4:
        for (i, j), word in np.ndenumerate(words):
            ax.text(j, i, word, ha="center", va="center", size=size, color=_readable_on(rgb[i, j]))


def _draw_crosses(ax: Axes, events: pd.DataFrame, crosses: pd.DataFrame, names: list) -> None:
    """Who gave up: a cross with the error's words, and a dashed line where the time was out."""
    width = ax.get_xlim()[1]
    crosses = crosses.assign(lane=_lanes(crosses["process"], names)).sort_values("start")
    pixel = (crosses["start"] * (500 / width)).astype(int)
    crosses = crosses[~(pixel * len(names) + crosses["lane"]).duplicated()]  # they would coincide
    hues = [_hue(lane) for lane in crosses["lane"]]
    size, pen = (60, 2.5) if len(crosses) <= CROWD else (10, 1)
    ax.scatter(crosses["start"], crosses["lane"], size, hues, marker="x", linewidths=pen, zorder=3)
    spoken = crosses.drop_duplicates("lane")  # a lane says its words once
    for cross in spoken.itertuples() if len(spoken) <= FEW else ():
        words = cross.detail if pd.notna(cross.detail) else "gave up"
        aside, side = (5, "left") if cross.start < width / 2 else (-5, "right")
        place = cross.start, cross.lane - 0.37
        _say(ax, words, place, (aside, 0), color=_hue(cross.lane), ha=side)

    # Those who gave up together share a line; where lines would be many the first stands for all.
    apart = crosses[crosses["start"].diff().fillna(np.inf) > 0.01 * width]
    waits, labelled = events[events["state"] == "waiting"], -np.inf
    for cross in apart[: None if len(apart) <= FEW else 1].itertuples():
        before = (waits["process"] == cross.process) & (waits["start"] <= cross.start)
        timeout = waits["detail"][before].dropna()
        ax.axvline(cross.start, ls="--", lw=1, color="dimgrey", zorder=1)
        if len(timeout) and cross.start - labelled > 0.1 * width:
            labelled = cross.start
            style = {"xycoords": ax.get_xaxis_transform(), "annotation_clip": True, "ha": "center"}
            _say(ax, timeout.iloc[-1], (labelled, 1), (0, 6), **style)


def _draw_spans(ax: Axes | None, events: pd.DataFrame, chosen: np.ndarray, shared: list) -> Axes:
    """Draw the chosen events in their process's lanes, and holds in their resource's lane, too."""
    names = _plan(events["process"])
    lanes = len(names) + len(shared)
    ax = _axes(ax, 9, 1 + lanes * (0.6 if lanes < 10 else 0.3))
    hues = [to_rgb(_hue(i)) for i in range(len(names))]
    bands = [(lane, texture, hue) for lane, hue in enumerate(hues) for texture in TEXTURES]
    bands += [(lane, TEXTURES[HOLDING], hue) for lane in range(len(names), lanes) for hue in hues]

    states = events["state"].astype("category").cat
    kinds = {"waiting": WAITING, "holding": HOLDING} | dict.fromkeys(trace.INSTANTS, TICK)
    kind = np.array([kinds.get(state, OTHER) for state in states.categories])[states.codes]
    process, resource = _lanes(events["process"], names), _lanes(events["resource"], shared)
    held = np.flatnonzero((kind == HOLDING) & (resource >= 0))
    rows = np.concatenate([np.flatnonzero(chosen), held])
    band = process * len(TEXTURES) + kind
    held_band = len(names) * len(TEXTURES) + resource[held] * len(names) + process[held]
    band = np.concatenate([band[chosen], held_band])

    start, end = events["start"].to_numpy(), events["end"].to_numpy()
    left, right = min(0.0, start.min()), end.max()
    margin = 0.01 * (right - left) or 0.5  # a lone instant at the gate needs an axis, too
    left, right = left - margin, right + margin
    _Spans(ax, start[rows], end[rows], band, bands, (left, right, lanes - 0.5, -0.5))
    scale = events.attrs.get("scale", 1.0)
    note = f" (time scale {scale:g})" if scale != 1 else ""
    ax.set(xlim=(left, right), ylim=(lanes - 0.5, -0.5))
    ax.set_xlabel(f"seconds since the start gate{note}")
    ax.spines[["top", "right", "left"]].set_visible(False)
    _name_rows(ax, names, shared)
    return ax


class _Spans(AxesImage):
    """Spans of time as one image, painted for the seconds and the pixels there are when drawn.

    Matplotlib's bars drop what is narrower than a pixel, and cost microseconds each. Here each
    pixel column sums up how much of it is covered, and whatever touches it at all leaves ink.
    """

    def __init__(self, ax, start, end, band, bands, extent):
        super().__init__(ax, interpolation="nearest", extent=extent)
        self.start, self.end, self.band, self.bands = start, end, band, bands
        self.set_data(np.zeros((1, 1, 4), np.uint8))
        self.painted = None
        ax.add_image(self)
        self.set_clip_path(ax.patch)

    def draw(self, renderer):
        seconds, (_, _, bottom, top) = self.axes.get_xlim(), self.get_extent()
        # One column fewer than pixels: then each column contains a pixel's middle and is seen.
        pixels = self.axes.bbox.width * renderer.get_image_magnification()
        columns = max(int(pixels) - 1, 1)
        if (seconds, columns) != self.painted:
            self.set_extent((*seconds, bottom, top))
            self.set_data(self.paint(columns))
            self.painted = seconds, columns
        super().draw(renderer)

    def paint(self, columns: int) -> np.ndarray:
        """The image so many columns wide, from cumulative sums of starts less ends."""
        left, right, bottom, _ = self.get_extent()
        seen = (self.end >= left) & (self.start <= right)
        band = self.band[seen]
        start = (self.start[seen].clip(left) - left) * (columns / (right - left))
        end = (self.end[seen].clip(max=right) - left) * (columns / (right - left))
        first, last = start.astype(int), end.astype(int)
        shape = len(self.bands), columns + 2
        row = band * shape[1]

        def total(column, weights=None):
            return np.bincount(row + column, weights, shape[0] * shape[1]).reshape(shape)

        # A start in mid-column covers the rest of that column, and all the columns after it.
        change = total(first, first + 1 - start) + total(first + 1, start - first)
        change -= total(last, last + 1 - end) + total(last + 1, end - last)
        cover = change.cumsum(axis=1).clip(0, 1)
        touched = (total(first) > 0) | (cover > 1e-6)  # a million fractions never sum to quite 0
        seam = np.zeros(shape, bool)  # parts a long span from the one that it follows at once
        long = (end - start > 8) & (start > 0)
        seam[band[long], first[long]] = True
        image = np.zeros((round(bottom + 0.5) * LANE, columns, 4), np.uint8)
        for i in np.flatnonzero(touched.any(axis=1)):
            lane, (top, below, least, full), hue = self.bands[i]
            ink = 255 * touched[i] * (least + (full - least) * cover[i] * ~seam[i])
            ink = ink[:columns].astype(np.uint8)
            rows = slice(lane * LANE + top, lane * LANE + below)
            wins = ink > image[rows.start, :, 3]  # in a resource's lane: who held it longest
            image[rows, wins, :3] = np.multiply(hue, 255)
            image[rows, wins, 3] = ink[wins]
        return image
