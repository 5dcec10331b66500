"""Be the scheduler: play a plan turn by turn, by buttons in a notebook cell or by code.

A thread keeps a run open behind each game. To undo a turn, its processes play the shorter schedule
in a new round. For whom one would wait is found by trial: in such a round all others leave.
"""

import atexit
from collections.abc import Callable, Mapping
from functools import partial
from html import escape
from importlib.util import find_spec
from queue import SimpleQueue
from threading import RLock, Thread

from streamlib import database, orders, processes
from streamlib.processes import child, runner, turns
from streamlib.schedule.exploring import asked

WAITS = "One would wait for a lock."
BY_CODE = 'Where no buttons are shown, play by code: game.turn("1"), game.undo(), game.again().'
_open: list["Game"] = []
atexit.register(lambda: [game.close() for game in _open[:]])


class Game:
    """A game in which you give the turns; `turn`, `undo` and `again` say what came of them.

    plan: as for `processes.run`; setup: called with the database's path before each round; goal:
    "deadlock" (all that are left wait), or a function of that path, asked when all have ended, that
    returns True if it is reached, as `lambda path: not invariant(path)` does.
    `schedule` has the turns so far, as `processes.run` takes them; `won` tells if the goal is
    reached. A game is closed when its cell runs again or the kernel ends; it is kept in
    `processes.history("play")`. Raises TypeError for what cannot be played.
    """

    debrief = staticmethod(lambda turns: "")  # what to add when the goal is reached in these turns

    def __init__(
        self, plan: Mapping, *, setup: Callable = database.fresh, goal: Callable | str = ""
    ):
        from IPython import get_ipython  # here, because the children of a script import this module

        child.packed(plan)
        child.need_function("the database's path", setup=setup)
        if goal not in ("", "deadlock"):
            child.need_function('the database\'s path, or "deadlock"', goal=goal)
        request = getattr(get_ipython(), "get_parent", dict)()  # what makes this cell run
        cell = request.get("metadata", {}).get("cellId") or request.get("content", {}).get("code")
        for old in [old for old in _open if old._cell == cell and old._request != request]:
            old.close()
        self._cell, self._request = cell, request
        self._names, self._goal, self._lock = [*plan], goal, RLock()
        self._run = partial(processes.run, dict(plan), setup=setup, label="play")
        self._first, self._buttons, self._round, self._thread = {}, [], None, Thread()
        self._box = None
        _open.append(self)
        for n, _ in enumerate(plan, start=1):  # a first step is known once one has been there
            why = self._go([orders.Turn(n, "")])
            self._first[n] = "".join([] if why else self._round.taken[0].steps) or "start"
        self.again()

    def turn(self, turns: int | str) -> str:
        """Take a turn, such as 1 or "1r", or several, up to one that cannot be taken."""
        with self._lock:
            for turn in orders.parse(str(turns), self._names):
                step, here = turn.step or "", self._next.get(turn.process, "")
                said = f"Turn {len(self._turns) + 1}: {self._names[turn.process - 1]}"
                if here and not orders.slug(here).startswith(step.removeprefix("x")):
                    raise ValueError(f"{said} has no such step here: its next step is {here}.")
                wanted = [*self._turns, orders.Turn(turn.process, "x" * step.startswith("x"))]
                if (why := self._go(wanted)) == WAITS:
                    why = f"{said} would wait at {here} for {self._who(wanted)}: nothing changes."
                if why:
                    return self._stand(self._turns, why)
                error = self._round.taken[-1].answer.error.split(" (line ")[0]  # of no use here
                came = f"Turn {len(wanted)}: {error}" if error else f"{said} went through {here}"
                self._stand(wanted, came.rstrip(".") + ".")
            return self.said

    def undo(self) -> str:
        """Undo the last turn."""
        said = "The last turn is undone." if self._turns else "There is no turn to undo."
        return self._stand(self._turns[:-1], said)

    def again(self) -> str:
        """Start again."""
        return self._stand([], "Nobody has had a turn yet.")

    def close(self) -> None:
        """End the processes, and keep the run."""
        with self._lock:
            _open[:] = [game for game in _open if game is not self]
            if self._thread.is_alive():
                self._more.put(False)
                self._thread.join()

    def _stand(self, wanted: list[orders.Turn], said: str) -> str:
        """Play these turns, if need be; note, say and show how the game stands after them."""
        with self._lock:
            if why := self._go(wanted):
                raise ValueError(f"The workers do not do the same in each round: {why}")
            self._turns, self.schedule, at = wanted, self._round.schedule, self._round.waiting
            self._next = {n: at[n].place or self._first.get(n, "start") for n in at}
            self.won = self._reached()
            self._here = self._round
            if self.won:
                said += f" The goal is reached in {len(wanted)} turns: {self.schedule}"
                said += self.debrief(len(wanted))
            elif self._goal and not self._next:
                said += " All have ended, but the goal is not reached: undo, or start again."
            return self._show(said)

    def _reached(self) -> bool:
        """Tell whether the goal is reached; whether all are stuck is found by trying each."""
        if callable(self._goal):
            return not self._next and asked(self._goal, "goal", self._db)
        tried = ([*self._turns, orders.Turn(n, "")] for n in self._next)
        stuck = bool(self._goal and self._next) and all(self._go(each) == WAITS for each in tried)
        return not self._go(self._turns) and stuck

    def _who(self, wanted: list[orders.Turn]) -> str:
        """Return for whom the last of these turns would wait: those who alone are in its way."""
        last = wanted[-1].process
        others = {turn.process for turn in self._turns} & {*self._next} - {last}
        who = [n for n in sorted(others) if self._go(wanted, {last, n}) == WAITS]
        return " and ".join(self._names[n - 1] for n in who) or "another program"

    def _go(self, wanted: list[orders.Turn], only: set[int] = frozenset()) -> str:
        """Take these turns, the last when all but `only` have left; return why not, or ""."""
        why, round, self._round = "", self._round, None  # it stays lost if this is interrupted
        done = len(round.taken) if round else 0
        if not round or round.stopped or [one.turn for one in round.taken] != wanted[:done]:
            round = self._begin(round)
        try:
            for turn in wanted[len(round.taken) :]:
                if only and len(round.taken) == len(wanted) - 1:
                    round.stopped = "All but two have left."  # so that nothing goes on from here
                    left = [round.waiting.pop(n) and n for n in {*round.waiting} - only]
                    round.children.give_up([round.children.all[n - 1] for n in left])
                taken = round.take(turn)
                if taken is None or taken.gave_up != (turn.step == "x"):
                    why = WAITS
                    round.stopped = round.stopped or WAITS * bool(taken)  # a part of it was done
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
            self.close()
            _open.append(self)
            self._begun, self._more = SimpleQueue(), SimpleQueue()
            self._thread = Thread(target=self._keep_open, daemon=True)
            self._thread.start()
        if isinstance(begun := self._begun.get(), BaseException):
            raise begun
        return begun

    def _keep_open(self) -> None:
        """Run the plan, in a thread; hand over each round, which lasts until more are wanted."""
        begun, more = self._begun, [True]

        def rounds(session: runner.Session) -> None:
            self._db = session.db
            while more[-1] and session.children.able:
                session.play(lambda round: begun.put(round) or more.append(self._more.get()))

        try:
            run = self._run(schedule=rounds, watch=lambda event: None)  # watched: without a bar
            begun.put(ValueError("".join(run.problems[:1])))
        except BaseException as error:  # raised in the cell, also if the setup calls sys.exit
            begun.put(error)

    def _show(self, said: str) -> str:
        self.said = said
        for button, (n, name) in zip(self._buttons, enumerate(self._names, start=1), strict=False):
            button.description = f"{name}: {self._next.get(n, 'ended')}"
            button.disabled = n not in self._next
        if self._buttons:
            self._text.value = f'<pre style="white-space: pre">{escape(repr(self))}</pre>'
        return said

    def __repr__(self) -> str:
        import pandas as pd  # here, because the children of a script import this module

        rows = [{"holds": "", "next": "ended"} for _ in self._names]
        for n, at in self._here.waiting.items():
            rows[n - 1] = {"holds": ", ".join(at.locks), "next": self._next[n]}
        for n, one in enumerate(self._here.taken, start=1):
            rows[one.turn.process - 1][n] = "gives up" if one.gave_up else "".join(one.steps)
        columns = [*range(1, len(self._turns) + 1), "holds", "next"]
        texts = [pd.DataFrame(rows, self._names, columns).fillna("").to_string()]
        for file in sorted(self._db.parent.glob("*.db")):
            for name, rows in database.tables(file).items():
                shown = pd.DataFrame(rows).to_string(index=False) if rows else "(no rows)"
                texts += [f"{name} in {file.name}:", shown]
        return "\n".join([self.said, f"schedule: {self.schedule}", *texts])

    def _repr_mimebundle_(self, **_: object) -> dict[str, object]:
        plain = {"text/plain": f"{self!r}\n{BY_CODE}"}
        if not find_spec("ipywidgets"):
            return plain
        self._box = self._box or self._widgets()
        return self._box._repr_mimebundle_() | plain

    def _widgets(self) -> object:
        """Return the buttons and the text, the same ones wherever the game is shown."""
        import ipywidgets

        self._text = ipywidgets.HTML()
        calls = [*(partial(self.turn, n) for n in range(1, len(self._names) + 1))]
        calls += [self.undo, self.again]
        for name, call in zip([*self._names, "Undo", "Start again"], calls, strict=True):
            self._buttons.append(ipywidgets.Button(description=name, layout={"width": "auto"}))
            self._buttons[-1].on_click(partial(self._click, call))
        self._show(self.said)
        row = ipywidgets.HBox(self._buttons, layout={"flex_flow": "row wrap"})
        return ipywidgets.VBox([row, self._text])

    def _click(self, call: Callable, _: object) -> None:
        try:
            call()
        except Exception as error:  # the game is closed, or what the setup or the goal raises
            self._show(str(error))
