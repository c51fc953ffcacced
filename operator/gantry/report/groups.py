"""A finding becomes a measurement group: TID 1410 (one region), 1411 (several, a volume or a segment), 1501 (no region).

Builds content with highdicom and notes in `References` what it points to. It knows nothing of the document around.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import cast

from highdicom.sr import (
    AlgorithmIdentification,
    ContentItem,
    FindingSite,
    Measurement,
    MeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    SourceImageForMeasurement,
    SourceImageForMeasurementGroup,
    TextContentItem,
    TrackingIdentifier,
)

from .algorithms import Identity, identification
from .context import ReportContext
from .errors import InvalidReport
from .findings import Concept, Evaluation, Finding, MeasuredValue, Site
from .references import References
from .regions import CONTAINS, Regions, RegionWriter
from .verbatim import text
from .vocabulary import LATERALITIES, PRESENCES, Vocabulary


@dataclass
class GroupWriter:
    """Writes the groups of one document."""

    context: ReportContext
    algorithms: tuple[Identity, ...]
    vocabulary: Vocabulary
    references: References
    regions: RegionWriter

    def finding(self, finding: Finding, *, where: str) -> ContentItem:
        """The group of a finding. Raises InvalidReport when it does not fit the images."""
        regions = self.regions.write(finding, where=where)
        images = self.references.images_of(finding.images, where=f"{where}.images")
        written = MeasurementsAndQualitativeEvaluations(
            tracking_identifier=TrackingIdentifier(uid=self._tracking_uid(finding, regions, where=where), identifier=finding.id),
            finding_type=self.vocabulary.concept(finding.type),
            finding_category=self.vocabulary.optional(finding.category),
            algorithm_id=self._identification(finding),
            finding_sites=[self._site(site) for site in finding.sites] or None,
            measurements=self._measurements(finding, where=where) or None,
            qualitative_evaluations=self._evaluations(finding) or None,
            source_images=[SourceImageForMeasurementGroup(image.SOPClassUID, image.SOPInstanceUID) for image in images] or None,
        )
        group = cast(ContentItem, written[0])
        # The three templates differ in their regions alone; highdicom's classes for the other two refuse kinds of images they do not know.
        group.ContentTemplateSequence[0].TemplateIdentifier = regions.template
        group.ContentSequence.extend([*self._texts(finding), *regions.items])
        return group

    def absence(self, concept: Concept) -> ContentItem:
        """A group that says only that something is absent."""
        identifier = f"absent-{concept.scheme}-{concept.value}"
        written = MeasurementsAndQualitativeEvaluations(
            tracking_identifier=TrackingIdentifier(uid=self.context.uid(identifier), identifier=identifier),
            finding_type=self.vocabulary.concept(concept),
            algorithm_id=self._identifications[self.algorithms[0].algorithm.id],
            qualitative_evaluations=[self._presence("absent")],
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
        if tracked and finding.tracking_uid and tracked != finding.tracking_uid:
            raise InvalidReport(f"{where}.trackingUID: differs from Tracking UID of the segment; leave it out")
        return finding.tracking_uid or tracked or self.context.uid(f"tracking-{finding.id}")

    def _presence(self, presence: str) -> QualitativeEvaluation:
        return QualitativeEvaluation(self.vocabulary.code("705057003", "SCT", "Presence"), self.vocabulary.code(*PRESENCES[presence]))

    def _evaluations(self, finding: Finding) -> list[QualitativeEvaluation]:
        presence = [self._presence(finding.presence)] if finding.presence else []
        return presence + [coded(evaluation, self.vocabulary) for evaluation in finding.evaluations if evaluation.value]

    def _texts(self, finding: Finding) -> list[TextContentItem]:
        texts = [worded(evaluation, self.vocabulary) for evaluation in finding.evaluations if evaluation.text]
        if finding.comment:
            texts.append(TextContentItem(self.vocabulary.dcm("121106", "Comment"), finding.comment, CONTAINS))
        return texts

    def _site(self, site: Site) -> FindingSite:
        laterality = self.vocabulary.code(*LATERALITIES[site.laterality]) if site.laterality else None
        return FindingSite(self.vocabulary.concept(site.location), laterality, self.vocabulary.optional(site.modifier))

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
        return Measurement(
            name=self.vocabulary.concept(measured.name),
            value=float(measured.value),
            unit=self.vocabulary.unit(measured.unit),
            derivation=self.vocabulary.optional(measured.derivation),
            method=self.vocabulary.optional(measured.method),
            referenced_images=[SourceImageForMeasurement(image.SOPClassUID, image.SOPInstanceUID) for image in images] or None,
            algorithm_id=algorithm,
        )


def coded(evaluation: Evaluation, vocabulary: Vocabulary) -> QualitativeEvaluation:
    """A coded answer. The model guarantees that there is one."""
    return QualitativeEvaluation(vocabulary.concept(evaluation.name), vocabulary.concept(evaluation.value or evaluation.name))


def worded(evaluation: Evaluation, vocabulary: Vocabulary) -> TextContentItem:
    """An answer in words."""
    return TextContentItem(vocabulary.concept(evaluation.name), evaluation.text or "", CONTAINS)
