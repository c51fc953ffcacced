"""What a finished Run hands to the Run that follows it: its findings document and its DICOM results, all of them in Orthanc.

Pure values. The findings document never enters the Kubernetes API: it is kept in Orthanc as an attachment of the Run's first report.
"""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from gantry.api import RunReason
from gantry.api.base import OrthancID
from gantry.api.run import Result, RunStatus

FINDINGS_ATTACHMENT = 1024
"""Number of the attachment: the first that Orthanc leaves to its users; no configuration is needed."""


class Earlier(BaseModel):
    """The Run named in spec.after, as the follower's pod needs it."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)
    run: str
    """Its name."""
    findings: OrthancID
    """The instance whose attachment is its findings document."""
    results: tuple[Result, ...]
    """What it left in Orthanc."""


def keeper(results: Sequence[Result]) -> Result | None:
    """The instance that findings.json is kept with: the first report. Every Run that was reported has one."""
    return next((one for one in results if one.kind == "SR"), None)


def earlier(run: str, status: RunStatus | None) -> Earlier | None:
    """None: the Run has left no report, or one that says that nothing was analysed."""
    nothing = status is None or any(one.type == "Reported" and one.reason == RunReason.NOT_PERFORMED for one in status.conditions or ())
    results = () if status is None or nothing else tuple(status.results or ())
    home = keeper(results)
    return Earlier(run=run, findings=home.orthanc_id, results=results) if home else None
