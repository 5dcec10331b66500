"""What the charts share. Hue is the process, texture the state; names stand at the ends of rows."""

import textwrap
from collections.abc import Iterable, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb

HUES = "#0072B2 #D55E00 #009E73 #CC79A7 #000000 #56B4E9 #E69F00 #8C564B".split()
FONTS = ["Noto Sans CJK SC", "Microsoft YaHei", "Arial Unicode MS", "Last Resort High-Efficiency"]
plt.rcParams["font.family"] = ["sans-serif", *FONTS]  # the last one has a sign for every letter
plt.set_loglevel("error")  # no machine has all of them
FEW = 8  # words beside more marks than this would overlap
# How far a bar goes up and down in its lane, and how strong: waiting, holding, instants, others.
TEXTURES = np.array([(-0.1, 0.1, 0.45), (-0.27, 0.27, 1), (0.32, 0.45, 1), (-0.17, 0.17, 0.6)])


class Chart(plt.Figure):
    """A figure whose text is its title, so that the finding can be read without seeing it."""

    def __repr__(self) -> str:
        titles = [ax.get_title("left") for ax in self.axes]
        return " ".join("; ".join(filter(None, titles)).split()) or super().__repr__()

    def _repr_mimebundle_(self, **_: object) -> tuple[dict, dict]:  # IPython adds the image
        return {}, {"image/png": {"alt": repr(self)}}


def axes(title: str, width: float = 8, height: float = 3) -> plt.Axes:
    """Return the axes of a new figure of this size in inches; its title states the finding."""
    figure = plt.figure(FigureClass=Chart, figsize=(width, height), layout="constrained")
    return entitle(figure.add_subplot(), title)


def entitle(ax: plt.Axes, finding: str, pad: float = 6) -> plt.Axes:
    """Write the finding above the axes, in as many lines as it takes."""
    letters = int(12 * ax.bbox.width / ax.figure.dpi)
    lines = [textwrap.fill(line, letters) for line in finding.split("\n")]
    ax.set_title("\n".join(lines), loc="left", size=11, pad=pad, parse_math=False)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def say(ax: plt.Axes, words: str, at: tuple, aside: tuple = (0, 0), **style) -> None:
    """Write words at a place in the chart, moved aside by so many points."""
    style = {"va": "center", "size": 8, "parse_math": False, "annotation_clip": True} | style
    ax.annotate(words, at, aside, textcoords="offset points", **style)


def list_beside(ax: plt.Axes, words: Iterable[str], colors: Iterable) -> None:
    """List words to the right of the axes, each in its color, in columns."""
    for i, (word, color) in enumerate(zip(words, colors, strict=True)):
        aside = 8 + 72 * (i // FEW), -6 - 12 * (i % FEW)
        say(ax, word, (1, 1), aside, xycoords="axes fraction", color=color, weight="bold")


def short(name: str, room: int = 20) -> str:
    """Return a long name without its middle: the ends tell worker-1 from worker-12."""
    return name if len(name) <= room else f"{name[: room - room // 2 - 1]}…{name[-(room // 2) :]}"


def tint(lanes: Sequence[int] | int, strength: float | np.ndarray = 1.0) -> np.ndarray:
    """Return the color of each lane (red, green and blue), paler at less strength."""
    hues = np.array([to_rgb(hue) for hue in HUES])[np.asarray(lanes, int) % len(HUES)]
    return 1 - np.asarray(strength)[..., None] * (1 - hues)


def need(table: Sequence | pd.DataFrame, column: str = "", rows: str = "rows") -> None:
    """Raise TypeError unless the table has this column, ValueError if it is empty."""
    if not hasattr(table, "__len__") or (column and column not in getattr(table, "columns", ())):
        raise TypeError(f"This {type(table).__name__} cannot be drawn: give a table of {rows}.")
    if len(table) == 0:
        advice = "run the cell above, and mark steps with me.step"
        raise ValueError(f"There is nothing to draw: {advice}.")


def name_rows(ax: plt.Axes, names: Sequence[str], shared: Sequence[str] = ()) -> None:
    """Name the rows at their left ends: processes in their hue, shared resources in gray."""
    labels = [short(name) for name in [*names, *shared]]
    ax.set_yticks(range(len(labels)), labels, fontweight="bold", parse_math=False)
    ax.tick_params(axis="y", length=0)
    for lane, text in enumerate(ax.get_yticklabels()):
        text.set_color(tint(lane) if lane < len(names) else "dimgray")


def draw_cells(ax: plt.Axes | None, colors: np.ndarray, words: np.ndarray, across: str) -> plt.Axes:
    """Draw a grid of colored cells, numbered along x, with words inside if they can be read."""
    rows, columns = words.shape
    ax = ax or axes("", *np.clip((2 + 0.55 * columns, 1.3 + 0.3 * rows), (6.5, 2), (12, 14)))
    ax.imshow(colors, aspect="auto", extent=(0.5, columns + 0.5, rows - 0.5, -0.5))
    ax.locator_params(axis="x", integer=True)
    ax.set_xlabel(across)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    width, height = 72 * ax.bbox.size / ax.figure.dpi / (columns, rows)  # of a cell, in points
    size = min(9, 0.8 * height, 1.4 * width / min(12, max(map(len, words.ravel()))))
    if size > 4:
        ax.hlines(np.arange(1, rows) - 0.5, 0.5, columns + 0.5, "white", linewidth=1)
        ax.vlines(np.arange(1, columns) + 0.5, -0.5, rows - 0.5, "white", linewidth=1)
        for (i, j), word in np.ndenumerate(words):
            ink = "black" if colors[i, j] @ (0.299, 0.587, 0.114) > 0.55 else "white"
            say(ax, short(word, 12), (j + 1, i), ha="center", size=size, color=ink)
    return ax


def draw_spans(ax: plt.Axes | None, events: pd.DataFrame, names: list, shared: list) -> plt.Axes:
    """Draw events in the lanes of their processes, and holds in that of their resource too."""
    lanes = len(names) + len(shared)
    ax = ax or axes("", 9, 1 + lanes * (0.6 if lanes < 10 else 0.3))
    state, instant = events["state"], events["start"] == events["end"]
    kind = np.select([state == "waiting", state == "holding", instant], range(3), 3)
    others = events[kind == 3]  # their looks do not tell which is which: they are named
    spans = events[["start", "end", "lane"]].assign(hue=events["lane"], kind=kind)
    resource = pd.Index(shared, dtype=object).get_indexer(events["resource"])
    held = (state == "holding") & (resource >= 0)
    spans = pd.concat([spans, spans[held].assign(lane=len(names) + resource[held])])
    left, right = min(0.0, spans["start"].min()), max(0.0, spans["end"].max())
    width = right - left or 1.0
    # An edge, so that the narrowest leaves ink; white on long ones, so that two in a row are two.
    spans["long"] = spans["end"] - spans["start"] > 0.01 * width
    spans = spans.sort_values("long", ascending=False, kind="stable")  # short ones on top
    start, end, lane, hue, kind, long = spans.to_numpy(float).T
    upper, lower, strength = TEXTURES[kind.astype(int)].T + np.outer((1, 1, 0), lane)
    corners = np.array([(start, upper), (start, lower), (end, lower), (end, upper)])
    colors = tint(hue, strength)
    edges = np.where(long[:, None], 1.0, colors)
    bars = PolyCollection(corners.transpose(2, 0, 1), facecolors=colors, edgecolors=edges)
    ax.add_collection(bars, autolim=False)
    for one in others.drop_duplicates("state").itertuples():
        say(ax, one.state, ((one.start + one.end) / 2, one.lane), ha="center")

    scale = events.attrs.get("scale", 1.0)
    ax.set_xlabel("seconds since the start gate" + f" (time scale {scale:g})" * (scale != 1))
    ax.set(xlim=(left - 0.01 * width, right + 0.01 * width), ylim=(lanes - 0.5, -0.5))
    name_rows(ax, names, shared)
    draw_crosses(ax, events)
    return ax


def draw_crosses(ax: plt.Axes, events: pd.DataFrame) -> None:
    """Draw a cross with the error's words where a process gave up, and a line at the first one."""
    crosses = events[events["state"] == "gave_up"].sort_values("start")
    ax.scatter(crosses["start"], crosses["lane"], 60, tint(crosses["lane"]), marker="x", lw=2.5)
    firsts = crosses.drop_duplicates("lane")
    for one in firsts.itertuples() if len(firsts) <= FEW else ():
        words = one.detail if isinstance(one.detail, str) else "gave up"
        # Beside the wait that ended, if there is room: an arrow may follow the cross.
        aside, side = (-5, "right") if one.start > 0.2 * ax.get_xlim()[1] else (5, "left")
        say(ax, words, (one.start, one.lane - 0.37), (aside, 0), color=tint(one.lane), ha=side)
    for first in crosses["start"][:1]:
        timeout = events["detail"][(events["state"] == "waiting") & (events["end"] == first)]
        words, above = "".join(timeout.dropna()[:1]), ax.get_xaxis_transform()
        ax.axvline(first, zorder=1, ls="--", lw=1, color="dimgray")
        say(ax, words, (first, 1), (0, 6), xycoords=above, ha="center")
