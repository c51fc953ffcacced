"""Pure: what a Run needs next, the Job it becomes, its names, and what its pod tells.

It must not call the API server or read a clock.
"""

from .names import job_name, result_uid, run_name
from .receipt import FetchReceipt, PublishReceipt, StepEnd, decode_fetch, decode_publish, failed
from .task import Task

__all__ = [
    "FetchReceipt",
    "PublishReceipt",
    "StepEnd",
    "Task",
    "decode_fetch",
    "decode_publish",
    "failed",
    "job_name",
    "result_uid",
    "run_name",
]
