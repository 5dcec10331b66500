"""Rows as a stream: paced, sent, received, and held against their source."""

from streamlib.stream.fates import good, in_sent_order, reconcile, told, verdict  # noqa: F401
from streamlib.stream.receiving import Received, receive  # noqa: F401
from streamlib.stream.sending import Sent, pace, send  # noqa: F401
