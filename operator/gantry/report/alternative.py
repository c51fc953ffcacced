"""The same findings as Comprehensive SR (1.2.840.10008.5.1.4.1.1.88.33), for a PACS that stores no Comprehensive 3D SR.

Pure, and deterministic as the reports themselves. That IOD has no coordinates in space (PS3.3 A.35.3.3.1): what is drawn on images, and segments,
stay as they are; of a region that lies on no slice the nearest slice is named, and the report says that the region is missing. Which destination
gets which is `delivery`'s; nobody gets both.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from pydicom import Dataset

from gantry.findings import Finding, Findings, SegmentRegion
from gantry.findings.shapes import Planar
from gantry.runs import alternative_role

from .build import build_report
from .context import BuiltObject, Predecessor, ReportContext
from .keyobjects import build_key_objects
from .regions import Slices, region_place, spatial_regions
from .source import index
from .verbatim import text, tolerated

AFTER = 30
"""Added to Series Numbers: after reports, segmentations and the key object selection."""
MISSING = "Its region lies in space and is not shown in this report, which can hold regions on images only; the image nearest to its middle is named."
"""Comment of a finding whose region had to be left out."""


def for_comprehensive(context: ReportContext, predecessors: tuple[Predecessor, ...]) -> ReportContext:
    """The Run as its alternatives know it: UIDs and series numbers of their own. `predecessors`: what they take the place of."""
    return replace(
        context,
        sop_class="ComprehensiveSR",
        role=alternative_role(context.role),
        key_objects_role=alternative_role(context.key_objects_role),
        series_number=context.series_number + AFTER,
        predecessors=predecessors,
    )


def build_alternatives(
    findings: Findings,
    source: Sequence[Dataset],
    context: ReportContext,
    objects: dict[str, Dataset],
    overview: BuiltObject | None = None,
    *,
    key_objects: bool,
) -> tuple[BuiltObject, ...]:
    """What stands for the reports, and for the key object selection that names them. `context` is of `for_comprehensive`.

    `findings` have been built as they are: what does not fit the images was refused there.
    """
    with tolerated():
        reduced = on_images(findings, source)
    built = build_report(reduced, source, context, objects, overview)
    if not key_objects:
        return built
    named = (overview, *built) if overview else built
    return (*built, build_key_objects(reduced, named, tuple(objects.values()), source, context))


def on_images(findings: Findings, source: Sequence[Dataset]) -> Findings:
    """The findings without regions that lie on no slice; each says so, and names the slice nearest to the middle of what it had."""
    slices = Slices(index(source))
    made = [_on_images(finding, slices, where=f"findings[{place}]") for place, finding in enumerate(findings.findings)]
    return findings.model_copy(update={"findings": tuple(made)})


def _on_images(finding: Finding, slices: Slices, *, where: str) -> Finding:
    regions = spatial_regions(finding)
    if not regions or isinstance(finding.where[0], Planar | SegmentRegion):
        return finding
    place = region_place(finding, where)
    if slices.flat(regions, where=place):
        return finding
    points = np.concatenate([np.asarray(region.points, dtype=np.float64) for region in regions])
    stack = slices.of(slices.frame_of_reference(regions, where=place))
    nearest = stack.nearest((points.min(axis=0) + points.max(axis=0)) / 2)
    one = None if nearest is None else stack.slices[nearest]
    return finding.model_copy(
        update={
            "region": None,
            "regions": None,
            "images": (text(one.image, "SOPInstanceUID"),) if one else (),
            "frames": (one.frame,) if one and one.frame is not None else (),
            "comment": f"{finding.comment} {MISSING}" if finding.comment else MISSING,
        }
    )
