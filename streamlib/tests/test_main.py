"""The programs for a terminal, run as a learner runs them."""

import json
import os
import random
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from types import SimpleNamespace

import nbformat
import psutil
import pytest

from streamlib import __main__ as terminal
from streamlib import database, home, records, stream, wire
from streamlib.tests import shipped
from streamlib.tests.conftest import (
    DEADLINE_S,
    UNIX,
    aside,
    is_one_sentence,
    received_counts,
    run,
    run_each,
    stored,
    until,
)

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - (INFO|WARNING|ERROR) - .+")


def lines(path):
    """Return the lines of a log, each of which has a time, a level and a message."""
    found = path.read_text(encoding="utf-8").splitlines()
    assert all(LINE.fullmatch(line) for line in found), found
    return [line.split(" - ", 2)[1:] for line in found]


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    """A folder for what the programs of one test write, and no others do."""
    monkeypatch.setenv("STREAMLIB_OUTPUTS", str(tmp_path))
    return tmp_path


# what there is


def options(*names):
    """Yield the options of each of the programs, as its --help lists them."""
    for done in run_each(*([name, "--help"] for name in names), COLUMNS="200"):
        assert (done.returncode, done.stderr) == (0, "")
        yield set(re.findall(r"(?<![\w-])--[a-z-]+", done.stdout))


def test_readme_has_each_program_and_only_options_that_it_has():
    readme = shipped.text("README.md")
    named = set(re.findall(r"python -m streamlib (\w+)", readme))
    here = set(terminal.PROGRAMS)
    if not (home.root / "streamlib" / "lab.py").exists():
        here -= {"lab"}
    assert named == here
    used = {name: set() for name in named - {"lab"}}  # JupyterLab has its own
    for line in readme.splitlines():
        found = re.search(r"python -m streamlib (\w+)", line)
        if found and found[1] in used:
            in_table = " ".join(line.split("`")[1::2])
            code = line if line.startswith("python") else in_table
            used[found[1]] |= set(re.findall(r"(?<!\S)--[a-z-]+", code))
    assert sum(map(len, used.values())) > 15
    for (name, its), there in zip(used.items(), options(*used), strict=True):
        assert its <= there, name


def test_help_has_a_line_for_each_program_and_after_its_name_is_its_own():
    done, its = run_each(["--help"], ["send", "--help"])
    assert done.returncode == its.returncode == 0
    for name, program in terminal.PROGRAMS.items():
        assert re.search(rf"^  {name} +{re.escape(program.__doc__)}$", done.stdout, re.MULTILINE)
    assert its.stdout.startswith("usage: python -m streamlib send [-h] --to TO")
    assert terminal.send.__doc__ in its.stdout and "--oldest-first" in its.stdout


def test_a_command_line_that_makes_no_sense_is_one_sentence_and_exit_status_2():
    cases = [
        ([], "python -m streamlib: the following arguments are required: program"),
        (["nonsense"], "python -m streamlib: argument program: invalid choice: 'nonsense'"),
        (["receive"], "python -m streamlib receive: the following arguments are required: url"),
        (["send", "--nonsense"], "python -m streamlib send: "),
        (["pets", "--hold", "x"], "python -m streamlib pets: argument --hold: invalid float"),
    ]
    each = run_each(*(words for words, _ in cases))
    for done, (_, sentence) in zip(each, cases, strict=True):
        assert (done.returncode, done.stdout) == (2, ""), done.args
        assert done.stderr.startswith(sentence) and done.stderr.count("\n") == 1
        assert done.stderr.endswith(" --help.\n")


def test_what_stands_behind_lab_goes_on_to_jupyterlab(monkeypatch):
    given = []
    opened = SimpleNamespace(open_lab=lambda arguments: given.append(list(arguments)) or 7)
    monkeypatch.setitem(sys.modules, "streamlib.lab", opened)
    assert terminal.main(["lab", "--no-browser", "--port=0", "--help"]) == 7
    assert given == [["--no-browser", "--port=0", "--help"]]


# tasks 1 and 2


def test_quick_pets_succeed(outputs):
    done = run("pets")
    assert done.returncode == 0, done.stderr
    log = lines(outputs / "out0.txt")
    assert log[-1] == ["INFO", "SUCCESS: all 6 rows are stored"]
    assert sum(message.startswith("COMMIT ") for _, message in log) == 6
    assert done.stdout == (outputs / "out0.txt").read_text(encoding="utf-8")


def test_slow_pets_lose_two_rows_and_exit_with_1(outputs):
    out = outputs / "mine.txt"
    done = run("pets", "--hold", 3, "--timeout", 5, "--out", out)
    assert done.returncode == 1
    log = lines(out)
    assert log[-1] == ["ERROR", "FAILURE: 2 of 6 rows were lost"]
    assert sum(message.startswith("LOCKED ") for _, message in log) == 2
    assert sum(message.startswith("COMMIT ") for _, message in log) == 4
    assert any("Task duration 3 s, lock timeout 5 s" in message for _, message in log)
    assert any("in the database: 4 of 6" in message for _, message in log)


def test_two_programs_on_one_database(outputs):
    db = outputs / "shared.db"
    for name, expected in [("first", 6), ("second", 12)]:
        done = run("pets", "--db", db, "--keep", "--out", outputs / f"{name}.txt")
        assert done.returncode == 0, done.stderr
        assert len(database.rows(db)) == expected
    log = lines(outputs / "second.txt")
    assert ["INFO", "Rows in the database in all: 12"] in log


def test_two_programs_at_the_same_time(outputs):
    """The second starts while the first is at work, on a database that was not there."""
    db = outputs / "shared.db"
    pets = [sys.executable, "-m", "streamlib", "pets", "--hold", "3"]
    words = [*pets, "--db", db, "--keep", "--out"]
    quiet = {"stdout": subprocess.PIPE, "encoding": "utf-8"}
    with subprocess.Popen([*words, outputs / "first.txt"], **quiet) as first:
        while "COMMIT" not in first.stdout.readline():
            pass  # it has begun: its first row is stored
        with subprocess.Popen([*words, outputs / "second.txt"], **quiet) as second:
            second.communicate()
        first.communicate()
    assert (first.returncode, second.returncode) == (1, 1)
    logs = [lines(outputs / f"{name}.txt") for name in ("first", "second")]
    stored = sum(message.startswith("COMMIT ") for log in logs for _, message in log)
    assert stored == len(database.rows(db)) < 12


def test_clear_removes_outputs_and_nothing_else(tmp_path):
    cell = nbformat.v4.new_code_cell("1 + 1", execution_count=3)
    cell.outputs = [nbformat.v4.new_output("execute_result", {"text/plain": "2"})]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("Ünï"), cell])
    path = tmp_path / "book.ipynb"
    nbformat.write(book, path)
    assert run("clear", path).returncode == 0
    cleared = nbformat.read(path, as_version=4)
    assert cleared.cells[1].outputs == [] and cleared.cells[1].execution_count is None
    cell.outputs, cell.execution_count = [], None
    assert cleared == book


# streams


class Asking:
    """A sender that waits until the receiver has read all it was sent: what is asked is echoed."""

    def __init__(self, url):
        self.asked = 0
        self._socket = socket.socket(type=socket.SOCK_DGRAM)
        self._socket.settimeout(DEADLINE_S)
        self._socket.connect(wire.parse(url).address)
        self.send = self._socket.send

    def wait(self):
        self.asked += 1
        question = b'{"ask": %d}' % self.asked
        self.send(question)
        while self._socket.recv(65_536) != question:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._socket.close()


def hostile(rng, seq):
    """Return (what it counts as, a datagram) that no honest sender would send."""
    record = records.encode(seq, {"honest": seq})
    name = rng.choice(["undecodable"] * 4 + ["malformed"] * 4 + ["ask"])
    lines = {
        "undecodable": [
            b"\xff" + rng.randbytes(rng.randrange(500)),
            record[: rng.randrange(len(record))],
            record.replace(b'"sent": ', b'"sent": NaN'),
            record.replace(b'"seq": ', b'"seq": 1' + b"0" * 5000),
            b"[" * 60_000,
        ],
        "malformed": [
            record.replace(b'"seq"', b'"seq": %s, "was"' % rng.choice(b"0 -1 true 1.5".split())),
            records.encode(rng.choice([2**60, 10**300]), {}),
            rng.choice([b"7", b"null", b"[]", b'{"honest": 1}', b'{"ask": 1}' + b" " * 50]),
            record.replace(b'"row": {', b'"row": [{')[:-1] + b"]}",
            records.encode_end(seq),  # the end of a stream that never began
            b'"' + b"x" * 60_000 + b'"',
        ],
        "ask": [b'{"ask": 7}'],
    }
    return name, rng.choice(lines[name])


def test_10_000_hostile_datagrams_change_nothing_but_their_counters(start, tmp_path):
    out, rng = tmp_path / "out9.txt", random.Random(20240607)
    receiver = start("receive", "udp://localhost:0", "--out", out)
    process, memory = psutil.Process(receiver._process.pid), []
    counts = {"undecodable": 0, "malformed": 0, "ask": 0}
    with Asking(receiver.url) as stranger, Asking(receiver.url) as other:

        def honest():
            """Rows, and before each of them junk, until the receiver has read that."""
            for n in range(1000):
                for _ in range(9):
                    name, line = hostile(rng, n + 1)
                    counts[name] += 1
                    stranger.send(line)
                    if len(line) > 500:
                        stranger.wait()
                other.send(records.encode([1, 2**50][n % 2], {"repeated": n}))
                stranger.wait()
                other.wait()
                if n in (99, 999):
                    memory.append(process.memory_info().rss)
                yield {"honest": n}
            other.send(records.encode_end(2**50))

        done = aside(stream.send, honest(), receiver.url)()
    assert done.acknowledged and done.rows == 1000
    assert receiver.wait(DEADLINE_S) == 1
    assert received_counts(receiver) == {
        "rows": 1000,
        "repeated": 998,
        "missing": 2**50 - 2,
        "malformed": counts["undecodable"] + counts["malformed"],
    }
    assert memory[1] - memory[0] < 8_000_000
    for file, name in ((out, "repeated"), (tmp_path / "out9-2.txt", "honest")):
        assert [one["row"] for one in stored(file)[:-1]] == [{name: n} for n in range(1000)]


@UNIX
def test_a_receiver_that_is_stopped_by_hand_has_written_all(start, tmp_path):
    out = tmp_path / "out9.txt"
    receiver = start("receive", "udp://localhost:0", "--out", out)
    with Asking(receiver.url) as sender:
        for seq in range(1, 101):
            sender.send(records.encode(seq, {}))
        sender.wait()
        receiver._process.send_signal(signal.SIGINT)
        assert receiver.wait(DEADLINE_S) == 0
    assert receiver.lines[-1] == f"100 rows written to {out}; stopped by hand."
    assert [one["seq"] for one in stored(out)] == list(range(1, 101))


@UNIX
@pytest.mark.parametrize("way", ["signal", "stop"])
def test_a_sender_that_is_stopped_by_hand_ends_its_stream(start, tmp_path, numbers, way):
    out = tmp_path / "out9.txt"
    receiver = start("receive", "udp://localhost:0", "--out", out)
    sender = start("send", numbers, "--to", receiver.url, "--every", 0.5)
    until(lambda: out.read_bytes().count(b"\n") >= 3)
    if way == "signal":
        sender._process.send_signal(signal.SIGINT)
    assert (sender.stop() if way == "stop" else sender.wait(DEADLINE_S)) == 0
    assert receiver.wait(DEADLINE_S) == 0
    *rows, end = stored(out)
    assert [one["seq"] for one in rows] == list(range(1, end["seq"] + 1)) and end["end"] is True
    assert sender.lines[-1] == f"{end['seq']:,} rows sent; stopped by hand."


def test_compare_finds_a_source_that_was_sent_oldest_first(tmp_path, numbers):
    out = tmp_path / "out99.txt"
    sending = ["send", numbers, "--to", f"file:{out}", "--oldest-first", "--limit", 500]
    sent, done = run_each(sending, ["compare", numbers, out])
    assert (sent.returncode, sent.stderr) == (0, "")
    assert "500 rows sent; limit reached." in sent.stdout
    assert done.returncode == 0 and "The rows came oldest first." in done.stdout
    assert done.stdout.endswith("All 500 rows arrived once, unaltered and in order; 500 more of "
                                "the source were not sent.\n")  # fmt: skip


def test_a_sender_with_a_pace_tells_of_each_row_that_it_sent_the_last_one_too(numbers, tmp_path):
    options = ["--every", "0.01", "--limit", "3"]
    done = run("send", numbers, "--to", f"file:{tmp_path / 'out9.txt'}", *options)
    told = [line.split(":")[0] for line in done.stdout.splitlines() if line.startswith("sent ")]
    assert told == ["sent 1", "sent 2", "sent 3"]


def test_sending_and_its_exit_status(numbers, tmp_path):
    cases = [
        (["--limit", "0"], 2, "limit is 0: give a whole number of rows, 1 or more."),
        (["--limit", "2", "--every", "0", "0.1", "--seed", "1"], 0, "2 rows sent; limit reached."),
        (["--limit", "2", "--format", "course"], 0, "2 rows sent; limit reached."),
        (["--limit", "-1"], 2, "python -m streamlib send: limit is -1: give a whole number of"),
        (["--every", "3", "1"], 2, "the smaller first."),
        (["--every", "1", "2", "3"], 2, "every is (1.0, 2.0, 3.0): give seconds, or two of them"),
        (["--every", "-1"], 2, "every is -1.0: give a number of seconds from 0 to 3600."),
        (["--to", "udp://localhost:70000"], 2, "a port from 0 to 65535"),
        (["--to", "file:."], 2, "cannot be written ("),
        (["--format", "xml"], 2, "invalid choice: 'xml'"),
    ]
    outs = [tmp_path / f"out9-{number}.txt" for number in range(len(cases))]
    to = zip(outs, cases, strict=True)
    each = run_each(*(["send", numbers, "--to", f"file:{out}", *case[0]] for out, case in to))
    for done, out, (words, status, said) in zip(each, outs, cases, strict=True):
        assert done.returncode == status, words
        assert said in (done.stderr if status else done.stdout) and "Traceback" not in done.stderr
        if "course" in words:
            assert out.read_text(encoding="utf-8") == "[0, 2999-01-01]\n[1, 2998-01-01]\n"


def test_a_csv_file_is_read_as_the_options_say_when_it_is_sent_and_when_it_is_compared(tmp_path):
    source, out = tmp_path / "source.csv", tmp_path / "out9.txt"
    source.write_bytes("1|Sch\u00f6n, Anna\n2|Jos\u00e9\n".encode("cp1252"))
    reading = ["--encoding", "cp1252", "--delimiter", "|", "--no-header"]
    done = run_each(
        ["send", source, "--to", f"file:{out}", *reading],
        ["compare", source, out, *reading],
        ["compare", source, out, "--header"],
    )
    assert [one.returncode for one in done] == [0, 0, 1]
    rows = [list(one["row"].values()) for one in stored(out) if "row" in one]
    assert rows == [["1", "Sch\u00f6n, Anna"], ["2", "Jos\u00e9"]]


def test_a_file_is_not_sent_into_itself(tmp_path):
    source, content = tmp_path / "s.txt", "Day,Town,Temp\n2024-01-01,Ames,3\n"
    source.write_text(content, encoding="utf-8")
    hard, symbolic = tmp_path / "hard.txt", tmp_path / "symbolic.txt"
    hard.hardlink_to(source)
    symbolic.symlink_to(source)
    ways = (source, tmp_path / ".." / tmp_path.name / "s.txt", hard, symbolic)
    for done in run_each(*(["send", source, "--to", f"file:{to}"] for to in ways)):
        assert done.returncode == 2, done.args
        assert "something other than a stream: give another" in done.stderr
    assert source.read_text(encoding="utf-8") == content


def test_nothing_of_a_learners_is_overwritten(tmp_path):
    mine = tmp_path / "my.ipynb"
    mine.write_text('{\n "cells": []\n}\n', encoding="utf-8")
    sending = ["send", home.data / "penguins.csv", "--to", f"file:{mine}"]
    for done in run_each(sending, ["receive", "udp://localhost:0", "--out", mine]):
        assert done.returncode == 2, done.args
        assert "my.ipynb holds something other than a stream" in done.stderr
    assert mine.read_text(encoding="utf-8") == '{\n "cells": []\n}\n'


@UNIX
def test_a_receiver_to_which_nothing_came_has_overwritten_nothing(start, tmp_path):
    out = tmp_path / "out9.txt"
    out.write_bytes(records.encode(1, {}) + b"\n")
    before = out.read_bytes()
    receiver = start("receive", "udp://localhost:0", "--out", out)
    receiver._process.send_signal(signal.SIGINT)
    assert receiver.wait(DEADLINE_S) == 0 and out.read_bytes() == before
    assert receiver.lines[-1] == f"0 rows written to {out}; stopped by hand."


def test_a_receiver_of_texts_notes_when_each_came(start, tmp_path):
    out = tmp_path / "out9.txt"
    words = ["--out", out, "--format", "course", "--stamp", "--limit", 3]
    receiver = start("receive", "udp://localhost:0", *words)
    with socket.socket(type=socket.SOCK_DGRAM) as sender:
        for n in range(3):
            sender.sendto(b"[%d, x]" % n, wire.parse(receiver.url).address)
    assert receiver.wait(DEADLINE_S) == 0
    times = r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d "
    assert re.fullmatch(f"(?:{times}\\[\\d, x\\]\n){{3}}", out.read_text(encoding="utf-8"))


@UNIX
def test_a_closed_screen_stops_neither_a_sender_nor_a_receiver(tmp_path, numbers):
    """As with `| head -1`, which leaves after the first line."""
    out, words = tmp_path / "out9.txt", [sys.executable, "-m", "streamlib"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8"}
    with subprocess.Popen(
        [*words, "receive", "udp://localhost:0", "--out", out], **pipes
    ) as receiver:
        url = re.search(r"udp://\S+", receiver.stdout.readline())[0]
        receiver.stdout.close()
        sending = [*words, "send", numbers, "--to", url, "--every", "0.01", "--limit", "30"]
        with subprocess.Popen(sending, **pipes) as sender:
            sender.stdout.readline()
            sender.stdout.close()
            assert (sender.wait(DEADLINE_S), sender.stderr.read()) == (0, "")
        assert (receiver.wait(DEADLINE_S), receiver.stderr.read()) == (0, "")
    assert [one["seq"] for one in stored(out)] == [*range(1, 31), 30]


@UNIX
def test_without_a_screen_a_stream_is_sent_all_the_same(tmp_path, numbers):
    out = tmp_path / "out9.txt"
    send = f"{sys.executable} -m streamlib send {numbers} --to file:{out} --limit 3 --every 0.01"
    for screen in (">&-", ">/dev/full"):
        if screen != ">/dev/full" or sys.platform == "linux":
            subprocess.run(f"{send} {screen}", shell=True, check=True, timeout=DEADLINE_S)
            assert len(stored(out)) == 4


@UNIX
def test_compare_ends_with_its_verdict_whoever_reads_it(tmp_path, numbers, capfd):
    out = tmp_path / "out9.txt"
    assert run("send", numbers, "--to", f"file:{out}", "--limit", 3).returncode == 0
    compare = f"{sys.executable} -m streamlib compare {numbers} {out}"
    buffered = os.environ | {"PYTHONUNBUFFERED": ""}
    for place in ("| true", ">/dev/full", ">&-"):
        if place != ">/dev/full" or sys.platform == "linux":
            command = f"({compare}; echo $? >&2) {place}"
            subprocess.run(command, shell=True, timeout=DEADLINE_S, env=buffered)
            assert capfd.readouterr().err == "0\n"


ESCAPES = "\x1b[31m\u202e"


def test_names_and_values_reach_the_screen_without_escape_sequences(tmp_path):
    """Even a file of what strangers sent can be a source."""
    cases = [
        (["--oldest-first"], 0, r"Oldest first, by day\x1b[31m\u202e (time as"),
        (["--by", "n"], 2, r"choose from day\x1b[31m\u202e, v."),
        (["--by", "v"], 2, r"('\x1b[31m\u202e' in line 3)"),
    ]
    source = tmp_path / "theirs.csv"
    lines = [f"day{ESCAPES},v", "2024-01-02,1", f"2024-01-01,{ESCAPES}", ""]
    source.write_text("\n".join(lines), encoding="utf-8")
    sending = ["send", source, "--to", f"file:{tmp_path / 'out9.txt'}"]
    each = run_each(*([*sending, *words] for words, *_ in cases))
    for done, (_, status, said) in zip(each, cases, strict=True):
        told = done.stdout + done.stderr
        assert done.returncode == status and said in told, done.args
        assert told.replace("\n", "").isprintable()


def test_sending_to_nobody_has_exit_status_1(numbers, nobody):
    done = run("send", numbers, "--to", nobody)
    assert (done.returncode, done.stderr) == (1, "")
    assert "Nobody was listening on " in done.stdout
    assert "of the rows: start a receiver first." in done.stdout


def test_bad_use_is_one_sentence_and_exit_status_2(outputs):
    cases = [
        (["receive", "udp://localhost:0", "--out", "."], "cannot be written ("),
        (["receive", "udp://localhost:0"], "the following arguments are required: --out"),
        (["receive", "file:x", "--out", "x"], "You cannot listen on"),
        (["receive", "udp://0.0.0.0:x", "--out", "x"], "a port from"),
        (["send", "nothing.csv", "--to", "udp://localhost:9"], "nothing.csv does not exist"),
        (["send", "x.csv", "--to", "file:y", "--delimiter", ";;"], "The delimiter is ';;'"),
        (["pets", "--hold", -1], "hold_s is -1.0: give a number of seconds"),
        (["pets", "--timeout", "1e9"], "timeout_s is"),
        (["pets", "--out", "nowhere/out.txt"], "cannot be written"),
        (["pets", "--db", "."], "unable to open database file"),
        (["clear", "nothing.ipynb"], "nothing.ipynb is not a notebook, or is missing"),
        (["compare", "nothing.csv", "out9.txt"], "nothing.csv does not exist"),
        (["compare", home.data / "penguins.csv", "nothing.txt"], "nothing.txt does not exist"),
    ]
    each = run_each(*(words for words, _ in cases), cwd=outputs)
    for done, (words, said) in zip(each, cases, strict=True):
        assert done.returncode == 2 and said in done.stderr, words
        assert "Traceback" not in done.stderr


def test_a_port_in_use_is_one_sentence_and_exit_status_2(tmp_path):
    with wire.source("udp://localhost:0") as taken:
        done = run("receive", taken.endpoint.url, "--out", tmp_path / "out9.txt")
    assert done.returncode == 2 and "is in use: stop the other receiver" in done.stderr
    assert len(done.stderr.splitlines()) == 1 and not (tmp_path / "out9.txt").exists()


def test_rows_that_the_terminal_cannot_show_are_sent_all_the_same(tmp_path):
    source, out = tmp_path / "greek.csv", tmp_path / "out9.txt"
    source.write_text("n,name\n1,Ω\n2,Ψ\n", encoding="utf-8")
    done = run("send", source, "--to", f"file:{out}", PYTHONIOENCODING="cp1252")
    assert done.returncode == 0
    assert len(stored(out)) == 3


TOWNS = (
    "Day,Town,Temp\n2024-01-01,Ames,3\n2024-01-02,Bern,4\n2024-01-03,Cork,5\n2024-01-04,Dover,6\n"
)


def test_compare_tells_what_is_known_and_fails_only_for_that(tmp_path):
    cases = [
        (
            "[2024-01-01, Ames, 3]\n[2024-01-02, Bern, 4]\n",
            0,
            "The first 2 of 4 rows arrived unaltered and in order; "
            "whether more were sent is not known.",
        ),
        (TOWNS.partition("\n")[2], 0, "\nAll 4 rows arrived once, unaltered and in order."),
        (
            "".join(f"Sent: b'{row}'\n" for row in TOWNS.split()[:0:-1]),
            0,
            "The rows came reversed.\nAll 4 rows arrived once",
        ),
        (
            TOWNS.partition("\n")[2].replace("Cork", "C\x1b[2Jork"),
            1,
            r"line 4: altered: Town: 'Cork' -> 'C\x1b[2Jork'",
        ),
        (
            "[2024-01-01, Ames, 3]\n[2024-01-03, Cork, 5]\n",
            1,
            "Of 3 rows 2 arrived in order, 1 lost;",
        ),
        (
            TOWNS.replace("Day,Town,Temp", "DAY,TOWN,TEMP"),
            1,
            "arrival 1: header sent as data: {'Day': 'DAY', 'Town': 'TOWN', 'Temp': 'TEMP'}",
        ),
        ("x\n" * 30, 1, "... and 10 more that are not well."),
        ("", 1, "Nothing was received: the file is empty"),
    ]
    source = tmp_path / "src.csv"
    source.write_text(TOWNS, encoding="utf-8")
    outs = [tmp_path / f"out9-{number}.txt" for number in range(len(cases))]
    for out, (received, *_) in zip(outs, cases, strict=True):
        out.write_text(received, encoding="utf-8")
    each = run_each(*(["compare", source, out] for out in outs))
    for done, (_, status, told) in zip(each, cases, strict=True):
        assert (done.returncode, done.stderr) == (status, "") and told in done.stdout
        assert "\n\n" not in done.stdout


def test_compare_bears_what_is_nested_deeply(tmp_path, numbers):
    """A receiver takes no such row, but somebody may have put it into the file."""
    out = tmp_path / "out9.txt"
    rows = (b"[" * depth + b"]" * depth for depth in range(1, 1000, 7))
    lines = [b'{"seq": 1, "sent": 1, "row": {"n": %s}}' % row for row in rows]
    out.write_bytes(b"\n".join(lines))
    done = run("compare", numbers, out)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "never in the source" in done.stdout


# a bad network


@pytest.fixture
def listener():
    """A socket that hears datagrams."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.settimeout(DEADLINE_S)
        sock.bind(("127.0.0.1", 0))
        yield sock


@UNIX
def test_the_bad_network_tells_its_url_first_and_its_counts_at_ctrl_c(start, listener):
    to = f"udp://127.0.0.1:{listener.getsockname()[1]}"
    words = ["--duplicate", 1, "--delay", 0.001, "--jitter", 0.001, "--seed", 1]
    program = start("impair", "udp://localhost:0", "--to", to, *words)
    assert program.lines[0].startswith("Impairing udp://127.0.0.1:")
    with socket.socket(type=socket.SOCK_DGRAM) as sender:
        for n in range(5):
            sender.sendto(b"%d" % n, wire.parse(program.url).address)
    got = [listener.recv(100) for _ in range(10)]
    assert Counter(got) == Counter([b"%d" % n for n in range(5)] * 2)
    program._process.send_signal(signal.SIGINT)
    assert program.wait(DEADLINE_S) == 0
    assert program.lines[1:] == ["5 came, 5 repeated"]


def test_a_bad_network_that_makes_no_sense_is_refused_in_one_sentence():
    cases = [
        ["udp://localhost:0", "--to", "udp://localhost:9", "--loss", 2],
        ["udp://localhost:0", "--to", "udp://localhost:9", "--delay", -1],
        ["udp://localhost:0", "--to", "tcp://localhost:9", "--rate", 10],
        ["file:out9.txt", "--to", "udp://localhost:9"],
        ["localhost", "--to", "udp://localhost:9"],
    ]
    for done in run_each(*(["impair", *words] for words in cases)):
        assert (done.returncode, done.stdout) == (2, ""), done.args
        [sentence] = done.stderr.splitlines()
        assert sentence.startswith("python -m streamlib impair: ") and sentence.endswith(".")


def test_pets_overwrite_nothing_of_a_learners(tmp_path):
    mine, notes, new = tmp_path / "mine.db", tmp_path / "my.ipynb", tmp_path / "out0.txt"
    with closing(sqlite3.connect(mine)) as connection:
        connection.executescript("CREATE TABLE pets (name); INSERT INTO pets VALUES ('Rex')")
    notes.write_text('{"cells": []}\n', encoding="utf-8")
    before = [path.read_bytes() for path in (mine, notes)]
    for done in run_each(["pets", "--out", notes], ["pets", "--out", new, "--db", mine]):
        assert done.returncode == 2 and is_one_sentence(done.stderr.strip()), done.stderr
    assert [path.read_bytes() for path in (mine, notes)] == before


def test_clear_names_an_odd_notebook_and_clears_the_rest(tmp_path):
    good, odd = tmp_path / "01.ipynb", tmp_path / "00.ipynb"
    cell = {"cell_type": "code", "execution_count": 1, "outputs": [1], "source": []}
    good.write_text(json.dumps({"cells": [cell]}), encoding="utf-8")
    odd.write_text("", encoding="utf-8")
    done = run("clear", odd, good)
    assert done.returncode == 2 and f"{odd} is not a notebook" in done.stderr
    assert json.loads(good.read_text(encoding="utf-8"))["cells"][0]["outputs"] == []


def test_all_notebooks_are_cleared_if_none_is_named(tmp_path, monkeypatch, capsys):
    (tmp_path / "notebooks").mkdir()
    cell = {"cell_type": "code", "execution_count": 1, "outputs": [1], "source": []}
    paths = [tmp_path / "notebooks" / name for name in ("01.ipynb", "02.ipynb", "copy.json")]
    for path in paths:
        path.write_text(json.dumps({"cells": [cell]}), encoding="utf-8")
    monkeypatch.setattr(home, "root", tmp_path)
    assert terminal.main(["clear"]) == 0
    assert capsys.readouterr().out == "cleared 01.ipynb\ncleared 02.ipynb\n"
    books = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    assert [book["cells"][0]["outputs"] for book in books] == [[], [], [1]]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a Unix shell")
def test_a_reader_that_leaves_early_ends_no_log_and_causes_no_traceback(outputs, tmp_path):
    log, command = tmp_path / "out0.txt", f"{sys.executable} -m streamlib pets --hold 0.01 --out"
    piped = f"{command} '{log}' | head -1"
    done = subprocess.run(piped, shell=True, capture_output=True, text=True, cwd=home.root)
    assert "Traceback" not in done.stderr and len(done.stdout.splitlines()) == 1
    assert log.read_text(encoding="utf-8").splitlines()[-1].endswith("all 6 rows are stored")
