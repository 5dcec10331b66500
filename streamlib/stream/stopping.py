"""How a stream ends before its end: at a limit, or by Ctrl-C and a cell's stop button."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


def check_limit(limit: int | None) -> None:
    """Raise ValueError unless the limit is a number of rows, or None."""
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise ValueError(f"limit is {limit!r}: give a whole number of rows, 1 or more.")


class Stop:
    """Whether Ctrl-C, or a cell's stop button, was pressed during a stream."""

    asked = False

    @contextmanager
    def heard(self) -> Iterator["Stop"]:
        """Let a first Ctrl-C set `asked`, so that no row is cut in two; a second one interrupts."""
        self.asked = False
        if threading.current_thread() is not threading.main_thread():
            yield self
            return

        def ask(number: int, frame: object) -> None:
            if self.asked:
                raise KeyboardInterrupt
            self.asked = True

        before = signal.signal(signal.SIGINT, ask)
        try:
            yield self
        finally:
            self.asked = False
            signal.signal(signal.SIGINT, before)


stop = Stop()
