"""Every chart takes a tidy table and returns its `Axes`; its title says what the table shows."""

from .drawing import HUES, axes  # noqa: F401
from .happened import arrivals, discovery, handoff, interleaving, many, strip, timeline  # noqa: F401
from .waiting import waits  # noqa: F401
