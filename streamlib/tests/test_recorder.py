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
from functools import cache
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streamlib.processes import events as trace
from streamlib.processes import recorder
from streamlib.processes.recorder import Recorder

SLOT = struct.Struct("qqQ")  # stated again, so that a change of the format does not pass
A_SEGMENT = recorder.SEGMENT // SLOT.size
KILLS = int(os.environ.get("STREAMLIB_KILLS", "10"))

quickly = settings(max_examples=50, deadline=None, database=None)
text = st.text(st.characters(), max_size=40)  # any character, NUL and lone surrogates included
maybe = st.none() | text
events_marked = st.tuples(
    text, maybe | st.integers(), maybe, maybe, st.integers(-(2**63), 2**63 - 1)
)


def words(log):
    """What the marks of a log say: state, item, resource, detail and seq of each."""
    return [[*log.texts[code], seq] for _, seq, code in log.marks]


def read_both(path):
    """Read the log both ways, see that they agree, and return it."""
    log, table = recorder.read(path), trace.events([path])
    columns = ["state", "item", "resource", "detail", "seq"]
    rows = table[columns].astype(object).where(table[columns].notna(), None).to_numpy().tolist()
    assert rows == words(log)
    assert table.attrs["problems"] == log.problems
    assert all(said.startswith(path.name) and said.endswith(".") for said in log.problems)
    return log


def assert_refused(path):
    """See that both readers refuse the file in one sentence that names it."""
    with pytest.raises(ValueError, match=path.name):
        recorder.read(path)
    table = trace.events([path])
    assert table.empty
    [said] = table.attrs["problems"]
    assert path.name in said and said.endswith(".")


@cache
def sample():
    """A sound log as bytes, one with several texts between its marks; and its number of texts."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "1.rec")
        log = Recorder(path, "P1")
        for n in range(12):
            state = ("waiting", "holding", "done")[n % 3]
            log.mark(log.code(state, f"item {n // 3}", "lab.db", "the same words again"), n)
        log.close()
        return path.read_bytes()


def slots(data):
    """The items of a log as (part, code, is it a mark)."""
    for _, _, word in SLOT.iter_unpack(data):
        yield word >> 32, word >> 8 & 0xFFFFFF, not word >> 32


def marks_of(data):
    """The (t_ns, seq, code) of the marks in whole items, found without the recorder."""
    whole = data[: len(data) // 24 * 24]
    return [(t, seq, word >> 8) for t, seq, word in SLOT.iter_unpack(whole) if word >> 32 == 0]


@quickly
@given(st.lists(events_marked, max_size=30))
@example([('it\'s "so"', "\0", "\ud800", "käse 🐕\n\\", -1), ("", 7, "", "", 0)])
def test_what_is_marked_is_read_back(marked):
    """Any words and numbers come back as they were, in their order."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "1.rec")
        log = Recorder(path, "P1", scale=0.5)
        for *kind, seq in marked:
            log.mark(log.code(*kind), seq)
        log.close()
        found = recorder.read(path)
        assert words(found) == [
            [*(None if word is None else str(word) for word in kind), seq] for *kind, seq in marked
        ]
        times = [t_ns for t_ns, _, _ in found.marks]
        assert times == sorted(times)
        assert found.header["process"] == "P1" and found.header["scale"] == 0.5
        assert found.problems == []
        assert len(trace.events([path])) == len(marked)


def test_tables_hold_the_same_words(tmp_path):
    """Both readers give the same events, odd characters included."""
    log = Recorder(tmp_path / "1.rec", "P1")
    for seq, word in enumerate(['it\'s "so"', "\0", "\ud800", "käse 🐕", "", None]):
        log.mark(log.code("holding", word, word, word), seq)
    log.close()
    assert len(read_both(tmp_path / "1.rec").marks) == 6


def test_an_overlong_text_is_cut(tmp_path):
    """A text of more than 2,000 characters is kept up to there."""
    log = Recorder(tmp_path / "1.rec", "P1")
    log.mark(log.code("failed", detail="é" * 5000))
    log.close()
    assert words(recorder.read(tmp_path / "1.rec")) == [["failed", None, None, "é" * 2000, 0]]


def test_a_log_grows_past_its_segments(tmp_path):
    """Three segments of marks are all there, and the closed file holds nothing else."""
    path = tmp_path / "1.rec"
    log = Recorder(path, "P1")
    code = log.code("holding", "Ace", "lab.db")
    for seq in range(2 * A_SEGMENT + 100):
        log.mark(code, seq)
    log.close()
    assert [seq for _, seq, _ in read_both(path).marks] == list(range(2 * A_SEGMENT + 100))
    assert path.stat().st_size == 24 * len(list(slots(path.read_bytes())))
    assert path.stat().st_size < 3 * recorder.SEGMENT


@pytest.mark.parametrize("left", range(4))
def test_a_text_may_lie_across_two_segments(tmp_path, left):
    """A text that begins at the end of a segment is whole."""
    log = Recorder(tmp_path / "1.rec", "P1")
    code = log.code("holding")
    used = len(marks_of((tmp_path / "1.rec").read_bytes()))  # all slots that are no text
    for seq in range(used - left):
        log.mark(code, seq)
    log.mark(log.code("a state whose text needs more than the slots left"), -1)
    log.close()
    found = recorder.read(tmp_path / "1.rec")
    assert words(found)[-1] == [
        "a state whose text needs more than the slots left",
        *[None] * 3,
        -1,
    ]
    assert len(found.marks) == used - left + 1


def test_an_existing_file_is_never_overwritten(tmp_path):
    """A recorder refuses a path that is taken."""
    (tmp_path / "1.rec").write_text("mine")
    with pytest.raises(FileExistsError):
        Recorder(tmp_path / "1.rec", "P1")
    assert (tmp_path / "1.rec").read_text() == "mine"


@pytest.fixture
def switching_often():
    """Let threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def in_threads(count, work):
    """Call work(0), work(1) ... at once, each in a thread, and wait for all."""
    gate = threading.Barrier(count)

    def wait_and_work(n):
        gate.wait()
        work(n)

    threads = [threading.Thread(target=wait_and_work, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_threads_lose_nothing(tmp_path, switching_often):
    """Four threads that mark at once, over several segments, leave every mark, each in order."""
    log = Recorder(tmp_path / "1.rec", "P1")
    each = A_SEGMENT

    def work(n):
        code = log.code("holding", n)
        for seq in range(each):
            log.mark(code, seq)

    in_threads(4, work)
    log.close()
    found = recorder.read(tmp_path / "1.rec")
    table = trace.events([tmp_path / "1.rec"])
    assert found.problems == table.attrs["problems"] == []
    for n in range(4):
        assert [word[4] for word in words(found) if word[1] == str(n)] == list(range(each))
        assert table["seq"][table["item"] == str(n)].tolist() == list(range(each))


def test_threads_get_one_code_for_one_kind(tmp_path, switching_often):
    """Threads that ask for the same new kinds at once get the same codes, and distinct ones."""
    log = Recorder(tmp_path / "1.rec", "P1")
    got = [[], [], [], []]
    in_threads(4, lambda n: got[n].extend(log.code("step", item) for item in range(200)))
    assert got[0] == got[1] == got[2] == got[3]
    assert len(set(got[0])) == 200
    for code in got[0]:
        log.mark(code)
    log.close()
    assert [word[1] for word in words(recorder.read(tmp_path / "1.rec"))] == [*map(str, range(200))]


@settings(max_examples=150, deadline=None, database=None)
@given(st.integers(0, len(sample())))
def test_a_log_cut_at_any_byte_is_read_up_to_there(cut):
    """Everything before the cut is returned, and a cut within a item is said."""
    data = sample()
    header = sum(1 for part, code, _ in slots(data) if part and code == 0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "1.rec")
        path.write_bytes(data[:cut])
        if cut // 24 < header:
            assert_refused(path)
            return
        found = read_both(path)
        assert found.marks == marks_of(data[:cut])
        assert len(found.problems) == bool(cut % 24)


@pytest.mark.parametrize("at", range(len(sample()) // 24))
def test_a_torn_record_costs_only_what_it_holds(tmp_path, at):
    """Without the word of one item, that item is missing, or the marks with its text."""
    data = bytearray(sample())
    part, code, is_mark = list(slots(data))[at]
    data[at * 24 + 16 : at * 24 + 24] = bytes(8)
    path = tmp_path / "1.rec"
    path.write_bytes(data)
    if code == 0 and part:
        assert_refused(path)
        return
    found = read_both(path)
    sound = marks_of(sample())
    if is_mark:
        t_seq = SLOT.unpack_from(data, at * 24)[:2]
        assert found.marks == [mark for mark in sound if mark[:2] != t_seq]
        assert len(found.problems) == 1 and "1 torn" in found.problems[0]
    else:
        assert found.marks == [mark for mark in sound if mark[2] != code]
        assert len(found.problems) == 2 and "text is missing" in found.problems[1]


def test_marks_whose_text_is_missing_are_counted(tmp_path):
    """A text that is all zeros leaves its marks out, and says how many they are."""
    data = bytearray(sample())
    gone = marks_of(data)[0][2]
    for at, (part, code, _) in enumerate(slots(sample())):
        if part and code == gone:
            data[at * 24 : at * 24 + 24] = bytes(24)
    (tmp_path / "1.rec").write_bytes(data)
    found = read_both(tmp_path / "1.rec")
    assert found.marks == [mark for mark in marks_of(sample()) if mark[2] != gone]
    assert found.problems == ["1.rec: 1 records whose text is missing, left out."]


@quickly
@given(st.binary(max_size=200) | st.sampled_from([b"", b"id,name\n1,Ace\n", b"\0" * 4096]))
@example(b"")
@example(SLOT.pack(1, 2, 0xE7))
@example(struct.pack("16sQ", b'{"recorder": 2}', 1 << 32 | 0xE7))
def test_a_foreign_file_is_refused(data):
    """What is no log is refused by both readers in one sentence."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "1.rec")
        path.write_bytes(data)
        assert_refused(path)


@quickly
@given(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=400))
def test_trim_cuts_no_record(seqs):
    """An unfinished log keeps every item when it is trimmed, and loses only the empty ones."""
    with tempfile.TemporaryDirectory() as folder:
        path, copy = Path(folder, "1.rec"), Path(folder, "copy.rec")
        log = Recorder(path, "P1")
        code = log.code("holding")
        for seq in seqs:
            log.mark(code, seq)
        copy.write_bytes(path.read_bytes())  # as a killed process leaves it
        recorder.trim(copy)
        once = copy.read_bytes()
        recorder.trim(copy)
        assert copy.read_bytes() == once
        assert [seq for _, seq, _ in recorder.read(copy).marks] == seqs
        assert all(word for _, _, word in SLOT.iter_unpack(once))
        log.close()
        assert path.read_bytes() == once


def test_a_death_is_added_at_the_end(tmp_path):
    """What a parent adds to the log of a dead process is its last event."""
    log = Recorder(tmp_path / "1.rec", "P1")
    log.mark(log.code("holding", "Ace", "lab.db"))
    copy = tmp_path / "copy.rec"
    copy.write_bytes((tmp_path / "1.rec").read_bytes())
    log.close()
    recorder.died(copy, 123, "was ended: it's „so“")
    found = read_unsorted(copy)
    assert words(found) == [
        ["holding", "Ace", "lab.db", None, 0],
        ["died", None, None, "was ended: it's „so“", 0],
    ]
    assert found.marks[-1][0] == 123
    recorder.died(copy, 124, "was ended again")
    assert [word[0] for word in words(recorder.read(copy))] == ["holding", "died", "died"]


def read_unsorted(path):
    """Read a log whose times are not in order both ways, and return it."""
    log, table = recorder.read(path), trace.events([path])
    assert sorted(table["state"]) == sorted(word[0] for word in words(log))
    return log


def test_a_full_disk_stops_the_recording_once(tmp_path, monkeypatch, capsys):
    """Recording stops, says so once, and what was recorded before survives."""
    log = Recorder(tmp_path / "1.rec", "P1")
    code = log.code("holding")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(recorder, "_allocate", full)
    assert log.problem == ""
    for seq in range(3 * A_SEGMENT):
        log.mark(code, seq)
    assert log.code("a new kind") != code
    log.close()
    said = capsys.readouterr().err.splitlines()
    assert said == [log.problem]
    assert "1.rec" in said[0] and "No space left" in said[0]
    found = read_both(tmp_path / "1.rec")
    kept = A_SEGMENT - sum(1 for part, _, _ in slots((tmp_path / "1.rec").read_bytes()) if part)
    assert [seq for _, seq, _ in found.marks] == list(range(kept))


FULL = """
import resource, sys
from streamlib.processes.recorder import Recorder, SEGMENT
resource.setrlimit(resource.RLIMIT_FSIZE, (2 * SEGMENT + 100, 2 * SEGMENT + 100))
log = Recorder(sys.argv[1], "P1")
code = log.code("holding")
for seq in range(SEGMENT // 24 * 4):
    log.mark(code, seq)
log.close()
print("went on", bool(log.problem))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of a file")
def test_a_file_that_may_not_grow_costs_no_earlier_event(tmp_path):
    """A process whose file hits the system's limit goes on, and its log is sound."""
    path = tmp_path / "1.rec"
    done = subprocess.run(
        [sys.executable, "-c", FULL, path], capture_output=True, text=True, check=True
    )
    assert done.stdout == "went on True\n"
    assert done.stderr.count("\n") == 1 and "1.rec stopped" in done.stderr
    found = read_both(path)
    seqs = [seq for _, seq, _ in found.marks]
    assert seqs == list(range(len(seqs))) and found.problems == []
    assert A_SEGMENT < len(seqs) < 2 * A_SEGMENT


# A writer marks 0, 1, 2 ...; after each mark it stores, in a mapped file, how many have returned.
# It does so in two places by turns: `pack_into` clears a place before it writes there, so that a
# kill may leave a 0 in the one, and then the other has the count before.
WRITER = """
import mmap, struct, sys
from streamlib.processes.recorder import Recorder
path, count_path, limit = sys.argv[1], sys.argv[2], int(sys.argv[3])
log = Recorder(path, "P")
code = log.code("holding", "Ace", "lab.db")
with open(count_path, "r+b") as file:
    count = mmap.mmap(file.fileno(), 16)
store = struct.Struct("Q").pack_into
mark, seq = log.mark, 0
print("ready", flush=True)
sys.stdin.readline()
while seq != limit:
    mark(code, seq)
    seq += 1
    store(count, 8 * (seq % 2), seq)
log.close()
"""


def start_writer(folder, name, limit):
    """Start a writer that waits for a line, ready to mark `limit` times (-1: for ever)."""
    paths = folder / f"{name}.rec", folder / f"{name}.count"
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
        going_on = [seq for _, seq, _ in recorder.read(other).marks]
        tally["lost by survivors"] += going_on != list(range(60_000)) or survivor.returncode != 0

        log = read_both(path)
        returned = max(struct.unpack("QQ", count_path.read_bytes()))
        times, seqs, _ = zip(*log.marks, strict=True)
        tally["events"] += returned
        tally["lost"] += len(set(range(returned)) - set(seqs))
        tally["half-written, detected"] += bool(log.problems)
        one_more = len(seqs) in (returned, returned + 1)
        sound = seqs == (*range(len(seqs)),) and list(times) == sorted(times)
        tally["half-written, undetected"] += not (one_more and sound)
        for used in (path, other):
            used.unlink()
    return tally


def test_a_kill_loses_nothing_that_had_returned(tmp_path):
    """After SIGKILL each returned mark is there, no torn one passes, and others are not blocked."""
    tally = kill_writers(tmp_path, KILLS, random.Random())
    print(dict(tally))
    assert tally["kills"] == KILLS and tally["events"] >= KILLS
    assert tally["lost"] == tally["half-written, undetected"] == 0
    assert tally["blocked"] == tally["lost by survivors"] == 0
