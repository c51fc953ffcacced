"""How the API server is reached: address and credentials, sockets that notice a dead peer, and a session for the watches.

It makes no request itself. In a cluster the service account's token is read anew as it rotates; elsewhere KUBECONFIG counts.
"""

import os
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from urllib.request import getproxies_environment

import aiohttp
import msgspec
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.client.rest import RESTClientObject, RESTResponse

from .errors import Unconfigured

TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105 - a path
CONNECTIONS = 64
"""At once for everything but watches; the throttle keeps far fewer busy."""

READ_AHEAD = 2**21
"""Bytes; as the client has it."""

_LOAD: Any = config  # its functions carry no types
CallObserver = Callable[[str, str, str, float], None]
"""Told of each request: verb and resource as RBAC names them, the status code (or `none`), and the seconds it took."""


async def configuration() -> Configuration:
    """In the cluster by its token, elsewhere by KUBECONFIG. Raises Unconfigured when that cannot be used."""
    made = Configuration()
    try:
        if _in_cluster():
            _LOAD.load_incluster_config(client_configuration=made)
        else:
            # Named, because the library reads the variable when it is imported and never again.
            await _LOAD.load_kube_config(config_file=os.environ.get("KUBECONFIG"), client_configuration=made)
    except (config.ConfigException, OSError) as error:
        raise Unconfigured(" ".join(str(error).split())) from error
    made.connection_pool_maxsize = CONNECTIONS
    return made


def _in_cluster() -> bool:
    return os.path.exists(TOKEN)


def dead_peer_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """Lets the kernel find a cut connection: idle ones by keepalive after 10 + 3 * 5 s, sending ones after 20 s.

    A watch whose network was cut silently then gives up after 19 s instead of 69 s (measured, DROP in nftables).
    """
    made = socket.socket(address[0], address[1], address[2])
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 20_000)):
        if hasattr(socket, option):  # Linux; on a developer's macOS the defaults do
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return made


class _Rest(RESTClientObject):
    """The client's own session on sockets that notice a dead peer (its methods are meant to be overridden)."""

    async def request(
        self,
        method: str,
        url: str,
        headers: dict[str, str] | None = None,
        body: Any = None,
        post_params: None = None,
        _request_timeout: float | None = None,
    ) -> RESTResponse:
        """JSON and nothing else: the client's own looks for forms, files and patches to guess the kind of, and writes JSON by `json`."""
        if self.pool_manager is None:
            self.pool_manager = self._create_pool_manager()
        named = {"server_hostname": self.configuration.tls_server_name, "proxy": self.proxy, "proxy_headers": self.proxy_headers}
        response = await self.pool_manager.request(
            method,
            url,
            headers=headers,
            data=None if body is None else msgspec.json.encode(body),
            timeout=aiohttp.ClientTimeout(total=_request_timeout),
            **{name: value for name, value in named.items() if value},
        )
        return RESTResponse(response)

    def _create_connector(self) -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector(limit=self.maxsize, ssl=self.ssl_context, socket_factory=dead_peer_socket)

    def _create_pool_manager(self) -> aiohttp.ClientSession:
        """With `trust_env` aiohttp also looks for a ~/.netrc, in a thread, before each request: an eighth of the operator's CPU in a burst of Runs.
        So the environment is only asked where it names a proxy."""
        return aiohttp.ClientSession(connector=self._create_connector(), trust_env=bool(getproxies_environment()), read_bufsize=READ_AHEAD)


def api_client(made: Configuration) -> ApiClient:
    """A client of `kubernetes.aio`; the caller closes it."""
    client = ApiClient(made)
    client.rest_client = _Rest(made)
    return client


class Freshness:
    """When each watch last gave bytes, bookmarks included: kopf shows those to nobody, so the session listens itself."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last: dict[str, float] = {}

    def touch(self, watch: str) -> None:
        """Bytes came."""
        self._last[watch] = self._clock()

    def silence(self) -> Mapping[str, float]:
        """Seconds since each watch was heard of."""
        now = self._clock()
        return {watch: now - last for watch, last in self._last.items()}


class _Heard:
    """A response's body that tells when it gave bytes. aiohttp's own trace of chunks is silent for streamed bodies."""

    def __init__(self, content: aiohttp.StreamReader, heard: Callable[[], None]) -> None:
        self._content, self._heard = content, heard

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        async for chunk in self._content.iter_chunked(size):
            self._heard()
            yield chunk


def watch_session(made: Configuration, freshness: Freshness, observe: CallObserver) -> aiohttp.ClientSession:
    """The HTTP session for kopf: counts its calls, listens to its watches, and reads the token anew for each request."""
    tls = ssl.create_default_context(cafile=made.ssl_ca_cert, cadata=getattr(made, "ca_cert_data", None))
    if made.cert_file:
        tls.load_cert_chain(made.cert_file, made.key_file)
    if not made.verify_ssl:
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE

    async def listened(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        watching = "watch" in request.url.query
        resource = request.url.path.rsplit("/", 1)[1]
        began = time.monotonic()
        response = await handler(request)
        verb = "watch" if watching else "list" if "limit" in request.url.query else "get"
        observe(verb, resource, str(response.status), time.monotonic() - began)
        if watching and response.status == 200:
            freshness.touch(request.url.path)
            response.content = _Heard(response.content, lambda: freshness.touch(request.url.path))  # type: ignore[assignment]  # https://github.com/aio-libs/aiohttp/issues/1768
        return response

    async def authorised(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        if token := await made.get_api_key_with_prefix("BearerToken"):
            request.headers["Authorization"] = token
        return await handler(request)

    connector = aiohttp.TCPConnector(limit=0, ssl=tls, socket_factory=dead_peer_socket)
    return aiohttp.ClientSession(connector=connector, middlewares=[listened, authorised])
