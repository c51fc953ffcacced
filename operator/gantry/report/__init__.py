"""Pure: findings become a DICOM SR; checks of what applications hand over.

`parse_findings` reads what an application wrote, `build_report` makes the SRs, `check_object` and `reidentify` take further DICOM files.
The only room that uses highdicom and pydicom to build; it must not read a clock, a file or the network.
"""

from .build import build_report
from .context import BuiltObject, ReportContext
from .errors import InvalidFindings, InvalidReport, ReportError, UnacceptedObject, WrongPatient
from .findings import Findings
from .objects import check_object, reidentify
from .outcome import count_findings
from .parse import parse_findings
from .schema import findings_schema

__all__ = [
    "BuiltObject",
    "Findings",
    "InvalidFindings",
    "InvalidReport",
    "ReportContext",
    "ReportError",
    "UnacceptedObject",
    "WrongPatient",
    "build_report",
    "check_object",
    "count_findings",
    "findings_schema",
    "parse_findings",
    "reidentify",
]
