"""Charts of runs and streams: their findings, their labels, and what is drawn for what happened."""

import math
from functools import partial
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from streamlib import charts, orders
from streamlib.charts import drawing, happened
from streamlib.processes import events as trace
from streamlib.stream import fates
from streamlib.tests.conftest import (
    DOLLAR_NAMES,
    LONG_NAMES,
    MANY_NAMES,
    drawn_in,
    events_of,
    fits,
    inside,
    locked_out,
    overlapping,
    title,
    words,
)

pytestmark = pytest.mark.usefixtures("close_figures")

OWNERS = {"A": "P1", "B": "P1", "C": "P2", "D": "P2", "E": "P3", "F": "P3"}
NO_HANDS = pd.DataFrame(
    columns=["round", "releaser", "taker", "released", "taken", "passed", "barging"]
)


def handoff(events, **options):
    """The hand-off chart of the events, with the table that belongs to them."""
    return charts.handoff(events, trace.handoffs(events), **options)


def items(lost="", names=("P1", "P2", "P3")):
    """Two items a process, stored in the order of their letters."""
    labels = [chr(ord("A") + i) for i in range(2 * len(names))]
    ids = [None if label in lost else i for i, label in enumerate(labels, 1)]
    return pd.DataFrame(
        {
            "round": 1,
            "process": pd.Categorical([name for name in names for _ in range(2)], names),
            "item": [label * 3 for label in labels],
            "label": labels,
            "called": np.arange(2.0 * len(names)),
            "waited": 0.0,
            "held": 0.0,
            "id": pd.array(ids, "Int64"),
            "outcome": ["locked" if label in lost else "stored" for label in labels],
        }
    )


def scheduled(tokens, names=("P1", "P2")):
    """The events of a run under a schedule; of "1b" P1 takes the step b, "2x" is giving up."""
    rows = []
    for turn, token in enumerate(tokens.split(), 1):
        name, step, at = names[int(token[:-1]) - 1], token[-1], turn / 1000
        rows.append((name, "step", at, at, None, turn, step))
        if step == "x":
            rows.append((name, "gave_up", at, at, "database is locked", turn, step))
    events = events_of([row[:5] for row in rows], names)
    return events.assign(turn=[row[5] for row in rows], step=[row[6] for row in rows])


def orders_of(names):
    """Five orders of two items a process, and whose each is."""
    owners = {f"{name}-{n}": name for name in names for n in (1, 2)}
    rng = np.random.default_rng(1)
    return [" ".join(rng.permutation(list(owners))) for _ in range(5)], owners


CHARTS = {
    "timeline": lambda names: (charts.timeline, [locked_out(names)]),
    "handoff": lambda names: (handoff, [locked_out(names)]),
    "strip": lambda names: (charts.strip, [items("BD", names)]),
    "interleaving": lambda names: (
        charts.interleaving,
        [scheduled(" ".join(f"{n}b {n}i {n}c" for n in range(1, len(names) + 1)), names)],
    ),
    "many": lambda names: (charts.many, orders_of(names)),
    "discovery": lambda names: (charts.discovery, [orders_of(names)[0], 20]),
}
THREE = ("P1", "P2", "P3")


@pytest.mark.parametrize("name", CHARTS)
def test_every_chart_returns_its_axes_and_has_a_finding_that_is_its_figures_text(name):
    chart, arguments = CHARTS[name](THREE)
    ax = chart(*arguments)
    assert isinstance(ax, Axes) and title(ax) and not ax.get_legend()
    assert repr(ax.figure) == " ".join(title(ax).split())
    mine = plt.subplots()[1]
    assert chart(*arguments, ax=mine) is mine and plt.gcf() is mine.figure


@pytest.mark.parametrize("name", CHARTS)
def test_an_empty_table_says_what_to_do(name):
    chart, (first, *others) = CHARTS[name](THREE)
    others = [NO_HANDS] if name == "handoff" else others
    chart = charts.handoff if name == "handoff" else chart
    message = r"^There is nothing to draw: run the cell above, and mark steps with me\.step\.$"
    with pytest.raises(ValueError, match=message):
        chart(first[:0], *others)


@pytest.mark.parametrize("names", [THREE, MANY_NAMES, LONG_NAMES], ids=["three", "thirty", "long"])
@pytest.mark.parametrize("name", CHARTS)
def test_no_label_is_cut_off_or_overlaps_another(name, names):
    chart, arguments = CHARTS[name](names)
    ax = chart(*arguments)
    assert fits(ax) and overlapping(ax) == []


@pytest.mark.parametrize("name", CHARTS)
def test_names_with_dollars_are_drawn_as_they_are(name):
    chart, arguments = CHARTS[name](DOLLAR_NAMES)
    assert fits(chart(*arguments))


# timeline


def test_timeline_says_who_won_and_who_gave_up_when():
    assert title(charts.timeline(locked_out())) == "P1 won twice; P2 and P3 gave up at 5.0 s"


def test_timeline_of_thirty_counts_who_gave_up():
    said = title(charts.timeline(locked_out(MANY_NAMES)))
    assert said == "P1 won twice; 29 of 30 processes gave up at 5.0 s"


def test_timeline_says_between_which_times_they_gave_up():
    rows = [("P1", "gave_up", 0.004, 0.004, "x"), ("P2", "gave_up", 2.0, 2.0, "x")]
    assert title(charts.timeline(events_of(rows))) == "P1 and P2 gave up between 4 ms and 2.0 s"


def test_timeline_of_fair_turns():
    rows = [(name, "holding", at, at + 1.0, None) for at, name in enumerate(THREE)]
    ax = charts.timeline(events_of(rows))
    assert title(ax) == "P1, P2 and P3 won once; nobody gave up"
    assert not words(ax)


def test_timeline_tells_who_died():
    rows = [("P1", "holding", 0.0, 1.25, None), ("P1", "died", 1.25, 1.25, None)]
    assert title(charts.timeline(events_of(rows))) == "P1 won once; P1 died at 1.2 s"


def test_a_process_that_left_nothing_keeps_its_lane():
    ax = charts.timeline(events_of([("P2", "holding", 0.0, 1.0, None)]))
    assert [label.get_text() for label in ax.get_yticklabels()][:3] == ["P1", "P2", "P3"]
    assert ax.yaxis_inverted()  # P1 on top


def test_timeline_says_the_time_scale_only_if_it_is_not_one():
    assert charts.timeline(locked_out()).get_xlabel() == "seconds since the start gate"
    said = charts.timeline(locked_out(scale=0.1)).get_xlabel()
    assert said.endswith("(time scale 0.1)")


@pytest.mark.parametrize("chart", [charts.timeline, handoff])
def test_of_several_rounds_the_first_is_drawn_and_named(chart):
    later = locked_out().assign(round=2)
    later["start"] += 100
    later["end"] += 100
    ax = chart(pd.concat([later, locked_out()], ignore_index=True))
    assert title(ax).endswith("\n(round 1; the table has 2 rounds)")
    assert ax.get_xlim()[1] < 20


@pytest.mark.parametrize("chart", [charts.timeline, handoff])
def test_a_single_instant_can_be_drawn(chart):
    ax = chart(events_of([("P1", "started", 0.0, 0.0, None)], ["P1"]))
    assert title(ax)
    assert (drawn_in(inside(ax), drawing.HUES[0]) > 0) == (chart is charts.timeline)


# interleaving


def test_interleaving_has_a_step_a_turn_and_a_cross_for_giving_up():
    ax = charts.interleaving(scheduled("1b 2x 1i 1c 2b"), at=3)
    assert title(ax) == "5 turns, 3 switches between processes; after turn 3"
    assert words(ax) == ["b", "i", "c", "×", "b"]
    cells = ax.images[0].get_array()
    assert [to_hex(cell).upper() for cell in cells[0, [0, 2]]] == [drawing.HUES[0]] * 2
    assert to_hex(cells[0, 1]) == "#ffffff" and to_hex(cells[1, 1]).upper() == drawing.HUES[1]
    assert (cells[0, 3] > cells[0, 2]).all()  # pale, after turn 3
    inks = [text.get_color() for text in ax.texts if text.get_text().strip()]
    assert inks == ["white", "white", "black", "white", "black"]  # readable on dark and on pale


def test_interleaving_of_a_free_run_says_what_to_do():
    with pytest.raises(ValueError, match=r"^No turn was played: give processes.run a schedule, "):
        charts.interleaving(scheduled("1b").assign(turn=np.nan))


def test_interleaving_of_thousands_of_turns_has_no_words():
    ax = charts.interleaving(scheduled("1b 2b " * 1000))
    assert title(ax) == "2,000 turns, 1,999 switches between processes" and not words(ax)


# handoff


def test_handoff_counts_those_that_barged():
    ax = handoff(locked_out())
    assert title(ax) == "1 of 3 hand-offs barged past a longer wait"
    assert words(ax).count("database is locked") == 2
    again = [place for marks in ax.collections[-3:] for place in marks.get_offsets()]
    again = [place for place in again if place[0] < 4]
    assert len(again) == 1 and again[0][1] < -0.3  # P1 took it again: above its bar, not inside


def test_handoff_draws_barging_dashed_and_red():
    rows = [("P1", "holding", 0.0, 1.0, None), ("P2", "waiting", 0.1, 3.0, None)]
    rows += [("P3", "waiting", 0.2, 1.0, None), ("P3", "holding", 1.0, 3.0, None)]
    ax = handoff(events_of([*rows, ("P2", "holding", 3.0, 4.0, None)]))
    (arrows,) = [marks for marks in ax.collections if hasattr(marks, "get_segments")]
    barged, fair = arrows.get_segments()
    assert barged[:, 0] == pytest.approx([1.0, 1.0])  # P1 to P3, past P2
    assert fair[:, 0] == pytest.approx([3.0, 3.0])  # P3 to P2
    assert barged[0, 1] < barged[1, 1] and fair[0, 1] > fair[1, 1]
    assert [to_hex(color) for color in arrows.get_color()] == ["#b00020", "#696969"]
    (_, dashes), (_, solid) = arrows.get_linestyle()
    assert dashes and solid is None


def test_a_single_hold_is_no_hand_off():
    ax = handoff(events_of([("P1", "holding", 0.0, 1.0, None)]))
    assert title(ax) == "Nothing was handed on"


def test_a_thousand_hand_offs_are_a_few_artists():
    at = np.arange(1000.0)
    who = ["P1", "P2"] * 500
    hands = {"resource": "pets.db", "releaser": who, "taker": who[1:] + who[:1], "released": at}
    hands |= {"taken": at, "waited": 0.0, "passed": 1, "barging": at % 2 == 0, "item": "x"}
    ax = charts.handoff(locked_out(), pd.DataFrame(hands | {"round": 1}))
    assert len(ax.lines) + len(ax.collections) + len(ax.texts) < 20
    assert title(ax) == "500 of 1,000 hand-offs barged past a longer wait"


# strip


def test_strip_shows_commit_order_then_hollow_those_not_stored():
    table = items("DF").sample(frac=1, random_state=1)
    ax = charts.strip(table, schedule="1 1 2 2x 3 3x")
    assert words(ax) == [
        *"A P1 B P1 C P2 E P3".split(),
        *["D", "P2\nlocked", "F", "P3\nlocked"],
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
    assert title(ax) == "6 of 6 items stored; they were called in the order A B C D E F"


def test_strip_where_nothing_was_stored():
    assert title(charts.strip(items("ABCDEF"))) == "None of 6 items stored; 6 locked"


def test_strip_wraps_and_keeps_its_schedule_in_lines():
    ax = charts.strip(items(names=MANY_NAMES), schedule=" ".join("1" * 60))
    corners = {(square.get_x(), square.get_y()) for square in ax.patches}
    assert len(corners) == 60
    assert len({y for _, y in corners}) == 4
    assert words(ax)[-1].count("\n") == 1


def test_strip_of_thousands_of_turns_ends_its_schedule_in_dots():
    ax = charts.strip(items(), schedule="1b 2b " * 1000)
    assert words(ax)[-1].endswith("…") and words(ax)[-1].count("\n") == 5 and fits(ax)


def test_strip_keeps_long_names_apart():
    ax = charts.strip(items(names=tuple(f"a-long-name-P{n}" for n in range(10))))
    ax.figure.canvas.draw()
    names = [text for text in ax.texts if text.get_text().startswith("a-lo")]
    boxes = [text.get_window_extent() for text in names]
    assert len({text.get_text() for text in names}) == 10
    assert all(a.x1 < b.x0 for a, b in pairwise(boxes) if a.y0 == b.y0)


def test_strip_draws_the_first_round_only():
    ax = charts.strip(pd.concat([items(), items().assign(round=2)]))
    assert len(ax.patches) == 6
    assert "round 1; the table has 2 rounds" in title(ax)


# many rounds


def test_many_merges_equal_orders_commonest_first():
    ax = charts.many(["CAEDFB"] + ["ABCDEF"] * 3 + ["ABCDFE"], OWNERS)
    assert title(ax) == "3 different orders in 5 rounds; the commonest 3 times"
    assert "".join(words(ax)[:18]) == "ABCDEF" + "ABCDFE" + "CAEDFB"
    assert [label.get_text() for label in ax.get_yticklabels()] == ["×3", "×1", "×1"]
    assert words(ax)[18:] == ["P1", "P2", "P3"]


def test_many_colors_cells_by_process_and_leaves_lost_items_blank():
    image = charts.many(["CAB"], OWNERS).images[0].get_array()
    assert [to_hex(cell) for cell in image[0]] == ["#d55e00", "#0072b2", "#0072b2"]
    image = charts.many(["CAB", "CAB", "C", ""], OWNERS).images[0].get_array()
    assert [to_hex(cell) for cell in image[2]] == ["#d55e00", "#ffffff", "#ffffff"]
    assert (image[1] == 1).all()
    assert words(charts.many([""], OWNERS)) == ["none", "P1", "P2", "P3"]


def test_many_reads_long_labels_apart_by_spaces():
    ax = charts.many(["Ace Cooper", "Cooper Ace"], {"Ace": "P1", "Cooper": "P2"})
    assert words(ax)[:4] == ["Ace", "Cooper", "Cooper", "Ace"]


def test_cells_shorten_long_words_rather_than_leave_them_out():
    seen, owners = orders_of(LONG_NAMES)
    said = words(charts.many(seen, owners))
    assert len(said) == 5 * 6 + 3 and max(map(len, said)) == 12 and len(set(said)) == 6 + 3


def test_many_says_so_if_no_order_came_twice():
    assert title(charts.many(["A", "B"], OWNERS)).endswith("in 2 rounds; none twice")


def test_many_draws_hundreds_of_orders_a_row_each():
    rng = np.random.default_rng(1)
    seen = ["".join(rng.permutation(list("ABCDEF"))) for _ in range(300)]
    ax = charts.many(pd.Series(seen), OWNERS)
    assert len(ax.images[0].get_array()) == len(set(seen))
    assert 20 <= len(ax.get_yticks()) <= 70
    assert ax.figure.get_figheight() <= 14 and overlapping(ax) == []


def test_discovery_counts_distinct_orders():
    ax = charts.discovery(["AB", "AB", "BA", "AB"], 90 // 45)
    assert title(ax) == "2 of 2 orders after 4 rounds"
    line, curve = ax.lines
    assert (line.get_linestyle(), line.get_ydata()[0]) == ("--", 2)
    assert list(curve.get_ydata()) == [0, 1, 1, 2, 2]
    assert words(ax) == ["all 2"]


def test_discovery_below_a_total_too_large_to_draw():
    ax = charts.discovery(["AB", "BA"], math.factorial(30))
    assert title(ax).startswith("2 of 265,252,859,") and not words(ax) and fits(ax)
    assert ax.get_ylim()[1] < 5


def test_a_process_without_an_item_keeps_its_color():
    owners = orders.Owners({"A": "P2", "B": "P3"})
    owners.plan = ["P1", "P2", "P3"]
    ax = charts.many(["AB", "AB"], owners)
    for hue in charts.HUES[1:3]:
        assert drawn_in(inside(ax), hue) > 100
    assert drawn_in(inside(ax), charts.HUES[0]) == 0 and "P1" in words(ax)


def row(n):
    return {"n": str(n), "text": f"row {n}"}


def record(seq, row):
    return {"seq": seq, "sent": 1.0, "row": row}


def table(rows, seqs, *more):
    """The fates of so many rows, of which those with these numbers came, in this order."""
    source = [row(n) for n in range(1, rows + 1)]
    return fates.reconcile(source, [*(record(n, row(n)) for n in seqs), *more])


def of_all_fates():
    """Row 4 is altered, 5 lost, 7 and 8 were not sent; and three that are no row of the source."""
    more = [record(4, {"n": "4", "text": "?"}), record(6, row(6)), record(6, row(6))]
    more += [record(6, {"n": "n", "text": "text"}), record(6, {"n": "x", "text": "y"})]
    return table(8, [1, 3, 2], *more, {"seq": 6, "sent": 1.0, "end": True})


# arrivals


def test_arrivals_returns_its_axes_has_a_finding_and_fits():
    ax = charts.arrivals(of_all_fates())
    assert isinstance(ax, Axes) and title(ax) and fits(ax) and overlapping(ax) == []
    assert repr(ax.figure) == " ".join(title(ax).split())
    mine = plt.subplots()[1]
    assert charts.arrivals(of_all_fates(), ax=mine) is mine and plt.gcf() is mine.figure


def test_arrivals_of_an_empty_table_is_one_sentence():
    with pytest.raises(ValueError, match=r"^There is nothing to draw: .+\.$"):
        charts.arrivals(of_all_fates()[:0])


@pytest.mark.parametrize(
    "chart, wrong, what",
    [
        (charts.timeline, 3, "events"),
        (charts.timeline, None, "events"),
        (charts.timeline, [1, 2], "events"),
        (charts.timeline, pd.DataFrame({"fate": ["lost"]}), "events"),
        (charts.interleaving, "1 2", "events"),
        (partial(charts.handoff, hands=NO_HANDS), 3, "events"),
        (charts.strip, pd.DataFrame({"state": ["done"]}), "items"),
        (charts.arrivals, pd.DataFrame({"state": ["done"]}), "fates"),
        (partial(charts.many, owners={"A": "P1"}), 3, "rows"),
        (partial(charts.discovery, total=3), None, "rows"),
    ],
)
def test_what_is_not_such_a_table_is_one_sentence(chart, wrong, what):
    said = f"This {type(wrong).__name__} cannot be drawn: give a table of {what}."
    with pytest.raises(TypeError, match=f"^{said}$"):
        chart(wrong)


def test_arrivals_draws_each_fate_with_a_look_of_its_own():
    table = of_all_fates()
    table.loc[7, "fate"] = "unknown"  # which never stands beside "not sent"
    assert set(table["fate"]) == set(fates.FATES) == set(happened.LOOKS)
    ax = charts.arrivals(table)
    counts = table["fate"].value_counts()
    assert words(ax) == [f"{counts[fate]} {fate}" for fate in happened.LOOKS]
    drawn = {line.get_color() + line.get_marker(): line.get_xydata() for line in ax.lines}
    assert len(drawn) == len(fates.FATES)
    for fate, (marker, color) in happened.LOOKS.items():
        places = drawn[color + marker]
        assert len(places) == counts[fate] and np.isfinite(places).all()
    assert drawn["#D55E00^"].tolist() == [[2, 3]]  # row 2 came third
    assert drawn["#E69F00o"].tolist() == [[6, 6]]  # row 6 once more
    assert drawn["#000000|"][0][0] == 5 and drawn["#000000|"][0][1] < 0


def test_arrivals_says_what_became_of_the_rows():
    assert title(charts.arrivals(table(24, range(1, 9)))) == (
        "8 of 24 rows arrived in order; 16 lost"
    )
    assert title(charts.arrivals(table(3, [1, 2, 3]))) == "3 of 3 rows arrived in order"
    said = title(charts.arrivals(of_all_fates())).replace("\n", " ")
    assert said.startswith("3 of 8 rows arrived in order; 1 out of order; 1 altered; 1 lost; 2 not")


def test_arrivals_reads_fates_that_are_plain_text_too():
    plain = table(3, [1, 3]).astype({"fate": str})
    assert title(charts.arrivals(plain)) == "2 of 3 rows arrived in order; 1 lost"


@pytest.mark.parametrize("fate", fates.FATES)
def test_one_among_five_thousand_rows_leaves_ink(fate):
    rows = table(5000, range(1, 5001))
    one = rows.iloc[[2500]].assign(fate=pd.Categorical([fate], fates.FATES))
    if fate in ("lost", "not sent", "unknown"):
        one["arrival"] = pd.array([None], "Int64")
    one["arrival"] -= 1000  # beside the line, if it came
    others = rows if fate in fates.BESIDES else rows.drop(index=2500)
    color = happened.LOOKS[fate][1]
    image = inside(charts.arrivals(pd.concat([others, one], ignore_index=True)))
    assert drawn_in(image[2:-2, 2:-2], color) >= 4
    without = charts.arrivals(others)
    if fate != "arrived":
        assert drawn_in(inside(without)[2:-2, 2:-2], color) == 0


@pytest.mark.filterwarnings("error")
def test_arrivals_with_a_duplicate_will_be_drawn_by_a_later_pandas_too():
    charts.arrivals(of_all_fates())


@pytest.mark.parametrize("seqs", [[], [1]])
def test_arrivals_of_one_row(seqs):
    ax = charts.arrivals(table(1, seqs, {"seq": 1, "sent": 1.0, "end": True}))
    assert title(ax).startswith(f"{len(seqs)} of 1 rows arrived in order") and fits(ax)


def shuffled(first, second):
    """Every interleaving of two lists of turns, as schedules."""
    if not first or not second:
        return [" ".join([*first, *second])]
    begun = [f"{first[0]} {rest}" for rest in shuffled(first[1:], second)]
    return begun + [f"{second[0]} {rest}" for rest in shuffled(first, second[1:])]


def test_alike_groups_the_interleavings_by_what_they_led_to():
    schedules = shuffled(["1r", "1a", "1w"], ["2r", "2a", "2w"])
    serial = {schedules[0], schedules[-1]}
    others = [text for text in schedules if text not in serial]
    ax = charts.alike({"counter: 1": others, "counter: 2": [schedules[0], schedules[-1]]})
    assert title(ax) == "Of 20 interleavings, 18 led to counter: 1; 2 led to counter: 2"
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "18 led to counter: 1",
        "2 led to counter: 2",
    ]
    shown = words(ax)
    assert [" ".join(shown[6 * n : 6 * n + 6]) for n in (18, 19)] == [schedules[0], schedules[-1]]
    assert fits(ax) and overlapping(ax) == []


def test_alike_holds_many_outcomes_long_ones_and_uneven_schedules():
    turns = [f"1{letter}" for letter in "abcde"], [f"2{letter}" for letter in "abcd"]
    every = shuffled(*turns)
    ax = charts.alike({f"P2 raised {n} {'and so on ' * 20}": every[n::60] for n in range(60)})
    assert title(ax).endswith("; 57 more outcomes") and fits(ax) and overlapping(ax) == []
    ax = charts.alike({"deadlock": ["1b 2b"], "t: $1$": ["1b 1c 2b 2c"]})
    assert "Of 2 interleavings, 1 led to deadlock; 1 led to t: $1$" in title(ax)
    assert fits(ax) and overlapping(ax) == []


def test_alike_needs_an_interleaving():
    with pytest.raises(ValueError, match="There is nothing to draw"):
        charts.alike({})
