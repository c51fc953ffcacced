"""Sockets that notice a dead peer, and the freshness of watches."""

import socket
from types import SimpleNamespace

import aiohttp
import pytest
from kubernetes.aio.client import Configuration

from gantry.kube import BRIDGES, JOBS, PERMISSIONS, PODS, RUNS, Freshness
from gantry.kube.connection import api_client, dead_peer_socket


def test_a_socket_notices_a_dead_peer_within_25_seconds() -> None:
    address = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 0))
    with dead_peer_socket(address) as made:
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        idle, every, times = (made.getsockopt(socket.IPPROTO_TCP, o) for o in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT))
        assert idle + every * times == 25
        assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 20_000


@pytest.mark.parametrize(("proxy", "asked"), [("", False), ("http://proxy.hospital.example:3128", True)], ids=["no proxy", "a proxy"])
async def test_the_environment_is_asked_only_where_it_names_a_proxy(monkeypatch: pytest.MonkeyPatch, proxy: str, asked: bool) -> None:
    """Else aiohttp reads ~/.netrc in a thread before each request: 13 of 100 samples of the operator's CPU in a burst of Runs."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    if proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
    client = api_client(Configuration(host="https://127.0.0.1:1"))
    session = client.rest_client._create_pool_manager()
    assert session.trust_env is asked
    await session.close()


@pytest.mark.parametrize(
    ("settings", "want"),
    [({}, {}), ({"tls_server_name": "api.internal", "proxy": "http://proxy:3128"}, {"server_hostname": "api.internal", "proxy": "http://proxy:3128"})],
    ids=["nothing named", "a server's name and a proxy"],
)
async def test_a_request_is_json_with_what_the_configuration_names(settings: dict[str, str], want: dict[str, str]) -> None:
    asked: list[tuple[object, ...]] = []

    class Session:
        async def request(self, method: str, url: str, **more: object) -> SimpleNamespace:
            asked.append((method, url, more))
            return SimpleNamespace(status=201, reason="Created")

    made = Configuration(host="https://127.0.0.1:1")
    for name, value in settings.items():
        setattr(made, name, value)
    rest = api_client(made).rest_client
    rest.pool_manager = Session()
    answer = await rest.request("PATCH", "https://127.0.0.1:1/x", headers={"A": "b"}, body={"ä": [1, None]}, _request_timeout=15.0)
    await rest.request("GET", "https://127.0.0.1:1/x")
    assert answer.status == 201
    fixed = {"headers": {"A": "b"}, "data": '{"ä":[1,null]}'.encode(), "timeout": aiohttp.ClientTimeout(total=15.0)}
    assert asked[0] == ("PATCH", "https://127.0.0.1:1/x", {**fixed, **want})
    assert asked[1] == ("GET", "https://127.0.0.1:1/x", {"headers": None, "data": None, "timeout": aiohttp.ClientTimeout(total=None), **want})


def test_a_watch_is_as_old_as_its_last_bytes() -> None:
    now = 100.0
    freshness = Freshness(lambda: now)
    freshness.touch("/runs")
    now = 130.0
    freshness.touch("/jobs")
    now = 135.0
    assert freshness.silence() == {"/runs": 35.0, "/jobs": 5.0}


def test_paths_of_objects_and_collections() -> None:
    assert JOBS.path("ns", "a") == "/apis/batch/v1/namespaces/ns/jobs/a"
    assert PODS.path("ns") == "/api/v1/namespaces/ns/pods"
    assert RUNS.path(None) == "/apis/gantry.health/v1alpha1/inferenceruns"
    assert BRIDGES.path("ns", "main", "status") == "/apis/gantry.health/v1alpha1/namespaces/ns/orthancbridges/main/status"
    assert (PODS.group, JOBS.group, JOBS.version) == ("", "batch", "v1")


def test_permissions_name_every_resource_once() -> None:
    names = [(p.resource.group, p.name) for p in PERMISSIONS]
    assert len(set(names)) == len(names)
    assert {p.name: p.verbs for p in PERMISSIONS if p.resource.plural == "secrets"} == {"secrets": ("get",)}
