"""What findings say to a pipeline that starts after them."""

import json
from typing import Any

import pytest
from tests.builders_findings import a_document, a_finding

from gantry.bridge import findings_document, findings_refusal
from gantry.routing import compile_findings_condition

FAILS = "after.when cannot be answered: "
PRESENT = "findings.exists(f, f.presence == 'present')"
NODULE = "findings.exists(f, f.type.value == '427359005' && f.presence == 'present')"
SAID: dict[str, tuple[str, dict[str, Any], str]] = {
    "a finding of the type": (NODULE, a_document(a_finding(presence="present")), ""),
    "a finding that does not say its presence is there": (PRESENT, a_document({k: v for k, v in a_finding().items() if k != "presence"}), ""),
    "absent": (PRESENT, a_document(a_finding(presence="absent")), "after.when does not hold"),
    "nothing found": (PRESENT, a_document(), "after.when does not hold"),
    "the whole document": ("document.algorithms[0].name != ''", a_document(), ""),
    "a measurement": (
        "findings.exists(f, f.measurements.exists(m, m.value > 6.0))",
        a_document(a_finding(measurements=[{"name": {"scheme": "DCM", "value": "1", "meaning": "x"}, "value": 8.5, "unit": "mm"}])), "",
    ),
    "a key that is not there, of the expression": ("findings[0].nothing == 1", a_document(a_finding()), f'{FAILS}Key not found in map : "nothing"'),
    "a key that came from the findings": (
        "{'a': 1}[findings[0].comment] == 1", a_document(a_finding(comment="Müller^Jürgen")), f'{FAILS}Key not found in map : "…"',
    ),
}  # fmt: skip


@pytest.mark.parametrize(("expression", "document", "want"), SAID.values(), ids=SAID.keys())
def test_it_says(expression: str, document: dict[str, Any], want: str) -> None:
    read = findings_document(json.dumps(document).encode())
    assert findings_refusal(compile_findings_condition(expression), read) == want


def test_without_a_condition_every_document_counts() -> None:
    assert findings_refusal(None, findings_document(json.dumps(a_document()).encode())) == ""


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'"x"', b'{"findings": 3}', "\udcff".encode("utf-8", "surrogateescape")])
def test_what_is_no_document_says_that_there_is_none(content: bytes) -> None:
    assert findings_document(content) is None
    assert findings_refusal(None, None).startswith("Orthanc keeps no findings.json of this Run: ")


def test_a_condition_that_explodes_is_stopped() -> None:
    read = findings_document(json.dumps({"findings": [{"id": str(number)} for number in range(1000)]}).encode())
    condition = compile_findings_condition("findings.all(f, findings.all(g, f.id + g.id != 'x'))")
    assert findings_refusal(condition, read).startswith(f"{FAILS}it could take too long on so large a ")
