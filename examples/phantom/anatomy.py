"""What the phantom is made of: body, lungs, couch, vessels and the spheres that a detector should find, all in patient coordinates.

Pure geometry in LPS millimetres around the phantom's own centre; it knows nothing of slices, pixels or DICOM. Everything random comes from
the generator handed in, so the same seed makes the same patient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

AIR, COUCH, SOFT, BONE, LUNG, NODULE, VESSEL = -1000, -150, 40, 350, -850, 40, 40
"""Hounsfield units."""
BODY = (165.0, 115.0)
"""Half axes of the trunk, left-right and front-back."""
LUNGS = (np.array([78.0, -5.0, 0.0]), np.array([-78.0, -5.0, 0.0]))
LUNG_AXES = np.array([58.0, 82.0, 140.0])
HILUM = 28.0
"""Distance of a lung's root from the midline."""
CLEARANCE = 2.5
"""Between a sphere and everything else that is dense: wall, vessel, other sphere."""

Point = np.ndarray


@dataclass(frozen=True)
class Sphere:
    """A dense ball, by its centre in patient coordinates."""

    center: tuple[float, float, float]
    diameter: float

    @property
    def radius(self) -> float:
        return self.diameter / 2


@dataclass(frozen=True)
class Tube:
    """A piece of a vessel: a round bar that tapers from `start` to `end`."""

    start: Point
    end: Point
    start_radius: float
    end_radius: float


def tissue(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Hounsfield units without vessels and spheres at points around the phantom's centre (float32)."""
    values = np.full(np.broadcast(x, y, z).shape, AIR, np.float32)
    values[(np.abs(y - BODY[1] - 8) < 3) & (np.abs(x) < 190)] = COUCH
    values[(x / BODY[0]) ** 2 + (y / BODY[1]) ** 2 < 1] = SOFT
    values[x**2 + (y - 75) ** 2 < 17**2] = BONE
    rib = (x / (BODY[0] - 14)) ** 2 + (y / (BODY[1] - 12)) ** 2
    values[(rib > 0.93) & (rib < 1) & (np.mod(z + np.abs(x) * 0.3, 24) < 9)] = BONE
    for center in LUNGS:
        inside = sum(((q - c) / a) ** 2 for q, c, a in zip((x, y, z), center, LUNG_AXES, strict=True)) < 1
        values[inside] = LUNG
    values[(x**2 + (y + 25) ** 2 < 7**2) & (z > 20)] = AIR
    return values


def depth_in_lung(point: Point) -> float:
    """About how far a point is inside the nearer lung's surface, in millimetres; negative outside."""
    return max(float((1 - np.linalg.norm((point - center) / LUNG_AXES)) * LUNG_AXES.min()) for center in LUNGS)


def distance_to_tube(points: np.ndarray, tube: Tube) -> np.ndarray:
    """Distance of points (…, 3) from the tube's surface; negative inside."""
    axis = tube.end - tube.start
    along = np.clip((points - tube.start) @ axis / (axis @ axis), 0, 1)
    nearest = tube.start + along[..., None] * axis
    return np.linalg.norm(points - nearest, axis=-1) - (tube.start_radius + along * (tube.end_radius - tube.start_radius))


def place_spheres(
    random: np.random.Generator, count: int, diameters: tuple[float, float], within: Callable[[Point, float], bool]
) -> tuple[Sphere, ...]:
    """`count` spheres inside the lungs, apart from each other and from the wall; `within(center, reach)` says whether the scan covers one."""
    placed: list[Sphere] = []
    for _ in range(50000):
        if len(placed) == count:
            return tuple(placed)
        diameter = float(random.uniform(*diameters))
        reach = diameter / 2 + CLEARANCE
        center = LUNGS[int(random.integers(2))] + random.uniform(-1, 1, 3) * LUNG_AXES
        apart = all(np.linalg.norm(center - other.center) > reach + other.radius for other in placed)
        if apart and depth_in_lung(center) > reach and within(center, reach):
            placed.append(Sphere((float(center[0]), float(center[1]), float(center[2])), diameter))
    raise ValueError(f"{count} spheres of {diameters[0]} to {diameters[1]} mm do not fit: ask for fewer, smaller ones, or more slices")


def grow_vessels(random: np.random.Generator, spheres: Iterable[Sphere], *, trees: int) -> tuple[Tube, ...]:
    """Branching tubes from each lung's root outwards that keep clear of the spheres."""
    spheres = tuple(spheres)
    tubes: list[Tube] = []
    for center in LUNGS:
        for _ in range(trees):
            root = np.array([np.sign(center[0]) * HILUM, center[1], center[2] + random.uniform(-40, 40)])
            _grow(random, root, center + random.uniform(-1, 1, 3) * LUNG_AXES * 0.8 - root, 3.5, spheres, tubes)
    return tuple(tubes)


def _grow(random: np.random.Generator, start: Point, course: Point, radius: float, spheres: tuple[Sphere, ...], tubes: list[Tube]) -> None:
    """One bar and the two that leave its end, until they are thin, reach the wall or meet a sphere."""
    if radius < 0.7:
        return
    length = random.uniform(12, 24)
    direction = course / np.linalg.norm(course) + random.normal(0, 0.25, 3)
    end = start + direction / np.linalg.norm(direction) * length
    tube = Tube(start, end, radius, radius * 0.85)
    if depth_in_lung(end) < radius + 1 or any(distance_to_tube(np.array(s.center), tube) < s.radius + CLEARANCE for s in spheres):
        return
    tubes.append(tube)
    for turn in (0.45, -0.45):
        _grow(random, end, end - start + random.normal(0, 1, 3) * turn * length, radius * 0.78, spheres, tubes)
