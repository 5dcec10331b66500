"""about.py names each planted fault in a sentence, and its exit status says if the lab can run."""

import ast
import os
import re
import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))
import about

sys.path.pop(0)

SOUND = f"cloudpickle=={version('cloudpickle')}\n\n# to test the lab\npytest=={version('pytest')}\n"


def free_port():
    """A port that is free for UDP and for TCP just now."""
    while True:
        with (
            socket.socket(type=socket.SOCK_DGRAM) as udp,
            socket.socket(type=socket.SOCK_STREAM) as tcp,
        ):
            udp.bind(("127.0.0.1", 0))
            try:
                tcp.bind(udp.getsockname())
            except OSError:
                continue
            return udp.getsockname()[1]


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A folder in which about.py finds nothing wrong."""
    monkeypatch.delenv("STREAMLIB_OUTPUTS", raising=False)
    monkeypatch.setattr(about, "environment", lambda: "venv here")
    monkeypatch.setattr(about, "git", lambda: "git version 2")
    for part in (".git", "streamlib", "notebooks", "data", "outputs"):
        (tmp_path / part).mkdir()
    (tmp_path / "requirements.txt").write_text(SOUND)
    return tmp_path


@pytest.fixture
def run(lab, capsys):
    """Run main there: its exit status, and the lines that say what is wrong."""

    def run(port=None):
        to = lab / "about.txt"
        status = about.main(lab, port or free_port(), to)
        printed = capsys.readouterr().out
        if to.is_file():
            assert printed.startswith(to.read_text(encoding="utf-8"))
        wrong = printed.split("What is wrong")[1].split("\n\n")[0].splitlines()[1:]
        assert ("The lab CANNOT run here." in printed) == (status == 1)
        return status, wrong

    return run


def test_a_sound_lab_has_nothing_wrong(run):
    assert run() == (0, ["Nothing."])


def test_the_report_has_every_fact(lab):
    known = about.facts(lab, free_port())
    text = about.report(known)
    assert f"Python            {sys.version.split()[0]}" in text
    assert re.search(r"^start methods +\w+ \(default\)", text, re.M)
    assert re.search(r"^perf_counter .* resolution \d.*, steps of \d", text, re.M)
    assert re.search(rf"^cloudpickle +{re.escape(version('cloudpickle'))}$", text, re.M)
    for name in known.keys() - {"packages"}:
        assert re.search(rf"^{name} +\S", text, re.M), name


def test_a_missing_package_stops_the_lab(lab, run):
    (lab / "requirements.txt").write_text("no-such-package==1.0\n" + SOUND)
    status, wrong = run()
    assert status == 1
    assert len(wrong) == 1
    assert wrong[0].startswith("STOPS THE LAB: no-such-package is missing; type: ")
    assert wrong[0].endswith(" -m pip install -r requirements.txt")


def test_missing_packages_share_a_sentence(lab, run):
    (lab / "requirements.txt").write_text("no-such-package==1.0\nnor-this==1.0\n" + SOUND)
    status, wrong = run()
    assert status == 1
    assert len(wrong) == 1
    assert wrong[0].startswith("STOPS THE LAB: no-such-package, nor-this are missing; type: ")


def test_a_missing_test_tool_does_not(lab, run):
    (lab / "requirements.txt").write_text(SOUND + "no-such-package==1.0\n")
    status, wrong = run()
    assert status == 0
    assert len(wrong) == 1
    assert wrong[0].startswith("note: no-such-package is missing, which only the lab's tests need;")


def test_another_version_than_the_pin_is_a_note(lab, run):
    (lab / "requirements.txt").write_text("cloudpickle==0.0.1\n")
    status, wrong = run()
    assert status == 0
    have = version("cloudpickle")
    assert wrong[0].startswith(f"note: cloudpickle is {have}, requirements.txt says 0.0.1; type: ")


def test_requirements_are_read_as_pip_reads_them(lab):
    (lab / "requirements.txt").write_text(
        "-r other.txt\npytest[dev]==1.5  # why\nonlythere==1; sys_platform == 'x'\n-e .\n"
    )
    listed = [(package.name, package.pin, package.needed) for package in about.packages(lab)]
    assert listed == [("pytest", "1.5", True), ("streamlib", "", True)]


def test_what_pip_left_in_the_lab_is_no_proof(lab, monkeypatch):
    """streamlib.egg-info stays in the lab when another environment installed it."""
    info = lab / "leftover.egg-info"
    info.mkdir()
    (info / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: leftover\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(lab))
    assert version("leftover") == "1.0"
    assert about.version("leftover", lab) == ""
    assert about.version("leftover", lab / "data") == "1.0"


@pytest.mark.parametrize(
    "kind, socket_type", [("UDP", socket.SOCK_DGRAM), ("TCP", socket.SOCK_STREAM)]
)
def test_a_busy_port_is_a_note(run, kind, socket_type):
    port = free_port()
    with socket.socket(type=socket_type) as busy:
        busy.bind(("127.0.0.1", port))
        if kind == "TCP":
            busy.listen()
        status, wrong = run(port)
    assert status == 0
    assert len(wrong) == 1
    assert wrong[0].startswith(f"note: {kind} port {port} cannot be used (")
    assert re.search(rf"; type: \S.*:{port}", wrong[0])
    assert run(port) == (0, ["Nothing."])


def test_unwritable_outputs_stop_the_lab(lab, run):
    (lab / "outputs").rmdir()
    (lab / "outputs").write_text("a file in the folder's place")
    status, wrong = run()
    assert status == 1
    assert len(wrong) == 1
    assert wrong[0].startswith("STOPS THE LAB: the outputs folder cannot be written (")
    assert wrong[0].endswith(f'; type: mkdir "{lab / "outputs"}"')


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
def test_outputs_that_another_owns_stop_the_lab(lab, run):
    (lab / "outputs").chmod(0o500)
    status, wrong = run()
    assert status == 1
    assert wrong[0].endswith(f'; type: chmod u+rwx "{lab / "outputs"}"')


def test_outputs_are_made_and_left_empty(lab, run):
    (lab / "outputs").rmdir()
    assert run() == (0, ["Nothing."])
    assert list((lab / "outputs").iterdir()) == []


def test_outputs_may_lie_elsewhere(lab, run, monkeypatch):
    monkeypatch.setenv("STREAMLIB_OUTPUTS", str(lab / "requirements.txt" / "under-a-file"))
    status, wrong = run()
    assert status == 1
    assert "under-a-file" in wrong[0]


@pytest.mark.parametrize("python, old", [("3.8.20", 1), ("3.10.2", 1), ("3.11.0rc1", 0)])
def test_an_old_python_stops_the_lab(run, monkeypatch, python, old):
    monkeypatch.setattr(about.platform, "python_version", lambda: python)
    status, wrong = run()
    assert status == old
    if old:
        assert len(wrong) == 1
        assert wrong[0].startswith(f"STOPS THE LAB: Python {python} is too old, the lab needs 3.11")
        assert wrong[0].endswith(" -m venv --clear .venv")


def test_an_old_python_can_read_the_file():
    ast.parse(Path(about.__file__).read_text(encoding="utf-8"), feature_version=(3, 8))


def test_a_python_without_sqlite_stops_the_lab(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "sqlite3", None)
    status, wrong = run()
    assert status == 1
    assert wrong[0].startswith("STOPS THE LAB: this Python lacks SQLite")


def test_a_part_not_found_stops_the_lab(lab, run):
    (lab / "streamlib").rmdir()
    (lab / "requirements.txt").unlink()
    status, wrong = run()
    assert status == 1
    assert wrong[0].startswith("STOPS THE LAB: requirements.txt, streamlib not found, ")
    assert "; type: git clone " in wrong[0]


def test_no_checkout_is_a_note(lab, run):
    (lab / ".git").rmdir()
    status, wrong = run()
    assert status == 0
    assert wrong[0].startswith("note: .git not found, so this is not a whole checkout")


def test_another_python_than_the_labs_own_is_told_so(lab, monkeypatch, run):
    monkeypatch.setattr(about, "environment", lambda: "none")
    (lab / "requirements.txt").write_text("no-such-package==1.0\n" + SOUND)
    own = Path(".venv", "Scripts" if sys.platform == "win32" else "bin")
    (lab / own).mkdir(parents=True)
    status, wrong = run()
    assert status == 1 and len(wrong) == 1
    assert wrong[0].startswith("STOPS THE LAB: this is not the lab's own Python")
    assert wrong[0].endswith(f"type: {own / 'python'} about.py")


def test_no_git_is_a_note(lab, monkeypatch, run):
    monkeypatch.undo()
    monkeypatch.setenv("STREAMLIB_OUTPUTS", str(lab / "outputs"))
    monkeypatch.setattr(about, "environment", lambda: "none")
    monkeypatch.setenv("PATH", str(lab))
    status, wrong = run()
    assert status == 0
    assert wrong[0].startswith("note: git is missing, ")
    assert wrong[1].startswith("note: no virtual environment: ")
    assert wrong[1].endswith(" -m venv .venv")
    assert len(wrong) == 2


@pytest.mark.parametrize("fault", [OSError("no"), subprocess.TimeoutExpired("git", 10)])
def test_a_git_that_fails_or_hangs_is_missing(monkeypatch, fault):
    def run(*args, timeout, **options):
        raise fault

    monkeypatch.setattr(about.subprocess, "run", run)
    assert about.git() == "MISSING"


def test_what_stops_the_lab_comes_first(lab, run):
    (lab / ".git").rmdir()
    (lab / "requirements.txt").write_text("cloudpickle==0.0.1\nno-such-package==1.0\n")
    status, wrong = run()
    assert status == 1
    assert [line.split(":")[0] for line in wrong] == ["STOPS THE LAB", "note", "note"]


def test_a_report_that_cannot_be_written_is_still_printed(lab, run):
    (lab / "about.txt").mkdir()
    assert run() == (0, ["Nothing."])
    assert about.main(lab, free_port(), lab / "no-such-folder" / "about.txt") == 0


def test_a_report_that_cannot_be_written_says_so(lab, capsys):
    to = lab / "no-such-folder" / "about.txt"
    about.main(lab, free_port(), to)
    assert f"This report could not be written to {to} (" in capsys.readouterr().out


def as_a_program(folder, **options):
    """Run a copy of about.py in this folder."""
    copy = folder / "about.py"
    copy.write_bytes(Path(about.__file__).read_bytes())
    command = [sys.executable, copy]
    return subprocess.run(command, stderr=subprocess.PIPE, timeout=60, **options)


def test_as_a_program_for_a_console_that_knows_only_ascii(lab):
    folder = lab / "café"
    folder.mkdir()
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = as_a_program(folder, stdout=subprocess.PIPE, env=ascii_only)
    assert done.stderr == b""
    assert done.returncode == 1  # nothing of the lab is in that folder
    text = (folder / "about.txt").read_text(encoding="utf-8")
    assert str(folder) in text
    assert "STOPS THE LAB: requirements.txt, streamlib, notebooks, data not found" in text


def test_as_a_program_whose_output_nobody_reads(lab):
    reader, writer = os.pipe()
    os.close(reader)
    done = as_a_program(lab, stdout=writer)
    os.close(writer)
    assert done.stderr == b""
    assert (lab / "about.txt").is_file()
