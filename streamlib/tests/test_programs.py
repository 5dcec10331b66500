"""Programs started from a notebook: when they have begun, how they end, what they leave."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from streamlib import home, programs, stream, wire
from streamlib.tests.conftest import DEADLINE_S, UNIX, aside, run, stored, table, until


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


def test_from_a_receiver_to_the_verdict(start, tmp_path, numbers):
    out = tmp_path / "out9.txt"
    receiver = start("receive", "udp://localhost:0", "--out", out)
    assert receiver.url.startswith("udp://127.0.0.1:") and not receiver.url.endswith(":0")
    assert receiver.status is None and not receiver.done()
    with pytest.raises(TimeoutError, match=r"receive still runs after 0\.01 s: stop it or wait"):
        receiver.wait(0.01)
    sender = start("send", numbers, "--to", receiver.url)
    assert (sender.wait(DEADLINE_S), receiver.wait(DEADLINE_S)) == (0, 0)
    assert (receiver.status, receiver.done(), receiver.stop(), receiver.kill()) == (0, True, 0, 0)
    assert receiver.lines[-1] == f"1,000 rows written to {out}; the sender ended."
    done = run("compare", numbers, out)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("The rows were sent from ")
    assert done.stdout.endswith("\nAll 1,000 rows arrived once, unaltered and in order.\n")
    lines = out.read_bytes().splitlines(keepends=True)
    out.write_bytes(b"".join(lines[:500] + lines[501:]))
    done = run("compare", numbers, out)
    assert done.returncode == 1
    assert done.stdout.endswith("Of 1,000 rows 999 arrived in order, 1 lost.\n")


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
        (["send", "nothing.csv", "--to", "udp://localhost:9"], "nothing.csv does not exist"),
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


def test_a_receiver_starts_in_one_short_line(tmp_path):
    with programs.receive(tmp_path / "out.txt", "tcp://localhost:0", "--stamp") as receiver:
        assert receiver.url.startswith("tcp://127.0.0.1:")
        assert stream.send(table(3), receiver.url).acknowledged
        assert receiver.wait() == 0
    assert all("received" in one for one in stored(tmp_path / "out.txt") if "row" in one)


def test_a_line_ahead_of_its_own_does_not_hide_where_a_receiver_listens(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONWARNINGS", "nonsense")
    with programs.receive(tmp_path / "out.txt") as receiver:
        assert "nonsense" in receiver.lines[0]
        assert receiver.url.startswith("udp://127.0.0.1:")


def test_a_program_without_a_url_has_begun_with_its_first_line(start):
    assert start("pets").lines[0].endswith(", database of this run alone")


@pytest.fixture
def at_start(tmp_path, monkeypatch):
    """A function that lets each new Python run these lines before its own work."""

    def at_start(*lines):
        (tmp_path / "sitecustomize.py").write_text("\n".join(lines), encoding="utf-8")
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(home.root)]))

    return at_start


def test_only_its_own_line_tells_that_a_program_has_begun(start, at_start, numbers, tmp_path):
    """Not what a loader, a debugger or a warning says before, whatever it looks like."""
    at_start(
        "import sys",
        "print('warning: see tcp://127.0.0.1:1 and file:x for more', file=sys.stderr)",
        "print('python is slow to start', end=' ')",
    )
    receiver = start("receive", "udp://localhost:0", "--out", tmp_path / "out9.txt")
    assert receiver.url.startswith("udp://127.0.0.1:") and not receiver.url.endswith(":1")
    sender = start("send", numbers, "--to", receiver.url, "--limit", 3)
    assert (sender.url, sender.wait(), receiver.wait()) == (receiver.url, 0, 0)
    sender = start("send", numbers, "--to", f"file:{tmp_path / 'sent.txt'}", "--every", 3600)
    assert (sender.url, sender.done()) == ("", False)


def test_a_program_that_cannot_begin_says_why_whatever_was_said_before(start, at_start):
    at_start("import sys", "print('warning: see udp://x', file=sys.stderr)")
    with pytest.raises(OSError, match=r"^python -m streamlib send: .*nothing\.csv does not exist"):
        start("send", "nothing.csv", "--to", "tcp://localhost:1")
    with pytest.raises(OSError, match=r"^python -m streamlib receive: "):
        start("receive", "http://localhost:0 tcp://", "--out", "x.txt")


@pytest.mark.parametrize("last", ["sys.exit('no license')", "os._exit(3)", "raise SystemExit(1)"])
def test_a_program_that_ends_without_a_word_of_its_own_has_not_begun(start, at_start, last):
    at_start("import os, sys", "print('udp://localhost:1', flush=True)", last)
    with pytest.raises(
        OSError, match=r"ended before it began \((udp|SystemExit|no license).*: try again"
    ):
        start("receive", "tcp://localhost:0", "--out", "x.txt")


@pytest.mark.parametrize("name", ["random", "socket", "json"])
def test_a_file_that_hides_a_module_from_programs_is_named(start, tmp_path, monkeypatch, name):
    (tmp_path / f"{name}.py").write_text("mine = 1\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(home.root))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OSError, match=rf"ended before it began .*; rename {name}\.py, which hides"):
        start("receive", "udp://localhost:0", "--out", "x.txt")


def test_programs_are_told_to_use_no_colors(start, monkeypatch):
    """Python 3.14 colors what a parser says if a kernel's FORCE_COLOR is all that it finds."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    seen = []
    real = programs.Popen
    monkeypatch.setattr(programs, "Popen", lambda *a, **k: seen.append(k["env"]) or real(*a, **k))
    with pytest.raises(OSError, match=r"^python -m streamlib receive: "):
        start("receive", "--nonsense")
    assert seen[0]["NO_COLOR"] == "1"


def test_a_program_stops_even_if_others_hold_its_pipe(start, tmp_path):
    """As the workers of a pool do that was forked after it had begun."""
    receiver = start("receive", "udp://localhost:0", "--out", tmp_path / "out9.txt")
    held = os.dup(receiver._process.stdin.fileno())
    assert receiver.stop() == 0 and receiver.lines[-1].endswith("stopped by hand.")
    os.close(held)
