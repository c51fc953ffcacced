"""The API server away, the operator asked to end: work goes on soon after, nothing is made twice."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.builders import BRIDGE, PIPELINE, RUN, changed
from tests.builders_runs import a_receipt
from tests.component.conftest import CRDS
from tests.component.control_plane import ControlPlane, control_plane, wait_ready
from tests.component.operator_process import LEASE, Hospital, a_hospital, named, wait

from gantry.kube import JOBS, RUNS

A_BRIDGE = changed(changed(BRIDGE, "spec.url", "http://127.0.0.1:9"), "spec.credentialsSecretRef", ...)
A_RUN = changed(RUN, "spec.template.delivery", {"destinations": []})


class ApiServer:
    """The process of a control plane, to be killed and started again with the same arguments."""

    def __init__(self, plane: ControlPlane, folder: Path) -> None:
        self.plane, self.folder = plane, folder
        self.pid, self.command = next(
            (int(one.name), line)
            for one in Path("/proc").iterdir()
            if one.name.isdigit() and (line := _command(one)) and line[0].endswith("kube-apiserver") and str(folder) in " ".join(line)
        )
        self.process: subprocess.Popen[bytes] | None = None

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        if self.process:
            self.process.wait()

    def start(self) -> None:
        with (self.folder / "kube-apiserver.log").open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, cwd=self.folder)
        self.pid = self.process.pid
        wait_ready(self.plane.url, self.plane.ca, self.plane.token, self.process, self.folder / "kube-apiserver.log")


def _command(process: Path) -> list[str]:
    try:
        return (process / "cmdline").read_bytes().decode().split("\0")[:-1]
    except OSError:
        return []  # it ended meanwhile


@pytest.fixture
def own_plane(tmp_path: Path) -> Iterator[tuple[Hospital, ApiServer]]:
    """A control plane of the test's own, for others must not see it go."""
    folder = tmp_path / "plane"
    folder.mkdir()
    with control_plane(folder) as plane:
        assert plane.kubectl("apply", "--server-side", "-f", str(CRDS)).returncode == 0
        plural = ("orthancbridges", "inferencepipelines", "inferenceruns")
        plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", *(f"crd/{p}.gantry.health" for p in plural))
        server = ApiServer(plane, folder)
        hospital = a_hospital(plane, tmp_path, "radiology", bridge=A_BRIDGE, pipeline=PIPELINE)
        yield hospital, server
        hospital.api.http.close()
        if server.process:
            server.kill()


def test_the_api_server_is_restarted(own_plane: tuple[Hospital, ApiServer]) -> None:
    """Its watch cache starts anew, so old versions are gone (410); what was deleted meanwhile is noticed by the next full list."""
    hospital, server = own_plane
    with hospital.operator() as operator:
        hospital.apply(named(A_RUN, "before"))
        pod = hospital.pod("before")
        hospital.says("before", "Executed", "False/Pending")
        server.kill()
        wait(lambda: '"warning"' in operator.log or '"error"' in operator.log, "the operator notices")
        assert operator.probe("healthz") == 200, "a restart of the operator would not help"
        server.start()
        began = time.monotonic()
        hospital.apply(named(A_RUN, "after"))
        hospital.has_job("after")
        took = time.monotonic() - began
        assert took < 10, f"{took:.1f} s until a new Run has a Job"
        hospital.publishes(pod, a_receipt())
        hospital.says("before", "Complete", "True/Complete")
        assert len(hospital.api.list(JOBS, hospital.namespace)) == 2
        assert len(hospital.api.list(RUNS, hospital.namespace)) == 2
        told = [line["message"] for line in operator.lines() if line["level"] in ("warning", "error")]
        assert len(told) < 30, "the same trouble is told again and again"


def test_the_operator_starts_before_the_api_server(own_plane: tuple[Hospital, ApiServer]) -> None:
    hospital, server = own_plane
    with hospital.operator() as operator:
        hospital.apply(named(A_RUN, "a"))
        hospital.has_job("a")
        operator.kill()
        server.kill()
        operator.start(ready=False)
        wait(lambda: operator.probe("readyz") == 503, "the operator answers and is not ready")
        assert operator.probe("healthz") == 200
        server.start()
        wait(lambda: operator.probe("readyz") == 200, "the operator is ready", tell=lambda: operator.log[-3000:])
        assert len(hospital.api.list(JOBS, hospital.namespace)) == 1


def test_the_api_server_is_away_longer_than_the_lease(own_plane: tuple[Hospital, ApiServer]) -> None:
    """The leader cannot know whether it still leads, so it ends; whoever is there when the API server returns goes on, and one only."""
    hospital, server = own_plane
    lease = f"{hospital.namespace}/{LEASE}"
    with hospital.operator(GANTRY_LEASE=lease, GANTRY_IDENTITY="one") as one, hospital.operator(GANTRY_LEASE=lease, GANTRY_IDENTITY="two") as two:
        hospital.apply(named(A_RUN, "before"))
        hospital.has_job("before")
        server.kill()
        assert one.process is not None
        assert one.process.wait(60) == 1
        assert one.lines()[-1]["why"] == "it could not be renewed for 7 s"
        one.process = None
        one.start(ready=False)
        server.start()
        began = time.monotonic()
        hospital.apply(named(A_RUN, "after"))
        hospital.has_job("after")
        print(f"API server back -> first Job: {time.monotonic() - began:.1f} s")
        wait(lambda: {operator.metrics().get("gantry_leader") for operator in (one, two)} == {0.0, 1.0}, "one leads, the other does not")
        assert two.process is not None
        assert two.process.poll() is None, "a standby waits"
        assert len(hospital.api.list(JOBS, hospital.namespace)) == 2


def test_it_ends_within_two_seconds_when_asked(own_plane: tuple[Hospital, ApiServer]) -> None:
    """kopf alone would take more than five. Runs under way are gone on with by the next process."""
    hospital, _ = own_plane
    with hospital.operator() as operator:
        hospital.apply(*(named(A_RUN, f"r{number}") for number in range(20)))
        took = operator.kill(signal.SIGTERM)
        assert took < 2, f"{took:.1f} s"
        assert operator.lines()[-1]["message"] == "ended"
        operator.start()
        for number in range(20):
            hospital.says(f"r{number}", "Executed", "False/Pending")
        assert len(hospital.api.list(JOBS, hospital.namespace)) == 20


def test_a_wrong_setting_ends_it_at_once_with_the_variables_name(own_plane: tuple[Hospital, ApiServer]) -> None:
    hospital, _ = own_plane
    with hospital.operator() as operator:
        operator.kill()
        operator.environment["GANTRY_INSTALLATION"] = ""
        operator.start(ready=False)
        assert operator.process is not None
        assert operator.process.wait(30) == 1
        assert "GANTRY_INSTALLATION is not set" in operator.log.splitlines()[-1]
