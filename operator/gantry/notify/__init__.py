"""Tells receivers by webhook of what a Run found, and that it has ended: CloudEvents 1.0 over HTTP, signed.

`events.py` says what happened, `signature.py` proves who says it, `sender.py` is the only HTTP to receivers. It must not touch the API server: when
to try and what is remembered is `runtime`'s.
"""

from .events import Event, Told, early_events_of, events_of
from .sender import NotAccepted, Receiver, Sender, shown
from .signature import headers, verify

__all__ = ["Event", "NotAccepted", "Receiver", "Sender", "Told", "early_events_of", "events_of", "headers", "shown", "verify"]
