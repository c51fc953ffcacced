"""Models -> CustomResourceDefinitions: `python -m gantry.api.crdgen DIRECTORY [CHART]` writes one file a kind, and the chart's copies.

JSON Schema as pydantic writes it is not structural (KEP-2332): references, unions with null and `const` are refused by the API server,
and it silently takes `title`, `default: null` and a `type` beside int-or-string. All of that is mended here, and nothing else decided.
"""

import sys
from pathlib import Path
from typing import Any

import yaml

from gantry.findings.schema import Described

from .backfill import InferenceBackfill
from .base import GROUP, VERSION, Resource
from .bridge import OrthancBridge
from .pipeline import InferencePipeline
from .run import InferenceRun

RESOURCES: tuple[type[Resource], ...] = (OrthancBridge, InferencePipeline, InferenceRun, InferenceBackfill)
HEADER = "# Generated from operator/gantry/api by `make generate`. Do not edit.\n"
_DROPPED = ("title", "discriminator")
_RULES = "x-kubernetes-validations"

Schema = dict[str, Any]


def structural(node: Schema, definitions: dict[str, Schema]) -> Schema:
    """Returns the structural form of one schema node. Raises ValueError on a union other than `T | None`."""
    node = {key: value for key, value in node.items() if key not in _DROPPED}
    if isinstance(node.get("default"), dict):
        node["default"] = _without_null(node["default"])
    if "$ref" in node:
        return structural(_inlined(node, definitions), definitions)
    if node.get("x-kubernetes-int-or-string"):
        return {key: value for key, value in node.items() if key != "type"} | {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    if "anyOf" in node:
        return structural(_unwrapped(node), definitions)
    if "const" in node:
        node["enum"] = [node.pop("const")]
    if node.get("x-kubernetes-preserve-unknown-fields"):
        node.pop("additionalProperties", None)
    elif "properties" in node:
        node.pop("additionalProperties", None)  # a structural schema prunes or refuses unknown fields by itself
        node["properties"] = {name: structural(child, definitions) for name, child in node["properties"].items()}
    for word in ("items", "additionalProperties"):
        if isinstance(node.get(word), dict):
            node[word] = structural(node[word], definitions)
    if node.get("type") == "object" and "maxItems" in node:
        node["maxProperties"] = node.pop("maxItems")
    return node


def _inlined(node: Schema, definitions: dict[str, Schema]) -> Schema:
    """The definition with the reference's siblings on top; the rules of both are kept."""
    target = definitions[node["$ref"].rsplit("/", 1)[1]]
    siblings = {key: value for key, value in node.items() if key != "$ref"}
    rules = target.get(_RULES, []) + siblings.get(_RULES, [])
    return {**target, **siblings, **({_RULES: rules} if rules else {})}


def _without_null(default: Schema) -> Schema:
    """A default for an object, less the fields that are absent by default."""
    return {key: _without_null(value) if isinstance(value, dict) else value for key, value in default.items() if value is not None}


def _unwrapped(node: Schema) -> Schema:
    """`T | None` -> T: for Kubernetes a field is absent, not null."""
    choices = [choice for choice in node["anyOf"] if choice.get("type") != "null"]
    if len(choices) != 1:
        raise ValueError(f"a union cannot be written as a structural schema: {choices}")
    rest = {key: value for key, value in node.items() if key != "anyOf" and not (key == "default" and value is None)}
    return {**choices[0], **rest}


def crd(model: type[Resource]) -> Schema:
    """The CustomResourceDefinition of one kind, as the API server wants it."""
    raw = model.model_json_schema(by_alias=True, schema_generator=Described)
    schema = structural(raw, raw.pop("$defs", {}))
    described = {
        "apiVersion": {"type": "string", "description": f"Always {GROUP}/{VERSION}."},
        "kind": {"type": "string", "description": f"Always {model.kind}."},
        "metadata": {"type": "object"},
    }
    schema["properties"] = {**described, **schema["properties"]}
    columns: list[Schema] = [{"name": name, "type": kind, "jsonPath": path} for name, kind, path in model.columns]
    columns += [{"name": name, "type": kind, "jsonPath": path, "priority": 1} for name, kind, path in model.wide_columns]
    columns.append({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"})
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{model.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": model.kind,
                "listKind": f"{model.kind}List",
                "plural": model.plural,
                "singular": model.kind.lower(),
                "shortNames": [model.short],
                "categories": ["gantry"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    **({"selectableFields": [{"jsonPath": path} for path in model.selectable]} if model.selectable else {}),
                    "additionalPrinterColumns": columns,
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


def render(model: type[Resource]) -> str:
    """The file of one kind: its first line says that it is generated."""
    return HEADER + yaml.safe_dump(crd(model), sort_keys=False, width=140, allow_unicode=True)


def render_for_chart(model: type[Resource]) -> str:
    """The same file as a Helm template. Helm never upgrades what lies in a chart's crds/ folder, so the CRDs are templates like the rest."""
    body = yaml.safe_dump(crd(model), sort_keys=False, width=140, allow_unicode=True).replace("{{", '{{ "{{" }}')
    head, name, rest = body.partition(f"metadata:\n  name: {model.plural}.{GROUP}\n")
    keep = "  {{- if .Values.crds.keep }}\n  annotations:\n    helm.sh/resource-policy: keep\n  {{- end }}\n"
    return f"{HEADER}{{{{- if .Values.crds.enabled }}}}\n{head}{name}{keep}{rest}{{{{- end }}}}\n"


def main(directory: str, chart: str | None = None) -> None:
    """Writes every kind into `directory`, and as templates into the chart's folder `chart`."""
    for model in RESOURCES:
        (Path(directory) / f"{model.plural}.yaml").write_text(render(model), encoding="utf-8")
        if chart:
            (Path(chart) / f"{model.plural}.yaml").write_text(render_for_chart(model), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
