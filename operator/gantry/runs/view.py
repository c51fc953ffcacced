"""What is kept of a Run, its Job, its pods and its bridge: slim frozen values read from the API server's objects.

Pure. Everything the operator decides is decided on these; the raw objects are dropped at once (10,000 finished and 1,000 live Runs must fit into
128 MiB: a raw Run takes 22.8 KiB, a finished RunView 0.6). A Run's spec and status are kept only while it is unfinished, and as JSON: read, a
status takes 6 kB and its words 1, and reading it again takes 0.01 ms.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache, reduce
from operator import getitem
from sys import intern
from typing import Any, get_args

from pydantic import ValidationError

from gantry.api import labels, parse_timestamp
from gantry.api.bridge import BridgeSpec, DestinationStatus
from gantry.api.matching import Priority
from gantry.api.run import RunSpec, RunStatus

from .names import QUEUE

Object = Mapping[str, Any]
PRIORITIES: dict[str, Priority] = {name: name for name in get_args(Priority)}
"""One object a class, whatever the number of Runs."""

PULL_PROBLEMS = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"})
"""Waiting reasons of the kubelet (pkg/kubelet/images/types.go)."""
CONFIG_PROBLEMS = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
"""Waiting reasons of the kubelet (pkg/kubelet/kuberuntime): a secret or key is missing, or the runtime refuses the container."""


@dataclass(frozen=True, slots=True)
class RunView:
    """An InferenceRun. `spec` and `told` are None once it has finished."""

    namespace: str
    name: str
    uid: str
    version: int
    generation: int
    created: datetime
    pipeline: str | None
    bridge: str
    backfill: str | None
    state: str | None
    finished: bool
    completed: datetime | None
    job: str | None
    """Uid of the Job that its status names; None: it knows of none."""
    job_made: bool
    """Whether the status of an unfinished Run says that there is or was a Job."""
    failing: bool
    """Unfinished, its status tells a failure: that is still to be reported."""
    delivers: bool
    """Unfinished, it has begun to send its results."""
    by_claim: bool
    """Unfinished, its pods ask for devices by resource claims. Every pass asks: reading the spec for it took 7 of 100 parts of a Run's CPU."""
    cancel: bool
    suspend: bool
    priority: Priority
    study: str
    """Orthanc's id."""
    supersedes: str | None
    """The Run whose place it takes."""
    after: str | None
    """The Run that this one follows."""
    notifies: bool
    """Receivers of events are still to be told of its end."""
    shadow: bool
    """spec.mode is Shadow: nothing of it leaves."""
    early: bool
    """Unfinished, its report is in Orthanc, and has a finding that is present: receivers of that need not wait for the Run's end."""
    followed: bool
    """Every pipeline that starts after it has been decided."""
    deleting: bool
    seen: str | None
    stable: str | None
    decided: str | None
    commands_of_images: tuple[str, ...]
    """Steps whose command is their image's own; empty once it has finished."""
    spec: bytes | None
    told: bytes | None
    """Its status."""

    @classmethod
    def from_object(cls, obj: Object, *, before: "RunView | None" = None) -> "RunView":
        """Reads what the API server sent; `before` is what was known of the same Run. Raises ValidationError when the status is none of ours."""
        meta, spec = obj["metadata"], obj["spec"]
        status: Object = obj.get("status") or {}
        end = next((c for c in status.get("conditions") or () if c["type"] in ("Complete", "Failed") and c["status"] == "True"), None)
        finished = end is not None
        state = status.get("state")
        generation = meta.get("generation", 1)
        known = before.spec if before is not None and (before.uid, before.generation) == (meta["uid"], generation) else None
        return cls(
            namespace=intern(meta["namespace"]),
            name=intern(meta["name"]),
            uid=intern(meta["uid"]),
            version=int(meta["resourceVersion"]),
            generation=generation,
            created=parse_timestamp(meta["creationTimestamp"]),
            pipeline=intern(spec["pipelineRef"]["name"]) if spec.get("pipelineRef") else None,
            bridge=intern(spec["bridgeRef"]["name"]),
            backfill=intern(made) if (made := (meta.get("labels") or {}).get(labels.BACKFILL)) else None,
            state=intern(state) if state else None,
            finished=finished,
            completed=_moment(status.get("completionTime") or (end or {}).get("lastTransitionTime")),
            job=(status.get("jobRef") or {}).get("uid"),
            job_made=not finished and status.get("jobRef") is not None,
            failing=not finished and status.get("failure") is not None,
            delivers=not finished and bool(status.get("deliveries")),
            by_claim=not finished and bool(((spec.get("template") or {}).get("scheduling") or {}).get("resourceClaims")),
            cancel=spec.get("cancel", False),
            suspend=spec.get("suspend", False),
            priority=PRIORITIES[spec.get("priority", "Routine")],
            study=spec["study"]["orthancID"],
            supersedes=spec["supersedes"]["name"] if spec.get("supersedes") else None,
            after=spec["after"]["name"] if spec.get("after") else None,
            notifies=any(
                c["type"] == "Notified" and c["status"] == "False" and c["reason"] == "Pending" for c in status.get("conditions") or ()
            ),
            shadow=spec.get("mode") == "Shadow",
            early=not finished and _has_findings(status) and spec.get("mode") != "Shadow",
            followed=any(c["type"] == "Followed" and c["status"] == "True" for c in status.get("conditions") or ()),
            deleting="deletionTimestamp" in meta,
            seen=_noted(meta, labels.SEEN, finished),
            stable=_noted(meta, labels.STABLE, finished),
            decided=_noted(meta, labels.DECIDED, finished),
            commands_of_images=tuple(filter(None, (_noted(meta, labels.COMMANDS, finished) or "").split(","))),
            spec=None if finished else known or _words(spec),
            told=None if finished else _told(status),
        )

    @property
    def status(self) -> RunStatus | None:
        """Of an unfinished Run."""
        return None if self.told is None else _parse_status(self.told)

    @property
    def parsed(self) -> RunSpec:
        """The spec of an unfinished Run, without what this version does not know. Raises ValidationError when it breaks a rule of the schema."""
        return self._read[0]

    @property
    def unknown(self) -> tuple[str, ...]:
        """Fields of the spec that this version does not know: a newer one wrote them."""
        return self._read[1]

    @property
    def _read(self) -> tuple[RunSpec, tuple[str, ...]]:
        if self.spec is None:
            raise ValueError("a finished Run's spec is not kept")
        return _parse(self.spec)

    def but_for_what_was_told(self) -> "RunView":
        """The same without its version and what receivers have accepted, to compare two looks at it."""
        status = self.status.model_copy(update={"notifications": None}) if self.status else None
        return replace(self, version=0, told=status.model_dump_json(by_alias=True, exclude_none=True).encode() if status else None)


def _noted(meta: Object, label: str, finished: bool) -> str | None:
    """An annotation that an unfinished Run's stages are told by."""
    return None if finished else (meta.get("annotations") or {}).get(label)


def _has_findings(status: Object) -> bool:
    """Its report is in Orthanc and has at least one."""
    if not (status.get("findings") or {}).get("present"):
        return False
    return any(c["type"] == "Reported" and c["status"] == "True" for c in status.get("conditions") or ())


def _words(body: Object) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


def _told(status: Object) -> bytes:
    """Raises ValidationError when it is none of ours."""
    told = _words(status)
    _parse_status(told)
    return told


@lru_cache(maxsize=64)
def _parse_status(told: bytes) -> RunStatus:
    return RunStatus.model_validate_json(told)


@lru_cache(maxsize=64)  # a Run is looked at several times in a row; parsing takes 0.2 ms
def _parse(spec: bytes) -> tuple[RunSpec, tuple[str, ...]]:
    try:
        return RunSpec.model_validate_json(spec), ()
    except ValidationError as error:
        unknown = [one["loc"] for one in error.errors() if one["type"] == "extra_forbidden"]
        if len(unknown) < error.error_count():
            raise
    body = json.loads(spec)
    for *path, name in unknown:
        del reduce(getitem, path, body)[name]
    return RunSpec.model_validate(body), tuple(".".join(map(str, ("spec", *place))) for place in unknown)


@dataclass(frozen=True, slots=True)
class JobView:
    """A Job and what its controller says of it."""

    name: str
    uid: str
    version: int
    owner_kind: str
    owner_name: str
    owner_uid: str
    created: datetime
    deleting: bool
    suspended: bool
    """spec.suspend: a queue has not admitted it, or has put it out."""
    queue: str
    """The LocalQueue of Kueue that it is in: by the Run's wish, or because Kueue put it there. Empty: none."""
    pods: int
    """Pods made so far, counted by the Job controller."""
    failed: int
    """Pods that failed and count against the retries."""
    ended: str
    """Complete, Failed or empty."""
    ended_at: datetime | None
    """When its controller said so; pods may still be ending then."""
    reason: str
    message: str

    @classmethod
    def from_object(cls, obj: Object) -> "JobView":
        """Reads what the API server sent."""
        meta = obj["metadata"]
        status: Object = obj.get("status") or {}
        owner: Object = next((o for o in meta.get("ownerReferences") or () if o.get("controller")), {})
        # FailureTarget and SuccessCriteriaMet come first, while pods are still ending (KEP-3998); the outcome no longer changes then.
        words = {"Complete": "Complete", "SuccessCriteriaMet": "Complete", "Failed": "Failed", "FailureTarget": "Failed"}
        end = next((c for c in status.get("conditions") or () if c["status"] == "True" and c["type"] in words), None)
        return cls(
            name=meta["name"],
            uid=meta["uid"],
            version=int(meta["resourceVersion"]),
            owner_kind=intern(owner.get("kind", "")),
            owner_name=intern(owner.get("name", "")),
            owner_uid=intern(owner.get("uid", "")),
            created=parse_timestamp(meta["creationTimestamp"]),
            deleting="deletionTimestamp" in meta,
            suspended=(obj.get("spec") or {}).get("suspend", False),
            queue=intern((meta.get("labels") or {}).get(QUEUE, "")),
            pods=status.get("active", 0) + status.get("succeeded", 0) + status.get("failed", 0),
            failed=status.get("failed", 0),
            ended=words[end["type"]] if end else "",
            ended_at=_moment(end.get("lastTransitionTime")) if end else None,
            reason=intern(end.get("reason", "")) if end else "",
            message=intern(end.get("message", "")) if end else "",
        )


@dataclass(frozen=True, slots=True)
class ContainerView:
    """A container and its state: `waiting`, `running`, `terminated` or empty while the kubelet has said nothing."""

    name: str
    state: str = ""
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    started: datetime | None = None
    finished: datetime | None = None
    image_id: str = ""

    @classmethod
    def from_object(cls, obj: Object) -> "ContainerView":
        """Reads one of `containerStatuses`. The message of a step's end is dropped: vendors may write names of patients there."""
        told: Mapping[str, Object] = obj.get("state") or {}
        state = next(iter(told), "")
        body: Object = told.get(state) or {}
        ours = obj["name"] in ("fetch", "publish") or state == "waiting"
        return cls(
            name=intern(obj["name"]),
            state=intern(state),
            reason=intern(body.get("reason", "")),
            message=body.get("message", "") if ours or body.get("reason") in ("StartError", "ContainerCannotRun") else "",
            exit_code=body.get("exitCode"),
            started=_moment(body.get("startedAt")),
            finished=_moment(body.get("finishedAt")),
            image_id=intern(obj.get("imageID", "")),
        )

    @property
    def ended(self) -> bool:
        """Whether it has terminated, well or not."""
        return self.state == "terminated"


@dataclass(frozen=True, slots=True)
class PodView:
    """A pod of a Run's Job: one attempt."""

    name: str
    uid: str
    job_uid: str
    version: int
    created: datetime
    phase: str
    reason: str
    message: str
    node: str
    scheduled: datetime | None
    """When the scheduler gave it a node: its GPUs are nobody else's from then on."""
    started: datetime | None
    deleting: bool
    """Somebody ends it: the Job controller when a queue puts the Run out, or a person."""
    disrupted: str
    """Reason of the condition DisruptionTarget: PreemptionByScheduler, EvictionByEvictionAPI, TerminationByKubelet …; empty when there is none."""
    disruption: str
    """What the kubelet or the scheduler says about it."""
    claims: tuple[tuple[str, str], ...]
    """ResourceClaims made for it of templates: its name for each, and the claim's own."""
    unschedulable: str
    """The scheduler's words while no node offers what the pod asks for."""
    containers: tuple[ContainerView, ...]
    trouble: str
    """The kubelet's reason while it cannot start a container: ErrImagePull and the like."""
    troubled_since: datetime | None
    """When that was first seen by this process; the API tells no time for it."""

    @classmethod
    def from_object(cls, obj: Object, *, now: datetime, before: "PodView | None" = None) -> "PodView":
        """Reads what the API server sent; `before` is what was known of the same pod."""
        meta = obj["metadata"]
        status: Object = obj.get("status") or {}
        conditions: dict[str, Object] = {c["type"]: c for c in status.get("conditions") or ()}
        scheduled: Object = conditions.get("PodScheduled") or {}
        target: Object = conditions.get("DisruptionTarget") or {}
        owner: Object = next((o for o in meta.get("ownerReferences") or () if o.get("controller")), {})
        told = (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ()))
        containers = tuple(ContainerView.from_object(c) for c in told)
        problems = PULL_PROBLEMS | CONFIG_PROBLEMS
        trouble = next((c.reason for c in containers if c.state == "waiting" and c.reason in problems), "")
        since = before.troubled_since if before is not None and before.uid == meta["uid"] else None
        return cls(
            name=meta["name"],
            uid=meta["uid"],
            job_uid=owner.get("uid", ""),
            version=int(meta["resourceVersion"]),
            created=parse_timestamp(meta["creationTimestamp"]),
            phase=intern(status.get("phase", "Pending")),
            reason=status.get("reason", ""),
            message=status.get("message", ""),
            node=intern((obj.get("spec") or {}).get("nodeName", "")),
            scheduled=_moment(scheduled.get("lastTransitionTime")) if scheduled.get("status") == "True" else None,
            started=_moment(status.get("startTime")),
            deleting="deletionTimestamp" in meta,
            disrupted=target.get("reason", "DisruptionTarget") if target.get("status") == "True" else "",
            disruption=target.get("message", ""),
            claims=tuple((c["name"], c.get("resourceClaimName") or "") for c in status.get("resourceClaimStatuses") or ()),
            unschedulable=scheduled.get("message", "") if scheduled.get("reason") == "Unschedulable" else "",
            containers=containers,
            trouble=trouble,
            troubled_since=(since or now) if trouble else None,
        )

    @property
    def over(self) -> bool:
        """Whether nothing in it runs any more."""
        return self.phase in ("Succeeded", "Failed")

    def container(self, name: str) -> ContainerView:
        """The container of that name; an empty one while the kubelet has said nothing of it."""
        return next((c for c in self.containers if c.name == name), ContainerView(name))


@dataclass(frozen=True, slots=True)
class BridgeView:
    """The bridge of a Run."""

    uid: str
    generation: int
    spec: BridgeSpec
    decided: Mapping[str, DestinationStatus] = field(default_factory=dict)
    """What is known of its destinations, by name."""

    @classmethod
    def from_object(cls, obj: Object) -> "BridgeView":
        """Reads what the API server sent. Raises ValidationError when a newer version wrote fields this one does not know."""
        known = (DestinationStatus.model_validate(one) for one in (obj.get("status") or {}).get("destinations") or ())
        decided = {one.name: one for one in known}
        return cls(obj["metadata"]["uid"], obj["metadata"].get("generation", 1), BridgeSpec.model_validate(obj["spec"]), decided)


def _moment(text: str | None) -> datetime | None:
    return parse_timestamp(text) if text else None
