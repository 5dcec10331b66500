"""Pictures of what flowed: each takes a tidy table and returns its `Axes`, as in `charts`."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from streamlib import drawing, fates

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
    x = place.reindex(table.index).fillna(table["line"].map(first)).fillna(0).astype(float)
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
