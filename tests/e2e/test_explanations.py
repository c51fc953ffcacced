"""What is set up wrongly says so on its own resource, and nothing tells who the patient is."""

import json
from pathlib import Path
from typing import Any

import pytest
from examples.demo.hospital import Hospital, condition, run, wait_for
from pydicom import dcmread
from tests.builders import BRIDGE, changed
from tests.e2e.pipelines import apply, detector, pipeline

UNREACHABLE = changed(changed(BRIDGE, "metadata", {"name": "lost"}), "spec", {"url": "http://no-such-server:8042"})
REFUSED = changed(changed(BRIDGE, "metadata", {"name": "refused"}), "spec", {"url": "http://orthanc:8042", "credentialsSecretRef": {"name": "wrong"}})
NO_SECRET = changed(REFUSED, "metadata.name", "no-secret")
NO_SECRET = changed(NO_SECRET, "spec.credentialsSecretRef.name", "there-is-none")
WRONG = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "wrong"},
    "type": "kubernetes.io/basic-auth",
    "stringData": {"username": "gantry", "password": "not-it"},
}
EXPLAINED = {
    "a bridge whose server is not there": ("obridge", "lost", "Reachable", "Unreachable"),
    "a bridge with a wrong password": ("obridge", "refused", "Authenticated", "Unauthorized"),
    "a bridge whose secret is not there": ("obridge", "no-secret", "Authenticated", "SecretMissing"),
    "a pipeline whose bridge is not there": ("ipl", "lost", "Ready", "BridgeMissing"),
    "a pipeline whose destination is not there": ("ipl", "nowhere", "Ready", "DestinationUnknown"),
    "a pipeline with a pattern RE2 refuses": ("ipl", "pattern", "Ready", "InvalidRequirement"),
}


def test_what_is_wrong_says_so_and_the_rest_works(hospital: Hospital, study: list[Path], subtests: pytest.Subtests) -> None:
    pattern = [{"tag": "StudyDescription", "operator": "Matches", "values": ["(?=x)"]}]
    wrong: list[dict[str, Any]] = [
        changed(pipeline("lost", detector()), "spec.bridgeRef.name", "no-such-bridge"),
        pipeline("nowhere", detector(), delivery={"destinations": ["no-such-pacs"]}),
        changed(pipeline("pattern", detector()), "spec.match.study", pattern),
    ]
    for one in (WRONG, UNREACHABLE, REFUSED, NO_SECRET, *wrong):
        hospital.kubectl("apply", "-f", "-", stdin=json.dumps(_without_namespace(one)))
    for sentence, (kind, name, type_, reason) in EXPLAINED.items():
        with subtests.test(sentence):

            def explained(kind: str = kind, name: str = name, type_: str = type_, reason: str = reason) -> str | None:
                seen = condition(hospital.get(kind, name), type_)
                return seen["message"] if (seen["status"], seen["reason"]) == ("False", reason) else None

            message = wait_for(reason, explained, seconds=40, explain=lambda kind=kind, name=name: hospital.kubectl("get", kind, name, "-o", "yaml"))  # type: ignore[misc]
            assert len(message) > 20, "it says what to do"
    apply(hospital, pipeline("good", detector()))
    hospital.orthanc.send(study)
    (done,) = hospital.wait_for_finished_runs(1)
    assert done["status"]["state"] == "Succeeded"


def test_no_object_event_log_line_or_metric_tells_who_the_patient_is(hospital: Hospital, study: list[Path]) -> None:
    apply(hospital, pipeline("good", detector()))
    hospital.orthanc.send(study)
    hospital.wait_for_finished_runs(1)
    header = dcmread(study[0], stop_before_pixels=True)
    secrets = [str(header[name].value) for name in ("PatientID", "PatientName", "AccessionNumber", "StudyInstanceUID", "SeriesInstanceUID") if header.get(name)]
    assert len(secrets) >= 4
    seen = {
        "objects": hospital.kubectl("get", "obridge,ipl,irun,jobs,pods,events", "-o", "yaml"),
        "the operator's log": hospital.kubectl("logs", "-l", "app.kubernetes.io/name=gantry", "--tail=-1"),
        "the pods' logs": hospital.kubectl("logs", "-l", "gantry.health/run", "--all-containers", "--tail=-1"),
        "metrics": hospital.kubectl("get", "--raw", f"/api/v1/namespaces/{hospital.namespace}/services/gantry:http/proxy/metrics"),
    }
    for where, text in seen.items():
        assert text.strip(), f"{where}: nothing to look at"
        assert not [secret for secret in secrets if secret in text], where
    assert "gantry_runs" in seen["metrics"]


def test_the_operator_answers_its_probes(hospital: Hospital) -> None:
    assert "ok" in run("kubectl", "get", "--raw", f"/api/v1/namespaces/{hospital.namespace}/services/gantry:http/proxy/healthz").lower()


def _without_namespace(resource: dict[str, Any]) -> dict[str, Any]:
    return {**resource, "metadata": {key: value for key, value in resource["metadata"].items() if key != "namespace"}}
