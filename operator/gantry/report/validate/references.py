"""What the content points to: named in the evidence, known, of the right class, with frames that exist and coordinates inside the image.

Sizes come from the images where they are given, else from the report's own image library, so that a file can be checked alone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydicom import Dataset

from ..verbatim import integer, items, text
from .content import coordinates
from .items import Item, reference
from .problems import Problem, Rule
from .templates import FURTHER, LIBRARY, SEGMENT

SLACK = 0.01
"""Pixels a coordinate may lie outside its image: SCOORD holds single precision, which is that coarse at 100,000."""


@dataclass(frozen=True)
class Known:
    """What is known of the objects a report may refer to."""

    objects: Mapping[str, Dataset]
    """Images, documents and segmentations by SOP Instance UID; empty when the file is checked alone."""
    sizes: Mapping[str, tuple[int, int]]
    """Rows and columns of images."""
    spaces: frozenset[str]
    """Frames of reference of the images."""


def known(root: Item, objects: Mapping[str, Dataset]) -> Known:
    """From the objects themselves if there are any, else from the image library."""
    sizes = {uid: (integer(each, "Rows") or 0, integer(each, "Columns") or 0) for uid, each in objects.items() if "Rows" in each}
    spaces = {text(each, "FrameOfReferenceUID") for each in objects.values()}
    for library in root.named(LIBRARY):
        for entry in library.walk():
            referred = reference(entry) if entry.kind == "IMAGE" else None
            if referred is None:
                continue
            spaces |= set() if objects else {text(child.dataset, "UID") for child in entry.named("112227")}
            rows, columns = (_number(entry, concept) for concept in ("110910", "110911"))
            if rows and columns:
                sizes.setdefault(text(referred, "ReferencedSOPInstanceUID"), (rows, columns))
    return Known(objects, sizes, frozenset(spaces - {""}))


def _number(entry: Item, concept: str) -> int:
    for child in entry.named(concept):
        for measured in items(child.dataset, "MeasuredValueSequence")[:1]:
            value = text(measured, "NumericValue").removesuffix(".0")
            return int(value) if value.isdecimal() and len(value) <= 12 else 0
    return 0


def check_references(report: Dataset, root: Item, facts: Known) -> Iterator[Problem]:
    """Evidence, references and coordinates."""
    evidence = list(_evidence(report))
    if not evidence:
        yield Problem(Rule.REFERENCE, "CurrentRequestedProcedureEvidenceSequence", "is missing or empty", "name every object the content refers to")
    if len({uid for uid, _ in evidence}) < len(evidence):
        yield Problem(Rule.REFERENCE, "CurrentRequestedProcedureEvidenceSequence", "names an object twice", "name it once")
    classes = dict(evidence)
    for item in root.walk():
        referred = reference(item)
        if referred is not None:
            yield from _check_reference(item, referred, classes, facts)
            yield from _check_frames(item, referred, facts)
        if item.kind == "SCOORD":
            yield from _check_inside(item, facts)
        if item.kind == "SCOORD3D":
            space = text(item.dataset, "ReferencedFrameOfReferenceUID")
            if space and space not in facts.spaces:
                yield Problem(Rule.SPACE, item.place, "lies in a frame of reference that no image has", "take that of the images")


def _evidence(report: Dataset) -> Iterator[tuple[str, str]]:
    for keyword in ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence"):
        for study in items(report, keyword):
            for series in items(study, "ReferencedSeriesSequence"):
                for instance in items(series, "ReferencedSOPSequence"):
                    yield text(instance, "ReferencedSOPInstanceUID"), text(instance, "ReferencedSOPClassUID")


def _check_reference(item: Item, referred: Dataset, evidence: Mapping[str, str], facts: Known) -> Iterator[Problem]:
    uid, sop_class = text(referred, "ReferencedSOPInstanceUID"), text(referred, "ReferencedSOPClassUID")
    if not uid or not sop_class:
        yield Problem(Rule.REFERENCE, item.place, "lacks SOP Class or SOP Instance UID", "write both")
    elif uid not in evidence:
        yield Problem(Rule.REFERENCE, item.place, "refers to an object that the evidence does not name", "add it to the evidence")
    elif evidence[uid] != sop_class:
        yield Problem(Rule.REFERENCE, item.place, "names another SOP class than the evidence", "write the object's own in both")
    if not facts.objects or not uid:
        return
    known_object = facts.objects.get(uid)
    if known_object is None and item.name == FURTHER and item.kind == "COMPOSITE":
        return  # another report of the Run, which comes after this one
    if known_object is None:
        yield Problem(Rule.REFERENCE, item.place, "refers to an object that is neither in the input nor delivered", "refer to one that is")
    elif text(known_object, "SOPClassUID") != sop_class:
        yield Problem(Rule.REFERENCE, item.place, "names another SOP class than the object has", "write the object's own")
    elif item.name == SEGMENT:
        yield from _check_segment(item, referred, known_object, facts)


def _check_segment(item: Item, referred: Dataset, segmentation: Dataset, facts: Known) -> Iterator[Problem]:
    numbers = {integer(segment, "SegmentNumber") for segment in items(segmentation, "SegmentSequence")}
    if not set(_integers(referred, "ReferencedSegmentNumber")) & numbers:
        yield Problem(Rule.REFERENCE, item.place, "refers to a segment the segmentation does not have", "name one of its segments")
    others = [each for each in facts.objects.values() if each is not segmentation and "Rows" in each]
    space = text(segmentation, "FrameOfReferenceUID")
    if space and space not in {text(each, "FrameOfReferenceUID") for each in others}:
        yield Problem(Rule.SPACE, item.place, "the segmentation lies in another frame of reference than the images", "make it in that of the images")
    if not space and (integer(segmentation, "Rows"), integer(segmentation, "Columns")) not in {_size(each) for each in others}:
        yield Problem(Rule.SPACE, item.place, "the segmentation has another size than every image", "make it on the images as they are")


def _size(image: Dataset) -> tuple[int | None, int | None]:
    return integer(image, "Rows"), integer(image, "Columns")


def _integers(dataset: Dataset, keyword: str) -> list[int]:
    value = dataset.get(keyword)
    values = [value] if isinstance(value, int | str) else list(value or ())
    return [int(each) for each in values if str(each).strip().lstrip("-").isdecimal()]


def _check_frames(item: Item, referred: Dataset, facts: Known) -> Iterator[Problem]:
    image = facts.objects.get(text(referred, "ReferencedSOPInstanceUID"))
    if image is None or item.kind != "IMAGE" or item.name == SEGMENT:
        return
    count, named = integer(image, "NumberOfFrames") or 1, _integers(referred, "ReferencedFrameNumber")
    if count == 1 and named:
        yield Problem(Rule.FRAME, item.place, "names a frame of an image that has one", "leave the frame number out")
    if any(not 1 <= frame <= count for frame in named):
        yield Problem(Rule.FRAME, item.place, f"names a frame beyond the {count} of the image", "count from 1")
    if count > 1 and not named and item.relationship == "SELECTED FROM":
        yield Problem(Rule.FRAME, item.place, f"does not say which of the {count} frames the region lies on", "add the frame number")


def _check_inside(item: Item, facts: Known) -> Iterator[Problem]:
    images = [referred for child in item.children if (referred := reference(child)) is not None]
    size = facts.sizes.get(text(images[0], "ReferencedSOPInstanceUID")) if images else None
    values = coordinates(item)
    if size is None or not values or len(values) % 2:
        return
    low, high = _extent(text(item.dataset, "GraphicType"), values)
    rows, columns = size
    if min(low) < -SLACK or high[0] > columns + SLACK or high[1] > rows + SLACK:
        what = f"lies outside its image of {columns} x {rows} pixels"
        yield Problem(Rule.OUTSIDE, item.place, what, "write column, row, 0,0 being the top-left corner of the top-left pixel")


def _extent(graphic: str, values: list[float]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Lowest and highest column and row; a circle reaches beyond its two points."""
    columns, rows = values[0::2], values[1::2]
    if graphic == "CIRCLE" and len(values) == 4:
        radius = ((columns[1] - columns[0]) ** 2 + (rows[1] - rows[0]) ** 2) ** 0.5
        columns, rows = [columns[0] - radius, columns[0] + radius], [rows[0] - radius, rows[0] + radius]
    return (min(columns), min(rows)), (max(columns), max(rows))
