"""One watch request: what it asks, what it gives, and which fault is which."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gantry.kube import PODS, Change, Expired, KubeError, NotFound, NotPermitted, Resource, Unavailable, changes, watching

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def an_event(kind: str, version: int, **more: Any) -> bytes:
    return json.dumps({"type": kind, "object": {"metadata": {"resourceVersion": str(version), **more}}}).encode() + b"\n"


@asynccontextmanager
async def a_server(handler: Handler) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    """A session, and the address of a server that answers everything with `handler`."""
    app = web.Application()
    app.router.add_get("/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield session, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def streamed(*pieces: bytes, holds: bool = False) -> Handler:
    """Writes the pieces one by one; `holds`: and then says nothing more."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
            await asyncio.sleep(0)
        if holds:
            await asyncio.Event().wait()
        return response

    return handler


async def heard(handler: Handler, *, resource: Resource = PODS, namespace: str | None = "radiology", **options: str) -> list[Change]:
    async with a_server(handler) as (session, host):
        return [one async for one in changes(session, host, resource, namespace, version="7", **options)]


async def test_it_goes_on_from_a_version_and_is_selected_at_the_server() -> None:
    asked: list[web.Request] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        asked.append(request)
        return web.Response()

    assert await heard(handler, selector="gantry.health/run", fields="status.phase!=Succeeded") == []
    assert asked[0].path == "/api/v1/namespaces/radiology/pods"
    assert dict(asked[0].query) == {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": "7",
        "timeoutSeconds": "300",
        "labelSelector": "gantry.health/run",
        "fieldSelector": "status.phase!=Succeeded",
    }


async def test_objects_come_whole_however_the_network_cuts_them() -> None:
    stream = an_event("ADDED", 8, name="ä" * 100_000) + an_event("MODIFIED", 9) + an_event("BOOKMARK", 12) + an_event("DELETED", 13)
    for size in (len(stream), 70_001, 40_000):
        told = await heard(streamed(*(stream[at : at + size] for at in range(0, len(stream), size))))
        assert [(one.type, one.version) for one in told] == [("ADDED", "8"), ("MODIFIED", "9"), ("BOOKMARK", "12"), ("DELETED", "13")]
        assert told[0].object["metadata"]["name"] == "ä" * 100_000


async def test_half_a_line_at_the_end_is_no_object() -> None:
    """The server went in the middle of one; the next watch gets it whole."""
    assert [one.version for one in await heard(streamed(an_event("ADDED", 8), an_event("ADDED", 9)[:-20]))] == ["8"]


async def test_a_version_that_is_forgotten_is_told_in_either_way() -> None:
    """By the answer's status, or by an event once the stream has begun (apiserver, cacher)."""
    status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version: 7 (900)"}
    event = json.dumps({"type": "ERROR", "object": status}).encode() + b"\n"
    with pytest.raises(Expired, match="too old resource version"):
        await heard(streamed(event))

    async def refuses(_: web.Request) -> web.StreamResponse:
        return web.json_response(status, status=410)

    with pytest.raises(Expired, match="too old resource version"):
        await heard(refuses)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (404, "404 page not found", NotFound),
        (401, '{"message": "Unauthorized"}', NotPermitted),
        (403, '{"message": "User \\"x\\" cannot watch resource \\"pods\\""}', NotPermitted),
        (429, '{"message": "too many requests"}', Unavailable),
        (502, "<html>Bad Gateway</html>", Unavailable),
    ],
)
async def test_an_answer_that_is_no_stream_is_an_error_of_its_kind(status: int, body: str, error: type[KubeError]) -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=body, headers={"Retry-After": "3"})

    with pytest.raises(error) as caught:
        await heard(handler)
    assert caught.value.status == status
    assert caught.value.retry_after == (3 if error is Unavailable else None)


async def test_a_stream_that_says_nothing_for_too_long_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that drops packets ends no connection by itself."""
    monkeypatch.setattr(watching, "SILENCE", 0.05)
    async with a_server(streamed(an_event("ADDED", 8), holds=True)) as (session, host):
        told = changes(session, host, PODS, None, version="7")
        assert (await anext(told)).version == "8"
        with pytest.raises(Unavailable, match="the watch of pods broke off"):
            await anext(told)


async def test_nobody_there() -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(Unavailable, match="the watch of pods broke off"):
            await anext(changes(session, "http://127.0.0.1:9", PODS, None, version="7"))
