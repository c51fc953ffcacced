"""The calls to the API server: a small Protocol, and its form on `kubernetes.aio` with plain dictionaries.

Typed models cost twice the CPU of a dictionary (docs/benchmarks.md) and are used in tests only. Every call has a time-out, goes through the
throttle, is counted, and fails with an error of `errors`. Nothing here decides or retries: the work queue does.
"""

import base64
import binascii
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, Protocol
from urllib.parse import urlencode

import aiohttp
import msgspec
from kubernetes.aio.client import ApiClient

from gantry.api import labels

from .connection import CallObserver
from .errors import Conflict, KubeError, NotFound, NotLeading, Unavailable, error_of
from .resources import SECRETS, Resource
from .throttle import Throttle

TIMEOUT = 15.0
"""Seconds a call; the library's own default is 300. A healthy API server answers in 10 ms; webhooks of others may take 10 s."""
AWAY_PAUSE = 0.5
"""Seconds nobody asks a server that cannot be reached: else every waiting key would."""
PAGE = 100
"""Objects a page of a list: 1.5 MB of text when they are pods."""

Object = dict[str, Any]


class Page(msgspec.Struct):
    """An answer to a list. Each object is text until it is asked for: a hundred as dictionaries were 14 MiB that were never given back."""

    metadata: Object
    items: list[msgspec.Raw]


PAGES = msgspec.json.Decoder(Page)


class Kube(Protocol):
    """What the operator asks of the API server. Raises errors of `errors`."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """One object."""

    def pages(
        self, resource: Resource, namespace: str | None, *, selector: str = "", fields: str = "", version: Callable[[str], None] = lambda _: None
    ) -> AsyncIterator[Iterable[Object]]:
        """All objects, page by page, each page to be gone through once; without namespace, of the whole cluster. `selector` of labels, `fields` of
        fields. `version` is told of which version the list is, with each page: a watch can go on from there."""

    async def create(self, resource: Resource, namespace: str, body: Object) -> Object:
        """POST."""

    async def apply_status(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        status: Object,
        *,
        uid: str,
        version: str | None = None,
        manager: str = labels.FIELD_MANAGER,
    ) -> Object:
        """The whole owned status by server-side apply, owned by `manager`. Conflict when an object of the name has another uid by now."""

    async def delete(self, resource: Resource, namespace: str, name: str, *, uid: str | None = None, version: str | None = None) -> None:
        """Delete it and, in the background, what it owns. That it is gone already, or another one has its name, is success; with `version` also that
        it has changed since."""

    async def read_secret(self, namespace: str, name: str) -> Mapping[str, str]:
        """A secret's data as text."""


class AioKube:
    """`Kube` on `kubernetes.aio`."""

    def __init__(
        self,
        client: ApiClient,
        *,
        throttle: Throttle,
        observe: CallObserver,
        timeout: float = TIMEOUT,
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        """`may_write` is asked right before each writing request is sent: a process that was stopped for a while may wake up in the middle of one."""
        self._client, self._throttle, self._observe, self._timeout, self._may_write = client, throttle, observe, timeout, may_write

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        return await self._call("get", resource, "GET", resource.path(namespace, name))

    async def pages(
        self, resource: Resource, namespace: str | None, *, selector: str = "", fields: str = "", version: Callable[[str], None] = lambda _: None
    ) -> AsyncIterator[Iterable[Object]]:
        query = {"limit": str(PAGE)} | ({"labelSelector": selector} if selector else {}) | ({"fieldSelector": fields} if fields else {})
        more = ""
        while True:
            asked = query | ({"continue": more} if more else {})
            page = _page(await self._send("list", resource.plural, "GET", f"{resource.path(namespace)}?{urlencode(asked)}"))
            version(page.metadata["resourceVersion"])
            yield map(msgspec.json.decode, page.items)
            if not (more := page.metadata.get("continue", "")):
                return

    async def create(self, resource: Resource, namespace: str, body: Object) -> Object:
        query = urlencode({"fieldManager": labels.FIELD_MANAGER})
        return await self._call("create", resource, "POST", f"{resource.path(namespace)}?{query}", body)

    async def apply_status(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        status: Object,
        *,
        uid: str,
        version: str | None = None,
        manager: str = labels.FIELD_MANAGER,
    ) -> Object:
        query = urlencode({"fieldManager": manager, "force": "true"})
        path = f"{resource.path(namespace, name, 'status')}?{query}"
        # The uid makes the server refuse (409) a status meant for a deleted object of the same name.
        metadata = {"name": name, "namespace": namespace, "uid": uid} | ({"resourceVersion": version} if version else {})
        body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, "status": status}
        return await self._call("patch", resource, "PATCH", path, body, sub="/status", content="application/apply-patch+yaml")

    async def merge(self, resource: Resource, namespace: str, name: str, change: Object) -> Object:
        """Changes what `change` names and nothing else (RFC 7386). For people's commands and the Lease: the operator changes no other spec."""
        query = urlencode({"fieldManager": labels.FIELD_MANAGER})
        path = f"{resource.path(namespace, name)}?{query}"
        return await self._call("patch", resource, "PATCH", path, change, content="application/merge-patch+json")

    async def replace(self, resource: Resource, namespace: str, name: str, body: Object) -> Object:
        """PUT of the whole object. Conflict when it is not of metadata.resourceVersion any more."""
        query = urlencode({"fieldManager": labels.FIELD_MANAGER})
        return await self._call("update", resource, "PUT", f"{resource.path(namespace, name)}?{query}", body)

    async def delete(self, resource: Resource, namespace: str, name: str, *, uid: str | None = None, version: str | None = None) -> None:
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if wanted := {name: value for name, value in (("uid", uid), ("resourceVersion", version)) if value}:
            options["preconditions"] = wanted
        try:
            await self._call("delete", resource, "DELETE", resource.path(namespace, name), options)
        except NotFound:
            return
        except Conflict as error:
            if "precondition" not in str(error).lower():  # apiserver, pkg/storage: "Precondition failed: UID in precondition: …"
                raise
            # replaced by another of the name, or changed: what was to be deleted is not there

    async def read_secret(self, namespace: str, name: str) -> Mapping[str, str]:
        secret = await self.get(SECRETS, namespace, name)
        try:
            return {key: base64.b64decode(value).decode() for key, value in (secret.get("data") or {}).items()}
        except (binascii.Error, UnicodeDecodeError) as error:
            raise NotFound(f"secret {name} holds something that is no text") from error

    async def server_minor(self) -> int:
        """The minor version of the API server; 0 when it does not say."""
        answer = await self._request("get", "version", "GET", "/version")
        digits = "".join(c for c in str(answer.get("minor", "")) if c.isdigit())  # "34+" on managed clouds
        return int(digits or 0)

    async def _call(
        self, verb: str, resource: Resource, method: str, path: str, body: Object | None = None, *, sub: str = "", content: str = "application/json"
    ) -> Object:
        return await self._request(verb, resource.plural + sub, method, path, body, content=content)

    async def _request(
        self, verb: str, resource: str, method: str, path: str, body: Object | None = None, *, content: str = "application/json"
    ) -> Object:
        return _parsed(await self._send(verb, resource, method, path, body, content=content))

    async def _send(
        self, verb: str, resource: str, method: str, path: str, body: Object | None = None, *, content: str = "application/json"
    ) -> bytes:
        """The answer's text. Raises KubeError when it is none of success."""
        await self._throttle.take()
        outcome, began = "none", time.monotonic()
        try:
            headers = {"Accept": "application/json", "Content-Type": content}
            _, url, sent, _, _ = await self._client.param_serialize(method, path, header_params=headers, auth_settings=["BearerToken"])
            if method != "GET" and not self._may_write():
                raise NotLeading("this process does not lead any more: nothing is written")
            response = await self._client.call_api(method, url, header_params=sent, body=body, _request_timeout=self._timeout)
            data: bytes = await response.response.read()
            outcome = str(response.status)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if isinstance(error, aiohttp.ClientConnectorError | TimeoutError):
                self._throttle.pause(AWAY_PAUSE)
            raise Unavailable(f"no answer from the API server: {type(error).__name__}") from error
        finally:
            self._observe(verb, resource, outcome, time.monotonic() - began)
        if response.status < 300:
            return data
        answer = _parsed(data)
        if response.status == 404 and not answer:  # of an object that is missing the server says which
            answer = {"message": f"the API server does not serve {resource}; is its CRD applied?"}
        failure: KubeError = error_of(response.status, answer, response.response.headers.get("Retry-After"))
        if failure.retry_after:
            self._throttle.pause(failure.retry_after)
        raise failure


def _parsed(data: bytes) -> Object:
    """JSON of the API server; a proxy's error page is no JSON and says nothing."""
    try:
        answer = msgspec.json.decode(data)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _page(data: bytes) -> Page:
    try:
        return PAGES.decode(data)
    except ValueError as error:
        raise Unavailable("what answered a list is no API server: its text is no list") from error
