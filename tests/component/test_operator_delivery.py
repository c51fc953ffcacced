"""Deliveries with the operator as a process: the way back to the sender, receipts, secrets that come and rotate, queues that drain."""

import itertools
import json
import subprocess
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from tests.builders import PIPELINE, RUN, changed
from tests.builders_runs import a_receipt
from tests.builders_slices import a_ct, encoded
from tests.component.control_plane import ControlPlane
from tests.component.operator_process import Hospital, a_hospital, named, wait
from tests.component.orthanc_server import OrthancServer, orthanc_server
from tests.component.scripted_scp import scripted_scp, stores
from tests.component.test_operator_journey import a_bridge, a_secret, bridge_says, pipeline_says

from gantry.api.run import Result
from gantry.kube import RUNS
from gantry.runs import result_uid

COMPREHENSIVE_3D, COMPREHENSIVE = "1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.88.33"
NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    with orthanc_server(tmp_path_factory.mktemp("orthanc")) as started:
        yield started


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    with orthanc_server(tmp_path_factory.mktemp("pacs"), name="PACS") as started:
        yield started


@pytest.fixture
def empty(api_server: ControlPlane, tmp_path: Path) -> Iterator[Hospital]:
    """A namespace with nothing in it."""
    made = a_hospital(api_server, tmp_path, f"delivery-{next(NUMBERS)}", bridge=None, pipeline=None)
    yield made
    made.api.http.close()


def delivery(resource: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return changed(resource, "spec.template.delivery", fields)


def publish(hospital: Hospital, orthanc: OrthancServer, run: str, name: str) -> str:
    """The pod's part: a result in Orthanc and a receipt. Returns Orthanc's id of the result."""
    (stored,) = orthanc.upload(a_ct(f"{name} result", series="result", number=99, patient=name, Modality="SR"))
    tags = orthanc.rest("GET", f"/instances/{stored['ID']}/simplified-tags")
    uids = {"sop_class_uid": tags["SOPClassUID"], "sop_instance_uid": tags["SOPInstanceUID"], "series_instance_uid": tags["SeriesInstanceUID"]}
    result = a_receipt().results[0].model_copy(update={"orthanc_id": stored["ID"], **uids})
    hospital.publishes(hospital.pod(run), a_receipt().model_copy(update={"results": (result,)}))
    return str(stored["ID"])


def state(hospital: Hospital, run: str) -> dict[str, str]:
    return {one["destination"]: one["state"] for one in hospital.status(run).get("deliveries") or []}


def completes(hospital: Hospital, run: str) -> None:
    """Pauses between probes grow to 20 s while a test breaks and mends something."""
    wait(lambda: hospital.condition(run, "Complete") == "True/Complete", "the Run is complete", limit=90, tell=lambda: hospital.status(run))


def store(orthanc: OrthancServer, folder: Path, aet: str, *files: bytes) -> None:
    """As a scanner does it."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, dicom in enumerate(files):
        (folder / f"{number}.dcm").write_bytes(dicom)
    subprocess.run(
        ["storescu", "-aet", aet, "-aec", orthanc.aet, "+sd", "127.0.0.1", str(orthanc.dicom_port), str(folder)], check=True, capture_output=True
    )


def test_results_return_to_whom_stored_the_images_and_are_committed_to(empty: Hospital, orthanc: OrthancServer, pacs: OrthancServer, tmp_path: Path) -> None:
    """PACS plays both: the scanner that stored the images, and the archive that commits and is queried by QIDO."""
    pacs.rest("PUT", "/modalities/orthanc", json={"AET": orthanc.aet, "Host": "127.0.0.1", "Port": orthanc.dicom_port})
    bridge = a_bridge(orthanc, pacs)
    web = {"name": "web", "verify": "Query", "dicomWeb": {"url": f"{pacs.url}/dicom-web", "credentialsSecretRef": {"name": "vna"}}}
    bridge = changed(bridge, "spec.destinations", [*bridge["spec"]["destinations"], web])
    asks_back = delivery(PIPELINE, destinations=["pacs", "web"], returnToSender=True, storageCommitment="Required")
    empty.apply(a_secret(), bridge, asks_back)
    with empty.operator() as operator:
        bridge_says(empty, "Ready", "False/DestinationMissing")
        pipeline_says(empty, "False/NoSenders")
        bridge = changed(bridge, "spec.senders", [{"aet": "CT_ER", "host": "127.0.0.1", "port": pacs.dicom_port}])
        empty.apply(bridge)
        pipeline_says(empty, "True/Ready")
        store(orthanc, tmp_path / "images", "CT_ER", *(a_ct("back", number=number, patient="back") for number in (1, 2, 3)))
        (run,) = wait(lambda: empty.api.list(RUNS, empty.namespace), "the study has a Run")
        name = run["metadata"]["name"]
        assert run["spec"]["sender"] == "CT_ER"
        stored = publish(empty, orthanc, name, "back")
        wait(lambda: state(empty, name) == {"pacs": "Committed", "sender": "Committed", "web": "Pending"}, "two have it", tell=lambda: empty.status(name))
        web_says = next(one for one in empty.status(name)["deliveries"] if one["destination"] == "web")
        assert "secret vna does not exist" in web_says["message"]
        empty.apply(changed(a_secret(), "metadata.name", "vna"))
        status = empty.says(name, "Complete", "True/Complete")
        assert {one["state"] for one in status["deliveries"]} == {"Committed"}
        assert stored in pacs.rest("GET", "/instances")
        bridge_says(empty, "Ready", "True/Ready")
        told = [json.loads(line) for line in operator.log.splitlines() if "results delivered" in line]
        assert [sorted((one["destination"], one["state"]) for one in line["deliveries"]) for line in told] == [
            [("pacs", "Committed"), ("sender", "Committed"), ("web", "Committed")]
        ]
        assert told[0]["results"][0]["sopInstanceUID"] == status["results"][0]["sopInstanceUID"]
        images = [orthanc.rest("GET", f"/instances/{one}/simplified-tags") for one in orthanc.rest("GET", "/instances")]
        for secret in {tags[key] for tags in images for key in ("PatientID", "StudyInstanceUID", "AccessionNumber")}:
            assert secret not in operator.log


def test_a_pacs_that_refuses_the_class_of_the_report_gets_the_other_and_the_bridge_says_so(empty: Hospital, orthanc: OrthancServer) -> None:
    with scripted_scp(stores, without=[COMPREHENSIVE_3D]) as scp, empty.operator() as operator:
        node = {"name": "pacs", "srFallback": "ComprehensiveSR", "dicom": {"aet": scp.aet, "host": "127.0.0.1", "port": scp.port}}
        empty.apply(a_secret(), changed(a_bridge(orthanc), "spec.destinations", [node]))
        bridge_says(empty, "Ready", "True/Ready")
        for name in ("a", "b"):
            empty.apply(named(delivery(RUN, destinations=["pacs"]), name))
            task = next(one["value"] for one in empty.has_job(name)["spec"]["template"]["spec"]["containers"][-1]["env"] if one["name"] == "GANTRY_TASK")
            assert json.loads(task)["alternatives"] is True
            report = result_uid("test", empty.namespace, name, "sr", 0)
            results = [an_sr(orthanc, f"{name} {kind}", sop_class, uid) for kind, sop_class, uid in (("3D", COMPREHENSIVE_3D, report), ("2D", COMPREHENSIVE, None))]
            receipt = a_receipt().model_copy(update={"results": (results[0],), "alternatives": (results[1],)})
            empty.publishes(empty.pod(name), receipt)
            completes(empty, name)
            assert scp.stored[-1] == results[1].sop_instance_uid
            (said,) = bridge_says(empty, "Ready", "True/Ready")["destinations"]
            assert (said["name"], said["place"], said["reports"]) == ("pacs", f"{scp.aet}@127.0.0.1:{scp.port}", "ComprehensiveSR")
        assert [empty.status(name)["deliveries"][0]["attempts"] for name in ("a", "b")] == [2, 1], "asked once"
        told = [json.loads(line) for line in operator.log.splitlines() if "results delivered" in line]
        assert [(len(one["alternatives"]), one["deliveries"][0]["reports"]) for one in told] == [(1, "ComprehensiveSR")] * 2


def an_sr(orthanc: OrthancServer, name: str, sop_class: str, sop_instance: str | None) -> Result:
    """A report in Orthanc, under a UID that the operator knows as its own if one is given."""
    dataset = pydicom.dcmread(BytesIO(a_ct(name, series="result", number=99, patient=name, Modality="SR")))
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = sop_class
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = sop_instance or dataset.SOPInstanceUID
    (stored,) = orthanc.upload(encoded(dataset))
    uids = {"sop_class_uid": sop_class, "sop_instance_uid": str(dataset.SOPInstanceUID), "series_instance_uid": str(dataset.SeriesInstanceUID)}
    return a_receipt().results[0].model_copy(update={"orthanc_id": stored["ID"], **uids})


def test_a_rotated_password_of_a_dicomweb_server_is_taken_without_a_restart(empty: Hospital, orthanc: OrthancServer, pacs: OrthancServer) -> None:
    web = {"name": "web", "dicomWeb": {"url": f"{pacs.url}/dicom-web", "credentialsSecretRef": {"name": "vna"}}}
    empty.apply(a_secret(), changed(a_secret(password="old"), "metadata.name", "vna"), changed(a_bridge(orthanc), "spec.destinations", [web]))
    with empty.operator():
        bridge_says(empty, "Ready", "True/Ready")
        empty.apply(named(delivery(RUN, destinations=["web"]), "a"))
        publish(empty, orthanc, "a", "rotated")
        wait(lambda: (empty.status("a").get("deliveries") or [{}])[0].get("reason") == "Unauthorized", "the old password is refused", tell=lambda: empty.status("a"))
        empty.apply(changed(a_secret(), "metadata.name", "vna"))
        completes(empty, "a")


def test_a_destination_that_is_taken_away_keeps_its_deliveries_and_gets_them_when_it_returns(empty: Hospital, orthanc: OrthancServer, pacs: OrthancServer) -> None:
    bridge = a_bridge(orthanc, pacs)
    dead = changed(bridge, "spec.destinations.0.dicom.port", 1)
    empty.apply(a_secret(), dead)
    with empty.operator():
        bridge_says(empty, "Ready", "True/Ready")
        empty.apply(named(delivery(RUN, destinations=["pacs"]), "a"))
        stored = publish(empty, orthanc, "a", "taken away")
        wait(lambda: (empty.status("a").get("deliveries") or [{}])[0].get("reason") == "Unreachable", "it is away", tell=lambda: empty.status("a"))
        empty.apply(changed(dead, "spec.destinations", []))
        wait(lambda: "the bridge has no such destination" in empty.status("a")["deliveries"][0].get("message", ""), "its absence is told")
        empty.apply(bridge)
        completes(empty, "a")
        assert stored in pacs.rest("GET", "/instances")


def test_a_dead_pacs_costs_the_others_nothing(empty: Hospital, orthanc: OrthancServer, pacs: OrthancServer) -> None:
    bridge = a_bridge(orthanc, pacs)
    bridge = changed(bridge, "spec.destinations", [*bridge["spec"]["destinations"], {"name": "dead", "dicom": {"aet": "DEAD", "host": "127.0.0.1", "port": 1}}])
    empty.apply(a_secret(), bridge)
    with empty.operator() as operator:
        bridge_says(empty, "Ready", "True/Ready")
        for number in range(12):
            empty.apply(named(delivery(RUN, destinations=["dead"]), f"dead-{number}"))
            publish(empty, orthanc, f"dead-{number}", f"dead {number}")
        wait(lambda: any("waits while the destination is away (Unreachable)" in (empty.status(f"dead-{n}").get("deliveries") or [{}])[0].get("message", "") for n in range(12)), "they wait")
        begun = time.monotonic()
        empty.apply(named(delivery(RUN, destinations=["pacs"]), "alive"))
        publish(empty, orthanc, "alive", "alive")
        empty.says("alive", "Complete", "True/Complete")
        assert time.monotonic() - begun < 10
        assert operator.metrics()['gantry_destinations_away{destination="dead"}'] >= 1
        attempts = sum((empty.status(f"dead-{n}").get("deliveries") or [{}])[0].get("attempts", 0) for n in range(12))
        assert attempts < 24, "a few sends, not one a Run again and again"
