"""A connection: bytes arrive all and in order, or it breaks. Where a record ends, is our affair.

The framing is that of JSON lines: a record is a line, and ends where its "end of line" byte is,
which JSON never has inside of it. One `send` may arrive as two `recv`, two as one: lines count.
"""

import contextlib
import selectors
import socket
import sys
from collections.abc import Iterator

from streamlib.wire import LOOK_S, Endpoint, NoAnswer, why_unbound

LONGEST = 1_048_576  # bytes of a line: who sends more without an end of line is cut off
HELD = 33_554_432  # bytes of unfinished lines in all connections together
CHUNK = 65_536
ANSWER_S = 10.0  # wait so long for the receiver to echo the end record


class TcpSink:
    """Sends each line down one connection; at full speed many of them at a time.

    A receiver that is slower makes `send` wait (back-pressure): no flow control of ours is needed.
    """

    def __init__(self, endpoint: Endpoint, flow_control: bool | None):
        self.endpoint, self.problems = endpoint, []
        self.sent, self.acknowledged, self.refused = 0, False, 0
        family = socket.AF_INET6 if len(endpoint.address) == 4 else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._socket.connect(endpoint.address)
        except OSError as error:
            self._socket.close()
            raise OSError(
                f"Nobody listens on {endpoint.url} ({error.strerror}): start a receiver first."
            ) from None
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A stream with a pace sends each row when it is due; one at full speed fills a buffer.
        self._file = self._socket.makefile("wb", 0 if flow_control is None else CHUNK)

    def send(self, line: bytes) -> None:
        try:
            self._file.write(line + b"\n")
        except ConnectionError:
            raise self._gone() from None
        self.sent += 1

    def _gone(self) -> NoAnswer:
        return NoAnswer(
            f"The receiver closed the connection when {self.sent:,} rows had been handed to it"
        )

    def end(self, line: bytes) -> None:
        """Send the end record, and wait until the receiver has echoed it."""
        try:
            self._file.write(line + b"\n")
            self._file.flush()
            self._socket.shutdown(socket.SHUT_WR)
            self._socket.settimeout(ANSWER_S)
            echo = b""
            while b"\n" not in echo and (more := self._socket.recv(CHUNK)):
                echo += more
            self.acknowledged = echo.rstrip(b"\n") == line
        except OSError:
            pass  # it has gone or is silent: said below
        if not self.acknowledged:
            self.problems.append(
                "The receiver did not acknowledge the end: the last rows may not have been written."
            )

    def __enter__(self) -> "TcpSink":
        return self

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(OSError):
            self._file.close()
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

    def __init__(self, endpoint: Endpoint):
        family = socket.AF_INET6 if len(endpoint.address) == 4 else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
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
        self._held = 0

    def __iter__(self) -> Iterator[tuple[bytes | None, tuple] | None]:
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            while True:
                ready = selector.select(0)
                if not ready:
                    yield None
                    ready = selector.select(LOOK_S)
                for key, _ in ready:
                    if key.data is None:
                        self._accept(selector)
                        continue
                    for line in self._read(key.data, selector):
                        yield line, key.data.name

    def _accept(self, selector: selectors.BaseSelector) -> None:
        try:
            connection, name = self._socket.accept()
        except OSError:
            return  # it has gone again, or there are no more file descriptors: others go on
        connection.setblocking(False)
        client = self._clients[name] = _Client(connection, name)
        selector.register(connection, selectors.EVENT_READ, client)

    def _read(self, client: _Client, selector: selectors.BaseSelector) -> list[bytes | None]:
        """Take what has come; return the lines that are whole now, None last if it has closed."""
        try:
            data = client.connection.recv(CHUNK)
        except BlockingIOError:
            return []
        except OSError:  # reset: what it had begun is torn
            data = b""
        rest, lines = client.rest, []
        self._held -= len(rest)
        if b"\n" in data:
            *lines, tail = data.split(b"\n")
            if rest:
                lines[0] = bytes(rest) + lines[0]
            client.rest = rest = bytearray(tail)
        else:
            rest += data
        self._held += len(rest)
        endless = len(rest) > LONGEST or (rest and self._held > HELD)
        if not data or endless:
            self.broken += bool(rest)
            self._held -= len(rest)
            selector.unregister(client.connection)
            client.connection.close()
            del self._clients[client.name]
            lines.append(None)
        return lines

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
