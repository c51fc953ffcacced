"""Pixels as a screen shows them: window, rescale, polarity, colour; a wrong one hides what the report speaks of."""

from typing import Any

import numpy as np
import pytest
from pydicom import Dataset
from tests.builders_dicom import an_image

from gantry.report.display import NotDisplayable, displayed, pixel_shape

VALUES = np.array([[0, 100, 200, 300]], dtype="<i2")


def image(values: Any = VALUES, **changes: Any) -> Dataset:
    fields: dict[str, Any] = {"Rows": values.shape[-2], "Columns": values.shape[-1]}
    dataset = an_image("DX", **(fields | changes))
    dataset.PixelData = values.tobytes()
    dataset["PixelData"].VR = "OW"
    return dataset


GREYS: dict[str, tuple[dict[str, Any], list[int]]] = {
    "a window": ({"WindowCenter": 150.5, "WindowWidth": 301}, [0, 85, 170, 255]),
    "narrow: what lies outside is black or white": ({"WindowCenter": 150, "WindowWidth": 2}, [0, 0, 255, 255]),
    "the first of several windows": ({"WindowCenter": ["150.5", "0"], "WindowWidth": ["301", "1"]}, [0, 85, 170, 255]),
    "in modality units: the slope comes first": ({"RescaleSlope": 2, "RescaleIntercept": -100, "WindowCenter": 200.5, "WindowWidth": 601}, [0, 85, 170, 255]),
    "MONOCHROME1: low is bright": ({"PhotometricInterpretation": "MONOCHROME1", "WindowCenter": 150.5, "WindowWidth": 301}, [255, 170, 85, 0]),
    "exact": ({"WindowCenter": 150, "WindowWidth": 300, "VOILUTFunction": "LINEAR_EXACT"}, [0, 85, 170, 255]),
    "sigmoid": ({"WindowCenter": 150, "WindowWidth": 300, "VOILUTFunction": "SIGMOID"}, [30, 87, 168, 225]),
    "without a window all that is there": ({}, [0, 84, 170, 255]),
    "a width of nothing is no window": ({"WindowCenter": 1, "WindowWidth": 0}, [0, 84, 170, 255]),
    "padding does not count": ({"PixelPaddingValue": 0}, [0, 0, 128, 255]),
}


@pytest.mark.parametrize(("changes", "greys"), GREYS.values(), ids=GREYS.keys())
def test_grey_images(changes: dict[str, Any], greys: list[int]) -> None:
    shown = displayed(image(**changes))
    assert shown.shape == (1, 4, 3)
    assert np.abs(shown[0, :, 0].astype(int) - greys).max() <= 1
    assert (shown[:, :, 0] == shown[:, :, 2]).all()


def test_a_lookup_table_counts_more_than_a_window() -> None:
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [301, 0, 8], np.array([7] * 150 + [255] * 151, "<u2").tobytes()
    table["LUTDescriptor"].VR, table["LUTData"].VR = "US", "OW"
    shown = displayed(image(VOILUTSequence=[table], WindowCenter=0, WindowWidth=1))
    assert shown[0, :, 0].tolist() == [7, 7, 255, 255]


def test_a_frame_has_its_own_values() -> None:
    group = Dataset()
    group.FrameVOILUTSequence = [Dataset()]
    group.FrameVOILUTSequence[0].WindowCenter, group.FrameVOILUTSequence[0].WindowWidth = 150.5, 301
    dataset = image(np.stack([VALUES * 0, VALUES]), NumberOfFrames=2, PerFrameFunctionalGroupsSequence=[Dataset(), group])
    assert displayed(dataset, 2)[0, :, 0].tolist() == [0, 85, 170, 255]


def test_colour_stays_colour() -> None:
    values = np.array([[[255, 0, 10], [0, 20, 255]]], dtype=np.uint8)
    dataset = an_image("US", Rows=1, Columns=2, SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0, BitsAllocated=8, BitsStored=8, HighBit=7, PixelRepresentation=0)
    dataset.PixelData = values.tobytes()
    dataset["PixelData"].VR = "OB"
    assert displayed(dataset).tolist() == values.tolist()


def test_what_cannot_be_shown_says_why() -> None:
    with pytest.raises(NotDisplayable, match="the file has no pixels"):
        displayed(an_image("DX"))
    broken = image()
    broken.PixelData = b"\0\0"
    with pytest.raises(NotDisplayable, match=r"the pixels cannot be decoded \(Explicit VR Little Endian, ValueError\)"):
        displayed(broken)


SHAPES: dict[str, tuple[dict[str, Any], tuple[float, float]]] = {
    "spacing": ({"PixelSpacing": [2, 1]}, (2, 1)),
    "of a radiograph": ({"ImagerPixelSpacing": [0.1, 0.2]}, (0.1, 0.2)),
    "a ratio": ({"PixelAspectRatio": [4, 3]}, (4, 3)),
    "nothing is said": ({}, (1, 1)),
    "nonsense": ({"PixelSpacing": [0, 1]}, (1, 1)),
}


@pytest.mark.parametrize(("changes", "shape"), SHAPES.values(), ids=SHAPES.keys())
def test_pixels_need_not_be_square(changes: dict[str, Any], shape: tuple[float, float]) -> None:
    assert pixel_shape(image(**changes)) == shape
