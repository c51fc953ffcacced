"""The control plane's processes, each to be killed and started again: etcd, the API server, and the controllers of Jobs and garbage."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.component.conftest import CRDS
from tests.component.control_plane import ControlPlane, binaries, control_plane, running, wait_ready

CONTROLLERS = "job-controller,garbage-collector-controller,ttl-after-finished-controller"
KINDS = ("orthancbridges", "inferencepipelines", "inferenceruns", "inferencebackfills")


class Part:
    """A process of the control plane, found by its command line."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        self.pid, self.command = next(
            (int(one.name), line)
            for one in Path("/proc").iterdir()
            if one.name.isdigit() and (line := _command(one)) and line[0].endswith(name) and str(folder) in " ".join(line)
        )
        self.process: subprocess.Popen[bytes] | None = None

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        if self.process:
            self.process.wait()
        while Path(f"/proc/{self.pid}/fd").exists() and _command(Path(f"/proc/{self.pid}")):
            time.sleep(0.01)  # gone, or a zombie of its parent: its port is free

    def start(self) -> None:
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, cwd=self.folder)
        self.pid = self.process.pid


class Plane:
    """All of it. `restart_api` returns when the server is ready."""

    def __init__(self, plane: ControlPlane, folder: Path) -> None:
        self.plane, self.folder = plane, folder
        self.api, self.etcd = Part("kube-apiserver", folder), Part("etcd", folder)

    def start_api(self) -> None:
        self.api.start()
        assert self.api.process is not None
        wait_ready(self.plane.url, self.plane.ca, self.plane.token, self.api.process, self.folder / "kube-apiserver.log")

    def end(self) -> None:
        """What was started again here: the first processes are ended by who started them."""
        for part in (self.api, self.etcd):
            if part.process:
                part.kill()


@contextlib.contextmanager
def whole_plane(folder: Path) -> Iterator[Plane]:
    """With Gantry's kinds."""
    folder.mkdir(parents=True)
    with control_plane(folder) as plane:
        applied = plane.kubectl("apply", "--server-side", "-f", str(CRDS))
        assert applied.returncode == 0, applied.stderr
        for _ in range(2):  # kubectl fails on a CRD so fresh that it has no conditions at all
            plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", *(f"crd/{kind}.gantry.health" for kind in KINDS))
        command = [
            str(binaries() / "kube-controller-manager"), "--kubeconfig", str(plane.kubeconfig), "--leader-elect=false", "--bind-address", "127.0.0.1",
            "--secure-port", "0", "--controllers", CONTROLLERS, "--kube-api-qps", "200", "--kube-api-burst", "400",
        ]  # fmt: skip
        with running("kube-controller-manager", command, folder):
            whole = Plane(plane, folder)
            try:
                yield whole
            finally:
                whole.end()


def _command(process: Path) -> list[str]:
    try:
        return (process / "cmdline").read_bytes().decode().split("\0")[:-1]
    except OSError:
        return []  # it ended meanwhile
