"""Rows as a stream: paced, sent, received, and held against their source.

stream.send(rows.read("data/penguins.csv"), "udp://localhost:9999", every=(1, 3), limit=12)
stream.receive("udp://localhost:9999", "outputs/out9.txt")
stream.reconcile(rows.read("data/penguins.csv"), "outputs/out9.txt")
"""

from streamlib.stream.fates import good, in_sent_order, reconcile, told, verdict  # noqa: F401
from streamlib.stream.receiving import SILENCE_S, Received, receive  # noqa: F401
from streamlib.stream.sending import Sent, pace, send  # noqa: F401
