"""A finding becomes a measurement group: TID 1410 (one region), 1411 (several, a volume or a segment), 1501 (no region).

Builds content with highdicom and notes in `References` what it points to. It knows nothing of the document around.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import cast

from highdicom.sr import (
    AlgorithmIdentification,
    CodeContentItem,
    CodedConcept,
    CompositeContentItem,
    ContentItem,
    ContentSequence,
    FindingSite,
    ImageContentItem,
    Measurement,
    MeasurementsAndQualitativeEvaluations,
    NumContentItem,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurement,
    SourceImageForMeasurementGroup,
    TextContentItem,
    TrackingIdentifier,
    UIDRefContentItem,
)
from pydicom import Dataset

from gantry.findings import Concept, EarlierFinding, Evaluation, Finding, MeasuredValue, QualityStatement, Site
from gantry.findings.shapes import PlanarRegion

from . import geometry
from .algorithms import Identity, identification
from .context import ReportContext
from .errors import InvalidReport
from .references import References
from .regions import CONTAINS, Regions, RegionWriter, region_place
from .source import has_pixels
from .verbatim import text
from .vocabulary import CHANGE, EARLIER_FINDING, LATERALITIES, OUTLINE, PRESENCES, Vocabulary

HAS_CONCEPT_MOD = RelationshipTypeValues.HAS_CONCEPT_MOD
INFERRED_FROM = RelationshipTypeValues.INFERRED_FROM


@dataclass
class GroupWriter:
    """Writes the groups of one document."""

    context: ReportContext
    algorithms: tuple[Identity, ...]
    vocabulary: Vocabulary
    references: References
    regions: RegionWriter
    _tracked: dict[str, str] = field(default_factory=dict)

    def finding(self, finding: Finding, *, where: str) -> ContentItem:
        """The group of a finding. Raises InvalidReport when it does not fit the images."""
        regions = self.regions.write(finding, where=where)
        images = self.references.images_of(finding.images, where=f"{where}.images")
        _require_frames(finding.frames, images, where=where)
        written = MeasurementsAndQualitativeEvaluations(
            tracking_identifier=TrackingIdentifier(uid=self._tracking_uid(finding, regions, where=where), identifier=finding.id),
            finding_type=self.vocabulary.concept(finding.type),
            finding_category=self.vocabulary.optional(finding.category),
            algorithm_id=self._identification(finding),
            finding_sites=[site_item(site, self.vocabulary) for site in finding.sites] or None,
            measurements=self._measurements(finding, where=where) or None,
            qualitative_evaluations=self._evaluations(finding) or None,
            source_images=[_seen_on(image, finding.frames) for image in images if has_pixels(image)] or None,
        )
        group = cast(ContentItem, written[0])
        # The three templates differ in their regions alone; highdicom's classes for the other two refuse kinds of images they do not know.
        group.ContentTemplateSequence[0].TemplateIdentifier = regions.template
        documents = [_read_in(image, self.vocabulary) for image in images if not has_pixels(image)]
        group.ContentSequence.extend([*self._texts(finding), *self._earlier(finding.earlier), *documents, *regions.items])
        return group

    def outline(self, finding: Finding, regions: Sequence[PlanarRegion], *, where: str) -> ContentItem:
        """What a volume looks like on its key slice, under the tracking UID of its own group, which has the numbers in another document."""
        drawn = self.regions.flat(regions, where=region_place(finding, where))
        of_segment = Regions([], "", self.regions.segment_of(finding))
        written = MeasurementsAndQualitativeEvaluations(
            tracking_identifier=TrackingIdentifier(uid=self._tracking_uid(finding, of_segment, where=where), identifier=finding.id),
            finding_type=self.vocabulary.concept(finding.type),
            finding_category=self.vocabulary.optional(finding.category),
            algorithm_id=self._identification(finding),
            finding_sites=[site_item(site, self.vocabulary) for site in finding.sites] or None,
        )
        group = cast(ContentItem, written[0])
        group.ContentTemplateSequence[0].TemplateIdentifier = drawn.template
        group.ContentSequence.extend([TextContentItem(self.vocabulary.dcm("121106", "Comment"), OUTLINE, CONTAINS), *drawn.items])
        return group

    def statement(self, role: str, concept: Concept, presence: tuple[str, str, str]) -> ContentItem:
        """A group that says only that something is absent, or was not evaluated."""
        identifier = f"{role}-{concept.scheme}-{concept.value}"
        written = MeasurementsAndQualitativeEvaluations(
            # the backslash stands in no scheme and no value: A-B, C and A, B-C are two
            tracking_identifier=TrackingIdentifier(uid=self.context.uid(f"{role}\\{concept.scheme}\\{concept.value}"), identifier=identifier),
            finding_type=self.vocabulary.concept(concept),
            algorithm_id=self._identifications[self.algorithms[0].algorithm.id],
            qualitative_evaluations=[self._presence(presence)],
        )
        return cast(ContentItem, written[0])

    @cached_property
    def _identifications(self) -> dict[str, AlgorithmIdentification]:
        return {each.algorithm.id: identification(each, self.vocabulary) for each in self.algorithms}

    def _identification(self, finding: Finding) -> AlgorithmIdentification:
        return self._identifications[finding.algorithm or self.algorithms[0].algorithm.id]

    def _tracking_uid(self, finding: Finding, regions: Regions, *, where: str) -> str:
        """The segment's and the group's are one and the same (PS3.3 C.8.20.2, Tracking UID)."""
        tracked = text(regions.segment, "TrackingUID") if regions.segment is not None else ""
        if tracked and finding.tracked and tracked != finding.tracked:
            raise InvalidReport(f"{where}.trackingUID: differs from Tracking UID of the segment; leave it out")
        uid = finding.tracked or tracked or self.context.uid(f"tracking-{finding.id}")
        other = self._tracked.setdefault(uid, finding.id)
        if other != finding.id:
            raise InvalidReport(f'{where}: has the tracking UID of "{other}"; a segment is one finding, write its numbers into one')
        return uid

    def _presence(self, presence: tuple[str, str, str]) -> QualitativeEvaluation:
        return QualitativeEvaluation(self.vocabulary.code("705057003", "SCT", "Presence"), self.vocabulary.code(*presence))

    def _evaluations(self, finding: Finding) -> list[QualitativeEvaluation]:
        presence = [self._presence(PRESENCES[finding.presence])] if finding.presence else []
        return presence + [coded(evaluation, self.vocabulary) for evaluation in finding.evaluations if evaluation.value]

    def _texts(self, finding: Finding) -> list[ContentItem]:
        texts = [answer(evaluation, self.vocabulary) for evaluation in finding.evaluations if not evaluation.value]
        if finding.comment:
            texts.append(TextContentItem(self.vocabulary.dcm("121106", "Comment"), finding.comment, CONTAINS))
        return texts

    def _earlier(self, findings: tuple[EarlierFinding, ...]) -> list[ContentItem]:
        """What it was in earlier reports: their Tracking UIDs, each with the change since."""
        items: list[ContentItem] = []
        for each in findings:
            item = UIDRefContentItem(self.vocabulary.code(*EARLIER_FINDING), each.tracking_uid, CONTAINS)
            if each.change:
                change = CodeContentItem(self.vocabulary.code(*CHANGE), self.vocabulary.concept(each.change), HAS_CONCEPT_MOD)
                item.ContentSequence = ContentSequence([change])
            items.append(item)
        return items

    def _measurements(self, finding: Finding, *, where: str) -> list[Measurement]:
        # OHIF reads the first child of every NUM in a group without region and fails when there is none; elsewhere it would only repeat the group's.
        algorithm = None if finding.where else self._identification(finding)
        result = [
            self._measurement(measured, algorithm, where=f"{where}.measurements[{index}]")
            for index, measured in enumerate(finding.measurements)
        ]
        if finding.confidence:
            name = self.vocabulary.optional(finding.confidence.name) or self.vocabulary.dcm("111012", "Certainty of Finding")
            percent = round(finding.confidence.value * 100, 4)
            result.append(Measurement(name=name, value=percent, unit=self.vocabulary.unit("%"), algorithm_id=algorithm))
        return result

    def _measurement(self, measured: MeasuredValue, algorithm: AlgorithmIdentification | None, *, where: str) -> Measurement:
        images = self.references.images_of(measured.images, where=f"{where}.images")
        _require_frames(measured.frames, images, where=where)
        result = Measurement(
            name=self.vocabulary.concept(measured.name),
            value=float(measured.value),
            unit=self.vocabulary.unit(measured.unit),
            derivation=self.vocabulary.optional(measured.derivation),
            method=self.vocabulary.optional(measured.method),
            referenced_images=[_measured_on(image, measured.frames) for image in images if has_pixels(image)] or None,
            algorithm_id=algorithm,
        )
        documents = [_measured_in(image, self.vocabulary) for image in images if not has_pixels(image)]
        if documents:
            result[0].ContentSequence = ContentSequence([*(result[0].get("ContentSequence") or ()), *documents])
        return result


def site_item(site: Site, vocabulary: Vocabulary) -> FindingSite:
    """Finding Site with its side and modifier."""
    laterality = vocabulary.code(*LATERALITIES[site.laterality]) if site.laterality else None
    return FindingSite(vocabulary.concept(site.location), laterality, vocabulary.optional(site.modifier))


def answer(evaluation: Evaluation, vocabulary: Vocabulary) -> ContentItem:
    """A question and its answer. The model guarantees that there is one."""
    name = vocabulary.concept(evaluation.name)
    if evaluation.value is not None:
        return CodeContentItem(name, vocabulary.concept(evaluation.value), CONTAINS)
    if evaluation.score is not None:
        return NumContentItem(name, float(evaluation.score.value), vocabulary.score_unit(evaluation.score), relationship_type=CONTAINS)
    return TextContentItem(name, evaluation.text or "", CONTAINS)


def quality(statement: QualityStatement, references: References, vocabulary: Vocabulary, *, where: str) -> ContentItem:
    """A statement about the images, with those it is about."""
    item = answer(statement, vocabulary)
    images = references.images_of(statement.images, where=f"{where}.images")
    if images:
        name = vocabulary.dcm("121112", "Source of Measurement")
        item.ContentSequence = ContentSequence([_reference(image, name, INFERRED_FROM) for image in images])
    return item


def _reference(dataset: Dataset, name: CodedConcept, relationship: RelationshipTypeValues) -> ContentItem:
    kind = ImageContentItem if has_pixels(dataset) else CompositeContentItem
    return kind(name, dataset.SOPClassUID, dataset.SOPInstanceUID, relationship_type=relationship)


def _require_frames(frames: tuple[int, ...], images: list[Dataset], *, where: str) -> None:
    for image in images[:1] if frames else []:
        geometry.require_frames(frames, image, where=f"{where}.frames")


def _seen_on(image: Dataset, frames: tuple[int, ...]) -> SourceImageForMeasurementGroup:
    return SourceImageForMeasurementGroup(image.SOPClassUID, image.SOPInstanceUID, geometry.named_frames(frames, image))


def _measured_on(image: Dataset, frames: tuple[int, ...]) -> SourceImageForMeasurement:
    return SourceImageForMeasurement(image.SOPClassUID, image.SOPInstanceUID, geometry.named_frames(frames, image))


def _read_in(document: Dataset, vocabulary: Vocabulary) -> ContentItem:
    return _reference(document, vocabulary.dcm("121112", "Source of Measurement"), CONTAINS)


def _measured_in(document: Dataset, vocabulary: Vocabulary) -> ContentItem:
    return _reference(document, vocabulary.dcm("121112", "Source of Measurement"), INFERRED_FROM)


def coded(evaluation: Evaluation, vocabulary: Vocabulary) -> QualitativeEvaluation:
    """A coded answer, as highdicom takes it."""
    return QualitativeEvaluation(vocabulary.concept(evaluation.name), vocabulary.concept(evaluation.value or evaluation.name))
