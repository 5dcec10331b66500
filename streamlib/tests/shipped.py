"""The lab's own version of the files that learners change: tests judge the lab, not homework.

`shipped.txt` lists those files, each with the name that git gives its content. So the lab's version
is found in git again, whatever a learner has saved, committed or merged since. Whoever changes one
of these files for the lab types `python -m streamlib.tests.shipped`, and commits the list with it.
"""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from streamlib import home

LIST = Path(__file__).with_name("shipped.txt")
CHANGED_BY_LEARNERS = ("README.md", "notebooks/*.ipynb", "notebooks/*.py", "notebooks/*.md")


def names(ending: str = "") -> list[str]:
    """Return the files of the lab that learners change, such as notebooks/reading_udp.py."""
    return [name for name in _listed() if name.endswith(ending)]


def differing() -> list[str]:
    """Return those that are no longer, or not yet, as the lab ships them."""
    return [name for name, blob in _listed().items() if _blob(name) != blob]


def text(name: str) -> str:
    """Return the lab's version of a file; skip the test if it is neither here nor in git."""
    blob = _listed()[name]
    if _blob(name) == blob:
        return _bytes(name).decode("utf-8")
    if found := git("cat-file", "blob", blob):
        return found
    why = f"{name} is not as the lab ships it, and git does not have the lab's version"
    pytest.skip(f"{why}: clone the whole repository to test it.", allow_module_level=True)


def git(*words: str, **environment: str) -> str:
    """Return what git prints about the lab, or nothing if there is no git or it fails."""
    # Git refuses to find the folder in somebody else's checkout, but not to be told of it.
    command = ["git", f"--git-dir={home.root / '.git'}", *words]
    options = {"cwd": home.root, "capture_output": True, "encoding": "utf-8", "check": False}
    done = shutil.which("git") and subprocess.run(command, env=os.environ | environment, **options)
    return done.stdout if done and done.returncode == 0 else ""


def _listed() -> dict[str, str]:
    lines = LIST.read_text(encoding="utf-8").splitlines()
    return {name: blob for blob, name in (line.split("  ") for line in lines)}


def _bytes(name: str) -> bytes:
    return (home.root / name).read_bytes().replace(b"\r\n", b"\n")  # as a checkout on Windows has


def _blob(name: str) -> str:
    """Return the name that git gives to what the file holds here, "" if it is not here."""
    try:
        content = _bytes(name)
    except OSError:
        return ""
    return hashlib.sha1(b"blob %d\0%s" % (len(content), content)).hexdigest()


def main() -> None:
    """Write the list anew: all these files are now the lab's."""
    found = sorted(path for one in CHANGED_BY_LEARNERS for path in home.root.glob(one))
    paths = [path.relative_to(home.root).as_posix() for path in found]
    lines = [f"{_blob(name)}  {name}\n" for name in paths]
    LIST.write_text("".join(lines), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
