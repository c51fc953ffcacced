"""The images a report is about: one patient, one study, found by SOP Instance UID and by frame of reference.

Pure; reads headers only and copies none, so that a thousand slices cost a dictionary. Errors never name a UID.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydicom import Dataset

from .errors import InvalidReport
from .verbatim import integer, text

STANDARD_STORAGE = "1.2.840.10008.5.1.4.1.1."
DOCUMENTS = f"{STANDARD_STORAGE}88."
"""Structured reports, dose reports among them (PS3.4 B.5)."""


@dataclass(frozen=True)
class Source:
    """The images, in an order that does not depend on how they arrived: series, instance number, UID."""

    images: Mapping[str, Dataset]
    """By SOP Instance UID."""
    documents: Mapping[str, Dataset]
    """Structured reports of the same study, by SOP Instance UID: findings may be about a dose report."""
    frames_of_reference: Mapping[str, tuple[Dataset, ...]]
    """Images by Frame of Reference UID, in the same order."""
    first_of_series: tuple[Dataset, ...]
    """The first image of each series; of documents, when there is no image at all."""

    @property
    def reference(self) -> Dataset:
        """The image whose patient and study elements the report carries."""
        return self.first_of_series[0]


def index(datasets: Iterable[Dataset]) -> Source:
    """Raises InvalidReport unless the datasets hold images, or else documents, of exactly one patient and one study."""
    known = sorted((dataset for dataset in datasets if _is_standard(dataset)), key=_order)
    images = [dataset for dataset in known if has_pixels(dataset)]
    documents = [dataset for dataset in known if not has_pixels(dataset)]
    members = images or documents
    if not members:
        raise InvalidReport("the input holds no image that a report could be about")
    if len({text(image, "StudyInstanceUID") for image in members}) > 1:
        raise InvalidReport("the input images belong to several studies; a report is about one")
    if len({(text(image, "PatientID"), text(image, "IssuerOfPatientID")) for image in members}) > 1:
        raise InvalidReport("the input images belong to several patients; a report is about one")
    frames: dict[str, list[Dataset]] = {}
    first: dict[str, Dataset] = {}
    for image in members:
        first.setdefault(text(image, "SeriesInstanceUID"), image)
        frame_of_reference = text(image, "FrameOfReferenceUID")
        if frame_of_reference:
            frames.setdefault(frame_of_reference, []).append(image)
    return Source(
        images={text(image, "SOPInstanceUID"): image for image in images},
        documents={text(each, "SOPInstanceUID"): each for each in documents if _same_study(each, members[0])},
        frames_of_reference={uid: tuple(members) for uid, members in frames.items()},
        first_of_series=tuple(first.values()),
    )


def find(source: Source, uids: Sequence[str], *, where: str) -> list[Dataset]:
    """The images or documents of these UIDs."""
    found = [source.images.get(uid) or source.documents.get(uid) for uid in uids]
    if None in found:
        raise InvalidReport(f"{where}: names an image that is not in the input (or of a private class); take SOPInstanceUID from the files there")
    return [image for image in found if image is not None]


def has_pixels(dataset: Dataset) -> bool:
    """Whether it is an image."""
    return "Rows" in dataset and "Columns" in dataset


def _is_standard(dataset: Dataset) -> bool:
    """An image or report of a class of the standard: readers (dcmtk) refuse a whole report that refers to one of a private class."""
    sop_class = text(dataset, "SOPClassUID")
    if not sop_class.startswith(STANDARD_STORAGE if has_pixels(dataset) else DOCUMENTS):
        return False
    return all(text(dataset, uid) for uid in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"))


def _same_study(dataset: Dataset, other: Dataset) -> bool:
    return all(text(dataset, keyword) == text(other, keyword) for keyword in ("StudyInstanceUID", "PatientID", "IssuerOfPatientID"))


def _order(dataset: Dataset) -> tuple[str, int, str]:
    return text(dataset, "SeriesInstanceUID"), integer(dataset, "InstanceNumber") or 0, text(dataset, "SOPInstanceUID")
