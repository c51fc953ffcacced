"""What was found, as Gantry's findings document (docs/reference/findings.schema.json). It measures nothing itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from .lungs import Lungs
from .settings import Settings
from .spheres import Sphere, ray_lengths, smallest_diameter
from .volume import Volume

NODULE = {"scheme": "SCT", "value": "427359005", "meaning": "Solitary nodule of lung"}
LUNG = {"scheme": "SCT", "value": "39607008", "meaning": "Lung"}
DIAMETER = {"scheme": "SCT", "value": "81827009", "meaning": "Diameter"}
VOLUME = {"scheme": "SCT", "value": "118565006", "meaning": "Volume"}
CORNERS = 48
ALGORITHM = {
    "id": "nodules",
    "name": "Gantry example: lung nodules",
    "version": "1.0.0",
    "manufacturer": "Gantry",
    "family": {"scheme": "DCM", "value": "123104", "meaning": "Morphological Operations"},
}


def findings_document(volume: Volume, lungs: Lungs, spheres: tuple[Sphere, ...], settings: Settings) -> dict[str, Any]:
    """Also without findings a full document: what was looked for is said, so that nothing found differs from nothing done."""
    parameters = {"minDiameter": settings.minDiameter, "maxDiameter": settings.maxDiameter, "threshold": settings.threshold}
    return {
        "schemaVersion": "v1alpha1",
        "language": "en-US",
        "algorithms": [{**ALGORITHM, "parameters": parameters}],
        "evaluatedFor": [NODULE],
        "summary": {"impression": _impression(volume, lungs, spheres, settings)},
        "findings": [_finding(number, sphere, volume, lungs) for number, sphere in enumerate(spheres, 1)],
    }


def _side(sphere: Sphere, volume: Volume, lungs: Lungs) -> str:
    return "left" if volume.place(sphere.center)[0] > lungs.midline else "right"


def _impression(volume: Volume, lungs: Lungs, spheres: tuple[Sphere, ...], settings: Settings) -> str:
    if not spheres:
        return f"No solid nodule of {smallest_diameter(volume, settings):.1f} mm or more found."
    largest = spheres[0]
    count = "1 solid nodule" if len(spheres) == 1 else f"{len(spheres)} solid nodules, the largest"
    return f"{count} of {largest.diameter:.1f} mm in the {_side(largest, volume, lungs)} lung."


def _finding(number: int, sphere: Sphere, volume: Volume, lungs: Lungs) -> dict[str, Any]:
    key = int(np.clip(np.rint(sphere.center[0]), 0, len(volume.uids) - 1))
    x, y, z = volume.place(sphere.center)
    return {
        "id": f"nodule-{number}",
        "type": NODULE,
        "presence": "present",
        "confidence": {"value": round(sphere.confidence, 3)},
        "sites": [{"location": LUNG, "laterality": _side(sphere, volume, lungs)}],
        "comment": f"centre ({x:.2f}, {y:.2f}, {z:.2f}) mm",
        "measurements": [
            {"name": DIAMETER, "value": round(sphere.diameter, 2), "unit": "mm"},
            {"name": VOLUME, "value": round(sphere.volume, 1), "unit": "mm3"},
        ],
        "region": {"kind": "polygon", "sopInstanceUID": volume.uids[key], "points": contour(volume, sphere, key)},
    }


def contour(volume: Volume, sphere: Sphere, key: int) -> list[list[float]]:
    """The border in slice `key` as [column, row], 0,0 being the top left corner of the top left pixel: index i has its centre at i + 0.5."""
    angles = np.arange(CORNERS) * 2 * np.pi / CORNERS
    rays = np.stack([np.zeros(CORNERS), np.sin(angles), np.cos(angles)], axis=1)
    center = np.array([key, *sphere.center[1:]])
    off = (key - sphere.center[0]) * volume.spacing[0]
    model = np.sqrt(max(sphere.radius**2 - off**2, (0.3 * sphere.radius) ** 2))
    lengths = ray_lengths(volume, center, rays, 2 * model, sphere.border)
    # where something touches the ball the border is that of the fitted sphere
    lengths = np.where(np.abs(lengths - model) <= 0.25 * model + 0.5 * volume.spacing[1:].max(), lengths, model)
    index = center + rays * lengths[:, None] / volume.spacing
    rows, columns = volume.hu.shape[1:]
    return [[round(float(np.clip(c + 0.5, 0, columns)), 2), round(float(np.clip(r + 0.5, 0, rows)), 2)] for _, r, c in index]
