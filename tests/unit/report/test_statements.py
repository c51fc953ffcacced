"""What a document says beside its findings: what could not be assessed, image quality, earlier findings, scores, words for the patient."""

from typing import Any

import pytest
from pydicom import Dataset
from tests.builders_dicom import a_segmentation, an_image, changed, ct_series, read_back, uid
from tests.builders_findings import (
    DIAMETER,
    EMPHYSEMA,
    NODULE,
    PNEUMOTHORAX,
    UPPER_LOBE,
    a_box,
    a_context,
    a_document,
    a_finding,
    a_segment,
    code,
    image_uid,
    negative,
    parsed,
)
from tests.sr_structure import (
    LIBRARY,
    LIBRARY_GROUP,
    PRESENCE,
    STATEMENTS,
    TRACKING_UID,
    absences,
    children,
    coded,
    evidence,
    faults,
    group_of,
    groups,
    named,
    value_of,
)

from gantry.api.run import FindingCounts
from gantry.report import InvalidFindings, InvalidReport, Predecessor, build_report, count_findings

Json = dict[str, Any]
MOTION = code("DCM", "111210", "Motion blur")
LARGER = code("SCT", "15454001", "Increased size")
ASPECTS = code("99ACME", "ASPECTS", "ASPECTS")
LEFT_UPPER_LOBE = {"location": UPPER_LOBE, "laterality": "left"}


def built(document: Json, source: list[Dataset] | None = None, **context: Any) -> Dataset:
    sr = read_back(build_report(parsed(document), source or ct_series(), a_context(**context))[0].dicom)
    assert faults(sr) == []
    return sr


def statements(sr: Dataset) -> list[Dataset]:
    return [item for box in children(sr, STATEMENTS) for item in children(box)]


def test_what_could_not_be_assessed_is_said_with_place_and_reason() -> None:
    sr = built(a_document(a_finding(region=a_box()), notEvaluable=[{"type": EMPHYSEMA, "sites": [LEFT_UPPER_LOBE], "reason": MOTION, "text": "breathing"}]))
    (item,) = statements(sr)
    site, reason, comment = children(item)
    assert (named(item), coded(item)) == ("87433001", "373121007")
    assert (coded(site), coded(children(site)[0])) == ("45653009", "7771000")
    assert (coded(reason), comment.TextValue) == ("111210", "breathing")
    assert {child.RelationshipType for child in children(item)} == {"HAS PROPERTIES"}


NEVER_ABSENT: dict[str, Json] = {
    "at all": {"type": PNEUMOTHORAX, "text": "supine"},
    "at one site": {"type": PNEUMOTHORAX, "text": "apex cut off", "sites": [LEFT_UPPER_LOBE]},
}


@pytest.mark.parametrize("which", NEVER_ABSENT.values(), ids=NEVER_ABSENT)
def test_what_could_not_be_assessed_is_never_reported_as_absent(which: Json) -> None:
    document = negative() | {"notEvaluable": [which]}
    assert absences(built(document)) == ["427359005"]
    assert count_findings(parsed(document), a_context()) == FindingCounts(present=0, absent=1, not_evaluable=1)


def test_a_report_of_which_nothing_could_be_assessed_is_a_report() -> None:
    """A reader that looks only at the groups must not take it for an empty one."""
    sr = built(a_document(notEvaluable=[{"type": EMPHYSEMA, "text": "empty images"}]))
    assert [(coded(children(group, "121071")[0]), coded(children(group, PRESENCE)[0])) for group in groups(sr)] == [("87433001", "373121007")]


CONTRADICTIONS: dict[str, tuple[Json, str]] = {
    "a finding of a type that could not be assessed": (
        a_document(a_finding(), notEvaluable=[{"type": NODULE, "text": "x"}]),
        'notEvaluable[0]: finding "nodule-1" answers for the same type; name in sites what could not be assessed',
    ),
    "no reason": (
        a_document(notEvaluable=[{"type": NODULE}]),
        "notEvaluable[0]: takes a reason (a code), text or both: say why it could not be assessed",
    ),
    "two answers": (
        a_document(a_finding(evaluations=[{"name": ASPECTS, "text": "8", "score": {"value": 8}}])),
        "findings[0] (nodule-1).evaluations[0]: an evaluation takes one of value (a code), text and score",
    ),
    "a score beside its scale": (
        a_document(summary={"evaluations": [{"name": ASPECTS, "score": {"value": 11, "minimum": 0, "maximum": 10}}]}),
        "summary.evaluations[0].score: value lies outside of minimum to maximum; correct the scale, or clip the value",
    ),
    "half a scale": (
        a_document(imageQuality=[{"score": {"value": 1, "maximum": 10}}]),
        "imageQuality[0].score: a score takes minimum and maximum together, or neither",
    ),
    "a scale upside down": (
        a_document(imageQuality=[{"score": {"value": 1, "minimum": 5, "maximum": 1}}]),
        "imageQuality[0].score: the minimum of a score lies below its maximum",
    ),
    "frames of several images": (
        a_document(a_finding(images=[image_uid(0), image_uid(1)], frames=[1])),
        "findings[0] (nodule-1): frames are those of one image: name exactly one in images",
    ),
    "frames of no image": (
        a_document(a_finding(measurements=[{"name": DIAMETER, "value": 1, "unit": "mm", "frames": [1]}])),
        "findings[0] (nodule-1).measurements[0]: frames are those of one image: name exactly one in images",
    ),
    "frame and frames": (
        a_document(a_finding(region=a_box(frame=1, frames=[1, 2]))),
        "findings[0] (nodule-1).region: takes either frame or frames, not both",
    ),
    "a frame twice": (a_document(a_finding(region=a_box(frames=[2, 2]))), "findings[0] (nodule-1).region.frames: a frame stands twice"),
    "two findings that continue one": (
        a_document(a_finding("a", earlier=[{"trackingUID": "1.2.3"}]), a_finding("b", trackingUID="1.2.3")),
        'findings: "a" and "b" have one tracking UID; give one of them a trackingUID of its own',
    ),
    "a tracking UID that is none": (
        a_document(a_finding(trackingUID="1.02.3")),
        "findings[0] (nodule-1).trackingUID: text of 6 characters: write a DICOM UID, digits and dots",
    ),
}


@pytest.mark.parametrize(("document", "message"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_a_statement_that_contradicts_itself_is_refused(document: Json, message: str) -> None:
    with pytest.raises(InvalidFindings) as caught:
        parsed(document)
    assert str(caught.value) == f"findings.json: {message}"


def test_the_quality_of_images_is_said_with_the_images_it_is_about() -> None:
    unusable = code("DCM", "111235", "Unusable - Quality renders image unusable")
    sr = built(a_document(evaluatedFor=[NODULE], imageQuality=[{"value": unusable, "images": [image_uid(3)]}, {"name": ASPECTS, "text": "noisy"}]))
    _, rated, worded = statements(sr)
    assert (named(rated), coded(rated), worded.TextValue) == ("111101", "111235", "noisy")
    assert children(rated)[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == image_uid(3)
    assert evidence(sr) == [image_uid(3)]


def test_quality_of_an_image_that_is_not_there_is_refused() -> None:
    document = a_document(evaluatedFor=[NODULE], imageQuality=[{"text": "x", "images": ["1.2.3"]}])
    with pytest.raises(InvalidReport, match=r"imageQuality\[0\].images: names an image that is not in the input"):
        build_report(parsed(document), ct_series(), a_context())


@pytest.mark.parametrize(
    ("score", "unit", "meaning"),
    [({"value": 8, "minimum": 0, "maximum": 10}, "{0:10}", "range: 0:10"), ({"value": 3.5}, "{score}", "score")],
    ids=["with its scale", "without"],
)
def test_a_score_is_a_number_on_its_scale(score: Json, unit: str, meaning: str) -> None:
    sr = built(a_document(a_finding(region=a_box(), evaluations=[{"name": ASPECTS, "score": score}]), summary={"evaluations": [{"name": ASPECTS, "score": score}]}))
    for item in (*[child for child in children(groups(sr)[0]) if named(child) == "ASPECTS"], *statements(sr)):
        value = item.MeasuredValueSequence[0]
        assert (float(value.NumericValue), value_of(value.MeasurementUnitsCodeSequence[0])) == (score["value"], unit)
        assert value.MeasurementUnitsCodeSequence[0].CodeMeaning == meaning


def test_words_for_the_patient_stand_beside_the_impression() -> None:
    sr = built(a_document(evaluatedFor=[NODULE], summary={"impression": "No nodule.", "plainLanguage": "Nothing was found."}))
    assert [(named(item), item.TextValue) for item in statements(sr)[1:]] == [("121073", "No nodule."), ("PLAIN-LANGUAGE", "Nothing was found.")]


def test_codes_of_gantrys_own_say_whose_they_are() -> None:
    with_own, without = built(a_document(a_finding(region=a_box()), summary={"plainLanguage": "x"})), built(a_document(a_finding(region=a_box())))
    (scheme,) = with_own.CodingSchemeIdentificationSequence
    assert (scheme.CodingSchemeDesignator, scheme.CodingSchemeName) == ("99GANTRY", "Gantry")
    assert "CodingSchemeIdentificationSequence" not in without


def test_a_finding_continues_the_one_of_an_earlier_report() -> None:
    sr = built(a_document(a_finding("same", region=a_box(), earlier=[{"trackingUID": "1.2.3", "change": LARGER}])))
    (group,) = groups(sr)
    (earlier,) = children(group, "EARLIER-FINDING")
    assert (children(group, TRACKING_UID)[0].UID, earlier.UID, coded(children(earlier)[0])) == ("1.2.3", "1.2.3", "15454001")


def test_two_lesions_that_became_one_are_both_named() -> None:
    sr = built(a_document(a_finding("merged", region=a_box(), earlier=[{"trackingUID": "1.2.3"}, {"trackingUID": "1.2.4"}])))
    (group,) = groups(sr)
    assert [item.UID for item in children(group, "EARLIER-FINDING")] == ["1.2.3", "1.2.4"]
    assert a_context().uid("tracking-merged") == children(group, TRACKING_UID)[0].UID


def test_a_superseded_report_is_the_predecessor() -> None:
    old = Predecessor("1.2.840.10008.5.1.4.1.1.88.34", "1.2.3.4", "1.2.3")
    (study,) = built(negative(), predecessors=(old,)).PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    assert (study.StudyInstanceUID, series.SeriesInstanceUID) == (uid("study"), "1.2.3")
    assert [item.ReferencedSOPInstanceUID for item in series.ReferencedSOPSequence] == ["1.2.3.4"]
    assert "PredecessorDocumentsSequence" not in built(negative())


def test_the_one_frame_of_an_image_is_not_named() -> None:
    measured = {"name": DIAMETER, "value": 3, "unit": "mm", "images": [image_uid(0)], "frames": [1]}
    sr = built(a_document(a_finding(images=[image_uid(0)], frames=[1], measurements=[measured])))
    assert "ReferencedFrameNumber" not in str(sr)


CINE = an_image("US multi-frame")


def test_a_finding_on_some_frames_of_a_loop_names_them() -> None:
    measured = {"name": DIAMETER, "value": 3, "unit": "mm", "images": [CINE.SOPInstanceUID], "frames": [2]}
    sr = built(a_document(a_finding(images=[CINE.SOPInstanceUID], frames=[2, 4], measurements=[measured])), [CINE])
    (group,) = groups(sr)
    (number,) = children(group, "81827009")
    references = [item.ReferencedSOPSequence[0] for item in (*children(group, "121112"), *children(number, "121112"))]
    assert [str(reference.ReferencedFrameNumber) for reference in references] == ["[2, 4]", "2"]


def test_a_region_may_hold_on_several_frames() -> None:
    sr = built(a_document(a_finding(region=a_box(sopInstanceUID=CINE.SOPInstanceUID, frames=[1, 2, 3]))), [CINE])
    (region,) = children(groups(sr)[0], "111030")
    assert region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedFrameNumber == [1, 2, 3]


BEYOND: dict[str, tuple[Json, str]] = {
    "of a region": ({"region": a_box(sopInstanceUID=CINE.SOPInstanceUID, frames=[1, 9])}, "findings[0] (x).region.frames: 9: the image has 4 frames, counted from 1"),
    "of a finding": ({"images": [CINE.SOPInstanceUID], "frames": [9]}, "findings[0] (x).frames: 9: the image has 4 frames, counted from 1"),
    "of a measurement": (
        {"measurements": [{"name": DIAMETER, "value": 1, "unit": "mm", "images": [CINE.SOPInstanceUID], "frames": [5]}]},
        "findings[0] (x).measurements[0].frames: 5: the image has 4 frames, counted from 1",
    ),
}


@pytest.mark.parametrize(("fields", "message"), BEYOND.values(), ids=BEYOND)
def test_a_frame_the_image_does_not_have_is_refused(fields: Json, message: str) -> None:
    with pytest.raises(InvalidReport) as caught:
        build_report(parsed(a_document(a_finding("x", **fields))), [CINE], a_context())
    assert str(caught.value) == message


def test_each_finding_names_its_own_algorithm() -> None:
    algorithms = [a_document()["algorithms"][0], {"id": "a2", "name": "TriageNet", "version": "7", "manufacturer": "Other AI"}]
    sr = built(a_document(a_finding("a", region=a_box()), a_finding("b", region=a_box(), algorithm="a2"), algorithms=algorithms))
    assert [children(group_of(sr, name), "111001")[0].TextValue for name in "ab"] == ["LungNoduleNet", "TriageNet"]
    assert [item.ManufacturerModelName for item in sr.ContributingEquipmentSequence] == ["LungNoduleNet", "TriageNet"]


DOSE_REPORT = changed(
    an_image("CT"), SOPClassUID="1.2.840.10008.5.1.4.1.1.88.67", SOPInstanceUID=uid("dose"), SeriesInstanceUID=uid("dose-series"), Modality="SR", Rows=None, Columns=None
)
DOSE = a_document(a_finding("dlp", images=[uid("dose")], measurements=[{"name": code("DCM", "113838", "CT Dose Length Product Total"), "value": 412, "unit": "mGy.cm", "images": [uid("dose")]}]))


def test_a_report_may_be_about_a_dose_report_alone() -> None:
    sr = built(DOSE, [DOSE_REPORT])
    (group,) = groups(sr)
    (number,) = children(group, "113838")
    assert [item.ValueType for item in (*children(group, "121112"), *children(number, "121112"))] == ["COMPOSITE", "COMPOSITE"]
    assert (evidence(sr), children(children(sr, LIBRARY)[0])) == ([uid("dose")], [])


def test_a_dose_report_beside_images_is_referred_to_and_no_image_of_the_library() -> None:
    sr = built(DOSE, [*ct_series(2), DOSE_REPORT])
    (library,) = children(children(sr, LIBRARY)[0], LIBRARY_GROUP)
    assert evidence(sr) == [image_uid(0), uid("dose")]
    assert [entry.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for entry in children(library)] == [image_uid(0)]


def test_a_region_on_a_document_is_refused() -> None:
    with pytest.raises(InvalidReport, match="names a document, which has no pixels; name it in images of the finding"):
        build_report(parsed(a_document(a_finding(region=a_box(sopInstanceUID=uid("dose"))))), [DOSE_REPORT], a_context())


def test_a_segment_that_is_tracked_otherwise_than_the_earlier_finding_is_refused() -> None:
    document = a_document(a_finding("x", region=a_segment(), earlier=[{"trackingUID": "1.2.3"}]))
    with pytest.raises(InvalidReport, match="differs from Tracking UID of the segment"):
        build_report(parsed(document), ct_series(), a_context(), {"seg.dcm": a_segmentation(ct_series(pixels=True))})


def test_two_findings_of_one_segment_are_refused() -> None:
    document = a_document(a_finding("a", region=a_segment()), a_finding("b", region=a_segment()))
    with pytest.raises(InvalidReport) as caught:
        build_report(parsed(document), ct_series(), a_context(), {"seg.dcm": a_segmentation(ct_series(pixels=True))})
    assert str(caught.value) == 'findings[1] (b): has the tracking UID of "a"; a segment is one finding, write its numbers into one'


def test_two_conditions_whose_codes_run_together_alike_are_two() -> None:
    assert len(groups(built(a_document(evaluatedFor=[code("99A-B", "C", "One"), code("99A", "B-C", "Two")])))) == 2


def test_one_device_uid_for_two_algorithms_is_refused() -> None:
    first = a_document()["algorithms"][0] | {"deviceUID": "1.2.3"}
    with pytest.raises(InvalidFindings, match="two have one deviceUID"):
        parsed(a_document(a_finding(), algorithms=[first, first | {"id": "a2", "version": "9"}]))


@pytest.mark.parametrize("value", [1e300, -1e300])
def test_the_largest_numbers_arrive(value: float) -> None:
    sr = built(a_document(a_finding(measurements=[{"name": DIAMETER, "value": value, "unit": "mm"}])))
    assert float(children(groups(sr)[0], "81827009")[0].MeasuredValueSequence[0].NumericValue) == value


def test_a_number_that_dicom_would_round_to_infinity_is_refused() -> None:
    with pytest.raises(InvalidFindings, match=r"measurements\[0\].value: .* write a number of at most 1e\+300"):
        parsed(a_document(a_finding(measurements=[{"name": DIAMETER, "value": 1.7976931348623157e308, "unit": "mm"}])))


def test_a_comment_of_blanks_is_refused() -> None:
    with pytest.raises(InvalidFindings, match="not only blanks"):
        parsed(a_document(a_finding(comment=" \n ")))
