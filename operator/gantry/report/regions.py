"""Regions become content items: SCOORD on an image, SCOORD3D in the patient, or a reference to a segment.

Builds content with highdicom; `geometry` knows the coordinates. TID 1410 takes one region, TID 1411 several, a volume or a segment.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from highdicom.sr import (
    CodedConcept,
    ContentItem,
    ContentSequence,
    ImageContentItem,
    RelationshipTypeValues,
    Scoord3DContentItem,
    ScoordContentItem,
    SourceImageForRegion,
    SourceSeriesForSegmentation,
)
from pydicom import Dataset

from gantry.findings import Finding
from gantry.findings.shapes import Planar, PlanarRegion, SegmentRegion, SpatialRegion

from . import geometry
from .context import ReportContext
from .errors import InvalidReport
from .references import References
from .slices import Points, Stack, stack
from .source import Source, has_pixels
from .verbatim import integer, items, text
from .vocabulary import Vocabulary

SEGMENTATIONS = frozenset(("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"))
CONTAINS = RelationshipTypeValues.CONTAINS


@dataclass(frozen=True)
class Regions:
    """The content items, the template that holds them, and the segment they are if they are one."""

    items: list[ContentItem]
    template: str
    segment: Dataset | None = None


@dataclass
class Slices:
    """Where the input images lie, each frame of reference worked out once: a thousand slices take 0.1 s."""

    source: Source
    _stacks: dict[str, Stack] = field(default_factory=dict)

    def of(self, uid: str) -> Stack:
        """Those of one frame of reference."""
        if uid not in self._stacks:
            self._stacks[uid] = stack(self.source.frames_of_reference[uid])
        return self._stacks[uid]

    def frame_of_reference(self, regions: list[SpatialRegion], *, where: str) -> str:
        """The one all regions of a finding live in. Raises InvalidReport when there are several."""
        uids = {geometry.frame_of_reference(region, self.source, where=where) for region in regions}
        if len(uids) > 1:
            raise InvalidReport(f"{where}: regions lie in several frames of reference; write a finding for each")
        return next(iter(uids))

    def flat(self, regions: list[SpatialRegion], *, where: str) -> list[PlanarRegion]:
        """The regions as 2D regions of the slices they lie on; none when one of them lies on no slice."""
        slices = self.of(self.frame_of_reference(regions, where=where))
        found = [geometry.flattened(region, slices) for region in regions]
        return [] if None in found else [region for region in found if region is not None]


@dataclass
class RegionWriter:
    """Writes the regions of one document."""

    references: References
    objects: Mapping[str, Dataset]
    context: ReportContext
    vocabulary: Vocabulary
    slices: Slices

    def write(self, finding: Finding, *, where: str) -> Regions:
        """Raises InvalidReport when a region does not fit the images or objects."""
        regions = finding.where
        if not regions:
            return Regions([], "1501")
        first, place = regions[0], region_place(finding, where)
        if isinstance(first, SegmentRegion):
            return self._segment(first, where=place)
        if isinstance(first, Planar):
            return self.flat([region for region in regions if isinstance(region, Planar)], where=place)
        return self._in_space(spatial_regions(finding), where=place)

    def flat(self, regions: Sequence[PlanarRegion], *, where: str) -> Regions:
        """2D regions of images."""
        return Regions([self._on_image(region, where=where) for region in regions], "1410" if len(regions) == 1 else "1411")

    def _on_image(self, region: PlanarRegion, *, where: str) -> ContentItem:
        (image,) = self.references.images_of([region.sop_instance_uid], where=f"{where}.sopInstanceUID")
        if not has_pixels(image):
            raise InvalidReport(f"{where}.sopInstanceUID: names a document, which has no pixels; name it in images of the finding")
        if "TotalPixelMatrixColumns" in image:
            raise InvalidReport(f"{where}: regions on tiled whole slide images are not supported")
        graphic, points = geometry.planar(region, image, where=where)
        frames = geometry.frame_numbers(region, image, where=where)
        item = ScoordContentItem(self.vocabulary.dcm("111030", "Image Region"), graphic, points, relationship_type=CONTAINS)
        item.ContentSequence = ContentSequence([SourceImageForRegion(image.SOPClassUID, image.SOPInstanceUID, frames)])
        return item

    def _in_space(self, regions: list[SpatialRegion], *, where: str) -> Regions:
        uid = self.slices.frame_of_reference(regions, where=where)
        shapes = [geometry.spatial(region, self.slices.of(uid).box, where=where) for region in regions]
        flat = self.slices.flat(regions, where=where)
        if flat:
            return self.flat(flat, where=where)
        if self.context.sop_class != "Comprehensive3DSR":
            raise InvalidReport(
                f"{where}: {regions[0].kind} that lies on no slice needs report.sopClass Comprehensive3DSR in the pipeline; set it, or use 2D regions"
            )
        images = self.references.source.frames_of_reference[uid]
        self.references.add_images(images[:1])
        volume = len(regions) > 1 or regions[0].kind == "ellipsoid3d"
        name = self.vocabulary.dcm("121231", "Volume Surface") if volume else self.vocabulary.dcm("111030", "Image Region")
        content: list[ContentItem] = [_scoord3d(name, graphic, points, uid) for graphic, points in shapes]
        if not volume:
            return Regions(content, "1410")
        return Regions([*content, SourceSeriesForSegmentation(images[0].SeriesInstanceUID)], "1411")

    def _segment(self, region: SegmentRegion, *, where: str) -> Regions:
        segmentation = self.objects.get(region.file)
        if segmentation is None:
            raise InvalidReport(f"{where}.file: no such DICOM file was written to /gantry/output or accepted from there")
        if text(segmentation, "SOPClassUID") not in SEGMENTATIONS:
            raise InvalidReport(f"{where}.file: is not a DICOM Segmentation")
        if not geometry.same_frame_of_reference(segmentation, self.references.source):
            raise InvalidReport(f"{where}.file: the segmentation lies in another frame of reference than the input images")
        segments = {integer(item, "SegmentNumber"): item for item in items(segmentation, "SegmentSequence")}
        if region.segment_number not in segments:
            raise InvalidReport(f"{where}.segmentNumber: {region.segment_number}: the file has the segments {sorted(filter(None, segments))}")
        first = self._first_source(segmentation)
        self.references.add_images([first])
        self.references.add_object(segmentation)
        reference = ImageContentItem(
            self.vocabulary.dcm("121191", "Referenced Segment"),
            segmentation.SOPClassUID,
            segmentation.SOPInstanceUID,
            referenced_segment_numbers=region.segment_number,
            relationship_type=CONTAINS,
        )
        content: list[ContentItem] = [reference, SourceSeriesForSegmentation(first.SeriesInstanceUID)]
        return Regions(content, "1411", segments[region.segment_number])

    def segment_of(self, finding: Finding) -> Dataset | None:
        """The segment a finding refers to, if it is known."""
        first = next(iter(finding.where), None)
        segmentation = self.objects.get(first.file) if isinstance(first, SegmentRegion) else None
        if segmentation is None or not isinstance(first, SegmentRegion):
            return None
        return next((item for item in items(segmentation, "SegmentSequence") if integer(item, "SegmentNumber") == first.segment_number), None)

    def _first_source(self, segmentation: Dataset) -> Dataset:
        """The first input image the segmentation says it was made from; without one, the first of the input."""
        images = self.references.source.images
        named = (
            text(instance, "ReferencedSOPInstanceUID")
            for series in items(segmentation, "ReferencedSeriesSequence")
            for instance in items(series, "ReferencedInstanceSequence")
        )
        return next((images[uid] for uid in named if uid in images), self.references.source.reference)


def spatial_regions(finding: Finding) -> list[SpatialRegion]:
    """Its regions in millimetres."""
    return [region for region in finding.where if not isinstance(region, Planar | SegmentRegion)]


def region_place(finding: Finding, where: str) -> str:
    """The field that holds them."""
    return f"{where}.region" if finding.region else f"{where}.regions"


def _scoord3d(name: CodedConcept, graphic: str, points: Points, frame_of_reference: str) -> ContentItem:
    # highdicom's own test for points in one plane makes an n x n matrix (800 MB for 10,000 points); geometry has tested it.
    planar = graphic in ("POLYGON", "ELLIPSE")
    item = Scoord3DContentItem(name, "POLYLINE" if planar else graphic, points, frame_of_reference, relationship_type=CONTAINS)
    item.GraphicType = graphic
    return item
