"""Findings documents made from the JSON Schema, for hypothesis: anything the schema allows, on the images of SCHEMA_SOURCE.

What only the images know (UIDs, units, places inside an image) is given to the generator; the rest is the schema's.
"""

from typing import Any

from hypothesis import strategies as st
from tests.builders_dicom import SIZE, ct_series
from tests.builders_findings import NODULE, image_uid
from tests.json_schema import Generator

from gantry.findings import findings_schema

SCHEMA_SOURCE = ct_series(3)
SCHEMA = findings_schema()
UIDS = st.sampled_from([image_uid(number) for number in range(3)])
PIXEL = st.floats(0, SIZE).map(lambda number: round(number, 3))
MM = st.floats(-40, 40).map(lambda number: round(number, 2))
Z = st.sampled_from([-100.0, -97.3, -95.0, -90.0])
ID = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,12}\Z")
NEW_UIDS = st.integers(1, 2**100).map(lambda number: f"2.25.{number}")


def flat(kind: str, least: int) -> st.SearchStrategy[Any]:
    points = st.lists(st.lists(PIXEL, min_size=2, max_size=2), min_size=least, max_size=6, unique_by=tuple)
    return st.fixed_dictionaries({"kind": st.just(kind), "sopInstanceUID": UIDS, "points": points}, optional={"frame": st.just(1), "frames": st.just([])})


def deep(kind: str, least: int, most: int) -> st.SearchStrategy[Any]:
    """Points of one plane."""
    points = st.lists(st.tuples(MM, MM), min_size=least, max_size=most, unique=True)
    return st.builds(lambda flat, z: {"kind": kind, "points": [[x, y, z] for x, y in flat]}, points, Z)


SMALL = st.floats(1, 20)
MIDDLE = st.lists(st.floats(50, 70), min_size=2, max_size=2)
REGIONS: dict[str, st.SearchStrategy[Any]] = {
    "PointRegion": flat("point", 1).map(lambda region: region | {"points": region["points"][:1]}),
    "PolylineRegion": flat("polyline", 2),
    "PolygonRegion": flat("polygon", 3),
    "BoxRegion": st.builds(
        lambda uid, x, y, w, h: {"kind": "box", "sopInstanceUID": uid, "points": [[x, y], [x + w, y + h]]}, UIDS, st.floats(0, 100), st.floats(0, 100), SMALL, SMALL
    ),
    "CircleRegion": st.builds(lambda uid, center, radius: {"kind": "circle", "sopInstanceUID": uid, "center": center, "radius": radius}, UIDS, MIDDLE, SMALL),
    "EllipseRegion": st.builds(
        lambda uid, center, radii, angle: {"kind": "ellipse", "sopInstanceUID": uid, "center": center, "radii": list(radii), "angle": angle},
        UIDS, MIDDLE, st.tuples(SMALL, SMALL), st.floats(-360, 360),
    ),
    "Point3DRegion": deep("point3d", 1, 1),
    "Polyline3DRegion": deep("polyline3d", 2, 5),
    "Polygon3DRegion": deep("polygon3d", 3, 5),
    "Ellipse3DRegion": deep("ellipse3d", 4, 4),
    "Ellipsoid3DRegion": deep("ellipsoid3d", 6, 6),
}  # fmt: skip
REGION = st.one_of(*REGIONS.values())
INSTEAD = REGIONS | {
    "region": st.none() | REGION,
    "regions": st.none() | st.lists(REGIONS["PolygonRegion"] | REGIONS["BoxRegion"], min_size=1, max_size=2) | st.lists(REGIONS["Polygon3DRegion"], min_size=1, max_size=2),
    "images": st.lists(UIDS, max_size=2),
    "frames": st.just([]),
    "masks": st.just([]),  # they need a file beside the document (test_masks)
    "unit": st.sampled_from(["mm", "cm3", "%", "1", "[hnsf'U]", "{score}", "g/ml{SUVbw}"]),
    "algorithm": st.none(),
    "trackingUID": NEW_UIDS,
    "deviceUID": st.none() | NEW_UIDS,
    "id": ID,
    "score": st.none() | st.builds(lambda low, size, part: {"value": low + size * part, "minimum": low, "maximum": low + size}, st.floats(-1e3, 1e3), st.floats(1, 1e3), st.floats(0, 1)),
}
GENERATOR = Generator(SCHEMA, INSTEAD)


def made_consistent(document: dict[str, Any]) -> dict[str, Any]:
    """What the schema cannot say: unique ids, regions beside presence and images, nothing both assessed and not."""
    for part in ("algorithms", "findings"):
        for number, each in enumerate(document.get(part) or []):
            each["id"] = f"{each['id']}-{number}"
    for finding in document.get("findings") or []:
        if finding.get("region") is not None or finding.get("regions"):
            finding["images"] = []
            finding["presence"] = "present"
        if finding.get("region") is not None:
            finding["regions"] = None
    for each in document.get("notEvaluable") or []:
        each["sites"] = each.get("sites") or [{"location": NODULE}]
    document.setdefault("evaluatedFor", []).append(NODULE)
    return document


DOCUMENTS = GENERATOR.values().map(made_consistent)
"""Valid ones, but for UIDs that are the same by chance."""
