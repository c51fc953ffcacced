"""What can go wrong between an application's output and a stored report.

    ReportError(ValueError)
    ├── InvalidFindings     findings.json itself is wrong
    ├── InvalidReport       findings.json is well-formed, but no valid SR of these images can be made of it
    ├── WrongPatient        an object names another patient or study
    └── UnacceptedObject    an object is of a kind nobody asked for

All are permanent: the same output fails the same way again. Messages are shown in a Run's status: they name field, value and rule, and
never anything of the patient or the study.
"""

from collections.abc import Iterable
from typing import ClassVar

from gantry.api import RunReason


class ReportError(ValueError):
    """Base: `except ReportError as fault: failed(fault.reason, str(fault))`."""

    reason: ClassVar[RunReason]

    def __init__(self, message: str, lines: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.lines = tuple(lines) or (message,)
        """One line for each finding that is refused, where all of them are known."""


class InvalidFindings(ReportError):
    """findings.json does not follow the schema."""

    reason = RunReason.INVALID_FINDINGS


class InvalidReport(ReportError):
    """The findings do not fit the images they speak of."""

    reason = RunReason.INVALID_REPORT


class WrongPatient(ReportError):
    """An object names another patient or study than the input."""

    reason = RunReason.WRONG_PATIENT


class UnacceptedObject(ReportError):
    """An object is of a kind the pipeline does not accept, or not usable as one."""

    reason = RunReason.UNACCEPTED_OBJECT
