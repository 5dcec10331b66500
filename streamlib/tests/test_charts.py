"""What the charts draw: their findings, their labels, and ink for all that happened."""

import math
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb

from streamlib import charts
from streamlib.charts import drawing, happened
from streamlib.processes import events as trace

OWNERS = {"A": "P1", "B": "P1", "C": "P2", "D": "P2", "E": "P3", "F": "P3"}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def table(rows, names=("P1", "P2", "P3"), scale=1.0):
    """Events from rows of (process, state, start, end, detail), all on pets.db."""
    events = pd.DataFrame(rows, columns=["process", "state", "start", "end", "detail"])
    events["process"] = pd.Categorical(events["process"], names)
    events = events.assign(run="r", round=1, pid=1, item=None, resource="pets.db", seq=0)
    for column in ("run", "state", "item", "resource", "detail"):
        events[column] = events[column].astype("category")
    events.attrs["scale"] = scale
    return events.sort_values("start", kind="stable", ignore_index=True)


def handoff(events, **options):
    """The hand-off chart of the events, with the table that belongs to them."""
    return charts.handoff(events, trace.handoffs(events), **options)


def lesson(scale=1.0, names=("P1", "P2", "P3")):
    """Three processes, 3 s holds, a timeout of 5 s: the second and third lose their first row."""
    one, two, three = names
    rows = [(name, "started", 0.0, 0.0, None) for name in names]
    rows += [(one, "holding", 0.0, 3.0, None), (one, "waiting", 3.0, 3.001, "timeout 5 s")]
    rows += [(one, "holding", 3.001, 6.0, None)]
    for loser, until in ((two, 6.0), (three, 9.0)):
        rows += [(loser, "waiting", 0.0, 5.01, "timeout 5 s")]
        rows += [(loser, "gave_up", 5.01, 5.01, "database is locked")]
        rows += [(loser, "waiting", 5.01, until, "timeout 5 s")]
        rows += [(loser, "holding", until, until + 3.0, None)]
    return table(rows, names, scale)


def items(lost="", n=3):
    """Two items a process, stored in the order of their letters."""
    labels = [chr(ord("A") + i) for i in range(2 * n)]
    ids = [None if label in lost else i for i, label in enumerate(labels, 1)]
    return pd.DataFrame(
        {
            "round": 1,
            "process": pd.Categorical([f"P{i // 2 + 1}" for i in range(2 * n)]),
            "item": [label * 3 for label in labels],
            "label": labels,
            "called": np.arange(2.0 * n),
            "waited": 0.0,
            "held": 0.0,
            "id": pd.array(ids, "Int64"),
            "outcome": ["locked" if label in lost else "stored" for label in labels],
        }
    )


def words(ax):
    return [text.get_text() for text in ax.texts if text.get_text()]


def title(ax):
    return ax.get_title("left")


def pixels(ax, dpi=100):
    """The figure as drawn, as an array of rows of RGB."""
    ax.figure.set_dpi(dpi)
    ax.figure.canvas.draw()
    return np.asarray(ax.figure.canvas.buffer_rgba())[:, :, :3].astype(int)


def inside(ax, dpi=100):
    """What is drawn between the axis lines."""
    image = pixels(ax, dpi)
    left, bottom, right, top = ax.bbox.extents.astype(int)
    return image[len(image) - top : len(image) - bottom - 2, left:right]


def drawn_in(image, hue):
    """How many pixels have exactly this colour."""
    return (np.abs(image - np.round(255 * np.array(to_rgb(hue)))).max(axis=-1) <= 1).sum()


ALL = {
    "timeline": (charts.timeline, lambda: [lesson()]),
    "handoff": (handoff, lambda: [lesson()]),
    "strip": (charts.strip, lambda: [items()]),
    "many": (charts.many, lambda: [["ABCDEF", "CAEDFB"], OWNERS]),
    "positions": (charts.positions, lambda: [["ABCDEF", "CAEDFB"], OWNERS]),
    "discovery": (charts.discovery, lambda: [["ABCDEF", "CAEDFB"], 90]),
}


@pytest.mark.parametrize("chart, arguments", ALL.values(), ids=ALL)
def test_every_chart_returns_its_axes_and_has_a_finding(chart, arguments):
    ax = chart(*arguments())
    assert isinstance(ax, Axes)
    assert title(ax)
    mine = plt.subplots()[1]
    assert chart(*arguments(), ax=mine) is mine
    assert not mine.get_legend()
    mine.figure.canvas.draw()


@pytest.mark.parametrize("chart, arguments", ALL.values(), ids=ALL)
def test_an_empty_table_says_what_to_do(chart, arguments):
    first, *others = arguments()
    with pytest.raises(ValueError, match="to draw: run the cell that makes the run first"):
        chart(first[:0], *others)


# timeline


def test_timeline_says_who_won_and_who_gave_up_when():
    assert title(charts.timeline(lesson())) == "P1 won twice; P2 and P3 gave up at 5.0 s"


def test_timeline_of_fair_turns():
    rows = [("P1", "holding", 0.0, 1.0, None), ("P2", "holding", 1.0, 2.0, None)]
    ax = charts.timeline(table(rows, ["P1", "P2"]))
    assert title(ax) == "P1 and P2 won once; nobody gave up"
    assert not words(ax)


def test_timeline_tells_who_died():
    rows = [("P1", "holding", 0.0, 1.25, None), ("P1", "died", 1.25, 1.25, None)]
    assert title(charts.timeline(table(rows))) == "P1 won once; P1 died at 1.2 s"


def test_timeline_has_a_lane_for_each_process_and_resource():
    ax = charts.timeline(lesson())
    labels = ax.get_yticklabels()
    assert [label.get_text() for label in labels] == ["P1", "P2", "P3", "pets.db"]
    assert [to_hex(label.get_color()).upper() for label in labels][:3] == list(drawing.HUES[:3])
    assert ax.yaxis_inverted()  # P1 on top


def test_a_process_that_left_nothing_keeps_its_lane():
    ax = charts.timeline(table([("P2", "holding", 0.0, 1.0, None)]))
    assert [label.get_text() for label in ax.get_yticklabels()][:3] == ["P1", "P2", "P3"]


def test_timeline_writes_the_error_once_a_lane_and_the_timeout_on_its_line():
    ax = charts.timeline(lesson())
    assert sorted(words(ax)) == ["database is locked"] * 2 + ["timeout 5 s"]
    assert [line.get_linestyle() for line in ax.lines] == ["--"]
    assert ax.lines[0].get_xdata()[0] == pytest.approx(5.01)


@pytest.mark.filterwarnings("error")  # a label far outside leaves no room for the axes
def test_timeline_can_be_zoomed():
    ax = charts.timeline(lesson())
    assert drawn_in(inside(ax)[20], drawing.HUES[0]) > 100
    ax.set_xlim(2.999, 3.002)  # P1 holds until 3.0, and again from 3.001
    row = inside(ax)[20]
    assert drawn_in(row, drawing.HUES[0]) == pytest.approx(2 / 3 * len(row), abs=4)
    ax.set_xlim(20, 30)
    row = inside(ax)[20]
    assert drawn_in(row, "white") == len(row)


def test_many_crosses_have_no_words_that_would_overlap():
    names = [f"P{i}" for i in range(30)]
    rows = [(name, "gave_up", 5.0 + i / 7, 5.0 + i / 7, "locked") for i, name in enumerate(names)]
    ax = charts.timeline(table([*rows, ("P1", "holding", 0.0, 9.0, None)], names))
    assert not words(ax)
    assert len(ax.collections[0].get_offsets()) == 30
    assert len(ax.lines) == 1


def test_holding_is_thick_in_full_colour_and_waiting_thin_and_pale():
    rows = [("P1", "holding", 0.0, 1.0, None), ("P2", "waiting", 0.0, 1.0, None)]
    image = inside(charts.timeline(table(rows, ["P1", "P2"])))
    column = image[:, image.shape[1] // 2]
    assert drawn_in(column, drawing.HUES[0]) > 40  # its own lane, and that of pets.db
    assert drawn_in(column, drawing.HUES[1]) == 0
    pale = (column != 255).any(axis=-1).sum() - drawn_in(column, drawing.HUES[0])
    assert 3 < pale < 20


def test_the_resource_lane_has_the_colour_of_its_holder():
    ax = charts.timeline(lesson())
    image = inside(ax)
    bottom = image[-image.shape[0] // 8]
    for second, hue in ((1.0, "#0072B2"), (7.0, "#D55E00"), (11.0, "#009E73")):
        left, right = ax.get_xlim()
        at = int((second - left) / (right - left) * image.shape[1])
        assert drawn_in(bottom[at], hue) == 1


def test_two_holds_without_a_gap_are_seen_as_two():
    one = table([("P1", "holding", 0.0, 6.0, None)], ["P1"])
    two = table([("P1", "holding", 0.0, 3.0, None), ("P1", "holding", 3.0, 6.0, None)], ["P1"])
    edges = []
    for events in (one, two):
        image = inside(charts.timeline(events))
        row = image[image.shape[0] // 4, 20:-20]
        edges.append(len(row) - drawn_in(row, drawing.HUES[0]))
    assert edges[1] == edges[0] + 1


@pytest.mark.parametrize("state", ["holding", "waiting", "thinking", "step"])
@pytest.mark.parametrize("width, dpi", [(9, 100), (9, 37), (4, 100), (13, 61)])
def test_a_span_a_thousand_times_narrower_than_a_pixel_leaves_ink(state, width, dpi):
    second = width * dpi * 1000
    starts = np.linspace(0.02, 0.98, 150) * second
    rows = [("P1", state, at, at + (0 if state == "step" else 0.5), None) for at in starts]
    rows += [("P2", "thinking", 0.0, second, None)]
    ax = charts.timeline(table(rows, ["P1", "P2"]))
    inside(ax, 200)  # seen large first, saved smaller then
    ax.figure.set_size_inches(width, 2.5)
    image = inside(ax, dpi)
    lanes = len(ax.get_yticks())
    lane = image[: image.shape[0] // lanes]
    left, right = ax.get_xlim()
    inked = (255 - lane).max(axis=(0, 2))
    for at in starts:
        x = int((at - left) / (right - left) * image.shape[1])
        assert inked[max(0, x - 2) : x + 3].max() > 0.3 * 255


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 9), st.floats(0, 1)), min_size=1, max_size=8),
    st.integers(1, 40),
)
def test_the_ink_of_a_column_is_the_part_that_spans_cover(spans, columns):
    starts, lengths = np.array(spans).T
    ends = starts + lengths
    band = (0, drawing.TEXTURES[drawing.HOLDING], (0, 0, 0))
    ax = plt.figure().add_subplot()
    image = drawing.Spans(
        ax, starts, ends, np.zeros(len(spans), int), [band], (0, 10.1, 0.5, -0.5)
    ).paint(columns)
    plt.close(ax.figure)
    edges = np.linspace(0, 10.1, columns + 1)
    overlap = np.minimum.outer(ends, edges[1:]) - np.maximum.outer(starts, edges[:-1])
    cover = (overlap.clip(0).sum(axis=0) / np.diff(edges)).clip(0, 1)
    expected = 0.35 + 0.65 * cover
    ink = image[10, :, 3] / 255
    touched = np.isin(np.arange(columns), (starts / 10.1 * columns).astype(int)) | (cover > 1e-4)
    seams = np.isin(np.arange(columns), (starts / 10.1 * columns).astype(int))
    assert (ink[touched] > 0.34).all()
    assert ink[touched & ~seams] == pytest.approx(expected[touched & ~seams], abs=0.01)
    assert (ink[cover == 0][~touched[cover == 0]] == 0).all()


def test_timeline_says_the_time_scale_only_if_it_is_not_one():
    assert charts.timeline(lesson()).get_xlabel() == "seconds since the start gate"
    assert charts.timeline(lesson(0.1)).get_xlabel().endswith("(time scale 0.1)")


@pytest.mark.parametrize("chart", [charts.timeline, handoff])
def test_of_several_rounds_the_first_is_drawn_and_named(chart):
    later = lesson().assign(round=2)
    later["start"] += 100
    later["end"] += 100
    ax = chart(pd.concat([later, lesson()], ignore_index=True))
    assert title(ax).endswith("\n(round 1; the table has 2 rounds)")
    assert ax.get_xlim()[1] < 20


@pytest.mark.parametrize("chart", [charts.timeline, handoff])
def test_a_single_instant_can_be_drawn(chart):
    ax = chart(table([("P1", "started", 0.0, 0.0, None)], ["P1"]))
    assert title(ax)
    assert (drawn_in(inside(ax), "white") < inside(ax).size // 3) == (chart is charts.timeline)


def test_thirty_processes_get_a_figure_in_which_their_names_do_not_touch():
    names = [f"P{i}" for i in range(30)]
    ax = charts.timeline(table([(name, "holding", 0.0, 1.0, None) for name in names], names))
    ax.figure.canvas.draw()
    boxes = [label.get_window_extent() for label in ax.get_yticklabels()]
    assert all(upper.y0 > lower.y1 for upper, lower in pairwise(boxes))


def test_long_names_stay_inside_the_figure_and_apart():
    names = [f"a-process-with-a-very-long-name-that-ends-in-{i}" for i in (1, 2, 3)]
    ax = charts.timeline(lesson(names=names))
    ax.figure.canvas.draw()
    assert ax.title.get_text() == "" and title(ax).count("\n") == 1
    whole = ax.figure.bbox
    for text in [*ax.get_yticklabels(), ax._left_title]:
        box = text.get_window_extent()
        assert box.x0 >= 0 and box.x1 <= whole.x1 and box.y1 <= whole.y1 + 1
    assert len({label.get_text() for label in ax.get_yticklabels()}) == 4


# handoff


def test_handoff_counts_those_that_barged():
    ax = handoff(lesson())
    assert title(ax) == "1 of 3 hand-offs barged past a longer wait"
    assert words(ax)[-1] == "past 2 waiting" and words(ax).count("database is locked") == 2
    again = [place for marks in ax.collections for place in marks.get_offsets() if place[0] < 4]
    assert len(again) == 1 and again[0][1] < -0.3  # P1 took it again: above its bar, not inside


def test_handoff_draws_barging_dashed_and_red():
    rows = [("P1", "holding", 0.0, 1.0, None), ("P2", "waiting", 0.1, 3.0, None)]
    rows += [("P3", "waiting", 0.2, 1.0, None), ("P3", "holding", 1.0, 3.0, None)]
    ax = handoff(table([*rows, ("P2", "holding", 3.0, 4.0, None)]))
    fair, barged = ax.lines
    assert (fair.get_linestyle(), barged.get_linestyle()) == ("-", "--")
    assert barged.get_color() == happened.BARGED
    assert barged.get_xdata()[:2] == pytest.approx([1.0, 1.0])  # P1 to P3, past P2
    assert fair.get_xdata()[:2] == pytest.approx([3.0, 3.0])  # P3 to P2
    assert barged.get_ydata()[0] < barged.get_ydata()[1]


def test_a_single_hold_is_no_hand_off():
    ax = handoff(table([("P1", "holding", 0.0, 1.0, None)]))
    assert title(ax) == "Nothing was handed on"


def test_a_thousand_hand_offs_are_a_few_artists(monkeypatch):
    at = np.arange(1000.0)
    who = ["P1", "P2"] * 500
    hands = {"resource": "pets.db", "releaser": who, "taker": who[1:] + who[:1], "released": at}
    hands |= {"taken": at, "waited": 0.0, "passed": 1, "barging": at % 2 == 0, "item": "x"}
    ax = charts.handoff(lesson(), pd.DataFrame(hands | {"round": 1}))
    assert len(ax.lines) + len(ax.collections) + len(ax.texts) < 20
    assert title(ax) == "500 of 1,000 hand-offs barged past a longer wait"


# strip


def test_strip_shows_commit_order_then_hollow_those_not_stored():
    table = items("DF").sample(frac=1, random_state=1)
    ax = charts.strip(table, schedule="1 1 2 2x 3 3x")
    assert words(ax) == [
        *"A P1 B P1 C P2 E P3 D P2 F P3".split(),
        "not\nstored",
        "schedule: 1 1 2 2x 3 3x",
    ]
    faces = [to_hex(square.get_facecolor()).upper() for square in ax.patches]
    blue, red, green = drawing.HUES[:3]
    assert faces == [blue, blue, red, green, "#FFFFFF", "#FFFFFF"]
    assert [to_hex(s.get_edgecolor()).upper() for s in ax.patches][-2:] == [red, green]
    assert title(ax) == "4 of 6 items stored, in the order they were called; 2 locked"


def test_strip_tells_commit_order_from_called_order():
    table = items()
    table["id"] = table["id"].to_numpy()[::-1]
    ax = charts.strip(table)
    assert words(ax)[0] == "F"
    assert title(ax) == "6 of 6 items stored, not in the order they were called"


def test_strip_where_nothing_was_stored():
    assert title(charts.strip(items("ABCDEF"))) == "None of 6 items stored; 6 locked"


def test_strip_wraps_and_keeps_its_schedule_in_lines():
    ax = charts.strip(items(n=30), schedule=" ".join("1" * 60))
    corners = {(square.get_x(), square.get_y()) for square in ax.patches}
    assert len(corners) == 60
    assert len({y for _, y in corners}) == 2
    assert words(ax)[-1].count("\n") == 1


def test_strip_gives_long_names_wider_squares():
    table = items(n=10)
    table["process"] = table["process"].cat.rename_categories(lambda name: f"a-long-name-{name}")
    ax = charts.strip(table)
    assert len({square.get_x() for square in ax.patches}) == 10
    ax.figure.canvas.draw()
    names = [text for text in ax.texts if text.get_text().startswith("a-lo")]
    boxes = [text.get_window_extent() for text in names]
    assert len({text.get_text() for text in names}) == 10
    assert all(a.x1 < b.x0 for a, b in pairwise(boxes) if a.y0 == b.y0)


def test_strip_draws_the_first_round_only():
    ax = charts.strip(pd.concat([items(), items().assign(round=2)]))
    assert len(ax.patches) == 6
    assert "round 1; the table has 2 rounds" in title(ax)


# many runs


def test_many_merges_equal_orders_commonest_first():
    ax = charts.many(["CAEDFB"] + ["ABCDEF"] * 3 + ["ABCDFE"], OWNERS)
    assert title(ax) == "3 different orders in 5 runs; the commonest 3 times"
    said = words(ax)
    assert "".join(said[:18]) == "ABCDEF" + "ABCDFE" + "CAEDFB"
    assert said[18:21] == ["×3", "×1", "×1"]
    assert said[21:] == ["P1", "P2", "P3"]


def test_many_colours_cells_by_process_and_leaves_lost_rows_blank():
    image = charts.many(["CAB"], OWNERS).images[0].get_array()
    assert [to_hex(cell) for cell in image[0]] == ["#d55e00", "#0072b2", "#0072b2"]
    image = charts.many(["CAB", "CAB", "C", ""], OWNERS).images[0].get_array()
    assert [to_hex(cell) for cell in image[2]] == ["#d55e00", "#ffffff", "#ffffff"]
    assert (image[1] == 1).all()


def test_many_reads_long_labels_apart_by_spaces():
    ax = charts.many(["Ace Cooper", "Cooper Ace"], {"Ace": "P1", "Cooper": "P2"})
    assert words(ax)[:4] == ["Ace", "Cooper", "Cooper", "Ace"]


def test_many_says_so_if_no_order_came_twice():
    assert title(charts.many(["A", "B"], OWNERS)).endswith("in 2 runs; none twice")


def test_many_distinct_orders_are_counted_by_groups():
    rng = np.random.default_rng(1)
    seen = ["".join(rng.permutation(list("ABCDEF"))) for _ in range(300)]
    ax = charts.many(seen, OWNERS)
    assert len(ax.images[0].get_array()) == len(set(seen))
    singles = pd.Series(seen).value_counts().eq(1).sum()
    assert f"×1 ({singles} orders)" in words(ax)
    assert ax.figure.get_figheight() <= 12


def test_positions_counts_who_came_where():
    ax = charts.positions(["ABC", "ACB", "CAB", "AB"], OWNERS)
    counts = np.array(words(ax)).reshape(3, 3).astype(int)
    assert counts.tolist() == [[3, 3, 2], [1, 1, 1], [0, 0, 0]]
    assert title(ax) == "P1 comes first in 75 % of 4 runs"
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1st", "2nd", "3rd"]


def test_positions_counts_are_readable_on_dark_and_pale():
    ax = charts.positions(["A"] * 60 + ["C"] * 40, OWNERS)
    assert [text.get_color() for text in ax.texts] == ["white", "black", "black"]


def test_positions_of_thirty_processes():
    owners = {str(i): f"P{i // 2 + 1}" for i in range(60)}
    ax = charts.positions([" ".join(owners)], owners)
    assert [ax.get_xticklabels()[i].get_text() for i in (0, 1, -1)] == ["1st", "5th", "57th"]
    assert len(words(ax)) == 30 * 60


def test_discovery_counts_distinct_orders():
    ax = charts.discovery(["AB", "AB", "BA", "AB"], 90 // 45)
    assert title(ax) == "2 of 2 orders after 4 runs"
    line, curve = ax.lines
    assert (line.get_linestyle(), line.get_ydata()[0]) == ("--", 2)
    assert list(curve.get_ydata()) == [0, 1, 1, 2, 2]
    assert words(ax) == ["all 2"]


def test_discovery_twice_on_the_same_axes():
    ax = charts.discovery(["AB", "BA"], 2, label="quick")
    charts.discovery(["AB", "AB"], 2, label="slow", ax=ax)
    _, quick, slow = ax.lines
    assert (quick.get_color(), slow.get_color()) == drawing.HUES[:2]
    assert words(ax) == ["all 2", "quick", "slow"]
    assert title(ax) == "quick: 2 of 2 orders after 2 runs\nslow: 1 of 2 orders after 2 runs"


def test_discovery_below_a_total_too_large_to_draw():
    ax = charts.discovery(["AB", "BA"], math.factorial(300))
    assert words(ax) == ["all about 10^614: far above"]
    assert ax.get_ylim()[1] < 5
