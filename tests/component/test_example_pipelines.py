"""The pipelines of examples/ on studies that came by C-STORE into a real Orthanc: whom each takes, and why it does not take the others."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from examples.phantom.make_ct import Options, make_series
from examples.phantom.make_texts import Options as TextOptions
from examples.phantom.make_texts import make_texts
from tests.builders_slices import a_ct
from tests.component.orthanc_server import PASSWORD, USERNAME, OrthancServer, orthanc_server

PIPELINES = Path(__file__).parents[2] / "examples" / "pipelines"
FILES = sorted(path for path in PIPELINES.glob("*.yaml") if path.name != "orthanc-secret.yaml")
HEAD = {"patient": "head", "AccessionNumber": "HEAD", "StudyDescription": "CCT nativ", "SliceThickness": "1"}


def views(study: str, *wanted: tuple[str, str], again: str = "") -> list[bytes]:
    """A mammography, one series a view; `again` makes further ones of the same view."""
    return [
        a_ct(
            study, series=f"{side}{view}{again}", patient=study, Modality="MG", AccessionNumber=study.upper(), StudyDescription="Screening",
            ImageLaterality=side, ViewPosition=view, PresentationIntentType="FOR PRESENTATION",
        )
        for side, view in wanted
    ]  # fmt: skip


def sent(server: OrthancServer, folder: Path, aet: str, images: list[bytes]) -> None:
    folder.mkdir()
    for number, image in enumerate(images):
        (folder / f"{number:04d}.dcm").write_bytes(image)
    command = ["storescu", "-aet", aet, "-aec", server.aet, "+sd", "127.0.0.1", str(server.dicom_port), str(folder)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    """The phantom in thin and thick slices, two heads, two mammographies, an ultrasound; each from a modality of its own."""
    folder = tmp_path_factory.mktemp("examples")
    chest = {"matrix": 64, "spheres": 0, "vessels": 0, "accession": "CHEST"}
    for name, options in {"thin": Options(slices=60, slice_spacing=1.25, **chest), "thick": Options(slices=20, slice_spacing=5, seed=2, **chest)}.items():  # type: ignore[arg-type]
        make_series(folder / name, options)
    with orthanc_server(folder / "orthanc") as server:
        for name in ("thin", "thick"):
            sent(server, folder / f"{name}-sent", "CT_1", [path.read_bytes() for path in sorted((folder / name).glob("*.dcm"))])
        sent(server, folder / "er", "CT_ER", [a_ct("er", number=n, **HEAD | {"AccessionNumber": "ER"}) for n in range(1, 26)])
        with_contrast = [a_ct("ward", series="angio", number=n, **HEAD | {"ContrastBolusAgent": "Ultravist 370"}) for n in range(1, 26)]
        sent(server, folder / "ward", "CT_2", [*(a_ct("ward", number=n, **HEAD) for n in range(1, 26)), *with_contrast])
        make_texts(folder / "sono-made", TextOptions(accession="SONO", texts=1))
        sent(server, folder / "sono", "US_1", [(folder / "sono-made" / "0001.dcm").read_bytes()])
        sent(server, folder / "four", "MG_1", views("four", ("L", "CC"), ("R", "CC"), ("L", "MLO"), ("R", "MLO")))
        sent(server, folder / "repeat", "MG_1", [*views("repeat", ("L", "CC"), ("R", "CC"), ("L", "MLO")), *views("repeat", ("L", "CC"), again="again")])
        yield server


def explained(server: OrthancServer, accession: str) -> dict[str, Any]:
    """Decisions of all examples by pipeline. No cluster is there."""
    program = Path(sys.executable).parent / "gantry"
    files = [word for path in FILES for word in ("-f", str(path))]
    environment = {**os.environ, "KUBECONFIG": "/nowhere", "ORTHANC_USERNAME": USERNAME, "ORTHANC_PASSWORD": PASSWORD}
    done = subprocess.run([program, "explain", accession, *files, "--orthanc-url", server.url, "-o", "json"], env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return {one["pipeline"]: one for one in json.loads(done.stdout)["decisions"]}


TAKEN: dict[str, tuple[str, dict[str, str]]] = {
    "head CT from the emergency room goes first": ("ER", {"stroke-ct": "Stat", "ct-dose": "Routine"}),
    "head CT from another scanner waits its turn": ("HEAD", {"stroke-ct": "Routine", "ct-dose": "Routine"}),
    "ultrasound, behind all others": ("SONO", {"burned-in-text": "Background"}),
    "all four views": ("FOUR", {"mammography-four-views": "Routine"}),
    "four images, one view twice": ("REPEAT", {}),
}


@pytest.mark.parametrize(("accession", "taken"), TAKEN.values(), ids=TAKEN.keys())
def test_each_study_is_taken_by_whom_it_is_meant_for(orthanc: OrthancServer, accession: str, taken: dict[str, str]) -> None:
    decisions = explained(orthanc, accession)
    assert {name: one["priority"] for name, one in decisions.items() if one["matched"]} == taken


def test_of_the_phantom_the_thin_series_is_chosen(orthanc: OrthancServer) -> None:
    """Each of its series is a study of its own: the phantom's UIDs are made of its options."""
    found = {study: explained(orthanc, study)["chest-ct-thin-axial"] for study in orthanc.studies()}
    (thin,) = [one for one in found.values() if one["matched"]]
    assert [one["selected"] for one in thin["series"]] == [True]
    reasons = [one["reason"] for decision in found.values() if not decision["matched"] for one in decision["series"]]
    assert reasons == ["expression: wanted series.orientation == 'AXIAL' && series.instances >= 50, is false"]


def test_a_series_with_contrast_is_left_out_with_its_reason(orthanc: OrthancServer) -> None:
    reasons = {one["selected"]: one["reason"] for one in explained(orthanc, "HEAD")["stroke-ct"]["series"]}
    assert reasons[True] is None
    assert reasons[False].startswith("expression: wanted !series.contrast && ")


def test_a_view_that_is_missing_is_said_by_the_expression(orthanc: OrthancServer) -> None:
    decision = explained(orthanc, "REPEAT")["mammography-four-views"]
    assert (decision["check"], decision["actual"]) == ("expression", "false")
