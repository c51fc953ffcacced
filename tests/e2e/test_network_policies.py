"""The chart's NetworkPolicies and admission policies, enforced: studies are analysed as ever, and a step that may open sockets reaches Orthanc and the
name server, no more."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from examples.demo.hospital import Hospital, HospitalError, run, wait_for
from tests.e2e.conftest import BESIDE_OTHERS
from tests.e2e.pipelines import apply, detector, pipeline, python

REACHED = python("""
import socket
found = {}
for place, port in (('orthanc', 8042), ('pacs', 8042), ('pacs', 4242), ('gantry', 8080), ('kubernetes.default', 443)):
    try: socket.create_connection((place, port), 4).close()
    except OSError as error: found[f'{place}:{port}'] = type(error).__name__
    else: found[f'{place}:{port}'] = 'reached'
expected = {'orthanc:8042': 'reached', 'pacs:8042': 'TimeoutError', 'pacs:4242': 'TimeoutError', 'gantry:8080': 'TimeoutError', 'kubernetes.default:443': 'TimeoutError'}
wrong = {place: how for place, how in found.items() if (how == 'reached') != (expected[place] == 'reached')}
print(found, flush=True)
if wrong: raise SystemExit(3)
negative()
""")
FENCED = (
    "networkPolicy.enabled=true",
    "networkPolicy.orthanc.to[0].podSelector.matchLabels.app=orthanc",
    "networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.kubernetes\\.io/metadata\\.name=monitoring",
)


@pytest.fixture
def ruled(hospital: Hospital) -> Iterator[Hospital]:
    """With both kinds of policies; what the chart makes for the whole cluster goes with the test."""
    hospital.install_gantry(*BESIDE_OTHERS, *FENCED, "admissionPolicy.enabled=true")
    yield hospital
    for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
        run("kubectl", "delete", kind, *(f"{hospital.namespace}-gantry-{which}" for which in ("templates", "jobs")))


def test_a_step_with_network_reaches_orthanc_and_nobody_else(ruled: Hospital, study: list[Path]) -> None:
    hospital = ruled
    network = json.dumps(pipeline("reaches", REACHED, step={"security": {"allowNetwork": True}}))

    def refused() -> str:
        try:
            hospital.kubectl("create", "--dry-run=server", "-f", "-", stdin=network)
        except HospitalError as error:
            return str(error)
        return ""

    words = wait_for("the admission policy", refused, seconds=60)
    assert "let who owns the namespace label it gantry.health/allow-network=true" in words
    run("kubectl", "label", "namespace", hospital.namespace, "gantry.health/allow-network=true")
    wait_for("the label's effect", lambda: not refused(), seconds=60)
    names = {one["metadata"]["name"] for one in hospital.get("networkpolicies")["items"]}
    assert names == {"gantry", "gantry-runs"}
    apply(hospital, pipeline("reaches", REACHED, step={"security": {"allowNetwork": True}}), pipeline("good", detector()))
    shown = hospital.kubectl("get", "ipl", "reaches")
    assert "network" in shown.splitlines()[1].split(), shown
    hospital.orthanc.send(study)
    runs = {run["spec"]["pipelineRef"]["name"]: run for run in hospital.wait_for_finished_runs(2, seconds=240)}
    states = {name: run["status"]["state"] for name, run in runs.items()}
    assert states == {"reaches": "Succeeded", "good": "Succeeded"}, json.dumps({name: run["status"].get("failure") for name, run in runs.items()})
