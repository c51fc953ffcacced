"""Input images in the deflated transfer syntax, which modalities may send and Orthanc takes: analysed as others are, and no bomb to publish."""

from pathlib import Path

import pytest
from tests.builders_dicom import ct_series, deflated
from tests.component.orthanc_server import OrthancServer
from tests.component.publish.outputs import fetched, leave


@pytest.fixture
def empty(shared: OrthancServer) -> OrthancServer:
    for study in shared.studies():
        shared.rest("DELETE", f"/studies/{study}")
    return shared


def test_deflated_images_are_reported_on_like_others(empty: OrthancServer, tmp_path: Path, program: Path) -> None:
    empty.upload(*(deflated(image) for image in ct_series(3, pixels=True)))
    pod = fetched(empty, tmp_path / "pod", program)
    leave(pod)
    assert pod.step("detect") == 0
    code, receipt = pod.publish()
    assert (code, [one.kind for one in receipt.results]) == (0, ["SR"]), pod.log
    tags = empty.rest("GET", f"/instances/{receipt.results[0].orthanc_id}/simplified-tags")
    assert (tags["PatientName"], tags["PatientID"]) == ("Müller^Jürgen", "PAT-0042")


def test_an_image_that_inflates_without_end_ends_its_run_by_name(empty: OrthancServer, tmp_path: Path, program: Path) -> None:
    """300 KB in Orthanc. publish would have been killed for memory, with nothing in the Run but that."""
    good, bad = ct_series(2, pixels=True)
    empty.upload(deflated(good), deflated(bad, private=300 << 20))
    pod = fetched(empty, tmp_path / "pod", program)
    leave(pod)
    assert pod.step("detect") == 0
    code, receipt = pod.publish()
    assert receipt.failure is not None
    words = "the headers of deflated images inflate to more than 128 MiB; store such images uncompressed"
    assert (code, receipt.failure.reason, receipt.failure.message, receipt.results) == (65, "InputUnreadable", words, ())
