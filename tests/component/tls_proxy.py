"""A proxy that ends TLS before a server, as hospitals put it before their archives: plain TCP behind it, a certificate of the test's before it."""

import contextlib
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator

from tests.component.certificates import Certificates


@contextlib.contextmanager
def tls_proxy(port: int, own: Certificates, *, asks: bool = False) -> Iterator[int]:
    """Forwards to `port` of the loopback; gives its own port. `asks`: for nobody who has no certificate of the same authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(own.certificate, own.key)
    if asks:
        context.load_verify_locations(own.authority)
        context.verify_mode = ssl.CERT_REQUIRED

    class Forward(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError), context.wrap_socket(self.request, server_side=True, do_handshake_on_connect=False) as outer:
                if _shakes_hands(outer):
                    with socket.create_connection(("127.0.0.1", port)) as inner:
                        back = threading.Thread(target=_pump, args=(inner, outer), daemon=True)
                        back.start()
                        _pump(outer, inner)
                        back.join()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Forward) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


def _shakes_hands(outer: ssl.SSLSocket) -> bool:
    """If not, what the client sends is read all the same: a close with something unread would overtake the alert that says why."""
    try:
        outer.do_handshake()
    except ssl.SSLError:
        outer.settimeout(5)
        while socket.socket.recv(outer, 65536):
            pass
        return False
    return True


def _pump(source: socket.socket, target: socket.socket) -> None:
    """Until the source ends, or either breaks off: the other side is closed, which is all that a proxy can tell."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
