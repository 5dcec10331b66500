"""A run that is over: its tables, its orders, its verdict, and why rows were lost.

Everything is read from the run's folder, so a run of an earlier kernel looks the same.
"""

import json
import re
from functools import cached_property
from pathlib import Path

import pandas as pd

from streamlib import orders
from streamlib.processes import events as trace


class Run:
    """What is known of one call of `processes.run`, read from its folder."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._about = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        keys = "label params db problems exits rounds_run rows played stopped shared".split()
        if not (isinstance(self._about, dict) and self._about.keys() >= set(keys)):
            raise ValueError(f"{folder / 'run.json'} does not describe a run.")
        self.id: str = folder.name
        self.label: str = self._about["label"]
        self.params: dict = self._about["params"]
        self.db = Path(self._about["db"])

    def __repr__(self) -> str:
        named = f"{self.label}: " if self.label else ""
        count, times = len(self.params["processes"]), self.params["rounds"]
        return f"<Run {named}{count} process{'es' * (count > 1)}, {times} round{'s' * (times > 1)}>"

    @property
    def _logs(self) -> list[Path]:
        names = enumerate(self.params["processes"], start=1)
        return [path for n, _ in names if (path := self.folder / f"{n}.csv").exists()]

    @cached_property
    def events(self) -> pd.DataFrame:
        """The tidy table of events; see `streamlib.trace`."""
        table = trace.events(self._logs)
        table["process"] = table["process"].cat.set_categories(self.params["processes"])
        return table

    @property
    def problems(self) -> list[str]:
        """One sentence for each thing that went wrong with a process or its log."""
        return self._about["problems"] + self.events.attrs["problems"]

    @property
    def output(self) -> dict[str, str]:
        """What the workers printed, tracebacks included: process -> text."""
        files = [self.folder / f"{n + 1}.out" for n in range(len(self.params["processes"]))]
        texts = [f.read_text("utf-8", errors="replace") if f.exists() else "" for f in files]
        return dict(zip(self.params["processes"], texts, strict=True))

    @property
    def rows(self) -> list[dict]:
        """The rows that this run put into the database: round, id, name, process."""
        keys = ("round", "id", "name", "process")
        return [dict(zip(keys, row, strict=True)) for row in self._about["rows"] or []]

    @property
    def shared(self) -> list[dict[str, list[dict]]]:
        """Under a schedule: the tables of the database, before turn 1 and after each turn."""
        return self._about["shared"]

    @cached_property
    def items(self) -> pd.DataFrame:
        """One row for each item that a process worked on, in the order of the calls.

        Columns: round, process, item, label (its letter in an order), called, waited, held
        (seconds), id (its row in the database; missing if it has none), outcome: `stored`,
        `locked` (it gave up waiting for the lock) or `lost`.
        """
        keys = ["round", "process", "item"]
        named = self.events.dropna(subset=["item"])
        named = named.assign(item=named["item"].astype(str), s=named["end"] - named["start"])
        groups = named.groupby(keys, observed=True, sort=False)
        table = pd.DataFrame({"called": groups["start"].min()})
        for column, state in [("waited", "waiting"), ("held", "holding")]:
            spans = named[named["state"] == state].groupby(keys, observed=True)["s"].sum()
            table[column] = spans.reindex(table.index, fill_value=0.0)
        gave_up = named[named["state"] == "gave_up"].groupby(keys, observed=True).size()
        table["locked"] = gave_up.reindex(table.index, fill_value=0) > 0
        rows = pd.DataFrame(self.rows, columns=["round", "id", "name", "process"])
        rows = rows.rename(columns={"name": "item"})
        ids = rows.drop_duplicates(keys).set_index(keys)["id"].astype("Int64")
        table = table.join(ids, how="outer").reset_index()
        stored = table["id"].notna()
        table["outcome"] = "lost"
        table.loc[table.pop("locked").fillna(False).astype(bool), "outcome"] = "locked"
        table.loc[stored, "outcome"] = "stored"
        table["process"] = pd.Categorical(table["process"], self.params["processes"])
        table = table.sort_values(["round", "called", "process"], ignore_index=True)
        table.insert(3, "label", _labels(table))
        table.attrs = {"scale": self.params["scale"], "owners": _owners(table)}
        return table

    @cached_property
    def workers(self) -> pd.DataFrame:
        """One row a process: stored, locked (rows), waited, held (s), exit (code, or -signal)."""
        who, outcome = self.items["process"], self.items["outcome"]
        by = self.items.groupby("process", observed=False)
        exits = self._about["exits"]
        table = pd.DataFrame(
            {
                "stored": (outcome == "stored").groupby(who, observed=False).sum(),
                "locked": (outcome == "locked").groupby(who, observed=False).sum(),
                "waited": by["waited"].sum(),
                "held": by["held"].sum(),
                "exit": pd.Series(exits, dtype="Int64"),
            }
        ).reindex(self.params["processes"])
        table.index.name = "process"
        return table

    @property
    def owners(self) -> dict[str, str]:
        """Whose item a letter of an order is: label -> process."""
        return self.items.attrs["owners"]

    def handoffs(self) -> pd.DataFrame:
        """How each shared resource went from holder to holder; see `events.handoffs`."""
        return trace.handoffs(self.events)

    def orders(self) -> pd.DataFrame:
        """One row a round: called, committed, schedule (see `streamlib.orders`), stored, locked.

        called: the items in the order in which their insert was called, as letters;
        committed: those stored, in the order of their row ids; ties: how many calls shared
        their time with another, so that their order is not known.
        """
        rows = []
        for number in range(1, self._about["rounds_run"] + 1):
            group = self.items[self.items["round"] == number]
            called = group.dropna(subset=["called"]).sort_values("called", kind="stable")
            stored = group[group["outcome"] == "stored"].sort_values("id")
            rows.append(
                {
                    "round": number,
                    "called": orders.join(called["label"]),
                    "committed": orders.join(stored["label"]),
                    "schedule": self._schedule(number, stored),
                    "stored": len(stored),
                    "locked": int((group["outcome"] == "locked").sum()),
                    "ties": int(called["called"].duplicated().sum()),
                }
            )
        columns = "round called committed schedule stored locked ties".split()
        table = pd.DataFrame(rows, columns=columns)
        table.attrs = {"owners": self.owners}
        return table

    @property
    def schedule(self) -> str:
        """The schedule string of the first round; see `streamlib.orders`."""
        return "".join(self.orders()["schedule"][:1])

    def _schedule(self, number: int, stored: pd.DataFrame) -> str:
        if self._about["played"]:
            return self._about["played"][number - 1]
        place = {name: n for n, name in enumerate(self.params["processes"], start=1)}
        events = self.events[self.events["round"] == number]
        turns = [(process, "") for process in stored["process"]]
        if (events["state"] == "gave_up").any():
            turns = trace.lock_moves(events)
        elif not turns and not (events["state"] == "holding").any():
            steps = events[events["state"] == "step"]
            short = orders.letters_of(steps["step"])
            turns = [
                (p, short[step]) for p, step in zip(steps["process"], steps["step"], strict=True)
            ]
        return " ".join(f"{place[process]}{letter}" for process, letter in turns)

    @cached_property
    def lost(self) -> int:
        """How many items were worked on and are not in the database."""
        return int((self.items["outcome"] != "stored").sum())

    @property
    def stopped(self) -> list[str]:
        """Why each round's schedule could not be followed to its end, "" where it was."""
        return self._about["stopped"]

    @property
    def verdict(self) -> str:
        """What counting the database says: all stored, some lost, or unknown."""
        stopped = [sentence for sentence in self.stopped if sentence]
        if stopped:
            count = len(self.stopped)
            many = f"{len(stopped)} of {count} schedules were not followed; " if count > 1 else ""
            return f"unknown: {many}{stopped[0]}"
        if self._about["rows"] is None:
            return "unknown: there is no table of pets to count"
        if twice := self._stored_twice():
            return f"unknown: {twice}"
        total = len(self.items)
        failed = [name for name, code in self._about["exits"].items() if code != 0]
        said = f"{total - self.lost} of {total} rows are stored, {self.lost} lost"
        if failed or self._about["rounds_run"] < self.params["rounds"]:
            said += f"; {', '.join(failed) or 'the run'} did not end well, so more may be missing"
        return said

    def _stored_twice(self) -> str:
        table = pd.DataFrame(self.rows, columns=["round", "id", "name", "process"])
        again = table[table.duplicated(["round", "process", "name"])]
        if again.empty:
            return ""
        process, name = again[["process", "name"]].iloc[0]
        return f"{process} stored {name} more than once; give each row a name of its own"

    @property
    def ok(self) -> bool:
        """Whether each row that was worked on is stored and each process ended well."""
        return self.lost == 0 and not re.search("unknown|did not end well", self.verdict)

    def why(self) -> list[str]:
        """One sentence for each row that was given up, and for each other problem."""
        many = self.params["rounds"] > 1
        gave_up = self.events[self.events["state"] == "gave_up"].to_dict("records")
        said = [f"Round {e['round']}: " * many + self._why_locked(e) for e in gave_up]
        lost = self.items[self.items["outcome"] == "lost"].to_dict("records")
        quiet = {name for name, code in self._about["exits"].items() if code == 0}
        followed = not any(self.stopped)
        said += [
            f"Round {r['round']}: " * many + f"{r['process']} called {r['item']}, reported no "
            "error, and the row is not in the database: was it committed, or an error hidden?"
            for r in lost
            if self._about["rows"] is not None and r["process"] in quiet and followed
        ]
        return said + self.problems

    def _why_locked(self, gave_up: dict) -> str:
        lock, who, until = gave_up["resource"], gave_up["process"], gave_up["start"]
        events = self.events[
            (self.events["round"] == gave_up["round"]) & (self.events["resource"] == lock)
        ]
        if pd.notna(gave_up["turn"]):
            held = events[(events["state"] == "holding") & (events["end"] > until)]
            holder = " and ".join(held[held["start"] < until]["process"]) or "another program"
            return (
                f"{who} gave up {gave_up['item']} in turn {gave_up['turn']}: {holder} held the "
                f"write lock of {lock}."
            )
        mine = events[(events["process"] == who) & (events["end"] == until)]
        waited = mine[mine["state"] == "waiting"]
        if waited.empty:
            return f"{who} gave up {gave_up['item']} at {until:.3f} s ({gave_up['detail']})."
        since, limit = waited["start"].iloc[0], waited["detail"].iloc[0]
        held = events[
            (events["state"] == "holding") & (events["end"] > since) & (events["start"] < until)
        ]
        holders = [
            f"{h['process']} from {h['start']:.3f} s to {h['end']:.3f} s ({h['item']})"
            for h in held.to_dict("records")
        ]
        covered = (held["end"].clip(upper=until) - held["start"].clip(lower=since)).sum()
        if not holders or covered < (until - since) / 2:
            holders.append("another program, for most of the time no process of this run held it")
        return (
            f"{who} lost {gave_up['item']}: it waited for the write lock of {lock} from "
            f"{since:.3f} s to {until:.3f} s, longer than its {limit}, while the lock was held by "
            + " and ".join(holders)
            + "."
        )


def _labels(items: pd.DataFrame) -> pd.Series:
    """Return a letter for each item: its initial if those run A, B, C ... in plan order.

    Else letters are given in plan order; past 52 items, numbers such as 2.1.
    """
    own = items.drop_duplicates(["process", "item"]).sort_values(
        ["process", "round", "called"], kind="stable"
    )
    initials = [str(item)[:1] for item in own["item"]]
    if initials != sorted(set(initials)) or initials[:1] != ["A"]:
        initials = orders.labels(own.groupby("process", observed=False).size().tolist())
    keys = zip(own["process"], own["item"], strict=True)
    label = dict(zip(keys, initials, strict=True))
    pairs = zip(items["process"], items["item"], strict=True)
    return pd.Series([label[pair] for pair in pairs], index=items.index, dtype=object)


def _owners(items: pd.DataFrame) -> dict[str, str]:
    own = items.drop_duplicates("label").sort_values(["process", "label"])
    return dict(zip(own["label"], own["process"], strict=True))
