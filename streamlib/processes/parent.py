"""The processes of one run as their parent sees them: started, gated, watched, ended."""

import contextlib
import math
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import NamedTuple

from streamlib import guard, home, resources
from streamlib.processes import child, recorder

START_S = 60  # for an interpreter to start and to import what the worker needs
TURN_S = 2  # a turn that takes longer is ended: it waits for what nobody can give it
LEAVE_S = 5  # for a process to leave after its last round
LOOK_S = 0.05  # how often the recordings are read while somebody watches, or a bar is shown
SOON_S, OFTEN_S = 2, 0.2  # when the bar of a long run appears, and how often it changes
BAR = "{l_bar}{bar}| {n_fmt} of {total_fmt} rounds done, {elapsed}"


class Event(NamedTuple):
    """One mark as `watch` sees it: `start` is in seconds since the start gate."""

    start: float
    process: str
    state: str
    item: str | None
    resource: str | None
    detail: str | None


@dataclass(eq=False)
class Child:
    """One process of the plan."""

    name: str
    recording: Path
    process: multiprocessing.Process
    pipe: Connection
    alive: bool = True
    shown: int = 0  # how much of its recording the watcher has seen
    seen: int = 0  # how much of it a look for deadlocks has
    size: int = -1  # how long it was at the last look
    marks: dict = field(default_factory=dict)  # resource -> its last mark, as seen

    def send(self, message: object) -> None:
        """Send it something, if it is not gone: whoever reads its pipe next learns that."""
        with contextlib.suppress(OSError):
            self.pipe.send(message)

    def standing(self) -> list[Event]:
        """Return its last marks, one a resource, if there is none since it was last asked."""
        before, self.size = self.size, self.recording.stat().st_size
        if self.size == before > self.seen:
            new, _, self.seen = recorder.read(self.recording, self.seen)
            for mark in new:
                kept = self.marks if mark.state not in ("started", "ended") else {}
                self.marks = kept | {mark.resource: Event(mark.t_ns, *mark[3:])}
        return [*self.marks.values()] if self.size == before else []


class Children:
    """All processes of one run; `problems` has a sentence for each thing that went wrong."""

    def __init__(self, rounds: int, watch: Callable[[Event], object] | None):
        self.all: list[Child] = []
        self.problems: list[str] = []
        self.able = True  # whether all of them can play another round
        self._watch, self._where, self._gate_ns = watch, "", math.inf
        quiet = watch or os.environ.get("STREAMLIB_PREDICT") == "skip"
        self._bar, self._bar_due = None, math.inf if quiet else time.monotonic() + SOON_S
        self._rounds, self._done = rounds, 0  # how many are to be played, 0 if unknown
        self.shared = resources.Broker({})
        self.mark = f"{guard.mark()}_{time.time_ns()}"  # of what the workers start

    def start(self, settings: dict, pickled: bytes) -> None:
        """Start one process; `settings` as `child.main` needs them."""
        context = multiprocessing.get_context("spawn")  # the same on every system
        here, there = context.Pipe()
        process = context.Process(target=child.main, args=(settings, there, pickled), daemon=True)
        self.all.append(Child(settings["name"], settings["recorder"], process, here))
        guard.start(process)
        there.close()  # so that the pipe closes when the child ends

    def ready(self) -> None:
        """Wait until every process has started."""
        self._expect(self.all, START_S, f"did not start within {START_S} s")
        self.able = not self.problems

    def play(self, number: int, limit_s: float) -> None:
        """Play a free round; end what is still running after `limit_s` seconds."""
        self.open_gate(number)
        self.shared.due = 0
        self._expect(self.all, limit_s, f"was still running after {limit_s:g} s")

    def open_gate(self, number: int) -> None:
        """Let every process begin this round; under a schedule each then waits for its turn."""
        self._where = f"Round {number}: " if number > 1 else ""
        self._done = number - 1
        self._gate_ns = time.perf_counter_ns()
        for one in self.all:
            one.send((number, self._gate_ns))

    def turn(self, one: Child, number: int) -> child.Answer:
        """Let one process go on (see `Me._ask`); its answer's error tells if it is gone."""
        one.send(number)
        limit = f"{TURN_S:g} s (does it loop, or wait for another process?)"
        return self._answers([one], TURN_S, f"did not finish turn {number} within {limit}")[0]

    def give_up(self, waiting: list[Child], late: str = "did not leave a round") -> None:
        """End the round for these processes, which wait for a turn; or the run for all."""
        for one in waiting:
            one.send(None)
        self._expect(waiting, LEAVE_S, late)

    def end(self) -> None:
        """Let every process leave, and end those that do not."""
        late = "did not leave after its last round"
        self._where = ""
        self.give_up(self.all, late)
        deadline = time.monotonic() + LEAVE_S + len(self.all) / 5  # many need longer
        for one in self.all:
            one.process.join(max(0, deadline - time.monotonic()))
            if one.process.is_alive():
                self.note(self._bury(one, late).error)
        self._show()

    def abort(self) -> None:
        """End every process now, and what the workers have left running."""
        late = "was still at work when the run was cut short"
        self.note(*(self._bury(one, late).error for one in self.all if one.process.is_alive()))
        if left := guard.end(self.mark):
            self.note(f"Programs left running by the workers, which the lab ended: {left}.")
        if self._bar is not None:
            self._bar.total = None  # or a notebook would keep it, in red
            self._bar.close()

    def note(self, *problems: str) -> None:
        """Keep what went wrong in the present round, once; skip empty texts."""
        new = dict.fromkeys(self._where + problem for problem in problems if problem)
        self.problems += [problem for problem in new if problem not in self.problems]

    def _expect(self, children: list[Child], limit_s: float, late: str) -> None:
        self.note(*(answer.error for answer in self._answers(children, limit_s, late)))

    def _answers(self, children: list[Child], limit_s: float, late: str) -> list[child.Answer]:
        """Return the answers of those that are alive; for one that dies or is late, our own."""
        deadline = time.monotonic() + limit_s
        waiting = {one.pipe: one for one in children if one.alive}
        answers = []
        while waiting:
            left = deadline - time.monotonic()
            if left <= 0:
                return answers + [self._bury(one, late) for one in waiting.values()]
            for pipe in wait(list(waiting), min(left, LOOK_S)):
                try:
                    if isinstance(message := pipe.recv(), tuple):
                        self.shared.ask(waiting[pipe], message)
                        continue
                    answers.append(child.Answer(*message))
                except (EOFError, OSError):
                    if waiting[pipe].process.is_alive():  # at its end, or without its files
                        time.sleep(0.001)
                        continue
                    answers.append(self._bury(waiting[pipe]))
                if answers[-1].place is None:
                    self.note(*self.shared.leave(waiting[pipe]))
                del waiting[pipe]
            with contextlib.suppress(OSError):  # a recording is gone
                self.note(self.shared.look([*waiting.values()]))
            self._show()
            self._show_bar([one.name for one in waiting.values()])
        return answers

    def _bury(self, one: Child, late: str = "") -> child.Answer:
        """End a process that is late, or gone; return the answer that it cannot give."""
        noticed_ns = time.perf_counter_ns()
        self.able = one.alive = False
        one.process.kill()
        one.process.join(LEAVE_S)
        code = exit_words(one.process.exitcode)
        why = f"{late}, so the lab ended it" if late else f"ended early with {code}"
        try:
            recorder.died(one.recording, one.process.pid, one.name, noticed_ns, why)
        except OSError:  # it has no recording yet
            why += f" before its worker began: {child.MAIN_LINE}   above that call"
        return child.Answer(f"{one.name} {why}{home.hiding_files() * (self._gate_ns == math.inf)}.")

    def _show(self) -> None:
        """Hand the new events to the watcher, in the order of their times."""
        new = []
        for one in self.all if self._watch else ():
            with contextlib.suppress(OSError):  # its recording is not there yet
                marks, _, one.shown = recorder.read(one.recording, one.shown)
                new += marks
        for mark in sorted(new, key=lambda mark: mark.t_ns):
            if mark.t_ns >= self._gate_ns:
                self._watch(Event((mark.t_ns - self._gate_ns) / 1e9, *mark[3:]))

    def _show_bar(self, at_work: list[str]) -> None:
        """Show who is at work, unless a watcher is told or predictions are skipped."""
        if time.monotonic() < self._bar_due:
            return
        self._bar_due = time.monotonic() + OFTEN_S
        if self._bar is None:
            from tqdm.auto import tqdm  # here, because children and quick runs need none of it

            self._bar = tqdm(total=self._rounds or None, leave=False, bar_format=BAR)
            self._bar.start_t -= SOON_S
        self._bar.n = self._done
        self._bar.set_description(f"At work: {', '.join(at_work) or 'the lab'}"[:60])


def exit_words(code: int | None) -> str:
    """Return an exit code in words: a negative one is the signal that ended the process."""
    with contextlib.suppress(TypeError, ValueError):  # it has none yet, or it is not a signal's
        return f"signal {-code} ({signal.Signals(-code).name})"
    return f"exit code {code}"
