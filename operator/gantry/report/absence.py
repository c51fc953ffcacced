"""The SR of a Run that failed: the analysis was not performed, why, and what is therefore not evaluated.

Pure. It must not be taken for a negative result, by a person or a program: nothing in it is Absent, everything that should have been looked
for is Not Evaluated, and the status of the analysis is a code of PS3.16 (CID 6042). Its words are Gantry's own, never an application's.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import ValidationError
from pydicom import Dataset

from gantry.api import RunReason
from gantry.api.pipeline import Algorithm as Named
from gantry.findings import Algorithm, Concept, Evaluation, Findings, NotEvaluable, Summary

from .build import build_report
from .context import BuiltObject, ReportContext
from .errors import InvalidReport
from .outcome import evaluated
from .vocabulary import OWN_SCHEME

ROLE = "not-performed"
STATUS = Concept(scheme="DCM", value="111065", meaning="Summary of Analyses")
FAILED = Concept(scheme="DCM", value="111224", meaning="Failed")
NOT_ATTEMPTED = Concept(scheme="DCM", value="111225", meaning="Not Attempted")
"""CID 6042 Status of Results, as in the CAD templates (TID 4000, 4100, 4120)."""
REASON = Concept(scheme=OWN_SCHEME, value="FAILURE-REASON", meaning="Reason for failure of the analysis")
SOFTWARE = Concept(scheme="DCM", value="111218", meaning="Software failure")
EQUIPMENT = Concept(scheme="DCM", value="110501", meaning="Equipment failure")
OTHER = Concept(scheme="DCM", value="111220", meaning="Other failure")


@dataclass(frozen=True, slots=True)
class Cause:
    """What a radiologist is told of a reason."""

    status: Concept
    kind: Concept
    """For programs that do not know Gantry's reasons."""
    words: str


CAUSES: dict[RunReason, Cause] = {
    RunReason.FETCH_FAILED: Cause(NOT_ATTEMPTED, EQUIPMENT, "The images could not be retrieved."),
    RunReason.INPUT_MISMATCH: Cause(NOT_ATTEMPTED, OTHER, "The images in the archive changed before they were retrieved."),
    RunReason.INPUT_UNREADABLE: Cause(FAILED, OTHER, "One of the images is damaged."),
    RunReason.IMAGE_PULL_FAILED: Cause(NOT_ATTEMPTED, EQUIPMENT, "The analysis software could not be loaded."),
    RunReason.MODEL_MISSING: Cause(NOT_ATTEMPTED, EQUIPMENT, "A model of the analysis software could not be loaded."),
    RunReason.CONTAINER_CONFIG: Cause(NOT_ATTEMPTED, EQUIPMENT, "The analysis software could not be started."),
    RunReason.NODE_REFUSED: Cause(NOT_ATTEMPTED, EQUIPMENT, "The computing platform did not accept the analysis."),
    RunReason.JOB_REFUSED: Cause(NOT_ATTEMPTED, EQUIPMENT, "The computing platform did not accept the analysis."),
    RunReason.STEP_FAILED: Cause(FAILED, SOFTWARE, "The analysis software ended with an error."),
    RunReason.STEP_REJECTED_INPUT: Cause(FAILED, OTHER, "The analysis software cannot work on these images."),
    RunReason.STEP_TIMED_OUT: Cause(FAILED, SOFTWARE, "The analysis software took longer than it may and was ended."),
    RunReason.OUT_OF_MEMORY: Cause(FAILED, SOFTWARE, "The analysis software ran out of memory."),
    RunReason.NO_OUTPUT: Cause(FAILED, SOFTWARE, "The analysis software gave no result."),
    RunReason.INVALID_FINDINGS: Cause(FAILED, SOFTWARE, "The analysis software gave a result that cannot be read."),
    RunReason.WRONG_PATIENT: Cause(FAILED, SOFTWARE, "The analysis software gave a result of another patient or study, which was discarded."),
    RunReason.UNACCEPTED_OBJECT: Cause(FAILED, SOFTWARE, "The analysis software gave an object that is not accepted."),
    RunReason.INVALID_REPORT: Cause(FAILED, SOFTWARE, "The result of the analysis software does not fit the images."),
    RunReason.UPLOAD_FAILED: Cause(FAILED, EQUIPMENT, "The result of the analysis could not be stored."),
    RunReason.DEADLINE_EXCEEDED: Cause(FAILED, EQUIPMENT, "The analysis was not finished in time."),
    RunReason.EVICTED: Cause(FAILED, EQUIPMENT, "The computing platform ended the analysis."),
    RunReason.JOB_LOST: Cause(FAILED, EQUIPMENT, "The computing platform lost the analysis."),
    RunReason.PUBLISH_FAILED: Cause(FAILED, EQUIPMENT, "The result of the analysis could not be processed."),
}
"""Every reason for which a Run fails for good, but for those that leave nothing to report on (StudyGone) or are no failure."""


def build_not_performed(reason: RunReason, source: Sequence[Dataset], context: ReportContext, *, role: str = ROLE) -> BuiltObject:
    """The SR. `source`: headers of at least one image; `context` names the algorithm and what it looks for; `role` is part of its UIDs.

    Raises InvalidReport when it does not, or when the images are of no kind a report could be about.
    """
    if context.algorithm is None or not context.evaluated_for:
        raise InvalidReport("report.onFailure NotPerformed needs report.algorithm and report.evaluatedFor")
    named = context.series_description or f"AI {context.algorithm.name} {context.algorithm.version}"
    own = replace(context, role=role, series_description=f"NOT PERFORMED: {named}"[:64])
    (built,) = build_report(_statement(CAUSES[reason], reason, context.algorithm, context), source, own)
    return built


def _statement(cause: Cause, reason: RunReason, named: Named, context: ReportContext) -> Findings:
    try:
        algorithm = Algorithm(id="algorithm", name=named.name, version=named.version, manufacturer=named.manufacturer)
    except ValidationError:
        raise InvalidReport("report.algorithm of the pipeline holds a character that DICOM does not allow (backslash or control character)") from None
    nothing = Findings(schema_version="v1alpha1", algorithms=(algorithm,))
    exact = Concept(scheme=OWN_SCHEME, value=reason, meaning=_in_words(reason))
    impression = (
        f"NOT PERFORMED: there is no result of {named.name} {named.version} for this study, neither positive nor negative. {cause.words}"
    )
    return nothing.model_copy(
        update={
            "not_evaluable": tuple(NotEvaluable(type=each, reason=cause.kind, text=cause.words) for each in evaluated(nothing, context)),
            "summary": Summary(
                impression=impression, evaluations=(Evaluation(name=STATUS, value=cause.status), Evaluation(name=REASON, value=exact))
            ),
        }
    )


def _in_words(reason: RunReason) -> str:
    """StepTimedOut: Step timed out."""
    return re.sub(r"(?<=[a-z])[A-Z]", lambda found: f" {found[0].lower()}", reason)
