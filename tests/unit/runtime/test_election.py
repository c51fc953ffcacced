"""The Lease and one contender for it, at an API server that a small HTTP server plays: versions, refusals, answers that do not come."""

import asyncio
from collections.abc import AsyncIterator
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration
from tests.component.waiting import until

from gantry.kube import LEASES, AioKube, AlreadyExists, Conflict, KubeError, Lease, LeaseLock, NotLeading, Throttle, Unavailable, api_client
from gantry.runtime.election import Election, LeaseLost
from gantry.runtime.leadership import Terms

PATH = "/apis/coordination.k8s.io/v1/namespaces/radiology/leases"
NOW = datetime(2026, 3, 1, 12, 0, 0, 250000, tzinfo=UTC)


@dataclass
class Server:
    """One Lease at most."""

    lease: dict[str, Any] | None = None
    version: int = 10
    asked: list[tuple[str, Any]] = field(default_factory=list)
    hangs: bool = False
    hangs_after_doing: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else None
        self.asked.append((request.method, body))
        if self.hangs:
            await self.over.wait()
        status, answer = self._do(request.method, body)
        if self.hangs_after_doing:
            await self.over.wait()
        return web.json_response(answer, status=status)

    def _do(self, method: str, body: Any) -> tuple[int, Any]:
        match method, self.lease:
            case ("GET" | "PATCH"), None:
                return 404, {"message": "not found"}
            case "POST", dict():
                return 409, {"reason": "AlreadyExists"}
            case "POST", None:
                self.lease = {"metadata": {}, "spec": body["spec"]}
            case "PATCH", dict() as lease:
                if body["metadata"]["resourceVersion"] != lease["metadata"]["resourceVersion"]:
                    return 409, {"reason": "Conflict"}
                lease["spec"] |= body["spec"]
        assert self.lease is not None
        if method != "GET":
            self.version += 1
            self.lease["metadata"]["resourceVersion"] = str(self.version)
        return 200, deepcopy(self.lease)


@dataclass
class Place:
    server: Server
    kube: AioKube
    lock: LeaseLock

    def contender(self, me: str, **terms: float) -> Election:
        return Election(self.lock, me, terms=Terms(**{"duration": 60, "deadline": 30, "renew": 0.1, "retry": 0.02, "call": 0.2} | terms))  # type: ignore[arg-type]


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    server = Server()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    client = api_client(Configuration(host=f"http://{host}:{port}"))
    throttle = Throttle(1000, 1000, clock=lambda: 0.0, sleep=asyncio.sleep)
    kube = AioKube(client, throttle=throttle, observe=lambda *_: None)
    yield Place(server, kube, LeaseLock(kube, "radiology", "gantry", now=lambda: NOW))
    server.over.set()
    await client.close()
    await runner.cleanup()


async def test_a_lease_that_is_not_there_is_made(place: Place) -> None:
    assert await place.lock.read(within=1) is None
    made = await place.lock.write(None, "one", 9, within=1)
    assert made == Lease("one", 9, 0, "11")
    assert place.server.asked[-1][1] == {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "gantry"},
        "spec": {
            "holderIdentity": "one",
            "leaseDurationSeconds": 9,
            "acquireTime": "2026-03-01T12:00:00.250000Z",
            "renewTime": "2026-03-01T12:00:00.250000Z",
            "leaseTransitions": 0,
        },
    }
    with pytest.raises(AlreadyExists):
        await place.lock.write(None, "two", 9, within=1)


async def test_a_renewal_says_what_it_replaces_and_changes_nothing_else(place: Place) -> None:
    mine = await place.lock.write(None, "one", 9, within=1)
    again = await place.lock.write(mine, "one", 9, within=1)
    assert place.server.asked[-1][1]["metadata"] == {"resourceVersion": "11"}
    assert set(place.server.asked[-1][1]["spec"]) == {"holderIdentity", "leaseDurationSeconds", "renewTime"}
    with pytest.raises(Conflict):
        await place.lock.write(mine, "two", 9, within=1)
    assert await place.lock.read(within=1) == again


async def test_it_changes_hands_by_being_given_back(place: Place) -> None:
    mine = await place.lock.write(None, "one", 9, within=1)
    await place.lock.give_back(mine, within=1)
    free = await place.lock.read(within=1)
    assert free == Lease("", 1, 0, "12")
    assert (await place.lock.write(free, "two", 9, within=1)).transitions == 1


async def test_a_lease_that_others_left_half_empty_is_free(place: Place) -> None:
    place.server.lease = {"metadata": {"resourceVersion": "5"}, "spec": {"holderIdentity": None}}
    assert await place.lock.read(within=1) == Lease("", 1, 0, "5")


async def test_a_call_that_hangs_is_given_up(place: Place) -> None:
    place.server.hangs = True
    with pytest.raises(Unavailable, match=r"no answer about the Lease within 0\.1 s"):
        await place.lock.read(within=0.05)


async def test_whoever_does_not_lead_sends_no_write(place: Place) -> None:
    """Asked when the request is about to be sent: the process may have been stopped since it was made."""
    fenced = AioKube(place.kube._client, throttle=place.kube._throttle, observe=lambda *_: None, may_write=lambda: False)
    with pytest.raises(NotLeading):
        await fenced.create(LEASES, "radiology", {})
    with pytest.raises(KubeError, match="not found"):
        await fenced.get(LEASES, "radiology", "gantry")
    assert [method for method, _ in place.server.asked] == ["GET"]


async def test_a_leader_without_answers_stops_at_its_deadline(place: Place) -> None:
    one = place.contender("one", deadline=1.5)
    running = asyncio.create_task(one.run())
    await asyncio.wait_for(one.gained.wait(), 5)
    place.server.hangs = True
    with pytest.raises(LeaseLost, match=r"it could not be renewed for 1\.5 s"):
        await asyncio.wait_for(running, 5)
    assert not one.holds()


async def test_a_renewal_that_was_done_without_an_answer_does_no_harm(place: Place) -> None:
    one = place.contender("one")
    running = asyncio.create_task(one.run())
    await asyncio.wait_for(one.gained.wait(), 5)
    for silent in (True, False):
        place.server.hangs_after_doing = silent
        number = len(place.server.asked)
        await until(lambda: len(place.server.asked) >= number + 3, "it goes on asking")  # noqa: B023
    assert one.holds()
    running.cancel()


async def test_it_is_given_back_even_when_a_renewal_was_under_way(place: Place) -> None:
    one = place.contender("one")
    running = asyncio.create_task(one.run())
    await asyncio.wait_for(one.gained.wait(), 5)
    running.cancel()
    await asyncio.wait([running])
    assert place.server.lease is not None
    place.server.lease["metadata"]["resourceVersion"] = "999"  # the renewal's, whose answer nobody heard
    await one.give_back()
    assert place.server.lease["spec"]["holderIdentity"] == ""
    assert not one.holds()


async def test_what_another_holds_is_not_given_back(place: Place) -> None:
    one = place.contender("one")
    running = asyncio.create_task(one.run())
    await asyncio.wait_for(one.gained.wait(), 5)
    running.cancel()
    await asyncio.wait([running])
    assert place.server.lease is not None
    place.server.lease["spec"]["holderIdentity"], place.server.lease["metadata"]["resourceVersion"] = "two", "999"
    await one.give_back()
    assert place.server.lease["spec"]["holderIdentity"] == "two"


async def test_a_standby_says_whom_it_waits_for_and_follows_when_the_lease_is_free(place: Place) -> None:
    theirs = await place.lock.write(None, "one", 9, within=1)
    two = place.contender("two")
    running = asyncio.create_task(two.run())
    await asyncio.wait_for(two.standing_by.wait(), 5)
    assert not two.gained.is_set()
    await place.lock.give_back(theirs, within=1)
    await asyncio.wait_for(two.gained.wait(), 5)
    assert two.holds()
    running.cancel()
