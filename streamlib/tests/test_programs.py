"""The programs for a terminal, run as a learner runs them."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import nbformat
import pytest

from streamlib import database, home, predict, processes
from streamlib import exercises as checks

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - (INFO|WARNING|ERROR) - .+")


def run(*words, outputs, cwd=home.root):
    """Run Python with these words; return what it did."""
    return subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=cwd,
        env=os.environ | {"STREAMLIB_OUTPUTS": str(outputs)},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )


def lines(path):
    """Return the lines of a log, each of which has a time, a level and a message."""
    found = path.read_text(encoding="utf-8").splitlines()
    assert all(LINE.fullmatch(line) for line in found), found
    return [line.split(" - ", 2)[1:] for line in found]


@pytest.fixture
def outputs():
    """A folder beside the other outputs of the tests: in memory where there is one."""
    folder = home.outputs / "programs"
    folder.mkdir(parents=True)
    yield folder
    shutil.rmtree(folder)


def test_quick_pets_succeed(outputs):
    done = run("-m", "streamlib", "pets", outputs=outputs)
    assert done.returncode == 0, done.stderr
    log = lines(outputs / "out0.txt")
    assert log[-1] == ["INFO", "SUCCESS: all 6 rows are stored"]
    assert sum(message.startswith("COMMIT ") for _, message in log) == 6
    assert done.stdout == (outputs / "out0.txt").read_text(encoding="utf-8")


def test_slow_pets_lose_two_rows_and_exit_with_1(outputs):
    out = outputs / "mine.txt"
    done = run(
        "-m", "streamlib", "pets", "--hold", 3, "--timeout", 5, "--out", out, outputs=outputs
    )
    assert done.returncode == 1
    log = lines(out)
    assert log[-1] == ["ERROR", "FAILURE: 2 of 6 rows were lost"]
    assert sum(message.startswith("LOCKED ") for _, message in log) == 2
    assert sum(message.startswith("COMMIT ") for _, message in log) == 4
    assert any("Task duration 3 s, lock timeout 5 s" in message for _, message in log)
    assert any("counted in the database: 4 of 6" in message for _, message in log)


def test_two_programs_on_one_database(outputs):
    db = outputs / "shared.db"
    words = ["-m", "streamlib", "pets", "--db", db, "--keep"]
    for name, expected in [("first", 6), ("second", 12)]:
        done = run(*words, "--out", outputs / f"{name}.txt", outputs=outputs)
        assert done.returncode == 0, done.stderr
        assert len(database.rows(db)) == expected
    log = lines(outputs / "second.txt")
    assert ["INFO", "Rows in the database, those of other runs included: 12"] in log


def test_two_programs_at_the_same_time(outputs):
    """The second starts while the first is at work, on a database that was not there."""
    db = outputs / "shared.db"
    words = [
        sys.executable,
        "-m",
        "streamlib",
        "pets",
        "--hold",
        "3",
        "--db",
        db,
        "--keep",
        "--out",
    ]
    environment = os.environ | {"STREAMLIB_OUTPUTS": str(outputs)}
    quiet = {"stdout": subprocess.PIPE, "encoding": "utf-8", "env": environment}
    with subprocess.Popen([*words, outputs / "first.txt"], **quiet) as first:
        while "COMMIT" not in first.stdout.readline():
            pass  # it has begun: its first row is stored
        with subprocess.Popen([*words, outputs / "second.txt"], **quiet) as second:
            second.communicate()
        first.communicate()
    assert (first.returncode, second.returncode) == (1, 1)
    logs = [lines(outputs / f"{name}.txt") for name in ("first", "second")]
    stored = sum(message.startswith("COMMIT ") for log in logs for _, message in log)
    assert stored == len(database.rows(db)) < 12


def test_a_lock_held_by_another_program_is_told_apart(outputs):
    db = database.fresh(outputs / "shared.db")

    def lock(path):
        other.execute("BEGIN IMMEDIATE")

    with closing(sqlite3.connect(db, isolation_level=None)) as other:
        run = processes.run({"P1": database.pets(["Ace"], timeout_s=1)}, db=db, setup=lock)
    assert run.lost == 1
    assert run.why()[0].endswith("while another program held it for most of that time.")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["pets", "--hold", "-1"], "hold_s is -1.0: give a number of seconds"),
        (["pets", "--timeout", "1e9"], "timeout_s is"),
        (["pets", "--out", "nowhere/out.txt"], "cannot be written"),
        (["pets", "--db", "."], "is a folder"),
        (["clear", "nothing.ipynb"], "is not there"),
    ],
)
def test_bad_use_is_one_sentence_and_exit_status_2(words, sentence, outputs):
    done = run("-m", "streamlib", *words, outputs=outputs, cwd=outputs)
    assert done.returncode == 2
    assert sentence in done.stderr and "Traceback" not in done.stderr


def test_the_script_of_tasks_1_and_2(outputs):
    script = (home.root / "notebooks" / "multiple_processes.py").read_text(encoding="utf-8")
    quick, slow = outputs / "quick.py", outputs / "slow.py"
    quick.write_text(script, encoding="utf-8")
    assert "TASK_DURATION_SECONDS = 0 " in script
    slow.write_text(script.replace("SECONDS = 0 ", "SECONDS = 3 "), encoding="utf-8")
    assert run(quick, outputs=outputs).returncode == 0
    assert lines(outputs / "out0.txt")[-1] == ["INFO", "SUCCESS: all 6 rows are stored"]
    assert run(slow, outputs=outputs).returncode == 1
    assert lines(outputs / "out3.txt")[-1] == ["ERROR", "FAILURE: 2 of 6 rows were lost"]


def test_clear_removes_outputs_and_nothing_else(outputs):
    cell = nbformat.v4.new_code_cell("1 + 1", execution_count=3)
    cell.outputs = [nbformat.v4.new_output("execute_result", {"text/plain": "2"})]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("Ünï"), cell])
    path = outputs / "book.ipynb"
    nbformat.write(book, path)
    assert run("-m", "streamlib", "clear", path, outputs=outputs).returncode == 0
    cleared = nbformat.read(path, as_version=4)
    assert cleared.cells[1].outputs == [] and cleared.cells[1].execution_count is None
    cell.outputs, cell.execution_count = [], None
    assert cleared == book


def test_what_children_import_is_light():
    """A child that imports pandas starts half a second later."""
    code = (
        "import sys\n"
        "from streamlib import database, home, logs, processes, schedule\n"
        "print([m for m in ('pandas', 'numpy', 'matplotlib') if m in sys.modules])"
    )
    assert run("-c", code, outputs=home.outputs).stdout == "[]\n"


@pytest.mark.parametrize(
    ("exercise", "right", "wrong"),
    [("00.1", 8, 6), ("01.1", 2520, 90), ("02.1", 3, 2)],
)
def test_checks_know_right_from_wrong(exercise, right, wrong, capsys):
    said = []
    for answer in (right, wrong, ...):
        checks.check(exercise, answer)
        said.append(capsys.readouterr().out)
    assert "correct" in said[0] and "not yet" in said[1] and "not attempted" in said[2]


def test_checks_of_runs(capsys):
    two = processes.run({"P1": database.pets(["a", "b", "c"]), "P2": database.pets(["d", "e"])})
    three = processes.run(
        {"P1": database.pets(["a", "b", "c"]), "P2": database.pets(["d", "e", "f"])}
    )
    slow = processes.run({n: database.pets(p, 3, 20) for n, p in database.PETS.items()})
    for exercise, right, wrong in [("01.2", three, two), ("02.2", slow, two)]:
        checks.check(exercise, right)
        assert "correct" in capsys.readouterr().out
        for answer in (wrong, 3, None):
            checks.check(exercise, answer)
            assert "not yet" in capsys.readouterr().out


def test_an_exercise_that_the_lab_does_not_have():
    with pytest.raises(KeyError, match="There is no exercise 99"):
        checks.check("99.1")


def test_a_notebook_stops_at_a_missing_prediction(tmp_path, monkeypatch):
    """What Jupyter shows is the sentence, not a traceback."""
    monkeypatch.setattr(predict, "_KEPT", tmp_path / "predictions.json")
    monkeypatch.delenv("STREAMLIB_PREDICT", raising=False)
    predict.ask("lost", "How many?", ...)
    with pytest.raises(predict.NotPredicted) as stopped:
        predict.check("lost", 42)
    assert stopped.value._render_traceback_() == [str(stopped.value)]
    assert "42" not in str(stopped.value)
