"""The processes of one run as their parent sees them: started, gated, watched, ended.

Each child hangs on a pipe. A pipe that closes is a child that has gone, known within about a
millisecond; nothing that a dead child held can block the others or the parent.
"""

import contextlib
import multiprocessing
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import NamedTuple

from streamlib.processes import child as worker
from streamlib.processes import recorder
from streamlib.processes.taking import Answer

START_S = 60  # for an interpreter to start and to import what the worker needs
LEAVE_S = 5  # for a process to leave after its last round
LOOK_S = 0.05  # how often the logs are looked at when somebody watches


class Event(NamedTuple):
    """One mark as `watch` sees it: `start` is seconds since the start gate."""

    start: float
    process: str
    state: str
    item: str | None
    resource: str | None
    detail: str | None


@dataclass
class Child:
    """One process of the plan."""

    name: str
    log: Path
    process: multiprocessing.Process
    pid: int
    pipe: Connection
    alive: bool = True
    shown: int = 0  # how many bytes of its recording the watcher has seen
    gate_ns: int = 0


class Children:
    """All processes of one run. `problems` collects a sentence for each thing that went wrong."""

    def __init__(self, watch: Callable[[Event], object] | None):
        self.all: list[Child] = []
        self.problems: list[str] = []
        self._watch = watch
        self._where = ""  # the round, for the sentences about it

    def start(self, settings: dict, pickled: bytes) -> None:
        """Start one process; `settings` as `streamlib.worker.main` needs them."""
        context = multiprocessing.get_context("spawn")  # the same on every system
        here, there = context.Pipe()
        name, log = settings["name"], settings["recorder"]
        process = context.Process(
            target=worker.main, args=(settings, there, pickled), name=name, daemon=True
        )
        process.start()
        there.close()  # so that the pipe closes when the child ends
        self.all.append(Child(name, log, process, process.pid, here))

    def ready(self) -> bool:
        """Wait until every process has started; True if each can begin."""
        return self._gather(START_S, "did not start within", "") and not self.problems

    def play(self, number: int, limit_s: float) -> bool:
        """Open the gate for one round and wait for its end; True if all can play another.

        What still runs after `limit_s` seconds is ended.
        """
        self.open_gate(number)
        return self._gather(limit_s, "was still running after", self._where)

    def open_gate(self, number: int) -> None:
        """Let every process begin this round; under a schedule each then waits for its turn."""
        message = (number, time.perf_counter_ns())
        self._where = f"Round {number}: " if number > 1 else ""
        for child in self.all:
            _send(child, message)

    def turn(self, child: Child, number: int, step: str | None, limit_s: float) -> Answer | None:
        """Give one process one turn; return its answer, or None if it is gone.

        A process that takes longer than `limit_s` seconds is ended.
        """
        _send(child, (number, step))
        try:
            if not child.pipe.poll(limit_s):
                why = (
                    f"did not finish turn {number} within {limit_s:g} s: it waits for something "
                    "that another process has, or never comes to its next step; it was ended by "
                    "the lab"
                )
                self._kill(child, why)
                return None
            answer = child.pipe.recv()
        except (EOFError, OSError):
            self._note_death(child, "", "")
            return None
        if answer.error:
            self.problems.append(self._where + answer.error)
        self._show()
        return answer

    def give_up(self, waiting: list[Child]) -> None:
        """End the round for these processes, which wait for a turn."""
        for child in waiting:
            _send(child, None)
        for child in waiting:
            if child.alive:
                self._last_answer(child)

    def _last_answer(self, child: Child) -> None:
        try:
            if child.pipe.poll(LEAVE_S):
                child.pipe.recv()
            else:
                self._kill(child, "did not leave a round that was given up", self._where)
        except (EOFError, OSError):
            self._note_death(child, "", self._where)

    def end(self) -> dict[str, int | None]:
        """Let every process leave, end those that do not; return the exit codes by name."""
        for child in self.all:
            _send(child, None)
        deadline = time.monotonic() + LEAVE_S
        for child in self.all:
            try:
                while child.pipe.poll(max(0, deadline - time.monotonic())):
                    if problem := child.pipe.recv():
                        self.problems.append(problem)
            except (EOFError, OSError):
                pass  # it has left
            child.process.join(max(0, deadline - time.monotonic()))
            if child.process.is_alive():
                self._kill(child, "did not leave after its last round and was ended by the lab")
            child.pipe.close()
        self._show()
        return {child.name: child.process.exitcode for child in self.all}

    def abort(self) -> None:
        """End every process now."""
        for child in self.all:
            if child.alive:
                self._kill(child, "was ended when the run was cut short")

    def _gather(self, limit_s: float, late: str, where: str) -> bool:
        """Wait until each child has answered or gone; True if all are alive."""
        deadline = time.monotonic() + limit_s
        waiting = {child.pipe: child for child in self.all}
        while waiting:
            left = deadline - time.monotonic()
            if left <= 0:
                for child in waiting.values():
                    self._kill(child, f"{late} {limit_s:g} s and was ended by the lab", where)
                break
            for pipe in wait(list(waiting), timeout=min(left, LOOK_S) if self._watch else left):
                child = waiting.pop(pipe)
                try:
                    if problem := pipe.recv():
                        self.problems.append(where + problem)
                except (EOFError, OSError):
                    self._note_death(child, "", where)
            self._show()
        return all(child.alive for child in self.all)

    def _kill(self, child: Child, why: str, where: str = "") -> None:
        child.process.kill()
        self._note_death(child, why, where)

    def _note_death(self, child: Child, why: str, where: str) -> None:
        noticed_ns = time.perf_counter_ns()
        child.alive = False
        child.process.join(LEAVE_S)
        why = why or f"ended early with {exit_words(child.process.exitcode)}"
        if child.log.exists() and child.log.stat().st_size:
            recorder.died(child.log, noticed_ns, why)
        else:
            why += (
                " before its worker began: a script that calls processes.run needs the line   "
                'if __name__ == "__main__":   above that call'
            )
        self.problems.append(f"{where}{child.name} {why}.")

    def _show(self) -> None:
        """Hand the new events to the watcher, in the order of their times."""
        if not self._watch:
            return
        new = []
        for child in self.all:
            try:
                times, seqs, kinds, _, child.shown = recorder.read(child.log, child.shown)
            except (OSError, ValueError):
                continue  # not there yet
            for t_ns, seq, kind in zip(times, seqs, kinds, strict=True):
                child.gate_ns = seq if kind.state == "started" else child.gate_ns
                if child.gate_ns:
                    new.append(Event((t_ns - child.gate_ns) / 1e9, *kind[1:]))
        for event in sorted(new, key=lambda event: event.start):
            self._watch(event)


def exit_words(code: int | None) -> str:
    """Return an exit code in words: negative ones are the signal that ended the process."""
    if code is not None and code < 0:
        try:
            return f"signal {-code} ({signal.Signals(-code).name})"
        except ValueError:
            return f"signal {-code}"
    return f"exit code {code}"


def _send(child: Child, message: object) -> None:
    with contextlib.suppress(OSError):  # it has gone: whoever reads its pipe next is told so
        child.pipe.send(message)
