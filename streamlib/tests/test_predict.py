"""A prediction comes first: without one nothing is revealed; then it is held against the result."""

import subprocess
import sys

import numpy as np
import pytest

from streamlib import home, predict

QUESTION = "How many rows are lost?"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The folder of predictions, a new one for each test; learners have no variable set."""
    monkeypatch.setattr(home, "runs", tmp_path / "runs")
    monkeypatch.delenv("STREAMLIB_PREDICT", raising=False)
    return tmp_path / "runs" / "predictions"


@pytest.fixture
def said(capsys):
    """Return what a check of an answer prints: one line."""

    def said(answer, measured, kind="number", **more):
        prediction = predict.ask(QUESTION, answer, kind=kind)
        assert capsys.readouterr().out == ""
        prediction.check(measured, **more)
        [line] = capsys.readouterr().out.splitlines()
        return line

    return said


def stopped(call, *arguments):
    """Return the one sentence with which a call stops the notebook."""
    with pytest.raises(predict.NotPredicted) as stop:
        call(*arguments)
    assert stop.value._render_traceback_() == [str(stop.value)]
    assert "\n" not in str(stop.value)
    return str(stop.value)


@pytest.mark.parametrize("answer", [..., None, "", "  "])
def test_without_an_answer_everything_stops_and_nothing_is_revealed(answer, capsys):
    lost = predict.ask(QUESTION, answer)
    for said in (
        stopped(lost.check, 8713),
        stopped(lost.required),
        stopped(lost.answer, 8713),
    ):
        assert QUESTION in said and "8713" not in said
    assert capsys.readouterr() == ("", "") and predict.score().empty


def test_the_sentence_has_the_question_the_result_and_the_prediction(said):
    assert said(2, 2) == f"{QUESTION} 2 (you said 2: as you predicted)"
    assert said(3, 2) == f"{QUESTION} 2 (you said 3: not as you predicted)"
    assert said("skip", 2) == f"{QUESTION} 2 (no prediction)"


RIGHT = [
    ("number", 2, 2, "2"),
    ("number", 0, 0, "0"),
    ("number", "2", 2, "2"),
    ("number", 2.0, 2, "2"),
    ("number", 2, np.int64(2), "2"),
    ("number", np.float64(0.5), 0.5, "0.5"),
    ("number", "about 4,320 rows", 4320, "4320"),
    ("number", "2.5 s.", 2.5, "2.5"),
    ("number", -3, -3, "-3"),
    ("yes or no", "yes", True, "yes"),
    ("yes or no", " Yes, always ", np.bool_(True), "yes"),
    ("yes or no", "n", False, "no"),
    ("yes or no", "No.", np.bool_(False), "no"),
    ("yes or no", True, True, "yes"),
    ("yes or no", False, "no", "no"),
    ("order", "CAEDFB", "CAEDFB", "CAEDFB"),
    ("order", "c a e d f b", "CAEDFB", "CAEDFB"),
    ("order", "C, A, E", ["C", "A", "E"], "CAE"),
    ("order", ["C", "A", "E"], "CAE", "CAE"),
    ("text", "1r 2r", "1r 2r", "1r 2r"),
    (["waits", "loses"], "Waits ", "waits", "waits"),
    (["UDP", "TCP"], "tcp", "TCP", "TCP"),
]
WRONG = [
    ("number", 2, 3),
    ("number", 2, float("nan")),
    ("yes or no", "yes", False),
    ("order", "CAEDFB", "ABCDEF"),
    ("text", "1r 2r", "2r 1r"),
    (["waits", "loses"], "loses", "waits"),
    (["waits", "loses"], "loses", "another word"),
]


@pytest.mark.parametrize("kind, answer, measured, shown", RIGHT)
def test_an_answer_is_right_however_it_is_written(kind, answer, measured, shown, said):
    assert said(answer, measured, kind).endswith(": as you predicted)")
    assert said("skip", measured, kind) == f"{QUESTION} {shown} (no prediction)"


@pytest.mark.parametrize("kind, answer, measured", WRONG)
def test_another_result_is_not_as_predicted(kind, answer, measured, said):
    assert said(answer, measured, kind).endswith(": not as you predicted)")
    assert predict.score()["right"].tolist() == [False]


@pytest.mark.parametrize(
    "kind, answers, wanted",
    [
        ("number", ["lots", True, "2 or 3", "2,5", [1, 2], {}, "1/2", "07"], "a number, such as 4"),
        ("yes or no", ["perhaps", "no idea", "yes/no", 1, 0], "yes or no"),
        ("order", ["ABA", "the same", 12, "A1", [], "1 2"], "each letter once, such as"),
        (["waits", "loses"], ["neither", "wait", 1], "one of waits, loses"),
    ],
    ids=["number", "yes or no", "order", "words"],
)
def test_an_answer_of_another_kind_is_refused_at_once(kind, answers, wanted, folder):
    for answer in answers:
        said = stopped(predict.ask, QUESTION, answer, kind)
        assert repr(answer) in said and wanted in said
    assert not list(folder.glob("*"))


def test_a_kind_that_does_not_exist_is_an_error():
    with pytest.raises(KeyError, match="maybe"):
        predict.ask(QUESTION, 1, kind="maybe")


def test_near_enough_is_right(said):
    assert "not as" not in said(60, np.int64(70), within=10)
    assert "not as" in said(60, 71, within=10)


def test_a_check_that_runs_again_counts_with_its_new_result():
    lost = predict.ask(QUESTION, 2)
    for measured, right in [(3, False), (2, True)]:
        lost.check(measured)
        assert predict.score()["right"].tolist() == [right]


@pytest.mark.parametrize("new", [..., "lots"])
def test_an_old_answer_does_not_stand_for_a_new_one(new):
    lost = predict.ask(QUESTION, 2)
    lost.check(2)
    try:
        lost = predict.ask(QUESTION, new)
    except predict.NotPredicted:
        assert new == "lots"  # it was refused, so `lost` is still the old one
    stopped(lost.check, 2)
    assert predict.score().empty


@pytest.mark.parametrize("word", ["skip", "SKIP", " Skip "])
@pytest.mark.parametrize("kind", [*predict.KINDS, ["waits", "loses"]], ids=str)
def test_skip_goes_on_without_a_prediction(word, kind):
    mine = predict.ask(QUESTION, word, kind)
    assert mine.required() is None
    assert mine.answer(otherwise="1 2") == "1 2"
    mine.check("yes")
    assert predict.score()["right"].tolist() == [None]


def test_the_variable_skips_only_what_has_no_answer(monkeypatch, said):
    monkeypatch.setenv("STREAMLIB_PREDICT", "skip")
    assert said(..., 2).endswith("(no prediction)")
    assert said(3, 2).endswith("(you said 3: not as you predicted)")


@pytest.mark.parametrize("value", ["", "4"])
def test_another_value_of_the_variable_answers_nothing(value, monkeypatch):
    monkeypatch.setenv("STREAMLIB_PREDICT", value)
    stopped(predict.ask(QUESTION, ...).required)


def test_an_answer_is_given_back_to_be_run():
    mine = predict.ask("A schedule:", " 1r 2r\n2w ", kind="text")
    assert mine.answer(otherwise="") == "1r 2r\n2w"


def test_the_score_has_a_row_for_each_checked_question_in_the_order_asked():
    asked = {answer: predict.ask(f"How many {answer}?", answer) for answer in (5, 1, "skip", 3)}
    for answer in ("skip", 1, 5):  # 3 is not checked yet
        asked[answer].check(1)
    assert predict.score().to_dict("list") == {
        "prediction": ["How many 5?", "How many 1?", "How many skip?"],
        "predicted": [5, 1, "skip"],
        "measured": [1, 1, 1],
        "right": [False, True, None],
    }


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff\xfe"], ids=repr)
def test_a_damaged_file_is_set_aside_and_hides_no_other(data, folder, capsys):
    predict.ask("Whole?", 1).check(1)
    [whole] = folder.iterdir()
    predict.ask("Damaged?", 2).check(2)
    [damaged] = set(folder.iterdir()) - {whole}
    damaged.write_bytes(data)
    capsys.readouterr()
    assert predict.score()["prediction"].tolist() == ["Whole?"]
    assert f"{damaged.name} in {folder} is damaged" in capsys.readouterr().out
    assert damaged.with_name(f"{damaged.name}.damaged").read_bytes() == data
    predict.ask("Damaged?", 2).check(2)
    assert len(predict.score()) == 2


def test_two_kernels_at_once_lose_no_answers(tmp_path, monkeypatch):
    monkeypatch.setattr(home, "runs", home.runs.parent / "side by side" / "runs")
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
    score = predict.score()
    assert score["right"].tolist() == [True] * 200
    for name in "AB":
        mine = score[score["prediction"].str.startswith(name)]
        assert mine["predicted"].tolist() == list(range(100))
