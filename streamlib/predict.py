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
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from streamlib import home

NUMBER = r"-?(?:[1-9]\d{0,2}(?:,\d{3})+|0|[1-9]\d*)(?:\.\d+)?(?:e[+-]?\d+)?"
KINDS = {  # kind of answer: what it looks like, and how to ask for it
    "number": (rf"\D*?({NUMBER})\D*", "a number, such as 4"),
    "yes or no": (r"(?:(y|yes|true)|n|no|false)\s*(?:[,.;:!].*)?", "yes or no"),
    "order": (r"(?:([a-z])(?!.*\1)[\s,;>-]*)+", 'each letter once, such as "CAEDFB"'),
    "text": (r"(?s:.+)", "text in quotes"),
}


class NotPredicted(Exception):
    """Raised while a question has no usable answer; a notebook shows only its sentence."""

    def _render_traceback_(self) -> list[str]:  # IPython shows this instead of a traceback
        return [str(self)]


class Prediction(NamedTuple):
    """A question that was asked, the kind of its answer, and what is kept of it in a file."""

    question: str
    kind: str | list[str]
    kept: dict

    def required(self) -> None:
        """Raise NotPredicted while there is no answer."""
        if not _path(self.question).exists():
            raise NotPredicted(f"{self.question} First put your answer in place of the dots.")

    def answer(self, otherwise: object) -> object:
        """Return the learner's answer, or `otherwise` if it was skipped."""
        self.required()
        return otherwise if self.kept["predicted"] == "skip" else self.kept["predicted"]

    def check(self, measured: object, *, within: float = 0) -> None:
        """Print the question, the result, and whether it was predicted, give or take `within`."""
        predicted, result = self.answer("skip"), _read(measured, self.kind)
        result, right, said = str(measured) if result is None else result, None, "no prediction"
        if predicted != "skip":
            right = bool(result == predicted or (within and abs(result - predicted) <= within))
            said = f"you said {predicted}: {'' if right else 'not '}as you predicted"
        kept = self.kept | {"measured": result, "right": right}
        home.replace_file(_path(self.question), json.dumps(kept))
        print(f"{self.question} {result} ({said})")


def ask(question: str, answer: object, kind: str | list[str] = "number") -> Prediction:
    """Keep the learner's answer to a question (`...`: not yet); return both, to be checked later.

    kind: "number", "yes or no", "order" (of letters), "text", or a list of words to choose from.

    Raises NotPredicted if the answer is not of that kind.
    """
    _path(question).unlink(missing_ok=True)  # an old answer does not stand for a new one
    if answer in (..., None) or not str(answer).strip():
        answer = "skip" if os.environ.get("STREAMLIB_PREDICT") == "skip" else None
    asked = time.time(), time.perf_counter()  # on some systems the first one is too coarse
    kept = {"asked": asked, "prediction": question, "predicted": _read(answer, kind)}
    if answer is not None and kept["predicted"] is None:
        wanted = KINDS[kind][1] if isinstance(kind, str) else "one of " + ", ".join(kind)
        raise NotPredicted(f"{question} Your answer {answer!r} does not fit: write {wanted}.")
    if answer is not None:
        home.replace_file(_path(question), json.dumps(kept))
    return Prediction(question, kind, kept)


def score() -> pd.DataFrame:
    """Return a row for each checked question: prediction, predicted, measured, right."""
    kept = []
    for path in (home.runs / "predictions").glob("*.json"):
        try:
            kept.append({**json.loads(path.read_text(encoding="utf-8"))})
        except (ValueError, TypeError):
            home.set_aside(path)
    checked = sorted((one for one in kept if "measured" in one), key=lambda one: one["asked"])
    return pd.DataFrame(checked, columns=["prediction", "predicted", "measured", "right"])


def _read(answer: object, kind: str | list[str]) -> float | str | None:
    """Return an answer as its kind has it; None if it is of another kind."""
    text = " ".join(map(str, answer)) if isinstance(answer, list | tuple) else str(answer).strip()
    if text.casefold() == "skip" or not isinstance(kind, str):
        return {word.casefold(): word for word in ("skip", *kind)}.get(text.casefold())
    found = re.fullmatch(KINDS[kind][0], text, re.IGNORECASE)
    if found and kind == "number":
        return json.loads(found[1].replace(",", ""))
    if found and kind == "yes or no":
        return "yes" if found[1] else "no"
    plain = re.sub(r"\W", "", text).upper() if kind == "order" else text
    return plain if found else None


def _path(question: str) -> Path:  # a file for each, so that two kernels lose no answers
    folder = home.runs / "predictions"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{sha256(question.encode()).hexdigest()[:16]}.json"
