"""Objects as SDKs make them: mended where there is one answer, told about where there is none, refused under Strict."""

from collections.abc import Callable

import pytest
from pydicom import DataElement, Dataset, config
from pydicom.tag import Tag
from tests.builders_dicom import a_pdf, a_secondary_capture, a_segmentation, as_file, changed, ct_series, read_back
from tests.builders_findings import ALGORITHM, a_context, negative, parsed

from gantry.report import UnacceptedObject, build_report, conform, credited, origin
from gantry.report.conformance import Origin

SOURCE = ct_series(20, pixels=True)
FINDINGS, CONTEXT = parsed(negative()), a_context()
SEGMENTATION = as_file(a_segmentation(SOURCE))


def sdk_report() -> Dataset:
    """As MONAI Deploy App SDK 3.5.0 writes one (docs: containers): no flag, no sequences."""
    report = read_back(build_report(FINDINGS, SOURCE, CONTEXT)[0].dicom)
    return changed(
        report, CompletionFlag=None, VerificationFlag=None, ReferencedPerformedProcedureStepSequence=None, PerformedProcedureCodeSequence=None
    )


def sdk_segmentation() -> Dataset:
    """The same SDK's: Manufacturer is empty in Contributing Equipment."""
    dataset = read_back(SEGMENTATION)
    equipment = Dataset()
    equipment.Manufacturer = ""
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "109102", "DCM", "Processing Equipment"
    equipment.PurposeOfReferenceCodeSequence = [code]
    dataset.ContributingEquipmentSequence = [equipment]
    return dataset


def segment(**changes: object) -> Dataset:
    dataset = read_back(SEGMENTATION)
    changed(dataset.SegmentSequence[0], **changes)
    for keyword, value in changes.items():
        if value is None and keyword in dataset.SegmentSequence[0]:
            delattr(dataset.SegmentSequence[0], keyword)
    return dataset


def another_version() -> Dataset:
    dataset = read_back(SEGMENTATION)
    dataset.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0].AlgorithmVersion = "1.9"
    return dataset


def an_invalid_date(dataset: Dataset, keyword: str) -> Dataset:
    dataset[Tag(keyword)] = DataElement(Tag(keyword), "DA", "2026-11-20", validation_mode=config.IGNORE)
    return dataset


def of_the_study(dataset: Dataset) -> Origin:
    """An input image with the object's own study date, be it valid or not."""
    image = ct_series(1)[0]
    image["StudyDate"] = dataset["StudyDate"]
    return origin(FINDINGS, [image], CONTEXT)


def without_set(**changes: object) -> Dataset:
    """As pydicom reads what was written in Latin-1 with no word of it."""
    dataset = changed(a_secondary_capture(SOURCE[0]), SpecificCharacterSet=None, StudyDescription=None, **changes)
    return read_back(as_file(dataset).replace("Müller^Jürgen".encode(), b"M\xfcller^J\xfcrgen"))


CASES: dict[str, tuple[Callable[[], Dataset], str, list[str]]] = {
    "a report of an SDK": (
        sdk_report,
        "SR",
        [
            "x.dcm: CompletionFlag: is missing; Gantry wrote COMPLETE",
            "x.dcm: VerificationFlag: is missing; Gantry wrote UNVERIFIED",
            "x.dcm: ReferencedPerformedProcedureStepSequence: is missing; Gantry wrote it empty",
            "x.dcm: PerformedProcedureCodeSequence: is missing; Gantry wrote it empty",
        ],
    ),
    "a segmentation of an SDK": (sdk_segmentation, "SEG", ["x.dcm: ContributingEquipmentSequence[1].Manufacturer: is empty; Gantry wrote the algorithm's"]),
    "a segment without a label": (lambda: segment(SegmentLabel=""), "SEG", ["x.dcm: SegmentSequence[1].SegmentLabel: is empty; Gantry wrote the meaning of its type"]),
    "a segment without its algorithm": (
        lambda: segment(SegmentAlgorithmName=None, SegmentAlgorithmType=None),
        "SEG",
        [
            "x.dcm: SegmentSequence[1].SegmentAlgorithmType: is missing; Gantry wrote AUTOMATIC",
            "x.dcm: SegmentSequence[1].SegmentAlgorithmName: is missing; Gantry wrote the algorithm's",
        ],
    ),
    "a segment drawn by hand, which has no algorithm": (lambda: segment(SegmentAlgorithmName=None, SegmentAlgorithmType="MANUAL"), "SEG", []),
    "a segment whose algorithm is of another version": (another_version, "SEG", ["x.dcm: SegmentSequence[1].SegmentationAlgorithmIdentificationSequence[1].AlgorithmVersion: is not what Contributing Equipment says of this algorithm"]),
    "a segment of nobody knows what": (lambda: segment(SegmentedPropertyTypeCodeSequence=None), "SEG", ["x.dcm: SegmentSequence[1].SegmentedPropertyTypeCodeSequence: is missing"]),
    "an empty manufacturer": (lambda: changed(read_back(SEGMENTATION), Manufacturer=""), "SEG", ["x.dcm: Manufacturer: is empty; Gantry wrote the algorithm's"]),
    "a serial number only the maker knows": (lambda: changed(read_back(SEGMENTATION), DeviceSerialNumber=None), "SEG", ["x.dcm: DeviceSerialNumber: is missing"]),
    "the study's own elements": (lambda: a_pdf(SOURCE[0], ReferringPhysicianName=None, StudyID=None), "PDF", ["x.dcm: StudyID: is missing; Gantry copied it from the input", "x.dcm: ReferringPhysicianName: is missing; Gantry copied it from the input"]),
    "a PDF that does not say whether names are in it": (lambda: a_pdf(SOURCE[0], BurnedInAnnotation=None), "PDF", ["x.dcm: BurnedInAnnotation: is missing"]),
    "a capture": (lambda: a_secondary_capture(SOURCE[0]), "SC", []),
    "a date that is none": (lambda: an_invalid_date(a_secondary_capture(SOURCE[0]), "DateOfSecondaryCapture"), "SC", ["x.dcm: DateOfSecondaryCapture: has a value that DA does not allow"]),
    "a name in Latin-1 with no word of it": (without_set, "SC", ["x.dcm: SpecificCharacterSet: is missing, but there are texts beyond ASCII; Gantry wrote ISO_IR 100"]),
    "texts in nobody knows what": (lambda: without_set(PatientName="Mueller^Juergen", SeriesDescription="Ärzte"), "SC", ["x.dcm: SpecificCharacterSet: is missing, but there are texts beyond ASCII"]),
    "letters that were lost": (lambda: changed(a_secondary_capture(SOURCE[0]), PatientName="M?ller^J?rgen"), "SC", ["x.dcm: PatientName: has question marks for letters that its character set lacks; Gantry copied it from the input"]),
    "another name, which is not mended": (lambda: changed(a_secondary_capture(SOURCE[0]), PatientName="M?ller^Johann"), "SC", []),
    "an invalid value copied from the input": (lambda: an_invalid_date(a_secondary_capture(SOURCE[0]), "StudyDate"), "SC", []),
}  # fmt: skip


@pytest.mark.parametrize(("dataset", "kind", "faults"), CASES.values(), ids=CASES)
def test_a_fault_is_mended_or_told(dataset: Callable[[], Dataset], kind: str, faults: list[str]) -> None:
    original, untouched = dataset(), dataset()
    mended, told = conform(original, kind=kind, name="x.dcm", origin=of_the_study(original), strict=False)
    assert list(told) == faults
    assert original == untouched
    _, rest = conform(mended, kind=kind, name="x.dcm", origin=of_the_study(original), strict=False)
    assert list(rest) == [fault for fault in faults if "Gantry" not in fault]


@pytest.mark.parametrize(("dataset", "kind", "faults"), CASES.values(), ids=CASES)
def test_strict_refuses_every_fault(dataset: Callable[[], Dataset], kind: str, faults: list[str]) -> None:
    original = dataset()
    known = of_the_study(original)
    if not faults:
        conform(original, kind=kind, name="x.dcm", origin=known, strict=True)
        return
    with pytest.raises(UnacceptedObject) as caught:
        conform(original, kind=kind, name="x.dcm", origin=known, strict=True)
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    assert str(caught.value) == f"{faults[0].partition('; Gantry')[0]}{more}; report.conformance of the pipeline is Strict"


def test_with_two_algorithms_nobody_can_tell_which_one_made_it() -> None:
    two = parsed(negative() | {"algorithms": [ALGORITHM, ALGORITHM | {"id": "a2", "name": "Other"}]})
    _, told = conform(changed(read_back(SEGMENTATION), Manufacturer=""), kind="SEG", name="x.dcm", origin=origin(two, SOURCE, CONTEXT), strict=False)
    assert told == ("x.dcm: Manufacturer: is empty",)


def test_the_algorithm_and_gantry_are_named_as_contributors() -> None:
    """IHE AI Results 6.5.3.1: in every result object, with the report's own words."""
    report = read_back(build_report(FINDINGS, SOURCE, CONTEXT)[0].dicom)
    theirs = report.ContributingEquipmentSequence[0]
    first, gantry = credited(read_back(SEGMENTATION), FINDINGS, CONTEXT).ContributingEquipmentSequence[-2:]
    assert first == theirs
    assert (gantry.Manufacturer, gantry.PurposeOfReferenceCodeSequence[0].CodeValue, gantry.SoftwareVersions) == ("Gantry", "109103", "0.1.0")


def test_an_algorithm_that_names_itself_is_not_named_twice() -> None:
    once = credited(read_back(SEGMENTATION), FINDINGS, CONTEXT)
    devices = [item.get("DeviceUID") for item in credited(once, FINDINGS, CONTEXT).ContributingEquipmentSequence]
    assert len([device for device in devices if device]) == 1


def test_a_letter_that_the_set_of_the_object_lacks_is_kept_in_utf_8() -> None:
    """A name of Cyrillic in an object of Latin-1: whatever else is in it stays readable."""
    source = ct_series(1, SpecificCharacterSet="ISO_IR 192", PatientName="Żółć^Ωμέγα", ReferringPhysicianName="House^Änne")
    made = changed(a_secondary_capture(source[0]), SpecificCharacterSet="ISO_IR 100", PatientName="?ó??^?????")
    mended, told = conform(read_back(as_file(made)), kind="SC", name="x.dcm", origin=origin(FINDINGS, source, CONTEXT), strict=False)
    read = read_back(as_file(mended))
    assert told == ("x.dcm: PatientName: has question marks for letters that its character set lacks; Gantry copied it from the input",)
    assert (read.SpecificCharacterSet, read.PatientName, read.ReferringPhysicianName) == ("ISO_IR 192", "Żółć^Ωμέγα", "House^Änne")


@pytest.mark.parametrize(("declared", "expected"), [("ISO_IR 100", "ISO_IR 192"), (None, "ISO_IR 192"), ("ISO_IR 192", "ISO_IR 192"), ("ISO_IR 144", "ISO_IR 192")])
def test_an_algorithm_may_have_a_name_in_any_letters(declared: str | None, expected: str) -> None:
    source = ct_series(1, PatientName="Mueller^Juergen", StudyDescription=None)
    named = parsed(negative() | {"algorithms": [ALGORITHM | {"name": "Ωmega 肺"}]})
    read = read_back(as_file(credited(changed(a_secondary_capture(source[0]), SpecificCharacterSet=declared), named, CONTEXT)))
    assert read.SpecificCharacterSet == expected
    assert "Ωmega 肺" in [item.ManufacturerModelName for item in read.ContributingEquipmentSequence]
