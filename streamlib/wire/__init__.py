"""Where lines go to and come from: a file, datagrams, or a connection, each by its URL.

A sink takes lines of bytes, a source yields them.
"""

from streamlib.wire.endpoint import EXAMPLES, Endpoint, NoAnswer, parse, why_unbound  # noqa: F401
from streamlib.wire.file import FileSink, open_for_lines, write_line  # noqa: F401
from streamlib.wire.tcp import TcpSink, TcpSource
from streamlib.wire.udp import UdpSink, UdpSource


def sink(url: str, flow_control: bool | None = None) -> FileSink | UdpSink | TcpSink:
    """Open what takes lines at a URL; use it in a `with` block, so that it is always closed.

    flow_control: of a stream at full speed over UDP: whether to keep no more under way than the
        receiver's buffer holds; None for a stream that has a pace.
    """
    endpoint = parse(url)
    if endpoint.scheme == "file":
        return FileSink(endpoint)
    return {"udp": UdpSink, "tcp": TcpSink}[endpoint.scheme](endpoint, flow_control)


def source(url: str) -> UdpSource | TcpSource:
    """Open what yields lines at a URL, in a `with` block; OSError if the port cannot be had."""
    endpoint = parse(url)
    if endpoint.scheme == "file":
        raise ValueError(f"{url!r} cannot be listened on: give a port, as in {EXAMPLES[:20]}.")
    return {"udp": UdpSource, "tcp": TcpSource}[endpoint.scheme](endpoint)
