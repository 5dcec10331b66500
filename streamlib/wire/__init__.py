"""Where lines go to and come from: a file, datagrams, or a connection, each named by its URL.

A sink takes lines of bytes: `send(line)`, then `end(line)` with the end record, or None. Afterwards
`acknowledged` says whether the receiver echoed the end, `refused` how many lines found nobody
listening, and `problems` what went wrong. It raises NoAnswer when the receiver has gone.

A source yields (line, sender), (None, sender) when a sender has left, and None whenever nothing
more is there for now. `reply(line, sender)` answers; `drops()` counts what the system dropped.
"""

from collections.abc import Callable

from streamlib.wire.endpoint import Endpoint, NoAnswer, parse, why_unbound  # noqa: F401
from streamlib.wire.file import FileSink, open_for_lines, write_line  # noqa: F401
from streamlib.wire.tcp import TcpSink, TcpSource
from streamlib.wire.udp import UdpSink, UdpSource


def sink(url: str, full_speed: bool = False, stopping: Callable[[], bool] = lambda: False):
    """Return the sink of a URL, for a `with` block; raise OSError if it cannot be reached.

    full_speed: whether lines come without pauses; stopping: whether to give up on a slow receiver.
    """
    endpoint = parse(url)
    kind = {"file": FileSink, "udp": UdpSink, "tcp": TcpSink}[endpoint.scheme]
    return kind(endpoint, full_speed, stopping)


def source(url: str) -> UdpSource | TcpSource:
    """Return the source of a URL, for a `with` block; raise OSError if its port is not free."""
    endpoint = parse(url)
    if endpoint.scheme == "file":
        raise ValueError(f"You cannot listen on {url}: give a port, as in udp://localhost:9999.")
    return {"udp": UdpSource, "tcp": TcpSource}[endpoint.scheme](endpoint)
