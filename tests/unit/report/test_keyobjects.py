"""One object names everything a Run has made."""

import highdicom
from pydicom import Dataset
from tests.builders_dicom import a_pdf, a_segmentation, ct_series, read_back
from tests.builders_findings import a_context, a_document, a_finding, a_segment, parsed

from gantry.report import ReportContext, build_key_objects, build_report

SOURCE = ct_series(20, pixels=True)
SEGMENTATION = a_segmentation(SOURCE)
FINDINGS = parsed(a_document(a_finding(), a_finding("segment", region=a_segment())))


def made(context: ReportContext) -> tuple[Dataset, list[str]]:
    """The selection, and the UIDs of what it has to name."""
    reports = build_report(FINDINGS, SOURCE, context, {"seg.dcm": SEGMENTATION})
    objects = [SEGMENTATION, a_pdf(SOURCE[0])]
    selection = build_key_objects(FINDINGS, reports, objects, SOURCE, context)
    return read_back(selection.dicom), [*(str(each.SOPInstanceUID) for each in objects), *(each.sop_instance_uid for each in reports)]


def test_every_object_of_the_run_is_named_in_content_and_evidence() -> None:
    selection, uids = made(a_context())
    named = [str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) for item in selection.ContentSequence if "ReferencedSOPSequence" in item]
    (evidence,) = selection.CurrentRequestedProcedureEvidenceSequence
    assert named == uids
    assert sorted(str(each.ReferencedSOPInstanceUID) for series in evidence.ReferencedSeriesSequence for each in series.ReferencedSOPSequence) == sorted(uids)
    assert [item.ValueType for item in selection.ContentSequence] == ["TEXT", "IMAGE", "COMPOSITE", "COMPOSITE", "COMPOSITE", "COMPOSITE"]


def test_highdicom_reads_it() -> None:
    read = highdicom.ko.KeyObjectSelectionDocument.from_dataset(made(a_context())[0])
    assert len(read.content.get_references()) == 5
    assert read.resolve_reference(str(SEGMENTATION.SOPInstanceUID))[0] == SOURCE[0].StudyInstanceUID


def test_it_is_of_the_same_patient_and_algorithm_and_the_same_each_time() -> None:
    selection, _ = made(a_context())
    assert (selection.PatientName, selection.SeriesNumber, selection.SeriesDescription) == (SOURCE[0].PatientName, 9021, "AI LungNoduleNet 2.1.0 key objects")
    assert [item.ManufacturerModelName for item in selection.ContributingEquipmentSequence] == ["LungNoduleNet"]
    assert made(a_context())[0] == selection


def test_in_shadow_it_says_so() -> None:
    selection, _ = made(a_context(shadow=True))
    assert selection.SeriesDescription.startswith("SHADOW")
    assert "must not be used" in selection.ContentSequence[0].TextValue
