"""Whether an object an application made lies where the input lies: its references, its frame of reference, its frames.

Pure. What lies elsewhere would be drawn on the wrong anatomy, and no validator of DICOM compares an object with the images it was made of.
Every fault is a refusal that names the file and the attribute; nothing is mended here.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
from pydicom import Dataset

from .errors import UnacceptedObject
from .slices import ON_PLANE, Stack, stack
from .source import has_pixels
from .validate.items import tree
from .validate.problems import Rule
from .validate.references import check_references, known
from .verbatim import integer, items, text

FRAMED = frozenset(("SEG", "PM"))
"""Kinds whose frames say where they lie (PS3.3 C.7.6.16), drawn over the images by viewers."""
SAME_AXIS = 1e-3
"""Of a unit vector: 0.5 pixels over a row of 512."""
SAME_SPACING = 1e-3
"""Relative, for the same reason."""
ON_GRID = 0.1
"""Pixels a frame may lie beside the input's grid, for rounding of decimal strings."""


def require_placed(dataset: Dataset, *, kind: str, name: str, source: Sequence[Dataset], others: Collection[str]) -> None:
    """Raises UnacceptedObject. `others` are the SOP Instance UIDs of all files handed over."""
    spaces = {text(image, "FrameOfReferenceUID") for image in source} - {""}
    own = text(dataset, "FrameOfReferenceUID")
    if own and spaces and own not in spaces:
        raise UnacceptedObject(f"{name}: FrameOfReferenceUID: is not that of an input image: the object lies in another frame of reference")
    images = {text(image, "SOPInstanceUID"): image for image in source}
    for attribute, uid in _references(dataset):
        if uid not in images and uid not in others:
            raise UnacceptedObject(f"{name}: {attribute}: names an object that is neither in the input nor in the output")
    _require_the_series(dataset, images, name=name)
    if kind == "SR":
        _require_coordinates(dataset, source, name=name)
    if kind in FRAMED and "TotalPixelMatrixColumns" not in dataset:
        _require_frames(dataset, images, [image for image in source if not own or text(image, "FrameOfReferenceUID") in ("", own)], name=name)


def _references(dataset: Dataset) -> Iterator[tuple[str, str]]:
    """Attribute and SOP Instance UID of all that the object says it was made of or is about, in this study."""
    for keyword in ("SourceImageSequence", "ReferencedImageSequence", "SourceInstanceSequence"):
        for item in items(dataset, keyword):
            yield f"{keyword}.ReferencedSOPInstanceUID", text(item, "ReferencedSOPInstanceUID")
    for series in items(dataset, "ReferencedSeriesSequence"):
        for item in items(series, "ReferencedInstanceSequence"):
            yield "ReferencedSeriesSequence.ReferencedInstanceSequence.ReferencedSOPInstanceUID", text(item, "ReferencedSOPInstanceUID")
    for study in items(dataset, "CurrentRequestedProcedureEvidenceSequence"):
        for series in items(study, "ReferencedSeriesSequence"):
            for item in items(series, "ReferencedSOPSequence"):
                yield "CurrentRequestedProcedureEvidenceSequence.ReferencedSOPInstanceUID", text(item, "ReferencedSOPInstanceUID")
    for number, group in enumerate(items(dataset, "PerFrameFunctionalGroupsSequence"), 1):
        for uid in _sources(group):
            yield f"frame {number}: DerivationImageSequence.SourceImageSequence.ReferencedSOPInstanceUID", uid


def _sources(group: Dataset) -> list[str]:
    derivations = items(group, "DerivationImageSequence")
    return [text(image, "ReferencedSOPInstanceUID") for derivation in derivations for image in items(derivation, "SourceImageSequence")]


def _require_the_series(dataset: Dataset, images: Mapping[str, Dataset], *, name: str) -> None:
    for series in items(dataset, "ReferencedSeriesSequence"):
        named = [images.get(text(item, "ReferencedSOPInstanceUID")) for item in items(series, "ReferencedInstanceSequence")]
        if any(image is not None and text(image, "SeriesInstanceUID") != text(series, "SeriesInstanceUID") for image in named):
            raise UnacceptedObject(f"{name}: ReferencedSeriesSequence.SeriesInstanceUID: is not the series of the images named below it")


def _require_coordinates(dataset: Dataset, source: Sequence[Dataset], *, name: str) -> None:
    root = tree(dataset)
    facts = known(root, {text(image, "SOPInstanceUID"): image for image in source})
    for problem in check_references(dataset, root, facts):
        if problem.rule in (Rule.OUTSIDE, Rule.SPACE) and (problem.rule is Rule.OUTSIDE or facts.spaces):
            raise UnacceptedObject(f"{name}: content item {problem.where}: {problem.what}")


def _require_frames(dataset: Dataset, images: Mapping[str, Dataset], source: Sequence[Dataset], *, name: str) -> None:
    inputs = stack(image for image in source if has_pixels(image))
    if not inputs.slices:
        _require_a_size(dataset, source, name=name)
        return
    frames = stack([dataset])
    expected = integer(dataset, "NumberOfFrames") or 1
    if len(frames.slices) != expected:
        what = "PixelMeasuresSequence, PlaneOrientationSequence or PlanePositionSequence is missing or makes no sense"
        raise UnacceptedObject(f"{name}: {what}: {expected - len(frames.slices)} of {expected} frames do not say where they lie")
    groups = items(dataset, "PerFrameFunctionalGroupsSequence")
    checked: dict[bytes, set[str]] = {}
    for index in range(expected):
        plane = frames.origin[index].tobytes() + frames.across[index].tobytes() + frames.down[index].tobytes()
        if plane not in checked:
            checked[plane] = _slices_at(frames, index, inputs, name=f"{name}: frame {index + 1}")
        sources = [uid for uid in _sources(groups[index]) if uid in images] if index < len(groups) else []
        if sources and not checked[plane].intersection(sources):
            raise UnacceptedObject(f"{name}: frame {index + 1}: DerivationImageSequence: names an input image that lies elsewhere than the frame")


def _require_a_size(dataset: Dataset, source: Sequence[Dataset], *, name: str) -> None:
    """Images that do not say where they lie (projections, ultrasound): pixels are all there is to compare."""
    sizes = {(integer(image, "Rows"), integer(image, "Columns")) for image in source if has_pixels(image)}
    if sizes and (integer(dataset, "Rows"), integer(dataset, "Columns")) not in sizes:
        raise UnacceptedObject(f"{name}: Rows, Columns: are those of no input image")


def _slices_at(frames: Stack, index: int, inputs: Stack, *, name: str) -> set[str]:
    """SOP Instance UIDs of the input's slices that the frame lies on. Each test leaves fewer; the one that leaves none is the fault."""
    turned = np.maximum(np.abs(inputs.across - frames.across[index]).max(axis=1), np.abs(inputs.down - frames.down[index]).max(axis=1))
    left = np.flatnonzero(turned <= SAME_AXIS)
    if not left.size:
        raise UnacceptedObject(f"{name}: ImageOrientationPatient: is that of no input image")
    ratio = np.abs(inputs.spacing[left] / frames.spacing[index] - 1).max(axis=1)
    left = left[ratio <= SAME_SPACING]
    if not left.size:
        raise UnacceptedObject(f"{name}: PixelSpacing: is that of no input image; hand over what is resampled to the input's grid")
    away = frames.origin[index] - inputs.origin[left]
    distance = np.abs(np.einsum("ij,ij->i", away, np.cross(inputs.across[left], inputs.down[left])))
    if distance.min() > ON_PLANE:
        raise UnacceptedObject(f"{name}: ImagePositionPatient: lies {distance.min():.2f} mm beside the nearest slice of the input")
    away, left = away[distance <= ON_PLANE], left[distance <= ON_PLANE]
    rows, columns = (np.einsum("ij,ij->i", away, axis[left]) / inputs.spacing[left, at] for axis, at in ((inputs.down, 0), (inputs.across, 1)))
    offset, end = np.stack([rows, columns], axis=1), np.stack([rows, columns], axis=1) + frames.size[index]
    inside = (offset >= -ON_GRID).all(axis=1) & (end <= inputs.size[left] + ON_GRID).all(axis=1)
    fits = inside & (np.abs(offset - np.round(offset)) <= ON_GRID).all(axis=1)
    if not fits.any():
        raise UnacceptedObject(f"{name}: ImagePositionPatient, Rows, Columns: the frame does not lie on the pixels of an input image")
    return {text(inputs.slices[at].image, "SOPInstanceUID") for at in left[fits].tolist()}
