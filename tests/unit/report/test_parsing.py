"""What findings.json may say, and the one line that tells a developer what is wrong with it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.builders_findings import (
    DIAMETER,
    NODULE,
    a_box,
    a_document,
    a_finding,
    a_polygon,
    a_segment,
    an_ellipse,
    code,
    encode,
    everything,
    in_space,
    negative,
    parsed,
)

from gantry.api import RunReason
from gantry.report import InvalidFindings, parse_findings

Json = dict[str, Any]


def refusal(document: bytes) -> str:
    with pytest.raises(InvalidFindings) as caught:
        parse_findings(document)
    assert caught.value.reason is RunReason.INVALID_FINDINGS
    message = str(caught.value)
    assert "\n" not in message
    return message


BYTES: dict[str, tuple[bytes, str]] = {
    "an empty file": (b"", "findings.json: not JSON: Expecting value (line 1, column 1)"),
    "half a file": (b'{"schemaVersion": "v1alpha1",', "findings.json: not JSON: Expecting property name enclosed in double quotes (line 1, column 30)"),
    "an array": (b"[]", "findings.json: write an object"),
    "another encoding": ("{\"ä\": 1}".encode("latin-1"), "findings.json: byte 2 is not UTF-8; write the file as UTF-8"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "findings.json: starts with a byte order mark; write UTF-8 without it"),
    "a field twice": (b'{"findings": [], "findings": [1]}', "findings.json: findings: the field stands twice in one object"),
    "nesting without end": (b"[" * 200_000, "findings.json: nested too deeply; the schema needs 9 levels"),
    "NaN": (b'{"findings": [NaN]}', "findings.json: NaN is not a number of JSON; leave a measurement out that has no value"),
    "Infinity": (b'{"findings": [-Infinity]}', "findings.json: -Infinity is not a number of JSON; leave a measurement out that has no value"),
    "millions of arrays": (b"[" + b"[]," * 1_000_000 + b"1]", "findings.json: more than 1000000 arrays, objects and points. Write masks as a DICOM SEG, not as points"),
    "too much": (b" " * (16 * 1024 * 1024 + 1), "findings.json: 16777217 bytes; at most 16777216 are read. Write masks as a DICOM SEG, not as points"),
}


@pytest.mark.parametrize(("document", "message"), BYTES.values(), ids=BYTES)
def test_bytes_that_are_no_document_are_refused(document: bytes, message: str) -> None:
    assert refusal(document) == message


def finding(**fields: Any) -> Json:
    return a_document(a_finding(**fields))


def measured(**fields: Any) -> Json:
    return finding(measurements=[{"name": DIAMETER, "value": 1, "unit": "mm"} | fields])


DOCUMENTS: dict[str, tuple[Json, str]] = {
    "no version": (a_document(schemaVersion=None), "schemaVersion: the field is needed"),
    "a version of the future": (a_document(schemaVersion="v2"), "schemaVersion: \"v2\": write 'v1alpha1'"),
    "no algorithm": (a_document(algorithms=[]), "algorithms: write at least 1, not 0"),
    "a field the schema does not have": (finding(confidnce=1), "findings[0] (nodule-1).confidnce: the schema has no such field"),
    "a unit in words": (measured(unit="millimetres"), 'findings[0] (nodule-1).measurements[0].unit: "millimetres": not a UCUM unit; write "mm"'),
    "Hounsfield units by their short name": (measured(unit="HU"), "findings[0] (nodule-1).measurements[0].unit: \"HU\": not a UCUM unit; write \"[hnsf'U]\""),
    "a unit nobody knows": (measured(unit="blobs"), 'findings[0] (nodule-1).measurements[0].unit: "blobs": not a UCUM unit, see https://ucum.org'),
    "a number as text": (measured(value="12"), "findings[0] (nodule-1).measurements[0].value: text of 2 characters: write a number"),
    "a confidence in percent": (finding(confidence={"value": 93.4}), "findings[0] (nodule-1).confidence.value: 93.4: write a number of at most 1"),
    "a presence of its own": (finding(presence="maybe"), "findings[0] (nodule-1).presence: \"maybe\": write 'present', 'absent' or 'indeterminate'"),
    "two findings of one id": (a_document(a_finding("a"), a_finding("a")), 'findings: id "a" stands twice; ids are unique'),
    "two algorithms of one id": (a_document(algorithms=a_document()["algorithms"] * 2), 'algorithms: id "a1" stands twice; ids are unique'),
    "an algorithm that is not there": (finding(algorithm="a2"), 'findings[0].algorithm: "a2" is not the id of one of the algorithms'),
    "a code without meaning": (finding(type={"scheme": "SCT", "value": "1"}), "findings[0] (nodule-1).type.meaning: the field is needed"),
    "a meaning of 65 characters": (finding(type=code("SCT", "1", "m" * 65)), "findings[0] (nodule-1).type.meaning: text of 65 characters: write at most 64 characters"),
    "a backslash, which separates values in DICOM": (
        finding(type=code("SCT", "1\\2", "two")),
        "findings[0] (nodule-1).type.value: text of 3 characters: write ASCII letters, digits and signs, without backslash",
    ),
    "an escape character in a comment": (
        finding(comment="\x1b$B"),
        "findings[0] (nodule-1).comment: text of 3 characters: write text without control characters, but for line ends, and not only blanks",
    ),
    "a question without answer": (finding(evaluations=[{"name": NODULE}]), "findings[0] (nodule-1).evaluations[0]: an evaluation takes one of value (a code), text and score"),
    "region and regions": (finding(region=a_box(), regions=[a_box()]), "findings[0] (nodule-1): takes either region or regions, not both"),
    "no region in regions": (finding(regions=[]), "findings[0] (nodule-1).regions: write at least 1, not 0"),
    "a kind of region that does not exist": (
        finding(region={"kind": "blob"}),
        "findings[0] (nodule-1).region: kind is one of box, circle, ellipse, ellipse3d, ellipsoid3d, point, point3d, polygon, polygon3d, polyline, polyline3d, segment",
    ),
    "a polygon of two points": (finding(region=a_polygon(points=[[1, 1], [2, 2]])), "findings[0] (nodule-1).region.points: write at least 3, not 2"),
    "a polygon that is a point": (finding(region=a_polygon(points=[[1, 1]] * 3)), "findings[0] (nodule-1).region: a polygon needs three different points; use polyline or point"),
    "a box by width and height": (
        finding(region=a_box(points=[[30, 25], [20, 15]])),
        "findings[0] (nodule-1).region: a box is [[left, top], [right, bottom]] with left < right and top < bottom",
    ),
    "an ellipse without radii": (finding(region=an_ellipse(radii=None)), "findings[0] (nodule-1).region: an ellipse takes either points (the ends of both axes) or center and radii"),
    "a circle without radius": (
        finding(region={"kind": "circle", "sopInstanceUID": "1.2", "center": [1, 1]}),
        "findings[0] (nodule-1).region: a circle takes either points (centre and a point on it) or center and radius",
    ),
    "an error within several regions": (
        finding(regions=[a_box(), a_box(points=[[1, "x"], [2, 2]])]),
        "findings[0] (nodule-1).regions[1].points[0][1]: text of 1 characters: write a number",
    ),
    "2D and 3D regions of one finding": (finding(regions=[a_box(), in_space("point3d")]), "findings[0] (nodule-1): regions are all 2D or all 3D; write two findings"),
    "several points in space": (
        finding(regions=[in_space("point3d"), in_space("point3d")]),
        "findings[0] (nodule-1): several 3D regions are all polygon3d or all ellipse3d; write a finding for each of the others",
    ),
    "two segments of one finding": (finding(regions=[a_segment(), a_segment()]), "findings[0] (nodule-1): takes one segment and no other region; write a finding for each segment"),
    "a file outside the output folder": (
        finding(region=a_segment(file="../../etc/passwd")),
        "findings[0] (nodule-1).region.file: text of 16 characters: write the name of a file in /gantry/output, without folder",
    ),
    "an id with a blank": (finding(id="nodule 1"), "findings[0].id: text of 8 characters: write letters, digits, dot, underscore and hyphen, a letter or digit first"),
    "a language in words": (a_document(language="German"), 'language: "German": write a language tag such as en-US'),
    "a UID that is a name": (finding(region=a_box(sopInstanceUID="slice-3")), "findings[0] (nodule-1).region.sopInstanceUID: text of 7 characters: write a DICOM UID, digits and dots"),
    "something absent that lies somewhere": (finding(presence="absent", region=a_box()), "findings[0] (nodule-1): a finding that is absent has no region"),
    "images beside a region": (
        finding(region=a_box(), images=["1.2"]),
        "findings[0] (nodule-1): images is for findings without a region; a region names its image itself",
    ),
    "a parameter that is a list": (
        a_document(algorithms=[a_document()["algorithms"][0] | {"parameters": {"weights": [1, 2]}}]),
        "algorithms[0].parameters.weights: a parameter is one line of text, a number, true or false",
    ),
}


@pytest.mark.parametrize(("document", "message"), DOCUMENTS.values(), ids=DOCUMENTS)
def test_a_document_against_the_schema_is_refused_in_one_line(document: Json, message: str) -> None:
    assert refusal(encode(document)).removeprefix("findings.json: ").partition(" (and ")[0] == message


def test_further_faults_are_counted() -> None:
    assert refusal(encode(finding(comment=1, presence=2))).endswith("(and 1 more)")


def test_a_number_larger_than_any_double_is_refused() -> None:
    assert "value" in refusal(encode(measured()).replace(b'"value": 1,', b'"value": 1e999,'))


SECRETS: dict[str, Json] = {
    "in a comment": finding(comment="Müller^Jürgen \x00"),
    "in a meaning": finding(type=code("SCT", "1", "Müller^Jürgen" * 6)),
    "as an id": finding(id="Müller^Jürgen"),
    "as the name of a field": finding(**{"Müller^Jürgen": 1}),
    "as a kind of region": finding(region={"kind": "Müller^Jürgen"}),
    "as a unit": measured(unit="Müller^Jürgen"),
    "in the impression": a_document(summary={"impression": "Müller^Jürgen\x00"}),
}


@pytest.mark.parametrize("document", SECRETS.values(), ids=SECRETS)
def test_a_message_never_quotes_what_may_speak_of_the_patient(document: Json) -> None:
    message = refusal(encode(document))
    assert "ller" not in message
    assert "rgen" not in message


def test_a_uid_is_never_quoted() -> None:
    assert "1.2.840.x" not in refusal(encode(finding(region=a_box(sopInstanceUID="1.2.840.x"))))


ACCEPTED: dict[str, Callable[[], Json]] = {
    "everything there is": everything,
    "a negative result": negative,
    "null for an absent field, as Python writes it": lambda: a_document(a_finding() | {"region": None, "comment": None}),
    "whole numbers": lambda: measured(value=12),
    "no findings, for the pipeline may say what was looked for": a_document,
    "an ellipse by the ends of its axes": lambda: finding(region=an_ellipse(center=None, radii=None, points=[[1, 5], [9, 5], [5, 3], [5, 7]])),
}


@pytest.mark.parametrize("document", ACCEPTED.values(), ids=ACCEPTED)
def test_a_document_by_the_schema_is_read(document: Callable[[], Json]) -> None:
    written = document()
    assert [f.id for f in parsed(written).findings] == [f["id"] for f in written["findings"]]


def test_what_is_read_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        parsed(negative()).language = "de"  # type: ignore[misc]


def test_a_document_survives_writing_and_reading() -> None:
    findings = parsed(everything())
    assert parse_findings(json.dumps(json.loads(findings.model_dump_json(by_alias=True))).encode()) == findings
