#!/usr/bin/env python3
"""Receives Gantry's events and prints them: a start for a receiver of your own, with nothing but the standard library.

    GANTRY_WEBHOOK_KEY=... python3 receiver.py --port 9000

It checks the signature and its age, takes each event once, and answers at once: work on an event afterwards, or Gantry takes you for slow.
Put TLS before it (an ingress, or ssl.SSLContext) when it is not on the same machine.
"""

import argparse
import base64
import hashlib
import hmac
import json
import os
import sys
import time
from collections import OrderedDict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock

LARGEST = 64 * 1024
"""Bytes; an event has about 700."""
TOLERANCE = 300
"""Seconds between Gantry's clock and this one; an event that is older was recorded and is played back."""
REMEMBERED = 10_000
"""Ids of events. An event may come twice (at least once is what Gantry promises); keep the ids in a database if that must survive a restart."""


def is_genuine(key: bytes, identity: str, timestamp: str, signatures: str, body: bytes, *, now: float) -> bool:
    """Whether somebody who has the key sent it, and lately (https://www.standardwebhooks.com)."""
    if not timestamp.isdecimal() or abs(now - int(timestamp)) > TOLERANCE:
        return False
    digest = hmac.new(key, f"{identity}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    wanted = "v1," + base64.b64encode(digest).decode()
    return any(hmac.compare_digest(one.encode(), wanted.encode()) for one in signatures.split())


class Receiver(BaseHTTPRequestHandler):
    """One request."""

    key = b""
    seen: "OrderedDict[str, None]" = OrderedDict()
    lock = Lock()
    timeout = 10  # seconds: a caller that sends nothing must not hold a thread

    def do_POST(self) -> None:
        """204: taken, now or before. Everything else makes Gantry try again."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LARGEST:
            return self.answer(413)
        body = self.rfile.read(int(length))
        identity = self.headers.get("webhook-id", "")
        timestamp, signatures = self.headers.get("webhook-timestamp", ""), self.headers.get("webhook-signature", "")
        if not is_genuine(self.key, identity, timestamp, signatures, body, now=time.time()):
            return self.answer(401)
        with self.lock:
            again = identity in self.seen
            self.seen[identity] = None
            if len(self.seen) > REMEMBERED:
                self.seen.popitem(last=False)
        if not again:
            self.received(json.loads(body))
        return self.answer(204)

    def received(self, event: dict[str, object]) -> None:
        """Here is where your own work begins."""
        print(json.dumps({"type": event["type"], "id": event["id"], "data": event["data"]}), flush=True)

    def answer(self, status: int) -> None:
        """Without a body."""
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Not on standard output, where the events are."""
        print(format % arguments, file=sys.stderr)


def main() -> None:
    """Until it is interrupted."""
    parser = argparse.ArgumentParser(description="Receives Gantry's events and prints them.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000)
    chosen = parser.parse_args()
    key = os.environ.get("GANTRY_WEBHOOK_KEY", "")
    if not key:
        parser.error("set GANTRY_WEBHOOK_KEY to what the secret's `key` holds")
    Receiver.key = key.encode()
    with ThreadingHTTPServer((chosen.host, chosen.port), Receiver) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
