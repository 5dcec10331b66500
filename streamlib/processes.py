"""Start named workers as real processes, open the gate for all at once, watch them, end them.

    run = processes.run({"P1": worker, "P2": worker}, rounds=20, think_s=0.002)

Scripts and children import this module, so pandas is imported only when a run is looked at.
"""

import json
import multiprocessing
import os
import platform
import random
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import cloudpickle

from streamlib import database, home, recorder, worker

if TYPE_CHECKING:
    from streamlib.runs import Run

START_S = 60  # for an interpreter to start and import what the worker needs
LINGER_S = 5  # for a process to leave after its last round
LOOK_S = 0.05  # how often a running program is looked at when somebody watches


class Event(NamedTuple):
    """One mark as `watch` sees it: `start` is seconds since the start gate."""

    start: float
    process: str
    state: str
    record: str | None
    resource: str | None
    detail: str | None


@dataclass
class Child:
    """One process of the plan, as its parent sees it."""

    name: str
    log: Path
    process: multiprocessing.Process
    pid: int
    pipe: Connection
    alive: bool = True
    shown: int = 0  # marks that the watcher has seen
    ended_by_lab: str = ""

    def send(self, message: object) -> None:
        try:
            self.pipe.send(message)
        except OSError:
            self.alive = False


@dataclass
class _Story:
    """What is kept of a run beside the events."""

    problems: list[str] = field(default_factory=list)
    rows: list | None = None  # [round, id, name, process]
    round: int = 0
    last_id: int = 0  # of the rows that were there before this round
    counted: int = 0  # the last round whose rows were counted


def run(
    plan: Mapping[str, Callable],
    *,
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
    params = {
        "processes": list(plan),
        "rounds": rounds,
        "think_s": home.seconds("think_s", think_s),
        "seed": random.SystemRandom().randrange(2**32) if seed is None else seed,
        "timeout_s": home.seconds("timeout_s", timeout_s),
        "scale": home.scale(),
    }
    pickled = {name: _pickle(name, work) for name, work in plan.items()}
    folder = _new_folder(label)
    db = folder / "lab.db" if db is None else Path(db).resolve()
    children, story = [], _Story()
    try:
        for number, (name, work) in enumerate(pickled.items(), start=1):
            children.append(_start(number, name, work, folder, db, params))
        _rounds(children, params, db, setup, watch, story)
    except BaseException as error:
        story.problems.append(f"The run was cut short by {type(error).__name__}.")
        for child in children:
            child.process.kill()
        raise
    finally:
        exits = _end(children, story)
        _count(children, db, story)
        _show(children, watch)
        about = {
            "label": label,
            "made": datetime.now().astimezone().isoformat(timespec="seconds"),
            "params": params,
            "rounds_run": story.round,
            "system": f"{platform.system()}, Python {platform.python_version()}",
            "db": str(db),
            "exits": exits,
            "problems": story.problems,
            "rows": story.rows,
        }
        (folder / "run.json").write_text(json.dumps(about, indent=1), encoding="utf-8")

    from streamlib.runs import Run

    return Run(folder)


def history(label: str | None = None) -> list["Run"]:
    """Return the kept runs, oldest first: all of them, or those with this label."""
    from streamlib.runs import Run

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
    if not isinstance(rounds, int) or not 1 <= rounds <= 100_000:
        raise ValueError(f"rounds is {rounds!r}: give a whole number from 1 to 100,000.")


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


def _start(number: int, name: str, work: bytes, folder: Path, db: Path, params: dict) -> Child:
    context = multiprocessing.get_context("spawn")  # the same on every system
    here, there = context.Pipe()
    log = folder / f"{number}.rec"
    settings = {"name": name, "db": db, "recorder": log, "output": log.with_suffix(".out")}
    settings |= {key: params[key] for key in ("think_s", "scale", "seed")}
    process = context.Process(
        target=worker.main, args=(settings, there, work), name=name, daemon=True
    )
    process.start()
    there.close()  # so that the pipe closes when the child ends
    return Child(name, log, process, process.pid, here)


def _rounds(children, params, db, setup, watch, story) -> None:
    """Open the gate, wait until all have ended, count the rows: once for each round."""
    ready = _gather(children, START_S, "did not start", watch, story) and not story.problems
    while ready and story.round < params["rounds"]:
        setup(db)
        story.last_id = max((row["id"] for row in _rows(db) or []), default=0)
        story.round += 1
        gate_ns = time.perf_counter_ns()
        for child in children:
            child.send((story.round, gate_ns))
        ready = _gather(children, params["timeout_s"], "was still running", watch, story)
        _count(children, db, story)
    if story.round < params["rounds"]:
        story.problems.append(
            f"Only {story.round} of {params['rounds']} rounds were run: not every process was "
            "there for the next."
        )


def _gather(children, limit_s, late, watch, story) -> bool:
    """Wait until each child has answered; True if all are alive and can go on."""
    deadline = time.monotonic() + limit_s
    waiting = {child.pipe: child for child in children}
    while waiting:
        left = deadline - time.monotonic()
        if left <= 0:
            for child in waiting.values():
                child.ended_by_lab = f"{late} after {limit_s:g} s and was ended by the lab"
                child.process.kill()
            left = LINGER_S  # their pipes close at once
        for pipe in wait(list(waiting), timeout=min(left, LOOK_S) if watch else left):
            child = waiting.pop(pipe)
            try:
                if problem := pipe.recv():
                    story.problems.append(_in_round(story, problem))
            except (EOFError, OSError):
                _note_death(child, story)
        _show(children, watch)
    return all(child.alive for child in children)


def _in_round(story: _Story, problem: str) -> str:
    return f"Round {story.round}: {problem}" if story.round > 1 else problem


def _note_death(child: Child, story: _Story) -> None:
    noticed_ns = time.perf_counter_ns()
    child.alive = False
    child.process.join(LINGER_S)
    how = child.ended_by_lab or f"ended early with {exit_words(child.process.exitcode)}"
    if child.log.exists() and child.log.stat().st_size:
        recorder.died(child.log, noticed_ns, how)
        story.problems.append(_in_round(story, f"{child.name} {how}."))
    else:
        story.problems.append(
            f"{child.name} {how} before its worker began: a script that calls processes.run "
            'needs the line   if __name__ == "__main__":   above that call.'
        )


def exit_words(code: int | None) -> str:
    """Return an exit code in words: negative ones are the signal that ended the process."""
    if code is not None and code < 0:
        try:
            return f"signal {-code} ({signal.Signals(-code).name})"
        except ValueError:
            return f"signal {-code}"
    return f"exit code {code}"


def _rows(db: Path) -> list[dict] | None:
    try:
        return database.rows(db)
    except OSError:
        return None  # this run keeps its data elsewhere: nothing is counted


def _count(children, db, story) -> None:
    """Keep the rows that this run's processes have put into the database in this round."""
    found = _rows(db) if story.counted < story.round else None
    if found is None:
        return
    story.counted = story.round
    pids = {child.pid for child in children} | {None}
    own = [row for row in found if row["id"] > story.last_id and row["pid"] in pids]
    story.rows = story.rows or []
    story.rows += [[story.round, row["id"], row["name"], row["process"]] for row in own]


def _show(children, watch) -> None:
    """Hand the new events to the watcher, in the order of their times."""
    if not watch:
        return
    new = []
    for child in children:
        try:
            log = recorder.read(child.log)
        except (OSError, ValueError):
            continue  # not there yet
        gate_ns = 0
        for at, (t_ns, seq, code) in enumerate(log.marks):
            state, record, resource, detail = log.texts[code]
            gate_ns = seq if state == "started" else gate_ns
            if at >= child.shown:
                start = (t_ns - gate_ns) / 1e9
                new.append(Event(start, child.name, state, record, resource, detail))
        child.shown = len(log.marks)
    for event in sorted(new, key=lambda event: event.start):
        watch(event)


def _end(children: list[Child], story: _Story) -> dict[str, int | None]:
    """Let every process leave, end those that do not, and return the exit codes."""
    for child in children:
        if child.alive:
            child.send(None)
    deadline = time.monotonic() + LINGER_S
    for child in children:
        try:
            while child.alive and child.pipe.poll(max(0, deadline - time.monotonic())):
                problem = child.pipe.recv()
                if problem:
                    story.problems.append(problem)
        except (EOFError, OSError):
            pass  # it has left
        child.process.join(max(0, deadline - time.monotonic()))
        if child.process.is_alive():
            story.problems.append(f"{child.name} did not leave after its last round and was ended.")
            child.process.kill()
            child.process.join()
        child.pipe.close()
        if child.log.exists():
            recorder.trim(child.log)
    exits = {child.name: child.process.exitcode for child in children}
    for child in children:
        child.process.close()
    return exits
