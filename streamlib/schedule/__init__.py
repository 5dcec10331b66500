"""Choose the interleaving: run the very same workers in a given order, or in every order.

A schedule is a text of turns, each the number of a process in the plan:

    1 3 2 1 2 3            each turn a whole unit: one insert, from its first step to the next one
    1b 1i 1c 2b 2i 2c      each turn one step, by its first letter(s): begin, insert, commit
    1b 2x 1i 1c            x: the process tries to begin, and gives up since another holds the lock

    processes.run(plan, schedule="1 3 2 1 2 3")
    schedule.explore(plan, invariant, setup=setup)

Turns are forced on real processes: their order and outcomes repeat exactly, their times do not.
"""

from streamlib.schedule.exploring import Verdict, explore  # noqa: F401
from streamlib.schedule.stepping import at  # noqa: F401
