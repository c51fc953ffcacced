"""Helm upgrade and rollback under a stream of Runs, from the previous release with its CRDs and its own operator: nothing is lost, nothing made twice.

There are no nodes: the test plays the Deployment's controller, and starts each release's operator with the environment and the rights that its chart
gives it. As a rolling update does, the new one comes before the old one goes.
"""

import contextlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.builders import BRIDGE, PIPELINE, changed
from tests.builders_runs import a_receipt
from tests.component.chart.conftest import CHART, IMAGES, Helm
from tests.component.control_plane import ControlPlane, control_plane
from tests.component.operator_process import Api, Hospital, Operator, wait
from tests.component.test_operator_replicas import Stream, a_stream

from gantry.kube import JOBS, RUNS, Resource

PREVIOUS = Path(__file__).parent / "previous"
NAMESPACE = "radiology"
DEPLOYMENTS, CONFIG_MAPS = Resource("apps/v1", "Deployment", "deployments"), Resource("v1", "ConfigMap", "configmaps")
ACCOUNTS, NAMESPACES = Resource("v1", "ServiceAccount", "serviceaccounts"), Resource("v1", "Namespace", "namespaces")
A_BRIDGE = changed(changed(BRIDGE, "spec.url", "http://127.0.0.1:9"), "spec.credentialsSecretRef", ...)


class Release:
    """`gantry` in `radiology`, as Helm last left it."""

    def __init__(self, helm: Helm, plane: ControlPlane, folder: Path) -> None:
        self._helm, self._plane, self._folder = helm, plane, folder
        self.hospital = Hospital(Api(plane), plane, NAMESPACE, folder)
        self._running: list[Operator] = []
        self._over = threading.Event()

    @contextlib.contextmanager
    def kubelet(self) -> Iterator[None]:
        """Starts again what ends by itself, as a leader does that loses the Lease on a machine that is busy beyond measure."""
        def look() -> None:
            while not self._over.wait(0.2):
                for one in list(self._running):
                    if one.process is not None and one.process.poll() is not None:
                        one.process = None
                        one.start(ready=False)

        with ThreadPoolExecutor(1) as hand:
            done = hand.submit(look)
            try:
                yield
            finally:
                self._over.set()
                done.result()

    def ends(self, operator: Operator) -> None:
        self._running.remove(operator)
        operator.kill(signal.SIGTERM)

    def upgrade(self, chart: Path) -> None:
        self._run("upgrade", "--install", "gantry", str(chart), *IMAGES)
        self._plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")

    def rollback(self) -> None:
        self._run("rollback", "gantry")

    def _run(self, *arguments: str) -> None:
        done = self._helm(*arguments, "-n", NAMESPACE, "--kubeconfig", str(self._plane.kubeconfig))
        assert done.returncode == 0, done.stderr

    @contextlib.contextmanager
    def pod(self, name: str, source: Path | None = None) -> Iterator[Operator]:
        """The operator as a pod of the Deployment, which is not there before it is ready. `source`: of another version."""
        api = self.hospital.api
        deployment = api.get(DEPLOYMENTS, NAMESPACE, "gantry")
        assert deployment is not None
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        given = {one["name"]: self._value(one, name) for one in container["env"] if one["name"] not in ("HOME", "GANTRY_PORT")}
        with self.hospital.operator(**given, KUBECONFIG=self._rights(), **({"PYTHONPATH": str(source)} if source else {})) as operator:
            self._running.append(operator)
            try:
                yield operator
            finally:
                if operator in self._running:
                    self._running.remove(operator)

    def _value(self, variable: dict[str, Any], pod: str) -> str:
        source = variable.get("valueFrom", {})
        if "fieldRef" in source:
            assert source["fieldRef"]["fieldPath"] == "metadata.name"
            return pod
        if "configMapKeyRef" in source:
            found = self.hospital.api.get(CONFIG_MAPS, NAMESPACE, source["configMapKeyRef"]["name"])
            assert found is not None
            return str(found["data"][source["configMapKeyRef"]["key"]])
        return str(variable.get("value", ""))

    def _rights(self) -> str:
        """Of the release's own service account."""
        path = self._folder / "gantry.kubeconfig"
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
        token = self.hospital.api.call("POST", ACCOUNTS.path(NAMESPACE, "gantry", "token"), asked)["status"]["token"]
        made = json.loads(self._plane.kubeconfig.read_text())
        made["users"] = [{"name": "admin", "user": {"token": token}}]
        path.write_text(json.dumps(made))
        return str(path)


@pytest.fixture(scope="module")
def previous_operator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source root of the release before."""
    folder = tmp_path_factory.mktemp("previous")
    subprocess.run(["tar", "-xzf", PREVIOUS / "operator.tar.gz", "-C", folder], check=True)  # Python before 3.11.4 has no safe extractall
    root = folder / "operator"
    asked = [sys.executable, "-c", "import gantry.runtime.process as p; print(p.__file__)"]
    found = subprocess.run(asked, env={"PYTHONPATH": str(root)}, capture_output=True, text=True, check=True)
    assert found.stdout.startswith(str(root)), "it is the previous one that runs"
    return root


@pytest.fixture
def release(helm: Helm, tmp_path: Path) -> Iterator[Release]:
    folder = tmp_path / "plane"
    folder.mkdir()
    with control_plane(folder) as plane:
        made = Release(helm, plane, tmp_path)
        marks = {"pod-security.kubernetes.io/enforce": "restricted"}
        api = made.hospital.api
        api.call("POST", NAMESPACES.path(None), {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": marks}})
        yield made
        api.http.close()


def is_under_way(release: Release, stream: Stream) -> tuple[str, str]:
    """The newest Run, with a pod that works."""
    run = stream.made[-1]
    pod = release.hospital.pod(run)
    release.hospital.runs_on(pod)
    release.hospital.says(run, "Executed", "False/Running")
    return run, pod


def ends_well(release: Release, run: str, pod: str) -> None:
    release.hospital.publishes(pod, a_receipt())
    release.hospital.says(run, "Complete", "True/Complete")


def test_runs_go_through_an_upgrade_and_a_rollback(release: Release, previous_operator: Path) -> None:
    hospital = release.hospital
    release.upgrade(PREVIOUS / "chart")
    hospital.apply(A_BRIDGE, PIPELINE)
    with release.kubelet(), contextlib.ExitStack() as pods:
        old = pods.enter_context(release.pod("gantry-old", previous_operator))
        with a_stream(hospital, pause=0.5) as stream:
            before = is_under_way(release, stream)
            release.upgrade(CHART)
            news = [pods.enter_context(release.pod(f"gantry-new-{number}")) for number in (1, 2)]
            release.ends(old)
            ends_well(release, *before)
            between = is_under_way(release, stream)

            release.rollback()
            pods.enter_context(release.pod("gantry-again", previous_operator))
            for one in news:
                release.ends(one)
            ends_well(release, *between)
            after = is_under_way(release, stream)
            ends_well(release, *after)
        for name in stream.made:
            wait(lambda: hospital.status(name).get("state") in ("Queued", "Succeeded"), f"{name} is known", tell=lambda: hospital.status(name))  # noqa: B023
        runs = {run["metadata"]["name"]: run["status"]["state"] for run in hospital.api.list(RUNS, NAMESPACE)}
        assert {name for name, state in runs.items() if state == "Succeeded"} == {before[0], between[0], after[0]}
        assert set(runs) == set(stream.made)
        assert len(hospital.api.list(JOBS, NAMESPACE)) == len(runs)
