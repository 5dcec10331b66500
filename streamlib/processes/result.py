"""A finished run: its tables, its orders, its verdict, and why rows were lost."""

import json
from functools import cached_property
from pathlib import Path

import pandas as pd

from streamlib import database, home, orders
from streamlib.processes import model
from streamlib.processes.events import events, handoffs, lock_moves

ROW = ["round", "id", "name", "process"]


class Run:
    """A kept call of `processes.run`. Raises ValueError, TypeError or KeyError if damaged."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._about = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        self.id: str = folder.name
        self.label: str = self._about["label"]
        self.params: dict = self._about["params"]
        self.db = Path(self._about["db"])
        self._number = {name: n for n, name in enumerate(self.params["processes"], start=1)}
        self.stopped: list[str] = self._about["stopped"]  # why each schedule broke off, or ""
        self.shared: list[dict[str, list[dict]]] = self._about["shared"]  # tables, turn by turn
        self.rows: list[dict] = self._about["rows"] or []  # those stored, with their round

    def __repr__(self) -> str:
        named = f"{self.label}: " if self.label else ""
        count, times = len(self.params["processes"]), self.params["rounds"]
        return f"<Run {named}{count} process{'es' * (count > 1)}, {times} round{'s' * (times > 1)}>"

    @cached_property
    def events(self) -> pd.DataFrame:
        """The table of events; `streamlib.processes.events` tells its columns."""
        paths = (self.folder / f"{number}.csv" for number in self._number.values())
        table = events(filter(Path.exists, paths))
        table["process"] = table["process"].cat.set_categories(self.params["processes"])
        return table

    @property
    def problems(self) -> list[str]:
        """One sentence for each thing that went wrong with a process or its recording."""
        return self._about["problems"] + self.events.attrs["problems"]

    @property
    def output(self) -> dict[str, str]:
        """What the workers printed, tracebacks included: process -> text; see `child.Output`."""
        texts = {f.stem: f.read_text("utf-8", errors="replace") for f in self.folder.glob("*.out")}
        return {name: texts.get(str(number), "") for name, number in self._number.items()}

    @cached_property
    def items(self) -> pd.DataFrame:
        """One row for each item that a process worked on, in the order of the calls.

        Columns: round, process, item, label (its letter in an order), called, waited, held (in
        seconds), id (of its row), outcome: `stored`, `locked` (it gave up) or `lost`.
        """
        keys = ["round", "process", "item"]
        named = self.events.dropna(subset="item").astype({"item": object})
        by = named.assign(s=named["end"] - named["start"]).groupby([*keys, "state"], observed=True)
        table = by["s"].sum().unstack().reindex(columns=["waiting", "holding", "gave_up"])
        table.columns = ["waited", "held", "gave_up"]
        table.insert(0, "called", named.groupby(keys, observed=True)["start"].min())
        table = table.fillna({"waited": 0.0, "held": 0.0})
        rows = pd.DataFrame(self.rows, columns=ROW).astype({"id": "Int64"})
        rows = rows.rename(columns={"name": "item"}).drop_duplicates(keys)
        table = table.reset_index().astype({"process": object}).merge(rows, "outer", on=keys)
        outcome = table.pop("gave_up").notna().map({True: "locked", False: "lost"})
        table["outcome"] = outcome.where(table["id"].isna(), "stored")
        table["process"] = pd.Categorical(table["process"], self.params["processes"])
        table = table.sort_values(["round", "called", "process"], ignore_index=True)
        table.insert(3, "label", _labels(table))
        return table

    @cached_property
    def workers(self) -> pd.DataFrame:
        """A row a process: stored, locked, waited, held (s), exit (code, -signal, NA: left)."""
        came = {outcome: self.items["outcome"] == outcome for outcome in ("stored", "locked")}
        by = self.items.assign(**came).groupby("process", observed=False)
        sums = by[["stored", "locked", "waited", "held"]].sum()
        return sums.assign(exit=pd.Series(self._about["exits"], dtype="Int64"))

    @property
    def owners(self) -> orders.Owners:
        """Whose item each letter of an order is: label -> process."""
        own = self.items.drop_duplicates("label").sort_values(["process", "label"])
        owners = orders.Owners(zip(own["label"], own["process"], strict=True))
        owners.plan = self.params["processes"]
        return owners

    def handoffs(self) -> pd.DataFrame:
        """How each shared resource went from holder to holder; see `events.handoffs`."""
        return handoffs(self.events)

    def orders(self) -> pd.DataFrame:
        """One row a round: called, committed, schedule, stored, locked, ties.

        called: the items' letters in the order in which their inserts were called; committed:
        those stored, by their row ids; schedule: see `streamlib.orders`; ties: how many calls
        were at the same time as another, so that their order is unknown.
        """
        rows = []
        for number in range(1, self._about["rounds_run"] + 1):
            items = self.items[self.items["round"] == number]
            called = items.dropna(subset=["called"])
            stored = items[items["outcome"] == "stored"].sort_values("id")
            letters = orders.join(called["label"]), orders.join(stored["label"])
            locked, ties = sum(items["outcome"] == "locked"), sum(called["called"].duplicated())
            played = self._about["played"][number - 1 : number]
            schedule = "".join(played) or self._schedule(number, stored["process"])
            rows.append((number, *letters, schedule, len(stored), locked, ties))
        columns = "round called committed schedule stored locked ties".split()
        return pd.DataFrame(rows, columns=columns)

    @property
    def schedule(self) -> str:
        """The schedule of the first round; see `streamlib.orders`."""
        return "".join(self.orders()["schedule"][:1])

    def _schedule(self, number: int, stored: pd.Series) -> str:
        """Return the schedule of a round: by the lock, the rows, or the steps."""
        events = self.events[self.events["round"] == number]
        turns, steps = [(process, "") for process in stored], events[events["state"] == "step"]
        shared = steps["step"].astype(str).str.split().str[-1].isin(events["resource"]).any()
        if (events["state"] == "gave_up").any() and not shared:
            turns = lock_moves(events)
        elif shared or not (turns or (events["state"] == "holding").any()):
            short = orders.letters_of(steps["step"])
            turns = zip(steps["process"], steps["step"].map(short), strict=True)
        return " ".join(f"{self._number[process]}{letter}" for process, letter in turns)

    def what_if(self, **changes: float) -> model.WhatIf:
        """Return how many rows would have been lost, for every way of handing the lock on.

        timeout_s, hold_s: another timeout or task, in seconds as for `database.pets`, so times the
        run's scale; processes: the first 1 to 10, copies if there are fewer. The rest is as the
        first round recorded it. Raises ValueError if that does not tell, or there are too many.
        """
        calls, count, many = self._calls(), changes.get("processes", 1), self.params["rounds"]
        if isinstance(count, bool | float) or count not in range(1, 11):
            raise ValueError(f"processes is {count!r}: give a whole number from 1 to 10.")
        for name in changes.keys() - {"processes"}:
            if name not in ("timeout_s", "hold_s"):
                raise TypeError(f"{name} cannot change: give timeout_s, hold_s or processes.")
            calls[name] = home.seconds(name, changes[name]) * self.params["scale"]
        said = " and ".join(f"{name}={value:g}" for name, value in changes.items())
        said = (f"With {said}" if said else "As it was") + f" (round 1 of {many})" * (many > 1)
        return model.what_if(calls, self.params["scale"], changes.get("processes"), said)

    def _calls(self) -> pd.DataFrame:
        """Return the first round's calls by process: pause_s (before it), hold_s, timeout_s."""
        if self._about["played"]:
            raise ValueError("This run had a schedule, so nobody waited: ask a run without one.")
        events = self.events[self.events["round"] == 1].set_index("process")
        spans = events[events["state"].isin(["waiting", "holding"])].sort_index(kind="stable")
        held = (spans["end"] - spans["start"]).where(spans["state"] == "holding")
        ends, holds = (s.groupby(level=0, observed=True) for s in (spans["end"], held))
        limit = spans["detail"].astype(str).str.extract(r"^timeout (?:of )?(\d+\.?\d*) s$")[0]
        before = ends.shift(fill_value=0)
        calls = spans.assign(pause_s=spans["start"] - before, hold_s=holds.shift(-1))
        calls = calls.assign(timeout_s=limit.astype(float))[spans["state"] == "waiting"]
        known = calls["timeout_s"].notna().all() and calls["hold_s"].notna().any()
        ended_well = {*self._about["exits"].values()} == {0} and spans["resource"].nunique() == 1
        if not (known and ended_well and len(calls) == (self.items["round"] == 1).sum()):
            what = "Not each item was called once, with a timeout, for one lock that somebody got"
            raise ValueError(f"{what}, by a process that ended well: ask a run of database.pets.")
        return calls[["pause_s", "hold_s", "timeout_s"]]

    @cached_property
    def lost(self) -> int:
        """How many items were worked on and are not in the database."""
        return int((self.items["outcome"] != "stored").sum())

    @property
    def verdict(self) -> str:
        """What counting the rows in the database says: all stored, some lost, or unknown."""
        if why := self._uncounted():
            return f"unknown: {why}"
        rows = pd.DataFrame(self.rows, columns=ROW)
        for row in rows[rows.duplicated(["round", "process", "name"])].itertuples():
            return f"unknown: {row.process} stored {row.name} twice; give each row its own name"
        total = len(self.items)
        failed = [name for name, code in self._about["exits"].items() if code != 0]
        said = f"{total - self.lost} of {total} rows are stored, {self.lost} lost"
        if failed or self._about["rounds_run"] < self.params["rounds"]:
            said += f"; {', '.join(failed) or 'the run'} did not end well, so more may be missing"
        return said

    def _uncounted(self) -> str:
        """Return why the rows cannot be counted, or ""."""
        if broken := [why for why in self.stopped if why]:
            many = f"{len(broken)} of {len(self.stopped)} schedules were not followed; "
            return many * (len(self.stopped) > 1) + broken[0]
        if self._about["rows"] is None:
            return "there is no table of pets to count"
        most = f"the run stored more rows than the {database.MOST_ROWS:,} that the lab counts"
        return most if len(self.rows) >= database.MOST_ROWS else ""

    @property
    def ok(self) -> bool:
        """Whether each row that was worked on is stored and each process ended well."""
        return self.verdict == f"{len(self.items)} of {len(self.items)} rows are stored, 0 lost"

    def why(self) -> list[str]:
        """One sentence for each row that was lost, and for each other problem."""
        theirs = self.events["detail"].isin(["TimeoutError", "Deadlock"])  # of `resources`: raised
        gave_up = self.events[(self.events["state"] == "gave_up") & ~theirs].to_dict("records")
        said = [(event["round"], self._why_locked(event)) for event in gave_up]
        lost = self.items[(self.items["outcome"] == "lost") & (not self._uncounted())]
        for number, process, item in lost[["round", "process", "item"]].itertuples(index=False):
            if self._about["exits"][process] == 0:
                why = "reported no error, and the row is not in the database: was it committed"
                said.append((number, f"{process} called {item}, {why}, or an error hidden?"))
        many = self.params["rounds"] > 1
        return [f"Round {number}: " * many + why for number, why in said] + self.problems

    def _why_locked(self, gave_up: dict) -> str:
        """Return the sentence for one item that was given up: who held the lock meanwhile."""
        lock, who, item, until = (gave_up[key] for key in ("resource", "process", "item", "start"))
        here = (self.events["round"] == gave_up["round"]) & (self.events["resource"] == lock)
        events = self.events[here & (self.events["start"] <= until)]
        held = events[events["state"] == "holding"]
        if pd.notna(gave_up["turn"]):
            holder = " and ".join(held["process"][held["end"] > until]) or "another program"
            said = f"{who} gave up {item} in turn {gave_up['turn']}"
            return f"{said}: {holder} held the write lock of {lock}."
        mine = (events["process"] == who) & (events["end"] == until)
        waited = events[mine & (events["state"] == "waiting")].dropna(subset="detail")
        if waited.empty:
            return f"{who} gave up {item} at {until:.3f} s ({gave_up['detail']})."
        since, limit = waited["start"].iloc[0], waited["detail"].iloc[0]
        held = held[held["end"] > since]
        times = zip(held["process"], held["start"], held["end"], held["item"], strict=True)
        holders = [f"{p} held the lock from {a:.3f} s to {b:.3f} s ({i})" for p, a, b, i in times]
        covered = held["end"].clip(upper=until) - held["start"].clip(lower=since)
        if covered.sum() < (until - since) / 2:
            holders.append("another program held it for most of that time")
        said = f"{who} lost {item}: it waited for the write lock of {lock} from {since:.3f} s to"
        return f"{said} {until:.3f} s, longer than its {limit}, while {' and '.join(holders)}."


def _labels(items: pd.DataFrame) -> list[str]:
    """Return a letter for each item: its initial if those are A, B, C, ... in plan order."""
    own = items.drop_duplicates(["process", "item"]).sort_values(["process", "round", "called"])
    labels = [str(item)[:1] for item in own["item"]]
    if labels != sorted(set(labels)) or labels[:1] != ["A"]:
        labels = orders.labels(own.groupby("process", observed=False).size().tolist())
    return items.merge(own[["process", "item"]].assign(label=labels), "left")["label"].tolist()
