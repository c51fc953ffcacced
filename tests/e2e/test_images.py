"""A step by tag and without a command: the cluster's registry tells both, and what ran stands in the Run and in its report."""

from pathlib import Path

import pytest
from examples.demo.hospital import Hospital, condition, images, plain_registry
from pydicom import dcmread
from tests.e2e.pipelines import apply, detector, pipeline


def test_a_tag_without_command_runs_and_its_digest_is_on_record(hospital: Hospital, study: list[Path]) -> None:
    if not plain_registry():
        pytest.skip("the images of this cluster are not in the one-node cluster's registry")
    name, _, digest = images()["gantry/nodules"].partition("@")
    made = pipeline("by-tag", [], step={"image": f"{name}:latest"})
    del made["spec"]["template"]["steps"][0]["command"]
    apply(hospital, made)
    status = hospital.get("ipl", "by-tag")["status"]
    assert condition({"status": status}, "ImagesResolved")["reason"] == "Resolved", status
    assert [one["digest"] for one in status["images"]] == [digest]

    hospital.orthanc.send(study)
    (run,) = hospital.wait_for_finished_runs(1)
    assert run["status"]["state"] == "Succeeded", run["status"]
    (step,) = run["spec"]["template"]["steps"]
    assert (step["image"], step["command"]) == (f"{name}:latest@{digest}", detector())

    uid = str(dcmread(study[0], stop_before_pixels=True).StudyInstanceUID)
    (received,) = hospital.pacs.instances(uid, "SR")
    equipment = hospital.pacs.download(received).ContributingEquipmentSequence
    assert f"Container image {name}:latest@{digest}" in [one.get("ContributionDescription") for one in equipment]
