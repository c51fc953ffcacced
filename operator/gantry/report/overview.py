"""The overview: findings drawn on their key images, as a Secondary Capture that every PACS shows (PS3.3 A.8.1, A.8.5).

Pure; it says nothing that the report does not say, and the report counts. A page of words comes first, then a page for each key image. One page is
a plain Secondary Capture; several are one Multi-frame True Color one, as a Run's record has room for few objects. Uncompressed RGB: every
archive takes it, and text in JPEG is hard to read (docs/decisions/2026-11-25-overview.md).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from PIL import Image
from pydicom import Dataset
from pydicom.uid import UID

from gantry.findings import Concept, Finding, Findings, NotEvaluable, Site

from .algorithms import Identity, contributing_equipment, identities
from .context import BuiltObject, ReportContext
from .display import NotDisplayable, Picture, pixel_shape
from .document import begun, encoded
from .keyimages import key_image
from .outcome import absent
from .outlines import Outline
from .pages import BESIDE_IMAGE, DIM, HEIGHT, INK, ON_PAGE, SIGN, WIDTH, Heading, Words, broken, page, written
from .pictures import Marks, drawn
from .regions import Slices
from .shadow import marked
from .source import Source, index
from .verbatim import text, tolerated
from .vocabulary import Vocabulary

ONE_PAGE, PAGES = "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.7.4"
AFTER = 15
"""Added to the first report's Series Number: after reports and segmentations, before the Key Object Selection."""
PER_IMAGE = 3
"""Findings on one picture; further ones are drawn on it again, or nobody could tell them apart."""
MOST_IMAGES, MOST_WORDS = 24, 6
"""Pages of each sort: together 66 MB. What has no room is counted on the last page of words and stands in the report."""
BANNER = "AI RESULT - NOT FOR DIAGNOSIS WITHOUT REVIEW BY A PHYSICIAN"
SHADOW_BANNER = "SHADOW: UNDER EVALUATION - NOT FOR THE CARE OF THE PATIENT"
ORIGIN = "Made from the structured report (SR) of this study, which is what counts."
UNSPOKEN = "(in letters that this picture cannot show; see the report)"
CLEAN = frozenset(("CR", "CT", "DX", "MG", "MR", "NM", "PT"))
"""Modalities whose pixels hold no words in practice. Of others it is not known who is named in them, unless the image says so."""

Shown = Callable[[Dataset, int | None], Picture]
"""The pixels of a frame of an image, given its header. Raises NotDisplayable."""


@dataclass(frozen=True)
class _Drawn:
    """A finding with its number and where it is drawn."""

    number: int
    finding: Finding
    outline: Outline | None


@dataclass(frozen=True)
class _KeyImage:
    """What one page shows."""

    image: str
    frame: int | None
    members: tuple[_Drawn, ...]


def build_overview(
    findings: Findings, source: Sequence[Dataset], context: ReportContext, objects: Mapping[str, Dataset], shown: Shown
) -> BuiltObject:
    """`objects` are the accepted DICOM files by name. Raises InvalidReport when the images are of several patients or studies."""
    with tolerated():
        images, makers = index(source), identities(findings, context)
        slices = Slices(images)
        every = [_Drawn(number, finding, key_image(finding, slices, objects)) for number, finding in enumerate(findings.findings, 1)]
        grouped = _by_image(every)
        heading = Heading(SHADOW_BANNER if context.shadow else BANNER, "; ".join(map(_maker, makers)))
        lines = broken(_summary(findings, every, grouped, context))
        words = [lines[start : start + ON_PAGE] for start in range(0, len(lines), ON_PAGE)][:MOST_WORDS]
        count = len(words) + len(grouped)
        pictures = [page(heading, number, count, part) for number, part in enumerate(words, 1)]
        pictures += [_on_image(heading, number, count, key, images, shown) for number, key in enumerate(grouped, len(words) + 1)]
        result = _object(pictures, grouped, images, makers, context)
        dicom = encoded(result, context)
        identity = (str(result.SOPClassUID), str(result.SOPInstanceUID), str(result.SeriesInstanceUID))
        return BuiltObject("SC", *identity, dicom, character_set=str(result.SpecificCharacterSet))


def _by_image(every: Sequence[_Drawn]) -> list[_KeyImage]:
    """A page each, in the order of the findings."""
    found: dict[tuple[str, int | None], list[_Drawn]] = {}
    for one in every:
        if one.outline is not None:
            found.setdefault((one.outline.image, one.outline.frame), []).append(one)
    pages = [
        _KeyImage(*at, tuple(members[start : start + PER_IMAGE])) for at, members in found.items() for start in range(0, len(members), PER_IMAGE)
    ]
    return pages[:MOST_IMAGES]


def _maker(identity: Identity) -> str:
    algorithm = identity.algorithm
    return written(f"{algorithm.name} {algorithm.version} ({algorithm.manufacturer})", UNSPOKEN)


def _summary(findings: Findings, every: Sequence[_Drawn], grouped: Sequence[_KeyImage], context: ReportContext) -> list[Words]:
    """The first pages, in the order in which a radiologist asks."""
    there = [one for one in every if one.finding.presence != "absent"]
    gone = [_name(one.finding.type, one.finding.sites) for one in every if one.finding.presence == "absent"]
    missing = [_name(concept) for concept in absent(findings, context)] + gone
    lines = [Words(_headline(there, missing, findings), SIGN), Words(ORIGIN, DIM), Words("")]
    if findings.summary.impression:
        lines += [Words("Impression", DIM), Words(written(findings.summary.impression, UNSPOKEN), indent=16), Words("")]
    on_pages = {one.number for key in grouped for one in key.members}
    for one in there:
        lines += _told(one, without_picture=bool(one.finding.where) and one.number not in on_pages)
    for title, names in (("Looked for and absent", missing), ("Not evaluable", list(map(_unknown, findings.not_evaluable)))):
        if names:
            lines += [Words(""), Words(title, DIM), *(Words(name, indent=16) for name in names)]
    return _cut(lines)


def _cut(lines: list[Words]) -> list[Words]:
    """What has room, and that there is more."""
    shortened: list[Words] = []
    while len(broken(lines)) > MOST_WORDS * ON_PAGE - 2:
        lines = lines[: max(1, len(lines) * 9 // 10)]
        shortened = [Words(""), Words("... and more; all of it stands in the report.", SIGN)]
    return lines + shortened


def _headline(there: Sequence[_Drawn], missing: Sequence[str], findings: Findings) -> str:
    if there:
        return f"{len(there)} finding" + ("s" if len(there) > 1 else "")
    if missing:
        return "NO FINDING: none of what was looked for was found" + (", as far as it could be assessed" if findings.not_evaluable else "")
    return "NOT ASSESSED: what was looked for could not be assessed"


def _told(one: _Drawn, *, without_picture: bool) -> list[Words]:
    """A finding in words."""
    finding, colour = one.finding, INK
    doubt = " (indeterminate)" if finding.presence == "indeterminate" else ""
    lines = [Words(f"{one.number}   {_name(finding.type, finding.sites)}{doubt}", colour)]
    numbers = [
        f"{_concept(each.name)} {float(each.value):.6g}" + ("" if each.unit == "1" else f" {each.unit}") for each in finding.measurements
    ]
    if finding.confidence:
        numbers.append(f"certainty {finding.confidence.value * 100:.4g} %")
    if numbers:
        lines.append(Words("; ".join(numbers), indent=28))
    if without_picture:
        lines.append(Words("not drawn here", DIM, 28))
    return lines


def _name(concept: Concept, sites: Sequence[Site] = ()) -> str:
    where = [_concept(site.location) + (f" ({site.laterality})" if site.laterality else "") for site in sites]
    return ", ".join([_concept(concept), *where])


def _concept(concept: Concept) -> str:
    return written(concept.meaning, f"{concept.scheme} {concept.value}")


def _unknown(each: NotEvaluable) -> str:
    why = [*([_concept(each.reason)] if each.reason else []), *([written(each.text, UNSPOKEN)] if each.text else [])]
    return f"{_name(each.type, each.sites)}: {'; '.join(why)}"


def _on_image(heading: Heading, number: int, count: int, key: _KeyImage, images: Source, shown: Shown) -> Image.Image:
    """A key image with its findings; without its pixels, the findings and why."""
    image = images.images[key.image]
    lines = [Words(_caption(image, key.frame), DIM)]
    room = (BESIDE_IMAGE - 1) // len(key.members)
    for one in key.members:
        lines += broken(_told(one, without_picture=False))[:room]
    try:
        pixels = shown(image, key.frame)
        marks = [Marks(one.outline.lines, one.outline.mask, _label(one)) for one in key.members if one.outline is not None]
        picture = drawn(pixels, *marks, pixel=pixel_shape(image, key.frame))
    except NotDisplayable as fault:
        return page(heading, number, count, [*broken([Words(written(f"Not drawn: {fault}.", "Not drawn."), SIGN)]), *lines])
    return page(heading, number, count, lines, picture)


def _label(one: _Drawn) -> str:
    first = next(iter(one.finding.measurements), None)
    if first is None:
        return str(one.number)
    return f"{one.number}   {float(first.value):.4g}" + ("" if first.unit == "1" else f" {first.unit}")


def _caption(image: Dataset, frame: int | None) -> str:
    """What finds the image in the archive, and nothing of the patient."""
    parts = [text(image, "Modality")]
    parts += [f"{name} {text(image, keyword)}" for keyword, name in (("SeriesNumber", "series"), ("InstanceNumber", "image")) if text(image, keyword)]
    parts += [] if frame is None else [f"frame {frame}"]
    return written(", ".join(filter(None, parts)), "")


def _object(
    pictures: Sequence[Image.Image], grouped: Sequence[_KeyImage], images: Source, makers: Sequence[Identity], context: ReportContext
) -> Dataset:
    vocabulary, several = Vocabulary(), len(pictures) > 1
    result = begun(images.reference, context)
    result.SOPClassUID, result.SOPInstanceUID = UID(PAGES if several else ONE_PAGE), UID(context.uid("overview"))
    result.SeriesInstanceUID, result.Modality, result.Laterality = context.uid("overview-series"), "OT", None
    result.SeriesNumber, result.InstanceNumber = context.series_number + AFTER, 1
    name = f"AI {makers[0].algorithm.name} {makers[0].algorithm.version}".replace("\\", "/")
    result.SeriesDescription = marked(f"{name[:48]} overview") if context.shadow else f"{name[:55]} overview"
    result.Manufacturer = result.ManufacturerModelName = "Gantry"
    result.DeviceSerialNumber, result.SoftwareVersions = context.installation[:64], context.product_version
    result.ConversionType = "WSD"
    result.PatientOrientation = None
    result.ContributingEquipmentSequence = [contributing_equipment(each, context, vocabulary) for each in makers]
    _add_sources(result, grouped, images, vocabulary)
    result.ImageType = ["DERIVED", "SECONDARY"]
    result.SamplesPerPixel, result.PhotometricInterpretation, result.PlanarConfiguration = 3, "RGB", 0
    result.Rows, result.Columns = HEIGHT, WIDTH
    result.BitsAllocated = result.BitsStored = 8
    result.HighBit, result.PixelRepresentation = 7, 0
    if several:
        result.NumberOfFrames, result.FrameIncrementPointer = len(pictures), 0x00182001
        result.PageNumberVector = list(range(1, len(pictures) + 1))
    result.PixelData = b"".join(picture.tobytes() for picture in pictures)
    result["PixelData"].VR = "OB"
    return result


def _add_sources(result: Dataset, grouped: Sequence[_KeyImage], images: Source, vocabulary: Vocabulary) -> None:
    """Where it comes from (PS3.3 C.12.4): the key images with their frames, or, when nothing is drawn, the first image of each series."""
    frames: dict[str, list[int]] = {}
    for key in grouped:
        known = frames.setdefault(key.image, [])
        known += [] if key.frame is None or key.frame in known else [key.frame]
    named = {uid: images.images[uid] for uid in frames} or {text(each, "SOPInstanceUID"): each for each in images.first_of_series}
    result.SourceImageSequence = []
    for uid, image in named.items():
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
        if frames.get(uid):
            item.ReferencedFrameNumber = frames[uid]
        item.PurposeOfReferenceCodeSequence = [vocabulary.dcm("121322", "Source image for image processing operation")]
        result.SourceImageSequence.append(item)
    if frames:
        result.DerivationCodeSequence = [vocabulary.dcm("113085", "Spatial resampling")]
    result.DerivationDescription = "Findings of an algorithm drawn on their key images; resampled, window of the image, 8 bit RGB"
    lossy = [image for image in named.values() if text(image, "LossyImageCompression") == "01"]
    result.LossyImageCompression = "01" if lossy else "00"
    for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
        if lossy and keyword in lossy[0]:
            setattr(result, keyword, lossy[0].get(keyword))
    told = {text(image, "BurnedInAnnotation") or ("NO" if text(image, "Modality") in CLEAN else "YES") for image in named.values()}
    result.BurnedInAnnotation = "YES" if frames and told != {"NO"} else "NO"
