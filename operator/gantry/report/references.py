"""What the content of one SR document points to: the images for the image library, and everything for the evidence."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pydicom import Dataset

from .source import Source, find, has_pixels
from .verbatim import text


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
