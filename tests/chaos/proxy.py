"""An HTTP proxy before the API server or Orthanc that answers wrongly, late, by halves or not at all, as the fault of the moment says.

Answers are streamed, so watches pass through. It runs in a thread with an event loop of its own.
"""

import asyncio
import contextlib
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import aiohttp
from aiohttp import web
from tests.component.control_plane import free_port


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str
    query: str

    @property
    def watches(self) -> bool:
        return "watch=" in self.query


@dataclass(frozen=True)
class Spoilt:
    """What becomes of a request. Each field on its own; a `status` is answered without asking the server."""

    status: int = 0
    seconds: float = 0.0
    """Wait before anything else."""
    answer_lost: bool = False
    """The server gets the request, the client no answer."""
    half: bool = False
    """Half of the body, then the connection ends."""
    shorter: bool = False
    """The body lacks its last tenth, and the header says that this is right."""
    reason: str = ""
    retry_after: int = 0


Rule = Callable[[Asked], Spoilt | None]
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "upgrade", "host"}


class Proxy:
    """`rule` may be changed at any time."""

    def __init__(self, upstream: str, *, context: ssl.SSLContext | None = None) -> None:
        self.upstream, self.context = upstream, context
        self.rule: Rule | None = None
        self._away = False
        self._open: dict[asyncio.Transport, Asked] = {}
        """By connection: there is one request on each at a time."""
        self._deaf: set[asyncio.Transport] = set()
        self.observers: list[Callable[[Asked], None]] = []
        self.spoilt = 0
        self.port = free_port()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._started, self._ending = threading.Event(), asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._thread.start()
        assert self._started.wait(10)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join()

    def leave(self) -> None:
        """Connections that are open end, watches too; new ones are taken and ended at once."""
        self._away = True
        for connection in list(self._open):
            self._loop.call_soon_threadsafe(connection.abort)

    def come_back(self) -> None:
        self._away = False

    def silence(self) -> int:
        """The watches that are open stay connected and never say anything more; new ones work. How many there were."""
        watches = [connection for connection, asked in list(self._open.items()) if asked.watches]
        self._deaf.update(watches)
        return len(watches)

    @contextlib.contextmanager
    def spoiling(self, rule: Rule) -> Iterator[None]:
        self.rule = rule
        try:
            yield
        finally:
            self.rule = None

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._live())
        open_still = asyncio.all_tasks(self._loop)  # watches, which nobody ends
        for task in open_still:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*open_still, return_exceptions=True))
        self._loop.close()

    async def _live(self) -> None:
        application = web.Application(client_max_size=1 << 30)
        application.router.add_route("*", "/{tail:.*}", self._handle)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        connector = aiohttp.TCPConnector(limit=0, ssl=self.context or False, force_close=self.context is None)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False, timeout=aiohttp.ClientTimeout(total=None)) as self._session:
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", self.port).start()
            self._started.set()
            await self._ending.wait()
            await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        try:
            body = await request.read()
        except ConnectionResetError:  # the client was killed in the midst of its request
            return self._cut(request)
        asked = Asked(request.method, request.path, request.query_string)
        for observer in list(self.observers):
            await asyncio.to_thread(observer, asked)
        spoilt = (self.rule(asked) if self.rule else None) or Spoilt()
        if spoilt != Spoilt():
            self.spoilt += 1
        if spoilt.seconds:
            await asyncio.sleep(spoilt.seconds)
        if self._away:
            return self._cut(request)
        if spoilt.status:
            return _refusal(spoilt)
        connection = request.transport
        if connection is None:
            return self._cut(request)
        self._open[connection] = asked
        try:
            return await self._forward(request, asked, body, spoilt)
        except (aiohttp.ClientError, ConnectionError, OSError):
            return self._cut(request)
        finally:
            del self._open[connection]
            self._deaf.discard(connection)

    async def _forward(self, request: web.Request, asked: Asked, body: bytes, spoilt: Spoilt) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        async with self._session.request(request.method, self.upstream + request.raw_path, headers=headers, data=body or None, allow_redirects=False) as answer:
            if spoilt.answer_lost:
                await answer.read()
                return self._cut(request)
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
            if spoilt.half or spoilt.shorter:
                content = await answer.read()
                share = content[: len(content) // 2] if spoilt.half else content[: len(content) * 9 // 10]
                kept["Content-Length"] = str(len(content) if spoilt.half else len(share))
                made = web.StreamResponse(status=answer.status, headers=kept)
                await made.prepare(request)
                await made.write(share)
                return self._cut(request) if spoilt.half else made
            made = web.StreamResponse(status=answer.status, headers=kept)
            await made.prepare(request)
            async for chunk in answer.content.iter_any():
                await self._heard(request)
                await made.write(chunk)
            await self._heard(request)
            await made.write_eof()
            return made

    async def _heard(self, request: web.Request) -> None:
        """At once, or once the client has hung up."""
        while request.transport in self._deaf:  # noqa: ASYNC110 - aiohttp tells of a hung-up client by nothing else
            await asyncio.sleep(0.1)

    def _cut(self, request: web.Request) -> web.StreamResponse:
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=502)


def _refusal(spoilt: Spoilt) -> web.Response:
    headers = {"Retry-After": str(spoilt.retry_after)} if spoilt.retry_after else {}
    if spoilt.status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="Orthanc"'
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": spoilt.reason, "message": "refused by the test", "code": spoilt.status}
    text = json.dumps(status) if spoilt.reason else ""
    return web.Response(status=spoilt.status, text=text, content_type="application/json", headers=headers)
