"""What processes share beside the database: locks, queues, windows, the pages of a printer.

    def worker(me):
        with resources.hold(me, "printer"):
            resources.page(me, f"page 1 of {me.name}")

    processes.run({"P1": worker, "P2": worker}, setup=resources.shared("printer"))

Their parent has them and answers each process over its pipe, first come, first served; what a dead
process held is free at once. Under a schedule each operation is one place.
"""

import math
import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cloudpickle

from streamlib import database, deadlock, home

if TYPE_CHECKING:
    import pandas as pd

Me = Any  # the handle that a worker gets, `processes.child.Me`: it stands above this module
Process = Any  # `processes.parent.Child`: a process as its parent sees it
PAPER = ".paper"  # how the name of a printer's file ends
LOOK_S = 0.05  # how often one looks for a deadlock


class Deadlock(Exception):
    """Raised in the process whose wait closed a cycle; its text names the cycle."""


def shared(*locks: str, setup: Callable = database.fresh, **others: int | deque) -> Callable:
    """Return a setup, for `processes.run` and others, by which processes share these.

    `shared("scanner", printer=2, jobs=deque(), last=deque(maxlen=5))` has a lock, one that two can
    hold at once, a queue, and a window; setup: makes the database ready. Raises ValueError for a
    name or a number that cannot be used.
    """
    found = dict.fromkeys(locks, 1) | others
    for name, what in found.items():
        if not re.match(r"(?![xX])[^\W\d_]", str(name)):  # x: gives up
            raise ValueError(f"{name!r} names nothing that is shared: begin with a letter, not x.")
        if not (isinstance(what, deque) or (type(what) is int and 0 < what <= 1000)):
            raise ValueError(f"{name} is {what!r}: give a deque, or how many there are (to 1,000).")

    def make(path: Path) -> Broker:
        setup(path)
        for old in path.parent.glob(f"*{PAPER}"):
            if old.name.startswith(f"{path.name}."):
                old.unlink()
        return Broker(found)

    return make


@contextmanager
def hold(me: Me, name: str, *more: str, **options: Any) -> Iterator[int]:
    """Hold a lock, or several taken at once, while the block lasts; options: those of `take`."""
    unit = take(me, name, *more, **options)
    try:
        yield unit
    finally:
        for one in [*reversed(more), name]:
            release(me, one)


def take(me: Me, name: str, *more: str, timeout_s: float | None = None) -> int:
    """Wait until this process can hold all of these locks; hold them, return which unit (1, 2 ...).

    timeout_s: how long to wait, seconds (times the time scale), by default forever; 0: not at all.
    Raises TimeoutError if that was too short, Deadlock if it would be forever.
    """
    names = [str(one) for one in (name, *more)]
    unit = _ask(me, " and ".join(names), ("take", names), "", timeout_s)
    for one in names:
        me._recorder.mark("holding", None, one)
    return unit


def release(me: Me, name: str) -> None:
    """Give back what this process holds of a lock. Raises ValueError if it holds nothing."""
    _pass(me, f"release {name}")
    me._recorder.mark("done", None, name)
    if isinstance(answer := _say(me, ("release", [name])), Exception):
        raise answer


def put(me: Me, name: str, item: object) -> None:
    """Put an item into a queue, or a value into a window, which then drops its oldest."""
    number = _ask(me, f"put {name}", ("put", [name], cloudpickle.dumps(item)))
    me.mark("done", None, name, f"put {number}: {item}")


def get(me: Me, name: str, *, timeout_s: float | None = None) -> Any:
    """Return the oldest item of a queue; wait until there is one. Raises as `take` does."""
    number, item = _ask(me, f"get {name}", ("get", [name]), "an item", timeout_s)
    item = cloudpickle.loads(item)  # from another process of this run
    me.mark("done", None, name, f"got {number}: {item}")
    return item


def join(me: Me, name: str, *, timeout_s: float | None = None) -> None:
    """Wait until a queue is empty. Raises as `take` does."""
    _ask(me, f"join {name}", ("join", [name]), "its end", timeout_s)
    me.mark("done", None, name, "joined")


def window(me: Me, name: str) -> list:
    """Return all that is in a window or queue now, the oldest first, and leave it there."""
    found = _ask(me, f"window {name}", ("window", [name]))
    me.mark("done", None, name)
    return [cloudpickle.loads(item) for _, item in found]


def page(me: Me, text: str, unit: int = 1) -> None:
    """Print a page, one line of `paper`; nothing asks whether this process holds the printer."""
    _pass(me, "page")
    with open(paper(me.db, unit), "a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(" ".join(str(text).split()) + "\n")


def paper(db: Path, unit: int = 1) -> Path:
    """Return the path of the file that has the pages of a printer, as in `paper(run.db)`."""
    return db.with_name(f"{db.name}.{unit}{PAPER}")


def passed(run: Any) -> "pd.DataFrame":
    """Return what went through the queues of a run, a row an item, in the order of the putting.

    Columns: round, resource, putter, put, number, item, getter, got, waited; times in seconds.
    An item can be got before its putter has noted that it is put: then it has not waited.
    """
    pattern = r"(?s)^(?P<what>put|got) (?P<number>\d+): (?P<item>.*)"
    texts = run.events["detail"].astype(str).str.extract(pattern).dropna()
    marks = run.events[["round", "resource", "process", "end"]].join(texts, how="right")
    what = marks.pop("what")
    put, got = marks[what == "put"], marks[what == "got"]
    table = put.merge(got.drop(columns="item"), "left", on=["round", "resource", "number"])
    table.columns = "round resource putter put number item getter got".split()
    table = table.astype({"number": int}).sort_values(["round", "number"], ignore_index=True)
    return table.assign(waited=(table["got"] - table["put"]).clip(lower=0))


def _pass(me: Me, place: str) -> None:
    """Go through a place where nobody waits."""
    me.step(place)
    me._room = False  # so that an SQL command after it is a place of its own


def _ask(me: Me, place: str, request: tuple, wants="", timeout_s: float | None = None) -> Any:
    """Go through a place where this process may wait; return its parent's answer, or raise that."""
    limit_s = None if timeout_s is None else home.seconds("timeout_s", timeout_s) * me.scale
    detail = ", ".join(filter(None, [wants, f"timeout of {limit_s:g} s" if limit_s else ""]))
    for name in request[1] if timeout_s != 0 else ():
        me.mark("waiting", None, name, detail or None)
    turn = me._ask(place) if me._takes_turns() else -1
    answer = _say(me, request, limit_s if turn < 0 else 0)
    while answer is None and turn > 0 and timeout_s != 0 and me._waits("waits"):
        answer = _say(me, request, 0)  # in another turn
    me._recorder.mark("step", None, None, place, turn)
    me._room = False
    if answer is None:
        answer = TimeoutError(f"{me.name} gave up at {place}: wait longer, or try again later.")
    if isinstance(answer, Exception):
        for name in request[1]:
            me._recorder.mark("gave_up", None, name, type(answer).__name__)
        raise answer
    return answer


def _say(me: Me, request: tuple, limit_s: float | None = None) -> Any:
    """Send a request to the parent; return its answer, None if that would be later."""
    if me._here != (os.getpid(), threading.get_ident()):
        raise RuntimeError("A thread or a copy of a worker shares nothing: let the worker do that.")
    me._pipe.send((request[0], [*map(str, request[1])], *request[2:]))
    if not me._pipe.poll(limit_s):
        me._pipe.send(())  # it gives up; there is one answer in any case
    return me._pipe.recv()


class Broker:
    """What is shared in one round, and who waits for it, as the parent of the processes has it."""

    def __init__(self, found: Mapping[str, int | deque]):
        self.locks, self.queues = {}, {}  # the numbers of the units that nobody holds; the items
        for name, what in found.items():
            if isinstance(what, int):
                self.locks[name] = deque(range(1, what + 1))
            else:
                items = ((0, cloudpickle.dumps(item)) for item in what)
                self.queues[name] = deque(items, what.maxlen)
        self.held: dict[tuple[Process, str], int] = {}  # which unit
        self.waiting: dict[Process, tuple] = {}  # the requests, first come first
        self.due, self._number = math.inf, 0  # due: the next look, if all run free

    def ask(self, one: Process, request: tuple) -> None:
        """Take a request of a process, or () if it gives up; answer whoever need not wait."""
        if self.waiting.pop(one, None) and not request:
            one.send(None)
        self.waiting |= {one: request} if request else {}
        served = True
        while served:
            answers = {who: self._answer(who, *asked) for who, asked in self.waiting.items()}
            served = {who: answer for who, answer in answers.items() if answer is not None}
            for who, answer in served.items():
                del self.waiting[who]
                who.send(answer)

    def leave(self, one: Process) -> list[str]:
        """Free what a process holds that has ended its round; return a sentence for each."""
        self.waiting.pop(one, None)
        names = [name for who, name in self.held if who is one]
        for name in names:
            self.locks[name].append(self.held.pop((one, name)))
        self.ask(one, ())
        given_up = self.due == math.inf and one.alive
        said = "{} ended and abandoned {}, which it held: it is free again."
        return [said.format(one.name, deadlock.named(name)) for name in names if not given_up]

    def look(self, living: Sequence[Process]) -> str:
        """End a deadlock of these processes, or return a sentence about it; "" if there is none.

        The one whose wait closed it gets an error, unless only a timeout is to end it.
        """
        if time.monotonic() < self.due:
            return ""
        self.due = time.monotonic() + LOOK_S
        marks = [mark for one in living for mark in one.standing()]
        waits = deadlock.ring(marks, [one.name for one in living])
        ours = [wait for wait, _ in waits if wait.resource in self.locks | self.queues]
        asked, said = {one.name: one for one in self.waiting}, deadlock.words(waits)
        if not waits or any(wait.process not in asked for wait in ours):
            return ""  # or one of them has been answered
        if not ours or any("timeout" in (wait.detail or "") for wait in ours):
            return f"Deadlock: {said}; only a timeout ends that."
        last = asked[max(ours, key=lambda wait: wait.start).process]
        alone = "let another process put or take what is missing"
        advice = alone if len(waits) == 1 else "take what you need in one order"
        del self.waiting[last]
        last.send(Deadlock(f"{said}: {advice}."))
        return ""

    def _answer(self, one: Process, what: str, names: list[str], item: bytes = b"") -> object:
        """Return the answer to a request, an error if it can never be met; None: it has to wait."""
        kind = "lock" if what in ("take", "release") else "queue or window"
        for name in names:
            if name not in (boxes := self.locks if kind == "lock" else self.queues):
                said = f"No {kind} is named {name!r}: name it in resources.shared"
                return ValueError(f"{said}, and give what that returns as setup.")
            if what == "take" and ((one, name) in self.held or names.count(name) > 1):
                said = f"{one.name} waits for {deadlock.named(name)}, held by {one.name}"
                return Deadlock(f"{said}: take a lock once, and release it first.")
            if what == "release" and (one, name) not in self.held:
                holders = " and ".join(o.name for o, held in self.held if held == name) or "nobody"
                return ValueError(f"{one.name} releases {name}, held by {holders}: take it first.")
        box = boxes[names[0]]
        if what == "take" and all(boxes[name] for name in names):
            self.held |= {(one, name): boxes[name].popleft() for name in names}
            return self.held[one, names[0]]
        if what == "release":
            box.append(self.held.pop((one, names[0])))
        if what == "put":
            self._number += 1
            box.append((self._number, item))
            return self._number
        if what == "get" and box:
            return box.popleft()
        if what == "window":
            return [*box]
        return True if what == "release" or (what == "join" and not box) else None
