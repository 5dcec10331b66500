"""Small random programs on one SQLite file, and an independent model of all that they can do.

The model knows SQLite's locks, not the lab: it goes through every interleaving in memory.
"""

import random
import sqlite3
import sys
from contextlib import closing, suppress
from dataclasses import dataclass, replace

import cloudpickle

cloudpickle.register_pickle_by_value(sys.modules[__name__])

NONE, SHARED, RESERVED, EXCLUSIVE = range(4)
COMMANDS = {
    "read": "SELECT value FROM counter",
    "write": "UPDATE counter SET value = ?",
    "add": "UPDATE counter SET value = value + 1",
    "immediate": "BEGIN IMMEDIATE",
    "exclusive": "/* at once */ BEGIN EXCLUSIVE",
    "deferred": "BEGIN -- takes no lock",
    "commit": "COMMIT",
    "rollback": "ROLLBACK",
}
NAMES = {"read": "select", "write": "update", "add": "update", "deferred": ""} | dict.fromkeys(
    ["immediate", "exclusive"], "begin"
)


def program_of(rng):
    """A few lines: steps, commands, and early ends."""
    lines = []
    for _ in range(rng.choice([1, 1, 1, 2])):
        lines += ["commit"] * bool(lines)
        begin = rng.choice(["", "", "", "deferred", "immediate", "exclusive"])
        body = rng.choices(["read", "write", "add", "stop"], [4, 4, 2, 1], k=rng.choice([1, 2, 2]))
        end = rng.choice(["commit", "commit", "rollback"]) if begin else rng.choice(["", "commit"])
        lines += [begin, *body, end]
    marked = rng.random()
    for at in range(len(lines) - 1, -1, -1):
        if rng.random() < marked - 0.3:
            lines.insert(at, f"step {rng.choice(['read 1', 'write', 'update', 'go', 'über-x'])}")
    return [line for line in lines if line]


def worker_of(program, isolation):
    """The worker that runs this program; it closes its connection, as it should."""

    def worker(me):
        value = 0
        with closing(sqlite3.connect(me.db, isolation_level=isolation)) as connection:
            for line in program:
                if line.startswith("step "):
                    me.step(line[5:])
                elif line == "stop":
                    if value:
                        return
                elif line == "commit" and isolation is not None:
                    connection.commit()
                elif line != "commit" or connection.in_transaction:
                    found = connection.execute(COMMANDS[line], [value + 1] * (line == "write"))
                    if line == "read":
                        ((value,),) = found.fetchall()

    return worker


@dataclass(frozen=True)
class Process:
    """Where a process is, and what it holds."""

    at: int = 0  # the next line
    value: int = 0  # that it has read
    inside: bool = False  # a transaction
    lock: int = NONE
    sees: tuple = ()  # (value, version) of its snapshot, in WAL mode and after it has written
    wrote: bool = False
    ended: bool = False
    failed: bool = False


class Waits(Exception):
    """Raised where a free process would wait for a lock, before it gives up."""


class Fails(Exception):
    """Raised where SQLite fails at once."""


class Model:
    """All interleavings of some programs: `leaves`, (schedule, whether the invariant holds)."""

    def __init__(self, programs, isolations, wal, wanted, gives_up, most):
        self.programs, self.isolations, self.wal = programs, isolations, wal
        self.wanted, self.gives_up, self.most = wanted, gives_up, most
        self.leaves = []
        self._explore([Process()] * len(programs), (0, 0), [])

    def _explore(self, processes, stored, path):
        """Go on from here in every way; stop if there are too many."""
        if all(one.ended for one in processes):
            ok = stored[0] in self.wanted and not any(one.failed for one in processes)
            self.leaves.append((self._text(path), ok))
        for p, one in enumerate(processes):
            if not one.ended and len(self.leaves) <= self.most:
                try:
                    place, after, now = self._turn(p, processes, stored)
                    how = ""
                except Waits as refused:
                    if not self.gives_up:
                        continue
                    place, how = refused.args
                    after, now = Process(ended=True, failed=True), stored
                every = [*processes[:p], after, *processes[p + 1 :]]
                self._explore(every, now, [*path, (p, place, how)])

    def _text(self, path):
        """The schedule: each place by the first letters that tell it from all others."""
        names = {place for _, place, _ in path if place}

        def short(name):
            for n in range(1, len(name)):
                if sum(other.startswith(name[:n]) for other in names) == 1:
                    return name[:n]
            return name

        letters = {"": "{}", "at a step": "x", "at a command": "x{}"}  # how it gives up
        return " ".join(f"{p + 1}{letters[how]}".format(short(place)) for p, place, how in path)

    def _idle(self, p, one):
        """Go on to the next place: over what takes no turn."""
        while not one.ended:
            line = self.programs[p][one.at] if one.at < len(self.programs[p]) else None
            if line is None or (line == "stop" and one.value):
                return replace(one, ended=True, inside=False, lock=NONE, sees=(), wrote=False)
            if line == "deferred":
                one = replace(one, inside=True)
            elif line != "stop" and not (line == "commit" and not one.inside):
                return one
            one = replace(one, at=one.at + 1)
        return one

    def _turn(self, p, processes, stored):
        """The place that a turn goes through, its process after it, and what is stored then."""
        one = self._idle(p, processes[p])
        if one.ended:
            return "", one, stored  # it has no place: that is one turn
        line = self.programs[p][one.at]
        place, step = NAMES.get(line, line), line.startswith("step ")
        if step:
            place = line[5:].replace(" ", "_").replace("-", "_")
            one = self._idle(p, replace(one, at=one.at + 1))
            line = self.programs[p][one.at] if not one.ended else "step"
        if one.ended or line.startswith("step"):
            return place, one, stored
        others = [other for q, other in enumerate(processes) if q != p]
        try:
            one, stored = self._run(line, one, others, stored, self.isolations[p])
        except Fails:
            return place, Process(ended=True, failed=True), stored
        except Waits:
            raise Waits(place, "at a step" if step else "at a command") from None
        return place, self._idle(p, replace(one, at=one.at + 1)), stored

    def _run(self, line, one, others, stored, isolation):
        """Run one command; return its process, and what is stored then."""
        if line in ("write", "add") and isolation is not None and not one.inside:
            one = replace(one, inside=True)
        if line == "read":
            return self._read(one, others, stored), stored
        if line in ("immediate", "exclusive"):
            one = self._lock(replace(one, inside=True), others, stored)
            if line == "exclusive" and not self.wal:
                if any(other.lock for other in others):
                    raise Waits
                one = replace(one, lock=EXCLUSIVE)
            return one, stored
        if line == "rollback":
            return replace(one, inside=False, lock=NONE, sees=(), wrote=False), stored
        if line in ("write", "add"):
            one = self._lock(one, others, stored)
            value = one.value + 1 if line == "write" else one.sees[0] + 1
            one = replace(one, sees=(value, one.sees[1]), wrote=True)
            if one.inside:
                return one, stored
        return self._commit(one, others, stored)

    def _read(self, one, others, stored):
        if not self.wal and not one.lock and any(other.lock == EXCLUSIVE for other in others):
            raise Waits
        value, version = one.sees or stored
        one = replace(one, value=value)
        return replace(one, lock=one.lock or SHARED, sees=(value, version)) if one.inside else one

    def _lock(self, one, others, stored):
        """Take the write lock."""
        if one.lock >= RESERVED:
            return one
        if any(other.lock >= RESERVED for other in others):
            raise Fails if one.lock else Waits
        if one.lock and one.sees[1] != stored[1]:
            raise Fails  # in WAL mode another has committed since
        return replace(one, lock=RESERVED, sees=one.sees or stored)

    def _commit(self, one, others, stored):
        if one.lock >= RESERVED and not self.wal and any(other.lock for other in others):
            raise Waits
        if one.wrote:
            stored = (one.sees[0], stored[1] + 1)
        return replace(one, inside=False, lock=NONE, sees=(), wrote=False), stored


def random_case(seed, most):
    """Return a model of random programs, such as a seed gives.

    Programs with more than `most` interleavings, or with only one, are drawn again.
    """
    rng = random.Random(f"case {seed}")
    while True:
        number = rng.choice([1, 2, 2, 2, 2, 2, 3])
        programs = [program_of(rng) for _ in range(number)]
        if number > 1 and rng.random() < 0.5:
            programs = [programs[0]] * number
        isolations = [rng.choice([None, ""]) for _ in programs]
        wal, wanted = rng.random() < 0.3, rng.choice([[1], [2], [number], [1, 2, 3], range(9)])
        with suppress(RecursionError):
            model = Model(programs, isolations, wal, wanted, rng.random() < 0.3, most)
            if 1 <= len(model.leaves) <= most and (number == 1 or len(model.leaves) > 1):
                return model
