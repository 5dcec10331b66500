"""The lab opens wherever its folder is, and a Python finds streamlib by one relative line."""

import contextlib
import importlib
import json
import ntpath
import os
import posixpath
import signal
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from traitlets import import_item

from streamlib import home, lab
from streamlib.contents import Contents


@pytest.mark.parametrize(
    "path, site_packages, line",
    [
        (posixpath, ".venv/lib/python3.11/site-packages", b"../../../..\n"),
        (ntpath, ".venv/Lib/site-packages", rb"..\..\.." + b"\n"),
    ],
)
def test_the_line_is_relative_and_plain_ascii_in_an_environment_inside_the_lab(
    tmp_path, monkeypatch, path, site_packages, line
):
    """Windows reads it in the ANSI code page before Python 3.13."""
    folder = tmp_path / "Łukasz" / "the lab"
    (folder / site_packages).mkdir(parents=True)
    monkeypatch.setattr(home, "root", folder)
    monkeypatch.setattr(lab.sysconfig, "get_path", lambda name: str(folder / site_packages))
    monkeypatch.setattr(os.path, "relpath", path.relpath)
    assert lab.write_path_file().read_bytes() == line


def test_the_line_is_absolute_from_another_drive(tmp_path, monkeypatch):
    monkeypatch.setattr(lab.sysconfig, "get_path", lambda name: str(tmp_path))
    monkeypatch.setattr(os.path, "relpath", lambda *_: ntpath.relpath(r"D:\lab", r"C:\conda\Lib"))
    assert lab.write_path_file().read_text(encoding="utf-8") == f"{home.root}\n"


@pytest.fixture
def moved(tmp_path, monkeypatch):
    """Write a path file for a lab in a folder, move that folder; return its new place."""

    def moved(site_packages):
        folder = tmp_path / "the lab"
        (folder / site_packages).mkdir(parents=True)
        (folder / "streamlib").mkdir()
        (folder / "streamlib" / "__init__.py").touch()
        monkeypatch.setattr(home, "root", folder)
        monkeypatch.setattr(lab.sysconfig, "get_path", lambda name: str(folder / site_packages))
        assert lab.write_path_file() == folder / site_packages / "lab.pth"
        there = tmp_path / "Łukasz’ lab, übersetzt"
        return folder.rename(there) / site_packages

    return moved


@pytest.mark.parametrize("encoding", ["UTF-8", "ASCII"])
@pytest.mark.parametrize(
    "site_packages", [".venv/lib/python3.11/site-packages", ".venv/Lib/site-packages"]
)
def test_the_package_is_found_after_a_move_to_a_name_beyond_ascii(moved, site_packages, encoding):
    """On Linux (and macOS) and on Windows, and where the path file is read as plain ASCII."""
    there = moved(site_packages)
    assert (there / "lab.pth").read_bytes().isascii()
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    environment = {**os.environ, **(plain if encoding == "ASCII" else {})}
    environment.pop("PYTHONPATH", None)
    code = "import os, site, sys; site.addsitedir(os.fsdecode(sys.argv[1])); import streamlib; "
    code += "print(ascii(streamlib.__file__))"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, there],
        env=environment,
        cwd=there,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    assert "bersetzt" in done.stdout


def test_a_path_file_is_written_only_if_it_is_wrong(moved, monkeypatch):
    there = moved(".venv/lib/python3.11/site-packages")
    monkeypatch.setattr(lab.sysconfig, "get_path", lambda name: str(there))
    monkeypatch.setattr(home, "root", there.parents[3])
    file = there / "lab.pth"
    os.utime(file, (1, 1))
    lab.write_path_file()
    assert file.stat().st_mtime == 1
    file.write_text("../somewhere/else\n")
    lab.write_path_file()
    assert file.read_text() == f"{Path('../../../..')}\n"


def test_a_folder_that_the_path_file_cannot_spell_is_one_sentence(tmp_path, monkeypatch, capsys):
    """On Windows before Python 3.13, in an environment elsewhere."""
    monkeypatch.setattr(lab.sysconfig, "get_path", lambda name: str(tmp_path))
    monkeypatch.setattr(os.path, "relpath", lambda *_: r"..\Łukasz")
    monkeypatch.setattr(lab.sys, "version_info", (3, 12))
    monkeypatch.setattr(lab.locale, "getencoding", lambda: "cp1252")
    assert lab.open_lab() == 2
    said = capsys.readouterr().err
    assert said.startswith("The lab does not open ('charmap' codec can't encode character")
    assert said.endswith(f"): {lab.ADVICE}\n")


def test_an_environment_that_cannot_be_written_to_is_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(lab.sysconfig, "get_path", lambda name: str(tmp_path / "no" / "folder"))
    assert lab.open_lab() == 2
    said = capsys.readouterr().err
    assert said.startswith("The lab does not open (") and said.count("\n") == 1


def test_a_missing_jupyterlab_is_one_sentence(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "jupyterlab", None)
    assert lab.open_lab() == 2
    said = capsys.readouterr().err
    assert "jupyterlab" in said and said.endswith(f"{lab.ADVICE}\n") and said.count("\n") == 1


@pytest.mark.parametrize("user, as_root", [(0, True), (1000, False)])
def test_root_is_let_in_and_told_what_it_means(monkeypatch, capsys, user, as_root):
    labapp = importlib.import_module("jupyterlab.labapp")
    given = []
    monkeypatch.setattr(labapp, "main", given.extend)
    monkeypatch.setattr(lab.os, "geteuid", lambda: user, raising=False)
    assert lab.open_lab(["--no-browser"]) == 0
    assert "--allow-root" in given
    [manager] = [one.partition("=")[2] for one in given if "contents_manager_class" in one]
    assert import_item(manager) is Contents  # a stored run is not shown
    assert given[-1] == "--no-browser"
    assert ("You are root: code in a notebook may change any file" in capsys.readouterr().out) == (
        as_root
    )


def test_the_path_file_of_this_environment_leads_here():
    """The tests' plugin wrote it."""
    file = Path(sysconfig.get_path("purelib"), "lab.pth")
    assert (file.parent / file.read_text(encoding="utf-8").strip()).resolve() == home.root


@pytest.mark.skipif(sys.platform == "win32", reason="a console's Ctrl-C cannot be sent there")
def test_the_lab_opens_at_its_first_notebook_and_ends_at_ctrl_c(tmp_path):
    environment = {**os.environ, "JUPYTER_RUNTIME_DIR": str(tmp_path)}
    opened = subprocess.Popen(
        [sys.executable, "-m", "streamlib", "lab", "--no-browser", "--port=0"],
        stderr=(tmp_path / "log").open("w"),
        cwd=home.root,
        env=environment,
    )
    server, page = {}, ""
    try:
        while not page:  # the server's file is there before it is filled, and before it listens
            assert opened.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.05)
            with contextlib.suppress(StopIteration, ValueError, urllib.error.URLError):
                server = json.loads(next(tmp_path.glob("jpserver-*.json")).read_text())
                first = (
                    f"{server['url']}lab/tree/notebooks/00_start_here.ipynb?token={server['token']}"
                )
                page = urllib.request.urlopen(first, timeout=30).read().decode()
        assert Path(server["root_dir"]) == home.root
        assert "JupyterLab" in page
    finally:
        opened.send_signal(signal.SIGINT)
        opened.send_signal(signal.SIGINT)
        opened.wait(30)
    assert opened.returncode == 0
