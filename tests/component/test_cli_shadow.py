"""`gantry shadow report` as a process: Runs of two pipelines at a real API server, their reports in a real Orthanc. No operator runs."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.builders import BRIDGE, PIPELINE, RUN, changed
from tests.builders_dicom import ct_series
from tests.builders_findings import DIAMETER, PNEUMOTHORAX, a_context, a_document, a_finding, an_ellipse, parsed
from tests.component.control_plane import ControlPlane, free_port
from tests.component.operator_process import Hospital, a_hospital, named
from tests.component.orthanc_server import PASSWORD, USERNAME, OrthancServer, orthanc_server

from gantry.api import labels, timestamp
from gantry.kube import RUNS
from gantry.report import build_report
from gantry.runtime.process import now

PLACE = "cli-shadow"
SHADOW, ACTIVE = "nodules-next", "nodules"
STUDIES = [f"{number}" * 8 + "-22222222-33333333-44444444-55555555" for number in range(1, 6)]


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    with orthanc_server(tmp_path_factory.mktemp("shadow") / "orthanc") as server:
        yield server


def nodule(millimetres: float) -> dict[str, Any]:
    return a_finding(region=an_ellipse(), measurements=[{"name": DIAMETER, "value": millimetres, "unit": "mm"}])


def results(orthanc: OrthancServer, run: str, *findings: dict[str, Any], shadow: bool) -> list[dict[str, Any]]:
    """The report in Orthanc, as the Run's status names it."""
    document = parsed(a_document(*findings, evaluatedFor=[nodule(1)["type"], PNEUMOTHORAX]))
    built = build_report(document, ct_series(), a_context(run=run, shadow=shadow))
    stored = orthanc.upload(*(one.dicom for one in built))
    return [
        {
            "kind": "SR", "sopClassUID": one.sop_class_uid, "sopInstanceUID": one.sop_instance_uid, "seriesInstanceUID": one.series_instance_uid,
            "orthancID": there["ID"], "md5": "0" * 32, "bytes": len(one.dicom),
        }
        for one, there in zip(built, stored, strict=True)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def hospital(api_server: ControlPlane, orthanc: OrthancServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    """Both find a nodule in the first study, neither in the second; only the shadow in the third; in the fourth the shadow failed; the fifth is the
    active pipeline's alone."""
    bridge = changed(BRIDGE, "spec.url", orthanc.url)
    made = a_hospital(api_server, tmp_path_factory.mktemp("hospital"), PLACE, bridge=bridge, pipeline=named(PIPELINE, ACTIVE))
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "orthanc"}, "type": "kubernetes.io/basic-auth"}
    made.apply({**secret, "stringData": {"username": USERNAME, "password": PASSWORD}}, changed(named(PIPELINE, SHADOW), "spec.mode", "Shadow"))
    found = {
        SHADOW: ([nodule(9.5)], [], [nodule(5)], None),
        ACTIVE: ([nodule(8)], [], [], [nodule(7)], [nodule(7)]),
    }
    for pipeline, answers in found.items():
        for number, answer in enumerate(answers):
            a_run(made, orthanc, pipeline, number, answer)
    yield made
    made.api.http.close()


def a_run(hospital: Hospital, orthanc: OrthancServer, pipeline: str, number: int, findings: list[dict[str, Any]] | None) -> None:
    name, shadow = f"{pipeline}-{number}", pipeline == SHADOW
    run = changed(changed(named(RUN, name), "metadata.labels", {labels.PIPELINE: pipeline}), "spec.pipelineRef.name", pipeline)
    hospital.apply(changed(changed(run, "spec.study.orthancID", STUDIES[number]), "spec.mode", "Shadow" if shadow else "Active"))
    kind = "Failed" if findings is None else "Complete"
    said = {"type": kind, "status": "True", "reason": kind, "message": "", "lastTransitionTime": timestamp(now())}
    status: dict[str, Any] = {"state": "Failed" if findings is None else "Succeeded", "conditions": [said], "completionTime": timestamp(now())}
    if findings is None:
        status["failure"] = {"reason": "OutOfMemory"}
    else:
        status["results"] = results(orthanc, name, *findings, shadow=shadow)
    hospital.api.patch(RUNS, PLACE, name, {"status": status}, sub="status")


def gantry(hospital: Hospital, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "gantry"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ORTHANC_", "KUBE"))}
    kept |= {"KUBECONFIG": str(hospital.plane.kubeconfig)} | environment
    command = [program, "shadow", "report", *arguments, "-n", PLACE]
    return subprocess.run(command, env=kept, capture_output=True, text=True, check=False)


def test_a_program_reads_agreement_measurements_and_what_differs(hospital: Hospital) -> None:
    done = gantry(hospital, SHADOW, "-o", "json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["shadow"], told["active"], told["studies"], told["compared"], told["agrees"]) == (SHADOW, ACTIVE, 5, 3, False)
    rows = {one["type"]["meaning"]: one for one in told["findings"]}
    counts = {"bothPresent": 1, "bothAbsent": 1, "onlyShadow": 1, "onlyActive": 0, "notCompared": 2}
    assert rows["Solitary nodule of lung"]["counts"] == counts
    assert rows["Solitary nodule of lung"]["agreement"] == pytest.approx(2 / 3)
    assert rows["Pneumothorax"]["counts"] == {**dict.fromkeys(counts, 0), "bothAbsent": 3, "notCompared": 2}
    (diameter,) = [one for one in told["measurements"] if one["measurement"] == "Diameter"]
    assert (diameter["count"], diameter["meanDifference"], diameter["unit"], diameter["limitsOfAgreement"]) == (1, 1.5, "mm", None)
    assert [(one["study"], one["differences"]) for one in told["differences"]] == [
        (STUDIES[2], ["only shadow: Solitary nodule of lung"]),
        (STUDIES[3], ["the shadow Run has no report (OutOfMemory)"]),
        (STUDIES[4], ["no Run of the shadow pipeline"]),
    ]


def test_a_person_reads_tables_and_no_name_of_a_patient(hospital: Hospital) -> None:
    done = gantry(hospital, SHADOW, "--against", ACTIVE)
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert lines[1] == "5 studies, 3 with a report of both: they differ"
    assert "Solitary nodule of lung 1 1 1 0 2 67% 0.40" in lines
    assert "Solitary nodule of lung Diameter 1 +1.5 mm" in lines
    assert f"{STUDIES[2]} only shadow: Solitary nodule of lung nodules-next-2 nodules-2" in lines
    source = ct_series()[0]
    assert not any(str(value) in done.stdout for value in (source.PatientID, source.PatientName, source.StudyInstanceUID))


def test_the_picture_is_a_png(hospital: Hospital, tmp_path: Path) -> None:
    done = gantry(hospital, SHADOW, "--png", str(tmp_path / "nodules.png"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "nodules.png").read_bytes().startswith(b"\x89PNG\r\n")


def test_orthanc_may_have_another_address_from_here(hospital: Hospital, orthanc: OrthancServer) -> None:
    assert gantry(hospital, SHADOW, "--orthanc-url", orthanc.url).returncode == 0


def test_what_cannot_be_compared_is_one_line(hospital: Hospital, orthanc: OrthancServer, tmp_path: Path) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    said = {
        f"there is no pipeline lungs in namespace {PLACE}; there is: {ACTIVE}, {SHADOW}": gantry(hospital, "lungs"),
        f"say which active pipeline {ACTIVE} is compared with, by --against; bridge main has: none": gantry(hospital, ACTIVE),
        f"{ACTIVE} has no Runs in mode Shadow of the last 7d; its spec.mode is Active; look further back with --since": gantry(hospital, ACTIVE, "--against", SHADOW),
        "--since soon: write for example 7d, 12h or 30m": gantry(hospital, SHADOW, "--since", "soon"),
        f"{nowhere}: ": gantry(hospital, SHADOW, "--orthanc-url", nowhere),
        f"{tmp_path} cannot be written: Is a directory": gantry(hospital, SHADOW, "--png", str(tmp_path)),
    }
    for message, done in said.items():
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
        assert done.stderr.startswith(f"gantry: {message}"), done.stderr
