"""The corpus: findings documents on sources of every kind, from two tables.

What is said of an image is independent of what image it is, so each kind of source gets each of STATEMENTS; what only a CT series has (space,
several slices, segments) stands in ON_CT. Names are stable: golden dumps are found by them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydicom import Dataset
from tests.builders_dicom import a_segmentation, an_image, as_file, changed, ct_series, read_back, uid
from tests.builders_findings import (
    DIAMETER,
    EMPHYSEMA,
    NODULE,
    PNEUMOTHORAX,
    SPATIAL,
    UPPER_LOBE,
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

from gantry.report import BuiltObject, build_report

Json = dict[str, Any]
MOTION = code("DCM", "111210", "Motion blur")
SCORE = {"name": code("99ACME", "SCORE", "Score"), "score": {"value": 7, "minimum": 0, "maximum": 10}}
LEFT = {"location": UPPER_LOBE, "laterality": "left"}
SECOND = {"id": "a2", "name": "TriageNet", "version": "7", "manufacturer": "Other AI", "serial": "SN-7", "deviceUID": "1.2.3.4.5"}


@dataclass(frozen=True)
class Case:
    """A document, the images it is about, and what else the build is given."""

    name: str
    document: Json
    source: tuple[Dataset, ...]
    context: Json
    segmentation: Dataset | None = None

    @cached_property
    def built(self) -> tuple[BuiltObject, ...]:
        """The reports, made once."""
        objects = {} if self.segmentation is None else {"seg.dcm": self.segmentation}
        return build_report(parsed(self.document), self.source, a_context(**self.context), objects)


def _on(image: Dataset) -> Json:
    """How a region names the image, with a frame if it has several."""
    return {"sopInstanceUID": str(image.SOPInstanceUID)} | ({"frame": 3} if image.get("NumberOfFrames") else {})


def _seen(image: Dataset) -> Json:
    return {"images": [str(image.SOPInstanceUID)]} | ({"frames": [2, 3]} if image.get("NumberOfFrames") else {})


STATEMENTS: dict[str, Callable[[Dataset], Json]] = {
    "a box": lambda image: a_document(a_finding(region=a_box(**_on(image)))),
    "two outlines": lambda image: a_document(a_finding(regions=[a_polygon(**_on(image)), a_box(**_on(image))])),
    "seen and measured": lambda image: a_document(
        a_finding(measurements=[{"name": DIAMETER, "value": 8.25, "unit": "mm", "method": code("99ACME", "M", "Method")} | _seen(image)], evaluations=[SCORE], **_seen(image))
    ),
    "nothing found": lambda _: negative(),
    "not evaluable": lambda image: a_document(
        evaluatedFor=[NODULE],
        notEvaluable=[{"type": EMPHYSEMA, "reason": MOTION, "text": "blurred", "sites": [LEFT]}],
        imageQuality=[{"value": code("DCM", "122742", "Poor image quality"), "images": [str(image.SOPInstanceUID)]}],
    ),
}
KINDS = ("MR", "DX", "MG", "US", "SC", "PT", "US multi-frame", "Enhanced CT", "Enhanced MR")
BARE: Json = dict.fromkeys(("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName"))
ON_CT: dict[str, Json] = {
    "a bare finding": a_document({"id": "x", "type": NODULE}),
    "a point": a_document(a_finding(region=a_point())),
    "a circle": a_document(a_finding(region={"kind": "circle", "sopInstanceUID": image_uid(1), "center": [9, 9], "radius": 5})),
    "an ellipse": a_document(a_finding(region=an_ellipse())),
    "a rotated ellipse": a_document(a_finding(region=an_ellipse(angle=20))),
    "a line": a_document(a_finding(region=a_polygon(kind="polyline"))),
    "outlines on two slices": a_document(a_finding(regions=[a_polygon(7), a_polygon(8)])),
    **{f"{kind} between slices": a_document(a_finding(region=in_space(kind))) for kind in SPATIAL},
    "polygon3d on a slice": a_document(a_finding(region=in_space("polygon3d", points=[[0, 0, -50], [10, 0, -50], [10, 8, -50]]))),
    "ellipse3d on a slice": a_document(a_finding(region=in_space("ellipse3d", points=[[-5, 0, -50], [5, 0, -50], [0, -4, -50], [0, 4, -50]]))),
    "a volume of outlines": a_document(a_finding(regions=[in_space("polygon3d"), in_space("polygon3d", points=[[0, 0, -47], [10, 0, -47], [10, 8, -47]])])),
    "a segment": a_document(a_finding(region=a_segment()), evaluatedFor=[PNEUMOTHORAX]),
    "three sorts": a_document(a_finding("none"), a_finding("seg", region=a_segment()), a_finding("box", region=a_box())),
    "an absence at a site": a_document(a_finding(presence="absent", measurements=None, sites=[LEFT]), evaluatedFor=[NODULE]),
    "indeterminate": a_document(a_finding(presence="indeterminate", region=a_box(), comment="Größe unklar\nzweite Zeile")),
    "two algorithms": a_document(a_finding("a", region=a_box()), a_finding("b", region=a_point(), algorithm="a2"), algorithms=[a_document()["algorithms"][0], SECOND]),
    "continues an earlier finding": a_document(a_finding(region=a_box(), earlier=[{"trackingUID": "1.2.3", "change": code("SCT", "15454001", "Increased size")}])),
    "two that became one": a_document(a_finding(region=a_box(), earlier=[{"trackingUID": "1.2.3"}, {"trackingUID": "1.2.4"}])),
    "numbers of every kind": a_document(
        a_finding(
            region=a_box(),
            measurements=[{"name": VOLUME, "value": value, "unit": unit} for value, unit in ((1 / 3, "mm3"), (-1000.5, "[hnsf'U]"), (1e-17, "1"), (2.5, "g/ml{SUVbw}"), (0, "{ratio}"))],
        )
    ),
    "words for everybody": a_document(evaluatedFor=[NODULE], summary={"impression": "Nothing.", "plainLanguage": "Alles gut, 異常なし.", "evaluations": [SCORE, {"name": MOTION, "text": "none"}]}),
    "another language": negative() | {"language": "ja", "procedureReported": [code("LN", "24627-2", "CT Chest")]},
    "a long code": a_document(a_finding(type=code("99ACME", "A-CODE-OF-MORE-THAN-16", "Long"), region=a_box())),
    "everything": everything(),
    "four": many(4),
}
DIRTY: dict[str, Json] = {
    "no Type 2 elements": BARE,
    "no spacing": {"PixelSpacing": None, "SliceThickness": None},
    "no orientation": {"ImageOrientationPatient": None, "ImagePositionPatient": None},
    "no space": {"FrameOfReferenceUID": None},
    "no order": {"RequestAttributesSequence": None, "AccessionNumber": ""},
    "a zone": {"TimezoneOffsetFromUTC": "+0900"},
    "Cyrillic": {"SpecificCharacterSet": "ISO_IR 144", "RequestAttributesSequence": None, "PatientName": "Люкceмбypг"},
    "Japanese": {"SpecificCharacterSet": ["", "ISO 2022 IR 87"], "RequestAttributesSequence": None, "PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう"},
    "UTF-8": {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Żółć^Ωμέγα"},
}
"""What real images lack, or write otherwise."""


def corpus() -> dict[str, list[Case]]:
    """Cases by kind of source."""
    cases: dict[str, list[Case]] = {}
    for case in _cases():
        cases.setdefault(case.name.partition(": ")[0], []).append(case)
    return cases


def _cases() -> Iterator[Case]:
    series, segmentation = tuple(ct_series(20)), a_segmentation(ct_series(20, pixels=True))
    for name, document in ON_CT.items():
        yield Case(f"CT: {name}", document, series, {}, segmentation)
    flat = {name: document for name, document in ON_CT.items() if "3d between" not in name and name not in ("everything", "a volume of outlines")}
    for name in ("polygon3d on a slice", "two algorithms", "a segment"):
        yield Case(f"Comprehensive SR: {name}", flat[name], series, {"sop_class": "ComprehensiveSR", "series_number": 77, "series_description": "AI lung"}, segmentation)
    for kind in KINDS:
        image = an_image(kind)
        for name, say in STATEMENTS.items():
            yield Case(f"{kind}: {name}", say(image), (image,), {})
    for name, changes in DIRTY.items():
        source = tuple(read_back_of(image) for image in ct_series(2, **changes))
        yield Case(f"dirty: {name}", a_document(a_finding(region=a_box(0)), evaluatedFor=[PNEUMOTHORAX]), source, {})
    dose = changed(an_image("CT"), SOPClassUID="1.2.840.10008.5.1.4.1.1.88.67", SOPInstanceUID=uid("dose"), Modality="SR", Rows=None, Columns=None)
    yield Case("dose report: a number", STATEMENTS["seen and measured"](dose), (dose,), {})
    yield Case("dose report: nothing found", negative(), (dose,), {})


def read_back_of(image: Dataset) -> Dataset:
    """As it comes from a file: decoded from its own character set."""
    return read_back(as_file(image))
