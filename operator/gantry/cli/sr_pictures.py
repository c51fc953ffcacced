"""The key image of each finding of a report, drawn: finds it in a folder and reads the pixels of that image alone.

How a region lies on an image, and how it is drawn, is `gantry.report`'s.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from PIL import Image
from pydicom import Dataset

from gantry.report.display import NotDisplayable, displayed, pixel_shape
from gantry.report.outlines import Outline, in_space, of_segment, on_image
from gantry.report.pictures import Marks, detail, drawn
from gantry.report.reader import Finding, Region, Report
from gantry.report.slices import Points, Stack, stack
from gantry.report.verbatim import text, tolerated

from .dicom_files import headers, read_dicom
from .failure import Failure

MOST = 100
"""Findings that are drawn: a page of 1,000 pictures opens in no browser."""


@dataclass(frozen=True)
class Drawn:
    """One finding: its picture and, of a small one, what is around it; or why there is none."""

    number: int
    finding: Finding
    picture: Image.Image | None = None
    detail: Image.Image | None = None
    caption: str = ""


class Images:
    """DICOM files of a folder, by SOP Instance UID and by frame of reference."""

    def __init__(self, folder: Path) -> None:
        self._found = {str(one.dataset.SOPInstanceUID): one for one in headers(folder)}
        if not self._found:
            raise Failure(f"{folder} holds no DICOM file")
        self._stacks: dict[str, Stack] = {}

    def whole(self, uid: str) -> Dataset | None:
        """The file with its pixels."""
        known = self._found.get(uid)
        return read_dicom(known.path, pixels=True) if known else None

    @cached_property
    def _spaces(self) -> dict[str, list[Dataset]]:
        spaces: dict[str, list[Dataset]] = {}
        for one in self._found.values():
            if "SegmentSequence" not in one.dataset:
                spaces.setdefault(text(one.dataset, "FrameOfReferenceUID"), []).append(one.dataset)
        return spaces

    def slices(self, space: str) -> Stack:
        """Where the images of a frame of reference lie; the thinnest picture of it is not known, so all its series."""
        if space not in self._stacks:
            self._stacks[space] = stack(self._spaces.get(space, ()) if space else ())
        return self._stacks[space]


def pictures(report: Report, images: Images | None) -> Iterator[Drawn]:
    """Every finding in the order of the report, one picture at a time."""
    with tolerated():
        for number, finding in enumerate(report.findings, 1):
            if images is None or not finding.regions:
                yield Drawn(number, finding, caption="" if finding.regions else "No region: the finding is about the whole study or series.")
            elif number > MOST:
                yield Drawn(number, finding, caption=f"Only the first {MOST} findings are drawn.")
            else:
                yield _drawn(number, finding, images)


def _drawn(number: int, finding: Finding, images: Images) -> Drawn:
    try:
        outline = _outline(finding, images)
        image = images.whole(outline.image)
        if image is None:
            raise NotDisplayable("its image is not in the folder")
        pixels, shape = displayed(image, outline.frame), pixel_shape(image, outline.frame)
        if outline.mask is not None and outline.mask.shape != pixels.shape[:2]:
            raise NotDisplayable("its segmentation has another size than the image")
        marks = Marks(outline.lines, outline.mask, _label(number, finding))
        return Drawn(number, finding, drawn(pixels, marks, pixel=shape), detail(pixels, marks, pixel=shape), _caption(image, outline))
    except NotDisplayable as fault:
        return Drawn(number, finding, caption=f"Not drawn: {fault}.")
    except Failure as failure:
        return Drawn(number, finding, caption=f"Not drawn: {failure}.")
    except (ValueError, ArithmeticError, IndexError, AttributeError):  # numpy's of shapes without extent, pydicom's of values that are none
        return Drawn(number, finding, caption="Not drawn: its region makes no sense.")


def _outline(finding: Finding, images: Images) -> Outline:
    """The volume itself if it can be read, else what the Run's drawn report says of it."""
    try:
        return _of_regions(finding.regions, images)
    except NotDisplayable:
        flat = on_image(finding.outline)
        if flat is None:
            raise
        return flat


def _of_regions(regions: Sequence[Region], images: Images) -> Outline:
    first = regions[0]
    if first.kind == "segment":
        segmentation = images.whole(first.image or "")
        if segmentation is None:
            raise NotDisplayable("its segmentation is not in the folder")
        space = images.slices(text(segmentation, "FrameOfReferenceUID"))
        outline = of_segment(segmentation, first.segment or 0, lambda place: _at(space, place))
        if outline is None:
            raise NotDisplayable("its segment is empty, or made on an image that is not known")
        return outline
    if not all(math.isfinite(number) for region in regions for point in region.points for number in point):
        raise ValueError
    outline = in_space(regions, images.slices(first.space)) if first.space else on_image(regions)
    if outline is None:
        raise NotDisplayable("no image in the folder says that it lies there")
    return outline


def _at(space: Stack, place: Points) -> tuple[str, int | None] | None:
    index = space.nearest(place)
    return None if index is None else (text(space.slices[index].image, "SOPInstanceUID"), space.slices[index].frame)


def _label(number: int, finding: Finding) -> str:
    """The number and the first measurement; the font has Latin letters only."""
    first = next((one for one in finding.measurements if one.value is not None), None)
    unit = "" if first is None or first.unit == "1" else f" {first.unit}"
    words = f"{number}" if first is None else f"{number}   {first.value:.4g}{unit}"
    return words if words.isascii() else f"{number}"


def _caption(image: Dataset, outline: Outline) -> str:
    """Modality, series and image number: what a radiologist needs to find it in the PACS, and nothing of the patient."""
    parts = [text(image, "Modality")]
    for keyword, name in (("SeriesNumber", "series"), ("InstanceNumber", "image")):
        if text(image, keyword):
            parts.append(f"{name} {text(image, keyword)}")
    if outline.frame is not None:
        parts.append(f"frame {outline.frame}")
    return ", ".join(filter(None, parts))
