"""The masks of findings.json become segmentations, and findings get their place and their volume by them.

Pure: files in as bytes. `volumes` reads them, `grid` lays them on the images, `segmentation` writes DICOM; what a mask left to its finding is
filled in here. A mask that does not fit the images is refused: drawn elsewhere it would be believed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from gantry.findings import Concept, Finding, Findings, Mask, MeasuredValue, Segment, SegmentRegion
from gantry.findings.masks import VOLUME

from .algorithms import Identity, identities
from .context import ReportContext
from .errors import InvalidReport
from .grid import Grid, by_affine, by_images, heights
from .segmentation import Drawn, segmentation
from .source import Source, find, has_pixels, index
from .verbatim import tolerated
from .volumes import Volume, read_volume

ABNORMAL = Concept(scheme="SCT", value="49755003", meaning="Morphologically Abnormal Structure")
"""CID 7150, for findings that name no category."""
PALETTE = ("#E6194B", "#3CB44B", "#FFE119", "#4363D8", "#F58231", "#911EB4", "#42D4F4", "#F032E6", "#BFEF45", "#FABED4", "#469990", "#DCBEFF")
"""Colours of segments that name none: twelve that are told apart on grey, then they begin anew."""
LARGEST_VALUE = 65_535


def build_masks(
    findings: Findings, source: Sequence[Dataset], context: ReportContext, files: Mapping[str, bytes]
) -> tuple[Findings, dict[str, Dataset]]:
    """The findings with their segments and volumes, and the segmentations by the name of the mask's file.

    `files` are those that `masks` of the findings name. Raises InvalidReport when one is missing, not readable or does not fit the images.
    """
    if not findings.masks:
        return findings, {}
    made: dict[str, Dataset] = {}
    with tolerated():
        images = index(source)
        changed = {finding.id: finding for finding in findings.findings}
        for place, mask in enumerate(findings.masks):
            where = f"masks[{place}] ({mask.file})"
            if mask.file not in files:
                raise InvalidReport(f"{where}: no such file in /gantry/output, or not a regular one")
            volume = read_volume(files[mask.file], where=where)
            grid = _grid(mask, volume, images, where=where)
            drawn = [_drawn(segment, number, changed, findings, context) for number, segment in enumerate(mask.segments, 1)]
            labels = grid.turned(_shaped(_fractions(volume, where=where) if mask.fractional else _labels(mask, volume, where=where)))
            counts = _counts(labels, mask, where=where)
            made[mask.file] = segmentation(labels, grid, drawn, fractional=mask.fractional, place=place, reference=images.reference, context=context)
            for number, segment in enumerate(mask.segments, 1):
                if segment.finding:
                    changed[segment.finding] = _placed(changed[segment.finding], mask, segment, number, counts, grid, where=where)
    return findings.model_copy(update={"findings": tuple(changed[finding.id] for finding in findings.findings)}), made


def _grid(mask: Mask, volume: Volume, images: Source, *, where: str) -> Grid:
    shape = volume.shape
    if mask.images:
        named = find(images, mask.images, where=f"{where}.images")
        if not all(map(has_pixels, named)):
            raise InvalidReport(f"{where}.images: names a document, which has no pixels")
        return by_images(named, shape if len(shape) != 2 else (1, *shape), where=where)
    affine = volume.affine if mask.affine is None else np.asarray(mask.affine, dtype=np.float64)
    if affine is None:
        raise InvalidReport(f"{where}: is NumPy in a file named .nii; name it .npy")
    return by_affine(images, affine, shape, series=mask.series, where=where)


def _shaped(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return array[None] if array.ndim == 2 else array


def _labels(mask: Mask, volume: Volume, *, where: str) -> NDArray[np.uint8]:
    """Segment numbers in place of labels. A label nobody named is refused: it would silently be lost."""
    numbers = np.full(LARGEST_VALUE + 1, 255, np.uint8)
    numbers[0] = 0
    for number, segment in enumerate(mask.segments, 1):
        numbers[segment.value or 0] = number

    def convert(values: NDArray[Any]) -> NDArray[np.uint8]:
        if values.dtype.kind == "f" and (not np.isfinite(values).all() or (values != np.rint(values)).any()):
            raise InvalidReport(f"{where}: holds a value that is no whole number; write labels, or say what it means in fractional")
        if values.dtype.kind != "b" and len(values) and (values.min() < 0 or values.max() > LARGEST_VALUE):
            raise InvalidReport(f"{where}: holds a label outside of 0 to {LARGEST_VALUE}")
        whole = values if values.dtype == np.uint8 else values.astype(np.uint16)
        result: NDArray[np.uint8] = numbers[whole.astype(np.uint8) if whole.dtype == np.bool_ else whole]
        if (result == 255).any():
            unknown = int(whole[np.argmax(result == 255)])
            raise InvalidReport(f"{where}: holds the label {unknown}, which none of its segments has as value")
        return result

    return volume.values(convert, where=where)


def _fractions(volume: Volume, *, where: str) -> NDArray[np.uint8]:
    def convert(values: NDArray[Any]) -> NDArray[np.uint8]:
        fractions = values.astype(np.float32, copy=False)
        if not (np.isfinite(fractions).all() and (fractions >= 0).all() and (fractions <= 1).all()):
            raise InvalidReport(f"{where}: holds a value outside of 0 to 1; a fractional mask holds fractions")
        result: NDArray[np.uint8] = np.rint(fractions * 255).astype(np.uint8)
        return result

    return volume.values(convert, where=where)


def _counts(labels: NDArray[np.uint8], mask: Mask, *, where: str) -> NDArray[np.int64]:
    """Pixels by slice and segment number. A segment without any is refused: its finding would have no place."""
    if mask.fractional:
        if not labels.any():
            raise InvalidReport(f"{where}: is empty; leave it out")
        return np.zeros((len(labels), 2), np.int64)
    size = len(mask.segments) + 1
    counts = np.stack([np.bincount(plane.ravel(), minlength=size) for plane in labels])
    for number, segment in enumerate(mask.segments, 1):
        if not counts[:, number].any():
            raise InvalidReport(f"{where}.segments[{number - 1}]: no voxel has the value {segment.value}; leave the segment and its finding out")
    return counts


def _drawn(segment: Segment, number: int, known: Mapping[str, Finding], findings: Findings, context: ReportContext) -> Drawn:
    finding = known.get(segment.finding or "")
    made: dict[str, Identity] = {each.algorithm.id: each for each in identities(findings, context)}
    algorithm = segment.algorithm or (finding.algorithm if finding else None) or findings.algorithms[0].id
    kind = segment.type or (finding.type if finding else ABNORMAL)
    return Drawn(
        number=number,
        label=segment.label or kind.meaning,
        category=segment.category or (finding.category if finding else None) or ABNORMAL,
        type=kind,
        sites=segment.sites or (finding.sites if finding else ()),
        identity=made[algorithm],
        color=segment.color or PALETTE[(number - 1) % len(PALETTE)],
        tracking=(finding.id, finding.tracked or context.uid(f"tracking-{finding.id}")) if finding else None,
    )


def _placed(finding: Finding, mask: Mask, segment: Segment, number: int, counts: NDArray[np.int64], grid: Grid, *, where: str) -> Finding:
    measured: tuple[MeasuredValue, ...] = ()
    if segment.measure:
        thickness = _thickness(grid, where=f"{where}.segments[{number - 1}].measure")
        assert grid.places is not None  # noqa: S101 - _thickness refuses
        area = grid.places.spacing.prod(axis=1)
        value = round(float((counts[:, number] * area * thickness).sum()), 3)
        measured = (MeasuredValue(name=VOLUME, value=value, unit="mm3"),)
    region = SegmentRegion(kind="segment", file=mask.file, segment_number=number)
    return finding.model_copy(update={"region": region, "measurements": (*finding.measurements, *measured)})


def _thickness(grid: Grid, *, where: str) -> NDArray[np.float64]:
    """Of each slice, in mm: half the way to both neighbours, so that uneven stacks are measured right. Slice Thickness is not asked: it overlaps."""
    if grid.places is None or len(grid.slices) < 2:
        raise InvalidReport(f"{where}: a volume needs two slices or more that say where they lie")
    order = np.argsort(heights(grid.places), kind="stable")
    gaps = np.diff(heights(grid.places)[order])
    if gaps.min() <= 0:
        raise InvalidReport(f"{where}: several images lie at one place; the volume would be counted twice")
    half = np.concatenate([[gaps[0]], gaps, [gaps[-1]]]) / 2
    result = np.empty(len(order))
    result[order] = half[:-1] + half[1:]
    return result
