"""The same findings for a PACS without Comprehensive 3D SR: nothing in space, nothing else lost, and it says so."""

from typing import Any

import pytest
from pydicom import Dataset
from tests.builders_dicom import a_segmentation, ct_series, read_back
from tests.builders_findings import a_box, a_context, a_document, a_finding, a_segment, everything, in_space, parsed

from gantry.report import BuiltObject, build_alternatives, build_key_objects, build_report, for_comprehensive, validate_report
from gantry.report.alternative import MISSING
from gantry.runs import MOST_REPORTS, is_result_uid

SOURCE = ct_series(20, pixels=True)
SEGMENTATION = a_segmentation(SOURCE)
OBJECTS = {"seg.dcm": SEGMENTATION}
IN_SPACE = a_document(a_finding("drawn", region=a_box()), a_finding("in-space", region=in_space("ellipsoid3d"), comment="Spiculated."))


def alternatives(document: dict[str, Any], *, key_objects: bool = False, **context: Any) -> tuple[BuiltObject, ...]:
    return build_alternatives(parsed(document), SOURCE, for_comprehensive(a_context(**context), ()), OBJECTS, key_objects=key_objects)


def items(dataset: Dataset) -> list[Dataset]:
    below = list(dataset.get("ContentSequence") or ())
    return below + [deeper for one in below for deeper in items(one)]


def test_it_has_no_coordinates_in_space_and_names_the_nearest_slice_and_says_what_is_missing() -> None:
    built = alternatives(IN_SPACE)
    assert {one.sop_class_uid for one in built} == {"1.2.840.10008.5.1.4.1.1.88.33"}
    content = [item for one in built for item in items(read_back(one.dicom))]
    assert "SCOORD3D" not in {item.ValueType for item in content}
    assert [item.TextValue for item in content if item.ValueType == "TEXT" and MISSING in item.TextValue] == [f"Spiculated. {MISSING}"]
    without = read_back(next(one.dicom for one in built if one.sort == "no region"))
    (group,) = [item for item in items(without) if "ContentTemplateSequence" in item and item.ContentTemplateSequence[0].TemplateIdentifier == "1501"]
    named = [item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in items(group) if item.ValueType == "IMAGE"]
    assert len(named) == 1
    assert named[0] in {image.SOPInstanceUID for image in SOURCE}
    assert "SCOORD" in {item.ValueType for item in content}, "what is drawn stays drawn"


@pytest.mark.parametrize("document", [everything(), IN_SPACE, a_document(a_finding(region=a_segment()))], ids=["everything", "in space", "a segment"])
def test_it_is_valid_and_the_same_each_time(document: dict[str, Any]) -> None:
    built = alternatives(document)
    assert [problem for one in built for problem in validate_report(read_back(one.dicom))] == []
    assert [one.dicom for one in built] == [one.dicom for one in alternatives(document)]


def test_nothing_but_the_class_and_the_uids_differs_where_there_is_nothing_in_space() -> None:
    document = a_document(a_finding(region=a_box()), a_finding("segment", region=a_segment()))
    whole = [read_back(one.dicom) for one in build_report(parsed(document), SOURCE, a_context(), OBJECTS)]
    others = [read_back(one.dicom) for one in alternatives(document)]
    uids = {"SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "SeriesNumber"}
    names_the_others = {"ContentSequence", "CurrentRequestedProcedureEvidenceSequence"}
    for one, other, may in zip(whole, others, (uids | names_the_others, uids), strict=True):
        assert {element.keyword for element in one if element != other[element.tag]} == may


def test_its_objects_are_of_their_own_and_known_as_results() -> None:
    context = a_context()
    reports = build_report(parsed(IN_SPACE), SOURCE, context, OBJECTS)
    key = build_key_objects(parsed(IN_SPACE), reports, tuple(OBJECTS.values()), SOURCE, context)
    built = alternatives(IN_SPACE, key_objects=True)
    assert [one.kind for one in built] == ["SR", "SR", "KO"]
    assert len(reports) <= MOST_REPORTS
    own, others = ({uid for one in some for uid in (one.sop_instance_uid, one.series_instance_uid)} for some in ((*reports, key), built))
    assert not own & others
    assert all(is_result_uid(uid) for uid in others)
    named = {item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in items(read_back(built[-1].dicom)) if "ReferencedSOPSequence" in item}
    assert named == {one.sop_instance_uid for one in built[:-1]} | {SEGMENTATION.SOPInstanceUID}, "the selection names what goes with it"
