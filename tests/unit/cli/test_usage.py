"""`gantry usage`: sums of what Runs say of themselves."""

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from gantry.cli.failure import Failure
from gantry.cli.usage import By, Prices, as_csv, as_json, ended_since, prices, span, summed
from gantry.cli.usage_text import draw, show

NO_PRICES = Prices("EUR", {})
PRICED = Prices("EUR", {"nvidia.com/gpu": 3.6})


def a_run(pipeline: str, reserved: float, used: float, *, resource: str = "nvidia.com/gpu", **usage: Any) -> dict[str, Any]:
    told = {"gpuResource": resource, "reservedGpuSeconds": reserved, "gpuSeconds": used, **usage} if resource else {"podSeconds": 5.0}
    status = {"completionTime": "2026-03-01T12:00:00Z", "usage": told}
    return {"metadata": {"name": "x", "namespace": "radiology"}, "spec": {"pipelineRef": {"name": pipeline}}, "status": status}


RUNS = [
    a_run("ct", 100, 80, vendor="ACME", department="Emergency"),
    a_run("ct", 50, 40, vendor="ACME", department="Oncology"),
    a_run("mr", 1000, 900, vendor="Other", resource="nvidia.com/mig-1g.10gb"),
    a_run("dose", 0, 0, resource=""),
]


@pytest.mark.parametrize(
    ("by", "want"),
    [
        ("pipeline", [("mr", 1, 1000, 900), ("ct", 2, 150, 120), ("dose", 1, 0, 0)]),
        ("vendor", [("Other", 1, 1000, 900), ("ACME", 2, 150, 120), ("not known", 1, 0, 0)]),
        ("department", [("not known", 2, 1000, 900), ("Emergency", 1, 100, 80), ("Oncology", 1, 50, 40)]),
        ("namespace", [("radiology", 4, 1150, 1020)]),
        ("resource", [("nvidia.com/mig-1g.10gb", 1, 1000, 900), ("nvidia.com/gpu", 2, 150, 120), ("none", 1, 0, 0)]),
    ],
)
def test_every_second_is_in_one_row(by: By, want: list[tuple[str, int, float, float]]) -> None:
    assert [(row.name, row.runs, row.reserved, row.used) for row in summed(RUNS, by, NO_PRICES)] == want


def test_what_is_reserved_is_what_is_paid() -> None:
    rows = {row.name: row for row in summed(RUNS, "pipeline", PRICED)}
    assert rows["ct"].cost == pytest.approx(150 / 3600 * 3.6)
    assert rows["ct"].share == pytest.approx(0.8)
    assert (rows["mr"].cost, rows["dose"].share) == (None, None)


def test_several_resources_of_one_run_are_each_paid() -> None:
    gpus = [
        {"resource": "nvidia.com/gpu", "reservedGpuSeconds": 100, "gpuSeconds": 80},
        {"resource": "nvidia.com/mig-1g.10gb", "reservedGpuSeconds": 300, "gpuSeconds": 30},
    ]
    runs = [a_run("ct", 100, 80, gpus=gpus), a_run("ct", 50, 40)]
    (row,) = summed(runs, "pipeline", PRICED)
    assert (row.runs, row.reserved, row.used, row.cost) == (2, 450, 150, pytest.approx(0.15)), "the slice has no price"
    assert [(row.name, row.runs, row.reserved) for row in summed(runs, "resource", PRICED)] == [("nvidia.com/mig-1g.10gb", 1, 300), ("nvidia.com/gpu", 2, 150)]


def test_a_spreadsheet_reads_it_and_runs_nothing() -> None:
    rows = summed([a_run("ct", 100, 80, department="=HYPERLINK(1)")], "department", PRICED)
    (row,) = csv.DictReader(io.StringIO(as_csv(rows, "department", PRICED)))
    assert row == {
        "department": "'=HYPERLINK(1)", "runs": "1", "gpu_seconds_reserved": "100.0", "gpu_seconds_used": "80.0", "cost": "0.10", "currency": "EUR",
    }  # fmt: skip


def test_programs_get_numbers() -> None:
    told = json.loads(as_json(summed(RUNS[:2], "vendor", PRICED), "vendor", PRICED))
    (row,) = told["rows"]
    assert (told["by"], told["currency"]) == ("vendor", "EUR")
    assert row == {"name": "ACME", "runs": 2, "reserved": 150.0, "used": 120.0, "cost": pytest.approx(0.15), "share": pytest.approx(0.8)}


def test_people_get_a_table_with_its_sum() -> None:
    console = Console(record=True, width=120, file=io.StringIO())
    show(summed(RUNS, "pipeline", PRICED), "pipeline", PRICED, console)
    lines = [line.split() for line in console.export_text().splitlines() if line.strip()]
    assert lines[0][:3] == ["Pipeline", "Runs", "GPU-s"]
    assert ["ct", "2", "150", "120", "80%", "0.15"] in lines
    assert lines[-1] == ["all", "4", "1,150", "1,020", "89%", "0.15"]


def test_the_picture(tmp_path: Path) -> None:
    draw(summed(RUNS, "pipeline", NO_PRICES), "pipeline", tmp_path / "usage.png")
    assert (tmp_path / "usage.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(Failure, match="nothing to draw"):
        draw(summed(RUNS[3:], "pipeline", NO_PRICES), "pipeline", tmp_path / "none.png")


def test_only_what_has_ended_since_then() -> None:
    assert ended_since(RUNS[0], datetime(2026, 3, 1, 11, tzinfo=UTC))
    assert not ended_since(RUNS[0], datetime(2026, 3, 1, 13, tzinfo=UTC))
    assert not ended_since({"status": {}}, datetime(2026, 3, 1, 11, tzinfo=UTC))
    assert (span("30d").days, span("12h").seconds) == (30, 43200)


@pytest.mark.parametrize("text", ["nvidia.com/gpu", "=2", "nvidia.com/gpu=-1", "nvidia.com/gpu=nan", "nvidia.com/gpu=two"])
def test_a_price_that_is_none_says_how_to_write_one(text: str) -> None:
    with pytest.raises(Failure, match=r"write for example nvidia.com/gpu=2\.50"):
        prices([text], "EUR")
    with pytest.raises(Failure, match="write for example 30d"):
        span("soon")
