"""A stored run is not shown to whoever opens the lab, and its file stays as it is until saved."""

import asyncio
import json

import nbformat
import pytest
from tornado.web import HTTPError

from streamlib import home
from streamlib.contents import BAR, Contents


def notebook(*texts, **metadata):
    """Return a notebook with a cell of text and a code cell that has printed each of the texts."""
    cells = [nbformat.v4.new_markdown_cell("# Title")]
    for number, text in enumerate(texts, start=1):
        outputs = [nbformat.v4.new_output("stream", text=text)]
        cells.append(nbformat.v4.new_code_cell("1", outputs=outputs, execution_count=number))
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata)


@pytest.fixture
def folder(tmp_path):
    """A folder with a notebook that holds a stored run, and one that does not."""
    nbformat.write(notebook("stored", "run", stored_run=True), tmp_path / "lesson.ipynb")
    nbformat.write(notebook("mine"), tmp_path / "own.ipynb")
    (tmp_path / "script.py").write_text("stored_run = True", encoding="utf-8")
    return tmp_path


@pytest.fixture
def contents(folder):
    """The contents of that folder as JupyterLab asks for them."""
    manager = Contents(root_dir=str(folder))

    class Asked:
        def get(self, *arguments, **options):
            return asyncio.run(manager.get(*arguments, **options))

        def save(self, model, path):
            return asyncio.run(manager.save(model, path))

        def copy(self, *arguments):
            return asyncio.run(manager.copy(*arguments))

    return Asked()


def shown(model):
    """What the code cells of a notebook show: their numbers and their texts."""
    code = [cell for cell in model["content"]["cells"] if cell["cell_type"] == "code"]
    return [(c["execution_count"], "".join(o["text"] for o in c["outputs"])) for c in code]


def saved(model):
    """What JupyterLab sends to save a notebook."""
    return {"type": "notebook", "format": "json", "content": model["content"]}


def test_a_stored_run_is_left_out_and_stays_in_the_file(contents, folder):
    before = (folder / "lesson.ipynb").read_bytes()
    for options in ({}, {"type": "notebook"}, {"require_hash": True, "format": "json"}):
        assert shown(contents.get("lesson.ipynb", **options)) == [(None, ""), (None, "")]
    assert shown(contents.get("lesson.ipynb", 1, "notebook", "json")) == [(None, ""), (None, "")]
    assert (folder / "lesson.ipynb").read_bytes() == before


def test_what_is_opened_is_a_valid_notebook_with_its_text(contents):
    model = contents.get("lesson.ipynb")
    nbformat.validate(nbformat.from_dict(model["content"]))
    assert model["content"]["cells"][0]["source"] == "# Title"


def test_another_notebook_shows_its_outputs(contents):
    assert shown(contents.get("own.ipynb")) == [(1, "mine")]


@pytest.mark.parametrize("mark", [False, None, "", 0])
def test_a_mark_that_is_not_set_is_none(mark, contents, folder):
    nbformat.write(notebook("mine", stored_run=mark), folder / "lesson.ipynb")
    assert shown(contents.get("lesson.ipynb")) == [(1, "mine")]


def test_saved_outputs_are_ones_own_and_the_mark_is_gone(contents, folder):
    opened = contents.get("lesson.ipynb")
    ran = opened["content"]["cells"][1]
    ran.update(execution_count=7, outputs=[nbformat.v4.new_output("stream", text="my own")])
    for _ in range(2):  # an autosave follows: JupyterLab's copy still has the mark
        opened["content"]["metadata"]["stored_run"] = True
        assert contents.save(saved(opened), "lesson.ipynb")["content"] is None
        assert shown(contents.get("lesson.ipynb")) == [(7, "my own"), (None, "")]
        kept = json.loads((folder / "lesson.ipynb").read_text(encoding="utf-8"))
        assert "stored_run" not in kept["metadata"]


def test_a_copy_has_neither_the_outputs_nor_the_mark(contents, folder):
    copy = contents.copy("lesson.ipynb")["path"]
    assert shown(contents.get(copy)) == [(None, ""), (None, "")]
    assert "stored_run" not in nbformat.read(folder / copy, as_version=4).metadata
    assert nbformat.read(folder / "lesson.ipynb", as_version=4).metadata.stored_run


def test_a_cleared_notebook_has_no_mark_so_what_runs_next_is_shown(contents, folder):
    home.clear_outputs(folder / "lesson.ipynb")
    assert "stored_run" not in nbformat.read(folder / "lesson.ipynb", as_version=4).metadata


def test_other_files_and_folders_are_as_they_are(contents):
    assert contents.get("script.py")["content"] == "stored_run = True"
    assert '"stored"' in contents.get("lesson.ipynb", type="file")["content"]  # a download
    assert contents.get("lesson.ipynb", content=False)["content"] is None
    names = {one["name"] for one in contents.get("")["content"]}
    assert names == {"lesson.ipynb", "own.ipynb", "script.py"}
    assert contents.save({"type": "directory"}, "new")["type"] == "directory"
    contents.save({"type": "file", "format": "text", "content": "x"}, "script.py")
    assert contents.get("script.py")["content"] == "x"


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_what_is_not_a_notebook_is_refused_as_ever(text, contents, folder):
    (folder / "lesson.ipynb").write_text(text, encoding="utf-8")
    with pytest.raises(HTTPError) as error:
        contents.get("lesson.ipynb", type="notebook")
    assert error.value.status_code == 400


@pytest.mark.parametrize("model", [{"type": "notebook"}, {"type": "notebook", "content": None}, {}])
def test_a_notebook_without_content_is_refused_as_ever(model, contents):
    with pytest.raises(HTTPError) as error:
        contents.save(model, "lesson.ipynb")
    assert error.value.status_code in (400, 500)


def test_a_bar_that_could_not_be_shown_again_is_not_kept(contents):
    opened = contents.get("own.ipynb")
    bar = nbformat.v4.new_output("display_data", data={BAR: {}, "text/plain": "8 of 12"})
    outputs = opened["content"]["cells"][1]["outputs"]
    outputs.insert(0, bar)
    contents.save(saved(opened), "own.ipynb")
    assert shown(contents.get("own.ipynb"))[0] == (1, "mine")
