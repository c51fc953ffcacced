"""Studies in = Runs = reports at the PACS, while processes are killed under the stream: nothing lost, nothing twice."""

from pathlib import Path

from examples.demo.hospital import Hospital, wait_for
from examples.phantom.make_ct import Options, make_series
from pydicom import dcmread
from tests.e2e.conftest import BESIDE_OTHERS
from tests.e2e.pipelines import apply, pipeline, python

STUDIES = 8
WORKING = python("import time; time.sleep(3); negative()")


def studies(folder: Path) -> dict[str, list[Path]]:
    """Small CTs by their Study Instance UID."""
    made = {}
    for number in range(STUDIES):
        make_series(folder / str(number), Options(slices=2, matrix=64, spheres=0, accession=f"CONSERVE{number}", patient_id=f"CONSERVE{number}"))
        files = sorted((folder / str(number)).glob("*.dcm"))
        made[str(dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)] = files
    return made


def restarted(hospital: Hospital) -> bool:
    """Orthanc's container has been started again and takes associations."""
    (pod,) = hospital.get("pods", "-l", "app=orthanc")["items"]
    (container,) = pod["status"]["containerStatuses"]
    return bool(container["restartCount"] and container["ready"])


def leader(hospital: Hospital) -> str:
    """The pod that works, once there is one: who ends in good order has given the Lease back, and nobody has taken it yet."""
    return str(wait_for("somebody leads", lambda: hospital.get("lease", "gantry")["spec"].get("holderIdentity"), seconds=60))


def test_every_study_has_one_report_whatever_is_killed_meanwhile(hospital: Hospital, tmp_path: Path) -> None:
    """Of two replicas the leader by SIGKILL, the leader by SIGTERM, then both by SIGKILL; Orthanc by a stop in the middle of the stream."""
    hospital.install_gantry(*BESIDE_OTHERS, "replicas=2")
    sent = studies(tmp_path)
    apply(hospital, pipeline("work", WORKING))
    for number, files in enumerate(sent.values()):
        hospital.orthanc.send(files)
        if number in (2, 6):
            victims = [leader(hospital)] if number == 2 else ["-l", "app.kubernetes.io/name=gantry"]
            hospital.kubectl("delete", "pod", *victims, "--grace-period=0", "--force")
        if number == 4:
            hospital.kubectl("delete", "pod", leader(hospital))
        if number == 5:
            hospital.orthanc.api.post("/tools/shutdown")
            wait_for("Orthanc is back", lambda: restarted(hospital), seconds=60)
    runs = hospital.wait_for_finished_runs(STUDIES, seconds=240)
    assert [run["status"]["state"] for run in runs] == ["Succeeded"] * STUDIES
    assert len(hospital.get("jobs", "-l", "gantry.health/run")["items"]) == STUDIES
    assert {uid: len(hospital.pacs.instances(uid, "SR")) for uid in sent} == dict.fromkeys(sent, 1)
    assert {uid: len(hospital.orthanc.instances(uid, "SR")) for uid in sent} == dict.fromkeys(sent, 1)
