"""Datagrams: each line is one, and may be lost; a window keeps a fast sender in step."""

import contextlib
import select
import socket
import struct
from collections.abc import Iterator
from functools import lru_cache

from streamlib.wire.endpoint import LOOK_S, Endpoint, NoAnswer, SocketEnd, listen

LARGEST = 65_536  # more bytes than a datagram can have
WINDOW, OVERHEAD = 49_152, 768  # bytes, of each datagram too: Linux's usual buffer holds two
ECHO_S, ASKS, ENDS = 0.25, 20, 4  # to wait for an echo; how often to ask, or to send the end


class UdpSink(SocketEnd):
    """Sends each line as one datagram; at full speed it keeps in step with the receiver."""

    def __init__(self, endpoint: Endpoint, full_speed: bool):
        self.problems, self.acknowledged, self.refused = [], False, 0
        self._url, self._in_step, self._sent, self._under_way = endpoint.url, full_speed, 0, 0
        self._socket = endpoint.connected()

    def send(self, line: bytes) -> None:
        if self._in_step and self._under_way > WINDOW:  # an echo tells that all this was read
            self._under_way = 0
            self._in_step = self._is_echoed(b'{"ask": %d}' % self._sent, ASKS)
            if self.acknowledged and not self._in_step:
                raise NoAnswer(f"The receiver stopped answering before row {self._sent + 1:,}")
            if not self._in_step:
                self.problems += ["The receiver acknowledged nothing, so nothing kept it in step."]
        self._send(line)
        self._sent += 1
        self._under_way += len(line) + OVERHEAD

    def end(self, line: bytes | None) -> None:
        if line is not None:
            self._is_echoed(line, ENDS)
        if self.refused:
            why = f"Nobody was listening on {self._url} for at least {self.refused:,} of the rows"
            self.problems.append(f"{why}: start a receiver first.")

    def _send(self, line: bytes) -> None:
        try:
            self._socket.send(line)
        except ConnectionError:  # the answer to an earlier datagram; this one did not go out
            self.refused += 1
            self._send(line)
        except OSError as error:
            why = f"{len(line):,} bytes do not get through to {self._url} ({error.strerror})"
            raise ValueError(f"{why}: send fewer columns, or check the host") from None

    def _is_echoed(self, line: bytes, times: int) -> bool:
        """Send a line until it is echoed; return whether it was."""
        for _ in range(times):
            self._send(line)
            with contextlib.suppress(ConnectionError):
                while select.select([self._socket], [], [], ECHO_S)[0]:
                    if self._socket.recv(LARGEST) == line:  # it may be the echo of an earlier one
                        self.acknowledged = True
                        return True
        return False


class UdpSource(SocketEnd):
    """Yields datagrams and the addresses of their senders."""

    def __init__(self, endpoint: Endpoint):
        self._socket, self.endpoint = listen(endpoint)
        self._asks = lru_cache(10_000)(lambda line, sender: iter(range(ASKS)))

    def __iter__(self) -> Iterator[tuple[bytes, tuple] | None]:
        while True:
            try:
                yield self._socket.recvfrom(LARGEST)
            except BlockingIOError:
                yield None
                select.select([self._socket], [], [], LOOK_S)
            except ConnectionError:
                pass  # Windows says here that somebody we answered has left

    def reply(self, line: bytes, sender: tuple) -> None:
        with contextlib.suppress(OSError, StopIteration):  # it has left, or asks without end
            next(self._asks(hash(line), sender))
            self._socket.sendto(line, sender)

    def drops(self) -> int:
        """Return how many datagrams found the receive buffer full, as far as Linux tells."""
        with contextlib.suppress(OSError, struct.error):  # SO_MEMINFO; its last number is the drops
            return struct.unpack("9I", self._socket.getsockopt(socket.SOL_SOCKET, 55, 36))[-1]
        return 0
