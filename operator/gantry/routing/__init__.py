"""Pure: does this study match a pipeline, which series, and why; and the fingerprint that makes the work unique.

It must not talk to Orthanc or the API server, and reads no clock.
"""

from .decision import Decision, Rules, SeriesDecision, SeriesFacts, StudyFacts, compile_rules, decide
from .fingerprint import fingerprint
from .requirements import InvalidRequirement, Refusal

__all__ = [
    "Decision",
    "InvalidRequirement",
    "Refusal",
    "Rules",
    "SeriesDecision",
    "SeriesFacts",
    "StudyFacts",
    "compile_rules",
    "decide",
    "fingerprint",
]
