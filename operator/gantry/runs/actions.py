"""What a plan may ask for. Values only: `plan` and `notice` ask, `runtime` does."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from gantry.api import RunReason
from gantry.api.run import DeliveryStatus, Result, RunStatus


@dataclass(frozen=True, slots=True)
class CreateJob:
    """POST the Run's Job (`jobspec.job`); 409 is success once the owner was checked."""


@dataclass(frozen=True, slots=True)
class CreateNotice:
    """POST the Job that reports that the analysis was not performed (`jobspec.notice_job`); 409 is success."""

    reason: RunReason


@dataclass(frozen=True, slots=True)
class DeleteJob:
    """Delete the Job and its pods; that there is none is success."""

    name: str
    uid: str | None


@dataclass(frozen=True, slots=True)
class DeletePod:
    """Delete this pod as it was seen; that it is gone or has changed is success. Its Job counts it as failed once it has ended, and makes another."""

    name: str
    uid: str
    version: int


@dataclass(frozen=True, slots=True)
class DeleteRun:
    """Delete the Run itself: its record has had its time."""


@dataclass(frozen=True, slots=True)
class LookUp:
    """Ask the API server itself for Job and pods, then plan again with `looked`: a watch may be late, absence must be sure."""


@dataclass(frozen=True, slots=True)
class FindQueue:
    """Look at the LocalQueue and at what Kueue says of the Job, then plan again with `queue`."""

    name: str
    job: str
    """The Job's uid."""


@dataclass(frozen=True, slots=True)
class FindClaims:
    """Look at what devices these pods have by resource claims, then plan again with `claimed`."""

    pods: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FindOffers:
    """Look what devices the nodes have, then plan again with `offers`."""


@dataclass(frozen=True, slots=True)
class FindReceipt:
    """Look into Orthanc for the receipt that the Run's pod may have kept there (`kept`), then plan again with `kept`."""


@dataclass(frozen=True, slots=True)
class Deliver:
    """Send the courier, then plan again with what it came back with."""

    destinations: tuple[str, ...]
    results: tuple[Result, ...]
    alternatives: tuple[Result, ...]
    deliveries: tuple[DeliveryStatus, ...]
    deadline: datetime


Action = CreateJob | CreateNotice | DeleteJob | DeletePod | DeleteRun | LookUp | FindQueue | FindClaims | FindOffers | FindReceipt | Deliver


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, what to write, when to look again without an event."""

    actions: tuple[Action, ...] = ()
    status: RunStatus | None = None
    """None: what is written is as it should be."""
    again_after: timedelta | None = None
