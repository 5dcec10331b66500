"""How fast the lab is, beside what one would use instead; nothing here is asserted.

    python -m streamlib.tests.benchmarks              # all, in one table with each target
    python -m streamlib.tests.benchmarks mark events  # those with such a word in their names

Contenders stand in one group and run one after another. Files are written to pytest's temporary
folder, so put that on the disk in question (`--basetemp`), and leave the machine alone meanwhile.
"""

import io
import json
import logging
import math
import multiprocessing
import os
import random
import sqlite3
import statistics
import sys
import tempfile
import time
import types
from collections import deque
from contextlib import closing, nullcontext
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection

from streamlib import charts, database, home, orders, processes, resources, schedule
from streamlib.exercises import lesson_fixes
from streamlib.processes import events as trace
from streamlib.processes.recorder import Recorder

CALLS = 50_000
EVENTS = 100_000
NAMES = ["P1", "P2", "P3"]


@pytest.fixture(autouse=True)
def as_learners_do(tmp_path, monkeypatch):
    """Run at full length, keep runs on the disk, start children as from a notebook.

    A child imports the program that started it again, but not a notebook; pytest counts for
    as much as pandas there.
    """
    monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))
    monkeypatch.setenv("STREAMLIB_SCALE", "1")
    monkeypatch.setattr(home, "runs", tmp_path / "runs")
    yield
    plt.close("all")


# One event recorded


@pytest.fixture
def write(tmp_path):
    """Append a line of a recording to a file in a loop."""
    log = Recorder(tmp_path / "one.csv", "P1")
    log.mark("holding", "Ace", "lab.db", seq=CALLS)
    log.close()
    *_, line = (tmp_path / "one.csv").read_bytes().splitlines(keepends=True)
    fd = os.open(tmp_path / "lines.txt", os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    def write():
        append = os.write
        for _ in range(CALLS):
            append(fd, line)

    yield write
    os.close(fd)


def seconds(loop):
    """How long one call takes."""
    before = time.perf_counter()
    loop()
    return time.perf_counter() - before


@pytest.mark.benchmark(group="one event: 50,000 in a loop")
class TestMark:
    """Recording one event, beside writing the same line and logging it."""

    def test_mark(self, benchmark, tmp_path, write):
        writes = []

        def new_recording():
            # Side by side in each round, since a busy machine has slow and fast seconds.
            writes.append(seconds(write))
            return (Recorder(tmp_path / f"{len(writes)}.csv", "P1").mark,), {}

        def marks(mark):
            for seq in range(CALLS):
                mark("holding", "Ace", "lab.db", seq=seq)

        benchmark.pedantic(marks, setup=new_recording, rounds=25)
        if benchmark.stats:
            pairs = zip(benchmark.stats.stats.data, writes, strict=True)
            benchmark.extra_info["mark/write"] = statistics.median(a / b for a, b in pairs)

    def test_write(self, benchmark, write):
        benchmark.pedantic(write, rounds=9)

    def test_logging(self, benchmark, tmp_path):
        handler = logging.FileHandler(tmp_path / "log.txt")
        handler.setFormatter(logging.Formatter("%(asctime)s - %(levelname)s - %(message)s"))
        logger = logging.Logger("alone", logging.INFO)
        logger.addHandler(handler)

        def log():
            for seq in range(CALLS):
                logger.info("P1 holds lab.db for Ace, seq %s", seq)

        benchmark.pedantic(log, rounds=3)
        handler.close()


@pytest.mark.benchmark(group="writers side by side")
def test_writers(benchmark):
    """CPU time of one mark where three processes mark at once, over that of one alone."""

    def worker(me):
        mark = me.mark
        before = time.process_time_ns()
        for _ in range(2 * CALLS):
            mark("holding", "Ace", "lab.db")
        print(time.process_time_ns() - before)

    def cpu(count):
        run = processes.run(dict.fromkeys(NAMES[:count], worker))
        return statistics.mean(int(text) for text in run.output.values())

    def compare():
        alone = cpu(1)
        ratios.append(cpu(3) / alone)

    ratios = []
    benchmark.pedantic(compare, rounds=7)
    benchmark.extra_info["writers"] = statistics.median(ratios)


# Many events into a table


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """Three recordings with 100,000 events together."""
    folder = tmp_path_factory.mktemp("recordings")
    paths = [folder / f"{name}.csv" for name in NAMES]
    made = [Recorder(path, name) for path, name in zip(paths, NAMES, strict=True)]
    for log in made:
        log.mark("started", seq=time.perf_counter_ns())
    for seq in range(EVENTS // 3):
        for log in made:
            state = ("waiting", "holding", "done")[seq % 3]
            log.mark(state, "ABCDEF"[seq // 3 % 6], "lab.db", seq=seq)
    for log in made:
        log.close()
    return paths


@pytest.mark.benchmark(group="100,000 events into a table")
class TestTable:
    """Reading recordings into one sorted table of spans, beside only reading their lines."""

    def test_events(self, benchmark, logs):
        assert len(benchmark.pedantic(trace.events, (logs,), rounds=9)) >= EVENTS

    def test_read_csv(self, benchmark, logs):
        def read():
            return pd.concat([pd.read_csv(path) for path in logs], ignore_index=True)

        assert len(benchmark.pedantic(read, rounds=9)) >= EVENTS


# A table into a picture


def picture(draw, events):
    """Draw events on new axes, and those into a PNG."""
    figure, ax = plt.subplots(figsize=(9, 3), layout="constrained")
    draw(events, ax=ax)
    figure.savefig(io.BytesIO(), format="png")
    plt.close(figure)


def labelled(ax):
    """Give the contender's picture the same words."""
    ax.set_yticks(range(3), NAMES)
    ax.set(title="P1 won 3 times; nobody gave up", xlabel="seconds since the start gate")
    ax.autoscale()


def polygons(events, ax):
    """The picture as one collection of rectangles."""
    lane = events["process"].cat.codes.to_numpy()
    left, right = events["start"].to_numpy(), events["end"].to_numpy()
    corners = [(left, lane - 0.3), (left, lane + 0.3), (right, lane + 0.3), (right, lane - 0.3)]
    shapes = np.stack([np.column_stack(corner) for corner in corners], axis=1)
    ax.add_collection(PolyCollection(shapes, facecolors=[f"C{at}" for at in lane]))
    labelled(ax)


@pytest.mark.benchmark(group="a thousand events into a picture")
class TestThousand:
    """The timeline of a thousand spans, beside one collection of as many rectangles."""

    def test_timeline_thousand(self, benchmark, logs):
        benchmark.pedantic(picture, (charts.timeline, few(logs)), rounds=25, warmup_rounds=1)

    def test_polygons(self, benchmark, logs):
        benchmark.pedantic(picture, (polygons, few(logs)), rounds=25, warmup_rounds=1)


def few(logs):
    """A thousand spans of the logs."""
    events = trace.events(logs)
    few = events[events["state"].isin(["waiting", "holding"])].iloc[:1000]
    return few.assign(start=few["start"] - few["start"].min(), end=few["end"] - few["start"].min())


# Processes


@pytest.mark.benchmark(group="three processes, from start to done")
class TestStart:
    """Three processes that do nothing, beside three that import pandas first."""

    def test_start(self, benchmark):
        def worker(me):
            pass

        benchmark.pedantic(processes.run, (dict.fromkeys(NAMES, worker),), rounds=9)

    def test_start_with_pandas(self, benchmark):
        def worker(me):
            import pandas  # noqa: F401 - importing it is the point

        benchmark.pedantic(processes.run, (dict.fromkeys(NAMES, worker),), rounds=9)


@pytest.mark.benchmark(group="rounds")
def test_skew(benchmark):
    """How far apart three processes start: the median over a hundred rounds, milliseconds."""

    def worker(me):
        pass

    plan = dict.fromkeys(NAMES, worker)
    run = benchmark.pedantic(processes.run, (plan,), {"rounds": 100}, rounds=1)
    started = run.events[run.events["state"] == "started"].groupby("round")["start"]
    benchmark.extra_info["skew"] = 1000 * float((started.max() - started.min()).median())


@pytest.mark.benchmark(group="rounds")
def test_rounds(benchmark):
    """200 rounds of three quick pets processes with think time: seconds, and distinct orders."""
    plan = {name: database.pets(pets) for name, pets in database.PETS.items()}
    args = {"rounds": 200, "think_s": 0.01}
    run = benchmark.pedantic(processes.run, (plan,), args, rounds=1)
    seen = orders.coverage(run.orders()["committed"], (2, 2, 2))["seen"]
    benchmark.extra_info["orders"] = seen


# Schedules


def echo(pipe):
    """Send back whatever comes, until None."""
    while (message := pipe.recv_bytes()) != b"end":
        pipe.send_bytes(message)


def handoff_s():
    """How long a bare pipe takes from one process to another, one way: the best of 20 x 500."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    child = context.Process(target=echo, args=(there,), daemon=True)
    child.start()
    best = math.inf
    for _ in range(20):
        before = time.perf_counter()
        for _ in range(500):
            here.send_bytes(b"turn")
            here.recv_bytes()
        best = min(best, (time.perf_counter() - before) / 1000)
    here.send_bytes(b"end")
    child.join()
    return best


@pytest.mark.benchmark(group="schedules")
def test_turn(benchmark):
    """One forced turn, in a run of 10,000, beside a bare hand-off; both the best of 20 parts."""

    def many(me):
        for _ in range(5000):
            me.step("go")

    turns = ["1", "2"] * 5000
    random.Random(1).shuffle(turns)
    text = " ".join(turns)
    plan = {"P1": many, "P2": many}
    run = benchmark.pedantic(processes.run, (plan,), {"schedule": text}, rounds=1)
    at = run.events[run.events["state"] == "step"]["start"].to_numpy()
    best = min((at[i + 450] - at[i]) / 450 for i in range(500, 9500, 450))
    benchmark.extra_info["turn/handoff"] = float(best / handoff_s())


@pytest.mark.benchmark(group="schedules")
def test_all_90(benchmark):
    """All 90 orders of the pets forced, each read back from the database."""
    plan = {name: database.pets(pets) for name, pets in database.PETS.items()}
    whose = {letter: f"P{at // 2 + 1}" for at, letter in enumerate("ABCDEF")}
    every = list(orders.possible((2, 2, 2)))
    texts = [orders.schedule(order, whose) for order in every]

    def force():
        return processes.run(plan, schedule=texts).orders()["committed"].tolist() == every

    assert benchmark.pedantic(force, rounds=3)


@pytest.mark.benchmark(group="schedules")
@pytest.mark.parametrize(("marked", "explored"), [(True, 20), (False, 6)], ids=["marked", "not"])
def test_explore(benchmark, marked, explored):
    """All interleavings of two processes that add one: in three steps, or with none marked."""

    def counter(path):
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("DROP TABLE IF EXISTS counter")
            connection.execute("CREATE TABLE counter (value)")
            connection.execute("INSERT INTO counter VALUES (0)")
            connection.commit()

    def add_one(me):
        step = me.step if marked else lambda name: None
        with closing(database.open(me)) as connection:
            step("read")
            (number,) = connection.execute("SELECT value FROM counter").fetchone()
            step("add")
            number += 1
            step("write")
            connection.execute("UPDATE counter SET value = ?", (number,))

    def is_two(path):
        with closing(sqlite3.connect(path)) as connection:
            return connection.execute("SELECT value FROM counter").fetchone() == (2,)

    plan = {"P1": add_one, "P2": add_one}
    verdict = benchmark.pedantic(schedule.explore, (plan, is_two), {"setup": counter}, rounds=5)
    assert verdict.explored == verdict.total == explored


@pytest.mark.benchmark(group="schedules")
def test_game(benchmark):
    """A click, an undo and a refused click in games of 6 turns; the medians of 200, in ms."""

    def play():
        game = schedule.play({name: database.pets(pets) for name, pets in database.PETS.items()})
        game._repr_mimebundle_()  # so that each click draws
        took = {"click": [], "undo": [], "refused": []}
        for _ in range(200):
            game.again()
            game.turn("1b 1i 1c 2b 2i")
            took["refused"].append(seconds(lambda: game.turn(1)))
            took["click"].append(seconds(lambda: game.turn(2)))
            took["undo"].append(seconds(game.undo))
        game.close()
        return {f"{name} ms": 1000 * statistics.median(times) for name, times in took.items()}

    benchmark.extra_info |= benchmark.pedantic(play, rounds=1)


# Ways to share one database


EIGHT = [f"P{n}" for n in range(1, 9)]


def in_wal_mode(path):
    database.fresh(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


def connection_of(me):
    """Open the database; in WAL mode as is usual there: a commit waits for no disk."""
    connection = database.open(me, timeout_s=600)
    if connection.execute("PRAGMA journal_mode").fetchone() == ("wal",):
        connection.execute("PRAGMA synchronous = NORMAL")
    return closing(connection)


def commits_each(rows, held=lambda me: nullcontext()):
    """Return a worker that commits each row, under `held`, and prints its longest wait."""

    def worker(me):
        longest = 0
        with connection_of(me) as connection:
            for number in range(rows):
                before = time.perf_counter()
                with held(me):
                    connection.execute("BEGIN IMMEDIATE")
                    longest = max(longest, time.perf_counter() - before)
                    insert(connection, [(f"{me.name} {number}",)])
        print(longest)

    return worker


def insert(connection, rows):
    connection.executemany("INSERT INTO pets (name, process) VALUES (?, '')", rows)
    connection.execute("COMMIT")


def feeds(me):
    """Put rows into the queue of the writer, so many at a time."""
    for at in range(0, MANY, BATCH):
        rows = [(f"{me.name} {number}",) for number in range(at, at + BATCH)]
        resources.put(me, "rows", rows)
    resources.put(me, "rows", None)


def writes(me):
    """Write what the eight put, each batch in a transaction of its own."""
    with connection_of(me) as connection:
        for _ in EIGHT:
            while rows := resources.get(me, "rows"):
                connection.execute("BEGIN IMMEDIATE")
                insert(connection, rows)


def shared(plan, rows, setup=database.fresh):
    """Return rows a second, slowest over fastest finish, the longest wait, and rows lost."""
    run = processes.run(plan, setup=setup, timeout_s=600)
    ended = run.events[run.events["state"] == "ended"].groupby("process", observed=True)["start"]
    at, lost = ended.max(), 8 * rows - len(run.rows) + len(run.problems)
    longest = max(float(run.output[name] or 0) for name in EIGHT)
    return len(run.rows) / at.max(), at[EIGHT].max() / at[EIGHT].min(), longest, lost


FEW, MANY, BATCH = 100, 10_000, 500  # rows of each of the eight, in the default journal and in WAL


@pytest.mark.benchmark(group="eight processes, one database")
def test_sharing(benchmark):
    """One writer fed by a queue, and a lock ahead, beside SQLite's own lock in both modes."""

    def ahead(me):
        return resources.hold(me, "database")

    def compare():
        plan, held = (dict.fromkeys(EIGHT, commits_each(FEW, *by)) for by in ([], [ahead]))
        many = dict.fromkeys(EIGHT, commits_each(MANY))
        queued = resources.shared(rows=deque(), setup=in_wal_mode)
        journal, wal = shared(plan, FEW), shared(many, MANY, in_wal_mode)
        lock = shared(held, FEW, resources.shared("database"))
        writer = shared(dict.fromkeys(EIGHT, feeds) | {"writer": writes}, MANY, queued)
        found.append(
            {
                "writer/wal": writer[0] / wal[0],
                "writer/journal": writer[0] / journal[0],
                "fairness ahead": lock[1],
                "fairness own": journal[1],
                "wait ahead/own": lock[2] / journal[2],
                "rows lost in sharing": journal[3] + wal[3] + lock[3] + writer[3],
            }
        )

    found = []
    benchmark.pedantic(compare, rounds=3)
    benchmark.extra_info |= pd.DataFrame(found).median().to_dict()


@pytest.mark.benchmark(group="eight processes, one database")
def test_tournament(benchmark):
    """The whole tournament of fixes, with 1, 3 and 8 processes."""
    table = benchmark.pedantic(lesson_fixes.tournament, rounds=1)
    assert len(table) == 3 * len(lesson_fixes.ENTRIES)


# Each target: what, a benchmark over another or a figure of its own, the limit (negative: at least)
TARGETS = [
    ("one mark / one os.write of its line", "mark/write", None, 2),
    ("one mark / one logging call", "test_mark", "test_logging", 1 / 4),
    ("CPU of a mark, 3 writers / 1 writer", "writers", None, 1.5),
    ("100k events to a table / read_csv", "test_events", "test_read_csv", 5),
    ("1k spans to PNG / PolyCollection", "test_timeline_thousand", "test_polygons", 1.5),
    ("3 processes / the same with pandas", "test_start", "test_start_with_pandas", 1 / 4),
    ("start skew of 3 processes (ms)", "skew", None, 1),
    ("200 rounds of the pets (s)", "test_rounds", None, 15),
    ("distinct orders in those, at least", "orders", None, -50),
    ("one forced turn / a bare pipe hand-off", "turn/handoff", None, 10),
    ("all 90 orders forced and verified (s)", "test_all_90", None, 3),
    ("20 interleavings explored (s)", "test_explore[marked]", None, 1),
    ("those of a worker that marks nothing (s)", "test_explore[not]", None, 2),
    ("a click in a game (ms)", "click ms", None, 50),
    ("an undo (ms)", "undo ms", None, 500),
    ("a click that is refused (ms)", "refused ms", None, 500),
    ("10,000 turns (s; no limit)", "test_turn", None, math.inf),
    ("8 processes: one writer's rows/s / WAL's", "writer/wal", None, -2),
    ("the same, over the default journal's", "writer/journal", None, -100),
    ("a lock ahead: slowest / fastest finish", "fairness ahead", None, 1.6),
    ("SQLite's own lock: the same (no limit)", "fairness own", None, math.inf),
    ("longest wait, a lock ahead / SQLite's own", "wait ahead/own", None, 1 / 5),
    ("rows lost or errors in all of these", "rows lost in sharing", None, 0),
    ("the whole tournament of fixes (s)", "test_tournament", None, 20),
    ("CSV-UDP-file, rows/s over a bare loop", "udp/bare", None, -0.75),
    ("the same, rows/s over iterrows", "udp/iterrows", None, -3),
    ("rows lost by ours", "lost", None, 0),
    ("200 MB: sender's memory above 10 rows' (MB)", "sender", None, 30),
    ("200 MB: receiver's (MB)", "receiver", None, 30),
    ("pace: off / a sleep loop's, 1,000 records", "off", None, 1 / 200),
    ("pace: 99th percentile of lateness (ms)", "p99", None, 0.5),
    ("pace: CPU time / a sleep loop's", "cpu", None, 1.5),
    ("CSV-TCP-file, rows/s over a makefile loop", "tcp/makefile", None, -0.8),
    ("the same, rows/s over pyzmq PUSH/PULL", "tcp/zmq", None, -1.1),
    ("UDP delay at 1,000 rows/s / a bare loop's", "delay udp", None, 1.5),
    ("TCP delay at 1,000 rows/s / a bare loop's", "delay tcp", None, 1.5),
    ("1 % loss: learner's layer / TCP", "layer/tcp", None, 3),
    ("the layer's 20,000 rows (s; no limit)", "layer_s", None, math.inf),
    ("1M rows reconciled / a bare loop over both files", "reconcile/bare", None, 1.6),
    ("1M rows reconciled (s; no limit)", "test_reconcile", None, math.inf),
    ("10,000 lines, 4 distinct, no numbers (s)", "test_reconcile_equal_lines", None, 1),
]


def table(benchmarks, targets):
    """Yield a line for each target: the medians' ratio, that of the minima, the limit, met or not.

    What was compared within each round, or is no ratio, has only a median.
    """
    yield f"{'target':44}{'median':>9}{'minimum':>9}{'limit':>9}"
    median = {run["name"]: run["stats"]["median"] for run in benchmarks}
    least = {run["name"]: run["stats"]["min"] for run in benchmarks}
    own = {key: value for run in benchmarks for key, value in run["extra_info"].items()}
    for what, name, other, limit in targets:
        if not {name, other or name} <= (median | own).keys():
            continue  # it was not run
        if other:
            value, lowest = median[name] / median[other], f"{least[name] / least[other]:9.3f}"
        else:
            value, lowest = own.get(name, median.get(name)), " " * 9
        met = value >= -limit if limit < 0 else value <= limit
        yield f"{what:44}{value:9.3f}{lowest}{abs(limit):9.3f}  {'met' if met else 'MISSED'}"


def main():
    """Run every benchmark, of processes and of streams, then hold the figures against the targets.

    A word such as `stream` or `mark` runs those whose name contains it.
    """
    here = Path(__file__)
    files = [str(here), str(here.with_name("stream_benchmarks.py"))]
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder, "figures.json")
        options = ["-n0", "--benchmark-only", f"--benchmark-json={figures}", "-q"]
        chosen = ["-k", " or ".join(sys.argv[1:])] if sys.argv[1:] else []
        status = pytest.main([*files, *options, *chosen])
        print("", *table(json.loads(figures.read_text())["benchmarks"], TARGETS), sep="\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
