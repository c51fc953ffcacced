"""/metrics, /healthz and /readyz over HTTP. It reports what others know and decides nothing.

Healthy means that every watch was heard of within the last 150 s; bookmarks come about once a minute, so two may be missed. An API server that
is away for a while is no reason to restart: kopf and the queue go on by themselves (measured up to 120 s). A standby has no watches.
"""

from collections.abc import Callable, Sequence

from aiohttp import web

from gantry.kube import Freshness

from .metrics import Metrics

SILENCE = 150.0
"""Seconds."""
WATCH_START = 150.0
"""Seconds the watches have to begin: the first list of 10,000 Runs takes 10."""


class Health:
    """What is well and what is not."""

    def __init__(self, freshness: Freshness, *, watches: int, clock: Callable[[], float]) -> None:
        """`watches`: how many there must be."""
        self._freshness, self._watches, self._clock = freshness, watches, clock
        self._began: float | None = None
        self.ready = False
        """What is unfinished has been read and the watches begin; or it stands by and can take over."""

    def begin(self) -> None:
        """From now on there are watches: this process leads."""
        self._began = self._clock()

    def expect(self, watches: int) -> None:
        """Fewer than was thought: a kind is not served."""
        self._watches = watches

    def complaints(self) -> Sequence[str]:
        """Empty when all is well."""
        silence = self._freshness.silence()
        made = [f"the watch of {watch} is silent for {seconds:.0f} s" for watch, seconds in silence.items() if seconds > SILENCE]
        if self._began is not None and len(silence) < self._watches and self._clock() - self._began > WATCH_START:
            made.append(f"{self._watches - len(silence)} of {self._watches} watches never began")
        return made


async def serve(health: Health, metrics: Metrics, port: int) -> tuple[web.AppRunner, int]:
    """Listens on all addresses (the kubelet and Prometheus come from outside); gives the port, for 0 is a free one."""

    async def healthz(_: web.Request) -> web.Response:
        complaints = health.complaints()
        return web.Response(status=500 if complaints else 200, text="\n".join(complaints) or "ok")

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(status=200 if health.ready else 503, text="ok" if health.ready else "the first list is not done yet")

    async def scrape(_: web.Request) -> web.Response:
        return web.Response(body=metrics.text(), content_type="text/plain", charset="utf-8", headers={"X-Content-Type-Options": "nosniff"})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", scrape)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, None, port)
    await site.start()
    address = runner.addresses[0]
    return runner, int(address[1])
