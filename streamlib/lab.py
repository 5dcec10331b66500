"""Open the lab in JupyterLab, wherever its folder is and whatever it is called."""

import locale
import os
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from streamlib import home

ADVICE = "type python3 about.py (Windows: py about.py), which says what to do."


def write_path_file() -> Path:
    """Let this environment's Python find `streamlib` from any folder; return the path file.

    Raises OSError if it cannot be written, ValueError if it cannot spell the lab's folder.
    """
    file = Path(sysconfig.get_path("purelib"), "lab.pth")
    try:
        way = os.path.relpath(home.root, file.parent)
    except ValueError:  # there is no relative path from one drive of Windows to another
        way = home.root
    encoding = "utf-8" if sys.version_info >= (3, 13) else locale.getencoding()
    line = f"{way}\n".encode(encoding)  # as Python reads it
    if not file.is_file() or file.read_bytes() != line:
        home.replace_file(file, f"{way}\n", encoding)
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
    if getattr(os, "geteuid", lambda: None)() == 0:
        print("You are root: code in a notebook may change any file on this machine.")
    options = [
        f"--ServerApp.root_dir={home.root}",
        "--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb",
        "--ServerApp.contents_manager_class=streamlib.contents.Contents",
        "--allow-root",
    ]
    return labapp.main([*options, *arguments]) or 0
