"""Every picture of the lab: each chart takes a tidy table and returns its `Axes`."""

from streamlib.charts.flowed import (  # noqa: F401
    arrivals,
    delays,
    lateness,
    losses,
    overhead,
    sequence,
)
from streamlib.charts.happened import (  # noqa: F401
    discovery,
    handoff,
    interleaving,
    many,
    positions,
    strip,
    timeline,
)
