"""Tasks 1 and 2: three processes insert two pets each into one SQLite database.

Run it in a terminal, from the top folder of the lab:

    python notebooks/multiple_processes.py

First run it as it is: quick tasks, logged in outputs/out0.txt. Then change TASK_DURATION_SECONDS
to 3 and run it again: slow tasks, logged in outputs/out3.txt.
"""

import sys
from contextlib import closing

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


def main():
    """Start the three processes together, log what happens, count what is stored."""
    plan = {
        "P1": inserts("Ace", "Buddy"),
        "P2": inserts("Cooper", "Dingo"),
        "P3": inserts("Emma", "Felix"),
    }
    db = home.outputs / "pets.db"
    with logs.Log(home.outputs / f"out{TASK_DURATION_SECONDS}.txt") as log:
        log.opening(TASK_DURATION_SECONDS, LOCK_TIMEOUT_SECONDS, db.name)
        run = processes.run(plan, db=db, watch=log.watch)
        # The database has the last word, not the absence of an error message.
        return log.closing(run, expected=6)


# Each new process imports this file. The next line keeps it from starting processes of its own.
if __name__ == "__main__":
    sys.exit(main())
