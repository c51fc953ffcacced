"""Planted faults: Gantry's own check notices each, also those that no validator of DICOM does.

The first table is that of the facts measured with dciodvfy, dsrdump, PixelMed, dcmqi and highdicom: three of its nine faults none of them
notices. A fault of a kind that is not here may pass; whoever finds one adds it.
"""

from collections.abc import Callable
from typing import Any

import pytest
from pydicom import Dataset
from tests.builders_dicom import a_segmentation, an_image, ct_series, read_back, uid
from tests.builders_findings import a_box, a_context, a_document, a_finding, a_segment, an_ellipse, everything, in_space, many, negative, parsed
from tests.sr_structure import children, groups, named, walk

from gantry.report import InvalidReport, Rule, build_report, require_valid, validate_report
from gantry.report.verbatim import tolerated

Json = dict[str, Any]
Change = Callable[[Dataset], None]
SOURCE = ct_series()
SEGMENTATION = a_segmentation(ct_series(pixels=True))
ONE = a_document(a_finding(region=an_ellipse()))


def built(document: Json, source: list[Dataset] | None = None) -> Dataset:
    return read_back(build_report(parsed(document), source or SOURCE, a_context(), {"seg.dcm": SEGMENTATION})[-1].dicom)


def plant(change: Change, report: Dataset) -> None:
    with tolerated():  # pydicom would warn about some of the faults
        change(report)


def first(report: Dataset, name: str) -> Dataset:
    return next(item for item in walk(report) if named(item) == name)


def without(keyword: str, name: str | None = None) -> Change:
    def change(report: Dataset) -> None:
        delattr(report if name is None else first(report, name), keyword)

    return change


def setting(name: str | None = None, **values: Any) -> Change:
    def change(report: Dataset) -> None:
        item = report if name is None else first(report, name)
        for keyword, value in values.items():
            setattr(item, keyword, value)

    return change


def dropping(name: str) -> Change:
    def change(report: Dataset) -> None:
        for item in [report, *walk(report)]:
            for child in [child for child in children(item) if named(child) == name]:
                item.ContentSequence.remove(child)

    return change


def unit(report: Dataset) -> Dataset:
    code: Dataset = first(report, "81827009").MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0]
    return code


def no_unit(report: Dataset) -> None:
    del first(report, "81827009").MeasuredValueSequence[0].MeasurementUnitsCodeSequence


def a_unit_in_words(report: Dataset) -> None:
    unit(report).CodeValue = "millimetres"


def a_unit_of_another_scheme(report: Dataset) -> None:
    unit(report).CodingSchemeDesignator = "99ACME"


def three_d_in_a_class_without(report: Dataset) -> None:
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.33"


OF_THE_FACTS: dict[str, tuple[Change, Rule, str]] = {
    "no completion flag": (without("CompletionFlag"), Rule.ATTRIBUTE, "CompletionFlag: is missing or empty"),
    "a number without unit": (no_unit, Rule.UNIT, "NUM 81827009: has no unit"),
    "a wrong relationship": (setting("126010", RelationshipType="HAS PROPERTIES"), Rule.RELATIONSHIP, "CONTAINER HAS PROPERTIES CONTAINER is not allowed"),
    "evidence removed": (without("CurrentRequestedProcedureEvidenceSequence"), Rule.REFERENCE, "CurrentRequestedProcedureEvidenceSequence: is missing or empty"),
    "a unit in words": (a_unit_in_words, Rule.UNIT, '"millimetres" is no UCUM unit'),
    "no procedure reported": (dropping("121058"), Rule.TEMPLATE, "lacks the procedure reported"),
    "no tracking UID": (dropping("112040"), Rule.TEMPLATE, "lacks the tracking UID"),
    "no language": (dropping("121049"), Rule.TEMPLATE, "lacks the language"),
}


@pytest.mark.parametrize(("change", "rule", "words"), OF_THE_FACTS.values(), ids=OF_THE_FACTS)
def test_a_fault_that_validators_notice_or_not_is_noticed(change: Change, rule: Rule, words: str) -> None:
    report = built(ONE)
    plant(change, report)
    assert_noticed(report, rule, words)


def assert_noticed(report: Dataset, rule: Rule, words: str, source: list[Dataset] | None = None) -> None:
    problems = validate_report(report, SOURCE if source is None else source, [SEGMENTATION])
    assert [problem for problem in problems if problem.rule is rule and words in str(problem)], [str(problem) for problem in problems]


def test_3d_coordinates_in_a_comprehensive_sr_are_noticed() -> None:
    report = built(a_document(a_finding(region=in_space("point3d"))))
    three_d_in_a_class_without(report)
    assert_noticed(report, Rule.RELATIONSHIP, "3D coordinates stand in a class without them")


def moved(*values: float, graphic: str | None = None) -> Change:
    def change(report: Dataset) -> None:
        region = first(report, "111030")
        region.GraphicData = list(values)
        region.GraphicType = graphic or region.GraphicType

    return change


def another_image(report: Dataset) -> None:
    for item in walk(report):
        for reference in item.get("ReferencedSOPSequence") or []:
            reference.ReferencedSOPInstanceUID = "1.2.3.4"
    for study in report.CurrentRequestedProcedureEvidenceSequence:
        for series in study.ReferencedSeriesSequence:
            series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "1.2.3.4"


def another_class(report: Dataset) -> None:
    first(report, "111030").ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"


def evidence_twice(report: Dataset) -> None:
    instances = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    instances.append(instances[0])


def evidence_of_others(report: Dataset) -> None:
    instances = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    instances[0].ReferencedSOPInstanceUID = "1.2.3.4"


def a_frame_of_a_single_frame(report: Dataset) -> None:
    first(report, "111030").ContentSequence[0].ReferencedSOPSequence[0].ReferencedFrameNumber = 1


def a_long_meaning(report: Dataset) -> None:
    first(report, "121071").ConceptCodeSequence[0].CodeMeaning = "m" * 65


def a_long_scheme(report: Dataset) -> None:
    first(report, "121071").ConceptCodeSequence[0].CodingSchemeDesignator = "s" * 17


def no_meaning(report: Dataset) -> None:
    del first(report, "121071").ConceptCodeSequence[0].CodeMeaning


def no_number(report: Dataset) -> None:
    del first(report, "81827009").MeasuredValueSequence[0].NumericValue


def equipment(**values: Any) -> Change:
    def change(report: Dataset) -> None:
        item = report.ContributingEquipmentSequence[0]
        for keyword, value in values.items():
            if value is None:
                delattr(item, keyword)
            else:
                setattr(item, keyword, value)

    return change


def another_purpose(report: Dataset) -> None:
    report.ContributingEquipmentSequence[0].PurposeOfReferenceCodeSequence[0].CodeValue = "Newcode1"


def swapped_containers(report: Dataset) -> None:
    content = list(report.ContentSequence)
    *_, one, other = [place for place, item in enumerate(content) if item.ValueType == "CONTAINER"]
    content[one], content[other] = content[other], content[one]
    report.ContentSequence = content


def another_template(report: Dataset) -> None:
    groups(report)[0].ContentTemplateSequence[0].TemplateIdentifier = "1501"


def twice(name: str) -> Change:
    def change(report: Dataset) -> None:
        for item in [report, *walk(report)]:
            same = [child for child in children(item) if named(child) == name]
            item.get("ContentSequence", []).extend(same[:1])

    return change


OUTSIDE = "lies outside its image of 128 x 128 pixels"
OWN: dict[str, tuple[Change, Rule, str]] = {
    # document
    "another class": (setting(SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11"), Rule.SOP_CLASS, "is neither Comprehensive SR nor Comprehensive 3D SR"),
    "file meta of another object": (lambda report: setattr(report.file_meta, "MediaStorageSOPInstanceUID", "1.2.3"), Rule.SOP_CLASS, "differs from SOPInstanceUID"),
    "a modality of images": (setting(Modality="CT"), Rule.ATTRIBUTE, "Modality: has a value the standard does not know; write SR"),
    "no patient id at all": (without("PatientID"), Rule.ATTRIBUTE, "PatientID: is missing; set it; it may be empty"),
    "no performed procedure": (without("PerformedProcedureCodeSequence"), Rule.ATTRIBUTE, "PerformedProcedureCodeSequence: is missing"),
    "no serial number": (without("DeviceSerialNumber"), Rule.ATTRIBUTE, "DeviceSerialNumber: is missing or empty"),
    "a time with colons": (setting(ContentTime="12:30:15"), Rule.ATTRIBUTE, "ContentTime: is no date or time of DICOM"),
    "a series that is no UID": (setting(SeriesInstanceUID="series-1"), Rule.ATTRIBUTE, "SeriesInstanceUID: is no UID"),
    "verified by nobody": (setting(VerificationFlag="VERIFIED"), Rule.STATE, "write UNVERIFIED: a person verifies the report"),
    "a partial result": (setting(CompletionFlag="PARTIAL"), Rule.STATE, "CompletionFlag: is not COMPLETE"),
    "another patient": (setting(PatientID="PAT-0043"), Rule.STUDY, "PatientID: is not that of the images"),
    "another study": (setting(StudyInstanceUID="1.2.3"), Rule.STUDY, "StudyInstanceUID: is not that of the images"),
    # IHE AIR
    "no contributing equipment": (without("ContributingEquipmentSequence"), Rule.EQUIPMENT, "names no algorithm"),
    "the purpose of an old draft": (another_purpose, Rule.EQUIPMENT, "names no algorithm"),
    "no device UID": (equipment(DeviceUID=None), Rule.EQUIPMENT, "ContributingEquipmentSequence[1].DeviceUID: is missing or empty"),
    "no version of the algorithm": (equipment(SoftwareVersions=None), Rule.EQUIPMENT, "ContributingEquipmentSequence[1].SoftwareVersions: is missing or empty"),
    "another device than the observer": (equipment(DeviceUID="1.2.3"), Rule.EQUIPMENT, "is no device observer of the content"),
    "another manufacturer than the observer's": (equipment(Manufacturer="Other"), Rule.EQUIPMENT, "Manufacturer: differs from the device observer's 121014"),
    "another version than the group's": (equipment(SoftwareVersions="9"), Rule.EQUIPMENT, "names an algorithm that Contributing Equipment does not"),
    # template
    "another title": (lambda report: setattr(report.ConceptNameCodeSequence[0], "CodeValue", "126001"), Rule.TEMPLATE, "is no Imaging Measurement Report by TID 1500"),
    "another root template": (lambda report: setattr(report.ContentTemplateSequence[0], "TemplateIdentifier", "2000"), Rule.TEMPLATE, "is no Imaging Measurement Report"),
    "no observer": (dropping("121012"), Rule.TEMPLATE, "lacks the device observer UID"),
    "no image library": (dropping("111028"), Rule.TEMPLATE, "lacks the image library"),
    "an empty image library group": (lambda report: setattr(first(report, "126200"), "ContentSequence", []), Rule.TEMPLATE, "holds no image"),
    "no measurements": (dropping("126010"), Rule.TEMPLATE, "lacks the imaging measurements"),
    "no measurement group": (dropping("125007"), Rule.TEMPLATE, "holds no measurement group"),
    "no finding": (dropping("121071"), Rule.TEMPLATE, "lacks the finding; add CODE 121071 by CONTAINS"),
    "no algorithm in the group": (dropping("111001"), Rule.TEMPLATE, "lacks the algorithm's name"),
    "two languages": (twice("121049"), Rule.TEMPLATE, "has the language (TID 1204) 2 times"),
    "two findings in a group": (twice("121071"), Rule.TEMPLATE, "has the finding 2 times"),
    "a tracking UID as property": (setting("112040", RelationshipType="CONTAINS"), Rule.TEMPLATE, "the tracking UID is of another kind or relationship"),
    "two regions in TID 1410": (twice("111030"), Rule.TEMPLATE, "has 2 regions; TID 1410 takes one Image Region"),
    "no region in TID 1410": (dropping("111030"), Rule.TEMPLATE, "has 0 regions; TID 1410 takes one"),
    "a region in TID 1501": (another_template, Rule.TEMPLATE, "has a region, which TID 1501 does not"),
    "a group of no template": (lambda report: delattr(groups(report)[0], "ContentTemplateSequence"), Rule.TEMPLATE, "names no template of a measurement group"),
    # items
    "no value type": (without("ValueType", "121071"), Rule.VALUE, "has no value type that this class knows"),
    "a text without text": (without("TextValue", "112039"), Rule.VALUE, "TEXT 112039: has no TextValue"),
    "a code without answer": (without("ConceptCodeSequence", "121071"), Rule.VALUE, "CODE 121071: has no ConceptCodeSequence"),
    "an item without name": (lambda report: delattr(first(report, "121071"), "ConceptNameCodeSequence"), Rule.VALUE, "has no concept name"),
    "a number that is none": (no_number, Rule.VALUE, "NUM 81827009: has no number"),
    "no relationship": (without("RelationshipType", "121071"), Rule.RELATIONSHIP, "CONTAINER (no relationship) CODE is not allowed"),
    "a code without meaning": (no_meaning, Rule.CODE, "has a code without value, scheme or meaning"),
    "a meaning of 65 characters": (a_long_meaning, Rule.CODE, "has a code meaning of 65 characters; write at most 64"),
    "a scheme of 17 characters": (a_long_scheme, Rule.CODE, "has a coding scheme of 17 characters; write at most 16"),
    "a unit of another scheme": (a_unit_of_another_scheme, Rule.UNIT, '"mm" is no UCUM unit'),
    # coordinates
    "a region right of its image": (moved(100, 50, 140, 50, 120, 40, 120, 60), Rule.OUTSIDE, OUTSIDE),
    "a region above its image": (moved(10, -5, 30, 10, 20, 0, 20, 5), Rule.OUTSIDE, OUTSIDE),
    "a circle that reaches beyond": (moved(5, 50, 5, 60, graphic="CIRCLE"), Rule.OUTSIDE, OUTSIDE),
    "an ellipse of three points": (moved(1, 1, 2, 2, 3, 3), Rule.GRAPHIC, "ELLIPSE has 6 numbers; write 8"),
    "half a point": (moved(1, 1, 2, 2, 3, graphic="POLYLINE"), Rule.GRAPHIC, "POLYLINE has 5 numbers; write 4 or more, in pairs"),
    "a coordinate that is no number": (moved(1, 1, float("nan"), 2, graphic="POLYLINE"), Rule.GRAPHIC, "POLYLINE has a coordinate that is no finite number"),
    "a graphic nobody knows": (moved(1, 1, graphic="BLOB"), Rule.GRAPHIC, "has no graphic type that its value type knows"),
    "a region without image": (without("ContentSequence", "111030"), Rule.REFERENCE, "SCOORD 111030: names no image"),
    # references
    "an image that is not in the input": (another_image, Rule.REFERENCE, "refers to an object that is neither in the input nor delivered"),
    "an image the evidence lacks": (evidence_of_others, Rule.REFERENCE, "refers to an object that the evidence does not name"),
    "evidence that names it twice": (evidence_twice, Rule.REFERENCE, "names an object twice"),
    "an image of another class": (another_class, Rule.REFERENCE, "names another SOP class than the evidence"),
    "a frame of an image that has one": (a_frame_of_a_single_frame, Rule.FRAME, "names a frame of an image that has one"),
}


@pytest.mark.parametrize(("change", "rule", "words"), OWN.values(), ids=OWN)
def test_any_other_fault_is_noticed(change: Change, rule: Rule, words: str) -> None:
    report = built(ONE)
    plant(change, report)
    assert_noticed(report, rule, words)


def test_containers_in_another_order_are_noticed() -> None:
    report = built(negative())
    swapped_containers(report)
    assert_noticed(report, Rule.TEMPLATE, "its containers stand in another order")


def test_one_tracking_uid_for_two_findings_is_noticed() -> None:
    report = built(many(2))
    for item in walk(report):
        if named(item) == "112040":
            item.UID = "1.2.3"
    assert_noticed(report, Rule.TRACKING, "another finding has the same tracking UID")


def test_findings_with_and_without_coordinates_in_one_report_are_noticed() -> None:
    report = built(many(2))
    group = groups(report)[1]
    group.ContentTemplateSequence[0].TemplateIdentifier = "1501"
    group.ContentSequence = [child for child in group.ContentSequence if named(child) != "111030"]
    assert_noticed(report, Rule.SEPARATION, "is not drawn on an image beside findings that are")


SPATIAL: dict[str, tuple[Change, Rule, str]] = {
    "a space of others": (setting("111030", ReferencedFrameOfReferenceUID="1.2.3"), Rule.SPACE, "lies in a frame of reference that no image has"),
    "no space": (without("ReferencedFrameOfReferenceUID", "111030"), Rule.SPACE, "names no frame of reference"),
    "an open outline": (moved(0, 0, 1, 1, 0, 1, 1, 1, 1), Rule.GRAPHIC, "the outline is open"),
    "two points of an outline": (moved(0, 0, 1, 1, 0, 1), Rule.GRAPHIC, "POLYGON has 6 numbers; write 9 or more, in threes"),
}


@pytest.mark.parametrize(("change", "rule", "words"), SPATIAL.values(), ids=SPATIAL)
@pytest.mark.parametrize("source", [SOURCE, []], ids=["with the images", "alone"])
def test_a_fault_of_3d_coordinates_is_noticed(change: Change, rule: Rule, words: str, source: list[Dataset]) -> None:
    report = built(a_document(a_finding(region=in_space("polygon3d"))))
    plant(change, report)
    assert_noticed(report, rule, words, source)


def test_a_volume_of_nowhere_is_noticed() -> None:
    report = built(a_document(a_finding(region=in_space("ellipsoid3d"))))
    dropping("121232")(report)
    assert_noticed(report, Rule.TEMPLATE, "does not say which images its volume was drawn on")


def another_segment(report: Dataset) -> None:
    first(report, "121191").ReferencedSOPSequence[0].ReferencedSegmentNumber = 7


def test_a_segment_that_is_not_there_is_noticed() -> None:
    report = built(a_document(a_finding(region=a_segment())))
    assert validate_report(report, SOURCE, [SEGMENTATION]) == ()
    another_segment(report)
    assert_noticed(report, Rule.REFERENCE, "refers to a segment the segmentation does not have")


SEGMENTATIONS: dict[str, tuple[Json, str]] = {
    "of another frame of reference": ({"FrameOfReferenceUID": uid("elsewhere")}, "lies in another frame of reference than the images"),
    "of another size": ({"FrameOfReferenceUID": None, "Rows": 64}, "has another size than every image"),
}


@pytest.mark.parametrize(("changes", "words"), SEGMENTATIONS.values(), ids=SEGMENTATIONS)
def test_a_segmentation_that_does_not_fit_is_noticed(changes: Json, words: str) -> None:
    report = built(a_document(a_finding(region=a_segment())))
    problems = validate_report(report, SOURCE, [a_segmentation(ct_series(pixels=True), **changes)])
    assert [problem.rule for problem in problems if words in str(problem)] == [Rule.SPACE]


CINE = an_image("US multi-frame")


@pytest.mark.parametrize(("frame", "words"), [(9, "names a frame beyond the 4 of the image"), (None, "does not say which of the 4 frames the region lies on")])
def test_a_frame_that_is_not_there_is_noticed(frame: int | None, words: str) -> None:
    report = built(a_document(a_finding(region=a_box(sopInstanceUID=CINE.SOPInstanceUID, frame=2))), [CINE])
    reference = first(report, "111030").ContentSequence[0].ReferencedSOPSequence[0]
    reference.ReferencedFrameNumber = frame
    assert_noticed(report, Rule.FRAME, words, [CINE])


def test_coordinates_are_checked_against_the_image_library_when_the_file_is_alone() -> None:
    report = built(ONE)
    moved(100, 50, 140, 50, 120, 40, 120, 60)(report)
    assert [problem.rule for problem in validate_report(report)] == [Rule.OUTSIDE]


GOOD: dict[str, Json] = {"everything": everything(), "negative": negative(), "many": many(25), "not evaluable": a_document(notEvaluable=[{"type": a_finding()["type"], "text": "x"}])}


@pytest.mark.parametrize("document", GOOD.values(), ids=GOOD)
def test_a_good_report_passes_with_its_images_and_alone(document: Json) -> None:
    for each in build_report(parsed(document), SOURCE, a_context()):
        assert (validate_report(read_back(each.dicom), SOURCE), validate_report(read_back(each.dicom))) == ((), ())


def test_no_message_quotes_a_uid_or_the_patient() -> None:
    texts = []
    for change, _, _ in [*OF_THE_FACTS.values(), *OWN.values()]:
        report = built(ONE)
        plant(change, report)
        texts += [str(problem) for problem in validate_report(report, SOURCE)]
    secrets = {str(SOURCE[0][keyword].value) for keyword in ("StudyInstanceUID", "SOPInstanceUID", "PatientID", "PatientName", "AccessionNumber")}
    assert not [text for text in texts for secret in secrets if secret in text]


@pytest.mark.parametrize("dataset", [Dataset(), SOURCE[0], SEGMENTATION], ids=["an empty one", "an image", "a segmentation"])
def test_what_is_no_report_has_problems_and_no_traceback(dataset: Dataset) -> None:
    assert len(validate_report(dataset)) > 5


def test_a_tree_without_end_is_answered() -> None:
    report = inner = built(negative())
    for _ in range(3000):
        child = Dataset()
        child.ValueType = "CONTAINER"
        inner.ContentSequence = [child]
        inner = child
    assert len(validate_report(report)) == 1000


def test_a_report_with_a_problem_does_not_leave() -> None:
    (report,) = build_report(parsed(negative()), SOURCE, a_context())
    with pytest.raises(InvalidReport) as caught:
        require_valid([report], ct_series(study="another"))
    assert str(caught.value).startswith("report 1 fails Gantry's own check and was not sent: Study: StudyInstanceUID: is not that of the images; copy it from them (and ")
    require_valid([report], SOURCE)
