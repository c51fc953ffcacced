"""Every query of the alerts, of the dashboard and of the manual names metrics and labels that the operator has, and Prometheus' grammar takes it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.queries import problems

from gantry.runtime import measures

ROOT = Path(__file__).parents[3]
CHART = ROOT / "charts" / "gantry"
DASHBOARD = json.loads((CHART / "dashboards" / "gantry.json").read_text(encoding="utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
ALERTS = [rule for group in yaml.safe_load((CHART / "alerts.yaml").read_text(encoding="utf-8")) for rule in group["rules"]]
PAGES = {path.stem for path in (ROOT / "docs" / "failures").glob("*.md")}
MANUAL = (ROOT / "docs" / "observability.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("query", "wanted"),
    {
        "what there is": ('sum by (state) (gantry_runs{namespace="a"})', []),
        "a metric that is none": ("gantry_run", ["gantry_run is no metric"]),
        "a histogram without its series": ("gantry_run_seconds", ["gantry_run_seconds is no metric"]),
        "a label that is none": ('gantry_runs{pipeline="a"}', ["gantry_runs has no label pipeline"]),
        "a sum by a label that is none": ("sum by (bridge) (gantry_runs)", ["bridge is no label of gantry_runs"]),
        "a match by a label that is none": ("gantry_runs / on (bridge) gantry_leader", ["bridge is no label there"]),
        "a rate of a gauge": ("rate(gantry_runs[5m])", ["rate of gantry_runs, which is a gauge"]),
        "a slope of a counter": ("deriv(gantry_api_calls_total[5m])", ["deriv of gantry_api_calls_total, which is a counter"]),
        "a quantile without le": ("histogram_quantile(0.5, sum by (pipeline) (rate(gantry_run_seconds_bucket[5m])))", ["histogram_quantile of a sum without le"]),
        "a quantile of a sum": ("histogram_quantile(0.5, gantry_run_seconds_sum)", ["histogram_quantile of what are no buckets"]),
        "no metric": ("1 + 1", ["it names no metric"]),
    }.values(),
    ids=str,
)  # fmt: skip
def test_the_check_finds(query: str, wanted: list[str]) -> None:
    assert problems(query) == wanted


def test_the_check_finds_what_is_no_promql() -> None:
    assert problems("sum by (state) (gantry_runs")


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_what_there_is_and_has_a_page(rule: dict[str, Any]) -> None:
    assert problems(rule["expr"].replace("{{ .Release.Namespace }}", "radiology")) == []
    page = (ROOT / "docs" / "failures" / f"{rule['page']}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {rule['alert']}: ")
    for part in ("**What it means.**", "**Look.**"):
        assert part in page
    assert set(re.findall(r"gantry_\w+", page)) <= {one.name for one in measures.ALL}
    for label in re.findall(r"\$labels\.(\w+)", rule["summary"] + rule["description"]):
        assert label in rule["expr"] or any(label in one.labels for one in measures.ALL if one.name in rule["expr"])
    assert f"[{rule['alert']}](failures/{rule['page']}.md)" in MANUAL


def test_every_page_about_an_alert_has_its_alert() -> None:
    assert {rule["page"] for rule in ALERTS} == {stem for stem in PAGES if (ROOT / "docs" / "failures" / f"{stem}.md").read_text(encoding="utf-8").startswith("# Gantry")}


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_asks_for_what_there_is(panel: dict[str, Any]) -> None:
    assert panel["description"]
    for target in panel["targets"]:
        assert problems(target["expr"]) == []
        grouped = {label.strip() for labels in re.findall(r"by \(([\w, ]+)\)", target["expr"]) for label in labels.split(",")}
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= grouped


def test_panels_do_not_overlap_and_fill_their_rows() -> None:
    cells = [(x, y) for panel in DASHBOARD["panels"] for place in [panel["gridPos"]] for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_the_queries_of_the_manual_are_right() -> None:
    blocks = re.findall(r"```promql\n(.*?)```", MANUAL, re.DOTALL)
    queries = [line for block in blocks for line in block.splitlines() if line and not line.startswith("#")]
    assert queries
    assert {query: found for query in queries if (found := problems(query))} == {}
