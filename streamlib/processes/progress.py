"""A bar for a run that takes long: how many rounds are done, and who is still at work."""

import os
import time
from collections.abc import Sequence

SOON_S, OFTEN_S = 2, 0.2  # when the bar appears, and how often it changes
LOOK = "{l_bar}{bar}| {n_fmt} of {total_fmt} rounds done, {elapsed}"


class Progress:
    """A bar by tqdm; `kept` is what run.json will say. Tests that skip predictions see none."""

    def __init__(self, kept: dict):
        self._kept, self._bar, self._due = kept, None, time.monotonic() + SOON_S

    def show(self, at_work: Sequence[str]) -> None:
        """Show the bar, or change it if it is time."""
        if time.monotonic() < self._due or os.environ.get("STREAMLIB_PREDICT") == "skip":
            return
        self._due = time.monotonic() + OFTEN_S
        if not self._bar:
            from tqdm.auto import tqdm  # here, because children and quick runs need none of it

            rounds = self._kept["params"]["rounds"] or None
            self._bar = tqdm(total=rounds, leave=False, bar_format=LOOK)
        self._bar.n = max(0, self._kept["rounds_run"] - 1)
        self._bar.set_description(f"At work: {', '.join(at_work) or 'the lab'}"[:60])

    def close(self) -> None:
        """Take the bar away."""
        if self._bar:
            self._bar.close()
