"""A finding drawn on its key image: enlarged, with square pixels, its outline and a label.

Pure. Lines are drawn at twice the size and then made smaller, so that they are smooth; a dark edge keeps them visible on white.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .display import Picture
from .outlines import Line, Mask
from .slices import Points

LARGEST = 720
"""Pixels of the longer side."""
CLOSE = 400
"""The same of the detail."""
DETAIL = 0.22
"""A finding smaller than this part of the image is shown enlarged, too."""
COLOUR, EDGE = (255, 204, 0), (0, 0, 0)
Corners = tuple[float, float, float, float]
"""Left, top, right, bottom."""
LABEL = 24
"""Height of its letters in pixels: a page shows the image at some 440 pixels, and they have to be read there."""
_FINE = 2
_WIDTH = 3


@dataclass(frozen=True)
class Marks:
    """What is drawn."""

    lines: Sequence[Line] = ()
    mask: Mask | None = None
    label: str = ""

    @property
    def box(self) -> tuple[float, float, float, float] | None:
        """Left, top, right, bottom in pixels of the image."""
        corners = [line.points for line in self.lines]
        if self.mask is not None and self.mask.any():
            rows, columns = np.nonzero(self.mask)
            corners.append(np.array([[columns.min(), rows.min()], [columns.max() + 1, rows.max() + 1]], dtype=float))
        if not corners:
            return None
        every = np.concatenate(corners)
        (left, top), (right, bottom) = every.min(axis=0), every.max(axis=0)
        return float(left), float(top), float(right), float(bottom)


def drawn(pixels: Picture, *marks: Marks, pixel: tuple[float, float] = (1.0, 1.0)) -> Image.Image:
    """The whole image with the findings. `pixel` is the height and width of a pixel."""
    return _draw(pixels, marks, pixel, (0.0, 0.0, float(pixels.shape[1]), float(pixels.shape[0])), LARGEST)


def detail(pixels: Picture, marks: Marks, *, pixel: tuple[float, float] = (1.0, 1.0)) -> Image.Image | None:
    """What is around a small finding, enlarged; None for a large one, which is well seen on the whole image."""
    box = marks.box
    rows, columns = pixels.shape[:2]
    if box is None or max((box[2] - box[0]) / columns, (box[3] - box[1]) / rows) > DETAIL:
        return None
    extent = max(box[2] - box[0], box[3] - box[1])
    side = max(3.0 * extent, min(rows, columns) * (0.12 if extent else 0.25), 16.0)  # a point says nothing of how large the lesion is
    middle = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    left, top = (min(max(at - side / 2, 0.0), max(size - side, 0.0)) for at, size in zip(middle, (columns, rows), strict=True))
    return _draw(pixels, (Marks(marks.lines, marks.mask),), pixel, (left, top, min(left + side, columns), min(top + side, rows)), CLOSE)


def _draw(
    pixels: Picture, every: Sequence[Marks], pixel: tuple[float, float], window: tuple[float, float, float, float], largest: int
) -> Image.Image:
    height, width = (window[3] - window[1]) * pixel[0], (window[2] - window[0]) * pixel[1]
    scale = largest / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    fine = size[0] * _FINE, size[1] * _FINE
    result = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC, box=window)
    for marks in every:
        if marks.mask is not None:
            _fill(result, marks.mask, window, fine)
    factor = fine[0] / (window[2] - window[0]), fine[1] / (window[3] - window[1])
    lines = [((line.points - np.array(window[:2])) * np.array(factor), line.closed) for marks in every for line in marks.lines]
    for colour, wider in ((EDGE, 4), (COLOUR, 0)):
        canvas = Image.new("L", fine)
        for points, closed in lines:
            _trace(ImageDraw.Draw(canvas), points, closed, _WIDTH * _FINE + wider)
        result.paste(colour, mask=canvas.reduce(_FINE))
    taken: list[Corners] = []
    for marks in every:
        if marks.label and marks.box is not None:
            at = (marks.box[2] - window[0]) * factor[0] / _FINE, (marks.box[1] - window[1]) * factor[1] / _FINE
            taken.append(_write(result, marks.label, at, taken))
    return result


def _trace(pen: ImageDraw.ImageDraw, points: Points, closed: bool, width: int) -> None:
    corners = [(float(x), float(y)) for x, y in points]
    if len(corners) == 1:
        (x, y), reach = corners[0], 9 * _FINE
        pen.ellipse((x - reach, y - reach, x + reach, y + reach), outline=255, width=width)
        return
    pen.line([*corners, corners[0]] if closed else corners, fill=255, width=width, joint="curve")


def _fill(image: Image.Image, mask: Mask, window: tuple[float, float, float, float], fine: tuple[int, int]) -> None:
    """The border of the segment, and a breath of colour inside."""
    enlarged = np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize(fine, Image.Resampling.BILINEAR, box=window)) > 127
    inner = enlarged
    for _ in range(_WIDTH * _FINE):
        padded = np.pad(inner, 1)
        inner = inner & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    for part, strength in ((inner, 38), (enlarged & ~inner, 255)):  # 38 of 255: 15 %
        image.paste(COLOUR, mask=Image.fromarray(part.astype(np.uint8) * np.uint8(strength)).reduce(_FINE))


def _write(image: Image.Image, words: str, at: tuple[float, float], taken: Sequence[Corners]) -> Corners:
    """Beside the outline, inside the image, below labels that stand there already, on a dark ground. Where it stands now."""
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(LABEL)
    left, top, right, bottom = pen.textbbox((0, 0), words, font=font)
    width, height = right - left, bottom - top
    x = min(max(at[0] + 14, 4), image.width - width - 10)
    y = min(max(at[1] - height - 16, 4), image.height - height - 10)
    for before in sorted(taken, key=lambda one: one[1]):
        if x - 5 < before[2] and before[0] < x + width + 5 and y - 4 < before[3] and before[1] < y + height + 5:
            y = min(before[3] + 5, image.height - height - 10)
    ground = (x - 5, y - 4, x + width + 5, y + height + 5)
    pen.rectangle(ground, fill=(20, 20, 20))
    pen.text((x - left, y - top), words, font=font, fill=COLOUR)
    return ground
