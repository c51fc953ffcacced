"""A proxy that ends TLS before a server, as hospitals put it before their archives: plain TCP behind it, a certificate of the test's before it."""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Iterator

from tests.component.certificates import Certificates


@contextlib.contextmanager
def tls_proxy(port: int, own: Certificates) -> Iterator[int]:
    """Forwards to `port` of the loopback; gives its own port."""
    loop, ports = asyncio.new_event_loop(), list[int]()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(own.certificate, own.key)

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pump(reader, outer), _pump(inner, writer))

    async def serve() -> asyncio.Server:
        server = await asyncio.start_server(forward, "127.0.0.1", 0, ssl=context)
        ports.append(server.sockets[0].getsockname()[1])
        return server

    async def end(server: asyncio.Server) -> None:
        server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(serve(), loop).result(10)
    try:
        yield ports[0]
    finally:
        asyncio.run_coroutine_threadsafe(end(server), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):  # whoever breaks off: the other side is closed, which is all that a proxy can tell
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
