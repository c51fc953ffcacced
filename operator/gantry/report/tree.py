"""The content tree of one document: TID 1500 Measurement Report around its groups (PS3.16).

Order as in the template: language, observers, procedure, image library, imaging measurements, qualitative evaluations. Image library and
at least one group are always there: OHIF fails on a report without them.
"""

from collections.abc import Sequence

from highdicom.sr import (
    CodeContentItem,
    CodedConcept,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    ImageContentItem,
    LanguageOfContentItemAndDescendants,
    NumContentItem,
    QualitativeEvaluation,
    RelationshipTypeValues,
    TextContentItem,
    UIDRefContentItem,
)
from pydicom import Dataset

from .algorithms import Identity, observer
from .findings import Concept, Findings
from .groups import coded, worded
from .regions import CONTAINS
from .source import Source
from .verbatim import integer, text
from .vocabulary import ANY_PROCEDURE, LANGUAGES, MODALITIES, PRESENCES, PROCEDURES, Vocabulary

_ACQUISITION = RelationshipTypeValues.HAS_ACQ_CONTEXT


def measurement_report(
    findings: Findings,
    *,
    groups: Sequence[ContentItem],
    absent: Sequence[Concept],
    summary: bool,
    images: Sequence[Dataset],
    source: Source,
    algorithms: Sequence[Identity],
    vocabulary: Vocabulary,
) -> ContainerContentItem:
    """The root container. `absent` and, if asked for, the summary go into the Qualitative Evaluations container, apart from the regions."""
    root = ContainerContentItem(vocabulary.dcm("126000", "Imaging Measurement Report"), template_id="1500")
    measurements = _container(vocabulary.dcm("126010", "Imaging Measurements"), ContentSequence(groups))
    content = ContentSequence()
    content.extend(_language(findings.language, vocabulary))
    for identity in algorithms:
        content.extend(observer(identity, vocabulary))
    content.extend([*_procedures(findings, source, vocabulary), _image_library(images, vocabulary), measurements])
    statements = _absences(absent, vocabulary)
    if summary:
        statements.extend(_summary(findings, vocabulary))
    if len(statements) > 0:
        content.append(_container(vocabulary.code("C0034375", "UMLS", "Qualitative Evaluations"), statements))
    root.ContentSequence = content
    return root


def _container(name: CodedConcept, content: ContentSequence) -> ContainerContentItem:
    container = ContainerContentItem(name, relationship_type=CONTAINS)
    container.ContentSequence = content
    return container


def _language(tag: str, vocabulary: Vocabulary) -> ContentSequence:
    """TID 1204."""
    return LanguageOfContentItemAndDescendants(vocabulary.code(tag, "RFC5646", LANGUAGES.get(tag) or LANGUAGES.get(tag.partition("-")[0], tag)))


def _procedures(findings: Findings, source: Source, vocabulary: Vocabulary) -> list[ContentItem]:
    by_modality = PROCEDURES.get(text(source.reference, "Modality"), ANY_PROCEDURE)
    codes = [vocabulary.concept(concept) for concept in findings.procedure_reported] or [vocabulary.code(*by_modality)]
    name = vocabulary.dcm("121058", "Procedure reported")
    return [CodeContentItem(name, code, RelationshipTypeValues.HAS_CONCEPT_MOD) for code in codes]


def _absences(absent: Sequence[Concept], vocabulary: Vocabulary) -> ContentSequence:
    """What was looked for and not found: name = what it is, value = Absent."""
    value = vocabulary.code(*PRESENCES["absent"])
    result = ContentSequence()
    for concept in absent:
        result.extend(QualitativeEvaluation(vocabulary.concept(concept), value))
    return result


def _summary(findings: Findings, vocabulary: Vocabulary) -> ContentSequence:
    result = ContentSequence()
    for evaluation in findings.summary.evaluations:
        result.extend(coded(evaluation, vocabulary) if evaluation.value else [worded(evaluation, vocabulary)])
    if findings.summary.impression:
        result.append(TextContentItem(vocabulary.dcm("121073", "Impression"), findings.summary.impression, CONTAINS))
    return result


def _image_library(images: Sequence[Dataset], vocabulary: Vocabulary) -> ContainerContentItem:
    """TID 1600 with TID 1602's common descriptors. highdicom's needs elements that real images lack (PatientOrientation of US, spacing of SC)."""
    entries = [_entry(image, vocabulary) for image in images]
    group = _container(vocabulary.dcm("126200", "Image Library Group"), ContentSequence(entries))
    return _container(vocabulary.dcm("111028", "Image Library"), ContentSequence([group]))


def _entry(image: Dataset, vocabulary: Vocabulary) -> ImageContentItem:
    item = ImageContentItem(
        vocabulary.code("260753009", "SCT", "Source"), image.SOPClassUID, image.SOPInstanceUID, relationship_type=CONTAINS
    )
    descriptors: list[ContentItem] = []
    modality, frame_of_reference = text(image, "Modality"), text(image, "FrameOfReferenceUID")
    if modality in MODALITIES:
        code = vocabulary.dcm(modality, MODALITIES[modality])
        descriptors.append(CodeContentItem(vocabulary.dcm("121139", "Modality"), code, _ACQUISITION))
    if frame_of_reference:
        descriptors.append(UIDRefContentItem(vocabulary.dcm("112227", "Frame of Reference UID"), frame_of_reference, _ACQUISITION))
    pixels = vocabulary.code("{pixels}", "UCUM", "Pixels")
    for keyword, value, meaning in (("Rows", "110910", "Pixel Data Rows"), ("Columns", "110911", "Pixel Data Columns")):
        descriptors.append(NumContentItem(vocabulary.dcm(value, meaning), integer(image, keyword) or 0, pixels, relationship_type=_ACQUISITION))
    item.ContentSequence = ContentSequence(descriptors)
    return item
