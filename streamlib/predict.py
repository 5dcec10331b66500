"""A prediction before a run, held against what the run then showed.

    predict.ask("lost at 3 s", "How many of the six rows will be lost?", ...)   # write a number
    predict.check("lost at 3 s", run.lost)

As long as `...` stands there, `check` stops the notebook and shows nothing; "skip" goes on
without a prediction. STREAMLIB_PREDICT=skip in the environment skips them all.
"""

import json
import os

import pandas as pd

from streamlib import home

_KEPT = home.runs / "predictions.json"


class NotPredicted(Exception):
    """Raised by `check` while there is no prediction; a notebook shows its one sentence."""

    def _render_traceback_(self) -> list[str]:  # IPython shows this in place of a traceback
        return [str(self)]


def ask(key: str, question: str, value: object = ...) -> None:
    """Keep the learner's answer to the question; prints nothing.

    value: the answer; `...` for not yet, "skip" to go on without one.
    """
    if isinstance(value, str):
        value = value.strip()
        value = "skip" if value.casefold() == "skip" else value
    value = ... if value is None or value == "" else value
    if value is ... and os.environ.get("STREAMLIB_PREDICT") == "skip":
        value = "skip"
    kept = _kept()
    kept.pop(key, None)  # an old answer does not stand for a new one
    if value is not ...:
        kept[key] = {"question": question, "predicted": value}
    _keep(kept)


def first(key: str) -> None:
    """Stop here while there is no prediction: a first line for a cell that takes long to run.

    Raises NotPredicted.
    """
    _entry(key)


def check(key: str, measured: object, *, within: float = 0) -> None:
    """Hold the prediction against what was measured; print both in one sentence.

    within: how far off a number may be and still be right.

    Raises NotPredicted while there is no answer, and reveals nothing.
    """
    entry = _entry(key) | {"measured": _plain(measured)}
    predicted, result = entry["predicted"], entry["measured"]
    skipped = predicted == "skip"
    if not skipped and _number(result) is not None and _number(predicted) is None:
        raise NotPredicted(
            f"{entry['question']} Your answer {predicted!r} is not a number: write one, such as 4, "
            "run that cell, then run this one again."
        )
    entry["right"] = None if skipped else _same(predicted, result, within)
    _keep(_kept() | {key: entry})
    hit = "as you predicted" if entry["right"] else "not as you predicted"
    said = "(no prediction)" if skipped else f"(you said {predicted}: {hit})"
    print(f"{entry['question']} {result} {said}")


def answer(key: str, otherwise: object) -> object:
    """Return the learner's answer itself, to run with it; `otherwise` if it was skipped.

    Raises NotPredicted while there is none.
    """
    predicted = _entry(key)["predicted"]
    return otherwise if predicted == "skip" else predicted


def score() -> pd.DataFrame:
    """Return one row a prediction that was checked: predicted, measured, right (None: skipped)."""
    rows = [
        {
            "prediction": key,
            "predicted": entry["predicted"],
            "measured": entry["measured"],
            "right": entry["right"],
        }
        for key, entry in _kept().items()
        if "measured" in entry
    ]
    return pd.DataFrame(rows, columns=["prediction", "predicted", "measured", "right"])


def _same(predicted: object, measured: object, within: float) -> bool:
    numbers = _number(predicted), _number(measured)
    if None not in numbers:
        return abs(numbers[0] - numbers[1]) <= within
    words = {True: "yes", False: "no"}
    if isinstance(measured, str) and isinstance(predicted, str | bool):
        said = words[predicted] if isinstance(predicted, bool) else predicted
        return "".join(said.split()).casefold() == "".join(measured.split()).casefold()
    return predicted == measured


def _number(value: object) -> float | None:
    """Return a number, or a text that is one, as a number."""
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return float(value)
        except ValueError:
            return None
    return None


def _entry(key: str) -> dict:
    kept = _kept()
    if key not in kept:
        raise NotPredicted(
            f"Write your answer first: replace the ... in the cell that asks for {key!r} "
            'by it (or by "skip") and run that cell, then run this one again.'
        )
    return kept[key]


def _kept() -> dict:
    try:
        kept = json.loads(_KEPT.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _keep(kept: dict) -> None:
    _KEPT.parent.mkdir(parents=True, exist_ok=True)
    _KEPT.write_text(json.dumps(kept, indent=1, default=_known), encoding="utf-8")


def _plain(value: object) -> object:
    """Return a value as it will be read back: a tuple or an array is a list, for example."""
    return json.loads(json.dumps(value, default=_known))


def _known(value: object) -> object:
    return value.tolist() if hasattr(value, "tolist") else str(value)  # numpy's numbers, arrays
