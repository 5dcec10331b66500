"""What runs inside each process that the lab starts: the gate, the worker, and its handle `me`.

Every child imports this module, so it imports neither pandas nor matplotlib.
"""

import multiprocessing
import os
import pickle
import random
import signal
import sqlite3
import sys
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from streamlib import home
from streamlib.processes.recorder import Recorder
from streamlib.processes.taking import Abandoned, Turns

UNCALLED = (
    "its worker only returned a function; call the maker of workers in the plan, as in "
    "database.pets(['Ace'])."
)


class Me:
    """The handle that a worker gets: who it is, and the lab's few services.

    name: the process's name in the plan; db: path of the shared database;
    rng: a `random.Random` of its own, seeded by the run's seed, the name and the round;
    round: 1, 2, ...; scale: the time scale, which is 0 under a schedule: nobody has to wait;
    mark: see `streamlib.processes.recorder.Recorder.mark`.
    """

    def __init__(
        self,
        name: str,
        db: Path,
        recorder: Recorder,
        think_s: float,
        scale: float,
        turns: Turns | None,
    ):
        self.name = name
        self.db = db
        self.scale = 0 if turns else scale
        self.round = 0
        self.rng = random.Random()
        self.mark = (turns or recorder).mark
        self._think_s = 0 if turns else think_s
        self._turns = turns

    def step(self, name: str, item: object = None) -> None:
        """Say that the next step begins, and on which item: `me.step("insert", "Ace")`.

        Under a schedule it begins when it is this process's turn.
        """
        if not name[:1].isalpha() or name[0] in "xX":  # digits and x mean something in a schedule
            raise ValueError(f"{name!r} cannot name a step: begin it with a letter other than x.")
        turn = self._turns.step(name) if self._turns else -1
        self.mark("step", item, None, name, turn)

    def watch_sql(self, connection: sqlite3.Connection) -> None:
        """Under a schedule, have the parent told of the SQL commands of each turn."""
        if self._turns:
            tell = self._turns.sql
            connection.set_trace_callback(lambda sql: tell(sql, connection.in_transaction))

    def hold(self, seconds: float) -> None:
        """Take time as a slow task does: sleep for `seconds` times the time scale."""
        time.sleep(home.seconds("hold", seconds) * self.scale)

    def think(self) -> None:
        """Pause for a random time between 0 and the run's `think_s`, as real work in between."""
        time.sleep(self.rng.uniform(0, self._think_s))


def main(settings: dict, pipe: Connection, pickled: bytes) -> None:
    """Run one worker for as many rounds as the parent asks for; the target of each process.

    settings: name, db, recorder, output (paths), think_s, scale, seed, scheduled.
    The parent sends (round, gate time in ns) for each round and None at the end; the child
    answers with "" when a round ended well, else with what went wrong. Under a schedule there
    are turns within a round: see `streamlib.turns`.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Jupyter interrupts children too; the parent acts
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    sys.stdout = sys.stderr = open(  # noqa: SIM115 - stays open as long as the process lives
        settings["output"], "a", encoding="utf-8", errors="backslashreplace", buffering=1
    )
    recorder = Recorder(settings["recorder"], settings["name"], settings["scale"])
    turns = Turns(pipe, recorder.mark) if settings["scheduled"] else None
    me = Me(
        settings["name"],
        settings["db"],
        recorder,
        settings["think_s"],
        settings["scale"],
        turns,
    )
    try:
        worker = pickle.loads(pickled)  # made by our own parent, on this machine
    except Exception as error:  # an import can fail in any way
        pipe.send(
            f"The worker of {me.name} cannot be loaded ({type(error).__name__}: {error}): write "
            "it in the notebook, or in a file in the folder that Python was started in."
        )
        sys.exit(1)
    status = 0
    pipe.send("")
    while (message := pipe.recv()) is not None:
        me.round, gate_ns = message
        recorder.mark("started", seq=gate_ns)
        me.rng.seed(f"{settings['seed']}/{me.name}/{me.round}")  # a text seeds alike everywhere
        error, round_status = _run(worker, me, turns)
        recorder.mark("ended")
        status = status or round_status
        if turns:
            turns.end(error)
        else:
            pipe.send(error)
    recorder.close()
    pipe.send(recorder.problem)
    sys.exit(status)


def _run(worker: Callable[[Me], object], me: Me, turns: Turns | None) -> tuple[str, int]:
    """Run the worker once; return what went wrong and the exit status that follows from it."""
    try:
        if turns:
            turns.begin()
        if callable(worker(me)):
            return f"{me.name}: {UNCALLED}", 1
    except Abandoned:
        return "", 0
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        return (f"{me.name} called sys.exit({stop.code!r})." if status else ""), status
    except BaseException as error:  # whatever a learner's worker raises is told to the parent
        traceback.print_exc()
        line = traceback.extract_tb(error.__traceback__)[-1].lineno
        said = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
        return f"{me.name} raised {said} (line {line}; the whole traceback is in run.output).", 1
    return "", 0


def _leave_with_parent() -> None:
    """End this process when the parent has gone, killed kernels included."""
    multiprocessing.parent_process().join()
    os._exit(1)
