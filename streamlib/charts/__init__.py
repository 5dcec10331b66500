"""Every chart takes a tidy table and returns its `Axes`; `ax=` is for axes that are there already.

The title says what the table shows, and is also the text of the figure.
"""

from .drawing import HUES, axes  # noqa: F401
from .flowed import arrivals  # noqa: F401
from .happened import discovery, handoff, interleaving, many, strip, timeline  # noqa: F401
