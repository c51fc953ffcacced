"""TID 1500 and its measurement groups as tables of rows: what has to be there, how often, of which kind (PS3.16).

Rows of the templates that are optional and that Gantry never writes are not listed; additional content is allowed, as the templates are
extensible. Where Gantry demands more than the standard (image library, tracking, separation) the reason stands at the row.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from ..verbatim import items as sequence
from ..verbatim import text
from .items import Item
from .problems import Problem, Rule

MEASUREMENTS, GROUP, STATEMENTS, LIBRARY, LIBRARY_GROUP = "126010", "125007", "C0034375", "111028", "126200"
DRAWN, AS_TEXT = "126000", "FINDINGS-REPORT"
REGION, SURFACE, SEGMENT = "111030", "121231", "121191"
FURTHER = "RESULT-OBJECT"
"""Another object of the Run, named by its first report."""


@dataclass(frozen=True)
class Row:
    """A row of a template."""

    concept: str
    kind: str
    relationship: str
    least: int
    most: int | None
    words: str
    """What it is, and for whom."""


ROOT = (
    Row("121049", "CODE", "HAS CONCEPT MOD", 1, 1, "the language (TID 1204)"),
    Row("121005", "CODE", "HAS OBS CONTEXT", 1, None, "the observer type (TID 1002)"),
    Row("121012", "UIDREF", "HAS OBS CONTEXT", 1, None, "the device observer UID (TID 1004)"),
    Row("121058", "CODE", "HAS CONCEPT MOD", 1, None, "the procedure reported"),
    Row(LIBRARY, "CONTAINER", "CONTAINS", 1, 1, "the image library (OHIF fails without it)"),
    Row(MEASUREMENTS, "CONTAINER", "CONTAINS", 1, 1, "the imaging measurements"),
    Row(STATEMENTS, "CONTAINER", "CONTAINS", 0, 1, "the qualitative evaluations"),
)
MEASUREMENT_GROUP = (
    Row("112039", "TEXT", "HAS OBS CONTEXT", 1, 1, "the tracking identifier"),
    Row("112040", "UIDREF", "HAS OBS CONTEXT", 1, 1, "the tracking UID"),
    Row("121071", "CODE", "CONTAINS", 1, 1, "the finding"),
    Row("363698007", "CODE", "HAS CONCEPT MOD", 0, None, "the finding site"),
    Row("111001", "TEXT", "HAS CONCEPT MOD", 1, 1, "the algorithm's name (TID 4019)"),
    Row("111003", "TEXT", "HAS CONCEPT MOD", 1, 1, "the algorithm's version (TID 4019)"),
)
MEASUREMENT = (
    Row("121401", "CODE", "HAS CONCEPT MOD", 0, 1, "the derivation"),
    Row("370129005", "CODE", "HAS CONCEPT MOD", 0, 1, "the measurement method"),
)
ORDER = (LIBRARY, MEASUREMENTS, STATEMENTS)


def groups_of(root: Item) -> list[Item]:
    """The measurement groups."""
    return [group for container in root.named(MEASUREMENTS) for group in container.named(GROUP)]


def check_root(root: Item) -> Iterator[Problem]:
    """TID 1500."""
    if root.name not in (DRAWN, AS_TEXT) or template_of(root) != "1500":
        yield Problem(Rule.TEMPLATE, root.place, "is no Imaging Measurement Report by TID 1500", "name the root (126000, DCM) and its template 1500")
    yield from _check_rows(root, ROOT)
    containers = [child.name for child in root.children if child.kind == "CONTAINER"]
    if containers != [name for name in ORDER if name in containers]:
        yield Problem(Rule.TEMPLATE, root.place, "its containers stand in another order", "library, measurements, qualitative evaluations")
    if root.named(MEASUREMENTS) and not groups_of(root):
        yield Problem(Rule.TEMPLATE, root.named(MEASUREMENTS)[0].place, "holds no measurement group", "write one, also for a negative result")
    for library in root.named(LIBRARY):
        for group in library.children:
            if group.name == LIBRARY_GROUP and not group.children:
                yield Problem(Rule.TEMPLATE, group.place, "holds no image", "name the images, or leave the group out")


def check_groups(groups: list[Item]) -> Iterator[Problem]:
    """TID 1410, 1411 and 1501."""
    for group in groups:
        yield from _check_rows(group, MEASUREMENT_GROUP)
        yield from _check_regions(group)
        for child in group.children:
            if child.kind == "NUM":
                yield from _check_rows(child, MEASUREMENT)
    yield from _check_tracking(groups)
    drawn = [any(child.kind == "SCOORD" for child in group.children) for group in groups]
    if len(set(drawn)) > 1:
        where = groups[drawn.index(False)].place
        yield Problem(Rule.SEPARATION, where, "is not drawn on an image beside findings that are", "put it into a report of its own")


def template_of(item: Item) -> str:
    """Template identifier, of the DICOM content mapping resource."""
    for template in sequence(item.dataset, "ContentTemplateSequence")[:1]:
        if text(template, "MappingResource") == "DCMR":
            return text(template, "TemplateIdentifier")
    return ""


def _check_rows(item: Item, rows: tuple[Row, ...]) -> Iterator[Problem]:
    for row in rows:
        found = item.named(row.concept)
        if len(found) < row.least:
            yield Problem(Rule.TEMPLATE, item.place, f"lacks {row.words}", f"add {row.kind} {row.concept} by {row.relationship}")
        if row.most is not None and len(found) > row.most:
            yield Problem(Rule.TEMPLATE, item.place, f"has {row.words} {len(found)} times", f"write it at most {row.most} time")
        for each in found:
            if (each.kind, each.relationship) != (row.kind, row.relationship):
                yield Problem(Rule.TEMPLATE, each.place, f"{row.words} is of another kind or relationship", f"write {row.kind} by {row.relationship}")


def _check_regions(group: Item) -> Iterator[Problem]:
    template = template_of(group)
    regions = [child for child in group.children if child.kind in ("SCOORD", "SCOORD3D")]
    surfaces, segments = group.named(SURFACE), group.named(SEGMENT)
    if template not in ("1410", "1411", "1501"):
        yield Problem(Rule.TEMPLATE, group.place, "names no template of a measurement group", "write 1410, 1411 or 1501")
    elif template == "1501" and (regions or segments):
        yield Problem(Rule.TEMPLATE, group.place, "has a region, which TID 1501 does not", "write 1410 for one region, 1411 for several")
    elif template == "1410" and (len(regions) != 1 or surfaces or segments):
        yield Problem(Rule.TEMPLATE, group.place, f"has {len(regions)} regions; TID 1410 takes one Image Region", "write 1411, or one region")
    elif template == "1411" and not regions and not segments:
        yield Problem(Rule.TEMPLATE, group.place, "has no region; TID 1411 takes some", "write 1501, or a region")
    if (surfaces or segments) and not group.named("121232", "121233"):
        what = "does not say which images its volume was drawn on"
        yield Problem(Rule.TEMPLATE, group.place, what, "add source series (121232) or images (121233)")


def _check_tracking(groups: list[Item]) -> Iterator[Problem]:
    seen: set[str] = set()
    for group in groups:
        for item in group.named("112040"):
            uid = text(item.dataset, "UID")
            if uid in seen:
                yield Problem(Rule.TRACKING, item.place, "another finding has the same tracking UID", "give each finding a UID of its own")
            seen.add(uid)
