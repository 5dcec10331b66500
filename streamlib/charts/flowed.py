"""Pictures of what flowed: each takes a tidy table and returns its `Axes`, as in `charts`."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator

from streamlib.charts import drawing
from streamlib.charts.happened import BARGED
from streamlib.stream import fates

# marker and colour of each fate; those that never came are ticks below the first arrival
LOOKS = {
    "arrived": ("o", "#0072B2"),
    "out of order": ("^", "#D55E00"),
    "altered": ("s", "#CC79A7"),
    "lost": ("|", "#000000"),
    "not sent": ("|", "#BBBBBB"),
    "duplicated": ("o", "#D55E00"),
    "never in the source": ("X", "#CC79A7"),
    "header sent as data": ("P", "#009E73"),
}


def arrivals(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Show when each row of the source came: its place against the rank of its arrival.

    `table` as `stream.reconcile` returns it. In order is a rising line; ticks at the bottom are
    rows that never came, rings are duplicates. Returns the Axes.
    """
    if table.empty:
        raise ValueError("There is no row to draw: reconcile a stream that had rows first.")
    ax = drawing.axes(ax, 8, 4)
    of_source = table["fate"].isin(fates.OF_SOURCE)
    place = pd.Series(np.arange(1, of_source.sum() + 1), table.index[of_source])
    first = dict(zip(table["line"][of_source], place, strict=True))
    x = place.reindex(table.index).fillna(table["line"].map(first).astype(float)).fillna(0)
    y = table["arrival"].astype(float)
    top, bottom = np.nanmax([1, y.max()]), -0.06 * np.nanmax([1, y.max()])
    size = float(np.clip(400 / len(table), 2, 7))
    counts = table["fate"].value_counts()
    for at, fate in enumerate(fate for fate in LOOKS if counts[fate]):
        marker, colour = LOOKS[fate]
        chosen = (table["fate"] == fate).to_numpy()
        came = fate not in ("lost", "not sent")
        ring = {"markerfacecolor": "none"} if fate == "duplicated" else {}
        grown = 0 if fate == "arrived" else 6
        ax.plot(
            x[chosen], y[chosen] if came else np.full(chosen.sum(), bottom), marker, color=colour,
            markersize=max(size, grown) if came else 8, linestyle="", **ring,
        )  # fmt: skip
        words = f"{counts[fate]:,} {fate}"
        style = {"xycoords": "axes fraction", "color": colour, "weight": "bold"}
        drawing.say(ax, words, (1, 0.97 - 0.08 * at), (8, 0), **style)
    ax.set(xlabel="place in the source", ylabel="rank of arrival")
    ax.set_ylim(1.8 * bottom, 1.05 * top)
    ax.set_xlim(left=-0.01 * len(table))
    ax.spines[["top", "right"]].set_visible(False)
    return drawing.title(ax, fates.verdict(table))


def lateness(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Show how late each record was, in milliseconds: a line for each column of the table.

    `table` has one row a record and one column a way of keeping the pace, seconds. Returns the
    Axes.
    """
    _need(table)
    ax = drawing.axes(ax, 8, 3.2)
    for at, name in enumerate(table.columns):
        late = 1000 * table[name].to_numpy()
        ax.plot(np.arange(1, len(late) + 1), late, color=drawing.hue(at))
        words = f"{name}\n{late[-1]:,.1f} ms late"
        drawing.say(ax, words, (len(late), late[-1]), (6, 0), color=drawing.hue(at), weight="bold")
    ax.set(xlabel="record", ylabel="late by (ms)")
    ax.spines[["top", "right"]].set_visible(False)
    worst, best = table.iloc[-1].idxmax(), table.iloc[-1].idxmin()
    last = 1000 * table.iloc[-1]
    return drawing.title(
        ax,
        f"After {len(table):,} records: {worst} is {last[worst]:,.1f} ms late, "
        f"{best} {last[best]:,.1f} ms",
    )


def losses(tables: Mapping[str, pd.DataFrame], *, ax: Axes | None = None) -> Axes:
    """Show how many rows were lost so far, while they were being sent: a line for each stream.

    `tables`: name -> table of fates. Returns the Axes.
    """
    _need(tables)
    ax = drawing.axes(ax, 8, 3.2)
    said, most = [], 0
    for at, (name, table) in enumerate(tables.items()):
        of_source = table["fate"].isin(["arrived", "out of order", "altered", "lost"])
        lost = (table["fate"][of_source] == "lost").cumsum().to_numpy()
        colour = drawing.hue(at)
        ax.step(np.arange(len(lost) + 1), np.append(0, lost), where="post", color=colour)
        end = int(lost[-1]) if len(lost) else 0
        if len(tables) <= drawing.FEW:
            drawing.say(ax, name, (len(lost), end), (6, 0), color=colour, weight="bold")
        said.append(f"{name} lost {end:,} of {len(lost):,} rows")
        most = max(most, end)
    ax.set(xlabel="rows sent so far", ylabel="of these never came")
    ax.set_ylim(bottom=-0.02 * max(1.0, ax.get_ylim()[1]))
    ax.spines[["top", "right"]].set_visible(False)
    if len(said) > 4:
        said = [f"Of {len(said)} streams the worst one lost {most:,} rows"]
    return drawing.title(ax, "; ".join(said))


def delays(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Show how long rows were under way: the share that had arrived after so many milliseconds.

    `table`: one column a stream, one row a row of the source, seconds; missing for a row that never
    came, so its curve ends below 1. Returns the Axes.
    """
    _need(table)
    ax = drawing.axes(ax, 8, 3.6)
    said, few = [], len(table.columns) <= 3
    for at, name in enumerate(table.columns):
        came = np.sort(1000 * table[name].dropna().to_numpy(float))
        if not len(came):
            said.append(f"{name} 0%")
            continue
        share = np.arange(1, len(came) + 1) / len(table)
        ax.step(came, share, where="post", color=drawing.hue(at))
        middle, slow = np.percentile(came, [50, 99])
        style = {"color": drawing.hue(at), "weight": "bold", "xycoords": "axes fraction"}
        words = f"{name}: half within {middle:.3g} ms, 99 % of those that came within {slow:.3g} ms"
        if few:
            drawing.say(ax, words, (0.02, 0.95 - 0.08 * at), **style)
        said.append(f"{name} {share[-1]:.0%}")
    ax.set(xlabel="milliseconds from sending to arrival", ylabel="share of the rows that had come")
    ax.set(xscale="log", ylim=(0, 1.25))
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda ms, _: f"{ms:g}"))
    ax.xaxis.set_minor_formatter("")
    ax.set_yticks([0, 0.25, 0.5, 0.75, 1])
    ax.axhline(1, ls="--", lw=1, color="dimgrey")
    ax.spines[["top", "right"]].set_visible(False)
    if len(said) > 4:
        said = [f"{len(said)} streams"]
    return drawing.title(ax, "Rows that came: " + ", ".join(said))


def overhead(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Show how many bytes travel: what the rows are, and what packing them adds.

    `table`: one row a way of sending (its index), columns `rows` and `headers`, bytes. Returns the
    Axes.
    """
    _need(table)
    ax = drawing.axes(ax, 8, 0.9 + 0.5 * len(table))
    places = np.arange(len(table))
    ax.barh(places, table["rows"], color=drawing.HUES[0], height=0.6)
    ax.barh(places, table["headers"], left=table["rows"], color=drawing.HUES[1], height=0.6)
    share = table["headers"] / table["rows"]
    for place, (name, row) in enumerate(table.iterrows()):
        drawing.say(ax, f"+{share[name]:.0%}", (row["rows"] + row["headers"], place), (5, 0))
    ax.set_yticks(places, table.index)
    ax.invert_yaxis()
    ax.set_xlabel("bytes: blue the rows, orange the headers of the packets")
    ax.spines[["top", "right"]].set_visible(False)
    most, least = share.idxmax(), share.idxmin()
    return drawing.title(
        ax, f"{most} adds {share[most]:.0%} to the rows, {least} {share[least]:.0%}"
    )


def sequence(
    log: Sequence[tuple], *, number: int | str | None = None, ax: Axes | None = None
) -> Axes:
    """Show datagrams between a sender and a receiver, time running down; × is one that was lost.

    `log`: those of `impair.Proxy`: when it came (seconds), "there" or "back", how it begins, when
    it is delivered; `number`: only those that begin with it. At most 30. Returns the Axes.
    """
    word = None if number is None else str(number).encode()
    chosen = [one for one in log if word in (None, *one[2].split()[:1])]
    if not chosen:
        raise ValueError("There is no datagram to draw: choose another number, or run the trial.")
    every, chosen = len(chosen), chosen[:30]
    ax = drawing.axes(ax, 6, min(8, 1.6 + 0.45 * len(chosen)))
    began = chosen[0][0]
    ends = [came for came, *_ in chosen] + [due for *_, dues in chosen for due in dues]
    for came, way, text, dues in chosen:
        start, stop = (0.0, 1.0) if way == "there" else (1.0, 0.0)
        at = 1000 * (came - began)
        colour = drawing.HUES[0] if way == "there" else drawing.HUES[2]
        words = text.decode(errors="replace").replace("$", r"\$")  # no formula
        for due in dues:
            arrow = {"arrowstyle": "->", "color": colour, "shrinkA": 0, "shrinkB": 0}
            ax.annotate("", (stop, 1000 * (due - began)), (start, at), arrowprops=arrow)
        if not dues:
            middle = 0.5 * (start + stop)
            ax.plot([start, middle], [at, at], color=colour, lw=1.2)
            ax.plot(middle, at, "x", color=BARGED, markersize=9, markeredgewidth=2)
        side = {"ha": "right"} if way == "there" else {}
        aside = -6 if way == "there" else 6
        drawing.say(ax, drawing.short(words, 24), (start, at), (aside, 0), color=colour, **side)
    ax.axvline(0, color="black", lw=2)
    ax.axvline(1, color="black", lw=2)
    ax.set(xlim=(-0.9, 1.6), ylabel="milliseconds")
    margin = max(1.0, 0.05 * 1000 * (max(ends) - began))
    ax.set_ylim(1000 * (max(ends) - began) + margin, -margin)
    ax.set_xticks([0, 1], ["sender", "receiver"])
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.spines[["top", "right", "bottom"]].set_visible(False)
    lost = sum(not dues for *_, dues in chosen)
    first = f"The first {len(chosen)} of {every:,}" if every > len(chosen) else f"{every}"
    return drawing.title(ax, f"{first} datagrams, {lost} of them lost", pad=22)


def _need(table: Mapping | pd.DataFrame) -> None:
    if len(table) == 0:
        raise ValueError("There is no row to draw: run the cell that makes the stream first.")
