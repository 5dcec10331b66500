"""The recorder loses nothing that was marked: not to threads, damage, a full disk, or a kill."""

import errno
import mmap
import os
import random
import struct
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streamlib.processes import recorder
from streamlib.processes.recorder import Recorder

KILLS = int(os.environ.get("STREAMLIB_KILLS", "3"))
quickly = settings(max_examples=50, deadline=None, database=None)
text = st.text(st.characters(), max_size=40)  # any character, NUL and lone surrogates included
maybe = st.none() | text
marks = st.tuples(text, maybe | st.integers(), maybe, maybe, st.integers(1 - 10**17, 10**17 - 1))


def words(path):
    """What the marks of a recording say after the first: state, item, resource, detail, seq."""
    return [[*mark[4:], mark.seq] for mark in recorder.read(path).marks[1:]]


def seqs(found):
    """The numbers of the marks that were read."""
    return [mark.seq for mark in found.marks]


def sample(folder, count=12):
    """Record some marks with the seqs 0, 1, 2 ...; return the path."""
    path = Path(folder, "1.csv")
    log = Recorder(path, "P1")
    for seq in range(count):
        state = ("waiting", "holding", "done")[seq % 3]
        log.mark(state, f"item, {seq // 3}", "lab.db", 'a "word"', seq)
    log.close()
    return path


@quickly
@given(st.lists(marks, max_size=30))
@example([('it\'s "so", 5 %d', "\0", "\ud800", "käse 🐕\n\\n\r\u2028\x85", -1), ("", 7, "", "", 0)])
def test_what_is_marked_is_read_back(marked):
    """Any words and numbers come back as they were, in their order; an empty text is missing."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "1.csv")
        log = Recorder(path, 'P1, "Ü"', scale=0.5)
        for mark in marked:
            log.mark(*mark)
        log.close()
        assert words(path) == [
            [state, *(None if w in (None, "") else str(w) for w in more), seq]
            for state, *more, seq in marked
        ]
        found = recorder.read(path)
        assert found.marks == sorted(found.marks, key=lambda mark: mark.t_ns) and found.damaged == 0
        assert found.marks[0][2:] == (os.getpid(), 'P1, "Ü"', "scale", None, None, "0.5")


@quickly
@given(st.lists(marks, max_size=30))
def test_pandas_reads_a_recording_too(marked):
    """Every mark is one row of `pandas.read_csv`, under the names of the columns."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "1.csv")
        log = Recorder(path, "P1")
        for mark in marked:
            log.mark(*mark)
        log.close()
        table = pd.read_csv(path)
        assert list(table.columns) == "t_ns seq pid process state item resource detail".split()
        assert table["seq"].tolist() == seqs(recorder.read(path))
        assert set(table["process"]) == {"P1"}


def test_an_overlong_text_is_cut(tmp_path):
    """A text of more than 2,000 characters is kept up to there."""
    log = Recorder(tmp_path / "1.csv", "P1")
    log.mark("failed", detail="é" * 5000)
    log.close()
    assert words(tmp_path / "1.csv") == [["failed", None, None, "é" * 2000, 0]]


def test_numbers_and_truth_values_are_told_apart(tmp_path):
    """Items that are equal in Python but print differently are different items."""
    log = Recorder(tmp_path / "1.csv", "P1")
    for item in (1, True, 1.0, 0, False, [1]):
        log.mark("step", item)
    log.close()
    items = [item for _, item, *_ in words(tmp_path / "1.csv")]
    assert items == ["1", "True", "1.0", "0", "False", "[1]"]


def test_more_kinds_of_marks_than_are_remembered_are_all_kept(tmp_path, monkeypatch):
    """The memory for kinds is bounded, the recording is not."""
    monkeypatch.setattr(recorder, "KINDS", 3)
    log = Recorder(tmp_path / "1.csv", "P1")
    for seq in range(20):
        log.mark("step", seq % 7, seq=seq)
    log.close()
    assert [[item, seq] for _, item, _, _, seq in words(tmp_path / "1.csv")] == [
        [str(seq % 7), seq] for seq in range(20)
    ]


def test_an_existing_file_is_never_overwritten(tmp_path):
    """A recorder refuses a path that is taken."""
    (tmp_path / "1.csv").write_text("mine")
    with pytest.raises(FileExistsError):
        Recorder(tmp_path / "1.csv", "P1")
    assert (tmp_path / "1.csv").read_text() == "mine"


def test_marks_after_the_end_are_dropped(tmp_path):
    """A closed recorder takes no more marks and raises nothing."""
    path = sample(tmp_path)
    log = Recorder(tmp_path / "2.csv", "P2")
    log.close()
    log.close()
    log.mark("late")
    assert words(tmp_path / "2.csv") == [] and len(words(path)) == 12


@pytest.fixture
def switching_often():
    """Let threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_threads_lose_nothing(tmp_path, switching_often):
    """Four threads that mark at once leave every mark, whole, each thread's in order."""
    log = Recorder(tmp_path / "1.csv", "P1")
    gate = threading.Barrier(4)

    def work(n):
        gate.wait()
        for seq in range(3000):
            log.mark("holding", n, detail="x" * (seq % 50), seq=seq)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    found = words(tmp_path / "1.csv")
    assert recorder.read(tmp_path / "1.csv").damaged == 0
    for n in range(4):
        assert [seq for _, item, *_, seq in found if item == str(n)] == list(range(3000))


def test_a_growing_recording_is_read_on_from_where_it_ended(tmp_path):
    """Marks are found once each, a line that is only half there when it is whole."""
    data = sample(tmp_path).read_bytes()
    growing, end, read = tmp_path / "2.csv", 0, []
    for size in range(0, len(data) + 7, 7):
        growing.write_bytes(data[:size])
        found = recorder.read(growing, end)
        end = found.end
        read += seqs(found)
    assert read == [0, *range(12)] and end == len(data)


def test_a_recording_cut_at_any_byte_is_read_up_to_there(tmp_path):
    """Every whole line before the cut is read, and the torn one is counted."""
    data = sample(tmp_path, 4).read_bytes()
    for cut in range(len(data) + 1):
        (tmp_path / "cut.csv").write_bytes(data[:cut])
        found = recorder.read(tmp_path / "cut.csv")
        assert len(found.marks) == max(0, data[:cut].count(b"\n") - 1)  # without the header
        assert found.damaged == (not data[:cut].endswith(b"\n") and cut > 0)


DAMAGE = {
    "NUL bytes at the start": lambda line: bytes(20) + line[20:],
    "NUL bytes within": lambda line: line[:-8] + bytes(4) + line[-4:],
    "a NUL byte in a word": lambda line: line.replace(b"lab", b"l\0b"),
    "an unclosed quote": lambda line: line.replace(b'"item', b'"it"em'),
    "a quote at the end": lambda line: line[:-1] + b',"\n',
    "no UTF-8": lambda line: line.replace(b"lab", b"l\xffb"),
    "a word too few": lambda line: line.replace(b",lab.db", b""),
    "a word too many": lambda line: line.replace(b",lab.db", b",lab,db"),
    "no number": lambda line: b"x" + line,
    "no process number": lambda line: line.replace(b",P1", b"x,P1"),
    "another line": lambda line: b"id,name\n",
    "an empty line": lambda line: b"\n",
    "half a line": lambda line: line[: len(line) // 2] + b"\n",
    "a bad escape": lambda line: line.replace(b"lab", rb"\x4"),
    "a very long line": lambda line: line[:-1] + b"x" * 300_000 + b"\n",
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("at", [2, 5, 13])
def test_a_damaged_line_costs_only_itself(tmp_path, damage, at):
    """Whatever happens to one line, the others are read, and it is counted."""
    path = sample(tmp_path)
    whole = recorder.read(path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[at] = DAMAGE[damage](lines[at])
    path.write_bytes(b"".join(lines))
    found = recorder.read(path)
    kept = [n for n in range(13) if n != at - 1]
    assert found.marks == [whole.marks[n] for n in kept] and found.damaged == 1


@pytest.mark.parametrize("size", [1, 20, 60, 80])
def test_a_damaged_beginning_costs_no_later_line(tmp_path, size):
    """Neither the header nor the first mark is needed to read the others."""
    path = sample(tmp_path)
    data = path.read_bytes()
    path.write_bytes(bytes(size) + data[size:])
    found = recorder.read(path)
    assert seqs(found)[-12:] == list(range(12)) and found.damaged in (1, 2)


def test_numbers_too_long_for_a_table_are_cut(tmp_path):
    """A damaged number never makes a table overflow."""
    path = sample(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[3] = b"9" * 30 + b"," + b"8" * 30 + lines[3][lines[3].index(b",", 20) :]
    path.write_bytes(b"".join(lines))
    assert max(mark.t_ns for mark in recorder.read(path).marks) < 10**18


def test_a_recording_saved_by_an_editor_is_still_read(tmp_path):
    """Line ends of Windows and a byte order mark cost no mark."""
    path = sample(tmp_path)
    whole = recorder.read(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert recorder.read(path).marks == whole.marks


@quickly
@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda t: t.encode("utf-8", "replace")))
@example(b"")
@example(b"id,name\n1,Ace\n")
@example(bytes(4096))
@example(b"1,2,3\n" * 3)
def test_a_foreign_file_has_no_marks(data):
    """What is not a recording is read without an exception, and without a mark."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "1.csv")
        path.write_bytes(data)
        found = recorder.read(path)
        assert not found.marks and (found.damaged > 0) == bool(data)


def test_a_death_is_added_at_the_end(tmp_path):
    """What a parent adds to the recording of a dead process is its last mark; a torn line goes."""
    path = sample(tmp_path)
    path.write_bytes(path.read_bytes() + b"123,4,567,P1,hol")
    recorder.died(path, os.getpid(), "P1", 123, 'killed: it\'s "so"\n')
    assert words(path)[12:] == [["died", None, None, 'killed: it\'s "so"\n', 0]]
    found = recorder.read(path)
    assert found.marks[-1].t_ns == 123 and found.damaged == 0
    assert found.marks[-1][2:4] == found.marks[0][2:4]


def test_a_death_without_a_recording_is_refused(tmp_path):
    """The parent is told that the process recorded nothing, and nothing is made."""
    with pytest.raises(OSError):
        recorder.died(tmp_path / "1.csv", 1, "P1", 123, "killed")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_stops_the_recording(tmp_path):
    """Recording stops, tells why, cuts off half a line, and loses nothing from before."""
    log = Recorder(tmp_path / "1.csv", "P1")
    write, left = log._write, 1000  # bytes until the disk is full

    def fill_up(line):
        nonlocal left
        if not left:
            raise OSError(errno.ENOSPC, "No space left on device")
        done = write(line[:left])
        left -= done
        return done

    log._write = fill_up
    mark = log.mark
    for seq in range(100):
        mark("holding", "Ace", seq=seq)
    log.close()
    assert "1.csv" in log.problem and "No space left" in log.problem
    found = recorder.read(tmp_path / "1.csv")
    assert 10 < len(found.marks) < 40 and found.damaged == 0
    assert seqs(found)[1:] == list(range(len(found.marks) - 1))


FULL = """
import resource, sys
from streamlib.processes.recorder import Recorder
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
log = Recorder(sys.argv[1], "P1")
for seq in range(1000):
    log.mark("holding", seq=seq)
log.close()
print("went on;", log.problem)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of a file")
def test_a_file_that_may_not_grow_costs_no_earlier_event(tmp_path):
    """A process whose file hits the system's limit goes on, and its recording is whole."""
    path = tmp_path / "1.csv"
    done = subprocess.run(
        [sys.executable, "-c", FULL, path], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("went on; ") and "1.csv ends here" in done.stdout
    found = recorder.read(path)
    assert seqs(found)[1:] == list(range(len(found.marks) - 1)) and found.damaged == 0
    assert 100 < len(found.marks) < 500


# A writer marks 0, 1, 2 ...; after each mark it stores, in a mapped file, how many have returned.
# It does so in two places by turns: `pack_into` clears a place before it writes there, so that a
# kill may leave a 0 in the one, and then the other has the count before.
WRITER = """
import mmap, struct, sys
from streamlib.processes.recorder import Recorder
path, count_path, limit = sys.argv[1], sys.argv[2], int(sys.argv[3])
recorder = Recorder(path, "P")
with open(count_path, "r+b") as file:
    count = mmap.mmap(file.fileno(), 16)
store = struct.Struct("Q").pack_into
mark, seq = recorder.mark, 0
print("ready", flush=True)
sys.stdin.readline()
while seq != limit:
    mark("holding", "Ace", "lab.db", seq=seq)
    seq += 1
    store(count, 8 * (seq % 2), seq)
recorder.close()
"""


def start_writer(folder, name, limit):
    """Start a writer that waits for a line, ready to mark `limit` times (-1: for ever)."""
    paths = folder / f"{name}.csv", folder / f"{name}.count"
    paths[1].write_bytes(bytes(16))
    command = [sys.executable, "-c", WRITER, *map(str, paths), str(limit)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process, *paths


def kill_writers(folder, kills, rng):
    """Kill a writer at full speed, again and again, while another goes on; count what happened."""
    tally = Counter(kills=kills)
    for number in range(kills):
        victim, path, count_path = start_writer(folder, f"victim{number}", -1)
        survivor, other, _ = start_writer(folder, f"survivor{number}", 60_000)
        for process in (survivor, victim):
            process.stdin.write("go\n")
            process.stdin.flush()
        until = rng.randrange(1, 60_000)
        with open(count_path, "r+b") as file, mmap.mmap(file.fileno(), 16) as count:
            while max(struct.unpack_from("QQ", count)) < until:
                assert victim.poll() is None
        victim.kill()
        victim.communicate()
        try:
            survivor.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            survivor.kill()
            survivor.communicate()
            tally["blocked"] += 1
        going_on = seqs(recorder.read(other))[1:]
        tally["lost by survivors"] += going_on != list(range(60_000)) or survivor.returncode != 0

        found = recorder.read(path)
        returned = max(struct.unpack("QQ", count_path.read_bytes()))
        times, numbers = [mark.t_ns for mark in found.marks], seqs(found)[1:]
        tally["events"] += returned
        tally["lost"] += len(set(range(returned)) - set(numbers))
        tally["half-written, detected"] += found.damaged
        one_more = len(numbers) in (returned, returned + 1)
        sound = numbers == list(range(len(numbers))) and times == sorted(times)
        tally["half-written, undetected"] += not (one_more and sound)
        for used in (path, other):
            used.unlink()
    return tally


def test_a_kill_loses_nothing_that_had_returned(tmp_path):
    """After SIGKILL each returned mark is there, no torn one passes, and others are not blocked.

    KILLS of them; the environment variable STREAMLIB_KILLS asks for more.
    """
    tally = kill_writers(tmp_path, KILLS, random.Random())
    print(dict(tally))
    assert tally["kills"] == KILLS and tally["events"] >= KILLS
    assert tally["lost"] == tally["half-written, undetected"] == 0
    assert tally["blocked"] == tally["lost by survivors"] == 0
