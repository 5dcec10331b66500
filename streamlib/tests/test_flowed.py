"""Charts of streams: their findings, ink for every fate, and no text cut off."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from streamlib import charts
from streamlib.charts import flowed
from streamlib.stream import fates
from streamlib.tests.conftest import drawn_in, fits, inside, overlapping, title, words

pytestmark = pytest.mark.usefixtures("close_figures")


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


CHARTS = {"arrivals": (charts.arrivals, of_all_fates)}


@pytest.mark.parametrize("name", CHARTS)
def test_every_chart_returns_its_axes_has_a_finding_and_fits(name):
    chart, argument = CHARTS[name]
    ax = chart(argument())
    assert isinstance(ax, Axes) and title(ax) and fits(ax) and overlapping(ax) == []
    assert repr(ax.figure) == " ".join(title(ax).split())
    mine = plt.subplots()[1]
    assert chart(argument(), ax=mine) is mine and plt.gcf() is mine.figure


@pytest.mark.parametrize("name", CHARTS)
def test_an_empty_table_is_one_sentence(name):
    chart, argument = CHARTS[name]
    with pytest.raises(ValueError, match=r"^There is nothing to draw: .+\.$"):
        chart(argument()[:0])


# arrivals


def test_arrivals_draws_each_fate_with_a_look_of_its_own():
    table = of_all_fates()
    table.loc[7, "fate"] = "unknown"  # which never stands beside "not sent"
    assert set(table["fate"]) == set(fates.FATES) == set(flowed.LOOKS)
    ax = charts.arrivals(table)
    counts = table["fate"].value_counts()
    assert words(ax) == [f"{counts[fate]} {fate}" for fate in flowed.LOOKS]
    drawn = {line.get_color() + line.get_marker(): line.get_xydata() for line in ax.lines}
    assert len(drawn) == len(fates.FATES)
    for fate, (marker, color) in flowed.LOOKS.items():
        places = drawn[color + marker]
        assert len(places) == counts[fate] and np.isfinite(places).all()
    assert drawn["#D55E00^"].tolist() == [[2, 3]]  # row 2 came third
    assert drawn["#D55E00o"].tolist() == [[6, 6]]  # row 6 once more
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
    color = flowed.LOOKS[fate][1]
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
