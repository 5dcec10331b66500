"""What several test files share."""

import json
import multiprocessing
import os
import re
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing

import cloudpickle
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import psutil
import pytest
from matplotlib.colors import to_rgb

from streamlib import database, home, programs, records, stream, wire

# Workers that stand here go to their processes by value: those are not to import all of this.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

# Charts: what is drawn, and the tables to draw.


@pytest.fixture
def close_figures():
    """Close all figures when the test is over."""
    yield
    plt.close("all")


def title(ax):
    """The finding that a chart states."""
    return ax.get_title("left")


def words(ax):
    """What is written in a chart, apart from its axes."""
    return [text.get_text() for text in ax.texts if text.get_text().strip()]


def inside(ax, dpi=100):
    """What is drawn between the axis lines, as rows of RGB."""
    ax.figure.set_dpi(dpi)
    ax.figure.canvas.draw()
    image = np.asarray(ax.figure.canvas.buffer_rgba())[:, :, :3].astype(int)
    left, bottom, right, top = ax.bbox.extents.astype(int)
    return image[len(image) - top : len(image) - bottom - 2, left + 2 : right]


def drawn_in(image, color):
    """How many pixels have exactly this color."""
    return (np.abs(image - np.round(255 * np.array(to_rgb(color)))).max(axis=-1) <= 1).sum()


def draw(ax):
    """Draw a chart, unless it is as it was drawn last."""
    if ax.figure.stale:
        ax.figure.canvas.draw()


def fits(ax):
    """Whether all that is drawn, each text too, is inside the figure and leaves the chart room."""
    draw(ax)
    box, whole = ax.get_tightbbox(), ax.figure.bbox
    ax.figure.stale = False  # to measure it changes nothing
    inner = min(box.x0, box.y0) >= -1 and box.x1 <= whole.x1 + 1 and box.y1 <= whole.y1 + 1
    return inner and min(ax.bbox.size) > 50


def overlapping(ax):
    """The pairs of words, titles and row names in a chart that overlap each other."""
    draw(ax)
    texts = [*ax.texts, *ax.get_yticklabels(), *ax.get_xticklabels(), ax._left_title]
    texts = [text for text in texts if text.get_text().strip() and text.get_visible()]
    boxes = [text.get_window_extent() for text in texts]
    return [
        (texts[i].get_text(), texts[j].get_text())
        for i in range(len(texts))
        for j in range(i)
        if min(boxes[i].x1, boxes[j].x1) - max(boxes[i].x0, boxes[j].x0) > 1
        and min(boxes[i].y1, boxes[j].y1) - max(boxes[i].y0, boxes[j].y0) > 1
    ]


def events_of(rows, names=("P1", "P2", "P3"), scale=1.0):
    """A table of events from rows of (process, state, start, end, detail), all on pets.db."""
    events = pd.DataFrame(rows, columns=["process", "state", "start", "end", "detail"])
    events["process"] = pd.Categorical(events["process"], names)
    events = events.assign(run="r", round=1, pid=1, item=None, resource="pets.db", seq=0)
    for column in ("run", "state", "item", "resource", "detail"):
        events[column] = events[column].astype("category")
    events.attrs["scale"] = scale
    return events.sort_values("start", kind="stable", ignore_index=True)


def locked_out(names=("P1", "P2", "P3"), scale=1.0):
    """The first of the processes holds for 3 s twice; at 5 s the others lose their first row."""
    first, *others = names
    rows = [(name, "started", 0.0, 0.0, None) for name in names]
    rows += [(first, "holding", 0.0, 3.0, None), (first, "waiting", 3.0, 3.001, "timeout 5 s")]
    rows += [(first, "holding", 3.001, 6.0, None)]
    for turn, name in enumerate(others):
        until = 6.0 + 3 * turn
        rows += [(name, "waiting", 0.0, 5.01, "timeout 5 s")]
        rows += [(name, "gave_up", 5.01, 5.01, "database is locked")]
        rows += [(name, "waiting", 5.01, until, "timeout 5 s")]
        rows += [(name, "holding", until, until + 3.0, None)]
    return events_of(rows, names, scale)


MANY_NAMES = tuple(f"P{n}" for n in range(1, 31))
LONG_NAMES = tuple(f"a-process-with-a-very-long-name-that-ends-in-{n}" for n in (1, 2, 3))
DOLLAR_NAMES = ("$1", r"$\nope$", "c$")


@pytest.fixture
def csv_file(tmp_path):
    """A function that writes a text or bytes into a file and returns the file's path."""

    def write(content):
        path = tmp_path / "given.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def is_one_sentence(text):
    """Whether a text says what is wrong and, after a colon or semicolon, what to do."""
    return re.fullmatch(r"[^\n]+[:;] [^\n]+\.", text) and not re.search(r"[.!?]\s", text)


DEADLINE_S = 30  # a test that waits longer than this for a thread or process fails
UNIX = pytest.mark.skipif(os.name != "posix", reason="needs signals as POSIX has them")


def until(condition, deadline_s=DEADLINE_S):
    """Return as soon as a condition holds; fail if it does not come to hold."""
    limit = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < limit, "it did not come to be"
        time.sleep(0.005)


def is_gone(pid):
    """Whether no process of this number runs any longer."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


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


# Python starts once and runs each command line that it is given as `python -m streamlib` does.
SEVERAL = """
import contextlib, io, json, runpy, sys
done = []
for words in json.loads(sys.argv[1]):
    sys.argv[1:] = words
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            runpy.run_module("streamlib", run_name="__main__")
        except SystemExit as left:
            done.append([left.code or 0])
        sys.stdout.flush(), sys.stderr.flush()
    done[-1] += [one.buffer.getvalue().decode() for one in (out, err)]
print(json.dumps(done))
"""


def run_each(*lines, cwd=home.root, **environment):
    """Run programs of the lab one after another in one Python; return what each of them did."""
    given = json.dumps([[str(word) for word in words] for words in lines])
    done = subprocess.run(
        [sys.executable, "-c", SEVERAL, given],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(home.root)} | environment,
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE_S,
    )
    assert (done.returncode, done.stderr) == (0, "")
    for words, (status, *said) in zip(lines, json.loads(done.stdout), strict=True):
        yield subprocess.CompletedProcess(words, status, *said)


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


@pytest.fixture
def nothing_left_behind():
    """Whatever a test does to its workers, no process outlives it."""
    yield
    assert multiprocessing.active_children() == []


# A counter that two processes increment: the lost update.


def counter(path):
    """Make the counter: one row, 0."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        connection.execute("DROP TABLE IF EXISTS counter")
        connection.execute("CREATE TABLE counter (value)")
        connection.execute("INSERT INTO counter VALUES (0)")
        connection.execute("COMMIT")


def is_two(path):
    """Tell whether no update was lost after two processes have added one each."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT value FROM counter").fetchone() == (2,)


def add_one(me):
    """Add one, as the counter's naive users do."""
    with closing(database.open(me)) as connection:
        me.step("read")
        (value,) = connection.execute("SELECT value FROM counter").fetchone()
        me.step("add")
        value += 1
        me.step("write")
        connection.execute("UPDATE counter SET value = ?", (value,))


TWO = {"P1": add_one, "P2": add_one}
PETS = {name: database.pets(pets) for name, pets in database.PETS.items()}


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


def received_counts(program):
    """Return the counts that a receiver's program tells at the end, by their first word."""
    said = [re.match(r"([\d,]+) (\w+)", line) for line in program.lines[-7:]]
    found = {word[2]: int(word[1].replace(",", "")) for word in said if word}
    return {word: number for word, number in found.items() if word != "received"}
