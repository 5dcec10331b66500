"""The committed notebooks: every code cell ran, without errors, and shows nobody's machine.

They are read as the lab ships them, so that a learner's copy fails nothing here.
"""

import ast
import json
import posixpath
import re
import tomllib

import nbformat
import pytest

from streamlib import home
from streamlib.tests import shipped

MACHINE_PATH = re.compile(
    r"(?:/(?:home|root|Users|tmp|work|mnt|var|opt|private)/[\w.-]+|\b[A-Za-z]:\\\\?\w+)"
)
MERGE_MARKER = re.compile(r"^(?:<{7} |={7}$|>{7} )", re.MULTILINE)
NOTEBOOKS = shipped.names(".ipynb")


def faults(text: str) -> list[str]:
    """Return a sentence for each thing that must not be in a committed notebook."""
    if MERGE_MARKER.search(text):
        return ["it holds a merge marker"]
    found = []
    for number, cell in enumerate(json.loads(text)["cells"]):
        if cell["cell_type"] != "code":
            if MERGE_MARKER.search("".join(cell["source"])):
                found.append(f"cell {number} holds a merge marker")
            continue
        if cell["execution_count"] is None:
            found.append(f"cell {number} was never executed")
        if any(output["output_type"] == "error" for output in cell["outputs"]):
            found.append(f"cell {number} holds an error")
        if any(output.get("name") == "stderr" for output in cell["outputs"]):
            found.append(f"cell {number} wrote to standard error")
        shown = [output.get("text", output.get("data", {})) for output in cell["outputs"]]
        words = json.dumps(
            [
                {k: v for k, v in s.items() if k != "image/png"} if isinstance(s, dict) else s
                for s in [*shown, cell["source"]]
            ]
        )
        if path := MACHINE_PATH.search(words):
            found.append(f"cell {number} holds the path {path.group()}")
        if MERGE_MARKER.search("".join(cell["source"])):
            found.append(f"cell {number} holds a merge marker")
    return found


def test_a_kernel_name_that_a_learner_saved_decides_over_no_test():
    """A notebook may name a kernel of conda's; nbval runs each in the Python of the tests."""
    settings = tomllib.loads((home.root / "pyproject.toml").read_text(encoding="utf-8"))
    words = settings["tool"]["pytest"]["ini_options"]["addopts"].split()
    assert {"--nbval", "--nbval-current-env"} <= set(words)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_committed_notebook(name):
    assert faults(shipped.text(name)) == []


def test_the_notebooks_are_there_and_hold_charts():
    assert {f"0{n}" for n in range(9)} <= {name.split("/")[-1][:2] for name in NOTEBOOKS}
    for name in NOTEBOOKS:
        assert '"image/png"' in shipped.text(name), f"{name} holds no chart"


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_committed_notebook_can_be_cleared(name, tmp_path):
    """What is left is a notebook without outputs. (nbval runs each notebook, once.)"""
    path = tmp_path / name.split("/")[-1]
    path.write_text(shipped.text(name), encoding="utf-8")
    home.clear_outputs(path)
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code and not any(cell.outputs or cell.execution_count for cell in code)


LINK = re.compile(r"\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]*))?\)")


def headings(text: str) -> set[str]:
    """Return the anchors of a Markdown text, as GitHub and JupyterLab write them, in lower case."""
    titles = re.findall(r"^#+ +(.+?) *$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).replace(" ", "-").casefold() for title in titles}


def dead_links(text: str, name: str, files: dict[str, str]) -> list[str]:
    """Return the links in a Markdown text that lead to no file, or to no heading in it."""
    dead = []
    for target, anchor in LINK.findall(text):
        to = posixpath.normpath(f"{posixpath.dirname(name)}/{target}") if target else name
        there = any(f"{one}/".startswith(f"{to}/") for one in files)
        anchors = headings(text if to == name else files.get(to, ""))
        if not there or (anchor and anchor.casefold() not in anchors):
            dead.append(f"{target}#{anchor}" if anchor else target)
    return dead


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    """The committed files: their names, and the texts of those that are Markdown."""
    names = shipped.git("ls-tree", "-r", "--name-only", "HEAD").splitlines()
    known = shipped.names(".md")
    return {name: shipped.text(name) if name in known else "" for name in [*names, *known]}


def markdown(name: str) -> str:
    """Return the text of a committed notebook's cells of text."""
    cells = json.loads(shipped.text(name))["cells"]
    return "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_each_link_of_a_notebook_leads_somewhere(name, files):
    assert dead_links(markdown(name), name, files) == []


def test_a_link_that_leads_nowhere_is_found():
    files = {"notebooks/a.ipynb": "", "notebooks/words.md": "## Two words, once", "data/x.csv": ""}
    good = (
        "# Own\n[a](words.md) [b](words.md#two-words-once) [c](../data/) [d](#own) [e](https://x.y)"
    )
    assert dead_links(good, "notebooks/a.ipynb", files) == []
    for link in ("word.md", "words.md#three", "../date/", "#other", "notebooks/words.md"):
        assert dead_links(f"{good} [f]({link})", "notebooks/a.ipynb", files) == [link]


GLOSSARY = (home.root / "notebooks" / "glossary.md").read_text(encoding="utf-8")
ENTRIES = dict(re.findall(r"^\*\*(.+?)\*\* (.+)$", GLOSSARY, re.MULTILINE))


def test_the_glossary_has_each_word_once_in_order_and_explained():
    words = re.findall(r"^\*\*(.+?)\*\*", GLOSSARY, re.MULTILINE)
    assert words == sorted(set(words), key=str.casefold)
    assert set(words) == set(ENTRIES) and len(words) > 60
    assert [word for word, text in ENTRIES.items() if not text.endswith(".")] == []


@pytest.mark.parametrize("word", ["commit", "connection", "header", "kernel", "window"])
def test_a_word_with_two_meanings_says_which(word):
    assert len(re.findall(r"\([\w ]+\) [A-Z`]", ENTRIES[word])) >= 2


WORDS = """acknowledgement atomic back-pressure barging buffer concurrent cursor datagram deadline
encoding event fate framing generator interleaving invariant iterable JSON lock order pid port
process queue record recording round run schedule signal socket step stream TCP timeout transaction
turn UDP WAL worker"""


@pytest.mark.parametrize("word", WORDS.split())
def test_each_technical_word_of_the_notebooks_stands_in_the_glossary(word):
    assert word in ENTRIES


SHOWS = re.compile(r"\b(?:print|display|charts)\b")


def revealing(cells: list[str]) -> list[str]:
    """Return the questions whose answer may be shown before a cell stops for a prediction."""
    found, asked = [], []
    for source in cells:
        if names := re.findall(r"^(\w+) = predict\.ask\(", source, re.MULTILINE):
            asked += names
            continue
        stops = asked and re.compile(rf"\b({'|'.join(asked)})\.(required|check|answer)\(")
        for one in ast.parse(source).body if asked else ():
            text = ast.get_source_segment(source, one)
            if stops.search(text):
                asked = []
                break
            if isinstance(one, ast.Expr) or SHOWS.search(text):
                found += asked
                break
    return found


@pytest.mark.parametrize("name", [n for n in NOTEBOOKS if "/00" not in n])
def test_a_notebook_shows_no_result_before_its_prediction(name):
    cells = json.loads(shipped.text(name))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert sum("predict.ask(" in source for source in code) >= 4
    assert revealing(code) == []


@pytest.mark.parametrize(
    "after",
    [
        ["run = 1\nrun.lost", "lost.check(run.lost)"],
        ["print(run.lost)\nlost.check(run.lost)"],
        ["ax = charts.timeline(run.events)\nlost.check(run.lost)"],
    ],
)
def test_a_result_that_is_shown_too_early_is_found(after):
    assert revealing(['lost = predict.ask("How many?", ...)', *after]) == ["lost"]


def _notebook(**changes) -> str:
    cell = {
        "cell_type": "code",
        "execution_count": 1,
        "metadata": {},
        "outputs": [{"output_type": "stream", "name": "stdout", "text": ["fine\n"]}],
        "source": ["print('fine')"],
    }
    return json.dumps({"cells": [cell | changes]}, indent=1)


def _output(**output) -> str:
    return _notebook(outputs=[output])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (_notebook(execution_count=None), "never executed"),
        (_output(output_type="error", ename="E", evalue="", traceback=[]), "holds an error"),
        (_output(output_type="stream", name="stderr", text=["hm"]), "standard error"),
        (_output(output_type="stream", name="stdout", text=["/home/ann/lab"]), "/home/ann"),
        (_output(output_type="display_data", data={"text/plain": ["C:\\Users\\ann"]}), "C:"),
        (_notebook(source=["open('/tmp/x.csv')"]), "/tmp/x.csv"),
        (_notebook(source=["a = 1\n", "<<<<<<< HEAD\n", "a = 2"]), "merge marker"),
        ("<<<<<<< HEAD\n" + _notebook(), "merge marker"),
    ],
)
def test_each_fault_is_found(text, fault):
    assert len(faults(text)) == 1
    assert fault in faults(text)[0]


def test_a_sound_notebook_has_no_fault():
    assert faults(_notebook()) == []


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_marks_its_stored_run_links_the_glossary_and_ends_in_a_score(name):
    notebook = json.loads(shipped.text(name))
    assert notebook["metadata"].get("stored_run") is True
    assert "](glossary.md)" in markdown(name)
    code = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]
    assert sum(source.strip() == "predict.score()" for source in code) == 1


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_each_picture_of_a_notebook_has_its_finding_as_text(name):
    cells = [cell for cell in json.loads(shipped.text(name))["cells"] if "outputs" in cell]
    outputs = [output for cell in cells for output in cell["outputs"]]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    for output in pictures:
        assert re.search(r"\w+ \w+ \w+", output["metadata"]["image/png"]["alt"])


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_cells_of_a_notebook_are_few_and_short(name):
    cells = json.loads(shipped.text(name))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    lines = sorted(sum(bool(line.strip()) for line in source.split("\n")) for source in code)
    assert len(cells) <= 60
    assert lines[len(lines) // 2] <= 3 and lines[len(lines) * 9 // 10] <= 8
