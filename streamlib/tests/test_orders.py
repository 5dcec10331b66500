"""Counting and listing orders agrees with brute force, and with what whole classes saw."""

import csv
import math
from itertools import combinations, groupby, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlib import home, orders

quickly = settings(max_examples=60, deadline=None, database=None)
few = st.lists(st.integers(0, 3), min_size=1, max_size=3)
many = st.lists(st.integers(0, 30), min_size=1, max_size=6)


@quickly
@given(many)
def test_count_is_the_multinomial(counts):
    """The number of orders is that of choosing each process's places, one process after another."""
    chosen = [math.comb(sum(counts[: p + 1]), n) for p, n in enumerate(counts)]
    assert orders.count(counts) == math.prod(chosen)


@quickly
@given(few)
def test_possible_lists_every_order_once(counts):
    """As many orders as counted: sorted, distinct, and each process keeps its own."""
    listed = list(orders.possible(counts))
    assert len(listed) == orders.count(counts)
    assert listed == sorted(set(listed))
    labels, whose = orders.labels(counts), orders.owners(counts)
    for order in listed:
        assert sorted(order) == sorted(labels)
        for process in whose.values():
            own = [label for label in order if whose[label] == process]
            assert own == sorted(own)


@pytest.mark.parametrize("counts", [(2, 2, 2), (1, 3), (3,), (0, 2, 1), (1, 1, 1, 1)])
def test_possible_agrees_with_brute_force(counts):
    """Of all permutations, those that keep each process's own order are the possible ones."""
    groups = ["".join(group) for _, group in groupby(orders.labels(counts), _owner(counts))]
    kept = {
        "".join(order)
        for order in permutations(orders.labels(counts))
        if all([letter for letter in order if letter in group] == list(group) for group in groups)
    }
    assert set(orders.possible(counts)) == kept


def _owner(counts):
    return orders.owners(counts).__getitem__


def test_the_pets_have_90_orders():
    """Two inserts in each of three processes: 90 orders, from ABCDEF to EFCDAB."""
    listed = list(orders.possible((2, 2, 2)))
    assert (len(listed), listed[0], listed[-1]) == (90, "ABCDEF", "EFCDAB")


def test_owners_take_the_names_given():
    """Labels belong to the processes in plan order."""
    assert orders.owners((1, 2), ["web", "db"]) == {"A": "web", "B": "db", "C": "db"}
    assert orders.owners((1, 1)) == {"A": "P1", "B": "P2"}
    with pytest.raises(ValueError):
        orders.owners((1, 2), ["web"])


@quickly
@given(st.data(), many)
def test_split_undoes_join(data, counts):
    """Any of the labels, letters or numbers, in any order come back."""
    labels = data.draw(st.permutations(orders.labels(counts)))
    kept = labels[: data.draw(st.integers(0, len(labels)))]
    assert orders.split(orders.join(kept)) == kept
    assert len(set(labels)) == sum(counts)


def test_a_label_alone_comes_back():
    """A single stored row of many is one label, not its characters."""
    assert orders.split(orders.join(["10.1"])) == ["10.1"]


@quickly
@given(few, st.randoms())
def test_serial_means_that_no_process_is_interrupted(counts, rng):
    """An order is serial if its runs of one process are as many as its processes."""
    labels = orders.labels(counts)
    rng.shuffle(labels)
    if not labels:
        return
    runs = [process for process, _ in groupby(labels, _owner(counts))]
    assert orders.is_serial("".join(labels), orders.owners(counts)) == (len(runs) == len({*runs}))


def test_six_of_the_90_are_serial():
    """Three processes can follow one another in six ways."""
    whose = orders.owners((2, 2, 2))
    serial = [order for order in orders.possible((2, 2, 2)) if orders.is_serial(order, whose)]
    assert serial == ["ABCDEF", "ABEFCD", "CDABEF", "CDEFAB", "EFABCD", "EFCDAB"]


def test_coverage_counts_whole_orders_only():
    """Orders with a lost row, or none of the possible ones, count as runs only."""
    seen = ["ABC", "CAB", "ABC", "BAC", "AB", "", "ABCD"]
    found = orders.coverage(seen, (2, 1))
    assert {key: found[key] for key in ("runs", "seen", "possible", "serial", "missing")} == {
        "runs": 7,
        "seen": 2,
        "possible": 3,
        "serial": pytest.approx(3 / 7),
        "missing": ["ACB"],
    }
    assert orders.coverage(iter([]), (2, 1))["missing"] == ["ABC", "ACB", "CAB"]


@quickly
@given(st.sets(st.sampled_from(list(orders.possible((2, 2, 2))))))
def test_coverage_splits_the_possible_orders(seen):
    """Each possible order is either seen or missing."""
    found = orders.coverage(seen, (2, 2, 2))
    assert found["seen"] == len(seen) and not seen & set(found["missing"])
    assert found["seen"] + len(found["missing"]) == found["possible"] == 90


def test_entropy_is_that_of_a_fair_die():
    """All orders alike: log2 of their number; one alone: none."""
    assert orders.entropy(orders.possible((2, 2, 2))) == pytest.approx(math.log2(90))
    assert orders.entropy(["ABC"] * 7) == 0


def test_surprise_falls_with_what_was_seen():
    """All alike to who has seen nothing; the commoner an order, the less it surprises."""
    every = list(orders.possible((2, 1)))
    assert orders.surprise("ABC", [], 3) == pytest.approx(math.log2(3))
    seen = ["ABC"] * 5 + ["CAB"]
    bits = {order: orders.surprise(order, seen, 3) for order in every}
    assert bits["ABC"] < bits["CAB"] < bits["ACB"]
    assert sum(2**-b for b in bits.values()) == pytest.approx(1)
    found = orders.coverage(["ABC", "ABC"], (2, 1), before=seen)
    assert found["surprise"] == {"ABC": (2, pytest.approx(math.log2(3)), bits["ABC"])}


def test_classes_saw_27_of_the_90_orders():
    """The quick runs of whole classes: all orders are possible, 27 differ, a fifth as launched."""
    with open(home.data / "class_runs.csv", encoding="utf-8", newline="") as file:
        runs = list(csv.DictReader(file))
    assert len(runs) == 135
    quick = [
        run["order"]
        for run in runs
        if run["complete"] == "1" and (not run["task_s"] or float(run["task_s"]) < 0.5)
    ]
    found = orders.coverage(quick, (2, 2, 2))
    assert set(quick) <= set(orders.possible((2, 2, 2)))
    assert (found["seen"], found["possible"]) == (27, 90)
    assert round(quick.count("ABCDEF") / len(quick), 1) == 0.2


def test_a_schedule_has_as_many_orders_as_places_to_choose():
    """Choosing P1's places among four gives every order of two and two."""
    places = combinations(range(4), 2)
    said = {"".join("AB"[p.index(i)] if i in p else "-" for i in range(4)) for p in places}
    listed = {o.replace("C", "-").replace("D", "-") for o in orders.possible((2, 2))}
    assert listed == said
