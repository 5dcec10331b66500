"""Run workers as real processes, and keep what happened."""

from streamlib.processes.runner import Interrupted, clear, history, run  # noqa: F401
