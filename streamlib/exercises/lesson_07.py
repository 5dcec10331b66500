"""The exercises of notebook 07."""

import re

from streamlib.exercises import reason

TRUE = {"a", "c", "d"}  # of the statements about deadlock
FORKS = [f"fork {n}" for n in range(5)]
BOUND = (
    30  # rounds: a table that can deadlock does so in the first ones, which are not mixed by luck
)


def the_courses_question(answer: object) -> str:
    """How a deadlock arises, and how it is avoided: all of the statements that are true."""
    given = {*re.findall(r"\b[a-e]\b", str(answer).casefold())}
    if not given:
        return "name the true ones by their letters, as in 'a c'."
    if "b" in given:
        return "a lock that is held for long keeps others waiting, but not forever."
    if "e" in given:
        return "quick processes get into it more rarely, but they do: think of two turns, 1p 2s."
    return "there is at least one more that is true." * (given != TRUE)


def a_table_that_cannot_deadlock(answer: object) -> str:
    """A plan for five philosophers and the five forks of the notebook, without a deadlock."""
    if not (isinstance(answer, dict) and len(answer) == 5 and all(map(callable, answer.values()))):
        return "give the plan, a dict of five workers, as in table | {'P5': copies(...)}."
    from streamlib import processes, resources, schedule  # only now: other checks need none of it

    setup = resources.shared(*FORKS)
    verdict = schedule.explore(answer, lambda path: True, setup=setup, bound=BOUND)
    if "deadlock" in verdict.outcomes:
        return f"it can still deadlock: {verdict.schedule}."
    if verdict.broken:
        return f"it does not run to its end: {verdict.why}."
    events = processes.history("explore")[-1].events
    forks = events[events["state"] == "holding"].groupby("process", observed=True)["resource"]
    seats = [{FORKS[n], FORKS[(n + 1) % 5]} for n in range(5)]
    same = list(forks.agg(set)) == seats
    return "" if same else "let each of the five take the two forks beside it, fork 4 and 0 for P5."


EXERCISES = {
    "07.1": the_courses_question,
    "07.2": a_table_that_cannot_deadlock,
    "07.3": reason(
        right="b",
        wrong={
            "a": "in a deadlock nobody of the circle moves; here two others go on.",
            "c": "in livelock nobody gets on; here two others do.",
            "d": "the others could not get the lock, either.",
        },
    ),
}
HINTS = {
    "07.1": ["hold each of them against the four conditions: does it turn one of them off?"],
    "07.2": [
        "which of the four conditions can one philosopher turn off alone?",
        "the fifth takes fork 4 first, and then fork 0. What if it takes them in the other order?",
    ],
    "07.3": ["who moves, and who gets on?"],
}
SOLUTIONS = {
    "07.1": "a, c and d: (b) and (e) only change how often processes wait, and for how long.",
    "07.2": """\
table | {"P5": copies(forks[0], forks[4])}  # all take the fork with the lower number first""",
    "07.3": "(b): the lock is free again and again, and others get it.",
}
