"""Open the lab in JupyterLab, wherever its folder is and whatever it is called.

Notebooks find `streamlib` by a path file: one line of text in the environment's site-packages that
leads to the lab. It needs no build tool and no network, and a relative line survives a move.
"""

import locale
import os
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from streamlib import home

FIRST = "/lab/tree/notebooks/00_start_here.ipynb"
ADVICE = "type python3 about.py (Windows: py about.py), which says what to do."
AS_ROOT = "You are root: code in a notebook may change any file on this machine (or container)."


def path_line(root: str, site_packages: str, path: ModuleType = os.path) -> str:
    r"""Return the way from site-packages to the lab; an absolute path if it is on another drive.

    `path` is the module for the system's paths.

    >>> import ntpath, posixpath
    >>> path_line("/home/ann/lab", "/home/ann/lab/.venv/lib/python3.11/site-packages", posixpath)
    '../../../..'
    >>> path_line(r"C:\Łukasz\lab", r"C:\Łukasz\lab\.venv\Lib\site-packages", ntpath)
    '..\\..\\..'
    """
    try:
        return path.relpath(root, site_packages)
    except ValueError:  # there is no relative path from one drive of Windows to another
        return root


def write_path_file() -> Path:
    """Let this environment's Python find `streamlib` from any folder; return the path file.

    Raises OSError if the environment cannot be written to, ValueError if the file cannot spell the
    lab's folder.
    """
    site_packages = sysconfig.get_path("purelib")
    file = Path(site_packages, "lab.pth")
    encoding = "utf-8" if sys.version_info >= (3, 13) else locale.getencoding()
    line = f"{path_line(str(home.root), site_packages)}\n".encode(encoding)  # as Python reads it
    if not file.is_file() or file.read_bytes() != line:
        file.write_bytes(line)
    return file


def open_lab(arguments: Sequence[str] = ()) -> int:
    """Open JupyterLab at the first notebook, until it is shut down; return its exit status.

    `arguments` go on to JupyterLab, such as `--no-browser`. Returns 2 if it cannot be opened.
    """
    try:
        write_path_file()
        from jupyterlab import labapp
    except (OSError, ValueError, ImportError) as error:
        print(f"The lab does not open ({error}): {ADVICE}", file=sys.stderr)
        return 2
    options = [f"--ServerApp.root_dir={home.root}", f"--LabApp.default_url={FIRST}"]
    if getattr(os, "geteuid", lambda: None)() == 0:
        print(AS_ROOT)
        options.append("--allow-root")
    return labapp.main([*options, *arguments]) or 0
