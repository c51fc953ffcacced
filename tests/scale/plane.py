"""A whole control plane with fake nodes: API server, etcd, controllers, scheduler and kwok, each a process whose CPU is read.

Nothing is played here but the nodes and what runs on them: pods are made by the Job controller, bound by the scheduler, and end with the receipts
that fetch and publish write (stages.yaml). The controllers' own limits are taken away, so that what is measured is the work and not their patience.
"""

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.operator_core import cpu
from tests.component.conftest import CRDS
from tests.component.control_plane import ROOT, ControlPlane, begun, binaries, end, started
from tests.component.operator_process import Api, wait

from gantry.kube import Resource
from gantry.runs import PublishReceipt

NODES, GPUS = 40, 8
CONTROLLERS = "job-controller,garbage-collector-controller,ttl-after-finished-controller"
KINDS = ("orthancbridges", "inferencepipelines", "inferenceruns", "inferencebackfills")
HERE = Path(__file__).parent
NODE = Resource("v1", "Node", "nodes")
GPU = "nvidia.com/gpu"

Object = dict[str, Any]


@dataclass
class Plane:
    """The API server and who works beside it."""

    plane: ControlPlane
    folder: Path
    processes: "dict[str, subprocess.Popen[bytes]]" = field(default_factory=dict)

    def cpu(self) -> dict[str, float]:
        """Seconds of CPU each part has used."""
        return {name: cpu(process.pid) for name, process in self.processes.items()}

    def etcd_bytes(self) -> int:
        """What the database takes on disk, compacted and defragmented or not."""
        return sum(path.stat().st_size for path in (self.folder / "etcd" / "member" / "snap").glob("db"))


def kwok() -> Path:
    """Built once into the user's cache."""
    done = subprocess.run([ROOT / "cluster" / "tools", "kwok"], stdout=subprocess.PIPE, text=True, check=True)
    return Path(done.stdout.strip()) / "kwok"


def receipt() -> str:
    """What publish writes of one SR with three findings."""
    return PublishReceipt.model_validate(
        {
            "results": [
                {
                    "kind": "SR",
                    "sopClassUID": "1.2.840.10008.5.1.4.1.1.88.33",
                    "sopInstanceUID": "2.25.204867031219875307512098736450912387451",
                    "seriesInstanceUID": "2.25.104867031219875307512098736450912387452",
                    "orthancID": "11111111-22222222-33333333-44444444-55555555",
                    "md5": "0" * 32,
                    "bytes": 33000,
                }
            ],
            "steps": [{"name": "detect", "startTime": "2026-03-01T12:00:00.000Z", "seconds": 2.5, "code": 0, "maxRSSBytes": 900_000_000}],
            "findings": {"present": 2, "absent": 1},
            "seconds": 0.8,
        }
    ).encode()


def _nodes(api: Api, nodes: int, gpus: int) -> None:
    room = {"cpu": "32", "memory": "256Gi", "pods": "110", GPU: str(gpus)}
    for number in range(nodes):
        name = f"gpu-{number}"
        metadata = {"name": name, "annotations": {"kwok.x-k8s.io/node": "fake"}, "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}}
        api.call("POST", NODE.path(None), {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "status": {"allocatable": room, "capacity": room}})
        # Made not-ready by an admission plugin, as every node is; the controller that would end that is not here.
        api.call("PATCH", NODE.path(None, name), {"spec": {"taints": None}}, content="application/merge-patch+json")


def _ready(api: Api, nodes: int) -> bool:
    items = api.call("GET", NODE.path(None))["items"]
    return sum(any(c["type"] == "Ready" and c["status"] == "True" for c in one["status"].get("conditions", ())) for one in items) == nodes


@contextlib.contextmanager
def a_plane(folder: Path, *, nodes: int = NODES, gpus: int = GPUS) -> Iterator[Plane]:
    """Started with Gantry's kinds and Ready nodes, each with so many GPUs; ended with the block."""
    folder.mkdir(parents=True, exist_ok=True)
    player = kwok()
    plane, (etcd, server) = started(folder)
    made = Plane(plane, folder, {"etcd": etcd, "API server": server})
    try:
        applied = plane.kubectl("apply", "--server-side", "-f", str(CRDS))
        assert applied.returncode == 0, applied.stderr
        for _ in range(2):  # kubectl fails on a CRD so fresh that it has no conditions at all
            plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", *(f"crd/{kind}.gantry.health" for kind in KINDS))
        unlimited = ("--kubeconfig", str(plane.kubeconfig), "--kube-api-qps", "500", "--kube-api-burst", "1000", "--leader-elect=false", "--secure-port", "0")
        controllers = [str(binaries() / "kube-controller-manager"), *unlimited, "--controllers", CONTROLLERS]
        made.processes["controllers"] = begun("kube-controller-manager", controllers, folder)
        made.processes["scheduler"] = begun("kube-scheduler", [str(binaries() / "kube-scheduler"), *unlimited], folder)
        stages = folder / "stages.yaml"
        stages.write_text((HERE / "stages.yaml").read_text().replace("RECEIPT", receipt()))
        played = [
            str(player), "--kubeconfig", str(plane.kubeconfig), "--config", str(stages), "--manage-all-nodes=false",
            "--manage-nodes-with-annotation-selector", "kwok.x-k8s.io/node=fake", "--cidr", "10.245.0.0/16", "--node-lease-duration-seconds", "0",
        ]  # fmt: skip
        made.processes["kwok"] = begun("kwok", played, folder)
        api = Api(plane)
        _nodes(api, nodes, gpus)
        wait(lambda: _ready(api, nodes), f"{nodes} nodes are Ready", limit=60, tell=lambda: (folder / "kwok.log").read_text()[-2000:])
        yield made
    finally:
        end(list(made.processes.values()))
