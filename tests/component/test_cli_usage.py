"""`gantry usage` as a process against a real API server: the chart's prices, by the rights of whoever asks."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.builders import RUN
from tests.component.control_plane import ControlPlane
from tests.component.operator_process import Hospital, a_hospital, service_account
from tests.component.test_cli_on_api_server import gantry

from gantry.api import timestamp
from gantry.kube import CONFIG_MAPS, RUNS
from gantry.runtime.process import now

USED = {"gpuResource": "nvidia.com/gpu", "gpuSeconds": 1800, "reservedGpuSeconds": 3600}


@pytest.fixture
def a_ward(api_server: ControlPlane, tmp_path: Path) -> Iterator[Callable[[str, str | None], Hospital]]:
    """Makes a namespace with a Run that held a GPU for an hour, and what the chart makes of prices."""
    made: list[Hospital] = []

    def one(name: str, price: str | None) -> Hospital:
        (tmp_path / name).mkdir()
        made.append(a_hospital(api_server, tmp_path / name, name, bridge=None, pipeline=None))
        filled(made[-1], price)
        return made[-1]

    yield one
    for ward in made:
        ward.api.http.close()


def filled(made: Hospital, price: str | None) -> None:
    made.apply(RUN)
    done = {"type": "Complete", "status": "True", "reason": "Complete", "message": "", "lastTransitionTime": timestamp(now())}
    status = {"state": "Succeeded", "conditions": [done], "completionTime": timestamp(now()), "usage": USED}
    made.api.patch(RUNS, made.namespace, RUN["metadata"]["name"], {"status": status}, sub="status")
    if price:
        metadata = {"name": "gantry-prices", "labels": {"gantry.health/prices": ""}}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"currency": "CHF", "perGpuHour": price}}
        made.api.create(CONFIG_MAPS, made.namespace, body)


def usage(ward: Hospital, *arguments: str, kubeconfig: Path | None = None) -> tuple[dict[str, Any], str]:
    done = gantry("usage", "-n", ward.namespace, "-o", "json", *arguments, kubeconfig=kubeconfig or ward.plane.kubeconfig)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    (row,) = told["rows"]
    assert (row["reserved"], row["used"]) == (3600, 1800)
    return {"cost": row["cost"], "currency": told["currency"]}, done.stderr


def test_the_prices_are_the_charts(a_ward: Callable[[str, str | None], Hospital]) -> None:
    unpriced = a_ward("usage-unpriced", None)
    assert usage(unpriced) == ({"cost": None, "currency": None}, "")
    ward = a_ward("usage-ct", "nvidia.com/gpu=2.5,nvidia.com/mig-1g.10gb=1")
    assert usage(ward) == ({"cost": 2.5, "currency": "CHF"}, "")
    assert usage(ward, "--price", "nvidia.com/gpu=3", "--currency", "USD") == ({"cost": 3, "currency": "USD"}, "")
    assert usage(unpriced) == ({"cost": 2.5, "currency": "CHF"}, ""), "of an operator of the whole cluster, in its own namespace"
    may_not = service_account(ward)  # the operator's own rights: Runs, no ConfigMaps
    assert usage(ward, kubeconfig=may_not) == (
        {"cost": None, "currency": None}, "gantry: no prices: you may not list ConfigMaps in the whole cluster; give --price\n",
    )  # fmt: skip
    other = a_ward("usage-mr", "nvidia.com/gpu=4")
    assert usage(other)[0]["cost"] == 4
    done = gantry("usage", "-n", unpriced.namespace, kubeconfig=unpriced.plane.kubeconfig)
    assert (done.returncode, done.stderr) == (
        1,
        "gantry: several installations have different prices (ConfigMap usage-ct/gantry-prices, ConfigMap usage-mr/gantry-prices): "
        "choose one with --namespace, or give --price\n",
    )


@pytest.mark.parametrize("price", ["nvidia.com/gpu", "nvidia.com/gpu=dear"])
def test_a_price_that_is_none_names_its_config_map(a_ward: Callable[[str, str | None], Hospital], price: str) -> None:
    name = f"usage-broken-{len(price)}"
    ward = a_ward(name, price)
    done = gantry("usage", "-n", name, kubeconfig=ward.plane.kubeconfig)
    assert (done.returncode, done.stderr) == (1, f"gantry: ConfigMap {name}/gantry-prices {price}: write for example nvidia.com/gpu=2.50\n")
