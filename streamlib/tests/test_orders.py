"""Counting and listing orders agrees with brute force, and with what whole classes saw."""

import csv
import math
from itertools import combinations, groupby, pairwise, permutations

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
    labels, whose = orders.labels(counts), owners(counts)
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


def owners(counts):
    """Whose insert each label is."""
    each = [f"P{p}" for p, count in enumerate(counts, start=1) for _ in range(count)]
    return dict(zip(orders.labels(counts), each, strict=True))


def _owner(counts):
    return owners(counts).__getitem__


def test_the_pets_have_90_orders():
    """Two inserts in each of three processes: 90 orders, from ABCDEF to EFCDAB."""
    listed = list(orders.possible((2, 2, 2)))
    assert (len(listed), listed[0], listed[-1]) == (90, "ABCDEF", "EFCDAB")


@quickly
@given(st.data(), many)
def test_an_order_of_letters_or_numbers_is_read_label_by_label(data, counts):
    """Any of the labels, letters or numbers, in any order give one turn each, of their owner."""
    labels = data.draw(st.permutations(orders.labels(counts)))
    kept = labels[: data.draw(st.integers(0, len(labels)))]
    owner = {label: label for label in labels}
    at = {label: str(n) for n, label in enumerate(labels, start=1)}
    assert orders.schedule(orders.join(kept), owner).split() == [at[label] for label in kept]
    assert len(at) == sum(counts)


def test_a_label_alone_is_read_as_one():
    """A single stored row of many is one label, not its characters."""
    assert orders.schedule(orders.join(["10.1"]), {"9.1": "P9", "10.1": "P10"}) == "2"


def test_coverage_counts_whole_orders_only():
    """Orders with a lost row, or none of the possible ones, are not seen."""
    seen = ["ABC", "CAB", "ABC", "BAC", "AB", "", "ABCD"]
    found = orders.coverage(seen, (2, 1))
    assert found == {"seen": 2, "missing": ["ACB"]}
    assert orders.coverage(iter([]), (2, 1))["missing"] == ["ABC", "ACB", "CAB"]


@quickly
@given(st.sets(st.sampled_from(list(orders.possible((2, 2, 2))))))
def test_coverage_splits_the_possible_orders(seen):
    """Each possible order is either seen or missing."""
    found = orders.coverage(seen, (2, 2, 2))
    assert found["seen"] == len(seen) and not seen & set(found["missing"])
    assert found["seen"] + len(found["missing"]) == 90


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
    assert (found["seen"], len(found["missing"])) == (27, 63)
    assert round(quick.count("ABCDEF") / len(quick), 1) == 0.2


def test_a_schedule_has_as_many_orders_as_places_to_choose():
    """Choosing P1's places among four gives every order of two and two."""
    places = combinations(range(4), 2)
    said = {"".join("AB"[p.index(i)] if i in p else "-" for i in range(4)) for p in places}
    listed = {o.replace("C", "-").replace("D", "-") for o in orders.possible((2, 2))}
    assert listed == said


@given(st.sampled_from(list(orders.possible((2, 2, 2)))))
def test_an_order_and_its_schedule_are_the_same_turns(order):
    """Each letter is a turn of the process that owns it."""
    whose = owners((2, 2, 2))
    turns = orders.parse(orders.schedule(order, whose), ["P1", "P2", "P3"])
    assert [f"P{turn.process}" for turn in turns] == [whose[letter] for letter in order]
    assert orders.switches(orders.schedule(order, whose)) == sum(
        whose[a] != whose[b] for a, b in pairwise(order)
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "1 3 9",
            "Turn 3 of the schedule, '9', names process 9: the plan has 1 (P1), 2 (P2), 3 (P3)",
        ),
        ("2 1 1b", "Turn 3 of the schedule, '1b', mixes whole units with steps"),
        ("1b 2 1", "Turn 3 of the schedule, '1', mixes whole units with steps"),
        ("1 2-b", "Turn 2 of the schedule, '2-b', is not a turn"),
        ("1 Q2", "Turn 2 of the schedule, 'Q2', is not a turn"),
        ("0", "names process 0"),
        ("", "The schedule is empty"),
    ],
)
def test_a_text_that_is_not_a_schedule_is_refused_by_its_turn(text, sentence):
    """The sentence names the turn, by its number and its text."""
    with pytest.raises(ValueError) as error:
        orders.parse(text, ["P1", "P2", "P3"])
    assert sentence in str(error.value)


def test_a_turn_is_written_as_it_was_read():
    """Parsing and writing undo each other, giving up included."""
    for text in ("2 1 3", "1b 2x 1insert 10c", "1read_1 2 3xu 1écrire"):
        assert " ".join(map(str, orders.parse(text, [f"P{n}" for n in range(1, 11)]))) == text
    assert orders.process_of("10c") == 10


ODD = st.text("ab é写1._-! ", min_size=1, max_size=5).map(lambda text: f"s{text}")


@quickly
@given(st.sets(ODD, min_size=1, max_size=6))
def test_a_turn_may_name_any_step_by_its_letters(names):
    """Whatever stands in a name, the letters are a turn, and the beginning of the name's slug."""
    for name, letters in orders.letters_of(names).items():
        [turn] = orders.parse(f"12{letters}", [f"P{n}" for n in range(12)])
        assert turn == (12, letters) and orders.slug(name).startswith(letters)


@quickly
@given(st.sets(st.text("abx", min_size=1, max_size=4), max_size=6))
def test_letters_tell_steps_apart(names):
    """Each is a beginning of its step; of no other one, unless the other begins with the step."""
    short = orders.letters_of(names)
    assert set(short) == names
    for name, letters in short.items():
        assert name.startswith(letters)
        others = {other for other in names - {name} if other.startswith(letters)}
        assert not others or letters == name


def test_a_process_without_a_label_keeps_its_number():
    whose = orders.Owners({"A": "P2", "B": "P3"})
    whose.plan = ["P1", "P2", "P3"]
    assert orders.schedule("BA", whose) == "3 2" and whose == {"A": "P2", "B": "P3"}
    assert orders.schedule("BA", dict(whose)) == "2 1"


@pytest.mark.parametrize("text", ["1R 2w", "P1r P2w", "p1r,p2W", "1r, 2w,", "P1R\n2w"])
def test_a_schedule_is_read_as_people_write_it(text):
    assert orders.parse(text, ["P1", "P2"]) == [(1, "r"), (2, "w")]


def test_a_process_is_meant_by_its_name_if_it_has_a_number_in_it():
    assert orders.parse("P2b 1b", ["P2", "P1"]) == [(1, "b"), (1, "b")]
