"""Follows one Orthanc and makes the Runs its studies call for; keeps the destinations in Orthanc's modalities.

It must not call the API server (that is the `Host` it is given) nor send or fetch images.
"""

from .after import AfterIntake, First, Started, Unsettled
from .backfill import Backfill, BackfillHost, Ground
from .backfill_status import Problem, over, suspended_status
from .completeness import age_and_count, age_of, gives_up
from .condition import CHECK, findings_document, findings_refusal
from .dated import dated
from .destinations import Login, node_of, sender_node, server_of
from .facts import Inquiry, asks_series_one_by_one, inquire, is_own
from .follower import Follower
from .host import (
    Candidate,
    Decided,
    Discovered,
    Drop,
    Dropped,
    EarlierRun,
    Faulted,
    Host,
    Level,
    Observation,
    Origin,
    Outcome,
    Polled,
    RunRefused,
    Scanned,
)
from .run import STUDY_LABEL_LENGTH, run_body
from .status import held_status

__all__ = [
    "CHECK",
    "STUDY_LABEL_LENGTH",
    "AfterIntake",
    "Backfill",
    "BackfillHost",
    "Candidate",
    "Decided",
    "Discovered",
    "Drop",
    "Dropped",
    "EarlierRun",
    "Faulted",
    "First",
    "Follower",
    "Ground",
    "Host",
    "Inquiry",
    "Level",
    "Login",
    "Observation",
    "Origin",
    "Outcome",
    "Polled",
    "Problem",
    "RunRefused",
    "Scanned",
    "Started",
    "Unsettled",
    "age_and_count",
    "age_of",
    "asks_series_one_by_one",
    "dated",
    "findings_document",
    "findings_refusal",
    "gives_up",
    "held_status",
    "inquire",
    "is_own",
    "node_of",
    "over",
    "run_body",
    "sender_node",
    "server_of",
    "suspended_status",
]
