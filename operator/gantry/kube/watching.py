"""One kind's changes from a version on, as the API server streams them.

One request and no more: whoever asks goes on from the last version when it ends, and lists anew when that is Expired. Nothing is decided here.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp
import msgspec

from .errors import Unavailable, error_of
from .resources import Resource

SILENCE = 70.0
"""Seconds without a byte after which the connection counts as cut; bookmarks come once a minute."""
CONNECT = 5.0
"""Seconds; else a SYN without an answer waits on the kernel: 17 s late after a cut of 120 s."""
SERVER_ENDS_AFTER = 300
"""Seconds after which the server ends a watch, so that replicas of it share them anew."""
READ = 2**16
"""Bytes at once: some ten objects, 3 ms of work, before others have their turn."""


@dataclass(frozen=True, slots=True)
class Change:
    """What became of an object. Of a bookmark only the version counts."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: dict[str, Any]

    @property
    def version(self) -> str:
        """Where to go on from once this has been taken note of."""
        return str(self.object["metadata"]["resourceVersion"])


async def changes(
    session: aiohttp.ClientSession, host: str, resource: Resource, namespace: str | None, *, version: str, selector: str = "", fields: str = ""
) -> AsyncIterator[Change]:
    """Until the server ends it, which it does every few minutes. `selector` of labels, `fields` of fields; an object that a change puts out of
    `fields` is told as DELETED, with its new version.

    Raises Expired when the version is too old, Unavailable when the connection breaks or nothing was heard for SILENCE, else as `error_of` has it.
    """
    query = {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": version, "timeoutSeconds": str(SERVER_ENDS_AFTER)}
    query |= ({"labelSelector": selector} if selector else {}) | ({"fieldSelector": fields} if fields else {})
    patience = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT, sock_read=SILENCE)
    try:
        async with session.get(host + resource.path(namespace), params=query, timeout=patience) as response:
            if response.status != 200:
                raise error_of(response.status, _status(await response.read()), response.headers.get("Retry-After"))
            rest = b""
            async for piece in response.content.iter_chunked(READ):
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    yield _change(line)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Unavailable(f"the watch of {resource.plural} broke off: {type(error).__name__}") from error


def _change(line: bytes) -> Change:
    """A line of the stream."""
    told = msgspec.json.decode(line)
    if told["type"] == "ERROR":
        raise error_of(told["object"].get("code", 500), told["object"])
    return Change(told["type"], told["object"])


def _status(body: bytes) -> dict[str, Any]:
    """The server's words; a proxy's error page is no JSON and says nothing."""
    try:
        told = msgspec.json.decode(body)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
