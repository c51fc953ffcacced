"""A Follower on a real Orthanc, with a host in memory: started, ended as by kill, and started again from its last written status."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
from tests.builders import BRIDGE, changed
from tests.builders_bridge import FakeHost
from tests.component.orthanc_server import OrthancServer
from tests.component.waiting import until

from gantry.api import OrthancBridge
from gantry.bridge import Follower
from gantry.orthanc import Credentials, Orthanc

POLL = "200ms"


class Counting(httpx.AsyncHTTPTransport):
    """The network, with every request written down. A given transport does not get the client's limits, so it has them itself."""

    def __init__(self) -> None:
        super().__init__(limits=httpx.Limits(max_connections=4, max_keepalive_connections=4, keepalive_expiry=0.5))
        self.calls: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(f"{request.method} {request.url.path}")
        return await super().handle_async_request(request)


class Following:
    """What a test sees of it."""

    def __init__(self, server: OrthancServer, host: FakeHost) -> None:
        self.server = server
        self.host = host
        self.transport = Counting()

    @property
    def runs(self) -> list[dict[str, Any]]:
        return list(self.host.runs.values())

    @property
    def triggers(self) -> list[str]:
        return sorted(run["spec"]["trigger"] for run in self.runs)

    @property
    def instances(self) -> list[int]:
        return sorted(run["spec"]["study"]["instances"] for run in self.runs)

    def condition(self, kind: str) -> str:
        return "/".join(self.host.condition(kind)) if self.host.statuses else ""

    async def has_runs(self, number: int) -> None:
        await until(lambda: len(self.runs) >= number, f"{number} Runs", tell=self.tell)

    async def says(self, kind: str, condition: str) -> None:
        await until(lambda: self.condition(kind) == condition, f"{kind} is {condition}", tell=self.tell)

    async def polls(self, number: int = 2) -> None:
        """As many further looks at the change log."""
        before = self.transport.calls.count("GET /changes")
        await until(lambda: self.transport.calls.count("GET /changes") >= before + number, f"{number} polls", tell=self.tell)

    def tell(self) -> str:
        status = self.host.statuses[-1].model_dump(exclude_none=True) if self.host.statuses else None
        return f"{len(self.runs)} Runs, status {status}, observed {self.host.observed[-10:]}, Orthanc's log ends: {self.server.log[-500:]}"


@contextlib.asynccontextmanager
async def following(
    server: OrthancServer, host: FakeHost | None = None, *, password: str | None = None, **spec: Any
) -> AsyncIterator[Following]:
    """Runs the loop for the block; at its end it is cancelled wherever it is, as a process would be killed. `spec`: `watch__lookback="1h"`."""
    raw = changed(changed(BRIDGE, "spec.url", server.url), "spec.watch.pollInterval", POLL)
    for path, value in spec.items():
        raw = changed(raw, f"spec.{path.replace('__', '.')}", value)
    seen = Following(server, host or FakeHost())
    credentials = Credentials(server.username, password or server.password)
    async with Orthanc(server.url, credentials=credentials, transport=seen.transport) as orthanc:
        follower = Follower(
            namespace="radiology",
            name="main",
            generation=1,
            spec=OrthancBridge.model_validate({"spec": raw["spec"]}).spec,
            status=seen.host.statuses[-1] if seen.host.statuses else None,
            orthanc=orthanc,
            username=server.username,
            host=seen.host,
            clock=lambda: datetime.now(UTC),
            sleep=asyncio.sleep,
        )
        task = asyncio.create_task(follower.run())
        try:
            await until(lambda: seen.host.statuses or task.done(), "the first status", tell=seen.tell)
            yield seen
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
