"""Pure: findings become a DICOM SR; checks of that and of what applications hand over.

`parse_findings` reads what an application wrote, `build_masks` makes SEGs, `build_overview` a picture, `build_report` SRs, `build_not_performed` the
one of a Run that failed, `build_alternatives` the same for a PACS without Comprehensive 3D SR, `build_key_objects` ties them together,
`validate_report` checks any SR, `read_report` says what one says, `check_object`, `conform`, `credited` and `reidentify` take further DICOM files.
The only room that uses highdicom and pydicom to build; it must not read a clock, a file or the network.
"""

from gantry.findings import Findings, findings_schema

from .absence import build_not_performed
from .algorithms import without_findings
from .alternative import build_alternatives, for_comprehensive
from .build import build_report, refused
from .conformance import conform
from .context import BuiltObject, Predecessor, ReportContext
from .credit import credited, origin
from .errors import InvalidFindings, InvalidReport, ReportError, UnacceptedObject, WrongPatient
from .keyobjects import build_key_objects
from .mapping import mapped
from .masks import build_masks
from .objects import check_object, reidentify
from .outcome import count_findings
from .overview import build_overview
from .parse import parse_findings
from .proof import require_valid
from .reader import NotAReport, Report, read_report
from .shadow import mark
from .validate import Problem, Rule, validate_report

__all__ = [
    "BuiltObject",
    "Findings",
    "InvalidFindings",
    "InvalidReport",
    "NotAReport",
    "Predecessor",
    "Problem",
    "Report",
    "ReportContext",
    "ReportError",
    "Rule",
    "UnacceptedObject",
    "WrongPatient",
    "build_alternatives",
    "build_key_objects",
    "build_masks",
    "build_not_performed",
    "build_overview",
    "build_report",
    "check_object",
    "conform",
    "count_findings",
    "credited",
    "findings_schema",
    "for_comprehensive",
    "mapped",
    "mark",
    "origin",
    "parse_findings",
    "read_report",
    "refused",
    "reidentify",
    "require_valid",
    "validate_report",
    "without_findings",
]
