"""What the content of one SR document points to: the images for the image library, and everything for the evidence."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pydicom import Dataset

from .context import BuiltObject
from .document import Reference
from .source import Source, find, has_pixels
from .verbatim import text


@dataclass(frozen=True)
class Further:
    """Another object of the Run."""

    reference: Reference
    is_image: bool


def further(objects: Iterable[Dataset], built: Iterable[BuiltObject]) -> tuple[Further, ...]:
    """Objects the application made, and such that Gantry has built."""
    made = [
        Further(Reference(text(each, "SeriesInstanceUID"), text(each, "SOPClassUID"), text(each, "SOPInstanceUID")), has_pixels(each))
        for each in objects
    ]
    return (*made, *(Further(Reference(each.series_instance_uid, each.sop_class_uid, each.sop_instance_uid), each.kind == "SC") for each in built))


@dataclass
class References:
    """Collects while the content is written; keeps the order of the first reference."""

    source: Source
    _images: dict[str, Dataset] = field(default_factory=dict)
    _objects: dict[str, Dataset] = field(default_factory=dict)

    def images_of(self, uids: Sequence[str], *, where: str) -> list[Dataset]:
        """Input images by SOP Instance UID, from now on referred to. Raises InvalidReport for one that is not in the input."""
        images = find(self.source, uids, where=where)
        self.add_images(images)
        return images

    def add_images(self, images: Iterable[Dataset]) -> None:
        """Remembers input images."""
        self._images.update((text(image, "SOPInstanceUID"), image) for image in images)

    def add_object(self, dataset: Dataset) -> None:
        """Remembers another object of the study."""
        self._objects[text(dataset, "SOPInstanceUID")] = dataset

    def without_those_named(self, others: Iterable[Further]) -> tuple[Further, ...]:
        """Those of the others that the content does not refer to anyway."""
        return tuple(each for each in others if each.reference.sop_instance not in self._objects)

    @property
    def images(self) -> tuple[Dataset, ...]:
        """Images referred to; without any, the first of each series stands for what was looked at."""
        referred = tuple(each for each in self._images.values() if has_pixels(each))
        return referred or tuple(each for each in self.source.first_of_series if has_pixels(each))

    @property
    def evidence(self) -> tuple[Dataset, ...]:
        """Everything referred to, never nothing."""
        documents = tuple(each for each in self._images.values() if not has_pixels(each))
        return (*(self.images + documents or self.source.first_of_series), *self._objects.values())
