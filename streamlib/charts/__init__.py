"""Every chart takes a tidy table and returns its `Axes`; its title says what the table shows."""

from .drawing import HUES, axes  # noqa: F401
from .flowed import arrivals  # noqa: F401
from .happened import discovery, handoff, interleaving, many, strip, timeline  # noqa: F401
