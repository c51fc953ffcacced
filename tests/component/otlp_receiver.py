"""A receiver of OTLP over HTTP: decodes what is sent by the protocol's own protobuf, keeps every span as it came."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass
class Receiver:
    """`spans` in the order of their coming, `headers` of each request, by lower-case names."""

    url: str = ""
    spans: list[Span] = field(default_factory=list)
    resources: list[dict[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def take(self, path: str, headers: dict[str, str], body: bytes) -> bytes:
        assert path == "/v1/traces"
        request = ExportTraceServiceRequest.FromString(body)
        self.headers.append(headers)
        for resource in request.resource_spans:
            self.resources.append({one.key: one.value.string_value for one in resource.resource.attributes})
            for scope in resource.scope_spans:
                self.spans += scope.spans
        return bytes(ExportTraceServiceResponse().SerializeToString())

    def of(self, trace: str) -> dict[str, list[bytes]]:
        """By the name of a span: each telling of it, as bytes."""
        found: dict[str, list[bytes]] = {}
        for one in self.spans:
            if one.trace_id.hex() == trace:
                found.setdefault(one.name, []).append(one.SerializeToString(deterministic=True))
        return found


@contextlib.contextmanager
def otlp_receiver() -> Iterator[Receiver]:
    """Listens on a free port, for the block."""
    made = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            answer = made.take(self.path, {name.lower(): value for name, value in self.headers.items()}, self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
