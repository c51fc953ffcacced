"""What an application hands over lies where the input lies, or is refused with the attribute that says otherwise."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset
from tests.builders_dicom import SPACING, a_pdf, a_secondary_capture, a_segmentation, as_file, changed, ct_series, read_back, uid
from tests.builders_findings import a_context, a_document, a_finding, an_ellipse, in_space, parsed

from gantry.report import UnacceptedObject, build_report, check_object

ALL = ("SR", "SEG", "SC", "PDF", "PM")
SOURCE = ct_series(20, pixels=True)
SEGMENTATION = as_file(a_segmentation(SOURCE))


def check(dataset: Dataset, source: list[Dataset] = SOURCE, **more: Any) -> str:
    return check_object(dataset, name="x.dcm", source=source, accept=ALL, **more)


def seg() -> Dataset:
    return read_back(SEGMENTATION)


def with_frame(number: int, change: Callable[[Dataset], None]) -> Dataset:
    result = seg()
    change(result.PerFrameFunctionalGroupsSequence[number - 1])
    return result


def moved(by: list[float]) -> Callable[[Dataset], None]:
    def change(group: Dataset) -> None:
        plane = group.PlanePositionSequence[0]
        plane.ImagePositionPatient = [old + new for old, new in zip(plane.ImagePositionPatient, by, strict=True)]

    return change


def made_of(name: str) -> Callable[[Dataset], None]:
    def change(group: Dataset) -> None:
        group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID = uid(name)

    return change


def shared(**changes: Any) -> Dataset:
    result = seg()
    group = result.SharedFunctionalGroupsSequence[0]
    for keyword, value in changes.items():
        holder = group.PlaneOrientationSequence[0] if keyword == "ImageOrientationPatient" else group.PixelMeasuresSequence[0]
        setattr(holder, keyword, value)
    return result


def referring(change: Callable[[Dataset], None]) -> Dataset:
    result = seg()
    change(result.ReferencedSeriesSequence[0])
    return result


def all_moved(by: list[float]) -> Dataset:
    result = seg()
    for group in result.PerFrameFunctionalGroupsSequence:
        moved(by)(group)
    return result


def report(region: Any, **source: Any) -> Dataset:
    return read_back(build_report(parsed(a_document(a_finding(region=region))), SOURCE, a_context())[-1].dicom)


def foreign_series(series: Dataset) -> None:
    series.SeriesInstanceUID = uid("elsewhere")


def foreign_instance(series: Dataset) -> None:
    series.ReferencedInstanceSequence[3].ReferencedSOPInstanceUID = uid("elsewhere")


def about_something_else() -> Dataset:
    result = a_secondary_capture(SOURCE[0])
    image = Dataset()
    image.ReferencedSOPInstanceUID = uid("elsewhere")
    result.SourceImageSequence = [image]
    return result


REFUSED: dict[str, tuple[Callable[[], Dataset], str]] = {
    "a frame between two slices": (lambda: with_frame(3, moved([0, 0, 2.5])), "frame 3: ImagePositionPatient: lies 2.50 mm beside the nearest slice of the input"),
    "a frame half a pixel beside the grid": (lambda: with_frame(3, moved([SPACING / 2, 0, 0])), "frame 3: ImagePositionPatient, Rows, Columns: the frame does not lie on the pixels of an input image"),
    "a frame shifted by 10 pixels, so that it hangs over the edge": (lambda: with_frame(3, moved([10 * SPACING, 0, 0])), "frame 3: ImagePositionPatient, Rows, Columns: the frame does not lie on the pixels of an input image"),
    "a segmentation below the last slice": (lambda: all_moved([0, 0, 500]), "frame 1: ImagePositionPatient: lies 470.00 mm beside the nearest slice of the input"),
    "a frame that says it was made of another slice": (lambda: with_frame(2, made_of("study-ct-3")), "frame 2: DerivationImageSequence: names an input image that lies elsewhere than the frame"),
    "a frame made of an image nobody gave": (lambda: with_frame(2, made_of("elsewhere")), "frame 2: DerivationImageSequence.SourceImageSequence.ReferencedSOPInstanceUID: names an object that is neither in the input nor in the output"),
    "another orientation": (lambda: shared(ImageOrientationPatient=[0, 1, 0, 0, 0, -1]), "frame 1: ImageOrientationPatient: is that of no input image"),
    "mirrored columns": (lambda: shared(ImageOrientationPatient=[-1, 0, 0, 0, 1, 0]), "frame 1: ImageOrientationPatient: is that of no input image"),
    "another spacing": (lambda: shared(PixelSpacing=[1, 1]), "frame 1: PixelSpacing: is that of no input image; hand over what is resampled to the input's grid"),
    "no position": (
        lambda: with_frame(4, lambda group: delattr(group, "PlanePositionSequence")),
        "PixelMeasuresSequence, PlaneOrientationSequence or PlanePositionSequence is missing or makes no sense: 1 of 8 frames do not say where they lie",
    ),
    "a reference to another series": (lambda: referring(foreign_series), "ReferencedSeriesSequence.SeriesInstanceUID: is not the series of the images named below it"),
    "a reference to an unknown image": (lambda: referring(foreign_instance), "ReferencedSeriesSequence.ReferencedInstanceSequence.ReferencedSOPInstanceUID: names an object that is neither in the input nor in the output"),
    "a capture of an unknown image": (about_something_else, "SourceImageSequence.ReferencedSOPInstanceUID: names an object that is neither in the input nor in the output"),
    "a PDF of another space": (lambda: a_pdf(SOURCE[0], FrameOfReferenceUID=uid("elsewhere")), "FrameOfReferenceUID: is not that of an input image: the object lies in another frame of reference"),
}


@pytest.mark.parametrize(("dataset", "message"), REFUSED.values(), ids=REFUSED)
def test_what_lies_elsewhere_is_refused(dataset: Callable[[], Dataset], message: str) -> None:
    with pytest.raises(UnacceptedObject) as caught:
        check(dataset())
    assert str(caught.value) == f"x.dcm: {message}"


def test_a_report_with_a_region_outside_of_its_image_is_refused() -> None:
    dataset = report(an_ellipse(10))
    small = [changed(image, Rows=32, Columns=32) for image in ct_series(20)]
    with pytest.raises(UnacceptedObject, match=r"x.dcm: content item 1\.[0-9.]+ SCOORD 111030: lies outside its image of 32 x 32 pixels"):
        check(dataset, small)


def test_a_report_in_another_space_is_refused() -> None:
    dataset = report(in_space("ellipsoid3d"))
    elsewhere = [changed(image, FrameOfReferenceUID=uid("elsewhere")) for image in ct_series(20)]
    with pytest.raises(UnacceptedObject, match="lies in a frame of reference that no image has"):
        check(dataset, elsewhere)


def test_a_report_of_images_that_are_not_in_the_input_is_refused() -> None:
    with pytest.raises(UnacceptedObject, match=r"CurrentRequestedProcedureEvidenceSequence.ReferencedSOPInstanceUID: names an object that is neither"):
        check(report(an_ellipse(10)), SOURCE[:5])


def test_a_segmentation_of_part_of_the_image_is_taken() -> None:
    """dcmqi and others crop to the segment."""
    dataset = all_moved([60 * SPACING, 50 * SPACING, 0])
    dataset.Rows, dataset.Columns = 20, 24
    assert check(dataset) == "SEG"


def test_files_of_the_output_may_refer_to_each_other() -> None:
    assert check(about_something_else(), others={uid("elsewhere")}) == "SC"


def test_an_oblique_acquisition_agrees_with_itself() -> None:
    """Direction cosines are decimal strings of 16 characters: equality would be too strict."""
    angle = np.radians(17.3)
    across, down = [np.cos(angle), np.sin(angle), 0.0], [-np.sin(angle) * np.cos(0.4), np.cos(angle) * np.cos(0.4), np.sin(0.4)]
    normal = np.cross(across, down)
    orientation = [f"{value:.10g}"[:16] for value in (*across, *down)]
    source = ct_series(20, pixels=True)
    for number, image in enumerate(source):
        changed(image, ImageOrientationPatient=orientation, ImagePositionPatient=[f"{value:.8g}" for value in normal * 5 * number])
    assert check(read_back(as_file(a_segmentation(source))), source) == "SEG"


def test_on_images_without_geometry_the_size_decides() -> None:
    flat = [changed(image, ImagePositionPatient=None, ImageOrientationPatient=None, FrameOfReferenceUID=None) for image in ct_series(20)]
    assert check(changed(seg(), FrameOfReferenceUID=None), flat) == "SEG"
    with pytest.raises(UnacceptedObject, match=r"x.dcm: Rows, Columns: are those of no input image"):
        check(changed(seg(), FrameOfReferenceUID=None), [changed(image, Rows=64) for image in flat])
