"""Pure: what a Run needs next, the Job it becomes, its names, and what its pod tells.

It must not call the API server or read a clock.
"""

from .admission import ORPHANS, URGENCY, Waiting, held_back, turns
from .after import FINDINGS_ATTACHMENT, Earlier, earlier, keeper
from .following import Answer, followed, to_be_followed, within_reach
from .jobspec import Installation, UnfitRun, job
from .names import is_result_uid, job_name, repeat_name, result_uid, run_name
from .observed import HISTORY, Limits, Observed
from .plan import Action, CreateJob, DeleteJob, DeleteRun, Deliver, LookUp, Plan, finished_due, plan
from .receipt import FetchReceipt, PublishReceipt, StepEnd, decode_fetch, decode_publish, failed
from .task import Predecessor, Task
from .view import BridgeView, ContainerView, JobView, PodView, RunView

__all__ = [
    "FINDINGS_ATTACHMENT",
    "HISTORY",
    "ORPHANS",
    "URGENCY",
    "Action",
    "Answer",
    "BridgeView",
    "ContainerView",
    "CreateJob",
    "DeleteJob",
    "DeleteRun",
    "Deliver",
    "Earlier",
    "FetchReceipt",
    "Installation",
    "JobView",
    "Limits",
    "LookUp",
    "Observed",
    "Plan",
    "PodView",
    "Predecessor",
    "PublishReceipt",
    "RunView",
    "StepEnd",
    "Task",
    "UnfitRun",
    "Waiting",
    "decode_fetch",
    "decode_publish",
    "earlier",
    "failed",
    "finished_due",
    "followed",
    "held_back",
    "is_result_uid",
    "job",
    "job_name",
    "keeper",
    "plan",
    "repeat_name",
    "result_uid",
    "run_name",
    "to_be_followed",
    "turns",
    "within_reach",
]
