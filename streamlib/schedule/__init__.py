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

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from streamlib import database, processes
from streamlib.processes.turns import parse, process_of, switches  # noqa: F401 - part of schedule
from streamlib.schedule.exploration import Search, Verdict

if TYPE_CHECKING:
    import pandas as pd

    from streamlib.processes.result import Run


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
    search = Search(invariant, bound, seed)
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
        later = [t for t, word in enumerate(words, 1) if t > step and process_of(word) == number]
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
