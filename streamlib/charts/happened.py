"""Charts of what happened: to processes, locks and orders in runs, and to the rows of a stream."""

import textwrap
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from streamlib.charts import drawing

A_LINE = 15  # squares of a strip
LOOKS = {  # marker and color of each fate
    "arrived": ("o", "#0072B2"),
    "out of order": ("^", "#D55E00"),
    "altered": ("s", "#CC79A7"),
    "lost": ("|", "#000000"),
    "not sent": ("|", "#767676"),
    "unknown": ("|", "#56B4E9"),
    "duplicated": ("o", "#E69F00"),
    "never in the source": ("X", "#CC79A7"),
    "header sent as data": ("P", "#009E73"),
}


def timeline(events: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Show who waited, held and gave up, and when: a lane a process, then a lane a resource.

    `events` has a row a span or instant, in seconds. Returns the Axes.
    """
    events, names, note = _first_round(events, "state", "events")
    held = events["resource"][events["state"] == "holding"].dropna().unique()
    ax = drawing.draw_spans(ax, events, names, list(held))
    return drawing.entitle(ax, _what_happened(events, names) + note, pad=16)


def interleaving(events: pd.DataFrame, *, at: int | None = None, ax: Axes | None = None) -> Axes:
    """Show a run under a schedule turn by turn: a row a process, a column a turn, its step inside.

    `events` as for `timeline`. × is a turn in which the process gave up; turns after `at` are
    pale. Returns the Axes. Raises ValueError if the run was free.
    """
    events, names, note = _first_round(events, "state", "events")
    turns = events[events["turn"] > 0]
    if turns.empty:
        raise ValueError("No turn was played: give processes.run a schedule, or see run.problems.")
    last = int(turns["turn"].max())
    gave_up = turns["turn"][turns["state"] == "gave_up"]
    steps = turns[turns["state"] == "step"].drop_duplicates("turn").sort_values("turn")
    steps["step"] = steps["step"].astype(object).mask(steps["turn"].isin(gave_up), "×")
    grid = steps.pivot(index="lane", columns="turn", values="step")
    grid = grid.reindex(index=range(len(names)), columns=range(1, last + 1))
    strength = grid.notna() * np.where(grid.columns <= (last if at is None else at), 1.0, 0.25)
    colors = drawing.tint(np.arange(len(names))[:, None], strength)
    ax = drawing.draw_cells(ax, colors, grid.fillna(" ").to_numpy(), "turn")
    drawing.name_rows(ax, names)
    switches = int((np.diff(steps["lane"]) != 0).sum())
    finding = f"{last:,} turns, {switches:,} switch{'es' * (switches != 1)} between processes"
    return drawing.entitle(ax, finding + f"; after turn {at}" * (at is not None) + note)


def handoff(events: pd.DataFrame, hands: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Show how a lock went from hand to hand: bars are holds, arrows go to the next holder.

    `events` as for `timeline`; `hands` as `run.handoffs()` has them, dashed and red where a process
    that had waited longer was passed over. Returns the Axes.
    """
    events, names, note = _first_round(events, "state", "events")
    spans = events[events["state"].isin(["waiting", "holding", "gave_up"])]
    ax = drawing.draw_spans(ax, spans, names, [])
    hands = hands[hands["round"].isin(events["round"].unique())]
    source, target = (pd.Index(names).get_indexer(hands[who]) for who in ("releaser", "taker"))
    down = np.sign(target - source)  # 0: the same process took it again
    head = target - 0.36 * np.where(down, down, 1)  # just outside of the bar
    tail = np.where(down, source + 0.3 * down, head)
    barging = hands["barging"].to_numpy(bool)
    colors, dashes = np.where(barging, "#B00020", "dimgray"), np.where(barging, "--", "-")
    ends = np.column_stack([hands["released"], tail, hands["taken"], head]).reshape(-1, 2, 2)
    ax.add_collection(LineCollection(ends, colors=colors, linestyles=dashes), autolim=False)
    for way, marker in ((1, "v"), (-1, "^"), (0, r"$\circlearrowright$")):
        ax.scatter(*ends[down == way, 1].T, 60, colors[down == way], marker=marker, zorder=3)
    finding = f"{barging.sum() or 'None'} of {len(hands):,} hand-offs barged past a longer wait"
    return drawing.entitle(ax, (finding if len(hands) else "Nothing was handed on") + note, pad=16)


def strip(items: pd.DataFrame, *, schedule: str = "", ax: Axes | None = None) -> Axes:
    """Show the order in which items were stored, and hollow at the end those that were not.

    `items` has a row an item, `called` in seconds, `id` the commit order; `schedule` is printed
    below. Returns the Axes.
    """
    items, _, note = _first_round(items, "outcome", "items")
    items = items.sort_values(["id", "called"], na_position="last", ignore_index=True)
    stored = items["id"].notna().to_numpy()
    line, x = np.divmod(np.arange(len(items)) + ~stored, A_LINE)  # a gap before those not stored
    y = 1.6 * line
    below = textwrap.fill(schedule and f"schedule: {schedule}", 90, max_lines=6, placeholder=" …")
    ax = ax or drawing.axes("", 9, 1.5 + 0.6 * y[-1] + 0.17 * below.count("\n") + 0.2 * bool(note))
    fills, edges = drawing.tint(items["lane"], stored), drawing.tint(items["lane"])
    ax.bar(x, 0.8, 0.8, bottom=y - 0.4, color=fills, edgecolor=edges, linewidth=2)
    for i, item in enumerate(items.itertuples()):
        label, name = drawing.short(item.label, 9), drawing.short(item.process, 9)
        size, ink = 11 if len(label) == 1 else 7, "white" if stored[i] else "black"
        drawing.say(ax, label, (x[i], y[i]), ha="center", size=size, color=ink)
        name += f"\n{item.outcome}" * (not stored[i])
        drawing.say(ax, name, (x[i], y[i] + 0.5), ha="center", va="top", size=7)
    drawing.say(ax, below, (-0.4, y[-1] + 1), (0, -4), va="top")
    ax.set(xlim=(-0.5, A_LINE - 0.5), ylim=(y[-1] + 1, -0.5), aspect="equal", anchor="NW")
    ax.axis("off")
    finding = f"{stored.sum() or 'None'} of {len(items)} items stored"
    if stored.any() and items["called"][stored].notna().all():
        called = items[stored].sort_values("called", kind="stable")["label"]
        other = f"; they were called in the order {drawing.short(' '.join(called), 30)}"
        in_order = called.index.is_monotonic_increasing
        finding += ", in the order they were called" if in_order else other
    lost = [f"; {n} {outcome}" for outcome, n in Counter(items["outcome"][~stored]).items()]
    return drawing.entitle(ax, finding + "".join(lost) + note)


def many(seen: Sequence[str], owners: Mapping[str, str], *, ax: Axes | None = None) -> Axes:
    """Compare many rounds: a row a distinct order, the commonest first, ×n beside it.

    `seen` has one order a round ("CAEDFB"); `owners` says whose each letter is. Returns the Axes.
    """
    drawing.need(seen)
    ranked, counts = zip(*Counter(sorted(seen)).most_common(), strict=True)
    gap = " " * all(len(label) == 1 for label in owners)  # longer labels have theirs already
    labels = pd.Series([gap.join(order) or "none" for order in ranked]).str.split(expand=True)
    names = list(getattr(owners, "plan", dict.fromkeys(owners.values())))
    lanes = labels.map(owners.get).apply(pd.Index(names).get_indexer).to_numpy()  # -1: no label
    colors = drawing.tint(lanes, lanes >= 0)
    ax = drawing.draw_cells(ax, colors, labels.fillna("").to_numpy(), "position in the order")
    drawing.list_beside(ax, [drawing.short(n, 12) for n in names], drawing.tint(range(len(names))))
    labelled = range(0, len(counts), -(-len(counts) // 70))
    ax.set_yticks(labelled, [f"×{counts[i]}" for i in labelled])
    most = f"the commonest {counts[0]:,} times" if counts[0] > 1 else "none twice"
    found = f"{len(counts):,} different order{'s' * (len(counts) > 1)} in {len(seen):,} rounds"
    return drawing.entitle(ax, f"{found}; {most}")


def alike(outcomes: Mapping[str, Sequence[str]], *, ax: Axes | None = None) -> Axes:
    """Show which interleavings led to the same: a row each, turn by turn, grouped by outcome.

    `outcomes` has the schedules that led to each, as those of a verdict. Returns the Axes.
    """
    drawing.need(outcomes)
    led = pd.Series(outcomes)
    turns = led.explode().str.split(expand=True).fillna("")
    lanes = turns.replace(r"\D.*", "", regex=True).replace("", "0").to_numpy(int) - 1
    ax = ax or drawing.axes("", 9, np.clip(1.5 + 0.25 * len(turns), 2.5, 8))
    drawing.draw_cells(ax, drawing.tint(lanes, lanes >= 0), turns.to_numpy(), "turn")
    said = [f"{n:,} led to {drawing.short(one, 25)}" for one, n in led.str.len().items()]
    ends, few = led.str.len().cumsum() - 0.5, slice(None, None, -(-len(said) // 20))
    ax.hlines(ends[:-1], 0.5, turns.shape[1] + 0.5, "black", linewidth=3)
    ax.set_yticks((ends - led.str.len() / 2)[few], said[few], parse_math=False)
    said[3:] = [f"{len(said) - 3:,} more outcomes"] * (len(said) > 3)
    return drawing.entitle(ax, f"Of {len(turns):,} interleavings, {'; '.join(said)}")


def discovery(seen: Sequence[str], total: int, *, ax: Axes | None = None) -> Axes:
    """Show how many distinct orders have turned up after each round, of `total` possible ones.

    `seen` has one order a round. Returns the Axes.
    """
    drawing.need(seen)
    distinct = np.append(0, (~pd.Series(list(seen)).duplicated()).cumsum())
    ax = ax or drawing.axes("", 7, 4)
    if total <= 20 * distinct[-1]:  # a line farther up would press the curve flat
        ax.axhline(total, ls="--", lw=1, color="dimgray")
        drawing.say(ax, f"all {total:,}", (0, total), (4, 6))
    ax.plot(distinct, color=drawing.HUES[0], drawstyle="steps-post")
    ax.set(xlabel="rounds", ylabel="distinct orders seen", xlim=(0, None), ylim=(0, None))
    return drawing.entitle(ax, f"{distinct[-1]} of {total:,} orders after {len(seen):,} rounds")


def arrivals(fates: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Show when each row of the source came: its place there against the rank of its arrival.

    `fates` as `stream.reconcile` returns it. Rows in order make a rising line; ticks below it are
    rows that never came, rings are duplicates. Returns the Axes.
    """
    drawing.need(fates, "fate", "fates")
    of_source = fates["expected"].notna()
    place = of_source.cumsum().where(of_source)
    x = place.fillna(place.groupby(fates["line"]).transform("first")).fillna(0)
    top = max(1, fates["arrival"].fillna(0).max())
    y = fates["arrival"].astype(float).fillna(-0.06 * top)
    ax = ax or drawing.axes("", 8, 4)
    counts = fates["fate"].value_counts().reindex(list(LOOKS), fill_value=0)
    words = {fate: f"{n:,} {fate}" for fate, n in counts.items() if n or fate == "arrived"}
    for fate in words:
        marker, color = LOOKS[fate]
        fill = "none" if fate == "duplicated" else color
        size = np.clip(400 / len(fates), 2 if fate == "arrived" else 6, 7)
        style = {"color": color, "markerfacecolor": fill, "markersize": size, "linestyle": ""}
        ax.plot(x[fates["fate"] == fate], y[fates["fate"] == fate], marker, **style)
    drawing.list_beside(ax, words.values(), [LOOKS[fate][1] for fate in words])
    ax.locator_params(integer=True)
    ax.set(xlabel="place in the source", ylabel="rank of arrival", ylim=(-0.11 * top, 1.05 * top))
    words["arrived"] = f"{counts['arrived']:,} of {of_source.sum():,} rows arrived in order"
    return drawing.entitle(ax, "; ".join(words.values()))


def _first_round(table: pd.DataFrame, *needed: str) -> tuple[pd.DataFrame, list[str], str]:
    """Return the first round with each process's lane, their names, and a note on the others."""
    drawing.need(table, *needed)
    first, rounds = table["round"].min(), table["round"].nunique()
    process = table["process"].astype("category").cat  # in the order of the plan
    note = f"\n(round {first}; the table has {rounds} rounds)" * (rounds > 1)
    return table.assign(lane=process.codes)[table["round"] == first], list(process.categories), note


def _what_happened(events: pd.DataFrame, names: list[str]) -> str:
    """Return the timeline's finding: who won the lock most often, who gave up, who died."""

    def who(chosen: Collection[str]) -> str:
        few = [drawing.short(name, 16) for name in names if name in chosen]
        listed = " and ".join(", ".join(few).rsplit(", ", 1))
        return listed if len(few) < 4 else f"{len(few)} of {len(names)} processes"

    wins = events["process"][events["state"] == "holding"].value_counts()
    times = {1: "once", 2: "twice"}.get(wins.max(), f"{wins.max():,} times")
    found = [f"{who(wins.index[wins == wins.max()])} won {times}"] if wins.any() else []
    ended = events[events["state"].isin(["gave_up", "died"])]
    for state, those in ended.groupby("state", observed=True):
        ends = those["start"].min(), those["start"].max()
        first, last = (f"{s:.1f} s" if s >= 0.1 else f"{1000 * s:.2g} ms" for s in ends)
        when = f"at {first}" if first == last else f"between {first} and {last}"
        found.append(f"{who(set(those['process']))} {state.replace('_', ' ')} {when}")
    found += ["nobody gave up"] * (len(found) == 1 and ended.empty)
    return "; ".join(found) or f"{len(events):,} events; nobody waited or held"
