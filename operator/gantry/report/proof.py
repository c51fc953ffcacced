"""The last look at a report before it leaves: its bytes are read back and checked as if somebody else had made them.

Pure. A fault found here is Gantry's own, not the application's; the Run fails rather than put a wrong report before a radiologist.
"""

from collections.abc import Iterable, Sequence
from io import BytesIO

from pydicom import Dataset, dcmread

from .context import BuiltObject
from .errors import InvalidReport
from .validate import validate_report


def require_valid(
    reports: Iterable[BuiltObject], source: Sequence[Dataset], objects: Iterable[Dataset] = (), overview: BuiltObject | None = None
) -> None:
    """Raises InvalidReport with the first problem and the number of further ones."""
    delivered = list(objects)
    if overview:
        delivered.append(dcmread(BytesIO(overview.dicom), stop_before_pixels=True))
    for number, report in enumerate(reports, 1):
        problems = validate_report(dcmread(BytesIO(report.dicom)), source, delivered)
        if problems:
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            raise InvalidReport(f"report {number} fails Gantry's own check and was not sent: {problems[0]}{more}. This is a fault of Gantry")
