"""Plain JSON and CSV of an application become findings by report.mapping, or are refused by file, rule and path."""

import json
from typing import Any

import pytest
from tests.builders_findings import a_context

from gantry.api.mapping import MappedFinding
from gantry.api.pipeline import Algorithm
from gantry.report import InvalidFindings, InvalidReport, mapped, parse_findings

SPLEEN = {"scheme": "SCT", "value": "78961009", "meaning": "Spleen"}
VOLUME = {"scheme": "SCT", "value": "118565006", "meaning": "Volume"}
BLEEDING = {"scheme": "SCT", "value": "50960005", "meaning": "Hemorrhage"}
GRADE = {"scheme": "SCT", "value": "371469007", "meaning": "Grade"}
HIGH = {"scheme": "SCT", "value": "75540009", "meaning": "High"}
MAKER = {"name": "Triage", "version": "2", "manufacturer": "Test"}
CONTEXT = a_context(algorithm=Algorithm.model_validate(MAKER))
THRESHOLD = {"file": "out.json", "type": BLEEDING, "presence": {"path": "/p", "atLeast": 0.5}, "confidence": "/p"}
WORDS = {"file": "out.json", "type": BLEEDING, "presence": {"path": "/p", "present": ["yes", "true", "1"], "absent": ["no", "false", "0"]}}
MEASURED = {"file": "out.json", "type": SPLEEN, "measurements": [{"name": VOLUME, "path": "/organs/0/ml", "unit": "ml"}]}
GRADED = {"file": "out.json", "type": BLEEDING, "evaluations": [{"name": GRADE, "path": "/grade", "codes": [{"value": "3", "code": HIGH}]}]}


def made(rule: dict[str, Any], *contents: str) -> list[dict[str, Any]]:
    """Findings as JSON, read by the models that read every findings.json."""
    document = mapped([MappedFinding.model_validate(rule)], {rule["file"]: [text.encode() for text in contents]}, CONTEXT)
    read = parse_findings(document).model_dump(mode="json", by_alias=True, exclude_defaults=True)
    assert read["algorithms"] == [{"id": "application", **MAKER}]
    findings: list[dict[str, Any]] = read.get("findings", [])
    return findings


PRESENCE = {
    "a number above the threshold": (THRESHOLD, {"p": 0.93}, "present"),
    "the threshold itself": (THRESHOLD, {"p": 0.5}, "present"),
    "a number below it": (THRESHOLD, {"p": 0.49}, "absent"),
    "a number as text": (THRESHOLD, {"p": " 0.7 "}, "present"),
    "a number up to the limit": (THRESHOLD | {"presence": {"path": "/p", "atMost": 0}}, {"p": 0}, "present"),
    "a number beyond the limit": (THRESHOLD | {"presence": {"path": "/p", "atMost": 0}}, {"p": 0.1}, "absent"),
    "a word that means present": (WORDS, {"p": "yes"}, "present"),
    "a word that means absent": (WORDS, {"p": "no"}, "absent"),
    "true as JSON writes it": (WORDS, {"p": True}, "present"),
    "a number as JSON writes it": (WORDS, {"p": 0}, "absent"),
    "any other word, where no word is said to mean absent": (THRESHOLD | {"presence": {"path": "/q", "present": ["yes"]}}, {"p": 0.1, "q": "?"}, "absent"),
}


@pytest.mark.parametrize(("rule", "document", "presence"), PRESENCE.values(), ids=PRESENCE)
def test_a_value_says_whether_it_is_there(rule: dict[str, Any], document: dict[str, Any], presence: str) -> None:
    (finding,) = made(rule, json.dumps(document))
    assert (finding["id"], finding["type"], finding["presence"]) == ("finding-1", BLEEDING, presence)


def test_a_number_becomes_a_measurement_at_its_site() -> None:
    (finding,) = made(MEASURED | {"sites": [SPLEEN]}, json.dumps({"organs": [{"ml": 210.5}]}))
    assert finding["measurements"] == [{"name": VOLUME, "value": 210.5, "unit": "ml"}]
    assert finding["sites"] == [{"location": SPLEEN}]


def test_a_value_becomes_a_coded_answer_or_a_text() -> None:
    assert made(GRADED, '{"grade": 3}')[0]["evaluations"] == [{"name": GRADE, "value": HIGH}]
    free = GRADED | {"evaluations": [{"name": GRADE, "path": "/grade"}]}
    assert made(free, '{"grade": "III a"}')[0]["evaluations"] == [{"name": GRADE, "text": "III a"}]


def test_each_item_of_a_list_becomes_a_finding() -> None:
    rule = {"file": "out.json", "rows": "/lesions", "type": BLEEDING, "measurements": [{"name": VOLUME, "path": "/ml", "unit": "ml"}]}
    findings = made(rule, json.dumps({"lesions": [{"ml": 1}, {"ml": 2.5}]}))
    assert [(one["id"], one["measurements"][0]["value"]) for one in findings] == [("finding-1", 1.0), ("finding-2", 2.5)]
    assert made(rule, '{"lesions": []}') == []


def test_each_line_of_a_csv_file_becomes_a_finding() -> None:
    rule = {"file": "lesions.csv", "type": BLEEDING, "measurements": [{"name": VOLUME, "path": "/volume (ml)", "unit": "ml", "optional": True}]}
    findings = made(rule, '\ufeffname,volume (ml)\r\n"a, b",1.5\r\nc,\r\n')
    assert [one.get("measurements", []) for one in findings] == [[{"name": VOLUME, "value": 1.5, "unit": "ml"}], []]


def test_what_is_optional_may_be_missing() -> None:
    rule = {
        "file": "out.json", "type": BLEEDING,
        "measurements": [{"name": VOLUME, "path": "/ml", "unit": "ml", "optional": True}],
        "evaluations": [{"name": GRADE, "path": "/grade", "optional": True}],
    }  # fmt: skip
    assert made(rule, '{"ml": null}') == [{"id": "finding-1", "type": BLEEDING}]


REFUSED = {
    "no file": (MEASURED, [], "report.mapping[0]: the application left no out.json"),
    "two files": (MEASURED, ["{}", "{}"], "report.mapping[0]: 2 files are named out.json; give the path of one"),
    "not JSON": (MEASURED, ["{'a': 1}"], "report.mapping[0]: out.json is not JSON"),
    "nested without end": (MEASURED, ["[" * 100_000], "report.mapping[0]: out.json is not JSON"),
    "nothing there": (MEASURED, ['{"organs": []}'], "report.mapping[0].measurements[0]: out.json has nothing at /organs/0/ml"),
    "a path through a number": (MEASURED, ['{"organs": 5}'], "report.mapping[0].measurements[0]: out.json has nothing at /organs/0/ml"),
    "an index that is none": (MEASURED, ['{"organs": {"x": 1}}'], "report.mapping[0].measurements[0]: out.json has nothing at /organs/0/ml"),
    "null": (MEASURED, ['{"organs": [{"ml": null}]}'], "report.mapping[0].measurements[0]: out.json has nothing at /organs/0/ml"),
    "no number": (MEASURED, ['{"organs": [{"ml": "Doe"}]}'], "report.mapping[0].measurements[0]: what out.json has at /organs/0/ml is no finite number"),
    "not finite": (MEASURED, ['{"organs": [{"ml": NaN}]}'], "report.mapping[0].measurements[0]: what out.json has at /organs/0/ml is no finite number"),
    "larger than a number": (MEASURED, ['{"organs": [{"ml": 1' + "0" * 400 + "}]}"], "report.mapping[0].measurements[0]: what out.json has at /organs/0/ml is no finite number"),
    "true is no number": (MEASURED, ['{"organs": [{"ml": true}]}'], "report.mapping[0].measurements[0]: what out.json has at /organs/0/ml is no finite number"),
    "a word of neither list": (WORDS, ['{"p": "perhaps"}'], "report.mapping[0].presence: what out.json has at /p is neither in present nor in absent"),
    "a list as a word": (WORDS, ['{"p": ["yes"]}'], "report.mapping[0].presence: what out.json has at /p is no text, number, true or false"),
    "an answer without code": (GRADED, ['{"grade": 4}'], "report.mapping[0].evaluations[0]: what out.json has at /grade is none of the values in codes"),
    "rows that are none": (MEASURED | {"rows": "/organs"}, ['{"organs": {}}'], "report.mapping[0].rows: out.json has no list at /organs"),
    "a broken line": (MEASURED | {"file": "out.csv"}, ['a,b\n"x'], "report.mapping[0]: out.csv is not CSV"),
}


@pytest.mark.parametrize(("rule", "contents", "words"), REFUSED.values(), ids=REFUSED)
def test_a_file_that_says_something_else_is_refused_without_its_values(rule: dict[str, Any], contents: list[str], words: str) -> None:
    with pytest.raises(InvalidFindings) as refused:
        made(rule, *contents)
    assert str(refused.value) == words


def test_a_file_in_another_character_set_is_refused() -> None:
    with pytest.raises(InvalidFindings, match="is not UTF-8"):
        mapped([MappedFinding.model_validate(MEASURED)], {"out.json": ["{}ä".encode("latin-1")]}, CONTEXT)


def test_a_pipeline_that_names_no_algorithm_is_told() -> None:
    with pytest.raises(InvalidReport, match=r"report\.algorithm of the pipeline is missing"):
        mapped([MappedFinding.model_validate(MEASURED)], {"out.json": [b"{}"]}, a_context(algorithm=None))
