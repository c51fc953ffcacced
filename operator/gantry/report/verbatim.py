"""Reads elements of source images, and copies them as they are.

A report must match its study in the archive by exactly these values: an invalid date or a wrong sex is the source's fault and is copied,
not mended. Nothing here raises for what a value looks like.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from warnings import catch_warnings, simplefilter

from pydicom import DataElement, Dataset, config
from pydicom.datadict import tag_for_keyword
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

_CHARACTER_SET = 0x00080005


@contextmanager
def tolerated() -> Iterator[None]:
    """pydicom takes invalid values without a word: it would warn about faults of the source, with the patient's values in the warning.

    Both settings are the process's: no other thread builds or reads DICOM meanwhile.
    """
    with config.disable_value_validation(), catch_warnings():
        simplefilter("ignore")
        yield


def text(dataset: Dataset, keyword: str) -> str:
    """The element's value as text without padding; "" when it is missing, empty or cannot be read."""
    try:
        value = dataset.get(keyword)
    except (ValueError, TypeError, OverflowError, AttributeError):  # an IS or DS that is no number
        return ""
    return "" if value is None else str(value).strip(" \x00")


def integer(dataset: Dataset, keyword: str) -> int | None:
    """The element's value as a whole number; None when it is not one."""
    value = text(dataset, keyword)
    return int(value) if value.lstrip("+-").isdecimal() and len(value) <= 12 else None


def numbers(dataset: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """The element's values as `count` numbers; None when they are not."""
    try:
        values = tuple(float(value) for value in dataset.get(keyword) or ())
    except (ValueError, TypeError, OverflowError, AttributeError):
        return None
    return values if len(values) == count else None


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence; none when it is missing or no sequence."""
    value = dataset.get(keyword)
    return list(value) if isinstance(value, Sequence) else []


def shallow(dataset: Dataset) -> Dataset:
    """A dataset of the same elements, for changing some of them; neither pixel data nor items are copied."""
    result = Dataset()
    result.update(dataset)
    if hasattr(dataset, "file_meta"):
        result.file_meta = dataset.file_meta
    return result


def copied(dataset: Dataset, keyword: str) -> DataElement | None:
    """The element for another dataset, decoded so that it is written in that one's character set."""
    tag = tag_for_keyword(keyword)
    if tag is None or tag not in dataset:
        return None
    return _restated(dataset[tag])


def _restated(element: DataElement) -> DataElement:
    """pydicom writes raw elements and names as the bytes they were read from; a new value loses them."""
    value: Any = element.value
    if element.VR == "SQ":
        value = Sequence(_restated_item(item) for item in value or ())
    elif element.VR == "PN":
        value = [str(name) for name in value] if isinstance(value, MultiValue) else str(value or "")
    return DataElement(element.tag, element.VR, value, validation_mode=config.IGNORE)


def _restated_item(item: Dataset) -> Dataset:
    result = Dataset()
    for element in item:
        if element.tag != _CHARACTER_SET and not element.tag.is_private:
            result[element.tag] = _restated(element)
    return result
