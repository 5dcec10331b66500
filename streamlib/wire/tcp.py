"""A connection: bytes arrive all and in order, or it breaks. Where a record ends, is our affair.

The framing is that of JSON lines: a record is a line, and ends where its "end of line" byte is,
which JSON never has inside of it. One `send` may arrive as two `recv`, two as one: lines count.
"""

import contextlib
import errno
import select
import selectors
import socket
import sys
import threading
import time
from collections.abc import Iterator

from streamlib.wire.endpoint import LOOK_S, Endpoint, NoAnswer, why_unbound

LONGEST = 1_048_576  # bytes of a line: who sends more without an end of line is cut off
HELD = 33_554_432  # bytes of unfinished lines in all connections together
CHUNK = 65_536
ANSWER_S = 10.0  # wait so long for the receiver to take the last rows, and to echo the end record
PUSH_S, STOP_S = 0.05, 1.0  # rows stay in the buffer so long at most; so long a stop may take


class TcpSink:
    """Sends each line down one connection; at full speed many of them at a time.

    A receiver that is slower makes `send` wait (back-pressure): no flow control of ours is needed.
    `stopping` says whether the learner wants it to end: then it waits for no more than a second.
    """

    def __init__(self, endpoint: Endpoint, flow_control: bool | None):
        self.endpoint, self.problems = endpoint, []
        self.sent, self.acknowledged, self.refused = 0, False, 0
        self.stopping = lambda: False
        self._socket = socket.socket(endpoint.family, socket.SOCK_STREAM)
        try:
            self._socket.connect(endpoint.address)
        except OSError as error:
            self._socket.close()
            raise OSError(
                f"Nobody listens on {endpoint.url} ({error.strerror}): start a receiver first."
            ) from None
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        # A stream with a pace sends each row when it is due; one at full speed fills a buffer,
        # which a thread empties when its source makes it wait.
        self._out, self._lock, self._closed = bytearray(), threading.RLock(), threading.Event()
        self._most = 0 if flow_control is None else CHUNK
        if self._most:
            threading.Thread(target=self._push_now_and_then, daemon=True).start()

    def send(self, line: bytes) -> None:
        if len(line) > LONGEST:
            raise ValueError(
                f"{len(line):,} bytes are too many for one line, which takes {LONGEST:,}: send "
                "fewer columns, or cut the field in parts"
            )
        with self._lock:
            self._out += line
            self._out += b"\n"
            if len(self._out) > self._most:
                self._push()
        self.sent += 1

    def _push_now_and_then(self) -> None:
        while not self._closed.wait(PUSH_S):
            with self._lock, contextlib.suppress(OSError):  # the next `send` will meet it
                self._push()

    def _push(self, patience_s: float | None = None) -> None:
        """Send what is in the buffer; wait for a slow receiver, for ever unless told otherwise."""
        until = None if patience_s is None else time.monotonic() + patience_s
        while self._out:
            try:
                del self._out[: self._socket.send(self._out)]
            except BlockingIOError:
                if until is None and self.stopping():
                    until = time.monotonic() + STOP_S
                if until is not None and time.monotonic() > until:
                    raise NoAnswer("The receiver takes no more rows") from None
                select.select([], [self._socket], [], LOOK_S)
            except OSError:
                raise NoAnswer(
                    "The receiver closed the connection when "
                    f"{self.sent:,} rows had been handed to it"
                ) from None

    def end(self, line: bytes | None) -> None:
        """Send the end record, if there is one, and wait until the receiver has echoed it."""
        with self._lock:
            if line is not None:
                self._out += line + b"\n"
            self._push(STOP_S if self.stopping() else ANSWER_S)
        if line is None:
            return
        echo, until = b"", time.monotonic() + ANSWER_S
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
            while b"\n" not in echo and time.monotonic() < until:
                if select.select([self._socket], [], [], LOOK_S)[0]:
                    more = self._socket.recv(CHUNK)
                    if not more:
                        break
                    echo += more
        self.acknowledged = echo == line + b"\n"
        if not self.acknowledged:
            self.problems.append(
                "The receiver did not acknowledge the end: the last rows may not have been written."
            )

    def __enter__(self) -> "TcpSink":
        return self

    def __exit__(self, *error: object) -> None:
        self._closed.set()
        self._socket.close()


class _Client:
    """One connection, and what has come of a line that has not ended yet."""

    def __init__(self, connection: socket.socket, name: tuple):
        self.connection, self.name, self.rest = connection, name, bytearray()


class TcpSource:
    """Yields (line, client) from all its connections, and None whenever no more is there now.

    A connection that closed is yielded as (None, client); `broken` counts those that broke off
    in the middle of a line, or sent one without an end.
    """

    tells_who_leaves = True

    def __init__(self, endpoint: Endpoint):
        self._socket = socket.socket(endpoint.family, socket.SOCK_STREAM)
        if sys.platform != "win32":  # there it would let two programs have the same port
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind(endpoint.address)
            self._socket.listen(1024)
        except OSError as error:
            self._socket.close()
            raise why_unbound(endpoint, error) from None
        self._socket.setblocking(False)
        name = self._socket.getsockname()
        self.endpoint = Endpoint(endpoint.scheme, address=name, note=endpoint.note)
        self.broken = 0
        self._clients: dict[tuple, _Client] = {}
        self._held = self._number = 0
        self._full_since = 0.0

    def __iter__(self) -> Iterator[tuple[bytes | None, tuple] | None]:
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            while True:
                ready = selector.select(0)
                if not ready:
                    yield None
                    ready = selector.select(LOOK_S)
                if self._full_since and time.monotonic() > self._full_since + LOOK_S:
                    self._full_since = 0.0
                    selector.register(self._socket, selectors.EVENT_READ)
                for key, _ in ready:
                    if key.data is None:
                        self._accept(selector)
                        continue
                    for line in self._read(key.data, selector):
                        yield line, key.data.name
                while self._held > HELD:  # the one who holds most has to go, not the latest one
                    largest = max(self._clients.values(), key=lambda client: len(client.rest))
                    self._close(largest, selector)
                    yield None, largest.name

    def _accept(self, selector: selectors.BaseSelector) -> None:
        try:
            connection, name = self._socket.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):  # no more until others have closed
                self._full_since = time.monotonic()
                selector.unregister(self._socket)
            return  # else it has gone again
        self._number += 1  # addresses come again, numbers do not
        connection.setblocking(False)
        client = _Client(connection, (*name, self._number))
        self._clients[client.name] = client
        selector.register(connection, selectors.EVENT_READ, client)

    def _read(self, client: _Client, selector: selectors.BaseSelector) -> list[bytes | None]:
        """Take what has come; return the lines that are whole now, None last if it has closed."""
        if client.name not in self._clients:
            return []  # closed a moment ago, as the one who held most
        try:
            data = client.connection.recv(CHUNK)
        except BlockingIOError:
            return []
        except OSError:  # reset: what it had begun is torn
            data = b""
        lines: list[bytes | None] = []
        self._held -= len(client.rest)
        if b"\n" in data:
            *lines, tail = data.split(b"\n")
            lines[0] = bytes(client.rest) + lines[0]
            client.rest = bytearray(tail)
        else:
            client.rest += data
        self._held += len(client.rest)
        if not data or len(client.rest) > LONGEST:
            self._close(client, selector)
            lines.append(None)
        return lines

    def _close(self, client: _Client, selector: selectors.BaseSelector) -> None:
        self.broken += bool(client.rest)
        self._held -= len(client.rest)
        selector.unregister(client.connection)
        client.connection.close()
        del self._clients[client.name]

    def reply(self, line: bytes, name: tuple) -> None:
        """Answer a client; if it has gone meanwhile or does not read, that is its own affair."""
        client = self._clients.get(name)
        if client is not None:
            with contextlib.suppress(OSError):
                client.connection.send(line + b"\n")

    def drops(self) -> int | None:
        """Nothing is dropped: None."""
        return None

    def __enter__(self) -> "TcpSource":
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.close()
        for client in self._clients.values():
            # Let it see the end of our answers; a plain close would reset, if lines are unread.
            with contextlib.suppress(OSError):
                client.connection.shutdown(socket.SHUT_WR)
            client.connection.close()
