"""InferencePipeline: which studies, which application, where results go. `RunTemplate` is what a Run carries with it."""

from typing import Annotated, Literal

from pydantic import Field

from .base import (
    LIST_SET,
    Code,
    Conditions,
    Duration,
    Free,
    LabelText,
    Name,
    Observed,
    Part,
    Quantity,
    Reference,
    Resource,
    Text,
    Timestamp,
    cel,
    list_map,
    rule,
)
from .bridge import Int64
from .images import ImageStatus
from .mapping import MappedFinding
from .matching import Expression, Match, PriorityClassNames, PriorityRules, SeriesSelection
from .notification import Notification
from .step import Step

Mode = Literal["Active", "Shadow"]
"""Whether results leave: Shadow runs beside the active pipelines, and what it finds stays in Orthanc, marked."""


class Input(Part):
    """What the application gets."""

    series: SeriesSelection = SeriesSelection()
    """Selects series."""
    content: Literal["Full", "Metadata"] = "Full"
    """Metadata: DICOM JSON without pixel data and other bulk data; no pixel leaves Orthanc, whose DICOMweb plugin it needs. For dose monitoring."""


class Algorithm(Part):
    """Overrides what findings.json says of the algorithm."""

    name: LabelText
    """Name as radiologists know it."""
    version: LabelText
    """Version."""
    manufacturer: LabelText
    """Manufacturer."""


CharacterSet = Literal[
    "ISO_IR 192", "ISO_IR 100", "ISO_IR 101", "ISO_IR 109", "ISO_IR 110", "ISO_IR 126", "ISO_IR 127", "ISO_IR 138", "ISO_IR 144", "ISO_IR 148"
]
"""UTF-8 and the single-byte sets of PS3.3 C.12.1.1.2: Latin 1 to 4, Greek, Arabic, Hebrew, Cyrillic, Turkish."""


class Report(Part):
    """How the findings become a DICOM SR."""

    model_config = {
        "json_schema_extra": cel(
            rule(
                "self.onFailure == 'None' || (has(self.algorithm) && self.evaluatedFor.size() > 0)",
                "onFailure NotPerformed needs algorithm and evaluatedFor: an application that failed cannot say who it is and what it looks for",
            ),
            rule(
                "!has(self.mapping) || self.mapping.size() == 0 || has(self.algorithm)",
                "mapping needs algorithm: the files it reads do not say who made them",
            ),
        )
    }
    algorithm: Algorithm | None = None
    """Overrides what findings.json says; the image digest is always recorded."""
    mapping: Annotated[list[MappedFinding], Field(max_length=16)] = []
    """How JSON or CSV files of an application that writes no findings.json become findings."""
    evaluated_for: Annotated[list[Code], Field(max_length=64)] = []
    """What the application looks for. Each one without a positive finding is reported as Absent."""
    sop_class: Literal["Comprehensive3DSR", "ComprehensiveSR"] = "Comprehensive3DSR"
    """ComprehensiveSR for a PACS that refuses 1.2.840.10008.5.1.4.1.1.88.34; it cannot hold 3D regions."""
    character_set: CharacterSet = "ISO_IR 192"
    """Specific Character Set of what Gantry makes. Another than UTF-8 (ISO_IR 192) for a PACS that cannot read it; an object with a character that is
    not in it stays in UTF-8, which status.warnings says."""
    series_number: Annotated[int, Field(ge=1, le=2147483647)] = 9001
    """Series Number of the SR."""
    series_description: LabelText | None = None
    """Series Description; absent: `AI <algorithm> <version>`."""
    accept: Annotated[
        list[Literal["SR", "SEG", "SC", "PDF", "PM"]], Field(max_length=5, json_schema_extra=LIST_SET)
    ] = ["SR", "SEG", "SC", "PDF"]
    """Further DICOM objects the application may hand over. PM: Parametric Map."""
    conformance: Literal["Strict", "Repair"] = "Repair"
    """Their faults against the standard. Repair: what has one answer is mended, the rest told in status.warnings. Strict: refused."""
    overview: bool = False
    """Whether a Secondary Capture shows the findings drawn on their key images, for a PACS that shows no SR."""
    key_objects: bool = False
    """Whether a Key Object Selection names all objects of a Run that has more than one."""
    on_failure: Literal["None", "NotPerformed"] = "None"
    """NotPerformed: a Run that fails for good sends an SR that says that the analysis was not performed and why. None: nothing is sent."""


class Delivery(Part):
    """Where results go after they are in Orthanc."""

    destinations: Annotated[list[Name], Field(max_length=32, json_schema_extra=LIST_SET)] = []
    """Names from the bridge. Empty: results stay in Orthanc."""
    return_to_sender: bool = False
    """True: the results also go back to the application entity that stored the images (spec.sender of the Run), by the address the bridge's
    `senders` give it. It stands as `sender` in status.deliveries."""
    storage_commitment: Literal["Never", "WhenOffered", "Required"] = "Never"
    """Whether DICOM destinations are asked to commit to the results (N-ACTION, PS3.4 annex J). WhenOffered: those that do not offer it are only
    sent to. Required: the Run is complete when all have committed; a `dicomWeb` destination then needs `verify: Query`."""
    deadline: Annotated[Duration, Field(json_schema_extra=cel(rule("duration(self) >= duration('1m')", "deadline is 1m or more")))] = "24h"
    """How long a destination that is away is tried."""


class Workspace(Part):
    """Where images and outputs lie while the pod runs."""

    medium: Literal["Default", "Memory"] = "Default"
    """Memory: tmpfs, counted against the pod's memory."""
    size_limit: Quantity = "20Gi"
    """Limit of each volume."""


class PodClaim(Part):
    """Devices of the pod by dynamic resource allocation (KEP-4381)."""

    model_config = {
        "json_schema_extra": cel(
            rule(
                "has(self.resourceClaimName) != has(self.resourceClaimTemplateName)",
                "give exactly one of resourceClaimName and resourceClaimTemplateName",
            )
        )
    }
    name: Name
    """Steps name it in resources.claims."""
    resource_claim_name: Name | None = None
    """A ResourceClaim of the same namespace, shared by all pods that name it."""
    resource_claim_template_name: Name | None = None
    """A ResourceClaimTemplate of the same namespace: each pod gets a claim of its own."""


class Scheduling(Part):
    """Where the pod may run."""

    model_config = {
        "json_schema_extra": cel(
            rule(
                "has(self.queueName) || !has(self.queueClassNames)",
                "queueClassNames are Kueue's: give queueName too, or use priority.classNames of the pipeline",
            )
        )
    }
    queue_name: Name | None = None
    """LocalQueue of Kueue, in the same namespace: the Job is made suspended and begins when Kueue admits it. Absent: a plain Job."""
    queue_class_names: PriorityClassNames | None = None
    """WorkloadPriorityClasses of Kueue by the Run's class: who is admitted first, and who is put out for whom. Absent: Kueue goes by the pod's
    PriorityClass."""
    resource_claims: Annotated[list[PodClaim], Field(max_length=8, json_schema_extra=list_map("name"))] = []
    """Devices by dynamic resource allocation, in place of an extended resource such as nvidia.com/gpu."""
    node_selector: Annotated[dict[str, Text], Field(max_length=32)] = {}
    """Labels a node must have."""
    tolerations: Annotated[list[Free], Field(max_length=32)] = []
    """As in a pod."""
    affinity: Free = {}
    """As in a pod."""
    runtime_class_name: Name | None = None
    """For example nvidia."""
    priority_class_name: Name | None = None
    """PriorityClass of the pod."""
    image_pull_secrets: Annotated[list[Reference], Field(max_length=16)] = []
    """Secrets of registries."""
    deadline: Annotated[Duration, Field(json_schema_extra=cel(rule("duration(self) >= duration('1m')", "deadline is 1m or more")))] | None = None
    """How long the Run may wait for a node that has what its pod asks for, over all attempts; 24h unless it is given. The timeout does not count
    meanwhile."""
    workspace: Workspace = Workspace()
    """Volumes of the pod."""


class RunTemplate(Part):
    """What a Run does, as a CronJob has its jobTemplate."""

    model_config = {
        "json_schema_extra": cel(
            rule(
                "self.steps[size(self.steps) - 1].contract == 'Native' || has(self.report.algorithm)",
                "report.algorithm is needed: a MAP or mercure module does not say in its results who it is",
            ),
            rule(
                "self.input.content == 'Full' || !self.steps.exists(s, s.contract == 'Mercure')",
                "a mercure module reads DICOM files: input.content has to be Full",
            ),
            rule(
                "self.steps.all(s, !has(s.resources.claims)"
                " || s.resources.claims.all(c, self.scheduling.resourceClaims.exists(r, r.name == c.name)))",
                "resources.claims of a step name entries of scheduling.resourceClaims; add the one that is missing",
            ),
        )
    }
    input: Input = Input()
    """What the application gets."""
    steps: Annotated[list[Step], Field(min_length=1, max_length=8, json_schema_extra=list_map("name"))]
    """Applications, run in order."""
    report: Report = Report()
    """How findings become an SR."""
    delivery: Delivery = Delivery()
    """Where results go."""
    scheduling: Scheduling = Scheduling()
    """Where the pod may run."""
    retries: Annotated[int, Field(ge=0, le=10)] = 1
    """Further attempts of the whole pod, for causes that can pass."""
    timeout: Annotated[Duration, Field(json_schema_extra=cel(rule("duration(self) >= duration('10s')", "timeout is 10s or more")))] = "1h"
    """Of each attempt, from the moment its pod has a node until its results are in Orthanc; one that takes longer fails and is not tried again.
    Waiting for a node (scheduling.deadline) or for a queue's admission is not counted."""


class History(Part):
    """How long records are kept."""

    ttl: Annotated[Duration, Field(json_schema_extra=cel(rule("duration(self) >= duration('1h')", "ttl is 1h or more")))] = "720h"
    """Finished Runs are deleted after it. Must not be shorter than the bridge's lookback."""


class Concurrency(Part):
    """How much of the cluster the pipeline may take."""

    max_active: Annotated[int, Field(ge=1, le=10000)] | None = None
    """Jobs of this pipeline at once; further Runs wait, the most urgent first, then the oldest. Absent: no limit."""


class After(Part):
    """Another pipeline whose finished Run starts this one."""

    pipeline: Name
    """A pipeline in the same namespace, of the same bridge."""
    when: Expression | None = None
    """CEL over that Run's findings document, for example `findings.exists(f, f.type.value == '50960005' && f.presence == 'present')`.
    Absent: always."""


class PipelineSpec(Part):
    """Which studies, which application, where results go."""

    bridge_ref: Reference
    """The OrthancBridge whose studies are looked at."""
    mode: Mode = "Active"
    """Shadow: runs as ever, but nothing leaves. Results stay in Orthanc, marked as shadow; no destination and no sender gets them, nobody is
    notified, no active pipeline starts after it. Active again, new Runs deliver; old results stay shadow (`gantry shadow report` compares them)."""
    suspend: bool = False
    """True: no new Runs; those under way go on."""
    match: Match = Match()
    """Which studies."""
    on_late_images: Literal["Supersede", "Rerun", "Ignore"] = "Supersede"
    """Images that come after a Run was made. Supersede: a further Run with all of them, which ends the older one, or whose report names the older
    report as its predecessor. Rerun: a further Run beside the older. Ignore: none."""
    concurrency: Concurrency = Concurrency()
    """How much of the cluster the pipeline may take."""
    priority: PriorityRules = PriorityRules()
    """Which Runs go first."""
    after: After | None = None
    """Start from another pipeline's finished Run instead of a stable study; `match` and `template.input` must hold too."""
    history: History = History()
    """How long records are kept."""
    notifications: Annotated[list[Notification], Field(max_length=8, json_schema_extra=list_map("url"))] = []
    """Receivers that are told by a webhook when a Run has ended; none hears of Runs in mode Shadow."""
    pre_pull: bool = False
    """True: every node that `template.scheduling` lets Runs come to gets the images before a Run needs them, and keeps them. By a DaemonSet that asks
    for no GPU: choose the nodes with nodeSelector. Needs prePull.enabled of the chart. The condition ImagesReady says how far it is."""
    template: RunTemplate
    """What each Run does."""


class RunCounts(Observed):
    """Runs of the pipeline, counted, by how far they are."""

    active: Annotated[int, Field(ge=0)] = 0
    """Begun and not finished."""
    waiting: Annotated[int, Field(ge=0)] = 0
    """Not begun: held back by concurrency.maxActive or by suspend."""
    succeeded: Annotated[int, Field(ge=0)] = 0
    """Finished well."""
    failed: Annotated[int, Field(ge=0)] = 0
    """Failed, cancelled or superseded."""


class PipelineStatus(Observed):
    """What is observed of the pipeline."""

    observed_generation: Int64 | None = None
    """Generation of the spec this status belongs to."""
    conditions: Conditions | None = None
    """Ready, Active, ImagesResolved, with spec.prePull ImagesReady, and with scheduling.queueName QueueReady."""
    images: Annotated[list[ImageStatus], Field(max_length=72)] | None = None
    """What the registries say of the steps' images."""
    runs: RunCounts | None = None
    """Counted from the Runs that exist."""
    last_run_time: Timestamp | None = None
    """When the newest Run was made."""
    relaxed: Annotated[str, Field(max_length=63)] | None = None
    """What a step of it is allowed beyond the default (`security`): `root`, `network`, `writable-image`, with commas between. Absent: nothing.
    Which step, the condition Ready tells."""


class InferencePipeline(Resource):
    """Which studies go to which application, and where the results go."""

    model_config = {
        "json_schema_extra": cel(
            rule("size(self.metadata.name) <= 63", "the name labels the pipeline's Runs: at most 63 characters")
        )
    }
    kind = "InferencePipeline"
    plural = "inferencepipelines"
    short = "ipl"
    columns = (
        ("Bridge", "string", ".spec.bridgeRef.name"),
        ("Mode", "string", ".spec.mode"),
        ("Ready", "string", ".status.conditions[?(@.type=='Ready')].status"),
        ("Active", "integer", ".status.runs.active"),
        ("Waiting", "integer", ".status.runs.waiting"),
        ("Succeeded", "integer", ".status.runs.succeeded"),
        ("Failed", "integer", ".status.runs.failed"),
        ("Relaxed", "string", ".status.relaxed"),
    )
    wide_columns = (
        ("Reason", "string", ".status.conditions[?(@.type=='Ready')].reason"),
        ("Last Run", "date", ".status.lastRunTime"),
    )
    spec: PipelineSpec
    """What is wanted."""
    status: PipelineStatus | None = None
    """What is observed."""
