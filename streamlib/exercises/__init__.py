"""The checks of the exercises: correct, not yet, or not attempted.

    exercises.check("01.1", 2520)

What a lesson's exercises ask for stands in its own module, lesson_00 to lesson_06. There, EXERCISES
names a function for each exercise: it takes an answer, and returns what is wrong with it or "".
"""

from importlib import import_module, util


def check(exercise: str, answer: object = ...) -> None:
    """Print whether the answer to an exercise is right; `...` is no answer yet.

    Raises KeyError if there is no such exercise.
    """
    lesson = f"{__name__}.lesson_{str(exercise).partition('.')[0]}"
    exercises = import_module(lesson).EXERCISES if util.find_spec(lesson) else {}
    if exercise not in exercises:
        raise KeyError(f"There is no exercise {exercise}: give its number, such as '01.1'.")
    said = "not attempted yet; put your answer in place of the dots."
    if answer is not ...:
        hint = exercises[exercise](answer)
        said = f"not yet; {hint}" if hint else "correct."
    print(f"Exercise {exercise}: {said}")


def is_number(answer: object, right: float) -> bool:
    """Return whether an answer is this number, in whatever way it is written."""
    try:
        return float(str(answer).replace(",", "")) == right
    except ValueError:
        return False
