"""What an author of an application has of gantry.findings: type checks while writing, and a document Gantry reads."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from gantry.findings import (
    Algorithm,
    BoxRegion,
    Concept,
    Finding,
    Findings,
    FindingsError,
    MeasuredValue,
    parse_findings,
    to_json,
    write_findings,
)

NODULE = Concept(scheme="SCT", value="427359005", meaning="Solitary nodule of lung")
DIAMETER = Concept(scheme="SCT", value="81827009", meaning="Diameter")


def a_document() -> Findings:
    box = BoxRegion(kind="box", sop_instance_uid="2.25.10", points=((10, 20), (30, 45)))
    diameter = MeasuredValue(name=DIAMETER, value=12.1, unit="mm")
    return Findings(
        schema_version="v1alpha1",
        algorithms=(Algorithm(id="nodules", name="LungNoduleNet", version="2.1.0", manufacturer="ACME AI"),),
        evaluated_for=(NODULE,),
        findings=(Finding(id="nodule-1", type=NODULE, presence="present", region=box, measurements=(diameter,)),),
    )


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    path = write_findings(a_document(), tmp_path)
    assert path == tmp_path / "findings.json"
    assert parse_findings(path.read_bytes()) == a_document()
    assert [each.name for each in tmp_path.iterdir()] == ["findings.json"]


def test_fields_are_written_by_their_names_in_json_and_only_if_given() -> None:
    document = json.loads(to_json(a_document()))
    assert set(document) == {"schemaVersion", "algorithms", "evaluatedFor", "findings"}
    assert document["findings"][0]["region"] == {"kind": "box", "sopInstanceUID": "2.25.10", "points": [[10, 20], [30, 45]]}


def test_the_document_goes_where_gantry_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANTRY_OUTPUT", str(tmp_path))
    assert write_findings(a_document()) == tmp_path / "findings.json"


def test_a_wrong_unit_is_refused_while_writing() -> None:
    with pytest.raises(ValidationError, match='not a UCUM unit; write "mm"'):
        MeasuredValue(name=DIAMETER, value=1, unit="millimetres")


def test_a_fault_of_the_document_is_one_line() -> None:
    with pytest.raises(FindingsError) as caught:
        parse_findings(b'{"schemaVersion": "v1alpha1"}')
    assert str(caught.value) == "findings.json: algorithms: the field is needed"


def test_the_package_needs_pydantic_and_nothing_else() -> None:
    """An author's image carries neither numpy nor pydicom for it."""
    code = "import sys, gantry.findings; print(*{name.partition('.')[0] for name in sys.modules}, *[n for n in sys.modules if n.startswith('gantry.')])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"numpy", "pydicom", "highdicom", "yaml", "re2", "gantry.api", "gantry.report"}.isdisjoint(loaded)
