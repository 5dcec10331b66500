"""The wait-for graph is drawn so that each name can be read, and its title names the cycle."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from streamlib import charts, deadlock
from streamlib.tests.conftest import LONG_NAMES, fits, overlapping, title, words
from streamlib.tests.test_result import make

pytestmark = pytest.mark.usefixtures("close_figures")


@pytest.fixture
def table(tmp_path):
    """A function: the graph of processes in a ring, each with a fork, waiting for the next one."""

    def made(names, closed=True):
        marks = {name: [(n, "holding", None, f"fork {n + 1}")] for n, name in enumerate(names)}
        for n, own in enumerate(marks.values()):
            if closed or n:
                fork = f"fork {(n + 1) % len(names) + 1}"
                own.append((len(names) + n, "waiting", None, fork))
            own.append((2 * len(names) + 1, "ended"))
        folder = tmp_path / f"{len(names)} {closed}"
        return deadlock.graph(make(folder, marks), 2 * len(names))

    return made


@pytest.mark.parametrize("count", [2, 3, 5, 8, 9, 50])
def test_all_names_can_be_read(table, count):
    ax = charts.waits(table([f"P{n}" for n in range(1, count + 1)]))
    named = {word for word in words(ax) if word.startswith(("P", "fork"))}
    assert len(named) == 2 * count and fits(ax)
    if count <= charts.drawing.FEW:
        assert overlapping(ax) == []
    else:  # like spokes: they are near each other only at the rim
        places = ax.transData.transform([text.xy for text in ax.texts if text.get_text()])
        apart = np.linalg.norm(np.diff(places, axis=0), axis=1).min()
        assert apart > max(text.get_size() for text in ax.texts if text.get_text()) * 100 / 72


def test_long_names_fit(table):
    ax = charts.waits(table(LONG_NAMES))
    assert fits(ax) and overlapping(ax) == []


def test_the_title_is_the_cycle_or_says_that_there_is_none(table):
    ax = charts.waits(table(["P1", "P2"]))
    assert title(ax) == "P1 waits for fork 2, held by P2, which waits for fork 1, held by P1"
    ax = charts.waits(table(["P1", "P2"], closed=False))
    assert title(ax) == "2 processes hold or wait, none of them in a cycle"


def lines(ax):
    """The width and the style of each arrow."""
    arrows = [text.arrow_patch for text in ax.texts if text.arrow_patch]
    return sorted((arrow.get_linewidth(), arrow.get_linestyle()) for arrow in arrows)


def test_holds_are_solid_waits_dashed_and_a_cycle_is_thick(table):
    assert lines(charts.waits(table(["P1", "P2"]))) == [(3, "-"), (3, "-"), (3, "--"), (3, "--")]
    assert lines(charts.waits(table(["P1", "P2"], False))) == [(1, "-"), (1, "-"), (1, "--")]


def test_it_draws_in_axes_of_ones_own_and_nothing_is_not_drawn(table):
    own, of_two = plt.figure().add_subplot(), table(["P1", "P2"])
    assert charts.waits(of_two, ax=own) is own
    with pytest.raises(ValueError, match="nothing to draw"):
        charts.waits(pd.DataFrame(columns=of_two.columns))
