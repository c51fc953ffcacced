"""A finding drawn on its key image: enlarged, with square pixels, its outline and a label.

Pure. Lines are drawn on an image of twice the size and then made smaller, so that they are smooth; a dark edge keeps them visible on white.
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


def drawn(pixels: Picture, marks: Marks, *, pixel: tuple[float, float] = (1.0, 1.0)) -> Image.Image:
    """The whole image with the finding. `pixel` is the height and width of a pixel."""
    return _draw(pixels, marks, pixel, (0.0, 0.0, float(pixels.shape[1]), float(pixels.shape[0])), LARGEST)


def detail(pixels: Picture, marks: Marks, *, pixel: tuple[float, float] = (1.0, 1.0)) -> Image.Image | None:
    """What is around a small finding, enlarged; None for a large one, which is well seen on the whole image."""
    box = marks.box
    rows, columns = pixels.shape[:2]
    if box is None or max((box[2] - box[0]) / columns, (box[3] - box[1]) / rows) > DETAIL:
        return None
    side = max(3.0 * max(box[2] - box[0], box[3] - box[1]), min(rows, columns) * 0.12, 16.0)
    middle = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    left, top = (min(max(at - side / 2, 0.0), max(size - side, 0.0)) for at, size in zip(middle, (columns, rows), strict=True))
    return _draw(pixels, Marks(marks.lines, marks.mask), pixel, (left, top, min(left + side, columns), min(top + side, rows)), CLOSE)


def _draw(
    pixels: Picture, marks: Marks, pixel: tuple[float, float], window: tuple[float, float, float, float], largest: int
) -> Image.Image:
    height, width = (window[3] - window[1]) * pixel[0], (window[2] - window[0]) * pixel[1]
    scale = largest / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    fine = size[0] * _FINE, size[1] * _FINE
    canvas = Image.fromarray(pixels).resize(fine, Image.Resampling.BICUBIC, box=window)
    if marks.mask is not None:
        canvas = _with_mask(canvas, marks.mask, window)
    pen, factor = ImageDraw.Draw(canvas), (fine[0] / (window[2] - window[0]), fine[1] / (window[3] - window[1]))
    for colour, wider in ((EDGE, 4), (COLOUR, 0)):
        for line in marks.lines:
            _trace(pen, (line.points - np.array(window[:2])) * np.array(factor), line.closed, colour, _WIDTH * _FINE + wider)
    result = canvas.resize(size, Image.Resampling.LANCZOS)
    if marks.label and marks.box is not None:
        _write(result, marks.label, ((marks.box[2] - window[0]) * factor[0] / _FINE, (marks.box[1] - window[1]) * factor[1] / _FINE))
    return result


def _trace(pen: ImageDraw.ImageDraw, points: Points, closed: bool, colour: tuple[int, int, int], width: int) -> None:
    corners = [(float(x), float(y)) for x, y in points]
    if len(corners) == 1:
        (x, y), reach = corners[0], 9 * _FINE
        pen.ellipse((x - reach, y - reach, x + reach, y + reach), outline=colour, width=width)
        return
    pen.line([*corners, corners[0]] if closed else corners, fill=colour, width=width, joint="curve")


def _with_mask(canvas: Image.Image, mask: Mask, window: tuple[float, float, float, float]) -> Image.Image:
    """The border of the segment, and a breath of colour inside."""
    enlarged = np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize(canvas.size, Image.Resampling.BILINEAR, box=window)) > 127
    inner = enlarged
    for _ in range(_WIDTH * _FINE):
        padded = np.pad(inner, 1)
        inner = inner & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    colours = np.asarray(canvas).astype(np.float64)
    colours[inner] = colours[inner] * 0.85 + np.array(COLOUR) * 0.15
    colours[enlarged & ~inner] = COLOUR
    return Image.fromarray(colours.astype(np.uint8))


def _write(image: Image.Image, words: str, at: tuple[float, float]) -> None:
    """Beside the outline, inside the image, on a dark ground."""
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(18)
    left, top, right, bottom = pen.textbbox((0, 0), words, font=font)
    width, height = right - left, bottom - top
    x = min(max(at[0] + 8, 4), image.width - width - 10)
    y = min(max(at[1] - height - 12, 4), image.height - height - 10)
    pen.rectangle((x - 5, y - 4, x + width + 5, y + height + 5), fill=(20, 20, 20))
    pen.text((x - left, y - top), words, font=font, fill=COLOUR)
