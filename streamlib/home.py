"""Where the lab's root, data and outputs are, how fast its lessons run, and how it keeps files."""

import json
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

root = Path(__file__).resolve().parent.parent
data = root / "data"
outputs = Path(os.environ.get("STREAMLIB_OUTPUTS") or root / "outputs").resolve()
runs = outputs / "runs"

LONGEST_S = 3600

with suppress(AttributeError):  # a notebook's screen has every letter, and some have no screen
    sys.stdout.reconfigure(errors="backslashreplace")  # no letter stops a program


def show_in_one_line(shell: object) -> None:
    """Let a notebook show errors of the lab, and interrupts, without their tracebacks."""
    whole = shell.showtraceback

    def showtraceback(*args, **kwargs) -> None:
        error = sys.exc_info()[1]
        files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
        ours = files and Path(files[-1]).is_relative_to(Path(__file__).parent)
        if ours or isinstance(error, KeyboardInterrupt):  # IPython asks an error how it looks
            error._render_traceback_ = lambda: [f"{type(error).__name__}: {error}".strip(": ")]
        whole(*args, **kwargs)

    shell.showtraceback = showtraceback


if "IPython" in sys.modules and (shell := sys.modules["IPython"].get_ipython()):
    show_in_one_line(shell)


def scale() -> float:
    """Return the factor that multiplies holds and lock timeouts: 1.0 for learners.

    Raises ValueError unless it is 0.06 to 10: below, the database takes longer than a "3 s" task.
    """
    text = os.environ.get("STREAMLIB_SCALE", "1.0")
    with suppress(ValueError):
        if 0.06 <= float(text) <= 10:
            return float(text)
    raise ValueError(f"STREAMLIB_SCALE is {text!r}: set a number from 0.06 to 10, or leave it out.")


def seconds(name: str, value: float) -> float:
    """Return `value`, a duration in seconds; raise ValueError unless it is 0 to 3600."""
    usable = hasattr(value, "__float__") and not isinstance(value, bool)
    if not (usable and 0 <= value <= LONGEST_S):
        raise ValueError(f"{name} is {value!r}: give a number of seconds from 0 to {LONGEST_S}.")
    return float(value)


def hold_alone(file: IO) -> None:
    """Keep a file for this program until it is closed; raise OSError if another one has it."""
    try:
        from fcntl import LOCK_EX, LOCK_NB, flock

        if Path(file.name).is_file():
            flock(file, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        raise OSError(f"{file.name} is in use: end its other writer or name another.") from None
    except (ImportError, OSError):
        pass  # Windows and some disks of a network have no such lock


def hiding_files() -> str:
    """Return what to do about files here that hide Python's modules, as the end of a sentence."""
    here = sorted(one.name for one in Path().glob("*.py") if one.stem in sys.stdlib_module_names)
    return "".join(f"; rename {name}, which hides a module of Python's own" for name in here)


def say(*words: object, sep: str = " ", file: object = None) -> None:
    """Print words at once, without escape sequences; if nobody reads them, that stops no stream."""
    safe = (c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in sep.join(map(str, words)))
    try:
        print("".join(safe), file=file, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


@contextmanager
def one_sentence(what: str, advice: str) -> Iterator[None]:
    """Turn an OSError within into a sentence: what is wrong, the system's words, what to do."""
    try:
        yield
    except OSError as error:
        raise OSError(f"{what} ({error.strerror or error}): {advice}.") from None


def replace_file(path: Path, text: str, encoding: str = "utf-8") -> None:
    """Replace a file at once by one written beside it; raise OSError and keep it if that fails."""
    beside = path.with_name(f"{path.name}.{os.urandom(4).hex()}.new")
    try:
        with one_sentence(f"{path} cannot be written", "mend that first"):
            beside.write_text(text, encoding=encoding, errors="backslashreplace", newline="\n")
            os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def clear_outputs(path: Path) -> None:
    """Remove the stored outputs from a notebook; raise ValueError if it is not one."""
    try:
        notebook = json.loads(path.read_text(encoding="utf-8-sig"))
        for code in (cell for cell in notebook["cells"] if cell["cell_type"] == "code"):
            code.update(outputs=[], execution_count=None)
        notebook.get("metadata", {}).pop("stored_run", None)  # what comes next is one's own
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError(f"{path} is not a notebook, or is missing: give its path.") from None
    replace_file(path, json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
