"""What OHIF has to show of a report, read from the report itself: drawings of a measurement report, words of a findings report."""

import numpy as np
from pydicom import Dataset
from tests.sr_structure import children, groups, named, value_of
from tests.viewer.ohif import Drawing

MEASUREMENT_REPORT = "126000"
MOST = 5
"""Lines that OHIF shows beside a drawing; it leaves out the others without a word."""
FINDING, PRESENCE = "121071", "705057003"


def is_drawn(report: Dataset) -> bool:
    """Whether OHIF draws it; others it shows as text."""
    return named(report) == MEASUREMENT_REPORT


def drawings(report: Dataset) -> list[Drawing]:
    """One for each finding, in their order: the first region and every number."""
    return [_drawing(group) for group in groups(report)]


def _drawing(group: Dataset) -> Drawing:
    region = next(item for item in group.ContentSequence if item.ValueType == "SCOORD")
    (reference,) = region.ContentSequence[0].ReferencedSOPSequence
    image = f"{reference.ReferencedSOPInstanceUID} {reference.get('ReferencedFrameNumber', 1)}"
    lines = tuple(_line(item) for item in group.ContentSequence if item.ValueType == "NUM")[:MOST]
    return Drawing(image, _extent(region), lines)


def _extent(region: Dataset) -> tuple[float | None, float | None, float | None, float | None]:
    points = np.reshape(np.asarray(region.GraphicData, dtype=float), (-1, 2))
    if region.GraphicType == "POINT":  # an arrow's head
        return float(points[0, 0]), float(points[0, 1]), None, None
    if region.GraphicType == "CIRCLE":
        radius = float(np.linalg.norm(points[1] - points[0]))
        points = np.vstack([points[0] - radius, points[0] + radius])
    (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return left, top, right, bottom


def _line(item: Dataset) -> str:
    """OHIF shows two decimals, and of what is next to zero the unit alone."""
    measured = item.MeasuredValueSequence[0]
    value = float(measured.NumericValue)
    shown = f"{value:.2f}" if abs(value) > 1e-9 else ""
    return f"{item.ConceptNameCodeSequence[0].CodeMeaning}: {shown} {value_of(measured.MeasurementUnitsCodeSequence[0])}"


def words(report: Dataset) -> list[str]:
    """Findings, whether they are present, numbers, statements about the study."""
    found = [item.ConceptCodeSequence[0].CodeMeaning for group in groups(report) for name in (FINDING, PRESENCE) for item in children(group, name)]
    found += [_number(item) for group in groups(report) for item in group.ContentSequence if item.ValueType == "NUM"]
    for container in children(report, "C0034375"):
        found += [item.ConceptCodeSequence[0].CodeMeaning for item in container.ContentSequence if item.ValueType == "CODE"]
        found += [item.TextValue for item in container.ContentSequence if item.ValueType == "TEXT"]
    return found


def _number(item: Dataset) -> str:
    measured = item.MeasuredValueSequence[0]
    return f"{float(measured.NumericValue):g} {value_of(measured.MeasurementUnitsCodeSequence[0])}"
