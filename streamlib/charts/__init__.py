"""Every chart takes a tidy table and returns its `Axes`; its title says what the table shows."""

from .drawing import HUES, axes  # noqa: F401
from .happened import (  # noqa: F401
    alike,
    arrivals,
    discovery,
    handoff,
    interleaving,
    many,
    strip,
    timeline,
)
from .waiting import waits  # noqa: F401
