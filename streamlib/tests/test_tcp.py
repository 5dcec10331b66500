"""Rows through connections: where a record ends, who breaks off, who waits, and who means harm."""

import contextlib
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from itertools import count

import psutil
import pytest

from streamlib import home, programs, records, stream, tcp, wire
from streamlib.tests import test_stream
from streamlib.tests.test_stream import DEADLINE_S, aside, stored, table
from streamlib.tests.test_stream_programs import UNIX, counters, numbers, run, start, until  # noqa: F401

SOON_S = 5  # the deadline of what hangs today


class Receiver(test_stream.Receiver):
    """A receiver of connections in a thread of its own."""

    def _run(self, options):
        try:
            self.done = stream.receive(
                "tcp://localhost:0", self.out, listening=self._listening, **options
            )
        except BaseException as error:
            self.error = error
        self._open.set()


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
    receiver = Receiver(tmp_path / "out9.txt")
    done, received = stream.send(sent, receiver.url, **options), receiver.end()
    assert (done.rows, done.ok, done.acknowledged) == (len(sent), True, True)
    assert (received.rows, received.ok, received.stopped) == (len(sent), True, "the sender ended")
    *arrived, end = stored(receiver.out)
    assert [(one["seq"], one["row"]) for one in arrived] == list(enumerate(sent, 1))
    assert (end["seq"], end["end"]) == (len(sent), True)
    assert stream.good(stream.reconcile(sent, receiver.out))


def test_with_a_limit_an_endless_source_ends(tmp_path):
    receiver = Receiver(tmp_path / "out9.txt")
    done = stream.send(({"n": n} for n in count()), receiver.url, limit=12)
    assert (done.rows, done.stopped, done.ok) == (12, "limit reached", True)
    assert receiver.end().ok and rows_of(receiver.out) == [{"n": n} for n in range(12)]


def test_a_row_that_is_sent_while_its_source_waits_has_arrived(tmp_path):
    out = tmp_path / "out9.txt"

    def live():
        yield {"n": 0}
        until(lambda: out.read_bytes().count(b"\n") == 1, SOON_S)

    receiver = Receiver(out)
    assert stream.send(live(), receiver.url).ok and receiver.end().ok


def test_a_record_ends_where_its_line_ends_and_nowhere_else():
    """Two records split anywhere, byte by byte, and many in one: always the same lines."""
    lines = [records.encode(n, {"a": "ä\n"}) for n in (1, 2)]
    data = b"".join(line + b"\n" for line in lines)
    ways = [[data[:at], data[at:]] for at in range(1, len(data))]
    ways += [[data[at : at + 1] for at in range(len(data))], [data * 50]]
    with wire.source("tcp://localhost:0") as source:
        arrivals = iter(source)
        for parts in ways:
            with Peer(source.endpoint.url) as peer:
                got = []
                for part in parts:
                    peer.send(part)
                    if got or b"\n" in part:
                        assert next(one for one in arrivals if one)[0] == lines[len(got) % 2]
                        got.append(part)
