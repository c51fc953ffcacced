"""Which series the nodule detector takes, how it puts its slices in order, and what it refuses."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from examples.algorithms.nodules.nodules.volume import NoImages, Unusable, read_volume
from examples.phantom.make_ct import Options, draw, make_series
from pydicom import Dataset, dcmread

SMALL = Options(slices=6, matrix=24, spheres=0, vessels=0, slice_spacing=5.0, oblique=10.0)
Change = Callable[[Path], None]


@pytest.fixture(scope="session")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("series")
    make_series(folder, SMALL)
    (folder / "truth.json").unlink()
    return folder


@pytest.fixture
def study(series: Path, tmp_path: Path) -> Path:
    """An input folder with one series that a test may spoil."""
    shutil.copytree(series, tmp_path / "input" / "1")
    return tmp_path / "input"


def edit(path: Path, **values: object) -> None:
    """Sets elements of a file; `...` removes one."""
    dataset = dcmread(path)
    for keyword, value in values.items():
        if value is ...:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    dataset.save_as(path)


def each(**values: object) -> Change:
    def change(folder: Path) -> None:
        for path in folder.iterdir():
            edit(path, **values)

    return change


def third(**values: object) -> Change:
    return lambda folder: edit(folder / "ct0003.dcm", **values)


def moved(image: Dataset, *, by: tuple[float, float, float]) -> list[float]:
    return [float(value) + shift for value, shift in zip(image.ImagePositionPatient, by, strict=True)]


def tilted(folder: Path) -> None:
    for number, path in enumerate(sorted(folder.iterdir())):
        edit(path, ImagePositionPatient=moved(dcmread(path), by=(0, 1.5 * number, 0)))


def at_the_place_of_the_second(folder: Path) -> None:
    edit(folder / "ct0003.dcm", ImagePositionPatient=list(dcmread(folder / "ct0002.dcm").ImagePositionPatient))


def cut_off(folder: Path) -> None:
    path = folder / "ct0003.dcm"
    path.write_bytes(path.read_bytes()[:-100])


REFUSED: dict[str, tuple[Change, str]] = {
    "a slice is missing": (lambda folder: (folder / "ct0003.dcm").unlink(), "not evenly spaced: 5.00 mm, but 10.00 mm after slice 2"),
    "two images lie at one place": (at_the_place_of_the_second, "two images lie at the same position"),
    "a tilted gantry": (tilted, "tilted gantry"),
    "too few images": (lambda folder: [path.unlink() for path in list(folder.iterdir())[2:]] and None, "2 images are too few"),
    "another modality": (each(Modality="MR"), "is not a CT image"),
    "a localizer": (each(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), "is a localizer"),
    "a multi-frame image": (third(NumberOfFrames=4), "is a multi-frame image"),
    "no position": (third(ImagePositionPatient=...), "ct0003.dcm lacks ImagePositionPatient"),
    "an empty position": (third(ImagePositionPatient=[]), "ct0003.dcm lacks ImagePositionPatient"),
    "a position of two numbers": (third(ImagePositionPatient=[1, 2]), "broken image plane"),
    "another orientation in one image": (third(ImageOrientationPatient=[1, 0, 0, 0, 0, 1]), "differ in orientation"),
    "an orientation of no unit vectors": (each(ImageOrientationPatient=[1, 0, 0, 1, 0, 0]), "perpendicular unit vectors"),
    "pixels of no size": (each(PixelSpacing=[0, 0]), "PixelSpacing is not positive"),
    "no pixel data": (third(PixelData=...), "the pixels of ct0003.dcm cannot be read"),
    "pixel data cut off": (cut_off, "cannot be read"),
    "not DICOM": (lambda folder: (folder / "ct0003.dcm").write_text("hello") and None, "ct0003.dcm is not a DICOM file"),
    "an empty file": (lambda folder: (folder / "ct0003.dcm").write_text("") and None, "ct0003.dcm is not a DICOM file"),
}


@pytest.mark.parametrize(("change", "reason"), REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")  # pydicom warns of the very faults planted here
def test_refuses(study: Path, change: Change, reason: str) -> None:
    change(study / "1")
    with pytest.raises(Unusable, match=reason):
        read_volume(study)


@pytest.mark.parametrize("name", ["missing", "empty", "json-only"])
def test_no_images_is_an_error_of_its_own(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    if name != "missing":
        folder.mkdir()
    if name == "json-only":
        (folder / "study.json").write_text("{}")
        (folder / "1").mkdir()
    with pytest.raises(NoImages, match="no images"):
        read_volume(folder)


def test_reads_values_and_place_as_they_were_drawn(study: Path) -> None:
    drawn, grid, _ = draw(SMALL)
    volume = read_volume(study)
    assert np.array_equal(volume.hu, drawn)
    assert volume.spacing == pytest.approx(grid.spacing, abs=1e-4)
    assert volume.axes == pytest.approx(grid.axes, abs=1e-6)
    assert volume.place(np.array([2.0, 3.5, 20.0])) == pytest.approx(grid.origin + (np.array([2.0, 3.5, 20.0]) * grid.spacing) @ grid.axes, abs=1e-3)


def test_order_comes_from_geometry_not_from_names_or_numbers(study: Path) -> None:
    expected = read_volume(study)
    files = sorted((study / "1").iterdir())
    for number, (path, name) in enumerate(zip(files, ("9", "2", "5", "1", "8", "3"), strict=True)):
        edit(path, InstanceNumber=100 - number)
        path.rename(path.with_name(f"{name}.dcm"))
    volume = read_volume(study)
    assert volume.uids == expected.uids
    assert np.array_equal(volume.hu, expected.hu)


def test_stored_values_are_rescaled_and_padding_is_air(study: Path) -> None:
    expected = read_volume(study)
    for path in (study / "1").iterdir():
        dataset = dcmread(path)
        stored = (expected.hu[expected.uids.index(dataset.SOPInstanceUID)] + 2000) * 2
        stored[0, 0] = 9
        dataset.add_new("PixelPaddingValue", "US", 9)
        dataset.save_as(path)
        edit(path, RescaleSlope="0.5", RescaleIntercept="-2000", BitsStored=16, HighBit=15, PixelData=stored.astype("<u2").tobytes())
    volume = read_volume(study)
    assert (volume.hu[:, 0, 0] == -1024).all()
    assert np.array_equal(volume.hu[:, 1:, 1:], expected.hu[:, 1:, 1:])


def test_takes_the_series_with_the_thinnest_slices_that_can_be_used(study: Path) -> None:
    make_series(study / "2", Options(**{**vars(SMALL), "slice_spacing": 2.5, "seed": 2}))
    make_series(study / "10", Options(**{**vars(SMALL), "slice_spacing": 1.25, "seed": 3}))
    (study / "10" / "ct0002.dcm").unlink()
    assert read_volume(study).spacing[0] == pytest.approx(2.5)


def test_says_of_every_series_why_it_cannot_be_used(study: Path) -> None:
    shutil.copytree(study / "1", study / "2")
    third(Modality="MR")(study / "1")
    (study / "2" / "ct0002.dcm").unlink()
    with pytest.raises(Unusable, match=r"series 1: ct0003.dcm is not a CT image; series 2: the slices are not evenly spaced"):
        read_volume(study)
