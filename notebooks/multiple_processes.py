"""Tasks 1 and 2: three processes insert two pets each into one SQLite database.

Run it in a terminal, in the lab's top folder; README says how to activate on Windows:

    source .venv/bin/activate
    python notebooks/multiple_processes.py

First run it as it is: quick tasks, logged in outputs/out0.txt. Then change TASK_DURATION_SECONDS
to 3 and run it again: slow tasks, logged in outputs/out3.txt.
"""

import sqlite3
import sys
from contextlib import closing, contextmanager

from streamlib import database, home, logs, processes

TASK_DURATION_SECONDS = 0  # change this to 3 for task 2
LOCK_TIMEOUT_SECONDS = 5  # how long an insert waits for the database before it gives up


def inserts(first, second):
    """Return a worker: the function that one process runs."""

    def worker(me):
        # `closing` closes the connection when the block ends, whatever happens in it.
        with closing(database.open(me, LOCK_TIMEOUT_SECONDS)) as connection:
            for pet in (first, second):
                # One transaction: take the write lock, insert, take our time, commit.
                database.insert(me, connection, pet, TASK_DURATION_SECONDS)

    return worker


@contextmanager
def alone():
    """Until the block ends, let no other terminal run this: it would share the log and the pets."""
    # Another database, used as a lock: it is let go even if this program is killed.
    with closing(sqlite3.connect(home.outputs / "turn.db", timeout=0)) as turn:
        try:
            turn.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if database.is_locked(error):
                raise OSError("it runs in another terminal: wait until it has ended.") from None
            raise
        yield


def main():
    """Start the three processes together, log what happens, count what is stored."""
    plan = {
        "P1": inserts("Ace", "Buddy"),
        "P2": inserts("Cooper", "Dingo"),
        "P3": inserts("Emma", "Felix"),
    }
    # What cannot work is said now, before the log of an earlier run is overwritten.
    home.scale()
    home.seconds("TASK_DURATION_SECONDS", TASK_DURATION_SECONDS)
    home.seconds("LOCK_TIMEOUT_SECONDS", LOCK_TIMEOUT_SECONDS)
    with alone():
        db = database.fresh(home.outputs / "pets.db")
        with logs.Log(home.outputs / f"out{TASK_DURATION_SECONDS:g}.txt") as log:
            log.opening(TASK_DURATION_SECONDS, LOCK_TIMEOUT_SECONDS, db.name)
            run = processes.run(plan, db=db, watch=log.watch)
            # The database has the last word, not the absence of an error message.
            return log.closing(run, expected=6)


# Each new process imports this file. The next line keeps it from starting processes of its own.
if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, ValueError) as error:
        sys.exit(f"multiple_processes.py: {error}")
    except sqlite3.Error as error:
        sys.exit(f"{home.outputs} cannot be used ({error}): make it a folder you may write to.")
    except KeyboardInterrupt:
        sys.exit("Stopped by hand: the log ends here, and nothing was left running.")
