"""Marks become spans and instants as the table's rules say, whatever their processes did."""

import os
from unittest import mock

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlib.processes import events as trace
from streamlib.processes import recorder

GATE = 10**12  # ns, of the first round
EXAMPLES = int(os.environ.get("STREAMLIB_EXAMPLES", "50"))


def write(folder, process, marks):
    """Write the recording of a process that made these marks; return its path.

    A mark is (second, state, resource) and may go on with item, detail and seq.
    """
    path = folder / f"{process}.csv"
    with mock.patch("time.perf_counter_ns", return_value=GATE) as clock:
        log = recorder.Recorder(path, process)
        for at, state, resource, *more in marks:
            item, detail, seq = (*more, *(None, None, 0)[len(more) :])
            clock.return_value = GATE + round(at * 1e9)
            log.mark(state, item, resource, detail, seq=seq)
    log.close()
    return path


def started(at=0.0, gate=None):
    """The mark of a round's start, at `at`, with its gate at `gate`, seconds."""
    return at, "started", None, None, None, GATE + round((at if gate is None else gate) * 1e9)


def step(at, name, item=None, turn=-1):
    """The mark of a step."""
    return at, "step", None, item, name, turn


def spans(table, *columns):
    """The states of the events with their times, rounded, and what else is asked for."""
    chosen = table[["state", "start", "end", *columns]].round(6)
    return list(chosen.astype(object).itertuples(index=False, name=None))


def test_a_span_ends_at_the_next_mark_on_its_resource(tmp_path):
    """Spans on two resources do not end each other; an instant has no length."""
    path = write(
        tmp_path,
        "P1",
        [
            started(),
            (1, "waiting", "a"),
            (2, "holding", "a"),
            (3, "waiting", "b"),
            (4, "done", "a"),
            (5, "gave_up", "b"),
            (6, "ended", None),
        ],
    )
    assert spans(trace.events([path])) == [
        ("started", 0, 0),
        ("waiting", 1, 2),
        ("holding", 2, 4),
        ("waiting", 3, 5),
        ("done", 4, 4),
        ("gave_up", 5, 5),
        ("ended", 6, 6),
    ]


@pytest.mark.parametrize("last", ["ended", "died"])
def test_the_end_of_a_process_ends_its_spans(tmp_path, last):
    """A process that ended or died holds nothing any more."""
    marks = [started(), (1, "holding", "a"), (2, "waiting", "b"), (7, last, None)]
    table = trace.events([write(tmp_path, "P1", marks)])
    assert spans(table)[1:3] == [("holding", 1, 7), ("waiting", 2, 7)]


def test_what_the_parent_adds_ends_the_spans(tmp_path):
    """`recorder.died` closes what a killed process held, at the time it was noticed."""
    path = write(tmp_path, "P1", [started(), (1, "holding", "a")])
    recorder.died(path, os.getpid(), "P1", GATE + 4 * 10**9, "was killed")
    table = trace.events([path])
    assert spans(table)[1:] == [("holding", 1, 4), ("died", 4, 4)]
    assert table["detail"].iloc[-1] == "was killed"


def test_an_open_span_lasts_to_the_end_of_its_recording(tmp_path):
    """Where a recording just stops, its spans go on to its last mark."""
    path = write(tmp_path, "P1", [started(), (1, "holding", "a"), (3, "waiting", "b")])
    assert spans(trace.events([path]))[1:] == [("holding", 1, 3), ("waiting", 3, 3)]


def test_each_round_counts_from_its_own_gate(tmp_path):
    """Rounds are numbered, times begin at each gate, and no span goes on into the next round."""
    marks = [
        started(0.5, gate=0),
        (1, "holding", "a"),
        started(9, gate=8),
        (10, "holding", "a"),
        (12, "done", "a"),
    ]
    assert spans(trace.events([write(tmp_path, "P1", marks)]), "round") == [
        ("started", 0.5, 0.5, 1),
        ("holding", 1, 9, 1),
        ("started", 1, 1, 2),
        ("holding", 2, 4, 2),
        ("done", 4, 4, 2),
    ]


def test_steps_and_turns_are_filled_forward(tmp_path):
    """An event is in the latest step of its round; a free run has no turns."""
    marks = [
        started(),
        (1, "waiting", "a"),
        step(2, "begin", "Ace", turn=4),
        (3, "holding", "a"),
        step(4, "commit"),
        (5, "done", "a"),
        started(6),
        (7, "holding", "a"),
    ]
    table = trace.events([write(tmp_path, "P1", marks)])
    steps = table["step"].astype(object).where(table["step"].notna(), None).tolist()
    assert steps == [None, None, "begin", "begin", "commit", "commit", None, None]
    assert table["turn"].astype(object).where(table["turn"].notna(), None).tolist() == [
        *[None, None, 4, 4, None, None, None, None]
    ]
    assert table["item"].iloc[2] == "Ace"


def test_ties_keep_the_order_of_the_plan(tmp_path):
    """Events at the same time stand in the order of their paths, each recording's in its own."""
    marks = [(1, "holding", "a"), (1, "done", "a"), (2, "holding", "a")]
    paths = [write(tmp_path, name, marks) for name in ("P2", "P1", "P3")]
    table = trace.events(paths)
    assert list(table["process"].cat.categories) == ["P2", "P1", "P3"]
    assert list(zip(table["process"], table["state"], strict=True)) == [
        *[(name, state) for name in ("P2", "P1", "P3") for state in ("holding", "done")],
        *[(name, "holding") for name in ("P2", "P1", "P3")],
    ]


def test_events_that_threads_stored_out_of_order_are_put_in_order(tmp_path):
    """No span ends before it starts, although threads may store a later mark first."""
    marks = [started(), (2, "holding", "a"), (1, "waiting", "a"), (3, "done", "a")]
    table = trace.events([write(tmp_path, "P1", marks)])
    assert spans(table)[1:] == [("waiting", 1, 2), ("holding", 2, 3), ("done", 3, 3)]


STATES = ["waiting", "holding", "busy", "done", "gave_up", "step", "started", "ended", "sent"]
some_marks = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from(STATES), st.sampled_from([None, "a", "b"]))
)


def end_of(marks, i):
    """When the i-th mark's span ends, by the words of the rule."""
    at, state, resource = marks[i]
    if state in trace.INSTANTS:
        return at
    for later, other, shared in marks[i + 1 :]:
        if shared == resource or other in ("started", "ended", "died"):
            return later
    return marks[-1][0]


@settings(max_examples=EXAMPLES, deadline=None, database=None)
@given(some_marks)
def test_spans_follow_the_rule(tmp_path_factory, gaps):
    """EXAMPLES of marks; the environment variable STREAMLIB_EXAMPLES asks for more."""
    at, marks = 0, []
    for gap, state, resource in gaps:
        at += gap
        marks.append((at, state, None if state in ("started", "ended", "step") else resource))
    table = trace.events([write(tmp_path_factory.mktemp("run"), "P1", marks)])
    assert table["state"].tolist() == [state for _, state, _ in marks]
    lasted = (table["end"] - table["start"]).round(6).tolist()
    assert lasted == [end_of(marks, i) - marks[i][0] for i in range(len(marks))]


def test_no_recordings_give_an_empty_table(tmp_path):
    """With no recording, or a silent one, there is a table with every column."""
    silent = write(tmp_path, "P1", [])
    full = trace.events([write(tmp_path, "P2", [started(), (1, "holding", "a")])])
    for paths in ([], [silent]):
        table = trace.events(paths)
        assert table.empty and list(table.columns) == list(full.columns)
        assert table.attrs["problems"] == []
        assert trace.handoffs(table).empty


def test_a_table_says_whose_and_how_fast_it_is(tmp_path):
    """Run, process, pid and time scale stand in the table, texts as categories."""
    folder = tmp_path / "the run"
    folder.mkdir()
    log = recorder.Recorder(folder / "1.csv", "P1", scale=0.1)
    log.mark("sent", "Ace", detail="words")
    log.close()
    table = trace.events([folder / "1.csv"])
    assert table.attrs["scale"] == 0.1
    row = table.iloc[0]
    assert (row["run"], row["process"], row["round"]) == ("the run", "P1", 1)
    assert row["pid"] == os.getpid()
    for column in ("run", "process", "step", "item", "resource", "state", "detail"):
        assert isinstance(table[column].dtype, pd.CategoricalDtype)


def test_the_time_scale_need_not_be_there(tmp_path):
    """A recording that lost its first lines counts as one at full length."""
    path = write(
        tmp_path, "P1", [started(), (1, "scale", None, None, "of a map"), (2, "done", "a")]
    )
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[2:]))
    table = trace.events([path])
    assert table.attrs == {"scale": 1.0, "problems": []}
    assert table["state"].tolist() == ["started", "done"]


@pytest.mark.parametrize(
    ("data", "lines"),
    [(b"", 0), (b"id,name\n1,Ace\n", 2), (bytes(4096), 1), (recorder.HEADER, 0)],
    ids=["empty", "foreign", "zeros", "header"],
)
def test_a_foreign_file_is_one_sentence_and_hides_no_recording(tmp_path, data, lines):
    """A file without marks is told, and the recordings beside it make the table."""
    sound = write(tmp_path, "P1", [started(), (1, "holding", "a"), (3, "done", "a")])
    bad = tmp_path / "bad.csv"
    bad.write_bytes(data)
    for paths in ([bad, sound], [sound, bad]):
        table = trace.events(paths)
        assert spans(table) == [("started", 0, 0), ("holding", 1, 3), ("done", 3, 3)]
        said = f"bad.csv is damaged or empty (marks read: 0, lines left out: {lines})."
        assert table.attrs["problems"] == [said]


def test_damaged_lines_are_one_sentence_for_each_recording(tmp_path):
    """The healthy marks make the table; how many lines were left out is said."""
    marks = [started(), (1, "holding", "a"), (2, "waiting", "b"), (3, "done", "a")]
    paths = [write(tmp_path, name, marks) for name in ("P1", "P2")]
    lines = paths[0].read_bytes().splitlines(keepends=True)
    lines[4] = bytes(20) + b"\n"
    paths[0].write_bytes(b"".join(lines)[:-3])  # its last line is torn
    table = trace.events(paths)
    said = "P1.csv is damaged or empty (marks read: 3, lines left out: 2)."
    assert table.attrs["problems"] == [said]
    assert table["state"][table["process"] == "P1"].tolist() == ["started", "holding"]
    assert table["state"][table["process"] == "P2"].tolist() == [mark[1] for mark in marks]


@settings(max_examples=60, deadline=None, database=None)
@given(st.data())
def test_no_damage_raises_out_of_the_table(tmp_path_factory, data):
    """Whatever bytes are changed, there is a table, and a line that is gone is said."""
    marks = [started(), step(1, "begin", "Ace"), (2, "holding", "a", "Ace"), (3, "ended", None)]
    path = write(tmp_path_factory.mktemp("run"), "P1", marks)
    recording = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(recording) - 1))
        damage = data.draw(st.binary(min_size=1, max_size=9) | st.just(b"9" * 9))
        recording[at : at + len(damage)] = damage
    path.write_bytes(recording)
    table = trace.events([path])
    trace.handoffs(table)
    trace.lock_moves(table)
    assert len(table) <= 4 + recording.count(b"\n") and len(table.attrs["problems"]) <= 1


def three_processes(folder):
    """P3 takes the lock ahead of P2, which had begun to wait before it; then P2 gets it."""
    return [
        write(folder, "P1", [started(), (0, "holding", "db", "Ace"), (3, "done", "db", "Ace")]),
        write(
            folder,
            "P2",
            [started(), (1, "waiting", "db", "Bo"), (5, "holding", "db", "Bo"), (6, "done", "db")],
        ),
        write(
            folder,
            "P3",
            [
                started(),
                (2, "waiting", "db", "Cy"),
                (3.5, "holding", "db", "Cy"),
                (4, "done", "db"),
            ],
        ),
    ]


def test_a_handoff_that_passes_over_an_earlier_waiter_is_barging(tmp_path):
    """Taking the lock ahead of one who began to wait earlier is barging; in turn it is not."""
    table = trace.handoffs(trace.events(three_processes(tmp_path)))
    assert table[["releaser", "taker", "item"]].values.tolist() == [
        ["P1", "P3", "Cy"],
        ["P3", "P2", "Bo"],
    ]
    assert table["released"].tolist() == [3, 4] and table["taken"].tolist() == [3.5, 5]
    assert table["waited"].round(6).tolist() == [1.5, 4]
    assert table["passed"].tolist() == [1, 0]
    assert table["barging"].tolist() == [True, False]


def test_retaking_the_lock_before_a_waiter_is_barging(tmp_path):
    """Taking the lock again at once passes over who still waits, not over who has left."""
    paths = [
        write(
            tmp_path,
            "P1",
            [
                started(),
                (0, "holding", "db"),
                (2, "done", "db"),
                (2.1, "waiting", "db"),
                (2.2, "holding", "db"),
                (4, "done", "db"),
            ],
        ),
        write(tmp_path, "P2", [started(), (1, "waiting", "db"), (3, "gave_up", "db")]),
        write(tmp_path, "P3", [started(), (0.5, "waiting", "db"), (1.5, "gave_up", "db")]),
    ]
    [handoff] = trace.handoffs(trace.events(paths)).to_dict("records")
    assert (handoff["releaser"], handoff["taker"]) == ("P1", "P1")
    assert (handoff["passed"], handoff["barging"]) == (1, True)


def test_resources_and_rounds_have_handoffs_of_their_own(tmp_path):
    """A lock is handed on neither to the next round nor to another resource."""
    marks = [
        started(),
        (1, "holding", "a"),
        (2, "done", "a"),
        (3, "holding", "b"),
        (4, "done", "b"),
        started(5),
        (6, "holding", "a"),
    ]
    assert trace.handoffs(trace.events([write(tmp_path, "P1", marks)])).empty


def test_the_lock_tells_the_order_of_a_commit_and_the_next_begin(tmp_path):
    """A begin before the mark of the commit that made it possible comes after that commit."""
    paths = [
        write(
            tmp_path,
            "P1",
            [started(), (1, "holding", "db"), step(2, "insert"), (5, "done", "db")],
        ),
        write(
            tmp_path,
            "P2",
            [started(), (4, "holding", "db"), step(6, "insert"), (7, "done", "db")],
        ),
    ]
    moves = [("P1", "b"), ("P1", "i"), ("P1", "c"), ("P2", "b"), ("P2", "i"), ("P2", "c")]
    assert trace.lock_moves(trace.events(paths)) == moves


def test_who_gives_up_after_it_began_has_let_the_lock_go(tmp_path):
    """A commit that was refused frees the lock: the next begin implies no commit."""
    marks = [started(), (1, "holding", "db"), (2, "gave_up", "db")]
    paths = [
        write(tmp_path, "P1", marks),
        write(tmp_path, "P2", [started(), (3, "holding", "db"), (4, "done", "db")]),
    ]
    moves = [("P1", "b"), ("P1", "x"), ("P2", "b"), ("P2", "c")]
    assert trace.lock_moves(trace.events(paths)) == moves
