"""The log of tasks 1 and 2, on the screen and in a file, each line `time - level - message`."""

import contextlib
import io
import logging
import platform
import re
import sys
from pathlib import Path

from streamlib import database, home

logging.raiseExceptions = False  # a screen that takes no more stops nothing
ADVICE = "give another path, in a folder that exists"
OURS = re.compile(rb"\Z|[-\d]{10} [:\d]{8},\d{3} - INFO - Task duration ")  # or an empty file


class Log(contextlib.AbstractContextManager):
    """A log on the screen and in a new file at `path`, which is closed when its `with` block ends.

    Raises OSError if the file cannot be written, or is there and is not a log of the lab's.
    """

    def __init__(self, path: Path | str):
        self._logger, self._since = logging.Logger("pets"), {}  # (process, pet, state) -> its time
        self._writing = lambda: home.one_sentence(f"The log {path} cannot be written", ADVICE)
        with self._writing():
            self._held = io.FileIO(path, "a+")  # this empties nothing
            self._held.seek(0)
            if not OURS.match(self._held.read(99)):
                raise FileExistsError(0, "it is there, and is not a log of the lab's")
        home.hold_alone(self._held)
        self._file = logging.FileHandler(path, "w", "utf-8", delay=True)
        for handler in (self._file, logging.StreamHandler(sys.stdout)):
            handler.setFormatter(logging.Formatter("%(asctime)s - %(levelname)s - %(message)s"))
            self._logger.addHandler(handler)

    def __exit__(self, *error: object) -> None:
        with self._writing(), self._held:  # only now does a full disk tell
            self._file.close()

    def opening(self, hold_s: float, timeout_s: float, db: Path | str) -> None:
        """Log what is about to run, and where."""
        hold, timeout = f"Task duration {hold_s:g} s", f"lock timeout {timeout_s:g} s"
        self._logger.info(f"{hold}, {timeout}, database {db}")
        self._logger.info(f"{platform.platform(terse=True)}, Python {platform.python_version()}")
        self._logger.info("Times after 'at' are seconds since all processes began")

    def watch(self, event) -> None:
        """Log an event of an insert; give it to `processes.run(watch=...)`."""
        at, what = event.start, f"{event.item} by {event.process} at {event.start:.3f} s"
        key = (event.process, event.item)
        waiting, holding = (self._since.get((*key, one), at) for one in ("waiting", "holding"))
        self._since[*key, event.state] = at
        if event.state == "waiting":
            self._logger.info(f"Insert of {what}")
        elif event.state == "done":
            took = f"waited {holding - waiting:.3f} s, held the lock for {at - holding:.3f} s"
            self._logger.info(f"COMMIT {what} ({took})")
        elif event.state == "gave_up":
            self._logger.error(f"LOCKED {what}: {event.detail} (waited {at - waiting:.3f} s)")

    def closing(self, run, expected: int) -> int:
        """Log what the run left in the database; return 0 if every row is there, else 1."""
        for sentence in run.why():
            self._logger.warning(sentence)
        for process, code in run.workers["exit"].items():
            self._logger.info(f"{process} ended with exit code {code}")
        names = ", ".join(row["name"] for row in run.rows) or "none"
        stored, lost = len(run.rows), expected - len(run.rows)
        self._logger.info(f"Rows of this run in the database: {stored} of {expected}: {names}")
        self._logger.info(f"Rows in the database in all: {len(database.rows(run.db))}")
        if lost:
            self._logger.error(f"FAILURE: {lost} of {expected} rows were lost")
            return 1
        self._logger.info(f"SUCCESS: all {expected} rows are stored")
        return 0
