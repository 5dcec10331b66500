"""What the charts of streams draw: their findings, ink for every fate, and no text cut off."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from streamlib.charts import flowed as streamcharts
from streamlib.stream import fates
from streamlib.tests.test_charts import close_figures, drawn_in, inside, title, words  # noqa: F401

NAN = float("nan")
LOG = [  # 1 is lost, sent again, repeated, acknowledged; 2 is overtaken by 3
    (10.0, "there", b"1 Ace", []),
    (10.05, "there", b"1 Ace", [10.06, 10.061]),
    (10.0601, "back", b"1", [10.07]),
    (10.07, "there", b"2 Buddy", [10.12]),
    (10.08, "there", b"3 Cooper", [10.09]),
]


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


def fits(ax):
    """Whether all that is drawn, each text among it, is inside of the figure."""
    ax.figure.canvas.draw()
    box, whole = ax.get_tightbbox(), ax.figure.bbox
    return (
        min(box.x0, box.y0) >= -1 and box.x1 <= whole.x1 + 1 and box.y1 <= whole.y1 + 1
    ) and min(ax.bbox.size) > 50  # the words have left room for the chart


ALL = {
    "arrivals": (streamcharts.arrivals, of_all_fates),
    "lateness": (streamcharts.lateness, lambda: pd.DataFrame({"sleep": [0.1, 0.2], "pace": 0.0})),
    "losses": (streamcharts.losses, lambda: {"udp": table(9, [1, 2, 4, 9]), "tcp": table(1, [1])}),
    "delays": (streamcharts.delays, lambda: pd.DataFrame({"udp": [0.02, NAN], "tcp": 0.1})),
    "overhead": (
        streamcharts.overhead,
        lambda: pd.DataFrame({"rows": 100, "headers": {"UDP": 28, "TCP": 9}}),
    ),
    "sequence": (streamcharts.sequence, lambda: LOG),
}


@pytest.mark.parametrize("chart, argument", ALL.values(), ids=ALL)
def test_every_chart_returns_its_axes_has_a_finding_and_fits(chart, argument):
    ax = chart(argument())
    assert isinstance(ax, Axes) and title(ax) and fits(ax)
    mine = plt.subplots()[1]
    assert chart(argument(), ax=mine) is mine and plt.gcf() is mine.figure


EMPTY = {"arrivals": of_all_fates()[:0], "sequence": [], "losses": {}}


@pytest.mark.parametrize(
    "name",
    ALL,
)  # fmt: skip
def test_an_empty_table_is_one_sentence(name):
    chart, argument = ALL[name]
    with pytest.raises(ValueError, match=r"^There is no .+\.$"):
        chart(EMPTY[name] if name in EMPTY else argument()[:0])


# arrivals


def test_arrivals_draws_each_fate_with_a_look_of_its_own():
    table = of_all_fates()
    assert set(table["fate"]) == set(fates.FATES) == set(streamcharts.LOOKS)
    ax = streamcharts.arrivals(table)
    assert title(ax).replace(";\n", "; ") == fates.verdict(table)
    counts = table["fate"].value_counts()
    assert words(ax) == [f"{counts[fate]} {fate}" for fate in streamcharts.LOOKS]
    drawn = {line.get_color() + line.get_marker(): line.get_xydata() for line in ax.lines}
    assert len(drawn) == len(fates.FATES)
    for fate, (marker, colour) in streamcharts.LOOKS.items():
        assert (
            len(drawn[colour + marker]) == counts[fate]
            and np.isfinite(drawn[colour + marker]).all()
        )
    assert drawn["#D55E00^"].tolist() == [[2, 3]]  # row 2 came third
    assert drawn["#D55E00o"].tolist() == [[6, 6]]  # row 6 once more
    assert drawn["#000000|"][0][0] == 5 and drawn["#000000|"][0][1] < 0


@pytest.mark.parametrize("fate", fates.FATES)
def test_one_among_five_thousand_rows_leaves_ink(fate):
    rows = table(5000, range(1, 5001))
    one = rows.iloc[[2500]].assign(fate=pd.Categorical([fate], fates.FATES))
    if fate in ("lost", "not sent"):
        one["arrival"] = pd.array([None], "Int64")
    one["arrival"] -= 1000  # beside the line, if it came
    others = rows if fate in fates.BESIDES else rows.drop(index=2500)
    colour = streamcharts.LOOKS[fate][1]
    image = inside(streamcharts.arrivals(pd.concat([others, one], ignore_index=True)))
    assert drawn_in(image[2:-2, 2:-2], colour) >= 4
    without = streamcharts.arrivals(others)
    if fate != "arrived":
        assert drawn_in(inside(without)[2:-2, 2:-2], colour) == 0


@pytest.mark.filterwarnings("error")
def test_arrivals_with_a_duplicate_will_be_drawn_by_a_later_pandas_too():
    streamcharts.arrivals(of_all_fates())


@pytest.mark.parametrize("seqs", [[], [1]])
def test_arrivals_of_one_row(seqs):
    one = table(1, seqs, {"seq": 1, "sent": 1.0, "end": True})
    ax = streamcharts.arrivals(one)
    assert title(ax) == fates.verdict(one) and len(ax.lines) == 1 and fits(ax)


# the others


def test_lateness_tells_the_worst_and_the_best():
    ax = streamcharts.lateness(pd.DataFrame({"sleep": [0.1, 1.2345], "pace": [0.5, 0.001]}))
    assert title(ax) == "After 2 records: sleep is 1,234.5 ms late, pace 1.0 ms"
    assert [line.get_ydata().tolist() for line in ax.lines] == [[100, 1234.5], [500, 1]]
    ax = streamcharts.lateness(pd.DataFrame({"only": [0.1]}))
    assert words(ax) == ["only\n100.0 ms late"] and fits(ax)


def test_losses_add_up_to_what_never_came():
    ax = streamcharts.losses({"udp": table(9, [1, 2, 4, 9]), "tcp": table(9, range(1, 10))})
    assert title(ax) == "udp lost 5 of 9 rows; tcp lost 0 of 9 rows"
    udp, tcp = (line.get_ydata().tolist() for line in ax.lines)
    assert udp == [0, 0, 0, 1, 1, 2, 3, 4, 5, 5] and tcp == [0] * 10
    assert title(streamcharts.losses({"all": of_all_fates()})) == "all lost 1 of 6 rows"


def test_delays_end_at_the_share_that_came():
    ax = streamcharts.delays(pd.DataFrame({"udp": [0.03, NAN, 0.01, 0.02], "tcp": 0.5}))
    assert title(ax) == "Rows that came: udp 75%, tcp 100%"
    udp, tcp, full = (line.get_xydata() for line in ax.lines)
    assert udp.tolist() == [[10, 0.25], [20, 0.5], [30, 0.75]] and tcp[-1].tolist() == [500, 1]
    assert words(ax)[0] == "udp: half within 20 ms, 99 % of those that came within 29.8 ms"
    assert len(full) == 2


@pytest.mark.parametrize("table", [{"udp": [NAN, NAN]}, {"udp": [NAN, NAN], "tcp": [0.1, 0.2]}])
def test_delays_name_a_stream_of_which_nothing_came(table):
    assert title(streamcharts.delays(pd.DataFrame(table))).startswith("Rows that came: udp 0%")


def test_delays_of_one_row_can_be_drawn():
    assert fits(streamcharts.delays(pd.DataFrame({"udp": [0.02]})))


def test_overhead_stacks_the_headers_on_the_rows():
    ax = streamcharts.overhead(pd.DataFrame({"rows": 200, "headers": {"UDP": 56, "TCP": 18}}))
    assert title(ax) == "UDP adds 28% to the rows, TCP 9%" and words(ax) == ["+28%", "+9%"]
    spans = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in ax.patches]
    assert spans == [(0, 200), (0, 200), (200, 256), (200, 218)]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["UDP", "TCP"]


THIRTY = {
    "lateness": {f"way {n}": [0.1, 0.2 + n / 100] for n in range(30)},
    "losses": {f"stream {n}": table(30, range(1, n + 2)) for n in range(30)},
    "delays": {f"stream {n}": [0.02, 0.01 + n / 100] for n in range(30)},
    "overhead": {"rows": 100, "headers": {f"way {n}": n for n in range(30)}},
}


@pytest.mark.parametrize(
    "name",
    ["lateness", ("losses"), ("delays"),
     "overhead"],
)  # fmt: skip
def test_thirty_at_once_still_fit(name):
    many = THIRTY[name] if name == "losses" else pd.DataFrame(THIRTY[name])
    assert fits(ALL[name][0](many))


# sequence


def test_sequence_draws_an_arrow_for_each_delivery_and_a_cross_for_each_loss():
    ax = streamcharts.sequence(LOG)
    assert title(ax) == "5 datagrams, 1 of them lost"
    assert words(ax) == ["1 Ace", "1 Ace", "1", "2 Buddy", "3 Cooper"]
    arrows = [
        (*text.xyann, *text.xy) for text in ax.texts if text.arrow_patch and not text.get_text()
    ]
    times = [(0, 50, 1, 60), (0, 50, 1, 61), (1, 60.1, 0, 70), (0, 70, 1, 120), (0, 80, 1, 90)]
    assert np.array(arrows) == pytest.approx(np.array(times))
    crosses = [line for line in ax.lines if line.get_marker() == "x"]
    assert [cross.get_ydata()[0] for cross in crosses] == [0]
    assert ax.yaxis_inverted() and ax.get_ylim()[0] > 120


def test_sequence_of_one_number():
    ax = streamcharts.sequence(LOG, number="1")
    assert title(ax) == "3 datagrams, 1 of them lost" and words(ax) == ["1 Ace", "1 Ace", "1"]
    assert fits(streamcharts.sequence(LOG[:1])) and fits(streamcharts.sequence(LOG[3:4]))
    with pytest.raises(ValueError, match=r"choose another number, or run the trial\.$"):
        streamcharts.sequence(LOG, number="9")


def test_an_empty_datagram_has_no_number():
    log = [(10.0, "back", b"", [10.1]), (10.0, "there", b" ", []), *LOG]
    assert title(streamcharts.sequence(log, number="1")).startswith("3 datagrams")


def test_records_beside_a_sequence_are_not_cut_off():
    text = b'17 {"seq": 17, "sent": 1732337912.123456'
    log = [(0.0, "there", text, [0.01]), (0.02, "back", text, [0.03])]
    assert fits(streamcharts.sequence(log))


def test_dollars_in_a_datagram_are_no_formula():
    assert fits(streamcharts.sequence([(0.0, "there", rb"1 $\nope$", [0.01])]))
