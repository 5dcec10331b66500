"""The programs receive, send and compare, as in a terminal, and as `programs.start` starts them."""

import os
import random
import re
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest

from streamlib import home, programs, records, stream, wire
from streamlib.tests.conftest import DEADLINE_S, aside, stored, table

UNIX = pytest.mark.skipif(os.name != "posix", reason="needs signals as POSIX has them")


def run(*words, **environment):
    """Run a program of the lab in a terminal of its own; return what it did."""
    return subprocess.run(
        [sys.executable, "-m", "streamlib", *map(str, words)],
        cwd=home.root,
        env=os.environ | environment,
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE_S,
    )


def until(condition, deadline_s=DEADLINE_S):
    """Return as soon as something is so; fail if it does not come to be."""
    limit = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < limit, "it did not come to be"
        time.sleep(0.02)


@pytest.fixture
def start():
    """As programs.start; whatever still runs at the end of the test is killed."""
    started = []

    def start(*words):
        started.append(programs.start(*words))
        return started[-1]

    yield start
    for program in started:
        program.kill()


@pytest.fixture
def numbers(tmp_path):
    """A CSV file with a column of numbers and one of times, which go backwards."""
    path = tmp_path / "numbers.csv"
    lines = [f"{n},{2999 - n}-01-01\n" for n in range(1000)]
    path.write_text("n,day\n" + "".join(lines), encoding="utf-8")
    return path


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


def counters(program):
    """Return the counts that a receiver tells in the end, by their first word."""
    said = [re.match(r"([\d,]+) (\w+)", line) for line in program.lines[-7:]]
    counts = {word[2]: int(word[1].replace(",", "")) for word in said if word}
    return {word: number for word, number in counts.items() if word != "received"}


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
    assert counters(receiver) == {
        "rows": 2000,
        "repeated": 998,
        "missing": 2**50 - 2,
        "malformed": counts["undecodable"] + counts["malformed"],
    }
    assert memory[1] - memory[0] < 8_000_000
    rows = [one["row"] for one in stored(out) if "row" in one]
    assert [row["honest"] for row in rows if "honest" in row] == list(range(1000))
    assert [row["repeated"] for row in rows if "repeated" in row] == list(range(1000))


@UNIX
def test_a_receiver_that_is_killed_leaves_whole_rows_and_its_sender_ends(start, tmp_path):
    out = tmp_path / "out9.txt"
    receiver = start("receive", "udp://localhost:0", "--out", out)

    def rows():
        yield from table(2000)
        assert receiver.kill() == -signal.SIGKILL
        yield from table(3000)

    done = aside(stream.send, rows(), receiver.url)()
    assert (done.ended, done.ok) == ("no answer", False) and 2000 <= done.rows < 5000
    assert done.problems[0].startswith("The receiver stopped answering before row 2,")
    assert done.problems[0].endswith(": start it again, then send again.")
    arrived = [one["seq"] for one in stored(out)]
    assert arrived == list(range(1, len(arrived) + 1)) and len(arrived) > 1800


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


def test_from_a_receiver_to_the_verdict(start, tmp_path, numbers):
    out = tmp_path / "out9.txt"
    receiver = start("receive", "udp://localhost:0", "--out", out)
    assert receiver.url.startswith("udp://127.0.0.1:") and not receiver.url.endswith(":0")
    assert receiver.status is None and not receiver.done() and "running" in repr(receiver)
    with pytest.raises(TimeoutError, match=r"receive still runs after 0\.01 s: stop\(\) it"):
        receiver.wait(0.01)
    sender = start("send", numbers, "--to", receiver.url)
    assert (sender.wait(DEADLINE_S), receiver.wait(DEADLINE_S)) == (0, 0)
    assert (receiver.status, receiver.done(), receiver.stop(), receiver.kill()) == (0, True, 0, 0)
    assert receiver.lines[-1] == f"1,000 rows written to {out}; the sender ended."
    done = run("compare", numbers, out)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"The rows in {out} were sent on ")
    assert done.stdout.endswith("\nAll 1,000 rows arrived once, unaltered and in order.\n")
    lines = out.read_bytes().splitlines(keepends=True)
    out.write_bytes(b"".join(lines[:500] + lines[501:]))
    done = run("compare", numbers, out)
    assert done.returncode == 1
    assert done.stdout.endswith("Of 1,000 rows 999 arrived in order, 1 lost.\n")


def test_compare_finds_a_source_that_was_sent_oldest_first(tmp_path, numbers):
    out = tmp_path / "out99.txt"
    sent = run("send", numbers, "--to", f"file:{out}", "--oldest-first", "--limit", 500)
    assert (sent.returncode, sent.stderr) == (0, "")
    assert "500 rows sent; limit reached." in sent.stdout
    done = run("compare", numbers, out)
    assert done.returncode == 0 and "\nThe source was taken oldest first, by day" in done.stdout
    assert done.stdout.endswith("All 500 rows arrived once, unaltered and in order; 500 more of "
                                "the source were not sent.\n")  # fmt: skip


def test_start_returns_while_a_sender_is_at_work(start, numbers, tmp_path):
    for words in ([], ["--oldest-first"]):
        to = ["--to", f"file:{tmp_path / 'out9.txt'}", "--every", 3600]
        sender = aside(start, "send", numbers, *to, *words)()
        assert sender.status is None
        assert sender.kill() != 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["receive", "udp://localhost:70000", "--out", "x"], "a port from 0 to 65535"),
        (
            ["receive", "udp://localhost:0", "--out", "no/where.txt"],
            "name a file in a folder that exists",
        ),
        (["send", "nothing.csv", "--to", "udp://localhost:9"], "nothing.csv is not there"),
        (["nonsense"], "invalid choice: 'nonsense'"),
    ],
)
def test_a_program_that_cannot_begin_says_why(start, words, sentence):
    with pytest.raises(OSError, match=sentence):
        start(*words)


@UNIX
def test_a_program_leaves_when_its_starter_was_killed(tmp_path):
    code = (
        "import sys, time\nfrom streamlib import programs\n"
        "receiver = programs.start('receive', 'udp://localhost:0', '--out', sys.argv[1])\n"
        "print(receiver.url, receiver._process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, tmp_path / "out9.txt"]
    with subprocess.Popen(command, cwd=home.root, stdout=subprocess.PIPE) as starter:
        url, pid = aside(starter.stdout.readline)().decode().split()
        receiver = psutil.Process(int(pid))
        starter.kill()

    def is_free():
        try:
            wire.source(url).__exit__()
        except OSError:
            return False
        return True

    try:
        until(is_free, deadline_s=10)
        until(lambda: not receiver.is_running() or receiver.status() == psutil.STATUS_ZOMBIE, 10)
    finally:
        if receiver.is_running():
            receiver.kill()


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
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
    ],
)
def test_sending_and_its_exit_status(numbers, tmp_path, words, status, said):
    out = tmp_path / "out9.txt"
    done = run("send", numbers, "--to", f"file:{out}", *words)
    assert done.returncode == status
    assert said in (done.stderr if status else done.stdout) and "Traceback" not in done.stderr
    if "course" in words:
        assert out.read_text(encoding="utf-8") == "[0, 2999-01-01]\n[1, 2998-01-01]\n"


def test_sending_to_nobody_has_exit_status_1(numbers, nobody):
    done = run("send", numbers, "--to", nobody)
    assert (done.returncode, done.stderr) == (1, "")
    assert "Nobody was listening on " in done.stdout
    assert "of the rows: start a receiver first." in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["receive", "udp://localhost:0", "--out", "."], "cannot be written ("),
        (["receive", "udp://localhost:0"], "the following arguments are required: --out"),
        (["receive", "file:x", "--out", "x"], "You cannot listen on"),
        (["receive", "udp://0.0.0.0:x", "--out", "x"], "a port from"),
        (["send", "nothing.csv", "--to", "udp://localhost:9"], "nothing.csv is not there"),
        (["compare", "nothing.csv", "out9.txt"], "nothing.csv is not there"),
        (["compare", home.data / "penguins.csv", "nothing.txt"], "nothing.txt is not there"),
    ],
)
def test_bad_use_is_one_sentence_and_exit_status_2(words, said):
    done = run(*words)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr


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


def test_compare_bears_what_is_nested_deeply(tmp_path, numbers):
    """A receiver takes no such row, but somebody may have put it into the file."""
    out = tmp_path / "out9.txt"
    rows = (b"[" * depth + b"]" * depth for depth in range(1, 1000, 7))
    lines = [b'{"seq": 1, "sent": 1, "row": {"n": %s}}' % row for row in rows]
    out.write_bytes(b"\n".join(lines))
    done = run("compare", numbers, out)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "never in the source" in done.stdout
