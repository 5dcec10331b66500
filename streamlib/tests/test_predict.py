"""A prediction comes first: without one nothing is revealed; then it is held against the result."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from streamlib import home, predict

QUESTION = "How many rows are lost?"
PETS = "order of ABCDEF"
BUFFER = ["all of them", "the first ones", "the last ones", "some here and there"]
FULL = ["bytes are lost", "send fails with an error", "the sender waits"]
RECV = ["once", "twice", "you cannot know"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The folder of predictions, a new one for each test; learners have no variable set."""
    monkeypatch.setattr(home, "runs", tmp_path / "runs")
    monkeypatch.setattr(predict, "_asked", {})
    monkeypatch.delenv("STREAMLIB_PREDICT", raising=False)
    return tmp_path / "runs" / "predictions"


@pytest.fixture
def said(capsys):
    """Return what a check of an answer prints: one line."""

    def said(answer, measured, kind="number", **more):
        prediction = predict.ask(QUESTION, answer, kind=kind)
        capsys.readouterr()
        prediction.check(measured, **more)
        [line] = capsys.readouterr().out.splitlines()
        return line

    return said


@pytest.fixture
def score(capsys):
    """Return what the score prints: the lines of the questions, and the counts."""

    def score():
        capsys.readouterr()
        predict.score()
        *lines, counts = capsys.readouterr().out.splitlines()
        return lines, counts

    return score


def stopped(call, *arguments, **more):
    """Return the one sentence with which a call stops the notebook."""
    with pytest.raises(predict.NotPredicted) as stop:
        call(*arguments, **more)
    assert "\n" not in str(stop.value)
    return str(stop.value)


@pytest.mark.parametrize("answer", [..., None, "", "  "])
def test_without_an_answer_everything_stops_and_nothing_is_revealed(answer, capsys, score):
    lost = predict.ask(QUESTION, answer)
    for said in (
        stopped(lost.check, 8713),
        stopped(lost.required),
        stopped(lost.answer, 8713),
    ):
        assert QUESTION in said and "a number" not in said and "8713" not in said
    assert "8713" not in capsys.readouterr().out
    assert score() == ([], "0 right, 0 wrong (0 of them sure), 0 skipped")


@pytest.mark.parametrize(
    "kind, wanted",
    [
        ("number", "dots: number."),
        ("yes or no", "dots: yes or no, in quotes."),
        ("text", "dots: text, in quotes."),
        ("order of ABC", "dots: order of ABC, in quotes."),
        (["UDP", "TCP"], "dots: one of UDP, TCP, in quotes."),
    ],
    ids=str,
)
def test_a_question_says_which_kind_of_answer_it_wants(kind, wanted, capsys):
    asked = predict.ask(QUESTION, ..., kind)
    assert capsys.readouterr().out == f"To predict, put your answer in place of the {wanted}\n"
    assert stopped(asked.required) == f"{QUESTION} First put your answer in place of the {wanted}"


@pytest.mark.parametrize(
    "answer, kind, shown",
    [
        ("four", "number", "4"),
        ("No, never", "yes or no", "no"),
        (["Cooper", "Ace"], "order of AC", "CA"),
        ("It waits.", FULL, "the sender waits"),
        ("skip", "number", "skip"),
    ],
)
def test_an_answer_is_noted_as_it_was_understood(answer, kind, shown, capsys):
    predict.ask(QUESTION, answer, kind)
    assert capsys.readouterr().out == f"Noted: {shown}\n"


def test_the_sentence_has_the_question_the_result_and_the_prediction(said):
    assert said(2, 2) == f"{QUESTION} 2 (you said 2: as you predicted)"
    assert said("skip", 2).startswith(f"{QUESTION} 2 (you said 2: as you predicted; ")


def test_a_wrong_or_skipped_prediction_is_told(said, monkeypatch):
    assert said(3, 2) == f"{QUESTION} 2 (you said 3: not as you predicted)"
    monkeypatch.setitem(globals(), "QUESTION", "Another one?")
    assert said("skip", 2) == "Another one? 2 (no prediction)"


ANSWERS = {  # kind: what an answer means, and how people write it
    "number": {
        2: [
            2,
            "2",
            2.0,
            " 2 ",
            "2 rows",
            "2 (two)",
            "two",
            "Two.",
            "about 2",
            "2.",
            [2],
            np.int64(2),
            "02",
            "2 of 6",
            "two of the six rows",
        ],
        4320: ["4320", "4,320", "about 4,320 rows", "4320.0", "4.32e3", 4320.0],
        0: [
            0,
            "zero",
            "nothing",
            "no rows",
            "0 of them",
            "none",
            "None of them",
            "-0",
            np.float64(0),
        ],
        0.5: [0.5, ".5", "0.5 s", "50e-2"],
        -9: [-9, "-9", "\u22129", "exit code -9", "it is -9."],
    },
    "yes or no": {
        "yes": [
            "yes",
            "Yes.",
            "y",
            "Y",
            "YES!",
            True,
            np.bool_(True),
            "true",
            "yeah",
            "of course",
            "Yes, always",
            "always",
            "Yes, connection refused",
            "well, yes",
            "I think yes",
            "yes, but only sometimes",
            "Yes: it is refused, not ignored",
            "yes; no doubt",
            "it does",
            "It will.",
            "correct",
        ],
        "no": [
            "no",
            "it does not",
            "it will not",
            "No.",
            "n",
            "NO",
            False,
            "nope",
            "never",
            "No, never",
            "no never",
            "not at all",
            "no it does not",
            "No, it doesn't",
            "No it doesn’t",
            "I don't think so",
            "it never fails",
            "of course not",
            "It cannot",
            "no - UDP asks nobody",
            "No, yes would be TCP",
            "no because yes is for TCP",
        ],
    },
    PETS: {
        "CAEDFB": [
            "CAEDFB",
            "caedfb",
            "c a e d f b",
            "C, A, E, D, F, B",
            "C,A,E,D,F,B",
            "C>A>E>D>F>B",
            "C -> A -> E -> D -> F -> B",
            "CAE DFB",
            list("CAEDFB"),
            tuple("CAEDFB"),
            "'CAEDFB'",
            "Cooper, Ace, Emma, Dingo, Felix, Buddy",
            "cooper ace emma dingo felix buddy",
            "Cooper, Ace, Emma, Dingo, Felix and Buddy",
            "1. Cooper 2. Ace 3. Emma 4. D 5. F 6. B",
            ["Cooper", "Ace", "Emma", "Dingo", "Felix", "Buddy"],
            str(list("CAEDFB")),
        ],
    },
    "text": {"1r 2r": ["1r 2r", " 1r 2r\n", ["1r", "2r"], ("1r", "2r")]},
    tuple(BUFFER): {
        "the first ones": [
            "the first ones",
            "The first ones.",
            "first",
            "the first",
            "first ones",
            "it gets the first ones",
            "they are the first ones, until the buffer is full",
        ],
        "all of them": ["all", "All of them!", "all, since nothing is slow"],
        "some here and there": ["some", "here and there"],
    },
    tuple(FULL): {
        "the sender waits": ["It waits.", "waits", "wait", "the sender waits, it does not fail"],
        "bytes are lost": ["they are lost", "lost", "bytes are lost"],
    },
    ("udp", "tcp"): {"tcp": ["tcp", "TCP", "tcp, because it resends", "over TCP.", "tcp, not udp"]},
    tuple(RECV): {"you cannot know": ["You cannot know.", "cannot know"], "twice": ["Twice"]},
    ("some", "some here and there"): {"some here and there": ["some here and there"]},
}


@pytest.mark.parametrize(
    "kind, meant",
    [(kind, meant) for kind, by in ANSWERS.items() for meant in by],
    ids=lambda value: str(value)[:30],
)
def test_an_answer_is_right_however_it_is_written(kind, meant):
    wanted = list(kind) if isinstance(kind, tuple) else kind
    for answer in ANSWERS[kind][meant]:
        assert (answer, predict.read(answer, wanted)) == (answer, meant)


UNUSABLE = {
    "number": [
        "lots",
        "maybe",
        True,
        "2 or 3",
        "two hundred",
        "all but two",
        "10 %",
        "less than 5",
        "2,5",
        [1, 2],
        {},
        "1/2",
        "3-4",
        "nan",
        "not 2",
        "isn't two",
        "> 2",
        "at least 2",
        "under 5",
        "minus one",
        "no idea",
    ],
    "yes or no": [
        "maybe",
        "perhaps",
        "no idea",
        "yes/no",
        "yes or no",
        "yes and no",
        1,
        0,
        123456,
        "I don't know",
        "not always",
        "it depends",
        "P1 P2 P3",
        "cannot say",
        "I'm not sure",
        "I am not sure, yes",
        "not certain",
        "n/a",
        "y/n",
        "Perhaps not",
    ],
    PETS: [
        "P1 P2 P3",
        "P1, P1, P2, P2, P3, P3",
        123456,
        "maybe",
        "ABC",
        "ABCDEE",
        "ABCDEFG",
        [],
        {},
        "1 3 2 1 2 3",
        set("ABCDEF"),
        "the same",
        "Ace Buddy",
        [1, 2, 3],
        True,
    ],
    tuple(BUFFER): [
        "not the first ones",
        "the first ones or the last ones",
        "ones",
        "none",
        3,
        "neither",
        "maybe the first ones",
        True,
        "123456",
        "P1 P2 P3",
    ],
    ("udp", "tcp"): ["both", "udp and tcp", "tcp/udp", "not tcp", "neither", "maybe", 1, "cp"],
}


@pytest.mark.parametrize("kind", UNUSABLE, ids=str)
def test_an_unusable_answer_is_refused_at_once(kind, folder, capsys):
    wanted = list(kind) if isinstance(kind, tuple) else kind
    for answer in UNUSABLE[kind]:
        asked = predict.ask(QUESTION, answer, wanted)
        said = capsys.readouterr().out.rstrip()
        assert f"{answer!r} does not fit; wanted: " in said
        stopped(asked.check, 8713)


def test_an_answer_of_any_type_is_refused_in_one_sentence(capsys):
    for answer in (np.arange(3), [], print, b"x", pd.NA, float("inf")):
        stopped(predict.ask(QUESTION, answer).required)
        assert "does not fit" in capsys.readouterr().out


@pytest.mark.parametrize(
    "kind, answer, measured",
    [
        ("number", 2, 3),
        ("number", 2, float("nan")),
        ("yes or no", "yes", False),
        (PETS, "CAEDFB", "ABCDEF"),
        (PETS, "CAEDFB", "CAEDF"),
        (["waits", "loses"], "loses", "waits"),
        (["waits", "loses"], "loses", "another word"),
    ],
)
def test_another_result_is_not_as_predicted(kind, answer, measured, said, score):
    assert f" {measured if measured is not False else 'no'} (you said " in said(
        answer, measured, kind
    )
    assert score()[1] == "0 right, 1 wrong (0 of them sure), 0 skipped"


def test_near_enough_is_right(said):
    assert "not as" not in said(60, np.int64(70), within=10)
    assert "not as" in said(60, 71, within=10)
    assert "not as" in said(60, float("nan"), within=10)


def test_a_check_that_runs_again_counts_with_its_new_result(score):
    lost = predict.ask(QUESTION, 2)
    for measured, counts in [(3, "0 right, 1 wrong"), (2, "1 right, 0 wrong")]:
        lost.check(measured)
        assert score()[1].startswith(counts)


@pytest.mark.parametrize("first, outcome", [(3, "0 right, 1 wrong"), ("skip", "0 right, 0 wrong")])
def test_an_answer_that_is_changed_after_the_result_does_not_count(first, outcome, capsys, score):
    predict.ask(QUESTION, first).check(2)
    predict._asked.clear()  # a new kernel changes nothing
    predict.ask(QUESTION, 2).check(2)
    assert "; an answer changed later does not count)" in capsys.readouterr().out
    assert score()[1].startswith(outcome)
    predict.ask(QUESTION, first).check(2)
    assert "changed" not in capsys.readouterr().out


def test_an_answer_may_be_changed_until_its_result_is_shown(capsys, score):
    for answer in (3, 4, 2):
        lost = predict.ask(QUESTION, answer)
    lost.check(2)
    assert capsys.readouterr().out.endswith("(you said 2: as you predicted)\n")
    assert score()[1].startswith("1 right, 0 wrong")


@pytest.mark.parametrize("new", [..., "lots"])
def test_an_old_answer_does_not_stand_for_a_new_one(new, score):
    lost = predict.ask(QUESTION, 2)
    lost.check(2)
    lost = predict.ask(QUESTION, new)
    stopped(lost.check, 2)
    assert score() == ([], "0 right, 0 wrong (0 of them sure), 0 skipped")


@pytest.mark.parametrize("word", ["skip", "SKIP", " Skip. "])
@pytest.mark.parametrize("kind", ["number", "yes or no", PETS, "text", FULL], ids=str)
def test_skip_goes_on_without_a_prediction_and_is_counted(word, kind, score):
    mine = predict.ask(QUESTION, word, kind)
    assert mine.required() is None
    assert mine.answer(otherwise="1 2") == "1 2"
    mine.check("yes")
    assert score()[1] == "0 right, 0 wrong (0 of them sure), 1 skipped"


def test_the_variable_skips_only_what_has_no_answer(monkeypatch, capsys):
    monkeypatch.setenv("STREAMLIB_PREDICT", "skip")
    skipped = predict.ask(QUESTION, ...)
    assert capsys.readouterr().out == ""  # so the stored notebooks show nothing there
    skipped.check(2)
    assert capsys.readouterr().out.endswith("(no prediction)\n")
    predict.ask("Another one?", 3).check(2)
    assert capsys.readouterr().out.endswith("(you said 3: not as you predicted)\n")


@pytest.mark.parametrize("value", ["", "4"])
def test_another_value_of_the_variable_answers_nothing(value, monkeypatch):
    monkeypatch.setenv("STREAMLIB_PREDICT", value)
    stopped(predict.ask(QUESTION, ...).required)


def test_an_answer_is_given_back_to_be_run():
    mine = predict.ask("A schedule:", " 1r 2r\n2w ", kind="text")
    assert mine.answer(otherwise="") == "1r 2r\n2w"


@pytest.mark.parametrize(
    "confidence, counts",
    [
        ("sure", "0 right, 1 wrong (1 of them sure), 0 skipped"),
        ("fairly", "0 right, 1 wrong (0 of them sure), 0 skipped"),
        ("guess", "0 right, 1 wrong (0 of them sure), 0 skipped"),
    ],
)
def test_the_score_shows_who_was_sure_and_wrong(confidence, counts, score):
    predict.ask(QUESTION, 3, confidence=confidence).check(2)
    [line], counted = score()
    assert line.startswith("sure and wrong ") == (confidence == "sure") and QUESTION in line
    assert counted == counts
    predict.ask(QUESTION, 3, confidence="guess").check(2)  # less sure, now that it is known
    assert score()[1] == counts


@pytest.mark.parametrize("confidence", ["very", "Yes", 3])
def test_another_confidence_is_refused_at_once_and_the_answer_stands(confidence, capsys):
    predict.ask(QUESTION, 2, confidence=confidence).check(2)
    assert f"{str(confidence).casefold()!r} is not how sure you are" in capsys.readouterr().out


@pytest.mark.parametrize("given", [{"kind": "sure"}, {"confidence": "Sure"}])
def test_a_confidence_is_read_as_people_write_it(given, capsys):
    predict.ask(QUESTION, 2, **given)
    assert capsys.readouterr().out == "Noted: 2\n"
    assert predict._kept(QUESTION)["confidence"] == "sure"


def test_the_score_has_a_line_for_each_checked_question_in_the_order_asked(score):
    asked = {answer: predict.ask(f"How many {answer}?", answer) for answer in (5, 1, "skip", 3)}
    for answer in ("skip", 1, 5):  # 3 is not checked yet
        asked[answer].check(1)
    lines, counts = score()
    assert [line.split("You")[0].split() for line in lines] == [
        ["wrong", "How", "many", "5?"],
        ["right", "How", "many", "1?"],
        ["skipped", "How", "many", "skip?"],
    ]
    assert counts == "1 right, 1 wrong (0 of them sure), 1 skipped"


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"3", b"\xff\xfe"], ids=repr)
def test_a_damaged_file_hides_no_other_and_is_written_anew(data, folder, score):
    predict.ask("Whole?", 1).check(1)
    [whole] = folder.iterdir()
    damaged = predict.ask("Damaged?", 2)
    damaged.check(2)
    [path] = set(folder.iterdir()) - {whole}
    path.write_bytes(data)
    assert score()[1].startswith("1 right, 0 wrong")
    stopped(damaged.check, 2)
    predict.ask("Damaged?", 2).check(2)
    assert score()[1].startswith("2 right, 0 wrong")


def test_two_kernels_at_once_lose_no_answers(folder):
    code = (
        "import sys; from pathlib import Path; from streamlib import home, predict\n"
        "home.runs = Path(sys.argv[1])\n"
        "for n in range(100): predict.ask(f'{sys.argv[2]} {n}?', n).check(n)\n"
    )
    kernels = [
        subprocess.Popen(
            [sys.executable, "-c", code, home.runs, name], stdout=subprocess.DEVNULL, cwd=home.root
        )
        for name in "AB"
    ]
    assert [kernel.wait(60) for kernel in kernels] == [0, 0]
    kept = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")]
    assert [one["outcome"] for one in kept] == ["right"] * 200
    for name in "AB":
        mine = [one["predicted"] for one in kept if one["question"].startswith(name)]
        assert sorted(mine) == list(range(100))


@pytest.mark.parametrize(
    "choices",
    [
        BUFFER,
        FULL,
        RECV,
        ["in DELETE mode only", "in WAL mode only", "in both", "in neither"],
        ["one or none", "about a quarter", "nearly all"],
        ["it is thrown away", "the next recv gets it", "it does not matter", "not at all"],
        ["holds", "broken", "unknown"],
        ["error", "no error", "maybe"],
    ],
    ids=str,
)
def test_each_choice_is_itself_however_it_is_spelled(choices):
    for one in choices:
        for text in (one, one.upper(), f" {one}. ", f"{one}!", f"It is: {one}", f"'{one}'"):
            assert predict.read(text, choices) == one
