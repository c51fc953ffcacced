"""The only HTTP to registries: what an image is, by the OCI distribution specification.

The address is written by whoever may write pipelines, so the operator must not become their way to other places: only https with a certificate that
verifies, unless the administrator names a registry as insecure; only reading; credentials go to the registry and to the place it names for tokens,
never along a redirect to another host; nothing of an answer's text is told. Everything is bounded in size and time, and a digest is believed when the
bytes have it.
"""

import asyncio
import hashlib
import json
import re
import ssl
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode, urljoin, urlsplit

import httpx

from .credentials import Login, matching
from .errors import Away, Broken, NotAuthorised, NotFound
from .image import INDEXES, MANIFESTS, Blob, Config, Manifest, Platform, read_config, read_manifest
from .package import Package, members, read_package, small_layers
from .reference import Reference

TIMEOUT = 10.0
"""Seconds for a connection, and without a byte; registries answer in 50 to 500 ms."""
DEADLINE = 60.0
"""Seconds for one image with all its parts: a server that sends a byte now and then ends there."""
DOCUMENT = 4 << 20
"""Bytes of a manifest or configuration; the specification asks registries to take manifests of 4 MiB."""
TOKEN = 64 << 10
"""Bytes of a token server's answer; tokens have about 3 KiB."""
REDIRECTS = 5
"""Blobs are often redirected once, to a store; a mirror may add one."""
ACCEPT = ", ".join((*INDEXES, *MANIFESTS))
_CHALLENGE = re.compile(r'([a-zA-Z]+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Image:
    """An image as its registry has it."""

    digest: str
    """Of the index, where there is one: nodes of every architecture find their own by it."""
    architectures: tuple[str, ...] = ()
    config: Config | None = None
    """None of what is no container image (a model)."""
    package: Package | None = None
    """The manifests of a MONAI application package, where they were found."""
    size: int = 0
    """Bytes to pull."""


class Registries:
    """All of them. `look` at an image."""

    def __init__(
        self, *, authorities: str = "", insecure: Collection[str] = (), transport: httpx.AsyncBaseTransport | None = None, deadline: float = DEADLINE
    ) -> None:
        """`authorities`: certificates in PEM that are trusted beside the well-known ones; `insecure`: registries that speak plain HTTP, as host:port.
        `transport` replaces the network in tests."""
        self._authorities, self._insecure = authorities, frozenset(insecure)
        self._transport, self._deadline = transport, deadline
        self._trust: ssl.SSLContext | None = None

    async def look(
        self, reference: Reference, *, logins: Sequence[Login] = (), prefer: Collection[str] = (), known: str = "", model: bool = False
    ) -> Image | None:
        """What the image is; None when it still has the digest `known`. `prefer`: architectures whose configuration is read; `model`: it need not be
        a container image. Raises RegistryError."""
        try:
            async with asyncio.timeout(self._deadline), await self._client(reference) as client:
                return await _Look(client, reference, matching(logins, reference), self._insecure).image(prefer, known, model=model)
        except TimeoutError as error:
            raise Away(f"registry {reference.registry} did not send the image's description within {self._deadline:g} s") from error

    async def _client(self, reference: Reference) -> httpx.AsyncClient:
        if self._trust is None and self._transport is None:
            self._trust = await asyncio.to_thread(self._context)  # reading the well-known authorities takes 20 ms
        return httpx.AsyncClient(
            verify=self._trust or False,
            transport=self._transport,
            timeout=TIMEOUT,
            headers={"Accept-Encoding": "identity", "User-Agent": "gantry"},
            trust_env=False,
            follow_redirects=False,
        )

    def _context(self) -> ssl.SSLContext:
        made = ssl.create_default_context()
        if self._authorities:
            made.load_verify_locations(cadata=self._authorities)
        return made


class _Look:
    """One look at one image."""

    def __init__(self, client: httpx.AsyncClient, reference: Reference, logins: Sequence[Login], insecure: frozenset[str]) -> None:
        self._client, self._reference, self._insecure = client, reference, insecure
        self._logins: list[Login | None] = [*logins, None] if not logins else list(logins)
        scheme = "http" if reference.host in insecure else "https"
        self._base = f"{scheme}://{reference.host}/v2/{reference.repository}"
        self._authorization = ""

    async def image(self, prefer: Collection[str], known: str, *, model: bool) -> Image | None:
        if known and (known == self._reference.digest or await self._digest() == known):
            return None
        data = await self._read(f"manifests/{self._reference.version}", accept=ACCEPT, limit=DOCUMENT, digest=self._reference.digest)
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        top = read_manifest(data)
        if isinstance(top, Manifest):
            return await self._described(digest, top, (), model=model)
        if not top:
            raise Broken("its index holds no image for Linux")
        chosen = _chosen(top, prefer)
        one = read_manifest(await self._blob("manifests", chosen.blob, accept=ACCEPT))
        if not isinstance(one, Manifest):
            raise Broken("its index holds an index")
        return await self._described(digest, one, tuple(sorted({platform.architecture for platform in top})), model=model)

    async def _described(self, digest: str, manifest: Manifest, architectures: tuple[str, ...], *, model: bool) -> Image:
        if model:
            return Image(digest, architectures, size=manifest.size)
        config = read_config(await self._blob("blobs", manifest.config))
        if config.system not in ("linux", ""):
            raise Broken(f"it is for {config.system[:32]}, not for Linux")
        package = await self._package(manifest) if config.says_map else None
        return Image(digest, architectures or tuple(filter(None, (config.architecture,))), config, package, manifest.size)

    async def _package(self, manifest: Manifest) -> Package | None:
        found: dict[str, bytes] = {}
        for layer in small_layers(manifest):
            data = await self._blob("blobs", layer)
            found = await asyncio.to_thread(members, data, layer.kind) | found  # a later layer's file hides an earlier one's
            if sum(1 for path in found if path.startswith("etc/holoscan/")) == 2:
                break
        return read_package(found)

    async def _digest(self) -> str:
        """As the registry says, without the manifest: it costs no pull where those are counted."""
        answer = await self._send("HEAD", f"{self._base}/manifests/{self._reference.version}", ACCEPT)
        await answer.aclose()
        return str(answer.headers.get("Docker-Content-Digest", ""))

    async def _blob(self, kind: str, blob: Blob, *, accept: str = "*/*") -> bytes:
        if blob.size > DOCUMENT:
            raise Broken(f"a part of its description has {blob.size} bytes, and at most {DOCUMENT} are read")
        return await self._read(f"{kind}/{blob.digest}", accept=accept, limit=blob.size, digest=blob.digest)

    async def _read(self, path: str, *, accept: str, limit: int, digest: str) -> bytes:
        """The body, at most `limit` bytes; with `digest`, only those bytes that have it."""
        answer = await self._send("GET", f"{self._base}/{path}", accept)
        data = await self._body(answer, limit)
        said = digest or str(answer.headers.get("Docker-Content-Digest", ""))
        if said.startswith("sha256:") and f"sha256:{hashlib.sha256(data).hexdigest()}" != said:
            raise Broken(f"registry {self._reference.registry} sent other bytes than their digest says: a broken proxy or store, or somebody between")
        return data

    async def _body(self, answer: httpx.Response, limit: int) -> bytes:
        data = bytearray()
        try:
            async for part in answer.aiter_raw():
                data += part
                if len(data) > limit:
                    raise Broken(f"its description is larger than it may be ({limit} bytes)")
        except httpx.TransportError as error:
            raise self._away(error) from error
        finally:
            await answer.aclose()
        return bytes(data)

    async def _send(self, method: str, url: str, accept: str) -> httpx.Response:
        """A good answer whose body is still to be read. Asks for a token once the registry wants one."""
        while True:
            answer = await self._follow(method, url, accept)
            if answer.status_code != 401:
                break
            await answer.aclose()
            if not self._logins:
                raise NotAuthorised(self._refused())
            self._authorization = await self._authorize(answer, self._logins.pop(0))
        if answer.status_code == 200:
            return answer
        await answer.aclose()
        raise self._error(answer.status_code)

    async def _follow(self, method: str, url: str, accept: str) -> httpx.Response:
        own = urlsplit(url)
        for _ in range(REDIRECTS + 1):
            same = urlsplit(url)[:2] == own[:2]
            headers = {"Accept": accept} | ({"Authorization": self._authorization} if same and self._authorization else {})
            answer = await self._request(method, url, headers)
            if answer.status_code not in (301, 302, 303, 307, 308):
                return answer
            await answer.aclose()
            url = self._allowed(urljoin(url, answer.headers.get("Location", "")))
        raise Away(f"registry {self._reference.registry} redirects more than {REDIRECTS} times; check its address and the proxy before it")

    def _allowed(self, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme == "https" or (parts.scheme == "http" and parts.netloc in self._insecure):
            return url
        raise Away(f"registry {self._reference.registry} leads to an address without TLS, which is not followed; see the chart's registries.insecure")

    async def _request(self, method: str, url: str, headers: dict[str, str], auth: httpx.Auth | None = None) -> httpx.Response:
        try:
            return await self._client.send(self._client.build_request(method, url, headers=headers), stream=True, auth=auth)
        except (httpx.TransportError, ssl.SSLError) as error:
            raise self._away(error) from error
        except (httpx.InvalidURL, UnicodeError, ValueError) as error:
            raise Broken(f"registry {self._reference.registry} leads to what is no address") from error

    async def _authorize(self, answer: httpx.Response, login: Login | None) -> str:
        """What the registry's challenge asks for (RFC 7235; https://distribution.github.io/distribution/spec/auth/token/)."""
        challenge = answer.headers.get("WWW-Authenticate", "")
        scheme, _, rest = challenge.partition(" ")
        basic = httpx.BasicAuth(login.username, login.password) if login else None
        if scheme.lower() == "basic":
            if basic is None:
                raise NotAuthorised(self._refused())
            return next(basic.auth_flow(httpx.Request("GET", self._base))).headers["Authorization"]
        told = {name.lower(): value for name, value in _CHALLENGE.findall(rest)}
        if scheme.lower() != "bearer" or not told.get("realm"):
            raise NotAuthorised(f"registry {self._reference.registry} wants a kind of login that is neither Basic nor Bearer")
        query = {"service": told.get("service", ""), "scope": f"repository:{self._reference.repository}:pull"}
        realm = self._allowed(told["realm"])
        url = f"{realm}{'&' if urlsplit(realm).query else '?'}{urlencode({name: value for name, value in query.items() if value})}"
        token = await self._request("GET", url, {"Accept": "application/json"}, basic)
        if token.status_code != 200:
            await token.aclose()
            raise self._error(token.status_code)
        return f"Bearer {_token(await self._body(token, TOKEN))}"

    def _error(self, status: int) -> Away | NotAuthorised | NotFound | Broken:
        registry = self._reference.registry
        if status in (401, 403):
            return NotAuthorised(self._refused())
        if status == 404:
            return NotFound(f"registry {registry} has no {self._reference.repository} with {self._reference.version}; check the image's name and tag")
        if status >= 500 or status in (408, 429):
            return Away(f"registry {registry} answers HTTP {status}; it is asked again")
        return Broken(f"registry {registry} answers HTTP {status}; is that a registry?")

    def _refused(self) -> str:
        return (
            f"registry {self._reference.registry} refuses the credentials for {self._reference.repository}, or wants some: "
            "check template.scheduling.imagePullSecrets"
        )

    def _away(self, error: Exception) -> Away:
        registry, seen = self._reference.registry, _of_tls(error)
        if isinstance(seen, ssl.SSLCertVerificationError):
            advice = "name its authority in registries.caConfigMap of the chart"
            return Away(f"the certificate of registry {registry} does not verify ({seen.verify_message}); {advice}")
        if isinstance(error, httpx.TimeoutException):
            return Away(f"registry {registry} does not answer within {TIMEOUT:g} s; check its address, DNS and NetworkPolicy")
        if seen is not None:
            return Away(f"no TLS with registry {registry}; if it speaks plain HTTP, name it in registries.insecure of the chart")
        return Away(f"no connection to registry {registry}; check its address, DNS and NetworkPolicy")


def _of_tls(error: Exception) -> ssl.SSLError | None:
    """The first of its causes that is one; httpx and httpcore wrap."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, ssl.SSLError):
        seen = seen.__cause__ or seen.__context__
    return seen


def _chosen(platforms: Sequence[Platform], prefer: Collection[str]) -> Platform:
    """Of the nodes' architecture, else the commonest, else the first."""
    order = [*sorted(prefer), "amd64"]
    return min(platforms, key=lambda one: order.index(one.architecture) if one.architecture in order else len(order))


def _token(data: bytes) -> str:
    try:
        body = json.loads(data)
        token = body.get("token") or body.get("access_token")
    except (ValueError, RecursionError, AttributeError) as error:
        raise Broken("the registry's token server sent no token") from error
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise Broken("the registry's token server sent no token")
    return token
