"""The reference manual is what the models say, and it leaves nothing out."""

from pathlib import Path

import pytest

from gantry.api import BridgeReason, PipelineReason, RunReason, labels
from gantry.api.crdgen import RESOURCES, crd
from gantry.api.docgen import api_page, labels_page

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


@pytest.mark.parametrize(("name", "page"), [("api.md", api_page), ("labels.md", labels_page)], ids=["api.md", "labels.md"])
def test_the_committed_page_is_what_the_models_say(name: str, page: object) -> None:
    assert callable(page)
    assert (REFERENCE / name).read_text(encoding="utf-8") == page(), "run `make generate` and commit docs/reference"


def test_every_field_and_every_reason_is_there() -> None:
    text = api_page()
    for model in RESOURCES:
        schema = crd(model)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
        for part in ("spec", "status"):
            assert all(f"`{part}.{name}`" in text for name in schema[part]["properties"])
    for reason in (*BridgeReason, *PipelineReason, *RunReason):
        assert f"| `{reason.value}` |" in text


def test_tables_are_not_broken_by_what_stands_in_them() -> None:
    for line in (api_page() + labels_page()).splitlines():
        if line.startswith("|"):
            assert line.replace("\\|", "").count("|") in (3, 5), line


def test_gantrys_own_labels_are_all_explained() -> None:
    own = [value for name, value in vars(labels).items() if name.isupper() and str(value).startswith("gantry.health/")]
    assert own
    assert all(f"| `{label}` |" in labels_page() for label in own)
