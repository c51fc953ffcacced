"""One Orthanc as an HTTP server: connections, time-outs, retries, and answers turned into the errors of `errors.py`.

It knows nothing of studies or jobs (that is `client.py`) and holds no policy beyond the small bounded retry: who may wait longer waits itself.
"""

import contextlib
import json
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from .calls import CallObserver, call_name
from .errors import NotFound, OrthancError, Refused, ServerFault, TooSlow, Transient, Unauthorized, Unreachable, harmless
from .trust import Trust, context_for, fault_of

# Orthanc closes idle connections after 1 s (Keep-Alive: timeout=1). Polls each second: 7 of 320 failed at httpx's 5.0, none at 0.5.
KEEPALIVE_EXPIRY = 0.5
CONNECT_TIMEOUT = 5.0  # seconds; two repetitions of a lost SYN (1 + 2 s) and a slow resolver fit
READ_TIMEOUT = 10.0  # seconds without a byte; the slowest answer asked for here takes 1 s, a server out of HTTP threads 30 s
TRANSFER_TIMEOUT = 60.0  # seconds without a byte during a download or after an upload: fsync of a large object on a busy disk
POOL_TIMEOUT = 120.0  # seconds for a free connection of our own pool: other transfers go first, that is no fault

PAUSES = (0.1, 0.4)  # seconds between attempts: a restarted proxy or a connection closed under us; an outage is the caller's to wait for


Params = Mapping[str, str | int | list[str]]


@dataclass(frozen=True, slots=True)
class Credentials:
    """HTTP basic authentication of one Orthanc user."""

    username: str
    password: str = field(repr=False)


class Connection:
    """Kept-alive connections to one server. `transport` replaces the network in tests. Raises UnfitCertificate when `trust` is none."""

    def __init__(
        self,
        url: str,
        *,
        credentials: Credentials | None,
        trust: Trust | None,
        connections: int,
        transport: httpx.AsyncBaseTransport | None,
        sleep: Callable[[float], Awaitable[None]],
        observe: CallObserver | None = None,
    ) -> None:
        self._sleep, self._observe = sleep, observe
        self._client = httpx.AsyncClient(
            base_url=url,
            auth=httpx.BasicAuth(credentials.username, credentials.password) if credentials else None,
            # Orthanc <= 1.12.1 would gzip DICOM: 7 MB/s instead of 110 to 295.
            headers={"Accept-Encoding": "identity", "User-Agent": "gantry"},
            timeout=_timeout(READ_TIMEOUT),
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=KEEPALIVE_EXPIRY),
            transport=transport,
            # Images must never take the way of a proxy or credentials that happen to stand in the environment.
            trust_env=False,
            follow_redirects=False,
            # Reading the certificates takes 50 ms, a tenth of what a Run's containers compute; a server without TLS has none to check.
            verify=context_for(url, trust) or False,
        )

    async def aclose(self) -> None:
        await self._client.aclose()

    async def get_json(self, path: str, *, params: Params | None = None) -> Any:
        """The parsed answer; tried again on a transient fault."""
        return _parsed(path, await self._repeated(lambda: self._once("GET", path, params=params)))

    async def get_text(self, path: str) -> str:
        return (await self.get(path)).text

    async def get(self, path: str) -> httpx.Response:
        """The answer as it came; tried again on a transient fault."""
        return await self._repeated(lambda: self._once("GET", path))

    async def put(self, path: str, content: bytes, *, etag: str = "") -> None:
        """The same content twice is the content once, so it may be repeated. `etag`: of what is replaced."""
        await self._repeated(
            lambda: self._once("PUT", path, content=content, kind="application/octet-stream", etag=etag, timeout=TRANSFER_TIMEOUT)
        )

    async def ask_json(self, path: str, body: object) -> Any:
        """A POST that only asks (/tools/find, /tools/lookup): tried again as a GET is."""
        content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        return _parsed(path, await self._repeated(lambda: self._once("POST", path, content=content)))

    async def upload(self, path: str, dicom: bytes) -> Any:
        """A POST that may be repeated because the second one changes nothing."""
        answer = await self._repeated(
            lambda: self._once("POST", path, content=dicom, kind="application/dicom", timeout=TRANSFER_TIMEOUT)
        )
        return _parsed(path, answer)

    async def send_json(self, method: str, path: str, body: object = None) -> httpx.Response:
        """A request that changes something, sent once."""
        return await self._once(method, path, content=None if body is None else json.dumps(body).encode())

    async def _repeated(self, send: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
        """The same request again after each pause, as long as the fault can pass."""
        for pause in PAUSES:
            try:
                return await send()
            except TooSlow:
                raise  # it has cost the whole time-out already
            except Transient:
                await self._sleep(pause)
        return await send()

    async def _once(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        content: bytes | None = None,
        kind: str | None = None,
        etag: str = "",
        timeout: float | None = None,  # noqa: ASYNC109 - httpx's own time-out between bytes, not a deadline of the whole
    ) -> httpx.Response:
        headers = ({"Content-Type": kind} if kind else {}) | ({"If-Match": etag} if etag else {})
        outcome, began = "none", time.monotonic()
        try:
            with _faults(path):
                response = await self._client.request(
                    method, path, params=params, content=content, headers=headers, timeout=_timeout(timeout or READ_TIMEOUT)
                )
            outcome = str(response.status_code)
        except OrthancError as error:
            outcome = type(error).__name__
            raise
        finally:
            if self._observe is not None:
                self._observe(call_name(method, path), outcome, time.monotonic() - began)
        _check(path, response)
        return response


def _timeout(read: float) -> httpx.Timeout:
    return httpx.Timeout(connect=CONNECT_TIMEOUT, read=read, write=read, pool=POOL_TIMEOUT)


@contextlib.contextmanager
def _faults(path: str) -> Any:
    """httpx's errors as ours. The base address is left out: it is the bridge's own and said by whoever reports the error."""
    try:
        yield
    except httpx.TimeoutException as error:
        if isinstance(error, httpx.ConnectTimeout):
            raise TooSlow(f"no connection within {CONNECT_TIMEOUT:g} s; check the address, NetworkPolicy and that Orthanc runs") from error
        raise TooSlow(f"{path}: no answer in time; Orthanc may be out of HTTP threads (HttpThreadsCount) or stopped") from error
    except (httpx.TransportError, httpx.DecodingError, ssl.SSLError) as error:  # httpx lets an alert after the handshake of TLS 1.3 through
        if (fault := fault_of(error)) is not None:
            raise type(fault)(f"{path}: {fault}") from error
        words = harmless(str(error)) or type(error).__name__
        raise Unreachable(f"{path}: {words}; check the address, DNS and that Orthanc runs") from error
    except (httpx.InvalidURL, httpx.StreamError) as error:
        raise Refused(f"{path}: {harmless(str(error))}") from error


def _check(path: str, response: httpx.Response) -> None:
    status = response.status_code
    if 200 <= status < 300:
        return
    said = _said(response)
    raise _error(status)(f"{path}: HTTP {status}{f' ({said})' if said else ''}{_ADVICE.get(status, '')}")


_ADVICE = {
    401: "; check username and password in the bridge's secret",
    403: "; a filter or proxy before Orthanc denies it",
    404: "",
}


def _error(status: int) -> type[OrthancError]:
    if status in (401, 403):
        return Unauthorized
    if status == 404:
        return NotFound
    # 408 and 429 come from proxies; 409 while two uploads of the same instance meet (some versions).
    # 501 comes from proxies that do not know a method, and never passes.
    if (status >= 500 and status != 501) or status in (408, 409, 429):
        return ServerFault
    return Refused


def _said(response: httpx.Response) -> str:
    """Orthanc's own words for an error: `Message` and `Details` of its JSON; nothing of a proxy's HTML page."""
    try:
        body = response.json()
    except ValueError:
        return ""
    if not isinstance(body, dict):
        return ""
    return harmless(": ".join(str(body[key]) for key in ("Message", "Details") if body.get(key)))


def _parsed(path: str, response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError as error:
        raise Refused(f"{path}: the answer is not JSON; is spec.url the address of Orthanc's REST API?") from error
