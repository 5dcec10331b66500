"""The tests' own plugin: ports for the kernels of notebooks."""

import socket

from streamlib.tests import settings


def test_a_kernel_gets_ports_that_nobody_has_and_no_system_gives_away():
    first = settings.free_port(None, "127.0.0.1")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first + 1))
        others = [settings.free_port(None, "127.0.0.1") for _ in range(5)]
    assert first + 1 not in others and len({first, *others}) == 6
    assert all(20_000 <= port < 32_768 for port in [first, *others])
