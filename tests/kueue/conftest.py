"""A hospital whose Gantry may read Kueue's kinds, and quotas of its own. The cluster with Kueue in it is there already (`make test-kueue`)."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from examples.demo.hospital import Hospital, HospitalError, condition, run, wait_for
from examples.phantom.make_ct import Options, make_series
from pydicom import dcmread
from tests.e2e.conftest import BESIDE_OTHERS, crds, hospital, pytest_runtest_makereport  # noqa: F401 - fixtures and a hook
from tests.e2e.pipelines import pipeline, python

KUEUE = "kueue.x-k8s.io/v1beta2"
LIMIT = 180.0
"""Seconds a condition may take. A Run whose queue is missing or stopped looks again after a minute."""
NODE = {"gpu.example/model": "a100", "nvidia.com/gpu.memory": "40960"}
"""Labels of the one node: as GPU feature discovery would set them, and one of the hospital's own."""
UNTIL_TOLD = "import time\nwhile not pathlib.Path('/tmp/go').exists(): time.sleep(0.05)\nnegative()"
Object = dict[str, Any]


def applied(*objects: Object, namespace: str = "default") -> None:
    run("kubectl", "-n", namespace, "apply", "--server-side", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))


def flavor(name: str, **labels: str) -> Object:
    spec = {"nodeLabels": labels} if labels else {}
    return {"apiVersion": KUEUE, "kind": "ResourceFlavor", "metadata": {"name": name}, "spec": spec}


def workload_class(name: str, value: int) -> Object:
    return {"apiVersion": KUEUE, "kind": "WorkloadPriorityClass", "metadata": {"name": name}, "value": value}


@dataclass
class Queues:
    """LocalQueue, ClusterQueue and Runs of one hospital."""

    hospital: Hospital
    folder: Path
    studies: dict[str, str] = field(default_factory=dict)
    """StudyInstanceUID by pipeline."""

    @property
    def cluster_queue(self) -> str:
        return f"gpus-{self.hospital.namespace}"

    def quota(self, *flavors: str, gpus: int = 1, **spec: Any) -> None:
        """A ClusterQueue with so many GPUs of each flavor, and CPU and memory enough; the more urgent puts the less urgent out."""
        sizes = {"cpu": 32, "memory": "64Gi", "nvidia.com/gpu": gpus}
        offered = [{"name": one, "resources": [{"name": name, "nominalQuota": size} for name, size in sizes.items()]} for one in flavors]
        body = {"namespaceSelector": {}, "resourceGroups": [{"coveredResources": [*sizes], "flavors": offered}]}
        body |= {"preemption": {"withinClusterQueue": "LowerPriority"}, **spec}
        applied({"apiVersion": KUEUE, "kind": "ClusterQueue", "metadata": {"name": self.cluster_queue}, "spec": body})

    def local_queue(self, name: str = "radiology") -> None:
        applied(
            {"apiVersion": KUEUE, "kind": "LocalQueue", "metadata": {"name": name}, "spec": {"clusterQueue": self.cluster_queue}},
            namespace=self.hospital.namespace,
        )

    def a_pipeline(
        self, name: str, program: str = UNTIL_TOLD, *, gpus: int = 1, scheduling: Object | None = None, resources: Object | None = None, **template: Any
    ) -> Object:
        """Of studies with the accession number `name`; its step waits for `go`, or does what `program` says."""
        step = {"resources": {"limits": {"nvidia.com/gpu": gpus, "memory": "512Mi"}, **(resources or {})}}
        queued = {"queueName": "radiology"} if scheduling is None else scheduling
        made = pipeline(name, python(program), step=step, scheduling=queued, **template)
        made["spec"]["match"]["study"].append({"tag": "AccessionNumber", "operator": "In", "values": [name.upper()]})
        return made

    def send(self, name: str) -> None:
        """A study for that pipeline."""
        make_series(self.folder / name, Options(slices=4, matrix=64, spheres=0, accession=name.upper()))
        files = sorted((self.folder / name).glob("*.dcm"))
        self.studies[name] = str(dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)
        self.hospital.orthanc.send(files)

    def run(self, name: str) -> Object | None:
        """The Run of that pipeline. There is never more than one."""
        found: list[Object] = self.hospital.get("irun", "-l", f"gantry.health/pipeline={name}")["items"]
        assert len(found) <= 1
        return found[0] if found else None

    def job(self, name: str) -> Object:
        (found,) = self.hospital.get("jobs", "-l", f"gantry.health/pipeline={name}")["items"]
        assert isinstance(found, dict)
        return found

    def pods(self, name: str) -> list[Object]:
        found: list[Object] = self.hospital.get("pods", "-l", f"gantry.health/pipeline={name}")["items"]
        return found

    def workload(self, name: str) -> Object:
        """As people are told to find it."""
        (found,) = self.hospital.get("workloads.v1beta2.kueue.x-k8s.io", "-l", f"kueue.x-k8s.io/job-uid={self.job(name)['metadata']['uid']}")["items"]
        assert isinstance(found, dict)
        return found

    def state(self, name: str) -> str:
        return str(((self.run(name) or {}).get("status") or {}).get("state", ""))

    def says(self, name: str) -> str:
        """`Reason: message` of Executed."""
        found = condition(self.run(name) or {}, "Executed")
        return f"{found['reason']}: {found['message']}"

    def until_pipeline_says(self, name: str, words: str) -> None:
        """Of its queue: reason and message of the condition QueueReady begin so."""

        def says() -> str:
            said = condition(self.hospital.get("ipl", name), "QueueReady")
            return f"{said['reason']}: {said['message']}"

        self.until(lambda: says().startswith(words), f"pipeline {name} says: {words}")

    def until(self, holds: Callable[[], bool], what: str, *names: str) -> None:
        wait_for(what, holds, seconds=LIMIT, pause=0.3, explain=lambda: "; ".join(f"{name} is {self.state(name)}, {self.says(name)}" for name in names))

    def until_state(self, name: str, state: str) -> None:
        self.until(lambda: self.state(name) == state, f"{name} is {state}", name)

    def until_says(self, name: str, words: str) -> None:
        self.until(lambda: self.says(name).startswith(words), f"{name} says {words}", name)

    def until_put_out(self, name: str, queue: str) -> None:
        """Whatever is said of the reason."""
        self.until(lambda: f": put out by queue {queue}; " in self.says(name), f"{name} is put out", name)

    def until_it_works(self, name: str) -> None:
        """Its step has begun: the pod has an application to end."""
        self.until_state(name, "Running")

    def go(self, name: str) -> None:
        """Ends the step that is at work."""
        live = [one["metadata"]["name"] for one in self.pods(name) if "deletionTimestamp" not in one["metadata"]]

        def told() -> bool:
            try:
                self.hospital.kubectl("exec", live[-1], "-c", "detect", "--", "python3", "-c", "open('/tmp/go', 'w').close()")
            except HospitalError:  # between fetch and the step's start
                return False
            return True

        self.until(told, f"{name} goes on", name)

    def ends_well(self, name: str) -> None:
        """With one report in the PACS, and without a failed attempt."""
        self.until_state(name, "Succeeded")
        assert len(self.hospital.pacs.instances(self.studies[name], "SR")) == 1
        assert "failure" not in (self.run(name) or {})["status"]
        assert (self.job(name)["status"].get("failed") or 0) == 0

    def waited(self, name: str) -> float:
        """Seconds since its Job was made."""
        made = time.strptime(self.job(name)["metadata"]["creationTimestamp"], "%Y-%m-%dT%H:%M:%SZ")
        return time.time() - (time.mktime(made) - time.timezone)


@pytest.fixture(scope="session")
def kinds() -> None:
    """What belongs to the whole cluster."""
    run("kubectl", "label", "nodes", "--all", "--overwrite", *(f"{key}={value}" for key, value in NODE.items()))
    small, large = {"nvidia.com/gpu.memory": "16384"}, NODE
    applied(flavor("any"), flavor("small", **small), flavor("large", **large), workload_class("emergency", 1000))


@pytest.fixture
def queues(hospital: Hospital, kinds: None, tmp_path: Path) -> Iterator[Queues]:  # noqa: F811
    hospital.install_gantry(*BESIDE_OTHERS, "kueue.enabled=true")
    made = Queues(hospital, tmp_path)
    yield made
    run("kubectl", "delete", "clusterqueue", made.cluster_queue, "--ignore-not-found", "--wait=false")
