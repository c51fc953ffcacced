"""Runs in queues of a real Kueue: its webhooks, its admission, its quotas, its evictions; real pods on the real Job controller. `make test-kueue`.

tests/component/test_operator_scheduling.py walks the same rows with a stand-in for Kueue, whose words and order of writes come from here.
"""

import json

from examples.demo.hospital import Hospital, run
from tests.e2e.pipelines import apply
from tests.e2e.test_not_performed import REPORT
from tests.e2e.test_usage import held_by
from tests.kueue.conftest import NODE, Queues


def test_a_flavor_is_chosen_by_its_memory_and_the_next_waits_for_its_quota(queues: Queues) -> None:
    """Two flavors: the first has too little memory for `gpuMemory`. The second Run waits for longer than its own timeout and is none the worse."""
    queues.quota("small", "large")
    queues.local_queue()
    memory = {"gpuMemory": "20Gi"}
    apply(queues.hospital, queues.a_pipeline("first", resources=memory), queues.a_pipeline("second", resources=memory, timeout="60s"))
    queues.send("first")
    queues.until_it_works("first")
    assert queues.job("first")["spec"]["template"]["spec"]["nodeSelector"] == NODE
    (assigned,) = queues.workload("first")["status"]["admission"]["podSetAssignments"]
    assert assigned["flavors"]["nvidia.com/gpu"] == "large"

    queues.send("second")
    queues.until_says("second", "Queued: waits for admission by queue radiology: couldn't assign flavors to pod set main: ")
    assert "insufficient unused quota for nvidia.com/gpu in flavor large, 1 more needed" in queues.says("second")
    assert queues.job("second")["spec"]["suspend"] is True
    assert queues.pods("second") == []
    queues.until(lambda: queues.waited("second") > 65, "it has waited longer than its timeout", "second")
    assert queues.state("second") == "Queued"

    queues.go("first")
    queues.ends_well("first")
    queues.until_it_works("second")
    queues.go("second")
    queues.ends_well("second")


def test_an_emergency_puts_a_nights_study_out_and_both_end_well(queues: Queues) -> None:
    """Without retries: being put out is no attempt."""
    queues.quota("any")
    queues.local_queue()
    stroke = queues.a_pipeline("stroke", scheduling={"queueName": "radiology", "queueClassNames": {"Stat": "emergency"}})
    stroke["spec"]["priority"] = {"rules": [{"study": [{"tag": "AccessionNumber", "operator": "In", "values": ["STROKE"]}], "class": "Stat"}]}
    apply(queues.hospital, queues.a_pipeline("night"), stroke)
    queues.send("night")
    queues.until_it_works("night")
    queues.send("stroke")
    queues.until_says("night", "Queued: put out by queue radiology; waits for admission by queue radiology again")
    evicted = next(one for one in queues.workload("night")["status"]["conditions"] if one["type"] == "Evicted")
    assert evicted["reason"] == "Preempted"
    queues.until_it_works("stroke")
    assert queues.workload("stroke")["spec"]["priority"] == 1000
    assert queues.pods("night") == [], "the GPU is given to the emergency when the other's pod has gone"
    queues.go("stroke")
    queues.ends_well("stroke")
    queues.until_it_works("night")
    queues.go("night")
    queues.ends_well("night")
    (second,) = queues.pods("night")
    usage = (queues.run("night") or {})["status"]["usage"]
    assert usage["reservedGpuSeconds"] > held_by(second), "the pod that was put out is gone, and what it held is counted"


def test_a_queue_that_is_missing_leads_nowhere_or_is_stopped_is_told(queues: Queues) -> None:
    """Each is mended in turn, and the Run goes on by itself; then the whole quota is closed under it."""
    apply(queues.hospital, queues.a_pipeline("stuck"))
    queues.until_pipeline_says("stuck", "QueueMissing: no LocalQueue radiology in namespace ")
    queues.send("stuck")
    queues.until_says("stuck", f"QueueMissing: no LocalQueue radiology in namespace {queues.hospital.namespace} (scheduling.queueName): make it")
    queues.local_queue()
    gone = f"LocalQueue radiology belongs to ClusterQueue {queues.cluster_queue}, which does not exist"
    queues.until_says("stuck", f"QueueStopped: {gone}")
    queues.quota("any", stopPolicy="Hold")
    closed = f"ClusterQueue {queues.cluster_queue} of queue radiology admits nothing: it is stopped"
    queues.until_says("stuck", f"QueueStopped: {closed}")
    queues.until_pipeline_says("stuck", f"QueueStopped: {closed}")
    queues.quota("any")
    queues.until_it_works("stuck")
    queues.until_pipeline_says("stuck", "QueueAdmits: ")
    queues.quota("any", stopPolicy="HoldAndDrain")
    queues.until_says("stuck", f"QueueStopped: put out by queue radiology; {closed}")
    queues.quota("any")
    queues.until_it_works("stuck")
    queues.go("stuck")
    queues.ends_well("stuck")


def test_what_no_quota_will_ever_hold_says_so_and_can_be_deleted(queues: Queues) -> None:
    queues.quota("any")
    queues.local_queue()
    apply(queues.hospital, queues.a_pipeline("greedy", gpus=2))
    queues.send("greedy")
    queues.until_says("greedy", "Queued: waits for admission by queue radiology: ")
    assert "insufficient quota for nvidia.com/gpu in flavor any, previously considered podsets requests (0) + current podset request (2) > maximum capacity (1)" in queues.says("greedy")
    name = queues.workload("greedy")["metadata"]["name"]
    queues.hospital.kubectl("delete", "irun", "-l", "gantry.health/pipeline=greedy")

    def left() -> str:
        jobs = queues.hospital.kubectl("get", "jobs", "-l", "gantry.health/pipeline=greedy", "-o", "name")
        return jobs + queues.hospital.kubectl("get", "workloads", name, "--ignore-not-found", "-o", "name")

    queues.until(lambda: not left(), "nothing of it is left")


def test_a_run_that_fails_gives_its_quota_back_and_its_notice_needs_none(queues: Queues) -> None:
    """The Job that reports the failure names no queue: the next Run has the GPU by then."""
    queues.quota("any")
    queues.local_queue()
    apply(queues.hospital, queues.a_pipeline("fails", "raise SystemExit(3)", report=REPORT), queues.a_pipeline("next"))
    queues.send("next")
    queues.until_it_works("next")
    queues.send("fails")
    queues.until_says("fails", "Queued: waits for admission by queue radiology")
    queues.go("next")
    queues.ends_well("next")
    queues.until_state("fails", "Failed")
    assert (queues.run("fails") or {})["status"]["failure"]["reason"] == "StepFailed"
    assert len(queues.hospital.pacs.instances(queues.studies["fails"], "SR")) == 1
    assert queues.hospital.get("localqueues.v1beta2.kueue.x-k8s.io", "radiology")["status"]["admittedWorkloads"] == 0


def test_a_job_that_kueue_puts_into_the_default_queue_by_itself(queues: Queues) -> None:
    """A LocalQueue called `default` takes every Job of its namespace: a pipeline that names no queue waits and is put out like any other."""
    queues.quota("any")
    queues.local_queue("default")
    applied = queues.a_pipeline("first", scheduling={}), queues.a_pipeline("second", scheduling={})
    apply(queues.hospital, *applied)
    queues.send("first")
    queues.until_it_works("first")
    queues.send("second")
    queues.until_says("second", "Queued: waits for admission by queue default: couldn't assign flavors to pod set main")
    queues.quota("any", stopPolicy="HoldAndDrain")
    queues.until_put_out("first", "default")
    queues.quota("any", gpus=2)
    for name in ("first", "second"):
        queues.until_it_works(name)
        queues.go(name)
        queues.ends_well(name)


def test_while_kueue_is_away_no_job_is_made_and_no_run_fails(queues: Queues) -> None:
    """Its webhooks are asked for every Job of the cluster, and refuse by their absence."""
    queues.quota("any")
    queues.local_queue()
    apply(queues.hospital, queues.a_pipeline("patient"))
    manager = ("deployment/kueue-controller-manager", "-n", "kueue-system")
    run("kubectl", "scale", *manager, "--replicas=0")
    run("kubectl", "wait", "--for=delete", "pod", "-n", "kueue-system", "-l", "control-plane=controller-manager", "--timeout=60s")
    try:
        queues.send("patient")
        queues.until(lambda: refused(queues.hospital), "the API server refuses its Job", "patient")
        assert queues.state("patient") in ("", "Waiting")
    finally:
        run("kubectl", "scale", *manager, "--replicas=1")
        run("kubectl", "rollout", "status", *manager, "--timeout=120s")
    queues.until_it_works("patient")
    queues.go("patient")
    queues.ends_well("patient")


def refused(hospital: Hospital) -> bool:
    """In the words that the operator logs."""
    lines = hospital.kubectl("logs", "-l", "app.kubernetes.io/name=gantry", "--tail=-1").splitlines()
    return any("mjob.kb.io" in json.dumps(json.loads(line)) for line in lines if line.startswith("{"))
