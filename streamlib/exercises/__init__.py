"""The exercises: a check, hints one at a time, and after an attempt a solution.

What a lesson's exercises ask for stands in its own module, lesson_00 to lesson_06. There, EXERCISES
names a function for each exercise: it takes an answer, and returns what is wrong with it or "".
HINTS and SOLUTIONS are texts by the same names.
"""

from collections import Counter
from collections.abc import Callable
from importlib import import_module, util
from types import ModuleType

from streamlib import predict

_attempts, _hints = Counter(), Counter()  # of each exercise in this kernel


def check(exercise: str, answer: object = ...) -> None:
    """Print whether the answer to an exercise is right; `...` means not yet.

    Raises KeyError if there is no such exercise.
    """
    wrong = _lesson(exercise).EXERCISES[exercise]
    said = "not attempted yet; put your answer in place of the dots."
    if answer is not ...:
        _attempts[exercise] += 1
        said = f"not yet; {why}" if (why := wrong(answer)) else "correct."
    print(f"Exercise {exercise}: {said}")


def hint(exercise: str) -> None:
    """Print the next hint. Raises KeyError if there is no such exercise."""
    hints = _lesson(exercise).HINTS[exercise]
    _hints[exercise] = number = min(_hints[exercise] + 1, len(hints))
    print(f"Hint {number} of {len(hints)}: {hints[number - 1]}")


def solution(exercise: str) -> None:
    """Print a solution once you have tried. Raises KeyError if there is no such exercise."""
    text = _lesson(exercise).SOLUTIONS[exercise]
    print(text if _attempts[exercise] else "Try it first: give an answer to exercises.check.")


def _lesson(exercise: str) -> ModuleType:
    """Return the module that has an exercise. Raises KeyError if none has."""
    name = f"{__name__}.lesson_{str(exercise).partition('.')[0]}"
    lesson = import_module(name) if util.find_spec(name) else None
    if exercise not in getattr(lesson, "EXERCISES", ()):
        raise KeyError(f"There is no exercise {exercise}: give its number, such as '01.1'.")
    return lesson


def number(right: float, wrong: str) -> Callable[[object], str]:
    """Return the check of a number, however it is written; `wrong` says what to think about."""

    def check(answer: object) -> str:
        given = predict.read(answer, "number")
        return "give a number, such as 42." if given is None else wrong * (given != right)

    return check


def reason(right: str, wrong: dict[str, str]) -> Callable[[object], str]:
    """Return the check of a choice by letter; `wrong` says of each other letter why not."""
    letters = sorted([right, *wrong])

    def check(answer: object) -> str:
        letter = predict.read(answer, letters)
        why_not = wrong.get(letter, f"choose one letter: {', '.join(letters)}.")
        return "" if letter == right else why_not

    return check
