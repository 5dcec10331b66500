"""A bad network between two programs on this machine, and a trial of a reliability layer over it.

Loopback itself loses nothing on the way and never reorders. So this is a simulation, and you can
repeat it: what happens to the nth datagram in a direction depends on the seed and n alone.

    with network.Proxy(network.Network(loss=0.1, seed=7), to=receiver.url) as proxy:
        stream.send(table, proxy.url, every=0.01)
"""

import asyncio
import contextlib
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any, NamedTuple

from streamlib import home, processes, records, stream, wire
from streamlib.lanes import Lane, Network

MOST_CLIENTS, MOST_LOGGED, PAUSE_S = 100, 100_000, 0.01  # seconds between newcomers when full
MOST_HELD, EACH = 32_000_000, 500  # bytes under way, counting what Python adds to each datagram
PACKET, WINDOW = 1_448, 200  # of TCP: bytes in a packet on an Ethernet; packets under way, each way


class Proxy(contextlib.AbstractContextManager):
    """A bad network in a thread of its own, until its `with` block ends.

    to: the URL of the receiver; without it (UDP only), whoever first sends to `back_url`;
    listen: where to listen for senders; `url` has the port that the system chose for port 0.

    `counts` says what happened on the way there. `log` has a tuple for each datagram: when it
    came, "there" or "back", how it begins, and when it arrives (a list), seconds since the start.
    `note` warns if other machines can take part. If there is no room for a newcomer, the client
    idle for longest goes, 100 times a second at most; so a ring of bad networks is bounded, too.
    Raises ValueError if the URLs do not fit, and OSError if the port cannot be opened.
    """

    def __init__(self, network: Network, to: str | None = None, listen: str = "udp://localhost:0"):
        here, self._to = wire.parse(listen), wire.parse(to) if to else None
        if {here.scheme, self._to.scheme if to else "udp"} not in ({"udp"}, {"tcp"}):
            raise ValueError(f"{listen} and {to} do not fit: give two udp:// or two tcp:// URLs.")
        self._network, self.counts, self.log = network, Counter(), []
        self._lanes = {way: Lane(network, way, self.counts) for way in ("there", "back")}
        self._open, self._rear, self._held = contextlib.ExitStack(), None, 0
        self._clients, self._room = {}, MOST_CLIENTS  # of each: task, socket onward, when heard
        self._front, self.url = self._bound(here)
        if to and self._to.address[1] in (0, self._front.getsockname()[1]):
            with contextlib.suppress(OSError), socket.socket(self._to.family) as sock:
                sock.bind((self._to.address[0], 0, *self._to.address[2:]))  # if it is this machine
                self._open.close()
                raise ValueError(f"{self.url} cannot lead to {to}: give the URL of a receiver.")
        self.note = " ".join({end.note: 1 for end in (here, self._to) if end and end.note})
        self._loop = asyncio.SelectorEventLoop()
        began = time.perf_counter()  # since the loop's own clock ticks every 16 ms on Windows
        self._loop.time = lambda: time.perf_counter() - began
        self._come = self._accept if here.scheme == "tcp" else self._sent
        if self._to:
            self._loop.add_reader(self._front, self._come)
        else:
            self._rear, self.back_url = self._bound(wire.parse("udp://localhost:0"))
            self._loop.add_reader(self._rear, self._greeted)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        with self._open, asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.get_loop().run_forever()
            self._room = 0  # the runner cancels all tasks, and nobody new is to come meanwhile

    def _bound(self, endpoint: wire.Endpoint) -> tuple[socket.socket, str]:
        sock, here = wire.listen(endpoint)
        return self._open.enter_context(sock), here.url

    def _has_room(self) -> bool:
        """Whether there is room for a newcomer; if not, the client idle for longest has to go."""
        with contextlib.suppress(OSError), socket.socket(), socket.socket():  # it may need two
            if len(self._clients) < self._room:
                return True
        self._loop.remove_reader(self._front)  # newcomers wait in the system's queue
        self._loop.call_later(PAUSE_S, self._loop.add_reader, self._front, self._come)
        for idle in sorted(self._clients.values(), key=lambda one: one.heard_at)[:1]:
            idle.task.cancel()
            self.counts["clients sent away to make room"] += 1
        return False

    def _take_in(self, client: object, onward: socket.socket, work: Coroutine) -> None:
        task = self._loop.create_task(work)
        task.add_done_callback(lambda _: self._clients.pop(client))
        self._clients[client] = SimpleNamespace(task=task, onward=onward, heard_at=0.0)

    def _greeted(self) -> None:
        self._rear.connect(self._rear.recvfrom(65_535)[1])
        self._loop.remove_reader(self._rear)
        self._loop.add_reader(self._front, self._come)  # what was sent before has waited there

    def _sent(self) -> None:
        """Send a datagram on, by a socket that brings back the answers to its sender."""
        with contextlib.suppress(OSError):  # nobody was there for this one or an earlier one
            data, sender = self._front.recvfrom(65_535, socket.MSG_PEEK)
            is_new = sender not in self._clients
            if is_new and not self._has_room():
                return
            self._front.recvfrom(65_535)
            if is_new:
                onward = self._rear.dup() if self._rear else _connected(self._to.url, 0)
                self._take_in(sender, onward, self._answer(onward, sender))
            else:
                self._clients[sender].heard_at = self._loop.time()
            self._impair("there", data, self._clients[sender].onward.send)

    async def _answer(self, onward: socket.socket, sender: tuple) -> None:
        with onward:
            while True:
                with contextlib.suppress(OSError):  # nobody was there for an earlier one
                    data = await self._loop.sock_recv(onward, 65_535)
                    self._impair("back", data, self._front.sendto, sender)

    def _impair(self, way: str, data: bytes, *send: object) -> None:
        now = self._loop.time()
        dues = self._lanes[way].datagram(len(data), now, self._held > MOST_HELD)
        for due in dues:
            self._held += len(data) + EACH
            self._loop.call_at(due, self._pass_on, data, *send)
        if len(self.log) < MOST_LOGGED:
            self.log.append((now, way, data[:40], dues))

    def _pass_on(self, data: bytes, send: Callable, *to: tuple) -> None:
        self._held -= len(data) + EACH
        with contextlib.suppress(OSError):  # the program there has left
            send(data, *to)

    def _accept(self) -> None:
        """Take in a client that has connected."""
        if self._has_room():
            with contextlib.suppress(OSError):  # it has left already
                client, _ = self._front.accept()
                onward = socket.socket(self._to.family)
                self._take_in(client, onward, self._carry_both_ways(client, onward))

    async def _carry_both_ways(self, client: socket.socket, onward: socket.socket) -> None:
        with client, onward:
            for sock in (client, onward):
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                await self._loop.sock_connect(onward, self._to.address)
                async with asyncio.TaskGroup() as group:
                    for way, here, there in (("there", client, onward), ("back", onward, client)):
                        packets = asyncio.Queue(WINDOW)
                        group.create_task(self._take(way, here, packets, self._clients[client]))
                        group.create_task(self._deliver(packets, there))
            except* (OSError, asyncio.CancelledError):
                self.counts["connections cut off or without a receiver"] += 1

    async def _take(self, way: str, here: socket.socket, packets: asyncio.Queue, client) -> None:
        lane = Lane(self._network, way, self.counts)
        while data := await self._loop.sock_recv(here, PACKET):
            client.heard_at = self._loop.time()
            await packets.put(lane.segment(data, client.heard_at))
        await packets.put(None)

    async def _deliver(self, packets: asyncio.Queue, there: socket.socket) -> None:
        while packet := await packets.get():
            while (left := packet.due - self._loop.time()) > 0:
                await asyncio.sleep(min(left, 0.005))  # a later one may bring it forward
            await self._loop.sock_sendall(there, packet.data)
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
    send: Callable, receive: Callable, lines: list[bytes], network: Network, timeout_s: float = 0
) -> Trial:
    """Send lines over a bad network with a learner's two functions, as workers of `processes.run`.

    send(sock, lines) returns when every line has been acknowledged; receive(sock, deliver) calls
    deliver(line) for each line, once and in order. `sock` is a connected UDP socket; its `recv`
    raises TimeoutError after half a second of silence, or more on a slow network, which ends
    `receive`. lines: records, as `records.encode` makes them; timeout_s: when the lab ends the
    trial, seconds; 0: after 15 and what this network takes to carry each line twice, one by one.
    """
    longest_s = max(map(len, lines), default=0) / (network.rate or float("inf"))
    trip_s = 2 * network.delay_s + network.jitter_s + longest_s
    answer_s = 2 * trip_s / (1 - min(network.loss, 0.8)) ** 2  # the line or its answer may be lost
    silence_s = max(0.5, 5 * answer_s)
    timeout_s = timeout_s or min(15 + len(lines) * answer_s + silence_s, home.LONGEST_S)
    with Proxy(network) as proxy:

        def sends(me, url=proxy.url):
            with _connected(url, silence_s) as sock:
                send(sock, lines)
                me.mark("sent")

        def receives(me, url=proxy.back_url):
            out = wire.open_for_lines(me.db.with_suffix(".lines"))
            with out as file, _connected(url, silence_s) as sock:
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


def _connected(url: str, timeout_s: float) -> socket.socket:
    to = wire.parse(url)
    sock = socket.socket(to.family, socket.SOCK_DGRAM)
    sock.connect(to.address)
    sock.settimeout(timeout_s)
    return sock
