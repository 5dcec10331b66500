"""The chart of a stream: which rows arrived, and in which order."""

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
    "duplicated": ("o", "#E69F00"),
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
    ax.locator_params(integer=True)
    ax.set(xlabel="place in the source", ylabel="rank of arrival", ylim=(-0.11 * top, 1.05 * top))
    words["arrived"] = f"{counts['arrived']:,} of {of_source.sum():,} rows arrived in order"
    return drawing.entitle(ax, "; ".join(words.values()))
