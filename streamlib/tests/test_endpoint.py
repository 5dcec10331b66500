"""Endpoints by URL: what they stand for, and what is refused in one sentence."""

import os
import socket
from pathlib import Path

import pytest

from streamlib import wire
from streamlib.tests.conftest import is_one_sentence
from streamlib.wire import udp


@pytest.mark.parametrize(
    ("url", "path", "address", "again"),
    [
        ("udp://localhost:9999", None, ("127.0.0.1", 9999), "udp://127.0.0.1:9999"),
        ("udp://:9999", None, ("127.0.0.1", 9999), "udp://127.0.0.1:9999"),
        ("tcp://127.0.0.1:0", None, ("127.0.0.1", 0), "tcp://127.0.0.1:0"),
        ("udp://[::1]:65535", None, ("::1", 65535, 0, 0), "udp://[::1]:65535"),
        ("file:outputs/out9.txt", Path("outputs/out9.txt"), (), "file:outputs/out9.txt"),
        ("file:/tmp/a b", Path("/tmp/a b"), (), "file:/tmp/a b"),
        ("file:///tmp/out9.txt", Path("/tmp/out9.txt"), (), "file:/tmp/out9.txt"),
    ],
)
def test_a_url_of_this_machine_stands_for_a_file_or_an_address(url, path, address, again):
    endpoint = wire.parse(url)
    assert (endpoint.path, endpoint.address, endpoint.note) == (path, address, "")
    assert endpoint.url == again


@pytest.mark.parametrize("url", ["udp://0.0.0.0:0", "tcp://192.0.2.1:9"])
def test_a_url_that_reaches_beyond_this_machine_says_so(url):
    assert "beyond this machine" in wire.parse(url).note


@pytest.mark.parametrize(
    ("url", "words"),
    [
        *[(url, "is not an endpoint") for url in ("ftp://localhost:9", "", "out9.txt", None)],
        *[(url, "is not an endpoint") for url in ("file:", "udp://[::1:x", "udp:localhost:9")],
        *[(f"udp://localhost{port}", "port from 0 to 65535") for port in ("", ":", ":70000", ":x")],
        *[(f"tcp://localhost{port}", "port from 0 to 65535") for port in (":-1", ":9/rows")],
        ("udp://no.such.host.invalid:9999", "'no.such.host.invalid' is unknown"),
        ("udp://..:9999", "is unknown"),
    ],
)
def test_a_url_that_names_nothing_is_refused(url, words):
    with pytest.raises((ValueError, OSError), match=words) as error:
        wire.parse(url)
    assert is_one_sentence(str(error.value))


@pytest.mark.parametrize("scheme", ["udp", "tcp"])
def test_a_port_in_use_is_refused_and_free_again_afterwards(scheme):
    with wire.source(f"{scheme}://localhost:0") as first:
        with pytest.raises(OSError, match=r"^Port \d+ is in use: stop") as error:
            wire.source(first.endpoint.url)
        assert is_one_sentence(str(error.value))
    with wire.source(first.endpoint.url) as again:
        assert again.endpoint == first.endpoint


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs users as POSIX has them")
def test_a_privileged_port_is_refused():
    endpoint, user = wire.parse("udp://localhost:99"), os.geteuid()
    os.seteuid(user or 65534)  # root may do everything: be nobody for a moment
    try:
        with socket.socket(type=socket.SOCK_DGRAM) as plain:
            try:
                plain.bind(endpoint.address)
                pytest.skip("this system opens every port to everybody")
            except PermissionError:
                pass
        with pytest.raises(
            OSError, match=r"You may not listen on port 99: choose one from 1024"
        ) as error:
            udp.UdpSource(endpoint)
    finally:
        os.seteuid(user)
    assert is_one_sentence(str(error.value)) and "in use" not in str(error.value)


@pytest.mark.parametrize("url", ["udp://192.0.2.1:9", "tcp://192.0.2.1:9", "file:out9.txt"])
def test_you_cannot_listen_on_a_file_or_on_another_machine(url):
    with pytest.raises(
        (OSError, ValueError), match=r"You cannot listen|You may not listen"
    ) as error:
        wire.source(url)
    assert is_one_sentence(str(error.value))
