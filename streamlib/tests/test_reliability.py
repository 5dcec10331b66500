"""The checks of the exercises."""

import ast
import functools
import json
import re
import sqlite3
import sys
import threading
from contextlib import closing
from types import SimpleNamespace

import cloudpickle
import pandas as pd
import pytest

from streamlib import database, home, predict, processes
from streamlib import exercises as checks
from streamlib.stream import fates
from streamlib.tests import reliable
from streamlib.tests.test_network import deliver_in_order, never_resends, stop_and_wait

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # as the functions of a notebook are


# checks


@pytest.fixture
def check(capsys):
    """Check an answer; return what is printed of it, one line."""

    def check(exercise, *answer):
        capsys.readouterr()
        assert checks.check(exercise, *answer) is None
        [said] = capsys.readouterr().out.splitlines()
        assert said.startswith(f"Exercise {exercise}: ")
        return said.removeprefix(f"Exercise {exercise}: ")

    return check


EXERCISES = ["03.1", "03.2", "04.1", "04.2", "05.1", "05.2", "05.3"]
NONE = [None, "text", 17, [], {}, (1, 2), object(), pd.DataFrame({"a": [1]}), print]


@pytest.mark.parametrize("exercise", EXERCISES)
def test_no_answer_and_what_cannot_be_one(exercise, check):
    assert check(exercise).startswith("not attempted yet")
    assert check(exercise, ...).startswith("not attempted yet")
    for answer in NONE:
        said = check(exercise, answer)
        assert said.startswith("not yet; ") and len(said) > 30


@pytest.mark.parametrize("mean", [30, 30.0, "30", pd.Series([20, 30, 40]).mean()])
def test_03_1_is_right_however_the_number_is_written(mean, check):
    assert check("03.1", mean) == "correct."


@pytest.mark.parametrize("mean", [20, 25.0, 35, "40", float("nan")])
def test_03_1_tells_other_means(mean, check):
    assert check("03.1", mean).startswith("not yet; when 40 comes in")


def table(number, came, **columns):
    """The fates of so many rows, of which these came."""
    source = [{"n": str(n), **columns} for n in range(1, number + 1)]
    more = [{"n": "?", **columns}] * 100
    arrived = [{"seq": n, "sent": 1.0, "row": (source + more)[n - 1]} for n in came]
    return fates.reconcile(source, [*arrived, {"seq": number, "sent": 1.0, "end": True}])


def test_03_2_counts_that_agree_though_the_rows_do_not(check):
    assert check("03.2", table(12, [*range(1, 12), 11])) == "correct."
    assert check("03.2", table(12, [3, *range(2, 13)])).startswith("not yet")  # out of order
    for came in (range(1, 13), range(1, 12), [*range(1, 13), 12], [*range(1, 11), 10, 10]):
        assert check("03.2", table(12, came)).startswith("not yet; give the table")


def test_03_2_thirteen_that_came_are_not_as_many_as_twelve(check):
    assert check("03.2", table(12, [*range(1, 12), 11, 50])).startswith("not yet")


@pytest.mark.parametrize("exercise", ["03.2", "04.2"])
def test_a_table_of_ones_own_making_is_no_answer(exercise, check):
    assert check(exercise, pd.DataFrame({"fate": ["arrived"] * 11})).startswith("not yet")


ESCAPES = {"\\": "\\\\", ",": "\\,", "\n": "\\n", "\r": "\\r"}
BACK = {there: char for char, there in ESCAPES.items()}


def escaped(values):
    return ",".join("".join(ESCAPES.get(c, c) for c in value) for value in values)


def unescaped(line):
    fields = [""]
    for part in re.findall(r"\\.|.", line):
        if part == ",":
            fields.append("")
        else:
            fields[-1] += BACK.get(part, part)
    return fields


def test_04_1_right_pairs(check):
    assert check("04.1", (escaped, unescaped)) == "correct."
    assert check("04.1", (json.dumps, json.loads)) == "correct."
    assert check("04.1", (repr, ast.literal_eval)) == "correct."


@pytest.mark.parametrize(
    "pair",
    [
        (",".join, lambda line: line.split(",")),
        ("\x1f".join, lambda line: line.split("\x1f")),
        (escaped, lambda line: line.split(",")),
        (lambda values: "\n".join(map(escaped, [values])) + "\n\n", unescaped),
        (str, str),
        (list, list),
        (lambda values: None, lambda line: None),
        (lambda values: 1 / 0, unescaped),
        (escaped,),
        (escaped, unescaped, print),
        (escaped, None),
        [escaped, unescaped],
        escaped,
    ],
)
def test_04_1_wrong_pairs(pair, check):
    assert check("04.1", pair).startswith("not yet; give both functions")


def test_04_1_a_sign_that_a_text_may_hold_keeps_no_fields_apart(check):
    def encode(values):
        return "§".join(value.replace("\n", "¶").replace("\r", "¬") for value in values)

    def decode(line):
        return [one.replace("¶", "\n").replace("¬", "\r") for one in line.split("§")]

    assert check("04.1", (encode, decode)).startswith("not yet")


def test_04_2_ten_rows_of_another_file(check):
    assert check("04.2", table(10, range(1, 11))) == "correct."
    for wrong in (
        table(9, range(1, 10)),
        table(12, range(1, 12)),
        table(12, [*range(1, 13), 12]),
        table(12, range(1, 13), icao="EDDF"),
        table(12, []),
    ):
        assert check("04.2", wrong).startswith("not yet; give the table")


READINGS = {
    "05.1": {"a": 11, "b": 3, "c": 17, "d": "no", "e": 15},
    "05.2": {"a": 24, "b": 26, "c": "Yes", "d": " yes", "e": "16", "f": 1},
}


@pytest.mark.parametrize("exercise, right", READINGS.items())
def test_readings_are_told_letter_by_letter(exercise, right, check):
    assert check(exercise, right) == "correct."
    assert check(exercise, right | {"more": 1}) == "correct."
    for letter in right:
        others = {key: value for key, value in right.items() if key != letter}
        for wrong in (others, others | {letter: 99}, others | {letter: None}):
            assert check(exercise, wrong).startswith(f"not yet; look again at {letter}; answer")
    assert "at a, b, c" in check(exercise, list(right.values()))


def code_line(program, number):
    return (home.root / "notebooks" / program).read_text(encoding="utf-8").split("\n")[number - 1]


@pytest.mark.parametrize(
    ("exercise", "letter", "words"),
    [
        ("05.1", "a", "sock.bind(ADDRESS)"),
        ("05.1", "c", 'if row["seq"] != expected:'),
        ("05.1", "e", "recvfrom(65_535)"),
        ("05.2", "a", "socket.create_connection(ADDRESS)"),
        ("05.2", "b", r'+ "\n"'),
        ("05.2", "e", "*lines, unfinished ="),
    ],
)
def test_the_lines_that_the_questions_mean(exercise, letter, words):
    program = {"05.1": "reading_udp.py", "05.2": "reading_tcp.py"}[exercise]
    assert words in code_line(program, int(checks.READING[exercise][letter]))
    assert "sendto(" in code_line("reading_udp.py", 27)
    assert ".recv(1000)" in code_line("reading_tcp.py", 15)


def test_05_3_the_reference_is_right(check):
    assert check("05.3", (reliable.send, reliable.receive)) == "correct."


@pytest.fixture
def first_network(monkeypatch):
    monkeypatch.setattr(checks, "NETWORKS", checks.NETWORKS[:1])


def test_05_3_tells_stop_and_wait_from_a_window(check, first_network):
    patient = functools.partial(stop_and_wait, patience_s=0.4)  # no resend looks like a window
    said = check("05.3", (patient, deliver_in_order))
    assert said == "not yet; it works, but without a window: one line at a time is under way."


def test_05_3_tells_a_layer_that_does_not_resend(check, monkeypatch):
    monkeypatch.setattr(checks, "NETWORKS", checks.NETWORKS[1:2])
    said = check("05.3", (never_resends, deliver_in_order))
    assert said.startswith("not yet; with Network(loss=0.2") and " lost" in said


def test_05_3_a_first_step_without_acknowledgements_is_no_error(check, first_network):
    def receive(sock, deliver):
        while True:
            deliver(sock.recv(65_507).partition(b" ")[2])

    assert check("05.3", (never_resends, receive)).startswith(("not yet; ", "correct."))


def test_05_3_functions_that_cannot_be_sent_to_a_process_are_no_error(check):
    lock = threading.Lock()

    def send(sock, lines):
        with lock:
            stop_and_wait(sock, lines)

    assert "open files, connections and locks inside" in check("05.3", (send, deliver_in_order))


def test_05_3_tries_a_wrong_layer_once(check, monkeypatch):
    tried = []
    trial = SimpleNamespace(ok=False)
    monkeypatch.setattr(checks.bad_network, "trial", lambda *_, **__: tried.append(1) or trial)
    check("05.3", (stop_and_wait, deliver_in_order))
    assert len(tried) == 1


@pytest.mark.parametrize(
    ("exercise", "right", "wrong"),
    [("00.1", 8, 6), ("01.1", 2520, 90), ("02.1", 3, 2)],
)
def test_checks_know_right_from_wrong(exercise, right, wrong, capsys):
    said = []
    for answer in (right, wrong, ...):
        checks.check(exercise, answer)
        said.append(capsys.readouterr().out)
    assert "correct" in said[0] and "not yet" in said[1] and "not attempted" in said[2]


def test_checks_of_runs(capsys):
    two = processes.run({"P1": database.pets(["a", "b", "c"]), "P2": database.pets(["d", "e"])})
    three = processes.run(
        {"P1": database.pets(["a", "b", "c"]), "P2": database.pets(["d", "e", "f"])}
    )
    slow = processes.run({n: database.pets(p, 3, 20) for n, p in database.PETS.items()})
    for exercise, right, wrong in [("01.2", three, two), ("02.2", slow, two)]:
        checks.check(exercise, right)
        assert "correct" in capsys.readouterr().out
        for answer in (wrong, 3, None):
            checks.check(exercise, answer)
            assert "not yet" in capsys.readouterr().out


def test_an_exercise_that_the_lab_does_not_have():
    with pytest.raises(KeyError, match="There is no exercise 99"):
        checks.check("99.1")


def test_a_notebook_stops_at_a_missing_prediction(tmp_path, monkeypatch):
    """What Jupyter shows is the sentence, not a traceback."""
    monkeypatch.setattr(predict, "_KEPT", tmp_path / "predictions.json")
    monkeypatch.delenv("STREAMLIB_PREDICT", raising=False)
    predict.ask("lost", "How many?", ...)
    with pytest.raises(predict.NotPredicted) as stopped:
        predict.check("lost", 42)
    assert stopped.value._render_traceback_() == [str(stopped.value)]
    assert "42" not in str(stopped.value)


def test_a_lock_held_by_another_program_is_told_apart(tmp_path):
    db = database.fresh(tmp_path / "shared.db")

    def lock(path):
        other.execute("BEGIN IMMEDIATE")

    with closing(sqlite3.connect(db, isolation_level=None)) as other:
        run = processes.run({"P1": database.pets(["Ace"], timeout_s=1)}, db=db, setup=lock)
    assert run.lost == 1
    assert run.why()[0].endswith(
        "held by another program, for most of the time no process of this run held it."
    )
