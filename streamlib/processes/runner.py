"""Run named workers as real processes on one database, and keep what happened."""

import json
import random
import re
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from streamlib import database, home, orders, resources
from streamlib.processes import child, parent, recorder, turns

if TYPE_CHECKING:
    from streamlib.processes.result import Run

MOST_LOOKS = 200  # turns after which the shared tables are looked at, for stepping through
OURS = re.compile(r"run\.json.*|\d+\.(csv|out)|lab\.db.*")  # the files of a run
FOLDER = "-".join("[0-9]" * digits for digits in (8, 6, 6))  # the date and time of a run, in UTC


class Interrupted(KeyboardInterrupt):
    """Raised by `run` when it is interrupted; a notebook shows it in one line."""


def _interrupt_once(*_: object) -> None:
    """Raise KeyboardInterrupt at Ctrl-C; the next ones do not disturb what the run does then."""
    signal.signal(signal.SIGINT, lambda *_: None)
    raise KeyboardInterrupt


class Session:
    """The rounds of a run under way; `kept` is what run.json will say about them."""

    def __init__(self, children: parent.Children, db: Path, setup: Callable, kept: dict):
        self.children, self.db, self.kept = children, db, kept
        self._setup, self._pets = setup, {}

    def play(self, player: Callable | None, coming: list[orders.Turn] | None = None) -> turns.Round:
        """Play one round: `player` is given it, to take its turns, or `coming` are taken."""
        played = turns.Round(self.children, self._look, coming)
        played.play(self.begin(), player)
        self.kept["played"].append(played.schedule)
        self.kept["stopped"].append(played.stopped)
        return played

    def close(self, folder: Path) -> None:
        """End what is still running, and keep what happened in the run's folder."""
        self.children.abort()
        self.count()
        if self.kept["rounds_run"] < (rounds := self.kept["params"]["rounds"]):
            self.children.note(f"{self.kept['rounds_run']} of {rounds} rounds were run.")
        codes = {one.name: (one.process.exitcode, one.alive) for one in self.children.all}
        self.kept["exits"] = {n: code or (0 if well else None) for n, (code, well) in codes.items()}
        home.replace_file(folder / "run.json", json.dumps(self.kept, indent=1, default=str))

    def count(self) -> None:
        """Keep the rows that this run has put into the table of pets since the last count."""
        number, pids = self.kept["rounds_run"], {None, *(c.process.pid for c in self.children.all)}
        for row in self._new_pets() if number else ():
            if row["pid"] in pids or isinstance(row["pid"], bytes):  # of a NumPy number
                self.kept["rows"].append({"round": number, **row})

    def _new_pets(self) -> list[dict]:
        before = self._pets
        with suppress(OSError):  # this run may keep its data elsewhere
            rows = database.rows(self.db, most := database.MOST_ROWS)
            self._pets = {tuple(row.values()): row for row in rows}
            self.kept["rows"] = (self.kept["rows"] or [])[:most]
        return [row for key, row in self._pets.items() if key not in before]

    def begin(self) -> int:
        """Make the database ready for the next round; return the round's number."""
        self.count()  # what the round before this one has stored
        made = self._setup(self.db)
        self.children.shared = made if isinstance(made, resources.Broker) else resources.Broker({})
        self._new_pets()  # those that are there before the round are not the run's own
        self.kept["rounds_run"] += 1
        return self.kept["rounds_run"]

    def _look(self) -> None:
        if self.kept["rounds_run"] == 1 and len(self.kept["shared"]) < MOST_LOOKS:
            self.kept["shared"].append(database.tables(self.db))


def run(
    plan: Mapping[str, Callable],
    *,
    schedule: str | Sequence[str] | Callable[[Session], object] | None = None,
    rounds: int = 1,
    think_s: float = 0,
    seed: int | None = None,
    db: Path | str | None = None,
    setup: Callable[[Path], object] | None = None,
    timeout_s: float = 60,
    label: str = "",
    watch: Callable[[parent.Event], object] | None = None,
) -> "Run":
    """Run each worker of the plan in a process of its own; return what happened.

    plan: name -> worker, a function of one argument, `me` (see `child.Me`); rounds: how often the
        same processes repeat the experiment;
    schedule: whose turn it is (see `streamlib.schedule`), a list with one for each round, or a
        function that plays the rounds. Under a schedule nobody thinks, holds or waits;
    think_s, timeout_s: the longest random pause of `me.think()`, and how long a round may take
        before it is ended, seconds (not scaled); seed: for `me.rng`; drawn if none is given;
    db: the shared database file, the run's own if none is given; setup: called with its path
        before each round, by default to empty the table of pets;
    label: to find the run in `history`; watch: called with each `Event` soon after it happened.
    Raises ValueError or TypeError if the plan cannot be run, OSError if the run cannot be kept.
    A worker that fails raises nothing here: see `run.problems` and `run.workers`.
    """
    workers = child.packed(plan)
    child.need_function("one argument", setup=setup or print, watch=watch or print)
    if not isinstance(db, str | Path | None) or "\0" in str(db):
        raise TypeError(f"db is {db!r}: give the path of a file, or leave it out.")
    texts = [] if callable(schedule) else turns.rounds_of(schedule, rounds, list(plan))
    scale = home.scale() if schedule is None else 1.0
    seed = random.SystemRandom().randrange(2**32) if seed is None else seed
    if not (hasattr(seed, "__index__") and abs(int(seed)) < 2**64):
        raise ValueError(f"seed is {seed!r}: give a whole number of at most 64 bits.")
    params = {"processes": list(plan), "rounds": len(texts), "seed": int(seed), "scale": scale}
    params["think_s"] = home.seconds("think_s", think_s)
    params["timeout_s"] = home.seconds("timeout_s", timeout_s)
    folder = home.runs / f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"
    with home.one_sentence(f"The run cannot be kept in {folder}", "make that folder writable"):
        folder.mkdir(parents=True)
    db = folder / "lab.db" if db is None else Path(db).resolve()
    children = parent.Children(len(texts), watch)
    kept = {"label": str(label), "params": params, "db": str(db), "problems": children.problems}
    kept |= {"rounds_run": 0, "rows": None, "played": [], "stopped": [], "shared": []}
    session = Session(children, db, setup or database.fresh, kept)
    before = signal.getsignal(signal.SIGINT)
    with suppress(ValueError):  # only the main thread hears it
        signal.signal(signal.SIGINT, _interrupt_once if callable(before) else before)
    try:
        for number, (name, worker) in enumerate(workers.items(), start=1):
            own = {"name": name, "recorder": folder / f"{number}.csv", "mark": children.mark}
            children.start(params | own | {"db": db, "scheduled": schedule is not None}, worker)
        children.ready()
        if callable(schedule):
            schedule(session)
            params["rounds"] = kept["rounds_run"]
        for coming in texts:
            if children.able and coming is None:
                children.play(session.begin(), params["timeout_s"])
            elif children.able:
                children.note(session.play(None, coming).stopped)
        children.end()
    except BaseException as error:
        children.problems.append(f"The run was cut short by {type(error).__name__}.")
        if isinstance(error, KeyboardInterrupt):
            raise Interrupted("This run is kept as processes.history()[-1].") from None
        raise
    finally:
        session.close(folder)
        with suppress(ValueError):
            signal.signal(signal.SIGINT, before)

    from streamlib.processes.result import Run

    return Run(folder)


def history(label: str | None = None) -> list["Run"]:
    """Return the kept runs, all or those with this label, oldest first; name damaged ones."""
    from streamlib.processes.result import Run

    found = []
    for path in sorted(home.runs.glob(f"{FOLDER}/run.json")):
        try:
            found.append(Run(path.parent))
        except (ValueError, TypeError, KeyError, OSError, RecursionError):  # it is not whole
            print(f"{path} is damaged and left out: delete its folder.")
    return [run for run in found if label is None or run.label == str(label)]


def clear() -> None:
    """Delete the folder of every run, even of one that was killed; name those that are kept."""
    for folder in sorted(home.runs.glob(f"{FOLDER}/")):
        names = [path.name for path in folder.iterdir()]
        text = b"".join(path.read_bytes() for path in folder.glob("*.[cj]s*") if path.is_file())
        known = recorder.HEADER in text or b'"rounds_run": ' in text or not names
        if known and all(map(OURS.fullmatch, names)):
            shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            print(f"{folder} is kept: it is not a run of this lab, or it is not writable.")
