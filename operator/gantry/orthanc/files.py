"""Instance files at the speed of the disk: blocking, one connection a thread, for the fetch container.

httpx costs 3 ms of CPU a request and copies each piece; http.client reads into one buffer. Measured on a 300-slice CT (158 MB): httpx with
4 connections 0.79 s, this with 4 threads 0.20 s, curl 0.30 s (docs/decisions/2026-11-24-fetch.md). Faults are those of `errors.py`.
Metadata without pixel data comes on the same connection from the DICOMweb plugin (docs/decisions/2026-11-24-metadata.md).
It must not list, choose or retry beyond a connection that Orthanc closed while idle.
"""

import base64
import http.client
import io
from types import TracebackType
from typing import BinaryIO, Self
from urllib.parse import quote, urlsplit

from .errors import NotFound, OrthancError, Refused, ServerFault, TooSlow, Unauthorized, Unreachable
from .http import CONNECT_TIMEOUT, TRANSFER_TIMEOUT, Credentials
from .trust import Trust, context_for, fault_of

BUFFER = 1 << 20
"""Bytes read at once: a CT slice in one call. The whole memory of a connection."""
LARGEST_METADATA = 16 << 20
"""Bytes of one instance's metadata: a CT slice has 7 KB, an enhanced image of 10,000 frames 5 MB. Read as JSON it takes 20 times its size."""


class InstanceFiles:
    """One kept-alive connection to one Orthanc. Not for two threads at once; use it with `with`."""

    def __init__(
        self, url: str, *, credentials: Credentials | None = None, trust: Trust | None = None, timeout: float = TRANSFER_TIMEOUT
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Refused("the address of Orthanc must begin with http:// or https:// and name a host")
        self._context, self._host, self._port = context_for(url, trust), parts.hostname, parts.port
        self._prefix = parts.path.rstrip("/")
        self._timeout = timeout
        self._headers = {"Accept-Encoding": "identity", "User-Agent": "gantry"}
        if credentials:
            pair = f"{credentials.username}:{credentials.password}".encode()
            self._headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        self._connection: http.client.HTTPConnection | None = None
        self._buffer = memoryview(bytearray(BUFFER))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection; the next download opens a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def download(self, instance: str, file: BinaryIO) -> int:
        """Writes the DICOM file as it was stored and returns its length, which is the announced one. On an error `file` may hold a part of it."""
        path = f"/instances/{quote(instance, safe='')}/file"
        return self._get(path, file, shown=path)

    def metadata(self, root: str, *, study: str, series: str, instance: str) -> bytes:
        """The DICOM JSON of one instance (WADO-RS, PS3.18 section 10.4), by UIDs. Binary values are not sent, the pixel data among them.

        `root` is where the DICOMweb plugin answers (`Orthanc.dicom_web`). Errors do not name the UIDs.
        """
        parts = ("studies", study, "series", series, "instances", instance)
        path = root + "".join(f"/{quote(part, safe='')}" for part in parts) + "/metadata"
        answer = io.BytesIO()
        self._get(path, answer, shown=f"{root}/studies/…/metadata", accept="application/dicom+json", limit=LARGEST_METADATA)
        return answer.getvalue()

    def _get(self, path: str, file: BinaryIO, *, shown: str, accept: str = "*/*", limit: int | None = None) -> int:
        try:
            return self._copy(self._answer(path, shown=shown, accept=accept), file, shown=shown, limit=limit)
        except BaseException:
            self.close()  # what is left of the answer must not be taken for the next one
            raise

    def _answer(self, path: str, *, shown: str, accept: str) -> http.client.HTTPResponse:
        try:
            if self._connection is None:
                return self._ask(path, accept)
            try:
                return self._ask(path, accept)
            except (http.client.RemoteDisconnected, ConnectionError):  # Orthanc closes idle connections after 1 s
                self.close()
                return self._ask(path, accept)
        except TimeoutError as error:
            raise TooSlow(f"{shown}: no answer in time; Orthanc may be out of HTTP threads (HttpThreadsCount) or stopped") from error
        except (OSError, http.client.HTTPException) as error:
            if (fault := fault_of(error)) is not None:
                raise type(fault)(f"{shown}: {fault}") from error
            raise Unreachable(f"{shown}: {type(error).__name__}; check the address, DNS and that Orthanc runs") from error

    def _ask(self, path: str, accept: str) -> http.client.HTTPResponse:
        if self._connection is None:
            self._connection = self._connect()
        self._connection.request("GET", self._prefix + path, headers={**self._headers, "Accept": accept})
        return self._connection.getresponse()

    def _connect(self) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection
        if self._context:
            connection = http.client.HTTPSConnection(self._host, self._port, timeout=CONNECT_TIMEOUT, context=self._context)
        else:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=CONNECT_TIMEOUT)
        connection.connect()
        connection.sock.settimeout(self._timeout)
        return connection

    def _copy(self, answer: http.client.HTTPResponse, file: BinaryIO, *, shown: str, limit: int | None) -> int:
        if answer.status != 200:
            raise _error(answer.status)(f"{shown}: HTTP {answer.status}")
        if answer.getheader("Content-Encoding", "identity") != "identity":
            raise Refused(f"{shown}: compressed although identity was asked for; a proxy before Orthanc changes the answer")
        announced, received = answer.length, 0
        while count := self._read(shown, answer, received):
            received += count
            if limit is not None and received > limit:
                raise Refused(f"{shown}: more than {limit >> 20} MiB, which no metadata without bulk data has")
            file.write(self._buffer[:count])
        if announced is not None and received != announced:  # readinto takes the end of the connection for the end of the file
            raise Unreachable(f"{shown}: broke off after {received} of {announced} bytes")
        return received

    def _read(self, path: str, answer: http.client.HTTPResponse, received: int) -> int:
        try:
            return answer.readinto(self._buffer)
        except TimeoutError as error:
            raise TooSlow(f"{path}: stopped after {received} bytes") from error
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{path}: broke off after {received} bytes") from error


def _error(status: int) -> type[OrthancError]:
    if status in (401, 403):
        return Unauthorized
    if status == 404:
        return NotFound
    return ServerFault if status >= 500 or status in (408, 429) else Refused
