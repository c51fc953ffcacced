"""Documents made from the JSON Schema: every valid one becomes a report that passes Gantry's own check, every invalid one is refused in one line.
"""

import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tests.builders_findings import NODULE, a_context, encode, everything
from tests.json_schema import Validator
from tests.schema_documents import DOCUMENTS, SCHEMA, SCHEMA_SOURCE

from gantry.findings import Findings, FindingsError, parse_findings
from gantry.report import build_report, require_valid

VALIDATOR = Validator(SCHEMA)
QUIET = settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much, HealthCheck.large_base_example])


def read(document: dict[str, Any]) -> Findings | str:
    """What was read, or why it was refused."""
    try:
        return parse_findings(encode(document))
    except FindingsError as fault:
        return str(fault)


@QUIET
@given(DOCUMENTS)
def test_a_valid_document_becomes_a_report_that_passes(document: dict[str, Any]) -> None:
    assert VALIDATOR.valid(document)
    findings = read(document)
    assume(not isinstance(findings, str) or "have one" not in findings)  # UIDs that are the same by chance
    assert isinstance(findings, Findings), findings
    reports = build_report(findings, SCHEMA_SOURCE, a_context())
    require_valid(reports, SCHEMA_SOURCE)


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
