"""The scripts in notebooks/, run as a learner runs them."""

import ast
import json
import os
import re
import signal
import socket
import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest

from streamlib import home, records, wire
from streamlib.tests import shipped
from streamlib.tests.conftest import DEADLINE_S, UNIX, is_one_sentence, until


def test_the_script_of_tasks_1_and_2_writes_the_log_of_each(tmp_path):
    script = shipped.text("notebooks/multiple_processes.py")
    assert "\nTASK_DURATION_SECONDS = 0 " in script and "\nLOCK_TIMEOUT_SECONDS = 5 " in script
    slow = script.replace("SECONDS = 0 ", "SECONDS = 3 ")
    quick_end, slow_end = "SUCCESS: all 6 rows are stored", "FAILURE: 2 of 6 rows were lost"
    for text, log, status, last in (
        (script, "out0.txt", 0, quick_end),
        (slow, "out3.txt", 1, slow_end),
    ):
        copy = tmp_path / "script.py"
        copy.write_text(text, encoding="utf-8")
        environment = os.environ | {"STREAMLIB_OUTPUTS": str(tmp_path)}
        done = subprocess.run([sys.executable, copy], env=environment, timeout=DEADLINE_S)
        assert done.returncode == status
        assert (tmp_path / log).read_text(encoding="utf-8").endswith(f" - {last}\n")


def changed(name, changes):
    """The text of a script in which these constants have other values."""
    text = shipped.text(f"notebooks/{name}")
    for constant, value in changes.items():
        text, times = re.subn(rf"^{constant} = .*$", f"{constant} = {value}", text, flags=re.M)
        assert times == 1
    return text


@pytest.fixture
def tasks_1_and_2(tmp_path):
    """`start(**changes)` starts a copy of that script in which constants have other values."""
    started = []

    def start(environment=(), **changes):
        copy = tmp_path / f"script{len(started)}.py"
        copy.write_text(changed("multiple_processes.py", changes), encoding="utf-8")
        environment = os.environ | {"STREAMLIB_OUTPUTS": str(tmp_path)} | dict(environment)
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8"}
        started.append(subprocess.Popen([sys.executable, copy], env=environment, **pipes))
        return started[-1]

    yield start
    for one in started:
        one.kill()
        one.communicate()


def refusal(process):
    """The sentence with which a script ends that did nothing."""
    out, errors = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, out) == (1, "") and is_one_sentence(errors.rstrip("\n")), errors
    return errors


def test_tasks_1_and_2_in_a_second_terminal_spoil_nothing_of_the_first(tasks_1_and_2, tmp_path):
    first = tasks_1_and_2(TASK_DURATION_SECONDS=3)
    log = tmp_path / "out3.txt"
    until(lambda: log.exists() and "Insert of" in log.read_text(encoding="utf-8"))
    for duration in (3, 0):  # the same log; another one, of the same database
        second = tasks_1_and_2(TASK_DURATION_SECONDS=duration)
        assert "it runs in another terminal: wait until" in refusal(second)
    out, errors = first.communicate(timeout=DEADLINE_S)
    assert errors == "" and "4 of 6" in out
    assert log.read_text(encoding="utf-8") == out and not (tmp_path / "out0.txt").exists()
    assert tasks_1_and_2().wait(DEADLINE_S) == 0  # the lock is open again


# Python starts once and runs each script that it is given, until that leaves with a sentence.
SEVERAL = """
import contextlib, io, json, runpy, sys
done = []
for path in sys.argv[1:]:
    out, errors, status = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        try:
            runpy.run_path(path, run_name="__main__")
        except SystemExit as left:
            told = isinstance(left.code, str)
            status = 1 if told else left.code or 0
            errors.write(left.code if told else "")
    done.append((status, out.getvalue(), errors.getvalue()))
print(json.dumps(done))
"""


def run_each(texts, folder, **environment):
    """Run scripts one after another in one Python; return exit status, output, errors of each."""
    paths = [folder / f"script{number}.py" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text, encoding="utf-8")
    environment |= {"STREAMLIB_OUTPUTS": str(folder), "PYTHONPATH": str(home.root)}
    done = subprocess.run(
        [sys.executable, "-c", SEVERAL, *map(str, paths)],
        env=os.environ | environment,
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE_S,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


WRONG = {
    "a duration below 0": {"TASK_DURATION_SECONDS": -3},
    "a duration as text": {"TASK_DURATION_SECONDS": "'3'"},
    "no duration": {"TASK_DURATION_SECONDS": "None"},
    "more than an hour": {"TASK_DURATION_SECONDS": 4000},
    "a timeout below 0": {"TASK_DURATION_SECONDS": 3, "LOCK_TIMEOUT_SECONDS": -1},
}


def test_what_is_wrong_is_told_in_a_sentence_before_a_log_is_emptied(tmp_path):
    before = "2024-01-01 00:00:00,000 - INFO - Task duration 3 s\n"
    (tmp_path / "out3.txt").write_text(before, encoding="utf-8")
    name = "multiple_processes.py"
    told = run_each([changed(name, changes) for changes in WRONG.values()], tmp_path)
    slow = changed(name, {"TASK_DURATION_SECONDS": 3})
    told += run_each([slow], tmp_path, STREAMLIB_SCALE="0.01")
    for case, (status, out, errors) in zip([*WRONG, "a wrong scale"], told, strict=True):
        assert (status, out) == (1, "") and is_one_sentence(errors.rstrip("\n")), (case, errors)
    assert (tmp_path / "out3.txt").read_text(encoding="utf-8") == before
    assert [one.name for one in tmp_path.glob("out*")] == ["out3.txt"]


@pytest.mark.parametrize("name", ["pets.db", "turn.db"])
def test_a_database_that_cannot_be_used_empties_no_log(name, tasks_1_and_2, tmp_path):
    (tmp_path / name).mkdir()
    refusal(tasks_1_and_2())
    assert not (tmp_path / "out0.txt").exists()


@UNIX
def test_tasks_1_and_2_stopped_by_hand_end_with_a_sentence(tasks_1_and_2):
    script = tasks_1_and_2(TASK_DURATION_SECONDS=30)
    while "Insert of" not in script.stdout.readline():
        pass
    script.send_signal(signal.SIGINT)
    _, errors = script.communicate(timeout=DEADLINE_S)
    assert errors == "Stopped by hand: the log ends here, and nothing was left running.\n"


def run(name, folder, environment=(), status=0, **changes):
    """Run a copy of a script in which these constants have other values; return what it printed."""
    copy = folder / name
    copy.write_text(changed(name, changes), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, copy],
        env=os.environ | {"STREAMLIB_OUTPUTS": str(folder)} | dict(environment),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=DEADLINE_S,
    )
    assert done.returncode == status and bool(done.stderr) == bool(status)
    return done.stderr.rstrip("\n") if status else done.stdout


def test_the_script_of_task_3_sends_oldest_first_what_a_receiver_can_compare(tmp_path, start):
    source, out = tmp_path / "source.csv", tmp_path / "out_0.txt"
    source.write_text("Year,Month,Day,Time,TempF\n2024,1,2,0:00,31\n2024,1,1,23:00,30\n")
    receiver = start("receive", "udp://localhost:0", "--out", out)
    address = wire.parse(receiver.url).address
    changes = {"INPUT": f"r'{source}'", "ADDRESS": address, "SECONDS": (0, 0)}
    assert run("process_streaming_0.py", tmp_path, **changes).endswith("\n2 rows sent.\n")
    assert receiver.wait(DEADLINE_S) == 0
    assert [one["row"]["TempF"] for one in records.read(out)] == ["30", "31"]


NARROW = [{"PYTHONIOENCODING": "cp1252"}, {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}]


@pytest.mark.parametrize("environment", NARROW, ids=["cp1252", "ascii"])
def test_a_letter_that_the_screen_lacks_does_not_stop_a_stream(tmp_path, start, environment):
    source, out = tmp_path / "source.csv", tmp_path / "out_0.txt"
    lines = ["Year,Month,Day,Time,Town", "2024,1,1,0:00,Łódź", "2024,1,1,1:00,東京"]
    source.write_text("\n".join(lines) + "\n", encoding="utf-8")
    receiver = start("receive", "udp://localhost:0", "--out", out)
    changes = {"INPUT": f"r'{source}'", "SECONDS": (0, 0), "PORT": receiver.url.split(":")[-1]}
    said = run("process_streaming_0.py", tmp_path, environment, **changes)
    assert "\\u0141" in said and receiver.wait(DEADLINE_S) == 0
    assert [one["row"]["Town"] for one in records.read(out)] == ["Łódź", "東京"]
    changes = {"NAME": "'Łukasz'", "SECONDS": (0, 0.01)}
    said = run("process_streaming_yourname.py", tmp_path, environment, **changes)
    assert "\\u0141ukasz streams 12 rows" in said and "All 12 rows arrived once" in said


def test_a_script_that_fails_has_ended_its_stream(tmp_path, start):
    """The second row is more than a datagram can take."""
    source, out = tmp_path / "source.csv", tmp_path / "out_0.txt"
    source.write_text(f"Date,n\n2024-01-01,1\n2024-01-02,{'2' * 70_000}\n", encoding="utf-8")
    receiver = start("receive", "udp://localhost:0", "--out", out)
    changes = {"INPUT": f"r'{source}'", "SECONDS": (0, 0), "PORT": receiver.url.split(":")[-1]}
    assert is_one_sentence(run("process_streaming_0.py", tmp_path, status=1, **changes))
    assert receiver.wait(DEADLINE_S) == 0
    assert receiver.lines[-1] == f"1 rows written to {out}; the sender ended."


CANNOT_RUN = {
    "a port of the system's": ("process_streaming_0.py", {"PORT": 80}),
    "a port as text": ("process_streaming_0.py", {"PORT": "'9999'"}),
    "more than a port": ("process_streaming_0.py", {"PORT": 99_999}),
    "no such file": ("process_streaming_0.py", {"INPUT": "home.data / 'none.csv'"}),
    "pauses turned round": ("process_streaming_0.py", {"SECONDS": (3, 1)}),
    "no such file of yours": ("process_streaming_yourname.py", {"INPUT": "'none.csv'"}),
    "no such column": ("process_streaming_yourname.py", {"COLUMNS": "['nmae']"}),
    "no rows": ("process_streaming_yourname.py", {"ROWS": 0}),
    "rows as text": ("process_streaming_yourname.py", {"ROWS": "'12'"}),
    "nothing to send again": ("process_streaming_yourname99.py", {}),
}


def test_a_script_that_cannot_run_says_what_to_do_in_a_sentence(tmp_path):
    texts = [changed(name, changes) for name, changes in CANNOT_RUN.values()]
    each = run_each(texts, tmp_path)
    for case, (status, out, errors) in zip(CANNOT_RUN, each, strict=True):
        assert status == 1 and is_one_sentence(errors.rstrip("\n")), (case, out, errors)
    assert not list(tmp_path.glob("out*"))


@pytest.fixture(scope="module")
def task_4(tmp_path_factory):
    """The folder in which the script of task 4 has run, and what it said."""
    folder = tmp_path_factory.mktemp("task_4")
    return folder, run("process_streaming_yourname.py", folder, SECONDS=(0, 0.01))


def test_the_script_of_task_4_prints_each_row_that_it_sends(task_4):
    folder, said = task_4
    lines = said.splitlines()
    sent = [one["row"] for one in records.read(folder / "out9.txt")]
    assert len(sent) == 12
    assert lines[2:14] == [f"sent {number}: {row}" for number, row in enumerate(sent, start=1)]


@UNIX
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("name", ["process_streaming_0.py", "process_streaming_yourname.py"])
def test_a_script_stopped_by_hand_says_so_and_has_ended_its_stream(name, times, tmp_path, start):
    receiver = start("receive", "udp://localhost:0", "--out", tmp_path / "out_0.txt")
    changes = {"SECONDS": (0.2, 0.2)}
    changes |= {"PORT": receiver.url.split(":")[-1]} if name == "process_streaming_0.py" else {}
    copy = tmp_path / name
    copy.write_text(changed(name, changes), encoding="utf-8")
    environment = os.environ | {"STREAMLIB_OUTPUTS": str(tmp_path)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "encoding": "utf-8"}
    with subprocess.Popen([sys.executable, copy], env=environment, **pipes) as script:
        while "sent 2" not in script.stdout.readline():
            pass
        for _ in range(times):
            script.send_signal(signal.SIGINT)
        out, _ = script.communicate(timeout=DEADLINE_S)
    assert "topped by hand" in out and "Traceback" not in out
    if name == "process_streaming_0.py":
        assert receiver.wait(DEADLINE_S) == 0 and receiver.lines[-1].endswith("the sender ended.")
    else:
        assert b'"end": true' in (tmp_path / "out9.txt").read_bytes().splitlines()[-1]


@pytest.mark.parametrize("name", [n for n in shipped.names(".py") if "reading" not in n])
def test_a_script_tells_a_new_terminal_to_activate_the_environment_first(name):
    told = ast.get_docstring(ast.parse(shipped.text(name)))
    before = re.findall(r"^    (.*)\n    python notebooks/", told, re.M)
    assert before == ["source .venv/bin/activate"]


def test_the_port_of_a_script_stands_in_one_place():
    for name, port in (("process_streaming_0", 9999), ("reading_udp", 9997), ("reading_tcp", 9996)):
        text = shipped.text(f"notebooks/{name}.py")
        _, code = text.split("import ", 1)  # what precedes it is prose
        assert len(re.findall(rf"\b{port}\b", code)) == 1, name


def test_the_scripts_of_task_4_write_two_files_with_the_same_rows(task_4):
    folder, said = task_4
    assert "All 12 rows arrived once, unaltered and in order" in said
    said = run("process_streaming_yourname99.py", folder)
    assert said.endswith(": All 12 rows arrived once, unaltered and in order.\n")
    rows = [[one["row"] for one in records.read(folder / f"out{n}.txt")] for n in (9, 99)]
    assert rows[0] == rows[1]


# the programs to read, each at a port that is free


@pytest.fixture(params=["reading_udp.py", "reading_tcp.py"])
def program(request, tmp_path):
    """A copy of a program: `start(*words)` runs it, `address` is where it listens."""
    kind = socket.SOCK_DGRAM if "udp" in request.param else socket.SOCK_STREAM
    with socket.socket(type=kind) as free:
        free.bind(("127.0.0.1", 0))
        address = free.getsockname()
    source = shipped.text(f"notebooks/{request.param}")
    copy, started = tmp_path / request.param, []
    text, times = re.subn(
        r'^(ADDRESS = \("localhost"), \d+\)$', rf"\1, {address[1]})", source, flags=re.M
    )
    assert times == 1
    copy.write_text(text, encoding="utf-8")

    def start(*words, listens=True):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8"}
        started.append(subprocess.Popen([sys.executable, copy, *words], **pipes))
        if words == ("receive",) and listens:
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


def test_a_program_to_read_without_its_word_says_which_there_are(program):
    for words in ((), ("recieve",), ("receive", "5"), ("--help",)):
        errors = refusal(program.start(*words))
        assert f"python notebooks/{program.copy.name} receive" in errors


def test_a_program_to_read_that_hears_nobody_says_what_to_do(program):
    text = program.copy.read_text(encoding="utf-8")
    assert text.count("settimeout(20)") == 1 and text.count("for 20 seconds: ") == 1
    program.copy.write_text(text.replace("settimeout(20)", "settimeout(0.1)"), encoding="utf-8")
    assert "start send in another terminal." in refusal(program.start("receive", listens=False))


def test_a_program_to_read_whose_port_is_in_use_says_what_to_do(program):
    program.start("receive")
    errors = refusal(program.start("receive", listens=False))
    assert f"end the other program at port {program.address[1]}, or" in errors


def test_reading_tcp_sends_to_nobody_with_a_sentence(program):
    sender = program.start("send")
    if program.kind == socket.SOCK_DGRAM:
        assert said(sender) == []  # nobody tells it
    else:
        assert "Nobody listens: start it with receive" in refusal(sender)


@UNIX
def test_a_program_to_read_that_is_stopped_says_so(program):
    receiver = program.start("receive")
    receiver.send_signal(signal.SIGINT)
    assert receiver.communicate(timeout=DEADLINE_S) == ("", "Stopped by hand.\n")
