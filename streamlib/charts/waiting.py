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
    arrows, follows = [], {}
    for edge in table.itertuples():
        ends = [("process", edge.process), ("resource", edge.resource)]
        arrows.append((*(ends if edge.state == "waiting" else ends[::-1]), edge))
        follows |= dict([arrows[-1][:2]]) if edge.in_cycle else {}
    order, node = {}, next(iter(follows), None)
    while node in follows and node not in order:  # around the cycle first
        order[node], node = None, follows[node]
    order = [*(order | dict.fromkeys(node for *both, _ in arrows for node in both))]
    turns = np.pi / 2 - 2 * np.pi * np.arange(len(order)) / len(order)
    at = dict(zip(order, np.column_stack([np.cos(turns), np.sin(turns)]), strict=True))
    lanes = table["process"].astype("category").cat.categories
    hues = {name: drawing.tint(lane) for lane, name in enumerate(lanes)}
    many = len(order) > 2 * drawing.FEW
    ax = ax or drawing.axes("", 8, 8 if many else 5)
    for (kind, name), turn in zip(order, np.degrees(turns) % 360, strict=True):
        hue, left = hues[name] if kind == "process" else "dimgray", 90 < turn < 270
        marker, size = "o" if kind == "process" else "s", 30 if many else 300
        ax.scatter(*at[kind, name], size, [hue], marker, zorder=3)
        style = (
            {"rotation": turn - 180 * left, "rotation_mode": "anchor", "size": 6} if many else {}
        )
        style |= {"ha": "right" if left else "left", "weight": "bold", "color": hue}
        drawing.say(ax, drawing.short(name), at[kind, name] * 1.1, **style)
    for tail, head, edge in arrows:
        line = {"ls": "--" if edge.state == "waiting" else "-", "lw": 3 if edge.in_cycle else 1}
        line |= {"color": hues[edge.process], "arrowstyle": "-|>", "shrinkA": 9, "shrinkB": 9}
        ax.annotate("", at[head], at[tail], arrowprops=line | {"mutation_scale": 12})
    ax.set(xlim=(-1.6, 1.6), ylim=(-1.3, 1.3), aspect="equal")
    ax.axis("off")
    many = f"{table['process'].nunique()} processes hold or wait, none of them in a cycle"
    return drawing.entitle(ax, drawing.short(table.attrs.get("cycle") or many, 400))
