"""The JSON Schema authors use is the one the reader uses."""

import json
from pathlib import Path

from gantry.report import findings_schema

ROOT = Path(__file__).parents[3]


def test_the_committed_schema_is_the_generated_one() -> None:
    """`make generate` writes it."""
    assert json.loads((ROOT / "docs/reference/findings.schema.json").read_text("utf-8")) == findings_schema()


def test_the_schema_refuses_fields_it_does_not_have() -> None:
    schema = findings_schema()
    objects = [schema, *schema["$defs"].values()]
    assert [part["title"] for part in objects if part.get("additionalProperties") is not False] == []


def test_every_field_has_words() -> None:
    schema = findings_schema()
    fields = {f"{part['title']}.{name}": field for part in [schema, *schema["$defs"].values()] for name, field in part["properties"].items()}
    assert [name for name, field in fields.items() if not field.get("description")] == []


def test_every_list_and_text_has_a_bound() -> None:
    def unbounded(node: object, path: str) -> list[str]:
        if isinstance(node, list):
            return [fault for index, each in enumerate(node) for fault in unbounded(each, f"{path}[{index}]")]
        if not isinstance(node, dict):
            return []
        faults = [fault for name, each in node.items() for fault in unbounded(each, f"{path}.{name}")]
        limit = {"array": "maxItems", "string": "maxLength"}.get(str(node.get("type")))
        closed = "const" in node or "enum" in node or path.endswith((".region", ".regions", "propertyNames"))
        return faults if limit is None or limit in node or closed else [*faults, path]

    assert unbounded(findings_schema(), "schema") == []
