"""Hears from the network plugin (`cni.py`) which pod gets which address, before the pod's first process starts.

Without it a pod's address is known only from its status, a second after it has begun to send. The plugin is answered when
the rules for the pod are loaded; it must not be answered earlier, and an answer that is no `ok` fails the pod's start.
"""

import json
import socket
import socketserver
import threading
from collections.abc import Collection, Mapping
from pathlib import Path

PATIENCE = 10.0  # seconds for the pod's object to appear and nft to load; a watch takes milliseconds


class Arrivals:
    """Addresses by pod uid, and who waits for them to be loaded."""

    def __init__(self, changed: threading.Event) -> None:
        self._changed = changed
        self._loaded = threading.Condition()
        self._given: dict[str, tuple[str, str]] = {}  # uid: container, address
        self._covered: dict[str, str] = {}  # uid: the address that the loaded table knows

    def addresses(self) -> dict[str, str]:
        with self._loaded:
            return {uid: address for uid, (_, address) in self._given.items()}

    def covered(self, used: Mapping[str, str], pods: Collection[str]) -> None:
        """A table is loaded that was made with these addresses and these pods' objects."""
        with self._loaded:
            self._covered = {uid: address for uid, address in used.items() if uid in pods}
            self._loaded.notify_all()

    def add(self, uid: str, container: str, address: str) -> bool:
        """True once the pod's rules are loaded."""
        with self._loaded:
            self._given[uid] = (container, address)
            self._changed.set()
            return self._loaded.wait_for(lambda: self._covered.get(uid) == address, timeout=PATIENCE)

    def delete(self, uid: str, container: str) -> None:
        """A pod whose sandbox was made anew keeps the newer address."""
        with self._loaded:
            if self._given.get(uid, ("", ""))[0] == container:
                del self._given[uid]
                self._changed.set()


def listen(path: Path, arrivals: Arrivals) -> None:
    """Answers the plugin in threads of its own."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            asked = json.loads(self.rfile.readline())
            if asked["command"] == "ADD":
                done = arrivals.add(asked["uid"], asked["container"], asked["address"])
            else:
                arrivals.delete(asked["uid"], asked["container"])
                done = True
            self.wfile.write(b"ok\n" if done else b"the pod's rules were not loaded in time\n")

    class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        daemon_threads = True
        request_queue_size = socket.SOMAXCONN

    path.unlink(missing_ok=True)
    threading.Thread(target=Server(str(path), Handler).serve_forever, daemon=True, name="arrivals").start()
