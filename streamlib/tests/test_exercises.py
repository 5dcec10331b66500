"""Each check tells a right answer from plausible wrong ones, from another type, and from none."""

import ast
import functools
import json
import re
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, redirect_stdout, suppress
from io import StringIO
from json import dumps, loads
from types import SimpleNamespace

import cloudpickle
import numpy as np
import pandas as pd
import pytest

from streamlib import (
    database,
    exercises,
    home,
    network,
    processes,
    programs,
    resources,
    rows,
    schedule,
    stream,
)
from streamlib.exercises import (
    lesson_00,
    lesson_01,
    lesson_02,
    lesson_03,
    lesson_04,
    lesson_05,
    lesson_06,
    lesson_07,
    lesson_08,
    lesson_fixes,
)
from streamlib.tests import shipped

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # as the functions of a notebook are
LESSONS = [lesson_00, lesson_01, lesson_02, lesson_03, lesson_04, lesson_05, lesson_06]
LESSONS += [lesson_07, lesson_08]
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
    "02.4": (4, [2, 0, 6]),
    "03.1": (30, [20, 25.0, 35]),
    "05.4": (7840, [280, 28, 5600]),
    "06.1": (1680, [20, 90, 362_880]),
}


@pytest.mark.parametrize("exercise, right, wrong", [(key, *NUMBERS[key]) for key in NUMBERS])
def test_a_number_is_right_however_it_is_written(exercise, right, wrong, check):
    for form in (
        int,
        float,
        str,
        np.int64,
        np.float64,
        "{:.1f}".format,
        "{:,}".format,
        "{} .".format,
    ):
        assert check(exercise, form(right)) == "correct."
        for number in wrong:
            said = check(exercise, form(number))
            assert said.startswith("not yet; ") and "give a number" not in said
    assert check(exercise, 2 * right / 2) == "correct."  # as 40320/16 is 2520.0


@pytest.mark.parametrize("exercise", NUMBERS)
def test_what_is_no_number_is_told_that_a_number_is_wanted(exercise, check):
    for answer in ("lots", print, [], {"a": 1, "b": 2}, "2 or 3"):
        assert check(exercise, answer) == "not yet; give a number, such as 42."


REASONS = {"00.2": "ac", "01.3": "ac", "02.3": "abd", "03.3": "acd", "04.3": "acd", "05.5": "acd"}
REASONS |= {"06.4": "acd", "07.3": "acd", "08.2": "acd", "08.3": "acd"}


def test_each_lesson_asks_for_a_reason():
    assert {exercise[:2] for exercise in REASONS} == {exercise[:2] for exercise in EXERCISES}


@pytest.mark.parametrize("exercise", REASONS)
def test_a_reason_is_a_letter_and_each_wrong_one_is_answered(exercise, check):
    right = next(letter for letter in "abcd" if letter not in REASONS[exercise])
    for form in ("{}", "({})", "{}.", "{})", " {} ", "({}) because it is so", "Answer: {}"):
        for text in (form.format(right), form.format(right).upper()):
            assert check(exercise, text) == "correct."
    said = {check(exercise, letter) for letter in REASONS[exercise]}
    assert len(said) == len(REASONS[exercise]) and not any("choose one" in one for one in said)
    for odd in ("z", f"{right} or {REASONS[exercise][0]}", "", "because", ["b", "a"], 2):
        letters = "a, b, c" + ", d" * (len(said) > 2)
        assert check(exercise, odd) == f"not yet; choose one letter: {letters}."


@pytest.fixture
def fresh(monkeypatch):
    """No exercise was attempted yet, and no hint given."""
    monkeypatch.setattr(exercises, "_attempts", exercises.Counter())
    monkeypatch.setattr(exercises, "_hints", exercises.Counter())


@pytest.mark.parametrize("exercise", EXERCISES)
def test_hints_come_one_at_a_time_and_the_last_one_stays(exercise, fresh, capsys):
    lesson = LESSONS[int(exercise[:2])]
    hints = lesson.HINTS[exercise]
    for _ in range(len(hints) + 1):
        exercises.hint(exercise)
    lines = [f"Hint {n} of {len(hints)}: {hint}" for n, hint in enumerate(hints, start=1)]
    assert capsys.readouterr().out.splitlines() == [*lines, lines[-1]]


@pytest.mark.parametrize("exercise", EXERCISES)
def test_a_solution_is_shown_after_an_attempt(exercise, fresh, capsys):
    for _ in range(2):
        exercises.check(exercise)  # no attempt
        exercises.solution(exercise)
        assert capsys.readouterr().out.endswith(
            "\nTry it first: give an answer to exercises.check.\n"
        )
    exercises.check(exercise, "no")
    capsys.readouterr()
    exercises.solution(exercise)
    solution = LESSONS[int(exercise[:2])].SOLUTIONS[exercise]
    assert capsys.readouterr().out == solution + "\n"


@pytest.mark.parametrize("call", [exercises.hint, exercises.solution])
def test_there_is_no_hint_for_an_exercise_that_the_lab_does_not_have(call):
    with pytest.raises(KeyError, match=r"There is no exercise 99\.1"):
        call("99.1")


def solved(exercise, **names):
    """What is printed when the code of a solution runs in a notebook that has these names."""
    modules = (database, exercises, home, processes, programs, rows, schedule, sqlite3, stream)
    space = {module.__name__.removeprefix("streamlib."): module for module in modules}
    space |= {"__name__": "__main__", "closing": closing} | names
    with redirect_stdout(StringIO()) as said:
        exec(LESSONS[int(exercise[:2])].SOLUTIONS[exercise], space)
    return said.getvalue().splitlines()


@pytest.mark.parametrize("exercise", ["01.2", "03.2", "04.1", "04.2", "06.2", "06.3"])
def test_a_solution_that_is_code_is_right(exercise):
    oldest = [{"n": str(n)} for n in range(20)]
    names = {"oldest": oldest, "is_two": is_two, "counter": counter}
    assert solved(exercise, **names)[-1] == f"Exercise {exercise}: correct."


def test_a_check_loads_what_it_needs_and_not_the_whole_package():
    code = (
        "import sys\n"
        "from streamlib import exercises\n"
        f"for one in {EXERCISES}: exercises.check(one, 'b')\n"
        "print([m for m in ('pandas', 'numpy', 'matplotlib') if m in sys.modules])\n"
        "names = [m for m in sys.modules if m.startswith('streamlib.') and 'exercises' not in m]\n"
        "print(sorted(names))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=home.root, capture_output=True, text=True, timeout=60
    )
    *_, libraries, modules = done.stdout.splitlines()
    assert (libraries, done.stderr) == ("[]", "")
    assert modules == "['streamlib.home', 'streamlib.orders', 'streamlib.predict']"


def pets(**names):
    """A run in which each process stores these pets, quickly."""
    return processes.run({name: database.pets(pets) for name, pets in names.items()})


def forgets(pet):
    """A worker that inserts a pet and does not commit."""

    def worker(me):
        with closing(sqlite3.connect(me.db)) as connection:
            me.step("insert", pet)
            connection.execute("INSERT INTO pets (name, process) VALUES (?, ?)", (pet, me.name))

    return worker


def test_01_2_wants_three_rows_from_each_process(check):
    assert check("01.2", pets(P1=["a", "b", "c"], P2=["d", "e", "f"])) == "correct."
    wrong = {
        "each process must store three rows": pets(P1=["a", "b", "c"], P2=["d", "e"]),
        "this run has one process: give the plan a second one.": pets(P1=["a", "b", "c"]),
        "each process must store": pets(P1=["a", "b", "c", "d"], P2=["e", "f", "g", "h"]),
        "this run did not store all": processes.run({"P1": forgets("a"), "P2": forgets("b")}),
        "give the run itself": pets,
    }
    for why, run in wrong.items():
        assert check("01.2", run).startswith(f"not yet; {why}")


def test_02_1_wants_the_set_of_what_is_possible(check):
    for right in ({2, 3}, [3, 2], (2, 3), "{2, 3}", "2 or 3", "2,3", np.array([2, 3])):
        assert check("02.1", right) == "correct."
    for wrong in ({2}, 2, "3", {2, 3, 4}, {1, 2}, {0, 1, 2}, 23):
        assert check("02.1", wrong).startswith("not yet; follow the lock")
    for odd in ("lots", set(), None):
        assert check("02.1", odd) == "not yet; give a set of numbers, such as {1, 2}."


def test_02_2_wants_a_run_at_3_s_that_loses_nothing_with_a_short_timeout(check, monkeypatch):
    def run(hold_s, timeout_s):
        tasks = {n: database.pets(names, hold_s, timeout_s) for n, names in database.PETS.items()}
        return processes.run(tasks)

    patient = run(3, 20)
    assert check("02.2", patient) == (
        "not yet; all six are stored; can you do it with a shorter timeout?"
    )
    shorter = [str(text).replace("of 2 s", "of 1.28 s") for text in patient.events["detail"]]
    events = patient.events.assign(detail=shorter).query("detail != 'nan'")
    names = ("workers", "params", "verdict", "items", "ok")
    kept = {name: getattr(patient, name) for name in names}
    dared = type("Run", (SimpleNamespace,), {})(events=events, **kept)
    assert check("02.2", dared) == "correct."
    assert check("02.2", run(3, 5)).startswith("not yet; this run lost something: ")
    for wrong in (run(1, 20), pets(P1=list("abcdef"))):
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
        said = check("03.2", table(12, came))
        assert said.startswith("not yet; it has to be 11 arrived, 1 lost and 1 duplicated; this")
    assert "12 arrived." in check("03.2", table(12, range(1, 13)))
    received = [{"seq": n, "sent": 0.0, "row": {}} for n in range(12)]
    assert check("03.2", received).startswith("not yet; give the table")


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
    [(escaped, unescaped), (repr, ast.literal_eval)],
    ids=["escapes", "Python"],
)
def test_04_1_takes_any_format_that_comes_back(pair, check):
    assert check("04.1", pair) == "correct."


def as_json(values):
    return dumps(values)


@pytest.mark.parametrize(
    "pair",
    [
        (json.dumps, json.loads),
        (dumps, loads),
        (as_json, json.loads),
        (lambda values: "x" + json.dumps(values), lambda line: json.loads(line[1:])),
        (json.JSONEncoder().encode, json.JSONDecoder().decode),
    ],
    ids=["the functions", "imported", "wrapped", "marked", "the classes"],
)
def test_04_1_does_not_take_json_for_a_format_of_your_own(pair, check):
    assert check("04.1", pair) == "not yet; this works, but it is JSON; write a format of your own."
    assert json.loads(json.dumps(["still there"])) == ["still there"]


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


def test_04_1_names_what_a_function_raised(check):
    said = check("04.1", (lambda values: 1 / 0, unescaped))
    assert said == "not yet; it raised ZeroDivisionError: division by zero."


def test_04_2_wants_ten_rows_of_another_file(check):
    for came in (range(1, 11), range(1, 13)):
        assert check("04.2", table(max(came), came)) == "correct."
    wrong = [
        (table(9, range(1, 10)), "ten rows have to arrive; in this table 9 did."),
        (table(12, [*range(1, 12)]), "some rows are lost; stream them again."),
        (table(12, [*range(1, 13), 12]), "some rows are duplicated; stream them again."),
        (table(12, range(1, 13), icao="EDDF"), "these are the rows of this notebook's file"),
        (table(12, []), "some rows are lost"),
    ]
    for fates, why in wrong:
        assert check("04.2", fates).startswith(f"not yet; {why}")


READINGS = {
    "05.1": {"a": "line 11", "b": 3.0, "c": np.int64(17), "d": "No, never.", "E": " 15"},
    "05.2": {"a": 24, "b": 26, "c": "Yes", "d": True, "e": "16", "f": "one"},
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


def test_05_3_the_solution_is_right(check):
    space = {"time": time, "suppress": suppress}
    exec(lesson_05.SOLUTIONS["05.3"], space)
    assert check("05.3", (space["send"], space["receive"])) == "correct."


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
    monkeypatch.setattr(network, "trial", lambda *_, **__: tried.append(1) or failed)
    check("05.3", (stop_and_wait, deliver_in_order))
    assert len(tried) == 1


def test_06_2_wants_a_schedule_that_loses_the_update_of_p1(check):
    right = ["2r 1r 1a 1w 2a 2w", "2r 2a 1r 1a 1w 2w", " 2r  1r 1a 1w 2a 2w\n"]
    right += ["2R 1R 1A 1W 2A 2W", "2r, 1r, 1a, 1w, 2a, 2w", "P2r P1r P1a P1w P2a P2w"]
    right += ["2r 1r 1a 1w 2a 2w".split(), "2read 1read 1add 1write 2add 2write", "2r1r1a1w2a2w"]
    for text in right:
        assert check("06.2", text) == "correct."
    wrong = {
        lesson_06.EXAMPLES["lost update"]: "P1's update is lost, with 4 switches",
        "2r 1r 2a 1a 1w 2w": "P1's update is lost, with 4 switches",
        "1r 2r 2a 2w 1a 1w": "P2 must read before P1 writes, and write after it.",  # P2's is lost
        "1r 1a 1w 2r 2a 2w": "P2 must read before P1 writes",  # nothing is lost
        "2r 1r 1a 1w 2w 2a": "each process reads, adds and writes in this order",
        "2r 1r 1w 2w": "give a text with each of 1r 1a 1w 2r 2a 2w once.",
        "2 1 1 1 2 2": "give a text",
        "3r 1r 1a 1w 3a 3w": "give a text",
    }
    for text, why in wrong.items():
        assert check("06.2", text).startswith(f"not yet; {why}")


def counter(path):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TABLE IF EXISTS counter")
        connection.execute("CREATE TABLE counter (value INTEGER)")
        connection.execute("INSERT INTO counter VALUES (0)")


def is_two(path):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT value FROM counter").fetchone() == (2,)


def adds_one(*steps, commands=("BEGIN IMMEDIATE", "COMMIT")):
    """A worker that adds one to the counter, in steps of these names."""

    def add_one(me):
        with closing(database.open(me)) as connection:
            for step in steps:
                me.step(step)
                if step == "begin" and commands:
                    connection.execute(commands[0])
                elif step == "read":
                    (value,) = connection.execute("SELECT value FROM counter").fetchone()
                elif step == "write":
                    connection.execute("UPDATE counter SET value = ?", (value + 1,))
                    for command in commands[1:]:
                        connection.execute(command)

    return add_one


def adds_one_as_beginners_do(me):
    """A lock is there from its UPDATE to its commit, and nobody has asked for it."""
    with closing(sqlite3.connect(me.db)) as connection:
        me.step("read")
        (value,) = connection.execute("SELECT value FROM counter").fetchone()
        me.step("write")
        connection.execute("UPDATE counter SET value = ?", (value + 1,))
        connection.commit()


def verdict(worker):
    return schedule.explore({"P1": worker, "P2": worker}, is_two, setup=counter)


@pytest.mark.parametrize(
    "steps", ["read begin write", "read add begin write", "read begin add write"]
)
def test_06_3_wants_the_verdict_on_a_lock_that_is_taken_too_late(steps, check):
    late = verdict(adds_one(*steps.split()))
    assert check("06.3", late) == "correct."
    for part in (late.verdict, late.broken, late.schedule, str(late), late.total):
        assert check("06.3", part).startswith("not yet; give all of what schedule.explore returned")


def test_06_3_tells_a_lock_in_time(check):
    in_time = verdict(adds_one("begin", "read", "write"))
    assert in_time.verdict == "holds"
    assert check("06.3", in_time).startswith("not yet; this one is holds: ")


@pytest.mark.parametrize(
    "worker",
    [
        adds_one("read", "add", "write", commands=()),
        adds_one("read", "write", commands=()),
        adds_one("read", "begin", "write", commands=()),
        adds_one("read", "begin", "write", commands=("BEGIN", "COMMIT")),
        adds_one("read", "begin", "write", commands=("BEGIN IMMEDIATE",)),
        adds_one_as_beginners_do,
    ],
    ids=["no lock", "two steps", "a step alone", "BEGIN alone", "no COMMIT", "sqlite3's own"],
)
def test_06_3_does_not_take_a_worker_without_that_lock(worker, check):
    assert check("06.3", verdict(worker)).startswith(
        "not yet; this one is broken for want of a lock"
    )


def test_06_3_wants_two_processes_and_all_interleavings(check):
    late = adds_one("read", "begin", "write")
    three = schedule.explore(
        dict.fromkeys(("P1", "P2", "P3"), late), is_two, setup=counter, bound=9
    )
    assert check("06.3", three) == "not yet; explore two processes, without a bound."


def test_04_1_refuses_a_decoder_that_runs_what_it_is_given(check):
    for pair in ((str, eval), (repr, lambda line: list(eval(line)))):
        assert check("04.1", pair).startswith("not yet; decode runs what it is given")


@pytest.mark.parametrize(
    "answer, said",
    [
        ("a c d", "correct."),
        ("(a), (c) and (d)", "correct."),
        (["d", "c", "a"], "correct."),
        ("a c", "not yet; there is at least one more"),
        ("a b c d", "not yet; a lock that is held for long"),
        ("a c d e", "not yet; quick processes"),
        ("all", "not yet; name the true ones by their letters"),
        (7, "not yet; name the true ones by their letters"),
    ],
)
def test_07_1_wants_all_that_is_true_of_a_deadlock(answer, said, check):
    assert check("07.1", answer).startswith(said)


def dines(first, second, fails=False):
    def worker(me):
        with resources.hold(me, first), resources.hold(me, second):
            if fails:
                raise ValueError("no appetite")

    return worker


def test_07_2_wants_a_table_that_cannot_deadlock(check):
    forks = lesson_07.FORKS
    table = {f"P{n + 1}": dines(forks[n], forks[(n + 1) % 5]) for n in range(5)}
    assert check("07.2", table).startswith("not yet; it can still deadlock: 1fork_0 2fork_1")
    assert check("07.2", table | {"P5": dines(forks[0], forks[4])}) == "correct."
    one_fork = table | {"P5": dines(forks[0], forks[1])}
    assert check("07.2", one_fork).startswith("not yet; let each of the five take the two forks")
    raises = table | {"P5": dines(forks[0], forks[4], fails=True)}
    assert check("07.2", raises).startswith("not yet; it does not run to its end: P5 raised")
    for odd in (5, {"P1": dines(*forks[:2])}, list(table.values()), dict.fromkeys(table, 1)):
        assert check("07.2", odd).startswith("not yet; give the plan")


def test_08_1_wants_an_entry_of_ones_own_that_loses_nothing(check):
    def table(entry, verdict, processes=8):
        row = {"entry": entry, "processes": processes, "lost": 0, "verdict": verdict, "why": "so"}
        return pd.DataFrame([row])

    assert check("08.1", table("mine", "stored")) == "correct."
    assert check("08.1", table("mine", "lost")) == "not yet; mine lost: so"
    for none in (table("mine", "stored", 3), table("WAL", "stored")):
        assert check("08.1", none) == "not yet; let an entry of your own run with 8 processes."
    for odd in (table("mine", "stored")["lost"], pd.DataFrame({"a": [1]}), "mine", 0):
        assert check("08.1", odd).startswith("not yet; give the table")
    assert set(lesson_fixes.ENTRIES) == set(lesson_08.OURS)


def test_05_3_the_same_line_sent_twice_is_not_a_window():
    there, back = ("there", b"1 a"), ("back", b"1")
    assert not lesson_05._is_a_window(there, there) and not lesson_05._is_a_window(back, there)
    assert lesson_05._is_a_window(there, ("there", b"2 b"))
