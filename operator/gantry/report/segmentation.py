"""A mask on a grid becomes a DICOM Segmentation (PS3.3 A.51): one frame for each slice on which a segment has pixels.

Written by hand rather than by highdicom's class, which holds several copies of all frames (docs/decisions/2026-11-25-masks.md has figures),
reads the clock and refuses dirty sources; its codes are used, its reader and dciodvfy judge the result in tests.
Labels are packed to one bit, which every reader knows; fractions are RLE compressed. Frame by frame: memory does not grow with the slices.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import numpy as np
from highdicom.color import CIELabColor
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders.base import RLELosslessEncoder
from pydicom.uid import UID, ExplicitVRLittleEndian, RLELossless

from .algorithms import Identity, contributing_equipment
from .context import ReportContext
from .document import IMPLEMENTATION, begun
from .grid import Grid, heights
from .slices import Slice
from .verbatim import text
from .vocabulary import LATERALITIES, Vocabulary

SOP_CLASS = "1.2.840.10008.5.1.4.1.1.66.4"
_POSITION, _SEGMENT_NUMBER, _LABEL = 0x00200032, 0x0062000B, 0x00209453
_PLANE_GROUP, _SEGMENT_GROUP, _CONTENT_GROUP = 0x00209113, 0x0062000A, 0x00209111


@dataclass(frozen=True)
class Drawn:
    """A segment, with everything the mask left to the finding filled in."""

    number: int
    label: str
    category: Any
    type: Any
    sites: tuple[Any, ...]
    identity: Identity
    color: str
    tracking: tuple[str, str] | None
    """Tracking ID and UID of its finding."""


@dataclass
class _Frames:
    """Frames as they come: packed bits across frames (PS3.5 8.1.1), or an RLE fragment each."""

    rows: int
    columns: int
    fractional: bool
    count: int = 0
    packed: BytesIO = field(default_factory=BytesIO)
    fragments: list[bytes] = field(default_factory=list)
    rest: NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))

    def add(self, frame: NDArray[np.uint8]) -> None:
        self.count += 1
        if self.fractional:
            form: dict[str, Any] = {"rows": self.rows, "columns": self.columns, "samples_per_pixel": 1, "number_of_frames": 1}
            form |= {"bits_allocated": 8, "bits_stored": 8, "pixel_representation": 0, "photometric_interpretation": "MONOCHROME2"}
            self.fragments.append(RLELosslessEncoder.encode(np.ascontiguousarray(frame).tobytes(), **form))
            return
        bits = np.concatenate([self.rest, frame.ravel()])
        whole = len(bits) // 8 * 8
        self.packed.write(np.packbits(bits[:whole], bitorder="little").tobytes())
        self.rest = bits[whole:]

    def data(self) -> bytes:
        if self.fractional:
            return bytes(encapsulate(self.fragments))
        self.packed.write(np.packbits(self.rest, bitorder="little").tobytes())
        return self.packed.getvalue() + b"\0" * (self.packed.tell() % 2)


def segmentation(
    volume: NDArray[np.uint8],
    grid: Grid,
    segments: Sequence[Drawn],
    *,
    fractional: str | None,
    place: int,
    reference: Dataset,
    context: ReportContext,
) -> Dataset:
    """`volume` holds segment numbers, or fractions of 255, in the order of the grid. `place` is the mask's among the Run's masks.

    `reference` is the image whose patient and study elements the Run's objects carry.
    """
    vocabulary, image = Vocabulary(), grid.slices[0].image
    result = begun(reference, context)
    _add_series(result, segments[0].identity, place=place, context=context)
    for keyword in ("FrameOfReferenceUID", "PositionReferenceIndicator"):
        if text(image, "FrameOfReferenceUID"):
            setattr(result, keyword, text(image, keyword))
    if grid.places is None:
        result.PatientOrientation = _orientation(image)
    frames = _Frames(grid.rows, grid.columns, fractional is not None)
    groups = list(_groups(volume, grid, segments, frames, vocabulary))
    _add_pixels(result, grid, frames, fractional)
    result.SegmentSequence = [_segment(segment, vocabulary) for segment in segments]
    _add_dimensions(result, grid, context.uid("mask-dimensions", place))
    result.SharedFunctionalGroupsSequence = [_shared(grid)]
    result.PerFrameFunctionalGroupsSequence = groups
    result.ReferencedSeriesSequence = [_referenced(grid)]
    makers = {segment.identity.device_uid: segment.identity for segment in segments}
    result.ContributingEquipmentSequence = [contributing_equipment(each, context, vocabulary) for each in makers.values()]
    result.PixelData = frames.data()
    result["PixelData"].VR = "OB"
    result["PixelData"].is_undefined_length = frames.fractional
    result.file_meta = _meta(result)
    return result


def _orientation(image: Dataset) -> list[str] | None:
    """Type 2C where nothing else says how the pixels lie (PS3.3 C.7.6.1.1.1)."""
    directions = image.get("PatientOrientation")
    return [str(direction) for direction in directions] if directions else None


def _add_series(result: Dataset, identity: Identity, *, place: int, context: ReportContext) -> None:
    result.SOPClassUID, result.SOPInstanceUID = UID(SOP_CLASS), UID(context.uid("mask", place))
    result.SeriesInstanceUID, result.Modality = context.uid("mask-series", place), "SEG"
    result.SeriesNumber, result.InstanceNumber = context.series_number + 10 + place, 1
    words = f"AI {identity.algorithm.name} {identity.algorithm.version}".replace("\\", "/")
    result.SeriesDescription = f"{words[:60]} SEG"
    result.Manufacturer = result.ManufacturerModelName = "Gantry"
    result.DeviceSerialNumber = context.installation[:64]
    result.SoftwareVersions = context.product_version
    result.ContentLabel, result.ContentDescription, result.ContentCreatorName = "SEGMENTATION", None, None


def _add_pixels(result: Dataset, grid: Grid, frames: _Frames, fractional: str | None) -> None:
    result.ImageType = ["DERIVED", "PRIMARY"]
    result.SamplesPerPixel, result.PhotometricInterpretation, result.PixelRepresentation = 1, "MONOCHROME2", 0
    result.Rows, result.Columns, result.NumberOfFrames = grid.rows, grid.columns, frames.count
    result.BitsAllocated = result.BitsStored = 8 if fractional else 1
    result.HighBit = result.BitsStored - 1
    result.SegmentationType = "FRACTIONAL" if fractional else "BINARY"
    if fractional:
        result.SegmentationFractionalType, result.MaximumFractionalValue = fractional.upper(), 255
    result.SegmentsOverlap = "NO"
    image = grid.slices[0].image
    lossy = text(image, "LossyImageCompression") == "01" and "LossyImageCompressionRatio" in image and "LossyImageCompressionMethod" in image
    result.LossyImageCompression = "01" if lossy else "00"
    if lossy:
        result.LossyImageCompressionRatio, result.LossyImageCompressionMethod = image.LossyImageCompressionRatio, image.LossyImageCompressionMethod


def _segment(segment: Drawn, vocabulary: Vocabulary) -> Dataset:
    """Segment Description (PS3.3 C.8.20.4); the algorithm in the report's words (IHE AIR 6.5.3.1)."""
    item, algorithm = Dataset(), segment.identity.algorithm
    item.SegmentNumber, item.SegmentLabel = segment.number, segment.label
    item.SegmentAlgorithmType, item.SegmentAlgorithmName = "AUTOMATIC", algorithm.name
    item.SegmentedPropertyCategoryCodeSequence = [vocabulary.concept(segment.category)]
    item.SegmentedPropertyTypeCodeSequence = [vocabulary.concept(segment.type)]
    item.RecommendedDisplayCIELabValue = _cielab(segment.color)
    if segment.tracking:
        item.TrackingID, item.TrackingUID = segment.tracking
    if segment.sites:
        item.AnatomicRegionSequence = [_anatomy(site, vocabulary) for site in segment.sites]
    identification = Dataset()
    identification.AlgorithmFamilyCodeSequence = [
        vocabulary.optional(algorithm.family) or vocabulary.dcm("123110", "Artificial Intelligence")
    ]
    identification.AlgorithmName, identification.AlgorithmVersion = algorithm.name, algorithm.version
    identification.AlgorithmSource = algorithm.manufacturer
    item.SegmentationAlgorithmIdentificationSequence = [identification]
    return item


def _cielab(color: str) -> list[int]:
    """Of #RRGGBB. Viewers without it draw every segment alike, and OHIF complains."""
    red, green, blue = (int(color[place : place + 2], 16) for place in (1, 3, 5))
    return list(CIELabColor.from_rgb(red, green, blue).value)


def _anatomy(site: Any, vocabulary: Vocabulary) -> Dataset:
    code = Dataset()
    code.update(vocabulary.concept(site.location))
    modifiers = [vocabulary.code(*LATERALITIES[site.laterality])] if site.laterality else []
    modifiers += [vocabulary.concept(site.modifier)] if site.modifier else []
    if modifiers:
        code.AnatomicRegionModifierSequence = modifiers
    return code


def _groups(
    volume: NDArray[np.uint8], grid: Grid, segments: Sequence[Drawn], frames: _Frames, vocabulary: Vocabulary
) -> Iterator[Dataset]:
    """Functional groups of each frame, while its pixels are written. Nothing is written of slices without the segment."""
    of_slice: dict[int, Dataset] = {}  # items are never changed, so that those of a slice may stand in the frames of all segments
    for segment in segments:
        number = Dataset()
        number.ReferencedSegmentNumber = segment.number
        for index, at in enumerate(grid.slices):
            plane = volume[index]
            frame = plane if frames.fractional else (plane == segment.number).astype(np.uint8)
            if not frame.any():
                continue
            frames.add(frame)
            group, content = Dataset(), Dataset()
            if index not in of_slice:
                of_slice[index] = _of_slice(at, index, grid, vocabulary)
            group.update(of_slice[index])
            content.DimensionIndexValues = [segment.number, index + 1]
            if grid.places is None:
                content.FrameLabel = f"{index + 1}"
            group.FrameContentSequence = [content]
            group.SegmentIdentificationSequence = [number]
            yield group


def _of_slice(at: Slice, index: int, grid: Grid, vocabulary: Vocabulary) -> Dataset:
    """What all frames on one slice have in common."""
    result = Dataset()
    if grid.places is not None:
        position = Dataset()
        position.ImagePositionPatient = [decimal(value) for value in grid.places.origin[index].tolist()]
        result.PlanePositionSequence = [position]
    result.DerivationImageSequence = [_derived_from(at, vocabulary)]
    return result


def decimal(value: float) -> str:
    """A decimal string of at most 16 characters, never in exponents that a reader stumbles over."""
    return "0" if abs(value) < 5e-7 else f"{value:.6f}".rstrip("0").rstrip(".")


def _derived_from(at: Slice, vocabulary: Vocabulary) -> Dataset:
    derivation, source = Dataset(), Dataset()
    source.ReferencedSOPClassUID, source.ReferencedSOPInstanceUID = at.image.SOPClassUID, at.image.SOPInstanceUID
    if at.frame is not None:
        source.ReferencedFrameNumber = at.frame
    source.PurposeOfReferenceCodeSequence = [vocabulary.dcm("121322", "Source image for image processing operation")]
    source.SpatialLocationsPreserved = "YES"
    derivation.DerivationCodeSequence = [vocabulary.dcm("113076", "Segmentation")]
    derivation.SourceImageSequence = [source]
    return derivation


def _shared(grid: Grid) -> Dataset:
    group, image = Dataset(), grid.slices[0].image
    if grid.places is None:
        return group
    measures, orientation = Dataset(), Dataset()
    measures.PixelSpacing = [decimal(value) for value in grid.places.spacing[0].tolist()]
    apart = np.abs(np.diff(heights(grid.places)))
    thickness = float(np.median(apart)) if len(apart) else None
    shown = text(image, "SliceThickness") or (decimal(thickness) if thickness else "1")
    measures.SliceThickness = shown
    if thickness:
        measures.SpacingBetweenSlices = decimal(thickness)
    orientation.ImageOrientationPatient = [f"{value:.10f}" for value in (*grid.places.across[0].tolist(), *grid.places.down[0].tolist())]
    group.PixelMeasuresSequence, group.PlaneOrientationSequence = [measures], [orientation]
    return group


def _add_dimensions(result: Dataset, grid: Grid, uid: str) -> None:
    """Segment first, then place: frames are found by both (PS3.3 C.7.6.17)."""
    organization = Dataset()
    organization.DimensionOrganizationUID = uid
    result.DimensionOrganizationSequence = [organization]
    along = (_POSITION, _PLANE_GROUP, "Image Position Patient") if grid.places is not None else (_LABEL, _CONTENT_GROUP, "Frame Label")
    result.DimensionIndexSequence = []
    for pointer, group, label in ((_SEGMENT_NUMBER, _SEGMENT_GROUP, "Referenced Segment Number"), along):
        index = Dataset()
        index.DimensionIndexPointer, index.FunctionalGroupPointer = pointer, group
        index.DimensionOrganizationUID, index.DimensionDescriptionLabel = uid, label
        result.DimensionIndexSequence.append(index)


def _referenced(grid: Grid) -> Dataset:
    series, named = Dataset(), {}
    for at in grid.slices:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = at.image.SOPClassUID, at.image.SOPInstanceUID
        named[str(at.image.SOPInstanceUID)] = item
    series.SeriesInstanceUID = grid.slices[0].image.SeriesInstanceUID
    series.ReferencedInstanceSequence = list(named.values())
    return series


def _meta(result: Dataset) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = result.SOPClassUID, result.SOPInstanceUID
    meta.TransferSyntaxUID = RLELossless if result.SegmentationType == "FRACTIONAL" else ExplicitVRLittleEndian
    meta.ImplementationClassUID, meta.ImplementationVersionName = UID(IMPLEMENTATION), "GANTRY"
    return meta
