"""Taking turns, the child's side: under a schedule a process runs only while it has the turn.

A turn lasts from one `me.step` to the next one at which the turn ends, or to the worker's end,
so that no shared access escapes. The first turn includes what stands before the first step.
"""

import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import NamedTuple


class Abandoned(BaseException):
    """Raised in a worker whose round was given up, to leave it by its own clean-up."""


class Answer(NamedTuple):
    """What a child says at the end of its turn."""

    place: str | None  # the step that it waits at; None when its worker has ended
    error: str  # what went wrong
    marked: list[tuple[str, str | None]]  # the state and the resource of each mark
    steps: list[str]  # those begun in this turn; none if it was for another step than is next
    sql: list[tuple[str, bool]]  # each SQL command and whether a transaction was open before it


class Turns:
    """Wait for this process's turns, and tell the parent what was done in each.

    The parent grants a turn by sending (its number, the step that must begin: the name or the
    beginning of it, "" for any, None for a whole unit, up to where the first step comes round
    again). It sends None when the round is given up. The child answers with an `Answer`.
    """

    def __init__(self, pipe: Connection, mark: Callable):
        self._pipe = pipe
        self._mark = mark
        self._thread = threading.get_ident()
        self.turn = -1

    def mark(self, state: str, item=None, resource=None, detail=None, seq: int = 0) -> None:
        """As `Recorder.mark`; the parent is told as well."""
        self._mark(state, item, resource, detail, seq)
        self._marked.append((state, resource))

    def sql(self, command: str, in_transaction: bool) -> None:
        """Note an SQL command of this turn, for the parent."""
        if not command.lstrip().upper().startswith("PRAGMA"):
            self._sql.append((command[:40], in_transaction))

    def begin(self) -> None:
        """Wait for the first turn of a round."""
        self._first = self._intruder = ""
        self._marked, self._steps, self._sql = [], [], []
        self._take()

    def step(self, name: str) -> int:
        """Return the number of the turn in which the step `name` may begin, once it has come."""
        if threading.get_ident() != self._thread:
            self._intruder = (
                f"me.step({name!r}) was called by a second thread, which has no turn: call it in "
                "the worker's own thread."
            )
            raise RuntimeError(self._intruder)
        if not self._first:
            self._first = name
            if not name.startswith(self._must or ""):  # not as the schedule has it
                self._tell(name)
                self._take()
        elif self._must is not None or name == self._first:
            self._tell(name)
            self._take()
        self._steps.append(name)
        return self.turn

    def end(self, error: str) -> None:
        """Say that the worker has ended."""
        self._tell(None, error)

    def _tell(self, place: str | None, error: str = "") -> None:
        self._pipe.send(
            Answer(place, error or self._intruder, self._marked, self._steps, self._sql)
        )
        self._intruder = ""
        self._marked, self._steps, self._sql = [], [], []

    def _take(self) -> None:
        grant = self._pipe.recv()
        if grant is None:
            raise Abandoned
        self.turn, self._must = grant
