"""The chart's files that are generated or must agree with each other. What helm makes of them: tests/component/chart."""

from pathlib import Path

import pytest
import yaml

from gantry.api.base import Resource
from gantry.api.crdgen import RESOURCES, render_for_chart

CHART = Path(__file__).parents[3] / "charts" / "gantry"


@pytest.mark.parametrize("model", RESOURCES, ids=lambda m: m.kind)
def test_the_charts_crd_is_what_the_models_say(model: type[Resource]) -> None:
    committed = (CHART / "templates" / "crds" / f"{model.plural}.yaml").read_text(encoding="utf-8")
    assert committed == render_for_chart(model), "run `make generate` and commit charts/gantry/templates/crds/"


def test_every_value_is_in_the_schema_and_the_reverse() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    schema = yaml.safe_load((CHART / "values.schema.json").read_text(encoding="utf-8"))
    assert set(values) == set(schema["properties"]) - {"global"}
