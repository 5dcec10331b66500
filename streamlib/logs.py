"""The log that tasks 1 and 2 ask for: one line for each thing that happened to a row.

Each line is   time - level - message   and stands on the screen and in a file.
"""

import logging
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from streamlib import database, home
from streamlib.processes.parent import Event, exit_words

if TYPE_CHECKING:
    from streamlib.processes.result import Run


def start(path: Path | str) -> logging.Logger:
    """Return a logger that writes to the screen and, anew, to the file at `path`.

    Raises OSError with one sentence if the file cannot be written.
    """
    log = logging.getLogger("streamlib.pets")
    finish(log)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        file = logging.FileHandler(path, mode="w", encoding="utf-8")
    except OSError as error:
        raise OSError(
            f"The log {path} cannot be written ({error.strerror}): give another path, in a "
            "folder that is there."
        ) from None
    for handler in (file, logging.StreamHandler(sys.stdout)):
        handler.setFormatter(logging.Formatter("%(asctime)s - %(levelname)s - %(message)s"))
        log.addHandler(handler)
    return log


def finish(log: logging.Logger) -> None:
    """Close the log's file."""
    for handler in list(log.handlers):
        log.removeHandler(handler)
        handler.close()


def opening(log: logging.Logger, hold_s: float, timeout_s: float, db: Path | str) -> None:
    """Log what is about to be run, and on what.

    Raises ValueError if a duration is none.
    """
    home.seconds("The task duration", hold_s)
    home.seconds("The lock timeout", timeout_s)
    log.info("Task duration %g s, lock timeout %g s, database %s", hold_s, timeout_s, db)
    log.info("In front: when the line was written. At: seconds since the start gate")
    log.info("%s, Python %s", platform.platform(terse=True), platform.python_version())


def watcher(log: logging.Logger) -> Callable[[Event], None]:
    """Return a function for `processes.run(watch=...)` that logs each insert as it happens."""
    since: dict[tuple, float] = {}

    def watch(event: Event) -> None:
        at, who, pet = event.start, event.process, event.item
        waited = since.get((who, pet, "holding"), at) - since.get((who, pet, "waiting"), at)
        if event.state in ("waiting", "holding"):
            since[who, pet, event.state] = at
        if event.state == "waiting":
            log.info("%s calls the insert of %s at %.3f s", who, pet, at)
        elif event.state == "done":
            held = at - since.get((who, pet, "holding"), at)
            text = "COMMIT %s by %s at %.3f s (waited %.3f s, held the lock for %.3f s)"
            log.info(text, pet, who, at, waited, held)
        elif event.state == "gave_up":
            text = "LOCKED %s by %s at %.3f s: %s (waited %.3f s)"
            log.error(text, pet, who, at, event.detail, at - since.get((who, pet, "waiting"), at))

    return watch


def closing(log: logging.Logger, run: "Run", expected: int) -> int:
    """Log what the run left in the database; return the exit status: 0 if all rows are there."""
    for sentence in run.why():
        log.warning(sentence)
    for process, worker in run.workers.iterrows():
        log.info("%s ended with %s", process, exit_words(int(worker["exit"])))
    rows = run.rows
    names = ", ".join(row["name"] for row in rows) or "none"
    log.info("Rows of this run counted in the database: %d of %d: %s", len(rows), expected, names)
    everything = len(database.rows(run.db))
    if everything != len(rows):
        log.info("Rows in the database, those of other runs included: %d", everything)
    if len(rows) == expected:
        log.info("SUCCESS: all %d rows are stored", expected)
        return 0
    log.error("FAILURE: %d of %d rows were lost", expected - len(rows), expected)
    return 1
