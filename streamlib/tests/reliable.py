"""The reference solution of notebook 05's exercise: rows over UDP, each once and in order.

A window with selective repeat: the sender numbers the lines and keeps the unacknowledged ones, the
receiver acknowledges each number, keeps what came early, and delivers what is next.
"""

import time
from contextlib import suppress

WINDOW, PATIENCE_S = 32, 0.05


def send(sock, lines):
    """Send every line until it is acknowledged; never more than WINDOW lines under way."""
    under_way, following = {}, 0  # number -> when it was sent last
    base = 0
    while base < len(lines):
        now = time.perf_counter()
        while following < len(lines) and following < base + WINDOW:
            under_way[following] = 0.0
            following += 1
        for number, sent in under_way.items():
            if now - sent > PATIENCE_S:
                _put(sock, b"%d " % number + lines[number])
                under_way[number] = now
        oldest = min(under_way.values())
        sock.settimeout(max(0.001, oldest + PATIENCE_S - time.perf_counter()))
        with suppress(TimeoutError, ConnectionError):
            while base in under_way:
                under_way.pop(int(sock.recv(100)), None)
        base = min(under_way, default=following)


def _put(sock, datagram):
    with suppress(ConnectionError):  # the answer to an earlier one; this one will be sent again
        sock.send(datagram)


def receive(sock, deliver):
    """Acknowledge each number; deliver the lines once and in order."""
    early, following = {}, 0
    while True:
        number, _, line = sock.recv(65_535).partition(b" ")
        number = int(number)
        sock.send(b"%d" % number)
        if number >= following:
            early[number] = line
        while following in early:
            deliver(early.pop(following))
            following += 1
