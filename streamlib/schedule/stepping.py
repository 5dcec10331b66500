"""Step through a run under a schedule: where everything is after each turn."""

from typing import TYPE_CHECKING

from streamlib import orders

if TYPE_CHECKING:
    import pandas as pd

    from streamlib.processes.result import Run

COLUMNS = ["last", "turn", "holds", "next"]


def at(run: "Run", turn: int) -> "pd.DataFrame":
    """Return where everything is after one turn of a run under a schedule; 0 is before the first.

    One row for each process: the last step it took and in which turn, what it holds, and its next
    step. Then one row for each row of the shared tables, as every other process sees it.
    Raises ValueError if the run was free, or if it has no such turn.
    """
    import pandas as pd  # here, because the children of a script import this module

    if not run.shared:
        raise ValueError("This run was free: give processes.run a schedule to step through.")
    if not 0 <= turn < len(run.shared):
        raise ValueError(f"There is no turn {turn}: step through 0 to {len(run.shared) - 1}.")
    found = {name: _process(run, turn, name) for name in run.params["processes"]}
    rows = list(found.items())
    for table, shared in run.shared[turn].items():
        for row in shared:
            text = ", ".join(f"{column} = {value}" for column, value in row.items())
            rows.append((table, [text, None, "", ""]))
    index = pd.Index([name for name, _ in rows], name="what")
    return pd.DataFrame([row for _, row in rows], index, COLUMNS).astype({"turn": "Int64"})


def _process(run: "Run", turn: int, name: str) -> list:
    """Return a process's last step, in which turn that was, what it holds, and its next step."""
    events = run.events[(run.events["round"] == 1) & (run.events["process"] == name)]
    steps = events[events["state"] == "step"]
    locks = events[(events["turn"] <= turn) & events["state"].isin(["holding", "done", "gave_up"])]
    state, resource, since = (
        locks[["state", "resource", "turn"]].iloc[-1] if len(locks) else ("", "", None)
    )
    last, number = "not begun", None
    if (steps["turn"] <= turn).any():
        last, number = steps[steps["turn"] <= turn][["step", "turn"]].iloc[-1]
    if state == "gave_up" and since == number:
        last = "gave up"
    todo = [*steps[steps["turn"] > turn]["step"], _without_step(run, turn, name)]
    return [last, number, resource if state == "holding" else "", todo[0]]


def _without_step(run: "Run", turn: int, name: str) -> str:
    """Return what stands in place of a next step: "" if a turn is left in which none begins."""
    process = run.params["processes"].index(name) + 1
    if process in map(orders.process_of, run.schedule.split()[turn:]):
        return ""
    return "no turn left" if run.stopped[0] else "ended"
