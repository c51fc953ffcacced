"""content: Metadata against a real Orthanc: what lies in the pod, what went over the wire, and the report made of it."""

import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage
from tests.builders_slices import a_ct, encoded, uid
from tests.component.flaky_proxy import Spoil, flaky_proxy
from tests.component.orthanc_server import OrthancServer, orthanc_server
from tests.component.sr_validators import complaints
from tests.component.worker_pod import Pod, a_task

from gantry.orthanc import Credentials
from gantry.worker.fetch import Source, fetch
from gantry.worker.outcome import Stop
from gantry.worker.patience import Patience
from gantry.worker.workspace import Workspace

PIXEL = b"\xde\xad\xbe\xef"
"""Every pixel, visible or not, of the images here: it must be seen nowhere."""
ROWS = 256
NODULE = {"scheme": "SCT", "value": "427359005", "meaning": "Solitary nodule of lung"}
METADATA = {"template__input": {"series": {}, "content": "Metadata"}}


def a_rich_ct(number: int, **elements: object) -> bytes:
    """A slice with pixels in four places, private elements, and text that is not ASCII."""
    ds = pydicom.dcmread(io.BytesIO(a_ct(number=number, rows=ROWS, SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jürgen", **elements)))
    ds.PixelData = PIXEL * (ROWS * ROWS // 2)
    icon = Dataset()
    icon.Rows, icon.Columns, icon.BitsAllocated, icon.PixelData = 64, 64, 8, PIXEL * 1024
    icon["PixelData"].VR = "OB"
    ds.IconImageSequence = [icon]
    ds.add_new(0x60003000, "OW", PIXEL * (ROWS * ROWS // 32))
    block = ds.private_block(0x0011, "ACME DOSE", create=True)
    inner = Dataset()
    inner.CodeValue = "7"
    for element, vr, value in ((1, "LO", "Prüfkörper"), (2, "DS", ["1.25", "2"]), (3, "OB", PIXEL * 512), (4, "UN", PIXEL), (5, "SQ", [inner]), (6, "US", [1, 2])):
        block.add_new(element, vr, value)
    ds.CTDIvol, ds.ImageComments = 12.5, "C:\\dose\nüber"
    return encoded(ds)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    with orthanc_server(tmp_path_factory.mktemp("orthanc")) as server:
        server.upload(*(a_rich_ct(number) for number in (3, 1, 2)))
        yield server


def value(document: dict[str, Any], tag: str) -> Any:
    return document[tag]["Value"]


def test_dicom_json_lies_in_place_of_the_images_and_no_pixel_is_sent(shared: OrthancServer, tmp_path: Path, program: Path) -> None:
    with flaky_proxy(shared.url, lambda path, count: None) as proxy:
        pod = Pod(tmp_path, a_task(shared, url=proxy.url, **METADATA), program)
        code, receipt = pod.fetch()
    assert (code, receipt.instances, receipt.failure) == (0, 3, None), pod.log
    assert not any(PIXEL in body for body in proxy.bodies)
    assert sum(map(len, proxy.bodies)) < 3 * 20_000 < 3 * ROWS * ROWS * 2
    assert not any(path.endswith(("/file", "/data")) or "/bulk/" in path for path in proxy.asked)

    study = pod.study()
    assert study["content"] == "Metadata"
    (series,) = study["series"]
    assert [one["path"] for one in series["instances"]] == ["1/0001.json", "1/0002.json", "1/0003.json"]
    assert sorted(str(path.relative_to(pod.input)) for path in pod.input.rglob("*") if path.is_file()) == [*(one["path"] for one in series["instances"]), "study.json"]
    for one in series["instances"]:
        content = (pod.input / one["path"]).read_bytes()
        assert len(content) == one["bytes"]
        assert value(json.loads(content), "00080018") == [one["sopInstanceUID"]]
        assert b"BulkDataURI" not in content


def test_elements_are_those_of_the_standard(shared: OrthancServer, tmp_path: Path, program: Path) -> None:
    pod = Pod(tmp_path, a_task(shared, **METADATA), program)
    assert pod.fetch()[0] == 0, pod.log
    document = json.loads((pod.input / "1" / "0002.json").read_text("utf-8"))
    assert {tag: document[tag] for tag in ("00080005", "00080060", "00100010", "00180050", "00189345", "00200013", "00200032", "00280010", "00204000", "00080090")} == {
        "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
        "00080060": {"vr": "CS", "Value": ["CT"]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Müller^Jürgen"}]},
        "00180050": {"vr": "DS", "Value": [1.25]},
        "00189345": {"vr": "FD", "Value": [12.5]},
        "00200013": {"vr": "IS", "Value": [2]},
        "00200032": {"vr": "DS", "Value": [-180, -180, 2]},
        "00280010": {"vr": "US", "Value": [ROWS]},
        "00204000": {"vr": "LT", "Value": ["C:\\dose\nüber"]},
        "00080090": {"vr": "PN"},
    }
    assert {tag: element for tag, element in document.items() if tag.startswith("0011")} == {
        "00110010": {"vr": "LO", "Value": ["ACME DOSE"]},
        "00111001": {"vr": "LO", "Value": ["Prüfkörper"]},
        "00111002": {"vr": "DS", "Value": [1.25, 2]},
        "00111005": {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["7"]}}]},
        "00111006": {"vr": "US", "Value": [1, 2]},
    }
    assert "7FE00010" not in document
    assert "60003000" not in document
    assert set(value(document, "00880200")[0]) == {"00280010", "00280011", "00280100"}
    read = pydicom.Dataset.from_json(document)
    assert (read.PatientName, read.SOPClassUID, list(read.ImageOrientationPatient)) == ("Müller^Jürgen", CTImageStorage, [1, 0, 0, 0, 1, 0])


def only_metadata(how: str, times: int) -> Spoil:
    return lambda path, count: how if path.endswith("/metadata") and "dicom-web" in path and count <= times else None


@pytest.mark.parametrize("how", ["cut", "close", "garbage", "longer", "503"])
def test_a_spoiled_answer_is_asked_for_again(how: str, shared: OrthancServer, tmp_path: Path, program: Path) -> None:
    with flaky_proxy(shared.url, only_metadata(how, 1)) as proxy:
        pod = Pod(tmp_path, a_task(shared, url=proxy.url, **METADATA), program)
        code, receipt = pod.fetch()
    assert (code, receipt.instances) == (0, 3), pod.log
    assert [event["event"] for event in pod.events()].count("download repeated") == 3


@pytest.mark.parametrize(("how", "words"), [("garbage", "the answer is no metadata (not JSON: "), ("503", "HTTP 503"), ("cut", "broke off after"), ("401", "HTTP 401")])
def test_an_answer_that_stays_spoiled_is_told_without_a_uid(how: str, words: str, shared: OrthancServer, tmp_path: Path, program: Path) -> None:
    with flaky_proxy(shared.url, only_metadata(how, 10**6)) as proxy:
        task = a_task(shared, url=proxy.url, **METADATA)
        with pytest.raises(Stop) as stop:
            fetch(task, Workspace(tmp_path), Source(proxy.url, Credentials("gantry", "secret"), 2, Patience(1.0)), launcher=program)
    assert stop.value.failure.reason == "FetchFailed"
    assert stop.value.failure.message.startswith("/dicom-web/studies/…/metadata: ")
    assert words in stop.value.failure.message
    assert uid("study") not in stop.value.failure.message


def test_an_instance_deleted_meanwhile_means_the_study_is_gone(shared: OrthancServer, tmp_path: Path, program: Path) -> None:
    with flaky_proxy(shared.url, only_metadata("404", 10**6)) as proxy:
        code, receipt = Pod(tmp_path, a_task(shared, url=proxy.url, **METADATA), program).fetch()
    assert code == 65
    assert receipt.failure is not None
    assert receipt.failure.reason == "StudyGone"


def test_other_images_than_the_runs_are_refused(shared: OrthancServer, tmp_path: Path, program: Path) -> None:
    code, receipt = Pod(tmp_path, a_task(shared, study__instances=2, **METADATA), program).fetch()
    assert code == 65
    assert receipt.failure is not None
    assert receipt.failure.message == "the Run is for 2 instances, Orthanc holds 3 in its series now"


def test_an_orthanc_without_the_plugin_is_told_what_is_missing(tmp_path: Path, program: Path) -> None:
    with orthanc_server(tmp_path / "orthanc", config={"Plugins": []}) as server:
        server.upload(a_rich_ct(1))
        pod = Pod(tmp_path / "pod", a_task(server, **METADATA), program)
        pod.root.mkdir()
        code, receipt = pod.fetch()
    assert code == 1
    assert receipt.failure is not None
    assert receipt.failure.message == "input.content Metadata needs Orthanc's DICOMweb plugin, which is not loaded; add it to Plugins in Orthanc's configuration"


def test_the_plugin_is_found_where_its_configuration_puts_it(tmp_path: Path, program: Path) -> None:
    with orthanc_server(tmp_path / "orthanc", config={"DicomWeb": {"Enable": True, "Root": "/web/dicom/"}}) as server:
        server.upload(a_rich_ct(1))
        pod = Pod(tmp_path / "pod", a_task(server, **METADATA), program)
        pod.root.mkdir()
        assert pod.fetch()[0] == 0, pod.log


def test_a_uid_that_stands_under_two_patients_is_never_the_other_ones(tmp_path: Path, program: Path) -> None:
    """Orthanc keeps both (its ids are made of PatientID, too), but WADO-RS asks by UIDs alone."""
    with orthanc_server(tmp_path / "orthanc") as server:
        server.upload(a_rich_ct(1))
        task = a_task(server, **METADATA)
        server.upload(a_rich_ct(1, PatientID="OTHER"))
        pod = Pod(tmp_path / "pod", task, program)
        pod.root.mkdir()
        code, receipt = pod.fetch()
    if code == 0:
        assert value(json.loads((pod.input / "1" / "0001.json").read_text()), "00100020") == ["PATIENT1"]
    else:
        assert receipt.failure is not None
        assert receipt.failure.reason in ("InputMismatch", "StudyGone")


REGIONS: dict[str, dict[str, Any]] = {
    "no region": {},
    "a 2D region": {"region": {"kind": "point", "sopInstanceUID": uid("study", "series", 2), "points": [[100, 80]]}},
    "a 3D region": {"region": {"kind": "point3d", "points": [[-100, -100, 2]]}},
}


@pytest.mark.parametrize("region", REGIONS.values(), ids=REGIONS.keys())
def test_a_report_made_of_metadata_is_that_of_the_files(region: dict[str, Any], shared: OrthancServer, tmp_path: Path, program: Path) -> None:
    finding = {"id": "one", "type": NODULE, "presence": "present", "measurements": [{"name": {"scheme": "SCT", "value": "81827009", "meaning": "Diameter"}, "value": 7, "unit": "mm"}], **region}
    document = {"schemaVersion": "v1alpha1", "algorithms": [{"id": "a", "name": "Nodules", "version": "1.0", "manufacturer": "Test"}], "findings": [finding]}
    made = {}
    for content in ("Metadata", "Full"):
        pod = Pod(tmp_path / content, a_task(shared, series=ct_series_of(shared), template__input={"series": {}, "content": content}), program)
        pod.root.mkdir()
        assert pod.fetch()[0] == 0, pod.log
        (pod.output("detect") / "findings.json").write_text(json.dumps(document))
        assert pod.step("detect") == 0
        code, receipt = pod.publish()
        assert code == 0, pod.log
        (result,) = receipt.results
        made[content] = shared.rest("GET", f"/instances/{result.orthanc_id}/file")
        shared.rest("DELETE", f"/instances/{result.orthanc_id}")
    assert made["Metadata"] == made["Full"]
    (tmp_path / "sr.dcm").write_bytes(made["Metadata"])
    assert complaints(tmp_path / "sr.dcm") == []


def ct_series_of(server: OrthancServer) -> list[str]:
    return [one["ID"] for one in server.rest("GET", "/series?expand") if one["MainDicomTags"]["Modality"] == "CT"]


def test_three_hundred_instances_take_seconds(tmp_path: Path, program: Path) -> None:
    """0.7 s with Orthanc 1.10.1, 1.8 s with 1.13, on two cores: a pause or a request too many for each instance would be noticed."""
    with orthanc_server(tmp_path / "orthanc") as server:
        server.upload(*(a_ct(number=number, rows=512) for number in range(1, 301)))
        pod = Pod(tmp_path / "pod", a_task(server, **METADATA), program)
        pod.root.mkdir()
        began = time.monotonic()
        code, receipt = pod.fetch()
        assert (code, receipt.instances) == (0, 300)
        assert receipt.bytes < 300 * 5000
        assert time.monotonic() - began < 30
        print(f"{receipt.instances} instances, {receipt.bytes} bytes, {receipt.seconds} s, {pod.events()[-1]['peakBytes']} bytes of memory")
