"""Keeps a copy of the objects of one kind, by list and watch, in a thread of its own.

It must not decide anything; it tells by an event that something changed. Whatever goes wrong (the API server restarts,
a resource version is too old, a line is cut off) it lists again.
"""

import http.client
import json
import ssl
import sys
import threading
import urllib.parse
from typing import Any

AGAIN_AFTER = 0.5  # seconds before listing again after a fault
SILENCE = 60.0  # seconds; the server ends a watch after 50, so that a dead connection is noticed


class Mirror(threading.Thread):
    """The objects under one path, by uid."""

    def __init__(self, api: str, path: str, tls: ssl.SSLContext, changed: threading.Event) -> None:
        super().__init__(daemon=True, name=path)
        self._host = urllib.parse.urlsplit(api).netloc
        self._path = path
        self._tls = tls
        self._changed = changed
        self._lock = threading.Lock()
        self._objects: dict[str, dict[str, Any]] = {}
        self.listed = threading.Event()

    def objects(self) -> list[dict[str, Any]]:
        with self._lock:
            return list(self._objects.values())

    def run(self) -> None:
        pause = threading.Event()
        while True:
            try:
                self._follow()
            except (OSError, http.client.HTTPException, ValueError, KeyError) as fault:
                print(f"{self._path}: listing again: {fault!r}", file=sys.stderr, flush=True)
                pause.wait(AGAIN_AFTER)

    def _follow(self) -> None:
        connection = http.client.HTTPSConnection(self._host, context=self._tls, timeout=SILENCE)
        try:
            connection.request("GET", self._path)
            page = json.load(connection.getresponse())
            with self._lock:
                self._objects = {item["metadata"]["uid"]: item for item in page["items"]}
            self.listed.set()
            self._changed.set()
            version = page["metadata"]["resourceVersion"]
            connection.request("GET", f"{self._path}?watch=1&allowWatchBookmarks=true&timeoutSeconds=50&resourceVersion={version}")
            for line in connection.getresponse():
                self._take(json.loads(line))
        finally:
            connection.close()

    def _take(self, event: dict[str, Any]) -> None:
        kind, item = event["type"], event["object"]
        if kind == "ERROR":
            raise ValueError(item.get("message", "the watch ended with an error"))
        if kind == "BOOKMARK":
            return
        with self._lock:
            if kind == "DELETED":
                self._objects.pop(item["metadata"]["uid"], None)
            else:
                self._objects[item["metadata"]["uid"]] = item
        self._changed.set()
