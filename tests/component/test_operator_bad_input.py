"""What people, other controllers and clusters do to objects: the operator serves the others, and says what it saw. One API server, one operator."""

import os
import threading
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from tests.builders import BRIDGE, PIPELINE, RUN, changed
from tests.builders_runs import a_receipt
from tests.component.conftest import CRDS
from tests.component.control_plane import begun, binaries, control_plane, end
from tests.component.operator_process import Api, Hospital, Object, Operator, a_hospital, condition, named, wait

from gantry.kube import JOBS, PODS, RUNS, Resource
from gantry.runs import job_name

A_BRIDGE = changed(changed(BRIDGE, "spec.url", "http://127.0.0.1:9"), "spec.credentialsSecretRef", ...)
A_RUN = changed(RUN, "spec.template.delivery", {"destinations": []})
KINDS = ("orthancbridges", "inferencepipelines", "inferenceruns", "inferencebackfills")
DEFINITIONS = Resource("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions")
NAMESPACES = Resource("v1", "Namespace", "namespaces")
MANY = int(os.environ.get("GANTRY_MANY", "60"))
"""Runs deleted at once; 5,000 in `make chaos LONG=yes`, which takes minutes."""


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hospital, Hospital, Operator]]:
    """Namespaces and the operator of all of them."""
    folder = tmp_path_factory.mktemp("bad-input")
    with control_plane(folder) as plane:
        assert plane.kubectl("apply", "--server-side", "-f", str(CRDS)).returncode == 0
        established(Hospital(Api(plane), plane, "radiology", folder))
        main = a_hospital(plane, folder, "radiology", bridge=A_BRIDGE, pipeline=PIPELINE)
        closing = a_hospital(plane, folder, "closing", bridge=A_BRIDGE, pipeline=PIPELINE)
        with main.operator(KUBECONFIG=str(plane.kubeconfig), GANTRY_NAMESPACES="radiology,closing,leaving") as operator:
            yield main, closing, operator
        main.api.http.close()
        closing.api.http.close()


def established(hospital: Hospital) -> None:
    asked = ("wait", "--for=condition=Established", "--timeout=60s", *(f"crd/{kind}.gantry.health" for kind in KINDS))
    wait(lambda: hospital.plane.kubectl(*asked).returncode == 0, "the kinds are served")


@pytest.fixture
def hospital(ward: tuple[Hospital, Hospital, Operator]) -> Hospital:
    return ward[0]


def is_served(hospital: Hospital, name: str) -> None:
    hospital.apply(named(A_RUN, name))
    hospital.publishes(hospital.pod(name), a_receipt())
    hospital.says(name, "Complete", "True/Complete")


class Racer(threading.Thread):
    """Writes a condition onto the Run's status as fast as it can, and remembers what the API server took."""

    def __init__(self, hospital: Hospital, run: str, kind: str, *, manager: str) -> None:
        super().__init__()
        self.hospital, self.run_name, self.kind, self.manager = hospital, run, kind, manager
        self.api, self.stop, self.taken, self.lost = Api(hospital.plane), threading.Event(), 0, 0

    def run(self) -> None:
        query = urlencode({"fieldManager": self.manager, "force": "true"})
        path = f"{RUNS.path(self.hospital.namespace, self.run_name, 'status')}?{query}"
        while not self.stop.is_set():
            found = self.api.get(RUNS, self.hospital.namespace, self.run_name)
            assert found is not None
            self.look(found)
            word = {"type": self.kind, "status": "True", "reason": "Raced", "message": str(self.taken + 1), "lastTransitionTime": "2026-03-01T12:00:00Z"}
            status: Object = {"conditions": [word]}
            if self.manager == "gantry":  # as a second operator does: all of the status, with its word
                before = found.get("status") or {}
                status = {**before, "conditions": [*(c for c in before.get("conditions", ()) if c["type"] not in (self.kind, "Reviewed")), word]}
            metadata = {"name": self.run_name, "namespace": self.hospital.namespace, "resourceVersion": found["metadata"]["resourceVersion"]}
            body = {"apiVersion": found["apiVersion"], "kind": found["kind"], "metadata": metadata, "status": status}
            answer = self.api.call("PATCH", path, body, content="application/apply-patch+yaml", ok=False)
            self.taken += answer.get("kind") == "InferenceRun"

    def look(self, run: Object) -> None:
        """What was taken before must still be there."""
        found = next((one for one in (run.get("status") or {}).get("conditions", ()) if one["type"] == self.kind), {"message": "0"})
        self.lost += int(found["message"]) != self.taken


def test_no_write_is_lost_when_others_write_the_status_too(hospital: Hospital) -> None:
    """Another field manager, and one of the operator's own name, such as a second operator that thinks it leads."""
    hospital.apply(named(changed(A_RUN, "spec.suspend", True), "raced"))
    hospital.says("raced", "Admitted", "False/Suspended")
    racers = [Racer(hospital, "raced", "Reviewed", manager="reviewer"), Racer(hospital, "raced", "Followed", manager="gantry")]
    for racer in racers:
        racer.start()
    try:
        hospital.api.patch(RUNS, "radiology", "raced", {"spec": {"suspend": False}})
        pod = hospital.pod("raced")
        hospital.runs_on(pod)
        hospital.says("raced", "Executed", "False/Running")
        wait(lambda: all(racer.taken >= 2 for racer in racers), "both have written beside the operator")
        hospital.publishes(pod, a_receipt())
        hospital.says("raced", "Complete", "True/Complete")
    finally:
        for racer in racers:
            racer.stop.set()
            racer.join()
            racer.api.http.close()
    last = hospital.run("raced")
    for racer in racers:
        racer.look(last)
        assert racer.lost == 0, racer.kind
    assert last["status"]["results"][0]["sopInstanceUID"] == "2.25.1"


def test_a_status_that_was_edited_by_hand_is_written_again(hospital: Hospital) -> None:
    is_served(hospital, "edited")
    empty = {"status": dict.fromkeys(hospital.status("edited"))}
    hospital.api.patch(RUNS, "radiology", "edited", empty, sub="status")
    status = hospital.says("edited", "Complete", "True/Complete")
    assert (status["state"], status["results"][0]["sopInstanceUID"]) == ("Succeeded", "2.25.1")
    hospital.apply(named(A_RUN, "pushed"))
    pod = hospital.pod("pushed")
    hospital.api.patch(RUNS, "radiology", "pushed", {"status": {"state": "Delivering", "jobRef": {"name": "other-1", "uid": "other"}, "node": "moon"}}, sub="status")
    hospital.publishes(pod, a_receipt())
    status = hospital.says("pushed", "Complete", "True/Complete")
    assert (status["jobRef"]["name"], status["node"]) == (job_name("pushed"), "gpu-1")


def test_label_and_owner_are_taken_from_a_job(hospital: Hospital) -> None:
    hospital.apply(named(A_RUN, "bare"))
    pod = hospital.pod("bare")
    hospital.says("bare", "Executed", "False/Pending")
    hospital.api.patch(JOBS, "radiology", job_name("bare"), {"metadata": {"ownerReferences": None, "labels": {"gantry.health/run": None}}})
    hospital.runs_on(pod)
    hospital.says("bare", "Executed", "False/Running")
    hospital.publishes(pod, a_receipt())
    hospital.says("bare", "Complete", "True/Complete")


def test_somebody_elses_job_has_the_name(hospital: Hospital) -> None:
    container = {"name": "x", "image": "localhost/x:1"}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    theirs = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": job_name("taken")}, "spec": {"template": template}}
    made = hospital.api.create(JOBS, "radiology", theirs)
    hospital.apply(named(A_RUN, "taken"))
    status = hospital.says("taken", "Failed", "True/JobRefused")
    assert "exists and is not this Run's" in status["failure"]["message"]
    found = hospital.job("taken")
    assert found is not None
    assert found["metadata"]["uid"] == made["metadata"]["uid"]


def test_a_status_of_a_megabyte_is_refused_and_the_largest_there_can_be_is_borne(hospital: Hospital) -> None:
    hospital.apply(named(A_RUN, "large"))
    pod = hospital.pod("large")
    hospital.says("large", "Executed", "False/Pending")

    def words(size: int) -> Object:
        moment = "2026-03-01T12:00:00Z"
        told = [{"type": f"Foreign{n}", "status": "True", "reason": "Large", "message": "x" * size, "lastTransitionTime": moment} for n in range(8)]
        return {"apiVersion": "gantry.health/v1alpha1", "kind": "InferenceRun", "metadata": {"name": "large"}, "status": {"conditions": told}}

    path = f"{RUNS.path('radiology', 'large', 'status')}?fieldManager=somebody"
    refused = hospital.api.call("PATCH", path, words(130_000), content="application/apply-patch+yaml", ok=False)
    assert refused["code"] == 422
    hospital.api.call("PATCH", path, words(4096), content="application/apply-patch+yaml")
    hospital.publishes(pod, a_receipt())
    status = hospital.says("large", "Complete", "True/Complete")
    assert condition(status, "Foreign7") == "True/Large"


def test_many_runs_are_deleted_at_once(ward: tuple[Hospital, Hospital, Operator]) -> None:
    """Others are served meanwhile."""
    hospital, _, operator = ward
    waiting = changed(A_RUN, "spec.suspend", True)
    hospital.apply(*(changed(named(waiting, f"many{number}"), "metadata.labels", {"many": "yes"}) for number in range(MANY)))
    wait(lambda: operator.metrics().get('gantry_runs{state="Waiting"}', 0) >= MANY, "each is told that it waits", limit=30 + MANY / 20)
    gone = threading.Thread(target=hospital.api.http.delete, args=(RUNS.path("radiology"),), kwargs={"params": {"labelSelector": "many=yes"}, "timeout": 300})
    gone.start()
    is_served(hospital, "among-many")
    gone.join()
    is_served(hospital, "after-many")
    wait(lambda: operator.metrics().get('gantry_runs{state="Waiting"}', 0) == 0, "they are forgotten", limit=30 + MANY / 20)
    assert not hospital.api.call("GET", f"{RUNS.path('radiology')}?labelSelector=many%3Dyes")["items"]


def test_a_namespace_is_deleted_while_a_run_is_about_to_begin(ward: tuple[Hospital, Hospital, Operator]) -> None:
    hospital, closing, _ = ward
    closing.apply(named(changed(A_RUN, "spec.suspend", True), "last"))
    closing.says("last", "Admitted", "False/Suspended")
    closing.api.call("DELETE", NAMESPACES.path(None, "closing"))
    closing.api.patch(RUNS, "closing", "last", {"spec": {"suspend": False}})
    status = closing.says("last", "Failed", "True/JobRefused")
    assert "being terminated" in status["failure"]["message"]
    is_served(hospital, "beside-it")


@pytest.fixture
def leaving(ward: tuple[Hospital, Hospital, Operator]) -> Iterator[Hospital]:
    """A third namespace, and the control plane's own controller that empties namespaces which are deleted."""
    plane, folder = ward[0].plane, ward[0].folder
    made = a_hospital(plane, folder, "leaving", bridge=A_BRIDGE, pipeline=PIPELINE)
    options = ("--leader-elect=false", "--bind-address", "127.0.0.1", "--secure-port", "0", "--controllers", "namespace-controller")
    controller = begun("namespace-controller", [str(binaries() / "kube-controller-manager"), "--kubeconfig", str(plane.kubeconfig), *options], folder)
    yield made
    end([controller])
    made.api.http.close()


def test_a_namespace_is_deleted_while_runs_are_at_work(ward: tuple[Hospital, Hospital, Operator], leaving: Hospital) -> None:
    """Its Runs, Jobs, pods, bridge and pipeline go in whatever order the namespace controller likes; nothing is made anew in it, nobody waits."""
    hospital, _, operator = ward
    process = operator.process
    for name in ("works", "waits"):
        leaving.apply(named(A_RUN, name))
    pod = leaving.pod("works")
    leaving.runs_on(pod)
    leaving.says("works", "Executed", "False/Running")
    leaving.api.call("DELETE", NAMESPACES.path(None, "leaving"))
    is_served(hospital, "while-it-goes")
    wait(lambda: "deletionTimestamp" in (leaving.api.get(PODS, "leaving", pod) or {"metadata": {"deletionTimestamp": ""}})["metadata"], "the pod is ended")
    leaving.api.delete(PODS, "leaving", pod)  # as its kubelet does
    wait(lambda: leaving.api.get(NAMESPACES, None, "leaving") is None, "the namespace is gone")  # type: ignore[arg-type]
    wait(lambda: not any(operator.metrics().get(f'gantry_runs{{state="{state}"}}', 0) for state in ("Running", "Queued")), "its Runs are forgotten")
    is_served(hospital, "after-it-went")
    assert operator.process is process, "the process is the same"
    assert operator.process is not None
    assert operator.process.poll() is None


def test_the_kind_of_runs_is_removed_and_applied_again(ward: tuple[Hospital, Hospital, Operator]) -> None:
    """All Runs are gone with it. The operator says which kind is missing and waits for it; once it is there, it works as if it were new."""
    hospital, _, operator = ward
    is_served(hospital, "goes-with-its-kind")
    hospital.api.call("DELETE", DEFINITIONS.path(None, "inferenceruns.gantry.health"))
    wait(lambda: hospital.api.get(DEFINITIONS, None, "inferenceruns.gantry.health") is None, "the kind is gone")  # type: ignore[arg-type]
    assert operator.process is not None
    operator.process.wait(60)  # kopf ends with any of its watches; a kubelet starts it again
    operator.process = None
    operator.start(ready=False)
    wait(lambda: "does not serve inferenceruns; is its CRD applied?" in operator.log, "it says what is missing", tell=lambda: operator.log[-3000:])
    assert operator.probe("readyz") != 200
    assert hospital.plane.kubectl("apply", "--server-side", "-f", str(CRDS)).returncode == 0
    established(hospital)
    wait(lambda: operator.probe("readyz") == 200, "it is ready", tell=lambda: operator.log[-3000:])
    is_served(hospital, "of-the-new-kind")


def test_a_crd_is_removed_and_applied_again(ward: tuple[Hospital, Hospital, Operator]) -> None:
    """Nobody needs backfills to analyse a study. The process ends, for kopf ends with any of its watches, and is started again as a kubelet does."""
    hospital, _, operator = ward
    hospital.api.call("DELETE", DEFINITIONS.path(None, "inferencebackfills.gantry.health"))
    wait(lambda: hospital.api.get(DEFINITIONS, None, "inferencebackfills.gantry.health") is None, "the kind is gone")  # type: ignore[arg-type]
    assert operator.process is not None
    operator.process.wait(60)
    operator.process = None
    operator.start()
    is_served(hospital, "without-backfills")
    assert "does not serve inferencebackfills; is its CRD applied?" in operator.log
    assert hospital.plane.kubectl("apply", "--server-side", "-f", str(CRDS)).returncode == 0
    established(hospital)
    operator.kill()  # by itself it would notice within ten minutes
    operator.start()
    is_served(hospital, "with-backfills")
