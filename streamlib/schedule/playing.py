"""Be the scheduler: play a plan turn by turn, by buttons in a notebook cell or by code.

A thread keeps a run open behind each game. Each call plays rounds of it from the start: to undo is
to play a shorter schedule, and what is refused leaves no trace.
"""

import atexit
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from html import escape
from importlib.util import find_spec
from queue import SimpleQueue
from threading import Lock, Thread

from streamlib import database, orders, processes
from streamlib.orders import Turn
from streamlib.processes import child, runner, turns
from streamlib.schedule.exploring import asked

WAITS = "whoever holds its lock"
BY_CODE = 'Where no buttons are shown, play by code: game.turn("1"), game.undo(), game.again().'
_open: set["Game"] = set()
atexit.register(lambda: [game.close() for game in [*_open]])


class Game:
    """A game in which you give the turns; `turn`, `undo` and `again` say how it stands then.

    plan: as for `processes.run`; setup: called with the database's path before each round; goal:
    "deadlock" (all that are left wait), or a function of that path, asked when all have ended, that
    returns True if it is reached, as `lambda path: not invariant(path)` does.
    `schedule` has the turns so far, as `processes.run` takes them; `won` tells if the goal is
    reached. A game is closed when its cell runs again. Raises TypeError for what cannot be played.
    """

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
        self._cell, self._request, self._goal = cell, request, goal
        self._names, self._turns, self._buttons = [*plan], [], []
        self._run = partial(processes.run, dict(plan), setup=setup, label="play")
        self._lock, self._jobs = Lock(), SimpleQueue()
        self._thread = Thread(target=self._keep_open, daemon=True)
        self._thread.start()
        _open.add(self)
        self._firsts = dict.fromkeys(range(1, len(plan) + 1), "start")
        for n in self._firsts:  # what a first step is called is known once one has been there
            for one in self._go([Turn(n, "")]).taken:
                self._firsts[n] = "".join(one.steps) or "start"
        self.again()

    def turn(self, turns: int | str) -> str:
        """Take a turn, such as 1 or "1r", or several; if one cannot be taken, none is."""
        new = orders.parse(str(turns), self._names)
        return self._change(lambda old: old + new)

    def undo(self) -> str:
        """Undo the last turn."""
        return self._change(lambda old: old[:-1])

    def again(self) -> str:
        """Start again."""
        return self._change(lambda old: [])

    def close(self) -> None:
        """End the processes, and keep the run: it is `processes.history("play")[-1]`."""
        with self._lock:
            _open.discard(self)
            self._jobs.put(None)
            self._thread.join()

    def _change(self, change: Callable[[list[Turn]], list[Turn]]) -> str:
        """Let the game stand after other turns, if all can be taken; say and show how it stands."""
        with self._lock:
            wanted = change(self._turns)
            round = self._go(wanted)
            if why := round.stopped:
                if len(round.taken) < len(self._turns):
                    why = f"The workers do not do the same in each round: {why}"
                if WAITS in why:
                    why = why.replace(WAITS, self._who(round, wanted))
                return self._show(why)
            self._turns, self.schedule, self.won = wanted, round.schedule, False
            self._next = {n: at.place or self._firsts[n] for n, at in round.waiting.items()}
            self._drawn = self._draw(round)
            said = [one.answer.error for one in round.taken if one.answer.error]
            for one in round.taken[-1:]:
                step = "".join(one.steps) or "start"
                said += [f"{self._names[one.turn.process - 1]} went through {step}."]
            self.won = self._reached()
            if self.won:
                said += [f"The goal is reached in {len(wanted)} turns: {self.schedule}"]
            return self._show(" ".join(said) or "Nobody has had a turn yet.")

    def _reached(self) -> bool:
        """Tell whether the goal is reached; whether all are stuck is found by trying each."""
        if callable(self._goal):
            return not self._next and asked(self._goal, "goal", self._db)
        tried = (self._go([*self._turns, Turn(n, "")]).stopped for n in self._next)
        return bool(self._goal and self._next) and all(WAITS in why for why in tried)

    def _who(self, round: turns.Round, wanted: list[Turn]) -> str:
        """Return for whom the turn after this round would wait: those who alone are in its way."""
        wanted = wanted[: len(round.taken) + 1]
        last = wanted[-1].process
        others = [n for n, at in round.waiting.items() if at.place and n != last]
        who = [n for n in others if WAITS in self._go(wanted, {last, n}).stopped]
        return " and ".join(self._names[n - 1] for n in who) or "another program"

    def _go(self, wanted: list[Turn], only: set[int] = frozenset()) -> turns.Round:
        """Play a round of these turns, see `_take`; `stopped` tells why not all were taken."""
        if self not in _open:
            raise ValueError("This game is closed: run its cell again.")
        played = Future()
        self._jobs.put((played, partial(self._take, wanted, only)))
        return played.result()

    def _take(self, wanted: list[Turn], only: set[int], round: turns.Round) -> None:
        """Take these turns in a round, the last when all but `only`, if given, have left."""
        for n, (process, step) in enumerate(wanted, start=1):
            letters, x = (step or "").removeprefix("x"), (step or "")[:1] == "x"
            if only and n == len(wanted):
                round.children.give_up([round.children.all[p - 1] for p in {*round.waiting} - only])
                round.waiting = {p: round.waiting[p] for p in only}
            taken = round.take(Turn(process, "x" * x))
            at = "".join(taken.steps) if taken else round.waiting[process].place
            said = f"Turn {n} ({wanted[n - 1]}): {self._names[process - 1]}"
            if not orders.slug(at).startswith(letters):
                raise turns.Stopped(f"{said} has no such step here: its next step is {at}.")
            if taken is None or taken.gave_up != x:
                del round.taken[n - 1 :]
                raise turns.Stopped(f"{said} would wait at {at} for {WAITS}: nothing changes.")
        raise turns.Stopped("")  # nothing went wrong: whoever has not ended leaves the round

    def _keep_open(self) -> None:
        """Run the plan, in a thread, and anew if a process has died; do one job after another."""
        job = self._jobs.get()

        def rounds(session: runner.Session) -> None:
            nonlocal job
            self._db = session.db
            if not session.children.able:
                raise ValueError(session.children.problems[0])
            while job and session.children.able:
                job[0].set_result(session.play(job[1]))
                job = self._jobs.get()

        while job:
            try:
                self._run(schedule=rounds, watch=lambda event: None)  # watched: without a bar
            except BaseException as error:  # it is raised in the cell
                job[0].set_exception(error)
                job = self._jobs.get()

    def _draw(self, round: turns.Round) -> str:
        """Return the interleaving, what each holds and does next, and the tables, as a text."""
        import pandas as pd  # here, because the children of a script import this module

        rows = [{"holds": "", "next": self._next.get(n, "ended")} for n in self._firsts]
        for n, at in round.waiting.items():
            rows[n - 1]["holds"] = ", ".join(at.locks)
        for n, one in enumerate(round.taken, start=1):
            rows[one.turn.process - 1][n] = "gives up" if one.gave_up else "".join(one.steps)
        columns = [*range(1, len(round.taken) + 1), "holds", "next"]
        texts = [pd.DataFrame(rows, self._names, columns).fillna("").to_string()]
        for file in sorted(self._db.parent.glob("*.db")):
            for name, rows in database.tables(file).items():
                shown = pd.DataFrame(rows or [{"": "(no rows)"}])
                texts += [f"{name} in {file.name}:", shown.to_string(index=False)]
        return "\n".join(texts)

    def __repr__(self) -> str:
        return f"{self.said}\nschedule: {self.schedule}\n{self._drawn}"

    def _repr_mimebundle_(self, **_: object) -> dict[str, object]:
        plain = {"text/plain": f"{self!r}\n{BY_CODE}"}
        if not find_spec("ipywidgets"):
            return plain
        from ipywidgets import HTML, Button, HBox, VBox

        calls = [*(partial(self.turn, n) for n in self._firsts), self.undo, self.again]
        names = [*self._names, "Undo", "Start again"]
        self._text = HTML()
        self._buttons = [Button(description=name, layout={"width": "auto"}) for name in names]
        for button, call in zip(self._buttons, calls, strict=True):
            button.on_click(partial(self._click, call))
        self._show(self.said)
        row = HBox(self._buttons, layout={"flex_flow": "row wrap"})
        return VBox([row, self._text])._repr_mimebundle_() | plain

    def _show(self, said: str) -> str:
        """Keep what is to be said, and show it, and the game, if there are buttons."""
        self.said = said
        for n, button in zip(self._firsts, self._buttons, strict=False):
            button.description = f"{self._names[n - 1]}: {self._next.get(n, 'ended')}"
            button.disabled = n not in self._next
        if self._buttons:
            self._text.value = f"<pre>{escape(repr(self))}</pre>"
        return said

    def _click(self, call: Callable, _: object) -> None:
        try:
            call()
        except Exception as error:  # the game is closed, or what the setup or the goal raises
            self._show(str(error))
