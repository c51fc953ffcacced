"""Every alert of the chart, evaluated by Prometheus' own code over hours of made-up scrapes: it fires when it should, not before, and not when all is well.

A scrape and an evaluation come every 30 s. A series is written as promtool reads it: `1+0x20` is 1 and twenty times more, `0+60x10` grows by 60 each
time, `_x4` is missing in four scrapes. Text that a rule fills in (`summary`) is compared word for word.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.component.chart.conftest import Render, of_kind
from tests.component.promtool import promtool, said

MINUTE, HOUR = 2, 120
"""Scrapes."""
POD = 'namespace="radiology",pod="gantry-1"'


def steady(value: float, scrapes: int) -> str:
    return f"{value:g}+0x{scrapes - 1}"


@dataclass(frozen=True)
class Case:
    """What is scraped, when the alert fires and when it does not, both in minutes from the start."""

    series: dict[str, str]
    fires: dict[float, tuple[dict[str, str], str]] = field(default_factory=dict)
    """By the minute: the alert's labels without severity, and its summary."""
    silent: tuple[float, ...] = ()


LEADS, STANDS_BY = f"gantry_leader{{{POD}}}", 'gantry_leader{namespace="radiology",pod="gantry-2"}'
NOBODY: tuple[dict[str, str], str] = ({}, "No operator works in namespace radiology")
SILENCE = f'gantry_watch_silence_seconds{{{POD},watch="/api/v1/pods"}}'
WATCH = {"namespace": "radiology", "pod": "gantry-1", "watch": "/api/v1/pods"}
QUEUE, QUEUED = f'gantry_queue_oldest_seconds{{{POD},queue="main"}}', {"namespace": "radiology", "pod": "gantry-1", "queue": "main"}
REACHABLE, BRIDGE = f'gantry_bridge_reachable{{{POD},bridge="main"}}', {"namespace": "radiology", "pod": "gantry-1", "bridge": "main"}
POLLED = f'gantry_bridge_poll_age_seconds{{{POD},bridge="main"}}'
GOOD = f'gantry_runs_finished_total{{{POD},pipeline="ct",state="Succeeded",reason=""}}'
BAD = f'gantry_runs_finished_total{{{POD},pipeline="ct",state="Failed",reason="StepFailed"}}'
WORSE = f'gantry_runs_finished_total{{{POD},pipeline="ct",state="Failed",reason="OutOfMemory"}}'
FAILING = ({"namespace": "radiology", "pipeline": "ct"}, "More than a fifth of the Runs of ct failed within an hour")
PACS = {"namespace": "radiology", "pod": "gantry-1", "destination": "pacs"}
ENDED = f'gantry_deliveries_total{{{POD},destination="pacs",state="Failed"}}'
COMMITTED = f'gantry_deliveries_total{{{POD},destination="pacs",state="Committed"}}'
LOST = (PACS | {"state": "Failed"}, "Results were not delivered to pacs")
AWAY = f'gantry_destinations_away{{{POD},destination="pacs"}}'
OPEN = f'gantry_deliveries_open{{{POD},destination="pacs",state="Sent"}}'
OPEN_AFTER = 'gantry_deliveries_open{namespace="radiology",pod="gantry-2",destination="pacs",state="Sent"}'
UNCONFIRMED = ({"namespace": "radiology", "destination": "pacs"}, "pacs has not confirmed results it was sent")
OLDEST = f'gantry_delivery_oldest_seconds{{{POD},destination="pacs"}}'

CASES: dict[str, dict[str, Case]] = {
    "GantryOperatorDown": {
        "one leads, one stands by": Case({LEADS: steady(1, 40), STANDS_BY: steady(0, 40)}, silent=(0, 10, 19)),
        "the leader ends, the other follows within a minute": Case({LEADS: "1+0x9 0+0x29", STANDS_BY: "0+0x10 1+0x28"}, silent=(4, 5, 6, 8)),
        "nobody leads from minute 5 to 10": Case({LEADS: "1+0x9 0+0x9 1+0x9"}, fires={6: NOBODY, 9: NOBODY}, silent=(4.5, 5.5, 10, 12)),
        "nobody is scraped any more": Case({LEADS: "1+0x9 stale"}, fires={6: NOBODY}, silent=(4.5, 5.5)),
        "another namespace's operator leads": Case({'gantry_leader{namespace="cardiology",pod="x"}': steady(1, 10)}, fires={1: NOBODY}, silent=(0.5,)),
    },
    "GantryWatchStale": {
        "bookmarks come each minute": Case({SILENCE: "0+30x2 0+30x2 0+30x2 0+30x20"}, silent=(0, 1, 2, 3, 4, 5, 6)),
        "silent from minute 0 on": Case(
            {SILENCE: "0+30x20"}, fires={5: (WATCH, "The operator has heard nothing of /api/v1/pods for 5m 0s")}, silent=(2.5, 3, 4.5),
        ),
    },
    "GantryQueueOld": {
        "something waits for a minute": Case({QUEUE: "0+30x2 0+0x40"}, silent=(1, 5, 10)),
        "a burst that is through after four minutes": Case({QUEUE: "0+30x8 0+0x20"}, silent=(2, 4, 6, 10)),
        "it grows": Case(
            {QUEUE: "0+30x30"}, fires={7: (QUEUED, "The operator does not keep up: the oldest object has waited 7m 0s")}, silent=(1, 2, 6),
        ),
    },
    "GantryBridgeUnreachable": {
        "reachable": Case({REACHABLE: steady(1, 40)}, silent=(0, 6, 19)),
        "a restart of Orthanc": Case({REACHABLE: "1+0x3 0+0x7 1+0x20"}, silent=(2, 5, 6, 10)),
        "a suspended bridge is not told": Case({LEADS: steady(1, 40)}, silent=(10,)),
        "away from minute 2 on": Case(
            {REACHABLE: "1+0x3 0+0x30"}, fires={7: (BRIDGE, "Orthanc of bridge main does not answer")}, silent=(1, 2, 6.5),
        ),
    },
    "GantryBridgeBehind": {
        "read each second": Case({POLLED: steady(1, 60), REACHABLE: steady(1, 60)}, silent=(0, 29)),
        "Orthanc is away: another alert says so": Case({POLLED: "0+30x60", REACHABLE: steady(0, 60)}, silent=(11, 29)),
        "never to its end": Case(
            {POLLED: "0+30x60", REACHABLE: steady(1, 60)},
            fires={10.5: (BRIDGE, "Bridge main is behind: Orthanc's change log was last read to its end 10m 30s ago")}, silent=(5, 10),
        ),
    },
    "GantryRunsFailing": {
        "all well": Case({GOOD: "0+1x240"}, silent=(30, 60, 120)),
        "one of one: the Run tells that itself": Case({BAD: f"0+0x20 {steady(1, 200)}"}, silent=(9, 10, 11, 60, 100)),
        "three of a hundred": Case({GOOD: "0+1x240", BAD: "0+0x20 1+0x20 2+0x20 3+0x150"}, silent=(10, 30, 31, 60, 90)),
        "three of three, new to Prometheus": Case({BAD: f"_x20 {steady(3, 100)}"}, fires={10: FAILING, 50: FAILING}, silent=(9.5,)),
        "three of three, one after another": Case({BAD: f"_x20 1+0x9 2+0x9 {steady(3, 160)}"}, fires={20: FAILING, 60: FAILING}, silent=(10, 15, 19.5, 82)),
        "a third of all, of two reasons": Case({GOOD: "0+2x240", BAD: "0+0x60 0+1x180", WORSE: "0+0x60 0+1x180"}, fires={70: FAILING, 110: FAILING}, silent=(29,)),
        "an hour after the last": Case({BAD: f"0+1x5 {steady(5, 200)}"}, fires={30: FAILING}, silent=(1, 65, 100)),
    },
    "GantryDeliveryFailed": {
        "delivered": Case({COMMITTED: "0+1x100", ENDED: steady(0, 100)}, silent=(0, 20, 49)),
        "one was given up in minute 5, and no more": Case({ENDED: f"0+0x9 {steady(1, 90)}"}, fires={5.5: LOST, 19: LOST}, silent=(4.5, 20.5, 40)),
        "the first there ever was": Case({ENDED: f"_x10 {steady(1, 90)}"}, fires={5: LOST, 19: LOST}, silent=(4.5, 20.5, 40)),
    },
    "GantryDestinationAway": {
        "there": Case({AWAY: steady(0, 60)}, silent=(0, 29)),
        "away for nine minutes": Case({AWAY: "0+0x3 1+1x17 0+0x30"}, silent=(5, 11, 15)),
        "away from minute 2 on": Case({AWAY: "0+0x3 1+1x50"}, fires={12: (PACS, "pacs takes no results")}, silent=(3, 11.5)),
    },
    "GantryDeliveryNotCommitted": {
        "confirmed within minutes": Case({OPEN: "1+0x9 0+0x9 2+0x9 0+0x9 1+0x9 0+0x40"}, silent=(0, 4, 15, 25, 40)),
        "always something": Case({OPEN: "0+0x9 1+0x19 3+0x80"}, fires={35: UNCONFIRMED, 45: UNCONFIRMED}, silent=(5, 20, 34.5)),
        "an operator that has just started": Case({OPEN: f"_x20 {steady(2, 100)}"}, fires={40: UNCONFIRMED}, silent=(10, 11, 20, 39.5)),
        "the operator is replaced meanwhile": Case(
            {OPEN: "1+0x39 stale", OPEN_AFTER: "_x40 1+0x80"}, fires={30: UNCONFIRMED, 40: UNCONFIRMED}, silent=(29.5,),
        ),
        "and is away for a minute: the half hour begins anew": Case(
            {OPEN: "1+0x39 stale", OPEN_AFTER: "_x42 1+0x80"}, fires={51: UNCONFIRMED}, silent=(29.5, 40, 50.5),
        ),
    },
    "GantryDeliveryPending": {
        "young": Case({OLDEST: "0+30x60 0+30x60"}, silent=(0, 30, 59)),
        "an hour": Case({OLDEST: "0+30x140"}, fires={60.5: (PACS, "A result has waited 1h 0m 30s for pacs")}, silent=(59, 60)),
        "none is open": Case({LEADS: steady(1, 140)}, silent=(60,)),
    },
}  # fmt: skip
DESCRIBED = {
    "GantryDestinationAway": {12: "21 sends in a row failed for the whole destination. Results wait and are sent when it is back, until their delivery.deadline."}
}
"""Where the description has a number in it, too."""


@pytest.fixture(scope="module")
def groups(render: Render) -> list[dict[str, Any]]:
    (rule,) = of_kind(render("prometheusRule.enabled=true"), "PrometheusRule")
    found = rule["spec"]["groups"]
    assert isinstance(found, list)
    return found


def test_every_alert_is_here(groups: list[dict[str, Any]]) -> None:
    alerts = {rule["alert"] for group in groups for rule in group["rules"]}
    assert alerts == set(CASES)
    for alert, cases in CASES.items():
        assert any(case.fires for case in cases.values()), alert
        assert any(not case.fires for case in cases.values()), f"{alert}: when all is well"
        assert all(case.silent for case in cases.values()), f"{alert}: not before"


def test_prometheus_takes_the_rules(groups: list[dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}))
    code, words = said("check", "rules", "--lint=all", "--lint-fatal", "rules.yaml", folder=tmp_path)
    assert code == 0, words
    assert f"{sum(len(group['rules']) for group in groups)} rules found" in words


@pytest.mark.parametrize("alert", CASES)
def test_it_fires_when_it_should_and_not_before(groups: list[dict[str, Any]], alert: str, tmp_path: Path) -> None:
    promtool()
    rule = next(rule for group in groups for rule in group["rules"] if rule["alert"] == alert)
    tests = [
        {
            "name": f"{alert}: {name}",
            "interval": "30s",
            "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
            "alert_rule_test": [
                *(_expected(rule, minute, *case.fires[minute]) for minute in case.fires),
                *({"eval_time": _time(minute), "alertname": alert, "exp_alerts": []} for minute in case.silent),
            ],
        }
        for name, case in CASES[alert].items()
    ]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}))
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "evaluation_interval": "30s", "tests": tests}))
    code, words = said("test", "rules", "tests.yaml", folder=tmp_path)
    assert code == 0, words


def _expected(rule: dict[str, Any], minute: float, labels: dict[str, str], summary: str) -> dict[str, Any]:
    described = DESCRIBED.get(rule["alert"], {}).get(minute)
    annotations = rule["annotations"] | {"summary": summary} | ({"description": described} if described else {})
    return {"eval_time": _time(minute), "alertname": rule["alert"], "exp_alerts": [{"exp_labels": rule["labels"] | labels, "exp_annotations": annotations}]}


def _time(minute: float) -> str:
    return f"{minute * 60:.0f}s"
