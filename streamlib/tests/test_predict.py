"""A prediction comes first: without one nothing is revealed, and it is held against the result."""

import numpy as np
import pytest

from streamlib import predict


@pytest.fixture(autouse=True)
def kept(tmp_path, monkeypatch):
    """The file of predictions, for each test its own; learners have no variable set."""
    path = tmp_path / "runs" / "predictions.json"
    monkeypatch.setattr(predict, "_KEPT", path)
    monkeypatch.delenv("STREAMLIB_PREDICT", raising=False)
    return path


def ask(value=...):
    """Ask how many rows will be lost."""
    return predict.ask("lost", "How many rows will be lost?", value)


@pytest.fixture
def check(capsys):
    """Hold the prediction against a result; return the one sentence that is printed."""

    def check(measured):
        capsys.readouterr()
        assert predict.check("lost", measured) is None
        [said] = capsys.readouterr().out.splitlines()
        return said

    return check


def test_no_answer_reveals_nothing(capsys):
    """While `...` stands there, neither the sentence nor the table gives the result away."""
    assert ask() is None
    with pytest.raises(predict.NotPredicted) as stopped:
        predict.check("lost", 8713)
    said = str(stopped.value) + "".join(stopped.value._render_traceback_())
    printed = capsys.readouterr()
    assert "'lost'" in said and "8713" not in said + printed.out + printed.err
    assert predict.score().empty


def test_a_question_never_asked_stops_too():
    """A check without its ask stops in the same way."""
    with pytest.raises(predict.NotPredicted):
        predict.check("never asked", 1)


@pytest.mark.parametrize(
    "predicted, measured, right",
    [
        (2, 2, True),
        (2, 3, False),
        (0, 0, True),
        (False, False, True),
        (2.0, 2, True),
        ("abc def", "ABCDEF", True),
        ("CAEDFB", "ABCDEF", False),
        ("2", 2, True),
        (True, "yes", True),
        (False, "yes", False),
        (" Yes ", "yes", True),
        (2, np.int64(2), True),
        (["P1", "P2"], ["P1", "P2"], True),
        (("P1", "P2"), ("P1", "P2"), True),
    ],
)
def test_a_prediction_is_held_against_the_result(predicted, measured, right, check):
    """The sentence has both, says if they agree, and the score says the same."""
    ask(predicted)
    assert predict.score().empty
    said = check(measured)
    assert str(list(measured) if isinstance(measured, tuple) else measured) in said
    assert ("not as you predicted" in said) is not right
    assert predict.score()["right"].tolist() == [right]


def test_check_can_be_asked_again(check):
    """Running the cell again compares again, with the new result."""
    ask(2)
    assert "not as" in check(3)
    assert "not as" not in check(2)
    assert predict.score()["right"].tolist() == [True]


def test_taking_an_answer_back_stops_again(check):
    """An old answer does not stand for a new one."""
    ask(2)
    check(2)
    ask()
    with pytest.raises(predict.NotPredicted):
        predict.check("lost", 2)


def test_skip_goes_on_without_a_prediction(check):
    """With "skip" the result is told, and the score leaves it open."""
    ask("skip")
    said = check(2)
    assert "2" in said and "as you predicted" not in said
    assert predict.score()["right"].tolist() == [None]


def test_the_variable_skips_only_what_has_no_answer(monkeypatch, check):
    """STREAMLIB_PREDICT=skip stands for each `...`; an answer that is there still counts."""
    monkeypatch.setenv("STREAMLIB_PREDICT", "skip")
    ask()
    assert "no prediction" in check(2)
    ask(3)
    assert "not as you predicted" in check(2)


def test_the_score_has_one_row_a_prediction():
    """Each key once, in the order first asked, with what was predicted and measured."""
    for key, value in [("a", 1), ("b", "skip"), ("c", 3)]:
        predict.ask(key, "How many?", value)
    predict.check("a", 1)
    predict.check("b", 5)
    score = predict.score()
    assert score["prediction"].tolist() == ["a", "b"]  # c has not been checked yet
    assert score["predicted"].tolist() == [1, "skip"]
    assert score["measured"].tolist() == [1, 5]
    assert score["right"].tolist() == [True, None]


def test_predictions_outlive_the_kernel(kept, check):
    """The answer, the result and its run are found in the file."""
    ask(3)
    check(3)
    text = kept.read_text(encoding="utf-8")
    assert "How many rows" in text


@pytest.mark.parametrize("value", [..., None, "", "  "])
def test_what_is_no_answer_yet(value):
    """Neither the run nor the result comes before an answer."""
    ask(value)
    for blocked in (lambda: predict.first("lost"), lambda: predict.answer("lost", 1)):
        with pytest.raises(predict.NotPredicted):
            blocked()


@pytest.mark.parametrize("value", ["skip", "SKIP", " Skip "])
def test_skip_however_it_is_written(value, check):
    """A learner in a hurry is not taken at the letter."""
    ask(value)
    assert predict.first("lost") is None
    assert predict.answer("lost", otherwise="1 2") == "1 2"
    assert "no prediction" in check(2)


def test_an_answer_is_given_back_to_be_run():
    """A schedule, for instance."""
    ask("1r 2r")
    assert predict.answer("lost", otherwise="") == "1r 2r"


def test_a_text_where_a_number_is_meant_is_asked_again(check):
    """The result is not given away for it."""
    ask("lots")
    with pytest.raises(predict.NotPredicted, match="'lots' is not a number") as stopped:
        predict.check("lost", 8713)
    assert "8713" not in str(stopped.value)


def test_near_enough_is_right(capsys):
    """Where only nearness makes sense."""
    ask(60)
    predict.check("lost", 70, within=10)
    assert "not as" not in capsys.readouterr().out
    predict.check("lost", 71, within=10)
    assert "not as" in capsys.readouterr().out


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff\xfe"])
def test_a_damaged_file_counts_as_none(kept, data, check):
    """A file that cannot be read asks again instead of failing, and is then as good as new."""
    kept.parent.mkdir()
    kept.write_bytes(data)
    assert predict.score().empty
    with pytest.raises(predict.NotPredicted):
        predict.check("lost", 2)
    ask(2)
    assert "not as" not in check(2)
