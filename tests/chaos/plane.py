"""The control plane's processes, each to be killed and started again: etcd, the API server, and the controllers of Jobs, garbage and nodes."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.component.conftest import CRDS
from tests.component.control_plane import ControlPlane, begun, binaries, end, started, wait_ready

CONTROLLERS = (
    "job-controller", "garbage-collector-controller", "ttl-after-finished-controller",
)  # fmt: skip
LOSING = ("node-lifecycle-controller", "taint-eviction-controller", "pod-garbage-collector-controller")
"""Beside them where nodes are lost: a node that nobody speaks for is tainted after NODE_GRACE."""
NODE_GRACE = 10
"""Seconds without a word until a node counts as lost; 50 in a cluster."""
KINDS = ("orthancbridges", "inferencepipelines", "inferenceruns", "inferencebackfills")


class Part:
    """A process of the control plane; started again with the same arguments."""

    def __init__(self, name: str, folder: Path, process: "subprocess.Popen[bytes]") -> None:
        self.name, self.folder, self.process = name, folder, process
        self.command = [str(word) for word in process.args] if isinstance(process.args, list) else []

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def start(self) -> None:
        self.process = begun(self.name, self.command, self.folder)


class Plane:
    """All of it. `start_api` returns when the server is ready."""

    def __init__(self, plane: ControlPlane, folder: Path, processes: "list[subprocess.Popen[bytes]]") -> None:
        self.plane, self.folder = plane, folder
        self.etcd, self.api = Part("etcd", folder, processes[0]), Part("kube-apiserver", folder, processes[1])

    def start_api(self) -> None:
        self.api.start()
        wait_ready(self.plane.url, self.plane.ca, self.plane.token, self.api.process, self.folder / "kube-apiserver.log")


@contextlib.contextmanager
def whole_plane(folder: Path, *, nodes_are_lost: bool = False) -> Iterator[Plane]:
    """With Gantry's kinds."""
    folder.mkdir(parents=True)
    plane, processes = started(folder)
    whole, controllers = Plane(plane, folder, processes), []
    try:
        applied = plane.kubectl("apply", "--server-side", "-f", str(CRDS))
        assert applied.returncode == 0, applied.stderr
        for _ in range(2):  # kubectl fails on a CRD so fresh that it has no conditions at all
            plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", *(f"crd/{kind}.gantry.health" for kind in KINDS))
        command = [
            str(binaries() / "kube-controller-manager"), "--kubeconfig", str(plane.kubeconfig), "--leader-elect=false", "--bind-address", "127.0.0.1",
            "--secure-port", "0", "--controllers", ",".join((*CONTROLLERS, *(LOSING if nodes_are_lost else ()))), "--kube-api-qps", "200", "--kube-api-burst", "400",
            "--node-monitor-period", "1s", "--node-monitor-grace-period", f"{NODE_GRACE}s",
        ]  # fmt: skip
        controllers.append(begun("kube-controller-manager", command, folder))
        yield whole
    finally:
        end([whole.etcd.process, whole.api.process, *controllers])
