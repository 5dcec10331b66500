"""Endpoints by URL: what is taken, and what is refused in one sentence."""

import os
import re
import socket
import sys
from pathlib import Path

import pytest

from streamlib import wire
from streamlib.wire import udp


def one_sentence(error):
    """Whether an error says one thing on one line, and ends it; paths may be long."""
    text = str(error.value)
    short = re.sub(r"[^\s']*/[^\s']*", "PATH", text)
    return "\n" not in text and text.endswith(".") and len(short) < 250


@pytest.mark.parametrize(
    ("url", "path", "address", "again"),
    [
        ("udp://localhost:9999", None, ("127.0.0.1", 9999), "udp://127.0.0.1:9999"),
        ("udp://:9999", None, ("127.0.0.1", 9999), "udp://127.0.0.1:9999"),
        ("udp://127.0.0.1:0", None, ("127.0.0.1", 0), "udp://127.0.0.1:0"),
        ("udp://[::1]:65535", None, ("::1", 65535, 0, 0), "udp://[::1]:65535"),
        ("file:outputs/out9.txt", Path("outputs/out9.txt"), (), "file:outputs/out9.txt"),
        ("file:/tmp/a%20b", Path("/tmp/a%20b"), (), "file:/tmp/a%20b"),
        ("file:///tmp/a%20b", Path("/tmp/a b"), (), "file:/tmp/a b"),
    ],
)
def test_urls_of_this_machine(url, path, address, again):
    endpoint = wire.parse(url)
    assert (endpoint.path, endpoint.address, endpoint.note) == (path, address, "")
    assert endpoint.url == again


@pytest.mark.parametrize(
    ("url", "words"),
    [("udp://0.0.0.0:0", "more than this machine"), ("udp://192.0.2.1:9", "unencrypted")],
)
def test_a_url_that_leaves_this_machine_says_so(url, words):
    assert words in wire.parse(url).note


@pytest.mark.parametrize(
    ("url", "words"),
    [
        *[(url, "is no endpoint of this lab") for url in ("ftp://localhost:9", "", "out9.txt")],
        *[(url, "is no endpoint of this lab") for url in ("file:", "file://", "file://x", None)],
        *[(f"udp://localhost{port}", "has no port") for port in ("", ":", ":70000", ":-1", ":x")],
        ("udp://[::1:9", "has no port"),
        ("udp://no.such.host.invalid:9999", "'no.such.host.invalid' is not known"),
        ("udp://..:9999", "is not known"),
    ],
)
def test_urls_that_name_nothing(url, words):
    with pytest.raises((ValueError, OSError), match=words) as error:
        wire.parse(url)
    assert one_sentence(error)


def test_a_port_in_use():
    with wire.source("udp://localhost:0") as first:
        with pytest.raises(OSError, match=r"Port \d+ is in use by another program") as error:
            wire.source(first.endpoint.url)
        assert one_sentence(error)
    with wire.source(first.endpoint.url) as again:  # its port is free again
        assert again.endpoint == first.endpoint


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs users as POSIX has them")
def test_a_port_that_is_not_open_to_you():
    endpoint, user = wire.parse("udp://localhost:99"), os.geteuid()
    os.seteuid(user or 65534)  # root may do everything: be nobody for a moment
    try:
        with socket.socket(type=socket.SOCK_DGRAM) as plain:
            try:
                plain.bind(endpoint.address)
                pytest.skip("this system opens every port to everybody")
            except PermissionError:
                pass
        with pytest.raises(OSError, match="Port 99 is not open to you: choose one") as error:
            udp.UdpSource(endpoint)
    finally:
        os.seteuid(user)
    assert one_sentence(error) and "in use" not in str(error.value)


def test_what_cannot_be_listened_on():
    for url in ("udp://192.0.2.1:9", "file:out9.txt"):
        with pytest.raises((OSError, ValueError), match="cannot be listened on") as error:
            wire.source(url)
        assert one_sentence(error)


def test_outputs_that_cannot_be_written(tmp_path):
    folder = tmp_path / "no" / "x"
    for path, words in [(tmp_path, "it is a folder"), (folder, "there is no folder")]:
        with pytest.raises(OSError, match=words) as error:
            wire.sink(f"file:{path.as_posix()}")
        assert one_sentence(error)


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's own")
def test_a_full_disk():
    full = pytest.raises(OSError, match=r"/dev/full takes no more \(No space left on device\)")
    with wire.sink("file:/dev/full") as sink, full as error:
        sink.send(b"{}")
    assert one_sentence(error)
