"""about.py names each fault in a sentence, and the command that it gives for it mends it."""

import ast
import functools
import json
import os
import re
import socket
import subprocess
import sys
import sysconfig
import venv
import zipfile
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))
import about
from streamlib.tests import shipped

sys.path.pop(0)

SOUND = f"cloudpickle=={version('cloudpickle')}\n\n# to test the lab\npytest=={version('pytest')}\n"
OWN = ".venv\\Scripts\\python.exe" if sys.platform == "win32" else ".venv/bin/python"
OLD_PYTHONS = sorted(Path.home().glob(".pyenv/versions/3.[6-9].*/bin/python")) + sorted(
    Path.home().glob(".pyenv/versions/3.10.*/bin/python")
)


REAL_PORT_STATE, REAL_CLOCK, REAL_OUTPUT_OF = about.port_state, about.clock, about.output_of


@functools.cache
def version_of(*command):
    """What a Python on this machine says of its version; each is asked once."""
    return REAL_OUTPUT_OF(*command)


def output_of(*command, **options):
    """As about.output_of."""
    ask = version_of if command[1:2] == ("-c",) and not options else REAL_OUTPUT_OF
    return ask(*command, **options)


@pytest.fixture(scope="module", autouse=True)
def at_rest():
    """All ports are free, which any program may take; no clock is read, and no version twice."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(about, "port_state", lambda kind, port: "free")
        patched.setattr(about, "clock", lambda name: "a clock")
        patched.setattr(about, "output_of", output_of)
        yield


def fill(folder):
    """Make a folder look like the lab: its parts, its package, sound requirements."""
    for part in (".git", "streamlib", "notebooks", "data", "outputs"):
        (folder / part).mkdir(parents=True)
    for name in ("__init__", "__main__", "home", "lab"):
        source = Path(about.LAB, "streamlib", f"{name}.py")
        (folder / "streamlib" / source.name).write_bytes(source.read_bytes())
    (folder / "requirements.txt").write_text(SOUND)
    return folder


def make_venv(lab, path_file="../../../..", packages=True):
    """Make a real .venv there, which finds the packages of the Python that runs the tests."""
    venv.create(lab / ".venv", symlinks=os.name != "nt")
    site_packages = next((lab / ".venv").rglob("site-packages"))
    if packages:
        (site_packages / "tests.pth").write_text(sysconfig.get_path("purelib"))
    if path_file and os.name == "nt":
        path_file = path_file.removeprefix("../")
    (site_packages / "lab.pth").write_text(path_file)
    return site_packages


@pytest.fixture
def whole(tmp_path, monkeypatch):
    """A lab with an environment of its own; the sentences of problems there, looked up for real."""
    monkeypatch.delenv("STREAMLIB_OUTPUTS", raising=False)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return fill(tmp_path / "a lab")


@pytest.fixture
def found():
    """What about.py is told of the lab's Python, where a test does not make one."""
    return {
        "Python": sys.version.split()[0],
        "interpreter": sys.executable,
        "environment": "venv here",
        "kernel": sys.executable,
    } | dict.fromkeys(("sqlite3", "ensurepip", "pip", "jupyterlab"), "somewhere")


@pytest.fixture
def lab(tmp_path, monkeypatch, found):
    """A folder in which about.py finds nothing wrong."""
    monkeypatch.delenv("STREAMLIB_OUTPUTS", raising=False)
    lab = fill(tmp_path / "lab")

    def examine(python, lab):
        return {"streamlib": str(lab / "streamlib"), "packages": about.packages(lab)} | found

    monkeypatch.setattr(about, "examine", examine)
    monkeypatch.setattr(about, "git", lambda: "git version 2")
    return lab


def wrong(lab):
    """What is wrong in this lab, as (stops, sentence, command)."""
    return about.problems(about.facts(lab))


def type_in(lab, command, **options):
    """Type a command in the lab's folder, as about.py says to."""
    environment = {**os.environ, "PIP_NO_INDEX": "1", **options}
    for name in ("STREAMLIB_OUTPUTS", "PYTHONPATH"):
        environment.pop(name, None)
    done = subprocess.run(
        command, shell=True, cwd=lab, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def run(lab, capsys):
    """Run main there: its exit status, and the lines that say what is wrong."""

    def run():
        to = lab / "about.txt"
        status = about.main(lab, to=to)
        printed = capsys.readouterr().out
        if to.is_file():
            assert printed.startswith(to.read_text(encoding="utf-8"))
        wrong = printed.split("What is wrong")[1].split("\n\n")[0].splitlines()[1:]
        assert ("The lab CANNOT run here." in printed) == (status == 1)
        return status, wrong

    return run


def test_a_sound_lab_has_nothing_wrong(run):
    assert run() == (0, ["Nothing."])


def test_the_report_has_every_fact(lab, monkeypatch):
    monkeypatch.setattr(about, "clock", REAL_CLOCK)
    known = about.facts(lab)
    text = about.report(known)
    assert re.search(rf"^Python +{re.escape(sys.version.split()[0])}$", text, re.M)
    assert re.search(r"^start methods +\w+ \(default\)", text, re.M)
    assert re.search(r"^perf_counter .* resolution \d.*, steps of \d", text, re.M)
    assert re.search(rf"^cloudpickle +{re.escape(version('cloudpickle'))}$", text, re.M)
    for name in known.keys() - {"packages"}:
        assert re.search(rf"^{name} +\S", text, re.M), name


# The lab's own Python: each fault for real, and its command typed


def make_wheel(folder):
    """Make a package there that pip can install: tiny, version 1.5."""
    info = "tiny-1.5.dist-info"
    with zipfile.ZipFile(folder / "tiny-1.5-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny.py", "")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.5\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")


@pytest.fixture(scope="module")
def mended(tmp_path_factory):
    """An environment with three faults, which the commands for them mend one after another.

    A package is missing; then the kernel is another Python, and the package of another copy of the
    lab is found. What was wrong `first` and `then`, and the facts `afterward`.
    """
    whole = fill(tmp_path_factory.mktemp("mended") / "a lab")
    with pytest.MonkeyPatch.context() as patched:
        for name in ("STREAMLIB_OUTPUTS", "PYTHONPATH"):
            patched.delenv(name, raising=False)
        site_packages = make_venv(whole, path_file="../../../../another")
        (whole / "another" / "streamlib").mkdir(parents=True)
        (whole / "another" / "streamlib" / "__init__.py").touch()
        kernel = whole / ".venv" / "share" / "jupyter" / "kernels" / "python3"
        kernel.mkdir(parents=True)
        other = str(whole / "elsewhere" / "python")
        command = [other, "-m", "ipykernel_launcher"]
        (kernel / "kernel.json").write_text(json.dumps({"argv": command, "display_name": "Python"}))
        make_wheel(whole.parent)
        (whole / "requirements.txt").write_text("tiny==1.5\n")
        first = wrong(whole)
        type_in(whole, first[0].command, PIP_FIND_LINKS=str(whole.parent))
        then = wrong(whole)
        type_in(whole, then[0].command + " --version")
        afterward = about.facts(whole)
    return SimpleNamespace(
        lab=whole,
        site_packages=site_packages,
        other=other,
        first=first,
        then=then,
        afterward=afterward,
    )


def test_an_environment_that_is_there_is_sound_whichever_python_looks_at_it(mended):
    known = mended.afterward
    assert about.problems(known) == []
    assert known["environment"] == f"venv {mended.lab / '.venv'}"
    assert known["streamlib"] == str(mended.lab / "streamlib")
    assert Path(known["kernel"]) == mended.lab / OWN


def test_no_environment_is_made_by_readmes_line(whole, monkeypatch):
    """Looked at by a Python outside of any environment, as a beginner's first one is."""
    monkeypatch.setattr(about.sys, "executable", sys._base_executable)
    (whole / "requirements.txt").write_text("no-such-package==1.0\n")
    (problem,) = wrong(whole)
    assert problem.stops and problem.reason == "the lab has no environment of its own, .venv, yet"
    readme = shipped.text("README.md")
    line = re.search(r"^(?:py|python3) -m venv .* -m streamlib lab$", readme, re.M).group()
    if sys.platform != "win32":
        make = problem.command.replace(" --clear", "")
        assert re.sub(r"^python\S*", "python3", make) == line


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links and shell scripts")
def test_a_python_that_does_not_run_is_made_anew(whole):
    make_venv(whole)
    python = whole / OWN
    for fault, mode in (("ends at once", 0o755), ("not a program", 0o644), ("moved away", None)):
        python.unlink()
        if fault == "moved away":
            python.symlink_to(whole / "no-such-python")
        else:
            python.write_text("#!/bin/sh\necho 'no stdlib' >&2; exit 3\n")
            python.chmod(mode)
        (problem,) = wrong(whole)
        assert problem.stops and "the Python in .venv does not run: no (" in problem.reason, fault
        assert ("no stdlib" in problem.reason) == (fault == "ends at once")
        make, install, opening = problem.command.split(" && ")
        assert install == f"{OWN} -m pip install -q -r requirements.txt"
        assert opening == f"{OWN} -m streamlib lab"
    type_in(whole, make + " --without-pip")  # which takes long, and is not what did not run
    assert about.facts(whole)["it runs"] == "yes"


def test_a_missing_pip_is_installed_by_ensurepip(whole):
    make_venv(whole, packages=False)
    (problem,) = wrong(whole)
    assert problem == (
        True,
        "this Python lacks pip, which installs everything else",
        f"{OWN} -m ensurepip",
    )
    type_in(whole, problem.command)
    assert "lacks pip" not in wrong(whole)[0].reason


def test_no_environment_is_a_note_if_everything_is_there(found, run):
    found["environment"] = "none"
    status, lines = run()
    assert status == 0 and len(lines) == 1
    assert lines[0].startswith("note: the lab has no environment of its own, .venv, yet; type: ")


def test_a_debian_python_without_ensurepip_is_told_the_package(found, run):
    found.update(pip="MISSING (x)", ensurepip="MISSING (x)")
    status, lines = run()
    assert status == 1 and len(lines) == 1
    assert "; type: sudo apt install python3-venv && python" in lines[0]


def test_a_missing_package_is_installed(mended):
    install = f"{OWN} -m pip install -r requirements.txt"
    assert mended.first == [(True, "tiny is missing", install)]
    assert not any("missing" in problem.reason for problem in mended.then)
    assert (mended.site_packages / "tiny.py").is_file()


def test_a_package_that_notebooks_do_not_find_stops_the_lab(found, run):
    found["streamlib"] = "MISSING (No module named 'streamlib')"
    status, lines = run()
    assert status == 1 and len(lines) == 1
    assert "notebooks do not find the lab's package, streamlib: MISSING" in lines[0]


def test_the_package_of_another_copy_is_left_once_the_lab_was_opened(mended):
    kernel, problem = mended.then
    assert problem.stops and "notebooks do not find the lab's package, streamlib" in problem.reason
    assert problem.command == f"{OWN} -m streamlib lab"
    assert kernel.command.endswith(f" && {problem.command}")  # so the lab was opened by it
    assert (mended.site_packages / "lab.pth").is_file()
    assert about.problems(mended.afterward) == []


def test_a_kernel_that_is_another_python_is_replaced(mended):
    problem = mended.then[0]
    assert problem.stops
    assert problem.reason == f"notebooks do not run in the lab's Python, but in {mended.other}"
    assert about.problems(mended.afterward) == []


def test_a_notebook_in_another_python_is_told_so(lab, run, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipykernel.kernelapp", None)
    monkeypatch.setattr(about.sys, "executable", str(lab / "other" / "python"))
    status, lines = run()
    assert status == 1 and len(lines) == 1
    assert f"notebooks do not run in the lab's Python, but in {lab / 'other'}" in lines[0]


def test_a_jupyterlab_that_is_damaged_is_installed_again(found, run):
    found["jupyterlab"] = "MISSING (No module named 'tornado')"
    status, lines = run()
    assert status == 1 and len(lines) == 1
    assert "JupyterLab is installed, but damaged: MISSING (No module named 'tornado')" in lines[0]
    assert lines[0].endswith(" -m pip install -r requirements.txt --force-reinstall")


@pytest.mark.parametrize("python, old", [("3.6.15", 1), ("3.10.2", 1), ("3.11.0rc1", 0)])
def test_an_old_python_stops_the_lab(found, run, python, old):
    found["Python"] = python
    status, lines = run()
    assert status == old
    if old:
        assert len(lines) == 1
        assert lines[0].startswith(f"STOPS THE LAB: Python {python} is too old: the lab needs 3.11")
        assert " -m venv --clear .venv && " in lines[0]


def test_an_old_python_points_to_the_one_in_the_environment(run, monkeypatch):
    monkeypatch.setattr(about.platform, "python_version", lambda: "3.8.20")
    status, lines = run()
    told = "note: this Python, 3.8.20, is too old for the lab: use the one in .venv; "
    assert (status, lines) == (0, [f"{told}type: {OWN} about.py"])


def test_an_old_python_hides_no_fault_of_the_environment(found, run, monkeypatch):
    monkeypatch.setattr(about.platform, "python_version", lambda: "3.8.20")
    found["sqlite3"] = "MISSING (No module named '_sqlite3')"
    status, lines = run()
    assert status == 1
    assert [line.split(":")[0] for line in lines] == ["STOPS THE LAB", "note"]


@pytest.mark.parametrize("python", OLD_PYTHONS[:1], ids=lambda path: path.parts[-3])
def test_an_old_python_that_is_here_finds_the_environment(whole, python):
    make_venv(whole)
    (whole / "about.py").write_bytes(Path(about.__file__).read_bytes())
    done = subprocess.run([python, "about.py"], cwd=whole, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == ""
    assert f"is too old for the lab: use the one in .venv; type: {OWN} about.py" in done.stdout


# A new terminal, in which another Python is called python: the lab has no .venv, it is elsewhere


@pytest.fixture
def about_txt(lab, found, capsys):
    """A good report on a Python that is there, in about.txt; `again(python)` reports anew."""
    to, python = lab / "about.txt", lab / "conda env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    found.update(interpreter=str(python), kernel=str(python))
    assert about.main(lab, to=to) == 0

    def again(python, **facts):
        found.update(interpreter=str(python), kernel=str(python), **facts)
        capsys.readouterr()
        return about.main(lab, to=to), capsys.readouterr().out, to.read_text(encoding="utf-8")

    return SimpleNamespace(python=python, text=to.read_text(encoding="utf-8"), again=again)


BAD = {"jupyterlab": "MISSING (No module named 'jupyterlab')"}


def test_a_good_report_outlives_a_bad_one_of_another_python(about_txt, lab):
    status, said, text = about_txt.again("/usr/bin/python3", **BAD)
    assert status == 1 and text == about_txt.text
    assert "The lab CANNOT run here." in said
    own = Path("conda env", "bin", "python")
    assert said.endswith(f'good report on another Python; to renew it, type: "{own}" about.py\n')


def test_a_good_report_gives_way_to_one_of_the_same_python_or_to_a_good_one(about_txt):
    assert about_txt.again(sys.executable)[2] != about_txt.text
    assert "CANNOT" in about_txt.again(sys.executable, **BAD)[2]
    assert "CANNOT" in about_txt.again(about_txt.python)[2]  # the old one is bad as well


def test_a_good_report_of_a_python_that_is_gone_is_overwritten(about_txt):
    about_txt.python.unlink()
    assert "CANNOT" in about_txt.again("/usr/bin/python3", **BAD)[2]


def test_an_old_python_can_read_the_file():
    ast.parse(Path(about.__file__).read_text(encoding="utf-8"), feature_version=(3, 6))


@pytest.mark.parametrize("python", OLD_PYTHONS, ids=lambda path: path.parts[-3])
def test_an_old_python_that_is_here_says_that_it_is_too_old(whole, python):
    (whole / "about.py").write_bytes(Path(about.__file__).read_bytes())
    done = subprocess.run([python, "about.py"], cwd=whole, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr == ""
    assert re.search(r"^STOPS THE LAB: Python 3\.\d+\.\d+ is too old: the lab", done.stdout, re.M)


def test_a_python_without_sqlite_stops_the_lab(found, run):
    found["sqlite3"] = "MISSING (No module named '_sqlite3')"
    status, lines = run()
    assert status == 1
    assert lines[0].startswith("STOPS THE LAB: this Python lacks SQLite")


def test_a_module_that_is_not_there_or_damaged_is_missing(monkeypatch, tmp_path):
    (tmp_path / "damaged_module.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    assert about.imported("damaged_module") == "MISSING (division by zero)"
    assert about.imported("no_such") == "MISSING (No module named 'no_such')"
    assert about.imported("sqlite3") == str(Path(sys.modules["sqlite3"].__file__).parent)


# What is installed


def test_missing_packages_share_a_sentence(lab, run):
    (lab / "requirements.txt").write_text("no-such-package==1.0\nnor-this==1.0\n" + SOUND)
    status, lines = run()
    assert status == 1
    assert len(lines) == 1
    assert lines[0].startswith("STOPS THE LAB: no-such-package, nor-this are missing; type: ")


def test_a_missing_test_tool_does_not_stop_the_lab(lab, run):
    (lab / "requirements.txt").write_text(SOUND + "no-such-package==1.0\n")
    status, lines = run()
    assert status == 0
    assert len(lines) == 1
    assert lines[0].startswith("note: no-such-package is missing, which only the lab's tests need;")


def test_another_version_than_the_pin_is_a_note(lab, run):
    (lab / "requirements.txt").write_text("cloudpickle==0.0.1\n")
    status, lines = run()
    assert status == 0
    have = version("cloudpickle")
    assert lines[0].startswith(f"note: cloudpickle is {have}, requirements.txt says 0.0.1; type: ")


def test_requirements_are_read_as_pip_reads_them(lab):
    (lab / "requirements.txt").write_text(
        "-r other.txt\npytest[dev]==1.5  # why\nonlythere==1; sys_platform == 'x'\n"
        'numpy==1; python_version < "3.6"\nnumpy==2; python_version >= "3.6"\n'
    )
    listed = [(package.name, package.pin, package.needed) for package in about.packages(lab)]
    assert listed == [("pytest", "1.5", True), ("numpy", "2", True)]


# The folder and the machine


@pytest.mark.parametrize(
    "kind, socket_type", [("UDP", socket.SOCK_DGRAM), ("TCP", socket.SOCK_STREAM)]
)
def test_a_busy_port_is_a_note(lab, monkeypatch, kind, socket_type):
    def port_state(which, port):
        return REAL_PORT_STATE(which, port) if which == kind else "free"

    monkeypatch.setattr(about, "port_state", port_state)
    with socket.socket(type=socket_type) as busy:
        busy.bind(("127.0.0.1", 0))
        if kind == "TCP":
            busy.listen()
        port = busy.getsockname()[1]
        (problem,) = about.problems(about.facts(lab, port))
    assert not problem.stops
    assert problem.reason.startswith(f"{kind} port {port} cannot be used (")
    assert re.search(rf"\w+ .*:{port}", problem.command)
    assert REAL_PORT_STATE(kind, 0) == "free"


def test_outputs_that_are_a_file_stop_the_lab_until_the_folder_is_made(lab, run):
    outputs = lab / "outputs"
    outputs.rmdir()
    outputs.write_text("a file in the folder's place")
    status, lines = run()
    assert status == 1
    assert len(lines) == 1
    assert lines[0].startswith(f"STOPS THE LAB: the folder {outputs} cannot be written to (")
    assert lines[0].endswith(f'; type: mkdir "{outputs}"')
    outputs.unlink()
    type_in(lab, lines[0].split("; type: ")[1])
    assert run() == (0, ["Nothing."])


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
@pytest.mark.parametrize("name", ["outputs", ""])
def test_a_folder_that_may_not_be_written_to_stops_the_lab(lab, run, name):
    (lab / name).chmod(0o500)
    status, lines = run()
    assert status == 1
    assert lines[0].endswith(f'; type: chmod u+rwx "{lab / name}"')
    type_in(lab, lines[0].split("; type: ")[1])
    assert run() == (0, ["Nothing."])


@pytest.mark.parametrize("name", ["outputs", ""])
def test_a_folder_that_refuses_a_file_is_told_by_its_name(lab, run, monkeypatch, name):
    def write_bytes(path, data):
        if path.parent == lab / name:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(about.Path, "write_bytes", write_bytes)
    monkeypatch.setattr(about.Path, "unlink", lambda path: None)
    status, lines = run()
    assert status == 1 and len(lines) == 1
    assert f"the folder {lab / name} cannot be written to (Permission denied)" in lines[0]


def test_outputs_are_made_and_left_empty(lab, run):
    (lab / "outputs").rmdir()
    assert run() == (0, ["Nothing."])
    assert list((lab / "outputs").iterdir()) == []


def test_outputs_may_be_elsewhere(lab, run, monkeypatch):
    monkeypatch.setenv("STREAMLIB_OUTPUTS", str(lab / "requirements.txt" / "under-a-file"))
    status, lines = run()
    assert status == 1
    assert "under-a-file" in lines[0]


@pytest.mark.skipif(sys.platform == "win32", reason="the same, by move")
def test_a_synchronized_folder_is_left_by_the_command(lab, tmp_path, monkeypatch):
    home = tmp_path / "home"
    (home / "OneDrive - School").mkdir(parents=True)
    lab = lab.rename(home / "OneDrive - School" / "my lab")
    monkeypatch.setattr(about.Path, "home", lambda: home)
    (problem,) = wrong(lab)
    assert not problem.stops
    assert "is synchronized by OneDrive - School, which may lock or change" in problem.reason
    type_in(lab, problem.command)
    assert wrong(home / "my lab") == []


@pytest.mark.parametrize(
    "folder, kind",
    [
        ("/Users/ann/Library/CloudStorage/GoogleDrive-ann/lab", "CloudStorage"),
        ("/Users/ann/Library/Mobile Documents/lab", "Mobile Documents"),
        ("/home/ann/Dropbox (Personal)/lab", "Dropbox (Personal)"),
        ("/home/ann/Google Drive/lab", "Google Drive"),
        ("/home/ann/Nextcloud/lab", "Nextcloud"),
    ],
)
def test_synchronized_folders_are_known_by_name(folder, kind):
    assert about.drive(Path(folder)) == f"synchronized by {kind}"


@pytest.mark.parametrize("folder", ["/home/ann/Boxes/lab", "/home/dropbox/lab", "/home/ann/lab"])
def test_other_folders_are_not(folder, monkeypatch):
    monkeypatch.setattr(about, "output_of", lambda *command: "")
    assert about.drive(Path(folder)) == "local"


LINUX = """\
/dev/sda1 on / type ext4 (rw,relatime)
server:/home on /home type nfs4 (rw,relatime,vers=4.2)
tmpfs on /home/ann/my scratch type tmpfs (rw)
C:\\ on /mnt/c type 9p (rw,noatime,aname=drvfs;path=C:\\;uid=1000)
"""
MAC = """\
/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)
//ann@server/share on /Volumes/share (smbfs, nodev, nosuid, mounted by ann)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows is asked in another way")
@pytest.mark.parametrize(
    "table, folder, kind",
    [
        (LINUX, "/srv/lab", "local"),
        (LINUX, "/home/ann/lab", "a network drive (nfs4)"),
        (LINUX, "/home/ann/my scratch/lab", "local"),
        (LINUX, "/mnt/c/lab", "a network drive (9p)"),
        (MAC, "/Users/ann/lab", "local"),
        (MAC, "/Volumes/share/lab", "a network drive (smbfs)"),
    ],
)
def test_a_network_drive_is_known_by_what_is_mounted(table, folder, kind, monkeypatch):
    monkeypatch.setattr(about, "output_of", lambda *command: table)
    assert about.drive(Path(folder)) == kind


def test_a_network_drive_is_a_note(run, monkeypatch):
    monkeypatch.setattr(about, "drive", lambda folder: "a network drive (nfs4)")
    status, lines = run()
    assert status == 0 and len(lines) == 1
    assert "the lab's folder is a network drive (nfs4), which may lock or change" in lines[0]


def test_a_part_not_found_stops_the_lab(lab, run):
    (lab / "data").rmdir()
    (lab / "notebooks").rmdir()
    status, lines = run()
    assert status == 1
    assert lines[0].startswith("STOPS THE LAB: notebooks, data not found, ")
    assert "; type: git clone " in lines[0]


def test_no_checkout_is_a_note(lab, run):
    (lab / ".git").rmdir()
    status, lines = run()
    assert status == 0
    assert lines[0].startswith("note: .git not found, so this is not a whole checkout")


def test_no_git_is_a_note(run, monkeypatch):
    monkeypatch.setattr(about, "git", lambda: "MISSING")
    status, lines = run()
    assert status == 0
    assert lines[0].startswith("note: git is missing, ")
    assert len(lines) == 1


@pytest.mark.parametrize(
    "fault", [FileNotFoundError("no"), subprocess.TimeoutExpired("git", 10), PermissionError("no")]
)
def test_a_git_that_fails_or_hangs_is_missing(monkeypatch, fault):
    def check_output(*args, timeout, **options):
        raise fault

    monkeypatch.setattr(about.subprocess, "check_output", check_output)
    assert about.git() == "MISSING"


def test_what_stops_the_lab_comes_first(lab, run):
    (lab / ".git").rmdir()
    (lab / "requirements.txt").write_text("cloudpickle==0.0.1\nno-such-package==1.0\n")
    status, lines = run()
    assert status == 1
    assert [line.split(":")[0] for line in lines] == ["STOPS THE LAB", "note", "note"]


def test_a_report_that_cannot_be_written_is_still_printed(lab, run):
    (lab / "about.txt").mkdir()
    assert run() == (0, ["Nothing."])
    assert about.main(lab, to=lab / "no-such-folder" / "about.txt") == 0


def test_a_report_that_cannot_be_written_says_so(lab, capsys):
    to = lab / "no-such-folder" / "about.txt"
    about.main(lab, to=to)
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
