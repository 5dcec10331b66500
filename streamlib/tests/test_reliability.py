"""Trials of a reliability layer, and the programs to read."""

import os
import re
import socket
import subprocess
import sys
import time
from contextlib import suppress
from types import SimpleNamespace

import cloudpickle
import psutil
import pytest

from streamlib import home, impair, records, reliability
from streamlib.stream import fates
from streamlib.tests import reliable
from streamlib.tests.test_stream import DEADLINE_S
from streamlib.tests.test_stream_programs import until

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
