"""Endpoints by URL: what they stand for, what is refused; and how a stream stops early."""

import os
import signal
import socket
import threading
from pathlib import Path

import pytest

from streamlib import wire
from streamlib.tests.conftest import UNIX, is_one_sentence
from streamlib.wire import udp
from streamlib.wire.endpoint import Stop


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


@UNIX
def test_a_first_ctrl_c_is_noted_and_a_second_one_interrupts():
    stop, before = Stop(), signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), stop.heard(None):
        assert not stop.asked
        signal.raise_signal(signal.SIGINT)
        assert stop.asked and stop.at > 0
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before and not stop.asked


@UNIX
def test_a_thread_leaves_ctrl_c_to_the_main_thread():
    before, found = signal.getsignal(signal.SIGINT), []

    def listen():
        with Stop().heard(None):
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert found == [before]


@pytest.mark.parametrize("limit", [0, -1, 1.5, "3"])
def test_a_limit_is_a_whole_number_of_rows(limit):
    refused = pytest.raises(ValueError, match=f"^limit is {limit!r}: give a whole number of rows")
    with refused, Stop().heard(limit):
        pass


def test_no_limit_and_a_limit_of_one_row_are_taken():
    for limit in (None, 1):
        with Stop().heard(limit):
            pass
