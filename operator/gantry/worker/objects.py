"""DICOM objects the application made: read as untrusted input, checked against the source, and given an identity of the Run's own.

SOP and Series Instance UIDs are derived from the Run, so that a second attempt stores nothing twice; references among the handed-over objects
follow. Whether an object is acceptable, what of it is mended, and how one gets other UIDs, is `report`'s; all else in it stays as it was made.
"""

import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pydicom
from pydicom import Dataset
from pydicom.filereader import _read_file_meta_info, read_preamble
from pydicom.uid import DeflatedExplicitVRLittleEndian

from gantry.api import RunReason
from gantry.report import Findings, ReportContext, check_object, conform, credited, origin, reidentify
from gantry.runs import PASSED_REPORTS, Task, result_uid

from .outcome import Stop

UNDEFINED = 0xFFFFFFFF
"""Length of an element that ends with a delimiter (PS3.5 7.1.1)."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """One object under its new identity."""

    name: str
    kind: str
    dataset: Dataset
    faults: tuple[str, ...] = ()
    """What was wrong with it by the standard, mended or not; each names file and attribute."""


def accept(
    files: Sequence[tuple[str, bytes]], *, task: Task, step: str, source: Sequence[Dataset], findings: Findings, context: ReportContext
) -> tuple[Accepted, ...]:
    """Raises Stop(UnacceptedObject) for what cannot be used, and the errors of `report.check_object` and `report.conform`."""
    if not files:
        return ()
    read = [(name, _read(name, content, step)) for name, content in files]
    settings = task.spec.template.report
    uids = {str(dataset.get("SOPInstanceUID", "")) for _, dataset in read}
    kinds = [check_object(dataset, name=name, source=source, accept=settings.accept, others=uids) for name, dataset in read]
    _require_own_uids(read, source, step)
    identities = _identities([(kind, str(dataset.SeriesInstanceUID)) for (_, dataset), kind in zip(read, kinds, strict=True)], task)
    renamed: dict[str, str] = {}
    for (_, dataset), (instance, series) in zip(read, identities, strict=True):
        renamed |= {str(dataset.SOPInstanceUID): instance, str(dataset.SeriesInstanceUID): series}
    for image in source:  # an object put into a series of the source moves out of it; references to the source stay
        renamed.pop(str(image.get("SeriesInstanceUID", "")), None)
    known, strict = origin(findings, source, context), settings.conformance == "Strict"
    accepted = []
    for (name, dataset), kind, (instance, series) in zip(read, kinds, identities, strict=True):
        mended, faults = conform(dataset, kind=kind, name=name, origin=known, strict=strict)
        renewed = reidentify(credited(mended, findings, context), instance, series, renamed=renamed)
        accepted.append(Accepted(name, kind, renewed, faults))
    return tuple(accepted)


def _read(name: str, content: bytes, step: str) -> Dataset:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote values
            # A few bytes could become gigabytes (PS3.5 A.5). pydicom would inflate before anything can be asked, hence its inner function.
            file = io.BytesIO(content)
            read_preamble(file, force=False)
            if _read_file_meta_info(file).get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
                raise Stop(RunReason.UNACCEPTED_OBJECT, f"{name} is deflated (1.2.840.10008.1.2.1.99); write it uncompressed", step=step)
            dataset = pydicom.dcmread(io.BytesIO(content))
            _require_the_end(dataset)
            for _ in dataset.iterall():  # decodes every element: a fault has to show here and not at the upload
                pass
    except Stop:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a hostile file makes the parser raise means the same: it is not readable
        raise Stop(RunReason.UNACCEPTED_OBJECT, f"{name} is not readable as DICOM ({type(error).__name__})", step=step) from None
    return dataset


def _require_the_end(dataset: Dataset) -> None:
    """pydicom takes a value that breaks off at the end of the file without a word. Asked before the elements are decoded."""
    last = dataset.get_item(max(dataset.keys()))
    length, value = getattr(last, "length", UNDEFINED), last.value
    if isinstance(value, bytes) and length not in (len(value), UNDEFINED):
        raise EOFError


def _require_own_uids(read: Sequence[tuple[str, Dataset]], source: Sequence[Dataset], step: str) -> None:
    """One UID for two objects would make every reference to it ambiguous."""
    seen = {str(image.get("SOPInstanceUID", "")): "an input image" for image in source}
    for name, dataset in read:
        uid = str(dataset.SOPInstanceUID)
        if uid in seen:
            words = f"{name} has the SOP Instance UID of {seen[uid]}; an application makes a new one for each object"
            raise Stop(RunReason.UNACCEPTED_OBJECT, words, step=step)
        seen[uid] = "another output file"


def _identities(objects: Sequence[tuple[str, str]], task: Task) -> list[tuple[str, str]]:
    """SOP and Series Instance UID of each (kind, series as made), by its place among its kind; what shared a series shares one again."""

    def uid(role: str, index: int) -> str:
        return result_uid(task.installation, task.namespace, task.run, role, index)

    made: list[tuple[str, str]] = []
    places: dict[str, int] = {}
    series: dict[str, dict[str, int]] = {}
    for kind, old_series in objects:
        role = PASSED_REPORTS if kind == "SR" else kind.lower()
        places[role] = places.get(role, -1) + 1
        known = series.setdefault(role, {})
        made.append((uid(role, places[role]), uid(f"{role}-series", known.setdefault(old_series, len(known)))))
    return made


def encoder(dataset: Dataset) -> Callable[[], bytes]:
    """Writes the Part 10 file when it is asked to. Preamble and meta header are new: both could have held anything."""

    def encode() -> bytes:
        file = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset.save_as(file, enforce_file_format=True)
        return file.getvalue()

    return encode
