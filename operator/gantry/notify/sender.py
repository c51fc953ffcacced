"""The only HTTP to receivers of events: one POST, and whether it was accepted.

The address is written by whoever may write pipelines, so the operator must not become their way to places they cannot reach: only this one body is
sent, nothing of the answer but its status is read or told, redirects are not followed, no proxy or credential of the environment is used, and
addresses of the machine itself are refused after the name was resolved, on the very address that is connected to.
"""

import asyncio
import ipaddress
import os
import socket
import ssl
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import lru_cache
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from .events import CONTENT_TYPE, Event
from .signature import headers

TIMEOUT = 10.0
"""Seconds for the whole request: a receiver takes an event and works on it afterwards."""
LONGEST_HEADER = 8190
"""Bytes; aiohttp's own bound, of a line and of a field."""
CONNECTIONS = 16


class NotAccepted(Exception):
    """The receiver does not have the event. The message is for people, without path and answer."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where events go."""

    url: str
    key: bytes = field(repr=False)
    ca: str | None = None
    """Certificates in PEM; None: the well-known ones."""

    @property
    def shown(self) -> str:
        """Without path: what stands there may be a secret of the receiver's."""
        return shown(self.url)


def shown(url: str) -> str:
    """Scheme, host and port."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


class Sender:
    """`send` one event. `hosts`: names and addresses that are allowed whatever address they have."""

    def __init__(self, *, hosts: Collection[str], clock: Callable[[], float]) -> None:
        self._hosts, self._clock = frozenset(hosts), clock
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the kept-alive connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def send(self, receiver: Receiver, event: Event) -> None:
        """Raises NotAccepted."""
        host = urlsplit(receiver.url).hostname or ""
        if host not in self._hosts and _is_address(host) and _refused(host):
            raise NotAccepted(f"{receiver.shown} is an address of the machine itself or of its link; give the receiver's own")
        signed = headers(receiver.key, event.id, int(self._clock()), event.body)
        try:
            trust = await asyncio.to_thread(_trust, receiver.ca) if receiver.url.startswith("https:") else True
            async with self._client().post(
                receiver.url,
                data=event.body,
                headers={**signed, "Content-Type": CONTENT_TYPE, "User-Agent": "gantry"},
                allow_redirects=False,
                ssl=trust,
            ) as answer:
                status = answer.status  # the body is never read: the connection closes with what is left of it
        except TimeoutError as error:
            raise NotAccepted(f"{receiver.shown} does not answer within {TIMEOUT:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NotAccepted(f"{receiver.shown}: {_words(error)}") from error
        if not 200 <= status < 300:
            more = "; redirects are not followed, write the final address" if 300 <= status < 400 else ""
            raise NotAccepted(f"{receiver.shown} answers HTTP {status}{more}")

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(resolver=_Resolver(self._hosts), limit=CONNECTIONS, ttl_dns_cache=10)
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=TIMEOUT),
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                max_line_size=LONGEST_HEADER,
                max_field_size=LONGEST_HEADER,
            )
        return self._session


class _Resolver(AbstractResolver):
    """Names become addresses that may be connected to."""

    def __init__(self, hosts: frozenset[str]) -> None:
        self._hosts = hosts
        self._system = ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        found = await self._system.resolve(host, port, family)
        if host in self._hosts:
            return found
        allowed = [one for one in found if not _refused(one["host"])]
        if not allowed:
            raise OSError(None, "its name leads to the machine itself or to its link")
        return allowed

    async def close(self) -> None:
        await self._system.close()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _refused(text: str) -> bool:
    """Loopback, link-local (169.254.169.254 is the metadata service of clouds), multicast, 0.0.0.0; in IPv4 written as IPv6, too."""
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    one = mapped or address
    return bool(one.is_loopback or one.is_link_local or one.is_multicast or one.is_unspecified)


@lru_cache(maxsize=32)
def _trust(ca: str | None) -> ssl.SSLContext:
    """Reading the well-known authorities takes 20 ms."""
    return ssl.create_default_context(cadata=ca)


def _words(error: Exception) -> str:
    """What failed, without the address again."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "its certificate is not trusted; name its authority in tls.caSecretRef"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        cause: Any = error.os_error
        return cause.strerror if cause and cause.errno is None and cause.strerror else "its name cannot be resolved"
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno
        return f"no connection ({os.strerror(number) if number else type(error.os_error).__name__})"
    if isinstance(error, ssl.SSLError) and not isinstance(error, aiohttp.ClientError):
        return "tls.caSecretRef holds no certificates in PEM"
    return f"it broke off ({type(error).__name__})"
