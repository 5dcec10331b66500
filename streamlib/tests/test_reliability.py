"""Trials of a reliability layer, the checks of notebooks 03 to 05, and the programs to read."""

import ast
import functools
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from types import SimpleNamespace

import cloudpickle
import pandas as pd
import psutil
import pytest

from streamlib import exercises as checks
from streamlib import home, impair, records, reliability
from streamlib.stream import fates
from streamlib.tests import reliable
from streamlib.tests.conftest import DEADLINE_S, until

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # as the functions of a notebook are
SEEDS = range(int(os.environ.get("STREAMLIB_SEEDS", 5)))
LINES = [records.encode(seq, {"n": str(seq)}) for seq in range(1, 61)]


def bad(seed):
    return impair.Network(loss=0.2, reorder=0.1, duplicate=0.1, delay_s=0.002, seed=seed)


def stop_and_wait(sock, lines, patience_s=0.02):
    """As in notebook 05, as is the next one."""
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


@pytest.mark.parametrize("seed", SEEDS)
def test_the_reference_delivers_each_row_once_and_in_order(seed):
    trial = reliability.trial(reliable.send, reliable.receive, LINES, bad(seed))
    assert trial.ok and trial.problems == [] and trial.seconds > 0
    assert trial.fates["fate"].tolist() == ["arrived"] * 60
    assert {way for _, way, *_ in trial.log} == {"there", "back"}
    assert repr(trial) == "<trial: All 60 rows arrived once, unaltered and in order.>"


@pytest.mark.parametrize("seed", [0, 1])
def test_stop_and_wait_delivers_each_row_too(seed):
    trial = reliability.trial(stop_and_wait, deliver_in_order, LINES[:30], bad(seed))
    assert trial.ok, trial


# layers that are wrong


def never_resends(sock, lines):
    for number, line in enumerate(lines):
        sock.send(b"%d " % number + line)


def deliver_all(sock, deliver):
    while True:
        number, _, line = sock.recv(65_507).partition(b" ")
        sock.send(number)
        deliver(line)


def deliver_at_once(sock, deliver):
    seen = set()
    while True:
        number, _, line = sock.recv(65_507).partition(b" ")
        sock.send(number)
        if number not in seen:
            deliver(line)
        seen.add(number)


def deliver_altered(sock, deliver):
    deliver_in_order(sock, lambda line: deliver(line.replace(b'{"n": "7"}', b'{"n": "x"}')))


def returns_too_early(sock, lines):
    """Returns as soon as the last line is acknowledged, whatever became of the others."""
    never_resends(sock, lines[:-1])
    acknowledged = None
    while acknowledged != len(lines) - 1:
        sock.send(b"%d " % (len(lines) - 1) + lines[-1])
        with suppress(TimeoutError):
            acknowledged = int(sock.recv(100))


WRONG = {
    "never resends": (never_resends, deliver_in_order, bad(1), {"lost"}),
    "delivers repeated ones": (
        stop_and_wait,
        deliver_all,
        impair.Network(duplicate=0.5),
        {"duplicated"},
    ),
    "delivers out of order": (reliable.send, deliver_at_once, bad(1), {"out of order"}),
    "acknowledges and drops": (reliable.send, deliver_in_order, bad(1), {"lost"}),
    "alters a line": (stop_and_wait, deliver_altered, impair.Network(), {"never in the source"}),
    "returns too early": (returns_too_early, reliable.receive, bad(1), {"lost"}),
}


@pytest.mark.parametrize("send, receive, network, told", WRONG.values(), ids=WRONG)
def test_a_wrong_layer_is_told(send, receive, network, told):
    trial = reliability.trial(send, receive, LINES[:30], network)
    assert not trial.ok and trial.problems == []
    assert told <= set(trial.fates["fate"])
    assert fates.verdict(trial.fates) in repr(trial)


@pytest.mark.parametrize("who", ["sender", "receiver"])
def test_an_error_of_the_layer_is_a_problem_and_no_traceback(who):
    def fails(*arguments):
        raise RuntimeError("mine")

    layer = {"sender": never_resends, "receiver": deliver_in_order, who: fails}
    trial = reliability.trial(*layer.values(), LINES[:3], impair.Network())
    assert not trial.ok and any(who in said and "mine" in said for said in trial.problems)
    assert "mine" in repr(trial)


def test_an_endless_layer_is_ended():
    def endless(sock, lines):
        while True:
            time.sleep(0.01)

    trial = reliability.trial(endless, deliver_in_order, LINES[:3], impair.Network(), timeout_s=1)
    assert not trial.ok and trial.problems and trial.seconds != trial.seconds
    assert trial.log == [] and set(trial.fates["fate"]) == {"lost"}


def test_a_layer_that_prints_dots_is_tried_too():
    def dotted(sock, lines):
        print(".", end="")
        stop_and_wait(sock, lines)

    assert reliability.trial(dotted, deliver_in_order, LINES[:3], impair.Network()).ok


def test_a_layer_that_delivers_no_record_does_not_spoil_the_next_trial(tmp_path, monkeypatch):
    def deliver_with_number(sock, deliver):
        while True:
            datagram = sock.recv(65_507)
            sock.send(datagram.partition(b" ")[0])
            deliver(datagram)

    monkeypatch.setattr(home, "runs", tmp_path)  # and not those of other tests
    network = impair.Network()
    assert not reliability.trial(stop_and_wait, deliver_with_number, LINES[:3], network).ok
    assert reliability.trial(stop_and_wait, deliver_in_order, LINES[:3], network, timeout_s=2).ok


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
    monkeypatch.setattr(checks.reliability, "trial", lambda *_, **__: tried.append(1) or trial)
    check("05.3", (stop_and_wait, deliver_in_order))
    assert len(tried) == 1


# the programs to read, each at a port that is free


@pytest.fixture(params=["reading_udp.py", "reading_tcp.py"])
def program(request, tmp_path):
    """A copy of a program: `start(word)` runs it, `address` is where it listens."""
    kind = socket.SOCK_DGRAM if "udp" in request.param else socket.SOCK_STREAM
    with socket.socket(type=kind) as free:
        free.bind(("127.0.0.1", 0))
        address = free.getsockname()
    source = (home.root / "notebooks" / request.param).read_text(encoding="utf-8")
    copy, started = tmp_path / request.param, []
    text, times = re.subn(
        r'^(ADDRESS = \("localhost"), \d+\)$', rf"\1, {address[1]})", source, flags=re.M
    )
    assert times == 1
    copy.write_text(text, encoding="utf-8")

    def start(word):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8"}
        started.append(subprocess.Popen([sys.executable, copy, word], **pipes))
        if word == "receive":
            here = psutil.Process(started[-1].pid)
            until(lambda: any(one.laddr.port == address[1] for one in here.net_connections()))
        return started[-1]

    yield SimpleNamespace(kind=kind, address=address, start=start, copy=copy)
    for one in started:
        one.kill()
        one.communicate()


def said(process):
    out, errors = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, errors) == (0, "")
    return out.splitlines()


def test_a_program_to_read_receives_what_it_sends(program):
    receiver = program.start("receive")
    assert said(program.start("send")) == []
    lines = [re.sub(r"from port \d+ ", "", line) for line in said(receiver)]
    assert lines == [f"came row {n}" for n in range(1, 6)]


def test_a_program_to_read_with_rows_that_are_cut_or_missing(program):
    """As questions 05.1 b and c and 05.2 c and d have it: three of five rows; cuts anywhere."""
    text = program.copy.read_text(encoding="utf-8").replace("sys.argv[1]](5)", "sys.argv[1]](3)")
    program.copy.write_text(text, encoding="utf-8")
    receiver = program.start("receive")
    with socket.socket(type=program.kind) as sender:
        sender.connect(program.address)
        datagrams = [b'{"seq": %d, "text": "row %d"}' % (n, n) for n in (3, 4, 5)]
        if program.kind == socket.SOCK_DGRAM:
            for one in datagrams:
                sender.send(one)
            here = f"from port {sender.getsockname()[1]} came row"
            told = ["expected 1 but got 3", f"{here} 3", f"{here} 4", f"{here} 5"]
        else:
            sender.sendall(b"\n".join(datagrams))
            told = ["came row 3", "came row 4", "the sender broke off in the middle of a row"]
    assert said(receiver) == told
