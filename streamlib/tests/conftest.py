"""What several test files share."""

import os
import re
import socket
import subprocess
import sys
import threading
import time

import pytest

from streamlib import home, programs, records, stream, wire

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


class Receiver:
    """A receiver in a thread of its own, once its port is open: `url`, `address`, `end()`."""

    def __init__(self, out, url="udp://localhost:0", **options):
        self.out, self.error, self.done, self._open = out, None, None, threading.Event()
        self._thread = threading.Thread(target=self._run, args=(url, options), daemon=True)
        self._thread.start()
        assert self._open.wait(DEADLINE_S), "its port did not open"
        if self.error:
            raise self.error

    def _run(self, url, options):
        try:
            self.done = stream.receive(url, self.out, listening=self._listening, **options)
        except BaseException as error:
            self.error = error
        self._open.set()

    def _listening(self, endpoint):
        self.url, self.address = endpoint.url, endpoint.address
        self._open.set()

    def end(self):
        """Return what it received, once it has left by itself."""
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive(), "the receiver did not leave"
        if self.error:
            raise self.error
        return self.done


def datagrams(address, *lines):
    """Send lines as one sender would, each as one datagram, on this machine."""
    with socket.socket(type=socket.SOCK_DGRAM) as sender:
        for line in lines:
            sender.sendto(line, address)


def is_one_sentence(error):
    """Whether an error says one thing on one line, and ends it."""
    text = str(error.value)
    return "\n" not in text and text.endswith(".")


def counts(program):
    """Return the counts that a receiver's program tells at the end, by their first word."""
    said = [re.match(r"([\d,]+) (\w+)", line) for line in program.lines[-7:]]
    found = {word[2]: int(word[1].replace(",", "")) for word in said if word}
    return {word: number for word, number in found.items() if word != "received"}
