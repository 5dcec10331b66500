"""Endpoints, named by URLs such as `udp://localhost:9999`, and how a stream ends early."""

import contextlib
import errno
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

EXAMPLES = "udp://localhost:9999 (with a port from 0 to 65535) or file:outputs/out9.txt"
LOOK_S = 0.2  # how often a receiver that hears nothing checks whether it should stop


class NoAnswer(OSError):
    """Raised by a sink whose receiver takes no more lines, or no longer answers."""


class Stop:
    """Whether Ctrl-C or a cell's stop button was pressed during a stream, and when."""

    asked, at = False, float("inf")

    @contextlib.contextmanager
    def heard(self, limit: int | None) -> Iterator[None]:
        """Let the first Ctrl-C set `asked`, so that no row is cut in two; a second interrupts.

        Raises ValueError unless the limit of the stream is a number of rows, or None.
        """
        if limit is not None and (not isinstance(limit, int) or limit < 1):
            raise ValueError(f"limit is {limit!r}: give a whole number of rows, 1 or more.")
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGINT, self._ask)
        try:
            yield
        finally:
            self.asked, self.at = False, float("inf")
            signal.signal(signal.SIGINT, before)

    def _ask(self, *_: object) -> None:
        self.asked, self.at = True, time.monotonic()
        signal.signal(signal.SIGINT, signal.default_int_handler)  # for a second one


stop = Stop()


class SocketEnd(contextlib.AbstractContextManager):
    """An end of a stream that holds a socket until its `with` block ends."""

    def __exit__(self, *error: object) -> None:
        self._socket.close()


class Endpoint(NamedTuple):
    """Where a URL points: a file, or the address of a port; `note` warns of other machines."""

    scheme: str
    path: Path | None = None
    address: tuple = ()
    note: str = ""

    @property
    def family(self) -> socket.AddressFamily:
        return socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET

    @property
    def url(self) -> str:
        if self.path is not None:
            return f"file:{self.path.as_posix()}"
        host, port = self.address[:2]
        return f"{self.scheme}://{f'[{host}]' if ':' in host else host}:{port}"

    def connected(self, timeout_s: float | None = None) -> socket.socket:
        """Return a socket for datagrams to and from there; it is told when they are refused."""
        sock = socket.socket(self.family, socket.SOCK_DGRAM)
        sock.connect(self.address)
        sock.settimeout(timeout_s)
        return sock


def parse(url: str) -> Endpoint:
    """Return the endpoint of a URL; raise ValueError if it has none, OSError for unknown hosts."""
    if match := re.fullmatch(r"file:(?://)?(.+)", str(url)):
        return Endpoint("file", Path(match[1]))
    match = re.fullmatch(r"(udp|tcp)://\[?([^/]*?)\]?:(\d{1,5})", str(url))
    if not match or int(match[3]) > 65_535:
        raise ValueError(f"{url!r} is not an endpoint: give one such as {EXAMPLES}.")
    scheme, host, port = match.groups()
    host = "127.0.0.1" if host in ("", "localhost") else host  # never ::1 in one place only
    try:
        address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4]
    except (OSError, UnicodeError):
        raise OSError(f"The host {host!r} is unknown: check its name, or use localhost.") from None
    note = f"{host} is beyond this machine: others on the network can read the rows, or send some."
    return Endpoint(scheme, None, address, "" if re.match(r"127\.|::1$", address[0]) else note)


def listen(endpoint: Endpoint) -> tuple[socket.socket, Endpoint]:
    """Return a socket that listens on an endpoint, and the endpoint with the port it got."""
    try:
        if endpoint.scheme == "tcp":
            sock = socket.create_server(endpoint.address, family=endpoint.family, backlog=1024)
        else:
            sock = socket.socket(endpoint.family, socket.SOCK_DGRAM)
            sock.bind(endpoint.address)
    except OSError as error:
        host, port = endpoint.address[:2]
        why = f"You cannot listen on {host} ({error.strerror.split(' (')[0]}): use localhost."
        if error.errno == errno.EADDRINUSE:
            why = f"Port {port} is in use: stop the other receiver, or choose another port."
        elif isinstance(error, PermissionError):
            why = f"You may not listen on port {port}: choose one from 1024 to 65535."
        raise OSError(why) from None
    sock.setblocking(False)
    return sock, endpoint._replace(address=sock.getsockname())
