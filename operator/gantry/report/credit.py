"""Who made an object that an application handed over: Contributing Equipment of its algorithms and of Gantry (PS3.3 C.12.1.1.5).

Pure. IHE AI Results asks for it in every result object, with the same words as in the report. What the application wrote there stays.
"""

from collections.abc import Sequence

from pydicom import DataElement, Dataset
from pydicom.sequence import Sequence as Items

from gantry.findings import Algorithm, Findings

from .algorithms import contributing_equipment, identities
from .characters import hold
from .conformance import Origin
from .context import ReportContext
from .document import moment
from .identification import completed
from .verbatim import items, shallow, text, tolerated
from .vocabulary import Vocabulary

_TAG = 0x0018A001


def credited(dataset: Dataset, findings: Findings, context: ReportContext) -> Dataset:
    """The object with an item for each algorithm that it does not name yet, and one for Gantry; the given dataset stays as it is.

    Segments name their algorithm, too (`identification`).
    """
    with tolerated():
        vocabulary = Vocabulary()
        present = items(dataset, "ContributingEquipmentSequence")
        named = {text(item, "DeviceUID") for item in present}
        known = identities(findings, context)
        missing = [identity for identity in known if identity.device_uid not in named]
        made = [contributing_equipment(identity, context, vocabulary) for identity in missing]
        result = shallow(completed(dataset, [identity.algorithm for identity in identities(findings, context)], vocabulary))
        result[_TAG] = DataElement(_TAG, "SQ", Items([*present, *made, _gantry(context, vocabulary)]))
        hold(result, [context.installation, *(word for one in known for word in _words(one.algorithm))])
        return result


def _words(algorithm: Algorithm) -> tuple[str, ...]:
    return algorithm.manufacturer, algorithm.name, algorithm.version, algorithm.serial or ""


def _gantry(context: ReportContext, vocabulary: Vocabulary) -> Dataset:
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [vocabulary.dcm("109103", "Modifying Equipment")]
    item.Manufacturer = item.ManufacturerModelName = "Gantry"
    item.DeviceSerialNumber = context.installation[:64]
    item.SoftwareVersions = context.product_version
    item.ContributionDescription = "Checked against the images; new UIDs and Contributing Equipment"
    return item


def origin(findings: Findings, source: Sequence[Dataset], context: ReportContext) -> Origin:
    """What is known of the objects of a Run before they are looked at."""
    made = moment(source[0], context.created)
    return Origin(source[0], tuple(each.algorithm for each in identities(findings, context)), made.strftime("%Y%m%d"), made.strftime("%H%M%S"))
