"""Charts of streams: which rows arrived, and how datagrams went to and fro."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from streamlib.charts import drawing

LOOKS = {  # marker and color of each fate
    "arrived": ("o", "#0072B2"),
    "out of order": ("^", "#D55E00"),
    "altered": ("s", "#CC79A7"),
    "lost": ("|", "#000000"),
    "not sent": ("|", "#BBBBBB"),
    "unknown": ("|", "#56B4E9"),
    "duplicated": ("o", "#D55E00"),
    "never in the source": ("X", "#CC79A7"),
    "header sent as data": ("P", "#009E73"),
}


def arrivals(fates: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Show when each row of the source came: its place there against the rank of its arrival.

    `fates` as `stream.reconcile` returns it. Rows in order make a rising line; ticks below it are
    rows that never came, rings are duplicates. Returns the Axes.
    """
    drawing.need(fates)
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
    ax.set(xlabel="place in the source", ylabel="rank of arrival", ylim=(-0.11 * top, 1.05 * top))
    words["arrived"] = f"{counts['arrived']:,} of {of_source.sum():,} rows arrived in order"
    return drawing.entitle(ax, "; ".join(words.values()))


def sequence(log: Sequence[tuple], *, number: int | None = None, ax: Axes | None = None) -> Axes:
    """Show datagrams between a sender and a receiver, time running down; × is one that was lost.

    `log` has a tuple a datagram: when it came (seconds), "there" or "back", how it begins, when it
    was delivered. `number` chooses those that begin with it; at most 30 are drawn. Returns the
    Axes. Raises ValueError if none begins with the number.
    """
    drawing.need(log)
    every = [one for one in log if number is None or one[2].split()[:1] == [b"%d" % number]]
    if not every:
        raise ValueError(f"No datagram begins with {number}: choose another number.")
    chosen = every[:30]
    ax = ax or drawing.axes("", 6, min(8, 1.6 + 0.45 * len(chosen)))
    began = chosen[0][0]
    last = 1000 * (max(max((came, *ends)) for came, _, _, ends in chosen) - began)
    free = {"there": 0.0, "back": 0.0}  # below the last words on that side
    for came, way, text, deliveries in chosen:
        start, stop, aside, side = (0, 1, -6, "right") if way == "there" else (1, 0, 6, "left")
        color = drawing.HUES[0 if way == "there" else 2]
        at, *ends = (1000 * (second - began) for second in (came, *deliveries))
        for end in ends:
            ax.annotate("", (stop, end), (start, at), arrowprops=dict(arrowstyle="->", color=color))
        if not ends:
            ax.plot([start, 0.5], [at, at], "x-", color=color, markevery=[1], ms=9, mew=2)
        if at >= free[way]:
            free[way] = at + last * ax.figure.dpi / (7 * ax.bbox.height)
            words = drawing.short(text.decode(errors="replace"), 24)
            drawing.say(ax, words, (start, at), (aside, 0), color=color, ha=side)
    ax.vlines([0, 1], 0, 1, "black", transform=ax.get_xaxis_transform(), lw=2)
    ax.set(xlim=(-0.9, 1.6), ylim=(1.05 * last + 1, -0.05 * last - 1), ylabel="milliseconds")
    ax.set_xticks([0, 1], ["sender", "receiver"])
    ax.tick_params(length=0, labeltop=True, labelbottom=False)
    lost = sum(not deliveries for *_, deliveries in chosen)
    first = f"The first {len(chosen)} of " * (len(every) > len(chosen))
    return drawing.entitle(ax, f"{first}{len(every):,} datagrams, {lost} of them lost", pad=22)
