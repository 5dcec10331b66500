"""Every picture of the lab: each chart takes a tidy table and returns its `Axes`.

Hue is the process, texture is the state, names stand at the ends of rows, time 0 is the start
gate, and the title says what the table shows. `ax=None` draws on a new figure.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from streamlib.charts import drawing

BARGED = "#B00020"


def timeline(events: pd.DataFrame, *, at: int | None = None, ax: Axes | None = None) -> Axes:
    """Show who waited, held and gave up, when: a lane a process, then a lane a resource.

    `events` has one row a span or instant, `start` and `end` in seconds. `at` marks the end of
    that turn of a run under a schedule. Returns the Axes.
    """
    events, note = _first_round(events, "event")
    names = drawing.plan(events["process"])
    held = events["resource"][events["state"] == "holding"].dropna().unique()
    crossed = (events["state"] == "gave_up").to_numpy()
    ax = drawing.draw_spans(ax, events, ~crossed, list(held))
    if crossed.any():
        drawing.draw_crosses(ax, events, events[crossed], names)
    if at is not None:
        then = events["end"][events["turn"] <= at].max() if at else 0.0
        ax.axvline(then, color="black", lw=2)
        where = ax.get_xaxis_transform()
        drawing.say(ax, f"after turn {at}", (then, 1), (0, 6), xycoords=where, ha="center")
    return drawing.title(ax, _what_happened(events, names) + note, pad=16)


def interleaving(events: pd.DataFrame, *, at: int | None = None, ax: Axes | None = None) -> Axes:
    """Show a run under a schedule turn by turn: a row a process, a column a turn, its steps inside.

    `events` as for `timeline`; × is a turn in which the process gave up; turns after `at` are
    pale. Returns the Axes.
    """
    events, note = _first_round(events, "event")
    names = drawing.plan(events["process"])
    turns = events[events["turn"].notna() & (events["turn"] > 0)]
    if turns.empty:
        raise ValueError("This run was free: give processes.run a schedule, then draw its turns.")
    last = int(turns["turn"].max())
    firsts = turns[turns["state"] == "step"].drop_duplicates("turn")
    x = firsts["turn"].to_numpy(int) - 1
    y = drawing.lane_of(firsts["process"], names)
    rgb = np.ones((len(names), last, 3))
    words = np.full(rgb.shape[:2], " ", object)
    hues = np.array([to_rgb(drawing.hue(lane)) for lane in range(len(names))])
    strength = np.where(x < (last if at is None else at), 1.0, 0.25)[:, None]
    rgb[y, x] = 1 - strength * (1 - hues[y])
    words[y, x] = firsts["step"].to_numpy(object)
    gave_up = turns["turn"][turns["state"] == "gave_up"].unique().astype(int) - 1
    lost = np.isin(x, gave_up)
    words[y[lost], x[lost]] = "×"
    ax = drawing.axes(ax, min(12, max(5, 1.5 + 0.6 * last)), 1.2 + 0.45 * len(names))
    drawing.draw_cells(ax, rgb, words if last <= 60 else None)
    if last > 60:
        ax.images[-1].set_interpolation("auto")  # more turns than pixels are mixed, none dropped
    ax.set_xlabel("turn")
    ax.set_xticks(ax.get_xticks(), [f"{int(turn) + 1:,}" for turn in ax.get_xticks()])
    drawing.name_rows(ax, names)
    changes = int((np.diff(y[np.argsort(x)]) != 0).sum())
    finding = f"{last:,} turns, {changes:,} switches between processes"
    return drawing.title(ax, finding + (f"; after turn {at}" if at is not None else "") + note)


def handoff(events: pd.DataFrame, hands: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Show how a lock went from hand to hand: bars are holds, arrows go to the next holder.

    `events` as for `timeline` (seconds); `hands` as `run.handoffs()` has them, dashed and red
    where somebody who had waited longer was passed over. Returns the Axes.
    """
    events, note = _first_round(events, "event")
    names = drawing.plan(events["process"])
    ax = drawing.draw_spans(ax, events, events["state"].isin(["waiting", "holding"]).to_numpy(), [])
    crossed = (events["state"] == "gave_up").to_numpy()
    if crossed.any():
        drawing.draw_crosses(ax, events, events[crossed], names)
    hands = hands[hands["round"].isin(events["round"].unique())]
    source, target = (
        drawing.lane_of(hands["releaser"], names),
        drawing.lane_of(hands["taker"], names),
    )
    down = np.sign(target - source)  # 0: the same process took it again
    # From edge to edge of the bars; who takes it again, turns round above the bar.
    head = target - 0.36 * np.where(down, down, 1)
    hands = hands.assign(tail=source + 0.3 * down, head=head, aside=np.where(down < 0, -6, 3))
    barging = hands["barging"].to_numpy(bool)
    size, pen = (60, 1.5) if len(hands) <= drawing.CROWD else (4, 0.3)
    for chosen, colour, dash in ((~barging, "dimgrey", "-"), (barging, BARGED, "--")):
        arrows = hands[chosen & (down != 0)].assign(gap=np.nan)
        x, y = arrows[["released", "taken", "gap"]], arrows[["tail", "head", "gap"]]
        # One line with gaps, so that a thousand arrows are one artist.
        ax.plot(x.to_numpy().ravel(), y.to_numpy().ravel(), dash, color=colour, lw=pen)
        for direction, marker in ((1, "v"), (-1, "^"), (0, r"$\circlearrowright$")):
            ends = hands[chosen & (down == direction)]
            ax.scatter(ends["taken"], ends["head"], size, colour, marker=marker, zorder=3)
    for hand in hands[barging].itertuples() if barging.sum() <= drawing.FEW else ():
        words = f"past {hand.passed} waiting"
        drawing.say(ax, words, (hand.taken, hand.head), (7, hand.aside), color=BARGED)
    finding = f"{barging.sum() or 'None'} of {len(hands):,} hand-offs barged past a longer wait"
    return drawing.title(ax, (finding if len(hands) else "Nothing was handed on") + note)


def strip(items: pd.DataFrame, *, schedule: str = "", ax: Axes | None = None) -> Axes:
    """Show the order in which items were stored, and hollow at the end those that were not.

    `items` has one row an item (`called` in seconds, `id` the commit order); `schedule` is
    printed below. Returns the Axes.
    """
    items, note = _first_round(items, "item")
    names = drawing.plan(items["process"])
    items = items.sort_values(["id", "called"], na_position="last")
    stored = items["id"].notna().to_numpy()
    slots = len(items) + (not stored.all())  # a gap before those that were not stored
    per_line = int(np.clip(150 // (max(map(len, names)) + 1), 10, 30))
    lines = -(-slots // per_line)
    across = max(12, min(slots, per_line))
    inches = 8.6 / across  # a slot's width
    turns = schedule.split()
    printed = [" ".join(turns[i : i + 30]) for i in range(0, len(turns), 30)]
    printed[:1] = [f"schedule: {line}" for line in printed[:1]]
    height = 0.6 + inches * (1.5 * lines - 0.5) + 0.17 * len(printed) + 0.2 * bool(note)
    ax = drawing.axes(ax, 9, height)

    y, x = np.divmod(np.arange(len(items)) + ~stored, per_line)
    y = 1.5 * y  # room for the names below the squares
    hues = [drawing.hue(lane) for lane in drawing.lane_of(items["process"], names)]
    fills = [hue if full else "white" for hue, full in zip(hues, stored, strict=True)]
    ax.bar(x, 0.8, 0.8, bottom=y - 0.4, color=fills, edgecolor=hues, linewidth=2)
    size = 11 if items["label"].str.len().max() == 1 else 7
    for i, item in enumerate(items.itertuples()):
        label, name = (drawing.short(word, int(17 * inches)) for word in (item.label, item.process))
        ink = drawing.readable_on(fills[i]) if stored[i] else hues[i]
        drawing.say(ax, label, (x[i], y[i]), ha="center", size=size, color=ink)
        drawing.say(ax, name, (x[i], y[i] + 0.5), ha="center", va="top", size=7)
    if not stored.all():
        row, column = divmod(stored.sum(), per_line)
        drawing.say(ax, "not\nstored", (column, 1.5 * row), ha="center", size=6)
    below = 1.5 * lines - 1
    drawing.say(
        ax, "\n".join(printed), (-0.4, below), (0, -14), va="top", family="monospace", size=9
    )
    ax.set(xlim=(-0.5, across - 0.5), ylim=(below, -0.5), aspect="equal", anchor="NW")
    ax.axis("off")

    finding = f"{stored.sum() or 'None'} of {len(items)} items stored"
    if stored.any() and items["called"].notna().all():
        in_order = items["called"][stored].is_monotonic_increasing
        finding += f", {'' if in_order else 'not '}in the order they were called"
    lost = items["outcome"][~stored].value_counts()
    lost = [f"{n} {how}" for how, n in lost[lost > 0].items()]
    return drawing.title(ax, "; ".join([finding, *lost]) + note)


def many(seen: Sequence[str], owners: Mapping[str, str], *, ax: Axes | None = None) -> Axes:
    """Compare many runs: one row a distinct order, the commonest first, ×n at its end.

    `seen` has one order a run ("CAEDFB"), `owners` says whose each label is. Returns the Axes.
    """
    orders = _counted(seen, owners)
    names = list(dict.fromkeys(owners.values()))
    longest = max(1, *(len(labels) for labels, _ in orders))
    palette = np.array([to_rgb(drawing.hue(i)) for i in range(len(names))] + [(1, 1, 1)])
    cells = np.full((len(orders), longest), len(names))  # white, where nothing was stored
    words = np.full(cells.shape, "", object)
    for i, (labels, _) in enumerate(orders):
        cells[i, : len(labels)] = [names.index(owners[label]) for label in labels]
        words[i, : len(labels) or 1] = labels or "none"
    ax = drawing.axes(ax, min(10, 3 + 0.5 * longest), np.clip(1.3 + 0.24 * len(orders), 2.2, 7))
    drawing.draw_cells(ax, palette[cells], words if len(orders) <= 40 else None)
    ax.set_yticks([])

    counts = pd.Series([n for _, n in orders])
    groups = counts.groupby(counts if len(orders) > 60 else counts.index, sort=False)
    row, free = drawing.inches(ax)[1] / len(orders), -1.0
    for group in groups.groups.values():
        middle = (group[0] + group[-1]) / 2
        if middle * row >= free:  # inches below the top, where the last label ends
            free = middle * row + 0.1
            together = f" ({len(group)} orders)" if len(group) > 1 else ""
            drawing.say(ax, f"×{counts[group[0]]}{together}", (longest - 0.5, middle), (5, 0))
    for i, name in enumerate(names):
        at = (i % 10 + 0.5) / min(10, len(names)), 0
        aside = 0, -44 - 11 * (i // 10)
        style = {"color": drawing.hue(i), "weight": "bold", "ha": "center"}
        drawing.say(ax, drawing.short(name, 12), at, aside, xycoords="axes fraction", **style)
    found = f"{len(orders):,} different order{'s' * (len(orders) > 1)} in {len(seen):,} runs"
    most = orders[0][1]
    return drawing.title(
        ax, f"{found}; " + (f"the commonest {drawing.times(most)}" if most > 1 else "none twice")
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
    paleness = 1 - np.array([to_rgb(drawing.hue(i)) for i in range(len(names))])[:, None, :]
    ax = drawing.axes(ax, min(12, 3 + 0.5 * counts.shape[1]), 1.2 + 0.35 * len(names))
    share = counts[:, :, None] / max(1, counts.max())
    drawing.draw_cells(ax, 1 - share * paleness, counts.astype(str))
    drawing.name_rows(ax, names)
    first = counts[:, 0].argmax()
    percent = 100 * counts[first, 0] / len(seen)
    return drawing.title(ax, f"{names[first]} comes first in {percent:.0f} % of {len(seen):,} runs")


def discovery(seen: Sequence[str], total: int, *, label: str = "", ax: Axes | None = None) -> Axes:
    """Show how many distinct orders have turned up after each run, of `total` possible ones.

    `seen` has one order a run. A second call on the same `ax` adds a curve; `label` stands at
    the curve's end. Returns the Axes.
    """
    _need(seen, "order")
    distinct = np.append(0, (~pd.Series(list(seen)).duplicated()).cumsum())
    found, runs = distinct[-1], len(seen)
    ax = drawing.axes(ax, 7, 4)
    before = ax.get_title("left")
    everything = f"{total:,}" if total < 10**6 else f"about 10^{len(str(total)) - 1}"
    if total > 20 * found and not before:  # a line so far up would press the curve flat
        drawing.say(ax, f"all {everything}: far above", (0, 1), (4, -6), xycoords="axes fraction")
    elif not before:
        ax.axhline(total, ls="--", lw=1, color="dimgrey")
        drawing.say(ax, f"all {everything}", (0, total), (4, 6))
    hue = drawing.hue(before.count("runs"))  # one line of title a curve
    ax.plot(distinct, color=hue, drawstyle="steps-post")
    drawing.say(ax, label, (runs, found), (4, 0), color=hue, weight="bold")
    ax.set(xlabel="runs made", ylabel="distinct orders seen")
    ax.set_xlim(left=0)
    ax.set_ylim(bottom=0)
    ax.spines[["top", "right"]].set_visible(False)
    finding = f"{found} of {everything} orders after {runs:,} runs"
    return drawing.title(ax, f"{before}\n{label}: {finding}".strip("\n: "))


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


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"


def _what_happened(events: pd.DataFrame, names: Sequence[str]) -> str:
    """The timeline's finding: who won the lock most often, who gave up, who died."""

    def who(chosen: Sequence[str]) -> str:
        few = [drawing.short(name, 16) for name in names if name in chosen]
        if len(few) > 3:
            return f"{len(few)} of {len(names)} processes"
        return " and ".join([", ".join(few[:-1]), few[-1]] if few[1:] else few)

    wins = events["process"][events["state"] == "holding"].value_counts()
    found = []
    if wins.any():
        found.append(f"{who(list(wins.index[wins == wins.max()]))} won {drawing.times(wins.max())}")
    for state, did in (("gave_up", "gave up"), ("died", "died")):
        those = events[events["state"] == state]
        if len(those):
            when = those["start"].min(), those["start"].max()
            first, last = (f"{at:.1f}" if at >= 1 else f"{at:.2g}" for at in when)
            when = f"at {first} s" if first == last else f"between {first} and {last} s"
            found.append(f"{who(list(those['process'].unique()))} {did} {when}")
    if len(found) == 1 and wins.any():
        found.append("nobody gave up")
    lasted = f"{len(events):,} event{'s' * (len(events) > 1)} in {_duration(events['end'].max())}"
    return "; ".join(found) or f"No waiting or holding was marked: {lasted}"
