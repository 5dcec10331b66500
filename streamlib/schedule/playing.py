"""Be the scheduler: play a plan turn by turn, by buttons in a notebook cell or by code.

A thread keeps a run open behind each game. To undo a turn, its processes play the shorter schedule
in a new round. For whom one would wait is found by trial: in such a round all others leave.
"""

import atexit
from collections.abc import Callable, Mapping
from functools import partial
from html import escape
from pathlib import Path
from queue import SimpleQueue
from threading import RLock, Thread

from streamlib import database, orders, processes
from streamlib.orders import Turn
from streamlib.processes import child, runner, turns
from streamlib.schedule.exploring import asked

WAITS = "would wait"
BY_CODE = 'Where no buttons are shown, play by code: game.turn("1"), game.undo(), game.again().'
_open: list["Game"] = []
atexit.register(lambda: [game.close() for game in _open[:]])


def play(
    plan: Mapping[str, Callable],
    *,
    setup: Callable[[Path], object] = database.fresh,
    goal: Callable[[Path], bool] | str = "",
) -> "Game":
    """Open a game: each click gives one process its turn, through its next step or SQL command.

    setup: called with the database's path before each round; goal: "deadlock" (all that are left
    wait), or a function of that path, asked when all have ended: True if it is reached. A game is
    closed if its cell runs again, another has the same plan, or the kernel ends; it is kept in
    `processes.history("play")`. Raises ValueError or TypeError for what cannot be played.
    """
    from IPython import get_ipython  # here, because the children of a script import this module

    child.packed(plan)
    child.need_function("the database's path", setup=setup)
    if goal not in ("", "deadlock"):
        child.need_function('the database\'s path, or "deadlock"', goal=goal)
    kernel = getattr(get_ipython(), "kernel", None)
    asks = kernel.get_parent() if kernel else {}  # what runs the cell
    cell = asks.get("metadata", {}).get("cellId")
    for old in _open[:]:
        if old.plan is plan or (cell and old.cell == cell and old.asks != asks):
            old.close()
    return Game(plan, setup, goal, cell, asks)


class Game:
    """A game: `turn`, `undo` and `again` return a sentence that says what came of them.

    schedule: the turns so far, as `processes.run` takes them; won: whether the goal is reached.
    """

    def __init__(self, plan: Mapping, setup: Callable, goal: Callable | str, cell: str, asks: dict):
        self.plan, self.cell, self.asks, self._goal, self._buttons = plan, cell, asks, goal, []
        options = {"setup": setup, "label": "play", "watch": lambda event: None}
        self._run = partial(processes.run, dict(plan), **options)
        self._names, self._first, self._turns = list(plan), {}, []
        self._lock, self._thread, self._round = RLock(), Thread(), None
        _open.append(self)
        self.again()
        for n, _ in enumerate(plan, start=1):  # a first step is known once one has been there
            failed = self._go([Turn(n, "")])
            self._first[n] = "" if failed else "".join(self._round.taken[0].steps)
        self.again()

    def turn(self, turns: int | str) -> str:
        """Take a turn, such as 1 or "1r", or several, up to one that cannot be taken."""
        for turn in orders.parse(str(turns), self._names):
            step, here = turn.step or "", self._next.get(turn.process, "")
            said = f"Turn {len(self._turns) + 1} ({turn}): {self._names[turn.process - 1]}"
            if here and not orders.slug(here).startswith(step.removeprefix("x")):
                raise ValueError(f"{said} has no such step here: its next step is {here}.")
            before = self._turns
            self._stand([*before, Turn(turn.process, "x" * (step[:1] == "x"))], said, here)
            if before == self._turns:
                break
        return self.said

    def undo(self) -> str:
        """Undo the last turn."""
        return self._stand(self._turns[:-1], "The last turn is undone.")

    def again(self) -> str:
        """Start again."""
        return self._stand([], "Nobody has had a turn yet.")

    def close(self) -> "processes.result.Run":
        """End the processes; return the run that is kept."""
        with self._lock:
            _open[:] = [game for game in _open if game is not self]
            self._leave()
            return self.kept

    def _stand(self, wanted: list[Turn], said: str, here: str = "") -> str:
        """Play these turns, or stay and say why not; note how the game stands."""
        with self._lock:
            if why := self._go(wanted):
                said = (
                    f"{said} would wait for {self._who(wanted)} at {here}." if why == WAITS else why
                )
                wanted = self._turns
                self._go(wanted)
            round = self._round
            self._turns, self.schedule, self._taken = wanted, round.schedule, [*round.taken]
            self._next = {n: at.place or self._first.get(n, "") for n, at in round.waiting.items()}
            locks = {n: ", ".join(at.locks) for n, at in round.waiting.items()}
            self._holds = [locks.get(n, "") for n, _ in enumerate(self.plan, start=1)]
            self.won = self._reached()
            if self.won:
                said += f" The goal is reached in {len(wanted)} turns: {self.schedule}"
            elif self._goal and not self._next:
                said += " All have ended, and the goal is not reached: undo, or start again."
            return self._show(said)

    def _who(self, wanted: list[Turn]) -> str:
        """Return who, without all others, would still make the last of these turns wait."""
        last = wanted[-1].process
        others = sorted({turn.process for turn in self._turns} & {*self._next} - {last})
        names = [self._names[n - 1] for n in others if self._go(wanted, {last, n}) == WAITS]
        return " and ".join(names) or "another program"

    def _reached(self) -> bool:
        if callable(self._goal):
            return not self._next and asked(self._goal, "goal", self._db)
        tried = ([*self._turns, Turn(n, "")] for n in self._next)
        stuck = bool(self._goal and self._next) and all(self._go(each) == WAITS for each in tried)
        self._go(self._turns)
        return stuck

    def _go(self, wanted: list[Turn], only: set[int] = frozenset()) -> str:
        """Take these turns, `only` those processes staying for the last; return why not, or ""."""
        round, self._round = self._round, None  # it is lost if this is interrupted
        if (
            not round
            or round.stopped
            or [t.turn for t in round.taken] != wanted[: len(round.taken)]
        ):
            round = self._begin(round)
        why = ""
        try:
            for turn in wanted[len(round.taken) :]:
                if only and len(round.taken) == len(wanted) - 1:
                    round.stopped = "All but two left, to see who waits for whom."
                    left = [n for n in round.waiting if n not in only]
                    round.children.give_up([round.children.all[n - 1] for n in left])
                    round.waiting = {n: round.waiting[n] for n in only}
                taken = round.take(turn)
                if taken is None or taken.gave_up != (turn.step == "x"):
                    why = WAITS
                    break
        except turns.Stopped as stopped:
            why = str(stopped)
        self._round = round if round.children.able else None
        return why

    def _begin(self, round: turns.Round | None) -> turns.Round:
        """Begin the next round, in a new run if there is none or one of its processes has died."""
        if self not in _open:
            raise ValueError("This game is closed: run its cell again.")
        if round:
            self._more.put(True)
        else:
            self._leave()
            self._begun, self._more = SimpleQueue(), SimpleQueue()
            self._thread = Thread(target=self._keep_open, daemon=True)
            self._thread.start()
        begun = self._begun.get()
        if isinstance(begun, Exception):
            raise begun
        return begun

    def _leave(self) -> None:
        if self._thread.is_alive():
            self._more.put(False)
            self._thread.join()

    def _keep_open(self) -> None:
        """Run the plan, in a thread; hand over each round, which lasts until more are wanted."""
        begun, more = self._begun, [True]

        def play(session: runner.Session) -> None:
            self._db = session.db
            while more[-1] and session.children.able:
                session.play(lambda round: begun.put(round) or more.append(self._more.get()))

        try:
            self.kept = self._run(schedule=play)
            begun.put(ValueError("".join(self.kept.problems[:1])))
        except Exception as error:
            begun.put(error)

    def _show(self, said: str) -> str:
        self.said = said
        for button, (n, name) in zip(self._buttons, enumerate(self.plan, start=1), strict=False):
            button.description = f"{name}: {self._next.get(n, 'ended')}"
            button.disabled = n not in self._next
        if self._buttons:
            self._text.value = f"<pre>{escape(repr(self))}</pre>"
        return said

    def __repr__(self) -> str:
        import pandas as pd  # here, because the children of a script import this module

        steps = {
            n: {self._names[one.turn.process - 1]: "".join(one.steps) + " gave up" * one.gave_up}
            for n, one in enumerate(self._taken, start=1)
        }
        table = pd.DataFrame(steps, self._names).fillna("")
        table["holds"] = self._holds
        table["next"] = [self._next.get(n, "ended") for n, _ in enumerate(self.plan, start=1)]
        texts = [self.said, f"schedule: {self.schedule}", table.to_string()]
        for file in sorted(self._db.parent.glob("*.db")):
            for name, rows in database.tables(file).items():
                texts += [f"{name} in {file.name}:", pd.DataFrame(rows).to_string(index=False)]
        return "\n".join(texts)

    def _repr_mimebundle_(self, **_: object) -> dict[str, object]:
        import ipywidgets

        calls = [partial(self.turn, n) for n, _ in enumerate(self.plan, 1)] + [
            self.undo,
            self.again,
        ]
        self._buttons = [ipywidgets.Button(layout={"width": "auto"}) for _ in calls]
        for button, call in zip(self._buttons, calls, strict=True):
            button.on_click(partial(self._click, call))
        self._buttons[-2].description, self._buttons[-1].description = "Undo", "Start again"
        row = ipywidgets.HBox(self._buttons, layout={"flex_flow": "row wrap"})
        self._text = ipywidgets.HTML()
        self._show(self.said)
        bundle = ipywidgets.VBox([row, self._text])._repr_mimebundle_()
        return bundle | {"text/plain": f"{self!r}\n{BY_CODE}"}

    def _click(self, call: Callable, _: object) -> None:
        try:
            call()
        except Exception as error:  # the game is closed, or what the setup or the goal raises
            self._show(str(error))
