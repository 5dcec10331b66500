"""The sending end of a stream: its pace, its end, and rows that cannot be sent."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from itertools import count, pairwise
from types import SimpleNamespace

import pytest

from streamlib import home, records, rows, stream, wire
from streamlib.stream import sending
from streamlib.tests.conftest import DEADLINE_S, UNIX, Receiver, stored, table


def test_a_file_takes_the_same_as_a_receiver(tmp_path):
    out, sent = tmp_path / "out99.txt", table(20)
    done = stream.send(sent, f"file:{out}")
    assert (done.ok, done.acknowledged) == (True, True)
    assert [one.get("row") for one in stored(out)] == [*sent, None]
    assert repr(done) == "<sent 20 rows; all rows sent>"


def test_with_a_pace_and_a_limit_an_endless_source_ends(tmp_path):
    receiver, drawn = Receiver(tmp_path / "out9.txt"), []

    def endless():
        for n in count():
            drawn.append(n)
            yield {"n": n}

    done = stream.send(endless(), receiver.url, every=(0, 0.1), limit=12, seed=1)
    assert (done.rows, done.ended, done.ok) == (12, "limit reached", True)
    assert receiver.end().rows == 12 and receiver.done.ok and drawn == list(range(12))


def test_the_course_format_arrives_as_text(tmp_path):
    receiver, sent = Receiver(tmp_path / "out9.txt", limit=3, format="course"), table(3)
    done = stream.send(sent, receiver.url, format="course")
    assert done.ok and receiver.end().rows == 3
    text = receiver.out.read_text(encoding="utf-8")
    assert text == "".join(records.course(row) + "\n" for row in sent)


def test_a_row_that_is_too_long_is_named_by_its_line(tmp_path):
    source = tmp_path / "large.csv"
    lines = ["n,text", "1,x", "2,x", f"3,{'x' * 70_000}", "4,x"]
    source.write_text("\n".join(lines), encoding="utf-8")
    receiver = Receiver(tmp_path / "out9.txt")
    with pytest.raises(ValueError, match=r"^line 4 cannot be sent: 70,0\d\d bytes do not") as error:
        stream.send(rows.read(source), receiver.url)
    assert "send fewer columns, or check the host." in str(error.value)
    assert receiver.end().ok and [one["seq"] for one in stored(receiver.out)] == [1, 2, 2]


def test_a_row_that_json_has_no_word_for_is_named(tmp_path):
    out = tmp_path / "out9.txt"
    with pytest.raises(ValueError, match=r"^row 2 cannot be sent: .+\.$"):
        stream.send([{"a": 1.5}, {"a": float("nan")}, {"a": 2}], f"file:{out}")
    assert [one["seq"] for one in stored(out)] == [1, 1]


@pytest.mark.parametrize(
    "rows", [[], [{"a": float("nan")}]], ids=["no row", "a row without a word"]
)
def test_a_file_is_as_it_was_if_no_row_was_sent(tmp_path, rows):
    out = tmp_path / "out9.txt"
    stream.send(table(3), f"file:{out}")
    before = out.read_bytes()
    with contextlib.suppress(ValueError):
        stream.send(rows, f"file:{out}")
    assert out.read_bytes() == before and len(stored(out)) == 4


def test_an_error_of_the_source_is_not_blamed_on_the_receiver(tmp_path):
    def source():
        yield {"n": 1}
        raise ConnectionResetError("the source's own")

    out = tmp_path / "out9.txt"
    with pytest.raises(ConnectionResetError, match="the source's own"):
        stream.send(source(), f"file:{out}")
    assert [one["seq"] for one in stored(out)] == [1, 1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"format": "xml"}, "choose json or course"),
        ({"limit": 0}, "limit is 0: give a whole number"),
        *[({"every": every}, "every is") for every in (-1, float("nan"), "3", True, 4000)],
        *[({"every": every}, "every is") for every in ((3, 1), (1, 2, 3), (), (-1, 1))],
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_touched(tmp_path, options, words):
    out = tmp_path / "out9.txt"
    out.write_text("[from before]", encoding="utf-8")
    with pytest.raises(ValueError, match=words):
        stream.send(table(3), f"file:{out}", **options)
    assert out.read_text(encoding="utf-8") == "[from before]"


@pytest.fixture
def clock(monkeypatch):
    """A clock that only sleeping moves, which always takes a little too long."""
    clock = SimpleNamespace(now=50.0, late=0.001)

    def sleep(seconds):
        clock.now += seconds + clock.late

    fake = SimpleNamespace(perf_counter=lambda: clock.now, sleep=sleep)
    monkeypatch.setattr(sending, "time", fake)
    return clock


def moments(clock, every, seed=None, number=40, busy=lambda n: 0):
    """Return when each item came, in seconds of a lesson, if one is busy after each."""
    found = []
    for n in stream.pace(range(number), every, seed):
        found.append((clock.now - 50) / home.scale())
        clock.now += home.scale() * busy(n)
    assert len(found) == number
    return found


def test_a_pace_is_kept_however_late_one_item_was(clock):
    late = {10: 3.5, 20: 1.2}  # seconds that an item took; the others take 0.7
    found = moments(clock, 1, busy=lambda n: late.get(n, 0.7))
    slack = 2 * clock.late / home.scale()
    behind = {11: 2.5, 12: 2.2, 13: 1.9, 14: 1.6, 15: 1.3, 16: 1.0, 17: 0.7, 18: 0.4, 19: 0.1}
    for n, moment in enumerate(found):
        assert -1e-6 <= moment - n - behind.get(n, 0.2 if n == 21 else 0) <= slack


def test_random_pauses_keep_their_bounds_and_repeat_with_their_seed(clock):
    clock.late = 0
    found = []
    for seed in (1, 1, 2):
        clock.now = 50.0
        found.append(moments(clock, (1, 3), seed))
    assert found[0] == found[1] != found[2]
    pauses = [after - before for before, after in pairwise(found[0])]
    assert all(0.999 < pause < 3.001 for pause in pauses) and max(pauses) - min(pauses) > 1


@UNIX
def test_a_first_ctrl_c_ends_a_stream_between_two_rows(tmp_path):
    def source():
        for n in count():
            if n == 5:
                signal.raise_signal(signal.SIGINT)
            yield {"n": n}

    out, before = tmp_path / "out9.txt", signal.getsignal(signal.SIGINT)
    done = stream.send(source(), f"file:{out}")
    assert (done.rows, done.ended, done.ok) == (5, "stopped by hand", True)
    assert [one["seq"] for one in stored(out)] == [1, 2, 3, 4, 5, 5]
    assert signal.getsignal(signal.SIGINT) is before and not wire.stop.asked


def test_what_senders_import_is_light():
    """A sender that imports pandas starts half a second later."""
    code = (
        "import sys\n"
        "from streamlib import programs, records, rows, stream, wire\n"
        "print([m for m in ('pandas', 'numpy', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=home.root,
        env=os.environ,
        capture_output=True,
        timeout=DEADLINE_S,
    )
    assert json.loads(done.stdout) == []
