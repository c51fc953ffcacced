"""InferenceRun: one pipeline on one study. Its spec is immutable but for `priority`, `suspend` and `cancel`: a Run is a record."""

from typing import Annotated, Literal

from pydantic import Field

from .base import (
    AETitle,
    Conditions,
    DicomUID,
    LabelText,
    Name,
    Observed,
    OrthancID,
    Part,
    Reference,
    Resource,
    Text,
    Timestamp,
    cel,
    list_map,
    rule,
)
from .bridge import Int64, ReportClass
from .matching import Priority, PriorityClassNames
from .notification import NotificationEvent
from .pipeline import Mode, RunTemplate

State = Literal["Waiting", "Queued", "Running", "Delivering", "Succeeded", "Failed", "Cancelled", "Superseded"]
Receipt = Literal["StorageCommitment", "Query"]
"""How a destination confirms that it has the results."""
Trigger = Literal["StableStudy", "StableSeries", "Reconcile", "Backfill", "Rerun", "After", "Manual"]


def _immutable(field: str) -> dict[str, object]:
    return cel(rule("self == oldSelf", f"{field} cannot be changed; make a new Run"))


class PipelineReference(Part):
    """The pipeline a Run was made from, as it was."""

    name: Name
    """Its name."""
    uid: Annotated[str, Field(max_length=36)] | None = None
    """Its uid."""
    generation: Int64 | None = None
    """Its generation."""


class Study(Part):
    """The images, by Orthanc's ids (hashes): no identifier of patient or study stands in the API."""

    orthanc_id: Annotated[OrthancID, Field(alias="orthancID")]
    """Orthanc's id of the study."""
    series_ids: Annotated[list[OrthancID], Field(alias="seriesIDs", min_length=1, max_length=1000)]
    """Orthanc's ids of the chosen series."""
    instances: Annotated[int, Field(ge=1, le=1000000)]
    """Number of instances in them."""
    fingerprint: Annotated[str, Field(min_length=52, max_length=52, pattern=r"^[a-z2-7]{52}$")]
    """SHA-256, in base32, over pipeline, study and the instances' UIDs: the identity of the work."""


class RunSpec(Part):
    """What is analysed and how."""

    model_config = {
        "json_schema_extra": cel(
            rule("!oldSelf.cancel || self.cancel", "a cancelled Run stays cancelled; make a new Run"),
            *(
                rule(f"has(self.{field}) == has(oldSelf.{field})", f"{field} cannot be changed; make a new Run")
                for field in ("pipelineRef", "priorityClassNames", "sender", "supersedes", "after")
            ),
        )
    }
    pipeline_ref: Annotated[PipelineReference, Field(json_schema_extra=_immutable("pipelineRef"))] | None = None
    """The pipeline; absent on a Run made by hand."""
    bridge_ref: Annotated[Reference, Field(json_schema_extra=_immutable("bridgeRef"))]
    """The bridge whose Orthanc holds the study."""
    study: Annotated[Study, Field(json_schema_extra=_immutable("study"))]
    """The images."""
    trigger: Annotated[Trigger, Field(json_schema_extra=_immutable("trigger"))] = "Manual"
    """What made the Run."""
    mode: Annotated[Mode, Field(json_schema_extra=_immutable("mode"))] = "Active"
    """The pipeline's mode when the Run was made. Shadow: its results stay in Orthanc, marked, whatever template.delivery says."""
    priority: Priority = "Routine"
    """Which waiting Run goes first. May be changed while the Run waits; afterwards it has no effect."""
    priority_class_names: Annotated[PriorityClassNames, Field(json_schema_extra=_immutable("priorityClassNames"))] | None = None
    """The pipeline's priority.classNames as they were: the pod gets the one of the Run's class. Absent: scheduling.priorityClassName."""
    sender: Annotated[AETitle, Field(json_schema_extra=_immutable("sender"))] | None = None
    """Calling AE title that stored the images, when known."""
    supersedes: Annotated[Reference, Field(json_schema_extra=_immutable("supersedes"))] | None = None
    """An earlier Run on fewer images, or the one this repeats. Unfinished, it ends; finished, its report is named as predecessor."""
    after: Annotated[Reference, Field(json_schema_extra=_immutable("after"))] | None = None
    """The Run whose findings started this one and whose outputs its application gets."""
    template: Annotated[RunTemplate, Field(json_schema_extra=_immutable("template"))]
    """The pipeline's template as it was: a Run can be understood and repeated without its pipeline."""
    suspend: bool = False
    """True holds a Run that has not begun; false lets it begin. It does not stop one under way: use cancel."""
    cancel: bool = False
    """True ends the Run. It cannot be taken back."""


class JobReference(Observed):
    """The Job of the Run."""

    name: Name
    """Its name."""
    uid: Annotated[str, Field(max_length=36)] | None = None
    """Its uid."""


class Stage(Observed):
    """One stage of the journey."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    """stable, seen, created, started, fetch, step/<name>, publish, deliver."""
    start_time: Timestamp
    """When it began."""
    seconds: Annotated[float, Field(ge=0)] | None = None
    """How long it took."""


class GpuUse(Observed):
    """One GPU resource of a Run that has several."""

    resource: Text
    """Its name, for example nvidia.com/mig-1g.10gb."""
    gpu_seconds: Annotated[float, Field(ge=0)]
    """As in usage, of this resource."""
    reserved_gpu_seconds: Annotated[float, Field(ge=0)]
    """As in usage, of this resource."""


class ClaimedDevices(Observed):
    """GPUs that a pod was given by a resource claim."""

    claim: Name
    """Of scheduling.resourceClaims."""
    request: Text
    """The request of that claim."""
    resource: Text
    """Name of the DeviceClass, which usage counts them under."""
    count: Annotated[int, Field(ge=0)]
    """How many."""


class PodUse(Observed):
    """What one pod has held and used."""

    name: Name
    """The pod; `earlier`: several that are gone."""
    scheduled: Timestamp | None = None
    """When it got its node, while it works."""
    claimed: Annotated[list[ClaimedDevices], Field(max_length=64)] | None = None
    """GPUs by resource claim, once they have been asked for."""
    gpus: Annotated[list[GpuUse], Field(max_length=64)] | None = None
    """Each GPU resource, once the pod has ended."""
    pod_seconds: Annotated[float, Field(ge=0)] | None = None
    """From its start to its end, once it has ended."""


class Usage(Observed):
    """What the Run cost."""

    gpu_seconds: Annotated[float, Field(ge=0)] | None = None
    """Number of GPUs times seconds that steps with a GPU really ran."""
    gpu_resource: Text | None = None
    """The resource counted, for example nvidia.com/gpu."""
    reserved_gpu_seconds: Annotated[float, Field(ge=0)] | None = None
    """Number of GPUs times seconds that the pod held them: from the scheduler's choice of a node to the end of its last container."""
    gpus: Annotated[list[GpuUse], Field(max_length=64)] | None = None
    """Each GPU resource, the first one too, where the steps ask for more than one; the fields above are then of the first."""
    vendor: LabelText | None = None
    """Manufacturer of the application: of report.algorithm, else of its findings."""
    department: LabelText | None = None
    """Department that asked for the study: Requesting Service (0032,1033) of the images, else Institutional Department Name (0008,1040)."""
    pod_seconds: Annotated[float, Field(ge=0)] | None = None
    """From the pod's start to its end: how long everything was reserved."""
    input_instances: Annotated[int, Field(ge=0)] | None = None
    """Instances fetched."""
    input_bytes: Int64 | None = None
    """Bytes fetched."""

    @property
    def by_resource(self) -> tuple[GpuUse, ...]:
        """Every GPU resource with what was used and reserved of it."""
        if self.gpus or self.gpu_resource is None:
            return tuple(self.gpus or ())
        return (GpuUse(resource=self.gpu_resource, gpu_seconds=self.gpu_seconds or 0, reserved_gpu_seconds=self.reserved_gpu_seconds or 0),)


class FindingCounts(Observed):
    """How many findings, nothing of what they are."""

    present: Annotated[int, Field(ge=0)] = 0
    """Findings that are present or indeterminate."""
    absent: Annotated[int, Field(ge=0)] = 0
    """What was looked for and not found."""
    not_evaluable: Annotated[int, Field(ge=0)] = 0
    """What could not be assessed: neither present nor absent."""


class Result(Observed):
    """An object the Run left in Orthanc."""

    kind: Literal["SR", "SEG", "SC", "PDF", "PM", "KO"]
    """What it is."""
    sop_class_uid: Annotated[DicomUID, Field(alias="sopClassUID")]
    """SOP Class UID."""
    sop_instance_uid: Annotated[DicomUID, Field(alias="sopInstanceUID")]
    """SOP Instance UID, derived from the Run's name."""
    series_instance_uid: Annotated[DicomUID, Field(alias="seriesInstanceUID")]
    """Series Instance UID."""
    orthanc_id: Annotated[OrthancID, Field(alias="orthancID")]
    """Orthanc's id of the instance."""
    md5: Annotated[str, Field(min_length=32, max_length=32)]
    """MD5 of the file, read back from Orthanc."""
    bytes: Int64
    """Size of the file."""


class DeliveryStatus(Observed):
    """One destination."""

    destination: Name
    """Name of the destination."""
    state: Literal["Pending", "Sending", "Sent", "Committed", "Failed"]
    """How far it is. Sent: the destination answered success. Committed: it confirmed that it has the results."""
    attempts: Annotated[int, Field(ge=0)] = 0
    """Sends begun."""
    job_id: Annotated[str | None, Field(alias="jobID", max_length=64)] = None
    """Orthanc's job of the newest attempt."""
    reports: ReportClass | None = None
    """Of a destination with srFallback: which class of reports it gets, once that is decided."""
    asks: bool | None = None
    """True: one report is sent alone, because it is not known which object was refused."""
    awaits: Receipt | None = None
    """Of a delivery that is Sent: the receipt it waits for."""
    transaction_uid: Annotated[str | None, Field(alias="transactionUID", max_length=64)] = None
    """Of the request for storage commitment."""
    reason: Annotated[str, Field(max_length=64)] | None = None
    """Why the newest attempt failed, in one word."""
    message: Annotated[str, Field(max_length=1024)] | None = None
    """The same for people."""
    time: Timestamp | None = None
    """When the state last changed."""

    @property
    def final(self) -> bool:
        """Nothing more will happen to it."""
        return self.state in ("Committed", "Failed") or (self.state == "Sent" and self.awaits is None)


class Failure(Observed):
    """Why the Run failed."""

    reason: Annotated[str, Field(min_length=1, max_length=64)]
    """One word of the documented list."""
    step: LabelText | None = None
    """The step or container concerned."""
    exit_code: Annotated[int, Field(ge=-1, le=255)] | None = None
    """Its exit code."""
    message: Annotated[str, Field(max_length=1024)] = ""
    """For people: what happened and what to do."""


class NotificationStatus(Observed):
    """One receiver of the pipeline's notifications."""

    receiver: Annotated[str, Field(min_length=16, max_length=16)]
    """The first 16 hexadecimal digits of SHA-256 over its url, which may hold a secret of the receiver's."""
    accepted: Annotated[list[NotificationEvent], Field(max_length=3)] = []
    """Events it has accepted."""


class RunStatus(Observed):
    """How far the Run is."""

    observed_generation: Int64 | None = None
    """Generation of the spec this status belongs to."""
    state: State | None = None
    """Summary for people; programs read the conditions."""
    conditions: Conditions | None = None
    """Admitted, Executed, Reported, Delivered, Followed, Notified, Complete, Failed. Complete or Failed True: finished."""
    job_ref: JobReference | None = None
    """The Job."""
    attempts: Annotated[int, Field(ge=0)] | None = None
    """Pods started."""
    node: Text | None = None
    """Node of the newest pod."""
    start_time: Timestamp | None = None
    """When the Job was made."""
    completion_time: Timestamp | None = None
    """When the Run finished."""
    stages: Annotated[list[Stage], Field(max_length=32, json_schema_extra=list_map("name"))] | None = None
    """The journey with its times."""
    pods: Annotated[list[PodUse], Field(max_length=64, json_schema_extra=list_map("name"))] | None = None
    """What each pod has cost so far, while the Run is at work: pods may be deleted. Their sum is usage."""
    usage: Usage | None = None
    """What it cost."""
    findings: FindingCounts | None = None
    """How many findings."""
    results: Annotated[list[Result], Field(max_length=64)] | None = None
    """What is in Orthanc."""
    alternatives: Annotated[list[Result], Field(max_length=8)] | None = None
    """Comprehensive SRs, also in Orthanc, that stand for the reports at destinations that refuse Comprehensive 3D SR."""
    warnings: Annotated[list[Annotated[str, Field(max_length=256)]], Field(max_length=16)] | None = None
    """Faults against the standard in objects the application made: file, attribute, and what Gantry wrote in its place if it did."""
    deliveries: Annotated[list[DeliveryStatus], Field(max_length=32, json_schema_extra=list_map("destination"))] | None = None
    """Where it went."""
    notifications: Annotated[list[NotificationStatus], Field(max_length=32, json_schema_extra=list_map("receiver"))] | None = None
    """Receivers that have accepted some events while others are still to be told: they are not told again."""
    failure: Failure | None = None
    """Why it failed."""


class InferenceRun(Resource):
    """One pipeline on one study: made by the bridge or by hand, kept as a record."""

    model_config = {
        "json_schema_extra": cel(
            rule("size(self.metadata.name) <= 60", "the name must leave room for the Job's suffix: at most 60 characters")
        )
    }
    kind = "InferenceRun"
    plural = "inferenceruns"
    short = "irun"
    columns = (
        ("Pipeline", "string", ".spec.pipelineRef.name"),
        ("State", "string", ".status.state"),
        ("Present", "integer", ".status.findings.present"),
        ("GPU-s", "number", ".status.usage.gpuSeconds"),
    )
    wide_columns = (
        ("Study", "string", ".metadata.labels.gantry\\.health/study"),
        ("Trigger", "string", ".spec.trigger"),
        ("Priority", "string", ".spec.priority"),
        ("Mode", "string", ".spec.mode"),
        ("Node", "string", ".status.node"),
        ("Reason", "string", ".status.failure.reason"),
    )
    selectable = (".status.state",)
    spec: RunSpec
    """What is analysed and how."""
    status: RunStatus | None = None
    """How far it is."""
