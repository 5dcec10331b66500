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


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A lab of one notebook and one script, with the list of both; `lab.commit()`."""
    monkeypatch.setattr(home, "root", tmp_path)
    monkeypatch.setattr(shipped, "LIST", tmp_path / "shipped.txt")
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "01.ipynb").write_text(notebook("print(2)", "2\n"), "utf-8")
    (tmp_path / "notebooks" / "script.py").write_text("SECONDS = 0  # é\n", "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\ntestpaths = notebooks/*.ipynb\n", "utf-8")
    shipped.main()
    git("init", "-q")
    commit()
    return tmp_path


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


def pytest_in(lab, *named):
    """Run pytest with the lab's plugin in a lab; return what it said."""
    code = f"""if True:
        import pathlib, sys, pytest
        from streamlib import home, lab
        from streamlib.tests import shipped
        home.root, lab.write_path_file = pathlib.Path({str(lab)!r}), lambda: None
        shipped.LIST = home.root / "shipped.txt"
        words = "-rs -p streamlib.tests.settings --nbval --nbval-current-env -p no:cacheprovider"
        sys.exit(pytest.main([*words.split(), *sys.argv[1:]]))
    """
    command = [sys.executable, "-c", code, *named]
    return subprocess.run(command, cwd=lab, capture_output=True, encoding="utf-8").stdout


def test_the_labs_notebook_runs_in_place_of_the_learners(lab):
    change("01.ipynb", notebook("1 / 0"))
    change("mine.ipynb", notebook("1 / 0"))
    commit()
    said = pytest_in(lab)
    assert "the lab's version is tested: notebooks/01.ipynb" in said
    assert "mine.ipynb is not of the lab: to run it, name it after pytest." in said
    assert "1 passed, 1 skipped" in said


def test_a_notebook_that_is_named_runs_as_the_learner_has_it(lab):
    change("01.ipynb", notebook("print(3)"))
    change("mine.ipynb", notebook("print(4)"))
    said = pytest_in(lab, "--collect-only", "notebooks/01.ipynb", "notebooks/mine.ipynb")
    assert "2 tests collected" in said and "lab's version" not in said
