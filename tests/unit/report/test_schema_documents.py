"""Documents made from the JSON Schema: every valid one becomes a report that passes Gantry's own check, every invalid one is refused in one line.

What only the images know (UIDs, units, places inside an image) is given to the generator; the rest is the schema's.
"""

import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tests.builders_dicom import SIZE, ct_series
from tests.builders_findings import NODULE, a_context, encode, everything, image_uid
from tests.json_schema import Generator, Validator

from gantry.findings import Findings, FindingsError, findings_schema, parse_findings
from gantry.report import build_report, require_valid

SOURCE = ct_series(3)
SCHEMA = findings_schema()
VALIDATOR = Validator(SCHEMA)
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
    "unit": st.sampled_from(["mm", "cm3", "%", "1", "[hnsf'U]", "{score}", "g/ml{SUVbw}"]),
    "algorithm": st.none(),
    "trackingUID": NEW_UIDS,
    "deviceUID": st.none() | NEW_UIDS,
    "id": ID,
    "score": st.none() | st.builds(lambda low, size, part: {"value": low + size * part, "minimum": low, "maximum": low + size}, st.floats(-1e3, 1e3), st.floats(1, 1e3), st.floats(0, 1)),
}
GENERATOR = Generator(SCHEMA, INSTEAD)
QUIET = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much, HealthCheck.large_base_example])


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


def read(document: dict[str, Any]) -> Findings | str:
    """What was read, or why it was refused."""
    try:
        return parse_findings(encode(document))
    except FindingsError as fault:
        return str(fault)


@QUIET
@given(GENERATOR.values().map(made_consistent))
def test_a_valid_document_becomes_a_report_that_passes(document: dict[str, Any]) -> None:
    assert VALIDATOR.valid(document)
    findings = read(document)
    assume(not isinstance(findings, str) or "have one" not in findings)  # UIDs that are the same by chance
    assert isinstance(findings, Findings), findings
    reports = build_report(findings, SOURCE, a_context())
    require_valid(reports, SOURCE)


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(place for key, value in inner for place in places(value, (*path, key)))]


WHOLE = json.loads(json.dumps(everything() | {"notEvaluable": [{"type": NODULE, "text": "x", "sites": [{"location": NODULE}]}], "imageQuality": [{"text": "noisy"}]}))
PLACES = [path for path in places(WHOLE) if path]
WRONG = st.sampled_from([None, True, -1, 0, 1e9, "", "x" * 11_000, "a\\b", "\x00", [], [[]], [[1]], {}, {"kind": "blob"}, {"unknown": 1}, ["x"] * 2000])


BEYOND_THE_SCHEMA = "|".join((
    "ids are unique", "have one tracking UID", "have one deviceUID", "is not the id of one of the algorithms", "answers for the same type", "not a UCUM unit",
    "a frame stands twice", "takes either frame or frames", "frames are those of one image", "a score takes", "lies outside of minimum", "lies below its maximum",
    "three different points", "a box is", "takes either points", "not the same point", "has no region", "images is for findings", "regions are all 2D or all 3D",
    "several 3D regions", "takes one segment",
))  # fmt: skip
"""Rules of the page that a schema cannot say."""


def changed(path: tuple[Any, ...], value: Any) -> Any:
    document = json.loads(json.dumps(WHOLE))
    node = document
    for key in path[:-1]:
        node = node[key]
    if value is ...:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return document


@settings(QUIET, max_examples=300)
@given(st.sampled_from(PLACES), WRONG | st.just(...))
def test_an_invalid_document_is_refused_with_finding_field_and_what_to_write(path: tuple[Any, ...], value: Any) -> None:
    document = changed(path, value)
    assume(not VALIDATOR.valid(document))
    with pytest.raises(FindingsError) as caught:
        parse_findings(encode(document))
    message = str(caught.value)
    where, _, what = message.removeprefix("findings.json: ").partition(": ")
    assert message.startswith("findings.json: ")
    assert what, message
    if path[0] == "findings" and len(path) > 3:
        identifier = WHOLE["findings"][path[1]]["id"]
        assert where.startswith(f"findings[{path[1]}] ({identifier})"), message
    assert where.startswith(str(path[0])), message


@settings(QUIET, max_examples=150)
@given(st.sampled_from(PLACES), WRONG | st.just(...))
def test_what_the_schema_takes_is_read_or_refused_by_a_rule_of_the_page(path: tuple[Any, ...], value: Any) -> None:
    document = changed(path, value)
    assume(VALIDATOR.valid(document))
    assert isinstance(found := read(document), Findings) or re.search(BEYOND_THE_SCHEMA, found), found
