"""findings.json and the images become DICOM SR: which documents there are, and what each holds.

Pure: the same arguments give the same bytes. Findings are kept apart by how they show where they are, one document each:
drawn on images, somewhere in space, segments, neither. OHIF shows nothing at all of a measurement report in which one group is not drawn on an
image, so the other sorts have another title, by which it shows them as text; PixelMed's validator tests every group beside a segment by the
segment's template. A volume is also outlined on its key slice, beside what is drawn, under the same tracking UID and without its numbers.
The first document carries the statements about the whole study and names the Run's other objects.
"""

from collections.abc import Mapping, Sequence

from highdicom.sr import ContentItem
from pydicom import Dataset

from gantry.findings import Finding, Findings, SegmentRegion
from gantry.findings.shapes import Planar, PlanarRegion

from .algorithms import contributing_equipment, identities
from .context import SOP_CLASS_UIDS, BuiltObject, ReportContext
from .contours import volume_outline
from .document import Reference, Series, document, encoded
from .errors import InvalidReport
from .groups import GroupWriter
from .outcome import absent, require_a_statement
from .references import Further, References, further
from .regions import RegionWriter, Slices, region_place, spatial_regions
from .shadow import marked
from .source import Source, index
from .tree import measurement_report
from .verbatim import tolerated
from .vocabulary import NOT_EVALUATED, PRESENCES, Vocabulary

_SORTS = ("regions", "in space", "segments", "no region")
"""By how findings show where they are; a document without findings is `negative`."""


def build_report(
    findings: Findings,
    source: Sequence[Dataset],
    context: ReportContext,
    objects: Mapping[str, Dataset] | None = None,
    overview: BuiltObject | None = None,
) -> tuple[BuiltObject, ...]:
    """The SRs of a Run, in the order they are stored. The first names all other objects of the Run.

    `source` are the input images, headers are enough; `objects` the accepted DICOM files by name, with the UIDs they will be stored under.
    Raises InvalidFindings when the findings say nothing, InvalidReport when they do not fit the images.
    """
    require_a_statement(findings, context)
    with tolerated():
        images = index(source)
        slices = Slices(images)
        parts = _parts(findings, slices)
        outlines = _outlines(parts, slices, objects or {})
        if outlines and parts[0][0] != _SORTS[0]:
            parts = [(_SORTS[0], {}), *parts]
        others = further((objects or {}).values(), [overview] if overview else []) + _siblings(len(parts), context)
        return tuple(
            _build(
                findings,
                part,
                position=position,
                source=images,
                slices=slices,
                context=context,
                objects=objects or {},
                others=() if position else others,
                outlines=outlines if part[0] == _SORTS[0] else {},
            )
            for position, part in enumerate(parts)
        )


def refused(
    findings: Findings, source: Sequence[Dataset], context: ReportContext, objects: Mapping[str, Dataset] | None = None
) -> tuple[str, ...]:
    """Why each finding that does not fit the images does not, a line each: build_report stops at the first. None: the findings all fit."""
    with tolerated():
        images, vocabulary, lines = index(source), Vocabulary(), []
        references = References(images)
        regions = RegionWriter(references, objects or {}, context, vocabulary, Slices(images))
        writer = GroupWriter(context, identities(findings, context), vocabulary, references, regions)
        for place, finding in enumerate(findings.findings):
            try:
                writer.finding(finding, where=_where(place, finding))
            except InvalidReport as fault:
                lines.append(str(fault))
        return tuple(lines)


def _where(place: int, finding: Finding) -> str:
    return f"findings[{place}] ({finding.id})"


def _parts(findings: Findings, slices: Slices) -> list[tuple[str, dict[int, Finding]]]:
    """Findings by sort, with their place in the document; a wholly negative one has a single part without findings."""
    sorts: dict[str, dict[int, Finding]] = {sort: {} for sort in _SORTS}
    for position, finding in enumerate(findings.findings):
        sorts[_sort(finding, slices, where=_where(position, finding))][position] = finding
    return [(sort, members) for sort, members in sorts.items() if members] or [("", {})]


def _outlines(
    parts: Sequence[tuple[str, Mapping[int, Finding]]], slices: Slices, objects: Mapping[str, Dataset]
) -> dict[int, tuple[Finding, tuple[PlanarRegion, ...]]]:
    """What volumes look like on their key slices, by place in the document: drawn beside the findings that lie on images."""
    volumes = {place: finding for sort, members in parts if sort in ("in space", "segments") for place, finding in members.items()}
    drawn = {place: (finding, volume_outline(finding, slices, objects)) for place, finding in sorted(volumes.items())}
    return {place: one for place, one in drawn.items() if one[1]}


def _sort(finding: Finding, slices: Slices, *, where: str) -> str:
    if not finding.where:
        return "no region"
    first = finding.where[0]
    if isinstance(first, SegmentRegion):
        return "segments"
    return "regions" if isinstance(first, Planar) or slices.flat(spatial_regions(finding), where=region_place(finding, where)) else "in space"


def _build(
    findings: Findings,
    part: tuple[str, dict[int, Finding]],
    *,
    position: int,
    source: Source,
    slices: Slices,
    context: ReportContext,
    objects: Mapping[str, Dataset],
    others: Sequence[Further],
    outlines: Mapping[int, tuple[Finding, tuple[PlanarRegion, ...]]],
) -> BuiltObject:
    sort, members = part
    vocabulary, references, algorithms = Vocabulary(), References(source), identities(findings, context)
    writer = GroupWriter(context, algorithms, vocabulary, references, RegionWriter(references, objects, context, vocabulary, slices))
    groups = [writer.finding(finding, where=_where(place, finding)) for place, finding in members.items()]
    groups += [writer.outline(finding, regions, where=_where(place, finding)) for place, (finding, regions) in outlines.items()]
    content = measurement_report(
        findings,
        groups=groups or _only_statements(findings, writer, context),
        absent=absent(findings, context) if position == 0 else (),
        shadow=context.shadow,
        summary=position == 0,
        drawn=sort == "regions",
        references=references,
        source=source,
        algorithms=algorithms,
        vocabulary=vocabulary,
        further=references.without_those_named(others),
    )
    series = _series(context, algorithms[0].algorithm.name, algorithms[0].algorithm.version, position=position, sort=sort)
    dataset = document(
        content,
        reference=source.reference,
        evidence=references.evidence,
        equipment=[contributing_equipment(each, context, vocabulary) for each in algorithms],
        series=series,
        context=context,
        further=[each.reference for each in references.without_those_named(others)],
        own_codes=vocabulary.has_own_codes,
    )
    dicom = encoded(dataset, context)
    named = (SOP_CLASS_UIDS[context.sop_class], series.sop_instance_uid, series.instance_uid)
    return BuiltObject("SR", *named, dicom, sort or "negative", str(dataset.SpecificCharacterSet))


def _siblings(count: int, context: ReportContext) -> tuple[Further, ...]:
    """The Run's other SRs, as the first one names them."""
    references = (
        Reference(context.uid(f"{context.role}-series", place), SOP_CLASS_UIDS[context.sop_class], context.uid(context.role, place))
        for place in range(1, count)
    )
    return tuple(Further(each, is_image=False) for each in references)


def _only_statements(findings: Findings, writer: GroupWriter, context: ReportContext) -> list[ContentItem]:
    """A negative report has groups, too: a reader that looks only there must not take it for an empty one."""
    missing = [writer.statement("absent", concept, PRESENCES["absent"]) for concept in absent(findings, context)]
    unknown = {each.type.key: each.type for each in findings.not_evaluable}
    return missing + [writer.statement("not-evaluated", concept, NOT_EVALUATED) for concept in unknown.values()]


def _series(context: ReportContext, name: str, version: str, *, position: int, sort: str) -> Series:
    description = context.series_description or f"AI {name} {version}"
    if context.shadow:
        description = marked(description)
    if position:
        suffix = f" ({sort})"
        description = description[: 64 - len(suffix)] + suffix
    return Series(
        number=context.series_number + position,
        description=description,
        instance_uid=context.uid(f"{context.role}-series", position),
        sop_instance_uid=context.uid(context.role, position),
    )
