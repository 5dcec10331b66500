"""Step through a run under a schedule: where everything is after a turn."""

from typing import TYPE_CHECKING

from streamlib import database, orders

if TYPE_CHECKING:
    import pandas as pd

    from streamlib.processes.result import Run


def at(run: "Run", turn: int) -> "pd.DataFrame":
    """Return where everything is after one turn of a run under a schedule; 0 is before the first.

    There is a row for each process: its last step, the turn in which that step began, what the
    process holds, and its next step. Below is a row for each committed row of the shared tables.
    Raises ValueError if the run was free, or has no such turn.
    """
    import pandas as pd  # here, because the children of a script import this module

    if not run.shared:
        raise ValueError("This run was free: give processes.run a schedule to step through.")
    if turn not in range(len(run.shared)):
        raise ValueError(f"There is no turn {turn!r}: step through 0 to {len(run.shared) - 1}.")
    events = run.events[(run.events["round"] == 1) & run.events["turn"].notna()]
    events = events[events["state"] != "ended"]  # a round that broke off ends what is held
    rows, left = [], [orders.process_of(word) for word in run.schedule.split()[turn:]]
    for number, name in enumerate(run.params["processes"], start=1):
        over = "" if number in left else "no turn left" if run.stopped[0] else "ended"
        marks, held = events[events["process"] == name].astype(object), {}
        rows.append({"what": name, "last": "not begun", "holds": ""})
        rows[-1]["next"] = next(iter(marks["step"][marks["turn"] > turn]), over)
        for mark in marks[marks["turn"] <= turn].itertuples():
            if mark.state == "step":
                rows[-1] |= {"last": mark.step, "turn": mark.turn}
            held |= {mark.resource: mark.state}
            rows[-1]["holds"] = ", ".join(n for n, state in held.items() if state == "holding")
            if mark.state == "gave_up":
                rows[-1]["last"] = "gave up"
    for table, shared in run.shared[turn].items():
        said = [", ".join(f"{k} = {v}" for k, v in row.items()) for row in shared]
        said += [f"(no more than {len(said)} rows are shown)"] * (len(said) == database.SHOWN)
        rows += [{"what": table, "last": row} for row in said]
    found = pd.DataFrame(rows, columns=["what", "last", "turn", "holds", "next"]).set_index("what")
    return found.fillna({"holds": "", "next": ""}).astype({"turn": "Int64"})
