"""A connection: its bytes arrive all and in order, or it breaks. Framing is up to us: lines."""

import contextlib
import errno
import selectors
import socket
import threading
import time
from collections.abc import Iterator

from streamlib.wire.endpoint import LOOK_S, Endpoint, NoAnswer, SocketEnd, listen, stop

LONGEST = 1_048_576  # bytes of a line; a client that sends a longer one is cut off
MOST = 100  # clients at once; together with LONGEST this bounds memory
CHUNK = 65_536  # bytes that are sent or read together
FLUSH_S, STOP_S, ECHO_S = 0.05, 1.0, 10.0  # to gather lines; to give up; to wait for the last echo


class TcpSink(SocketEnd):
    """Sends each line down one connection; a slow receiver makes it wait (back-pressure).

    At full speed it gathers lines; a thread sends those that are left when no more come.
    """

    def __init__(self, endpoint: Endpoint, full_speed: bool):
        self.problems, self.acknowledged, self._sent = [], False, 0
        self._out, self._room = bytearray(), CHUNK * full_speed
        self._lock = threading.Lock()
        self._socket = socket.create_connection(endpoint.address[:2], ECHO_S)
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
        while self._socket.fileno() >= 0:  # until it is closed
            time.sleep(FLUSH_S)
            with self._lock, contextlib.suppress(OSError):  # `send` will meet it again
                self._flush()

    def _flush(self) -> None:
        while self._out:
            try:
                del self._out[: self._socket.send(self._out)]
            except OSError as error:
                if stop.asked or not isinstance(error, TimeoutError):
                    raise NoAnswer(f"The receiver took no more than {self._sent:,} rows") from None

    def end(self, line: bytes | None) -> None:
        with contextlib.suppress(OSError), self._lock:
            self._out += line + b"\n" if line else b""
            self._flush()
            if line:
                self._socket.settimeout(ECHO_S)
                self.acknowledged = self._socket.makefile("rb").readline(CHUNK) == line + b"\n"
        if self._out or (line and not self.acknowledged):
            why = "The receiver did not acknowledge the end"
            self.problems.append(f"{why}: it may not have written the last rows.")


class TcpSource(SocketEnd):
    """Yields the lines of all its clients, and of each the last one even if its end is missing."""

    def __init__(self, endpoint: Endpoint):
        self._socket, self.endpoint = listen(endpoint)
        self._rests, self._heard_at = {}, {}  # of each: what is unfinished; when it sent a line
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._socket, selectors.EVENT_READ)

    def __iter__(self) -> Iterator[tuple[bytes | None, socket.socket] | None]:
        while True:
            if not (ready := self._selector.select(0)):
                yield None
                ready = self._selector.select(LOOK_S)
            for key, _ in ready:
                if key.fileobj is self._socket:
                    yield from self._accept()
                elif key.fileobj in self._rests:
                    yield from self._read(key.fileobj)

    def _accept(self) -> Iterator[tuple[None, socket.socket]]:
        """Take a new client; without room, the first that sent no line has to go, or the idlest."""
        try:
            client, _ = self._socket.accept()
            client.setblocking(False)
            self._rests[client], self._heard_at[client] = bytearray(), 0
            self._selector.register(client, selectors.EVENT_READ)
            is_full = len(self._rests) > MOST
        except OSError as error:  # it may have left already
            is_full = self._rests and error.errno == errno.EMFILE  # no descriptor is free
        if is_full:
            gone = min(self._heard_at, key=self._heard_at.get)
            yield from [(None, gone)] * bool(self._heard_at[gone])
            self._cut_off(gone)

    def _read(self, client: socket.socket) -> Iterator[tuple[bytes | None, socket.socket]]:
        """Yield the lines that are whole now, and None after the last one of a client."""
        rest, data = self._rests[client], b""
        with contextlib.suppress(OSError):  # a reset is an end, too
            data = client.recv(CHUNK)
        *lines, tail = data.split(b"\n")
        if lines:
            lines[0] = bytes(rest + lines[0])
            rest.clear()
            self._heard_at[client] = time.monotonic()
        rest += tail
        if not data or len(rest) > LONGEST:
            lines += [bytes(rest), None] if rest else [None]
            self._cut_off(client)
        yield from ((line, client) for line in lines)

    def _cut_off(self, client: socket.socket) -> None:
        self._selector.unregister(client)
        client.close()
        del self._rests[client], self._heard_at[client]

    def reply(self, line: bytes, client: socket.socket) -> None:
        with contextlib.suppress(OSError):  # a client that has left, or does not read
            client.send(line + b"\n")

    drops = staticmethod(lambda: 0)  # what finds no room waits at its sender

    def __exit__(self, *error: object) -> None:
        for one in (self._selector, self._socket, *self._rests):
            one.close()
