"""Go through the interleavings of a plan: the walks, what each showed, and the verdict.

The tree of choices is gone through by running it anew for each path (stateless model checking;
P. Godefroid, Model Checking for Programming Languages, 1997).
"""

import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from streamlib import database, orders, processes
from streamlib.orders import Turn, switches
from streamlib.processes.runner import Session
from streamlib.processes.turns import Round

if TYPE_CHECKING:
    from streamlib.processes.result import Run


@dataclass(frozen=True)
class Verdict:
    """What exploring found.

    verdict: `holds` (every interleaving explored), `broken` (by `schedule`, the one with the
    fewest switches between processes) or `unknown` (none found broken, not all explored);
    explored: how many, of them `sampled` with `seed`; total: out of how many feasible ones (None:
    not known, at most `at_most`); why: what else went wrong; schedules: each that was explored,
    and whether the invariant held; run: the `Run`, one round for each.
    """

    verdict: str
    schedule: str
    explored: int
    sampled: int
    seed: int
    total: int | None
    at_most: int
    why: str
    schedules: list[tuple[str, bool]]
    run: "Run"

    @property
    def broken(self) -> list[str]:
        """The schedules that break the invariant, those with the fewest switches first."""
        return sorted((s for s, ok in self.schedules if not ok), key=lambda s: (switches(s), s))

    def __repr__(self) -> str:
        total = f"{self.total:,}" if self.total else f"at most {self.at_most:,}"
        how = "sampled" if 0 < self.sampled == self.explored else "explored"
        said = f"{self.verdict}: {how} {self.explored:,} of {total} interleavings"
        if not self.explored:
            said = f"{self.verdict}: no interleaving was played to its end"
        if 0 < self.sampled < self.explored:
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
    setup: prepares the database before each round;
    bound: the most rounds to play. If there are more interleavings, half of the rounds go
    through them depth first, and the other half draw them with `seed`, each as likely as any
    other; one that is drawn twice counts once.

    What stands between two `me.step` is played in one piece. Use `database.open(me)`: then two
    SQL commands in one piece, outside a transaction, are seen, and the verdict is at best
    `unknown`. A turn in which a lock is refused is not an interleaving, because a free process
    would wait there. A worker that raises breaks the invariant.
    Raises ValueError for an invariant that raises or does not return True or False, or a bound
    below 1.
    """
    if bound < 1:
        raise ValueError(f"bound is {bound}: give a whole number from 1.")
    search = _Search(invariant, bound, seed)
    run = processes.run(
        plan, setup=setup, seed=seed, schedule=search.play, label="explore", timeout_s=600
    )
    return search.verdict(run)


@dataclass
class _Search:
    """Go through the tree of choices, depth first, then by sampling; keep what each walk showed."""

    invariant: Callable[[Path], bool]
    bound: int
    seed: int
    results: dict[str, bool] = field(default_factory=dict)  # schedule -> whether it is ok
    locks: set[tuple] = field(default_factory=set)  # (process, step, resource) of refused turns
    counts: Counter = field(default_factory=Counter)  # turns of each process in the first walk
    failures: list[str] = field(default_factory=list)  # what failed, other than the invariant
    rounds: int = 0
    sampled: int = 0
    complete: bool = False
    regular: bool = True  # no turn was refused, and each walk has as many turns as the first
    unclear: str = ""  # why "holds" would say too much
    cut_short: str = ""  # why no more rounds could be played

    def play(self, session: Session) -> None:
        """Play walks until there are no more, or the bound is reached."""
        stack: list[list[int]] = [[]]
        while stack and session.children.able and self.rounds < self._depth_first():
            prefix = stack.pop()
            choices = self._walk(session, prefix)
            path = [process for process, _ in choices]
            for at in range(len(prefix), len(path)):
                stack += [[*path[:at], p] for p in choices[at][1] if p != path[at]]
        self.complete = not stack and session.children.able
        dice = random.Random(f"explore {self.seed}")
        while not self.complete and session.children.able and self.rounds < self.bound:
            self._walk(session, [], dice)

    def _depth_first(self) -> int:
        return self.bound if self.at_most() <= self.bound else max(1, self.bound // 2)

    def at_most(self) -> int:
        """Return how many interleavings there would be if no lock forbade any."""
        return orders.count([*self.counts.values()])

    def _walk(self, session: Session, prefix: list[int], dice: random.Random | None = None) -> list:
        """Play one path: its beginning is given, then the dice choose, or the first who can.

        Returns each choice: who got the turn, and who could have had it. While another process
        holds what a step was once refused, that step is no choice: a free process would wait.
        """
        choices: list[tuple[int, list[int]]] = []

        def choose(round: Round) -> Turn | None:
            where, holders = round.waiting, round.holders
            held = {
                p
                for p, step, lock in self.locks
                if holders.get(lock, p) != p and where.get(p) == step
            }
            able = [p for p in where if p not in held]
            if not able:
                return None  # all have ended, or each waits for another
            process = prefix[len(choices)] if len(choices) < len(prefix) else able[0]
            if dice:
                had = Counter(process for process, _ in choices)
                process = dice.choices(able, [max(1, self.counts[p] - had[p]) for p in able])[0]
            choices.append((process, able))
            return Turn(process, "")

        before = len(session.children.problems)
        round = session.play(choose)
        self.rounds += 1
        if session.children.able:
            turns = Counter(process for process, _ in choices)
            self._note(session, round, turns, session.children.problems[before:], bool(dice))
        else:
            self.cut_short = round.stopped
        return choices

    def _note(
        self, session: Session, round: Round, turns: Counter, errors: list[str], drawn: bool
    ) -> None:
        """Keep what one walk has shown, unless a free process would have waited in it."""
        waits, fails = self._refusals(session, round)
        self.regular &= not waits and turns == (self.counts or turns)
        if waits and not fails:
            return
        self.counts = self.counts or turns
        if round.schedule not in self.results:
            self.sampled += drawn
            self.results[round.schedule] = self._is_ok(round, errors, session.db)

    def _refusals(self, session: Session, round: Round) -> tuple[bool, bool]:
        """Return whether a lock was refused where one can wait, and where one cannot."""
        waits = fails = False
        for turn, place, answer, refused in round.taken:
            alone = [command for command, in_transaction in answer.sql if not in_transaction]
            if len(alone) > 1:
                step = f"step {answer.steps[-1]}" if answer.steps else "one turn"
                self.unclear = (
                    f"{session.children.all[turn.process - 1].name} runs {len(alone)} SQL commands "
                    f"in {step}, and what comes between them was not mixed in: call me.step before "
                    "each, also before a BEGIN"
                )
            if refused:
                self.locks.add((turn.process, place, refused))
            if ("gave_up" in dict(answer.marked)) or "database is locked" in answer.error:
                in_transaction = bool(answer.sql) and answer.sql[-1][1]
                waits |= bool(refused) or not in_transaction
                fails |= in_transaction  # inside a transaction nobody can wait: it is an outcome
        return waits, fails

    def _is_ok(self, round: Round, errors: list[str], db: Path) -> bool:
        failed = [round.stopped] * bool(round.stopped) + errors
        self.failures += failed
        try:
            held = not failed and self.invariant(db)
        except AssertionError:
            return False
        except Exception as error:  # a learner's function: what it raises is told, with its place
            raise ValueError(
                f"The invariant raised {type(error).__name__}: {error}, after the schedule "
                f"{round.schedule}; let it return True or False."
            ) from None
        if type(held).__name__ not in ("bool", "bool_"):  # numpy's, too
            raise ValueError(f"The invariant returned {held!r}: let it return True or False.")
        return bool(held)

    def verdict(self, run: "Run") -> Verdict:
        """Sum up."""
        broken = [schedule for schedule, ok in self.results.items() if not ok]
        sure = self.complete and not self.unclear
        more = len(set(self.failures)) - 1
        why = [*self.failures[:1], f"(and {more} more)" if more > 0 else "", self.cut_short]
        why += [self.unclear] if not broken else []
        feasible = len(self.results) if self.complete else self.at_most() if self.regular else None
        return Verdict(
            verdict="broken" if broken else "holds" if sure else "unknown",
            schedule=min(broken, key=lambda s: (switches(s), s), default=""),
            explored=len(self.results),
            sampled=self.sampled,
            seed=self.seed,
            total=feasible,
            at_most=self.at_most(),
            why=" ".join(filter(None, why)),
            schedules=list(self.results.items()),
            run=run,
        )
