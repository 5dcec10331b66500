"""What all charts share: a figure that says its finding, and ink for every span."""

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from IPython.core.formatters import DisplayFormatter
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from streamlib import charts
from streamlib.charts import drawing
from streamlib.tests.conftest import (
    MANY_NAMES,
    drawn_in,
    events_of,
    fits,
    inside,
    locked_out,
    title,
    words,
)

pytestmark = pytest.mark.usefixtures("close_figures")


# Figures and their text


def test_axes_for_a_cell_have_a_title_a_fixed_size_and_no_box():
    ax = charts.axes("UDP lost 16 of 200 rows; TCP lost 0", 7, 2)
    assert isinstance(ax, Axes) and title(ax) == "UDP lost 16 of 200 rows; TCP lost 0"
    assert ax.figure.get_size_inches().tolist() == [7, 2]
    assert not ax.spines["top"].get_visible() and not ax.spines["right"].get_visible()
    assert charts.axes("so").figure.get_size_inches().tolist() == [8, 3]


def test_pandas_draws_on_the_axes_and_leaves_the_title():
    ax = charts.axes("UDP lost more")
    pd.DataFrame({"udp": [0, 1, 2], "tcp": 0}).plot(ax=ax, color=charts.HUES, legend=False)
    assert title(ax) == "UDP lost more" and [line.get_color() for line in ax.lines] == [
        *charts.HUES[:2]
    ]


def test_the_text_of_a_figure_is_its_title_in_one_line():
    ax = charts.timeline(locked_out())
    assert repr(ax.figure) == "P1 won twice; P2 and P3 gave up at 5.0 s"
    later = pd.concat([locked_out(), locked_out().assign(round=2)])
    assert repr(charts.timeline(later).figure).endswith("5.0 s (round 1; the table has 2 rounds)")
    assert "\n" not in repr(charts.axes("a long finding; " * 20).figure)


def test_a_figure_without_a_title_has_the_usual_text():
    assert repr(charts.axes("").figure) == "<Chart size 800x300 with 1 Axes>"


def test_a_long_title_takes_several_lines_and_is_not_cut_off():
    ax = charts.axes("one thing and another; " * 12, 5, 3)
    assert title(ax).count("\n") >= 4 and fits(ax)
    left, right = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")[1]
    for ax in (left, right):
        charts.timeline(locked_out(), ax=ax)
    left.figure.canvas.draw()
    assert left._left_title.get_window_extent().x1 < right.bbox.x0


@pytest.mark.parametrize("name", ["worker-1", "a-process-with-a-long-name-1", "x" * 100])
def test_long_names_are_shortened_in_the_middle(name):
    short = drawing.short(name)
    assert len(short) <= 20 and short[0] == name[0] and short[-1] == name[-1]
    assert (short == name) == (len(name) <= 20)


# Spans


def test_holding_is_thick_in_full_color_and_waiting_thin_and_pale():
    rows = [("P1", "holding", 0.0, 1.0, None), ("P2", "waiting", 0.0, 1.0, None)]
    image = inside(charts.timeline(events_of(rows, ["P1", "P2"])))
    column = image[:, image.shape[1] // 2]
    assert drawn_in(column, drawing.HUES[0]) > 40  # its own lane, and that of pets.db
    assert drawn_in(column, drawing.HUES[1]) == 0
    pale = (column != 255).any(axis=-1).sum() - drawn_in(column, drawing.HUES[0])
    assert 3 < pale < 20


def test_waiting_and_holding_differ_in_gray_too():
    ax = charts.timeline(locked_out())
    gray = inside(ax) @ (0.299, 0.587, 0.114)
    height, width = gray.shape
    thickness = [(gray[: height // 4, int(at * width)] < 250).sum() for at in (0.1, 0.97)]
    assert thickness[0] > 20 > thickness[1]
    second = gray[height // 4 : height // 2]
    waits, holds = second[:, int(0.2 * width)], second[:, int(0.6 * width)]
    assert (waits < 250).sum() < 0.6 * (holds < 250).sum() and waits.min() > holds.min() + 20


def test_the_lane_of_a_resource_has_the_color_of_its_holder():
    ax = charts.timeline(locked_out())
    image = inside(ax)
    bottom = image[-image.shape[0] // 8]
    for second, hue in ((1.0, "#0072B2"), (7.0, "#D55E00"), (11.0, "#009E73")):
        left, right = ax.get_xlim()
        at = int((second - left) / (right - left) * image.shape[1])
        assert drawn_in(bottom[at], hue) == 1


def test_two_holds_without_a_gap_are_seen_as_two():
    one = events_of([("P1", "holding", 0.0, 6.0, None)], ["P1"])
    rows = [("P1", "holding", 0.0, 3.0, None), ("P1", "holding", 3.0, 6.0, None)]
    pieces = []
    for events in (one, events_of(rows, ["P1"])):
        image = inside(charts.timeline(events))
        row = image[image.shape[0] // 4, 20:-20]
        blue = np.array([drawn_in(pixel, drawing.HUES[0]) for pixel in row])
        pieces.append((np.diff(blue) == 1).sum() + blue[0])
    assert pieces == [1, 2]


@pytest.mark.parametrize("state", ["holding", "waiting", "thinking", "step"])
@pytest.mark.parametrize("width, dpi", [(9, 100), (9, 72), (4, 100), (13, 150)])
def test_a_span_a_thousand_times_narrower_than_a_pixel_leaves_ink(state, width, dpi):
    second = width * dpi * 1000
    starts = np.linspace(0.02, 0.98, 150) * second
    rows = [("P1", state, at, at + (0 if state == "step" else 0.5), None) for at in starts]
    rows += [("P2", "thinking", 0.0, second, None)]
    ax = charts.timeline(events_of(rows, ["P1", "P2"]))
    inside(ax, 200)  # seen large first, saved smaller then
    ax.figure.set_size_inches(width, 2.5)
    image = inside(ax, dpi)
    lane = image[: image.shape[0] // len(ax.get_yticks())]
    left, right = ax.get_xlim()
    inked = (255 - lane).max(axis=(0, 2))
    for at in starts:
        x = int((at - left) / (right - left) * image.shape[1])
        assert inked[max(0, x - 4) : x + 3].max() > 0.3 * 255


@pytest.mark.parametrize("beside", ["holding", "thinking"])
def test_a_short_span_is_not_hidden_by_the_long_ones_around_it(beside):
    rows = [("P1", beside, 0.0, 5.0, None), ("P1", "waiting", 5.0, 5.0001, None)]
    rows += [("P1", beside, 5.0001, 10.0, None)]
    image = inside(charts.timeline(events_of(rows, ["P1"])))
    pale = drawing.tint(0, drawing.TEXTURES[0, 2])
    assert drawn_in(image[:, image.shape[1] // 2 - 5 : image.shape[1] // 2 + 5], pale) > 3


def test_a_hold_without_length_is_a_hold_and_other_marks_without_length_are_ticks():
    rows = [("P1", "holding", 0.5, 0.5, None), ("P2", "holding?", 0.5, 0.5, None)]
    rows += [("P3", "waiting", 0.0, 1.0, None)]
    image = inside(charts.timeline(events_of(rows)))
    lane = image.shape[0] // 4
    tall, low = ((image[at * lane : (at + 1) * lane] != 255).any(axis=(1, 2)) for at in (0, 1))
    assert tall.sum() > 1.5 * low.sum() > 0
    assert tall[lane // 2] and not low[lane // 2]


def test_of_more_spans_than_pixels_all_columns_have_ink():
    starts = np.arange(40_000.0)
    events = pd.DataFrame({"start": starts, "end": starts + 0.5})
    process = pd.Categorical(np.where(starts % 2, "P1", "P2"), ["P1", "P2"])
    events = events.assign(process=process, state="holding", resource=None, round=1, detail=None)
    events.loc[20_001:20_401:2, "state"] = "waiting"
    ax = charts.timeline(events)
    lane = inside(ax)[: inside(ax).shape[0] // 2]
    inked = (lane != 255).any(axis=(0, 2))
    assert inked[10:-10].all()
    waiting = drawing.tint(0, drawing.TEXTURES[0, 2])
    assert drawn_in(lane, waiting) > 0


@pytest.mark.filterwarnings("error")  # words far outside would leave no room for the axes
def test_a_chart_of_spans_can_be_zoomed():
    ax = charts.timeline(locked_out())
    assert drawn_in(inside(ax)[20], drawing.HUES[0]) > 100
    ax.set_xlim(2.999, 3.002)  # P1 holds until 3.0, and again from 3.001
    row = inside(ax)[20]
    assert drawn_in(row, drawing.HUES[0]) == pytest.approx(2 / 3 * len(row), abs=6)
    ax.set_xlim(20, 30)
    row = inside(ax)[20]
    assert drawn_in(row, "white") == len(row)


def test_thirty_processes_get_a_figure_in_which_their_names_do_not_touch():
    rows = [(name, "holding", 0.0, 1.0, None) for name in MANY_NAMES]
    ax = charts.timeline(events_of(rows, MANY_NAMES))
    ax.figure.canvas.draw()
    boxes = [label.get_window_extent() for label in ax.get_yticklabels()]
    assert all(upper.y0 > lower.y1 for upper, lower in pairwise(boxes))


def test_rows_are_named_in_the_hue_of_their_process_and_resources_in_gray():
    labels = charts.timeline(locked_out()).get_yticklabels()
    assert [label.get_text() for label in labels] == ["P1", "P2", "P3", "pets.db"]
    assert [to_hex(label.get_color()).upper() for label in labels] == [
        *drawing.HUES[:3],
        "#696969",
    ]


# Crosses


def test_the_error_stands_once_a_lane_and_the_timeout_on_its_line():
    ax = charts.timeline(locked_out())
    assert sorted(words(ax)) == ["database is locked"] * 2 + ["timeout 5 s"]
    assert [line.get_linestyle() for line in ax.lines] == ["--"]
    assert ax.lines[0].get_xdata()[0] == pytest.approx(5.01)


def test_a_cross_without_words_of_its_own_says_that_it_gave_up():
    ax = charts.timeline(events_of([("P1", "gave_up", 1.0, 1.0, None)], ["P1"]))
    assert words(ax) == ["gave up"]


def test_many_crosses_have_no_words_that_would_overlap():
    rows = [(name, "gave_up", 5.0 + i / 7, 5.0 + i / 7, "x") for i, name in enumerate(MANY_NAMES)]
    ax = charts.timeline(events_of([*rows, ("P1", "holding", 0.0, 9.0, None)], MANY_NAMES))
    assert not words(ax)
    assert 30 in [len(marks.get_offsets()) for marks in ax.collections]
    assert len(ax.lines) == 1


# Names


@pytest.mark.filterwarnings("error")  # a letter that no font has is a warning
@pytest.mark.parametrize(
    "names",
    [
        ("北京 서울 東京", "محمد שלום", "🐕 Ace 👨‍👩‍👧"),
        ("हिंदी ไทย \ue000", "$a_1$ b^2_ \\frac{", "Łódź Ω"),
    ],
)
def test_names_in_any_script_draw_without_a_warning(names, caplog):
    ax = charts.timeline(locked_out(names))
    assert fits(ax)
    items = {"item": names, "label": [name[0] for name in names], "called": [0.0, 1.0, 2.0]}
    items |= {"process": pd.Categorical(names, names), "id": [1, 2, None], "round": 1}
    items = pd.DataFrame(items).assign(outcome=["stored", "stored", names[2]])
    charts.strip(items, schedule=f"1{names[0]}").figure.canvas.draw()
    charts.discovery(names, 4).figure.canvas.draw()
    charts.many([name[0] for name in names], {name[0]: name for name in names}).figure.canvas.draw()
    assert caplog.records == []


@pytest.mark.filterwarnings("error")
def test_a_chart_that_pandas_draws_has_names_in_any_script_too():
    ax = charts.axes("北京 🐕")
    pd.DataFrame({"東京": [1, 2]}, index=["서울", "ไทย"]).plot.bar(ax=ax)
    ax.figure.canvas.draw()
    assert title(ax) == "北京 🐕"


def test_a_chart_has_its_title_as_the_text_beside_its_image():
    """`alt` is what a screen reader says, and what stands there if the image cannot be shown."""
    figure = charts.axes("P1 won twice").figure
    data, about = DisplayFormatter().format(figure)
    assert about["image/png"]["alt"] == data["text/plain"] == "P1 won twice"


def test_a_span_that_neither_waits_nor_holds_is_named():
    table = events_of([("P1", "working", s, s + 1.0, None) for s in (0.0, 2.0)])
    assert words(charts.timeline(table)).count("working") == 1


def test_eight_processes_have_eight_colors():
    assert len(set(map(tuple, drawing.tint(range(8))))) == 8
