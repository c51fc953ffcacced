"""Models -> the reference manual: `python -m gantry.api.docgen docs/reference` writes api.md (kinds, conditions, reasons) and labels.md.

Everything comes from the schemas that `crdgen` makes and from the docstrings beside reasons and labels; nothing is worded here but headings.
"""

import ast
import inspect
import itertools
import json
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from types import ModuleType

from . import labels, reasons
from .base import API_VERSION, Resource
from .crdgen import RESOURCES, Schema, crd
from .reasons import BackfillReason, BridgeReason, PipelineReason, RunReason

HEADER = "<!-- Generated from operator/gantry/api by `make generate`. Do not edit. -->\n"
_REASONS: dict[str, type[StrEnum]] = {
    "OrthancBridge": BridgeReason,
    "InferencePipeline": PipelineReason,
    "InferenceRun": RunReason,
    "InferenceBackfill": BackfillReason,
}
_RULES = "x-kubernetes-validations"
_ELSEWHERE = {("InferenceRun", "spec.template"): "InferencePipeline"}
"""Fields that are described with another kind already."""
_DURATION = "(ms|s|m|h)"


def api_page() -> str:
    """docs/reference/api.md."""
    listed = "\n".join(f"- [{model.kind}](#{model.kind.lower()}): {_sentence(model.__doc__)}" for model in RESOURCES)
    intro = (
        f"# The API: {API_VERSION}\n\n{listed}\n\nAll kinds belong to a namespace and to the category `gantry` (`kubectl get gantry`). "
        "`kubectl explain KIND.spec` shows the same in a terminal. A field in bold must be given; `[]` stands for each item of a list, `{}` for "
        "each value of a map. Durations are written as 200ms, 30s, 10m or 1h30m.\n"
    )
    return HEADER + intro + "".join(_kind(model) for model in RESOURCES)


def labels_page() -> str:
    """docs/reference/labels.md."""
    rows = [f"| `{getattr(labels, name)}` | {words} |\n" for name, words in _docstrings(labels, "").items() if str(getattr(labels, name)).count("/")]
    return HEADER + "# Labels and annotations\n\nWhat Gantry writes on objects.\n\n| name | meaning |\n|---|---|\n" + "".join(rows)


def _kind(model: type[Resource]) -> str:
    schema = crd(model)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    columns = ", ".join(header for header, _, _ in model.columns)
    wide = f"; with `-o wide` also {', '.join(header for header, _, _ in model.wide_columns)}" if model.wide_columns else ""
    parts = [
        f"\n## {model.kind}\n\n{_sentence(model.__doc__)}\n\n"
        f"Short name `{model.short}`, plural `{model.plural}`. `kubectl get {model.short}` shows {columns}, Age{wide}.\n"
    ]
    for part in ("spec", "status"):
        rows = "".join(_row(model.kind, *field) for field in _fields(model.kind, schema["properties"][part], part))
        parts.append(f"\n### {model.kind} {part}\n\n| field | type | default | meaning |\n|---|---|---|---|\n{rows}")
    if rules := list(_rules(model.kind, schema, "")):
        parts.append(f"\n### {model.kind} rules\n\nThe API server refuses an object that breaks one:\n\n" + "".join(f"- {rule}\n" for rule in rules))
    enum = _REASONS[model.kind]
    described = _docstrings(reasons, enum.__name__)
    rows = "".join(f"| `{reason.value}` | {_cell(described[reason.name])} |\n" for reason in enum)
    parts.append(f"\n### {model.kind} reasons\n\n{_sentence(enum.__doc__)}\n\n| reason | meaning |\n|---|---|\n{rows}")
    return "".join(parts)


def _fields(kind: str, node: Schema, path: str) -> Iterator[tuple[str, Schema, bool]]:
    """Every field below a node, depth first, and whether it must be given."""
    if (kind, path) in _ELSEWHERE:
        return
    for name, child in node.get("properties", {}).items():
        yield f"{path}.{name}", child, name in node.get("required", ())
        inner, inner_path = child, f"{path}.{name}"
        while nested := _inside(inner):
            inner, inner_path = nested[0], inner_path + nested[1]
        yield from _fields(kind, inner, inner_path)


def _inside(node: Schema) -> tuple[Schema, str] | None:
    """What a list or a map holds."""
    if node.get("type") == "array":
        return node["items"], "[]"
    if isinstance(node.get("additionalProperties"), dict):
        return node["additionalProperties"], "{}"
    return None


def _row(kind: str, path: str, node: Schema, required: bool) -> str:
    name = f"**`{path}`**" if required and path.startswith("spec") else f"`{path}`"
    default = node.get("default")
    worth_saying = default is not None and default != "" and not isinstance(default, list | dict)
    shown = f"`{default if isinstance(default, str) else json.dumps(default)}`" if worth_saying else ""
    meaning = node.get("description", "")
    if other := _ELSEWHERE.get((kind, path)):
        meaning += f" Its fields: [{other}](#{other.lower()}-spec)."
    return f"| {name} | {_cell(_type(node))} | {_cell(shown)} | {_cell(meaning)} |\n"


def _type(node: Schema) -> str:
    if node.get("x-kubernetes-int-or-string"):
        return "quantity"
    if "enum" in node:
        return ", ".join(f"`{value}`" for value in node["enum"])
    if nested := _inside(node):
        most = node.get("maxItems") or node.get("maxProperties")
        return f"{'list' if nested[1] == '[]' else 'map'} of {_type(nested[0])}{f', at most {most}' if most else ''}"
    if node.get("format") in ("date-time", "date"):
        return "time" if node["format"] == "date-time" else "day"
    if node.get("x-kubernetes-preserve-unknown-fields"):
        return "free object"
    if _DURATION in node.get("pattern", ""):
        return "duration"
    low, high = node.get("minimum"), node.get("maximum")
    between = f", {low} to {high}" if low is not None and high is not None else f", {low} or more" if low is not None else ""
    return f"{node.get('type', 'object')}{between}"


def _rules(kind: str, node: Schema, path: str) -> Iterator[str]:
    """The messages of the CEL rules, with the field they stand at."""
    for rule in node.get(_RULES, ()):
        yield f"`{path}`: {_cell(rule['message'])}" if path else _cell(rule["message"])
    if (kind, path) in _ELSEWHERE:
        return
    for name, child in node.get("properties", {}).items():
        yield from _rules(kind, child, f"{path}.{name}".lstrip("."))
    if nested := _inside(node):
        yield from _rules(kind, nested[0], path + nested[1])


def _docstrings(module: ModuleType, cls: str) -> dict[str, str]:
    """The string below each assignment, of a module or of a class in it: Python throws them away when it runs."""
    body = ast.parse(inspect.getsource(module)).body
    if cls:
        body = next(node.body for node in body if isinstance(node, ast.ClassDef) and node.name == cls)
    found = {}
    for node, following in itertools.pairwise(body):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and isinstance(following, ast.Expr):
            words = ast.literal_eval(following.value)
            found[node.targets[0].id] = " ".join(str(words).split())
    return found


def _sentence(words: str | None) -> str:
    return _cell((words or "").strip().partition("\n\n")[0])


def _cell(words: str) -> str:
    """Text for one cell of a table."""
    return " ".join(words.split()).replace("|", "\\|").replace("<", "&lt;")


def main(directory: str) -> None:
    """Writes both pages."""
    (Path(directory) / "api.md").write_text(api_page(), encoding="utf-8")
    (Path(directory) / "labels.md").write_text(labels_page(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
