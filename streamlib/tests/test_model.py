"""What would have been lost: against real runs, and against the course's tasks by reasoning.

STREAMLIB_WHAT_IF=full holds it against tasks of 1, 2, 3, 4 and 6 s, timeouts of 5 and 7 s, and two
to five processes: some four minutes.
"""

import os
from itertools import product

import pytest

from streamlib import database, processes
from streamlib.processes import model
from streamlib.tests.test_result import insert, make

FEW = [(2, 3, 5), (3, 2, 5), (4, 1, 5), (5, 1, 7)]  # processes, task and timeout, seconds
FULL = [*product((2, 3, 4, 5), (1, 2, 3, 4, 6), (5, 7))]
GRID, ROUNDS = (FULL, 3) if os.environ.get("STREAMLIB_WHAT_IF") == "full" else (FEW, 1)


def pets(count, hold_s, timeout_s=5):
    """A plan of so many processes that insert two pets each."""
    return {
        f"P{n}": database.pets([f"{n}a", f"{n}b"], hold_s, timeout_s) for n in range(1, count + 1)
    }


@pytest.fixture(scope="module")
def quick_run():
    """A real run of three processes whose tasks take 1 s."""
    return processes.run(pets(3, 1))


@pytest.mark.parametrize(("count", "hold_s", "timeout_s"), GRID)
def test_no_real_run_is_outside_of_what_it_allows(quick_run, count, hold_s, timeout_s):
    run = processes.run(pets(count, hold_s, timeout_s), rounds=ROUNDS)
    said = quick_run.what_if(hold_s=hold_s, timeout_s=timeout_s, processes=count)
    lost = run.orders()["locked"].tolist()
    print(count, hold_s, timeout_s, "real", lost, "foretold", said.lost, said.habit)
    assert set(lost) <= said.lost
    assert lost[0] in run.what_if().lost
