"""Registries that are away, slow, wrong or hostile: each ends in an error that says so, in bounded time and memory."""

import gzip
import io
import json
import resource
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.component.registry_server import INDEX, LAYER, MANIFEST, digest_of, free_port, layer, registry

from gantry.registry import Away, Broken, Image, NotAuthorised, Reference, Registries, RegistryError, logins

Answer = tuple[int, Mapping[str, str], bytes]
Server = Callable[[str, BaseHTTPRequestHandler], Answer | None]


@contextmanager
def answering(answer: Server) -> Iterator[str]:
    """A server that says what `answer` gives for a path; None: it has answered by itself. Gives host:port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told = answer(self.path, self)
            if told is not None:
                status, headers, body = told
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            """Not into the test's output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


async def look(address: str, name: str = "vendor/app:1", **more: Any) -> Image | None:
    deadline = more.pop("deadline", 20.0)
    return await Registries(insecure=(address,), deadline=deadline).look(Reference.parse(f"{address}/{name}"), **more)


def an_image(config: Any = None, layers: tuple[bytes, ...] = (), /, **changes: Any) -> dict[str, bytes]:
    """Path endings and bodies of one image, with the manifest's fields in `changes` replaced."""
    described = config if isinstance(config, bytes) else json.dumps(config or {"architecture": "amd64", "os": "linux", "config": {}}).encode()
    body = {
        "schemaVersion": 2, "mediaType": MANIFEST, "config": {"mediaType": "c", "digest": digest_of(described), "size": len(described)},
        "layers": [{"mediaType": LAYER, "digest": digest_of(one), "size": len(one)} for one in layers], **changes,
    }  # fmt: skip
    return {"manifests/1": json.dumps(body).encode(), **{f"blobs/{digest_of(one)}": one for one in (described, *layers)}}


def serving(parts: Mapping[str, bytes]) -> Server:
    return lambda path, _: next(((200, {}, body) for end, body in parts.items() if path.endswith(end)), (404, {}, b""))


MAP = {"architecture": "amd64", "os": "linux", "config": {"Env": ["HOLOSCAN_INPUT_PATH=/var/holoscan/input"]}}


def map_with(**files: str | bytes) -> dict[str, bytes]:
    return an_image(MAP, (gzip.compress(layer({f"etc/holoscan/{name}.json": text for name, text in files.items()}), mtime=0),))


def linking() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        entry = tarfile.TarInfo("etc/holoscan/app.json")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/shadow"
        archive.addfile(entry)
    return packed.getvalue()


BROKEN: dict[str, tuple[dict[str, bytes], str]] = {
    "a page of a proxy": ({"manifests/1": b"<html>welcome</html>"}, "its manifest is not JSON"),
    "a list": ({"manifests/1": b"[]"}, "its manifest is not a JSON object"),
    "a thousand brackets": ({"manifests/1": b"[" * 100_000}, "its manifest is not JSON"),
    "Docker's schema 1": ({"manifests/1": b'{"schemaVersion": 1, "fsLayers": []}'}, "its manifest is of Docker's schema 1"),
    "a manifest without configuration": (an_image(config=None), "its manifest names no configuration"),
    "a digest that is a path": (an_image(layers=[{"digest": "../../etc/passwd", "size": 1}]), "names a part without sha256 digest and size"),
    "a size that is none": (an_image(layers=[{"digest": digest_of(b""), "size": -1}]), "names a part without sha256 digest and size"),
    "layers that are no list": (an_image(layers={}), "`layers` of its manifest is no list"),
    "an index for another system": ({"manifests/1": json.dumps({"mediaType": INDEX, "manifests": []}).encode()}, "its index holds no image for Linux"),
    "an image for another system": (an_image({"os": "windows"}), "it is for windows, not for Linux"),
    "a configuration that is no JSON": (an_image(b"\xff\xfe"), "its configuration is not JSON"),
    "an entrypoint of a thousand words": (an_image({"os": "linux", "config": {"Entrypoint": ["x"] * 1000}}), "`Entrypoint` of its configuration"),
    "an entrypoint that is text": (an_image({"os": "linux", "config": {"Entrypoint": "/bin/sh"}}), "`Entrypoint` of its configuration"),
    "a configuration of a gigabyte": (an_image(config={"digest": digest_of(b""), "size": 1 << 30}), "a part of its description has 1073741824 bytes"),
    "a MAP whose app.json is no JSON": (map_with(app="{"), "/etc/holoscan/app.json in the image is not JSON"),
    "a MAP without command": (map_with(app="{}"), "/etc/holoscan/app.json in the image has no command"),
    "a MAP whose pkg.json is a list": (map_with(app='{"command": "x"}', pkg="[]"), "/etc/holoscan/pkg.json in the image is not a JSON object"),
    "a MAP whose app.json is a link": (an_image(MAP, (linking(),)), "/etc/holoscan/app.json in the image is no file"),
    "a layer that is no archive": (an_image(MAP, (gzip.compress(b"x" * 600),)), "a layer is no tar archive"),
    "a layer cut short": (an_image(MAP, (gzip.compress(layer({"a": "b"}))[:-9],)), "a layer cannot be decompressed"),
    "a layer that is no zstandard": (an_image(MAP, (b"\x28\xb5\x2f\xfdxxxxxxxxxxx",)), "a layer cannot be decompressed"),
}  # fmt: skip


@pytest.mark.parametrize(("parts", "words"), BROKEN.values(), ids=BROKEN.keys())
async def test_what_is_no_image_is_said_to_be_none(parts: dict[str, bytes], words: str) -> None:
    with answering(serving(parts)) as address, pytest.raises(Broken) as caught:
        await look(address)
    assert words in str(caught.value)


@pytest.mark.parametrize("lie", ["manifest", "configuration", "digest header"])
async def test_bytes_must_have_their_digest(lie: str) -> None:
    parts = an_image()
    manifest, name = parts["manifests/1"], "vendor/app:1"
    headers: dict[str, str] = {}
    if lie == "manifest":
        other = digest_of(b"another image")
        parts, name = {f"manifests/{other}": manifest}, f"vendor/app@{other}"
    elif lie == "configuration":
        blob = next(path for path in parts if path.startswith("blobs/"))
        parts[blob] = parts[blob].replace(b"amd64", b"arm64")
    else:
        headers = {"Docker-Content-Digest": digest_of(b"another image")}

    def answer(path: str, _: BaseHTTPRequestHandler) -> Answer:
        return next(((200, headers if "manifests" in path else {}, body) for end, body in parts.items() if path.endswith(end)), (404, {}, b""))

    with answering(answer) as address, pytest.raises(Broken, match="sent other bytes than their digest says"):
        await look(address, name)


async def test_a_manifest_of_two_gigabytes_is_left_after_four_megabytes() -> None:
    sent = 0

    def endless(path: str, handler: BaseHTTPRequestHandler) -> None:
        nonlocal sent
        handler.send_response(200)
        handler.send_header("Content-Length", str(2 << 30))
        handler.end_headers()
        try:
            while sent < 2 << 30:
                handler.wfile.write(b" " * (1 << 16))
                sent += 1 << 16
        except OSError:
            pass  # the reader has left, as it should

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with answering(endless) as address, pytest.raises(Broken, match="larger than it may be"):
        await look(address)
    assert sent < 64 << 20, "most of it was never sent"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40 << 10, "KiB"


async def test_a_layer_that_grows_a_thousandfold_is_passed_over() -> None:
    bomb = gzip.compress(b"\0" * (256 << 20), 9)
    good = gzip.compress(layer({"etc/holoscan/app.json": '{"command": "x"}'}))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with answering(serving(an_image(MAP, (good, bomb)))) as address:
        image = await look(address)
    assert image is not None
    assert image.package is not None, "the layer beneath it was read"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60 << 10, "KiB"


async def test_redirects_in_a_circle_end() -> None:
    with answering(lambda path, _: (307, {"Location": path}, b"")) as address, pytest.raises(Away, match="redirects more than 5 times"):
        await look(address)


async def test_credentials_do_not_follow_a_redirect_to_another_host() -> None:
    parts, seen = an_image(), []

    def store(path: str, handler: BaseHTTPRequestHandler) -> Answer:
        seen.append(handler.headers.get("Authorization"))
        return serving(parts)(path, handler) or (500, {}, b"")

    with answering(store) as elsewhere:

        def front(path: str, handler: BaseHTTPRequestHandler) -> Answer:
            if not handler.headers.get("Authorization"):
                return 401, {"WWW-Authenticate": 'Basic realm="x"'}, b""
            return (307, {"Location": f"http://{elsewhere}{path}"}, b"") if "blobs" in path else serving(parts)(path, handler) or (500, {}, b"")

        with answering(front) as address:
            registries = Registries(insecure=(address, elsewhere))
            secret = {".dockerconfigjson": json.dumps({"auths": {address: {"username": "u", "password": "p"}}})}
            image = await registries.look(Reference.parse(f"{address}/vendor/app:1"), logins=logins(secret))
    assert image is not None
    assert seen == [None]


async def test_a_redirect_to_plain_http_is_not_followed() -> None:
    """Else whoever writes pipelines could have the operator ask any service of the cluster."""
    with (
        answering(lambda *_: (200, {}, b"secret")) as inner,
        answering(lambda path, _: (307, {"Location": f"http://{inner}/metadata"}, b"")) as address,
        pytest.raises(Away) as caught,
    ):
        await look(address)
    assert "leads to an address without TLS, which is not followed" in str(caught.value)
    challenge = {"WWW-Authenticate": 'Bearer realm="http://169.254.169.254/latest"'}
    with answering(lambda *_: (401, challenge, b"")) as address, pytest.raises(Away, match="leads to an address without TLS"):
        await look(address)


async def test_a_registry_without_tls_is_asked_only_if_it_is_named(tmp_path: Path) -> None:
    with registry(tmp_path) as server, pytest.raises(Away) as caught:
        await Registries().look(Reference.parse(f"{server.address}/vendor/app:1"))
    assert str(caught.value) == f"no TLS with registry {server.address}; if it speaks plain HTTP, name it in registries.insecure of the chart"


async def test_a_certificate_of_an_unknown_authority_is_said_to_be_one(tmp_path: Path) -> None:
    with registry(tmp_path, tls=True) as server, pytest.raises(Away) as caught:
        await Registries().look(Reference.parse(f"{server.address}/vendor/app:1"))
    assert f"the certificate of registry {server.address} does not verify" in str(caught.value)
    assert "registries.caConfigMap" in str(caught.value)


async def test_a_registry_that_died_is_away(tmp_path: Path) -> None:
    with registry(tmp_path) as server:
        server.push("vendor/app", "1")
        server.process.kill()
        server.process.wait()
        with pytest.raises(Away) as caught:
            await look(server.address)
    assert str(caught.value) == f"no connection to registry {server.address}; check its address, DNS and NetworkPolicy"


async def test_a_server_that_sends_a_byte_now_and_then_ends_at_the_deadline() -> None:
    released = threading.Event()

    def dripping(path: str, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        while not released.wait(0.05):
            try:
                handler.wfile.write(b" ")
            except OSError:
                return

    with answering(dripping) as address:
        began = time.monotonic()
        with pytest.raises(Away, match=r"did not send the image's description within 0.5 s"):
            await look(address, deadline=0.5)
        released.set()
    assert time.monotonic() - began < 15, "far below the time-out between bytes, which it never reaches"


STATUSES: dict[int, tuple[type[RegistryError], str]] = {
    500: (Away, "answers HTTP 500; it is asked again"),
    429: (Away, "answers HTTP 429; it is asked again"),
    403: (NotAuthorised, "refuses the credentials for vendor/app"),
    418: (Broken, "answers HTTP 418; is that a registry?"),
}


@pytest.mark.parametrize("status", STATUSES)
async def test_what_a_server_answers_is_sorted_by_whether_it_may_pass(status: int) -> None:
    kind, words = STATUSES[status]
    with answering(lambda *_: (status, {}, b"<b>secret words of the server</b>")) as address, pytest.raises(kind) as caught:
        await look(address)
    assert words in str(caught.value)
    assert "secret words" not in str(caught.value), "what a server wrote is not told: it may be somebody else's"


async def test_a_login_of_an_unknown_kind_is_said_to_be_one() -> None:
    with answering(lambda *_: (401, {"WWW-Authenticate": "Negotiate"}, b"")) as address, pytest.raises(NotAuthorised) as caught:
        await look(address)
    assert "neither Basic nor Bearer" in str(caught.value)


async def test_nothing_listens_at_the_address() -> None:
    with pytest.raises(Away, match="no connection to registry"):
        await look(f"127.0.0.1:{free_port()}")
