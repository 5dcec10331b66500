"""How a stream stops early: at a limit, or when Ctrl-C or a cell's stop button is pressed."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


def check_limit(limit: int | None) -> None:
    """Raise ValueError unless a limit is a number of rows, or None."""
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise ValueError(f"limit is {limit!r}: give a whole number of rows, 1 or more.")


class Stop:
    """Whether Ctrl-C or a cell's stop button was pressed during a stream, and when."""

    asked, at = False, 0.0

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Let the first Ctrl-C set `asked`, so that no row is cut in two; a second interrupts."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGINT, self._ask)
        try:
            yield
        finally:
            self.asked = False
            signal.signal(signal.SIGINT, before)

    def _ask(self, *_: object) -> None:
        self.asked, self.at = True, time.monotonic()
        signal.signal(signal.SIGINT, signal.default_int_handler)  # for a second one


stop = Stop()
