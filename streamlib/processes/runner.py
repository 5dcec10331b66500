"""Run named workers as real processes on one database, and keep what happened.

    run = processes.run({"P1": worker, "P2": worker}, rounds=20, think_s=0.002)

Scripts and children import this module, so pandas is imported only when a run is looked at.
"""

import inspect
import json
import multiprocessing
import platform
import random
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING

import cloudpickle

from streamlib import database, home
from streamlib.processes.parent import Children, Event
from streamlib.processes.turns import Given, Round, parse

if TYPE_CHECKING:
    from streamlib.processes.result import Run

MOST_LOOKS = 200  # turns after which the shared tables are looked at, for stepping through


class Interrupted(KeyboardInterrupt):
    """Raised by `run` when it is interrupted; a notebook shows its one sentence."""

    def _render_traceback_(self) -> list[str]:  # IPython shows this in place of a traceback
        return [str(self)]


def run(
    plan: Mapping[str, Callable],
    *,
    schedule: str | Sequence[str] | Iterator | None = None,
    rounds: int = 1,
    think_s: float = 0,
    seed: int | None = None,
    db: Path | str | None = None,
    setup: Callable[[Path], object] = database.fresh,
    timeout_s: float = 60,
    label: str = "",
    watch: Callable[[Event], object] | None = None,
) -> "Run":
    """Run each worker of the plan in a process of its own; return what happened.

    plan: name -> worker, a plain function of one argument, `me` (see `streamlib.worker.Me`),
        from a module, a script or a notebook cell;
    schedule: whose turn it is, as `streamlib.schedule` has it, or one schedule for each round;
        without one the processes run free. Under a schedule nobody thinks, holds or waits;
    rounds: repeat the experiment this often with the same processes;
    think_s: the longest random pause of `me.think()`, seconds (not scaled);
    seed: for `me.rng`; without one a seed is drawn and kept with the run;
    db: the shared database file; without one the run gets its own;
    setup: called with that path before each round; makes an empty table of pets;
    timeout_s: a round that takes longer is ended, seconds (not scaled);
    label: to find the run in `history`;
    watch: called with each `Event` soon after it happened.

    Raises ValueError or TypeError for a plan that cannot be run, OSError for a place that cannot
    be written. A worker that fails raises nothing here: see `run.problems` and `run.workers`.
    """
    _check(plan, rounds)
    choosers, rounds = _choosers(schedule, rounds, list(plan))
    params = {
        "processes": list(plan),
        "rounds": rounds,
        "think_s": home.seconds("think_s", think_s),
        "seed": random.SystemRandom().randrange(2**32) if seed is None else seed,
        "timeout_s": home.seconds("timeout_s", timeout_s),
        "scale": home.scale() if schedule is None else 1.0,
    }
    pickled = {name: _pickle(name, work) for name, work in plan.items()}
    folder = _new_folder(label)
    db = folder / "lab.db" if db is None else Path(db).resolve()
    children, tally = Children(watch), _Tally(db)
    try:
        for number, (name, work) in enumerate(pickled.items(), start=1):
            log = folder / f"{number}.csv"
            settings = {"name": name, "db": db, "recorder": log, "output": log.with_suffix(".out")}
            settings |= {key: params[key] for key in ("think_s", "scale", "seed")}
            children.start(settings | {"scheduled": schedule is not None}, work)
        ready = children.ready()
        for chooser in choosers if ready else ():
            setup(db)
            tally.begin()
            if chooser is None:
                ready = children.play(tally.round, timeout_s)
            else:
                ready = _play_turns(chooser, children, tally)
            tally.count(children)
            if not ready:
                break
    except BaseException as error:
        children.abort()
        children.problems.append(f"The run was cut short by {type(error).__name__}.")
        if isinstance(error, KeyboardInterrupt):
            raise Interrupted(
                "Interrupted: all processes of this run were ended; what they did until then is "
                "kept, see processes.history()[-1]."
            ) from None
        raise
    finally:
        exits = children.end()
        tally.count(children)
        params["rounds"] = rounds or tally.round
        if tally.round < params["rounds"]:
            children.problems.append(f"{tally.round} of {rounds} rounds were run.")
        about = {
            "label": label,
            "made": datetime.now().astimezone().isoformat(timespec="seconds"),
            "params": params,
            "rounds_run": tally.round,
            "system": f"{platform.system()}, Python {platform.python_version()}",
            "db": str(db),
            "exits": exits,
            "problems": children.problems,
            "rows": tally.rows,
            "played": tally.played,
            "stopped": tally.stopped,
            "shared": tally.shared,
        }
        (folder / "run.json").write_text(json.dumps(about, indent=1), encoding="utf-8")

    from streamlib.processes.result import Run

    return Run(folder)


def history(label: str | None = None) -> list["Run"]:
    """Return the kept runs, oldest first: all of them, or those with this label."""
    from streamlib.processes.result import Run

    kept = [Run(path.parent) for path in sorted(home.runs.glob("*/run.json"))]
    return [run for run in kept if label is None or run.label == label]


def clear() -> None:
    """Delete every kept run."""
    shutil.rmtree(home.runs, ignore_errors=True)


def _check(plan: Mapping[str, Callable], rounds: int) -> None:
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise RuntimeError(
            "This script would start itself again in each child: put the call of processes.run "
            'under the line   if __name__ == "__main__":'
        )
    if not isinstance(plan, Mapping):
        raise TypeError(
            f"The plan is a {type(plan).__name__}: give a dict of name -> worker; "
            "there each name stands once."
        )
    if not plan:
        raise ValueError('The plan has no process: give at least one, as in {"P1": worker}.')
    seen: dict[str, str] = {}
    for name, work in plan.items():
        if not (isinstance(name, str) and name.strip() and name.isprintable()):
            raise ValueError(f"{name!r} cannot name a process: use a short text such as 'P1'.")
        if name.strip().casefold() in seen:
            raise ValueError(
                f"Two processes are named alike, {seen[name.strip().casefold()]!r} and {name!r}: "
                "give each a name of its own."
            )
        seen[name.strip().casefold()] = name
        if not callable(work):
            raise TypeError(
                f"The worker of {name} is a {type(work).__name__}: give a function of one "
                "argument, without calling it."
            )
        try:
            inspect.signature(work).bind(None)
        except TypeError as error:
            raise TypeError(
                f"The worker of {name} cannot be called with one argument ({error}): a worker "
                "takes one, as in def worker(me)."
            ) from None
        except ValueError:
            pass  # a function written in C tells nothing of its arguments
    if not isinstance(rounds, int) or not 1 <= rounds <= 100_000:
        raise ValueError(f"rounds is {rounds!r}: give a whole number from 1 to 100,000.")


def _choosers(
    schedule: str | Sequence[str] | Iterator | None, rounds: int, names: list[str]
) -> tuple[Iterator, int]:
    """Return who chooses the turns of each round, None for luck; and how many rounds (0: open)."""
    if schedule is None:
        return repeat(None, rounds), rounds
    if rounds != 1:
        raise ValueError("Give either rounds or a schedule: a list of schedules is one a round.")
    texts = [schedule] if isinstance(schedule, str | int) else schedule
    if not isinstance(texts, Sequence):
        return texts, 0
    given = [Given(parse(text, names)) for text in texts]
    if not given:
        raise ValueError("The list of schedules is empty: give at least one schedule.")
    return iter(given), len(given)


def _play_turns(chooser, children: Children, tally: "_Tally") -> bool:
    """Play one round under a schedule; True if all processes can play another."""
    before = len(children.problems)
    tally.look()
    played = Round(children, chooser).play(tally.round, tally.look)
    tally.played.append(played.schedule)
    tally.stopped.append(played.stopped)
    errors = children.problems[before:]
    where = f"Round {tally.round}: " if tally.round > 1 else ""
    children.problems += [where + said for said in chooser.finished(played, errors, tally.db)]
    return all(child.alive for child in children.all)


def _pickle(name: str, work: Callable) -> bytes:
    try:
        return cloudpickle.dumps(work)
    except Exception as error:  # pickling fails in many ways; each means the same to a learner
        raise TypeError(
            f"The worker of {name} cannot be sent to another process ({error}): open files, "
            "connections and locks inside the worker."
        ) from None


def _new_folder(label: str) -> Path:
    word = "".join(c if c.isalnum() else "-" for c in label)[:30]
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S-%f")
    folder = home.runs / (f"{stamp}-{word}" if word else stamp)
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise OSError(
            f"The run cannot be kept in {home.runs} ({error.strerror}): make that folder "
            "writable, or set STREAMLIB_OUTPUTS to another one."
        ) from None
    return folder


class _Tally:
    """The rows that this run has put into the database, counted after each round."""

    def __init__(self, db: Path):
        self.db = db
        self.rows: list | None = None  # [round, id, name, process]
        self.round = 0
        self.played: list[str] = []  # the schedule of each round, if there was one
        self.stopped: list[str] = []  # why a round's schedule could not be followed, or ""
        self.shared: list[dict] = []  # before the first turn of round 1 and after each: its tables
        self._counted = 0
        self._last_id = 0

    def begin(self) -> None:
        self._last_id = max((row["id"] for row in self._read() or []), default=0)
        self.round += 1

    def look(self) -> None:
        if self.round == 1 and len(self.shared) < MOST_LOOKS:
            self.shared.append(database.tables(self.db))

    def count(self, children: Children) -> None:
        found = self._read() if self._counted < self.round else None
        if found is None:
            return
        self._counted = self.round
        pids = {child.pid for child in children.all} | {None}
        own = [row for row in found if row["id"] > self._last_id and row["pid"] in pids]
        self.rows = self.rows or []
        self.rows += [[self.round, row["id"], row["name"], row["process"]] for row in own]

    def _read(self) -> list[dict] | None:
        try:
            return database.rows(self.db)
        except OSError:
            return None  # this run keeps its data elsewhere: nothing is counted
