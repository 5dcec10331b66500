"""Go through the interleavings of a plan: the walks, what each showed, and the verdict.

The tree of choices is gone through by running it anew for each path (stateless model checking;
P. Godefroid, Model Checking for Programming Languages, 1997).
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from streamlib import database, orders, processes
from streamlib.orders import Turn, switches
from streamlib.processes.child import Answer
from streamlib.processes.runner import Session
from streamlib.processes.turns import Round

MOST_TURNS = 1000  # in one round: a process that asks again and again never comes to an end
ENOUGH = 10  # interleavings that are alike, to say how many there are if all of them are
ROUNDS = 5  # at least, so that a worker that is not the same in each round is found out
PATIENCE = "each process waits for a lock as long as it takes; gives_up=True tries giving up, too"


@dataclass(frozen=True)
class Verdict:
    """What exploring found; its run is `processes.history("explore")[-1]`.

    verdict: `holds` (every interleaving explored), `broken` (by `schedule`, the one with the
    fewest switches between processes) or `unknown` (none found broken, not all explored);
    explored: how many, of them `sampled` with `seed`; total: out of how many feasible ones, None if
    unknown; broken: those that break the invariant, simplest first; why: what failed in `schedule`,
    why it is unknown, or what "holds" takes for granted.
    """

    verdict: str
    schedule: str
    explored: int
    sampled: int
    seed: int
    total: int | None
    broken: list[str]
    why: str

    def __repr__(self) -> str:
        total = f"{self.total:,}" if self.total else "an unknown number of"
        said = f"{self.verdict}: explored {self.explored:,} of {total} interleavings"
        if self.sampled:
            said += f" ({self.sampled:,} of them sampled with seed {self.seed})"
        if self.broken:
            said += f", {len(self.broken):,} broken, the simplest is   {self.schedule}"
        return said + (f" ({self.why})" if self.why else "")


def explore(
    plan: Mapping[str, Callable],
    invariant: Callable[[Path], bool],
    *,
    setup: Callable[[Path], object] = database.fresh,
    bound: int = 1000,
    seed: int = 0,
    gives_up: bool = False,
) -> Verdict:
    """Play every interleaving of the plan; say whether the invariant holds in each.

    A turn may end at each `me.step` and before each SQL command; a process that a lock refuses has
    no turn to give, because it would wait there. What a process does with files, sockets, threads
    or other processes is not mixed: then the verdict is at best `unknown`.

    invariant: called with the database's path after each round; True if all is as it must be;
    setup: prepares the database before each round; bound: the most interleavings to play. If
    there are more, half of them are played in order, the others drawn with `seed`; gives_up: let
    each process that would wait for a lock give up as well, as a free one does at its timeout.

    Raises ValueError for a bound below 1, TypeError for a setup or an invariant that is not a
    function, ValueError for an invariant that does not return True or False. An AssertionError in
    the invariant counts as False; any other error ends the exploration.
    """
    if not isinstance(bound, int) or bound < 1:
        raise ValueError(f"bound is {bound!r}: give a whole number from 1.")
    for name, given in [("setup", setup), ("invariant", invariant)]:
        if not callable(given):
            raise TypeError(f"{name} is {given!r}: give a function of the database's path.")
    search = _Search(invariant, bound, seed, gives_up)
    processes.run(plan, schedule=search.play, setup=setup, seed=seed, label="explore")
    return search.verdict()


@dataclass
class _Node:
    """A beginning: how it ended, and all that is known of how it goes on."""

    came: tuple  # what its last turn went through, and where that process waits now
    untried: list[Turn]
    next: dict[Turn, "_Node"] = field(default_factory=dict)
    open: bool = True  # whether something that comes after it has not been played yet


@dataclass
class _Search:
    """Go through the tree of beginnings, first in order, then by luck; keep what each showed."""

    invariant: Callable[[Path], bool]
    bound: int
    seed: int
    gives_up: bool
    root: _Node | None = None
    path: list[_Node] = field(default_factory=list)  # the beginnings of the present round
    walks: int = 0
    results: dict[str, str | None] = field(default_factory=dict)  # schedule -> "" if it is ok
    sampled: int = 0
    places: dict[int, list] = field(default_factory=dict)  # of each process in the first walk
    regular: bool = True  # nobody waited, and each walk went through the places of the first
    waited: bool = False  # somebody would have waited for a lock
    unclear: dict[str, None] = field(default_factory=dict)  # why "holds" would say too much
    left: bool = False  # some round did not come to its end
    changed: bool = False

    def play(self, session: Session) -> None:
        """Play walks until there are no more, or the bound is reached."""
        dice = random.Random(f"explore {self.seed}")
        self.unclear = dict.fromkeys(session.children.problems[:1])  # somebody could not start
        while session.children.able and self._goes_on():
            fits = not self.left and self._at_most() <= self.bound
            drawn = self.walks >= (self.bound if fits else max(1, self.bound // 2))
            round = session.play(partial(self._walk, dice=dice if drawn else None))
            if not session.children.able:
                self.unclear, self.left = {round.stopped: None}, True
            elif not round.waiting:
                self._keep(round, session.db, drawn)
            for node in reversed(self.path):
                node.open = bool(node.untried) or any(n.open for n in node.next.values())

    def _goes_on(self) -> bool:
        """Tell whether to play another walk: something new, or, after a few only, one again."""
        hopeless = not self.results and self.walks >= ROUNDS
        again = self.results and self.walks < ROUNDS
        more = self.root is None or self.root.open or again
        return bool(more and not hopeless and not self.changed and self.walks < self.bound)

    def _at_most(self) -> int:
        """Return how many interleavings there are if all of them are like the first."""
        return orders.count([len(places) for places in self.places.values()])

    def _walk(self, round: Round, dice: random.Random | None) -> None:
        """Play one path through the tree, and make it grow."""
        self.root = self.root or _Node((), [Turn(process, "") for process in round.waiting])
        self.path = [self.root]
        turns = sum(map(len, self.places.values()))  # of the first walk that came to its end
        most = min(MOST_TURNS, 100 + 10 * turns) if turns else MOST_TURNS
        while round.waiting:
            node = self.path[-1]
            turns = node.untried + [turn for turn, after in node.next.items() if after.open]
            if not self.root.open:
                turns = list(node.next)  # there is nothing new
            if not turns or len(round.taken) == most:
                return self._leave(node, round, most)
            turn = dice.choice(turns) if dice else turns[0]
            answer = round.take(turn)
            self.unclear |= dict.fromkeys(answer.unmixed)
            if answer.refused in ("waits", "gave up") and turn.step == "":
                self.changed = turn not in node.untried
                node.untried = [other for other in node.untried if other != turn]
                turn, self.waited = Turn(turn.process, "x"), True
                if answer.refused == "waits" and not self.changed:
                    node.untried += [turn] * self.gives_up
                    continue
                if not self.gives_up:
                    return None  # it went on with the error; a patient one would not
            self._follow(node, turn, answer, round)
            if self.changed:
                return None
        self.walks += 1
        return None

    def _follow(self, node: _Node, turn: Turn, answer: Answer, round: Round) -> None:
        """Go on to the beginning that this turn led to."""
        came = (answer.steps, answer.refused, answer.place, bool(answer.error))
        if turn not in node.next:
            node.untried = [other for other in node.untried if other != turn]
            # the others first: where a lock refuses them, the round goes on all the same
            order = sorted(round.waiting, key=lambda process: process == turn.process)
            node.next[turn] = _Node(came, [Turn(process, "") for process in order])
        self.changed |= node.next[turn].came != came
        self.path.append(node.next[turn])

    def _leave(self, node: _Node, round: Round, most: int) -> None:
        """Leave a round that need not or cannot be played to its end; note why it cannot."""
        why = f"after {round.schedule or 'the start'} each process waits for a lock for ever"
        if len(round.taken) == most:
            why = f"a round was left after {most:,} turns: let each process come to an end"
        elif node.next:
            return  # all that comes after it has been played
        self.unclear[why], self.left = None, True
        node.untried.clear()
        self.walks += 1

    def _keep(self, round: Round, db: Path, drawn: bool) -> None:
        """Keep what an interleaving showed."""
        places: dict[int, list] = {}
        for turn, answer in round.taken:
            places.setdefault(turn.process, []).append(answer.steps)
        self.places = self.places or places
        self.regular &= places == self.places and not self.waited
        result = self._failure(round, db)
        self.changed |= (self.results.get(round.schedule, result) == "") != (result == "")
        self.sampled += drawn and round.schedule not in self.results
        self.results[round.schedule] = result

    def _failure(self, round: Round, db: Path) -> str | None:
        """Return what went wrong, None if it was the invariant, "" if nothing did."""
        if failures := [taken.answer.error for taken in round.taken if taken.answer.error]:
            return failures[0]
        try:
            held = self.invariant(db)
        except AssertionError:
            return None
        if type(held).__name__ not in ("bool", "bool_"):  # those of numpy, too
            raise ValueError(f"The invariant returned {held!r}: let it return True or False.")
        return "" if held else None

    def verdict(self) -> Verdict:
        """Sum up."""
        broken = sorted((switches(s), s) for s, result in self.results.items() if result != "")
        complete = bool(self.results) and not (self.root.open or self.left or self.changed)
        total, why = len(self.results) if complete else None, next(iter(self.unclear), "")
        if self.changed:
            broken, why = [], "the worker is not the same in each round"
        elif self.regular and len(self.results) >= ENOUGH and not self.left:
            total = self._at_most()
        if broken:
            why = self.results[broken[0][1]] or ""
        elif complete and not why and self.waited and not self.gives_up:
            why = PATIENCE
        verdict = "broken" if broken else "holds" if complete and not self.unclear else "unknown"
        return Verdict(
            verdict=verdict,
            schedule=broken[0][1] if broken else "",
            explored=len(self.results),
            sampled=self.sampled,
            seed=self.seed,
            total=total,
            broken=[schedule for _, schedule in broken],
            why=why or "no interleaving was played to its end" * (not self.results),
        )
