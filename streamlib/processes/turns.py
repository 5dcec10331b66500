"""Taking turns, the parent's side: one round in which a chooser says whose turn is next.

See `streamlib.schedule` for what a schedule is, `streamlib.turns` for the child's side.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from streamlib import orders
from streamlib.processes.parent import Child, Children
from streamlib.processes.taking import Answer

TURN_S = 2  # a turn that takes longer is ended: it waits for what nobody can give it


class Item(NamedTuple):
    """One turn: which process (from 1), and which step: "" any, "x" gives up, None a unit."""

    process: int
    step: str | None

    def __str__(self) -> str:
        return f"{self.process}{self.step or ''}"


@dataclass
class Given:
    """Follow the turns of a schedule."""

    items: list[Item]
    turn: int = 0

    def choose(self, waiting: dict[int, str], holders: dict[str, int]) -> Item | None:
        self.turn += 1
        return self.items[self.turn - 1] if self.turn <= len(self.items) else None

    def refused(self, step: str, resource: str) -> None:
        pass

    def answered(self, child: Child, answer: Answer) -> None:
        pass

    def finished(self, played: "Played", errors: list[str], db: Path) -> list[str]:
        return [played.stopped] if played.stopped else []


def parse(text: str, names: Sequence[str]) -> list[Item]:
    """Return the turns of a schedule for a plan with these names.

    Raises ValueError, one sentence with the position, for what no plan with these names can run.
    """
    if not isinstance(text, str):
        raise TypeError(f"The schedule is {text!r}: write it as a text in quotes, as in '1 2 1 2'.")
    items = []
    for at, word in enumerate(text.split(), start=1):
        match = re.fullmatch(r"(\d+)([^\W\d]*)", word)
        if not match:
            raise ValueError(
                f"Turn {at} of the schedule, {word!r}, is not a turn: write a process number, "
                "as in 2, or with a step's first letter, as in 2b, with blanks between the turns."
            )
        process, step = int(match[1]), match[2] or None
        if not 1 <= process <= len(names):
            known = ", ".join(f"{n} ({name})" for n, name in enumerate(names, start=1))
            raise ValueError(
                f"Turn {at} of the schedule, {word!r}, names process {process}: the plan has "
                f"{known}."
            )
        items.append(Item(process, step))
        if (step is None) != (items[0].step is None):
            raise ValueError(
                f"Turn {at} of the schedule, {word!r}, mixes whole units with steps: give either "
                "numbers alone or a step with each."
            )
    if not items:
        raise ValueError("The schedule is empty: give at least one turn, as in '1 2 1 2'.")
    return items


class Played(NamedTuple):
    """What came of one round."""

    schedule: str  # as it was played
    stopped: str  # why it could not be played to the end, or ""
    gone: bool  # whether a process is no longer there for the next round


class Round:
    """One round under a schedule: where each process is, and who holds what."""

    def __init__(self, children: Children, chooser):
        self.children = children
        self.chooser = chooser
        self.places: dict[int, str | None] = dict.fromkeys(range(1, len(children.all) + 1), "")
        self.ended_in: dict[int, int] = {}
        self.holders: dict[str, int] = {}
        self.turns: list[tuple[Item, list[str]]] = []  # and the steps begun in each

    def play(self, number: int, after_turn: Callable[[], object]) -> Played:
        """Play round `number` turn by turn; call `after_turn` while everything stands still."""
        self.children.open_gate(number)
        stopped = ""
        while not stopped:
            waiting = {p: place for p, place in self.places.items() if place is not None}
            item = self.chooser.choose(waiting, self.holders)
            if item is None:
                stopped = self._unfinished(waiting)
                break
            stopped = self._turn(len(self.turns) + 1, item)
            after_turn()
        self.children.give_up([self._child(p) for p in self.places if self.places[p] is not None])
        gone = not all(child.alive for child in self.children.all)
        return Played(_words(self.turns), stopped, gone)

    def _child(self, process: int) -> Child:
        return self.children.all[process - 1]

    def _turn(self, turn: int, item: Item) -> str:
        """Give one turn; return why the round cannot go on ("": it can)."""
        child, place = self._child(item.process), self.places[item.process]
        said = f"Turn {turn} ({item})"
        if place is None:
            return f"{said}: {child.name} has ended already, in turn {self.ended_in[item.process]}."
        must = "" if item.step == "x" else item.step
        if place and must and not place.startswith(must):
            return f"{said}: {child.name} has no such step here, its next step is {place}."
        answer = self.children.turn(child, turn, must, TURN_S)
        if answer is None:
            self.places[item.process] = None
            return f"{said}: {self.children.problems.pop()}"
        self.places[item.process] = answer.place
        if answer.place is None:
            self.ended_in[item.process] = turn
        if must and not answer.steps:
            where = f"its next step is {answer.place}" if answer.place else "it has no steps"
            return f"{said}: {child.name} has no such step here, {where}."
        self.turns.append((item, answer.steps))
        self.chooser.answered(child, answer)
        refused = self._follow(item.process, answer.marked)
        if item.step == "x" and not refused:
            return f"{said}: {child.name} did not give up, for nobody held what it wanted."
        if refused and item.step != "x":
            self.chooser.refused(place, refused)
            return self._forbidden(turn, item, answer.steps, refused)
        return ""

    def _follow(self, process: int, marked: list[tuple]) -> str:
        """Note who holds what; return the resource that this process was refused, or ""."""
        refused = ""
        for state, resource in marked:
            if state == "holding" and resource:
                self.holders[resource] = process
            elif state in ("done", "gave_up"):
                if state == "gave_up" and self.holders.get(resource, process) != process:
                    refused = resource
                if self.holders.get(resource) == process:
                    del self.holders[resource]
        return refused

    def _forbidden(self, turn: int, item: Item, steps: list[str], resource: str) -> str:
        holder = self.holders[resource]
        # The holder lets go in the last of its steps of this kind: the commit, for the pets.
        later = enumerate(self.chooser.items[turn:], start=turn + 1)
        commits = [at for at, i in later if i.process == holder and (i.step or "c")[0] == "c"]
        until = f" until turn {commits[0]}" if commits else ""
        return (
            f"Turn {turn} ({item}): {self._child(item.process).name} cannot "
            f"{steps[0] if steps else 'begin'} here, {self._child(holder).name} holds the write "
            f"lock of {resource}{until}."
        )

    def _unfinished(self, waiting: dict[int, str]) -> str:
        if not waiting:
            return ""
        left = ", ".join(
            f"{self._child(p).name} waits at {place or 'its start'}" for p, place in waiting.items()
        )
        return f"The schedule ends after turn {len(self.turns)}, but not all are done: {left}."


def _words(turns: list[tuple[Item, list[str]]]) -> str:
    """Return turns as a schedule; turns of any step get the letter of the step they began."""
    short = orders.letters_of(step for _, steps in turns for step in steps)
    return " ".join(
        str(Item(item.process, short[steps[0]]) if item.step == "" and steps else item)
        for item, steps in turns
    )


def switches(schedule: str) -> int:
    """Return how often a schedule changes from one process to another."""
    who = [process_of(word) for word in schedule.split()]
    return sum(a != b for a, b in pairwise(who))


def process_of(word: str) -> int:
    """Return the process number of one turn of a schedule: 2 for 2b."""
    return int(re.match(r"\d+", word)[0])
