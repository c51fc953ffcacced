"""The burned-in-text application with its real models, on images whose texts are known: what it finds, what it misses, and that it tells no word."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
import pytest
from examples.phantom.make_texts import KINDS, WORDS, Options, Text, make_texts
from tests.builders_texts import Found, an_input, covered, found, matched
from tests.component.orthanc_server import OrthancServer, orthanc_server
from tests.component.sr_validators import complaints, dciodvfy
from tests.component.worker_pod import ROOT, Pod, a_task

from gantry.findings import parse_findings

PROGRAM = ROOT / "examples" / "algorithms" / "burned-in-text" / "find_text.py"
SMALL = {"rows": 360, "columns": 480, "smallest": 16, "largest": 24}
WITH_TEXT = {
    "a fan": Options(texts=8),
    "a fan in YBR": Options(kind="SC-YBR", seed=2),
    "a fan with a palette": Options(kind="US-PALETTE", seed=3),
    "a fan, letters of dots": Options(bitmap=True, seed=4),
    "a chest, inverted": Options(kind="CR", texts=8, smallest=14),
    "a chest, faint letters": Options(kind="DX", smallest=16, scratched=0.5),
    "a page": Options(kind="SC", texts=8),
    "a coloured screen": Options(kind="SC-COLOR"),
}
WITHOUT = {f"{kind} without": Options(kind=kind, texts=0, seed=11) for kind in ("US", "US-PALETTE", "CR", "DX", "SC", "SC-COLOR")}
OVERLAP = 0.2
"""Intersection over union. The model pads its boxes by a third of a line's height and takes in what is drawn across the letters. Of 252 lines on 42
images, measured on 2026-11-28, the median was 0.57; a line with a curve across has 0.23."""
RECALL, PRECISION, COVERED = 0.9, 0.95, 0.9
"""Measured that day: 251 of those 252 lines found, and 52 of the 54 here, of which one has a curve across letters 9 pixels high; nothing else, neither
there nor on 28 images without text. What is left is for other processors' arithmetic."""


@pytest.fixture(scope="session")
def python() -> str:
    """An interpreter with what the application's image has."""
    return subprocess.run([ROOT / "cluster" / "algorithm-venv", "burned-in-text"], check=True, capture_output=True, text=True, timeout=600).stdout.strip()


@dataclass(frozen=True)
class Answer:
    document: dict[str, Any]
    said: str
    code: int

    @property
    def places(self) -> list[Found]:
        return found(self.document)


def look(python: str, folder: Path, **settings: float) -> Answer:
    """The application as Gantry starts it, on `folder`/input."""
    (folder / "output").mkdir(exist_ok=True)
    (folder / "settings.json").write_text(json.dumps(settings))
    places = {"GANTRY_INPUT": folder / "input", "GANTRY_OUTPUT": folder / "output", "GANTRY_SETTINGS": folder / "settings.json"}
    done = subprocess.run([python, PROGRAM], env={**os.environ, **{name: str(path) for name, path in places.items()}}, capture_output=True, text=True, check=False)
    written = folder / "output" / "findings.json"
    text = written.read_bytes() if written.exists() else b""
    if text:
        parse_findings(text)
    return Answer(json.loads(text or "{}"), done.stdout + done.stderr, done.returncode)


@pytest.fixture(scope="module")
def truth_and_answer(python: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, list[Text]], Answer]:
    """All kinds with and without text as one study, looked at once: loading the models takes as long as two images."""
    folder = tmp_path_factory.mktemp("texts")
    (folder / "input").mkdir()
    truth = an_input(folder / "input", WITH_TEXT | WITHOUT)
    answer = look(python, folder)
    assert answer.code == 0, answer.said
    return truth, answer


def test_the_text_is_found_where_it_is_and_nothing_else(truth_and_answer: tuple[dict[str, list[Text]], Answer]) -> None:
    truth, answer = truth_and_answer
    texts = [text for series in truth.values() for text in series]
    assert len(texts) == sum(options.texts for options in WITH_TEXT.values())
    pairs = matched(texts, answer.places, at_least=OVERLAP)
    recall, precision = len(pairs) / len(texts), len(pairs) / len(answer.places)
    ink = sum(covered(text, answer.places) for text in texts) / len(texts)
    missed = [text for text in texts if text not in {pair[0] for pair in pairs}]
    counted = f"{len(pairs)} of {len(texts)} lines found, {len(answer.places) - len(pairs)} boxes too many, {ink:.1%} of the ink inside"
    told = f"{counted}; missed: {missed}"
    print(told)  # pytest -s shows it: what the README says comes from here
    assert recall >= RECALL, told
    assert precision >= PRECISION, told
    assert ink >= COVERED, told


@pytest.mark.parametrize("name", WITH_TEXT)
def test_no_kind_of_image_is_lost(truth_and_answer: tuple[dict[str, list[Text]], Answer], name: str) -> None:
    truth, answer = truth_and_answer
    assert len(matched(truth[name], answer.places, at_least=OVERLAP)) >= len(truth[name]) - 1


def test_images_without_text_have_no_finding(truth_and_answer: tuple[dict[str, list[Text]], Answer]) -> None:
    """Ticks, callipers, wedges, ribs and rules of tables are there."""
    truth, answer = truth_and_answer
    written_on = {text.image for series in truth.values() for text in series}
    assert [place for place in answer.places if place.image not in written_on] == []
    assert answer.document["summary"]["impression"].startswith(f"Text in the pixels of {len(WITH_TEXT)} of {len(WITH_TEXT) + len(WITHOUT)} images: ")


def test_the_confidence_of_what_is_there_keeps_its_distance_from_the_limit(truth_and_answer: tuple[dict[str, list[Text]], Answer]) -> None:
    truth, answer = truth_and_answer
    texts = [text for series in truth.values() for text in series]
    assert min(place.confidence for _, place in matched(texts, answer.places, at_least=OVERLAP)) >= 0.7, "0.92 was the least of 251; the limit is 0.6"


def test_no_word_is_told(truth_and_answer: tuple[dict[str, list[Text]], Answer]) -> None:
    """What was read may name the patient: neither the document nor the log has it."""
    _, answer = truth_and_answer
    everything = (json.dumps(answer.document) + answer.said).upper()
    words = {part.upper() for word in WORDS for part in word.replace("^", " ").replace(",", " ").split() if len(part) > 3 and part not in ("Example", "Hospital")}
    assert len(words) > 20
    assert [word for word in sorted(words) if word in everything] == []


def test_a_negative_result_is_said(python: str, tmp_path: Path) -> None:
    (tmp_path / "input").mkdir()
    an_input(tmp_path / "input", {"one": Options(texts=0, **SMALL)})
    answer = look(python, tmp_path)
    assert answer.code == 0
    assert answer.document["findings"] == []
    assert [one["value"] for one in answer.document["evaluatedFor"]] == ["BURNED-IN-TEXT"]
    assert answer.document["summary"]["impression"] == "No text found in the pixels of 1 frame of 1 image."


ENCODERS = {
    "JPEG": ["dcmcjpeg", "+eb", "+q", "90"],
    "JPEG lossless": ["dcmcjpeg", "+e1"],
    "JPEG-LS": ["dcmcjpls"],
    "RLE": ["dcmcrle"],
}


def test_every_encoding_frames_and_what_the_window_hides(python: str, tmp_path: Path) -> None:
    """One start for all: a colour image in each encoding, a loop with text on some frames, and letters that the window makes as white as all the rest."""
    folder = tmp_path / "input"
    folder.mkdir()
    plain = make_texts(tmp_path / "plain", Options(texts=2, **SMALL))
    names = [*ENCODERS, "loop", "hidden", "broken"]
    series = []
    for number in range(1, len(names) + 1):
        (folder / str(number)).mkdir()
        series.append({"path": str(number), "instances": [{"path": f"{number}/1.dcm"}]})
    for number, encoder in enumerate(ENCODERS.values(), 1):
        subprocess.run([*encoder, tmp_path / "plain" / "0001.dcm", folder / str(number) / "1.dcm"], check=True, capture_output=True)
        renamed(folder / str(number) / "1.dcm", f"2.25.{number}")
    loop = make_texts(tmp_path / "loop", Options(frames=9, texts=2, written_on=(1, 2, 3, 4, 5), **SMALL))
    shutil.copy(tmp_path / "loop" / "0001.dcm", folder / "5" / "1.dcm")
    hidden = make_texts(tmp_path / "hidden", Options(kind="DX", texts=2, rows=600, columns=500, smallest=20))
    narrowed(tmp_path / "hidden" / "0001.dcm", folder / "6" / "1.dcm")
    shutil.copy(tmp_path / "plain" / "0001.dcm", folder / "7" / "1.dcm")
    cut_short(folder / "7" / "1.dcm")
    (folder / "study.json").write_text(json.dumps({"series": series}))

    answer = look(python, tmp_path, maxFrames=3)
    assert answer.code == 0, answer.said
    for number, name in enumerate(ENCODERS, 1):
        here = [place for place in answer.places if place.image == f"2.25.{number}"]
        assert len(matched([Text(f"2.25.{number}", text.text, text.box) for text in plain], here, at_least=OVERLAP)) == 2, name
    assert {place.frames for _, place in matched(loop, answer.places, at_least=OVERLAP)} == {(1, 5)}, "of frames 1, 5 and 9"
    assert len(matched(hidden, answer.places, at_least=OVERLAP)) == 2
    assert answer.document["summary"]["impression"].endswith(
        " 6 of 14 frames were not looked at (maxFrames). 1 of 7 images could not be read: 7/1.dcm: the pixels cannot be read (Explicit VR Little Endian: ValueError)."
    )


def renamed(path: Path, uid: str) -> None:
    dataset = pydicom.dcmread(path)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
    dataset.save_as(path)


def narrowed(source: Path, target: Path) -> None:
    """A window that ends below all values, so that everything is white; the darkest is 200."""
    dataset = pydicom.dcmread(source)
    dataset.WindowCenter, dataset.WindowWidth = 100, 100
    dataset.save_as(target)


def cut_short(path: Path) -> None:
    dataset = pydicom.dcmread(path)
    dataset.PixelData = dataset.PixelData[: len(dataset.PixelData) // 2]
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "2.25.77"
    dataset.save_as(path)


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    with orthanc_server(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


def test_the_boxes_arrive_in_a_valid_report(python: str, orthanc: OrthancServer, tmp_path: Path, program: Path) -> None:
    """Through fetch, the application under the launcher (no network, so nothing can be downloaded), and publish."""
    texts = make_texts(tmp_path / "us", Options(texts=3, **SMALL))
    orthanc.upload((tmp_path / "us" / "0001.dcm").read_bytes())
    pod = Pod(tmp_path / "pod", a_task(orthanc, template__steps=[{"name": "text", "image": "localhost/text:1", "command": ["x"]}]), program)
    pod.root.mkdir()
    assert pod.fetch()[0] == 0, pod.log
    assert pod.step("text", f"{python} {PROGRAM}") == 0
    code, receipt = pod.publish()
    assert code == 0, pod.log
    (result,) = receipt.results
    path = tmp_path / "sr.dcm"
    path.write_bytes(orthanc.rest("GET", f"/instances/{result.orthanc_id}/file"))
    assert complaints(path) == []
    boxes = list(outlines(pydicom.dcmread(path)))
    assert {image for image, _ in boxes} == {texts[0].image}
    assert len(matched(texts, [Found(image, box, (), 1, 1) for image, box in boxes], at_least=OVERLAP)) == len(texts) == len(boxes)


def outlines(item: pydicom.Dataset) -> Iterator[tuple[str, tuple[float, float, float, float]]]:
    """SOP Instance UID and bounding box of each SCOORD below an item."""
    for child in item.get("ContentSequence", []):
        if child.ValueType == "SCOORD":
            (image,) = child.ContentSequence
            across, down = child.GraphicData[::2], child.GraphicData[1::2]
            yield str(image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID), (min(across), min(down), max(across), max(down))
        yield from outlines(child)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_phantoms_images_are_valid_dicom(tmp_path: Path, kind: str) -> None:
    make_texts(tmp_path, Options(kind=kind, rows=120, columns=160, texts=0))
    assert dciodvfy(tmp_path / "0001.dcm") == []
