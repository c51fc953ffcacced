"""Reads the content tree of an SR, and says what TID 1500 and Gantry's own rules miss in it.

No validator of DICOM notices a report without procedure, tracking UID or language, or a unit that is none (measured by planted faults), so
these are looked for here.
"""

from collections.abc import Iterator

from pydicom import Dataset

from gantry.findings.units import is_ucum

LANGUAGE, OBSERVER_TYPE, OBSERVER_UID, PROCEDURE = "121049", "121005", "121012", "121058"
LIBRARY, LIBRARY_GROUP, MEASUREMENTS, GROUP, STATEMENTS = "111028", "126200", "126010", "125007", "C0034375"
TRACKING_ID, TRACKING_UID, FINDING, PRESENCE, REGION, SEGMENT = "112039", "112040", "121071", "705057003", "111030", "121191"
ALGORITHM_NAME, ALGORITHM_VERSION = "111001", "111003"


def children(item: Dataset, name: str | None = None) -> list[Dataset]:
    """Direct children, all or those of a concept name."""
    return [child for child in item.get("ContentSequence") or [] if name in (None, named(child))]


def walk(item: Dataset) -> Iterator[Dataset]:
    """Everything below an item, in order."""
    for child in children(item):
        yield child
        yield from walk(child)


def named(item: Dataset) -> str:
    """Code value of an item's concept name."""
    return value_of(item.ConceptNameCodeSequence[0])


def value_of(code: Dataset) -> str:
    """Code value of a code sequence item, wherever it stands."""
    return str(code.get("CodeValue") or code.get("LongCodeValue") or code.get("URNCodeValue"))


def coded(item: Dataset) -> str:
    """Code value of a CODE item."""
    return value_of(item.ConceptCodeSequence[0])


def groups(report: Dataset) -> list[Dataset]:
    """The measurement groups."""
    return [group for container in children(report, MEASUREMENTS) for group in children(container, GROUP)]


def group_of(report: Dataset, finding: str) -> Dataset:
    """The group of a finding, by its id."""
    return next(group for group in groups(report) if children(group, TRACKING_ID)[0].TextValue == finding)


def absences(report: Dataset) -> list[str]:
    """What the Qualitative Evaluations container calls absent."""
    return [named(item) for box in children(report, STATEMENTS) for item in children(box) if item.ValueType == "CODE" and coded(item) == "2667000"]


def references(report: Dataset) -> set[str]:
    """SOP Instance UIDs the content refers to."""
    return {str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) for item in walk(report) if "ReferencedSOPSequence" in item}


def evidence(report: Dataset) -> list[str]:
    """SOP Instance UIDs the evidence names."""
    return [
        str(instance.ReferencedSOPInstanceUID)
        for study in report.get("CurrentRequestedProcedureEvidenceSequence") or []
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    ]


def faults(report: Dataset) -> list[str]:
    """What is wrong; empty: nothing."""
    return [*_document_faults(report), *_order_faults(report), *_group_faults(report), *_item_faults(report)]


def _document_faults(report: Dataset) -> Iterator[str]:
    if report.ContentTemplateSequence[0].TemplateIdentifier != "1500" or named(report) not in ("126000", "FINDINGS-REPORT"):
        yield "the root is no Imaging Measurement Report"
    if len(children(report, LANGUAGE)) != 1:
        yield "no language"
    if [coded(item) for item in children(report, OBSERVER_TYPE)] != ["121007"] * len(children(report, OBSERVER_UID)) or not children(report, OBSERVER_UID):
        yield "no device observer"
    if not children(report, PROCEDURE):
        yield "no procedure reported"
    if references(report) - set(evidence(report)):
        yield "the content refers to what the evidence does not name"
    if len(evidence(report)) != len(set(evidence(report))):
        yield "the evidence names an object twice"


def _order_faults(report: Dataset) -> Iterator[str]:
    containers = [named(item) for item in children(report) if item.ValueType == "CONTAINER"]
    if containers not in ([LIBRARY, MEASUREMENTS], [LIBRARY, MEASUREMENTS, STATEMENTS]):
        yield f"the containers are {containers}"
    if not groups(report):
        yield "no measurement group"


def _group_faults(report: Dataset) -> Iterator[str]:
    tracked = [item.UID for group in groups(report) for item in children(group, TRACKING_UID)]
    if len(set(tracked)) != len(groups(report)):
        yield "groups without tracking UID of their own"
    for group in groups(report):
        for name in (TRACKING_ID, FINDING, ALGORITHM_NAME, ALGORITHM_VERSION):
            if len(children(group, name)) != 1:
                yield f"a group with {len(children(group, name))} of {name}"


def _item_faults(report: Dataset) -> Iterator[str]:
    for item in walk(report):
        if "RelationshipType" not in item:
            yield f"{named(item)} has no relationship"
        if item.ValueType == "NUM":
            unit = item.MeasuredValueSequence[0].get("MeasurementUnitsCodeSequence")
            if not unit or unit[0].CodingSchemeDesignator != "UCUM" or not is_ucum(value_of(unit[0])):
                yield f"{named(item)} has no UCUM unit"
        for code in (*item.ConceptNameCodeSequence, *(item.get("ConceptCodeSequence") or [])):
            if not 1 <= len(code.CodeMeaning) <= 64 or not 1 <= len(code.CodingSchemeDesignator) <= 16:
                yield f"{value_of(code)} has a meaning or scheme of wrong length"
