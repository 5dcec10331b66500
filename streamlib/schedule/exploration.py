"""Going through the interleavings of a plan: the walks, what each showed, and the verdict.

See `streamlib.schedule.explore`. The tree of choices is gone through by running it anew for each
path (stateless model checking; P. Godefroid, Model Checking for Programming Languages, 1997).
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from streamlib import orders
from streamlib.processes.parent import Child
from streamlib.processes.taking import Answer
from streamlib.processes.turns import Item, Played, switches

if TYPE_CHECKING:
    from streamlib.processes.result import Run


@dataclass
class Walk:
    """One path through the tree of choices: a given beginning, then the first who can, or luck.

    locks: (process, step, resource) for steps that were once refused: while another process has
    the resource they are no choice, just as a real process would wait there.
    """

    search: "Search"
    prefix: list[int]
    locks: set[tuple[int, str, str]]
    dice: random.Random | None = None
    left: dict[int, int] = field(default_factory=dict)  # how many turns each has left, if known
    items: list[Item] = field(default_factory=list)
    options: list[list[int]] = field(default_factory=list)  # who could have had each turn
    forbidden: bool = False  # a lock refused a step, where a free process would wait
    fails: bool = False  # a lock refused what cannot be waited for

    def choose(self, waiting: dict[int, str], holders: dict[str, int]) -> Item | None:
        held = {(p, resource) for resource, who in holders.items() for p in waiting if p != who}
        blocked = {
            p for p, step, resource in self.locks if (p, resource) in held and waiting[p] == step
        }
        able = [p for p in waiting if p not in blocked]
        if not able:
            return None  # all have ended, or each waits for another
        turn = len(self.items)
        if turn < len(self.prefix):
            process = self.prefix[turn]
        elif self.dice:
            process = self.dice.choices(able, [max(1, self.left.get(p, 1)) for p in able])[0]
        else:
            process = able[0]
        self.left[process] = self.left.get(process, 1) - 1
        self.options.append(able)
        self.items.append(Item(process, ""))
        return self.items[-1]

    def refused(self, step: str, resource: str) -> None:
        self.forbidden = True
        self.locks.add((self.items[-1].process, step, resource))

    def answered(self, child: Child, answer: Answer) -> None:
        alone = [command for command, in_transaction in answer.sql if not in_transaction]
        refused = any(state == "gave_up" for state, _ in answer.marked)
        refused |= "database is locked" in answer.error
        step = f"step {answer.steps[-1]}" if answer.steps else "one turn"
        if len(alone) > 1:
            self.search.unclear = (
                f"{child.name} runs {len(alone)} SQL commands in {step}, and what comes between "
                "them was not mixed in: call me.step before each, also before a BEGIN"
            )
        if refused and answer.sql and answer.sql[-1][1]:
            self.fails = True  # inside a transaction nobody can wait: it is an outcome
        elif refused:
            self.forbidden = True

    def finished(self, played: Played, errors: list[str], db: Path) -> list[str]:
        self.search.note(self, played, errors, db)
        return []


@dataclass(frozen=True)
class Verdict:
    """What exploring found.

    verdict: `holds` (every interleaving explored), `broken` (by `schedule`, the one with the
    fewest switches between processes) or `unknown` (none found broken, not all explored);
    explored: how many, of them `sampled` with `seed`; total: of how many feasible ones (None:
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
        """The schedules that break the invariant, fewest switches first."""
        return sorted((s for s, ok in self.schedules if not ok), key=lambda s: (switches(s), s))

    def __str__(self) -> str:
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

    __repr__ = __str__


class Search:
    """Go through the tree of choices, depth first, then by sampling; keep what each walk showed."""

    def __init__(self, invariant: Callable[[Path], bool], bound: int, seed: int):
        self.invariant = invariant
        self.bound = bound
        self.seed = seed
        self.results: dict[str, bool] = {}  # schedule -> ok
        self.sampled = 0
        self.rounds = 0
        self.counts: dict[int, int] = {}  # turns of each process, as the first walk had them
        self.complete = False
        self.regular = True  # nothing forbidden, and each walk with as many turns as the first
        self.failures: list[str] = []  # why a schedule is not ok, if not for the invariant
        self.error = ""
        self.unclear = ""  # why "holds" would say too much
        self.cut_short = ""  # why no more rounds could be played

    def walks(self) -> Iterator[Walk]:
        """Yield the walks to be played, until all are or the bound is reached."""
        locks: set[tuple[int, str, str]] = set()
        stack: list[list[int]] = [[]]
        while stack and not self._over() and self.rounds < self._depth_first():
            walk = Walk(self, stack.pop(), locks)
            yield walk
            for at in range(len(walk.prefix), len(walk.items)):
                path = [item.process for item in walk.items[:at]]
                stack += [[*path, p] for p in walk.options[at] if p != walk.items[at].process]
        self.complete = not stack and not self._over()
        dice = random.Random(f"explore {self.seed}")
        while not self.complete and not self._over() and self.rounds < self.bound:
            yield Walk(self, [], locks, dice, dict(self.counts))

    def _over(self) -> bool:
        return bool(self.error or self.cut_short)

    def _depth_first(self) -> int:
        return self.bound if self.at_most() <= self.bound else max(1, self.bound // 2)

    def at_most(self) -> int:
        """Return how many interleavings there are, were none forbidden by a lock."""
        return orders.count(list(self.counts.values())) if self.counts else 1

    def _total(self) -> int | None:
        if self.complete:
            return len(self.results)
        return self.at_most() if self.regular else None

    def note(self, walk: Walk, played: Played, errors: list[str], db: Path) -> None:
        """Keep what one walk has shown."""
        self.rounds += 1
        if played.gone:
            self.cut_short = played.stopped
            return
        turns = [item.process for item in walk.items]
        counts = {p: turns.count(p) for p in sorted(set(turns))}
        self.regular &= not walk.forbidden and counts == (self.counts or counts)
        if walk.forbidden and not walk.fails:
            return
        self.counts = self.counts or counts
        if played.schedule not in self.results:
            self.sampled += walk.dice is not None
            self.results[played.schedule] = self._ok(played, errors, db)

    def _ok(self, played: Played, errors: list[str], db: Path) -> bool:
        self.failures += [played.stopped] * bool(played.stopped) + errors
        if played.stopped or errors:
            return False
        try:
            held = self.invariant(db)
            if held is None:
                self.error = "The invariant returned None: let it return True or False."
            return bool(held)
        except AssertionError:
            return False
        except Exception as error:  # a learner's function: what it raises is told, with its place
            self.error = (
                f"The invariant raised {type(error).__name__}: {error}, after the schedule "
                f"{played.schedule}; let it return True or False."
            )
            return False

    def verdict(self, run: "Run") -> Verdict:
        """Sum up."""
        broken = [schedule for schedule, ok in self.results.items() if not ok]
        sure = self.complete and not self.unclear
        why = [*self.failures[:1], self.cut_short, "" if broken else self.unclear]
        if len(set(self.failures)) > 1:
            why.insert(1, f"(and {len(set(self.failures)) - 1} more)")
        return Verdict(
            verdict="broken" if broken else "holds" if sure else "unknown",
            schedule=min(broken, key=lambda s: (switches(s), s), default=""),
            explored=len(self.results),
            sampled=self.sampled,
            seed=self.seed,
            total=self._total(),
            at_most=self.at_most(),
            why=" ".join(filter(None, why)),
            schedules=list(self.results.items()),
            run=run,
        )
