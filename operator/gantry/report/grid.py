"""How an array lies on the images: which axis is which, in which direction, and whether every corner is where the image has it.

Pure. NIfTI counts in RAS, DICOM in LPS; arrays come with axes swapped, slices reversed, oblique or sheared. Nothing of that is assumed: the
affine says where each voxel is, and it has to be where the image's pixel is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from .errors import InvalidReport
from .slices import ON_PLANE, Points, Slice, Stack, stack
from .source import Source
from .verbatim import integer, text

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0])
SAME = 1e-3
"""Of a unit vector or, relatively, of a spacing."""


@dataclass(frozen=True)
class Grid:
    """Slices in the order of the array's first axis once it is `turned`, and how to turn it."""

    slices: tuple[Slice, ...]
    rows: int
    columns: int
    axes: tuple[int, int, int] = (0, 1, 2)
    """The array's axes of slices, rows, columns."""
    flipped: tuple[bool, bool, bool] = (False, False, False)
    places: Stack | None = None
    """Where the slices lie, in the same order; None: the images do not say."""

    def turned(self, array: NDArray[Any]) -> NDArray[Any]:
        """The array as slices, rows, columns of the images; a view."""
        return array.transpose(self.axes)[tuple(slice(None, None, -1 if flip else 1) for flip in self.flipped)]


def by_images(images: Sequence[Dataset], shape: tuple[int, ...], *, where: str) -> Grid:
    """The author names the image of each index. Raises InvalidReport when the shape is another."""
    slices = [Slice(image, frame) for image in images for frame in _frames(image)]
    sizes = {(integer(image, "Rows") or 0, integer(image, "Columns") or 0) for image in images}
    if len({id(image) for image in images}) < len(images):
        raise InvalidReport(f"{where}.images: names an image twice")
    if len(sizes) > 1 or len({text(image, "SeriesInstanceUID") for image in images}) > 1:
        raise InvalidReport(f"{where}.images: the images are of several series or sizes; write a file for each")
    (rows, columns) = next(iter(sizes))
    if shape != (len(slices), rows, columns):
        raise InvalidReport(f"{where}: its shape is {_words(shape)}; the images make {_words((len(slices), rows, columns))} (slices, rows, columns)")
    return Grid(tuple(slices), rows, columns, places=_ordered(stack(images), slices))


def by_affine(source: Source, affine: Points, shape: tuple[int, ...], *, series: str | None, where: str) -> Grid:
    """The one series of the input on whose pixels the array lies. Raises InvalidReport when there is none, or several."""
    if len(shape) != 3:
        raise InvalidReport(f"{where}: its shape is {_words(shape)}; a mask has three axes")
    members: dict[str, list[Dataset]] = {}
    for image in source.images.values():
        members.setdefault(text(image, "SeriesInstanceUID"), []).append(image)
    if series is not None and series not in members:
        raise InvalidReport(f"{where}.series: is not a series of the input; take SeriesInstanceUID from the files under /gantry/input")
    chosen = [members[series]] if series is not None else list(members.values())
    tried = [_lying(images, affine, shape) for images in chosen]
    fitting = [grid for grid in tried if isinstance(grid, Grid)]
    if len(fitting) > 1:
        raise InvalidReport(f"{where}: fits {len(fitting)} series of the input; name one in series")
    if not fitting:
        reasons = sorted(reason for reason in tried if isinstance(reason, str))
        several = f" (and not {len(reasons) - 1} other series)" if len(reasons) > 1 else ""
        raise InvalidReport(f"{where}: does not lie on the images: {reasons[0]}{several}")
    return fitting[0]


def _lying(images: list[Dataset], affine: Points, shape: tuple[int, ...]) -> Grid | str:
    """The grid, or why the array does not lie on this series."""
    slices = stack(images)
    expected = sum(len(_frames(image)) for image in images)
    if len(slices.slices) != expected or not slices.slices:
        return "they do not say where they lie; write .npy with images"
    across, down, spacing = slices.across[0], slices.down[0], slices.spacing[0]
    if max(np.ptp(slices.across, axis=0).max(), np.ptp(slices.down, axis=0).max()) > SAME or len(np.unique(slices.size, axis=0)) > 1:
        return "they lie in several directions or have several sizes; write .npy with images"
    order = np.argsort(slices.origin @ np.cross(across, down), kind="stable")
    places = _taken(slices, order)
    along = heights(places)
    if len(along) > 1 and np.diff(along).min() < ON_PLANE:
        return "several of them lie at one place; write .npy with images"
    step = places.origin[-1] - places.origin[0] if len(along) > 1 else np.cross(across, down)
    to_lps = RAS_TO_LPS @ affine[:3]
    axes, flipped = _matched(to_lps[:, :3], (step, down, across))
    rows, columns = (int(length) for length in places.size[0])
    if tuple(shape[axis] for axis in axes) != (len(along), rows, columns):
        return f"its shape is {_words(shape)}; they are {len(along)} slices of {rows} rows and {columns} columns"
    grid = Grid(places.slices, rows, columns, axes, flipped, places)
    beside = _farthest(grid, to_lps, shape, spacing)
    if beside <= ON_PLANE:
        return grid
    mistaken = _farthest(grid, affine[:3], shape, spacing, flips=_matched(affine[:3, :3], (step, down, across))[1])
    hint = "; it would fit with x and y negated: a NIfTI affine is RAS, not LPS" if mistaken <= ON_PLANE else ""
    return f"its affine puts voxels up to {beside:.2f} mm beside them{hint}"


def _matched(directions: Points, wanted: tuple[Points, Points, Points]) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """Which array axis runs most along each of the wanted directions, and whether backwards."""
    lengths = np.linalg.norm(directions, axis=0)
    units = directions / np.where(lengths > 0, lengths, 1)
    free, axes = [0, 1, 2], {}
    for place in (2, 1, 0):  # columns and rows first: a sheared stack's slices run along neither
        direction = wanted[place] / np.linalg.norm(wanted[place])
        axes[place] = max(free, key=lambda axis, direction=direction: abs(float(units[:, axis] @ direction)))  # type: ignore[misc]
        free.remove(axes[place])
    order = (axes[0], axes[1], axes[2])
    flips = [bool(units[:, axis] @ direction < 0) for axis, direction in zip(order, wanted, strict=True)]
    return order, (flips[0], flips[1], flips[2])


def _farthest(grid: Grid, affine: Points, shape: tuple[int, ...], spacing: Points, *, flips: tuple[bool, bool, bool] | None = None) -> float:
    """Largest distance in mm between a corner of a slice and where the affine puts it."""
    places = grid.places
    if places is None:
        return float("inf")
    count, flipped = len(grid.slices), flips or grid.flipped
    numbers = np.arange(count, dtype=np.float64)
    farthest = 0.0
    for row in (0, grid.rows - 1):
        for column in (0, grid.columns - 1):
            index = np.empty((count, 3))
            indices = (numbers, np.full(count, float(row)), np.full(count, float(column)))
            for axis, flip, values in zip(grid.axes, flipped, indices, strict=True):
                index[:, axis] = shape[axis] - 1 - values if flip else values
            there = index @ affine[:, :3].T + affine[:, 3]
            here = places.origin + places.down * (row * spacing[0]) + places.across * (column * spacing[1])
            farthest = max(farthest, float(np.linalg.norm(there - here, axis=1).max()))
    return farthest


def _taken(places: Stack, order: NDArray[np.int64]) -> Stack:
    chosen = tuple(places.slices[index] for index in order.tolist())
    return Stack(chosen, places.origin[order], places.across[order], places.down[order], places.spacing[order], places.size[order], places.complete)


def _ordered(places: Stack, slices: list[Slice]) -> Stack | None:
    """The slices' places in the author's order; None when not every one says where it lies."""
    known = {(id(each.image), each.frame): index for index, each in enumerate(places.slices)}
    order = [known.get((id(each.image), each.frame)) for each in slices]
    found = [index for index in order if index is not None]
    return _taken(places, np.array(found, dtype=np.int64)) if len(found) == len(slices) else None


def _frames(image: Dataset) -> list[int | None]:
    count = integer(image, "NumberOfFrames") or 1
    return list(range(1, count + 1)) if count > 1 else [None]


def _words(shape: tuple[int, ...]) -> str:
    return " x ".join(str(length) for length in shape) or "a single value"


def heights(places: Stack) -> Points:
    """mm along the slices' normal."""
    along: Points = places.origin @ np.cross(places.across[0], places.down[0])
    return along
