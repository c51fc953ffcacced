"""findings.json for tests: whole documents as dictionaries, from which a test changes what it is about."""

import json
from datetime import UTC, datetime
from typing import Any

from tests.builders_dicom import uid

from gantry.report import Findings, ReportContext, parse_findings

Json = dict[str, Any]


def code(scheme: str, value: str, meaning: str) -> Json:
    return {"scheme": scheme, "value": value, "meaning": meaning}


NODULE = code("SCT", "427359005", "Solitary nodule of lung")
PNEUMOTHORAX = code("SCT", "36118008", "Pneumothorax")
EMPHYSEMA = code("SCT", "87433001", "Pulmonary emphysema")
ABNORMAL = code("SCT", "49755003", "Morphologically Abnormal Structure")
DIAMETER = code("SCT", "81827009", "Diameter")
VOLUME = code("SCT", "118565006", "Volume")
UPPER_LOBE = code("SCT", "45653009", "Upper lobe of lung")
ALGORITHM: Json = {
    "id": "a1",
    "name": "LungNoduleNet",
    "version": "2.1.0",
    "manufacturer": "ACME AI",
    "parameters": {"threshold": 0.5, "minDiameterMm": 4, "fast": True},
    "family": code("DCM", "123110", "Artificial Intelligence"),
}
CREATED = datetime(2026, 11, 20, 12, 30, 15, tzinfo=UTC)


def image_uid(number: int) -> str:
    """SOP Instance UID of a slice of `ct_series()`."""
    return uid(f"study-ct-{number}")


def a_document(*findings: Json, **fields: Any) -> Json:
    """A document with these findings; `fields` by their names in JSON, None leaves one out."""
    document: Json = {"schemaVersion": "v1alpha1", "algorithms": [ALGORITHM], "findings": list(findings)}
    document |= fields
    return {name: value for name, value in document.items() if value is not None}


def a_finding(identifier: str = "nodule-1", **fields: Any) -> Json:
    """A present nodule with a diameter and a confidence, without region."""
    finding: Json = {
        "id": identifier,
        "type": NODULE,
        "category": ABNORMAL,
        "presence": "present",
        "sites": [{"location": UPPER_LOBE, "laterality": "right"}],
        "confidence": {"value": 0.934},
        "measurements": [{"name": DIAMETER, "value": 12.1, "unit": "mm", "derivation": code("SCT", "56851009", "Maximum")}],
    }
    finding |= fields
    return {name: value for name, value in finding.items() if value is not None}


def an_ellipse(number: int = 10, **fields: Any) -> Json:
    return {"kind": "ellipse", "sopInstanceUID": image_uid(number), "center": [70.5, 60.5], "radii": [12, 9]} | fields


def a_box(number: int = 12, **fields: Any) -> Json:
    return {"kind": "box", "sopInstanceUID": image_uid(number), "points": [[10, 10], [30, 25]]} | fields


def a_polygon(number: int = 8, **fields: Any) -> Json:
    return {"kind": "polygon", "sopInstanceUID": image_uid(number), "points": [[40, 40], [48, 40], [48, 50], [40, 50]]} | fields


def a_point(number: int = 4, **fields: Any) -> Json:
    return {"kind": "point", "sopInstanceUID": image_uid(number), "points": [[20.5, 30.5]]} | fields


def a_segment(**fields: Any) -> Json:
    return {"kind": "segment", "file": "seg.dcm", "segmentNumber": 1} | fields


def encode(document: Json) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()


def parsed(document: Json) -> Findings:
    return parse_findings(encode(document))


def a_context(**fields: Any) -> ReportContext:
    values: dict[str, Any] = {
        "installation": "6f1c0000-installation",
        "namespace": "radiology",
        "run": "chest-ct-nodules-abcdefghijklm",
        "created": CREATED,
        "images": (f"registry.example/nodules@sha256:{'a' * 64}",),
        "product_version": "0.1.0",
    }
    return ReportContext(**(values | fields))


SPATIAL: dict[str, list[list[float]]] = {
    "point3d": [[4.5, -2.5, -52]],
    "polyline3d": [[0, 0, -50], [10, 0, -50], [10, 8, -45]],
    "polygon3d": [[0, 0, -52], [10, 0, -52], [10, 8, -52], [0, 8, -52]],
    "ellipse3d": [[-5, 0, -52], [5, 0, -52], [0, -4, -52], [0, 4, -52]],
    "ellipsoid3d": [[-5, 0, -50], [5, 0, -50], [0, -4, -50], [0, 4, -50], [0, 0, -53], [0, 0, -47]],
}


def in_space(kind: str, **fields: Any) -> Json:
    return {"kind": kind, "points": SPATIAL[kind]} | fields


def everything() -> Json:
    """Every kind of region but segments, findings without region, absences, statements about the study."""
    planar = [
        a_finding("ellipse", region=an_ellipse(10), evaluations=[{"name": code("SCT", "129737002", "Radiographic attenuation characteristic"), "value": code("SCT", "129739004", "Solid")}]),
        a_finding("rotated-ellipse", region=an_ellipse(9, angle=20)),
        a_finding("outlines", regions=[a_polygon(7), a_polygon(8)], measurements=[{"name": VOLUME, "value": 905.2, "unit": "mm3", "images": [image_uid(7), image_uid(8)]}]),
        a_finding("box", region=a_box(12), comment="Größer als 2025: 8 mm → 12 mm"),
        a_finding("point", region=a_point(4), confidence=None, measurements=None, sites=None, presence=None),
        a_finding("polyline", region={"kind": "polyline", "sopInstanceUID": image_uid(13), "points": [[10, 10], [30, 25]]}, presence="indeterminate"),
        a_finding("circle", region={"kind": "circle", "sopInstanceUID": image_uid(14), "center": [64, 64], "radius": 10}),
    ]
    spatial = [a_finding(kind, region=in_space(kind)) for kind in SPATIAL]
    volume = a_finding("volume", regions=[in_space("polygon3d"), in_space("polygon3d", points=[[0, 0, -47], [10, 0, -47], [10, 8, -47]])])
    without = [
        a_finding("emphysema", type=EMPHYSEMA, images=[image_uid(0), image_uid(19)], evaluations=[{"name": code("99ACME", "NOTE", "Note"), "text": "diffuse"}]),
        a_finding("effusion", type=code("SCT", "60046008", "Pleural effusion"), presence="absent", confidence={"value": 0.99}, measurements=None, sites=None),
    ]
    return a_document(
        *planar,
        *spatial,
        volume,
        *without,
        language="de-DE",
        evaluatedFor=[NODULE, PNEUMOTHORAX],
        summary={
            "impression": "Zwei Rundherde, größter 12 mm rechts.",
            "evaluations": [
                {"name": code("RADLEX", "RID50134", "Lung-RADS assessment"), "value": code("RADLEX", "RID50139", "Lung-RADS 4A")},
                {"name": code("99ACME", "QUALITY", "Quality"), "text": "motion at the base"},
            ],
        },
    )


def negative() -> Json:
    """Looked for two conditions and found neither."""
    return a_document(evaluatedFor=[NODULE, PNEUMOTHORAX], summary={"impression": "No pulmonary nodule and no pneumothorax detected."})


def many(count: int) -> Json:
    """As many findings with one region each."""
    return a_document(*(a_finding(f"nodule-{number}", region=an_ellipse(number % 20)) for number in range(count)), evaluatedFor=[PNEUMOTHORAX])
