"""Play every interleaving of a plan; say whether an invariant holds in each."""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from streamlib import database, orders, processes
from streamlib.orders import Turn
from streamlib.processes import child, runner, turns
from streamlib.schedule import anomaly

MOST_TURNS = 2000  # in one round: a process that asks again and again never comes to an end
ENOUGH = 5  # rounds, at least, to see whether a worker is the same in each
PATIENCE = "each process waits for a lock as long as it takes; gives_up=True tries giving up, too"


@dataclass(frozen=True)
class Verdict:
    """What exploring found; its run is `processes.history("explore")[-1]`.

    An outcome: the first 20 rows of each shared table at the end, an error, or a deadlock.
    """

    verdict: str  # `holds`, `broken`, or `unknown`: none found broken, but not all was seen
    schedule: str  # the broken one with the fewest switches between processes
    explored: int  # how many interleavings
    sampled: int  # of them, drawn with the seed
    seed: int
    total: int | None  # of how many feasible ones, None if unknown
    broken: list[str]  # the schedules that break the invariant, simplest first
    why: str  # what failed, why it is unknown, or what "holds" takes for granted
    anomaly: str  # what went wrong in `schedule`: its name, and what collides in which turns; or ""
    outcomes: dict[str, list[str]]  # each, the commonest first -> what led to it, simplest first

    def __repr__(self) -> str:
        total = f"{self.total:,}" if self.total else "an unknown number of"
        said = f"{self.verdict}: explored {self.explored:,} of {total} interleavings"
        said += f" ({self.sampled:,} of them sampled with seed {self.seed})" * (self.sampled > 0)
        many = f", {len(self.broken):,} broken, the simplest is   {self.schedule}"
        said += many * bool(self.broken) + (f" ({self.why})" if self.why else "")
        return said + f"\n{self.anomaly}" * bool(self.anomaly)


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

    A turn may end at each `me.step` and before each SQL command; a process that would wait for a
    lock cannot take one. Files, sockets, threads and processes are not mixed. This is stateless
    model checking: P. Godefroid, Model Checking for Programming Languages, 1997.

    invariant, setup: called with the database's path after and before each round; bound: the most
    rounds to play. If there are more interleavings, half of the rounds go through them, the others
    draw them with `seed`; gives_up: let each process that would wait for a lock give up, too.

    Raises ValueError or TypeError for a bound, setup or invariant that cannot be used. An
    AssertionError in the invariant counts as False; any other error ends the exploration.
    """
    if not isinstance(bound, int) or bound < 1:
        raise ValueError(f"bound is {bound!r}: give a whole number from 1.")
    child.need_function("the database's path", setup=setup, invariant=invariant)
    search = _Search(invariant, bound, seed, gives_up)
    processes.run(plan, schedule=search.play, setup=setup, seed=seed, label="explore")
    return search.verdict([*plan], setup)


def asked(function: Callable[[Path], bool], name: str, db: Path) -> bool:
    """Return what an invariant or a goal says of the database."""
    said = function(db)
    if type(said).__name__ not in ("bool", "bool_"):  # those of numpy, too
        raise ValueError(f"The {name} returned {said!r}: let it return True or False.")
    return bool(said)


def _plain(schedule: str) -> tuple[int, str]:
    """Return by what schedules are sorted, simplest first."""
    return orders.switches(schedule), schedule


class _Node:
    """How some rounds began: what their last turn did, and which turns may follow it."""

    def __init__(self, came: object, processes: Iterable[int]):
        self.came, self.open = came, True  # open: not all that comes after it has been played
        self.next: dict[Turn, _Node | None] = {Turn(process, ""): None for process in processes}


class _Search:
    """Search the tree of turns, first in order, then at random; keep what each round showed."""

    def __init__(self, invariant: Callable, bound: int, seed: int, gives_up: bool):
        self.invariant, self.bound, self.seed, self.gives_up = invariant, bound, seed, gives_up
        self.results: dict[str, tuple] = {}  # schedule -> what went wrong or None, its outcome
        self.simplest: list[tuple[turns.Round, str]] = []  # of the broken: it, and its tables
        self.sampled = self.left = 0  # interleavings drawn at random; rounds without an end
        self.waited = self.changed = False  # did one wait for a lock; did a worker change

    def play(self, session: runner.Session) -> None:
        """Play rounds until there is nothing new, or the bound is reached."""
        children, dice = session.children, random.Random(f"explore {self.seed}")
        self.db = session.db
        self.unclear: dict[str, None] = dict.fromkeys(children.problems[:1])  # why not "holds"
        self.root = _Node("", range(1, len(children.all) + 1))
        for played in range(self.bound):
            more = self.root.open and (self.results or self.left < ENOUGH)
            if not children.able or self.changed or not (more or played < ENOUGH):
                break
            self.dice = dice if played >= max(1, self.bound // 2) else None
            round = session.play(self._walk)
            if not children.able:
                self.unclear, self.left = {round.stopped: None}, 1
            elif not round.waiting:
                error = next((one.answer.error for one in round.taken if one.answer.error), "")
                try:
                    held = not error and asked(self.invariant, "invariant", session.db)
                except AssertionError:
                    held = False
                tables = anomaly.outcome(round, session.db)
                self._keep(round, None if held else error, error or tables, tables)
            for node in reversed(self.path):
                node.open = any(after is None or after.open for after in node.next.values())

    def _walk(self, round: turns.Round) -> None:
        """Play one round, with something new in it if possible; add what it did to the tree."""
        node, self.path = self.root, [self.root]
        while round.waiting:
            choices = [turn for turn, after in node.next.items() if after is None or after.open]
            if not node.next or len(round.taken) == MOST_TURNS:
                stuck = f"after {round.schedule or 'the start'} all wait for a lock forever"
                long = f"a round was left after {MOST_TURNS:,} turns: let each process end"
                if not node.next and any(at.locks for at in round.waiting.values()):
                    self._keep(round, stuck, "deadlock", "")
                else:
                    self.unclear[long if node.next else stuck], self.left = None, self.left + 1
                node.next.clear()
                break
            choices = choices or list(node.next)
            turn = self.dice.choice(choices) if self.dice else choices[0]
            taken = round.take(turn)
            if turn.step == "" and (taken is None or taken.gave_up):  # it cannot take a turn
                self.changed |= node.next.pop(turn) is not None
                turn, self.waited = Turn(turn.process, "x"), True
                if self.gives_up:
                    node.next.setdefault(turn)
                elif taken:
                    break  # it continued after the error, but a patient process would wait
            if taken:
                self.unclear |= taken.answer.unmixed
                came = (taken.steps, taken.gave_up, taken.answer.place, bool(taken.answer.error))
                # The others come first: if a lock refuses them, the round still continues.
                order = sorted(round.waiting, key=lambda process: process == turn.process)
                node.next[turn] = node = node.next[turn] or _Node(came, order)
                self.changed |= node.came != came
                self.path.append(node)

    def _keep(self, round: turns.Round, wrong: str | None, ended: str, tables: str) -> None:
        """Keep what a round showed: what went wrong, or None, its outcome, and the tables."""
        self.sampled += bool(self.dice) and round.schedule not in self.results
        self.results[round.schedule] = wrong, ended
        if wrong is not None:
            found = [*self.simplest, (round, tables)]
            self.simplest = sorted(found, key=lambda one: _plain(one[0].schedule))[:1]

    def verdict(self, names: list[str], setup: Callable) -> Verdict:
        """Sum up."""
        results, order = self.results, sorted(self.results, key=_plain)
        broken = [schedule for schedule in order if results[schedule][0] is not None]
        total, why, name = None, next(iter(self.unclear), ""), ""
        complete = bool(results) and not (self.root.open or self.left or self.changed)
        verdict = "holds" if complete and not self.unclear else "unknown"
        if complete:
            total, why = len(results), why or PATIENCE * (self.waited and not self.gives_up)
        if self.changed:
            broken, why = [], "the worker is not the same in each round"
        if broken:
            verdict, why = "broken", results[broken[0]][0]
            name = anomaly.name(*self.simplest[0], names, setup, self.db)
        why = why or "no interleaving was played to its end" * (not results)
        counts = Counter(results[schedule][1] for schedule in order).most_common()
        led = {one: [text for text in order if results[text][1] == one] for one, _ in counts}
        found = (verdict, "".join(broken[:1]), len(results), self.sampled, self.seed, total, broken)
        return Verdict(*found, why, name, led)
