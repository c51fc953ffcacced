"""A small hospital in a namespace: an Orthanc that Gantry follows, a PACS, Gantry itself by its chart, and hands to send and look.

Used by the demo and by the end-to-end tests, so that both walk the same path. It speaks as outsiders do: kubectl, helm, C-STORE, Orthanc's REST API.
"""

import functools
import io
import json
import os
import re
import string
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from orthanc_api_client import OrthancApiClient
from pydicom import Dataset, dcmread
from pynetdicom import AE

ROOT = Path(__file__).parents[2]
MANIFESTS = Path(__file__).parent
T = TypeVar("T")


class HospitalError(RuntimeError):
    """Something did not become what it should; the message says what was waited for and what was there."""


def wait_for(what: str, look: Callable[[], T | None], *, seconds: float, pause: float = 0.1, explain: Callable[[], str] = str) -> T:
    """The first answer of `look` that is not None, False or empty. Raises HospitalError after `seconds`, with what `explain` says."""
    deadline = time.monotonic() + seconds
    between = threading.Event()
    while not (answer := look()):
        if time.monotonic() > deadline:
            raise HospitalError(f"waited {seconds:.0f} s for {what}. {explain()}")
        between.wait(pause)
    return answer


@functools.cache
def images() -> dict[str, str]:
    """Image references by name, as `make images` left them."""
    path = Path(os.environ.get("GANTRY_IMAGES", ROOT / "build" / "images.json"))
    if not path.exists():
        raise HospitalError(f"{path} is missing: run `make cluster` first")
    found: dict[str, str] = json.loads(path.read_text())
    return found


def plain_registry() -> str:
    """The registry of the one-node cluster as host:port, which has an address and speaks plain HTTP; empty when the images are of anywhere else."""
    found = re.match(r"\d+(?:\.\d+){3}:\d+(?=/)", images()["gantry/operator"])
    return found[0] if found else ""


def run(*command: str, stdin: str | None = None, seconds: float = 120) -> str:
    """Standard output of a command. Raises HospitalError with what it printed when it fails."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=seconds, check=False)
    if done.returncode != 0:
        raise HospitalError(f"`{' '.join(command[:6])}` ended with {done.returncode}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


@dataclass
class Server:
    """An Orthanc seen from outside the cluster, through `kubectl port-forward`."""

    namespace: str
    name: str
    aet: str
    forward: subprocess.Popen[str] | None = None
    ports: dict[int, int] = field(default_factory=dict)

    def port(self, remote: int) -> int:
        """The local port that leads to the server's; opened again when the forward has ended (it does with the server's container)."""
        if self.forward is not None and self.forward.poll() is not None:
            self.close()
        if self.forward is None:
            self._open()
        return self.ports[remote]

    def _open(self) -> None:
        command = ["kubectl", "-n", self.namespace, "port-forward", "--address", "127.0.0.1", f"service/{self.name}", ":8042", ":4242"]
        self.forward = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert self.forward.stdout is not None
        self.ports = {}
        while len(self.ports) < 2:
            line = self.forward.stdout.readline()
            if not line:
                raise HospitalError(f"`{' '.join(command)}` ended before it forwarded")
            if found := re.search(r"127\.0\.0\.1:(\d+) -> (\d+)", line):
                self.ports[int(found[2])] = int(found[1])

    def close(self) -> None:
        if self.forward is not None:
            self._ended(self.forward)
            self.forward = None

    @staticmethod
    def _ended(forward: subprocess.Popen[str]) -> None:
        forward.terminate()
        forward.wait()
        assert forward.stdout is not None
        forward.stdout.close()

    @property
    def api(self) -> OrthancApiClient:
        return OrthancApiClient(f"http://127.0.0.1:{self.port(8042)}", user="viewer", pwd="viewer-demo")

    def send(self, files: Sequence[Path], *, calling: str = "CT_1") -> None:
        """C-STORE of all files on one association. Raises HospitalError when one is not taken."""
        first = dcmread(files[0], stop_before_pixels=True)
        entity = AE(ae_title=calling)
        entity.add_requested_context(first.SOPClassUID, first.file_meta.TransferSyntaxUID)
        association = entity.associate("127.0.0.1", self.port(4242), ae_title=self.aet)
        if not association.is_established:
            raise HospitalError(f"{self.aet} refuses the association")
        try:
            for path in files:
                status = association.send_c_store(dcmread(path))
                if not status or status.Status != 0:
                    raise HospitalError(f"{self.aet} did not take {path.name}: {status}")
        finally:
            association.release()

    def instances(self, study_uid: str, modality: str = "*") -> list[str]:
        """Orthanc ids of a study's instances, of one modality or of all."""
        query = {"Level": "Series", "Expand": True, "Query": {"StudyInstanceUID": study_uid, "Modality": modality}}
        return [instance for series in self.api.post("/tools/find", json=query).json() for instance in series["Instances"]]

    def download(self, instance: str) -> Dataset:
        return dcmread(io.BytesIO(self.api.get_binary(f"/instances/{instance}/file")))


@dataclass
class Hospital:
    """One namespace with both servers and Gantry. `close` ends the forwards; the namespace stays until `delete`."""

    namespace: str
    orthanc: Server = field(init=False)
    pacs: Server = field(init=False)

    def __post_init__(self) -> None:
        self.orthanc = Server(self.namespace, "orthanc", "ORTHANC")
        self.pacs = Server(self.namespace, "pacs", "PACS")

    def kubectl(self, *arguments: str, stdin: str | None = None, seconds: float = 120) -> str:
        return run("kubectl", "-n", self.namespace, *arguments, stdin=stdin, seconds=seconds)

    def get(self, *arguments: str) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.kubectl("get", *arguments, "-o", "json"))
        return answer

    def apply(self, path: Path, **values: str) -> None:
        """Applies a manifest, `$names` in it filled in with image references and `values`."""
        known = {name.replace("gantry/", "").replace("-", "_") + "_image": reference for name, reference in images().items()}
        self.kubectl("apply", "-f", "-", stdin=string.Template(path.read_text()).substitute(known | values))

    def create_namespace(self) -> None:
        """A namespace that takes restricted pods only, ready for pods."""
        namespace = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": self.namespace, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
        }
        run("kubectl", "apply", "-f", "-", stdin=json.dumps(namespace))
        wait_for("the namespace's service account", lambda: run("kubectl", "-n", self.namespace, "get", "serviceaccounts", "-o", "name"), seconds=30)

    def start_servers(self) -> None:
        self.apply(MANIFESTS / "hospital.yaml")

    def install_gantry(self, *values: str) -> None:
        """The chart, as a platform engineer would: `helm upgrade --install --wait`, with `values` as for --set."""
        built = {f"image.{name}": images()[f"gantry/{name}"] for name in ("operator", "worker")}
        plain = plain_registry()
        insecure = [f"registries.insecure={{{plain}}}"] if plain else []
        settings = [*(f"{key}={value}" for key, value in built.items()), *insecure, *values]
        command = ("helm", "upgrade", "--install", "gantry", str(ROOT / "charts" / "gantry"), "-n", self.namespace, "--wait", "--timeout", "3m")
        run(*command, *(part for setting in settings for part in ("--set", setting)), seconds=240)

    def wait_for_servers(self) -> None:
        for name in ("orthanc", "pacs"):
            self.kubectl("rollout", "status", f"deployment/{name}", "--timeout=180s", seconds=200)

    def wait_until_ready(self, *objects: str, seconds: int = 60) -> None:
        self.kubectl("wait", "--for=condition=Ready", f"--timeout={seconds}s", *objects, seconds=seconds + 20)

    def runs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("inferenceruns")["items"]
        return found

    def wait_for_finished_runs(self, count: int, *, seconds: float = 120) -> list[dict[str, Any]]:
        """All Runs of the namespace, once there are `count` and each is finished."""

        def look() -> list[dict[str, Any]] | None:
            found = self.runs()
            return found if len(found) >= count and all(map(finished, found)) else None

        def explain() -> str:
            return "There are:\n" + self.kubectl("get", "irun,pods", "-o", "wide")

        return wait_for(f"{count} finished Runs", look, seconds=seconds, explain=explain)

    def close(self) -> None:
        self.orthanc.close()
        self.pacs.close()

    def delete(self) -> None:
        run("kubectl", "delete", "namespace", self.namespace, "--wait=true", "--timeout=120s", seconds=150)



def finished(run_object: dict[str, Any]) -> bool:
    """Whether a Run has condition Complete or Failed."""
    return any(condition(run_object, kind)["status"] == "True" for kind in ("Complete", "Failed"))


def condition(resource: dict[str, Any], kind: str) -> dict[str, Any]:
    """One condition of a resource; status Unknown when it is not there."""
    found = (resource.get("status") or {}).get("conditions") or []
    return next((one for one in found if one["type"] == kind), {"type": kind, "status": "Unknown", "reason": "", "message": ""})
