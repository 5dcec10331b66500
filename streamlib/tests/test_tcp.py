"""Rows through connections: where a record ends, who breaks off, who waits, and who means harm."""

import contextlib
import errno
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from functools import reduce
from itertools import count, islice
from types import SimpleNamespace
from unittest.mock import Mock

import psutil
import pytest

from streamlib import records, stream, wire
from streamlib.tests.conftest import (
    DEADLINE_S,
    UNIX,
    Receiver,
    aside,
    received_counts,
    run,
    stored,
    table,
    until,
)
from streamlib.wire import tcp

SOON_S = 10
ANY_PORT = "tcp://localhost:0"


class Peer:
    """A client of which each byte is chosen here; `ask` returns when all before it was read."""

    def __init__(self, url):
        self.socket = socket.create_connection(wire.parse(url).address, DEADLINE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.send, self.close = self.socket.sendall, self.socket.close

    def ask(self, question=b'{"ask": 1}'):
        self.send(question + b"\n")
        echo = b""
        while not echo.endswith(b"\n"):
            more = self.socket.recv(100)
            assert more, "it was cut off"
            echo += more
        assert echo == question + b"\n"

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def is_cut_off(self):
        """Send no more, and wait for the receiver to close: by then all has been counted."""
        with contextlib.suppress(ConnectionError):
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)
            assert self.socket.recv(100) == b""
        return True

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


def record(seq, **row):
    return records.encode(seq, row) + b"\n"


def rows_of(out):
    return [one["row"] for one in stored(out) if "row" in one]


@pytest.fixture
def deaf():
    """One who listens and never reads: its socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(DEADLINE_S)
        yield listener


def url_of(listener):
    return f"tcp://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize(
    ("sent", "options"),
    [
        (table(20_000), {}),
        (table(12), {"every": (0, 0.1), "seed": 1}),
        (table(40, 200_000), {}),
        (table(40, 200_000), {"every": 0}),
        ([{"a": 'line\nline\r\n"quoted", \\ "', "b": "Ω \u2028 ☃ \0", "": ""}, {}], {}),
    ],
    ids=["full speed", "paced", "large", "large, paced", "odd"],
)
def test_every_row_arrives_once_and_in_order(tmp_path, sent, options):
    receiver = Receiver(tmp_path / "out9.txt", ANY_PORT)
    done, received = stream.send(sent, receiver.url, **options), receiver.end()
    assert (done.rows, done.ok, done.acknowledged) == (len(sent), True, True)
    assert (received.rows, received.ok, received.ended) == (len(sent), True, "the sender ended")
    *arrived, end = stored(receiver.out)
    assert [(one["seq"], one["row"]) for one in arrived] == list(enumerate(sent, 1))
    assert (end["seq"], end["end"]) == (len(sent), True)
    assert stream.good(stream.reconcile(sent, receiver.out))


def test_with_a_limit_an_endless_source_ends(tmp_path):
    receiver = Receiver(tmp_path / "out9.txt", ANY_PORT)
    done = stream.send(({"n": n} for n in count()), receiver.url, limit=12)
    assert (done.rows, done.ended, done.ok) == (12, "limit reached", True)
    assert receiver.end().ok and rows_of(receiver.out) == [{"n": n} for n in range(12)]


def test_a_row_that_is_sent_while_its_source_waits_has_arrived(tmp_path):
    out = tmp_path / "out9.txt"

    def live():
        yield {"n": 0}
        until(lambda: out.read_bytes().count(b"\n") == 1, SOON_S)

    receiver = Receiver(out, ANY_PORT)
    assert stream.send(live(), receiver.url).ok and receiver.end().ok


def test_a_record_ends_where_its_line_ends_and_nowhere_else():
    """Two records split anywhere, byte by byte, and many in one: always the same lines."""
    lines = [records.encode(n, {"a": "ä\n"}) for n in (1, 2)]
    data = b"".join(line + b"\n" for line in lines)
    ways = [[data[:at], data[at:]] for at in range(1, len(data))]
    ways += [[data[at : at + 1] for at in range(len(data))], [data * 50]]
    with wire.source(ANY_PORT) as source:
        arrivals = iter(source)
        for parts in ways:
            got = []
            with Peer(source.endpoint.url) as peer:
                for part in parts:
                    peer.send(part)
                    while item := next(arrivals):
                        got.append(item[0])
            for item in islice(arrivals, 1000):
                got += [item[0]] if item else []
                if got and got[-1] is None:
                    break
            assert got == lines * (b"".join(parts).count(b"\n") // 2) + [None]


def test_a_last_line_without_its_end_is_a_line_too():
    with wire.source(ANY_PORT) as source:
        arrivals = filter(None, source)
        with Peer(source.endpoint.url) as peer:
            peer.send(b"Ace\nBud")
            assert next(arrivals)[0] == b"Ace"
            peer.send(b"dy")
        assert [next(arrivals)[0] for _ in range(2)] == [b"Buddy", None]


def test_nobody_listens(numbers):
    with socket.socket() as taken:  # bound, so that nobody else can listen on it
        taken.bind(("127.0.0.1", 0))
        url = url_of(taken)
        with pytest.raises(
            OSError, match=f"^Nobody is listening on {url} .+: start a receiver first.$"
        ):
            stream.send(table(3), url)
        done = run("send", numbers, "--to", url)
    assert done.returncode == 2 and len(done.stdout.splitlines()) == 1  # how the file is read
    assert len(done.stderr.splitlines()) == 1
    assert f"Nobody is listening on {url}" in done.stderr


def test_of_five_senders_at_once_all_rows_arrive(tmp_path):
    receiver, all_begun = (
        Receiver(tmp_path / "out9.txt", ANY_PORT),
        threading.Barrier(5, timeout=DEADLINE_S),
    )

    def rows(name):
        for n in range(2000):
            if n == 1000:  # by then some of the rows of each are at the receiver
                all_begun.wait()
            yield {"name": name, "n": n, "text": "x" * 100}

    sending = [aside(stream.send, rows(name), receiver.url) for name in range(5)]
    assert all(result().acknowledged for result in sending)
    assert receiver.end().ok and receiver.done.rows == 2000
    files = [receiver.out, *(tmp_path / f"out9-{n}.txt" for n in range(2, 6))]
    assert {rows_of(file)[0]["name"] for file in files} == set(range(5))
    for file in files:
        assert [row["n"] for row in rows_of(file)] == list(range(2000))


def test_what_had_arrived_when_another_ended_is_not_lost(tmp_path, monkeypatch):
    begun, all_sent = threading.Event(), threading.Event()

    def when_all_are_sent(file, line, write=wire.FileSink.send):
        begun.set()
        assert all_sent.wait(DEADLINE_S)
        write(file, line)

    monkeypatch.setattr(wire.FileSink, "send", when_all_are_sent)
    receiver = Receiver(tmp_path / "out9.txt", ANY_PORT)
    with Peer(receiver.url) as first, Peer(receiver.url) as second:
        first.send(record(1, first=1))
        assert begun.wait(DEADLINE_S)
        first.send(records.encode_end(1) + b"\n")
        second.send(record(1, second=1) + records.encode_end(1) + b"\n")
        all_sent.set()
        assert receiver.end().rows == 1 and list(receiver.done.others.values()) == [1]


def test_the_101st_sender_is_waited_for_though_there_is_no_file_left_for_it(tmp_path):
    receiver = Receiver(tmp_path / "out9.txt", ANY_PORT)
    with Peer(receiver.url) as keeper, Peer(receiver.url) as late:
        keeper.send(record(1, n=0))
        keeper.ask()
        for n in range(1, 100):
            with Peer(receiver.url) as short:
                short.send(record(1, n=n))
                short.ask(records.encode_end(1))
        late.send(record(1, n=100))
        late.ask()
        keeper.ask(records.encode_end(1))
        late.send(record(2, n=101))
        late.ask(records.encode_end(2))
    assert receiver.end().rows == 3 and list(receiver.done.others.values()) == [1] * 99
    assert [row["n"] for row in rows_of(receiver.out)] == [0, 100, 101]


@pytest.mark.parametrize("way", ["close", "reset"])
def test_a_client_that_vanishes_in_a_record(start, tmp_path, way):
    out = tmp_path / "out9.txt"
    receiver = start("receive", ANY_PORT, "--out", out)
    with Peer(receiver.url) as peer:
        peer.send(record(1, n=1))
        peer.ask()
        peer.send(record(2, n=2)[:20])
        if way == "reset":
            peer.reset()
    assert receiver.wait(DEADLINE_S) == 1 and rows_of(out) == [{"n": 1}]
    assert received_counts(receiver) == {"rows": 1, "malformed": 1, "vanished": 1}
    assert f"1 rows written to {out}; the sender vanished." in receiver.lines


@UNIX
def test_a_receiver_that_is_killed_leaves_whole_rows_and_its_sender_ends(start, tmp_path):
    out = tmp_path / "out9.txt"
    receiver = start("receive", ANY_PORT, "--out", out)

    def rows():
        for n in count():
            if n == 20_000:
                assert receiver.kill() == -signal.SIGKILL
            yield {"n": n}

    done = aside(stream.send, rows(), receiver.url)()
    assert (done.ended, done.ok, done.acknowledged) == ("no answer", False, False)
    assert done.problems[0].startswith("The receiver took no more than ")
    assert done.problems[0].endswith(" rows: start it again, then send again.")
    arrived = stored(out)
    assert [one["seq"] for one in arrived] == list(range(1, len(arrived) + 1)) and arrived


@pytest.mark.parametrize("options", [{}, {"every": 0}])
def test_the_receiver_leaves_at_its_limit_and_its_sender_ends(tmp_path, options):
    receiver = Receiver(tmp_path / "out9.txt", ANY_PORT, limit=1000)
    done = aside(stream.send, ({"n": n} for n in count()), receiver.url, **options)()
    assert (done.ended, done.ok, done.acknowledged) == ("no answer", False, False)
    assert (receiver.end().rows, receiver.done.ended) == (1000, "limit reached")
    assert [one["row"]["n"] for one in stored(receiver.out)] == list(range(1000))


def test_the_course_format_does_not_hide_that_the_receiver_left(deaf):
    def rows():
        yield {"n": 1}
        connection, _ = deaf.accept()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        yield from table(300)

    done = stream.send(rows(), url_of(deaf), format="course")
    assert not done.ok and done.problems


def test_a_course_row_with_an_end_of_line_is_one_row(tmp_path):
    receiver = Receiver(tmp_path / "out9.txt", ANY_PORT, limit=2, format="course")
    stream.send([{"a": "1\n2"}, {"a": "3"}], receiver.url, format="course")
    receiver.end()
    assert receiver.out.read_text(encoding="utf-8") == "[1 2]\n[3]\n"


def test_a_row_that_is_too_long_is_named(tmp_path):
    receiver, rows = Receiver(tmp_path / "out9.txt", ANY_PORT), table(3)
    with pytest.raises(ValueError, match=r"^row 3 cannot be sent: .+ bytes"):
        stream.send([*rows[:2], {"text": "x" * 3 * tcp.LONGEST}], receiver.url)
    assert receiver.end().ok


def test_a_sender_waits_for_a_receiver_that_reads_nothing(deaf):
    made = []

    def rows():
        for n in count():
            assert n < 10_000, "100 MB were handed to one who reads nothing"
            made.append(n)
            yield {"n": n, "text": "x" * 10_000}

    def rests():
        before = len(made)
        time.sleep(0.3)  # what has not come to rest by then, is asked again
        return 0 < before == len(made)

    sending = aside(stream.send, rows(), url_of(deaf))
    connection, _ = deaf.accept()
    until(rests)
    connection.close()
    done = sending()
    assert (done.ended, done.ok) == ("no answer", False) and done.rows <= len(made)
    assert done.problems[0].startswith("The receiver took no more than ")


@pytest.fixture
def stuck(deaf, start, tmp_path):
    """Return a function that starts a sender program and waits until it is blocked."""
    path = tmp_path / "large.csv"
    path.write_text("n,text\n" + "".join(f"{n},{'x' * 100_000}\n" for n in range(300)))

    def stuck(*words):
        sender = start("send", path, "--to", url_of(deaf), *words)
        connection, _ = deaf.accept()
        connection.settimeout(DEADLINE_S)
        process, moments = psutil.Process(sender._process.pid), []

        def rests():
            time.sleep(0.3)
            moments.append(process.cpu_times()[:2])
            asleep = process.status() == psutil.STATUS_SLEEPING
            return asleep and len(moments) > 1 and moments[-1] == moments[-2]

        until(rests)
        return sender, connection

    return stuck


@UNIX
def test_a_sender_that_waits_hears_ctrl_c(stuck):
    sender, connection = stuck()
    sender._process.send_signal(signal.SIGINT)
    try:
        assert sender.wait(SOON_S) in (0, 1)
    finally:
        connection.close()


@UNIX
def test_ctrl_c_cuts_no_row_in_two(stuck):
    sender, connection = stuck("--every", 0)
    sender._process.send_signal(signal.SIGINT)
    data = b""
    while more := connection.recv(10**7):
        data += more
    connection.close()
    *lines, rest = data.split(b"\n")
    assert rest == b"" and "end" in [records.decode(line) for line in lines][-1]


@UNIX
def test_ctrl_c_ends_a_receiver(start, tmp_path):
    out = tmp_path / "out9.txt"
    receiver = start("receive", ANY_PORT, "--out", out)
    with Peer(receiver.url) as peer:
        peer.send(b"".join(record(seq) for seq in range(1, 101)))
        peer.ask()
        receiver._process.send_signal(signal.SIGINT)
        assert receiver.wait(DEADLINE_S) == 0
    assert f"100 rows written to {out}; stopped by hand." in receiver.lines
    assert [one["seq"] for one in stored(out)] == list(range(1, 101))


@pytest.fixture
def files():
    """Room for 500 connections and more, in this process and those it starts."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2000
    if hard != resource.RLIM_INFINITY and hard < needed:
        pytest.skip(f"this machine allows {hard} files in a process")
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_500_connections_leave_nothing_behind_and_cost_no_honest_client_its_own(
    start, tmp_path, files
):
    receiver = start("receive", ANY_PORT, "--out", tmp_path / "out9.txt")
    process = psutil.Process(receiver._process.pid)
    with Peer(receiver.url) as honest, contextlib.ExitStack() as crowd:
        honest.ask()
        before = process.num_fds()
        peers = [crowd.enter_context(Peer(receiver.url)) for _ in range(500)]
        assert peers[500 - tcp.MOST].is_cut_off()
        until(lambda: process.num_fds() == before + tcp.MOST - 1)
        for n, peer in enumerate(peers):
            if n % 2:
                peer.reset()
            else:
                assert peer.is_cut_off()
        until(lambda: process.num_fds() == before)
        honest.ask()
    assert stream.send(table(10), receiver.url).acknowledged
    assert receiver.wait(DEADLINE_S) == 0


def test_an_honest_client_that_comes_after_500_silent_ones_is_served(tmp_path, files):
    receiver = Receiver(tmp_path / "out9.txt", ANY_PORT)
    with contextlib.ExitStack() as crowd:
        for _ in range(500):
            crowd.enter_context(Peer(receiver.url))
        assert stream.send(table(10), receiver.url).acknowledged
        assert receiver.end().rows == 10 and receiver.done.ok


def test_where_all_clients_have_sent_lines_another_one_is_turned_away(monkeypatch):
    monkeypatch.setattr(tcp, "MOST", 2)
    with wire.source(ANY_PORT) as source, contextlib.ExitStack() as peers:
        arrivals = filter(None, source)
        honest = [peers.enter_context(Peer(source.endpoint.url)) for _ in range(2)]
        for peer in honest:
            peer.send(b"Ace\n")
            assert next(arrivals)[0] == b"Ace"
        late = peers.enter_context(Peer(source.endpoint.url))
        for peer in honest:
            until(lambda: next(iter(source)) is None)
            peer.send(b"Bud\n")
            assert next(arrivals)[0] == b"Bud"
        assert late.is_cut_off()


def test_a_line_that_is_too_long_cuts_off_its_client_and_nobody_else():
    with wire.source(ANY_PORT) as source, Peer(source.endpoint.url) as honest:
        arrivals = filter(None, source)
        honest.send(b"half a re")
        with Peer(source.endpoint.url) as peer:
            sent = aside(peer.send, b"x" * (tcp.LONGEST + 1))
            line, client = next(arrivals)
            assert len(line) > tcp.LONGEST and next(arrivals) == (None, client)
            sent()
        honest.send(b"cord\n")
        assert next(arrivals)[0] == b"half a record"


def test_unfinished_lines_are_kept_in_bounded_memory(monkeypatch):
    monkeypatch.setattr(tcp, "MOST", 5)

    def send(peer):
        with contextlib.suppress(OSError):
            peer.send(b"x" * tcp.LONGEST)
            peer.is_cut_off()

    with wire.source(ANY_PORT) as source, contextlib.ExitStack() as peers:
        held, gone = [], 0
        for _ in range(30):
            aside(send, peers.enter_context(Peer(source.endpoint.url)))
        for item in source:
            held.append(sum(map(len, source._rests.values())))
            gone += item is not None and item[0] is None
            if gone == tcp.MOST:
                break
        assert tcp.LONGEST < max(held) <= tcp.MOST * (tcp.LONGEST + tcp.CHUNK)


def test_a_client_is_not_taken_for_one_that_left_from_the_same_address():
    with wire.source(ANY_PORT) as source:
        arrivals, clients = filter(None, source), []
        for _ in range(3):
            with Peer(source.endpoint.url) as peer:
                peer.send(b"Ace\n")
                line, client = next(arrivals)
                assert line == b"Ace"
            assert next(arrivals) == (None, client)
            clients.append(client)
    assert len(set(clients)) == 3


def garbage(peer):
    lines = [b"\xff" + random.Random(n).randbytes(99).replace(b"\n", b"") for n in range(2000)]
    peer.send(b"\n".join(lines) + b"\n")


def endless(peer):
    with contextlib.suppress(ConnectionError):
        while True:
            peer.send(bytes(65_536))


def _nest(inner, _):
    return [inner]


HOSTILE = {  # what each sends, and how many malformed lines that is for certain
    "garbage": (garbage, 2000),
    "a length of 4 GB": (lambda peer: peer.send(b"\xff" * 4 + bytes(9000)), 0),
    "a line that never ends": (endless, 0),
    "newlines": (lambda peer: peer.send(b"\n" * 1_000_000), 1_000_000),
    "nested": (lambda peer: peer.send((b"[" * 9**6 + b"\n") * 3), 0),
    "nested record": (lambda peer: peer.send(record(1, a=reduce(_nest, range(30)))), 1),
    "no record": (lambda peer: peer.send(b'7\nnull\n{}\n{"seq": 1}\n"ask"\n'), 5),
    "the end of nothing": (lambda peer: peer.send(records.encode_end(9) + b"\n"), 1),
}


def test_hostile_clients_change_nothing_but_their_counts(start, tmp_path, files):
    out = tmp_path / "out9.txt"
    receiver = start("receive", ANY_PORT, "--out", out)
    process, over = psutil.Process(receiver._process.pid), threading.Event()

    def attack(harm):
        with Peer(receiver.url) as peer:
            with contextlib.suppress(ConnectionError):  # among too many it is cut off
                harm(peer)
            return peer.is_cut_off()

    def drip():
        with Peer(receiver.url) as slow, contextlib.suppress(ConnectionError):
            while not over.wait(0.05):
                slow.send(b"[")

    def crowd():
        """Of 500 who come at once 400 break off, 50 reset, and 50 say nothing and stay."""
        peers = [Peer(receiver.url) for _ in range(500)]
        for peer in peers[:400]:
            with contextlib.suppress(ConnectionError):
                peer.send(b"{")
                assert peer.is_cut_off()
            peer.close()
        for peer in peers[400:450]:
            peer.reset()
        return peers[450:]

    def honest():
        for n in range(5000):
            if n == 1000:
                attacks.extend(aside(attack, harm) for harm, _ in HOSTILE.values())
                attacks.extend([aside(crowd), aside(drip)])
            if n == 4000:
                assert all(attack() for attack in attacks[:-1])
                memory.append(process.memory_info().rss)
            yield {"n": n, "text": "x" * 100}

    attacks, memory = [], [process.memory_info().rss]
    try:
        done = aside(stream.send, honest(), receiver.url)()
        assert done.acknowledged and receiver.wait(DEADLINE_S) == 1
    finally:
        over.set()
    silent = attacks[-2]()
    assert len(silent) == 50 and memory[1] - memory[0] < 16_000_000
    assert rows_of(out) == [{"n": n, "text": "x" * 100} for n in range(5000)]
    told, certain = received_counts(receiver), sum(number for _, number in HOSTILE.values())
    assert told.pop("rows") == 5000
    assert certain <= told.pop("malformed") <= certain + 5 + 401 and not told


def test_from_a_receiver_to_the_verdict(start, tmp_path, numbers):
    out = tmp_path / "out9.txt"
    receiver = start("receive", ANY_PORT, "--out", out)
    assert receiver.url.startswith("tcp://127.0.0.1:") and not receiver.url.endswith(":0")
    sender = start("send", numbers, "--to", receiver.url)
    assert (sender.wait(DEADLINE_S), receiver.wait(DEADLINE_S)) == (0, 0)
    assert f"1,000 rows written to {out}; the sender ended." in receiver.lines
    done = run("compare", numbers, out)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("All 1,000 rows arrived once, unaltered and in order.\n")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit for open files")
@pytest.mark.parametrize("word", [b"", b'{"ask": 1}\n'], ids=["silent", "after a line"])
def test_idle_connections_that_use_up_the_descriptors_shut_nobody_out(tmp_path, word):
    code = (
        "import resource, sys; from streamlib.__main__ import main;"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40)); sys.exit(main(sys.argv[1:]))"
    )
    words = [sys.executable, "-c", code, "receive", ANY_PORT, "--out", tmp_path / "out9.txt"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as receiver:
        url = re.search(r"tcp://[\d.:]+", receiver.stdout.readline())[0]
        with contextlib.ExitStack() as crowd:
            for _ in range(60):
                peer = crowd.enter_context(Peer(url))
                with contextlib.suppress(ConnectionError):
                    peer.send(word)
            assert stream.send(table(10), url).acknowledged
            assert receiver.wait(DEADLINE_S) == 0
    assert len(rows_of(tmp_path / "out9.txt")) == 10


def test_a_client_that_had_to_go_is_told(monkeypatch):
    """Or whoever waits for it would wait for ever."""
    with wire.source(ANY_PORT) as source, Peer(source.endpoint.url) as idle:
        arrivals = filter(None, source)
        idle.send(b"Ace\n")
        _, client = next(arrivals)
        with Peer(source.endpoint.url):
            full = OSError(errno.EMFILE, "no descriptor is free")
            accept = SimpleNamespace(accept=Mock(side_effect=full), close=source._socket.close)
            monkeypatch.setattr(source, "_socket", accept)
            assert list(source._accept()) == [(None, client)] and idle.is_cut_off()
