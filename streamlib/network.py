"""A bad network between two programs on this machine, and a trial of a reliability layer over it.

Loopback itself loses nothing on the way and never reorders. So this is a simulation, and you can
repeat it: what happens to the nth datagram in a direction depends on the seed and n alone.

    with network.Proxy(network.Network(loss=0.1, seed=7), to=receiver.url) as proxy:
        stream.send(table, proxy.url, every=0.01)
"""

import asyncio
import contextlib
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from streamlib import processes, records, stream, wire

MOST_CLIENTS, MOST_LOGGED = 100, 100_000
MOST_HELD, EACH = 32_000_000, 500  # bytes under way, counting what Python adds to each packet


@dataclass(frozen=True)
class Network:
    """What a network does to each datagram, independently of the others.

    loss, duplicate, reorder: probabilities; a reordered datagram is `delay_s` late, at least 5 ms;
    delay_s, jitter_s: seconds one way, and the most that is added at random (this reorders, too);
    rate: bytes a second, None for no limit; seed: for everything that is random here.

    TCP hides loss and pays with time: in a stream of bytes, a lost packet holds up all that follow
    by one round trip, at least 10 ms (fast retransmission, RFC 5681). It repeats and reorders none.
    """

    loss: float = 0
    duplicate: float = 0
    reorder: float = 0
    delay_s: float = 0
    jitter_s: float = 0
    rate: float | None = None
    seed: int = 0

    def __post_init__(self):
        for name in ("loss", "duplicate", "reorder", "delay_s", "jitter_s"):
            most = 60 if name.endswith("_s") else 1
            if not 0 <= (value := getattr(self, name)) <= most:
                raise ValueError(f"{name} is {value!r}: give a number from 0 to {most}.")
        if self.rate is not None and not self.rate > 0:
            raise ValueError(f"rate is {self.rate!r}: give bytes a second, or leave it out.")


class _Lane:
    """One direction: when each packet arrives, and how often."""

    def __init__(self, network: Network, way: str, counts: Counter):
        self.network, self.counts = network, counts if way == "there" else Counter()
        self.rng = random.Random(f"{network.seed} {way}")
        self.free_at = self.latest = 0.0

    def datagram(self, size: int, now: float, is_full: bool = False) -> list[float]:
        """Return the times at which it arrives, none, one or two; always draws four numbers."""
        net = self.network
        lost, twice, late, more = (self.rng.random() for _ in range(4))
        self.counts["came"] += 1
        if lost < net.loss or is_full or self.free_at > now + 1.0:  # or too long a queue
            self.counts["lost"] += 1
            return []
        is_late, is_repeated = late < net.reorder, twice < net.duplicate
        self.counts.update({"held back": is_late, "repeated": is_repeated})
        due = self.through(size, now) + net.jitter_s * more + is_late * max(0.005, net.delay_s)
        return [due, due + 0.001] if is_repeated else [due]

    def segment(self, size: int, now: float) -> float:
        """Return when a packet of a stream arrives: never before those ahead of it."""
        self.counts["came"] += 1
        due = self.through(size, now) + self.network.jitter_s * self.rng.random()
        while self.rng.random() < min(self.network.loss, 0.99):  # at 1 nothing would ever arrive
            self.counts["lost"] += 1
            due += max(0.010, 2 * self.network.delay_s)
        self.latest = max(self.latest + 1e-6, due)  # equal times would have no order
        return self.latest

    def through(self, size: int, now: float) -> float:
        self.free_at = max(now, self.free_at) + size / (self.network.rate or float("inf"))
        return self.free_at + self.network.delay_s


class Proxy(contextlib.AbstractContextManager):
    """A bad network in a thread of its own, until its `with` block ends.

    to: the URL of the receiver; without it (UDP only), whoever first sends to `back_url`;
    listen: where to listen for senders; `url` has the port that the system chose for port 0.

    `counts` says what happened on the way there. `log` has a tuple for each datagram: when it
    came, "there" or "back", how it begins, and when it arrives (a list), seconds since the start.
    Raises ValueError if the URLs do not fit, and OSError if the port cannot be opened.
    """

    def __init__(self, network: Network, to: str | None = None, listen: str = "udp://localhost:0"):
        here, self._to = wire.parse(listen), wire.parse(to) if to else None
        if {here.scheme, self._to.scheme if to else "udp"} not in ({"udp"}, {"tcp"}):
            raise ValueError(f"{listen} and {to} do not fit: give two udp:// or two tcp:// URLs.")
        self._network, self.counts, self.log = network, Counter(), []
        self._lanes = {way: _Lane(network, way, self.counts) for way in ("there", "back")}
        self._open, self._clients, self._rear, self._held = contextlib.ExitStack(), {}, None, 0
        self._front, self.url = self._bound(here)
        self._loop = asyncio.SelectorEventLoop()
        began = time.perf_counter()  # since the loop's own clock ticks every 16 ms on Windows
        self._loop.time = lambda: time.perf_counter() - began
        if here.scheme == "tcp":
            self._loop.create_task(asyncio.start_server(self._carry_both_ways, sock=self._front))
        elif self._to:
            self._hear(self._front, self._sent)
        else:
            self._rear, self.back_url = self._bound(wire.parse("udp://localhost:0"))
            self._hear(self._rear, self._greeted)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        with self._open, asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.get_loop().run_forever()  # once it is stopped, the runner cancels all tasks

    def _bound(self, endpoint: wire.Endpoint) -> tuple[socket.socket, str]:
        sock, here = wire.listen(endpoint)
        return self._open.enter_context(sock), here.url

    def _hear(self, sock: socket.socket, take: Callable[[bytes, tuple], object]) -> None:
        """Call take(datagram, sender) for whatever comes to a socket from now on."""

        def read() -> None:
            with contextlib.suppress(OSError):  # nobody was there for this one or an earlier one
                take(*sock.recvfrom(65_535))

        self._loop.add_reader(sock, read)

    def _greeted(self, greeting: bytes, receiver: tuple) -> None:
        self._rear.connect(receiver)
        self._hear(self._front, self._sent)  # what was sent before has waited there

    def _sent(self, data: bytes, sender: tuple) -> None:
        """Send a datagram on, by a socket that brings back the answers to its sender."""
        if sender not in self._clients and len(self._clients) < MOST_CLIENTS:
            sock = self._rear or _connected(self._to.url, 0)
            self._hear(sock, lambda data, _: self._impair("back", data, self._front.sendto, sender))
            self._clients[sender] = self._open.enter_context(sock)
        if sender in self._clients:
            self._impair("there", data, self._clients[sender].send)

    def _impair(self, way: str, data: bytes, send: Callable, *to: tuple) -> None:
        now = self._loop.time()
        dues = self._lanes[way].datagram(len(data), now, self._held > MOST_HELD)
        for due in dues:
            self._later(due, data, send, *to)
        if len(self.log) < MOST_LOGGED:
            self.log.append((now, way, data[:40], dues))

    def _later(self, due: float, data: bytes, send: Callable, *to: tuple) -> None:
        def deliver() -> None:
            self._held -= len(data) + EACH
            with contextlib.suppress(OSError):  # the program there has left
                send(data, *to)

        self._held += len(data) + EACH
        self._loop.call_at(due, deliver)

    async def _carry_both_ways(self, client, to_client) -> None:
        self._clients[client] = to_server = to_client  # until the receiver is connected, too
        try:
            if len(self._clients) > MOST_CLIENTS:
                raise ConnectionRefusedError
            server, to_server = await asyncio.open_connection(*self._to.address[:2])
            there = self._carry(client, to_server, "there")
            await asyncio.gather(there, self._carry(server, to_client, "back"))
        except (OSError, asyncio.CancelledError):
            self.counts["connections cut off or without a receiver"] += 1
        finally:
            del self._clients[client]
            to_client.transport.abort()
            to_server.transport.abort()

    async def _carry(self, reader, writer, way: str) -> None:
        lane = _Lane(self._network, way, self.counts)
        writer.transport.set_write_buffer_limits(0)  # so that `drain` waits until all is sent
        while data := await reader.read(1_448):  # bytes in one packet on an Ethernet
            due = lane.segment(len(data), self._loop.time())
            self._later(due, data, lambda part: writer.is_closing() or writer.write(part))
            await writer.drain()
            while self._held > MOST_HELD:
                await asyncio.sleep(0.01)
        await asyncio.sleep(lane.latest + 0.001 - self._loop.time())
        await writer.drain()
        writer.write_eof()


class Trial(NamedTuple):
    """What came of a trial: `log` as in `Proxy`, `output` what the two functions printed."""

    fates: Any  # a DataFrame, as `stream.reconcile` returns it
    seconds: float
    log: list[tuple]
    problems: list[str]
    output: dict[str, str]

    @property
    def ok(self) -> bool:
        """Whether each line was delivered once, unaltered and in order."""
        return not self.problems and stream.good(self.fates)

    def __repr__(self) -> str:
        return f"<trial: {' '.join([*self.problems, stream.verdict(self.fates)])}>"


def trial(
    send: Callable, receive: Callable, lines: list[bytes], network: Network, timeout_s: float = 15
) -> Trial:
    """Send lines over a bad network with a learner's two functions, as workers of `processes.run`.

    send(sock, lines) returns when every line has been acknowledged; receive(sock, deliver) calls
    deliver(line) for each line, once and in order. `sock` is a connected UDP socket; its `recv`
    raises TimeoutError after half a second of silence, which ends `receive`.
    lines: records, as `records.encode` makes them; timeout_s: when the lab ends the trial, seconds.
    """
    with Proxy(network) as proxy:

        def sends(me, url=proxy.url):
            with _connected(url) as sock:
                send(sock, lines)
                me.mark("sent")

        def receives(me, url=proxy.back_url):
            with _connected(url) as sock, wire.open_for_lines(me.db.with_suffix(".lines")) as file:
                sock.send(b"here I am")
                with contextlib.suppress(TimeoutError):  # nothing comes any more
                    receive(sock, lambda line: wire.write_line(file, line))

        plan = {"sender": sends, "receiver": receives}
        run = processes.run(plan, timeout_s=timeout_s, label="trial")
    delivered = run.db.with_suffix(".lines")
    arrived = records.read(delivered) if delivered.exists() else ()
    source = [records.decode(line)["row"] for line in lines]
    fates = stream.reconcile(source, [*arrived, {"seq": len(lines), "end": True}])
    seconds = float(run.events.query("state == 'sent'")["start"].max())  # NaN if `send` did not end
    problems = [said.replace("run.output", "trial.output") for said in run.problems]
    return Trial(fates, seconds, proxy.log, problems, run.output)


def _connected(url: str, timeout_s: float = 0.5) -> socket.socket:
    to = wire.parse(url)
    sock = socket.socket(to.family, socket.SOCK_DGRAM)
    sock.connect(to.address)
    sock.settimeout(timeout_s)
    return sock
