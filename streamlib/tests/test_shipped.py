"""What a learner has saved, added or committed fails no test: the lab's version is tested."""

import json
import shutil
import subprocess
import sys

import pytest

from streamlib import home
from streamlib.tests import shipped

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="needs git")


def notebook(source, shown=""):
    """The text of a notebook with one cell."""
    cell = {"cell_type": "code", "execution_count": 1, "metadata": {}, "source": source}
    cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": shown}]
    return json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 4})


def make_lab(folder, monkeypatch):
    """Make a lab of one notebook and one script, with the list of both, and commit it."""
    monkeypatch.setattr(home, "root", folder)
    monkeypatch.setattr(shipped, "LIST", folder / "shipped.txt")
    (folder / "notebooks").mkdir()
    (folder / "notebooks" / "01.ipynb").write_text(notebook("print(2)", "2\n"), "utf-8")
    (folder / "notebooks" / "script.py").write_text("SECONDS = 0  # é\n", "utf-8")
    (folder / "pytest.ini").write_text("[pytest]\ntestpaths = notebooks/*.ipynb\n", "utf-8")
    shipped.main()
    git("init", "-q")
    commit()
    return folder


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A lab for one test."""
    return make_lab(tmp_path, monkeypatch)


def git(*words):
    who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com", "-c", "core.autocrlf=false"]
    subprocess.run(["git", *who, *words], cwd=home.root, check=True)


def commit():
    git("add", ".")
    git("commit", "-qm", "as it is")


def change(name="script.py", text="SECONDS = 3\n"):
    path = home.root / "notebooks" / name
    path.write_text(text, encoding="utf-8", newline="")


def test_a_file_that_nobody_changed_is_the_one_that_is_here(lab):
    (lab / ".git").rename(lab / "no git")  # as in a downloaded archive
    assert shipped.names() == ["notebooks/01.ipynb", "notebooks/script.py"]
    assert shipped.names(".ipynb") == ["notebooks/01.ipynb"] and shipped.differing() == []
    change(text="SECONDS = 0  # é\r\n")  # as git checks it out on Windows
    assert shipped.text("notebooks/script.py") == "SECONDS = 0  # é\n"


@pytest.mark.parametrize("do", [lambda: None, lambda: git("add", "."), commit])
def test_a_changed_file_is_found_in_git_whatever_was_done_with_it(lab, do):
    change()
    do()
    assert shipped.differing() == ["notebooks/script.py"]
    assert shipped.text("notebooks/script.py") == "SECONDS = 0  # é\n"


def test_a_file_that_was_removed_or_moved_is_found_in_git(lab):
    git("mv", "notebooks/script.py", "notebooks/mine.py")
    commit()
    assert shipped.text("notebooks/script.py") == "SECONDS = 0  # é\n"


def test_a_changed_file_without_git_skips_the_test_with_a_sentence(lab):
    change()
    (lab / ".git").rename(lab / "no git")
    with pytest.raises(pytest.skip.Exception, match=r"script.py is not as .*: clone the whole"):
        shipped.text("notebooks/script.py")


def test_a_checkout_that_belongs_to_somebody_else_is_read_all_the_same(lab):
    found = shipped.git("ls-files", GIT_TEST_ASSUME_DIFFERENT_OWNER="1")
    assert "notebooks/script.py" in found


# Runs pytest with the lab's plugin in a lab, once with no name and once with those it is given.
PYTEST = """
import pathlib, sys, pytest
from streamlib import home, lab
from streamlib.tests import shipped
home.root, lab.write_path_file = pathlib.Path.cwd(), lambda: None
shipped.LIST = home.root / "shipped.txt"
words = "-rs -p streamlib.tests.settings --nbval --nbval-current-env -p no:cacheprovider".split()
pytest.main(words)
print("and now by name")
pytest.main([*words, "--collect-only", *sys.argv[1:]])
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What pytest says of a changed notebook and an added one: not named, and named."""
    with pytest.MonkeyPatch.context() as patched:
        lab = make_lab(tmp_path_factory.mktemp("lab"), patched)
        change("01.ipynb", notebook("1 / 0"))
        change("mine.ipynb", notebook("1 / 0"))
        commit()
        command = [sys.executable, "-c", PYTEST, "notebooks/01.ipynb", "notebooks/mine.ipynb"]
        done = subprocess.run(command, cwd=lab, capture_output=True, encoding="utf-8")
    return done.stdout.split("and now by name")


def test_the_labs_notebook_runs_in_place_of_the_learners(said):
    assert "the lab's version is tested: notebooks/01.ipynb" in said[0]
    assert "mine.ipynb is not of the lab: to run it, name it after pytest." in said[0]
    assert "1 passed, 1 skipped" in said[0]


def test_a_notebook_that_is_named_runs_as_the_learner_has_it(said):
    assert "2 tests collected" in said[1] and "lab's version" not in said[1]
