"""Everything one pass over a Run is decided on, and the limits that decide.

Pure values. `runtime` fills an `Observed` from its store before the pass, and again with what it learnt by doing (`refusal`, `looked`,
`deliveries`), so that a pass ends in one status write.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Literal

from gantry.api.run import ClaimedDevices, DeliveryStatus

from .admission import Held
from .offers import Node
from .receipt import PublishReceipt
from .view import BridgeView, JobView, PodView, RunView

HISTORY = timedelta(hours=720)
"""How long a Run is kept whose pipeline is gone: the default of history.ttl."""


Kept = PublishReceipt | Literal["Nothing", "NotKnown"]
"""What the Run's pod kept in Orthanc. NotKnown: Orthanc does not answer."""
QueueState = Literal["Found", "Missing", "NoKueue", "NotKnown", "Stopped", "NoClusterQueue", "Inactive"]
"""Of a LocalQueue. NoKueue: the cluster does not have the kind. NotKnown: the operator may not read it. Stopped: its own spec.stopPolicy.
NoClusterQueue, Inactive: its ClusterQueue is not there, or admits nothing."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A LocalQueue, and what Kueue says of the Run in it."""

    state: QueueState
    cluster_queue: str = ""
    """The ClusterQueue it names."""
    says: str = ""
    """Why the Job is not admitted, in Kueue's words (the condition QuotaReserved of its Workload); empty: nothing yet, or it may not be read."""
    queued: int = 0
    """How many Runs of this operator are Queued: each of them asks."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long something that may mend itself is waited for."""

    image_pull: timedelta = timedelta(minutes=5)
    """A registry's restart or a late pull secret mends within minutes; a wrong name never does."""
    container_config: timedelta = timedelta(minutes=1)
    """A secret applied just after the Run; the kubelet tries every few seconds."""
    unnoticed: timedelta = timedelta(minutes=1)
    """A step has ended badly and publish waits on: it takes a second to notice, on a crowded node with highdicom to load some ten."""
    keep_job: timedelta = timedelta(hours=1)
    """A succeeded Run's Job: its logs are rarely read, and 3,000 pods a namespace is what clusters are tested with."""
    keep_ended_job: timedelta = timedelta(minutes=1)
    """A cancelled or superseded Run's Job is deleted with it; what is there a minute later was asked for and not yet seen then."""
    keep_failed_job: timedelta = timedelta(hours=24)
    """A failed Run's Job: its logs are what tells why."""
    ending: timedelta = timedelta(minutes=2)
    """A pod that is being ended may still publish (5 s of grace); on a node that does not answer it never ends."""
    notice: timedelta = timedelta(minutes=35)
    """The report that a Run failed (`notice_job`): a little longer than its Job may take; then the Run ends without it."""
    orthanc: timedelta = timedelta(hours=1)
    """Orthanc does not answer, and only it knows whether a Run whose pod is gone left results: longer than an upgrade of it takes."""
    newer_run: timedelta = timedelta(minutes=10)
    """The Run for late images, before a failure that such images may have caused is reported: they must come to an end, and Orthanc waits for
    StableAge (60 s by default) and the bridge for completeness."""


@dataclass(frozen=True)  # without slots, for what is asked for by check after check is kept
class Observed:
    """One look at a Run and everything that belongs to it."""

    run: RunView
    now: datetime
    job: JobView | None = None
    notice: JobView | None = None
    """The Job of a failed Run that reports that the analysis was not performed."""
    pods: tuple[PodView, ...] = ()
    bridge: BridgeView | None = None
    notifies: bool = False
    """The pipeline has receivers of events, and this Run is for them to hear of."""
    ttl: timedelta = HISTORY
    limits: Limits = Limits()
    successor: str | None = None
    """The newer Run that names this one in spec.supersedes."""
    newer: str | None = None
    """A newer Run of the same pipeline and study, whether or not it names this one."""
    predecessor_ends: bool = False
    """The Run this one supersedes has not finished yet."""
    held: Held | None = None
    """Why its turn has not come; None: it has."""
    queue: Queue | None = None
    """What is known of the LocalQueue the Run names; None: it was not looked at in this pass."""
    claimed: Mapping[str, tuple[ClaimedDevices, ...]] | None = None
    """Of pods, by name, the GPUs they were given by resource claims. None: they were not looked at in this pass."""
    vanished: tuple[PodView, ...] = ()
    """Pods that had ended and are gone, as this process last saw them."""
    offers: tuple[Node, ...] | None = None
    """What the nodes have; none where they may not be read. None: they were not looked at in this pass."""
    refusal: str | None = None
    """What the API server answered when it refused the Job; None when it did not."""
    looked: bool = False
    """Job and pods were asked for at the API server itself: what is missing is gone, not late."""
    kept: Kept | None = None
    """publish's receipt in Orthanc; None: it was not looked for in this pass."""
    deliveries: tuple[DeliveryStatus, ...] | None = None
    """What the courier came back with in this pass; None: it was not sent."""

    @cached_property
    def own_job(self) -> JobView | None:
        """The Job, if it is this Run's and no other's of the same name. One whose owner reference was taken away is known by the status."""
        job, made = self.job, self.run.job
        return job if job is not None and (job.owner_uid == self.run.uid or (made is not None and job.uid == made)) else None

    @cached_property
    def own_notice(self) -> JobView | None:
        """The Job that reports the failure, if it is this Run's."""
        return self.notice if self.notice is not None and self.notice.owner_uid == self.run.uid else None

    @cached_property
    def notice_pods(self) -> tuple[PodView, ...]:
        """The pods of that Job, oldest first."""
        notice = self.own_notice
        return tuple(sorted((pod for pod in self.pods if notice and pod.job_uid == notice.uid), key=lambda pod: (pod.created, pod.version)))

    @property
    def fetches_are_counted(self) -> bool:
        """The bridge allows only so many at once."""
        return self.bridge is not None and self.bridge.spec.limits.concurrent_fetches is not None

    @property
    def begun(self) -> bool:
        """Whether there is or was a Job."""
        return self.own_job is not None or self.run.job_made

    @cached_property
    def own_pods(self) -> tuple[PodView, ...]:
        """The pods of this Run's Job, oldest first. A Job that is gone is known by the status."""
        uid = self.own_job.uid if self.own_job else self.run.job
        return tuple(sorted((pod for pod in self.pods if pod.job_uid == uid), key=lambda pod: (pod.created, pod.version)))

    @cached_property
    def pod(self) -> PodView | None:
        """The newest attempt."""
        return self.own_pods[-1] if self.own_pods else None
