"""A connection: its bytes arrive all and in order, or it breaks. Framing is up to us.

A record is a line of JSON, and ends at its end of line, a byte that JSON never has inside.
"""

import contextlib
import math
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator

from streamlib.wire.endpoint import LOOK_S, Endpoint, NoAnswer, connect, listen

LONGEST = 1_048_576  # bytes of a line; a client that sends a longer one is cut off
MOST = 100  # clients at once; together with LONGEST this bounds the memory
CHUNK = 65_536  # bytes that are sent or read together
FLUSH_S, STOP_S, ECHO_S = 0.05, 1.0, 10.0  # to gather lines; to give up; to wait for the last echo


class TcpSink(contextlib.AbstractContextManager):
    """Sends each line down one connection; a slow receiver makes it wait (back-pressure).

    At full speed it gathers lines; a thread sends those that are left when no more come.
    """

    refused = 0

    def __init__(self, endpoint: Endpoint, full_speed: bool, stopping: Callable[[], bool]):
        self.problems, self.acknowledged, self._sent = [], False, 0
        self._stopping, self._out, self._room = stopping, bytearray(), CHUNK * full_speed
        self._lock, self._closed = threading.Lock(), threading.Event()
        self._socket = connect(endpoint)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(STOP_S)
        threading.Thread(target=self._flush_now_and_then, daemon=True).start()

    def send(self, line: bytes) -> None:
        if len(line) > LONGEST:
            raise ValueError(f"{len(line):,} bytes are too many for a line: send fewer columns")
        with self._lock:
            self._out += line + b"\n"
            if len(self._out) > self._room:
                self._flush()
        self._sent += 1

    def _flush_now_and_then(self) -> None:
        while not self._closed.wait(FLUSH_S):
            with self._lock, contextlib.suppress(OSError):  # `send` will meet it again
                self._flush()

    def _flush(self) -> None:
        while self._out:
            stopping = self._stopping()
            try:
                del self._out[: self._socket.send(self._out)]
            except OSError as error:
                if stopping or not isinstance(error, TimeoutError):
                    raise NoAnswer(f"The receiver took no more than {self._sent:,} rows") from None

    def end(self, line: bytes | None) -> None:
        with self._lock:
            self._out += line + b"\n" if line else b""
            self._flush()
        if line:
            self._socket.settimeout(ECHO_S)
            with contextlib.suppress(OSError), self._socket.makefile("rb") as answers:
                self.acknowledged = answers.readline(CHUNK) == line + b"\n"
            if not self.acknowledged:
                why = "The receiver did not acknowledge the end"
                self.problems.append(f"{why}: it may not have written the last rows.")

    def __exit__(self, *error: object) -> None:
        self._closed.set()
        self._socket.close()


class _Client:
    """A connection, its unfinished line, and its rank: the lowest goes first if room is short."""

    def __init__(self, connection: socket.socket):
        self.connection, self.rest = connection, bytearray()
        self.rank = (False, time.monotonic())  # whether it ever sent a whole line; when it spoke


class TcpSource(contextlib.AbstractContextManager):
    """Yields the lines of all its clients, and of each the last one even if its end is missing."""

    silence_s = math.inf  # a client that has gone is known to have gone

    def __init__(self, endpoint: Endpoint):
        self._socket, self.endpoint = listen(endpoint)
        self._clients: set[_Client] = set()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._socket, selectors.EVENT_READ)

    def __iter__(self) -> Iterator[tuple[bytes | None, _Client] | None]:
        while True:
            ready = self._selector.select(0)
            if not ready:
                yield None
                ready = self._selector.select(LOOK_S)
            for key, _ in ready:
                if key.data:
                    yield from self._read(key.data)
                else:
                    self._accept()

    def _accept(self) -> None:
        """Take a new client; if there is no room, hang up on the one of the lowest rank."""
        with contextlib.suppress(OSError):  # they may have left already
            connection, _ = self._socket.accept()
            if len(self._clients) >= MOST:
                lowest = min(self._clients, key=lambda client: client.rank)
                lowest.connection.shutdown(socket.SHUT_RDWR)
            connection.setblocking(False)
            client = _Client(connection)
            self._clients.add(client)
            self._selector.register(connection, selectors.EVENT_READ, client)

    def _read(self, client: _Client) -> Iterator[tuple[bytes | None, _Client]]:
        try:
            data = client.connection.recv(CHUNK)
        except OSError:  # it was reset
            data = b""
        *lines, rest = data.split(b"\n")
        client.rank = (client.rank[0] or bool(lines), time.monotonic())
        if lines:
            lines[0] = bytes(client.rest + lines[0])
            client.rest.clear()
        client.rest += rest
        if not data or len(client.rest) > LONGEST:
            lines += [bytes(client.rest), None] if client.rest else [None]
            self._selector.unregister(client.connection)
            self._clients.remove(client)
            client.connection.close()
        for line in lines:
            yield line, client

    def reply(self, line: bytes, client: _Client) -> None:
        with contextlib.suppress(OSError):  # a client that has gone, or does not read
            client.connection.send(line + b"\n")

    def drops(self) -> None:
        """Return None: a connection drops nothing."""

    def __exit__(self, *error: object) -> None:
        for one in (self._selector, self._socket, *(each.connection for each in self._clients)):
            one.close()
