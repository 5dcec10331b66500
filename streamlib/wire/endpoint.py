"""Endpoints by URL: `file:outputs/out9.txt`, `udp://localhost:9999` and `tcp://localhost:9999`.

A sink takes lines of bytes, a source yields them. Everything stays on this machine (loopback)
unless a URL names another host; then `Endpoint.note` says so.
"""

import errno
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

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


class NoAnswer(OSError):
    """Raised by a sink whose receiver acknowledged before, and does so no more."""


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
