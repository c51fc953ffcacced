"""Masks through the pod and before judges that know nothing of Gantry: dciodvfy, and dcmqi's reader, which gives the mask back as NIfTI."""

import gzip
import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import nibabel
import numpy as np
import pydicom
import pytest
from pydicom import Dataset
from tests.builders_dicom import a_pdf, an_image, as_file, ct_series
from tests.builders_findings import a_context, a_document, a_finding, code, image_uid, negative, parsed
from tests.builders_masks import Labels, asymmetric, nifti, numpy_file, oblique, placed, rearranged
from tests.component.dicom_receiver import dicom_receiver
from tests.component.orthanc_server import OrthancServer, orthanc_server
from tests.component.sr_validators import complaints, dciodvfy, dsrdump
from tests.component.worker_pod import Pod, a_task

from gantry.report import build_key_objects, build_masks, build_overview, build_report
from gantry.report.display import displayed

SOURCE = ct_series(20)
LUNG = {"category": code("SCT", "123037004", "Anatomical Structure"), "type": code("SCT", "39607008", "Lung")}


def document(mask: dict[str, Any]) -> dict[str, Any]:
    return a_document(a_finding("one"), masks=[mask])


def labelled(file: str = "m.nii.gz", **fields: Any) -> dict[str, Any]:
    segments = [{"value": 1, "finding": "one", "measure": ["volume"]}, {"value": 2, **LUNG}, {"value": 7, **LUNG, "label": "Lung, left"}]
    return {"file": file, "segments": segments} | fields


def made(mask: dict[str, Any], content: bytes, source: list[Dataset], folder: Path) -> Path:
    findings, segmentations = build_masks(parsed(document(mask)), source, a_context(), {mask["file"]: content})
    for number, report in enumerate(build_report(findings, source, a_context(), segmentations)):
        path = folder / f"{number}.dcm"
        path.write_bytes(report.dicom)
        assert complaints(path) == []
    path = folder / "seg.dcm"
    path.write_bytes(as_file(segmentations[mask["file"]]))
    return path


def of_a_projection() -> tuple[dict[str, Any], bytes, list[Dataset]]:
    image = an_image("DX")
    mask = {"file": "m.npy", "images": [str(image.SOPInstanceUID)], "segments": [{"value": 1, "finding": "one"}]}
    return mask, numpy_file(asymmetric(6, 128, 128)[1]), [image]


FRACTIONS = {"file": "m.nii.gz", "fractional": "probability", "segments": [{"finding": "one"}]}
CASES: dict[str, Callable[[], tuple[dict[str, Any], bytes, list[Dataset]]]] = {
    "labels": lambda: (labelled(), nifti(asymmetric(20, 128, 128), placed(SOURCE)), SOURCE),
    "labels on an oblique series": lambda: (labelled(), nifti(asymmetric(12, 96, 112), placed(oblique(12))), oblique(12)),
    "labels of an array": lambda: (labelled("m.npy", images=[image_uid(number) for number in range(20)]), numpy_file(asymmetric(20, 128, 128)), SOURCE),
    "fractions": lambda: (FRACTIONS, nifti(asymmetric(20, 128, 128) / 7, placed(SOURCE), dtype=np.float32), SOURCE),
    "labels on a radiograph": of_a_projection,
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_validators_take_the_segmentation_and_the_report(case: Callable[[], tuple[dict[str, Any], bytes, list[Dataset]]], tmp_path: Path) -> None:
    assert dciodvfy(made(*case(), tmp_path)) == []


def test_validators_take_the_key_object_selection(tmp_path: Path) -> None:
    content = {"m.nii.gz": nifti(asymmetric(20, 128, 128), placed(SOURCE))}
    findings, drawn = build_masks(parsed(document(labelled())), SOURCE, a_context(), content)
    reports = build_report(findings, SOURCE, a_context(), drawn)
    path = tmp_path / "ko.dcm"
    path.write_bytes(build_key_objects(findings, reports, list(drawn.values()), SOURCE, a_context()).dicom)
    assert (dciodvfy(path), dsrdump(path)) == ([], [])


@pytest.mark.parametrize("found", [True, False], ids=["several pages", "a negative result"])
def test_validators_take_the_overview_and_the_report_that_names_it(tmp_path: Path, found: bool) -> None:
    content = {"m.nii.gz": nifti(asymmetric(20, 128, 128), placed(SOURCE))}
    findings, drawn = build_masks(parsed(document(labelled())), SOURCE, a_context(), content) if found else (parsed(negative()), {})
    overview = build_overview(findings, SOURCE, a_context(), drawn, displayed)
    paths = [tmp_path / "sc.dcm", tmp_path / "sr.dcm"]
    report = build_report(findings, SOURCE, a_context(), {**drawn, "x.pdf": a_pdf(SOURCE[0])}, overview)[0]
    for path, one in zip(paths, (overview, report), strict=True):
        path.write_bytes(one.dicom)
    assert (dciodvfy(paths[0]), complaints(paths[1])) == ([], [])


def independently_read(path: Path, folder: Path) -> Iterator[tuple[Labels, Labels]]:
    """Values and affine of each segment, by dcmqi."""
    program = Path(sys.executable).parent / "segimage2itkimage"
    subprocess.run([program, "--inputDICOM", path, "--outputDirectory", folder, "--outputType", "nii"], check=True, capture_output=True, timeout=120)
    for one in sorted(folder.glob("*.nii.gz")):
        image = nibabel.Nifti1Image.from_bytes(gzip.decompress(one.read_bytes()))
        yield np.asarray(image.dataobj), image.affine


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 1, 0), (1, 0, 2)], ids=["slices first", "as NIfTI has it", "rows first"])
@pytest.mark.parametrize("source", [SOURCE, oblique(12)], ids=["axial", "oblique"])
def test_an_independent_reader_finds_every_voxel_where_the_author_put_it(source: list[Dataset], axes: tuple[int, ...], tmp_path: Path) -> None:
    """The asymmetric phantom goes in as NIfTI and comes back as NIfTI: the same millimetres, voxel for voxel."""
    labels = asymmetric(len(source), int(source[0].Rows), int(source[0].Columns))
    turned, affine = rearranged(labels, placed(source), axes, (True, False, True))
    path = made(labelled(), nifti(turned, affine), source, tmp_path)
    (tmp_path / "read").mkdir()
    for value, (read, theirs) in zip((1, 2, 7), independently_read(path, tmp_path / "read"), strict=True):
        assert np.allclose(points(read > 0, theirs), points(labels == value, np.diag([-1.0, -1, 1, 1]) @ placed(source)), atol=0.01)


def points(mask: Labels, affine: Labels) -> Labels:
    """Where the voxels are, in mm, in an order of their own."""
    found = np.argwhere(mask) @ affine[:3, :3].T + affine[:3, 3]
    return found[np.lexsort(np.round(found, 1).T)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    with orthanc_server(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.mark.parametrize("further", [False, True], ids=["alone", "with an overview and a key object selection"])
def test_a_mask_goes_through_the_pod(server: OrthancServer, program: Path, tmp_path: Path, further: bool) -> None:
    source = ct_series(pixels=True)
    for study in server.studies():
        server.rest("DELETE", f"/studies/{study}")
    server.upload(*(as_file(one) for one in source))
    pod = Pod(tmp_path, a_task(server, template__report={"overview": further, "keyObjects": further}), program)
    pod.fetch()
    pod.output("detect").mkdir(parents=True, exist_ok=True)
    (pod.output("detect") / "findings.json").write_text(json.dumps(document(labelled())))
    (pod.output("detect") / "m.nii.gz").write_bytes(nifti(asymmetric(20, 128, 128), placed(source)))
    pod.step("detect")
    status, receipt = pod.publish()
    assert status == 0, pod.log
    assert [result.kind for result in receipt.results] == (["SEG", "SC", "SR", "SR", "KO"] if further else ["SEG", "SR", "SR"])
    files = [server.rest("GET", f"/instances/{result.orthanc_id}/file") for result in receipt.results]
    assert [hashlib.md5(file).hexdigest() for file in files] == [result.md5 for result in receipt.results]
    objects = [(result.kind, pydicom.dcmread(io.BytesIO(file))) for result, file in zip(receipt.results, files, strict=True)]
    made = dict(objects)  # of the reports the last, which is about segments
    segmentation, report, first = made["SEG"], made["SR"], next(one for kind, one in objects if kind == "SR")
    if further:
        assert all(str(one.SOPInstanceUID) in str(made["KO"]) for one in (segmentation, report, made["SC"]))
        assert str(made["SC"].SOPInstanceUID) in str(first.CurrentRequestedProcedureEvidenceSequence)
        assert made["SC"].NumberOfFrames == 2, "words, and the slice on which the segment is largest"
    assert str(segmentation.SegmentSequence[0].TrackingUID) in str(report)
    assert f"'{50 * 4 * 0.49 * 5:g}'" in str(report) or f"{50 * 4 * 0.49 * 5:g}" in str(report)


def every_object() -> dict[str, bytes]:
    """What a Run makes: two reports, the segmentation of a mask, the overview, the key object selection."""
    source = ct_series(20, pixels=True)
    content = {"m.nii.gz": nifti(asymmetric(20, 128, 128), placed(source))}
    findings, drawn = build_masks(parsed(document(labelled())), source, a_context(), content)
    overview = build_overview(findings, source, a_context(), drawn, displayed)
    reports = build_report(findings, source, a_context(), drawn, overview)
    selection = build_key_objects(findings, (overview, *reports), tuple(drawn.values()), source, a_context())
    return {"SEG": as_file(drawn["m.nii.gz"]), "SC": overview.dicom} | {f"SR {one.sort}": one.dicom for one in reports} | {"KO": selection.dicom}


def test_every_object_of_a_run_comes_back_byte_for_byte_and_arrives_as_it_was_sent(server: OrthancServer, tmp_path: Path) -> None:
    made = every_object()
    for study in server.studies():
        server.rest("DELETE", f"/studies/{study}")
    uids = {kind: str(pydicom.dcmread(io.BytesIO(dicom), stop_before_pixels=True).SOPInstanceUID) for kind, dicom in made.items()}
    stow(server, made.values())
    by_uid = {one["MainDicomTags"]["SOPInstanceUID"]: one["ID"] for one in server.rest("GET", "/instances?expand")}
    assert {kind: server.rest("GET", f"/instances/{by_uid[uid]}/file") == made[kind] for kind, uid in uids.items()} == dict.fromkeys(made, True)
    with dicom_receiver(tmp_path / "received") as receiver:
        receiver.start("--bit-preserving")
        server.rest("PUT", "/modalities/receiver", json={"AET": receiver.aet, "Host": "127.0.0.1", "Port": receiver.port})
        server.rest("POST", "/modalities/receiver/store", json=list(by_uid.values()))
        arrived = {str(one.SOPInstanceUID): one for one in receiver.received()}
    assert {kind: arrived[uid] == pydicom.dcmread(io.BytesIO(made[kind])) for kind, uid in uids.items()} == dict.fromkeys(made, True)


def stow(server: OrthancServer, files: Iterable[bytes]) -> None:
    """STOW-RS, and each instance back by WADO-RS."""
    parts = b"".join(b"--gantry\r\nContent-Type: application/dicom\r\n\r\n" + one + b"\r\n" for one in files) + b"--gantry--\r\n"
    kinds = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=gantry', "Accept": "application/dicom+json"}
    with httpx.Client(base_url=server.url, auth=("gantry", "secret"), timeout=60) as client:
        client.post("/dicom-web/studies", content=parts, headers=kinds).raise_for_status()
        for dicom in files:
            one = pydicom.dcmread(io.BytesIO(dicom), stop_before_pixels=True)
            path = f"/dicom-web/studies/{one.StudyInstanceUID}/series/{one.SeriesInstanceUID}/instances/{one.SOPInstanceUID}"
            answer = client.get(path, headers={"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'})
            answer.raise_for_status()
            assert dicom in answer.content, "WADO-RS gives other bytes"
