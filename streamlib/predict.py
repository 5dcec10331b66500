"""A prediction before a run, held against what the run then showed.

    predict.ask("lost at 3 s", "How many of the six rows will be lost?", ...)   # write a number
    predict.check("lost at 3 s", run.lost, run)

As long as `...` stands there, `check` stops the notebook and shows nothing; "skip" goes on
without a prediction. STREAMLIB_PREDICT=skip in the environment skips them all.
"""

import json
import os

import pandas as pd

from streamlib import home
from streamlib.runs import Run

_KEPT = home.runs / "predictions.json"


class NotPredicted(Exception):
    """Raised by `check` while there is no prediction; a notebook shows its one sentence."""

    def _render_traceback_(self) -> list[str]:  # IPython shows this in place of a traceback
        return [str(self)]


def ask(key: str, question: str, value: object = ...) -> None:
    """Keep the learner's answer to the question; prints nothing.

    value: the answer; `...` for not yet, "skip" to go on without one.
    """
    if value is ... and os.environ.get("STREAMLIB_PREDICT") == "skip":
        value = "skip"
    kept = _kept()
    kept.pop(key, None)  # an old answer does not stand for a new one
    if value is not ...:
        kept[key] = {"question": question, "predicted": value}
    _keep(kept)


def check(key: str, measured: object, run: Run | None = None) -> None:
    """Hold the prediction against what was measured; print both in one sentence.

    run: the run that it was measured in, so that it can be found again.
    Raises NotPredicted while there is no answer, and reveals nothing.
    """
    kept = _kept()
    if key not in kept:
        raise NotPredicted(
            f"Write your prediction first: replace the ... in the cell that asks for {key!r} "
            'by your answer (or by "skip") and run it, then run this cell again.'
        )
    entry = kept[key] | {"measured": _plain(measured), "run": run.id if run else None}
    kept[key] = entry
    _keep(kept)
    if run:
        run.keep_prediction(key, entry)
    if entry["predicted"] == "skip":
        print(f"{entry['question']} {measured} (no prediction)")
        return
    hit = (
        "as you predicted"
        if _same(entry["predicted"], entry["measured"])
        else "not as you predicted"
    )
    print(f"{entry['question']} {measured}; you said {entry['predicted']}: {hit}.")


def score() -> pd.DataFrame:
    """Return one row a prediction: predicted, measured and right (missing while unknown)."""
    rows = [
        {
            "prediction": key,
            "predicted": entry["predicted"],
            "measured": entry.get("measured"),
            "right": _same(entry["predicted"], entry["measured"])
            if "measured" in entry and entry["predicted"] != "skip"
            else None,
        }
        for key, entry in _kept().items()
    ]
    return pd.DataFrame(rows, columns=["prediction", "predicted", "measured", "right"])


def _same(predicted: object, measured: object) -> bool:
    if isinstance(predicted, str) and isinstance(measured, str):
        return "".join(predicted.split()).casefold() == "".join(measured.split()).casefold()
    return predicted == measured


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
