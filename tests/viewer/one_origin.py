"""A built web page and a DICOMweb server on one origin, as a reverse proxy in a hospital does it: no CORS, no change to either.

Serves in a thread of its own, on a free loopback port.
"""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from aiohttp import ClientSession, ClientTimeout, web
from tests.component.control_plane import free_port

NOT_PASSED_ON = frozenset(("connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "content-length", "content-encoding"))
NOT_ASKED_WITH = NOT_PASSED_ON | {"host", "origin", "referer", "accept-encoding"}
KINDS = {
    ".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".json": "application/json", ".wasm": "application/wasm",
    ".svg": "image/svg+xml", ".woff2": "font/woff2", ".png": "image/png", ".ico": "image/x-icon",
}  # fmt: skip
ISOLATED = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
"""What shared memory between the viewer's workers needs."""
KEPT = {"Cache-Control": "max-age=3600"}
LIMIT = 60.0


@contextlib.contextmanager
def one_origin(page: Path, configuration: Path, dicomweb: str) -> Iterator[str]:
    """The address under which `page` is served, its app-config.js replaced, and `/dicom-web` of the server `dicomweb`."""
    folder = page.resolve()
    port, ready, loop = free_port(), threading.Event(), asyncio.new_event_loop()
    ended = asyncio.Event()

    async def serve() -> None:
        async with ClientSession(timeout=ClientTimeout(total=LIMIT)) as session:
            runner = web.AppRunner(_application(folder, configuration, dicomweb, session), shutdown_timeout=1.0)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", port).start()
            ready.set()
            await ended.wait()
            await runner.cleanup()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    try:
        assert ready.wait(LIMIT), "the page was not served; the thread's traceback is above"
        yield f"http://127.0.0.1:{port}"
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(LIMIT)
        loop.close()


def _application(page: Path, configuration: Path, dicomweb: str, session: ClientSession) -> web.Application:
    async def passed_on(request: web.Request) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in NOT_ASKED_WITH}
        headers["Host"] = request.host  # Orthanc writes its links with it, and they have to stay on this origin
        async with session.request(request.method, dicomweb + request.path_qs, headers=headers, data=await request.read()) as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in NOT_PASSED_ON}
            return web.Response(status=answer.status, body=await answer.read(), headers=kept)

    start = page / "index.html"

    async def from_page(request: web.Request) -> web.StreamResponse:
        name = request.match_info["path"]
        file = configuration if name == "app-config.js" else (page / name).resolve()
        if not (file == configuration or (file.is_relative_to(page) and file.is_file())):
            if "." in name.rpartition("/")[2]:
                raise web.HTTPNotFound
            file = start  # a route of the page itself: /viewer
        return web.Response(body=file.read_bytes(), content_type=KINDS.get(file.suffix, "application/octet-stream"), headers=ISOLATED | ({} if file in (configuration, start) else KEPT))

    application = web.Application(client_max_size=1 << 30)
    application.router.add_route("*", "/dicom-web/{path:.*}", passed_on)
    application.router.add_get("/{path:.*}", from_page)
    return application
