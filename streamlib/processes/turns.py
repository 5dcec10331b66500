"""One round under a schedule: one process has its turn while all others stand still."""

from collections.abc import Callable
from dataclasses import dataclass, field

from streamlib import deadlock, orders
from streamlib.processes import child, parent


class Stopped(Exception):
    """Raised when a round cannot go on; its text says why."""


@dataclass
class Taken:
    """One turn as it was taken."""

    turn: orders.Turn
    steps: list[str]  # the places that it went through
    command: bool  # whether the last of those is an SQL command
    gave_up: bool  # whether it was refused a lock for which others would wait
    answer: child.Answer  # where the process is now


@dataclass
class Round:
    """One round under a schedule: where each process is, who holds what, and what came of it."""

    children: parent.Children
    look: Callable[[], object]  # called between the turns, while all processes stand still
    coming: list[orders.Turn] | None = None  # the turns to play; None: each ends at a place
    waiting: dict[int, child.Answer] = field(default_factory=dict)  # process -> where it is
    taken: list[Taken] = field(default_factory=list)
    ran: list[tuple] = field(default_factory=list)  # (turn, process, connection, path, SQL command)
    stopped: str = ""  # why it could not be played to its end

    @property
    def schedule(self) -> str:
        """The turns that were taken; one for any place has the letters of the place it began."""
        short = orders.letters_of(step for taken in self.taken for step in taken.steps)
        words = []
        for at in self.taken:
            letters = "".join(short[step] for step in at.steps[:1] if at.command or not at.gave_up)
            words.append(f"{at.turn.process}{'x' * at.gave_up}{letters}")
        return " ".join(words if self.coming is None else [str(at.turn) for at in self.taken])

    def play(self, number: int, player: Callable[["Round"], object] | None) -> None:
        """Play it as round `number` of the run: `player` calls `take`, or `coming` are taken."""
        self.waiting = {n: child.Answer(place="") for n, _ in enumerate(self.children.all, start=1)}
        self.look()
        self.children.open_gate(number)
        try:
            player(self) if player else [self.take(turn) for turn in self.coming]
            at = [(self._child(p).name, at.place or "its start") for p, at in self.waiting.items()]
            if left := ", ".join(f"{name} waits at {place}" for name, place in at):
                said = f"The schedule ends after turn {len(self.taken)}"
                raise Stopped(f"{said}, but not all are done: {left}.")
        except Stopped as why:
            self.stopped = str(why)
        self.children.give_up([self._child(process) for process in self.waiting])

    def take(self, turn: orders.Turn) -> Taken | None:
        """Give a process a turn; None: it waits for a lock. Raises Stopped if it cannot."""
        number, process, one = len(self.taken) + 1, turn.process, self._child(turn.process)
        said = f"Turn {number} ({turn}): {one.name}"
        if process not in self.waiting:
            last = max(n for n, taken in enumerate(self.taken, 1) if taken.turn.process == process)
            raise Stopped(f"{said} has ended already, in turn {last}.")
        steps, command, gave_up, asked = [], False, False, ""
        while (through := self._through(turn, at := self.waiting[process], steps)) is not None:
            answer = self.children.turn(one, number * through)
            if through and at.place:
                steps, command = [*steps, at.place], at.command
            if answer.refused == "waits" and turn.step == "":
                return None
            if answer.refused == "waits":
                answer, gave_up, asked = self.children.turn(one, 0), True, at.place
            gave_up |= answer.refused == "gave up"
            self.ran += [(number, process, *command) for command in answer.ran]
            answer.locks += [name for who, name in self.children.shared.held if who is one]
            self.waiting[process] = answer
        if at.place is None:
            del self.waiting[process]
        if not one.alive:
            raise Stopped(f"Turn {number} ({turn}): {at.error}")
        self.children.note(at.error)
        step = turn.step or ""
        if step.strip("x") and not steps:
            where = f"its next step is {at.place}" if at.place else "it has no steps"
            raise Stopped(f"{said} has no such step here: {where}.")
        self.taken.append(Taken(turn, steps, command, gave_up, at))
        self.look()
        if step[:1] == "x" and not gave_up:
            raise Stopped(f"{said} did not give up, for nobody held what it wanted.")
        if gave_up and step[:1] != "x" and self.coming is not None:
            raise Stopped(f"{said} cannot go on here because {self._holder(asked)}.")
        return self.taken[-1]

    def _through(self, turn: orders.Turn, at: child.Answer, steps: list[str]) -> bool | None:
        """Tell if this turn goes through a place; False: over it, None: it ends here."""
        if at.place is None or (steps and self.coming is None):
            return None
        if at.place == "" or self.coming is None:
            return True
        later = (self.coming[n] for n in range(len(self.taken) + 1, len(self.coming)))
        after = next((later.step for later in later if later.process == turn.process), None)
        letters = ((after if steps else turn.step) or "").removeprefix("x")
        named = orders.slug(at.place).startswith(letters)
        if at.command and not (letters and named):
            return False  # a command is a place only if it is named
        if steps:  # a whole unit ends where its first step comes again
            return True if turn.step is None and at.place != steps[0] else None
        return named or None

    def _child(self, process: int) -> parent.Child:
        return self.children.all[process - 1]

    def _holder(self, asked: str) -> str:
        """Say which process holds what was asked for, and, if that is known, until which turn."""
        for one, name in self.children.shared.held:
            if name in asked.split(" and "):
                return f"{one.name} holds {deadlock.named(name)}"
        for holder, at in self.waiting.items():
            held = next((lock for lock in at.locks if lock.endswith("(write)")), "")
            if held and holder != self.taken[-1].turn.process:
                said = f"{self._child(holder).name} holds the write lock of {held[:-8]}"
                coming = list(enumerate(self.coming, start=1))[len(self.taken) :]
                steps = ((n, turn.step or "c") for n, turn in coming if turn.process == holder)
                return said + next((f" until turn {n}" for n, step in steps if step[0] == "c"), "")
        return "another process holds a lock of the database"


def rounds_of(schedule: object, rounds: int, names: list[str]) -> list[list[orders.Turn] | None]:
    """Return the turns of each round; None for a round in which the processes run free."""
    if not isinstance(rounds, int) or not 1 <= rounds <= 100_000:
        raise ValueError(f"rounds is {rounds!r}: give a whole number from 1 to 100,000.")
    if schedule is None:
        return [None] * rounds
    texts = schedule if isinstance(schedule, list | tuple) else [schedule]
    if rounds != 1 or not texts:
        raise ValueError("Give either rounds or a schedule, or a list with one for each round.")
    found = [orders.parse(text, names) for text in texts]
    if len(names) > 1 and max(map(len, found)) == 1 < len(found):
        raise ValueError("The list has single turns: write one text, as in '1r 2r 1w 2w'.")
    return found
