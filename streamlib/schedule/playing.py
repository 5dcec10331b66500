"""Be the scheduler: play a plan turn by turn, by buttons in a notebook cell or by code.

A thread keeps a run open behind each game. To undo a turn, its processes play the shorter schedule
in a new round. For whom a process would wait is found by trial: all others leave such a round.
"""

import atexit
import html
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import RLock, Thread

from streamlib import database, orders, processes
from streamlib.orders import Turn
from streamlib.processes import child, runner, turns
from streamlib.schedule.exploring import asked

BY_CODE = 'Where no buttons are shown, play by code: game.turn("1"), game.undo(), game.again().'
_standing: list["Game"] = []  # the games that are not closed


def play(
    plan: Mapping[str, Callable],
    *,
    setup: Callable[[Path], object] = database.fresh,
    goal: Callable[[Path], bool] | str = "",
    label: str = "play",
) -> "Game":
    """Open a game: each click gives one process its turn, through its next step or SQL command.

    setup: called with the database's path before each round; goal: "deadlock" (all that are left
    wait), or a function of that path, asked when all have ended, that returns True if the goal is
    reached: `lambda path: not invariant(path)`; label: to find the run in `processes.history`.
    A game is closed when its cell runs again, another opens with the same plan, or the kernel ends.
    Raises ValueError or TypeError for a plan, setup or goal that cannot be used.
    """
    from IPython import get_ipython  # here, because children may import this module

    child.packed(plan)
    child.need_function("the database's path", setup=setup, goal=goal if callable(goal) else print)
    if not callable(goal) and goal not in ("", "deadlock"):
        raise ValueError(f'goal is {goal!r}: give a function of the path, or "deadlock".')
    kernel = getattr(get_ipython(), "kernel", None)
    cause = kernel.get_parent() if kernel else {}  # what made the cell run
    cell, execution = (
        cause.get(k, {}).get(v) for k, v in [("metadata", "cellId"), ("header", "msg_id")]
    )
    for old in _standing[:]:
        if old.plan is plan or (cell and old.cell[0] == cell and old.cell[1] != execution):
            old.close()
    return Game(plan, goal, partial(processes.run, setup=setup, label=label), (cell, execution))


class Game:
    """A game: `turn`, `undo` and `again` say what came of them, which is kept in `said`.

    `schedule` has the turns so far, as `processes.run` takes them; `won`: is the goal reached.
    """

    def __init__(self, plan: Mapping, goal: Callable | str, run: Callable, cell: tuple):
        self.plan, self.cell, self._goal, self._run = plan, cell, goal, run
        self._names, self._first, self._buttons, self._lock = list(plan), {}, [], RLock()
        self._thread, self._round, self._open = Thread(), None, True
        _standing.append(self)
        self.again()
        for process, _ in enumerate(plan, start=1):  # the first place is learned by going there
            with suppress(turns.Stopped):
                self._go([Turn(process, "")])
                self._first[process] = "".join(self._round.taken[0].steps)
        self.again()

    def turn(self, turns: int | str) -> str:
        """Take a turn, 1 or "1r", or several, up to one that would wait for a lock.

        Raises ValueError if there is no such turn.
        """
        with self._lock:
            for turn in orders.parse(str(turns), self._names):
                if not self._take(turn):
                    break
            return self.said

    def undo(self) -> str:
        """Undo the last turn."""
        return self._stand(self._turns[:-1], "The last turn is undone.")

    def again(self) -> str:
        """Start again."""
        return self._stand([], "Nobody has had a turn yet.")

    def close(self) -> "processes.result.Run":
        """End the processes; return the run that is kept in the history."""
        with self._lock:
            self._open = False
            self._end()
            if self in _standing:
                _standing.remove(self)
            return self._kept

    def _take(self, turn: Turn) -> bool:
        """Take a turn; or stay, and say why it cannot be taken."""
        process, step, at = turn.process, turn.step or "", self._next(turn.process)
        before, name, giving_up = self._turns, self._names[process - 1], step[:1] == "x"
        said = f"Turn {len(before) + 1} ({turn}): {name}"
        if process not in self._waiting:
            raise ValueError(f"{said} has ended: give another process a turn.")
        if not orders.slug(at).startswith(step.removeprefix("x")):
            raise ValueError(f"{said} has no such step here: its next step is {at}.")
        wanted = [*before, Turn(process, "x" * giving_up)]
        try:
            if self._go(wanted):
                error = self._round.taken[-1].answer.error
                self._stand(wanted, error or f"{said} went through {at}.")
                return True
            others = {one.process for one in before} & {*self._waiting} - {process}
            who = [self._names[n - 1] for n in others if not self._go(wanted, {process, n})]
            said += f" would wait at {at} for {' and '.join(who) or 'another program'}, so "
            said += "all that are left wait: a deadlock." if self._stuck() else "nothing changes."
        except turns.Stopped as why:
            said = str(why)
        self._stand(before, said)
        return False

    def _stand(self, wanted: list[Turn], said: str) -> str:
        """Play these turns, unless they are played; note, say and show how the game stands."""
        with self._lock:
            self._go(wanted)
            round = self._round
            self._turns, self._waiting = wanted, dict(round.waiting)
            self.schedule, self._taken = round.schedule, list(round.taken)
            if self._goal == "deadlock":
                self.won = self._stuck()
            else:
                self.won = bool(self._goal and not self._waiting) and asked(
                    self._goal, "goal", self._db
                )
            if self.won:
                said += f" The goal is reached in {len(wanted)} turns: {self.schedule}"
            elif self._goal and not self._waiting:
                said += " All have ended, and the goal is not reached: undo, or start again."
            return self._say(said)

    def _stuck(self) -> bool:
        """Tell if all that are left would wait, by trying each."""
        stuck = bool(self._waiting) and not any(
            self._go([*self._turns, Turn(n, "")]) for n in self._waiting
        )
        self._go(self._turns)
        return stuck

    def _next(self, process: int) -> str:
        at = self._waiting.get(process)
        return (at.place or self._first.get(process, "")) if at else "ended"

    def _go(self, wanted: list[Turn], only: set[int] | None = None) -> bool:
        """Take these turns, the last with those processes `only`; False: it would have to wait."""
        round, self._round = self._round, None  # if this is interrupted, nobody knows where it is
        if only or not round or [one.turn for one in round.taken] != wanted[: len(round.taken)]:
            round = self._begin(round)
        went = True
        for number, turn in enumerate(wanted[len(round.taken) :], start=len(round.taken) + 1):
            if only and number == len(wanted):
                leave = [n for n in round.waiting if n not in only]
                round.children.give_up([round.children.all[n - 1] for n in leave])
                round.waiting = {n: round.waiting[n] for n in only}
            taken = round.take(turn)
            went = taken is not None and (not taken.gave_up or turn.step == "x")
        self._round = round
        return went

    def _begin(self, round: turns.Round | None) -> turns.Round:
        """Begin the next round of the run that is open, or of a new one."""
        if not self._open:
            raise ValueError("This game is closed: run its cell again.")
        if round:
            self._more.put(True)
        else:
            self._end()
            self._begun, self._more = SimpleQueue(), SimpleQueue()
            self._thread = Thread(target=self._keep_open, daemon=True)
            self._thread.start()
        if isinstance(got := self._begun.get(), Exception):
            raise got
        return got

    def _end(self) -> None:
        """End the run, if one is open."""
        if self._thread.is_alive():
            self._more.put(False)
            self._thread.join()

    def _keep_open(self) -> None:
        """Run the plan, in a thread: hand out each round, and end it when another is wanted."""
        begun, more = self._begun, self._more

        def play(session: runner.Session) -> None:
            going, self._db = [True], session.db
            while going[-1] and session.children.able:
                session.play(lambda round: begun.put(round) or going.append(more.get()))

        try:
            self._kept = self._run(self.plan, schedule=play, watch=lambda event: None)
            begun.put(ValueError("".join(self._kept.problems[:1])))
        except Exception as error:
            begun.put(error)

    def _say(self, said: str) -> str:
        """Keep what is said; show how the game stands, where its buttons are."""
        self.said = said
        for button, process in zip(self._buttons, enumerate(self._names, start=1)):
            button.description = f"{process[1]}: {self._next(process[0])}"
            button.disabled = process[0] not in self._waiting
        if self._buttons:
            self._text.value = f"<pre>{html.escape(repr(self))}</pre>"
        return said

    def __repr__(self) -> str:
        import pandas as pd  # here, because the children of a script import this module

        rows = []
        for process, name in enumerate(self._names, start=1):
            row = {
                n: "".join(taken.steps) + " gave up" * taken.gave_up
                for n, taken in enumerate(self._taken, 1)
                if taken.turn.process == process
            }
            locks = self._waiting[process].locks if process in self._waiting else {}
            row["holds"] = ", ".join(f"{file} ({lock})" for file, lock in locks.items())
            rows.append(row | {"next": self._next(process)})
        columns = [*range(1, len(self._taken) + 1), "holds", "next"]
        tables = {f"schedule: {self.schedule}": pd.DataFrame(rows, self._names, columns).fillna("")}
        for file in sorted(self._db.parent.glob("*.db")):
            for name, shared in database.tables(file).items():
                tables[f"{name} in {file.name}"] = pd.DataFrame(shared)
        return "\n\n".join(
            [self.said, *(f"{title}\n{table.to_string()}" for title, table in tables.items())]
        )

    def _repr_mimebundle_(self, **_: object) -> dict[str, object]:
        plain = {"text/plain": f"{self!r}\n\n{BY_CODE}"}
        try:
            import ipywidgets
        except ImportError:
            return plain
        calls = [partial(self.turn, n) for n, _ in enumerate(self._names, 1)] + [
            self.undo,
            self.again,
        ]
        self._buttons = [ipywidgets.Button(layout={"width": "auto"}) for _ in calls]
        for button, call in zip(self._buttons, calls, strict=True):
            button.on_click(partial(self._click, call))
        self._buttons[-2].description, self._buttons[-1].description = "Undo", "Start again"
        self._text = ipywidgets.HTML()
        self._say(self.said)
        row = ipywidgets.HBox(self._buttons, layout={"flex_flow": "row wrap"})
        return ipywidgets.VBox([row, self._text])._repr_mimebundle_() | plain

    def _click(self, call: Callable, _: object) -> None:
        try:
            call()
        except Exception as error:  # whatever the setup or the goal raises
            self._say(str(error))


@atexit.register
def _close_all() -> None:
    for game in _standing[:]:
        game.close()
