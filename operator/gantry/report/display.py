"""Pixels as a radiologist's screen shows them: modality values, window, polarity, colour, square pixels.

Pure: takes a dataset with its pixels. The order is the standard's (PS3.3 C.11, PS3.4 N.2): rescale, window or VOI LUT, then MONOCHROME1 is inverted.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut
from pydicom.pixels.utils import pixel_array

from .slices import first_of
from .verbatim import integer, items, numbers, text, tolerated

Picture = NDArray[np.uint8]
DARKEST, BRIGHTEST = 1.0, 99.5
"""Percentiles that become black and white on an image without a window."""


class NotDisplayable(ValueError):
    """The pixels cannot be shown; the message says why, for the reader of the page."""


def displayed(dataset: Dataset, frame: int | None = None) -> Picture:
    """Rows x columns x 3. `frame` counts from 1. Raises NotDisplayable."""
    if "PixelData" not in dataset:
        raise NotDisplayable("the file has no pixels")
    return shown(dataset, frame, lambda: pixel_array(dataset, index=(frame or 1) - 1))


def shown(dataset: Dataset, frame: int | None, decode: Callable[[], NDArray[Any]]) -> Picture:
    """The same of a header whose pixels lie elsewhere: `decode` gives those of the frame."""
    with tolerated():
        try:
            values = decode()
            return _colour(values, dataset) if (integer(dataset, "SamplesPerPixel") or 1) > 1 else _grey(values, dataset, frame)
        except Exception as error:  # every decoder has errors of its own
            syntax = getattr(dataset, "file_meta", Dataset()).get("TransferSyntaxUID")
            name = getattr(syntax, "name", "an unknown transfer syntax")
            raise NotDisplayable(f"the pixels cannot be decoded ({name}, {type(error).__name__})") from error


def _colour(values: NDArray[Any], dataset: Dataset) -> Picture:
    """pydicom has made RGB of it."""
    bits = integer(dataset, "BitsStored") or 8
    return np.ascontiguousarray(values >> (bits - 8) if bits > 8 else values).astype(np.uint8)


def _grey(values: NDArray[Any], dataset: Dataset, frame: int | None) -> Picture:
    if text(dataset, "PhotometricInterpretation") == "PALETTE COLOR":
        coloured = apply_color_lut(values, dataset)
        return (coloured >> 8 if coloured.dtype.itemsize > 1 else coloured).astype(np.uint8)
    padding = integer(dataset, "PixelPaddingValue")
    inside = values != padding if padding is not None else np.ones(values.shape, bool)
    measured = _rescaled(values, dataset, frame)
    shown = _windowed(measured, inside, dataset, frame)
    if text(dataset, "PhotometricInterpretation") == "MONOCHROME1":
        shown = 1.0 - shown
    grey = np.round(np.clip(shown, 0.0, 1.0) * 255).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def _rescaled(values: NDArray[Any], dataset: Dataset, frame: int | None) -> NDArray[Any]:
    macro = _macro(dataset, frame, "PixelValueTransformationSequence")
    return apply_modality_lut(values, macro if "RescaleSlope" in macro else dataset)


def _windowed(values: NDArray[Any], inside: NDArray[np.bool_], dataset: Dataset, frame: int | None) -> NDArray[np.float64]:
    """From 0, black, to 1, white, before polarity."""
    if items(dataset, "VOILUTSequence"):
        return _looked_up(values, items(dataset, "VOILUTSequence")[0])
    macro = _macro(dataset, frame, "FrameVOILUTSequence")
    where = macro if "WindowWidth" in macro else dataset
    centre, width = (_first_number(where, keyword) for keyword in ("WindowCenter", "WindowWidth"))
    values = values.astype(np.float64)
    if centre is None or width is None or width < 1:
        low, high = np.percentile(values[inside] if inside.any() else values, (DARKEST, BRIGHTEST))
        return np.asarray((values - low) / max(high - low, 1e-9))
    if text(where, "VOILUTFunction") == "SIGMOID":
        return np.asarray(1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - centre) / width, -50, 50))))
    if text(where, "VOILUTFunction") == "LINEAR_EXACT":
        return (values - centre) / width + 0.5
    return (values - (centre - 0.5)) / max(width - 1.0, 1e-9) + 0.5


def _looked_up(values: NDArray[Any], table: Dataset) -> NDArray[np.float64]:
    """pydicom's own function reads wrong entries of a table of more than 256 with 8 bits."""
    count, first, bits = (int(number) for number in table.LUTDescriptor)
    count = count or 65536
    data = table.LUTData
    if isinstance(data, bytes):
        data = np.frombuffer(data, "<u2" if len(data) >= 2 * count else "u1")
    entries = np.asarray(data, dtype=np.float64)[:count]
    index = np.clip(np.round(values).astype(np.int64) - first, 0, len(entries) - 1)
    return np.asarray(entries[index] / float(2**bits - 1))


def _macro(dataset: Dataset, frame: int | None, keyword: str) -> Dataset:
    """Functional group of a frame, its own before the shared one."""
    groups = items(dataset, "PerFrameFunctionalGroupsSequence")
    own = groups[(frame or 1) - 1] if 0 < (frame or 1) <= len(groups) else Dataset()
    return first_of(own, keyword) or first_of(first_of(dataset, "SharedFunctionalGroupsSequence"), keyword)


def _first_number(dataset: Dataset, keyword: str) -> float | None:
    """The first of several windows is the one to show."""
    try:
        return float(text(dataset, keyword).strip("[]").split(",")[0])
    except ValueError:
        return None


def pixel_shape(dataset: Dataset, frame: int | None = None) -> tuple[float, float]:
    """Height and width of a pixel; only their ratio counts."""
    with tolerated():
        macro = _macro(dataset, frame, "PixelMeasuresSequence")
        for where, keyword in (
            (macro, "PixelSpacing"), (dataset, "PixelSpacing"), (dataset, "ImagerPixelSpacing"), (dataset, "PixelAspectRatio"),
        ):  # fmt: skip
            spacing = numbers(where, keyword, 2)
            if spacing is not None and min(spacing) > 0 and max(spacing) / min(spacing) < 20:
                return spacing[0], spacing[1]
        return 1.0, 1.0
