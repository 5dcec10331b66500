"""A scale or a duration that spoils a lesson is refused; cleared notebooks keep their text."""

import errno
import json
import os
import subprocess
import sys
import traceback
from pathlib import Path

import numpy as np
import pytest

from streamlib import home, orders, predict
from streamlib.tests.conftest import aside, is_one_sentence


@pytest.mark.parametrize("text, factor", [("1.0", 1), ("0.06", 0.06), ("10", 10), (" 0.5 ", 0.5)])
def test_a_usable_scale_is_taken(monkeypatch, text, factor):
    """Scales from 0.06 to 10 are used as they are."""
    monkeypatch.setenv("STREAMLIB_SCALE", text)
    assert home.scale() == factor


def test_without_the_variable_lessons_run_at_full_length(monkeypatch):
    """Learners get the scale 1.0."""
    monkeypatch.delenv("STREAMLIB_SCALE")
    assert home.scale() == 1.0


@pytest.mark.parametrize("text", ["0.059", "0", "-1", "10.1", "nan", "inf", "fast", "", "0,5"])
def test_a_scale_that_makes_another_lesson_is_refused(monkeypatch, text):
    """Too small, too large or no number: one sentence names the value."""
    monkeypatch.setenv("STREAMLIB_SCALE", text)
    with pytest.raises(ValueError, match="STREAMLIB_SCALE is") as refused:
        home.scale()
    assert repr(text) in str(refused.value)


@pytest.mark.parametrize("value", [0, 0.0, 0.5, 3, 3600])
def test_a_duration_is_given_back(value):
    """A number from 0 to 3600 is a duration."""
    assert home.seconds("hold", value) == value


@pytest.mark.parametrize(
    "value", [-0.001, 3600.5, float("nan"), float("inf"), True, "3", None, [3]]
)
def test_what_is_no_duration_is_refused(value):
    """Anything else is named in the sentence, with its parameter."""
    with pytest.raises(ValueError, match=r"^hold is ") as refused:
        home.seconds("hold", value)
    assert repr(value) in str(refused.value)


def notebook(path):
    """Write a notebook that has run; return its path."""
    cells = [
        {"cell_type": "markdown", "id": "a", "metadata": {}, "source": ["# Wer hält „es“? 🐕"]},
        {
            "cell_type": "code",
            "id": "b",
            "metadata": {"tags": ["nbval-ignore-output"]},
            "execution_count": 3,
            "outputs": [{"output_type": "stream", "name": "stdout", "text": ["hello"]}],
            "source": ["print('hello')"],
        },
    ]
    whole = {"cells": cells, "metadata": {"kernelspec": {}}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(whole), encoding="utf-8")
    return path


def test_clearing_removes_outputs_and_nothing_else(tmp_path):
    """Outputs and counts go; text, tags and everything else stay; a second time changes nothing."""
    path = notebook(tmp_path / "00.ipynb")
    wanted = json.loads(path.read_text(encoding="utf-8"))
    wanted["cells"][1] |= {"outputs": [], "execution_count": None}
    home.clear_outputs(path)
    once = path.read_bytes()
    assert json.loads(once) == wanted
    assert "„es“? 🐕".encode() in once and b"\r" not in once and once.endswith(b"}\n")
    home.clear_outputs(path)
    assert path.read_bytes() == once


def test_a_missing_notebook_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"09\.ipynb is not a notebook, or is missing"):
        home.clear_outputs(tmp_path / "09.ipynb")


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"7", b'{"cells": 3}', b"\xff\xfe", b"a,b\n1,2"]
)
def test_what_is_no_notebook_is_left_as_it_is(tmp_path, data):
    """Another file is a ValueError that names it, and is not changed."""
    path = tmp_path / "pets.csv"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"pets\.csv is not a notebook"):
        home.clear_outputs(path)
    assert path.read_bytes() == data


def test_a_replaced_file_is_the_new_one_whole_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "answer.json"
    home.replace_file(path, "one, żółw")
    home.replace_file(path, "two")
    assert [one.name for one in tmp_path.iterdir()] == ["answer.json"]
    assert path.read_text(encoding="utf-8") == "two"


def test_a_file_that_cannot_be_written_anew_is_left_as_it_was(tmp_path):
    path = tmp_path / "answer.json"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(TypeError):
        home.replace_file(path, b"not a text")
    assert [one.name for one in tmp_path.iterdir()] == ["answer.json"]
    assert path.read_text(encoding="utf-8") == "old"


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("ascii", rb"NAME: \u0141ukasz"), ("cp1252", rb"NAME: \u0141ukasz"),
     ("utf-8", "NAME: Łukasz".encode()), ("iso8859-2", "NAME: Łukasz".encode("iso8859-2"))],
)  # fmt: skip
def test_a_letter_that_the_screen_lacks_is_shown_by_its_number(encoding, shown):
    """Also by a learner's own `print`, once the lab is imported."""
    for say in ("print", "home.say"):
        code = f"from streamlib import home; {say}('NAME:', '\\u0141ukasz')"
        environment = os.environ | {"PYTHONIOENCODING": encoding}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
        assert (done.stdout.splitlines(), done.stderr) == ([shown], b"")


def test_without_a_screen_nothing_is_said(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    home.say("Łukasz", 1)


ODD = {
    "empty.ipynb": b"",
    "old.ipynb": b'{"worksheets": [], "nbformat": 3}',
    "list.ipynb": b'{"cells": [[]]}',
    "text.ipynb": b'{"cells": ["a"]}',
    "bare.ipynb": b'{"cells": [{}]}',
    "conflict.ipynb": b"<<<<<<< HEAD\n{}",
    "deep.ipynb": b"[" * 100_000,
    "bytes.ipynb": b"\xff\xfe{\0}\0",
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_notebook_is_named_and_left_as_it_is(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(ODD[name])
    with pytest.raises(ValueError, match=f"{name} is not a notebook"):
        home.clear_outputs(path)
    assert path.read_bytes() == ODD[name]


def test_a_notebook_with_a_byte_order_mark_is_cleared(tmp_path):
    path = notebook(tmp_path / "00.ipynb")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    home.clear_outputs(path)
    assert json.loads(path.read_text(encoding="utf-8"))["cells"][1]["outputs"] == []


def test_a_duration_may_be_a_number_of_numpy():
    assert home.seconds("hold", np.float32(0.5)) == 0.5
    assert json.dumps([home.seconds("hold", one) for one in (np.int64(3), np.float32(0.5))])


def test_files_with_the_name_of_a_module_of_python_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").touch()
    assert home.hiding_files() == ""
    for name in ("signal.py", "random.py", "queue.txt"):
        (tmp_path / name).touch()
    assert home.hiding_files().startswith(
        "; rename random.py, which hides a module of Python's own"
    )
    assert home.hiding_files().endswith("; rename signal.py, which hides a module of Python's own")


def test_a_full_disk_costs_nothing_and_is_one_sentence(tmp_path, monkeypatch):
    path = notebook(tmp_path / "00.ipynb")
    before = path.read_bytes()

    def full(beside, *_, **options):
        beside.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match=r"00\.ipynb cannot be written \(No space left") as refused:
        home.clear_outputs(path)
    assert is_one_sentence(str(refused.value))
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_replaced_is_one_sentence(tmp_path):
    with pytest.raises(OSError, match="cannot be written") as refused:
        home.replace_file(tmp_path, "a folder is there")
    assert is_one_sentence(str(refused.value)) and list(tmp_path.iterdir()) == []


def test_a_notebook_with_half_a_letter_keeps_it(tmp_path):
    path = tmp_path / "00.ipynb"
    path.write_text('{"cells": [], "x": "\\ud83d and \\ud83d\\ude00"}', encoding="utf-8")
    home.clear_outputs(path)
    assert json.loads(path.read_text(encoding="utf-8"))["x"] == "\ud83d and 😀"


def test_files_replaced_by_many_threads_at_once_are_whole(tmp_path):
    path, texts = tmp_path / "answer.json", [letter * 50_000 for letter in "abcdefgh"]

    def replace(text):
        for _ in range(20):
            home.replace_file(path, text)
            assert path.read_text(encoding="utf-8") in texts
        return True

    assert all(ended() for ended in [aside(replace, text) for text in texts])


class Shell:
    """As much of IPython's shell as shows an error."""

    def showtraceback(self):
        error = sys.exc_info()[1]
        lines = getattr(error, "_render_traceback_", traceback.format_exc().splitlines)()
        self.shown = lines

    def run(self, function, *arguments):
        try:
            function(*arguments)
        except BaseException:  # an interrupt, too
            self.showtraceback()
        return self.shown


def interrupt():
    raise KeyboardInterrupt


def test_a_notebook_shows_errors_of_the_lab_in_one_line_and_a_learners_own_whole():
    shell = Shell()
    home.show_in_one_line(shell)
    assert shell.run(orders.parse, "r1", ["P1"]) == [
        "ValueError: Turn 1 of the schedule, 'r1', is not a turn: write 2, or 2b with a step, "
        "and blanks."
    ]
    assert shell.run(interrupt) == ["KeyboardInterrupt"]
    names = {}
    exec(compile("def wrong():\n    1 / 0", "<cell>", "exec"), names)
    assert shell.run(names["wrong"])[0].startswith("Traceback") and len(shell.shown) > 3


def test_a_missing_prediction_stays_a_sentence():
    shell = Shell()
    home.show_in_one_line(shell)
    [line] = shell.run(predict.ask("How many?", "lots").required)
    assert line.startswith("NotPredicted: How many? First put your answer")
