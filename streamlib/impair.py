"""A bad network on this machine: a proxy between sender and receiver that loses, delays, repeats.

    with impair.Proxy(impair.Network(loss=0.1, seed=7), to=receiver.url) as proxy:
        stream.send(table, proxy.url, every=0.01)

Loopback itself loses nothing on the way and never reorders, so this is a simulation, and one that
can be repeated: what happens to the n-th datagram of a direction depends on the seed and n alone.
"""

import contextlib
import heapq
import random
import select
import socket
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, fields

from streamlib import wire

LARGEST, MOST_CLIENTS = 65_535, 100
SEGMENT = 1_448  # bytes of a stream in one packet on an Ethernet
QUEUE_S = 1.0  # with a cap on the rate: who would have to wait longer, is dropped
HELD = 1_048_576  # bytes of a stream under way; then its sender has to wait
LOOK_S = 0.1
MOST_WAITING, MOST_LOGGED = 50_000, 100_000  # datagrams under way; those noted in the log
MOST_RESENT = 100  # so often a part of a stream is lost, at most


@dataclass(frozen=True)
class Network:
    """What a network does to each datagram, independently of the others.

    loss, duplicate, reorder: probabilities, 0 to 1; a reordered one comes `delay_s`, at least 5 ms,
    later than it should; delay_s, jitter_s: seconds one way, and at most so much more, at random
    (which reorders, too); rate: bytes a second, without it no limit; seed.

    TCP hides loss, and pays with time. So in a stream of bytes each lost packet holds up all that
    follow by a round trip (at least 10 ms), as a fast retransmission does (RFC 5681); this is kind
    to TCP. Reordering and duplicates cost it nothing here.
    """

    loss: float = 0
    duplicate: float = 0
    reorder: float = 0
    delay_s: float = 0
    jitter_s: float = 0
    rate: float | None = None
    seed: int = 0

    def __post_init__(self):
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name in ("loss", "duplicate", "reorder") and not 0 <= value <= 1:
                raise ValueError(f"{one.name} is {value!r}: give a probability from 0 to 1.")
            if one.name in ("delay_s", "jitter_s") and not 0 <= value <= 60:
                raise ValueError(f"{one.name} is {value!r}: give seconds from 0 to 60.")
        if self.rate is not None and not self.rate > 0:
            raise ValueError(f"rate is {self.rate!r}: give bytes a second, or leave it out.")


class _Lane:
    """One direction: when does each packet come out, and how often."""

    def __init__(self, network: Network, direction: str, counts: Counter):
        self.network, self.counts = network, counts
        self._rng = random.Random(f"{network.seed} {direction}")
        self._free_at = self._last = 0.0

    def datagram(self, size: int, now: float) -> list[float]:
        """Return the times at which it is delivered: none if it is lost, two if it is repeated."""
        net = self.network
        # Always as many draws, so that the n-th datagram's fate does not hang on others'.
        lost, twice, late, more = (self._rng.random() for _ in range(4))
        self.counts["came"] += 1
        if lost < net.loss:
            self.counts["lost"] += 1
            return []
        if self._free_at > now + QUEUE_S:
            self.counts["dropped: queue full"] += 1
            return []
        due = self._through(size, now) + net.delay_s + net.jitter_s * more
        if late < net.reorder:
            self.counts["held back"] += 1
            due += max(0.005, net.delay_s)
        if twice < net.duplicate:
            self.counts["repeated"] += 1
            return [due, due + 0.001]
        return [due]

    def segment(self, size: int, now: float) -> float:
        """Return when a part of a stream is delivered: never before the parts ahead of it."""
        net = self.network
        self.counts["came"] += 1
        due = self._through(size, now) + net.delay_s + net.jitter_s * self._rng.random()
        for _ in range(MOST_RESENT):
            if self._rng.random() >= net.loss:
                break
            self.counts["lost"] += 1
            due += max(0.010, 2 * net.delay_s)
        self._last = max(self._last, due)
        return self._last

    def _through(self, size: int, now: float) -> float:
        """When the last byte is through, where so many bytes a second are."""
        if self.network.rate is None:
            return now
        self._free_at = max(now, self._free_at) + size / self.network.rate
        return self._free_at


class Proxy:
    """Runs in a thread while its `with` block does; `url` is where to send, `counts` what it did.

    to: the URL of the receiver. Without it (UDP), the first one who sends a datagram to `back_url`
    is the receiver. `log` has a tuple for each datagram: when it came, "there" or "back", how it
    begins, and the times at which it is delivered, in seconds since the first one. Raises OSError
    or ValueError with one sentence.
    """

    def __init__(self, network: Network, to: str | None = None, listen: str = "udp://localhost:0"):
        endpoint, target = wire.parse(listen), wire.parse(to) if to else None
        schemes = {endpoint.scheme, target.scheme if target else endpoint.scheme}
        if len(schemes) > 1 or schemes & {"file"}:
            raise ValueError(f"{listen} and {to} must both be udp:// or both be tcp://.")
        if endpoint.scheme == "tcp" and not to:
            raise ValueError(f"{listen} needs a receiver: give its URL, as in to=receiver.url.")
        if target and len(target.address) != len(endpoint.address):
            raise ValueError(f"{listen} and {to} must both be IPv4 or both be IPv6 addresses.")
        self.counts: Counter[str] = Counter()
        self.log: list[tuple[float, str, bytes, list[float]]] = []
        self._target, self._stop = target, threading.Event()
        self._network, self._queue, self._order, self._began = network, [], 0, 0.0
        self._there = _Lane(network, "there", self.counts)
        self._back = _Lane(network, "back", Counter())
        is_udp = endpoint.scheme == "udp"
        self._front = _bound(endpoint, is_udp)
        self._rear = _bound(wire.parse("udp://localhost:0"), True) if is_udp and not to else None
        self.endpoint = wire.Endpoint(endpoint.scheme, address=self._front.getsockname())
        self.url = self.endpoint.url
        self.back_url = self._rear and wire.Endpoint("udp", address=self._rear.getsockname()).url
        self._run = self._relay_datagrams if is_udp else self._relay_streams
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Proxy":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join(10)
        self._front.close()
        if self._rear:
            self._rear.close()

    def _later(self, due: float, act, *arguments: object) -> None:
        self._order += 1
        heapq.heappush(self._queue, (due, self._order, act, arguments))

    def _deliver(self) -> float:
        """Deliver what is due; return how long to wait for the next, seconds."""
        while self._queue and self._queue[0][0] <= time.perf_counter():
            _, _, act, arguments = heapq.heappop(self._queue)
            with contextlib.suppress(OSError):  # whoever it was for, has gone
                act(*arguments)
        if not self._queue:
            return LOOK_S
        return min(LOOK_S, max(0.0, self._queue[0][0] - time.perf_counter()))

    def _relay_datagrams(self) -> None:
        clients: dict[tuple, socket.socket] = {}  # who sends, and our socket that speaks for it
        names: dict[socket.socket, tuple] = {}
        if self._rear:
            names[self._rear] = ()
        receiver = None
        while not self._stop.is_set():
            ready, _, _ = select.select([self._front, *names], [], [], self._deliver())
            for sock in sorted(ready, key=lambda sock: sock is not self._rear):
                try:
                    data, sender = sock.recvfrom(LARGEST)
                except OSError:
                    continue
                now = time.perf_counter()
                if sock is self._front:
                    there = self._rear or clients.get(sender)
                    if there is None and len(clients) < MOST_CLIENTS:
                        there = clients[sender] = socket.socket(self._front.family, sock.type)
                        there.connect(self._target.address)
                        names[there] = sender
                    if self._rear:
                        names[self._rear] = sender
                        send = (self._rear.sendto, data, receiver)
                    else:
                        send = (there.send, data) if there else None
                    if send is None or (self._rear and receiver is None):
                        continue
                    self._impair(self._there, "there", data, now, send)
                elif sock is self._rear and receiver is None:
                    receiver = sender  # its first datagram says no more than where it is
                elif names[sock]:
                    send = (self._front.sendto, data, names[sock])
                    self._impair(self._back, "back", data, now, send)
        for sock in clients.values():
            sock.close()

    def _impair(self, lane: _Lane, way: str, data: bytes, now: float, send: tuple) -> None:
        dues = lane.datagram(len(data), now)
        if dues and len(self._queue) >= MOST_WAITING:
            lane.counts["dropped: too many under way"] += 1
            dues = []
        for due in dues:
            self._later(due, *send)
        if len(self.log) < MOST_LOGGED:
            self._began = self._began or now
            times = [due - self._began for due in dues]
            self.log.append((now - self._began, way, data[:40], times))

    def _relay_streams(self) -> None:
        threads = []
        self._front.settimeout(LOOK_S)
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                client, _ = self._front.accept()
                thread = threading.Thread(target=self._relay, args=(client,), daemon=True)
                thread.start()
                threads.append(thread)
        for thread in threads:
            thread.join(5)

    def _relay(self, client: socket.socket) -> None:
        """Carry one connection's bytes both ways, each part when its time has come."""
        try:
            server = socket.create_connection(self._target.address)
        except OSError:
            self.counts["connections to a receiver that was not there"] += 1
            client.close()
            return
        with client, server:
            for sock in (client, server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            ways = [
                (client, server, _Lane(self._network, "there", self.counts)),
                (server, client, _Lane(self._network, "back", Counter())),
            ]
            halves = [threading.Thread(target=self._one_way, args=way, daemon=True) for way in ways]
            for half in halves:
                half.start()
            for half in halves:
                half.join()

    def _one_way(self, source: socket.socket, sink: socket.socket, lane: _Lane) -> None:
        parts: list[tuple[float, bytes]] = []  # in order, since a stream is
        held, ended = 0, False
        sink.setblocking(False)  # it may not read; then we still hear that it is all over
        with contextlib.suppress(OSError):
            while not self._stop.is_set() and not (ended and not parts):
                now = time.perf_counter()
                wait = min(LOOK_S, parts[0][0] - now) if parts else LOOK_S
                while parts and parts[0][0] <= now:
                    due, data = parts.pop(0)
                    try:
                        size = sink.send(data)
                    except BlockingIOError:
                        size = 0
                    held -= size
                    if size < len(data):
                        parts.insert(0, (due, data[size:]))
                        wait = 0.005
                        break
                    wait = min(LOOK_S, parts[0][0] - now) if parts else LOOK_S
                listen = [source] if not ended and held < HELD else []
                if not listen:
                    time.sleep(max(0.0, wait))
                elif select.select(listen, [], [], max(0.0, wait))[0]:
                    data = source.recv(SEGMENT)
                    ended = not data
                    held += len(data)
                    if data:
                        parts.append((lane.segment(len(data), time.perf_counter()), data))
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


def _bound(endpoint: wire.Endpoint, is_udp: bool) -> socket.socket:
    sock = socket.socket(endpoint.family, socket.SOCK_DGRAM if is_udp else socket.SOCK_STREAM)
    if not is_udp and sys.platform != "win32":  # there it would let two programs have the port
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(endpoint.address)
        if not is_udp:
            sock.listen()
    except OSError as error:
        sock.close()
        raise wire.why_unbound(endpoint, error) from None
    return sock
