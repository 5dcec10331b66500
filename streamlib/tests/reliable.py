"""The reference solution of notebook 05's exercise: rows over UDP, each once and in order.

A window with selective repeat: the sender numbers the lines and keeps the unacknowledged ones, the
receiver acknowledges each number, keeps what came early, and delivers what is next.
"""

import time
from contextlib import suppress

WINDOW, PATIENCE_S, OVERTAKEN = 64, 0.05, 3


def send(sock, lines):
    """Send every line until it is acknowledged; never more than WINDOW lines under way.

    A line is sent again when PATIENCE_S have passed, or at once when OVERTAKEN lines that were
    sent after it have been acknowledged before it.
    """
    under_way = {}  # number -> [when it was sent last, how often it was overtaken], in that order
    following = 0
    sock.settimeout(PATIENCE_S)
    while under_way or following < len(lines):
        while following < len(lines) and len(under_way) < WINDOW:
            _put(sock, following, lines, under_way)
            following += 1
        with suppress(TimeoutError, ConnectionError):
            _acknowledge(int(sock.recv(100)), under_way)
        now = time.perf_counter()
        for number, (sent, overtaken) in list(under_way.items()):
            if overtaken < OVERTAKEN and now - sent < PATIENCE_S:
                break  # those sent after it have waited less
            _put(sock, number, lines, under_way)


def _put(sock, number, lines, under_way):
    with suppress(ConnectionError):  # the answer to an earlier one; this one will be sent again
        sock.send(b"%d " % number + lines[number])
    under_way.pop(number, None)
    under_way[number] = [time.perf_counter(), 0]  # now it is the one sent last


def _acknowledge(number, under_way):
    if number in under_way:
        sent = under_way.pop(number)[0]
        for state in under_way.values():
            if state[0] > sent:
                break
            state[1] += 1


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
