"""IHE AI Results, row by row of docs/conformance/ihe-air.md. A row that is not met has its reason in NOT_WHOLLY_MET, and a test of the part that is."""

import re
from copy import deepcopy
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from tests.builders_corpus import Case, corpus
from tests.builders_dicom import a_parametric_map, a_pdf, a_secondary_capture, a_segmentation, ct_series
from tests.builders_findings import NODULE, PNEUMOTHORAX, a_box, a_context, a_document, a_finding, a_point, a_polygon, a_segment, negative, parsed
from tests.builders_masks import asymmetric, nifti, placed
from tests.sr_structure import coded, evidence, groups, named, walk

from gantry.api import Code, RunReason
from gantry.api.pipeline import Algorithm
from gantry.report import (
    InvalidFindings,
    ReportContext,
    Rule,
    UnacceptedObject,
    build_key_objects,
    build_masks,
    build_not_performed,
    build_overview,
    build_report,
    check_object,
    conform,
    credited,
    origin,
    validate_report,
)
from gantry.report.display import displayed

ROOT = Path(__file__).parents[3]
SOURCE = ct_series(20)
SOURCE_WITH_PIXELS = ct_series(20, pixels=True)
NOT_WHOLLY_MET = {
    7: "Parametric Map is not made",
    8: "parametric maps",
    19: "AIRA",
}
"""Words that the page says of these rows."""
ROWS = range(1, 20)


def read(dicom: bytes) -> Dataset:
    return dcmread(BytesIO(dicom))


def a_report(document: dict[str, Any], **context: Any) -> Dataset:
    """The one report of a document."""
    (built,) = build_report(parsed(document), SOURCE, a_context(**context))
    return read(built.dicom)


def a_failure() -> Dataset:
    named = Algorithm(name="LungNoduleNet", version="2.1.0", manufacturer="ACME AI")
    looked_for = (Code(scheme="SCT", value="427359005", meaning="Solitary nodule of lung"),)
    context = a_context(algorithm=named, evaluated_for=looked_for)
    return read(build_not_performed(RunReason.STEP_FAILED, SOURCE, context).dicom)


def a_mask() -> tuple[Dataset, Dataset]:
    """The segmentation that is made of a mask, and the report about it."""
    mask = {"file": "mask.nii.gz", "segments": [{"value": 1, "finding": "nodule-1"}]}
    content = nifti(asymmetric(20, 128, 128) == 1, placed(SOURCE))
    findings, made = build_masks(parsed(a_document(a_finding(), masks=[mask])), SOURCE, a_context(), {"mask.nii.gz": content})
    _, built = build_report(findings, SOURCE, a_context(), made)
    return made["mask.nii.gz"], read(built.dicom)


CASES: dict[str, Case] = {case.name: case for cases in corpus().values() for case in cases}
EVERY_REPORT = pytest.mark.parametrize("name", [*CASES, "not performed"])


@cache
def reports(name: str) -> list[Dataset]:
    return [a_failure()] if name == "not performed" else [read(one.dicom) for one in CASES[name].built]


def values(item: Dataset, name: str) -> list[str]:
    """Texts and UIDs of the content items of that name, wherever they stand."""
    found = [one for one in walk(item) if named(one) == name]
    return [str(one.get("TextValue") or one.get("UID") or coded(one)) for one in found]


def template(item: Dataset) -> str:
    return str(item.ContentTemplateSequence[0].TemplateIdentifier)


@EVERY_REPORT
def test_row_01_each_algorithm_is_described_in_contributing_equipment(name: str) -> None:
    for report in reports(name):
        used = {(model, version) for group in groups(report) for model, version in zip(values(group, "111001"), values(group, "111003"), strict=True)}
        assert used <= {(one.ManufacturerModelName, one.SoftwareVersions) for one in report.ContributingEquipmentSequence}
        assert used


@EVERY_REPORT
def test_row_02_its_purpose_is_processing_equipment(name: str) -> None:
    for report in reports(name):
        purposes = [one.PurposeOfReferenceCodeSequence[0] for one in report.ContributingEquipmentSequence]
        assert {(one.CodeValue, one.CodingSchemeDesignator) for one in purposes} == {("109102", "DCM")}


@EVERY_REPORT
def test_row_03_manufacturer_model_version_and_device_uid_are_there(name: str) -> None:
    for report in reports(name):
        for item in report.ContributingEquipmentSequence:
            assert all(item.get(keyword) for keyword in ("Manufacturer", "ManufacturerModelName", "SoftwareVersions", "DeviceUID"))


def device(**context: Any) -> str:
    return str(a_report(negative(), **context).ContributingEquipmentSequence[0].DeviceUID)


def test_row_04_the_device_uid_changes_with_the_model() -> None:
    retrained = device(images=("registry/net@sha256:bbb",))
    assert device(images=("registry/net@sha256:aaa",)) == device(images=("elsewhere/net@sha256:aaa",)) != retrained
    assert device(algorithm=Algorithm(name="LungNoduleNet", version="2.2.0", manufacturer="ACME AI")) != device()


@EVERY_REPORT
def test_row_05_observer_and_algorithm_identification_say_the_same(name: str) -> None:
    for report in reports(name):
        equipment = list(report.ContributingEquipmentSequence)
        observed = zip(values(report, "121012"), values(report, "121014"), values(report, "121015"), strict=True)
        assert list(observed) == [(one.DeviceUID, one.Manufacturer, one.ManufacturerModelName) for one in equipment]
        assert set(values(report, "111001")) <= {one.ManufacturerModelName for one in equipment}
        assert set(values(report, "111003")) <= {one.SoftwareVersions for one in equipment}


def test_row_06_segmentations_and_parametric_maps_name_the_algorithms_in_contributing_equipment() -> None:
    findings = parsed(negative())
    context: ReportContext = a_context()
    (wanted,) = a_report(negative()).ContributingEquipmentSequence
    for made in (a_segmentation(SOURCE), a_parametric_map(SOURCE)):
        named = [one for one in credited(made, findings, context).ContributingEquipmentSequence if one.get("DeviceUID")]
        assert [(one.DeviceUID, one.Manufacturer, one.ManufacturerModelName, one.SoftwareVersions) for one in named] == [
            (wanted.DeviceUID, wanted.Manufacturer, wanted.ManufacturerModelName, wanted.SoftwareVersions)
        ]


def by_another(**changes: Any) -> Dataset:
    """A segmentation whose Algorithm Identification says something else; None: nothing."""
    made = a_segmentation(SOURCE_WITH_PIXELS)
    (segment,) = made.SegmentSequence
    for keyword, value in changes.items():
        if value is None:
            del segment[keyword]
        else:
            setattr(segment.SegmentationAlgorithmIdentificationSequence[0], keyword, value)
    return made


@pytest.mark.parametrize("changes", [{"SegmentationAlgorithmIdentificationSequence": None}, {"AlgorithmSource": ""}], ids=["nothing is there", "part of it"])
def test_row_06_what_a_segmentation_lacks_is_what_contributing_equipment_says(changes: dict[str, Any]) -> None:
    original = by_another(**changes)
    before = deepcopy(original.SegmentSequence)
    result = credited(original, parsed(negative()), a_context())
    (named,) = result.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence
    equipment = next(one for one in result.ContributingEquipmentSequence if one.get("DeviceUID"))
    assert (named.AlgorithmName, named.AlgorithmVersion, named.AlgorithmSource) == (
        equipment.ManufacturerModelName, equipment.SoftwareVersions, equipment.Manufacturer
    )  # fmt: skip
    assert named.AlgorithmFamilyCodeSequence[0].CodeValue == "123110"
    assert original.SegmentSequence == before, "the given one stays as it is"


def test_row_06_what_agrees_stays_and_a_segment_drawn_by_hand_gets_no_algorithm() -> None:
    whole = by_another(AlgorithmSource="ACME AI")
    assert credited(whole, parsed(negative()), a_context()).SegmentSequence == whole.SegmentSequence
    by_hand = by_another(SegmentationAlgorithmIdentificationSequence=None)
    by_hand.SegmentSequence[0].SegmentAlgorithmType = "MANUAL"
    assert "SegmentationAlgorithmIdentificationSequence" not in credited(by_hand, parsed(negative()), a_context()).SegmentSequence[0]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"AlgorithmVersion": "1.0"}, "AlgorithmVersion: is not what Contributing Equipment says of this algorithm"),
        ({"AlgorithmSource": "Somebody"}, "AlgorithmSource: is not what Contributing Equipment says of this algorithm"),
        ({"AlgorithmName": "Another"}, "AlgorithmName: is that of no algorithm of the findings and so not in Contributing Equipment"),
    ],
    ids=["version", "source", "name"],
)
def test_row_06_a_contradiction_is_told_and_left_and_refused_when_strict(changes: dict[str, str], told: str) -> None:
    made, known = by_another(**changes), origin(parsed(negative()), SOURCE, a_context())
    mended, faults = conform(made, kind="SEG", name="x.dcm", origin=known, strict=False)
    assert faults == (f"x.dcm: SegmentSequence[1].SegmentationAlgorithmIdentificationSequence[1].{told}",)
    (left,) = credited(mended, parsed(negative()), a_context()).SegmentSequence[0].SegmentationAlgorithmIdentificationSequence
    assert [left.get(keyword) for keyword in changes] == list(changes.values())
    with pytest.raises(UnacceptedObject, match="Algorithm"):
        conform(made, kind="SEG", name="x.dcm", origin=known, strict=True)


def test_row_06_a_segmentation_that_is_made_names_the_algorithm_in_both_places() -> None:
    made, _ = a_mask()
    (equipment,) = made.ContributingEquipmentSequence
    (named,) = made.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence
    assert (named.AlgorithmName, named.AlgorithmVersion, named.AlgorithmSource) == (
        equipment.ManufacturerModelName, equipment.SoftwareVersions, equipment.Manufacturer
    )  # fmt: skip
    assert equipment.DeviceUID == a_report(negative()).ContributingEquipmentSequence[0].DeviceUID


def test_row_07_masks_become_segmentations() -> None:
    assert a_mask()[0].SOPClassUID == "1.2.840.10008.5.1.4.1.1.66.4"


def test_row_07_a_key_object_selection_is_made() -> None:
    findings = parsed(a_document(a_finding(region=a_segment())))
    segmentation = a_segmentation(SOURCE_WITH_PIXELS)
    reports = build_report(findings, SOURCE, a_context(), {"seg.dcm": segmentation})
    assert build_key_objects(findings, reports, [segmentation], SOURCE, a_context()).sop_class_uid == "1.2.840.10008.5.1.4.1.1.88.59"


def test_row_07_reports_are_comprehensive_3d_sr_and_segmentations_and_parametric_maps_are_taken() -> None:
    assert a_report(negative()).SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.34"
    for kind, made in (("SEG", a_segmentation(SOURCE)), ("PM", a_parametric_map(SOURCE))):
        assert check_object(made, name="x.dcm", source=SOURCE, accept=["SEG", "PM"]) == kind


PRIMITIVES: dict[str, tuple[dict[str, Any], str, set[str]]] = {
    "qualitative findings": (a_document(a_finding(measurements=None, confidence=None)), "CODE", {"705057003"}),
    "measurements": (a_document(a_finding()), "NUM", {"81827009"}),
    "locations": (a_document(a_finding(region=a_point())), "SCOORD", {"111030"}),
    "regions": (a_document(a_finding(region=a_polygon())), "SCOORD", {"111030"}),
    "tracking identifiers": (a_document(a_finding()), "UIDREF", {"112040"}),
    "image references": (a_document(a_finding(images=[str(SOURCE[3].SOPInstanceUID)])), "IMAGE", {"121233", "260753009"}),
}


@pytest.mark.parametrize(("document", "value_type", "names"), PRIMITIVES.values(), ids=PRIMITIVES)
def test_row_08_the_primitive_is_there(document: dict[str, Any], value_type: str, names: set[str]) -> None:
    assert names & {named(one) for one in walk(a_report(document)) if one.ValueType == value_type}


def test_row_09_validators_take_every_report() -> None:
    """They are programs: tests/component/test_sr_gate.py, with PixelMed's under its marker."""
    gate = (ROOT / "tests" / "component" / "test_sr_gate.py").read_text(encoding="utf-8")
    for test in (
        "test_every_validator_takes_the_corpus_and_an_independent_reader_finds_what_it_says",
        "test_pixelmed_takes_every_report_and_notices_planted_faults",
        "test_every_validator_takes_the_report_of_a_failure",
    ):
        assert f"def {test}(" in gate


def test_row_10_a_secondary_capture_is_never_all_there_is() -> None:
    assert check_object(a_secondary_capture(SOURCE[0]), name="x.dcm", source=SOURCE, accept=["SC"]) == "SC"
    with pytest.raises(InvalidFindings, match="findings is empty and nothing was evaluated for"):
        build_report(parsed(a_document()), SOURCE, a_context())


def test_row_11_one_report_refers_to_every_other_object_of_the_run() -> None:
    findings, context = parsed(a_document(a_finding(region=a_box()), a_finding("segment", region=a_segment()))), a_context()
    objects = {"seg.dcm": a_segmentation(SOURCE_WITH_PIXELS), "map.dcm": a_parametric_map(SOURCE), "x.pdf": a_pdf(SOURCE[0]), "sc.dcm": a_secondary_capture(SOURCE[0])}
    overview = build_overview(findings, SOURCE_WITH_PIXELS, context, objects, displayed)
    root, *rest = build_report(findings, SOURCE, context, objects, overview)
    others = {*(str(one.SOPInstanceUID) for one in objects.values()), overview.sop_instance_uid, *(one.sop_instance_uid for one in rest)}
    assert len(others) == 6
    assert others <= set(evidence(read(root.dicom)))
    in_content = {str(one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) for one in walk(read(root.dicom)) if "ReferencedSOPSequence" in one}
    assert others <= in_content
    assert not others & set(evidence(read(build_report(parsed(negative()), SOURCE, context)[0].dicom)))


def test_row_11_the_report_refers_to_the_segmentation() -> None:
    segmentation = a_segmentation(SOURCE)
    _, built = build_report(parsed(a_document(a_finding(region=a_segment()))), SOURCE, a_context(), {"seg.dcm": segmentation})
    assert segmentation.SOPInstanceUID in evidence(read(built.dicom))


@EVERY_REPORT
def test_row_12_tid_1500_has_its_parts(name: str) -> None:
    for report in reports(name):
        assert template(report) == "1500"
        assert named(report) in ("126000", "FINDINGS-REPORT"), "CID 7021 is extensible"
        top = [named(one) for one in report.ContentSequence]
        assert {"121049", "121005", "121012", "121058", "111028", "126010"} <= set(top)


@EVERY_REPORT
def test_row_13_measurements_have_a_name_and_a_unit_and_regions_their_template(name: str) -> None:
    for report in reports(name):
        assert not [one for one in validate_report(report) if one.rule in (Rule.UNIT, Rule.TEMPLATE, Rule.CODE)]
        for group in groups(report):
            drawn = sum(one.ValueType in ("SCOORD", "SCOORD3D") for one in group.ContentSequence)
            of_segment = any(named(one) == "121191" for one in group.ContentSequence)
            allowed = {"1411"} if of_segment or drawn > 1 else {"1410", "1411"} if drawn else {"1501"}
            assert template(group) in allowed, "1411 takes one region when it is a volume"


@EVERY_REPORT
def test_row_14_each_group_has_tracking_identifier_and_uid(name: str) -> None:
    for report in reports(name):
        for group in groups(report):
            assert [len(values(group, code)) for code in ("112039", "112040")] == [1, 1]


def test_row_14_a_segment_and_its_group_have_one_tracking_uid() -> None:
    segmentation = a_segmentation(SOURCE)
    segmentation.SegmentSequence[0].TrackingUID, segmentation.SegmentSequence[0].TrackingID = "2.25.77", "lesion"
    _, built = build_report(parsed(a_document(a_finding(region=a_segment()))), SOURCE, a_context(), {"seg.dcm": segmentation})
    assert values(read(built.dicom), "112040") == ["2.25.77"]


def test_row_14_a_segment_that_is_made_and_its_group_have_one_tracking_uid() -> None:
    made, report = a_mask()
    assert values(report, "112040") == [made.SegmentSequence[0].TrackingUID]


@EVERY_REPORT
def test_row_15_results_are_in_the_study_of_the_images(name: str) -> None:
    source = SOURCE if name == "not performed" else CASES[name].source
    for report in reports(name):
        for keyword in ("StudyInstanceUID", "PatientID", "IssuerOfPatientID", "AccessionNumber", "PatientBirthDate", "StudyDate"):
            assert str(report.get(keyword) or "") == str(source[0].get(keyword) or ""), keyword


@EVERY_REPORT
def test_row_16_a_report_is_complete_and_unverified(name: str) -> None:
    for report in reports(name):
        assert (report.CompletionFlag, report.VerificationFlag, report.PreliminaryFlag) == ("COMPLETE", "UNVERIFIED", "PRELIMINARY")


def test_row_17_what_was_looked_for_and_not_found_is_absent() -> None:
    report = a_report(a_document(a_finding(region=a_box()), evaluatedFor=[NODULE, PNEUMOTHORAX]))
    assert values(report, PNEUMOTHORAX["value"]) == ["2667000"]


def test_row_17_a_failure_is_no_negative_result() -> None:
    assert "2667000" not in {coded(one) for one in walk(a_failure()) if one.ValueType == "CODE"}


def test_row_18_delivery_by_both_transactions_is_tested_on_real_servers() -> None:
    folder = ROOT / "tests" / "component" / "delivery"
    tests = {name: (folder / name).read_text(encoding="utf-8") for name in ("test_delivery_orthanc.py", "test_delivery_places.py")}
    assert "def test_" in tests["test_delivery_orthanc.py"], "RAD-43"
    assert "dicomWeb" in tests["test_delivery_places.py"], "RAD-108"


def test_row_19_nothing_is_claimed_of_assessment() -> None:
    assert told()[19][0] == "no"


def page() -> str:
    return (ROOT / "docs" / "conformance" / "ihe-air.md").read_text(encoding="utf-8")


def told() -> dict[int, tuple[str, str]]:
    """State and words of the page's rows."""
    found = re.findall(r"^\| (\d+)\*? \| [^|]+ \| (met|in part|no) \| ([^|]+) \|", page(), re.MULTILINE)
    return {int(number): (state, words) for number, state, words in found}


def test_the_page_has_every_row_with_its_state() -> None:
    assert set(told()) == set(ROWS)
    assert {number for number, (state, _) in told().items() if state != "met"} == set(NOT_WHOLLY_MET)
    for number, words in NOT_WHOLLY_MET.items():
        assert words in told()[number][1]


def test_every_row_has_a_test() -> None:
    tested = {int(number) for number in re.findall(r"def test_row_(\d\d)_", Path(__file__).read_text(encoding="utf-8"))}
    assert tested == set(ROWS)
