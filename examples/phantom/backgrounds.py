"""What text is written on: a fan of ultrasound, a chest, a page, a screen. They hold what may be taken for letters and is none: ticks, crosses, bars.

Values are those of a screen, 0 black to 255 white. It writes no text and no DICOM.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

Size = tuple[int, int]


def ultrasound(random: np.random.Generator, size: Size) -> np.ndarray:
    """Speckle in a fan on black, a depth scale of ticks at the right, a grey wedge at the left, two callipers; RGB."""
    rows, columns = size
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    x -= columns / 2
    y += rows * 0.05
    radius, angle = np.hypot(x, y), np.arctan2(x, y)
    inside = (radius > 0.12 * rows) & (radius < 0.98 * rows) & (np.abs(angle) < 0.6)
    tissue = gaussian_filter(random.normal(size=size), rows / 30)
    tissue = 0.35 + 0.25 * tissue / np.abs(tissue).max()
    speckle = gaussian_filter(random.rayleigh(size=size), (1.0, 2.0))
    grey = np.clip(tissue * speckle / speckle.mean() * 255, 0, 220) * inside
    picture = Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    draw = ImageDraw.Draw(picture)
    for k in range(15):
        at = int(rows * (0.08 + 0.06 * k))
        draw.line([columns - (18 if k % 5 == 0 else 12), at, columns - 6, at], fill=(200, 200, 200))
    for k in range(100):
        draw.line([8, 100 + k, 18, 100 + k], fill=(255 - 2 * k,) * 3)
    for _ in range(2):
        column, row = int(random.integers(columns * 0.4, columns * 0.6)), int(random.integers(rows * 0.4, rows * 0.8))
        draw.line([column - 6, row, column + 6, row], fill=(255, 255, 0))
        draw.line([column, row - 6, column, row + 6], fill=(255, 255, 0))
    return np.asarray(picture)


def chest(random: np.random.Generator, size: Size) -> np.ndarray:
    """Lungs, heart, ribs and noise, with a collimated edge; grey."""
    rows, columns = size
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    y, x = y / rows, x / columns
    picture = np.full(size, 165.0, np.float32)
    for centre in (0.3, 0.7):
        picture -= 110 * np.exp(-(((x - centre) / 0.14) ** 4) - ((y - 0.48) / 0.3) ** 4)
    picture += 60 * np.exp(-(((x - 0.56) / 0.13) ** 2) - ((y - 0.62) / 0.16) ** 2)
    picture += 45 * np.exp(-(((x - 0.5) / 0.05) ** 2))
    for k in range(9):
        rib = 0.15 + 0.08 * k + 0.22 * (x - 0.5) ** 2 * (1 if k % 2 else 1.6)
        picture += 18 * np.exp(-(((y - rib) / 0.008) ** 2))
    picture += gaussian_filter(random.normal(size=size), 25) * 250
    picture += gaussian_filter(random.normal(size=size), 0.8) * 12
    outside = (x < 0.03) | (x > 0.97) | (y < 0.02) | (y > 0.98)
    return np.where(outside, 4, np.clip(picture, 0, 245)).astype(np.uint8)


def page(random: np.random.Generator, size: Size) -> np.ndarray:
    """A scanned sheet: paper, ruled lines, a table's frame; grey."""
    rows, columns = size
    paper = 238 + gaussian_filter(random.normal(size=size), 3) * 25
    picture = Image.fromarray(np.clip(paper, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for k in range(1, 4):
        draw.line([columns // 10, rows * k // 4, columns * 9 // 10, rows * k // 4], fill=120, width=2)
    draw.rectangle([columns // 10, rows // 4, columns * 9 // 10, rows * 3 // 4], outline=90, width=2)
    return np.asarray(picture)


def screen(random: np.random.Generator, size: Size) -> np.ndarray:
    """A workstation's screen: a dark panel, a coloured bar, a curve; RGB."""
    rows, columns = size
    picture = Image.new("RGB", (columns, rows), (20, 24, 40))
    draw = ImageDraw.Draw(picture)
    draw.rectangle([0, 0, columns, rows // 12], fill=(40, 70, 140))
    for k in range(rows // 3):
        draw.line([columns - 40, rows // 4 + k, columns - 24, rows // 4 + k], fill=(255 - k % 256, 40, k % 256))
    level = np.cumsum(random.normal(size=columns - 120)) * 3
    draw.line([(60 + k, int(rows * 0.7 + one)) for k, one in enumerate(level - level.mean())], fill=(90, 220, 120), width=2)
    return np.asarray(picture)
