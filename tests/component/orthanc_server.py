"""A real Orthanc (the Debian package) as a process on free loopback ports, with its database in a folder of the test.

It is started, stopped, killed and started again on the same ports and database; the log is shown when it does not come up.
"""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from tests.component.control_plane import free_port

BINARY = os.environ.get("ORTHANC_BIN", "/usr/sbin/Orthanc")
DICOMWEB_PLUGIN = Path(os.environ.get("DICOMWEB_PLUGIN", "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"))
START_LIMIT = 30.0  # seconds; 0.6 on an idle machine
STOP_LIMIT = 20.0  # seconds; a SIGTERM stop takes 3 to 4
USERNAME = "gantry"
PASSWORD = "secret"


class OrthancServer:
    """One server. `config` overrides the defaults of `configuration`; `None` as a value removes a key."""

    def __init__(self, folder: Path, *, name: str = "ORTHANC", config: dict[str, Any] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.name = name
        self.overrides = dict(config or {})
        self.http_port = free_port()
        self.dicom_port = free_port()
        self.username = USERNAME
        self.password = PASSWORD
        self.process: subprocess.Popen[bytes] | None = None
        self._client: httpx.Client | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def aet(self) -> str:
        return self.name

    @property
    def pid(self) -> int:
        assert self.process is not None, "the server is not started"
        return self.process.pid

    @property
    def log(self) -> str:
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def configuration(self) -> dict[str, Any]:
        """The settings every test needs: users on, quickly stable, jobs remembered, DICOMweb when the plugin is there."""
        settings = {
            "Name": self.name,
            "StorageDirectory": str(self.folder / "db"),
            "IndexDirectory": str(self.folder / "db"),
            "HttpPort": self.http_port,
            "DicomPort": self.dicom_port,
            "DicomAet": self.name,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": True,
            "RegisteredUsers": {self.username: self.password, "other": "other"},
            "StableAge": 1,
            "OverwriteInstances": False,
            "ConcurrentJobs": 2,
            "HttpThreadsCount": 50,
            "DicomCheckCalledAet": False,
            "DicomAlwaysAllowStore": True,
            "JobsHistorySize": 1000,
            "SaveJobs": True,
            "SyncStorageArea": False,
            "Plugins": [str(DICOMWEB_PLUGIN)] if DICOMWEB_PLUGIN.exists() else [],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
            **self.overrides,
        }
        return {key: value for key, value in settings.items() if value is not None}

    def start(self) -> None:
        """Returns when the REST API answers. Raises RuntimeError with the end of the log when it does not."""
        assert self.process is None, "the server is already started"
        (self.folder / "orthanc.json").write_text(json.dumps(self.configuration(), indent=1))
        environment = {**os.environ, "TCP_NODELAY": "1", "MALLOC_ARENA_MAX": "5"}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [BINARY, "orthanc.json"], stdout=log, stderr=subprocess.STDOUT, cwd=self.folder, env=environment
            )
        self._client = httpx.Client(
            base_url=self.url, auth=(self.username, self.password), timeout=30, trust_env=False,
            headers={"Accept-Encoding": "identity"}, limits=httpx.Limits(keepalive_expiry=0.5),
        )  # fmt: skip
        deadline = time.monotonic() + START_LIMIT
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(httpx.TransportError):  # not listening yet: what is waited for
                if self._client.get("/system").status_code in (200, 401):
                    return
            time.sleep(0.05)
        self.kill()
        raise RuntimeError(f"Orthanc did not come up; the end of its log:\n{self.log[-3000:]}")

    def stop(self) -> None:
        """An orderly stop (SIGTERM)."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """As the kernel does it (SIGKILL); the database stays."""
        self._end(signal.SIGKILL)

    def restart(self, *, wipe: bool = False, config: dict[str, Any] | None = None) -> None:
        """Kills and starts again, on the same ports. `wipe` gives it an empty database."""
        self.kill()
        if wipe:
            for path in sorted((self.folder / "db").rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
        self.overrides.update(config or {})
        self.start()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Stopped by SIGSTOP: connections are accepted by the kernel and never answered."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
        if self.process is None:
            return
        self.process.send_signal(number)
        try:
            self.process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def rest(self, method: str, path: str, *, json: Any = None, content: bytes | None = None) -> Any:
        """One REST call as the server's user, for arranging and looking. Raises httpx.HTTPStatusError on 4xx and 5xx."""
        assert self._client is not None, "the server is not started"
        answer = self._client.request(method, path, json=json, content=content)
        answer.raise_for_status()
        kind = answer.headers.get("content-type", "")
        return answer.json() if "json" in kind else answer.content

    def upload(self, *files: bytes, user: str | None = None) -> list[dict[str, Any]]:
        """POST /instances of each; `user="other"` stores under the second account, as a viewer or a person would."""
        answers = []
        for dicom in files:
            auth = httpx.BasicAuth(user, user) if user else httpx.USE_CLIENT_DEFAULT
            assert self._client is not None, "the server is not started"
            answer = self._client.post("/instances", content=dicom, auth=auth)
            answer.raise_for_status()
            answers.append(answer.json())
        return answers

    def studies(self) -> list[str]:
        found: list[str] = self.rest("GET", "/studies")
        return found


@contextlib.contextmanager
def orthanc_server(folder: Path, *, name: str = "ORTHANC", config: dict[str, Any] | None = None) -> Iterator[OrthancServer]:
    """A started server, ended with the block."""
    server = OrthancServer(folder, name=name, config=config)
    server.start()
    try:
        yield server
    finally:
        server.kill()
