"""Print a report on this computer for the lab, write it to about.txt, and say what is wrong.

Run it in the lab's folder: .venv/bin/python about.py (Windows: .venv\\Scripts\\python about.py).

Any other Python from 3.6 on can run it, too, even before .venv is made. What it looks at is the
Python in .venv, if there is one, and not the Python that runs it. The exit status is 0 when the lab
can run here, 1 when it cannot; then a good report that another Python left in about.txt is kept.
"""

import datetime
import importlib
import json
import multiprocessing
import os
import platform
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

LAB = Path(__file__).resolve().parent
PARTS = ("requirements.txt", "streamlib", "notebooks", "data")
OLDEST = (3, 11)
DOWNLOADS = "https://www.python.org/downloads/"
TERMINAL = ("TERM", "TERM_PROGRAM", "SHELL", "COMSPEC", "WT_SESSION", "MSYSTEM", "JPY_PARENT_PID")
SYNCED = re.compile(
    "(OneDrive|Dropbox|Google ?Drive|My Drive|iCloudDrive|Mobile Documents|CloudStorage|Nextcloud"
    "|ownCloud|pCloudDrive|Box)( .*)?$"
)
NETWORK = re.compile("nfs|smb|cifs|afp|ncp|9p|drvfs|webdav|davfs|fuse.(sshfs|rclone|s3fs|davfs)")


class Package(NamedTuple):
    """One line of requirements.txt, and the version found here ("" for none)."""

    name: str
    pin: str
    needed: bool  # False for what only the lab's tests use
    found: str


class Problem(NamedTuple):
    """One thing that is wrong: whether it stops the lab, what and why, the command to type."""

    stops: bool
    reason: str
    command: str

    def __str__(self) -> str:
        return f"{'STOPS THE LAB' if self.stops else 'note'}: {self.reason}; type: {self.command}"


# Looked up by the Python in question


def look(lab: Path) -> "dict[str, Any]":
    """Return what the Python that runs this has to offer, as it looks to a notebook's kernel."""
    found = {
        "Python": platform.python_version(),
        "interpreter": sys.executable,
        "environment": environment(),
    }
    for name in ("sqlite3", "ensurepip", "pip", "jupyterlab", "streamlib"):
        found[name] = imported(name)
    found["kernel"] = kernel()
    found["packages"] = packages(lab)
    return found


def environment() -> str:
    """Return the virtual environment that this Python belongs to, or "none"."""
    if sys.prefix != sys.base_prefix:
        return "venv " + sys.prefix
    return "conda " + sys.prefix if Path(sys.prefix, "conda-meta").is_dir() else "none"


def imported(name: str) -> str:
    """Import a package; return its folder, or "MISSING" and why."""
    try:
        return str(Path(importlib.import_module(name).__file__ or "").resolve().parent)
    except Exception as why:  # a damaged package may raise anything
        return f"MISSING ({why})"


def kernel() -> str:
    """Return the Python that notebooks run in, or "MISSING" and why."""
    try:
        from jupyter_client.kernelspec import KernelSpecManager

        command = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except Exception as why:  # no Jupyter, no such kernel, a damaged file
        return f"MISSING ({why})"
    return sys.executable if re.match(r"python[\d.]*$", command) else command  # as Jupyter does


def packages(lab: Path) -> "list[Package]":
    """Return the packages in requirements.txt; those below "# to test" only the tests need."""
    listed, needed = [], True
    try:
        text = (lab / "requirements.txt").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []  # it is one of the PARTS, and their lack is a problem of its own
    for line in text.splitlines():
        match = re.match(r"(\w[\w.-]*)(?:\[.*?\])?\s*(?:==\s*([^\s#;]+))?", line)
        if line.startswith("#"):
            needed = needed and "to test" not in line
        elif match and meant_for_this_python(line):
            listed.append(Package(match[1], match[2] or "", needed, version(match[1])))
    return listed


def meant_for_this_python(line: str) -> bool:
    """Say whether a line of requirements.txt applies; other markers are left to pip."""
    marker = re.search(r';\s*python_version\s*(<|>=)\s*"(\d+)\.(\d+)"', line)
    if not marker:
        return ";" not in line
    older = sys.version_info[:2] < (int(marker[2]), int(marker[3]))
    return older == (marker[1] == "<")


def version(name: str) -> str:
    """Return the installed version of a package, or ""."""
    try:
        from importlib import metadata

        return metadata.version(name)
    except ImportError:  # no such package, or a Python older than this part of its library
        return ""


# Looked up by the Python that runs about.py


def own_python(lab: Path) -> Path:
    """Return the path of the Python in .venv, whether or not there is one."""
    return lab / ".venv" / by_system("Scripts/python.exe", "bin/python", "bin/python")


def by_system(windows: str, mac: str, other: str) -> str:
    """Return the one of three texts that this system understands."""
    return {"win32": windows, "darwin": mac}.get(sys.platform, other)


def output_of(*command: str, **options: Any) -> str:
    """Return what a program prints. Raises OSError if it does not start, fails or hangs."""
    try:
        return subprocess.check_output(
            command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=60, **options
        ).decode(errors="replace")
    except subprocess.CalledProcessError as why:
        said = why.stderr.decode(errors="replace").strip().splitlines()
        raise OSError(0, said[-1] if said else f"exit status {why.returncode}") from None
    except subprocess.TimeoutExpired:
        raise OSError(0, "no answer within 60 s") from None


def examine(python: str, lab: Path) -> "dict[str, Any]":
    """Let this Python `look`, from where notebooks run. Raises OSError if it does not run."""
    code = "import json, pathlib, runpy, sys; look = runpy.run_path(sys.argv[1])['look']; "
    code += "print(json.dumps(look(pathlib.Path(sys.argv[2]))))"
    place = lab / "notebooks"
    where = str(place if place.is_dir() else lab)
    printed = output_of(python, "-c", code, str(Path(__file__).resolve()), str(lab), cwd=where)
    found = json.loads(printed.splitlines()[-1])
    found["packages"] = [Package(*row) for row in found["packages"]]
    return found


def clock(name: str) -> str:
    """Return what a clock of the time module promises, and the smallest step that it takes."""
    info, read, smallest = time.get_clock_info(name), getattr(time, name), float("inf")
    end, last = time.perf_counter() + 0.05, read()
    while time.perf_counter() < end:
        now = read()
        smallest = min(smallest, now - last) if now > last else smallest
        last = now
    return f"{info.implementation}, resolution {info.resolution:.1e} s, steps of {smallest:.1e} s"


def port_state(kind: str, port: int) -> str:
    """Say whether one can listen on this "UDP" or "TCP" port of 127.0.0.1: "free", or why not."""
    with socket.socket(type=socket.SOCK_DGRAM if kind == "UDP" else socket.SOCK_STREAM) as one:
        if kind == "TCP" and sys.platform == "linux":  # a connection closed just now is no matter
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
        except OSError as why:
            return str(why.strerror)
    return "free"


def folder_state(folder: Path) -> str:
    """Make the folder if need be, and try to write a file there: "writable", or why not."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trial = folder / f".about-{os.getpid()}"
        trial.write_bytes(b"written by about.py")
        trial.unlink()
    except OSError as why:
        return str(why.strerror)
    return "writable"


def drive(folder: Path) -> str:
    """Return the kind of drive that a folder is on: "local", or what shares it."""
    for part in folder.parts:
        if SYNCED.match(part):
            return f"synchronized by {part}"
    if sys.platform == "win32":
        import ctypes

        remote = ctypes.windll.kernel32.GetDriveTypeW(folder.anchor) == 4
        return "a network drive" if remote else "local"
    try:
        kind = mounted(folder, output_of("mount"))
    except OSError:
        return "local"
    return f"a network drive ({kind})" if NETWORK.match(kind) else "local"


def mounted(folder: Path, table: str) -> str:
    """Return the kind of file system that a folder is on, by what the program `mount` prints."""
    longest, kind = 0, ""
    for line in table.splitlines():
        match = re.match(r".+? on (/.*?) (?:type (\S+) )?\(([^,)]+)", line)
        if match and Path(match[1]) in (folder, *folder.parents) and len(match[1]) >= longest:
            longest, kind = len(match[1]), match[2] or match[3]
    return kind


def git() -> str:
    """Return the version of git, or "MISSING"."""
    try:
        return output_of("git", "--version").strip()
    except OSError:
        return "MISSING"


def facts(lab: Path = LAB, port: int = 9999) -> "dict[str, Any]":
    """Return all that the report says, looked up now: a name and a text each, and the packages."""
    outputs = Path(os.environ.get("STREAMLIB_OUTPUTS") or lab / "outputs")
    absent = [part for part in PARTS if not os.access(str(lab / part), os.R_OK)]
    if not any((folder / ".git").exists() for folder in (lab, *lab.parents)):
        absent.append(".git")
    starts = multiprocessing.get_all_start_methods()  # the default stands first
    terminal = [f"{name}={os.environ[name]}" for name in TERMINAL if name in os.environ]
    python = str(own_python(lab)) if (lab / ".venv").exists() else sys.executable
    known = {
        "date": datetime.datetime.now().astimezone().isoformat(" ", "seconds"),
        "system": platform.platform(),
        "CPUs": os.cpu_count(),
        "about.py ran in": f"Python {platform.python_version()}, {sys.executable}",
        "interpreter": python,
        "it runs": "yes",
    }
    try:
        known.update(examine(python, lab))
    except OSError as why:
        known["it runs"] = f"no ({why.strerror})"
    if "ipykernel.kernelapp" in sys.modules:  # about.py was imported by a notebook
        known["kernel"] = sys.executable
    known.update(
        {
            "git": git(),
            "perf_counter": clock("perf_counter"),
            "time": clock("time"),
            "start methods": ", ".join([starts[0] + " (default)", *starts[1:]]),
            "port": port,
            "UDP": port_state("UDP", port),
            "TCP": port_state("TCP", port),
            "lab": lab,
            "drive": drive(lab),
            "not found in it": ", ".join(absent) or "nothing",
            "lab is": folder_state(lab),
            "outputs": outputs,
            "outputs is": folder_state(outputs),
            "terminal": ", ".join(terminal) or "unknown",
        }
    )
    return known


# What is wrong


def problems(facts: "dict[str, Any]") -> "list[Problem]":
    """Return what is wrong, what stops the lab first."""
    wrong = list(of_python(facts))
    if not status(wrong):  # else all that follows would be about a Python that cannot be used
        wrong += of_packages(facts)
    wrong += [*of_folder(facts), *of_machine(facts)]
    return sorted(wrong, key=lambda problem: not problem.stops)


def too_old(version: str) -> bool:
    """Say whether the lab needs a newer Python than this version."""
    return tuple(int(part) for part in version.split(".")[:2]) < OLDEST


def typed(path: "Path | str", lab: Path) -> str:
    """Return a program's path as one types it in the lab's folder."""
    path = os.path.relpath(str(path), str(lab)) if str(path).startswith(f"{lab}{os.sep}") else path
    return f'"{path}"' if " " in str(path) else str(path)


def set_up(lab: Path) -> str:
    """Return the line that makes .venv anew, installs everything and opens the lab."""
    own, usual = typed(own_python(lab), lab), by_system("py", "python3", "python3")
    for name in (usual, "python", *(f"python3.{minor}" for minor in range(20, 10, -1))):
        try:
            version = output_of(name, "-c", "import platform; print(platform.python_version())")
        except OSError:
            continue
        if not too_old(version):
            usual = name
            break
    install = f"{own} -m pip install -q -r requirements.txt"
    return f"{usual} -m venv --clear .venv && {install} && {own} -m streamlib lab"


def of_python(facts: "dict[str, Any]") -> "Iterable[Problem]":
    """Yield what is wrong with the Python of the lab, and with the one that runs about.py."""
    lab, own = facts["lab"], typed(own_python(facts["lab"]), facts["lab"])
    needs = f"is too old: the lab needs {OLDEST[0]}.{OLDEST[1]} or newer, from {DOWNLOADS}"
    mine = platform.python_version()
    if too_old(mine) and not too_old(facts.get("Python", mine)):
        reason = f"this Python, {mine}, is too old for the lab: use the one in .venv"
        yield Problem(False, reason, f"{own} about.py")
    if facts["it runs"] != "yes":
        reason = f"the Python in .venv does not run: {facts['it runs']}; make .venv anew"
        yield Problem(True, reason, set_up(lab))
    elif too_old(facts["Python"]):
        yield Problem(True, f"Python {facts['Python']} {needs}", set_up(lab))
    elif facts["sqlite3"].startswith("MISSING"):
        reason = f"this Python lacks SQLite: get another one from {DOWNLOADS}"
        yield Problem(True, reason, set_up(lab))
    elif facts["pip"].startswith("MISSING") and facts["ensurepip"].startswith("MISSING"):
        reason = "this Python lacks pip and what installs it, which is a package of its own"
        yield Problem(True, reason, f"sudo apt install python3-venv && {set_up(lab)}")
    elif facts["pip"].startswith("MISSING"):
        reason = "this Python lacks pip, which installs everything else"
        yield Problem(True, reason, f"{typed(facts['interpreter'], lab)} -m ensurepip")
    elif facts["environment"] == "none":
        missing = any(package.needed and not package.found for package in facts["packages"])
        missing = missing or facts["jupyterlab"].startswith("MISSING")
        yield Problem(missing, "the lab has no environment of its own, .venv, yet", set_up(lab))


def of_packages(facts: "dict[str, Any]") -> "Iterable[Problem]":
    """Yield what is wrong with what is installed, and what notebooks find of it."""
    lab, me = facts["lab"], typed(facts["interpreter"], facts["lab"])
    install = f"{me} -m pip install -r requirements.txt"
    for needed, what_for in ((True, ""), (False, ", which only the lab's tests need")):
        missing = [p.name for p in facts["packages"] if not p.found and p.needed == needed]
        if missing:
            reason = ", ".join(missing) + (" are" if missing[1:] else " is") + " missing" + what_for
            yield Problem(needed, reason, install)
    for name, pin, _, found in facts["packages"]:
        if found and pin not in ("", found):
            reason = f"{name} is {found}, requirements.txt says {pin}"
            yield Problem(False, reason, install)
    if any(package.needed and not package.found for package in facts["packages"]):
        return
    if facts["jupyterlab"].startswith("MISSING"):
        reason = f"JupyterLab is installed, but damaged: {facts['jupyterlab']}"
        yield Problem(True, reason, f"{install} --force-reinstall")
    elif not same_folder(os.path.dirname(facts["kernel"]), os.path.dirname(facts["interpreter"])):
        reason = f"notebooks do not run in the lab's Python, but in {facts['kernel']}"
        command = f"{me} -m ipykernel install --sys-prefix && {me} -m streamlib lab"
        yield Problem(True, reason, command)
    if not same_folder(facts["streamlib"], str(lab / "streamlib")):
        reason = f"notebooks do not find the lab's package, streamlib: {facts['streamlib']}"
        yield Problem(True, reason, f"{me} -m streamlib lab")


def same_folder(one: str, other: str) -> bool:
    """Say whether two paths lead to the same folder."""
    return os.path.normcase(os.path.realpath(one)) == os.path.normcase(os.path.realpath(other))


def of_folder(facts: "dict[str, Any]") -> "Iterable[Problem]":
    """Yield what is wrong with the lab's folder."""
    lab, outputs, absent = facts["lab"], facts["outputs"], facts["not found in it"]
    if absent != "nothing":
        reason = f"{absent} not found, so this is not a whole checkout of the lab"
        yield Problem(absent != ".git", reason, "git clone ADDRESS-OF-YOUR-REPOSITORY")
    for folder, state in ((lab, facts["lab is"]), (outputs, facts["outputs is"])):
        if state != "writable":
            user, chmod = os.environ.get("USERNAME", "Users"), f'chmod u+rwx "{folder}"'
            allow = by_system(f'icacls "{folder}" /grant {user}:F', chmod, chmod)
            reason = f"the folder {folder} cannot be written to ({state})"
            yield Problem(True, reason, allow if folder.is_dir() else f'mkdir "{folder}"')
    if facts["drive"] != "local":
        home = Path.home() if drive(Path.home()) == "local" else Path(tempfile.gettempdir())
        reason = f"the lab's folder is {facts['drive']}, which may lock or change files in a run"
        move = by_system("move", "mv", "mv")
        yield Problem(False, reason, f'{move} "{lab}" "{home / lab.name}"')


def of_machine(facts: "dict[str, Any]") -> "Iterable[Problem]":
    """Yield what is wrong with the rest of the machine: ports in use, no git."""
    port = facts["port"]
    for kind in ("UDP", "TCP"):
        if facts[kind] != "free":
            reason = f"{kind} port {port} cannot be used ({facts[kind]}): see which program has it"
            mac, other = f"lsof -nP -i{kind}:{port}", f"ss -anp --{kind.lower()} sport = :{port}"
            command = by_system(f"netstat -ano -p {kind} | findstr :{port}", mac, other)
            yield Problem(False, reason, command)
    if facts["git"] == "MISSING":
        get = by_system("winget install Git.Git", "xcode-select --install", "sudo apt install git")
        yield Problem(False, "git is missing, and you hand in your work with it", get)


def status(wrong: "list[Problem]") -> int:
    """Return the exit status: 0 when the lab can run, 1 when it cannot."""
    return int(any(problem.stops for problem in wrong))


def report(facts: "dict[str, Any]") -> str:
    """Return the whole report as text."""
    wrong = problems(facts)
    lines = ["About this computer, by about.py", ""]
    lines += [f"{name:<20}{text}" for name, text in facts.items() if name != "packages"]
    lines += ["", "Packages"]
    for name, pin, _, found in facts.get("packages", []):
        note = f"  (requirements.txt says {pin})" if pin not in ("", found) else ""
        lines.append(f"{name:<20}{found or 'MISSING'}{note}")
    lines += ["", "What is wrong, and what to type in a terminal in the lab's folder"]
    lines += [str(problem) for problem in wrong] or ["Nothing."]
    lines += ["", "The lab CANNOT run here." if status(wrong) else "The lab can run here.", ""]
    return "\n".join(lines)


def good_report(file: Path, python: str) -> str:
    """Return the other Python about which this file has a good report, if it is still there."""
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
        other = re.search(r"^interpreter +(.+)$", text, re.MULTILINE)
        good = other and text.endswith("\n\nThe lab can run here.\n")
        return other[1] if good and other[1] != python and Path(other[1]).exists() else ""
    except OSError:
        return ""


def main(lab: Path = LAB, port: int = 9999, to: Path = LAB / "about.txt") -> int:
    """Print the report, write it to a file, return the exit status."""
    known = facts(lab, port)
    text = report(known)
    if hasattr(sys.stdout, "reconfigure"):  # an old console must not fail on an odd letter
        sys.stdout.reconfigure(errors="backslashreplace")
    other = good_report(to, known["interpreter"]) if status(problems(known)) else ""
    try:
        if other:
            where = f"{to} still has the good report on another Python; to renew it, type: "
            where += f"{typed(other, lab)} about.py"
        else:
            to.write_text(text, encoding="utf-8", errors="backslashreplace")
            where = f"This report is in {to}"
    except OSError as why:
        where = f"This report could not be written to {to} ({why.strerror}): copy it from here."
    try:
        print(text, where, sep="\n", flush=True)
    except OSError:  # nobody reads any more, as in: python about.py | head -1
        sys.stdout = None
    return status(problems(known))


if __name__ == "__main__":
    raise SystemExit(main())
