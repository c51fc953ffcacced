"""The dose application against planted values: what stands in headers and dose reports is what it reports, and what is missing is said."""

import json
from typing import Any

import pydicom
import pytest
from examples.algorithms.dose.dose.document import findings_document
from examples.algorithms.dose.dose.regions import REGIONS, region_of_body_part, region_of_code
from examples.algorithms.dose.dose.settings import Settings
from examples.algorithms.dose.dose.study import Study, Unusable
from examples.algorithms.dose.dose.summary import summarised
from examples.phantom.make_rdsr import HEAD, HEAD_PHANTOM, LOCALIZER, PLANTED, Event
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders_dose import LEVELS, a_report, a_slice, as_json, by_id, impression, look, measured, slices

from gantry.findings import parse_findings


def test_headers_and_dose_report_give_one_finding_an_event_with_the_planted_values() -> None:
    found = look(slices(), [a_report()])
    assert [(one.id, one.type.meaning) for one in found.findings] == [
        ("event-1", "Constant Angle Acquisition"), ("event-2", "Irradiation Event"), ("study", "CT Accumulated Dose Data"), ("above-event-2", "Above diagnostic reference level"),
    ]  # fmt: skip
    localizer, scan, total, above = found.findings
    assert measured(localizer) == {"Mean CTDIvol": (0.13, "mGy"), "DLP": (5.2, "mGy.cm")}
    assert measured(scan) == {"Mean CTDIvol": (12.5, "mGy"), "DLP": (430, "mGy.cm"), "Effective Dose": (6.02, "mSv"), "Effective Dose Conversion Factor": (0.014, "mSv/(mGy.cm)")}
    assert measured(total) == {"Total Number of Irradiation Events": (2, "{events}"), "CT Dose Length Product Total": (435.2, "mGy.cm"), "CT Effective Dose Total": (6.02, "mSv")}
    assert measured(above) == {"Mean CTDIvol": (12.5, "mGy"), "Reference level of CTDIvol": (10, "mGy"), "DLP": (430, "mGy.cm"), "Reference level of DLP": (350, "mGy.cm")}
    assert [one.name.key for one in scan.measurements] == [("DCM", "113830"), ("DCM", "113838"), ("DCM", "113839"), ("DCM", "113840")]
    effective = scan.measurements[2]
    assert effective.method is not None
    assert effective.derivation is not None
    assert (effective.method.key, effective.derivation.key) == (("DCM", "113800"), ("SCT", "414135002"))
    assert [(one.name.meaning, one.value.meaning) for one in scan.evaluations if one.value] == [("Source of Dose Information", "Automated Data Collection"), ("CTDIw Phantom Type", "IEC Body Dosimetry Phantom")]
    assert scan.sites[0].location.key == ("SCT", "816094009")
    assert scan.images == (a_report().SOPInstanceUID, "1.2.3.1.1")
    assert impression(found) == "1 CT scan(s) and 1 localizer(s). Above diagnostic reference level: event 2: CTDIvol 12.50 of 10 mGy; event 2: DLP 430.00 of 350 mGy.cm."


def test_below_the_levels_is_said_as_absent() -> None:
    found = look(slices(CTDIvol=8.0), [a_report(PLANTED[0], Event(8.0, 300.0))])
    assert [one.meaning for one in found.evaluated_for] == ["Above diagnostic reference level"]
    assert not any(one.type.value == "DRL-ABOVE" for one in found.findings)
    assert impression(found) == "1 CT scan(s) and 1 localizer(s). 1 of 1 compared with a diagnostic reference level, none above."


@pytest.mark.parametrize("value", [10.0, 10.01], ids=["at the level", "just above"])
def test_a_level_is_exceeded_above_it_only(value: float) -> None:
    found = look((), [a_report(Event(value, 100.0))])
    assert ("above-event-1" in by_id(found)) == (value > 10)


def test_without_a_level_for_the_region_nothing_is_claimed() -> None:
    found = look(slices(), [a_report()], referenceLevels={"head": {"CTDIvol": 60.0}})
    assert found.evaluated_for == ()
    (unknown,) = found.not_evaluable
    assert (unknown.type.value, unknown.text) == ("DRL-ABOVE", "Event 2: no reference level for its region, or no value to compare with one.")
    assert impression(found).splitlines()[0] == "1 CT scan(s) and 1 localizer(s). No scan was compared with a reference level."


def test_one_scan_that_cannot_be_compared_is_enough_for_no_claim_about_all() -> None:
    found = look((), [a_report(Event(8.0, 300.0), Event(8.0, 300.0, region=HEAD, phantom=HEAD_PHANTOM))])
    assert found.evaluated_for == ()
    assert [one.text for one in found.not_evaluable] == ["Event 2: no reference level for its region, or no value to compare with one."]
    assert impression(found).splitlines()[0] == "2 CT scan(s) and 0 localizer(s). 1 of 2 compared with a diagnostic reference level, none above."


def test_a_scan_above_and_one_that_cannot_be_compared_are_both_said() -> None:
    found = look((), [a_report(PLANTED[1], Event(8.0, 300.0, region=HEAD, phantom=HEAD_PHANTOM))])
    assert "above-event-1" in by_id(found)
    assert "Note: Event 2: no reference level for its region, or no value to compare with one." in impression(found)


def test_without_levels_the_doses_are_told_and_nothing_is_claimed() -> None:
    found = look((), [a_report()], referenceLevels={})
    assert (found.evaluated_for, found.not_evaluable) == ((), ())
    assert "event-2" in by_id(found)


def test_headers_alone_give_ctdi_and_an_estimated_dlp_that_is_not_compared() -> None:
    found = look(slices(CTDIvol=9.0), referenceLevels={"chest": {"CTDIvol": 10.0, "DLP": 1.0}})
    scan = by_id(found)["event-1"]
    assert measured(scan)["Mean CTDIvol"] == (9, "mGy")
    assert measured(scan)["DLP"] == (18, "mGy.cm")  # 9 mGy along 4 slices of 5 mm
    assert scan.measurements[1].derivation is not None
    assert scan.measurements[1].derivation.meaning == "Estimated"
    assert next(one.value.meaning for one in scan.evaluations if one.value) == "Copied From Image Attributes"
    assert "above-event-1" not in by_id(found)
    assert "Note: There is no dose report; all values are from the images." in impression(found)
    assert "Note: Event 1: DLP is estimated from CTDIvol and the length of the images, without overranging, and not compared." in impression(found)


def test_slices_with_values_of_their_own_are_averaged() -> None:
    images = [a_slice(number, CTDIvol=value) for number, value in ((1, 8.0), (2, 10.0), (3, 12.0))]
    assert measured(by_id(look(images))["event-1"])["Mean CTDIvol"] == (10, "mGy")


def test_a_second_reconstruction_is_no_second_scan() -> None:
    for without in ({}, {"IrradiationEventUID": None}):
        found = look([*slices(**without), *slices(series="1.2.3.2", **without)], [])
        assert [one.id for one in found.findings if one.id.startswith("event")] == ["event-1"]
        assert by_id(found)["event-1"].images == ("1.2.3.1.1", "1.2.3.2.1")


def test_images_without_event_uid_belong_to_the_only_scan_of_the_report() -> None:
    found = look(slices(IrradiationEventUID=None), [a_report()])
    assert by_id(found)["event-2"].images[1:] == ("1.2.3.1.1",)
    assert "event-3" not in by_id(found)


def test_a_localizers_images_are_no_scan() -> None:
    scout = a_slice(1, series="1.2.3.5", event="", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], CTDIvol=0.13, IrradiationEventUID=None)
    found = look([scout, *slices()], [a_report()])
    assert [one.type.meaning for one in found.findings][:3] == ["Constant Angle Acquisition", "Irradiation Event", "CT Accumulated Dose Data"]
    assert by_id(found)["event-1"].images[1:] == ("1.2.3.5.1",)


NOTES: dict[str, tuple[dict[str, Any], str]] = {
    "images and report disagree": ({"images": slices(CTDIvol=20.0), "reports": [a_report()]}, "Event 2: CTDIvol is 12.50 mGy in the dose report and 20.00 mGy in the images; the report's is used."),
    "images of no event": ({"images": slices(event="1.2.77"), "reports": [a_report()]}, "1 acquisition(s) in the images stand in no dose report."),
    "no CTDIvol in the images": ({"images": slices(CTDIvol=None), "reports": [a_report()]}, "1 of 1 acquisitions have no CTDIvol in their images."),
    "another phantom than the region's": ({"reports": [a_report(Event(12.5, 430.0, phantom=HEAD_PHANTOM))]}, "Event 1: its DLP refers to another phantom than the conversion factor of its region; no effective dose."),
    "phantoms disagree": ({"images": slices(), "reports": [a_report(PLANTED[0], Event(12.5, 430.0, phantom=HEAD_PHANTOM))]}, "Event 2: dose report and images name different CTDI phantoms; the report's is used."),
    "an unknown region": ({"reports": [a_report(Event(12.5, 430.0, region=("40983000", "SCT", "Arm")))]}, "Event 1: its body region is not known; no effective dose, no reference level."),
    "an event without numbers": ({"reports": [a_report(PLANTED[1], Event(None, None))]}, "Event 2: neither CTDIvol nor DLP is known."),
    "a child": ({"reports": [a_report()], "age": 9}, "The patient is under 16 years: no effective dose, because the factors are for adults."),
    "an unknown age": ({"reports": [a_report()], "age": None}, "The patient's age is not known; the factors are for adults."),
    "other modalities": ({"reports": [a_report()], "other": {"DX": 2}}, "2 instance(s) of modality DX are no CT and were left out."),
}


@pytest.mark.parametrize(("case", "note"), NOTES.values(), ids=NOTES.keys())
def test_what_does_not_fit_together_is_said(case: dict[str, Any], note: str) -> None:
    found = look(case.pop("images", ()), case.pop("reports", ()), **case)
    assert f"Note: {note}" in impression(found).splitlines()


def test_a_child_gets_no_effective_dose() -> None:
    assert "Effective Dose" not in measured(by_id(look((), [a_report()], age=9))["event-2"])


def test_a_total_that_is_not_the_sum_is_said() -> None:
    report = a_report()
    accumulated = next(item for item in report.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "113811")
    accumulated.ContentSequence[0].MeasuredValueSequence[0].NumericValue = "3"
    accumulated.ContentSequence[1].MeasuredValueSequence[0].NumericValue = "900"
    found = look((), [report])
    assert "Note: The dose report's total DLP is 900.0 mGy.cm, its events have 435.2 mGy.cm together." in impression(found)
    assert "Note: The dose report counts 3 events and tells 2." in impression(found)
    assert measured(by_id(found)["study"])["CT Dose Length Product Total"] == (900, "mGy.cm")


def test_a_report_that_comes_again_with_more_events_replaces_the_first() -> None:
    first, whole = a_report(PLANTED[0]), a_report(*PLANTED)
    whole.ContentTime = "111500"
    found = look((), [whole, first])
    assert [one.id for one in found.findings if one.id.startswith("event")] == ["event-1", "event-2"]
    assert "Note: Several dose reports tell the same events; the latest is used." in impression(found)
    assert measured(by_id(found)["study"])["CT Dose Length Product Total"] == (435.2, "mGy.cm")


def changed_unit(report: pydicom.Dataset, unit: str, value: str) -> pydicom.Dataset:
    """Every DLP of the events."""
    for item in report.ContentSequence:
        for inner in item.get("ContentSequence", []):
            for leaf in inner.get("ContentSequence", []):
                if leaf.ConceptNameCodeSequence[0].CodeValue == "113838":
                    leaf.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue = unit
                    leaf.MeasuredValueSequence[0].NumericValue = value
    return report


UNITS = {"as older scanners write it": ("mGycm", "430", 430.0), "larger": ("Gy.cm", "0.43", 430.0), "not one of dose": ("mm", "430", None), "negative": ("mGy.cm", "-1", None)}


@pytest.mark.parametrize(("unit", "value", "want"), UNITS.values(), ids=UNITS.keys())
def test_units_are_converted_and_nonsense_is_left_out(unit: str, value: str, want: float | None) -> None:
    found = look((), [changed_unit(a_report(PLANTED[1]), unit, value)])
    assert measured(by_id(found)["event-1"]).get("DLP") == (None if want is None else (want, "mGy.cm"))
    assert ("is impossible or in an unknown unit and was left out." in impression(found)) == (want is None)


def test_other_structured_reports_are_left_out_by_name() -> None:
    other = a_report()
    other.ConceptNameCodeSequence[0].CodeValue, other.ConceptNameCodeSequence[0].CodeMeaning = "126000", "Imaging Measurement Report"
    fluoroscopy = a_report()
    fluoroscopy.ContentSequence = [item for item in fluoroscopy.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue not in ("113811", "113819")]
    found = look(slices(), [other, fluoroscopy, a_report()])
    assert "Note: Left out: a structured report that is no dose report (Imaging Measurement Report)." in impression(found)
    assert "Note: Left out: a dose report without CT." in impression(found)


def test_a_study_that_tells_no_dose_is_refused() -> None:
    with pytest.raises(Unusable, match="neither images nor reports tell CTDIvol or DLP"):
        look(slices(CTDIvol=None))


REGION_WORDS = {"CHEST": "chest", "Thorax": "chest", "ABDOMEN PELVIS": "abdomenPelvis", "head-neck": "headNeck", "LEG": None, "": None}


@pytest.mark.parametrize(("word", "want"), REGION_WORDS.items(), ids=REGION_WORDS.keys())
def test_body_parts_by_their_words(word: str, want: str | None) -> None:
    region = region_of_body_part(word)
    assert (region.name if region else None) == want


def test_regions_by_code_and_the_published_factors() -> None:
    known = region_of_code(HEAD)
    assert known is not None
    assert known.name == "head"
    assert region_of_code(("T-D3000", "SRT", "Chest")) is REGIONS["chest"]
    assert region_of_code(None) is None
    # AAPM Report 96, table 3, adults.
    assert {name: REGIONS[name].k for name in ("head", "neck", "headNeck", "chest", "abdomenPelvis", "trunk")} == {
        "head": 0.0021, "neck": 0.0059, "headNeck": 0.0031, "chest": 0.014, "abdomenPelvis": 0.015, "trunk": 0.015,
    }  # fmt: skip


def test_a_localizer_is_never_above_a_level() -> None:
    found = look((), [a_report(Event(99.0, 999.0, kind=LOCALIZER), PLANTED[0])])
    assert not any(one.type.value == "DRL-ABOVE" for one in found.findings)


RUBBISH = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.just("1e400"), st.just("\x00\n\\"), st.lists(st.integers(), max_size=2),
    st.just([]), st.just({}), st.just({"vr": "SQ"}), st.just({"vr": "SQ", "Value": [None, 1, {}]}), st.just({"vr": "DS", "Value": ["x", None, "-5", 1e308]}),
)  # fmt: skip


def spoiled(document: Any, choose: st.DataObject, depth: int = 0) -> Any:
    """One place somewhere in a document replaced."""
    if not document or not isinstance(document, dict | list) or (depth > 1 and choose.draw(st.integers(0, 3)) == 0):
        return choose.draw(RUBBISH)
    keys = sorted(document) if isinstance(document, dict) else range(len(document))
    key = choose.draw(st.sampled_from(keys))
    changed = document.copy()
    changed[key] = spoiled(document[key], choose, depth + 1)
    return changed


GOOD_IMAGES, GOOD_REPORT = [as_json(one) for one in slices(2)], as_json(a_report())


@settings(max_examples=100)
@given(choose=st.data())
def test_whatever_stands_in_the_elements_the_document_is_valid_or_the_study_refused(choose: st.DataObject) -> None:
    images, reports = [*GOOD_IMAGES], [GOOD_REPORT]
    for _ in range(choose.draw(st.integers(1, 3))):
        images[0], reports[0] = spoiled(images[0], choose), spoiled(reports[0], choose)
        if not isinstance(images[0], dict) or not isinstance(reports[0], dict):
            return
    try:
        events, total, notes = summarised(Study(tuple(images), tuple(reports), {}, 60), tolerance=0.1)
    except Unusable:
        return
    parse_findings(json.dumps(findings_document(events, total, notes, age=60, settings=Settings(LEVELS))).encode())
