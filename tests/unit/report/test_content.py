"""Each field of findings.json stands where TID 1500 has it."""

from typing import Any

import pytest
from pydicom import Dataset
from tests.builders_dicom import a_segmentation, ct_series, read_back, uid
from tests.builders_findings import (
    DIAMETER,
    EMPHYSEMA,
    NODULE,
    PNEUMOTHORAX,
    SPATIAL,
    VOLUME,
    a_box,
    a_context,
    a_document,
    a_finding,
    a_point,
    a_polygon,
    a_segment,
    an_ellipse,
    code,
    everything,
    image_uid,
    in_space,
    many,
    negative,
    parsed,
)
from tests.sr_structure import (
    GROUP,
    LIBRARY,
    LIBRARY_GROUP,
    PRESENCE,
    PROCEDURE,
    REGION,
    SEGMENT,
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
    walk,
)

from gantry.report import build_report

Json = dict[str, Any]


SOURCE = ct_series()


def built(document: Json, **context: Any) -> list[Dataset]:
    return [read_back(sr.dicom) for sr in build_report(parsed(document), SOURCE, a_context(**context))]


DOCUMENTS: dict[str, Json] = {
    "everything": everything(),
    "negative": negative(),
    "one region": a_document(a_finding(region=an_ellipse())),
    "one finding without region": a_document(a_finding()),
    "only something absent": a_document(a_finding(presence="absent")),
    "many": many(25),
}


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_every_document_has_what_tid_1500_demands(document: Json) -> None:
    assert [faults(sr) for sr in built(document)] == [[] for _ in built(document)]


REGIONS: dict[str, tuple[Json, str, str, str, int]] = {
    "a point": ({"region": a_point()}, "1410", "SCOORD", "POINT", 2),
    "a polyline": ({"region": a_polygon(kind="polyline")}, "1410", "SCOORD", "POLYLINE", 8),
    "a polygon, closed": ({"region": a_polygon()}, "1410", "SCOORD", "POLYLINE", 10),
    "a box, as a closed polyline": ({"region": a_box()}, "1410", "SCOORD", "POLYLINE", 10),
    "a circle": ({"region": {"kind": "circle", "sopInstanceUID": image_uid(1), "center": [9, 9], "radius": 5}}, "1410", "SCOORD", "CIRCLE", 4),
    "an ellipse": ({"region": an_ellipse()}, "1410", "SCOORD", "ELLIPSE", 8),
    "an ellipse turned by 90 degrees": ({"region": an_ellipse(angle=90)}, "1410", "SCOORD", "ELLIPSE", 8),
    "a rotated ellipse, as a closed polygon of 32": ({"region": an_ellipse(angle=20)}, "1410", "SCOORD", "POLYLINE", 66),
    "several outlines": ({"regions": [a_polygon(7), a_polygon(8)]}, "1411", "SCOORD", "POLYLINE", 10),
    "a point in space": ({"region": in_space("point3d")}, "1410", "SCOORD3D", "POINT", 3),
    "a polyline in space": ({"region": in_space("polyline3d")}, "1410", "SCOORD3D", "POLYLINE", 9),
    "a polygon in space, closed": ({"region": in_space("polygon3d")}, "1410", "SCOORD3D", "POLYGON", 15),
    "an ellipse in space": ({"region": in_space("ellipse3d")}, "1410", "SCOORD3D", "ELLIPSE", 12),
    "an ellipsoid": ({"region": in_space("ellipsoid3d")}, "1411", "SCOORD3D", "ELLIPSOID", 18),
    "several polygons in space": ({"regions": [in_space("polygon3d")] * 2}, "1411", "SCOORD3D", "POLYGON", 15),
}


@pytest.mark.parametrize(("where", "template", "value_type", "graphic", "numbers"), REGIONS.values(), ids=REGIONS)
def test_a_region_becomes_coordinates(where: Json, template: str, value_type: str, graphic: str, numbers: int) -> None:
    *_, sr = built(a_document(a_finding(**where)))  # before it the outline of a volume
    (group,) = groups(sr)
    shapes = [item for item in children(group) if item.ValueType == value_type]
    assert group.ContentTemplateSequence[0].TemplateIdentifier == template
    assert [(shape.GraphicType, len(shape.GraphicData)) for shape in shapes] == [(graphic, numbers)] * len(where.get("regions", [0]))


def test_a_2d_region_names_its_image() -> None:
    (sr,) = built(a_document(a_finding(region=a_box(12))))
    (region,) = children(groups(sr)[0], REGION)
    assert region.GraphicData == [10, 10, 30, 10, 30, 25, 10, 25, 10, 10]
    assert region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == image_uid(12)
    assert "ReferencedFrameNumber" not in region.ContentSequence[0].ReferencedSOPSequence[0]


def test_an_ellipse_begins_with_its_longer_axis() -> None:
    (sr,) = built(a_document(a_finding(region=an_ellipse(radii=[9, 12]))))
    (region,) = children(groups(sr)[0], REGION)
    assert region.GraphicData == [70.5, 48.5, 70.5, 72.5, 61.5, 60.5, 79.5, 60.5]


def test_a_3d_region_names_its_frame_of_reference() -> None:
    (sr,) = built(a_document(a_finding(region=in_space("point3d"))))
    (region,) = children(groups(sr)[0], REGION)
    assert (region.ReferencedFrameOfReferenceUID, list(region.GraphicData)) == (uid("study-space"), SPATIAL["point3d"][0])


def test_a_volume_names_the_series_it_was_drawn_on() -> None:
    _, sr = built(a_document(a_finding(region=in_space("ellipsoid3d"))))
    (source,) = children(groups(sr)[0], "121232")
    assert uid("study-ct") == source.UID


def test_findings_are_kept_apart_by_how_they_show_where_they_are() -> None:
    """A group without coordinates blanks the whole report in OHIF; a group beside a segment fails PixelMed's validator."""
    document = a_document(a_finding("none"), a_finding("seg", region=a_segment()), a_finding("box", region=a_box()), evaluatedFor=[PNEUMOTHORAX])
    objects = {"seg.dcm": a_segmentation(ct_series(pixels=True))}
    built_objects = build_report(parsed(document), ct_series(), a_context(), objects)
    reports = [read_back(sr.dicom) for sr in built_objects]
    assert [[children(g, "112039")[0].TextValue for g in groups(sr)] for sr in reports] == [["box", "seg"], ["seg"], ["none"]]
    assert [sr.SeriesNumber for sr in reports] == [9001, 9002, 9003]
    assert len({sr.SeriesInstanceUID for sr in reports} | {sr.SOPInstanceUID for sr in reports}) == 6
    assert [sr.SeriesDescription for sr in reports] == ["AI LungNoduleNet 2.1.0", "AI LungNoduleNet 2.1.0 (segments)", "AI LungNoduleNet 2.1.0 (no region)"]
    assert [absences(sr) for sr in reports] == [["36118008"], [], []]


def test_findings_of_one_sort_make_one_report() -> None:
    assert len(built(many(3))) == len(built(a_document(a_finding()))) == len(built(negative())) == 1


def test_a_segment_is_referred_to_with_its_own_tracking_uid() -> None:
    segmentation = a_segmentation(ct_series(pixels=True), tracking_uid=uid("lesion"))
    _, built_object = build_report(parsed(a_document(a_finding(region=a_segment()))), ct_series(), a_context(), {"seg.dcm": segmentation})
    sr = read_back(built_object.dicom)
    (group,) = groups(sr)
    (segment,) = children(group, SEGMENT)
    reference = segment.ReferencedSOPSequence[0]
    assert (reference.ReferencedSOPInstanceUID, reference.ReferencedSegmentNumber) == (uid("seg"), 1)
    assert uid("lesion") == children(group, TRACKING_UID)[0].UID
    assert evidence(sr) == [image_uid(0), uid("seg")]
    assert faults(sr) == []


def test_what_was_looked_for_and_not_found_is_said_as_a_code() -> None:
    (sr,) = built(a_document(a_finding(region=a_box()), evaluatedFor=[NODULE, PNEUMOTHORAX]))
    assert absences(sr) == ["36118008"]
    assert len(groups(sr)) == 1


def test_a_negative_report_says_so_in_both_places() -> None:
    (sr,) = built(negative())
    assert absences(sr) == ["427359005", "36118008"]
    assert [(coded(children(g, "121071")[0]), coded(children(g, PRESENCE)[0])) for g in groups(sr)] == [("427359005", "2667000"), ("36118008", "2667000")]
    assert [item.TextValue for item in walk(sr) if named(item) == "121073"] == ["No pulmonary nodule and no pneumothorax detected."]


def test_a_number_carries_value_unit_derivation_and_images() -> None:
    measurement = {"name": VOLUME, "value": 905.25, "unit": "mm3", "derivation": code("SCT", "373098007", "Mean"), "method": code("99ACME", "M", "My method"), "images": [image_uid(3)]}
    (sr,) = built(a_document(a_finding(region=a_box(), measurements=[measurement], confidence=None)))
    (number,) = [item for item in children(groups(sr)[0]) if item.ValueType == "NUM"]
    value = number.MeasuredValueSequence[0]
    unit = value.MeasurementUnitsCodeSequence[0]
    assert (named(number), float(value.NumericValue), value.FloatingPointValue) == ("118565006", 905.25, 905.25)
    assert (unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning) == ("mm3", "UCUM", "cubic millimeter")
    assert [named(child) for child in children(number)] == ["370129005", "121401", "121112"]
    assert image_uid(3) in evidence(sr)


@pytest.mark.parametrize("value", [1 / 3, 1e-17, 123456789.123456789, -0.0, 1e22, 5])
def test_a_number_of_any_length_is_kept_exactly(value: float) -> None:
    (sr,) = built(a_document(a_finding(measurements=[{"name": DIAMETER, "value": value, "unit": "mm"}], confidence=None)))
    (number,) = [item for item in children(groups(sr)[0]) if item.ValueType == "NUM"]
    assert len(str(number.MeasuredValueSequence[0].NumericValue)) <= 16
    assert number.MeasuredValueSequence[0].FloatingPointValue == value


def test_confidence_is_a_percentage_with_a_name() -> None:
    own = code("99ACME", "PROB", "Probability of malignancy")
    document = a_document(a_finding("a", measurements=None, confidence={"value": 0.1}), a_finding("b", measurements=None, confidence={"value": 1, "name": own}))
    (sr,) = built(document)
    numbers = [item for group in groups(sr) for item in children(group) if item.ValueType == "NUM"]
    assert [(named(n), float(n.MeasuredValueSequence[0].NumericValue)) for n in numbers] == [("111012", 10.0), ("PROB", 100.0)]


def test_a_number_without_region_names_the_algorithm_which_ohif_needs() -> None:
    without, with_region = built(a_document(a_finding(region=None)))[0], built(a_document(a_finding(region=a_box())))[0]
    numbers = [[named(child) for child in children(item)] for sr in (without, with_region) for item in walk(sr) if named(item) == "111012"]
    assert numbers == [["111001", "111003", *["111002"] * 3, "111000"], []]


PRESENCES = {"present": ["52101004"], "absent": ["2667000"], "indeterminate": ["82334004"], None: []}


@pytest.mark.parametrize(("presence", "codes"), PRESENCES.items())
def test_presence_is_a_code(presence: str | None, codes: list[str]) -> None:
    (sr,) = built(a_document(a_finding(presence=presence)))
    assert [coded(item) for item in children(groups(sr)[0], PRESENCE)] == codes


def test_sites_texts_and_further_codes_stand_in_the_group() -> None:
    finding = a_finding(
        sites=[{"location": code("SCT", "45653009", "Upper lobe of lung"), "laterality": "left", "modifier": code("SCT", "14414005", "Peripheral")}],
        comment="Größer",
        evaluations=[{"name": code("99ACME", "A", "Asked"), "value": code("99ACME", "B", "Answered")}, {"name": code("99ACME", "T", "Told"), "text": "in\nwords"}],
    )
    (group,) = groups(built(a_document(finding))[0])
    (site,) = children(group, "363698007")
    assert [coded(item) for item in (site, *children(site))] == ["45653009", "7771000", "14414005"]
    assert coded(children(group, "276214006")[0]) == "49755003"
    assert coded(children(group, "A")[0]) == "B"
    assert [children(group, name)[0].TextValue for name in ("T", "121106")] == ["in\nwords", "Größer"]


def test_the_summary_stands_beside_the_measurements() -> None:
    sr = built(everything())[0]
    (box,) = children(sr, STATEMENTS)
    assert [named(item) for item in children(box)] == ["36118008", "RID50134", "QUALITY", "121073"]


def test_a_long_code_becomes_a_long_code_value() -> None:
    (sr,) = built(a_document(a_finding(type=code("99ACME", "x" * 40, "Long"))))
    (item,) = children(groups(sr)[0], "121071")
    assert item.ConceptCodeSequence[0].LongCodeValue == "x" * 40


def test_the_image_library_holds_the_images_referred_to_and_no_other() -> None:
    (sr,) = built(a_document(a_finding("a", region=a_box(12)), a_finding("b", region=a_box(3)), a_finding("c", region=a_point(12))))
    entries = [entry for group in children(children(sr, LIBRARY)[0], LIBRARY_GROUP) for entry in children(group)]
    assert [entry.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for entry in entries] == [image_uid(12), image_uid(3)]
    assert evidence(sr) == [image_uid(12), image_uid(3)]


def test_without_a_reference_the_first_image_of_each_series_stands_for_what_was_looked_at() -> None:
    source = [*ct_series(3, series="b"), *ct_series(3, series="a")]
    sr = read_back(build_report(parsed(negative()), source, a_context())[0].dicom)
    assert sorted(evidence(sr)) == sorted([uid("study-a-0"), uid("study-b-0")])


LANGUAGES = {"en-US": "English (United States)", "de-AT": "German", "tlh": "tlh"}


@pytest.mark.parametrize(("tag", "meaning"), LANGUAGES.items())
def test_the_language_is_a_code(tag: str, meaning: str) -> None:
    (sr,) = built(negative() | {"language": tag})
    language = children(sr, "121049")[0].ConceptCodeSequence[0]
    assert (language.CodeValue, language.CodeMeaning, language.CodingSchemeDesignator) == (tag, meaning, "RFC5646")


def test_the_procedure_is_the_documents_or_that_of_the_modality() -> None:
    own = code("LN", "24627-2", "CT Chest")
    reports = built(negative()) + built(negative() | {"procedureReported": [own]})
    assert [coded(item) for sr in reports for item in children(sr, PROCEDURE)] == ["25045-6", "24627-2"]


def test_the_order_of_findings_is_kept() -> None:
    (sr,) = built(many(12))
    assert [child.ConceptNameCodeSequence[0].CodeValue for child in children(children(sr, "126010")[0])] == [GROUP] * 12
    assert group_of(sr, "nodule-11") is groups(sr)[11]


def test_a_tracking_uid_is_the_authors_or_that_of_the_run() -> None:
    (first,) = built(a_document(a_finding("a", trackingUID="1.2.3"), a_finding("b")))
    (second,) = built(a_document(a_finding("a", trackingUID="1.2.3"), a_finding("b")), run="another")
    one, other = ([children(g, TRACKING_UID)[0].UID for g in groups(sr)] for sr in (first, second))
    assert one[0] == other[0] == "1.2.3"
    assert one[1] != other[1]


def test_a_finding_of_another_type_does_not_answer_for_it() -> None:
    (sr,) = built(a_document(a_finding(type=EMPHYSEMA), evaluatedFor=[NODULE]))
    assert absences(sr) == ["427359005"]
