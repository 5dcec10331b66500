"""Go through the interleavings of a plan: the walks, what each showed, and the verdict.

The tree of choices is gone through by running it anew for each path (stateless model checking;
P. Godefroid, Model Checking for Programming Languages, 1997).
"""

import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from streamlib import database, orders, processes
from streamlib.orders import Turn, switches
from streamlib.processes.runner import Session
from streamlib.processes.turns import Round


@dataclass(frozen=True)
class Verdict:
    """What exploring found; its run is `processes.history("explore")[-1]`.

    verdict: `holds` (every interleaving explored), `broken` (by `schedule`, the one with the
    fewest switches between processes) or `unknown` (none found broken, not all explored);
    explored: how many, of them `sampled` with `seed`; total: out of how many feasible ones, None if
    unknown; broken: those that break the invariant, simplest first; why: what else went wrong.
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
) -> Verdict:
    """Play every interleaving of the plan's steps; say whether the invariant holds in each.

    invariant: called with the database's path after each round; True if all is as it must be;
    setup: prepares the database before each round; bound: the most rounds to play. If there are
    more interleavings, half of the rounds go through them, the others draw them with `seed`.

    What stands between two `me.step` is played in one piece; if those are two SQL commands outside
    a transaction (of `database.open`), the verdict is at best `unknown`. A turn in which a lock is
    refused is not an interleaving, because a free process would wait there.
    Raises ValueError for a bound below 1, or an invariant that does not return True or False. An
    AssertionError in the invariant counts as False; any other error ends the exploration.
    """
    if bound < 1:
        raise ValueError(f"bound is {bound}: give a whole number from 1.")
    search = _Search(invariant, bound, seed)
    processes.run(plan, schedule=search.play, setup=setup, seed=seed, label="explore")
    return search.verdict()


@dataclass
class _Search:
    """Go through the tree of choices, depth first, then by luck; keep what each walk showed."""

    invariant: Callable[[Path], bool]
    bound: int
    seed: int
    results: dict[str, bool] = field(default_factory=dict)  # schedule -> whether it is ok
    locks: set[tuple] = field(default_factory=set)  # (process, step, resource) of refused turns
    counts: Counter = field(default_factory=Counter)  # turns of each process in the first walk
    failure: str = ""  # what failed first, other than the invariant
    sampled: int = 0
    complete: bool = False
    regular: bool = True  # no turn was refused, and each walk has as many turns as the first
    unclear: str = ""  # why "holds" would say too much

    def play(self, session: Session) -> None:
        """Play walks until there are no more, or the bound is reached."""
        stack, dice = [[]], random.Random(f"explore {self.seed}")
        while stack and session.children.able and session.kept["rounds_run"] < self.bound:
            depth_first = self.bound if self._at_most() <= self.bound else max(1, self.bound // 2)
            drawn = session.kept["rounds_run"] >= depth_first
            prefix = [] if drawn else stack.pop()
            choices = self._walk(session, prefix, dice if drawn else None)
            path = [process for process, _ in choices]
            for at in range(len(prefix), 0 if drawn else len(path)):
                stack += [[*path[:at], p] for p in choices[at][1] if p != path[at]]
        self.complete = not stack and session.children.able

    def _at_most(self) -> int:
        return orders.count([*self.counts.values()])  # if no lock forbids any

    def _walk(self, session: Session, prefix: list[int], dice: random.Random | None) -> list:
        """Play one path: its beginning is given, then the dice choose, or the first who can.

        Returns each choice: who got the turn, and who could have had it. While another process
        holds what a step was once refused, that step is no choice: a free process would wait.
        """
        choices: list[tuple[int, list[int]]] = []

        def choose(round: Round) -> Turn | None:
            held = {(p, s) for p, s, lock in self.locks if round.holders.get(lock, p) != p}
            able = [p for p, step in round.waiting.items() if (p, step) not in held]
            if not able:
                return None  # all have ended, or each waits for another
            process = prefix[len(choices)] if len(choices) < len(prefix) else able[0]
            if dice:
                had = Counter(process for process, _ in choices)
                process = dice.choices(able, [max(1, self.counts[p] - had[p]) for p in able])[0]
            choices.append((process, able))
            return Turn(process, "")

        round = session.play(choose)
        waits, fails = self._refusals(session, round)
        turns = Counter(process for process, _ in choices)
        self.regular &= not waits and turns == (self.counts or turns)
        if not session.children.able:
            self.unclear = round.stopped
        elif fails or not waits:
            self.counts = self.counts or turns
            if round.schedule not in self.results:
                self.sampled += bool(dice)
                self.results[round.schedule] = self._is_ok(round, session.db)
        return choices

    def _refusals(self, session: Session, round: Round) -> tuple[bool, bool]:
        """Note what was refused; return whether one can wait for it, and whether one cannot."""
        waits = fails = False
        for turn, place, answer, refused in round.taken:
            if (many := answer.sql.count(False)) > 1:
                name = session.children.all[turn.process - 1].name
                where = f"step {answer.steps[-1]}" if answer.steps else "one turn"
                self.unclear = f"{name} runs {many} SQL commands in {where}: give each its own step"
            if refused:
                self.locks.add((turn.process, place, refused))
            if "gave_up" in dict(answer.marked) or "database is locked" in answer.error:
                in_transaction = answer.sql[-1:] == [True]
                waits |= bool(refused) or not in_transaction
                fails |= in_transaction  # there one cannot wait: it is an outcome
        return waits, fails

    def _is_ok(self, round: Round, db: Path) -> bool:
        said = (round.stopped, *(taken.answer.error for taken in round.taken))
        if failures := list(filter(None, said)):
            self.failure = self.failure or failures[0]
            return False
        try:
            held = self.invariant(db)
        except AssertionError:
            return False
        if type(held).__name__ not in ("bool", "bool_"):  # those of numpy, too
            raise ValueError(f"The invariant returned {held!r}: let it return True or False.")
        return bool(held)

    def verdict(self) -> Verdict:
        """Sum up."""
        broken = sorted((switches(s), s) for s, ok in self.results.items() if not ok)
        sure = self.complete and not self.unclear
        feasible = self._at_most() if self.counts and self.regular else None
        return Verdict(
            verdict="broken" if broken else "holds" if sure else "unknown",
            schedule=broken[0][1] if broken else "",
            explored=len(self.results),
            sampled=self.sampled,
            seed=self.seed,
            total=len(self.results) if self.complete else feasible,
            broken=[schedule for _, schedule in broken],
            why=self.failure or ("" if broken else self.unclear),
        )
