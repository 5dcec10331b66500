"""What the charts share: colours, rows with names, words, and spans of time as one image."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.image import AxesImage

INSTANTS = {"started", "step", "done", "gave_up", "ended", "died", "sent", "received"}
HUES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000")
FEW = 8  # the words beside more marks than this would overlap
CROWD = 200  # more marks than this are drawn smaller
LANE = 20  # image rows in a lane
WAITING, OTHER, HOLDING, TICK = range(4)
# first image row, row after the last, ink of the shortest span (fainter is missed), of long ones
TEXTURES = ((9, 13, 0.35, 0.45), (7, 15, 0.35, 0.6), (5, 16, 0.35, 1.0), (17, 20, 0.8, 1.0))


def plan(process: pd.Series) -> list[str]:
    """Process names in plan order."""
    return list(process.astype("category").cat.categories)


def hue(i: int) -> str:
    return HUES[i % len(HUES)]


def lane_of(process: pd.Series, names: Sequence[str]) -> np.ndarray:
    """The place of each row in `names`, -1 if it has none."""
    column = pd.Categorical(process)
    lane = pd.Index(names).get_indexer(column.categories)
    return np.append(lane, -1)[column.codes]


def readable_on(colour: str | np.ndarray) -> str:
    return "black" if np.dot(to_rgb(colour), (0.299, 0.587, 0.114)) > 0.55 else "white"


def axes(ax: Axes | None, width: float, height: float) -> Axes:
    """The axes asked for, or those of a new figure of so many inches."""
    return ax or plt.subplots(figsize=(width, height), layout="constrained")[1]


def inches(ax: Axes) -> np.ndarray:
    """About how wide and high the axes are."""
    return ax.figure.get_size_inches() * ax.get_position().size


def title(ax: Axes, finding: str, pad: float = 6) -> Axes:
    long = max(map(len, finding.split("\n"))) > 75
    ax.set_title(finding.replace("; ", ";\n") if long else finding, loc="left", size=11, pad=pad)
    return ax


def say(ax: Axes, words: str, at: tuple, aside: tuple = (0, 0), **style) -> None:
    """Write words at a place in the chart, so many printer's points aside."""
    ax.annotate(words, at, aside, textcoords="offset points", **{"va": "center", "size": 8} | style)


def short(name: str, room: int = 20) -> str:
    """A long name without its middle: the ends tell worker-1 from worker-12."""
    return name if len(name) <= room else f"{name[: room - room // 2 - 1]}…{name[-(room // 2) :]}"


def times(n: int) -> str:
    return {1: "once", 2: "twice"}.get(n, f"{n:,} times")


def nth(n: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{'th' if n // 10 % 10 == 1 else ending}"


def name_rows(ax: Axes, names: Sequence[str], shared: Sequence[str] = ()) -> None:
    """Names at the left ends of rows: processes in their hue, shared resources in grey."""
    ax.set_yticks(range(len(names) + len(shared)), [short(name) for name in [*names, *shared]])
    ax.tick_params(axis="y", length=0)
    for i, text in enumerate(ax.get_yticklabels()):
        text.set(color=hue(i) if i < len(names) else "dimgrey", fontweight="bold")


def draw_cells(ax: Axes, rgb: np.ndarray, words: np.ndarray | None) -> None:
    """A grid of coloured cells, positions along x; the words inside if they can be read there."""
    rows, columns = rgb.shape[:2]
    ax.imshow(rgb, aspect="auto", interpolation="nearest")
    ax.set_xticks(range(0, columns, -(-columns // 15)))
    ax.set_xticklabels([nth(int(i) + 1) for i in ax.get_xticks()])
    ax.set_xlabel("position in the order")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    if words is None:
        return
    ax.set_xticks(np.arange(columns - 1) + 0.5, minor=True)
    ax.set_yticks(np.arange(rows - 1) + 0.5, minor=True)
    ax.grid(which="minor", color="white")
    ax.tick_params(which="minor", length=0)
    width, height = 72 * inches(ax) / (columns, rows)  # points a cell
    size = min(9, 0.8 * height, 1.4 * width / max(map(len, words.ravel())))
    if size > 4:
        for (i, j), word in np.ndenumerate(words):
            ax.text(j, i, word, ha="center", va="center", size=size, color=readable_on(rgb[i, j]))


def draw_crosses(ax: Axes, events: pd.DataFrame, crosses: pd.DataFrame, names: list) -> None:
    """Who gave up: a cross with the error's words, and a dashed line where the time was out."""
    width = ax.get_xlim()[1]
    crosses = crosses.assign(lane=lane_of(crosses["process"], names)).sort_values("start")
    pixel = (crosses["start"] * (500 / width)).astype(int)
    crosses = crosses[~(pixel * len(names) + crosses["lane"]).duplicated()]  # they would coincide
    hues = [hue(lane) for lane in crosses["lane"]]
    size, pen = (60, 2.5) if len(crosses) <= CROWD else (10, 1)
    ax.scatter(crosses["start"], crosses["lane"], size, hues, marker="x", linewidths=pen, zorder=3)
    spoken = crosses.drop_duplicates("lane")  # a lane says its words once
    for cross in spoken.itertuples() if len(spoken) <= FEW else ():
        words = cross.detail if pd.notna(cross.detail) else "gave up"
        aside, side = (5, "left") if cross.start < width / 2 else (-5, "right")
        place = cross.start, cross.lane - 0.37
        say(ax, words, place, (aside, 0), color=hue(cross.lane), ha=side)

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
            say(ax, timeout.iloc[-1], (labelled, 1), (0, 6), **style)


def draw_spans(ax: Axes | None, events: pd.DataFrame, chosen: np.ndarray, shared: list) -> Axes:
    """Draw the chosen events in their process's lanes, and holds in their resource's lane, too."""
    names = plan(events["process"])
    lanes = len(names) + len(shared)
    ax = axes(ax, 9, 1 + lanes * (0.6 if lanes < 10 else 0.3))
    hues = [to_rgb(hue(i)) for i in range(len(names))]
    bands = [(lane, texture, hue) for lane, hue in enumerate(hues) for texture in TEXTURES]
    bands += [(lane, TEXTURES[HOLDING], hue) for lane in range(len(names), lanes) for hue in hues]

    states = events["state"].astype("category").cat
    kinds = {"waiting": WAITING, "holding": HOLDING} | dict.fromkeys(INSTANTS, TICK)
    kind = np.array([kinds.get(state, OTHER) for state in states.categories])[states.codes]
    process, resource = lane_of(events["process"], names), lane_of(events["resource"], shared)
    held = np.flatnonzero((kind == HOLDING) & (resource >= 0))
    rows = np.concatenate([np.flatnonzero(chosen), held])
    band = process * len(TEXTURES) + kind
    held_band = len(names) * len(TEXTURES) + resource[held] * len(names) + process[held]
    band = np.concatenate([band[chosen], held_band])

    start, end = events["start"].to_numpy(), events["end"].to_numpy()
    left, right = min(0.0, start.min()), end.max()
    margin = 0.01 * (right - left) or 0.5  # a lone instant at the gate needs an axis, too
    left, right = left - margin, right + margin
    Spans(ax, start[rows], end[rows], band, bands, (left, right, lanes - 0.5, -0.5))
    scale = events.attrs.get("scale", 1.0)
    note = f" (time scale {scale:g})" if scale != 1 else ""
    ax.set(xlim=(left, right), ylim=(lanes - 0.5, -0.5))
    ax.set_xlabel(f"seconds since the start gate{note}")
    ax.spines[["top", "right", "left"]].set_visible(False)
    name_rows(ax, names, shared)
    return ax


class Spans(AxesImage):
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
