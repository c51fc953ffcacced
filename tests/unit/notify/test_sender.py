"""One event, one POST, against real servers on this machine: what counts as accepted, and where nothing is ever sent."""

import asyncio
import contextlib
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from gantry.api.run import RunStatus
from gantry.notify import Event, NotAccepted, Receiver, Sender, Told, events_of, verify

KEY = b"a key of enough bytes"
EVENT: Event = events_of(Told("here", "ns", "run", "u", "p", "Routine", RunStatus(state="Succeeded")))[-1]


class Door:
    """A server that answers as it is told and keeps what came."""

    def __init__(self, status: int = 204, **headers: str) -> None:
        self.status, self.headers = status, headers
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.port = 0

    async def handle(self, request: web.Request) -> web.Response:
        self.requests.append(({name.lower(): value for name, value in request.headers.items()}, await request.read()))
        return web.Response(status=self.status, headers=self.headers, body=b"x" * 1_000_000)


@contextlib.asynccontextmanager
async def opened(door: Door, trust: ssl.SSLContext | None = None) -> AsyncIterator[Door]:
    app = web.Application()
    app.router.add_route("*", "/{any:.*}", door.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=trust)
    await site.start()
    door.port = runner.addresses[0][1]
    try:
        yield door
    finally:
        await runner.cleanup()


def sender(*hosts: str) -> Sender:
    return Sender(hosts=hosts, clock=lambda: 1000.0)


async def why(receiver: Receiver, *hosts: str) -> str:
    async with sender(*hosts) as one:
        with pytest.raises(NotAccepted) as raised:
            await one.send(receiver, EVENT)
    return str(raised.value)


async def test_an_accepted_event_came_signed_as_structured_json() -> None:
    async with opened(Door()) as door, sender("127.0.0.1") as one:
        await one.send(Receiver(f"http://127.0.0.1:{door.port}/hook", KEY), EVENT)
    ((given, body),) = door.requests
    assert body == EVENT.body
    assert given["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert verify(KEY, given, body, now=1000)
    assert "cookie" not in given
    assert "authorization" not in given


async def test_a_redirect_is_not_followed() -> None:
    async with opened(Door()) as other, opened(Door(307, Location=f"http://127.0.0.1:{other.port}/")) as door:
        words = await why(Receiver(f"http://127.0.0.1:{door.port}/secret-path", KEY), "127.0.0.1")
        assert words == f"http://127.0.0.1:{door.port} answers HTTP 307; redirects are not followed, write the final address"
        assert (len(door.requests), other.requests) == (1, [])


@pytest.mark.parametrize("status", [400, 404, 500, 503])
async def test_any_answer_but_2xx_is_a_refusal_and_its_words_are_not_told(status: int) -> None:
    async with opened(Door(status)) as door:
        assert await why(Receiver(f"http://127.0.0.1:{door.port}", KEY), "127.0.0.1") == f"http://127.0.0.1:{door.port} answers HTTP {status}"


MACHINE = ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "0.0.0.0", "[::ffff:127.0.0.1]"]


@pytest.mark.parametrize("host", MACHINE)
async def test_the_machine_itself_and_its_link_are_never_asked(host: str) -> None:
    """By address, by name, in every way of writing it."""
    async with opened(Door()) as door:
        words = await why(Receiver(f"http://{host}:{door.port}/", KEY))
        assert "the machine itself" in words, words
        assert door.requests == []


async def test_nobody_listens() -> None:
    async with opened(Door()) as door:
        port = door.port
    assert await why(Receiver(f"http://127.0.0.1:{port}/", KEY), "127.0.0.1") == f"http://127.0.0.1:{port}: no connection (Connection refused)"


async def test_a_receiver_that_does_not_answer_costs_its_time_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gantry.notify.sender.TIMEOUT", 0.2)

    hung_up = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        hung_up.set()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        assert await why(Receiver(f"http://127.0.0.1:{port}/", KEY), "127.0.0.1") == f"http://127.0.0.1:{port} does not answer within 0.2 s"
        await hung_up.wait()
    finally:
        server.close()


def own_certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """For 127.0.0.1, signed by nobody else."""
    certificate, key = folder / "ca.pem", folder / "ca.key"
    names = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2", *names]
    subprocess.run(command, check=True, capture_output=True)
    trust = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trust.load_cert_chain(certificate, key)
    return certificate, trust


async def test_a_receiver_with_a_certificate_of_the_hospitals_own(tmp_path: Path) -> None:
    certificate, trust = own_certificate(tmp_path)
    async with opened(Door(), trust) as door:
        url = f"https://127.0.0.1:{door.port}"
        async with sender("127.0.0.1") as one:
            await one.send(Receiver(url, KEY, certificate.read_text()), EVENT)
        assert len(door.requests) == 1
        said = await why(Receiver(url, KEY), "127.0.0.1")
        assert said == f"{url}: its certificate is not trusted; name its authority in tls.caSecretRef"
        assert (await why(Receiver(url, KEY, "no PEM"), "127.0.0.1")).startswith(f"{url}: tls.caSecretRef holds no certificates")
