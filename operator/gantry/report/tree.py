"""The content tree of one document: TID 1500 Measurement Report around its groups (PS3.16).

Order as in the template: language, observers, procedure, image library, imaging measurements, qualitative evaluations. Image library and
at least one group are always there: OHIF fails on a report without them.
"""

from collections.abc import Sequence

from highdicom.sr import (
    CodeContentItem,
    CodedConcept,
    CompositeContentItem,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    ImageContentItem,
    LanguageOfContentItemAndDescendants,
    NumContentItem,
    RelationshipTypeValues,
    TextContentItem,
    UIDRefContentItem,
)
from pydicom import Dataset

from gantry.findings import Concept, Findings, NotEvaluable

from .algorithms import Identity, observer
from .groups import answer, quality, site_item
from .references import Further, References
from .regions import CONTAINS
from .shadow import STATEMENT
from .source import Source
from .verbatim import integer, text
from .vocabulary import (
    ANY_PROCEDURE,
    FINDINGS_REPORT,
    LANGUAGES,
    MEASUREMENT_REPORT,
    MODALITIES,
    NOT_EVALUATED,
    NOT_EVALUATED_BECAUSE,
    PLAIN_LANGUAGE,
    PRESENCES,
    PROCEDURES,
    RESULT_OBJECT,
    Vocabulary,
)

HAS_PROPERTIES = RelationshipTypeValues.HAS_PROPERTIES
_ACQUISITION = RelationshipTypeValues.HAS_ACQ_CONTEXT


def measurement_report(
    findings: Findings,
    *,
    groups: Sequence[ContentItem],
    absent: Sequence[Concept],
    summary: bool,
    drawn: bool,
    shadow: bool = False,
    references: References,
    source: Source,
    algorithms: Sequence[Identity],
    vocabulary: Vocabulary,
    further: Sequence[Further] = (),
) -> ContainerContentItem:
    """The root container. `drawn`: whether every finding is drawn on an image.

    `absent` and, if asked for, the summary go into the Qualitative Evaluations container, apart from the regions.
    """
    root = ContainerContentItem(vocabulary.code(*(MEASUREMENT_REPORT if drawn else FINDINGS_REPORT)), template_id="1500")
    measurements = _container(vocabulary.dcm("126010", "Imaging Measurements"), ContentSequence(groups))
    statements = ContentSequence(_absences(absent, vocabulary))
    if shadow:  # in every document of the Run, also where a viewer shows no series description
        statements.append(TextContentItem(vocabulary.dcm("121106", "Comment"), STATEMENT, CONTAINS))
    if summary:
        statements.extend(_about_the_study(findings, references, vocabulary))  # before the library: it may refer to further images
    content = ContentSequence()
    content.extend(_language(findings.language, vocabulary))
    for identity in algorithms:
        content.extend(observer(identity, vocabulary))
    content.extend([*_procedures(findings, source, vocabulary), _image_library(references.images, vocabulary), measurements])
    if len(statements) > 0:
        content.append(_container(vocabulary.code("C0034375", "UMLS", "Qualitative Evaluations"), statements))
    content.extend(_result_object(each, vocabulary) for each in further)
    root.ContentSequence = content
    return root


def _result_object(each: Further, vocabulary: Vocabulary) -> ContentItem:
    """Not in the image library, which is for what was analysed. TID 1500 is extensible; its containers take no references."""
    kind = ImageContentItem if each.is_image else CompositeContentItem
    name = vocabulary.code(*RESULT_OBJECT)
    return kind(name, each.reference.sop_class, each.reference.sop_instance, relationship_type=CONTAINS)


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


def _absences(absent: Sequence[Concept], vocabulary: Vocabulary) -> list[ContentItem]:
    """What was looked for and not found: name = what it is, value = Absent."""
    value = vocabulary.code(*PRESENCES["absent"])
    return [CodeContentItem(vocabulary.concept(concept), value, CONTAINS) for concept in absent]


def _about_the_study(findings: Findings, references: References, vocabulary: Vocabulary) -> list[ContentItem]:
    """What could not be assessed, the quality of the images, the summary."""
    result = [_not_evaluable(each, vocabulary) for each in findings.not_evaluable]
    result += [quality(each, references, vocabulary, where=f"imageQuality[{index}]") for index, each in enumerate(findings.image_quality)]
    result += [answer(evaluation, vocabulary) for evaluation in findings.summary.evaluations]
    if findings.summary.impression:
        result.append(TextContentItem(vocabulary.dcm("121073", "Impression"), findings.summary.impression, CONTAINS))
    if findings.summary.plain_language:
        result.append(TextContentItem(vocabulary.code(*PLAIN_LANGUAGE), findings.summary.plain_language, CONTAINS))
    return result


def _not_evaluable(each: NotEvaluable, vocabulary: Vocabulary) -> ContentItem:
    """Name = what was looked for, value = Not Evaluated, below it where and why."""
    item = CodeContentItem(vocabulary.concept(each.type), vocabulary.code(*NOT_EVALUATED), CONTAINS)
    children: list[ContentItem] = [site_item(site, vocabulary) for site in each.sites]
    for child in children:
        child.RelationshipType = HAS_PROPERTIES.value
    if each.reason:
        children.append(CodeContentItem(vocabulary.code(*NOT_EVALUATED_BECAUSE), vocabulary.concept(each.reason), HAS_PROPERTIES))
    if each.text:
        children.append(TextContentItem(vocabulary.dcm("121106", "Comment"), each.text, HAS_PROPERTIES))
    item.ContentSequence = ContentSequence(children)
    return item


def _image_library(images: Sequence[Dataset], vocabulary: Vocabulary) -> ContainerContentItem:
    """TID 1600 with TID 1602's common descriptors. highdicom's needs elements that real images lack (PatientOrientation of US, spacing of SC)."""
    entries = [_entry(image, vocabulary) for image in images]
    library = _container(vocabulary.dcm("111028", "Image Library"), ContentSequence())
    if entries:
        library.ContentSequence.append(_container(vocabulary.dcm("126200", "Image Library Group"), ContentSequence(entries)))
    else:
        del library.ContentSequence  # a report about a dose report has no images
    return library


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
