"""The document around the content: the study's own elements as they are, the Run's UIDs and time, and always the same bytes."""

from datetime import datetime, timedelta, timezone
from io import BytesIO
from typing import Any

import pytest
from pydicom import Dataset, config, dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement
from tests.builders_dicom import STUDY, as_file, ct_series, read_back, uid
from tests.builders_findings import CREATED, a_box, a_context, a_document, a_finding, everything, many, negative, parsed

from gantry.report import build_report
from gantry.runs import result_uid

Json = dict[str, Any]


def built(source: list[Dataset] | None = None, document: Json | None = None, **context: Any) -> Dataset:
    sr = build_report(parsed(document or negative()), ct_series(2) if source is None else source, a_context(**context))[0]
    return read_back(sr.dicom)


def as_read(dataset: Dataset) -> Dataset:
    """What comes from a file: its elements are still raw bytes in its own character set."""
    return dcmread(BytesIO(as_file(dataset)), stop_before_pixels=True)


def test_patient_and_study_are_those_of_the_images() -> None:
    sr = built()
    expected = {keyword: value for keyword, value in STUDY.items() if keyword != "SpecificCharacterSet"} | {"StudyInstanceUID": uid("study")}
    assert {keyword: str(sr[keyword].value) for keyword in expected} == expected
    assert sr.SpecificCharacterSet == "ISO_IR 192"


ODD: dict[str, tuple[str, str]] = {
    "a date with dashes": ("StudyDate", "2026-11-20"),
    "a time with colons": ("StudyTime", "10:15:00"),
    "a year for a birth date": ("PatientBirthDate", "1960"),
    "a sex DICOM does not know": ("PatientSex", "D"),
    "a sex in lower case": ("PatientSex", "m"),
    "an accession number of 20 characters": ("AccessionNumber", "A" * 20),
    "a patient id of blanks and signs": ("PatientID", "42 / 7 (alt)"),
    "an age in words": ("PatientAge", "66 years"),
    "an empty name": ("PatientName", ""),
    "a name in three writings": ("PatientName", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    "no study id": ("StudyID", ""),
}


@pytest.mark.parametrize(("keyword", "value"), ODD.values(), ids=ODD)
def test_an_odd_value_is_copied_and_not_mended(keyword: str, value: str) -> None:
    """The archive finds the report's study by exactly these values."""
    source = ct_series(2, SpecificCharacterSet="ISO_IR 192")
    tag = tag_for_keyword(keyword)
    assert tag is not None
    for image in source:
        image[tag] = DataElement(tag, image[tag].VR, value, validation_mode=config.IGNORE)
    sr = build_report(parsed(negative()), source, a_context())[0]
    with config.disable_value_validation():
        assert str(read_back(sr.dicom)[keyword].value) == value


CHARACTER_SETS = {
    "Latin 1": ("ISO_IR 100", "Müller^Jürgen"),
    "Latin 2": ("ISO_IR 101", "Dvořák^Antonín"),
    "Cyrillic": ("ISO_IR 144", "Люкceмбypг"),
    "Greek": ("ISO_IR 126", "Διονυσιος"),
    "Arabic": ("ISO_IR 127", "قباني^لنزار"),
    "Thai": ("ISO_IR 166", "สมชาย"),
    "Japanese with code extensions": (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    "Korean with code extensions": (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    "Chinese": ("GB18030", "Wang^XiaoDong=王^小东"),
    "UTF-8": ("ISO_IR 192", "Żółć^Ωμέγα"),
    "none declared": (None, "Mueller^Juergen"),
}


@pytest.mark.parametrize(("character_set", "name"), CHARACTER_SETS.values(), ids=CHARACTER_SETS)
def test_names_and_nested_texts_of_any_character_set_arrive(character_set: Any, name: str) -> None:
    source = ct_series(2, SpecificCharacterSet=character_set, PatientName=name, ReferringPhysicianName=name, StudyDescription=name.partition("=")[0])
    for image in source:
        image.RequestAttributesSequence[0].RequestedProcedureDescription = name.partition("=")[0]
    sr = built([as_read(image) for image in source])
    assert (str(sr.PatientName), str(sr.ReferringPhysicianName), sr.StudyDescription) == (name, name, name.partition("=")[0])
    assert sr.ReferencedRequestSequence[0].RequestedProcedureDescription == name.partition("=")[0]


TYPE_2 = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName")


def test_elements_the_images_lack_are_empty_where_an_sr_needs_them() -> None:
    sr = built(ct_series(2, **dict.fromkeys((*TYPE_2, "StudyDescription", "RequestAttributesSequence", "PatientAge", "IssuerOfPatientID"))))
    assert {keyword: str(sr[keyword].value or "") for keyword in TYPE_2} == dict.fromkeys(TYPE_2, "")
    assert not [keyword for keyword in ("StudyDescription", "PatientAge", "IssuerOfPatientID", "ReferencedRequestSequence") if keyword in sr]


def test_the_order_is_referred_to() -> None:
    (request,) = built().ReferencedRequestSequence
    assert (request.StudyInstanceUID, request.AccessionNumber, request.RequestedProcedureID) == (uid("study"), "ACC20260001", "RP1")
    assert (request.RequestedProcedureDescription, len(request.RequestedProcedureCodeSequence)) == ("CT Thorax für Ärzte", 0)


ZONES: dict[str, tuple[str | None, str, str | None]] = {
    "the images' zone": ("+0100", "20261121 003015", "+0100"),
    "a zone west of Greenwich": ("-0330", "20261120 200015", "-0330"),
    "no zone: that of the Run's time": (None, "20261120 233015", None),
    "a zone that is none": ("CET", "20261120 233015", None),
    "a zone beyond the earth": ("+9900", "20261120 233015", None),
}


@pytest.mark.parametrize(("offset", "content", "said"), ZONES.values(), ids=ZONES)
def test_the_content_time_is_that_of_the_run_in_the_images_zone(offset: str | None, content: str, said: str | None) -> None:
    sr = built(ct_series(2, TimezoneOffsetFromUTC=offset), created=CREATED + timedelta(hours=11))
    assert f"{sr.ContentDate} {sr.ContentTime}" == content
    assert (sr.SeriesDate, sr.SeriesTime, sr.InstanceCreationDate) == (sr.ContentDate, sr.ContentTime, sr.ContentDate)
    assert sr.get("TimezoneOffsetFromUTC") == said


def test_without_a_zone_of_the_images_the_given_zone_counts() -> None:
    local = datetime(2026, 11, 20, 13, 30, 15, tzinfo=timezone(timedelta(hours=1)))
    assert built(created=local).ContentTime == "133015"


def test_uids_are_those_of_the_run() -> None:
    first, second = build_report(parsed(a_document(a_finding("a", region=a_box()), a_finding("b"))), ct_series(), a_context())
    own = ("6f1c0000-installation", "radiology", "chest-ct-nodules-abcdefghijklm")
    assert [sr.sop_instance_uid for sr in (first, second)] == [result_uid(*own, "sr", 0), result_uid(*own, "sr", 1)]
    assert [sr.series_instance_uid for sr in (first, second)] == [result_uid(*own, "sr-series", 0), result_uid(*own, "sr-series", 1)]
    sr = read_back(second.dicom)
    assert (sr.SOPInstanceUID, sr.SeriesInstanceUID, sr.SOPClassUID) == (second.sop_instance_uid, second.series_instance_uid, second.sop_class_uid)
    assert (sr.file_meta.MediaStorageSOPInstanceUID, sr.file_meta.MediaStorageSOPClassUID) == (second.sop_instance_uid, second.sop_class_uid)


CLASSES = {"Comprehensive3DSR": "1.2.840.10008.5.1.4.1.1.88.34", "ComprehensiveSR": "1.2.840.10008.5.1.4.1.1.88.33"}


@pytest.mark.parametrize(("name", "class_uid"), CLASSES.items())
def test_the_pipeline_chooses_the_sop_class(name: str, class_uid: str) -> None:
    assert built(sop_class=name).SOPClassUID == class_uid


def test_the_pipeline_names_the_series() -> None:
    sr = built(series_number=77, series_description="AI lung\\nodules")
    assert (sr.SeriesNumber, sr.SeriesDescription, sr.Modality, sr.InstanceNumber) == (77, "AI lung/nodules", "SR", 1)


def test_a_long_description_still_says_what_the_further_report_holds() -> None:
    reports = build_report(parsed(a_document(a_finding("a", region=a_box()), a_finding("b"))), ct_series(), a_context(series_description="d" * 64))
    assert [len(read_back(sr.dicom).SeriesDescription) for sr in reports] == [64, 64]
    assert read_back(reports[1].dicom).SeriesDescription.endswith("d (no region)")


def test_the_report_is_complete_and_waits_for_a_person() -> None:
    sr = built()
    assert (sr.CompletionFlag, sr.VerificationFlag, sr.PreliminaryFlag) == ("COMPLETE", "UNVERIFIED", "PRELIMINARY")


def test_the_product_is_the_equipment_that_built_it() -> None:
    sr = built()
    assert (sr.Manufacturer, sr.ManufacturerModelName, sr.DeviceSerialNumber) == ("Gantry", "Gantry", "6f1c0000-installation")
    assert "0.1.0" in sr.SoftwareVersions


def test_the_same_run_makes_the_same_bytes_in_whatever_order_the_images_come() -> None:
    findings, context = parsed(everything()), a_context()
    once = build_report(findings, ct_series(), context)
    assert build_report(findings, list(reversed(ct_series())), context) == once
    assert build_report(findings, [as_read(image) for image in ct_series(pixels=True)], context) == once


def test_another_run_makes_another_object() -> None:
    one, other = (build_report(parsed(many(2)), ct_series(), a_context(run=run))[0] for run in ("a", "b"))
    assert one.sop_instance_uid != other.sop_instance_uid
    assert one.series_instance_uid != other.series_instance_uid


def test_building_leaves_the_images_as_they_were() -> None:
    source, untouched = ct_series(), ct_series()
    build_report(parsed(everything()), source, a_context())
    assert source == untouched
