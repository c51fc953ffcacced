"""Who made the findings: the identity of each algorithm, and the three places where the report states it.

IHE AI Results 6.5.3.1 wants every algorithm in Contributing Equipment, with a Device UID that changes with the model, and equal values in
TID 1004 (observer) and TID 4019 (algorithm identification). All three are made here from one `Identity`, so they cannot differ.
"""

import json
import uuid
from dataclasses import dataclass

from highdicom.sr import AlgorithmIdentification, DeviceObserverIdentifyingAttributes, ObserverContext
from pydantic import ValidationError
from pydicom import Dataset

from gantry.findings import Algorithm as FindingsAlgorithm
from gantry.findings import Findings
from gantry.runs.names import PRODUCT

from .context import ReportContext
from .errors import InvalidReport
from .vocabulary import Vocabulary


@dataclass(frozen=True)
class Identity:
    """One algorithm and the UID it has as a device."""

    algorithm: FindingsAlgorithm
    device_uid: str


def identities(findings: Findings, context: ReportContext) -> tuple[Identity, ...]:
    """Algorithms of the document, the first one as the pipeline names it if it does."""
    first, *others = findings.algorithms
    return tuple(Identity(each, _device_uid(each, context)) for each in (_overridden(first, context), *others))


def without_findings(context: ReportContext) -> Findings:
    """The document of an application that hands over DICOM objects only: it says who made them and nothing else. No report is made of it.

    Raises InvalidReport when the pipeline does not name the algorithm.
    """
    own = context.algorithm
    if own is None:
        raise InvalidReport("report.algorithm of the pipeline is missing: an application without findings.json does not say who it is")
    try:
        maker = FindingsAlgorithm(id="application", name=own.name, version=own.version, manufacturer=own.manufacturer)
    except ValidationError:
        raise InvalidReport(_CHARACTERS) from None
    return Findings(schema_version="v1alpha1", algorithms=(maker,))


_CHARACTERS = "report.algorithm of the pipeline holds a character that DICOM does not allow (backslash or control character)"


def _overridden(algorithm: FindingsAlgorithm, context: ReportContext) -> FindingsAlgorithm:
    own = context.algorithm
    if own is None:
        return algorithm
    named = algorithm.model_dump() | {"name": own.name, "version": own.version, "manufacturer": own.manufacturer, "device_uid": None}
    try:
        return FindingsAlgorithm.model_validate(named)
    except ValidationError:
        raise InvalidReport(_CHARACTERS) from None


def _device_uid(algorithm: FindingsAlgorithm, context: ReportContext) -> str:
    """Another version, another image: another device. Where the image is pulled from does not matter."""
    if algorithm.device_uid:
        return algorithm.device_uid
    images = (image.rpartition("@")[2] for image in context.images)
    return f"2.25.{uuid.uuid5(PRODUCT, chr(0).join(('device', algorithm.manufacturer, algorithm.name, algorithm.version, *images))).int}"


def identification(identity: Identity, vocabulary: Vocabulary) -> AlgorithmIdentification:
    """TID 4019."""
    algorithm = identity.algorithm
    parameters = [f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in sorted(algorithm.parameters.items())]
    return AlgorithmIdentification(
        name=algorithm.name, version=algorithm.version, parameters=parameters or None, family=vocabulary.optional(algorithm.family)
    )


def observer(identity: Identity, vocabulary: Vocabulary) -> ObserverContext:
    """TID 1002 with TID 1004."""
    algorithm = identity.algorithm
    attributes = DeviceObserverIdentifyingAttributes(
        uid=identity.device_uid,
        name=algorithm.name,
        manufacturer_name=algorithm.manufacturer,
        model_name=algorithm.name,
        serial_number=algorithm.serial,
    )
    return ObserverContext(observer_type=vocabulary.dcm("121007", "Device"), observer_identifying_attributes=attributes)


def contributing_equipment(identity: Identity, context: ReportContext, vocabulary: Vocabulary) -> Dataset:
    """An item of Contributing Equipment Sequence (PS3.3 C.12.1)."""
    algorithm, item = identity.algorithm, Dataset()
    item.PurposeOfReferenceCodeSequence = [vocabulary.dcm("109102", "Processing Equipment")]
    item.Manufacturer = algorithm.manufacturer
    item.ManufacturerModelName = algorithm.name
    if algorithm.serial:
        item.DeviceSerialNumber = algorithm.serial
    item.SoftwareVersions = algorithm.version
    item.DeviceUID = identity.device_uid
    if context.images:
        item.ContributionDescription = f"Container image {', '.join(context.images)}"[:1024]
    return item
