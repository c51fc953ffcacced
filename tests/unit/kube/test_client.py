"""The client against a small HTTP server that answers as an API server does."""

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration

from gantry.kube import (
    JOBS,
    PODS,
    RUNS,
    AioKube,
    AlreadyExists,
    Conflict,
    KubeError,
    NotFound,
    NotPermitted,
    Permanent,
    Rejected,
    Throttle,
    Transient,
    Unavailable,
    api_client,
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Server:
    """What it was asked and what it answers."""

    answer: Handler
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    calls: list[tuple[str, str, str]] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    token: str = "one"
    tokens_seen: list[str] = field(default_factory=list)


def says(status: int, body: Any, **headers: str) -> Handler:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status, headers=headers)

    return answer


@pytest.fixture
async def server() -> AsyncIterator[tuple[Server, AioKube]]:
    made = Server(says(200, {}))

    async def handle(request: web.Request) -> web.StreamResponse:
        text = await request.text()
        made.asked.append((request.method, str(request.rel_url), json.loads(text) if text else None))
        made.tokens_seen.append(request.headers.get("Authorization", ""))
        return await made.answer(request)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    configuration = Configuration(host=f"http://{host}:{port}")

    async def refresh(one: Configuration) -> None:
        one.api_key["BearerToken"] = f"bearer {made.token}"

    configuration.api_key["BearerToken"] = "bearer zero"
    configuration.refresh_api_key_hook = refresh

    async def sleep(seconds: float) -> None:
        made.slept.append(seconds)

    client = api_client(configuration)
    throttle = Throttle(100, 100, clock=lambda: 0.0, sleep=sleep)
    yield made, AioKube(client, throttle=throttle, observe=lambda verb, resource, code, _: made.calls.append((verb, resource, code)))
    await client.close()
    await runner.cleanup()


Made = tuple[Server, AioKube]


async def test_a_list_is_read_page_by_page(server: Made) -> None:
    made, kube = server

    async def answer(request: web.Request) -> web.StreamResponse:
        more = {} if "continue" in request.query else {"continue": "next"}
        return web.json_response({"metadata": {"resourceVersion": "42"} | more, "items": [{"page": len(made.asked)}]})

    made.answer = answer
    versions: list[str] = []
    pages = [list(page) async for page in kube.pages(JOBS, "radiology", selector="gantry.health/run", version=versions.append)]
    assert pages == [[{"page": 1}], [{"page": 2}]]
    assert versions == ["42", "42"]
    assert [url for _, url, _ in made.asked] == [
        "/apis/batch/v1/namespaces/radiology/jobs?limit=100&labelSelector=gantry.health/run",
        "/apis/batch/v1/namespaces/radiology/jobs?limit=100&labelSelector=gantry.health/run&continue=next",
    ]
    assert made.calls == [("list", "jobs", "200")] * 2


async def test_all_namespaces_are_one_collection(server: Made) -> None:
    made, kube = server
    made.answer = says(200, {"metadata": {"resourceVersion": "42"}, "items": []})
    assert [list(page) async for page in kube.pages(RUNS, None)] == [[]]
    assert made.asked[0][1] == "/apis/gantry.health/v1alpha1/inferenceruns?limit=100"


async def test_of_a_page_one_object_after_the_other_is_made(server: Made) -> None:
    """A page of pods is 1.5 MB of text; as dictionaries all at once, ten times that, of which most was never given back."""
    made, kube = server
    pod = {"metadata": {"name": "a"}, "spec": {"containers": [{"name": f"c{number}", "env": [{"name": "E"}] * 20} for number in range(20)]}}
    made.answer = says(200, {"metadata": {"resourceVersion": "42"}, "items": [pod] * 100})
    peaks = []
    for read in (lambda page: sum(one == pod for one in page), lambda page: len(list(page))):
        async for page in kube.pages(PODS, "radiology"):
            tracemalloc.start()
            assert read(page) == 100
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[0] * 20 < peaks[1]


@pytest.mark.parametrize("words", ["<html>sign in first</html>", "{}", '{"metadata": {"resourceVersion": "1"}, "items": "none"}'])
async def test_an_answer_that_is_no_list_is_no_empty_list(server: Made, words: str) -> None:
    """A proxy's page with 200. Taken for a list without objects, everything would be forgotten."""
    made, kube = server

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(text=words, content_type="application/json")

    made.answer = answer
    with pytest.raises(Unavailable, match="its text is no list"):
        async for _ in kube.pages(RUNS, None):
            pass


async def test_a_status_is_applied_to_the_object_of_that_uid_only(server: Made) -> None:
    made, kube = server
    await kube.apply_status(RUNS, "radiology", "a-run", {"state": "Queued"}, uid="u-1")
    method, url, body = made.asked[0]
    assert (method, url) == ("PATCH", "/apis/gantry.health/v1alpha1/namespaces/radiology/inferenceruns/a-run/status?fieldManager=gantry&force=true")
    assert body == {
        "apiVersion": "gantry.health/v1alpha1",
        "kind": "InferenceRun",
        "metadata": {"name": "a-run", "namespace": "radiology", "uid": "u-1"},
        "status": {"state": "Queued"},
    }
    assert made.calls == [("patch", "inferenceruns/status", "200")]


async def test_deleting_takes_what_is_owned_with_it(server: Made) -> None:
    made, kube = server
    await kube.delete(JOBS, "radiology", "a-job", uid="u-2")
    method, url, body = made.asked[0]
    assert (method, url) == ("DELETE", "/apis/batch/v1/namespaces/radiology/jobs/a-job")
    assert (body["propagationPolicy"], body["preconditions"]) == ("Background", {"uid": "u-2"})


async def test_a_deletion_of_what_was_seen_and_nothing_newer(server: Made) -> None:
    made, kube = server
    await kube.delete(PODS, "radiology", "a-pod", uid="u-2", version="31")
    assert made.asked[0][2]["preconditions"] == {"uid": "u-2", "resourceVersion": "31"}


REPLACED = 'Operation cannot be fulfilled on jobs.batch "a-job": Precondition failed: UID in precondition: u-2, UID in object meta: u-3'


CHANGED = 'Operation cannot be fulfilled on pods "a-job": Precondition failed: ResourceVersion in precondition: 31, ResourceVersion in object meta: 32'


@pytest.mark.parametrize(("status", "words"), [(404, "no"), (409, REPLACED), (409, CHANGED)], ids=["gone", "another of the name", "it has changed"])
async def test_what_is_not_there_need_not_be_deleted(server: Made, status: int, words: str) -> None:
    made, kube = server
    made.answer = says(status, {"message": words})
    await kube.delete(JOBS, "radiology", "a-job", uid="u-2")
    assert made.calls == [("delete", "jobs", str(status))]


async def test_a_deletion_that_lost_a_race_is_for_another_time(server: Made) -> None:
    made, kube = server
    made.answer = says(409, {"message": "the object has been modified", "reason": "Conflict"})
    with pytest.raises(Conflict):
        await kube.delete(JOBS, "radiology", "a-job", uid="u-2")


async def test_a_secret_is_text(server: Made) -> None:
    made, kube = server
    made.answer = says(200, {"data": {"username": "Z2FudHJ5", "password": "w7w="}})
    assert await kube.read_secret("radiology", "orthanc") == {"username": "gantry", "password": "ü"}


async def test_a_secret_that_is_no_text_is_none(server: Made) -> None:
    made, kube = server
    made.answer = says(200, {"data": {"username": "/w=="}})
    with pytest.raises(NotFound, match="secret orthanc holds something that is no text"):
        await kube.read_secret("radiology", "orthanc")


RBAC = 'jobs.batch is forbidden: User "gantry" cannot create resource "jobs" in API group "batch" in the namespace "radiology"'
QUOTA = 'jobs.batch "x" is forbidden: exceeded quota: gpus, requested: count/jobs.batch=1, used: 5, limited: 5'

ERRORS: dict[str, tuple[int, dict[str, Any], type[KubeError], type[KubeError]]] = {
    "no such object": (404, {"message": "not found"}, NotFound, Permanent),
    "the name is taken": (409, {"message": "exists", "reason": "AlreadyExists"}, AlreadyExists, Permanent),
    "changed meanwhile": (409, {"message": "changed", "reason": "Conflict"}, Conflict, Transient),
    "an invalid field": (422, {"message": "spec.x: Invalid value"}, Rejected, Permanent),
    "a malformed object": (400, {"message": "strict decoding error"}, Rejected, Permanent),
    "too large": (413, {"message": "request entity too large"}, Rejected, Permanent),
    "a quota or policy": (403, {"message": QUOTA}, Rejected, Permanent),
    "a server whose admission is not ready": (403, {"message": "jobs.batch \"x\" is forbidden: not yet ready to handle request"}, Unavailable, Transient),
    "a quota nobody has counted yet": (403, {"message": "jobs.batch \"x\" is forbidden: status unknown for quota: gpus"}, Unavailable, Transient),
    "a missing permission": (403, {"message": RBAC}, NotPermitted, Transient),
    "a token that ran out": (401, {"message": "Unauthorized"}, NotPermitted, Transient),
    "a server that is starting": (503, {"message": "apiserver is shutting down"}, Unavailable, Transient),
    "an internal error": (500, {"message": "etcdserver: request timed out"}, Unavailable, Transient),
}


@pytest.mark.parametrize(("status", "body", "want", "family"), ERRORS.values(), ids=ERRORS.keys())
async def test_each_answer_is_an_error_of_its_own(
    server: Made, status: int, body: dict[str, Any], want: type[KubeError], family: type[KubeError]
) -> None:
    made, kube = server
    made.answer = says(status, body)
    with pytest.raises(want) as caught:
        await kube.create(JOBS, "radiology", {"metadata": {"name": "x"}})
    assert type(caught.value) is want
    assert isinstance(caught.value, family)
    assert str(caught.value) == body["message"]
    assert made.calls == [("create", "jobs", str(status))]


async def test_a_proxys_error_page_is_no_answer(server: Made) -> None:
    made, kube = server

    async def page(_: web.Request) -> web.StreamResponse:
        return web.Response(status=502, text="<html>bad gateway</html>")

    made.answer = page
    with pytest.raises(Unavailable, match="the API server answered 502"):
        await kube.get(JOBS, "radiology", "x")


async def test_a_server_that_hangs_up_is_unavailable(server: Made) -> None:
    made, kube = server

    async def hang_up(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        raise asyncio.CancelledError

    made.answer = hang_up
    with pytest.raises(Unavailable, match="no answer from the API server: ServerDisconnectedError"):
        await kube.get(JOBS, "radiology", "x")
    assert made.calls == [("get", "jobs", "none")]


@pytest.mark.parametrize(("code", "wish", "seconds"), [(429, "3", 3.0), (503, "3", 3.0), (503, "86400", 60.0)])
async def test_the_servers_wish_to_wait_is_everybodys(server: Made, code: int, wish: str, seconds: float) -> None:
    """A proxy's maintenance page may wish for a day; it is asked again after a minute."""
    made, kube = server
    made.answer = says(code, {"message": "too many requests"}, **{"Retry-After": wish})
    with pytest.raises(Unavailable) as caught:
        await kube.get(JOBS, "radiology", "x")
    assert caught.value.retry_after == seconds
    made.answer = says(200, {})
    await kube.get(JOBS, "radiology", "x")
    assert made.slept == [pytest.approx(seconds + 0.01)]


async def test_the_token_is_read_anew_for_each_call(server: Made) -> None:
    made, kube = server
    await kube.get(JOBS, "radiology", "x")
    made.token = "two"
    await kube.get(JOBS, "radiology", "x")
    assert made.tokens_seen == ["bearer one", "bearer two"]
