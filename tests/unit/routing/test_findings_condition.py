"""`after.when`: CEL over the findings document of the Run before."""

from typing import Any

import pytest

from gantry.routing import ConditionFailed, InvalidExpression, compile_findings_condition

BLEEDING = {"id": "a", "type": {"scheme": "SCT", "value": "50960005"}, "presence": "present", "confidence": {"value": 0.93}}
DOCUMENT: dict[str, Any] = {"schemaVersion": "v1alpha1", "findings": [BLEEDING, {**BLEEDING, "id": "b", "presence": "absent", "measurements": []}]}

HOLDS = {
    "a finding of a type": ("findings.exists(f, f.type.value == '50960005' && f.presence == 'present')", True),
    "another type": ("findings.exists(f, f.type.value == '1')", False),
    "as sure as that": ("findings.exists(f, f.confidence.value > 0.9)", True),
    "how many": ("findings.filter(f, f.presence == 'present').size() > 1", False),
    "the document itself": ("document.schemaVersion == 'v1alpha1'", True),
    "what may be absent": ("findings.all(f, f.?measurements.orValue([]).size() == 0)", True),
    "a number in a text": ("findings.exists(f, double(f.type.value) > 50.0)", True),
}


@pytest.mark.parametrize(("text", "holds"), HOLDS.values(), ids=HOLDS.keys())
def test_a_condition_holds_or_not(text: str, holds: bool) -> None:
    assert compile_findings_condition(text).holds(DOCUMENT) is holds


def test_no_findings_at_all_is_an_empty_list() -> None:
    assert compile_findings_condition("findings.size() == 0").holds({})


def test_a_condition_that_fails_names_the_key() -> None:
    with pytest.raises(ConditionFailed, match='Key not found in map : "volume"'):
        compile_findings_condition("findings.all(f, f.volume > 1)").holds(DOCUMENT)


def test_a_condition_that_could_take_too_long_fails() -> None:
    condition = compile_findings_condition("findings.map(a, findings.map(b, b.id)).size() > 0")
    with pytest.raises(ConditionFailed, match="it could take too long"):
        condition.holds({"findings": [BLEEDING] * 2000})


def test_comparing_all_of_a_large_document_again_and_again_fails() -> None:
    condition = compile_findings_condition("findings.all(f, document == document)")
    assert condition.holds(DOCUMENT)
    with pytest.raises(ConditionFailed, match="it could take too long"):
        condition.holds({"findings": [BLEEDING] * 1000})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("findings.exists(f, f.presence = 'present')", "spec.after.when, line 1, column 31: Syntax error: token recognition error"),
        ("study.instances > 1", "spec.after.when, line 1, column 6: undeclared reference to 'study.instances'; variables here: findings, document"),
        ("findings", "spec.after.when, line 1, column 1: it gives a list, not true or false; compare it with something"),
    ],
    ids=["syntax", "a variable of other expressions", "no truth value"],
)
def test_a_condition_that_is_none_says_where(text: str, message: str) -> None:
    with pytest.raises(InvalidExpression) as told:
        compile_findings_condition(text)
    assert str(told.value).startswith(message)
