"""Dense balls in the lungs: candidates on the coarse copy, then place, size and shape of each on the full images.

A candidate is where the distance to the nearest air is largest. Rays from it to the border tell a ball (all of them equally long) from a
vessel (long ones along it): by the share of rays that end on the fitted sphere, and by the volume the rays sweep within two radii.
A ball that touches another or a vessel loses a few rays there; they are left out of fit and volume.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from .lungs import Lungs
from .settings import Settings
from .volume import Unusable, Volume

SOFT_TISSUE, LUNG = 40.0, -850.0
"""Hounsfield units taken for a ball too small to have a voxel without partial volume, and for lung without a plain voxel near."""
RAYS = 192
ROUND = 0.9
"""Share of rays that end on the sphere. A ball that touches an equal one keeps 0.94, the round end of a vessel has 0.8, a vessel 0.6."""
SWEPT = 1.5
"""Volume swept by rays up to two radii, over the ball's own. A ball alone has 1.0, with a vessel of half its width through it 1.4,
touching an equal ball 1.1 to 1.4; the round end of a vessel has 2.0, a vessel 2.9."""
SWEPT_COARSE = 2.2
"""The same on the coarse copy, where a small ball is only a few voxels: what is above it need not be looked at again."""
ACROSS = 2.2
"""Voxels, along their longest side, that a ball must measure across: in fewer, a piece of a vessel looks as round as a ball."""
MIN_CONTRAST = 200.0
"""Hounsfield units between ball and lung; what is fainter is not solid."""
ROUNDS = 5


@dataclass(frozen=True)
class Sphere:
    """A ball that was found. `center` is an index (slice, row, column), fractional."""

    center: np.ndarray
    radius: float
    roundness: float
    """Share of rays that end where the sphere does, 0 to 1."""
    inside: float
    outside: float
    noise: float
    """Hounsfield units of the ball, the lung around, and the standard deviation there."""
    voxels: float

    @property
    def border(self) -> float:
        return (self.inside + self.outside) / 2

    @property
    def diameter(self) -> float:
        return 2 * self.radius

    @property
    def volume(self) -> float:
        return 4 / 3 * np.pi * self.radius**3

    @property
    def confidence(self) -> float:
        """0 to 1: how round, how clear against the noise, and of how many voxels. Not a probability of disease."""
        shape = 0.5 + 0.5 * min(1.0, max(0.0, (self.roundness - ROUND) / (1 - ROUND)))
        clear = 1 - np.exp(-(self.inside - self.outside) / max(self.noise, 1.0) / 3)
        many = 1 - np.exp(-self.voxels / 15)
        return float(shape * clear * many)


def smallest_diameter(volume: Volume, settings: Settings) -> float:
    """What these images allow to tell from a vessel, and the settings want."""
    return max(settings.minDiameter, ACROSS * float(volume.spacing.max()))


def find_spheres(volume: Volume, lungs: Lungs, settings: Settings) -> tuple[Sphere, ...]:
    """All balls of the wanted size, largest first."""
    settings = replace(settings, minDiameter=smallest_diameter(volume, settings))
    if settings.minDiameter >= settings.maxDiameter:
        raise Unusable(f"slices of {volume.spacing[0]:.1f} mm are too thick to find anything of up to {settings.maxDiameter:g} mm")
    found = []
    for center, radius in _candidates(lungs, settings):
        sphere = _measured(volume, center, radius, settings)
        if sphere is not None and settings.minDiameter <= sphere.diameter <= settings.maxDiameter and sphere.confidence >= settings.minConfidence:
            found.append(sphere)
    return _without_repeats(found, volume)


def _candidates(lungs: Lungs, settings: Settings) -> list[tuple[np.ndarray, float]]:
    """(index in the volume, rough radius) of what may be a ball, deepest first; none within the reach of a deeper one."""
    coarse, depths = _peaks(lungs, settings)
    order = np.argsort(-depths, kind="stable")
    coarse, depths = coarse[order], depths[order]
    likely = _swept_on_copy(lungs, coarse, depths, settings.threshold) < SWEPT_COARSE
    coarse, depths = coarse[likely], depths[likely]
    if not len(coarse):
        return []
    tree = cKDTree(coarse * lungs.spacing)
    taken = np.zeros(len(coarse), bool)
    chosen = []
    for i in range(len(coarse)):
        if not taken[i]:
            taken[tree.query_ball_point(coarse[i] * lungs.spacing, depths[i])] = True
            chosen.append((lungs.index(coarse[i]), float(depths[i])))
    return chosen


def _peaks(lungs: Lungs, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Where in the lungs the distance to air is locally largest, and that distance. Slab by slab, to spare memory."""
    (where,) = ndimage.find_objects(lungs.inside.astype(np.uint8))
    reach = np.ceil(settings.maxDiameter / 2 / lungs.spacing).astype(int) + 1
    rows, columns = (slice(max(0, where[axis].start - int(reach[axis])), where[axis].stop + int(reach[axis])) for axis in (1, 2))
    indices, depths = [], []
    for start in range(where[0].start, where[0].stop, _SLAB):
        first, stop = max(0, start - int(reach[0])), min(start + _SLAB, where[0].stop)
        box = (slice(first, stop + int(reach[0])), rows, columns)
        depth = ndimage.distance_transform_edt(lungs.hu[box] > settings.threshold, sampling=lungs.spacing).astype(np.float32)
        peaks = (depth == ndimage.maximum_filter(depth, size=3)) & lungs.inside[box]
        peaks &= (depth >= settings.minDiameter / 4) & (depth <= settings.maxDiameter * 0.6)
        found = np.argwhere(peaks)
        found = found[(found[:, 0] >= start - first) & (found[:, 0] < stop - first)]
        indices.append(found + np.array([first, rows.start, columns.start]))
        depths.append(depth[tuple(found.T)])
    return np.concatenate(indices), np.concatenate(depths)


def _swept_on_copy(lungs: Lungs, coarse: np.ndarray, depths: np.ndarray, border: float) -> np.ndarray:
    """What each candidate's rays sweep on the coarse copy, over the ball's own volume; candidates of about one size at a time."""
    swept = np.full(len(coarse), np.inf)
    step = float(lungs.spacing.min()) / 2
    for low in np.unique(np.floor(depths)):
        for some in np.array_split(np.flatnonzero(np.floor(depths) == low), 1 + len(depths) // 2000):
            along = np.arange(0, 2.4 * (low + 1) + 2 * float(lungs.spacing.max()), step)
            points = coarse[some].T[:, :, None, None] + (_FEW / lungs.spacing).T[:, None, :, None] * along
            below = ndimage.map_coordinates(lungs.hu, points, output=np.float32, order=1, mode="nearest") < border
            lengths = np.where(below.any(axis=2), along[np.argmax(below, axis=2)], along[-1])
            radius = np.maximum(np.median(lengths, axis=1, keepdims=True), step)
            swept[some] = (np.minimum(lengths, 2 * radius) ** 3).mean(axis=1) / radius[:, 0] ** 3
    return swept


def directions(count: int) -> np.ndarray:
    """Unit vectors spread evenly over the sphere (Fibonacci lattice)."""
    i = np.arange(count) + 0.5
    z, turn = 1 - 2 * i / count, np.pi * (1 + 5**0.5) * i
    ring = np.sqrt(1 - z**2)
    return np.stack([z, ring * np.cos(turn), ring * np.sin(turn)], axis=1)


_DIRECTIONS, _FEW = directions(RAYS), directions(48)
_SLAB = 64


def ray_lengths(volume: Volume, center: np.ndarray, rays: np.ndarray, longest: float, border: float) -> np.ndarray:
    """Millimetres from `center` to where each ray falls below `border` for the first time; infinite when it does not."""
    step = float(volume.spacing.min()) / 3
    along = np.arange(0, longest + step, step)
    points = center[:, None, None] + (rays / volume.spacing).T[:, :, None] * along
    values = ndimage.map_coordinates(volume.hu, points, output=np.float32, order=1, mode="nearest")
    below = values < border
    first = np.argmax(below, axis=1)
    row = np.arange(len(rays))
    before, after = values[row, np.maximum(first - 1, 0)], values[row, first]
    share = np.where(first > 0, (before - border) / np.maximum(before - after, 1e-3), 0)
    return np.where(below.any(axis=1), np.maximum(along[first] - step * (1 - share), 0), np.inf)


def _measured(volume: Volume, center: np.ndarray, radius: float, settings: Settings) -> Sphere | None:
    """Fits a sphere to the border around a candidate, then weighs its voxels. None when it is not a round ball of the wanted size."""
    widest = 2 * float(volume.spacing.max())
    lengths = ray_lengths(volume, center, _FEW, 2 * radius + widest, settings.threshold)
    radius = float(np.median(lengths))
    if not settings.minDiameter * 0.3 <= radius <= settings.maxDiameter * 0.6 or _swept(lengths, radius) > SWEPT_COARSE:
        return None
    border = settings.threshold
    for attempt in range(ROUNDS):
        lengths = ray_lengths(volume, center, _DIRECTIONS, 2 * radius + widest, border)
        good = _on_sphere(volume, lengths, radius, 0.25)
        if good.mean() < 0.4:
            return None
        # |center + length * ray - true center| = radius: to first order, length = radius + ray . shift
        (radius, *shift), *_ = np.linalg.lstsq(np.column_stack([np.ones(good.sum()), _DIRECTIONS[good]]), lengths[good], rcond=None)
        center = center + np.array(shift) / volume.spacing
        if not settings.minDiameter * 0.4 <= radius <= settings.maxDiameter * 0.6 or not _within(volume, center):
            return None
        if attempt % 2 == 0:
            inside, outside, noise = _densities(volume, center, radius, settings)
            border = (inside + outside) / 2
    lengths = ray_lengths(volume, center, _DIRECTIONS, 2 * radius + widest, border)
    good = _on_sphere(volume, lengths, radius, 0.2)
    if good.mean() < ROUND or _swept(lengths, radius) > SWEPT or inside - outside < MIN_CONTRAST:
        return None
    return _weighed(volume, Sphere(center, radius, float(good.mean()), inside, outside, noise, 0.0), ~good)


def _on_sphere(volume: Volume, lengths: np.ndarray, radius: float, tolerance: float) -> np.ndarray:
    """Which rays end on the sphere, give or take a share of its radius and a third of the voxels' distance in their direction."""
    return np.abs(lengths - radius) <= tolerance * radius + 0.35 * (np.abs(_DIRECTIONS) @ volume.spacing)


def _swept(lengths: np.ndarray, radius: float) -> float:
    """Volume swept by the rays up to two radii, over the ball's own."""
    return float((np.minimum(lengths, 2 * radius) ** 3).mean()) / radius**3


def _within(volume: Volume, center: np.ndarray) -> bool:
    return bool(((center >= 0) & (center <= np.array(volume.hu.shape) - 1)).all())


def _around(volume: Volume, center: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Values around a place (float32) and the vectors to them in millimetres along slice, row, column."""
    low = np.maximum(np.floor(center - reach / volume.spacing), 0).astype(int)
    high = np.minimum(np.ceil(center + reach / volume.spacing).astype(int) + 1, volume.hu.shape)
    spans = [np.arange(a, b) for a, b in zip(low, high, strict=True)]
    vectors = np.stack(np.meshgrid(*((span - c) * s for span, c, s in zip(spans, center, volume.spacing, strict=True)), indexing="ij"), axis=-1)
    return volume.hu[tuple(slice(a, b) for a, b in zip(low, high, strict=True))].astype(np.float32), vectors


def _densities(volume: Volume, center: np.ndarray, radius: float, settings: Settings) -> tuple[float, float, float]:
    """Hounsfield units inside (voxels without partial volume), in the lung around, and the noise there."""
    edge = float(np.linalg.norm(volume.spacing)) / 2
    values, vectors = _around(volume, center, radius + edge + 4)
    distance = np.linalg.norm(vectors, axis=-1)
    core = values[distance <= radius - edge]
    lung = values[(distance >= radius + edge) & (values < settings.threshold)]
    inside = float(np.median(core)) if len(core) >= 5 else SOFT_TISSUE
    if len(lung) < 20:
        return inside, LUNG, 0.0
    middle = float(np.median(lung))
    return inside, middle, float(1.4826 * np.median(np.abs(lung - middle)))


def _weighed(volume: Volume, fitted: Sphere, leaks: np.ndarray) -> Sphere:
    """Size and centre from how much of each voxel the ball fills (partial volume).

    Where a ray has left the ball (something touches it there), voxels count up to the fitted sphere only.
    """
    margin = float(volume.spacing.max()) + 0.5
    values, vectors = _around(volume, fitted.center, fitted.radius + margin)
    distance = np.linalg.norm(vectors, axis=-1)
    part = distance <= fitted.radius + margin
    if leaks.any():
        nearest = cKDTree(_DIRECTIONS).query(vectors[part] / np.maximum(distance[part], 1e-6)[:, None])[1]
        # a leak's neighbours too: the border of a hole belongs to what makes it
        wide = ((_DIRECTIONS @ _DIRECTIONS[leaks].T).max(axis=1) > np.cos(0.25))[nearest]
        part[part] = ~wide | (distance[part] <= fitted.radius)
    share = np.where(part, (values - fitted.outside) / (fitted.inside - fitted.outside), 0)
    filled = float(share.sum())
    volume_mm3 = filled * float(volume.spacing.prod())
    if volume_mm3 <= 0:
        return fitted
    shift = (share[..., None] * vectors).sum(axis=(0, 1, 2)) / filled
    if np.linalg.norm(shift) > 0.5 * fitted.radius or leaks.any():
        shift = np.zeros(3)  # what leaks would pull the centre towards it; the fit does not see it
    radius = float(np.cbrt(volume_mm3 * 3 / 4 / np.pi))
    return Sphere(fitted.center + shift / volume.spacing, radius, fitted.roundness, fitted.inside, fitted.outside, fitted.noise, filled)


def _without_repeats(found: list[Sphere], volume: Volume) -> tuple[Sphere, ...]:
    """Several candidates may lead to one ball: the roundest stays."""
    kept: list[Sphere] = []
    for sphere in sorted(found, key=lambda one: (-one.roundness, -one.radius)):
        distances = [np.linalg.norm((sphere.center - other.center) * volume.spacing) / max(sphere.radius, other.radius) for other in kept]
        if all(distance > 0.7 for distance in distances):
            kept.append(sphere)
    return tuple(sorted(kept, key=lambda one: -one.radius))
