"""The CRDs are what the models say, and follow the rules the API server enforces."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gantry.api.base import Resource
from gantry.api.crdgen import RESOURCES, crd, render, structural

CRDS = Path(__file__).parents[2] / "crds"


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for word in ("items", "additionalProperties"):
        if isinstance(schema.get(word), dict):
            yield from nodes(schema[word], f"{path}[]")


def schema_of(model: type[Resource]) -> dict[str, Any]:
    schema = crd(model)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert isinstance(schema, dict)
    return schema


@pytest.mark.parametrize("model", RESOURCES, ids=lambda m: m.kind)
def test_the_committed_file_is_what_the_models_say(model: type[Resource]) -> None:
    assert (CRDS / f"{model.plural}.yaml").read_text(encoding="utf-8") == render(model), "run `make generate` and commit crds/"


@pytest.mark.parametrize("model", RESOURCES, ids=lambda m: m.kind)
def test_every_field_is_explained_and_bounded(model: type[Resource]) -> None:
    """`kubectl explain` is the first manual page, and the API server prices CEL rules by the bounds."""
    for path, node in nodes(schema_of(model)):
        if path.startswith((".apiVersion", ".kind", ".metadata")) or not path:
            continue
        if not path.endswith("[]"):
            assert node.get("description"), f"{model.kind}{path} has no description"
        if node.get("type") == "array":
            assert "maxItems" in node, f"{model.kind}{path} has no maxItems"
        if node.get("type") == "string":
            assert {"maxLength", "enum", "format"} & set(node), f"{model.kind}{path} has no maxLength"


@pytest.mark.parametrize("model", RESOURCES, ids=lambda m: m.kind)
def test_nothing_stands_in_the_schema_that_the_api_server_takes_silently(model: type[Resource]) -> None:
    for path, node in nodes(schema_of(model)):
        assert "title" not in node, path
        assert "$ref" not in node, path
        assert node.get("default", "") is not None, path
        if node.get("x-kubernetes-int-or-string"):
            assert "type" not in node, path


def test_a_real_union_is_refused() -> None:
    with pytest.raises(ValueError, match="a union cannot be written as a structural schema"):
        structural({"anyOf": [{"type": "string"}, {"type": "integer"}]}, {})
