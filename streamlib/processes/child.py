"""What runs inside each process that the lab starts: the worker, its handle, its turns."""

import contextlib
import gc
import inspect
import io
import multiprocessing
import os
import random
import reprlib
import signal
import sys
import threading
import time
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import cloudpickle

from streamlib import home, resources
from streamlib.processes import places
from streamlib.processes.recorder import Recorder

UNPLAIN = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
ALONE = "give a function of one argument, and open files, connections and the like inside it"
SHARED = "what processes share goes into the database, and its BEGIN IMMEDIATE is their lock"
SHARED += ", or it is named in resources.shared"
KEPT_BYTES = 50_000  # of what a worker prints, at the beginning and at the end
NOT_THEIRS = (places.__file__, resources.__file__, contextlib.__file__)
MAIN_LINE = 'a script that calls processes.run needs the line   if __name__ == "__main__":'


@dataclass
class Answer:
    """What a child tells its parent: at its start, at each place, and after each round."""

    error: str = ""  # what went wrong, a sentence
    place: str | None = None  # where it waits, a step or an SQL command; None if its worker ended
    command: bool = False  # whether that is an SQL command
    refused: str = ""  # by a lock: it "waits" to try again, or it "gave up" where others wait
    locks: list[str] = field(default_factory=list)  # as `places.locks` tells them
    unmixed: dict[str, None] = field(default_factory=dict)  # sentences, each once
    ran: list[tuple] = field(default_factory=list)  # (connection, path, SQL command), the new ones


class Output(io.FileIO):
    """What a worker prints, in a file: the first and the last part of it, if it is long."""

    _left, _said = 0, b""  # bytes that are left out, and the line that says so

    def write(self, data: bytes) -> int:
        """Write what was printed; leave out the middle of a file that has grown too long."""
        done = super().write(data)
        if self.tell() > 4 * KEPT_BYTES:
            self.seek(KEPT_BYTES)
            rest = self.read().removeprefix(self._said)
            self._left += len(rest) - KEPT_BYTES
            self._said = b"\n(%d bytes are left out here.)\n" % self._left
            self.truncate(KEPT_BYTES)
            super().write(self._said + rest[-KEPT_BYTES:])
        return done


class Me:
    """The handle that a worker gets: who it is, and the few services of the lab.

    name: its name in the plan; db: path of the shared database; round: 1, 2, ...; rng: a
    `random.Random` seeded by the run's seed, the name, and the round; scale: the time scale.
    """

    def __init__(self, settings: dict, recorder: Recorder, pipe: Connection):
        self.name, self.db, self.round = settings["name"], settings["db"], 0
        self.rng, self._dropped = random.Random(), ""
        self._scheduled = settings["scheduled"]  # then nobody has to wait
        self.scale = 0 if self._scheduled else settings["scale"]
        self._think_s = 0 if self._scheduled else settings["think_s"]
        self._recorder, self._pipe, self._answer = recorder, pipe, Answer()
        self._here = os.getpid(), threading.get_ident()
        self._place, self._room, self._abandoned = "", False, False  # see `_run`

    def step(self, name: str, item: object = None) -> None:
        """Begin the next step, on this item: `me.step("insert", "Ace")`.

        Under a schedule it waits for this process's turn. Raises ValueError for a bad name.
        """
        if not isinstance(name, str) or not name[:1].isalpha() or name[0] in "xX":  # x: gives up
            raise ValueError(f"{name!r} cannot name a step: begin it with a letter other than x.")
        turn = self._ask(name) if self._takes_turns() else -1
        self._room = True  # a step and the first command after it are one place
        self._recorder.mark("step", item, None, name, turn)

    def mark(
        self, state: str, item: object = None, resource: str | None = None, detail: object = None
    ) -> None:
        """Record what happened now: `me.mark("holding", "Ace", "lab.db")`.

        state: waiting, holding, done, gave_up, or a word of your own; item: what it works on;
        resource: what is shared; detail: in words.
        """
        self._recorder.mark(state, item, resource, detail)

    def hold(self, seconds: float) -> None:
        """Take time as a slow task does: sleep for `seconds` times the time scale."""
        time.sleep(home.seconds("hold", seconds) * self.scale)

    def think(self) -> None:
        """Pause for a random time between 0 and the run's `think_s`."""
        time.sleep(self.rng.uniform(0, self._think_s))

    def _takes_turns(self) -> bool:
        """Tell whether the lab grants turns here: to no thread and no fork of a worker."""
        if self._abandoned:
            raise places.Abandoned
        here = self._here == (os.getpid(), threading.get_ident())
        return self._scheduled and self.round > 0 and here

    def _command(self, word: str) -> bool:
        """Wait before an SQL command; tell whether it is a place of its own."""
        turn = 0 if self._room else self._ask(word, command=True)
        if turn:
            self._recorder.mark("step", None, None, word, turn)
            self._room = True  # for the command itself
        return turn > 0

    def _waits(self, how: str) -> bool:
        """Tell how a lock refused a command, see `Answer`; return whether to run it again."""
        self._answer.refused = how or self._answer.refused
        self._room = how == "waits" and self._ask(self._place) > 0
        return self._room

    def _note(self, what: str, kind: str = "such calls") -> None:
        """Note what this process does that the lab does not mix, such as with files."""
        where = f"in step {self._place}" if self._place else "before its first step"
        mixed = f"the lab mixes steps and SQL commands, not what {kind} do between them"
        self._answer.unmixed[f"{self.name} {what} {where}; {mixed}"] = None

    def _ask(self, place: str | None = None, *, command: bool = False) -> int:
        """Tell of this place; wait for the number of the turn, or 0 to go on without (`turns`)."""
        if place is not None:
            self._tell(place, command=command)
        if (number := self._pipe.recv()) is None:
            self._abandoned = True
            raise places.Abandoned
        self._place = place if number and place else self._place
        return number

    def _tell(self, place: str | None, error: str = "", *, command: bool = False) -> None:
        self._answer.place, self._answer.error, self._answer.command = place, error, command
        self._answer.locks = places.locks()
        self._pipe.send([*vars(self._answer).values()])  # a list is quicker to send
        self._answer.ran *= bool(self._answer.refused)  # then they are told again
        self._answer.refused = ""


def main(settings: dict, pipe: Connection, pickled: bytes) -> None:
    """Run one worker in each round, until the parent sends None; the target of each process.

    settings: name, db and recorder (paths), think_s, scale, seed, scheduled.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Jupyter interrupts children too; the parent acts
    os.environ |= {"NO_COLOR": "1", settings["mark"]: ""}  # kernels set FORCE_COLOR
    if os.name == "posix":
        os.register_at_fork(after_in_child=pipe.close)  # a copy cannot answer for its worker
    output = io.BufferedWriter(Output(settings["recorder"].with_suffix(".out"), "a+"))
    sys.stdout = sys.stderr = io.TextIOWrapper(output, "utf-8", "backslashreplace", None, True)
    recorder = Recorder(settings["recorder"], settings["name"], settings["scale"])
    me = Me(settings, recorder, pipe)
    status = 0
    if settings["scheduled"]:
        places.watch(me)  # before the worker is loaded, which may bring its own `connect`
    try:
        worker = cloudpickle.loads(pickled)  # made by our own parent, on this machine
        me._tell(None)
    except Exception as error:  # an import can fail in any way; the parent opens no gate then
        status, said = 1, f"The worker of {me.name} cannot be loaded ({error!r})"
        me._tell(None, f"{said}: write it in the notebook (without a cache) or a file beside it.")
    while (message := pipe.recv()) is not None:
        me.round, gate_ns = message
        recorder.mark("started", seq=gate_ns)
        me.rng.seed(f"{settings['seed']}/{me.name}/{me.round}".encode("utf-8", "replace"))
        error = _run(worker, me)
        for connection in [*places.opened]:
            connection.close()  # nobody else may have
        recorder.mark("ended")
        if error:
            status = 1
            gc.collect()  # an open connection in a cycle of references would keep its lock
        me._tell(None, error)
    recorder.close()
    me._tell(None, recorder.problem or me._dropped)
    sys.exit(status)


def _run(worker: Callable[[Me], object], me: Me) -> str:
    """Run the worker once; return what went wrong, a sentence or ""."""
    try:
        me._place, me._room, me._abandoned = "", False, False
        if me._scheduled:
            me._ask()
        returned = worker(me)
        if callable(returned):
            return f"{me.name}'s worker makes workers: call it, as in database.pets(['Ace'])."
        said = f"{me.name}'s worker returned {reprlib.repr(returned)}"
        if isinstance(returned, Awaitable | AsyncGenerator | Generator | map):
            return f"{said}, which has not done its work: write it without async or yield."
        if returned is not None:
            me._dropped = f"{said}, which is dropped: store it, or give it to me.mark."
    except places.Abandoned:
        pass
    except Exception as error:  # whatever a learner's worker raises, the parent is told
        traceback.print_exc()
        frames = traceback.extract_tb(error.__traceback__)
        line = [frame.lineno for frame in frames if frame.filename not in NOT_THEIRS][-1]
        said = " ".join(traceback.format_exception_only(error)[-1].split())
        said = said.removeprefix("streamlib.resources.")
        said += "; a worker has no keyboard" * isinstance(error, EOFError)
        return f"{me.name} raised {said} (line {line}; the whole traceback is in run.output)."
    return ""


def need_function(argument: str, **given: object) -> None:
    """Raise TypeError unless each of these is a function of that one argument."""
    for name, function in given.items():
        try:
            inspect.signature(function).bind(None)
        except (TypeError, ValueError):
            raise TypeError(f"{name} is {function!r}: give a function of {argument}.") from None


def packed(plan: Mapping[str, Callable[[Me], object]]) -> dict[str, bytes]:
    """Return each worker as it is sent to its process. Raises TypeError for an unusable plan."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise RuntimeError(f"This script would start itself again in each child: {MAIN_LINE}.")
    named = isinstance(plan, Mapping) and all(isinstance(n, str) and n.strip() for n in plan)
    if not (plan and named):
        raise TypeError(f'The plan is {plan!r}: give a dict, as in {{"P1": worker}}.')
    workers = {}
    for name, worker in plan.items():
        if worker is None:
            raise TypeError(f"The worker of {name} is None: end its maker with `return worker`.")
        try:
            inspect.signature(worker).bind(None)
            if any(kind(one) for kind in UNPLAIN for one in (worker, worker.__call__)):
                raise TypeError("it is async or yields, but must be a plain function")
            workers[name] = cloudpickle.dumps(worker)
        except Exception as error:  # pickling fails in many ways; each means the same to a learner
            why = f"The worker of {name} cannot be sent to a process ({error})"
            raise TypeError(f"{why}: {ALONE}; {SHARED}.") from None
    return workers
