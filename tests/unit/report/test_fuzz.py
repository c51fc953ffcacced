"""Whatever an application writes: the reader and the builder return or raise their own errors, never anything else."""

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.builders_dicom import ct_series
from tests.builders_findings import (
    SPATIAL,
    a_box,
    a_context,
    a_document,
    a_finding,
    a_point,
    a_polygon,
    an_ellipse,
    everything,
    image_uid,
    in_space,
    negative,
)

from gantry.report import Findings, InvalidFindings, ReportError, build_report, count_findings, parse_findings

SOURCE = ct_series(2)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=8)
DOCUMENTS = (everything(), negative(), a_document(a_finding(region=a_box())))
QUIET = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def paths(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(place for key, value in inner for place in paths(value, (*path, key)))]


PLACES = [(number, path) for number, document in enumerate(DOCUMENTS) for path in paths(document)[1:]]


def read(document: bytes) -> Findings | None:
    try:
        return parse_findings(document)
    except InvalidFindings as fault:
        message = str(fault)
    assert "\n" not in message
    assert len(message) < 600
    return None


@QUIET
@given(st.binary(max_size=200))
def test_any_bytes(document: bytes) -> None:
    assert read(document) is None


@QUIET
@given(JSON)
def test_any_json(document: Any) -> None:
    assert read(json.dumps(document).encode()) is None


@QUIET
@given(st.sampled_from(PLACES), JSON)
def test_a_good_document_with_anything_in_one_place(place: tuple[int, tuple[Any, ...]], value: Any) -> None:
    number, path = place
    document = json.loads(json.dumps(DOCUMENTS[number]))
    node = document
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    findings = read(json.dumps(document).encode())
    if findings is not None:
        assert count_findings(findings, a_context()).present <= len(findings.findings)


NUMBER = st.floats(-2e6, 2e6) | st.floats(-10, 140) | st.sampled_from([0, 1, 128, 1e-300, -0.0])
UIDS = st.sampled_from([image_uid(0), image_uid(1), "1.2.3"])


def points(dimensions: int) -> st.SearchStrategy[list[list[float]]]:
    return st.lists(st.lists(NUMBER, min_size=dimensions, max_size=dimensions), min_size=1, max_size=7)


PLANAR = st.builds(
    lambda base, uid, where, frame: base(0) | {"sopInstanceUID": uid} | where | frame,
    st.sampled_from([a_box, a_polygon, a_point, lambda number: an_ellipse(number, center=None, radii=None)]),
    UIDS,
    st.builds(lambda p: {"points": p}, points(2)),
    st.sampled_from([{}, {"frame": 1}, {"frame": 2}]),
)
ELLIPSES = st.builds(lambda center, radii, angle: an_ellipse(0, center=center, radii=radii, angle=angle), *[st.lists(NUMBER, min_size=2, max_size=2)] * 2, NUMBER)
SPACE = st.builds(lambda kind, p: in_space(kind, points=p), st.sampled_from(sorted(SPATIAL)), points(3))
FINDINGS = st.builds(
    lambda where, presence, value: a_finding(presence=presence, measurements=[{"name": a_finding()["type"], "value": value, "unit": "mm"}], **where),
    st.one_of(st.builds(lambda r: {"region": r}, PLANAR | ELLIPSES | SPACE), st.builds(lambda r: {"regions": r}, st.lists(SPACE | PLANAR, max_size=3)), st.just({})),
    st.sampled_from(["present", "absent", None]),
    st.floats(allow_nan=False, allow_infinity=False),
)


@QUIET
@given(st.lists(FINDINGS, max_size=3))
def test_any_regions_and_numbers(findings: list[dict[str, Any]]) -> None:
    document = a_document(*({**finding, "id": f"f{number}"} for number, finding in enumerate(findings)))
    parsed = read(json.dumps(document).encode())
    if parsed is None:
        return
    try:
        built = build_report(parsed, SOURCE, a_context())
    except ReportError:
        return
    assert built
    assert build_report(parsed, SOURCE, a_context()) == built
