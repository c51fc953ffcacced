"""What was looked for, what of it was not found, and how many findings that makes.

Pure. Every result is explicit: "nothing found" is a statement about named conditions, never the absence of one (IHE AIR: a negative result
is reported, not omitted). Counts are all that leaves the report for the Run's status.
"""

from pydantic import ValidationError

from gantry.api.run import FindingCounts
from gantry.findings import Concept, Findings

from .context import ReportContext
from .errors import InvalidFindings, InvalidReport


def evaluated(findings: Findings, context: ReportContext) -> tuple[Concept, ...]:
    """What was looked for: the document's own list, then the pipeline's, each once."""
    concepts = [*findings.evaluated_for, *(_concept(code.scheme, code.value, code.meaning) for code in context.evaluated_for)]
    return tuple({concept.key: concept for concept in reversed(concepts)}[key] for key in dict.fromkeys(c.key for c in concepts))


def absent(findings: Findings, context: ReportContext) -> tuple[Concept, ...]:
    """What was looked for and not found. A type that any finding mentions without a site is answered there.

    What could not be assessed, be it at one site only, is not said to be absent: that would be a promise nobody can keep.
    """
    answered = {finding.type.key for finding in findings.findings if finding.presence != "absent" or not finding.sites}
    answered |= {each.type.key for each in findings.not_evaluable}
    return tuple(concept for concept in evaluated(findings, context) if concept.key not in answered)


def count_findings(findings: Findings, context: ReportContext) -> FindingCounts:
    """How many findings are there, how many conditions are not, and how many nobody can tell."""
    said_absent = sum(finding.presence == "absent" for finding in findings.findings)
    return FindingCounts(
        present=len(findings.findings) - said_absent,
        absent=said_absent + len(absent(findings, context)),
        not_evaluable=len(findings.not_evaluable),
    )


def require_a_statement(findings: Findings, context: ReportContext) -> None:
    """An application that failed quietly also writes no findings; that must never look like a negative result."""
    if not findings.findings and not findings.not_evaluable and not evaluated(findings, context):
        raise InvalidFindings(
            "findings.json: findings is empty and nothing was evaluated for, which says nothing; "
            "name what was looked for in evaluatedFor (or in the pipeline's report.evaluatedFor), "
            "what could not be assessed in notEvaluable, or end with an exit code other than 0"
        )


def _concept(scheme: str, value: str, meaning: str) -> Concept:
    try:
        return Concept(scheme=scheme, value=value, meaning=meaning)
    except ValidationError:
        raise InvalidReport(f"report.evaluatedFor of the pipeline: {scheme} {value} holds a character that a DICOM code cannot") from None
