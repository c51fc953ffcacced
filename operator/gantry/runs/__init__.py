"""Pure: what a Run needs next, the Job it becomes, its names, and what its pod tells.

It must not call the API server or read a clock.
"""

from .actions import (
    Action,
    CreateJob,
    CreateNotice,
    DeleteJob,
    DeletePod,
    DeleteRun,
    Deliver,
    FindClaims,
    FindOffers,
    FindQueue,
    FindReceipt,
    LookUp,
    Plan,
)
from .admission import NOT_KNOWN, ORPHANS, URGENCY, Held, Limit, Waiting, age, rank, turns
from .after import FINDINGS_ATTACHMENT, Earlier, earlier, keeper
from .alternatives import MOST_REPORTS, NOT_PERFORMED, PASSED_REPORTS, alternative_role, known_to_take, replaced_by_alternatives
from .claims import asked_for, given
from .commands import commands_of_images
from .fetching import ENDLESS, NOTHING, holds_for
from .fingerprint import fingerprint
from .following import Answer, followed, to_be_followed, within_reach
from .jobspec import NOTICE_SECONDS, USER, Installation, UnfitRun, job, notice_job, step_container
from .keeping import finished_due
from .kept import RECEIPT_ATTACHMENT, decode_kept, places, to_be_kept
from .names import is_result_uid, job_name, notice_name, repeat_name, result_uid, run_name
from .notice import under_way as tells_failure
from .observed import HISTORY, Kept, Limits, Observed, Queue, QueueState
from .offers import Node
from .pinning import lacking_command, pinned
from .plan import plan
from .prepull import OnNodes, Owner, daemon_set, on_each, on_nodes, prepull_name, spec_hash
from .queueing import QueueReady, queue_ready
from .receipt import FetchReceipt, PublishReceipt, StepEnd, decode_fetch, decode_publish, failed
from .relaxed import relaxed
from .task import NO_PREDECESSORS, Predecessor, Predecessors, Task
from .telling import Telling, to_be_told, told
from .trace import Span, spans_of, trace_id, traceparent
from .view import BridgeView, ContainerView, JobView, PodView, RunView

__all__ = [
    "ENDLESS",
    "FINDINGS_ATTACHMENT",
    "HISTORY",
    "MOST_REPORTS",
    "NOTHING",
    "NOTICE_SECONDS",
    "NOT_KNOWN",
    "NOT_PERFORMED",
    "NO_PREDECESSORS",
    "ORPHANS",
    "PASSED_REPORTS",
    "RECEIPT_ATTACHMENT",
    "URGENCY",
    "USER",
    "Action",
    "Answer",
    "BridgeView",
    "ContainerView",
    "CreateJob",
    "CreateNotice",
    "DeleteJob",
    "DeletePod",
    "DeleteRun",
    "Deliver",
    "Earlier",
    "FetchReceipt",
    "FindClaims",
    "FindOffers",
    "FindQueue",
    "FindReceipt",
    "Held",
    "Installation",
    "JobView",
    "Kept",
    "Limit",
    "Limits",
    "LookUp",
    "Node",
    "Observed",
    "OnNodes",
    "Owner",
    "Plan",
    "PodView",
    "Predecessor",
    "Predecessors",
    "PublishReceipt",
    "Queue",
    "QueueReady",
    "QueueState",
    "RunView",
    "Span",
    "StepEnd",
    "Task",
    "Telling",
    "UnfitRun",
    "Waiting",
    "age",
    "alternative_role",
    "asked_for",
    "commands_of_images",
    "daemon_set",
    "decode_fetch",
    "decode_kept",
    "decode_publish",
    "earlier",
    "failed",
    "fingerprint",
    "finished_due",
    "followed",
    "given",
    "holds_for",
    "is_result_uid",
    "job",
    "job_name",
    "keeper",
    "known_to_take",
    "lacking_command",
    "notice_job",
    "notice_name",
    "on_each",
    "on_nodes",
    "pinned",
    "places",
    "plan",
    "prepull_name",
    "queue_ready",
    "rank",
    "relaxed",
    "repeat_name",
    "replaced_by_alternatives",
    "result_uid",
    "run_name",
    "spans_of",
    "spec_hash",
    "step_container",
    "tells_failure",
    "to_be_followed",
    "to_be_kept",
    "to_be_told",
    "told",
    "trace_id",
    "traceparent",
    "turns",
    "within_reach",
]
