"""A bad network between two programs on this machine, and a trial of a reliability layer over it.

It is a simulation that you can repeat: the fate of the nth datagram depends on seed and n alone.
"""

import asyncio
import contextlib
import random
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from streamlib import home, processes, records, stream, wire

MOST_CLIENTS, MOST_LOGGED, MOST_LOST, WINDOW = 100, 100_000, 6, 200  # the last two: of TCP
MOST_HELD, EACH = 32_000_000, 500  # bytes under way, counting what Python adds to each datagram


@dataclass(frozen=True)
class Network:
    """What a network does to each datagram, independently of the others.

    TCP hides loss and pays with time: a lost packet holds up all that follow, for a round trip, at
    least 10 ms, if three later ones have come by then (fast retransmit, RFC 5681), else for a timer
    of 0.2 s more (Linux; RFC 6298: 1 s), doubled each time it runs out again. A model: what is lost
    together is sent again together (RFC 2018); no slow start, `duplicate` or `reorder`.
    """

    loss: float = 0  # a probability, as the next two
    duplicate: float = 0
    reorder: float = 0  # such a datagram is `delay_s` late, at least 5 ms
    delay_s: float = 0  # seconds one way
    jitter_s: float = 0  # the most that is added to it at random; this reorders, too
    rate: float | None = None  # bytes a second; None: no limit
    seed: int = 0  # for everything that is random here

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
        self.rng, self.free_at = random.Random(f"{network.seed} {way}"), 0.0
        self.taken = 0  # packets of a stream

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

    def segment(self, size: int, now: float) -> tuple[float, int]:
        """Return when a packet of a stream arrives unless it is lost, and how often it is lost."""
        due = self.through(size, now) + self.network.jitter_s * self.rng.random()
        tries = (self.rng.random() < self.network.loss for _ in range(MOST_LOST))
        lost = [*tries, False].index(False)
        self.counts.update({"came": 1, "lost": lost})
        return due, lost

    def through(self, size: int, now: float) -> float:
        self.free_at = max(now, self.free_at) + size / (self.network.rate or float("inf"))
        return self.free_at + self.network.delay_s


class Proxy(contextlib.AbstractContextManager):
    """A bad network in a thread of its own, until its `with` block ends.

    to: the URL of the receiver; without it (UDP only), whoever first sends to `back_url`;
    listen: where to listen for senders; `url` has the port that the system chose for port 0.

    `counts`: what happened on the way there; `log`: of each datagram when it came, "there" or
    "back", how it begins, when it arrives (a list), in seconds; `note`: whether other machines can
    take part. Raises ValueError if the URLs do not fit, and OSError if the port cannot be opened.
    """

    def __init__(self, network: Network, to: str | None = None, listen: str = "udp://localhost:0"):
        here, self._to = wire.parse(listen), wire.parse(to) if to else None
        if {here.scheme, self._to.scheme if to else "udp"} not in ({"udp"}, {"tcp"}):
            raise ValueError(f"{listen} and {to} do not fit: give two udp:// or two tcp:// URLs.")
        if to and here.address[1] == self._to.address[1]:
            raise ValueError(f"{listen} would lead to itself: listen on another port than {to}.")
        self._network, self.counts, self.log = network, Counter(), deque(maxlen=MOST_LOGGED)
        self._lanes = {way: _Lane(network, way, self.counts) for way in ("there", "back")}
        self._open, self._clients, self._rear, self._held = contextlib.ExitStack(), {}, None, 0
        sock, at = wire.listen(here)
        self._front, self.url = self._open.enter_context(sock), at.url
        self.note = here.note or (self._to.note if to else "")
        self._loop = asyncio.SelectorEventLoop()
        began = time.perf_counter()  # since the loop's own clock ticks every 16 ms on Windows
        self._loop.time = lambda: time.perf_counter() - began
        if here.scheme == "tcp":
            self._loop.create_task(self._accept())
        elif self._to:
            self._hear(self._front, self._sent)
        else:
            sock, at = wire.listen(wire.parse("udp://localhost:0"))
            self._rear, self.back_url = self._open.enter_context(sock), at.url
            self._hear(self._rear, self._greeted)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        with self._open, asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.get_loop().run_forever()  # once it is stopped, the runner cancels all tasks

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
            sock = self._rear or self._to.connected(0)
            self._hear(sock, lambda data, _: self._impair("back", data, self._front.sendto, sender))
            self._clients[sender] = self._open.enter_context(sock)
        self.counts["ignored, from too many senders"] += sender not in self._clients
        if sender in self._clients:
            self._impair("there", data, self._clients[sender].send)

    def _impair(self, way: str, data: bytes, send: Callable, *to: tuple) -> None:
        now = self._loop.time()
        dues = self._lanes[way].datagram(len(data), now, self._held > MOST_HELD)
        for due in dues:
            self._held += len(data) + EACH
            self._loop.call_at(due, self._pass_on, data, send, *to)
        self.log.append((now, way, data[:40], dues))

    def _pass_on(self, data: bytes, send: Callable, *to: tuple) -> None:
        self._held -= len(data) + EACH
        with contextlib.suppress(OSError):  # the program there has left
            send(data, *to)

    async def _accept(self) -> None:
        """Take in whoever connects; if that leaves no room, the one idle for longest goes."""
        while True:
            too_many = 1  # unless it comes in
            with contextlib.suppress(OSError), socket.socket():  # this one is free to go onward
                client, _ = await self._loop.sock_accept(self._front)
                task = self._loop.create_task(self._carry_both_ways(client))
                task.add_done_callback(self._clients.pop)
                self._clients[task] = 0.0  # when it was last heard
                too_many = max(0, len(self._clients) - MOST_CLIENTS)
            for idle in sorted(list(self._clients)[:-1], key=self._clients.get)[:too_many]:
                idle.cancel()
            await asyncio.sleep(0.01 * too_many)  # in any case, the new task begins

    async def _carry_both_ways(self, client: socket.socket) -> None:
        me = asyncio.current_task()
        try:
            with client, socket.socket(self._to.family) as onward:
                onward.setblocking(False)
                await self._loop.sock_connect(onward, self._to.address)
                async with asyncio.TaskGroup() as group:
                    for way, here, there in (("there", client, onward), ("back", onward, client)):
                        packets = asyncio.Queue(WINDOW)
                        group.create_task(self._take(way, here, packets, me))
                        group.create_task(self._deliver(packets, there))
        except* (OSError, asyncio.CancelledError):
            self.counts["connections cut off or without a receiver"] += 1

    async def _take(self, way: str, here: socket.socket, packets: asyncio.Queue, client) -> None:
        lane = _Lane(self._network, way, self.counts)
        while data := await self._loop.sock_recv(here, 1_448):  # a packet on an Ethernet
            self._clients[client] = self._loop.time()
            lane.taken += 1
            due, lost = lane.segment(len(data), self._clients[client])
            await packets.put((data, asyncio.create_task(self._arrive(lane, due, lost))))
        await packets.put(None)

    async def _arrive(self, lane: _Lane, due: float, lost: int) -> None:
        """Wait until a packet of a stream arrives that is lost so often."""
        enough, timer_s = lane.taken + 3, 0.2  # later packets to tell of the loss; else a timer
        await asyncio.sleep(due - self._loop.time())
        for again in range(lost):
            await asyncio.sleep(max(0.010, 2 * self._network.delay_s))
            if again or lane.taken < enough:
                await asyncio.sleep(timer_s)
                timer_s *= 2

    async def _deliver(self, packets: asyncio.Queue, there: socket.socket) -> None:
        there.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while packet := await packets.get():
            data, arrival = packet
            await arrival
            await self._loop.sock_sendall(there, data)
        there.shutdown(socket.SHUT_WR)


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
    raises TimeoutError after half a second of silence (a slow network: more), ending `receive`.
    lines: records, as `records.encode` makes them; timeout_s: seconds beyond the network's own.
    """
    longest = max(map(len, lines), default=0)
    trip_s = 2 * network.delay_s + network.jitter_s + longest / (network.rate or float("inf"))
    answer_s = 2 * trip_s / (1 - min(network.loss, 0.8)) ** 2  # the line or its answer may be lost
    silence_s = max(0.5, 5 * answer_s)
    max_s = min(timeout_s + len(lines) * answer_s + silence_s, home.LONGEST_S)
    with Proxy(network) as proxy:
        front, rear = wire.parse(proxy.url), wire.parse(proxy.back_url)

        def sends(me):
            with front.connected(silence_s) as sock:
                send(sock, lines)
                me.mark("sent")

        def receives(me):
            with rear.connected(silence_s) as sock, wire.FileSink(f"{me.db}.lines") as file:
                sock.send(b"here I am")
                with contextlib.suppress(TimeoutError):  # nothing comes any more
                    receive(sock, file.send)

        run = processes.run({"sender": sends, "receiver": receives}, timeout_s=max_s, label="trial")
    delivered = run.db.with_name(f"{run.db.name}.lines")
    arrived = records.read(delivered) if delivered.exists() else ()
    source = [records.decode(line)["row"] for line in lines]
    fates = stream.reconcile(source, [*arrived, {"seq": len(lines), "end": True}])
    seconds = float(run.events.query("state == 'sent'")["start"].max())  # NaN if `send` did not end
    problems = [said.replace("run.output", "trial.output") for said in run.problems]
    return Trial(fates, seconds, [*proxy.log], problems, run.output)
