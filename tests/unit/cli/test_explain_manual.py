"""The transcripts of docs/routing.md: the commands are run on the studies the page tells of, and must print what the page shows."""

import re
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.fake_orthanc import Clock, FakeOrthanc
from tests.unit.cli.conftest import Gantry

from gantry.cli import explain, explain_sources
from gantry.cli.explain_sources import Source, Wanted, sources

ROOT = Path(__file__).parents[3]
EXAMPLES = ("chest-ct-thin-axial", "stroke-ct", "mammography-four-views")
AXIAL, CORONAL = "1\\0\\0\\0\\1\\0", "1\\0\\0\\0\\0\\-1"


def page() -> str:
    return (ROOT / "docs" / "routing.md").read_text(encoding="utf-8")


def transcripts() -> list[tuple[str, str]]:
    """Command and output of each block that begins with `$ gantry explain`."""
    found = re.findall(r"```console\n\$ (gantry explain[^\n]*)\n(.*?)```", page(), re.S)
    return [(command, output) for command, output in found]


@pytest.fixture
def hospital(monkeypatch: pytest.MonkeyPatch) -> FakeOrthanc:
    """A chest CT, a head CT of the emergency room and a mammography that lacks a view, in this order."""
    clock = Clock(datetime(2026, 11, 20, 10, 31, tzinfo=UTC))
    fake = FakeOrthanc(clock, extended=True)
    chest = {"StudyDescription": "CT Thorax nativ", "AccessionNumber": "A26-4711", "StudyDate": "20261120"}

    def a_ct(number: int, description: str, count: int, thickness: str, plane: str = AXIAL, kind: str = "ORIGINAL\\PRIMARY\\AXIAL") -> None:
        fake.images(
            "chest", str(number), count=count, study_tags=chest,
            tags={"SeriesNumber": str(number), "SeriesDescription": description, "ImageOrientationPatient": plane},
            elements={"SliceThickness": thickness, "ImageType": kind},
        )  # fmt: skip

    a_ct(1, "Topogram 0.6", 2, "0.6", CORONAL, "ORIGINAL\\PRIMARY\\LOCALIZER")
    a_ct(2, "Thorax 5.0 Br40", 68, "5")
    a_ct(3, "Thorax 1.0 Br64", 340, "1")
    a_ct(4, "Thorax 1.5 Br40", 227, "1.5")
    a_ct(5, "MPR cor 3.0", 80, "3", CORONAL, "DERIVED\\SECONDARY\\MPR")
    fake.arrived("chest", series="3", count=0)
    clock.pass_by(420)
    head = {"StudyDescription": "CCT nativ", "AccessionNumber": "A26-4712", "StudyDate": "20261120"}
    fake.arrived(
        "head", count=160, sender="CT_ER", study_tags=head,
        tags={"SeriesNumber": "2", "SeriesDescription": "Head 1.0", "ImageOrientationPatient": AXIAL}, elements={"SliceThickness": "1"},
    )  # fmt: skip
    clock.pass_by(600)
    breast = {"StudyDescription": "Mammography screening", "AccessionNumber": "A26-4713", "StudyDate": "20261120"}
    for number, (side, view) in enumerate((("L", "CC"), ("R", "CC"), ("L", "MLO")), start=1):
        fake.images(
            "breast", str(number), count=1, modality="MG", study_tags=breast, tags={"SeriesNumber": str(number), "SeriesDescription": f"{side} {view}"},
            elements={"ImageLaterality": side, "ViewPosition": view, "PresentationIntentType": "FOR PRESENTATION"},
        )  # fmt: skip
    fake.arrived("breast", series="3", count=0, modality="MG")
    monkeypatch.setattr(explain, "_connect", lambda place: fake.client())
    return fake


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, hospital: FakeOrthanc, tmp_path: Path) -> None:
    """A namespace to which the three examples are applied, as far as explanations go; no Runs."""
    monkeypatch.chdir(ROOT / "examples" / "pipelines")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nowhere"))

    def applied(wanted: Wanted) -> tuple[Source, ...]:
        files = wanted.files or tuple(f"{name}.yaml" for name in EXAMPLES)
        return sources(Wanted(files, wanted.pipelines, "http://orthanc:8042", None))

    monkeypatch.setattr(explain, "sources", applied)
    assert explain_sources.sources is sources


@pytest.mark.parametrize(("command", "output"), transcripts(), ids=[command for command, _ in transcripts()])
def test_a_transcript_of_the_manual_is_what_is_printed(gantry: Gantry, cluster: None, command: str, output: str) -> None:
    done = gantry(*shlex.split(command)[1:])
    assert done.err == ""
    assert [line.rstrip() for line in done.out.splitlines()] == output.splitlines()
