"""From a stable study in a real Orthanc to the destination, the operator as a process; the test plays the pod. And what bridges and pipelines say."""

import itertools
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.builders import BRIDGE, PIPELINE, RUN, changed
from tests.builders_runs import a_receipt
from tests.builders_slices import a_ct
from tests.component.control_plane import ControlPlane
from tests.component.operator_process import Hospital, a_hospital, condition, named, wait
from tests.component.orthanc_server import OrthancServer, orthanc_server

from gantry.api.run import Result
from gantry.kube import BRIDGES, PIPELINES, RUNS, SECRETS

NUMBERS = itertools.count(1)


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[OrthancServer]:
    with orthanc_server(tmp_path / "orthanc") as started:
        yield started


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[OrthancServer]:
    with orthanc_server(tmp_path / "pacs", name="PACS") as started:
        yield started


@pytest.fixture
def empty(api_server: ControlPlane, tmp_path: Path) -> Iterator[Hospital]:
    """A namespace with nothing in it."""
    made = a_hospital(api_server, tmp_path, f"journey-{next(NUMBERS)}", bridge=None, pipeline=None)
    yield made
    made.api.http.close()


def a_secret(username: str = "gantry", password: str = "secret") -> dict[str, Any]:
    data = {"username": username, "password": password}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "orthanc"}, "type": "kubernetes.io/basic-auth", "stringData": data}


def a_bridge(orthanc: OrthancServer, pacs: OrthancServer | None = None) -> dict[str, Any]:
    made = changed(changed(BRIDGE, "spec.url", orthanc.url), "spec.watch", {"pollInterval": "200ms"})
    node = {"aet": "PACS", "host": "127.0.0.1", "port": pacs.dicom_port if pacs else 1}
    return changed(made, "spec.destinations", [{"name": "pacs", "dicom": node}])


def bridge_says(hospital: Hospital, kind: str, words: str) -> dict[str, Any]:
    def status() -> dict[str, Any]:
        return (hospital.api.get(BRIDGES, hospital.namespace, "main") or {}).get("status") or {}

    wait(lambda: condition(status(), kind) == words, f"the bridge's {kind} is {words}", tell=status)
    return status()


def pipeline_says(hospital: Hospital, words: str, name: str = "chest-ct-nodules") -> str:
    def status() -> dict[str, Any]:
        return (hospital.api.get(PIPELINES, hospital.namespace, name) or {}).get("status") or {}

    wait(lambda: condition(status(), "Ready") == words, f"the pipeline's Ready is {words}", tell=status)
    return next(str(c["message"]) for c in status()["conditions"] if c["type"] == "Ready")


def test_a_study_ends_as_a_result_in_the_pacs(empty: Hospital, orthanc: OrthancServer, pacs: OrthancServer) -> None:
    empty.apply(a_secret(), a_bridge(orthanc, pacs), PIPELINE)
    with empty.operator() as operator:
        bridge_says(empty, "Ready", "True/Ready")
        pipeline_says(empty, "True/Ready")
        orthanc.upload(*(a_ct("a", number=number, patient="a") for number in (1, 2, 3)), user="other")
        (run,) = wait(lambda: empty.api.list(RUNS, empty.namespace), "the study has a Run")
        name = run["metadata"]["name"]
        (stored,) = orthanc.upload(a_ct("a", number=99, patient="a"))  # in place of the SR
        result = Result(
            kind="SR", sop_class_uid="1.2.3", sop_instance_uid="2.25.1", series_instance_uid="2.25.2", orthanc_id=stored["ID"], md5="0" * 32, bytes=1
        )  # fmt: skip
        empty.publishes(empty.pod(name), a_receipt().model_copy(update={"results": (result,)}))
        status = empty.says(name, "Complete", "True/Complete")
        assert [(d["destination"], d["state"], d["attempts"]) for d in status["deliveries"]] == [("pacs", "Sent", 1)]
        assert pacs.rest("GET", "/instances") == [stored["ID"]]
        assert {s["name"] for s in status["stages"]} >= {"seen", "created", "started", "fetch", "step/detect", "publish", "deliver"}
        operator.settled()
        writes = sum(n for (verb, what, _), n in operator.calls().items() if verb != "get" and what in ("inferenceruns", "jobs", "inferenceruns/status") and verb in ("create", "patch", "delete"))
        assert writes <= 6, operator.calls()
        samples = operator.metrics()
        assert samples['gantry_routing_decisions_total{check="",outcome="Created",pipeline="chest-ct-nodules"}'] == 1
        assert samples['gantry_deliveries_total{destination="pacs",state="Sent"}'] == 1
        assert samples['gantry_stage_seconds_count{pipeline="chest-ct-nodules",stage="deliver"}'] == 1
        polls = 'gantry_bridge_poll_seconds_count{bridge="main"}'
        wait(lambda: operator.metrics()[polls] >= samples[polls] + 2, "the change log is read to its end")
        operator.kill(signal.SIGTERM)
        cursor = (empty.api.get(BRIDGES, empty.namespace, "main") or {})["status"]["cursor"]
        assert cursor == orthanc.rest("GET", "/changes?last")["Last"], "what was read is written before the end"


def test_a_pacs_that_is_away_gets_the_result_when_it_is_back(empty: Hospital, orthanc: OrthancServer, pacs: OrthancServer) -> None:
    empty.apply(a_secret(), a_bridge(orthanc, pacs), PIPELINE)
    pacs.kill()
    with empty.operator() as operator:
        bridge_says(empty, "Ready", "True/Ready")
        (stored,) = orthanc.upload(a_ct("a", number=99, patient="a"))
        result = a_receipt().results[0].model_copy(update={"orthanc_id": stored["ID"]})
        empty.apply(named(RUN, "a"))
        empty.publishes(empty.pod("a"), a_receipt().model_copy(update={"results": (result,)}))
        empty.says("a", "Delivered", "False/Delivering")
        assert wait(lambda: empty.status("a")["deliveries"][0].get("message"), "the first attempt failed")
        operator.kill()
        pacs.start()
        operator.start()
        empty.says("a", "Complete", "True/Complete")
        assert pacs.rest("GET", "/instances") == [stored["ID"]]


def test_a_missing_secret_is_said_and_mended(empty: Hospital, orthanc: OrthancServer) -> None:
    empty.apply(a_bridge(orthanc))
    with empty.operator():
        bridge_says(empty, "Ready", "False/SecretMissing")
        empty.apply(changed(a_secret(), "stringData.password", ...))
        message = wait(
            lambda: next((c["message"] for c in bridge_says(empty, "Ready", "False/SecretMissing")["conditions"] if "lacks" in c["message"]), None),
            "the secret's lack is named",
        )
        assert message == "secret orthanc lacks password; it must be of type kubernetes.io/basic-auth"
        empty.apply(a_secret())
        bridge_says(empty, "Ready", "True/Ready")


def test_a_rotated_secret_is_taken_without_a_restart(empty: Hospital, orthanc: OrthancServer) -> None:
    empty.apply(a_secret(password="wrong"), a_bridge(orthanc))
    with empty.operator():
        bridge_says(empty, "Authenticated", "False/Unauthorized")
        empty.apply(a_secret())
        bridge_says(empty, "Ready", "True/Ready")


def test_an_edited_bridge_is_followed_anew_from_its_cursor(empty: Hospital, orthanc: OrthancServer) -> None:
    empty.apply(a_secret(), changed(a_bridge(orthanc), "spec.url", "http://127.0.0.1:9"), PIPELINE)
    with empty.operator():
        bridge_says(empty, "Reachable", "False/Unreachable")
        empty.apply(a_bridge(orthanc))
        first = bridge_says(empty, "Ready", "True/Ready")
        empty.apply(changed(a_bridge(orthanc), "spec.suspend", True))
        held = bridge_says(empty, "Ready", "False/Suspended")
        assert held["firstContactTime"] == first["firstContactTime"]
        orthanc.upload(a_ct("a", number=1, patient="a"), user="other")
        wait(lambda: "StableStudy" in {c["ChangeType"] for c in orthanc.rest("GET", "/changes")["Changes"]}, "the study is stable")
        empty.apply(a_bridge(orthanc))
        wait(lambda: empty.api.list(RUNS, empty.namespace), "the study that came meanwhile has a Run")


BAD_PIPELINES = {
    "no bridge of that name": (
        changed(PIPELINE, "spec.bridgeRef.name", "other"),
        "False/BridgeMissing",
        "no OrthancBridge other in this namespace; create it or change spec.bridgeRef",
    ),
    "a destination the bridge does not have": (
        changed(PIPELINE, "spec.template.delivery.destinations", ["archive"]),
        "False/DestinationUnknown",
        "the bridge has no destination archive; it has: pacs",
    ),
    "a pattern RE2 refuses": (
        changed(PIPELINE, "spec.match.study.0", {"tag": "StudyDescription", "operator": "Matches", "values": ["(?<=x)y"]}),
        "False/InvalidRequirement",
        "spec.match.study[0]: StudyDescription Matches '(?<=x)y': invalid perl operator: (?<=; patterns are RE2 (no lookaround, no backreference)",
    ),
    "a keyword that is none": (
        changed(PIPELINE, "spec.match.study.0", {"tag": "StudyDesciption", "operator": "Exists"}),
        "False/InvalidRequirement",
        "spec.match.study[0]: DICOM has no keyword StudyDesciption; did you mean StudyDescription?",
    ),
    "a comparison of what is no number": (
        changed(PIPELINE, "spec.template.input.series.match", [{"tag": "PatientAge", "operator": "Gte", "values": ["18"]}]),
        "False/InvalidRequirement",
        "spec.template.input.series.match[0]: PatientAge Gte: PatientAge holds no number (VR AS); compare it with In, NotIn or Matches",
    ),
    "an expression that ends too early": (
        changed(PIPELINE, "spec.match.expression", "study.instances >"),
        "False/InvalidExpression",
        "spec.match.expression, line 1, column 18: Syntax error: mismatched input '<EOF>'",
    ),
    "an expression with a field that is none": (
        changed(PIPELINE, "spec.template.input.series.expression", "series.kernal == 'B70f'"),
        "False/InvalidExpression",
        "spec.template.input.series.expression, line 1, column 7: series has no kernal; did you mean kernel?",
    ),
    "an expression that could take minutes": (
        changed(PIPELINE, "spec.match.expression", "study.series.all(a, study.series.all(b, a.tags.SeriesDescription.matches('^(([0-9]{1,50})x?){1,15}q$')))"),
        "False/InvalidExpression",
        "spec.match.expression, line 1, column 1: it could take too long even on a study of 16 series",
    ),
    "a history shorter than the lookback": (
        changed(PIPELINE, "spec.history", {"ttl": "2h"}),
        "False/InvalidHistory",
        "spec.history.ttl (2h) is shorter than the bridge's watch.lookback (24h): "
        "a deleted Run's study would be analysed again; make it longer",
    ),
    "suspended": (changed(PIPELINE, "spec.suspend", True), "False/Suspended", "spec.suspend is true: no new Runs; those under way go on"),
}


def test_a_pipeline_says_what_is_wrong_with_it(empty: Hospital) -> None:
    empty.apply(changed(changed(BRIDGE, "spec.url", "http://127.0.0.1:9"), "spec.credentialsSecretRef", ...))
    names = {f"p{number}": case for number, case in enumerate(BAD_PIPELINES.values())}
    empty.apply(*(named(pipeline, name) for name, (pipeline, _, _) in names.items()))
    with empty.operator():
        for name, (_, words, message) in names.items():
            assert pipeline_says(empty, words, name).startswith(message)
        empty.apply(named(changed(PIPELINE, "spec.template.delivery.destinations", ["pacs"]), "p1"))
        pipeline_says(empty, "True/Ready", "p1")
        empty.api.delete(BRIDGES, empty.namespace, "main")
        pipeline_says(empty, "False/BridgeMissing", "p1")


def test_secrets_are_asked_for_by_name_only(empty: Hospital, orthanc: OrthancServer) -> None:
    empty.apply(a_secret(), a_bridge(orthanc))
    with empty.operator() as operator:
        bridge_says(empty, "Ready", "True/Ready")
        assert {verb for verb, what, _ in operator.calls() if what == SECRETS.plural} == {"get"}
