"""Pure: does this study match a pipeline, which series, and why.

It must not talk to Orthanc or the API server, and reads no clock.
"""

from .circle import circle
from .decision import Decision, decide, decide_all
from .errors import InvalidExpression, InvalidRequirement, InvalidRules
from .facts import Known, Needs, SeriesFacts, StudyFacts
from .findings import ConditionFailed, FindingsCondition, compile_findings_condition
from .requirements import Refusal
from .rules import Rules, compile_rules
from .view import SeriesDecision

__all__ = [
    "ConditionFailed",
    "Decision",
    "FindingsCondition",
    "InvalidExpression",
    "InvalidRequirement",
    "InvalidRules",
    "Known",
    "Needs",
    "Refusal",
    "Rules",
    "SeriesDecision",
    "SeriesFacts",
    "StudyFacts",
    "circle",
    "compile_findings_condition",
    "compile_rules",
    "decide",
    "decide_all",
]
