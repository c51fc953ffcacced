"""A Key Object Selection that ties what a Run has made together (PS3.3 A.35.4, PS3.16 TID 2010), for archives that show the parts apart.

Pure. It names every object of the Run and says nothing of its own.
"""

from collections.abc import Sequence

from highdicom.sr import CompositeContentItem, ContentItem, ImageContentItem, RelationshipTypeValues, TextContentItem
from pydicom import Dataset
from pydicom.uid import UID

from gantry.findings import Findings

from .algorithms import contributing_equipment, identities
from .context import BuiltObject, ReportContext
from .document import begun, by_series, encoded, requested
from .references import Further, further
from .shadow import STATEMENT, marked
from .source import index
from .verbatim import text, tolerated
from .vocabulary import Vocabulary

SOP_CLASS = "1.2.840.10008.5.1.4.1.1.88.59"
AFTER = 20
"""Added to the first report's Series Number: after reports and segmentations."""
_CONTAINS = RelationshipTypeValues.CONTAINS


def build_key_objects(
    findings: Findings, reports: Sequence[BuiltObject], objects: Sequence[Dataset], source: Sequence[Dataset], context: ReportContext
) -> BuiltObject:
    """Names the overview, the reports and the further objects of a Run, in the order they are stored."""
    with tolerated():
        reference, vocabulary, makers = index(source).reference, Vocabulary(), identities(findings, context)
        result = begun(reference, context)
        name = f"AI {makers[0].algorithm.name} {makers[0].algorithm.version}".replace("\\", "/")
        _add_series(result, f"{name[:52]} key objects", context)
        named = further(objects, reports)
        result.ReferencedPerformedProcedureStepSequence = []
        requests = requested(reference)
        if requests:
            result.ReferencedRequestSequence = requests
        result.CurrentRequestedProcedureEvidenceSequence = [by_series(text(reference, "StudyInstanceUID"), [each.reference for each in named])]
        result.ContributingEquipmentSequence = [contributing_equipment(each, context, vocabulary) for each in makers]
        _add_content(result, f"Results of {name}." + (f" {STATEMENT}" if context.shadow else ""), named, vocabulary)
        dicom = encoded(result, context)
        identity = (SOP_CLASS, str(result.SOPInstanceUID), str(result.SeriesInstanceUID))
        return BuiltObject("KO", *identity, dicom, character_set=str(result.SpecificCharacterSet))


def _add_series(result: Dataset, description: str, context: ReportContext) -> None:
    result.SOPClassUID, result.SOPInstanceUID = UID(SOP_CLASS), UID(context.uid(context.key_objects_role))
    result.Modality, result.SeriesInstanceUID = "KO", context.uid(f"{context.key_objects_role}-series")
    result.SeriesNumber, result.InstanceNumber = context.series_number + AFTER, 1
    result.SeriesDescription = marked(description) if context.shadow else description
    result.Manufacturer = result.ManufacturerModelName = "Gantry"
    result.DeviceSerialNumber = context.installation[:64]
    result.SoftwareVersions = context.product_version


def _add_content(result: Dataset, words: str, named: Sequence[Further], vocabulary: Vocabulary) -> None:
    template = Dataset()
    template.MappingResource, template.TemplateIdentifier = "DCMR", "2010"
    result.ValueType, result.ContinuityOfContent = "CONTAINER", "SEPARATE"
    result.ConceptNameCodeSequence = [vocabulary.dcm("113000", "Of Interest")]
    result.ContentTemplateSequence = [template]
    purpose = vocabulary.code("260753009", "SCT", "Source")
    content: list[ContentItem] = [TextContentItem(vocabulary.dcm("113012", "Key Object Description"), words, _CONTAINS)]
    for each in named:
        kind = ImageContentItem if each.is_image else CompositeContentItem
        item = kind(purpose, each.reference.sop_class, each.reference.sop_instance, relationship_type=_CONTAINS)
        del item.ConceptNameCodeSequence  # TID 2010: references have no name
        content.append(item)
    result.ContentSequence = content
