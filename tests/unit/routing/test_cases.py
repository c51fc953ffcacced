"""Studies and rules as a clinician would write them down (cases/*.yaml), each with the decision that must come of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.builders import PIPELINE, changed

from gantry.api import InferencePipeline
from gantry.routing import Decision, SeriesFacts, StudyFacts, compile_rules, decide, decide_all

FILES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))


def study_of(description: dict[str, Any]) -> StudyFacts:
    tags = description["tags"]
    series = tuple(
        SeriesFacts(name, {**tags, **one["tags"]}, one["instances"], own=one.get("own", False), sender=one.get("sender"))
        for name, one in description["series"].items()
    )
    return StudyFacts("study", tags, series)


def pipeline_of(rule: dict[str, Any]) -> InferencePipeline:
    raw = changed(PIPELINE, "spec.match", rule.get("match", {}))
    raw = changed(raw, "spec.template.input.series", rule.get("series", {}))
    raw = changed(raw, "spec.priority", {"rules": rule.get("priority", [])})
    return InferencePipeline.model_validate({"spec": raw["spec"]})


def cases() -> Iterator[Any]:
    for path in FILES:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        for name, case in content["decisions"].items():
            yield pytest.param(study_of(content["study"]), case, id=f"{path.stem}: {name}")


def told(decision: Decision) -> dict[str, str]:
    return {one.orthanc_id: str(one.refusal) for one in decision.series if one.refusal}


@pytest.mark.parametrize(("study", "case"), list(cases()))
def test_a_study_and_a_rule_give_the_decision(study: StudyFacts, case: dict[str, Any]) -> None:
    decision = decide(compile_rules("p", pipeline_of(case["rule"])), study)
    assert (str(decision.refusal) if decision.refusal else None) == case.get("because")
    assert list(decision.selected) == case.get("takes", [])
    assert decision.priority == case.get("class", "Routine")
    assert {name: told(decision)[name] for name in case.get("refuses", {})} == case.get("refuses", {})


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_many_pipelines_at_once_decide_as_each_alone(path: Path) -> None:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    rules = [compile_rules(name, pipeline_of(case["rule"])) for name, case in content["decisions"].items()]
    study = study_of(content["study"])
    assert decide_all(rules, study) == tuple(decide(one, study) for one in rules)
