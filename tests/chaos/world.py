"""The parts of a hospital as processes on this machine, started once for all faults.

    storescu ─▶ Orthanc ◀─ proxy ─ operator, fetch, publish          PACS ◀─ Orthanc
                 operator ─ proxy ─▶ API server, etcd, Job controller, garbage collector ◀─ played kubelet

Only the kubelet and the scheduler are played. Faults take the parts from here; they put back what they change.
"""

import contextlib
import json
import shutil
import ssl
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.builders import BRIDGE, PIPELINE, changed
from tests.chaos.journal import Journal
from tests.chaos.kubelet import Kubelet, build_launcher
from tests.chaos.pacs import Pacs
from tests.chaos.plane import Plane, whole_plane
from tests.chaos.proxy import Proxy
from tests.chaos.stream import Study
from tests.component.operator_process import Api, Hospital, Operator, a_hospital, service_account, wait
from tests.component.orthanc_server import OrthancServer

from gantry.kube import BRIDGES

NAMESPACE = "radiology"
PIPELINE_NAME = "looker"
FINDINGS = {
    "schemaVersion": "v1alpha1",
    "algorithms": [{"id": "a", "name": "Looker", "version": "1", "manufacturer": "Example"}],
    "evaluatedFor": [{"scheme": "SCT", "value": "427359005", "meaning": "Solitary nodule of lung"}],
    "findings": [],
}
STEP_SECONDS = 0.4
"""The application's work: long enough to be killed in it."""
ORTHANC_SETTINGS = {"DicomModalitiesInDatabase": True, "OrthancPeersInDatabase": True}


def pipeline(name: str = PIPELINE_NAME, *, retries: int = 3, tolerations: Sequence[dict[str, Any]] = (), at_once: int = 0) -> dict[str, Any]:
    """An application that finds nothing, and takes a moment for it."""
    script = f"sleep {STEP_SECONDS}; printf %s '{json.dumps(FINDINGS)}' > \"$GANTRY_OUTPUT/findings.json\""
    step = {"name": "detect", "image": "localhost/looker:1", "command": ["sh", "-c", script]}
    made = changed(changed(PIPELINE, "metadata.name", name), "spec.template.steps", [step])
    if tolerations:
        made = changed(made, "spec.template.scheduling", {"tolerations": [*tolerations]})
    if at_once:
        made = changed(made, "spec.concurrency", {"maxActive": at_once})
    return changed(changed(made, "spec.template.retries", retries), "spec.template.timeout", "10m")


def secret(password: str) -> dict[str, Any]:
    data = {"username": "gantry", "password": password}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "orthanc"}, "type": "kubernetes.io/basic-auth", "stringData": data}


class World:
    """Everything a fault may touch."""

    def __init__(self, plane: Plane, folder: Path, mutant: str) -> None:
        self.folder, self.plane, self.mutant = folder, plane, mutant
        self.hospital: Hospital = a_hospital(plane.plane, folder, NAMESPACE, bridge=None, pipeline=None)
        self.api: Api = self.hospital.api
        self.orthanc = OrthancServer(folder / "orthanc", config=ORTHANC_SETTINGS)
        self.orthanc_proxy = Proxy(self.orthanc.url)
        self.api_proxy = Proxy(plane.plane.url, context=ssl.create_default_context(cafile=str(plane.plane.ca)))
        self.pacs = Pacs()
        self.kubelet = Kubelet(Api(plane.plane), NAMESPACE, folder / "pods", build_launcher(folder))
        self.journal = Journal(Api(plane.plane), NAMESPACE, self.kubelet)
        self.clock = folder / "clock"
        self.operators: list[Operator] = []

    def start(self) -> None:
        self.orthanc.start()
        for part in (self.orthanc_proxy, self.api_proxy, self.kubelet, self.journal):
            part.start()
        self.hospital.apply(secret(self.orthanc.password), self.bridge(), pipeline())
        self.add_operator().start()
        self.is_ready()

    def close(self) -> None:
        for operator in self.operators:
            operator.kill()
            operator.http.close()
        self.journal.close()
        self.kubelet.close()
        for proxy in (self.orthanc_proxy, self.api_proxy):
            proxy.close()
        self.pacs.close()
        self.orthanc.kill()
        for api in (self.api, self.kubelet.api, self.journal.api):
            api.http.close()

    # ---- what is in it ----

    def bridge(self, **watch: str) -> dict[str, Any]:
        made = changed(changed(BRIDGE, "spec.url", self.orthanc_proxy.url), "spec.watch", {"pollInterval": "200ms", "reconcileInterval": "10s", **watch})
        node = {"aet": "PACS", "host": "127.0.0.1", "port": self.pacs.port}
        return changed(made, "spec.destinations", [{"name": "pacs", "dicom": node}])

    @property
    def operator(self) -> Operator:
        return self.operators[0]

    def add_operator(self, **more: str) -> Operator:
        """Another process with the same settings and `more`, not started; it asks the API server through the proxy."""
        kubeconfig = json.loads(service_account(self.hospital).read_text())
        kubeconfig["clusters"] = [{"name": "test", "cluster": {"server": self.api_proxy.url}}]
        through = self.folder / "proxied.kubeconfig"
        through.write_text(json.dumps(kubeconfig))
        environment = {"KUBECONFIG": str(through), "GANTRY_CHAOS_MUTANT": self.mutant, "GANTRY_CHAOS_CLOCK": str(self.clock), **more}
        made = Operator(self.hospital, environment, module="tests.chaos.changed_operator")
        self.operators.append(made)
        return made

    def is_ready(self) -> None:
        """The bridge says so."""

        def ready() -> bool:
            status = (self.api.get(BRIDGES, NAMESPACE, "main") or {}).get("status") or {}
            return any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions", []))

        wait(ready, "the bridge is ready", limit=90, tell=lambda: self.operator.log[-3000:])

    def study(self, episode: str, number: int, *, images: int = 2) -> Study:
        name = f"{episode} {number}"
        return Study(number, name, self.folder / "studies" / episode / str(number), images).written()

    def decisions(self) -> dict[str, set[str]]:
        """Outcomes of decisions by study, from the logs of all operators."""
        found: dict[str, set[str]] = {}
        for operator in self.operators:
            for line in operator.log.splitlines():
                if '"decision"' in line:
                    with contextlib.suppress(ValueError):  # a line cut by a kill
                        told = json.loads(line)
                        if told.get("message") == "decision" and told.get("pipeline", "").startswith(PIPELINE_NAME):
                            found.setdefault(told["study"], set()).add(told["outcome"])
        return found


@contextlib.contextmanager
def a_world(folder: Path, *, mutant: str = "") -> Iterator[World]:
    """Started; ended with the block. `folder` is emptied first."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with whole_plane(folder / "plane", nodes_are_lost=True) as plane:
        world = World(plane, folder, mutant)
        try:
            world.start()
            yield world
        except BaseException:
            print(f"the operator's log is in {folder}", file=sys.stderr)
            raise
        finally:
            world.close()
