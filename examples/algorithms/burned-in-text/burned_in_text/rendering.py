"""A frame's stored values -> pictures as a screen shows them: modality values, window, polarity, palette, colour (PS3.3 C.11, PS3.4 N.2).

What the window makes all white or all black may hold text, too: such a frame is also shown with all its values. It looks for nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.pixels import apply_color_lut, apply_modality_lut, pixel_array

Picture = NDArray[np.uint8]
"""Rows x columns x 3, RGB."""
DARKEST, BRIGHTEST = 1.0, 99.5
"""Percentiles that become black and white where no window is given."""
BEYOND = 0.05
"""Share of the window's width by which values have to lie outside of it before the frame is shown a second time."""


class Undecodable(ValueError):
    """The pixels cannot be read; the message says why."""


def pictures(dataset: Dataset, frame: int) -> tuple[Picture, ...]:
    """The frame (counted from 1) as it is displayed; then, if its window hides values, with all of them. Raises Undecodable."""
    try:
        values = pixel_array(dataset, index=frame - 1)  # RGB, whatever the colour space of the file
        if values.ndim == 3:
            return (_eight_bits(values, int(dataset.BitsStored)),)
        if dataset.PhotometricInterpretation == "PALETTE COLOR":
            coloured = apply_color_lut(values, dataset)
            return (_eight_bits(coloured, 8 * coloured.dtype.itemsize),)
        return tuple(_picture(grey, dataset) for grey in _greys(values, dataset))
    # pydicom's decoders raise these for absent, short, broken or foreign pixel data
    except (AttributeError, IndexError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        raise Undecodable(f"{dataset.file_meta.TransferSyntaxUID.name}: {type(error).__name__}") from error


def _eight_bits(values: NDArray[Any], bits: int) -> Picture:
    return np.ascontiguousarray(values >> (bits - 8) if bits > 8 else values).astype(np.uint8)


def _greys(values: NDArray[Any], dataset: Dataset) -> list[NDArray[Any]]:
    """From 0, the window's lower end, to 1, its upper end."""
    measured = apply_modality_lut(values, dataset)
    padding = dataset.get("PixelPaddingValue")
    inside = measured[values != padding] if padding is not None else measured
    if inside.size == 0:
        return [np.zeros(measured.shape)]
    lowest, highest = float(inside.min()), float(inside.max())
    if dataset.get("VOILUTSequence"):
        return [_looked_up(measured, dataset.VOILUTSequence[0]), _between(measured, lowest, highest)]
    low, high = _window(dataset) or tuple(float(one) for one in np.percentile(inside, (DARKEST, BRIGHTEST)))
    margin = BEYOND * (high - low)
    shown = [_between(measured, low, high)]
    if lowest < low - margin or highest > high + margin:
        shown.append(_between(measured, lowest, highest))
    return shown


def _looked_up(values: NDArray[Any], table: Dataset) -> NDArray[Any]:
    """PS3.3 C.11.2.1.1. pydicom's own function takes no table that is stored as OW."""
    count, first, bits = (int(number) for number in table.LUTDescriptor)
    data = np.frombuffer(table.LUTData, "<u2") if isinstance(table.LUTData, bytes) else np.asarray(table.LUTData)
    entries = data[: count or 65536]
    return entries[np.clip(np.rint(values).astype(np.int64) - first, 0, len(entries) - 1)] / float(2**bits - 1)


def _window(dataset: Dataset) -> tuple[float, float] | None:
    """Ends of the first window, which is the one to show; None without one."""
    centre, width = (_first(dataset.get(keyword)) for keyword in ("WindowCenter", "WindowWidth"))
    return None if centre is None or width is None or width < 1 else (centre - width / 2, centre + width / 2)


def _first(value: object) -> float | None:
    if isinstance(value, MultiValue):
        value = value[0] if value else None
    return None if value is None or value == "" else float(str(value))


def _between(values: NDArray[Any], low: float, high: float) -> NDArray[Any]:
    return (values.astype(np.float64) - low) / max(high - low, 1e-9)


def _picture(grey: NDArray[Any], dataset: Dataset) -> Picture:
    shown = np.clip(grey, 0.0, 1.0)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        shown = 1.0 - shown
    return np.repeat(np.round(shown * 255).astype(np.uint8)[:, :, None], 3, axis=2)
