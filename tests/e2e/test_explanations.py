"""What is set up wrongly says so on its own resource, and nothing tells who the patient is."""

import json
import subprocess
import sys
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
    apply(hospital, pipeline("good", detector()), pipeline("mr-only", detector(), modality="MR"))
    hospital.orthanc.send(study)
    (done,) = hospital.wait_for_finished_runs(1)
    header = dcmread(study[0], stop_before_pixels=True)
    a_person_asks_why(hospital, done, accession=str(header.AccessionNumber))
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


def a_person_asks_why(hospital: Hospital, done: dict[str, Any], *, accession: str) -> None:
    """`gantry explain` against the cluster, as the person at the terminal runs it: pipelines, bridge and secret are read from there."""
    chosen, way_in = done["spec"]["study"], ("--orthanc-url", f"http://127.0.0.1:{hospital.orthanc.port(8042)}")
    code, text, error = explain(hospital, accession, *way_in)
    assert (code, error) == (0, ""), (text, error)
    assert text.startswith(f"Study {chosen['orthancID']}")
    assert "\n✔ good  matched: 1 of 2 series, class Routine\n" in text, text
    assert "wanted not a result of Gantry, is a result of Gantry" in text, "its own report is the other"
    assert f"analysed by Run {done['metadata']['name']} of " in text
    assert "\n✘ mr-only  not matched: ModalitiesInStudy In, wanted MR, is CT\\SR\n" in text, text

    code, text, error = explain(hospital, chosen["orthancID"], *way_in, "-o", "json")
    told = json.loads(text)
    assert (code, error, told["study"]) == (0, "", chosen["orthancID"])
    good, other = sorted(told["decisions"], key=lambda one: str(one["pipeline"]))
    assert (good["pipeline"], good["matched"], good["check"]) == ("good", True, None)
    assert [one["id"] for one in good["series"] if one["selected"]] == chosen["seriesIDs"], "it decides as the bridge did"
    assert (other["pipeline"], other["matched"]) == ("mr-only", False)
    assert (other["check"], other["wanted"], other["actual"]) == ("ModalitiesInStudy In", "MR", "CT\\SR")

    assert explain(hospital, chosen["orthancID"], *way_in, "--pipeline", "mr-only")[0] == 1, "nobody takes it"
    code, text, error = explain(hospital, "no-such-study", *way_in)
    assert (code, text) == (2, "")
    assert len(error.splitlines()) == 1
    code, text, error = explain(hospital, chosen["orthancID"])
    assert (code, text) == (2, ""), "the bridge's own address leads nowhere from here"
    assert f"run `kubectl -n {hospital.namespace} port-forward svc/orthanc 8042:8042` and add --orthanc-url http://localhost:8042" in error


def explain(hospital: Hospital, *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and error of the real command."""
    program = Path(sys.executable).parent / "gantry"
    answer = subprocess.run([program, "explain", *arguments, "-n", hospital.namespace], capture_output=True, text=True, timeout=60, check=False)
    return answer.returncode, answer.stdout, answer.stderr


def test_the_operator_answers_its_probes(hospital: Hospital) -> None:
    assert "ok" in run("kubectl", "get", "--raw", f"/api/v1/namespaces/{hospital.namespace}/services/gantry:http/proxy/healthz").lower()


def _without_namespace(resource: dict[str, Any]) -> dict[str, Any]:
    return {**resource, "metadata": {key: value for key, value in resource["metadata"].items() if key != "namespace"}}
