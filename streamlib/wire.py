"""Endpoints by URL: `file:outputs/out9.txt`, `udp://localhost:9999` and `tcp://localhost:9999`.

A sink takes lines of bytes, a source yields them. Everything stays on this machine (loopback)
unless a URL names another host; then `Endpoint.note` says so.
"""

import contextlib
import errno
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from streamlib.tcp import TcpSink, TcpSource
    from streamlib.udp import UdpSink, UdpSource

LOOK_S = 0.2  # a receiver that hears nothing looks up this often, to see whether it is to stop
EXAMPLES = "udp://localhost:9999, tcp://localhost:9999 or file:outputs/out9.txt"


@dataclass(frozen=True)
class Endpoint:
    """Where a URL points: a file, or a host and port; `note` says if it leaves this machine."""

    scheme: str
    path: Path | None = None
    address: tuple = ()
    note: str = ""

    @property
    def family(self) -> socket.AddressFamily:
        """IPv6 or IPv4, by the address."""
        return socket.AF_INET6 if len(self.address) == 4 else socket.AF_INET

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
    if scheme not in ("udp", "tcp") or not rest.startswith("//"):
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
        kind = socket.SOCK_DGRAM if scheme == "udp" else socket.SOCK_STREAM
        found = socket.getaddrinfo(host, port, type=kind)
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


def sink(url: str, flow_control: bool | None = None) -> "FileSink | UdpSink | TcpSink":
    """Open what takes lines at a URL; use it in a `with` block, so that it is always closed.

    flow_control: of a stream at full speed over UDP: whether to keep no more under way than the
        receiver's buffer holds; None for a stream that has a pace.
    """
    from streamlib.tcp import TcpSink  # here: both import this module
    from streamlib.udp import UdpSink

    endpoint = parse(url)
    if endpoint.scheme == "file":
        return FileSink(endpoint)
    return {"udp": UdpSink, "tcp": TcpSink}[endpoint.scheme](endpoint, flow_control)


class FileSink:
    """A file that takes lines; each is on its way to the disk before the next is taken."""

    def __init__(self, endpoint: Endpoint):
        self.endpoint, self.problems = endpoint, []
        self._file = open_for_lines(endpoint.path)

    def send(self, line: bytes) -> None:
        write_line(self._file, line)

    def end(self, line: bytes | None) -> None:
        """Write the end record, if there is one."""
        if line is not None:
            self.send(line)

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


def source(url: str) -> "UdpSource | TcpSource":
    """Open what yields lines at a URL, in a `with` block; OSError if the port cannot be had."""
    from streamlib.tcp import TcpSource
    from streamlib.udp import UdpSource

    endpoint = parse(url)
    if endpoint.scheme == "file":
        raise ValueError(f"{url!r} cannot be listened on: give a port, as in {EXAMPLES[:20]}.")
    return {"udp": UdpSource, "tcp": TcpSource}[endpoint.scheme](endpoint)


def why_unbound(endpoint: Endpoint, error: OSError) -> OSError:
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
