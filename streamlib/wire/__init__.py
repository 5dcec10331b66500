"""Where lines go to and come from: a file, datagrams, or a connection, each named by its URL.

A sink takes lines of bytes: `send(line)`, then `end(line)` with the end record, or None. A source
yields (line, sender), (None, sender) when one has left, and None when nothing more is there now.
"""

from streamlib import home
from streamlib.wire.endpoint import Endpoint, NoAnswer, listen, parse, stop  # noqa: F401
from streamlib.wire.file import FileSink
from streamlib.wire.tcp import TcpSink, TcpSource
from streamlib.wire.udp import UdpSink, UdpSource


def sink(url: str, full_speed: bool = False) -> FileSink | UdpSink | TcpSink:
    """Return the sink of a URL, for a `with` block; raise OSError if it cannot be reached.

    full_speed: whether lines come without pauses.
    """
    endpoint = parse(url)
    if endpoint.scheme == "file":
        return FileSink(endpoint.path)
    with home.one_sentence(f"Nobody is listening on {endpoint.url}", "start a receiver first"):
        return {"udp": UdpSink, "tcp": TcpSink}[endpoint.scheme](endpoint, full_speed)


def source(url: str) -> UdpSource | TcpSource:
    """Return the source of a URL, for a `with` block; raise OSError if its port is not free."""
    endpoint = parse(url)
    if endpoint.scheme == "file":
        raise ValueError(f"You cannot listen on {url}: give a port, as in udp://localhost:9999.")
    return {"udp": UdpSource, "tcp": TcpSource}[endpoint.scheme](endpoint)
