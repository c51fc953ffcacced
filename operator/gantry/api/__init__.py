"""The resources: pydantic models of spec and status, reasons, labels, and the generator of their CRDs.

Pure declarations: nothing here calls the API server or reads a clock.
"""

from .backfill import InferenceBackfill
from .base import API_VERSION, GROUP, VERSION, Code, Condition, parse_duration, parse_timestamp, timestamp
from .bridge import OrthancBridge
from .matching import TagRequirement
from .pipeline import InferencePipeline, RunTemplate
from .reasons import BackfillReason, BridgeReason, PipelineReason, RunReason
from .run import InferenceRun

__all__ = [
    "API_VERSION",
    "GROUP",
    "VERSION",
    "BackfillReason",
    "BridgeReason",
    "Code",
    "Condition",
    "InferenceBackfill",
    "InferencePipeline",
    "InferenceRun",
    "OrthancBridge",
    "PipelineReason",
    "RunReason",
    "RunTemplate",
    "TagRequirement",
    "parse_duration",
    "parse_timestamp",
    "timestamp",
]
