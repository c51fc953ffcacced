"""Masks as model authors write them: label arrays on a CT series, as NIfTI or NumPy, in whatever order of axes a library leaves them."""

import gzip
import io
from collections.abc import Sequence
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from tests.builders_dicom import changed, ct_series

Labels = NDArray[Any]
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def placed(series: Sequence[Dataset]) -> NDArray[np.float64]:
    """From (slice, row, column) to mm in LPS, for slices in the given order, worked out from the standard (PS3.3 C.7.6.2.1.1) and nothing of Gantry's."""
    first, last = (np.array(image.ImagePositionPatient, dtype=float) for image in (series[0], series[-1]))
    across, down = np.array(series[0].ImageOrientationPatient[:3], dtype=float), np.array(series[0].ImageOrientationPatient[3:], dtype=float)
    between_rows, between_columns = (float(value) for value in series[0].PixelSpacing)
    affine = np.eye(4)
    affine[:3] = np.stack([(last - first) / max(len(series) - 1, 1), down * between_rows, across * between_columns, first], axis=1)
    return affine


def rearranged(labels: Labels, affine: NDArray[np.float64], axes: Sequence[int], flips: Sequence[bool]) -> tuple[Labels, NDArray[np.float64]]:
    """The same mask with its axes in another order and direction; the affine follows."""
    turned, moved = labels.transpose(axes), np.eye(4)
    moved[:, :3], moved[:, 3] = affine[:, :3][:, list(axes)], affine[:, 3]
    for axis, flip in enumerate(flips):
        if flip:
            turned = np.flip(turned, axis)
            moved[:3, 3] += moved[:3, axis] * (turned.shape[axis] - 1)
            moved[:3, axis] *= -1
    return turned, moved


def nifti(labels: Labels, affine_lps: NDArray[np.float64], *, dtype: Any = np.uint8, compress: bool = True, kind: Any = nibabel.Nifti1Image) -> bytes:
    """A NIfTI file of an array with its affine in LPS."""
    content: bytes = kind(np.asfortranarray(labels).astype(dtype), LPS_TO_RAS @ affine_lps).to_bytes()
    return gzip.compress(content, 1, mtime=0) if compress else content


def numpy_file(array: Labels) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def oblique(slices: int, *, tilt: float = 0.0) -> list[Dataset]:
    """A turned series with pixels that are not square; `tilt` mm by which each slice is shifted along the columns, as by a gantry."""
    one, two = np.radians(17.0), np.radians(31.0)
    across = np.array([np.cos(one), np.sin(one), 0.0])
    down = np.array([-np.sin(one) * np.cos(two), np.cos(one) * np.cos(two), np.sin(two)])
    normal = np.cross(across, down)
    series = ct_series(slices)
    for number, image in enumerate(series):
        position = np.array([-30.0, -50.0, 20.0]) + normal * 2.5 * number + down * tilt * number
        orientation = [f"{value:.12f}" for value in (*across, *down)]
        changed(image, ImagePositionPatient=[f"{value:.9f}" for value in position], ImageOrientationPatient=orientation, PixelSpacing=[0.9, 0.6])
        changed(image, Rows=96, Columns=112)
    return series


def asymmetric(slices: int, rows: int, columns: int) -> Labels:
    """No turn or mirror image of it equals it: three labels of different sizes off the middle, a slice left empty."""
    labels = np.zeros((slices, rows, columns), np.uint8)
    labels[1, 5:9, 10:30] = 1
    labels[2, 5:9, 10:40] = 1
    labels[4, 40, 3] = 2
    labels[slices - 1, rows - 3 :, columns - 7 :] = 7
    return labels


def a_sphere(series: Sequence[Dataset], centre: Sequence[float], radius: float) -> Labels:
    """Voxels whose centres lie within the sphere; mm in LPS."""
    shape = (len(series), int(series[0].Rows), int(series[0].Columns))
    index = np.moveaxis(np.indices(shape), 0, -1)
    affine = placed(series)
    points = index @ affine[:3, :3].T + affine[:3, 3]
    inside: Labels = (np.linalg.norm(points - np.array(centre), axis=-1) <= radius).astype(np.uint8)
    return inside
