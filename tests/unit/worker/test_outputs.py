"""The limits of an output folder, each just kept and just broken; kinds of files are in tests/component/publish/test_bad_outputs.py."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gantry.worker.outcome import Stop
from gantry.worker.outputs import Limits, collect, collect_masks

SMALL = Limits(findings=10, objects=2, object_bytes=600, entries=6, depth=2)
DICOM = bytes(128) + b"DICM" + bytes(100)


def refused(folder: Path) -> tuple[str, str]:
    with pytest.raises(Stop) as stop:
        collect(folder, step="detect", limits=SMALL)
    assert stop.value.failure.step == "detect"
    return stop.value.failure.reason, stop.value.failure.message


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "findings.json").write_bytes(b"{}")
    return tmp_path


def test_everything_at_its_limit_is_taken(folder: Path) -> None:
    (folder / "findings.json").write_bytes(b"x" * 10)
    (folder / "inner").mkdir()
    (folder / "inner" / "b").write_bytes(DICOM + bytes(136))
    (folder / "a.dcm").write_bytes(DICOM)
    (folder / "notes.txt").write_bytes(b"")
    (folder / "x.png").write_bytes(b"\x89PNG")
    outputs = collect(folder, step="detect", limits=SMALL)
    assert outputs.findings == b"x" * 10
    assert [name for name, _ in outputs.objects] == ["a.dcm", "inner/b"]
    assert outputs.other == 2


def test_too_long_findings(folder: Path) -> None:
    (folder / "findings.json").write_bytes(b"x" * 11)
    assert refused(folder) == ("InvalidFindings", "findings.json has 11 bytes; at most 10 are taken")


def test_too_many_objects(folder: Path) -> None:
    for name in "abc":
        (folder / name).write_bytes(DICOM)
    assert refused(folder)[1] == "output of step detect: more than 2 DICOM files; put several images into one multi-frame object"


def test_too_large_objects_together(folder: Path) -> None:
    (folder / "a").write_bytes(DICOM)
    (folder / "b").write_bytes(DICOM + bytes(200))
    assert "the DICOM files have more than" in refused(folder)[1]


def test_too_many_files(folder: Path) -> None:
    for number in range(6):
        (folder / f"{number}.txt").touch()
    assert refused(folder)[1] == "output of step detect: more than 6 files and folders"


def test_too_deep_folders(folder: Path) -> None:
    (folder / "a" / "b").mkdir(parents=True)
    assert refused(folder)[1] == "output of step detect: folders lie more than 2 deep"


def test_findings_in_an_inner_folder_are_no_findings(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "findings.json").write_bytes(b"{}")
    assert collect(tmp_path, step="detect", limits=SMALL).findings is None


def test_a_folder_in_place_of_findings_is_no_findings(tmp_path: Path) -> None:
    (tmp_path / "findings.json").mkdir()
    assert collect(tmp_path, step="detect", limits=SMALL).findings is None


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter; pytest's own are for one user."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_file_that_only_its_owner_may_read_is_explained(open_folder: Path) -> None:
    (open_folder / "a.dcm").write_bytes(DICOM)
    (open_folder / "a.dcm").chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root reads everything
    try:
        message = refused(open_folder)[1]
    finally:
        os.seteuid(user)
    assert "umask 022" in message


def test_masks_are_taken_by_the_names_the_document_gives(folder: Path) -> None:
    (folder / "liver.nii.gz").write_bytes(b"liver")
    (folder / "other.nii.gz").write_bytes(b"other")
    (folder / "inner").mkdir()
    (folder / "inner" / "liver.nii.gz").write_bytes(b"inner")
    assert collect_masks(folder, {"liver.nii.gz", "missing.npy"}, step="detect") == {"liver.nii.gz": b"liver"}


def test_masks_that_are_too_large_together_are_refused(folder: Path) -> None:
    for name in ("a.npy", "b.npy"):
        (folder / name).write_bytes(bytes(6))
    with pytest.raises(Stop, match=r"the masks have more than 0 MiB together; write whole numbers as .nii.gz"):
        collect_masks(folder, {"a.npy", "b.npy"}, step="detect", limits=Limits(mask_bytes=10))


def test_a_mask_that_is_a_link_is_refused(folder: Path) -> None:
    (folder / "liver.nii.gz").symlink_to("/etc/passwd")
    with pytest.raises(Stop, match=r"liver.nii.gz is a symbolic link; only regular files are taken"):
        collect_masks(folder, {"liver.nii.gz"}, step="detect")
