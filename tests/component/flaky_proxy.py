"""An HTTP proxy before a real Orthanc that spoils chosen answers: cut, hanging, garbage, errors."""

import contextlib
import http.client
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

Spoil = Callable[[str, int], str | None]
"""From path and number of times it was asked for (from 1) to: cut, close, hang, garbage, longer, 503, 404, 401 or None."""


class FlakyProxy:
    """What it was asked for, by path, and the bodies of Orthanc's answers."""

    def __init__(self, upstream: str, spoil: Spoil) -> None:
        self.upstream = urlsplit(upstream)
        self.bodies: list[bytes] = []
        self.spoil = spoil
        self.asked: dict[str, int] = {}
        self.lock = threading.Lock()
        self.released = threading.Event()
        self.url = ""

    def count(self, path: str) -> int:
        with self.lock:
            self.asked[path] = self.asked.get(path, 0) + 1
            return self.asked[path]


@contextlib.contextmanager
def flaky_proxy(upstream: str, spoil: Spoil) -> Iterator[FlakyProxy]:
    proxy = FlakyProxy(upstream, spoil)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            how = proxy.spoil(self.path, proxy.count(self.path))
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length) if length else None
            if how in ("503", "404", "401"):
                return self.send(int(how), b"")
            if how == "close":
                self.close_connection = True
                return None
            if how == "hang":
                proxy.released.wait(30)
                self.close_connection = True
                return None
            connection = http.client.HTTPConnection(proxy.upstream.hostname or "", proxy.upstream.port, timeout=30)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
            connection.request(self.command, self.path, body=body, headers=headers)
            response = connection.getresponse()
            content, status, kind = response.read(), response.status, response.getheader("Content-Type", "")
            connection.close()
            with proxy.lock:
                proxy.bodies.append(content)
            if how == "garbage":
                return self.send(200, b"<html>login</html>")
            if how == "longer":
                return self.send(200, content + bytes(10))
            if how == "cut":
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2])
                self.close_connection = True
                return None
            return self.send(status, content, kind)

        do_GET = do_POST = do_PUT = answer

        def send(self, status: int, content: bytes, kind: str = "") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind or "text/plain")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing on the test's stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield proxy
    finally:
        proxy.released.set()
        server.shutdown()
        thread.join()
        server.server_close()
