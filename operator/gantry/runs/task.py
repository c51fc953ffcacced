"""What fetch and publish need to know of their Run, handed over as JSON in the environment variable GANTRY_TASK.

Written by `jobspec`, read by `worker`. It holds no credentials (those come from the bridge's secret) and no identifier of patient or study
but Orthanc's ids.
"""

from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from gantry.api import RunReason
from gantry.api.run import RunSpec

from .after import Earlier

VARIABLE = "GANTRY_TASK"


class Predecessor(BaseModel):
    """A report that this Run's report takes the place of; UIDs that Gantry made."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str


@dataclass(frozen=True, slots=True)
class Predecessors:
    """What a Run's reports take the place of."""

    reports: tuple[Predecessor, ...] = ()
    alternatives: tuple[Predecessor, ...] = ()
    """Of its alternatives: those of the earlier Run, or its reports when it has none."""


NO_PREDECESSORS = Predecessors()


class Task(BaseModel):
    """One Run, as its pod sees it."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)
    installation: str
    """Identity of this installation of Gantry: part of every result's UID."""
    namespace: str
    run: str
    uid: str
    """Its uid, by which its receipt in Orthanc is told from that of another Run of its name."""
    created: datetime
    """When the Run was made: the content date of its results, so that a second attempt builds the same bytes."""
    orthanc_url: str
    connections: int
    spec: RunSpec
    commands_of_images: tuple[str, ...] = ()
    """Steps whose command is their image's own and not the pipeline's."""
    after: Earlier | None = None
    """The Run that this one follows (spec.after), with what it left in Orthanc."""
    predecessors: tuple[Predecessor, ...] = ()
    """Of the Run named in spec.supersedes, when it had reported."""
    alternatives: bool = False
    """Comprehensive SRs are to be made beside the reports, for a destination that may refuse those."""
    alternative_predecessors: tuple[Predecessor, ...] = ()
    """What these take the place of."""
    not_performed: RunReason | None = None
    """The Run failed for this reason, and the pod is to report that; in every other pod absent."""
