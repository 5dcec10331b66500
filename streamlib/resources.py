"""What processes share beside the database: locks, queues, windows and printers.

    def worker(me):
        with resources.hold(me, "printer"):
            resources.page(me, "printer", f"page 1 of {me.name}")

    processes.run({"P1": worker, "P2": worker}, setup=resources.shared("printer"))

Their parent holds them and answers each process over its pipe, first come, first served. What a
dead process held is free at once. Under a schedule each operation is one place.
"""

import math
import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cloudpickle

from streamlib import database, home
from streamlib.deadlock import Mark, named

Me = Any  # the handle that a worker gets, `processes.child.Me`: it stands above this module
GIVE_UP = ("give up",)
Process = Any  # a process as its parent sees it, `processes.parent.Child`


class Deadlock(Exception):
    """Raised in the process whose wait closed a cycle; its text names the cycle."""


def shared(
    *names: str, setup: Callable[[Path], object] = database.fresh, **counts: int
) -> Callable[[Path], "Broker"]:
    """Return a setup for a run that shares these: `shared("scanner", printer=2, jobs=10)`.

    A count is how many processes may hold it at once, for how many items a queue has room, or how
    many values a window keeps. setup: makes the database ready, as for `processes.run`.
    Raises ValueError for a name or a count that cannot be used.
    """
    found = dict.fromkeys(names) | counts
    for name, count in found.items():
        if not isinstance(name, str) or not name[:1].isalpha() or name[0] in "xX":
            raise ValueError(f"{name!r} cannot name a resource: begin with a letter other than x.")
        if count is not None and (type(count) is not int or count < 1):
            raise ValueError(
                f"{name} is {count!r}: give how many there are, a whole number from 1."
            )

    def make(path: Path) -> Broker:
        setup(path)
        return Broker(path, found)

    return make


@contextmanager
def hold(me: Me, *names: str, units: int = 1, timeout_s: float | None = None) -> Iterator[None]:
    """Hold these resources, all taken at once, for as long as the block lasts; see `take`."""
    take(me, *names, units=units, timeout_s=timeout_s)
    try:
        yield
    finally:
        for name in reversed(names):
            release(me, name)


def take(me: Me, *names: str, units: int = 1, timeout_s: float | None = None) -> None:
    """Wait until all of these can be held at once, so many units of each, and hold them.

    timeout_s: how long to wait, seconds (times the time scale), by default as long as it takes; 0:
    not at all. Raises TimeoutError if that was too short, Deadlock if it would be for ever.
    """
    _wait(me, " and ".join(names), ("take", names, units), "", timeout_s)
    for name in names:
        me.mark("holding", None, name)


def release(me: Me, name: str) -> None:
    """Give back all that this process holds of a resource; ValueError if that is nothing."""
    _pass(me, f"release {name}")
    me.mark("done", None, name)
    _now(me, ("release", (name,), name))


def put(me: Me, name: str, item: object, *, timeout_s: float | None = None) -> None:
    """Put an item into a queue; wait while that is full. Raises as `take`."""
    request = ("put", (name,), name, cloudpickle.dumps(item))
    number = _wait(me, f"put {name}", request, "room", timeout_s)
    me.mark("done", None, name, f"put {number}: {item}")


def get(me: Me, name: str, *, timeout_s: float | None = None) -> Any:
    """Return the oldest item of a queue; wait while that is empty. Raises as `take`."""
    number, packed = _wait(me, f"get {name}", ("get", (name,), name), "an item", timeout_s)
    item = cloudpickle.loads(packed)  # made by another process of this run
    me.mark("done", None, name, f"got {number}: {item}")
    return item


def join(me: Me, name: str, *, timeout_s: float | None = None) -> None:
    """Wait until a queue is empty: each item has been got. Raises as `take`."""
    _wait(me, f"join {name}", ("join", (name,), name), "the end", timeout_s)
    me.mark("done", None, name, "joined")


def window(me: Me, name: str, *values: object) -> list:
    """Add these values to a window; return the latest, as many as it keeps, oldest first."""
    _pass(me, f"window {name}")
    kept = _now(me, ("window", (name,), name, *map(cloudpickle.dumps, values)))
    me.mark("done", None, name, ", ".join(map(str, values)))
    return [cloudpickle.loads(value) for value in kept]


def page(me: Me, name: str, text: str) -> None:
    """Print a page: a line in the printer's file, see `paper`. Nothing asks if you hold it."""
    _pass(me, f"page {name}")
    _now(me, ("page", (name,), name, " ".join(str(text).split())))
    me.mark("done", None, name, text)


def paper(db: Path | str, name: str = "printer", unit: int = 1) -> list[str]:
    """Return the pages that a printer has printed in the last round: `paper(run.db)`."""
    path = _paper(Path(db), name, unit)
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def _paper(db: Path, name: str, unit: object) -> Path:
    return db.with_name(f"{db.name}.{name}-{unit}.txt")


def _pass(me: Me, place: str) -> None:
    """Go through a place at which nobody has to wait."""
    me.step(place)
    me._room = False  # the SQL command after it is a place of its own


def _wait(me: Me, place: str, request: tuple, wants: str, timeout_s: float | None) -> Any:
    """Go through a place at which this process may have to wait; return the parent's answer."""
    limit_s = None if timeout_s is None else home.seconds("timeout_s", timeout_s) * me.scale
    timeout = f"timeout of {limit_s:g} s" if limit_s else ""
    detail = ", ".join(filter(None, [wants, timeout])) or None
    turn, answer, names = 0, None, request[1]
    while number := me._ask(place) if me._takes_turns() else -1:
        for name in names if turn == 0 else ():
            me.mark("waiting", None, name, detail)
        turn = number
        answer = _answer(me, request, 0 if turn > 0 else limit_s)
        if turn < 0 or answer is not None or timeout_s == 0:
            break
        me._answer.refused = "waits"  # the parent may give this process another turn here
    me._recorder.mark("step", None, None, place, turn)
    me._room = False
    if answer is None:
        answer = TimeoutError(
            f"{me.name} gave up {' and '.join(map(named, names))}, which others held"
        )
    if isinstance(answer, Exception):
        for name in names:
            me.mark("gave_up", None, name, type(answer).__name__)
        raise answer
    return answer


def _now(me: Me, request: tuple) -> Any:
    """Return what the parent answers to a request for which nobody has to wait."""
    answer = _answer(me, request)
    if isinstance(answer, Exception):
        raise answer
    return answer


def _answer(me: Me, request: tuple, limit_s: float | None = None) -> Any:
    """Return what the parent answers, which may be an error; None if that takes too long."""
    if me._here != (os.getpid(), threading.get_ident()):
        raise RuntimeError(
            "A thread or copy of a worker shares nothing: let the worker itself ask."
        )
    me._pipe.send(request)
    if not me._pipe.poll(limit_s):
        me._pipe.send(GIVE_UP)  # there is one answer in any case: it may be under way
    return me._pipe.recv()


class Broker:
    """What is shared in one round, and who waits for it, as the parent of the processes has it."""

    def __init__(self, db: Path = Path(), counts: Mapping[str, int | None] = MappingProxyType({})):
        self._db, self.counts = db, counts
        self.held: dict[str, dict] = {name: {} for name in counts}  # unit -> who holds it
        self.items = {name: deque() for name in counts}
        self.numbers = Counter()  # of the items put so far
        self.waiting: dict[Process, tuple] = {}  # requests, first come first
        for old in [file for name in counts for file in db.parent.glob(_paper(db, name, "*").name)]:
            old.unlink()

    def ask(self, one: Process, request: tuple) -> Iterator[tuple[Process, object]]:
        """Take a request; yield whom to answer now, and what."""
        if request == GIVE_UP:
            if self.waiting.pop(one, None):
                yield one, None
            return
        if unknown := [name for name in request[1] if name not in self.counts]:
            said = f"There is no {unknown[0]} to share"
            yield one, ValueError(f"{said}: name it, as in setup=resources.shared({unknown[0]!r}).")
            return
        self.waiting[one] = request
        yield from self.serve()

    def serve(self) -> Iterator[tuple[Process, object]]:
        """Answer those that need not wait any longer; yield whom, and what."""
        for one, (operation, names, *given) in list(self.waiting.items()):
            try:
                answer = getattr(self, f"_{operation}")(one, *given)
            except (OSError, ValueError, Deadlock) as error:
                answer = error
            if answer is not None:
                del self.waiting[one]
                yield one, answer
                yield from self.serve()
                return

    def leave(self, one: Process) -> list[str]:
        """Take back what a process holds that has ended; return the names."""
        self.waiting.pop(one, None)
        return [name for name in self.held if self._units(one, name) and self._release(one, name)]

    def still(self, one: Process, marks: Mapping[str, Mark]) -> dict[str, Mark]:
        """Return a process's marks without those of waits that have been answered since."""
        waits = one in self.waiting
        return {
            n: m for n, m in marks.items() if waits or m.state == "holding" or n not in self.held
        }

    def refuse(self, edges: list[tuple], marks: Mapping, said: str) -> Iterator[tuple]:
        """Yield whose wait closed this cycle, and its error; nobody if a timeout will end it."""
        names = {who: name for who, name, _ in edges}
        ends = {o: marks[o.name][names[o.name]] for o in self.waiting if o.name in names}
        if ends and not any("timeout" in (mark.detail or "") for mark in ends.values()):
            last = max(ends, key=lambda one: ends[one].time)
            del self.waiting[last]
            yield last, Deadlock(said)

    def _units(self, one: Process, name: str) -> list[int]:
        return [unit for unit, holder in self.held[name].items() if holder is one]

    def _take(self, one: Process, units: int) -> list | None:
        names, found = self.waiting[one][1], {}
        for name in names:
            count = self.counts[name] or 1
            if type(units) is not int or not 0 < units <= count:
                raise ValueError(f"units is {units!r}: there is {count} of {named(name)} to hold.")
            if self._units(one, name):
                said = f"{one.name} waits for {named(name)}, held by {one.name}"
                raise Deadlock(f"{said}: release it first, or take all its units at once.")
            free = (unit for unit in range(1, count + 1) if unit not in self.held[name])
            found[name] = [*islice(free, units)]
        if any(len(those) < units for those in found.values()):
            return None
        for name, those in found.items():
            self.held[name] |= dict.fromkeys(those, one)
        return [found]

    def _release(self, one: Process, name: str) -> bool:
        if not (units := self._units(one, name)):
            holder = " and ".join(sorted({other.name for other in self.held[name].values()}))
            said = f"{one.name} does not hold {named(name)} (held by {holder or 'nobody'})"
            raise ValueError(f"{said}: release only what you have taken.")
        for unit in units:
            del self.held[name][unit]
        return True

    def _put(self, one: Process, name: str, item: bytes) -> int | None:
        if len(self.items[name]) == (self.counts[name] or math.inf):
            return None
        self.numbers[name] += 1
        self.items[name].append((self.numbers[name], item))
        return self.numbers[name]

    def _get(self, one: Process, name: str) -> tuple[int, bytes] | None:
        return self.items[name].popleft() if self.items[name] else None

    def _join(self, one: Process, name: str) -> bool | None:
        return None if self.items[name] else True

    def _window(self, one: Process, name: str, *values: bytes) -> list[bytes]:
        if self.counts[name] is None:
            raise ValueError(
                f"Say how many values {named(name)} keeps: resources.shared({name}=5)."
            )
        kept = [*self.items[name], *values][-self.counts[name] :]
        self.items[name] = deque(kept)
        return kept

    def _page(self, one: Process, name: str, text: str) -> bool:
        unit = min(self._units(one, name), default=1)
        with open(
            _paper(self._db, name, unit), "a", encoding="utf-8", errors="backslashreplace"
        ) as file:
            file.write(text + "\n")
        return True
