"""Studies that were stored before their pipeline: counted, analysed two at a time while the operator is killed, and never a second time."""

import json
import subprocess
import sys
from pathlib import Path

from examples.demo.hospital import Hospital, wait_for
from examples.phantom.make_ct import Options, make_series
from pydicom import dcmread
from tests.e2e.pipelines import apply, pipeline, python

STUDIES = 5
CAP = 2
WORKING = python("import time; time.sleep(2); negative()")
DAYS = ("--from", "2026-01-01", "--to", "2026-01-31")


def studies(folder: Path) -> dict[str, list[Path]]:
    """Small CTs by their Study Instance UID, of 5 January 2026."""
    made = {}
    for number in range(STUDIES):
        options = Options(slices=2, matrix=64, spheres=0, accession=f"BACKFILL{number}", patient_id=f"BACKFILL{number}")
        make_series(folder / str(number), options)
        files = sorted((folder / str(number)).glob("*.dcm"))
        made[str(dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)] = files
    return made


def gantry(hospital: Hospital, *arguments: str) -> str:
    """The command as a person gives it. Raises AssertionError with its words when it fails."""
    program = Path(sys.executable).parent / "gantry"
    done = subprocess.run([program, "backfill", *arguments, "-n", hospital.namespace], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def counts(hospital: Hospital, name: str) -> dict[str, int]:
    found: dict[str, int] = (hospital.get("ibf", name).get("status") or {}).get("counts") or {}
    return found


def test_stored_studies_are_analysed_slowly_once_and_not_again(hospital: Hospital, tmp_path: Path) -> None:
    stored = studies(tmp_path)
    for files in stored.values():
        hospital.orthanc.send(files)

    def seen() -> bool:
        """The bridge has read all stable events, for which no pipeline was there."""
        rows = hospital.orthanc.api.get_json("/changes?limit=1000")["Changes"]
        stable = [row["Seq"] for row in rows if row["ChangeType"] == "StableStudy"]
        return len(stable) >= STUDIES and hospital.get("obridge", "main")["status"]["cursor"] >= max(stable)

    wait_for("the studies to be stable and passed over", seen, seconds=60)
    apply(hospital, pipeline("work", WORKING))

    told = gantry(hospital, "work", *DAYS, "--max-active", str(CAP), "--name", "january", "--dry-run")
    assert f"{STUDIES}  would be analysed" in told
    assert hospital.runs() == []

    gantry(hospital, "continue", "january")
    wait_for("the first Runs", lambda: len(hospital.runs()) >= CAP, seconds=60)
    hospital.kubectl("delete", "pod", "-l", "app.kubernetes.io/name=gantry", "--grace-period=0", "--force")
    unfinished = []

    def complete() -> bool:
        unfinished.append(sum(not (run.get("status") or {}).get("completionTime") for run in hospital.runs()))
        return bool((hospital.get("ibf", "january").get("status") or {}).get("state") == "Complete")

    wait_for("the backfill to be complete", complete, seconds=180, explain=lambda: json.dumps(hospital.get("ibf", "january").get("status")))
    assert max(unfinished) <= CAP
    assert {run["spec"]["trigger"] for run in hospital.runs()} == {"Backfill"}
    assert [run["status"]["state"] for run in hospital.runs()] == ["Succeeded"] * STUDIES
    assert {uid: len(hospital.pacs.instances(uid, "SR")) for uid in stored} == dict.fromkeys(stored, 1)

    hospital.kubectl("delete", "irun", "--all")  # as history.ttl does: the reports in Orthanc are what is left
    gantry(hospital, "work", *DAYS, "--name", "again", "--yes")
    assert (counts(hospital, "again")["created"], counts(hospital, "again")["known"]) == (0, STUDIES)
    assert hospital.runs() == []
