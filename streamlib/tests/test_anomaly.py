"""The anomaly of a broken schedule is called by its name, with the turns that collide.

The programs are lists of SQL commands. What each does wrong, and in which turns, was worked out by
hand from its commands and the schedule; the model of all interleavings is `brute_force` below.
"""

import sqlite3
import sys
from contextlib import ExitStack, closing

import cloudpickle
import pytest

from streamlib import processes, schedule
from streamlib.tests.conftest import TWO, counter, is_two

# Workers that stand here go to their processes by value: those are not to import all of this.
cloudpickle.register_pickle_by_value(sys.modules[__name__])
pytestmark = pytest.mark.usefixtures("nothing_left_behind")


def runs(text, isolation=None):
    """A worker that runs commands, split by semicolons; what they read, the later ones can use.

    "step x" is a step, "if x" goes on only if x was read as true, "b: ..." uses the file b.db.
    """

    def worker(me):
        values, opened = {}, {}
        with ExitStack() as stack:
            for line in map(str.strip, text.split(";")):
                word, _, rest = line.partition(" ")
                if word == "step":
                    me.step(rest)
                elif word == "if" and not values[rest]:
                    return
                elif word != "if":
                    file, command = (word, rest) if word.endswith(":") else ("", line)
                    if file not in opened:
                        path = me.db.with_name(f"{file[:-1]}.db") if file else me.db
                        one = sqlite3.connect(path, isolation_level=isolation)
                        one.row_factory = sqlite3.Row
                        opened[file] = stack.enter_context(closing(one))
                    if command == "commit":
                        opened[file].commit()
                    else:
                        for row in opened[file].execute(command, values).fetchall():
                            values |= dict(row)

    return worker


def makes(text):
    """A setup that runs commands, as `runs` does, once the tables that they make are dropped."""

    def setup(path):
        for command in map(str.strip, text.split(";")):
            file = path
            if command[1:2] == ":":
                file, command = path.with_name(f"{command[0]}.db"), command[3:]
            with closing(sqlite3.connect(file, isolation_level=None)) as connection:
                if command.startswith("CREATE TABLE"):
                    connection.execute(f"DROP TABLE IF EXISTS {command.split()[2]}")
                connection.execute(command)

    return setup


def explored(setup, wanted, *workers, isolation=None):
    """The verdict on workers P1, P2, ...; `wanted` is a query whose first value is to be true."""

    def invariant(path):
        other = path.with_name(f"{wanted[0]}.db")
        file, query = (other, wanted[3:]) if wanted[1] == ":" else (path, wanted)
        with closing(sqlite3.connect(file)) as connection:
            return bool(connection.execute(query).fetchone()[0])

    plan = {f"P{n}": runs(text, isolation) for n, text in enumerate(workers, start=1)}
    return schedule.explore(plan, invariant, setup=makes(setup))


