"""What a Follower gets from the process around it, and what it tells that process.

Protocols and values only. `runtime/` implements `Host` on its store and on `kube/`; tests implement it with lists.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from gantry.api.bridge import BridgeStatus
from gantry.api.pipeline import PipelineSpec
from gantry.routing import Rules


class RunRefused(Exception):
    """The API server refuses this Run for good (400, 403, 422): trying again does not help, other studies go on. Raised by `Host.create_run`."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pipeline of this bridge that is ready and not suspended."""

    name: str
    uid: str
    generation: int
    created: datetime
    rules: Rules
    spec: PipelineSpec
    commands_of_images: tuple[str, ...] = ()
    """Steps whose command is their image's own."""


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """A Run of a pipeline on a study, on these or other images of it."""

    name: str
    created: datetime
    finished: bool
    state: str | None
    """As in its status; None before the first."""
    series: tuple[str, ...]
    """Orthanc's ids."""


class Level(StrEnum):
    """What is decided at once."""

    STUDY = "Study"
    SERIES = "Series"


class Origin(StrEnum):
    """By what a study was found; label of a metric."""

    STABLE_STUDY = "StableStudy"
    """Orthanc said so."""
    STABLE_SERIES = "StableSeries"
    """Orthanc said so of one of its series, at watch.level Series."""
    MISSED_STABLE = "MissedStable"
    """It came, and the stable event did not: Orthanc was restarted in between."""
    RECONCILE = "Reconcile"
    """The scan found it."""
    BACKFILL = "Backfill"
    """An InferenceBackfill walks by."""


class Outcome(StrEnum):
    """How a pipeline's decision on a study ended; label of a metric."""

    CREATED = "Created"
    """A Run was made."""
    KNOWN = "Known"
    """Matched, and the Run for exactly these images exists already."""
    SUPERSEDING = "Superseding"
    """A Run was made that takes the place of an earlier one on fewer images."""
    IGNORED = "Ignored"
    """Matched with images that came after a Run was made, and onLateImages is Ignore."""
    INCOMPLETE = "Incomplete"
    """Matched, and match.completeness does not hold yet: it is looked at again."""
    OWN_RESULT = "OwnResult"
    """Matched, and nothing but Gantry's own results came: its images had their turn long before."""
    NOT_MATCHED = "NotMatched"
    """A check does not hold."""
    REFUSED = "Refused"
    """Matched, and the API server refuses the Run."""


class Drop(StrEnum):
    """Why a study was left without a decision; label of a metric."""

    GONE = "Gone"
    """It was deleted from Orthanc in between: a normal case."""
    FAILING = "Failing"
    """Orthanc failed on it again and again; the next scan tries it anew."""


@dataclass(frozen=True, slots=True)
class Polled:
    """One look at the change log."""

    changes: int
    lag: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Discovered:
    """A study was looked at."""

    origin: Origin
    seconds: float
    """Time the questions to Orthanc and the decisions took."""
    since_stable: float | None = None
    """From Orthanc's stable event, whose time has whole seconds, to its being read; None when no event led here."""


@dataclass(frozen=True, slots=True)
class Decided:
    """A pipeline's decision. `check` is the name of the check that refused, or of the one that was given up; never a value of the study."""

    pipeline: str
    outcome: Outcome
    check: str | None
    seconds: float | None = None
    """Of CREATED and SUPERSEDING: from seeing the study to the existing Run."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A study was left out."""

    reason: Drop


@dataclass(frozen=True, slots=True)
class Scanned:
    """A reconcile scan ended."""

    studies: int
    taken: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Faulted:
    """Something outside did not work. `where`: orthanc, study, destination, sender, runs, status; `kind`: the error's class."""

    where: str
    kind: str


Observation = Polled | Discovered | Decided | Dropped | Scanned | Faulted


class Host(Protocol):
    """The process around a Follower. Any exception of `earlier_runs`, and of `create_run` any but RunRefused, means: not recorded, try again."""

    def pipelines(self) -> Sequence[Candidate]:
        """Compiled pipelines of this bridge that are ready and not suspended."""

    def run_exists(self, name: str) -> bool:
        """From the store; a hint that saves a POST."""

    async def earlier_runs(self, pipeline: str, study: str) -> tuple[EarlierRun, ...]:
        """All Runs of a pipeline on a study, by Orthanc's id of it."""

    async def create_run(self, body: dict[str, Any]) -> bool:
        """POST. True: made; False: it was there already (409)."""

    async def write_status(self, status: BridgeStatus) -> None:
        """The whole owned status, by server-side apply."""

    def record(self, observation: Observation) -> None:
        """For metrics. Must not block or raise."""
