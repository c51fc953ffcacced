"""InferenceBackfill: one pipeline on stored studies of a span of days, slowly. How far it is stands in its status, not on a laptop."""

from typing import Annotated, Literal

from pydantic import Field

from .base import Conditions, Observed, OrthancID, Part, Reference, Resource, Timestamp, cel, rule
from .bridge import Int64
from .matching import Priority, Requirements

State = Literal["Counting", "Counted", "Running", "Blocked", "Suspended", "Complete", "Failed"]
Day = Annotated[
    str, Field(min_length=10, max_length=10, pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", json_schema_extra={"format": "date"})
]
"""A day of the calendar; to CEL a point in time."""


def _immutable(field: str) -> dict[str, object]:
    return cel(rule("self == oldSelf", f"{field} cannot be changed; make a new InferenceBackfill"))


class BackfillSpec(Part):
    """Which stored studies, by which pipeline, and how many at once."""

    model_config = {
        "json_schema_extra": cel(
            rule("self.from <= self.to", "from must not be later than to"),
            rule("self.to - self.from <= duration('87840h')", "from and to are at most 3660 days apart; make several InferenceBackfills"),
            rule("oldSelf.dryRun || !self.dryRun", "a backfill that has begun cannot become a dry run; set suspend to hold it"),
        )
    }
    pipeline_ref: Annotated[Reference, Field(json_schema_extra=_immutable("pipelineRef"))]
    """The pipeline, as it is when a study's turn comes: its rules choose studies and series."""
    from_: Annotated[Day, Field(alias="from", json_schema_extra={"format": "date", **_immutable("from")})]
    """First StudyDate, for example 2025-01-01."""
    to: Annotated[Day, Field(json_schema_extra={"format": "date", **_immutable("to")})]
    """Last StudyDate; that day too."""
    match: Annotated[Requirements, Field(json_schema_extra=_immutable("match"))] = []
    """Further requirements on the study, beside those of the pipeline."""
    max_active: Annotated[int, Field(ge=1, le=1000)] = 2
    """Unfinished Runs of this backfill at once: the next study is looked at when there are fewer. May be changed at any time."""
    priority: Annotated[Priority, Field(json_schema_extra=_immutable("priority"))] = "Background"
    """Class of its Runs; the pipeline's own rules do not count."""
    suspend: bool = False
    """True: no further Runs; those under way go on. False: goes on where it stood."""
    dry_run: bool = False
    """True: only counts what it would do. False then begins; it cannot be set to true again."""


class Cursor(Observed):
    """How far the walk is: days from first to last, in each day by Orthanc's ids."""

    day: Day
    """The day under work."""
    study: OrthancID | None = None
    """The last study of that day that is done."""


Count = Annotated[int, Field(ge=0)]


class Counts(Observed):
    """Studies found, examined, matched, failed; Runs created, known, refused, active: a bridge of level Series makes one for each series."""

    found: Count | None = None
    """Stored with a StudyDate in these days; absent until they are counted."""
    examined: Count = 0
    """Looked at."""
    matched: Count = 0
    """Taken by the pipeline and by `match`."""
    created: Count = 0
    """Runs this backfill made; in a dry run: would make."""
    known: Count = 0
    """Runs not made because they are there: on exactly these images, or its report is in Orthanc, or onLateImages is Ignore."""
    refused: Count = 0
    """Runs the API server refuses; see the operator's log."""
    failed: Count = 0
    """Left because Orthanc fails on the study again and again; see the operator's log."""
    active: Count = 0
    """Runs of this backfill that are not finished."""


class BackfillStatus(Observed):
    """How far it is."""

    observed_generation: Int64 | None = None
    """Generation of the spec this status belongs to."""
    state: State | None = None
    """Summary for people; programs read the conditions."""
    conditions: Conditions | None = None
    """Ready, Progressing, Complete, Failed. Complete or Failed True: finished."""
    mode: Literal["DryRun", "Run"] | None = None
    """What cursor and counts belong to."""
    cursor: Cursor | None = None
    """Everything before it is done and recorded."""
    counts: Counts | None = None
    """Of the walk under way, or of the finished one."""
    estimate: Counts | None = None
    """What the dry run counted, kept when the backfill begins."""
    start_time: Timestamp | None = None
    """When this walk began."""
    completion_time: Timestamp | None = None
    """When it finished: all studies looked at, all of its Runs finished."""


class InferenceBackfill(Resource):
    """One pipeline on studies that are stored already, a few at a time."""

    model_config = {
        "json_schema_extra": cel(
            rule("size(self.metadata.name) <= 63", "the name labels the backfill's Runs: at most 63 characters")
        )
    }
    kind = "InferenceBackfill"
    plural = "inferencebackfills"
    short = "ibf"
    columns = (
        ("Pipeline", "string", ".spec.pipelineRef.name"),
        ("State", "string", ".status.state"),
        ("Found", "integer", ".status.counts.found"),
        ("Examined", "integer", ".status.counts.examined"),
        ("Created", "integer", ".status.counts.created"),
        ("Active", "integer", ".status.counts.active"),
    )
    wide_columns = (
        ("From", "string", ".spec.from"),
        ("To", "string", ".spec.to"),
        ("Known", "integer", ".status.counts.known"),
        ("Failed", "integer", ".status.counts.failed"),
        ("Reason", "string", ".status.conditions[?(@.type=='Progressing')].reason"),
    )
    spec: BackfillSpec
    """What is wanted."""
    status: BackfillStatus | None = None
    """How far it is."""
