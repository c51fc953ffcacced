"""A Run of as many steps as there may be: its pod's termination messages have to share 12,288 bytes, so publish packs its receipt (runs/packing.py)."""

import hashlib
from pathlib import Path

from examples.demo.hospital import Hospital, condition
from pydicom import dcmread
from tests.e2e.pipelines import apply, pipeline, python

from gantry.api import labels
from gantry.runs import decode_publish
from gantry.runs.packing import MARK
from gantry.runs.receipt import room
from gantry.worker.container import MOST_STEPS

SMALL = {"resources": {"requests": {"cpu": "10m"}, "limits": {"memory": "256Mi"}}}
CONTAINERS = MOST_STEPS + 2
"""Of the pod: fetch and publish, too."""


def test_a_receipt_too_long_for_its_share_arrives_whole_through_the_kubelet(hospital: Hospital, study: list[Path]) -> None:
    many = pipeline("many", python("(OUT / 'mark').write_text('first')"), step=SMALL, report={"keyObjects": True, "overview": True})
    steps = many["spec"]["template"]["steps"]
    steps += [{**steps[0], "name": f"passes-{number}", "command": python("pass")} for number in range(2, MOST_STEPS)]
    steps.append({**steps[0], "name": "judges", "command": python("negative()")})
    apply(hospital, many)
    hospital.orthanc.send(study)
    (run,) = hospital.wait_for_finished_runs(1, seconds=240)
    assert condition(run, "Complete")["status"] == "True", run["status"]

    (pod,) = hospital.get("pods", "-l", f"{labels.RUN}={run['metadata']['name']}")["items"]
    told = {one["name"]: one["state"]["terminated"] for one in pod["status"]["containerStatuses"]}
    assert len(told) + len(pod["status"]["initContainerStatuses"]) == CONTAINERS
    message = told["publish"]["message"]
    assert message.startswith(MARK)
    assert len(message) <= room(CONTAINERS) < 12288 // CONTAINERS
    receipt = decode_publish(message)
    assert receipt is not None
    assert len(receipt.model_dump_json(by_alias=True, exclude_none=True)) > 12288 // CONTAINERS, "in plain words the kubelet would have cut it"

    uid = str(dcmread(study[0], stop_before_pixels=True).StudyInstanceUID)
    results = run["status"]["results"]
    assert [one["kind"] for one in results].count("SR") == 1
    assert len(results) == 3, "the report, its overview and the key objects"
    for one in results:
        assert hashlib.md5(hospital.orthanc.api.get_binary(f"/instances/{one['orthancID']}/file")).hexdigest() == one["md5"]
    assert set(hospital.pacs.instances(uid)) == {one["orthancID"] for one in results}
