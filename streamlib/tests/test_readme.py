"""README's two lines are the ones that are used everywhere, and need no network twice."""

import json
import re
import shutil
import subprocess
import sys

import pytest

from streamlib import home
from streamlib.tests import shipped

README = shipped.text("README.md")
SETUP = "python3 -m venv .venv && .venv/bin/python -m pip install -q -r requirements.txt && "
OPEN, TEST = SETUP + ".venv/bin/python -m streamlib lab", SETUP + ".venv/bin/python -m pytest"


def lines_of(beginning):
    """README's lines that begin so."""
    return [line for line in README.splitlines() if line.startswith(beginning)]


def test_the_two_lines_for_macos_and_linux_open_and_test_the_lab():
    assert lines_of("python3 -m venv") == [OPEN, TEST]


def test_the_two_lines_for_windows_are_the_same_but_for_paths():
    for unix, windows in zip((OPEN, TEST), lines_of("py -m venv"), strict=True):
        assert windows.replace("Scripts", "bin").replace("\\", "/") == unix.replace("python3", "py")


def test_continuous_integration_types_readmes_test_lines():
    script = (home.root / ".ci" / "run").read_text(encoding="utf-8")
    pattern = re.search(r"grep --max-count=1 '(.*)' README.md", script)[1]
    assert [line for line in README.splitlines() if re.search(pattern, line)] == [TEST]
    workflow = (home.root / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    pattern = re.search(r"grep '(.*)' README.md", workflow)[1]
    assert [line for line in README.splitlines() if re.search(pattern, line)] == [
        lines_of("py -m venv")[1]
    ]
    for word in ("ubuntu-latest", "macos-latest", "windows-latest", '"3.11"', '"3.x"', ".ci/run"):
        assert word in workflow


def test_the_container_is_set_up_by_readmes_first_line():
    container = json.loads((home.root / ".devcontainer" / "devcontainer.json").read_text())
    assert container["postCreateCommand"] == OPEN + " --version"


def requirements():
    """The lines of requirements.txt that name something."""
    text = (home.root / "requirements.txt").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_every_requirement_is_a_pin_and_nothing_is_built():
    """So pip has nothing to look up or to build when all is there."""
    for line in requirements():
        assert re.fullmatch(r'[\w-]+==[\d.]+(; python_version (<|>=) "3\.12")?', line), line
    assert "build-system" not in (home.root / "pyproject.toml").read_text(encoding="utf-8")


def test_pip_needs_no_network_when_everything_is_installed():
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "-r", "requirements.txt"]
    done = subprocess.run(pip, cwd=home.root, capture_output=True, text=True)
    if "No module named pip" in done.stderr:
        pytest.skip("this Python has no pip")
    assert done.returncode == 0, done.stderr


def test_readme_says_where_the_lab_cannot_run_and_what_to_do_about_a_fault():
    for words in ("JupyterLite", "Google Colab", "`python3 about.py`", "`py about.py`"):
        assert words in README


@pytest.mark.parametrize(
    "link", [link for link in re.findall(r"\]\(([^)]*)\)", README) if "://" not in link]
)
def test_a_link_in_readme_leads_to_a_file(link):
    if link.startswith("outputs/") and not (home.root / link).exists():
        pytest.skip(f"{link} was removed, and outputs/ is the learner's: git checkout {link}")
    assert (home.root / link).is_file()


def test_a_file_that_readme_names_is_there():
    named = re.findall(r"`(\w+)` \|", README) + re.findall(r"python (notebooks/\w+\.py)", README)
    for name in named:
        assert (name if "/" in name else f"notebooks/{name}.ipynb") in shipped.names()


HANDED_IN = """README.md about.txt data/mine.csv notebooks/01_concurrent_processes.ipynb
    notebooks/process_streaming_ann.py outputs/out0.txt outputs/out3.txt outputs/out_0.txt
    outputs/out9.txt outputs/out99.txt outputs/first.txt outputs/second.txt""".split()
LEFT_BEHIND = """outputs/runs/20240101-000000-000000/1.csv outputs/runs/x/run.json outputs/pets.db
    outputs/turn.db outputs/shared.db-journal outputs/.first-00c0ffee outputs/predictions/x.json
    outputs/fast.txt outputs/udp-bad.txt outputs/tcp-window.txt outputs/fates-received.txt
    outputs/demo.txt outputs/x.json.damaged outputs/x.txt.0badcafe.new notebooks/mine.db
    .venv/bin/python notebooks/.ipynb_checkpoints/01.ipynb streamlib/__pycache__/x.pyc""".split()


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_git_takes_what_is_handed_in_and_nothing_else_that_runs_leave_behind(tmp_path):
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    shutil.copy(home.root / ".gitignore", tmp_path)
    for name in HANDED_IN + LEFT_BEHIND:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    command = ["git", "-c", "core.quotepath=off", "ls-files"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8")
    assert sorted(done.stdout.split()) == sorted([".gitignore", *HANDED_IN])


def test_what_the_lessons_and_readme_hand_in_is_what_git_takes():
    texts = [shipped.text(name) for name in shipped.names() if not name.endswith(".py")]
    logs = {
        name for text in texts for name in re.findall(r"outputs/(?:out\w+|first|second).txt", text)
    }
    assert logs <= set(HANDED_IN)


def notebook(*changes):
    """The text of a notebook of thirty cells, some of which read otherwise."""
    cells = [{"cell_type": "raw", "metadata": {}, "source": f"cell {n}"} for n in range(30)]
    for number, text in changes:
        cells[number]["source"] = text
    return json.dumps(
        {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}, indent=1
    )


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_readmes_line_takes_what_is_new_of_the_course_and_keeps_what_the_learner_made(tmp_path):
    who = [
        "-c",
        "user.name=Ann",
        "-c",
        "user.email=ann@example.com",
        "-c",
        "init.defaultBranch=main",
    ]
    course, mine = tmp_path / "course", tmp_path / "mine"

    def git(folder, *words):
        subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)

    def write(folder, **texts):
        for name, text in texts.items():
            (folder / f"{name}.ipynb").write_text(text, encoding="utf-8")
        git(folder, "add", ".")
        git(folder, "commit", "-qm", "as it is")

    course.mkdir()
    git(course, "init", "-q")
    shutil.copy(home.root / ".gitattributes", course)
    write(course, both=notebook(), only_mine=notebook(), only_theirs=notebook())
    git(tmp_path, "clone", "-q", course, mine)
    own, new = notebook((3, "my prediction")), notebook((3, "theirs"), (20, "theirs"))
    write(course, both=new, only_theirs=new)
    write(mine, both=own, only_mine=own)
    [line] = lines_of("git pull")
    git(mine, *line.replace("ADDRESS-OF-THE-COURSE", str(course)).split()[1:])
    texts = {path.stem: path.read_text(encoding="utf-8") for path in mine.glob("*.ipynb")}
    assert texts == {"both": own, "only_mine": own, "only_theirs": new}
    git(mine, "checkout", "FETCH_HEAD", "--", "both.ipynb")  # as README has it
    assert (mine / "both.ipynb").read_text(encoding="utf-8") == new


def test_the_variables_that_readme_tells_instructors_of_are_those_of_the_package():
    modules = [
        path for path in (home.root / "streamlib").rglob("*.py") if "tests" not in path.parts
    ]
    code = "".join(path.read_text(encoding="utf-8") for path in modules)
    named = set(re.findall(r"STREAMLIB_[A-Z]+", README))
    assert named == {"STREAMLIB_PREDICT", "STREAMLIB_SCALE", "STREAMLIB_OUTPUTS"}
    assert all(f'"{name}"' in code for name in named) and '"STREAMLIB_PREDICT") == "skip"' in code
    low, high = re.search(r"Numbers from ([\d.]+) to (\d+) are accepted", README).groups()
    assert f"{low} <= float(text) <= {high}" in code
