"""Who sends an event, and when: HMAC-SHA256 over id, time and body, in the headers of Standard Webhooks (https://www.standardwebhooks.com).

Pure. The time is signed, so that an event that somebody recorded is refused a few minutes later; the id lets a receiver drop what it has.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
SHORTEST_KEY = 16
"""Bytes; the specification asks for 24 to 64, a person's pass phrase may be less."""
TOLERANCE = 300
"""Seconds a receiver's clock may differ."""


def headers(key: bytes, identity: str, seconds: int, body: bytes) -> dict[str, str]:
    """What goes with the body."""
    return {ID: identity, TIMESTAMP: str(seconds), SIGNATURE: f"v1,{_signed(key, identity, seconds, body)}"}


def verify(key: bytes, given: Mapping[str, str], body: bytes, *, now: int) -> bool:
    """What a receiver has to do, in the words of this module; `given` has lower-case names."""
    try:
        seconds = int(given[TIMESTAMP])
        told = given[SIGNATURE].split()
        wanted = f"v1,{_signed(key, given[ID], seconds, body)}"
    except (KeyError, ValueError):
        return False
    return abs(now - seconds) <= TOLERANCE and any(hmac.compare_digest(one.encode(), wanted.encode()) for one in told)


def _signed(key: bytes, identity: str, seconds: int, body: bytes) -> str:
    digest = hmac.new(key, f"{identity}.{seconds}.".encode() + body, hashlib.sha256).digest()
    return base64.b64encode(digest).decode()
