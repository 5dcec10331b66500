"""Print a report on this computer for the lab, write it to about.txt, and say what is wrong.

Run it in the lab's folder: python about.py

It needs nothing but Python, and runs under a Python too old for the lab far enough to say so.
The exit status is 0 when the lab can run here, 1 when it cannot.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import multiprocessing
import os
import platform
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

LAB = Path(__file__).resolve().parent
PARTS = ("requirements.txt", "streamlib", "notebooks", "data")
OLDEST = (3, 11)
TERMINAL = ("TERM", "TERM_PROGRAM", "SHELL", "COMSPEC", "WT_SESSION", "MSYSTEM", "JPY_PARENT_PID")


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


def packages(lab: Path) -> list[Package]:
    """The packages in the lab's requirements.txt; those below "# to test ..." are not needed."""
    listed, needed = [], True
    try:
        text = (lab / "requirements.txt").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []  # it is one of the PARTS, and their lack is a problem of its own
    for line in text.replace("-e .", "streamlib").splitlines():
        match = re.match(r"(\w[\w.-]*)(?:\[.*?\])?\s*(?:==\s*([^\s#]+))?", line)
        if line.startswith("#"):
            needed = "to test" not in line
        elif match and ";" not in line:  # "; ..." is for some systems only: left to pip
            listed.append(Package(match[1], match[2] or "", needed, version(match[1], lab)))
    return listed


def version(name: str, lab: Path) -> str:
    """The installed version, or "". What pip left in the lab's own folder proves nothing."""
    places = [place for place in sys.path if Path(place).resolve() != lab.resolve()]
    for package in importlib.metadata.distributions(name=name, path=places):
        if package.metadata and package.metadata.get("Version"):
            return package.metadata["Version"]
    return ""


def environment() -> str:
    """The virtual environment that this Python belongs to, or "none"."""
    if sys.prefix != sys.base_prefix:
        return "venv " + sys.prefix
    return "conda " + sys.prefix if Path(sys.prefix, "conda-meta").is_dir() else "none"


def python(lab: Path) -> str:
    """This Python, as one types it in the lab's folder."""
    path = sys.executable or "python"
    path = os.path.relpath(path, lab) if path.startswith(str(lab) + os.sep) else path
    return f'"{path}"' if " " in path else path


def clock(name: str) -> str:
    """What a clock of the time module promises, and the smallest step that it takes."""
    info, read, smallest = time.get_clock_info(name), getattr(time, name), float("inf")
    end, last = time.perf_counter() + 0.05, read()
    while time.perf_counter() < end:
        now = read()
        smallest = min(smallest, now - last) if now > last else smallest
        last = now
    return f"{info.implementation}, resolution {info.resolution:.1e} s, steps of {smallest:.1e} s"


def port_state(kind: str, port: int) -> str:
    """Whether one can listen on this "UDP" or "TCP" port of 127.0.0.1: "free", or why not."""
    with socket.socket(type=socket.SOCK_DGRAM if kind == "UDP" else socket.SOCK_STREAM) as one:
        if kind == "TCP" and sys.platform == "linux":  # a connection closed just now is no matter
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
        except OSError as why:
            return str(why.strerror)
    return "free"


def folder_state(folder: Path) -> str:
    """Make the folder if need be, try to write a file there: "writable", or why not."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trial = folder / f".about-{os.getpid()}"
        trial.write_bytes(b"written by about.py")
        trial.unlink()
    except OSError as why:
        return str(why.strerror)
    return "writable"


def git() -> str:
    """The version of git, or "MISSING"."""
    try:
        done = subprocess.run(
            ["git", "--version"], stdin=subprocess.DEVNULL, capture_output=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return "MISSING"
    return "MISSING" if done.returncode else done.stdout.decode(errors="replace").strip()


def sqlite() -> str:
    """The version of SQLite in this Python, or "MISSING"."""
    try:
        import sqlite3
    except ImportError:
        return "MISSING"
    return sqlite3.sqlite_version


def facts(lab: Path = LAB, port: int = 9999) -> dict[str, Any]:
    """All that the report says, looked up now: a name and a text each, and the packages."""
    outputs = Path(os.environ.get("STREAMLIB_OUTPUTS") or lab / "outputs")
    absent = [part for part in PARTS if not os.access(lab / part, os.R_OK)]
    if not any((folder / ".git").exists() for folder in (lab, *lab.parents)):
        absent.append(".git")
    starts = multiprocessing.get_all_start_methods()  # the default stands first
    terminal = [f"{name}={os.environ[name]}" for name in TERMINAL if name in os.environ]
    return {
        "date": datetime.datetime.now().astimezone().isoformat(" ", "seconds"),
        "system": platform.platform(),
        "CPUs": os.cpu_count(),
        "Python": platform.python_version(),
        "interpreter": sys.executable,
        "environment": environment(),
        "SQLite": sqlite(),
        "git": git(),
        "perf_counter": clock("perf_counter"),
        "time": clock("time"),
        "start methods": ", ".join([starts[0] + " (default)", *starts[1:]]),
        "port": port,
        "UDP": port_state("UDP", port),
        "TCP": port_state("TCP", port),
        "lab": lab,
        "not found in it": ", ".join(absent) or "nothing",
        "outputs": outputs,
        "outputs is": folder_state(outputs),
        "terminal": ", ".join(terminal) or "unknown",
        "packages": packages(lab),
    }


def by_system(windows: str, mac: str, other: str) -> str:
    """The one of three commands that this system understands."""
    return {"win32": windows, "darwin": mac}.get(sys.platform, other)


def problems(facts: dict[str, Any]) -> list[Problem]:
    """What is wrong, what stops the lab first."""
    wrong, me, port, outputs = [], python(facts["lab"]), facts["port"], facts["outputs"]
    own = Path(".venv", by_system("Scripts", "bin", "bin"), "python")
    if facts["environment"] == "none" and (facts["lab"] / own.parent).is_dir():
        reason = "this is not the lab's own Python, which stands in .venv"
        return [Problem(True, reason, f"{own} about.py")]  # the rest would be about this one
    install = f"{me} -m pip install -r requirements.txt"
    renew = by_system("py -3", "python3", "python3.13") + " -m venv --clear .venv"
    if tuple(int(part) for part in facts["Python"].split(".")[:2]) < OLDEST:
        reason = f"Python {facts['Python']} is too old, the lab needs {OLDEST[0]}.{OLDEST[1]}"
        reason += " or newer: get one from https://www.python.org/downloads/"
        wrong.append(Problem(True, reason, renew))
    if facts["SQLite"] == "MISSING":
        reason = "this Python lacks SQLite: get one from https://www.python.org/downloads/"
        wrong.append(Problem(True, reason, renew))
    if facts["not found in it"] != "nothing":
        reason = f"{facts['not found in it']} not found, so this is not a whole checkout of the lab"
        command = "git clone ADDRESS-OF-YOUR-REPOSITORY"
        wrong.append(Problem(facts["not found in it"] != ".git", reason, command))
    if facts["outputs is"] != "writable":
        reason = f"the outputs folder cannot be written ({facts['outputs is']})"
        user, chmod = os.environ.get("USERNAME", "Users"), f'chmod u+rwx "{outputs}"'
        allow = by_system(f'icacls "{outputs}" /grant {user}:F', chmod, chmod)
        wrong.append(Problem(True, reason, allow if outputs.is_dir() else f'mkdir "{outputs}"'))
    for needed, what_for in ((True, ""), (False, ", which only the lab's tests need")):
        missing = [p.name for p in facts["packages"] if not p.found and p.needed == needed]
        if missing:
            reason = ", ".join(missing) + (" are" if missing[1:] else " is") + " missing" + what_for
            wrong.append(Problem(needed, reason, install))
    for name, pin, _, found in facts["packages"]:
        if found and pin not in ("", found):
            reason = f"{name} is {found}, requirements.txt says {pin}"
            wrong.append(Problem(False, reason, install))
    for kind in ("UDP", "TCP"):
        if facts[kind] != "free":
            reason = f"{kind} port {port} cannot be used ({facts[kind]}), see by whom it is"
            mac, other = f"lsof -nP -i{kind}:{port}", f"ss -anp --{kind.lower()} sport = :{port}"
            command = by_system(f"netstat -ano -p {kind} | findstr :{port}", mac, other)
            wrong.append(Problem(False, reason, command))
    if facts["git"] == "MISSING":
        get = by_system("winget install Git.Git", "xcode-select --install", "sudo apt install git")
        wrong.append(Problem(False, "git is missing, and you hand in your work with it", get))
    if facts["environment"] == "none":
        reason = "no virtual environment: better make one, and install with its Python"
        wrong.append(Problem(False, reason, f"{me} -m venv .venv"))
    return sorted(wrong, key=lambda problem: not problem.stops)


def status(wrong: list[Problem]) -> int:
    """The exit status: 0 when the lab can run, 1 when it cannot."""
    return int(any(problem.stops for problem in wrong))


def report(facts: dict[str, Any]) -> str:
    """The whole report as text."""
    wrong = problems(facts)
    lines = ["About this computer, by about.py", ""]
    lines += [f"{name:<18}{text}" for name, text in facts.items() if name != "packages"]
    lines += ["", "Packages"]
    for name, pin, _, found in facts["packages"]:
        note = f"  (requirements.txt says {pin})" if pin not in ("", found) else ""
        lines.append(f"{name:<18}{found or 'MISSING'}{note}")
    lines += ["", "What is wrong, and what to type in a terminal in the lab's folder"]
    lines += [str(problem) for problem in wrong] or ["Nothing."]
    lines += ["", "The lab CANNOT run here." if status(wrong) else "The lab can run here.", ""]
    return "\n".join(lines)


def main(lab: Path = LAB, port: int = 9999, to: Path = LAB / "about.txt") -> int:
    """Print the report, write it to a file, return the exit status."""
    known = facts(lab, port)
    text = report(known)
    if hasattr(sys.stdout, "reconfigure"):  # an old console must not fail on an odd letter
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
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
