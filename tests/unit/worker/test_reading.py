"""The header of a deflated image: the same as of a plain one, and never more memory than it may take.

A quarter of a megabyte that a modality had sent became 600 MB in publish, whose limit is 1 GiB: pydicom inflates a file whole.
"""

import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from tests.builders_dicom import ct_series, deflated

from gantry.worker import headers, reading
from gantry.worker.outcome import Stop
from gantry.worker.workspace import Workspace

MIB = 1 << 20
WORDS = "the headers of deflated images inflate to more than 128 MiB; store such images uncompressed"


def written(path: Path, **bomb: int) -> Path:
    path.write_bytes(deflated(*ct_series(1, pixels=True), **bomb))
    return path


@pytest.fixture
def memory() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def peak() -> int:
    return tracemalloc.get_traced_memory()[1]


def test_it_is_the_header_that_pydicom_reads(tmp_path: Path) -> None:
    path = written(tmp_path / "a.dcm")
    wanted = pydicom.dcmread(path, stop_before_pixels=True)
    read, inflated = reading.read_header(path)
    assert read == wanted
    assert read.file_meta == wanted.file_meta
    assert (str(read.PatientName), read.original_character_set) == ("Müller^Jürgen", wanted.original_character_set)
    assert 1000 < inflated < 10_000


def test_a_plain_file_is_not_inflated(tmp_path: Path) -> None:
    (image,) = ct_series(1, pixels=True)
    image.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    read, inflated = reading.read_header(tmp_path / "a.dcm")
    assert ("PixelData" in read, read.PatientID, inflated) == (False, "PAT-0042", 0)


def test_only_the_tags_that_are_asked_for(tmp_path: Path) -> None:
    read, _ = reading.read_header(written(tmp_path / "a.dcm"), tags=["Modality", "PatientName"])
    assert [element.keyword for element in read] == ["SpecificCharacterSet", "Modality", "PatientName"]


def test_pixels_are_not_inflated(tmp_path: Path, memory: None) -> None:
    path = written(tmp_path / "a.dcm", pixels=64 * MIB)
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    read, inflated = reading.read_header(path)
    assert (read.PatientID, inflated < 10_000) == ("PAT-0042", True)
    assert peak() - before < 8 * MIB


def test_a_header_longer_than_the_first_look_is_read_whole(tmp_path: Path) -> None:
    read, inflated = reading.read_header(written(tmp_path / "a.dcm", private=3 * MIB))
    assert (len(read[0x00111001].value), inflated > 3 * MIB) == (3 * MIB, True)


def test_a_header_that_inflates_without_end_is_refused_before_it_has(tmp_path: Path, memory: None) -> None:
    path = written(tmp_path / "a.dcm", private=128 * MIB)
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    with pytest.raises(Stop) as stop:
        reading.read_header(path, most=4 * MIB)
    assert (stop.value.failure.reason, stop.value.failure.message) == ("InputUnreadable", WORDS)
    assert peak() - before < 32 * MIB


def test_many_headers_share_one_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them would be small enough."""
    workspace = Workspace(tmp_path)
    (workspace.input / "1").mkdir(parents=True)
    names = [f"1/{number}.dcm" for number in range(3)]
    for name in names:
        written(workspace.input / name, private=2 * MIB)
    instances = ", ".join(f'{{"path": "{name}"}}' for name in names)
    workspace.study.write_text(f'{{"series": [{{"instances": [{instances}]}}]}}')
    assert len(headers.read_headers(workspace)) == 3
    monkeypatch.setattr(headers, "MOST", 5 * MIB)
    with pytest.raises(Stop):
        headers.read_headers(workspace)


def test_a_broken_stream_is_a_damaged_image(tmp_path: Path) -> None:
    """Told without the parser's words, which may quote what it has read."""
    path = written(tmp_path / "a.dcm")
    content = path.read_bytes()
    path.write_bytes(content[:600] + b"\xff" * 400)
    with pytest.raises(zlib.error):
        pydicom.dcmread(path)
    with pytest.raises(Stop) as stop:
        reading.read_header(path)
    words = "the header of an image is damaged (error); repair the image or delete it, and send the study again"
    assert (stop.value.failure.reason, stop.value.failure.message) == ("InputUnreadable", words)


def test_a_file_that_is_not_there_is_no_damaged_image(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        reading.read_header(tmp_path / "a.dcm")
