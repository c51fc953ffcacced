"""Pages of the manual that people write: they name everything there is, and nothing that is not."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from typer.main import get_command

from gantry.api import RunReason
from gantry.cli.main import app
from gantry.kube.permissions import PERMISSIONS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def rows(text: str) -> list[list[str]]:
    """Cells of all tables."""
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in text.splitlines() if line.startswith("| ")]


def test_every_value_of_the_chart_is_explained() -> None:
    def names(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
        for name, value in values.items():
            inner = isinstance(value, dict) and value and name != "resources"
            yield from names(value, f"{prefix}{name}.") if inner else [f"{prefix}{name}"]

    values = yaml.safe_load((ROOT / "charts" / "gantry" / "values.yaml").read_text(encoding="utf-8"))
    first_cells = " ".join(row[0] for row in rows(page("install.md")))
    for name in names(values):
        assert f"`{name}`" in first_cells or f"`.{name.rpartition('.')[2]}`" in first_cells, name


def test_the_permissions_that_are_told_are_those_that_are_granted() -> None:
    told: dict[str, set[str]] = {}
    for row in rows(page("install.md")):
        if len(row) == 3 and re.fullmatch(r"[a-z, ]+", row[1]) and {"get", "list", "patch"} & set(row[1].split(", ")):
            for resource in re.findall(r"`([a-z/]+)`", row[0]):
                told[resource] = set(row[1].split(", "))
    granted = {one.name: set(one.verbs) for one in PERMISSIONS if not one.subresource}
    assert {name: verbs for name, verbs in told.items() if not name.startswith("/")} == granted
    assert told["/status"] == {verb for one in PERMISSIONS if one.subresource for verb in one.verbs}


def test_every_command_is_explained() -> None:
    def commands(command: Any, path: str) -> Iterator[str]:
        inner = getattr(command, "commands", None)
        if inner is None:
            yield path
        else:
            for name, child in inner.items():
                yield from commands(child, f"{path} {name}")

    explained = page("reference/cli.md")
    found = list(commands(get_command(app), "gantry"))
    assert len(found) == explained.count("| `gantry ")
    assert all(f"`{command} " in explained or f"`{command}`" in explained for command in found)


def test_every_option_is_explained_beside_its_command() -> None:
    """By its long or its short name; --help and what installs shell completion are told once for all."""
    explained = {row[0]: " ".join(row) for row in rows(page("reference/cli.md")) if row[0].startswith("`gantry ")}

    def check(command: Any, path: str) -> None:
        for name, child in getattr(command, "commands", {}).items():
            check(child, f"{path} {name}")
        if hasattr(command, "commands"):
            return
        (row,) = [words for cell, words in explained.items() if cell.startswith((f"`{path} ", f"`{path}`"))]
        for one in command.params:
            names = {"--help"} if one.param_type_name == "argument" else {*one.opts, *one.secondary_opts}
            assert "--help" in names or any(name in row for name in names), (path, names)

    check(get_command(app), "gantry")


def test_links_inside_the_manual_lead_somewhere() -> None:
    for name in ("install.md", "routing.md", "reference/cli.md", "reference/metrics.md", "reference/api.md"):
        for link in re.findall(r"\]\(([^)#]+\.md|[^)#]+\.json)", page(name)):
            assert (DOCS / name).parent.joinpath(link).exists(), f"{name} -> {link}"


def test_every_reason_a_run_can_have_is_explained() -> None:
    text = page("failures.md")
    sections = re.findall(r"^### (\w+)$", text, re.MULTILINE)
    others = [name for row in rows(text.partition("## Reasons that are no failure")[2].partition("## What")[0]) for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(sections + others) == sorted(RunReason)
    assert all("**Do:**" in part for part in text.split("\n### ")[1:])
