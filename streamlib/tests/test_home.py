"""A scale or a duration that spoils a lesson is refused; cleared notebooks keep their text."""

import errno
import json
import os
from pathlib import Path

import pytest

from streamlib import home
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
    assert home.clear_outputs([str(path)]) == [path]
    once = path.read_bytes()
    assert json.loads(once) == wanted
    assert "„es“? 🐕".encode() in once and b"\r" not in once and once.endswith(b"}\n")
    home.clear_outputs([path])
    assert path.read_bytes() == once


def test_all_notebooks_are_cleared_if_none_is_named(tmp_path, monkeypatch):
    """Without paths, every notebook in notebooks/ is cleared, and no other file."""
    (tmp_path / "notebooks").mkdir()
    made = [notebook(tmp_path / "notebooks" / name) for name in ("01.ipynb", "02.ipynb")]
    other = notebook(tmp_path / "notebooks" / "copy.json")
    before = other.read_bytes()
    monkeypatch.setattr(home, "root", tmp_path)
    assert home.clear_outputs() == made
    assert all(b"hello" in path.read_bytes() for path in made)  # the source still says it
    assert all(b'"stdout"' not in path.read_bytes() for path in made)
    assert other.read_bytes() == before


def test_a_missing_notebook_is_named(tmp_path):
    """A path that is not there is an OSError with the path in its sentence."""
    with pytest.raises(OSError, match=r"09\.ipynb does not exist"):
        home.clear_outputs([tmp_path / "09.ipynb"])


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"7", b'{"cells": 3}', b"\xff\xfe", b"a,b\n1,2"]
)
def test_what_is_no_notebook_is_left_as_it_is(tmp_path, data):
    """Another file is a ValueError that names it, and is not changed."""
    path = tmp_path / "pets.csv"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"pets\.csv is not a notebook"):
        home.clear_outputs([path])
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


def test_a_damaged_file_is_kept_under_another_name_and_said(tmp_path, capsys):
    path = tmp_path / "run.json"
    path.write_text("{", encoding="utf-8")
    home.set_aside(path)
    aside = tmp_path / "run.json.damaged"
    assert aside.read_text(encoding="utf-8") == "{" and not path.exists()
    assert "run.json" in capsys.readouterr().out


def test_a_full_disk_costs_nothing_and_is_one_sentence(tmp_path, monkeypatch):
    path = notebook(tmp_path / "00.ipynb")
    before = path.read_bytes()

    def full(beside, *_, **options):
        beside.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match=r"00\.ipynb cannot be written \(No space left") as refused:
        home.clear_outputs([path])
    assert is_one_sentence(str(refused.value))
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_replaced_is_one_sentence(tmp_path):
    with pytest.raises(OSError, match="cannot be written") as refused:
        home.replace_file(tmp_path, "a folder is there")
    assert is_one_sentence(str(refused.value)) and list(tmp_path.iterdir()) == []


def test_a_notebook_with_half_a_letter_keeps_it(tmp_path):
    path = tmp_path / "00.ipynb"
    path.write_text('{"cells": [], "x": "\\ud83d and \\ud83d\\ude00"}', encoding="utf-8")
    home.clear_outputs([path])
    assert json.loads(path.read_text(encoding="utf-8"))["x"] == "\ud83d and 😀"


def test_files_replaced_by_many_threads_at_once_are_whole(tmp_path):
    path, texts = tmp_path / "answer.json", [letter * 50_000 for letter in "abcdefgh"]

    def replace(text):
        for _ in range(20):
            home.replace_file(path, text)
            assert path.read_text(encoding="utf-8") in texts
        return True

    assert all(ended() for ended in [aside(replace, text) for text in texts])


def test_a_damaged_file_that_cannot_be_renamed_is_said(tmp_path, capsys):
    home.set_aside(tmp_path / "run.json")  # another kernel was quicker
    assert "run.json" in capsys.readouterr().out
