"""The exercises of notebook 01."""

from streamlib import orders
from streamlib.exercises import is_number
from streamlib.processes.result import Run


def orders_of_four_processes(answer: object) -> str:
    """How many orders are there for four processes with two inserts each?"""
    right = is_number(answer, orders.count((2, 2, 2, 2)))
    return (
        "" if right else "with n inserts in all there are n! orders; divide by 2! for each process."
    )


def three_rows_each(answer: object) -> str:
    """A run in which each process stores three rows."""
    right = (
        isinstance(answer, Run)
        and answer.ok
        and len(answer.params["processes"]) >= 2
        and bool((answer.workers["stored"] == 3).all())
    )
    hint = "give the run itself; each process must store three rows, and run.ok must be True."
    return "" if right else hint


EXERCISES = {"01.1": orders_of_four_processes, "01.2": three_rows_each}
