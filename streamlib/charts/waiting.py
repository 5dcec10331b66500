"""The wait-for graph: who holds what, and who waits for it."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from streamlib.charts import drawing


def waits(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Show who waits for whom: processes round, resources square, holds solid, waits dashed.

    `table` as `deadlock.graph` returns it. The arrows of a cycle are thick. Returns the Axes.
    """
    drawing.need(table)
    ends = [(("process", one), ("resource", what)) for one, what in table.iloc[:, [0, 2]].values]
    waiting = table["state"] == "waiting"
    arrows = [pair if w else pair[::-1] for pair, w in zip(ends, waiting, strict=True)]
    nodes = list(dict.fromkeys(node for arrow in arrows for node in arrow))
    turns = np.pi / 2 - 2 * np.pi * np.arange(len(nodes)) / len(nodes)
    at = dict(zip(nodes, np.column_stack([np.cos(turns), np.sin(turns)]), strict=True))
    names = list(table["process"].astype("category").cat.categories)
    many = len(nodes) > 2 * drawing.FEW
    ax = ax or drawing.axes("", 8, 8 if many else 5)
    size, gap = (30, 2) if many else (300, 9)
    for (kind, name), turn in zip(nodes, np.degrees(turns) % 360, strict=True):
        hue = drawing.tint(names.index(name)) if kind == "process" else np.full(3, 0.4)
        ax.scatter(*at[kind, name], size, [hue], marker="os"[kind == "resource"], zorder=3)
        left = 90 < turn < 270
        style = {"ha": "center", "weight": "bold", "color": hue}
        if many:  # then the labels stand like spokes
            style |= {"rotation": turn - 180 * left, "rotation_mode": "anchor", "size": 6}
            style |= {"ha": "right" if left else "left"}
        drawing.say(ax, drawing.short(name), at[kind, name] * (1.1 if many else 1.3), **style)
    for (tail, head), edge in zip(arrows, table.itertuples(), strict=True):
        line = {"ls": "--" if edge.state == "waiting" else "-", "lw": 3 if edge.in_cycle else 1}
        line |= {"arrowstyle": "-|>", "mutation_scale": gap + 3, "shrinkA": gap, "shrinkB": gap}
        line |= {"color": drawing.tint(names.index(edge.process))}
        ax.annotate("", at[head], at[tail], arrowprops=line)
    ax.set(xlim=(-1.7, 1.7), ylim=(-1.6, 1.6), aspect="equal")
    ax.axis("off")
    no_cycle = f"{table['process'].nunique()} processes hold or wait, none of them in a cycle"
    return drawing.entitle(ax, drawing.short(table.attrs.get("cycle") or no_cycle, 400))
