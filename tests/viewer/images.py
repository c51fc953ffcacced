"""The corpus' images of other kinds than CT with something to look at, each in a study of its own, so that the viewer opens on it.

Sizes and elements are those of `builders_dicom.an_image`: what such images are sure to have, and no more. Only what the pixels need is added.
"""

from typing import Any

import numpy as np
from pydicom import Dataset
from tests.builders_dicom import SIZE, an_image, changed, uid

RGB: dict[str, Any] = {
    "SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7,
    "PixelRepresentation": 0,
}  # fmt: skip
COLOURED = ("US", "SC", "US multi-frame")


def a_visible_image(kind: str) -> Dataset:
    """A bright disc on grey; on every frame further to the right."""
    image = an_image(kind, StudyInstanceUID=uid(f"study of {kind}"), StudyDescription=f"Study of {kind}", SeriesDescription=kind)
    frames = np.stack([_disc(frame) for frame in range(int(image.get("NumberOfFrames", 1)))])
    if kind in COLOURED:
        changed(image, **RGB)
        image.PixelData = np.repeat(frames[..., None] // 8, 3, axis=-1).astype(np.uint8).tobytes()
        image["PixelData"].VR = "OB"
    else:
        changed(image, WindowCenter=700, WindowWidth=1400)
        image.PixelData = frames.astype("<i2").tobytes()
        image["PixelData"].VR = "OW"
    return image


def _disc(frame: int) -> "np.ndarray[Any, np.dtype[np.int64]]":
    rows, columns = np.mgrid[:SIZE, :SIZE]
    return np.where((rows - 60) ** 2 + (columns - 60 - 8 * frame) ** 2 < 400, 1200, 300)
