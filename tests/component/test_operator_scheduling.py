"""Who gets the GPU: the real scheduler preempts, and a queue admits and puts out by `suspend`, on the real Job controller.

Kubernetes' own API server, Job controller and scheduler; the test plays the kubelet of one node. Kueue takes minutes to build, so `StandIn`
does what it does to plain Jobs (https://kueue.sigs.k8s.io/docs/tasks/run/jobs/, docs/concepts/workload): a Job with the label
stays suspended until there is quota, then gets the flavour's node labels and loses `suspend`; eviction is `suspend` again, with which Kueue takes
the Job's start time and the labels back. `make test-kueue` walks the same way with the real one.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.builders import BRIDGE, PIPELINE, RUN, changed
from tests.builders_runs import a_receipt
from tests.chaos.plane import Plane, whole_plane
from tests.component.control_plane import begun, binaries, end
from tests.component.operator_process import Hospital, Object, a_hospital, ended, named, wait

from gantry.api import timestamp
from gantry.kube import JOBS, LOCAL_QUEUES, NODE_PERMISSIONS, PIPELINES, PODS, QUEUE_PERMISSIONS, RUNS, WORKLOADS, Resource
from gantry.runs import FetchReceipt, job_name
from gantry.runtime.process import now

A_BRIDGE = changed(changed(BRIDGE, "spec.url", "http://127.0.0.1:9"), "spec.credentialsSecretRef", ...)
STEP = {**PIPELINE["spec"]["template"]["steps"][0], "resources": {"limits": {"nvidia.com/gpu": 1}}}
TEMPLATE = {**RUN["spec"]["template"], "steps": [STEP], "delivery": {"destinations": []}, "retries": 0}
NODES = Resource("v1", "Node", "nodes")
CLASSES = Resource("scheduling.k8s.io/v1", "PriorityClass", "priorityclasses")
QUEUE, STOPPING = "kueue.x-k8s.io/queue-name", "kueue.x-k8s.io/stopping"
FLAVOUR = {"gpu.example/model": "a100"}
NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """With a scheduler, priority classes and one node with one GPU."""
    folder = tmp_path_factory.mktemp("scheduling") / "plane"
    with whole_plane(folder) as made:
        command = [str(binaries() / "kube-scheduler"), "--kubeconfig", str(made.plane.kubeconfig), "--leader-elect=false", "--secure-port", "0"]
        scheduler = begun("kube-scheduler", command, folder)
        try:
            yield made
        finally:
            end([scheduler])


@pytest.fixture
def hospital(plane: Plane, tmp_path: Path) -> Iterator[Hospital]:
    number = next(NUMBERS)
    made = a_hospital(plane.plane, tmp_path, f"scheduling-{number}", bridge=A_BRIDGE, pipeline=changed(PIPELINE, "spec.template", TEMPLATE))
    node(made, f"gpu-{number}")
    yield made
    made.api.delete(NODES, "", f"gpu-{number}")
    made.api.http.close()


def node(hospital: Hospital, name: str, devices: Object | None = None) -> None:
    """Ready, with one GPU or those devices. The admission plugin makes it not-ready, and the controller that would end that is not here."""
    room = {"cpu": "8", "memory": "32Gi", "pods": "110", "ephemeral-storage": "1Ti", **(devices or {"nvidia.com/gpu": "1"})}
    labels = {"kubernetes.io/hostname": name, **FLAVOUR, "nvidia.com/gpu.memory": "40960"}
    moment = timestamp(now())
    ready = {"type": "Ready", "status": "True", "reason": "Test", "message": "", "lastTransitionTime": moment, "lastHeartbeatTime": moment}
    status = {"allocatable": room, "capacity": room, "conditions": [ready]}
    hospital.api.call("POST", NODES.path(None), {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "status": status})
    hospital.api.call("PATCH", NODES.path(None, name), {"spec": {"taints": None}}, content="application/merge-patch+json")


def a_run(name: str, priority: str = "Routine", scheduling: Object | None = None, **spec: Any) -> Object:
    template = {**TEMPLATE, "scheduling": scheduling or {}}
    return named({**RUN, "spec": {**RUN["spec"], "template": template, "priority": priority, **spec}}, name)


def pods_of(hospital: Hospital, run: str) -> list[Object]:
    pods = [pod for pod in hospital.api.list(PODS, hospital.namespace) if pod["metadata"]["labels"].get("gantry.health/run") == run]
    return sorted(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))


def bound(hospital: Hospital, run: str) -> str:
    """The pod that the scheduler has given a node."""
    def found() -> str:
        live = [pod for pod in pods_of(hospital, run) if "deletionTimestamp" not in pod["metadata"] and pod["spec"].get("nodeName")]
        return str(live[-1]["metadata"]["name"]) if live else ""

    return str(wait(found, f"a pod of {run} is bound", tell=lambda: (hospital.status(run), [p["status"] for p in pods_of(hospital, run)])))


def going(hospital: Hospital, run: str) -> Object:
    """The pod that is being ended."""
    return dict(wait(lambda: next((p for p in pods_of(hospital, run) if "deletionTimestamp" in p["metadata"]), None), f"a pod of {run} is being ended"))


def dies(hospital: Hospital, pod: Object) -> None:
    """What the kubelet does with a pod that is deleted: SIGTERM, codes, the phase Failed; then it lets the object go."""
    fetched = ended(0, FetchReceipt(instances=20, bytes=1000, seconds=0.1).encode())
    name = str(pod["metadata"]["name"])
    hospital.container_states(name, phase="Failed", conditions=pod["status"].get("conditions"), fetch=fetched, detect=ended(143), publish=ended(143))
    wait(
        lambda: "finalizers" not in (hospital.api.get(PODS, hospital.namespace, name) or {"metadata": {}})["metadata"],
        "the Job controller has counted the pod",
    )
    hospital.api.delete(PODS, hospital.namespace, name)


def test_stat_preempts_background_which_runs_again(hospital: Hospital) -> None:
    """One GPU, no retries: the pod that is put out is no attempt."""
    for name, value in (("stroke", 1000), ("night", -10)):
        body = {"apiVersion": CLASSES.api_version, "kind": CLASSES.kind, "metadata": {"name": name}, "value": value}
        hospital.api.call("POST", CLASSES.path(None), body)
    names = {"priorityClassNames": {"Stat": "stroke", "Background": "night"}}
    with hospital.operator():
        hospital.apply(a_run("study-of-the-night", "Background", **names))
        hospital.runs_on(bound(hospital, "study-of-the-night"))
        hospital.says("study-of-the-night", "Executed", "False/Running")
        hospital.apply(a_run("stroke", "Stat", **names))
        victim = going(hospital, "study-of-the-night")
        reasons = {c["type"]: c.get("reason") for c in victim["status"]["conditions"]}
        assert reasons["DisruptionTarget"] == "PreemptionByScheduler"
        dies(hospital, victim)
        hospital.publishes(bound(hospital, "stroke"), a_receipt())
        hospital.says("stroke", "Complete", "True/Complete")
        assert "failure" not in hospital.status("study-of-the-night")
        hospital.publishes(bound(hospital, "study-of-the-night"), a_receipt())
        status = hospital.says("study-of-the-night", "Complete", "True/Complete")
        assert status["state"] == "Succeeded"
        assert (hospital.has_job("study-of-the-night")["status"].get("failed") or 0) == 0


def test_what_no_node_offers_is_told_in_the_schedulers_words(hospital: Hospital) -> None:
    with hospital.operator():
        body = a_run("greedy")
        body["spec"]["template"] = {**body["spec"]["template"], "steps": [{**STEP, "resources": {"limits": {"nvidia.com/gpu": 4}}}]}
        hospital.apply(body)
        hospital.says("greedy", "Executed", "False/Unschedulable")
        message = next(c["message"] for c in hospital.status("greedy")["conditions"] if c["type"] == "Executed")
        assert message.startswith("the pod asks for 4 nvidia.com/gpu: 0/")
        assert "Insufficient nvidia.com/gpu" in message
        assert hospital.status("greedy")["state"] == "Queued"


def asking(name: str, **limits: str) -> Object:
    body = a_run(name)
    return {**body, "spec": {**body["spec"], "template": {**body["spec"]["template"], "steps": [{**STEP, "resources": {"limits": limits}}]}}}


def may_list_nodes(hospital: Hospital) -> None:
    """The chart's registries.readNodes."""
    roles = Resource("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles")
    bindings = Resource("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "clusterrolebindings")
    name = {"metadata": {"name": f"nodes-{hospital.namespace}"}}
    rules = [one.rule() for one in NODE_PERMISSIONS]
    hospital.api.call("POST", roles.path(None), {"apiVersion": roles.api_version, "kind": "ClusterRole", **name, "rules": rules})
    subject = {"kind": "ServiceAccount", "name": "operator", "namespace": hospital.namespace}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", **name["metadata"]}
    body = {"apiVersion": bindings.api_version, "kind": "ClusterRoleBinding", **name, "subjects": [subject], "roleRef": reference}
    hospital.api.call("POST", bindings.path(None), body)


def test_what_the_nodes_offer_is_told_to_those_who_ask_for_something_else(hospital: Hospital) -> None:
    """With the right to list nodes; without it the scheduler's words stand alone. The words are those of the real scheduler."""
    node(hospital, f"amd-{hospital.namespace}", {"amd.com/gpu": "2"})

    def says(name: str, words: str) -> None:
        hospital.says(name, "Executed", "False/Unschedulable")
        wait(lambda: message_of(hospital, name).endswith(words), f"{name} says {words}", tell=lambda: message_of(hospital, name))

    try:
        with hospital.operator(GANTRY_READ_NODES="yes"):
            hospital.apply(asking("not-permitted", **{"nvidia.com/mig-1g.10gb": "1"}))
            says("not-permitted", "Preemption is not helpful for scheduling; waits 24h at most (template.scheduling.deadline)")
        may_list_nodes(hospital)
        with hospital.operator(GANTRY_READ_NODES="yes"):
            others = "no node offers nvidia.com/mig-1g.10gb; 1 node offers amd.com/gpu (2), 1 node offers nvidia.com/gpu (1)"
            says("not-permitted", f"; {others}; waits 24h at most (template.scheduling.deadline)")
            assert message_of(hospital, "not-permitted").startswith("the pod asks for 1 nvidia.com/mig-1g.10gb: 0/2 nodes are available: ")
            hospital.apply(asking("too-many", **{"amd.com/gpu": "4"}))
            says("too-many", "; 4 amd.com/gpu are needed on one node, the largest has 2; waits 24h at most (template.scheduling.deadline)")
            hospital.apply(asking("first", **{"nvidia.com/gpu": "1"}))
            bound(hospital, "first")
            hospital.apply(asking("second", **{"nvidia.com/gpu": "1"}))
            says("second", "; 1 node offers 1 nvidia.com/gpu in all, taken or closed to this pod; waits 24h at most (template.scheduling.deadline)")
            hospital.api.delete(RUNS, hospital.namespace, "second")  # it would take the next test's GPU
            wait(lambda: not pods_of(hospital, "second"), "its pod is gone")
    finally:
        hospital.api.delete(NODES, "", f"amd-{hospital.namespace}")


def test_a_gpu_with_too_little_memory_is_not_chosen(hospital: Hospital) -> None:
    """The node says 40 GiB."""
    def with_memory(name: str, memory: str) -> Object:
        body = a_run(name)
        resources = {"limits": {"nvidia.com/gpu": 1}, "gpuMemory": memory}
        return {**body, "spec": {**body["spec"], "template": {**body["spec"]["template"], "steps": [{**STEP, "resources": resources}]}}}

    with hospital.operator():
        hospital.apply(with_memory("large", "80Gi"))
        hospital.says("large", "Executed", "False/Unschedulable")
        message = next(c["message"] for c in hospital.status("large")["conditions"] if c["type"] == "Executed")
        assert "of GPUs with 80Gi of memory" in message
        assert "node affinity" in message
        hospital.apply(with_memory("fits", "40Gi"))
        bound(hospital, "fits")


# ---- a queue ----


@dataclass
class StandIn:
    """Kueue's part in the life of a plain Job, as its documentation has it; one step at a time, so that tests say when."""

    hospital: Hospital
    queue: str = "radiology"
    admitted: list[str] = field(default_factory=list)

    def jobs(self) -> list[Object]:
        jobs = self.hospital.api.list(JOBS, self.hospital.namespace)
        return [job for job in jobs if job["metadata"]["labels"].get(QUEUE) == self.queue]

    def admit(self, run: str) -> None:
        """Quota is there: the flavour's labels, and off."""
        name = job_name(run)
        wait(lambda: name in [job["metadata"]["name"] for job in self.jobs()], f"{name} is in the queue")
        change = {"spec": {"suspend": False, "template": {"spec": {"nodeSelector": FLAVOUR}}}}
        self.hospital.api.patch(JOBS, self.hospital.namespace, name, change)

    def put_out(self, run: str) -> None:
        """For a more urgent one, in the three writes of Kueue 0.17 (Stop in pkg/controller/jobs/job): the labels go before the pod has gone."""
        api, place = self.hospital.api, (JOBS, self.hospital.namespace, job_name(run))
        api.patch(*place, {"spec": {"suspend": True}, "metadata": {"annotations": {STOPPING: "true"}}})
        api.patch(*place, {"status": {"startTime": None}}, sub="status")
        api.patch(*place, {"spec": {"template": {"spec": {"nodeSelector": None}}}, "metadata": {"annotations": {STOPPING: None}}})


def kueue_is_installed(hospital: Hospital) -> None:
    """The kinds LocalQueue and Workload, as far as anybody here looks at them."""
    for kind in (LOCAL_QUEUES, WORKLOADS):
        names = {"kind": kind.kind, "plural": kind.plural, "singular": kind.kind.lower(), "listKind": f"{kind.kind}List"}
        schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
        version = {"name": kind.version, "served": True, "storage": True, "schema": schema}
        spec = {"group": kind.group, "names": names, "scope": "Namespaced", "versions": [version]}
        marks = {"name": f"{kind.plural}.{kind.group}", "annotations": {"api-approved.kubernetes.io": "unapproved, a test's"}}
        body = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": marks, "spec": spec}
        hospital.api.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", body)
    for kind in (LOCAL_QUEUES, WORKLOADS):
        wait(lambda one=kind: hospital.api.http.get(one.path(hospital.namespace)).is_success, f"{kind.kind} is served")


def local_queue(hospital: Hospital, **active: str) -> None:
    """`active`: what Kueue says of it."""
    status = {"conditions": [{"type": "Active", **active}]}
    body = {"apiVersion": LOCAL_QUEUES.api_version, "kind": LOCAL_QUEUES.kind, "metadata": {"name": "radiology"}, "spec": {"clusterQueue": "gpus"}, "status": status}
    hospital.api.create(LOCAL_QUEUES, hospital.namespace, body)


def says_of(hospital: Hospital, run: str, words: str) -> None:
    """Kueue's object for the Job, and why it is not admitted."""
    name = {"name": f"job-{run}", "labels": {"kueue.x-k8s.io/job-uid": hospital.has_job(run)["metadata"]["uid"]}}
    status = {"conditions": [{"type": "QuotaReserved", "status": "False", "reason": "Pending", "message": words}]}
    hospital.api.create(WORKLOADS, hospital.namespace, {"apiVersion": WORKLOADS.api_version, "kind": WORKLOADS.kind, "metadata": name, "status": status})


def may_read_queues(hospital: Hospital) -> None:
    """The chart's kueue.enabled."""
    roles = Resource("rbac.authorization.k8s.io/v1", "Role", "roles")
    bindings = Resource("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings")
    rules = [one.rule() for one in QUEUE_PERMISSIONS]
    name = {"metadata": {"name": "queues"}}
    hospital.api.create(roles, hospital.namespace, {"apiVersion": roles.api_version, "kind": "Role", **name, "rules": rules})
    subject = {"kind": "ServiceAccount", "name": "operator", "namespace": hospital.namespace}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "queues"}
    body = {"apiVersion": bindings.api_version, "kind": "RoleBinding", **name, "subjects": [subject], "roleRef": reference}
    hospital.api.create(bindings, hospital.namespace, body)


def message_of(hospital: Hospital, run: str) -> str:
    return next((c["message"] for c in hospital.status(run).get("conditions") or () if c["type"] == "Executed"), "")


def pipeline_says(hospital: Hospital, words: str) -> None:
    """Of its queue: status, reason and message of QueueReady begin so."""

    def told() -> str:
        found = hospital.api.get(PIPELINES, hospital.namespace, PIPELINE["metadata"]["name"]) or {}
        said = [one for one in (found.get("status") or {}).get("conditions") or () if one["type"] == "QueueReady"]
        return next((f"{one['status']}/{one['reason']}: {one['message']}" for one in said), "")

    wait(lambda: told().startswith(words), f"the pipeline says {words}", tell=told)


IN_QUEUE = {"queueName": "radiology", "queueClassNames": {"Stat": "emergency"}}


def test_a_queue_admits_puts_out_and_admits_again(hospital: Hospital) -> None:
    """Twice put out, with no retry to spend: the Run ends well, and what was put into the Job stays there."""
    kueue = StandIn(hospital)
    with hospital.operator():
        hospital.apply(a_run("queued", "Stat", IN_QUEUE))
        hospital.says("queued", "Executed", "False/Queued")
        assert message_of(hospital, "queued") == "waits for admission by queue radiology"
        job = hospital.has_job("queued")
        assert job["spec"]["suspend"] is True
        assert job["metadata"]["labels"]["kueue.x-k8s.io/priority-class"] == "emergency"
        assert pods_of(hospital, "queued") == []
        for _ in range(2):
            kueue.admit("queued")
            hospital.runs_on(bound(hospital, "queued"))
            hospital.says("queued", "Executed", "False/Running")
            kueue.put_out("queued")
            hospital.says("queued", "Executed", "False/Queued")
            assert message_of(hospital, "queued") == "put out by queue radiology; waits for admission by queue radiology again"
            dies(hospital, going(hospital, "queued"))
            wait(lambda: not pods_of(hospital, "queued"), "the pod is gone")
        assert not hospital.has_job("queued")["status"].get("failed"), "the Job controller does not count them either"
        kueue.admit("queued")
        pod = bound(hospital, "queued")
        assert (hospital.api.get(PODS, hospital.namespace, pod) or {})["spec"]["nodeSelector"] == FLAVOUR
        hospital.publishes(pod, a_receipt())
        assert hospital.says("queued", "Complete", "True/Complete")["state"] == "Succeeded"


def test_with_a_queue_a_run_fails_after_its_own_retries(hospital: Hospital) -> None:
    kueue = StandIn(hospital)
    with hospital.operator():
        hospital.apply(a_run("fails", "Routine", IN_QUEUE))
        kueue.admit("fails")
        fetched = ended(0, FetchReceipt(instances=20, bytes=1000, seconds=0.1).encode())
        hospital.container_states(bound(hospital, "fails"), phase="Failed", fetch=fetched, detect=ended(1), publish=ended(1))
        hospital.says("fails", "Failed", "True/StepFailed")
        wait(lambda: "completionTime" in hospital.status("fails"), "it is over")


def test_a_queue_that_is_missing_or_stopped_is_named(hospital: Hospital) -> None:
    """Without the right to look the Run only waits; with it, it says what to do; once the queue is there and open, what Kueue says of it. The pipeline
    says the same of the queue."""
    run = a_run("stuck", "Routine", IN_QUEUE)
    hospital.api.patch(PIPELINES, hospital.namespace, PIPELINE["metadata"]["name"], {"spec": {"template": {"scheduling": IN_QUEUE}}})
    with hospital.operator():
        hospital.apply(run)
        hospital.says("stuck", "Executed", "False/Queued")
        pipeline_says(hospital, "Unknown/QueueNotRead: the operator may not read LocalQueues: set kueue.enabled of the chart")
    may_read_queues(hospital)
    with hospital.operator():
        hospital.says("stuck", "Executed", "False/QueueMissing")
        assert "the cluster has no Kueue" in message_of(hospital, "stuck")
        pipeline_says(hospital, "False/QueueMissing: scheduling.queueName is radiology and the cluster has no Kueue: install it, or take queueName out")
    kueue_is_installed(hospital)
    with hospital.operator():
        wait(lambda: message_of(hospital, "stuck").startswith("no LocalQueue radiology in namespace"), "it names the queue", tell=lambda: hospital.status("stuck"))
        pipeline_says(hospital, f"False/QueueMissing: no LocalQueue radiology in namespace {hospital.namespace} (scheduling.queueName): make it")
    local_queue(hospital, status="False", reason="ClusterQueueIsInactive")
    with hospital.operator():
        hospital.says("stuck", "Executed", "False/QueueStopped")
        assert message_of(hospital, "stuck").startswith("ClusterQueue gpus of queue radiology admits nothing: ")
        pipeline_says(hospital, "False/QueueStopped: ClusterQueue gpus of queue radiology admits nothing")
    open_again = {"status": {"conditions": [{"type": "Active", "status": "True", "reason": "Ready"}]}}
    hospital.api.patch(LOCAL_QUEUES, hospital.namespace, "radiology", open_again)
    says_of(hospital, "stuck", "couldn't assign flavors to pod set main: insufficient unused quota for nvidia.com/gpu in flavor a100, 1 more needed")
    with hospital.operator():
        hospital.says("stuck", "Executed", "False/Queued")
        assert message_of(hospital, "stuck").endswith("queue radiology: couldn't assign flavors to pod set main: insufficient unused quota for "
                                                      "nvidia.com/gpu in flavor a100, 1 more needed")  # fmt: skip
        pipeline_says(hospital, "True/QueueAdmits: ")
        hospital.api.delete(RUNS, hospital.namespace, "stuck")
