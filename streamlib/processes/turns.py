"""One round under a schedule: somebody chooses whose turn is next, and all others stand still.

`streamlib.schedule` says what a schedule is, `child.Me` takes the turns of a process.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from streamlib import orders
from streamlib.orders import Turn
from streamlib.processes.child import Answer
from streamlib.processes.parent import Child, Children


class Stopped(Exception):
    """Raised when a round cannot go on; its text says why."""


class Taken(NamedTuple):
    """One turn as it was taken."""

    turn: Turn
    answer: Answer


@dataclass
class Round:
    """One round under a schedule: where each process is, who holds what, and what came of it."""

    children: Children
    player: Callable[["Round"], object]  # plays the round by calls of `take`
    look: Callable[[], object]  # called between the turns, while all processes stand still
    coming: Sequence[Turn] | None = None  # the turns to come; None: each turn ends at a place
    waiting: dict[int, str] = field(default_factory=dict)  # process -> the place that it waits at
    holders: dict[str, int] = field(default_factory=dict)  # resource -> process
    taken: list[Taken] = field(default_factory=list)
    stopped: str = ""  # why it could not be played to its end

    @property
    def schedule(self) -> str:
        """The turns that were taken; one for any place has the letters of the place it began."""
        short = orders.letters_of(step for taken in self.taken for step in taken.answer.steps)
        words = []
        for turn, answer in self.taken:
            letters = short[answer.steps[0]] if answer.steps else ""
            if answer.refused == "gave up":
                letters = "x" + letters * answer.command
            words.append(str(turn) if self.coming is not None else f"{turn.process}{letters}")
        return " ".join(words)

    def play(self, number: int) -> None:
        """Play it, turn by turn, as round `number` of the run."""
        self.waiting = dict.fromkeys(range(1, len(self.children.all) + 1), "")
        self.look()
        self.children.open_gate(number)
        try:
            self.player(self)
            if self.waiting:
                raise Stopped(self._unfinished())
        except Stopped as why:
            self.stopped = str(why)
        self.children.give_up([self._child(process) for process in self.waiting])

    def take(self, turn: Turn) -> Answer:
        """Give a process one turn, note what it did, and return its answer.

        Where the turns to come are not known, a turn that would wait for a lock is not taken.
        Raises Stopped if the turn cannot be taken.
        """
        number, process, child = len(self.taken) + 1, turn.process, self._child(turn.process)
        said = f"Turn {number} ({turn}): {child.name}"
        if process not in self.waiting:
            last = max(n for n, taken in enumerate(self.taken, 1) if taken.turn.process == process)
            raise Stopped(f"{said} has ended already, in turn {last}.")
        answer = self.children.turn(child, number, turn.step, self._after(turn))
        if answer.refused == "waits":
            return answer
        self.waiting[process] = answer.place
        if answer.place is None:
            del self.waiting[process]
        if not child.alive:
            raise Stopped(f"Turn {number} ({turn}): {answer.error}")
        self.children.note(answer.error)
        if (turn.step or "").strip("x") and not answer.steps:
            where = f"its next step is {answer.place}" if answer.place else "it has no steps"
            raise Stopped(f"{said} has no such step here: {where}.")
        lock = self._follow_locks(process, answer.marked)
        self.taken.append(Taken(turn, answer))
        self.look()
        refused, gives_up = lock or answer.refused == "gave up", (turn.step or "")[:1] == "x"
        if gives_up and not refused:
            raise Stopped(f"{said} did not give up, for nobody held what it wanted.")
        if refused and not gives_up and self.coming is not None:
            what = answer.steps[0] if answer.steps else "begin"
            raise Stopped(f"{said} cannot {what} here because {self._who_holds(lock)}.")
        return answer

    def _child(self, process: int) -> Child:
        return self.children.all[process - 1]

    def _after(self, turn: Turn) -> str | None:
        """Return the step of the process's next turn, or None if each turn ends at a place."""
        if self.coming is None:
            return None
        later = (self.coming[at] for at in range(len(self.taken) + 1, len(self.coming)))
        return next((t.step or "" for t in later if t.process == turn.process), "")

    def _follow_locks(self, process: int, marked: list[tuple]) -> str:
        """Note who holds what; return the resource that this process was refused, or ""."""
        refused = ""
        for state, resource in marked:
            if state == "holding" and resource:
                self.holders[resource] = process
            elif state == "gave_up" and self.holders.get(resource, process) != process:
                refused = resource
            elif state in ("done", "gave_up"):
                self.holders.pop(resource, None)
        return refused

    def _who_holds(self, resource: str) -> str:
        """Say who holds the lock, and, where it is known, in which turn it will let go."""
        if not resource:
            return "another process holds a lock of the database"
        holder, number = self.holders[resource], len(self.taken)
        said = f"{self._child(holder).name} holds the write lock of {resource}"
        for at, turn in enumerate(self.coming[number:], start=number + 1):
            if turn.process == holder and (turn.step or "c")[0] == "c":  # the commit, for the pets
                return f"{said} until turn {at}"
        return said

    def _unfinished(self) -> str:
        places = [(self._child(p).name, place or "its start") for p, place in self.waiting.items()]
        left = ", ".join(f"{name} waits at {place}" for name, place in places)
        return f"The schedule ends after turn {len(self.taken)}, but not all are done: {left}."


def rounds_of(schedule: object, rounds: int, names: list[str]) -> list[list[Turn] | None]:
    """Return the turns of each round; None for a round in which the processes run free."""
    if not isinstance(rounds, int) or not 1 <= rounds <= 100_000:
        raise ValueError(f"rounds is {rounds!r}: give a whole number from 1 to 100,000.")
    if schedule is None:
        return [None] * rounds
    if rounds != 1 or schedule == []:
        raise ValueError("Give either rounds or a schedule, or a list with one for each round.")
    texts = schedule if isinstance(schedule, list | tuple) else [schedule]
    return [orders.parse(text, names) for text in texts]
