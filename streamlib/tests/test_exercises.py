"""Each check tells a right answer from plausible wrong ones, from another type, and from none."""

import ast
import functools
import json
import re
import sqlite3
import sys
import threading
from contextlib import closing, suppress
from types import SimpleNamespace

import cloudpickle
import numpy as np
import pandas as pd
import pytest

from streamlib import database, exercises, processes, schedule, stream
from streamlib.exercises import (
    lesson_00,
    lesson_01,
    lesson_02,
    lesson_03,
    lesson_04,
    lesson_05,
    lesson_06,
)
from streamlib.tests import reliable, shipped

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # as the functions of a notebook are
LESSONS = [lesson_00, lesson_01, lesson_02, lesson_03, lesson_04, lesson_05, lesson_06]
EXERCISES = [name for lesson in LESSONS for name in lesson.EXERCISES]


@pytest.fixture
def check(capsys):
    """Check an answer; return what is printed of it, one line."""

    def check(exercise, *answer):
        capsys.readouterr()
        assert exercises.check(exercise, *answer) is None
        [said] = capsys.readouterr().out.splitlines()
        assert said.startswith(f"Exercise {exercise}: ")
        return said.removeprefix(f"Exercise {exercise}: ")

    return check


def test_each_lesson_has_the_exercises_of_its_own_number():
    for number, lesson in enumerate(LESSONS):
        names = list(lesson.EXERCISES)
        assert names == [f"{number:02}.{n}" for n in range(1, len(names) + 1)]


@pytest.mark.parametrize("exercise", EXERCISES)
def test_no_answer_is_not_attempted(exercise, check):
    dots = "not attempted yet; put your answer in place of the dots."
    assert check(exercise) == check(exercise, ...) == dots


OTHER_TYPES = [None, "text", -17, [], {}, (1, 2), object(), pd.DataFrame({"a": [1]}), print, True]
OTHER_TYPES += [np.array([1, 2]), float("nan"), pd.DataFrame({"fate": ["arrived"] * 11})]


@pytest.mark.parametrize("exercise", EXERCISES)
def test_an_answer_of_another_type_gets_a_hint(exercise, check):
    for answer in OTHER_TYPES:
        said = check(exercise, answer)
        assert said.startswith("not yet; ") and len(said) > 30


@pytest.mark.parametrize("exercise", ["99.1", "00.9", "1.1", "", "lesson", 1.1, None])
def test_an_exercise_that_the_lab_does_not_have_is_an_error(exercise):
    with pytest.raises(KeyError, match=f"There is no exercise {exercise}"):
        exercises.check(exercise, 8)


NUMBERS = {
    "00.1": (8, [6, 4, 9]),
    "01.1": (2520, [90, 40320, 105]),
    "02.1": (3, [2, 4, 0]),
    "03.1": (30, [20, 25.0, 35]),
    "06.1": (1680, [20, 90, 362_880]),
}


@pytest.mark.parametrize("exercise, right, wrong", [(key, *NUMBERS[key]) for key in NUMBERS])
def test_a_number_is_right_however_it_is_written(exercise, right, wrong, check):
    for form in (int, float, str, np.int64, np.float64, "{:.1f}".format, "{:,}".format):
        assert check(exercise, form(right)) == "correct."
        for number in wrong:
            assert check(exercise, form(number)).startswith("not yet; ")


def pets(**names):
    """A run in which each process stores these pets, quickly."""
    return processes.run({name: database.pets(pets) for name, pets in names.items()})


def test_01_2_wants_three_rows_from_each_process(check):
    assert check("01.2", pets(P1=["a", "b", "c"], P2=["d", "e", "f"])) == "correct."
    wrong = [
        pets(P1=["a", "b", "c"], P2=["d", "e"]),
        pets(P1=["a", "b", "c"]),
        pets(P1=["a", "b", "c", "d"], P2=["e", "f", "g", "h"]),
    ]
    for run in wrong:
        assert check("01.2", run).startswith("not yet; give the run itself")


def test_02_2_wants_a_run_at_3_s_that_loses_nothing(check):
    def run(hold_s, timeout_s):
        tasks = {n: database.pets(names, hold_s, timeout_s) for n, names in database.PETS.items()}
        return processes.run(tasks)

    assert check("02.2", run(3, 20)) == "correct."
    for wrong in (run(3, 5), run(1, 20), run(0, 5)):
        assert check("02.2", wrong).startswith("not yet; give a run of six inserts")


def table(number, came, **columns):
    """The fates of so many rows, of which these came."""
    source = [{"n": str(n), **columns} for n in range(1, number + 1)]
    more = [{"n": "?", **columns}] * 100
    arrived = [{"seq": n, "sent": 1.0, "row": (source + more)[n - 1]} for n in came]
    return stream.reconcile(source, [*arrived, {"seq": number, "sent": 1.0, "end": True}])


def test_03_2_wants_counts_that_agree_though_the_rows_do_not(check):
    assert check("03.2", table(12, [*range(1, 12), 11])) == "correct."
    wrong = [
        [3, *range(2, 13)],  # out of order
        [*range(1, 12), 11, 50],  # thirteen came
        range(1, 13),
        range(1, 12),
        [*range(1, 13), 12],
        [*range(1, 11), 10, 10],
    ]
    for came in wrong:
        assert check("03.2", table(12, came)).startswith("not yet; give the table")


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


@pytest.mark.parametrize(
    "pair",
    [(escaped, unescaped), (json.dumps, json.loads), (repr, ast.literal_eval)],
    ids=["escapes", "JSON", "Python"],
)
def test_04_1_takes_any_format_that_comes_back(pair, check):
    assert check("04.1", pair) == "correct."


def rare(values):
    return "§".join(value.replace("\n", "¶").replace("\r", "¬") for value in values)


def not_rare(line):
    return [one.replace("¶", "\n").replace("¬", "\r") for one in line.split("§")]


@pytest.mark.parametrize(
    "pair",
    [
        (",".join, lambda line: line.split(",")),
        ("\x1f".join, lambda line: line.split("\x1f")),
        (escaped, lambda line: line.split(",")),
        (rare, not_rare),  # rare is not never
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
    ids=lambda pair: None,
)
def test_04_1_tells_a_format_that_does_not_come_back(pair, check):
    assert check("04.1", pair).startswith("not yet; give both functions")


def test_04_2_wants_ten_rows_of_another_file(check):
    assert check("04.2", table(10, range(1, 11))) == "correct."
    wrong = [
        table(9, range(1, 10)),
        table(12, range(1, 12)),
        table(12, [*range(1, 13), 12]),
        table(12, range(1, 13), icao="EDDF"),
        table(12, []),
    ]
    for fates in wrong:
        assert check("04.2", fates).startswith("not yet; give the table")


READINGS = {
    "05.1": {"a": 11, "b": 3.0, "c": np.int64(17), "d": "no", "E": " 15"},
    "05.2": {"a": 24, "b": 26, "c": "Yes", "d": True, "e": "16", "f": 1},
}


@pytest.mark.parametrize("exercise", READINGS)
def test_readings_are_told_letter_by_letter(exercise, check):
    right = READINGS[exercise]
    assert check(exercise, right) == "correct."
    assert check(exercise, right | {"more": 1}) == "correct."
    for letter in right:
        others = {key: value for key, value in right.items() if key != letter}
        for wrong in (others, others | {letter: 99}, others | {letter: None}):
            said = check(exercise, wrong)
            assert said.startswith(f"not yet; look again at {letter.lower()}; answer")
    assert "at a, b, c" in check(exercise, list(right.values()))


def code_line(program, number):
    return shipped.text(f"notebooks/{program}").split("\n")[number - 1]


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
def test_the_lines_that_the_questions_mean_are_there(exercise, letter, words):
    program = {"05.1": "reading_udp.py", "05.2": "reading_tcp.py"}[exercise]
    assert words in code_line(program, lesson_05.READING[exercise][letter])
    assert "sendto(" in code_line("reading_udp.py", 27)
    assert ".recv(1000)" in code_line("reading_tcp.py", 15)


def stop_and_wait(sock, lines, patience_s=0.02):
    sock.settimeout(patience_s)
    for number, line in enumerate(lines):
        acknowledged = None
        while acknowledged != number:
            sock.send(b"%d " % number + line)
            with suppress(TimeoutError):
                acknowledged = int(sock.recv(100))


def deliver_in_order(sock, deliver):
    expected = 0
    while True:
        number, _, line = sock.recv(65_507).partition(b" ")
        sock.send(number)
        if int(number) == expected:
            deliver(line)
            expected += 1


def never_resends(sock, lines):
    for number, line in enumerate(lines):
        sock.send(b"%d " % number + line)


def test_05_3_the_reference_is_right(check):
    assert check("05.3", (reliable.send, reliable.receive)) == "correct."


@pytest.fixture
def only(monkeypatch):
    """Try a layer on one of the four networks only."""

    def only(number):
        monkeypatch.setattr(lesson_05, "NETWORKS", [lesson_05.NETWORKS[number]])

    return only


def test_05_3_tells_stop_and_wait_from_a_window(check, only):
    only(0)
    patient = functools.partial(stop_and_wait, patience_s=0.4)  # no resend looks like a window
    said = check("05.3", (patient, deliver_in_order))
    assert said == "not yet; it works, but without a window: one line at a time is under way."


def test_05_3_tells_a_layer_that_does_not_resend(check, only):
    only(1)
    said = check("05.3", (never_resends, deliver_in_order))
    assert said.startswith("not yet; with Network(loss=0.2") and " lost" in said


def test_05_3_a_first_step_without_acknowledgements_is_no_error(check, only):
    def receive(sock, deliver):
        while True:
            deliver(sock.recv(65_507).partition(b" ")[2])

    only(0)
    assert check("05.3", (never_resends, receive)).startswith(("not yet; ", "correct."))


def test_05_3_functions_that_cannot_be_sent_to_a_process_are_no_error(check):
    lock = threading.Lock()

    def send(sock, lines):
        with lock:
            stop_and_wait(sock, lines)

    assert "open files, connections and the like inside" in check("05.3", (send, deliver_in_order))


def test_05_3_tries_a_wrong_layer_once(check, monkeypatch):
    tried = []
    failed = SimpleNamespace(ok=False)
    monkeypatch.setattr(lesson_05, "trial", lambda *_, **__: tried.append(1) or failed)
    check("05.3", (stop_and_wait, deliver_in_order))
    assert len(tried) == 1


def test_06_2_wants_a_schedule_that_loses_the_update_of_p1(check):
    for right in ("2r 1r 1a 1w 2a 2w", "2r 2a 1r 1a 1w 2w", " 2r  1r 1a 1w 2a 2w\n"):
        assert check("06.2", right) == "correct."
    wrong = [
        lesson_06.EXAMPLES["lost update"],  # more switches than two
        "1r 2r 2a 2w 1a 1w",  # P2's is lost
        "1r 1a 1w 2r 2a 2w",  # nothing is lost
        "2r 1r 1a 1w 2w 2a",  # not in this order
        "2r 1r 1w 2w",
    ]
    for text in wrong:
        assert check("06.2", text).startswith("not yet; give the text")


def counter(path):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TABLE IF EXISTS counter")
        connection.execute("CREATE TABLE counter (value INTEGER)")
        connection.execute("INSERT INTO counter VALUES (0)")


def is_two(path):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT value FROM counter").fetchone() == (2,)


def adds_one(*steps):
    """A worker that adds one to the counter, in steps of these names."""

    def add_one(me):
        with closing(database.open(me)) as connection:
            for step in steps:
                me.step(step)
                if step == "begin":
                    connection.execute("BEGIN IMMEDIATE")
                elif step == "read":
                    (value,) = connection.execute("SELECT value FROM counter").fetchone()
                else:
                    connection.execute("UPDATE counter SET value = ?", (value + 1,))
                    connection.execute("COMMIT")

    return add_one


def test_06_3_wants_the_verdict_on_a_lock_that_is_taken_too_late(check):
    def verdict(*steps):
        worker = adds_one(*steps)
        return schedule.explore({"P1": worker, "P2": worker}, is_two, setup=counter)

    late = verdict("read", "begin", "write")
    assert check("06.3", late) == "correct."
    in_time = verdict("begin", "read", "write")
    assert in_time.verdict == "holds"
    for wrong in (in_time, late.verdict, late.broken, str(late)):
        assert check("06.3", wrong).startswith("not yet; give the verdict of explore")
