"""What a bad network does to packets: when each arrives, and how often. No clock, no socket."""

import random
from collections import Counter
from dataclasses import dataclass
from itertools import count
from types import SimpleNamespace

TIMER_S, MOST_LOST = 0.2, 6  # of TCP: what Linux waits beyond a round trip; how often one is lost


@dataclass(frozen=True)
class Network:
    """What a network does to each datagram, independently of the others.

    loss, duplicate, reorder: probabilities; a reordered datagram is `delay_s` late, at least 5 ms;
    delay_s, jitter_s: seconds one way, and the most that is added at random (this reorders, too);
    rate: bytes a second, None for no limit; seed: for everything that is random here.

    TCP hides loss and pays with time: a lost packet holds up all that follow. It comes a round trip
    (at least 10 ms) after the third later one, which tells of the loss (RFC 5681), or after a timer
    of a round trip and 0.2 s (as on Linux; RFC 6298: 1 s), doubled each time it is lost again.
    This is a stand-in: this machine's own TCP carries the bytes, and loses none. It leaves out lost
    handshakes and acknowledgments, slow start and probes, and ignores `duplicate` and `reorder`.
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


class Lane:
    """One direction: when each packet arrives, and how often."""

    def __init__(self, network: Network, way: str, counts: Counter):
        self.network, self.counts = network, counts if way == "there" else Counter()
        self.rng = random.Random(f"{network.seed} {way}")
        self.free_at, self.holes = 0.0, []  # lost packets of a stream

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

    def segment(self, data: bytes, now: float) -> SimpleNamespace:
        """Return a packet of a stream; as the third after a lost one it makes that due sooner."""
        again_s = max(0.010, 2 * self.network.delay_s)
        due = self.through(len(data), now) + self.network.jitter_s * self.rng.random()
        lost = next(n for n in count() if n == MOST_LOST or self.rng.random() >= self.network.loss)
        self.counts.update({"came": 1, "lost": lost})
        timer_s = again_s + TIMER_S
        for hole in () if lost else self.holes:
            hole.later += 1
            if hole.later == 3:
                hole.due = min(hole.due, due + again_s + timer_s * (2 ** (hole.lost - 1) - 1))
        packet = SimpleNamespace(data=data, due=due + timer_s * (2**lost - 1), lost=lost, later=0)
        self.holes = [one for one in (*self.holes, packet) if one.lost and one.due > now]
        return packet

    def through(self, size: int, now: float) -> float:
        self.free_at = max(now, self.free_at) + size / (self.network.rate or float("inf"))
        return self.free_at + self.network.delay_s
