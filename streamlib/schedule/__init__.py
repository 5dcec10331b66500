"""Choose the interleaving: run the very same workers in a given order, or in every order.

A schedule is a text of turns, each the number of a process in the plan:

    1 3 2 1 2 3           each turn is a whole unit: one insert, up to where the next one begins
    1b 1i 1c 2b 2i 2c     each turn is one step, by its first letters: begin, insert, commit
    1s 2s 1u 2u           ... or one SQL command, by its first word: select, update
    1b 2x 1i 1c           x: the process tries to begin, and gives up: another holds the lock

A turn ends at an SQL command only if the next turn of its process names that, else at a step; a
step and its first command are one. Order and outcomes repeat exactly, times do not.
"""

from streamlib.schedule.exploring import Verdict, explore  # noqa: F401
from streamlib.schedule.playing import Game as play  # noqa: F401
from streamlib.schedule.stepping import at  # noqa: F401
