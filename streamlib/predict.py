"""A question before a run, answered by the learner, then held against what the run showed.

    lost = predict.ask("Tasks of 3 s: how many of the six rows are lost?", ...)
    lost.required()         # first line of a cell that takes long
    lost.check(run.lost)    # prints the question, the result, and whether you were right

The answer replaces the dots; until then these calls stop the notebook and reveal nothing.
The answer "skip" goes on without one, as does STREAMLIB_PREDICT=skip in the environment.
"""

import json
import os
import re
import time
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from streamlib import home

NUMBER = r"-?(?:[1-9]\d{0,2}(?:,\d{3})+|0|[1-9]\d*)(?:\.\d+)?(?:e[+-]?\d+)?"
COUNTS = ["none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
YES, NO = {"y", "yes", "yeah", "yep", "true", "always"}, {"n", "no", "nope", "false", "never"}
UNSURE = re.compile(r"\b(idea|clue|maybe|perhaps|not|neither|nor|n't)\b")
WANTED = {
    "number": "a number, such as 4",
    "yes or no": "yes or no",
    "text": "text in quotes",
    "order of ": "each of these letters once",
}
CONFIDENCE = ("sure", "fairly", "guess")
_asked: dict[str, None] = {}  # the questions of this kernel, in order


class NotPredicted(Exception):
    """Raised while a question has no usable answer; a notebook shows only its sentence."""

    def _render_traceback_(self) -> list[str]:  # IPython shows this instead of a traceback
        return [str(self)]


class Prediction(NamedTuple):
    """A question that was asked, and the kind of its answer; the rest is kept in a file."""

    question: str
    kind: str | list[str]

    def required(self) -> None:
        """Raise NotPredicted while there is no answer."""
        if _kept(self.question).get("predicted") is None:
            raise NotPredicted(f"{self.question} First put your answer in place of the dots.")

    def answer(self, otherwise: object) -> object:
        """Return the learner's answer, or `otherwise` if it was skipped."""
        self.required()
        predicted = _kept(self.question)["predicted"]
        return otherwise if predicted == "skip" else predicted

    def check(self, measured: object, *, within: float = 0) -> None:
        """Print the question, the result, and whether it was predicted, give or take `within`."""
        predicted, result = self.answer("skip"), _read(measured, self.kind)
        result = str(measured) if result is None else result
        kept = {"first": predicted} | _kept(self.question)  # what stood when the result was shown
        if predicted == "skip":
            outcome, said = "skipped", "no prediction"
        elif kept["first"] != predicted:
            outcome, said = "changed", f"you said {predicted}, once you had seen the result"
        elif result == predicted or (within and abs(result - predicted) <= within):
            outcome, said = "right", f"you said {predicted}: as you predicted"
        else:
            outcome, said = "wrong", f"you said {predicted}: not as you predicted"
        _keep(self.question, kept | {"outcome": outcome})
        print(f"{self.question} {result} ({said})")


def ask(
    question: str, answer: object, kind: str | list[str] = "number", confidence: str = ""
) -> Prediction:
    """Note the learner's answer to a question (`...`: not yet); return both, to be checked later.

    kind: "number", "yes or no", "order of ABC" (each of these letters once), "text", or a list of
    words to choose from; confidence: "sure", "fairly" or "guess", for the score.

    Raises NotPredicted if the answer is not of that kind.
    """
    _asked[question] = None
    if answer in (..., None) or not str(answer).strip():
        answer = "skip" if os.environ.get("STREAMLIB_PREDICT") == "skip" else None
    predicted = None if answer is None else _read(answer, kind)
    kept = {name: value for name, value in _kept(question).items() if name == "first"}
    _keep(question, kept | {"predicted": predicted, "confidence": confidence})
    if answer is not None and predicted is None:
        wanted = f"one of {', '.join(kind)}" if isinstance(kind, list) else _wanted(kind)
        raise NotPredicted(f"{question} Your answer {answer!r} does not fit: write {wanted}.")
    if confidence and confidence not in CONFIDENCE:
        raise NotPredicted(f"{confidence!r} is not a confidence: write {' or '.join(CONFIDENCE)}.")
    if predicted is not None:
        said = "Skipped." if predicted == "skip" else f"Noted: {predicted}"
        print(said + f" ({confidence})" * bool(confidence))
    return Prediction(question, kind)


def score() -> None:
    """Print each question that was checked in this kernel, and how many answers were right."""
    checked = [(question, _kept(question)) for question in _asked]
    checked = [(question, kept) for question, kept in checked if "outcome" in kept]
    for question, kept in checked:
        print(f"{kept['outcome']:8} {question} You said {kept['predicted']}.")
    count = Counter(kept["outcome"] for _, kept in checked)
    changed = f", {count['changed']} changed after the result" * bool(count["changed"])
    print(f"{count['right']} right, {count['wrong']} wrong, {count['skipped']} skipped{changed}.")
    for question, kept in checked:
        if kept["outcome"] == "wrong" and kept["confidence"] == "sure":
            print(f"Sure and wrong, so worth another look: {question}")

def _read(answer: object, kind: str | list[str]) -> float | str | None:
    """Return an answer as its kind has it, however it is written; None if it is not of its kind."""
    listed = isinstance(answer, list | tuple)
    text = (" ".join(map(str, answer)) if listed else str(answer)).strip()
    plain = text.casefold()
    words = re.findall(r"[^\W\d_]+", plain)
    if plain == "skip":
        return "skip"
    if isinstance(kind, list):
        return _one_of(kind, plain)
    if kind == "number" and not listed:
        found = re.fullmatch(rf"\D*?({NUMBER})\D*", text)
        counts = [COUNTS.index(word) for word in words if word in COUNTS]
        number = json.loads(found[1].replace(",", "")) if found else None
        return counts[0] if not found and len(counts) == 1 else number
    if kind == "yes or no":
        said = {word in YES for word in words if word in YES | NO}
        first = bool(words) and words[0] in YES | NO
        usable = first and len(said) == 1 and not UNSURE.search(plain.partition(",")[0])
        return ("yes" if said.pop() else "no") if usable else None
    if kind.startswith("order of "):
        letters = words[0] if len(words) == 1 else "".join(word[0] for word in words)
        whole = sorted(letters.upper()) == sorted(kind.removeprefix("order of "))
        return letters.upper() if whole and not re.search(r"\d", plain) else None
    return text if kind == "text" and text else None


def _one_of(choices: list[str], plain: str) -> str | None:
    """Return the one choice that stands in an answer, or that the answer begins."""
    fitting = [one for one in choices if one.casefold() in plain]
    longest = [one for one in fitting if not any(one in other != one for other in fitting)]
    if not longest and len(plain) > 2:
        longest = [one for one in choices if one.casefold().startswith(plain.rstrip("."))]
    if len(longest) == 1 and not UNSURE.search(plain.replace(longest[0].casefold(), "", 1)):
        return longest[0]
    return None


def _wanted(kind: str) -> str:
    return f"{WANTED['order of ']}: {kind[-6:]}" if "order" in kind else WANTED[kind]


def _path(question: str) -> Path:  # a file for each, so that two kernels lose no answers
    folder = home.runs / "predictions"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{sha256(question.encode()).hexdigest()[:16]}.json"


def _keep(question: str, kept: dict) -> None:
    home.replace_file(_path(question), json.dumps({"question": question} | kept))


def _kept(question: str) -> dict:
    """Return what is kept of a question; nothing if there is no whole file of it."""
    path = _path(question)
    if path.exists():
        try:
            return dict(json.loads(path.read_text(encoding="utf-8")).items())
        except (ValueError, AttributeError):
            home.set_aside(path)
    return {}
