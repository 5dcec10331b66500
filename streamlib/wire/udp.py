"""Datagrams: each line is one, and may be lost; a credit window keeps a fast sender in step."""

import contextlib
import errno
import os
import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from streamlib.wire.endpoint import LOOK_S, Endpoint, NoAnswer, why_unbound

LARGEST = 65_507  # bytes in a datagram: 65,535 less the headers of IP (20) and UDP (8)
# Half a credit window. Linux's usual buffer, 208 kB, takes 256 small datagrams or 160 of 200 bytes,
# and frees a quarter of it late: so this leaves room for two senders at full speed.
HALF_ROWS, HALF_BYTES = 24, 8_192
ANSWER_S, ASKS = 0.25, 20  # wait so long for an acknowledgement, and ask so often
ENDS = 4  # so often an end record is sent, if nobody echoes it


class UdpSink:
    """Sends each line as one datagram.

    With flow control it asks the receiver, after each half window, to acknowledge what came
    before, and does not run further ahead of the answers than one window. `refused` counts the
    datagrams that this machine reported back: nobody listens there.
    """

    def __init__(self, endpoint: Endpoint, flow_control: bool | None):
        self.endpoint, self.problems = endpoint, []
        self.sent = self.refused = 0
        self.acknowledged = False
        self._control, self._hurried = flow_control, flow_control is False
        self._rows = self._bytes = 0  # since the last question
        self._asked = b""  # the question that is not answered yet
        self._socket = socket.socket(endpoint.family, socket.SOCK_DGRAM)
        try:
            self._socket.connect(endpoint.address)  # so that refusals are reported to us
        except OSError as error:
            self._socket.close()
            raise OSError(
                f"{endpoint.url} cannot be reached ({error.strerror}): check host and port."
            ) from None

    def send(self, line: bytes) -> None:
        if self._control:
            self._keep_in_window(len(line))
        self._send(line)
        self.sent += 1

    def end(self, line: bytes | None) -> None:
        """Send the end record, if there is one, until it is echoed, four times at most."""
        if line is None:
            return
        if self._hurried:
            time.sleep(ANSWER_S)  # let the receiver catch up, or its full buffer drops the end too
        self._send(line)
        refused = self.refused  # up to here it was rows that were refused
        for _ in range(ENDS - 1):
            if self._answered(line):
                self.acknowledged = True
                break
            if self.refused > refused:
                break  # nobody is there to answer
            self._send(line)
        self.refused = refused

    def _send(self, line: bytes) -> None:
        patience = 1000
        while True:
            try:
                self._socket.send(line)
                return
            except ConnectionError:  # the answer to an earlier datagram; this one did not go out
                self.refused += 1
            except OSError as error:
                if error.errno == errno.ENOBUFS and patience:
                    patience -= 1
                    time.sleep(0.001)  # this machine's own queue is full: wait for room
                elif error.errno == errno.EMSGSIZE or len(line) > LARGEST:
                    raise ValueError(
                        f"{len(line):,} bytes do not fit into one datagram, which takes {LARGEST:,}"
                        " at most (on macOS 9,216): send fewer columns, or cut the field in parts"
                    ) from None
                else:
                    raise OSError(
                        f"{self.endpoint.url} cannot be sent to ({error.strerror}): check the host."
                    ) from None

    def _keep_in_window(self, size: int) -> None:
        if self._rows < HALF_ROWS and self._bytes + size <= HALF_BYTES:
            self._rows += 1
            self._bytes += size
            return
        self._rows, self._bytes = 1, size
        if self._asked and not self._wait_for_answer():
            return
        self._asked = b'{"ask": %d}' % self.sent
        self._send(self._asked)

    def _wait_for_answer(self) -> bool:
        for _ in range(ASKS):
            refused = self.refused
            if self._answered(self._asked):
                self.acknowledged = True
                return True
            if self.refused > refused:
                break
            self._send(self._asked)
        if self.acknowledged:
            raise NoAnswer(f"The receiver stopped answering before row {self.sent + 1:,}")
        self._control = False  # a receiver that knows no acknowledgements, or nobody at all
        self.problems.append("Nobody acknowledged anything: it was sent without flow control.")
        return False

    def _answered(self, question: bytes) -> bool:
        until = time.monotonic() + ANSWER_S
        while (left := until - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                if self._socket.recv(LARGEST) == question:
                    return True
            except TimeoutError:
                break
            except ConnectionError:
                self.refused += 1
                break
            finally:
                self._socket.settimeout(None)
        return False

    def __enter__(self) -> "UdpSink":
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.close()


class UdpSource:
    """Yields (datagram, sender's address), and None whenever no more is there for the moment."""

    broken = 0  # of datagrams none is torn
    tells_who_leaves = False

    def __init__(self, endpoint: Endpoint):
        self._socket = socket.socket(endpoint.family, socket.SOCK_DGRAM)
        try:
            self._socket.bind(endpoint.address)
        except OSError as error:
            self._socket.close()
            raise why_unbound(endpoint, error) from None
        self._socket.setblocking(False)
        name = self._socket.getsockname()
        self.endpoint = Endpoint(endpoint.scheme, address=name, note=endpoint.note)

    def __iter__(self) -> Iterator[tuple[bytes, tuple] | None]:
        receive, buffer = self._socket.recvfrom_into, bytearray(65_536)
        while True:
            try:
                while True:
                    size, sender = receive(buffer)
                    yield bytes(buffer[:size]), sender
            except BlockingIOError:
                yield None
                select.select([self._socket], [], [], LOOK_S)
            except ConnectionError:
                pass  # Windows reports here that somebody we answered has gone

    def reply(self, line: bytes, sender: tuple) -> None:
        """Answer a sender; if it has gone meanwhile, that is its own affair."""
        with contextlib.suppress(OSError):
            self._socket.sendto(line, sender)

    def drops(self) -> int | None:
        """How many datagrams the kernel threw away, the buffer being full; None: it won't say."""
        try:
            inode = str(os.fstat(self._socket.fileno()).st_ino)
            for table in ("udp", "udp6"):
                for line in Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
                    fields = line.split()
                    if fields[9] == inode:
                        return int(fields[12])
        except (OSError, IndexError, ValueError):
            pass
        return None

    def __enter__(self) -> "UdpSource":
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.close()
