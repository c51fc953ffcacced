"""The one-node cluster as a world: Gantry by its chart, containers and kubelet as they are, an Orthanc as PACS. Inside `cluster/sandbox` only.

It looks to episodes and ledgers as `world.World` does: same names, same meaning. Services are reached by their cluster addresses, for the harness
runs on the node itself.
"""

import base64
import json
import os
import signal
import ssl
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import yaml
from examples.demo.hospital import Hospital
from tests.chaos.journal import CONTAINERS, Journal, Stage
from tests.chaos.stream import Study
from tests.component.operator_process import Api
from tests.e2e.pipelines import pipeline, python

from gantry.api import labels
from gantry.kube import PODS

NAMESPACE = "chaos"
PIPELINE_NAME = "looker"
WORK = python("import time; time.sleep(2); negative()")
Object = dict[str, Any]


class ClusterApi(Api):
    """The API server by the certificate of KUBECONFIG."""

    def __init__(self) -> None:
        made = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
        cluster, user = made["clusters"][0]["cluster"], made["users"][0]["user"]
        context = ssl.create_default_context(cadata=_text(cluster, "certificate-authority"))
        with tempfile.TemporaryDirectory() as folder:  # ssl takes them from files only
            files = [Path(folder) / name for name in ("client-certificate", "client-key")]
            for file in files:
                file.write_text(_text(user, file.name))
            context.load_cert_chain(*files)
        self.http = httpx.Client(base_url=cluster["server"], verify=context, timeout=10, trust_env=False)


def _text(where: Object, name: str) -> str:
    if f"{name}-data" in where:
        return base64.b64decode(where[f"{name}-data"]).decode()
    return Path(where[name]).read_text()


class Server:
    """An Orthanc by its service's address. Each call is a connection of its own: its container may be another by now."""

    dicom_port = 4242

    def __init__(self, address: str) -> None:
        self.address = address

    def rest(self, method: str, path: str, *, json: Any = None) -> Any:
        answer = httpx.request(method, f"http://{self.address}:8042{path}", json=json, auth=("viewer", "viewer-demo"), timeout=20, trust_env=False)
        answer.raise_for_status()
        return answer.json() if "json" in answer.headers.get("content-type", "") else answer.content


class PacsServer(Server):
    """The PACS: what it holds, as `pacs.Pacs` tells it. Bytes behind the meta information: its own differs."""

    @property
    def studies(self) -> dict[str, str]:
        query = {"Level": "Instance", "Expand": True, "Query": {"Modality": "SR"}, "RequestedTags": ["StudyInstanceUID"]}
        found: dict[str, str] = {}
        for one in self.rest("POST", "/tools/find", json=query):
            tags = self.rest("GET", f"/instances/{one['ID']}/simplified-tags")
            found[tags["SOPInstanceUID"]] = tags["StudyInstanceUID"]
        return found

    @property
    def stored(self) -> dict[str, list[bytes]]:
        made: dict[str, list[bytes]] = {}
        for one in self.rest("POST", "/tools/find", json={"Level": "Instance", "Expand": True, "Query": {"Modality": "SR"}}):
            file = self.rest("GET", f"/instances/{one['ID']}/file")
            made.setdefault(one["MainDicomTags"]["SOPInstanceUID"], []).append(file[144 + int.from_bytes(file[140:144], "little") :])
        return made


class Nodes:
    """In the place of the played kubelet: what the real one says of containers, for the stages."""

    def __init__(self, api: Api) -> None:
        self.api, self.observers, self.errors = api, [], list[str]()
        self._seen: set[tuple[str, str]] = set()

    def look(self, journal: Journal) -> None:
        for pod in self.api.list(PODS, NAMESPACE):
            run = pod["metadata"].get("labels", {}).get(labels.RUN)
            status = pod.get("status") or {}
            for one in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
                if run and one["name"] in CONTAINERS and "waiting" not in one["state"]:
                    journal.containers[run] = max(CONTAINERS[one["name"]], journal.containers.get(run, Stage.SENT))


class ClusterJournal(Journal):
    """Learns of containers by their pods' statuses."""

    def __init__(self, api: Api, nodes: Nodes) -> None:
        super().__init__(api, NAMESPACE, nodes)  # type: ignore[arg-type]
        self.nodes = nodes

    def look(self) -> None:
        super().look()
        self.nodes.look(self)


class ClusterWorld:
    """Started by `start`, ended with the sandbox."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.place = folder, Hospital(NAMESPACE)
        self.api: Api = ClusterApi()
        self.kubelet = Nodes(ClusterApi())
        self.journal = ClusterJournal(ClusterApi(), self.kubelet)
        self._told: dict[str, set[str]] = {}
        self._ending = threading.Event()

    def start(self) -> None:
        self.place.create_namespace()
        self.place.start_servers()
        self.place.install_gantry("imagePullLimitSeconds=20")
        self.place.wait_for_servers()
        self.place.apply(Path(__file__).parents[1] / "e2e" / "bridge.yaml")
        self.place.wait_until_ready("obridge/main")
        self.apply(pipeline(PIPELINE_NAME, WORK, retries=3, timeout="10m"))
        address = {one: self.place.get("service", one)["spec"]["clusterIP"] for one in ("orthanc", "pacs")}
        self.orthanc, self.pacs = Server(address["orthanc"]), PacsServer(address["pacs"])
        self.journal.start()
        threading.Thread(target=self._read_decisions, daemon=True).start()

    def close(self) -> None:
        self._ending.set()
        self.journal.close()

    def apply(self, *objects: Object) -> None:
        self.place.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))
        for one in objects:
            self.place.wait_until_ready(f"ipl/{one['metadata']['name']}")

    def study(self, episode: str, number: int, *, images: int = 2) -> Study:
        return Study(number, f"{episode} {number}", self.folder / episode / str(number), images, host=self.orthanc.address).written(rows=64)

    def _read_decisions(self) -> None:
        """From the logs of the operator's pods, of ended containers too, as long as the kubelet keeps them."""
        while not self._ending.wait(0.5):
            for pod in _try(lambda: self.api.list(PODS, NAMESPACE)) or ():
                if pod["metadata"].get("labels", {}).get("app.kubernetes.io/name") == "gantry":
                    for previous in ("", "&previous=true"):
                        path = PODS.path(NAMESPACE, pod["metadata"]["name"], "log") + "?container=operator" + previous
                        answer = _try(lambda path=path: self.api.http.get(path))  # type: ignore[misc]
                        self._take(answer.text if answer is not None and answer.is_success else "")

    def _take(self, log: str) -> None:
        for line in log.splitlines():
            if '"decision"' in line and line.endswith("}"):
                told = json.loads(line)
                self._told.setdefault(told["study"], set()).add(told["outcome"])

    def decisions(self) -> dict[str, set[str]]:
        return dict(self._told)

    def kill(self, *words: str, pod: str = "", within: float = 60.0) -> bool:
        """SIGKILL to the first process that has these words in its command line, in a pod whose name begins so; waits until there is one."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            for one in Path("/proc").iterdir():
                if one.name.isdigit() and all(word in _words(one, "cmdline") for word in words) and _in_pod(one, pod):
                    try:
                        os.kill(int(one.name), signal.SIGKILL)
                    except ProcessLookupError:
                        continue
                    return True
            time.sleep(0.01)
        return False


def kubelet() -> int:
    """Its pid. Raises RuntimeError outside of a sandbox."""
    for one in Path("/proc").iterdir():
        words = _words(one, "cmdline") if one.name.isdigit() else []
        if words and words[0].endswith("kubelet"):
            return int(one.name)
    raise RuntimeError("no kubelet runs here: is this inside cluster/sandbox?")


def _words(process: Path, file: str) -> list[str]:
    try:
        return (process / file).read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []  # it ended meanwhile


def _in_pod(process: Path, pod: str) -> bool:
    """The container runtime gives every container its pod's name as HOSTNAME."""
    return any(word.startswith(f"HOSTNAME={pod}") for word in _words(process, "environ"))


def _try(ask: Any) -> Any:
    """None while the API server is away."""
    try:
        return ask()
    except (httpx.HTTPError, AssertionError, KeyError, ValueError):
        return None
