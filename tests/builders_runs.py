"""Runs with their Jobs and pods, as the API server shows them: `a_run().with_job().failed(137)`.

Every method gives a new builder. `observed()` is what `plan` looks at; `objects()` are the raw dictionaries for stores and real API servers.
"""

import copy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.builders import BRIDGE, RUN, changed

from gantry.api import RunReason, timestamp
from gantry.api.run import ClaimedDevices, DeliveryStatus, Failure, FindingCounts, Receipt, Result
from gantry.runs import (
    HISTORY,
    BridgeView,
    FetchReceipt,
    Held,
    JobView,
    Kept,
    Limit,
    Limits,
    Node,
    Observed,
    PodView,
    PublishReceipt,
    Queue,
    RunView,
    StepEnd,
    failed,
    job_name,
    notice_name,
)

T0 = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
"""When the Run was made. Its Job comes 1 s later, the pod 2 s later."""
RUN_UID = "11111111-0000-0000-0000-000000000000"
JOB_UID = "22222222-0000-0000-0000-000000000000"
NOTICE_UID = "55555555-0000-0000-0000-000000000000"
NAME = RUN["metadata"]["name"]
A_BRIDGE = changed(BRIDGE, "metadata.uid", "44444444-0000-0000-0000-000000000000")
FULL = Limit("pipeline", "chest-ct-nodules", 1)
RESULT = Result(
    kind="SR",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34",
    sop_instance_uid="2.25.1",
    series_instance_uid="2.25.2",
    orthanc_id="11111111-22222222-33333333-44444444-55555555",
    md5="0" * 32,
    bytes=1000,
)


def at(seconds: float) -> datetime:
    """A moment by seconds after the Run was made."""
    return T0 + timedelta(seconds=seconds)


def told(seconds: float) -> str:
    """The same as the API writes it."""
    return timestamp(at(seconds))


def a_receipt(*, steps: tuple[str, ...] = ("detect",), failure: Failure | None = None) -> PublishReceipt:
    """What publish leaves: each step took 2.5 s, from the fourth second on."""
    ends = tuple(StepEnd(name=name, start_time="2026-03-01T12:00:04.250Z", seconds=2.5, code=0, max_rss_bytes=2**20) for name in steps)
    if failure:
        return PublishReceipt(steps=ends, failure=failure, seconds=0.5)
    return PublishReceipt(results=(RESULT,), steps=ends, findings=FindingCounts(present=2, absent=1), seconds=0.75)


def a_state(kind: str, **body: Any) -> dict[str, Any]:
    """A container's state."""
    return {kind: {name: value for name, value in body.items() if value is not None}}


def an_end(code: int, *, message: str = "", reason: str | None = None, started: float = 3, finished: float = 7) -> dict[str, Any]:
    """A container that has terminated."""
    word = reason or ("Completed" if code == 0 else "Error")
    return a_state("terminated", exitCode=code, reason=word, message=message or None, startedAt=told(started), finishedAt=told(finished))


RUNNING = a_state("running", startedAt=told(3))


@dataclass(frozen=True)
class RunBuilder:
    """A Run and everything that belongs to it."""

    run: dict[str, Any]
    job: dict[str, Any] | None = None
    notice: dict[str, Any] | None = None
    """The Job that reports that the Run failed."""
    pods: tuple[dict[str, Any], ...] = ()
    bridge: dict[str, Any] | None = field(default_factory=lambda: copy.deepcopy(A_BRIDGE))
    now: datetime = T0 + timedelta(seconds=10)
    ttl: timedelta = HISTORY
    successor: str | None = None
    newer: str | None = None
    predecessor_ends: bool = False
    held: Held | None = None
    queue: Queue | None = None
    claimed: dict[str, tuple[ClaimedDevices, ...]] | None = None
    vanished: tuple[dict[str, Any], ...] = ()
    offers: tuple[Node, ...] | None = None
    refusal: str | None = None
    looked: bool = False
    kept: Kept | None = None
    deliveries: tuple[DeliveryStatus, ...] | None = None
    troubled_since: datetime | None = None

    # ---- the Run ----

    def named(self, name: str) -> "RunBuilder":
        return self._run(lambda run: run["metadata"].update(name=name))

    def with_template(self, **fields: Any) -> "RunBuilder":
        return self._run(lambda run: run["spec"]["template"].update(fields))

    def with_step(self, **fields: Any) -> "RunBuilder":
        """Changes the first step."""
        return self._run(lambda run: run["spec"]["template"]["steps"][0].update(fields))

    def with_steps(self, *names: str) -> "RunBuilder":
        step = self.run["spec"]["template"]["steps"][0]
        return self.with_template(steps=[{**step, "name": name} for name in names])

    def with_gpu(self, count: int = 1, resource: str = "nvidia.com/gpu") -> "RunBuilder":
        return self.with_step(resources={"limits": {resource: str(count), "memory": "8Gi"}})

    def in_shadow(self) -> "RunBuilder":
        return self._run(lambda run: run["spec"].update(mode="Shadow"))

    def delivering_to(self, *destinations: str) -> "RunBuilder":
        return self.with_template(delivery={"destinations": list(destinations), "deadline": "24h"})

    def seen_at(self, text: str) -> "RunBuilder":
        return self._run(lambda run: run["metadata"].update(annotations={"gantry.health/seen": text}))

    def decided_at(self, *, stable: str, seen: str, decided: str) -> "RunBuilder":
        moments = {"gantry.health/stable": stable, "gantry.health/seen": seen, "gantry.health/decided": decided}
        return self._run(lambda run: run["metadata"].update(annotations=moments))

    def cancelled(self) -> "RunBuilder":
        return self._run(lambda run: (run["spec"].update(cancel=True), run["metadata"].update(generation=2)))

    def suspended(self, yes: bool = True) -> "RunBuilder":
        return self._run(lambda run: run["spec"].update(suspend=yes))

    def of_class(self, priority: str) -> "RunBuilder":
        """As changed by somebody afterwards."""
        return self._run(lambda run: (run["spec"].update(priority=priority), run["metadata"].update(generation=run["metadata"]["generation"] + 1)))

    def born(self, seconds: float) -> "RunBuilder":
        return self._run(lambda run: run["metadata"].update(creationTimestamp=told(seconds), uid=f"{RUN_UID}-{run['metadata']['name']}"))

    def superseding(self, name: str) -> "RunBuilder":
        return self._run(lambda run: run["spec"].update(supersedes={"name": name}))

    def superseded_by(self, name: str) -> "RunBuilder":
        return replace(self, successor=name)

    def followed_by(self, name: str) -> "RunBuilder":
        """A newer Run of the same pipeline and study, which does not name this one."""
        return replace(self, newer=name)

    def before_its_predecessor_ended(self) -> "RunBuilder":
        return replace(self, predecessor_ends=True)

    def held_back(self, by: Limit | None = FULL, place: int = 4) -> "RunBuilder":
        """Its turn has not come; by None: nobody knows yet."""
        return replace(self, held=Held(by, place))

    def where_fetches_are_counted(self, most: int = 1) -> "RunBuilder":
        return replace(self, bridge=changed(self.bridge or A_BRIDGE, "spec.limits", {"concurrentFetches": most}))

    def deleting(self) -> "RunBuilder":
        return self._run(lambda run: run["metadata"].update(deletionTimestamp=told(9)))

    def made_by_hand(self) -> "RunBuilder":
        return self._run(lambda run: (run["spec"].pop("pipelineRef"), run["spec"].update(trigger="Manual")))

    def with_status(self, status: Any) -> "RunBuilder":
        """Takes over what a plan wrote."""
        body = status.model_dump(by_alias=True, exclude_none=True) if hasattr(status, "model_dump") else status
        return self._run(lambda run: run.update(status=body))

    def with_job_ref(self) -> "RunBuilder":
        """The status says that a Job was made."""
        admitted = {"type": "Admitted", "status": "True", "reason": "Admitted", "message": "the Job exists", "lastTransitionTime": told(1)}
        return self.with_status({"state": "Queued", "conditions": [admitted], "jobRef": {"name": job_name(self._name), "uid": JOB_UID}})

    def finished(self, state: str, *, ago: timedelta, job: str | None = JOB_UID) -> "RunBuilder":
        """`job`: uid of the one that its status names."""
        kind = "Complete" if state == "Succeeded" else "Failed"
        done = timestamp(self.now - ago)
        word = {"type": kind, "status": "True", "reason": kind, "message": "", "lastTransitionTime": done}
        made = {"jobRef": {"name": job_name(self._name), "uid": job}} if job else {}
        return self.with_status({"state": state, "conditions": [word], "completionTime": done, **made})

    # ---- the Job ----

    def with_job(self, *, deleting: bool = False) -> "RunBuilder":
        metadata = {
            "name": job_name(self._name),
            "namespace": "default",
            "uid": JOB_UID,
            "resourceVersion": "20",
            "creationTimestamp": told(1),
            "labels": {"gantry.health/run": self._name},
            "ownerReferences": [{"apiVersion": "gantry.health/v1alpha1", "kind": "InferenceRun", "name": self._name, "uid": RUN_UID, "controller": True}],
        }
        return replace(self, job={"metadata": metadata | ({"deletionTimestamp": told(9)} if deleting else {}), "spec": {}, "status": {}})

    def with_job_of(self, kind: str, name: str = NAME) -> "RunBuilder":
        """A Job of the right name and another owner."""
        made = self.with_job()
        assert made.job is not None
        made.job["metadata"]["ownerReferences"][0].update(kind=kind, name=name, uid="99999999-0000-0000-0000-000000000000")
        return made

    def job_suspended(self) -> "RunBuilder":
        """By the queue it waits in, or that has put it out."""
        made = self if self.job else self.with_job()
        assert made.job is not None
        return replace(made, job={**made.job, "spec": {"suspend": True}})

    def job_labelled(self, queue: str) -> "RunBuilder":
        """Kueue's webhook has put the Job into that queue, which the Run does not name."""
        made = self if self.job else self.with_job()
        assert made.job is not None
        metadata = {**made.job["metadata"], "labels": {**made.job["metadata"].get("labels", {}), "kueue.x-k8s.io/queue-name": queue}}
        return replace(made, job={**made.job, "metadata": metadata})

    def in_queue(self, name: str = "radiology", **classes: str) -> "RunBuilder":
        """scheduling.queueName, and queueClassNames by class."""
        return self.with_template(scheduling={"queueName": name, **({"queueClassNames": classes} if classes else {})})

    def with_queue(self, known: Queue) -> "RunBuilder":
        """What a look at the LocalQueue has told."""
        return replace(self, queue=known)

    def with_claimed(self, *devices: ClaimedDevices) -> "RunBuilder":
        """The claims of the newest pod were looked at, and give these GPUs."""
        return replace(self, claimed={self.pods[-1]["metadata"]["name"]: devices})

    def newest_pod_gone(self, *, seen_ending: bool) -> "RunBuilder":
        """Deleted; `seen_ending`: a watch had told how its containers ended."""
        return replace(self, pods=self.pods[:-1], vanished=(*self.vanished, self.pods[-1]) if seen_ending else self.vanished)

    def with_offers(self, *nodes: Node) -> "RunBuilder":
        """The nodes were looked at; none: they may not be."""
        return replace(self, offers=nodes)

    def pod_deleting(self) -> "RunBuilder":
        """The newest pod, by the Job controller or by hand."""
        pod = copy.deepcopy(self.pods[-1])
        pod["metadata"]["deletionTimestamp"] = told(9)
        return replace(self, pods=(*self.pods[:-1], pod))

    def job_ended(self, kind: str, reason: str = "", *, failed_pods: int = 0, ended: float | None = None) -> "RunBuilder":
        made = self if self.job else self.with_job()
        assert made.job is not None
        condition = {"type": kind, "status": "True", "reason": reason, "message": ""} | ({} if ended is None else {"lastTransitionTime": told(ended)})
        return replace(made, job={**made.job, "status": {"conditions": [condition], "failed": failed_pods}})

    # ---- the report that it failed ----

    def telling_of_failure(self) -> "RunBuilder":
        """report.onFailure NotPerformed."""
        named = {"name": "LungNoduleNet", "version": "2.1.0", "manufacturer": "ACME AI"}
        looked_for = [{"scheme": "SCT", "value": "427359005", "meaning": "Solitary nodule of lung"}]
        return self.with_template(report={"onFailure": "NotPerformed", "algorithm": named, "evaluatedFor": looked_for})

    def with_notice(self, *, ended: str = "", reason: str = "", owner: str = RUN_UID) -> "RunBuilder":
        job = self.with_job().job
        assert job is not None
        job = copy.deepcopy(job)
        job["metadata"].update(name=notice_name(self._name), uid=NOTICE_UID)
        job["metadata"]["ownerReferences"][0].update(uid=owner)
        if ended:
            job["status"] = {"conditions": [{"type": ended, "status": "True", "reason": reason, "message": ""}]}
        return replace(self, notice=job)

    def notice_ends(self, code: int, receipt: PublishReceipt | None = None) -> "RunBuilder":
        """The one container of its pod."""
        made = self if self.notice else self.with_notice()
        pod = a_run().with_job().with_pod(phase="Failed" if code else "Succeeded", publish=an_end(code, message=receipt.encode() if receipt else ""))
        (only,) = copy.deepcopy(pod.pods)
        only["metadata"].update(name=f"{notice_name(self._name)}-pod1", uid="66666666-0000-0000-0000-000000000000")
        only["metadata"]["ownerReferences"][0].update(uid=NOTICE_UID)
        return replace(made, pods=(*made.pods, only))

    # ---- its pods ----

    def with_pod(self, *, phase: str = "Pending", disrupted: str = "", message: str = "", reason: str = "", **states: dict[str, Any]) -> "RunBuilder":
        """One more attempt. `states` are container states by name, `fetch` and `publish` included; hyphens are written as underscores."""
        made = self if self.job else self.with_job()
        number = len(made.pods) + 1
        started = {"startTime": told(2)} if states else {}
        conditions = [{"type": "DisruptionTarget", "status": "True", "reason": disrupted, "message": message}] if disrupted else []
        pod = {
            "metadata": {
                "name": f"{job_name(self._name)}-pod{number}",
                "namespace": "default",
                "uid": f"33333333-0000-0000-0000-{number:012}",
                "resourceVersion": str(30 + number),
                "creationTimestamp": told(2),
                "labels": {"gantry.health/run": self._name},
                "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": job_name(self._name), "uid": JOB_UID, "controller": True}],
            },
            "spec": {"nodeName": "gpu-1"} if states else {},
            "status": {
                "phase": phase,
                "reason": reason,
                "message": message,
                "conditions": conditions,
                "initContainerStatuses": [{"name": "fetch", "state": states["fetch"]}] if "fetch" in states else [],
                "containerStatuses": [{"name": n.replace("_", "-"), "state": s} for n, s in states.items() if n != "fetch"],
                **started,
            },
        }
        return replace(made, pods=(*made.pods, pod))

    def unschedulable(self, words: str) -> "RunBuilder":
        made = self.with_pod()
        made.pods[-1]["status"]["conditions"] = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words}]
        return made

    def waiting(self, reason: str, message: str, *, container: str = "detect", since: float = 3) -> "RunBuilder":
        """The kubelet cannot start a container."""
        stuck = {container: a_state("waiting", reason=reason, message=message)}
        before = {} if container == "fetch" else {"fetch": self._fetched}
        return replace(self.with_pod(**before, **stuck), troubled_since=at(since))

    def running(self) -> "RunBuilder":
        return self.with_pod(phase="Running", fetch=self._fetched, detect=RUNNING, publish=RUNNING)

    def fetch_ended(self, code: int, receipt: FetchReceipt | None = None) -> "RunBuilder":
        return self.with_pod(phase="Failed", fetch=an_end(code, message=receipt.encode() if receipt else ""))

    def failed(self, code: int, *, receipt: PublishReceipt | None = None, reason: str | None = None, publish: int = 1) -> "RunBuilder":
        """The step ended with that code and publish after it, with or without a receipt."""
        told_ = an_end(publish, message=receipt.encode() if receipt else "", started=3, finished=8)
        return self.with_pod(phase="Failed", fetch=self._fetched, detect=an_end(code, reason=reason), publish=told_)

    def told_by_publish(self, reason: RunReason, message: str, *, step: str | None = "detect", code: int = 65) -> "RunBuilder":
        return self.failed(0, receipt=a_receipt(failure=failed(reason, message, step=step)), publish=code)

    def published(self, *, phase: str = "Succeeded", steps: tuple[str, ...] = ("detect",)) -> "RunBuilder":
        ends = {name.replace("-", "_"): an_end(0) for name in steps}
        publish = an_end(0, message=a_receipt(steps=steps).encode(), finished=8)
        return self.with_pod(phase=phase, fetch=self._fetched, **ends, publish=publish)

    # ---- the rest ----

    def without_bridge(self) -> "RunBuilder":
        return replace(self, bridge=None)

    def at(self, seconds: float) -> "RunBuilder":
        return replace(self, now=at(seconds))

    def refused(self, words: str) -> "RunBuilder":
        return replace(self, refusal=words)

    def looked_up(self) -> "RunBuilder":
        return replace(self, looked=True)

    def kept_in_orthanc(self, kept: Kept) -> "RunBuilder":
        """What Orthanc was asked for has come."""
        return replace(self, kept=kept)

    def delivered(self, *deliveries: DeliveryStatus) -> "RunBuilder":
        """The courier came back with that."""
        return replace(self, deliveries=deliveries)

    def without_pods(self) -> "RunBuilder":
        return replace(self, pods=())

    def without_job(self) -> "RunBuilder":
        return replace(self, job=None, pods=())

    def objects(self) -> tuple[dict[str, Any], dict[str, Any] | None, tuple[dict[str, Any], ...]]:
        return self.run, self.job, self.pods

    def view(self) -> RunView:
        return RunView.from_object(self.run)

    def observed(self) -> Observed:
        views = tuple(PodView.from_object(pod, now=self.troubled_since or self.now) for pod in self.pods)
        return Observed(
            run=self.view(),
            now=self.now,
            job=JobView.from_object(self.job) if self.job else None,
            notice=JobView.from_object(self.notice) if self.notice else None,
            pods=views,
            bridge=BridgeView.from_object(self.bridge) if self.bridge else None,
            ttl=self.ttl,
            limits=Limits(),
            successor=self.successor,
            newer=self.newer,
            predecessor_ends=self.predecessor_ends,
            held=self.held,
            queue=self.queue,
            claimed=self.claimed,
            vanished=tuple(PodView.from_object(pod, now=self.now) for pod in self.vanished),
            offers=self.offers,
            refusal=self.refusal,
            looked=self.looked,
            kept=self.kept,
            deliveries=self.deliveries,
        )

    @property
    def _name(self) -> str:
        name = self.run["metadata"]["name"]
        assert isinstance(name, str)
        return name

    @property
    def _fetched(self) -> dict[str, Any]:
        return an_end(0, message=FetchReceipt(instances=20, bytes=10_000, seconds=0.4).encode(), started=3, finished=4)

    def _run(self, change: Any) -> "RunBuilder":
        run = copy.deepcopy(self.run)
        change(run)
        return replace(self, run=run)


def a_run() -> RunBuilder:
    """A Run just made, without a Job; its bridge is there and its results go to `pacs`."""
    run = copy.deepcopy(RUN)
    run["spec"]["template"].update(timeout="1h", retries=1)  # as the schema fills them in
    run["metadata"].update(uid=RUN_UID, resourceVersion="10", generation=1, creationTimestamp=told(0))
    return RunBuilder(run)


def sent(destination: str = "pacs", *, awaits: Receipt | None = None) -> DeliveryStatus:
    return DeliveryStatus(destination=destination, state="Sent", attempts=1, job_id="job-1", awaits=awaits, time=told(10))


def committed(destination: str = "pacs") -> DeliveryStatus:
    return DeliveryStatus(destination=destination, state="Committed", attempts=1, job_id="job-1", time=told(11))


def sending(destination: str = "pacs") -> DeliveryStatus:
    return DeliveryStatus(destination=destination, state="Sending", attempts=1, job_id="job-1", time=told(9))


def undelivered(message: str, destination: str = "pacs") -> DeliveryStatus:
    return DeliveryStatus(destination=destination, state="Failed", attempts=9, message=message, time=told(10))
