"""A question before a run, answered by the learner, then held against what the run showed.

The answer replaces the dots; until then these calls stop the notebook and reveal nothing.
The answer "skip" goes on without one, as does STREAMLIB_PREDICT=skip in the environment.
"""

import json
import os
import re
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from streamlib import home

WORD = re.compile(r"[^\W\d_]+")
NUMBER = re.compile(r"-?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:e[+-]?\d+)?|-?\.\d+")
COUNTS = "none one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
COUNTS = f"{COUNTS} fifteen sixteen seventeen eighteen nineteen twenty".split()
OTHER = r"%|[<>≤≥]|n't|\b(?:percent|but|half|dozen|hundred|thousand|million|less|fewer|more|"
OTHER = re.compile(OTHER + r"not|minus|least|most|over|under|above|below|between)\b")
NONE = re.compile(r"\b(?:zero|nothing|no(?= rows?\b))")
YES = r"\b(?:y|yeah|yep|true|correct|always|certainly|definitely"
YES = re.compile(YES + r"|(?:of course|it do\w+|it is|it will)(?! n))\b")
NO = re.compile(r"\b(?:n(?!/a)|nope|not|never|false|cannot|\w+n't)\b")
UNSURE = re.compile(r"\b(?:not|\w+n't|idea|clue|maybe|perhaps|know|say|tell|sure|certain)\b")
REASON = re.compile(r"[,.;:!?\n]|\b(?:but|because|since)\b")  # what follows gives the reasons
KINDS = re.compile("number|yes or no|text|order of ")
DOTS = "put your answer in place of the dots"
SURE = ["sure", "fairly", "guess"]
OUTCOMES = ["right", "wrong", "sure and wrong", "skipped"]  # the second has the third in it
Kind = str | list[str]  # what `ask` takes as such
_asked: dict[str, None] = {}  # the questions of this kernel, in order


class NotPredicted(Exception):
    """Raised while a question has no usable answer; a notebook shows it in one line."""


class Prediction(NamedTuple):
    """A question that was asked, and the kind of its answer; the rest is kept in a file."""

    question: str
    kind: Kind

    def required(self) -> None:
        """Raise NotPredicted while there is no answer."""
        if _kept(self.question).get("predicted") is None:
            raise NotPredicted(f"{self.question} First {DOTS}: {_wanted(self.kind)}")

    def answer(self, otherwise: object) -> object:
        """Return the learner's answer, or `otherwise` if it was skipped."""
        self.required()
        predicted = _kept(self.question)["predicted"]
        return otherwise if predicted == "skip" else predicted

    def check(self, measured: object, *, within: float = 0) -> None:
        """Print the question, the result, and if your first answer is right, or `within` of it."""
        self.required()
        kept, result = _kept(self.question), read(measured, self.kind)
        result = str(measured) if result is None else result
        first, confidence = kept["first"] or [kept["predicted"], kept["confidence"]]
        outcome, said = "right", f"you said {first}: as you predicted"
        if first == "skip":
            outcome, said = "skipped", "no prediction"
        elif result != first and not (within and abs(float(result) - first) <= within):
            outcome = "sure and wrong" if confidence == "sure" else "wrong"
            said = f"you said {first}: not as you predicted"
        said += "; an answer changed later does not count" * (first != kept["predicted"])
        kept |= {"first": [first, confidence], "outcome": outcome}
        home.replace_file(_path(self.question), json.dumps(kept))
        print(f"{self.question} {result} ({said})")


def ask(question: str, answer: object, kind: Kind = "number", confidence: str = "") -> Prediction:
    """Note the learner's answer to a question (`...`: not yet); return both, to be checked later.

    kind: "number", "yes or no", "order of ABC" (each of these letters once), "text", or a list of
    words to choose from; confidence: "sure", "fairly" or "guess", for the score.

    An answer of another kind does not count: this says so, and what needs it will stop.
    """
    if isinstance(kind, str) and not KINDS.match(kind):  # it is a number, and so not named
        kind, confidence = "number", kind
    if confidence and (confidence := str(confidence).casefold()) not in SURE:
        print(f"{confidence!r} is not how sure you are: write sure, fairly or guess.")
    _asked[question] = None
    given = answer is not ... and answer is not None and str(answer).strip() != ""
    skipped = not given and os.environ.get("STREAMLIB_PREDICT") == "skip"
    predicted = read(answer, kind) if given else "skip" if skipped else None
    first = _kept(question).get("first")  # what stood when a result was first shown
    kept = {"question": question, "predicted": predicted, "confidence": confidence, "first": first}
    home.replace_file(_path(question), json.dumps(kept))
    if given and predicted is None:
        print(f"{question} {answer!r:.60} does not fit; wanted: {_wanted(kind)}")
    elif not skipped:
        print(f"Noted: {predicted}" if given else f"To predict, {DOTS}: {_wanted(kind)}")
    return Prediction(question, kind)


def score() -> None:
    """Print each question that was checked in this kernel, and how many answers were right."""
    checked = [kept for kept in map(_kept, _asked) if "outcome" in kept]
    for kept in checked:
        print(f"{kept['outcome']:15} {kept['question']} You said {kept['first'][0]}.")
    counts = (sum(one in kept["outcome"] for kept in checked) for one in OUTCOMES)
    print("{} right, {} wrong ({} of them sure), {} skipped".format(*counts))


def read(answer: object, kind: Kind) -> float | str | None:
    """Return an answer as its kind has it, however it is written; None if it is not of its kind."""
    text = (" ".join(map(str, answer)) if isinstance(answer, list | tuple) else str(answer)).strip()
    plain = text.casefold().replace("’", "'").strip(" .!")
    if plain == "skip" or kind == "text":
        return "skip" if plain == "skip" else text
    if kind == "number":
        return _number(NONE.sub("none", text.casefold()).partition(" of ")[0])
    if kind == "yes or no":
        kind, plain = ["yes", "no"], YES.sub("yes", NO.sub("no", plain))
    if isinstance(kind, list):
        plain = plain.replace("can't", "cannot")
        return _one_of(kind, plain) or _one_of(kind, REASON.split(plain)[0].strip())
    return None if isinstance(answer, set) else _order(kind.removeprefix("order of "), text)


def _number(text: str) -> float | None:
    found = [float(one.replace(",", "")) for one in NUMBER.findall(text.replace("−", "-"))]
    found += [float(COUNTS.index(word)) for word in WORD.findall(text) if word in COUNTS]
    numbers = {int(one) if one.is_integer() else one for one in found}
    return numbers.pop() if len(numbers) == 1 and not OTHER.search(text) else None


def _one_of(choices: list[str], text: str) -> str | None:
    """Return the one choice that is named in a text, or of which the text is a part."""
    plain = {one.casefold(): one for one in sorted(choices, key=len, reverse=True)}
    names = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, plain))})(?!\w)")
    found, rest = set(names.findall(text)), names.sub("", text)
    if not found and len(text) > 2:
        part = re.escape(text.removeprefix("it ").removeprefix("they "))
        found, rest = {one for one in plain if re.search(rf"\b{part}", one)}, ""
    return plain[found.pop()] if len(found) == 1 and not UNSURE.search(rest) else None


def _order(letters: str, text: str) -> str | None:
    """Return an order of all the letters, written as a word, as letters, or as names."""
    words = [word for word in WORD.findall(text.upper()) if word not in ("AND", "THEN")]
    written = ("".join(words), "".join(word[0] for word in words))
    return next((order for order in written if sorted(order) == sorted(letters)), None)


def _wanted(kind: Kind) -> str:
    wanted = kind if isinstance(kind, str) else f"one of {', '.join(kind)}"
    return f"{wanted}{', in quotes' * (kind != 'number')}."


def _path(question: str) -> Path:  # a file for each, so that two kernels lose no answers
    folder = home.runs / "predictions"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{sha256(question.encode()).hexdigest()[:16]}.json"


def _kept(question: str) -> dict:
    """Return what is kept of a question; nothing if there is no whole file of it."""
    try:
        return dict(json.loads(_path(question).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return {}
