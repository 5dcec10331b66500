"""What several test files share."""

import os
import subprocess
import sys
import threading
import time

import pytest

from streamlib import home, programs, records, wire

DEADLINE_S = 30  # a test that waits longer than this for a thread or process fails
UNIX = pytest.mark.skipif(os.name != "posix", reason="needs signals as POSIX has them")


def until(condition, deadline_s=DEADLINE_S):
    """Return as soon as a condition holds; fail if it does not come to hold."""
    limit = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < limit, "it did not come to be"
        time.sleep(0.005)


def aside(function, *arguments, **options):
    """Call a function in a thread; return what waits for its result, with a deadline."""
    results = []
    thread = threading.Thread(
        target=lambda: results.append(function(*arguments, **options)), daemon=True
    )
    thread.start()

    def result():
        thread.join(DEADLINE_S)
        assert not thread.is_alive() and results, "it did not end, or raised an error"
        return results[0]

    return result


def table(number, width=10):
    """Return this many rows, all of them different."""
    return [{"n": str(n), "text": "x" * width} for n in range(number)]


def stored(out):
    """Return the records in a file, each of which stands on a line of its own, whole."""
    data = out.read_bytes()
    assert data.endswith(b"\n") or not data
    return [records.decode(line) for line in data.split(b"\n")[:-1]]


def run(*words, cwd=home.root, **environment):
    """Run a program of the lab as a terminal would; return what it did."""
    return subprocess.run(
        [sys.executable, "-m", "streamlib", *map(str, words)],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE_S,
    )


@pytest.fixture
def start():
    """As programs.start; a program that still runs at the end of the test is killed."""
    started = []

    def start(*words):
        started.append(programs.start(*words))
        return started[-1]

    yield start
    for program in started:
        program.kill()


@pytest.fixture
def nobody():
    """The URL of a port on which nobody listens."""
    with wire.source("udp://localhost:0") as source:
        url = source.endpoint.url
    return url


@pytest.fixture
def numbers(tmp_path):
    """A CSV file with a column of numbers and one of dates, which go backward."""
    path = tmp_path / "numbers.csv"
    lines = [f"{n},{2999 - n}-01-01\n" for n in range(1000)]
    path.write_text("n,day\n" + "".join(lines), encoding="utf-8")
    return path
