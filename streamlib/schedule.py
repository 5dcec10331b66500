"""Choose the interleaving: run the very same workers in a given order, or in every order.

A schedule is a text of turns, each the number of a process in the plan:

    1 3 2 1 2 3            each turn a whole unit: one insert, from its first step to the next one
    1b 1i 1c 2b 2i 2c      each turn one step, by its first letter(s): begin, insert, commit
    1b 2x 1i 1c            x: the process tries to begin, and gives up since another holds the lock

    processes.run(plan, schedule="1 3 2 1 2 3")
    schedule.explore(plan, invariant, setup=setup)

Turns are forced on real processes; their order and outcomes repeat exactly, their times do not.
The method is that of the controlled-concurrency testers (CHESS, loom, shuttle): one process runs
at a time, and a choice is made at each step.
"""

import random as luck
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from streamlib import database, orders, processes
from streamlib.children import Child
from streamlib.rounds import Item, Played, parse
from streamlib.turns import Answer

if TYPE_CHECKING:
    import pandas as pd

    from streamlib.runs import Run

__all__ = ["at", "explore", "parse", "random", "switches"]


def random(counts: Sequence[int], seed: int) -> str:
    """Return a schedule in which process p has counts[p - 1] turns, each order as likely.

    The same seed gives the same schedule on every machine.

    >>> random((2, 2, 2), seed=1).split().count("3")
    2
    """
    turns = [str(p) for p, n in enumerate(counts, start=1) for _ in range(n)]
    luck.Random(f"schedule {seed}").shuffle(turns)  # a text seeds alike everywhere
    return " ".join(turns)


@dataclass
class Walk:
    """One path through the tree of choices: a given beginning, then the first who can, or luck.

    locks: (process, step, resource) for steps that were once refused: while another process has
    the resource they are no choice, just as a real process would wait there.
    """

    search: "_Search"
    prefix: list[int]
    locks: set[tuple[int, str, str]]
    dice: luck.Random | None = None
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


class _Search:
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
        dice = luck.Random(f"explore {self.seed}")
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


def switches(schedule: str) -> int:
    """Return how often a schedule changes from one process to another."""
    who = [_process(word) for word in schedule.split()]
    return sum(a != b for a, b in pairwise(who))


def explore(
    plan: Mapping[str, Callable],
    invariant: Callable[[Path], bool],
    *,
    setup: Callable[[Path], object] = database.fresh,
    bound: int = 1000,
    seed: int = 0,
) -> Verdict:
    """Run every interleaving of the plan's steps, and see whether the invariant holds after each.

    invariant: called with the database's path after each round; True if all is as it must be;
    setup: prepares the database before each round;
    bound: at most so many rounds are played. Are there more interleavings, half of the rounds go
    through them depth first, and the other half draw them with `seed`, each as likely as any
    other; one that is drawn twice counts once.

    What is mixed are the steps: what stands between two `me.step` is played in one piece. Use
    `database.open(me)`, so that two SQL commands in one piece, outside of a transaction, are
    seen: then the verdict is at best `unknown`. A step that begins with a refused lock is no
    interleaving: a free process would wait there. A worker that raises breaks the invariant.
    Raises ValueError for an invariant that fails itself, or a bound below 1.
    """
    if bound < 1:
        raise ValueError(f"bound is {bound}: give a whole number from 1.")
    search = _Search(invariant, bound, seed)
    run = processes.run(
        plan, setup=setup, seed=seed, schedule=search.walks(), label="explore", timeout_s=600
    )
    if search.error:
        raise ValueError(search.error)
    return search.verdict(run)


def at(run: "Run", step: int) -> "pd.DataFrame":
    """Return where everything is after turn `step` of a run under a schedule; 0 is before it.

    One row a process: its last step and in which turn it took it, what it holds, and its next
    step; then one row for each row of the shared tables, as all others see it then.
    Raises ValueError if the run had no schedule, or not so many turns.
    """
    words = run.schedule.split()
    import pandas as pd  # here, since children of a script that uses schedules import this module

    if not run.shared:
        raise ValueError("This run was free: give processes.run a schedule to step through.")
    if not 0 <= step < len(run.shared):
        raise ValueError(f"There is no step {step}: step through 0 to {len(run.shared) - 1}.")
    events = run.events[run.events["round"] == 1]
    steps = events[events["state"] == "step"]
    over = "no turn left" if run.stopped[0] else "ended"
    rows = []
    for number, name in enumerate(run.params["processes"], start=1):
        mine = steps[steps["process"] == name]
        done, todo = mine[mine["turn"] <= step], mine[mine["turn"] > step]
        later = [t for t, word in enumerate(words, 1) if t > step and _process(word) == number]
        holds = events[(events["process"] == name) & (events["turn"] <= step)]
        holds = holds[holds["state"].isin(["holding", "done", "gave_up"])].tail(1)
        last = done["step"].iloc[-1] if len(done) else "not begun"
        gave_up = len(holds) and holds["state"].iloc[0] == "gave_up"
        if gave_up and holds["turn"].iloc[0] == done["turn"].iloc[-1]:
            last = "gave up"
        rows.append(
            {
                "what": name,
                "last": last,
                "turn": done["turn"].iloc[-1] if len(done) else pd.NA,
                "holds": ", ".join(holds["resource"][holds["state"] == "holding"]),
                "next": todo["step"].iloc[0] if len(todo) else "" if later else over,
            }
        )
    for table, found in run.shared[step].items():
        rows += [
            {"what": table, "last": ", ".join(f"{k} = {v}" for k, v in row.items())}
            for row in found
        ]
    found = pd.DataFrame(rows, columns=["what", "last", "turn", "holds", "next"])
    found["turn"] = found["turn"].astype("Int64")
    return found.set_index("what").fillna({"last": "", "holds": "", "next": ""})


def _process(word: str) -> int:
    return int(re.match(r"\d+", word)[0])
