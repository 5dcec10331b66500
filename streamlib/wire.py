"""Endpoints by URL: `file:outputs/out9.txt` and `udp://localhost:9999`.

A sink takes lines of bytes, a source yields them. Everything stays on this machine (loopback)
unless a URL names another host; then `Endpoint.note` says so.
"""

import contextlib
import errno
import os
import select
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

LARGEST = 65_507  # bytes in a datagram: 65,535 less the headers of IP (20) and UDP (8)
LOOK_S = 0.2  # a receiver that hears nothing looks up this often, to see whether it is to stop
# Half a credit window. Linux's usual buffer, 208 kB, takes 256 small datagrams or 160 of 200 bytes,
# and frees a quarter of it late: so this leaves room for two senders at full speed.
HALF_ROWS, HALF_BYTES = 24, 8_192
ANSWER_S, ASKS = 0.25, 20  # wait so long for an acknowledgement, and ask so often
ENDS = 4  # so often an end record is sent, if nobody echoes it
EXAMPLES = "udp://localhost:9999 or file:outputs/out9.txt"


@dataclass(frozen=True)
class Endpoint:
    """Where a URL points: a file, or a host and port; `note` says if it leaves this machine."""

    scheme: str
    path: Path | None = None
    address: tuple = ()
    note: str = ""

    @property
    def url(self) -> str:
        if self.path is not None:
            return f"file:{self.path.as_posix()}"
        host, port = self.address[:2]
        return f"{self.scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def parse(url: str) -> Endpoint:
    """Return the endpoint that a URL names; raise ValueError or OSError with one sentence."""
    scheme, _, rest = str(url).partition(":")
    if scheme == "file" and rest and not rest.startswith("//"):
        return Endpoint("file", path=Path(rest))
    if scheme == "file" and rest.startswith("///"):
        return Endpoint("file", path=Path(unquote(rest[2:])))
    if scheme != "udp" or not rest.startswith("//"):
        raise ValueError(f"{url!r} is no endpoint of this lab: give one such as {EXAMPLES}.")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "localhost", parts.port if not parts.path else None
    except ValueError:
        port = None
    if port is None:
        raise ValueError(f"{url!r} has no port from 0 to 65535: give one, as in {EXAMPLES[:20]}.")
    if host == "localhost":
        host = "127.0.0.1"  # never ::1 here and 127.0.0.1 there
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        raise OSError(
            f"The host {host!r} is not known: check its name, or use localhost."
        ) from None
    address = min(found, key=lambda one: one[0] != socket.AF_INET)[4]
    note = ""
    if not (address[0].startswith("127.") or address[0] == "::1"):
        note = (
            f"{host} is more than this machine alone: rows cross the network unencrypted, and "
            "others in it can listen or send."
        )
    return Endpoint(scheme, address=address, note=note)


def sink(url: str, flow_control: bool | None = None) -> "FileSink | UdpSink":
    """Open what takes lines at a URL; use it in a `with` block, so that it is always closed.

    flow_control: of a stream at full speed over UDP: whether to keep no more under way than the
        receiver's buffer holds; None for a stream that has a pace.
    """
    endpoint = parse(url)
    return FileSink(endpoint) if endpoint.scheme == "file" else UdpSink(endpoint, flow_control)


class FileSink:
    """A file that takes lines; each is on its way to the disk before the next is taken."""

    def __init__(self, endpoint: Endpoint):
        self.endpoint, self.problems = endpoint, []
        self._file = open_for_lines(endpoint.path)

    def send(self, line: bytes) -> None:
        write_line(self._file, line)

    end = send

    def __enter__(self) -> "FileSink":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()


def open_for_lines(path: Path | str):
    """Open a file anew for `write_line`, without a buffer that a killed process would lose."""
    path = Path(path)
    try:
        if path.is_file():
            with path.open("rb") as file:
                if file.read(1) not in (b"", b"{", b"["):
                    raise ValueError(
                        f"{path} holds something else than a stream: give another name, or delete "
                        "it first."
                    )
        return path.open("wb", buffering=0)
    except OSError as error:
        why = error.strerror
        if path.is_dir():
            why = "it is a folder"
        elif not path.parent.is_dir():
            why = f"there is no folder {path.parent}"
        raise OSError(
            f"{path} cannot be written ({why}): give the name of a file in a folder that you may "
            "write to."
        ) from None


def write_line(file, line: bytes) -> None:
    """Write a line whole or not at all; OSError with one sentence if the disk is full."""
    left = line + b"\n"
    size = len(left)
    try:
        while left:
            left = left[file.write(left) :]
    except OSError as error:
        with contextlib.suppress(OSError):  # a device cannot be cut
            file.truncate(file.tell() - (size - len(left)))
        raise OSError(
            f"{file.name} takes no more ({error.strerror}): what was written before is kept; "
            "make room, then run this again."
        ) from None


class NoAnswer(OSError):
    """Raised by a sink whose receiver acknowledged before, and does so no more."""


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
        family = socket.AF_INET6 if len(endpoint.address) == 4 else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
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

    def end(self, line: bytes) -> None:
        """Send the end record until the receiver echoes it, four times at most."""
        if self._hurried:
            time.sleep(ANSWER_S)  # let the receiver catch up, or its full buffer drops the end too
        for _ in range(ENDS):
            refused = self.refused
            self._send(line)
            if self._answered(line):
                self.acknowledged = True
                return
            if self.refused > refused:
                return  # nobody is there to answer

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


def source(url: str) -> "UdpSource":
    """Open what yields lines at a URL, in a `with` block; OSError if the port cannot be had."""
    endpoint = parse(url)
    if endpoint.scheme == "file":
        raise ValueError(f"{url!r} cannot be listened on: give a port, as in {EXAMPLES[:20]}.")
    return UdpSource(endpoint)


class UdpSource:
    """Yields (datagram, sender's address), and None whenever no more is there for the moment."""

    def __init__(self, endpoint: Endpoint):
        family = socket.AF_INET6 if len(endpoint.address) == 4 else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.bind(endpoint.address)
        except OSError as error:
            self._socket.close()
            raise _why_unbound(endpoint, error) from None
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


def _why_unbound(endpoint: Endpoint, error: OSError) -> OSError:
    port = endpoint.address[1]
    if error.errno == errno.EADDRINUSE or getattr(error, "winerror", 0) == 10048:
        return OSError(
            f"Port {port} is in use by another program, perhaps a receiver of yours in another "
            "terminal: end that one, or choose another port."
        )
    if isinstance(error, PermissionError):
        return OSError(
            f"Port {port} is not open to you: choose one from 1024 to 65535 that no service of "
            "this machine has reserved."
        )
    return OSError(
        f"{endpoint.url} cannot be listened on ({error.strerror}): use localhost or an address "
        "of this machine."
    )
