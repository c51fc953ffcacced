"""Where the lungs are: air inside the body, closed over what is dense in it.

Works on a coarse copy of the volume; the finer one of two is handed on, because candidates are looked for in it. It finds no nodules.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .volume import Unusable, Volume

FINE, COARSE = 1.4, 2.8
"""Millimetres a voxel of the copies may have, if the images are not coarser. A 4 mm sphere is three voxels wide in the finer one."""
AIR = -500
TRACHEA = -960
"""Hounsfield units; on average, lung lies above (blood and tissue in it), plain air in trachea and bowel below."""
SMALLEST = 10_000
"""Cubic millimetres of air that may be a part of a lung."""
CLOSING = 12.0
"""Millimetres: dents in a lung up to this half width (vessels, nodules at the wall) belong to it."""


@dataclass(frozen=True)
class Lungs:
    """The coarse copy and what of it is lung."""

    hu: np.ndarray
    """Block means, int16."""
    inside: np.ndarray
    """Lung, closed."""
    factor: np.ndarray
    """Voxels of the volume in one of the copy, along each axis."""
    spacing: np.ndarray
    midline: float
    """Patient x (towards left) of the middle between the lungs."""

    def index(self, coarse: np.ndarray) -> np.ndarray:
        """Indices of the copy -> (fractional) indices of the volume: the centre of the block."""
        return (coarse + 0.5) * self.factor - 0.5


def find_lungs(volume: Volume) -> Lungs:
    """Raises Unusable when there is no lung in the volume: an image of something else must not look like a healthy lung."""
    factor = np.maximum(1, np.floor(FINE / volume.spacing + 0.01)).astype(int)
    hu = block_means(volume.hu, factor)
    coarser = np.maximum(1, np.floor(COARSE / (volume.spacing * factor) + 0.01)).astype(int)
    spacing = volume.spacing * factor * coarser
    air = _air_in_the_body(block_means(hu, coarser), spacing)
    if not air.any():
        raise Unusable("no lung in the images: this application looks at CT of the chest")
    closed = _closed(air, spacing)
    middles = volume.place((np.argwhere(air) + 0.5) * factor * coarser - 0.5)[:, 0]
    return Lungs(hu, _repeated(closed, coarser, hu.shape), factor, volume.spacing * factor, (middles.min() + middles.max()) / 2)


def block_means(values: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Each block of `factor` voxels becomes one; a rest at the end is left out. One slab at a time, to spare memory."""
    if (factor == 1).all():
        return values
    depth, rows, columns = (int(n) for n in np.array(values.shape) // factor)
    fz, fy, fx = (int(f) for f in factor)
    means = np.empty((depth, rows, columns), values.dtype)
    for k in range(depth):
        slab = values[k * fz : (k + 1) * fz, : rows * fy, : columns * fx].sum(axis=0, dtype=np.int32)
        means[k] = np.rint(slab.reshape(rows, fy, columns, fx).sum(axis=(1, 3)) / (fz * fy * fx))
    return means


def _air_in_the_body(hu: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Parts of air that do not reach the sides of the images, are large enough and are not air alone."""
    labels, count = ndimage.label(hu < AIR)
    outside = np.unique(np.concatenate([labels[:, edge, :].ravel() for edge in (0, -1)] + [labels[:, :, edge].ravel() for edge in (0, -1)]))
    sizes = np.bincount(labels.ravel(), minlength=count + 1) * float(spacing.prod())
    means = ndimage.mean(hu, labels, np.arange(count + 1)) if count else np.zeros(1)
    lung = (sizes >= SMALLEST) & (means > TRACHEA)
    lung[outside] = lung[0] = False
    return lung[labels]


def _closed(mask: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Morphological closing by distances (a ball as structuring element would take minutes), holes filled slice by slice."""
    pad = np.ceil(CLOSING / spacing).astype(int) + 1
    pad[0] = 0  # the lungs go on beyond the ends of the scan
    padded = np.pad(mask, [(int(n), int(n)) for n in pad])
    near = ndimage.distance_transform_edt(~padded, sampling=spacing) <= CLOSING
    closed = ndimage.distance_transform_edt(near, sampling=spacing) > CLOSING
    inner = closed[tuple(slice(int(n), int(n) + size) for n, size in zip(pad, mask.shape, strict=True))] | mask
    return np.stack([ndimage.binary_fill_holes(one) for one in inner])


def _repeated(mask: np.ndarray, factor: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The mask on the finer grid; the rest at the end repeats the last voxel."""
    rows = [np.minimum(np.arange(size) // f, n - 1) for size, f, n in zip(shape, factor, mask.shape, strict=True)]
    return mask[np.ix_(*rows)]
