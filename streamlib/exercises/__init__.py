"""Checks for the exercises: correct, not yet, or not attempted."""

from collections.abc import Callable

from streamlib import impair, orders, records, reliability
from streamlib.processes.result import Run


def _three_each(run: object) -> bool:
    return (
        isinstance(run, Run)
        and run.ok
        and len(run.params["processes"]) >= 2
        and (run.workers["stored"] == 3).all()
    )


def _none_lost_at_3_s(run: object) -> bool:
    return (
        isinstance(run, Run)
        and run.ok
        and len(run.rows) == 6 * run.params["rounds"]
        and bool((run.items["held"] >= 2.9 * run.params["scale"]).all())
    )


def _loses_p1(text: object) -> bool:
    """P2 reads before P1 has written, and writes after it; with two switches."""
    words = text.split() if isinstance(text, str) else []
    if sorted(words) != ["1a", "1r", "1w", "2a", "2r", "2w"]:
        return False
    at = {word: n for n, word in enumerate(words)}
    in_order = all(at[f"{p}r"] < at[f"{p}a"] < at[f"{p}w"] for p in (1, 2))
    lost = at["2r"] < at["1w"] < at["2w"]
    return in_order and lost and orders.switches(text) == 2


def _is_fates(table: object) -> bool:
    return {"fate", "got"} <= set(getattr(table, "columns", ()))


def _as_many_and_not_the_same(fates: object) -> bool:
    """As many rows came as were in the source; one of them twice, another one never."""
    if not _is_fates(fates):
        return False
    return fates["fate"].value_counts()[lambda count: count > 0].to_dict() == {
        "arrived": 11,
        "lost": 1,
        "duplicated": 1,
    }


TEXTS = [
    "",
    ",",
    "a, b",
    '"',
    "'",
    "[x]",
    "\\",
    "\n",
    "\r\n",
    "\t",
    "é",
    "a|b;c",
    " a ",
    "\\n",
    "%2C",
]


def _keeps_fields_apart(functions: object) -> bool:
    """One line for each list of texts, and the same list from it again."""
    if not (isinstance(functions, tuple) and len(functions) == 2 and all(map(callable, functions))):
        return False
    encode, decode = functions
    lists = [[text] for text in TEXTS] + [[a, b] for a in TEXTS for b in TEXTS] + [TEXTS]
    try:
        lists += [[encode(list(values))] for values in lists]  # its own lines are texts, too
        lines = [encode(list(values)) for values in lists]
        one_line = all(isinstance(line, str) and len(line.splitlines()) <= 1 for line in lines)
        return one_line and [list(decode(line)) for line in lines] == lists
    except Exception:  # whatever the learner's functions raise, they do not do it yet
        return False


def _all_arrived(fates: object) -> bool:
    """At least ten rows, all of them well, and not those of the notebook's own file."""
    if not _is_fates(fates):
        return False
    arrived = fates[fates["fate"] == "arrived"]
    other = all("icao" not in row for row in arrived["got"])
    return len(arrived) >= 10 and other and set(fates["fate"]) <= {"arrived", "not sent"}


READING = {
    "05.1": {"a": "11", "b": "3", "c": "17", "d": "no", "e": "15"},
    "05.2": {"a": "24", "b": "26", "c": "yes", "d": "yes", "e": "16", "f": "1"},
}


def _wrong(exercise: str, answers: object) -> list[str]:
    """The letters whose answers are wrong or missing."""
    given = answers if isinstance(answers, dict) else {}
    words = {"true": "yes", "false": "no"}
    said = {str(key).casefold(): str(answer).strip().casefold() for key, answer in given.items()}
    said = {key: words.get(answer, answer) for key, answer in said.items()}
    return [key for key, right in READING[exercise].items() if said.get(key) != right]


def _which(exercise: str) -> Callable[[object], str]:
    def trouble(answers: object) -> str:
        wrong = ", ".join(_wrong(exercise, answers))
        return wrong and f'look again at {wrong}; answer each letter, as in {{"a": 1, "b": "yes"}}.'

    return trouble


NETWORKS = [
    impair.Network(delay_s=0.002, seed=1),
    impair.Network(loss=0.2, delay_s=0.002, seed=2),
    impair.Network(duplicate=0.2, reorder=0.2, delay_s=0.002, seed=3),
    impair.Network(loss=0.2, duplicate=0.1, reorder=0.1, delay_s=0.002, seed=4),
]


def _trials(functions: object) -> str:
    """Try a learner's reliability layer on four networks; say what is not right yet, or nothing."""
    if not (isinstance(functions, tuple) and len(functions) == 2 and all(map(callable, functions))):
        return "give both functions, as in (send, receive)."
    lines = [records.encode(seq, {"n": str(seq)}) for seq in range(1, 81)]
    for network in NETWORKS:
        try:
            trial = reliability.trial(*functions, lines, network, timeout_s=20)
        except TypeError as error:
            return str(error)
        if not trial.ok:
            return f"with {network}: {trial}"
        ways = [way for _, way, *_ in trial.log]
        if "back" not in ways:
            return "nothing is acknowledged: on a network that loses, who would send it again?"
        ahead = {text.split(b" ")[0] for _, _, text, _ in trial.log[: ways.index("back")]}
        if network is NETWORKS[0] and len(ahead) < 2:
            return "it works, but without a window: one line at a time is under way."
    return ""


EXAMPLES = {
    "lost update": "2r 1r 1a 2a 1w 2w",
    "tries the lock": "1b 1r 2b 1w 2r 2w",
}

# For each exercise: whether an answer is right, and a hint; or None, and a function that says what
# is wrong with an answer, and nothing if it is right.
EXERCISES: dict[str, tuple[Callable[[object], bool] | None, str | Callable[[object], str]]] = {
    "00.1": (
        lambda rows: str(rows) == "8",
        "four processes with two pets each; look at run.verdict.",
    ),
    "01.1": (
        lambda count: str(count) == str(orders.count((2, 2, 2, 2))),
        "with n inserts in all there are n! orders; divide by 2! for each process.",
    ),
    "01.2": (
        _three_each,
        "give the run itself; each process must store three rows, and run.ok must be True.",
    ),
    "02.1": (
        lambda lost: str(lost) == "3",
        "at 4 s, who can get the lock before 5 s are over, and who after that?",
    ),
    "03.1": (
        lambda mean: str(mean) in ("30", "30.0"),
        "when 40 comes in on the right, 10 leaves on the left.",
    ),
    "03.2": (
        _as_many_and_not_the_same,
        "give the table of stream.reconcile(oldest[:12], received), with 12 items in received: "
        "eleven different ones, and one of them once more.",
    ),
    "04.1": (
        _keeps_fields_apart,
        "give both functions, as in (encode, decode); every list of texts must come back the same, "
        "[''] and ['a, b', '\\n'] too, and its line must be one line.",
    ),
    "04.2": (
        _all_arrived,
        "give the table of stream.reconcile for ten rows or more of another file; each of them "
        "arrived, or was not sent.",
    ),
    "05.1": (None, _which("05.1")),
    "05.2": (None, _which("05.2")),
    "05.3": (None, _trials),
    "06.1": (
        lambda count: str(count) == str(orders.count((3, 3, 3))),
        "nine steps in all: 9! orders; each process keeps its own three in order.",
    ),
    "06.2": (
        _loses_p1,
        "give the text, with all six of 1r 1a 1w 2r 2a 2w; P2 must read before P1 writes and "
        "write after it, and one of the two goes through all its steps in one go.",
    ),
    "06.3": (
        lambda verdict: getattr(verdict, "verdict", "") == "broken" and verdict.explored > 2,
        "give the verdict of explore; let the lock have a step of its own, after read.",
    ),
    "02.2": (
        _none_lost_at_3_s,
        "give a run of six inserts that each hold the lock for 3 s, with a timeout that is "
        "long enough for the one who waits longest.",
    ),
}


def check(exercise: str, answer: object = ...) -> None:
    """Print whether the answer to an exercise is right; `...` means that there is none yet.

    Raises KeyError for an exercise that the lab does not have.
    """
    if exercise not in EXERCISES:
        raise KeyError(f"There is no exercise {exercise}: choose from {', '.join(EXERCISES)}.")
    right, hint = EXERCISES[exercise]
    if answer is ...:
        said = "not attempted yet; put your answer in place of the dots."
    else:
        trouble = hint(answer) if right is None else "" if right(answer) else hint
        said = f"not yet; {trouble}" if trouble else "correct."
    print(f"Exercise {exercise}: {said}")
