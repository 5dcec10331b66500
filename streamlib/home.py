"""Where the lab's root, data and outputs are, and how fast its lessons run.

Three environment variables change what is found here:
STREAMLIB_OUTPUTS (another folder for outputs), STREAMLIB_SCALE (see `scale`) and
STREAMLIB_PREDICT (see `streamlib.predict`).
"""

import json
import math
import os
from collections.abc import Iterable
from pathlib import Path

root = Path(__file__).resolve().parent.parent
data = root / "data"
outputs = Path(os.environ.get("STREAMLIB_OUTPUTS") or root / "outputs").resolve()
runs = outputs / "runs"

LONGEST_S = 3600


def scale() -> float:
    """Return the factor that holds and lock timeouts are multiplied with: 1.0 for learners.

    Below 0.06 a "3 s" task is shorter than what the database itself needs, and the lesson
    becomes another one; so that is refused with a ValueError.
    """
    text = os.environ.get("STREAMLIB_SCALE", "1.0")
    try:
        factor = float(text)
    except ValueError:
        factor = math.nan
    if not 0.06 <= factor <= 10:
        raise ValueError(
            f"STREAMLIB_SCALE is {text!r}: set it to a number from 0.06 to 10, or leave it out."
        )
    return factor


def seconds(name: str, value: float) -> float:
    """Return `value` if it is a duration a lesson can use (0 to 3600 s), else raise ValueError."""
    usable = isinstance(value, int | float) and not isinstance(value, bool)
    if not (usable and 0 <= value <= LONGEST_S):
        raise ValueError(f"{name} is {value!r}: give a number of seconds from 0 to {LONGEST_S}.")
    return value


def clear_outputs(notebooks: Iterable[Path | str] = ()) -> list[Path]:
    """Remove the stored outputs from the notebooks (all in notebooks/); return their paths.

    Raises OSError or ValueError with one sentence if a file is not there or is no notebook.
    """
    paths = [Path(path) for path in notebooks] or sorted((root / "notebooks").glob("*.ipynb"))
    for path in paths:
        try:
            notebook = json.loads(path.read_text(encoding="utf-8"))
            code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        except FileNotFoundError:
            raise OSError(f"{path} is not there: give the path of a notebook.") from None
        except (ValueError, KeyError, TypeError):
            raise ValueError(
                f"{path} is not a notebook: give a file that ends in .ipynb."
            ) from None
        for cell in code:
            cell["outputs"], cell["execution_count"] = [], None
        text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
        path.write_text(text, encoding="utf-8", newline="\n")
    return paths
