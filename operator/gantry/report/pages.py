"""Pages of the overview: words, and a key image with its findings, under a heading that says whose result this is.

Pure: takes words and pixels, gives pictures. What is said, `overview` decides. The font that Pillow carries has the letters of English only;
others are written without their accents, and what cannot be written so is left to the report.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT = 768, 960
"""Pixels of every page: shown whole on a screen of 1200 lines, and not wider than most windows of a PACS."""
BAND, MARGIN, LINE = 68, 24, 22
BOX = 720
"""Longer side of the key image."""
GROUND, INK, DIM, SIGN = (0, 0, 0), (235, 235, 235), (160, 160, 160), (255, 204, 0)
BESIDE_IMAGE = (HEIGHT - BAND - BOX - 16) // LINE
"""Lines below a key image."""
ON_PAGE = (HEIGHT - BAND - 24) // LINE
"""Lines of a page of words."""
_SPELT = str.maketrans(
    {"–": "-", "—": "-", "‘": "'", "’": "'", "“": '"', "”": '"', "…": "...", "·": "-", "→": "->", "≤": "<=", "≥": ">=", "×": "x", "±": "+/-"}
    | {"ß": "ss", "µ": "u", "°": " deg"}
)


@dataclass(frozen=True)
class Heading:
    """What stands on every page."""

    banner: str
    algorithm: str


@dataclass(frozen=True)
class Words:
    """A line of a page, before it is broken into several."""

    text: str
    colour: tuple[int, int, int] = INK
    indent: int = 0


def written(words: str, otherwise: str) -> str:
    """The words in letters the font has; `otherwise` when they are of another script."""
    plain = unicodedata.normalize("NFKD", words.translate(_SPELT))
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    plain = " ".join(plain.split())
    return plain if plain.isascii() and plain.isprintable() else otherwise


def broken(words: Sequence[Words]) -> list[Words]:
    """Each line as wide as the page at most."""
    pen, font = ImageDraw.Draw(Image.new("RGB", (1, 1))), ImageFont.load_default(17)
    lines: list[Words] = []
    for each in words:
        room, line = WIDTH - 2 * MARGIN - each.indent, ""
        if pen.textlength(each.text, font=font) <= room:
            lines.append(each)
            continue
        for word in each.text.split(" "):
            longer = f"{line} {word}".strip()
            if line and pen.textlength(longer, font=font) > room:
                lines.append(Words(line, each.colour, each.indent))
                line = word
            else:
                line = longer
            while pen.textlength(line, font=font) > room:  # a word wider than the page
                fits = next(count for count in range(len(line), 0, -1) if pen.textlength(line[:count], font=font) <= room)
                lines.append(Words(line[:fits], each.colour, each.indent))
                line = line[fits:]
        lines.append(Words(line, each.colour, each.indent))
    return lines


def page(heading: Heading, number: int, count: int, lines: Sequence[Words], picture: Image.Image | None = None) -> Image.Image:
    """Lines that are broken already, below the picture if there is one."""
    result = Image.new("RGB", (WIDTH, HEIGHT), GROUND)
    pen, font, small = ImageDraw.Draw(result), ImageFont.load_default(17), ImageFont.load_default(15)
    pen.rectangle((0, 0, WIDTH, BAND - 8), fill=(38, 38, 38))
    pen.text((MARGIN, 8), heading.banner, font=font, fill=SIGN)
    place = f"page {number} of {count}"
    room = WIDTH - 3 * MARGIN - pen.textlength(place, font=small)
    pen.text((MARGIN, 34), _cut(heading.algorithm, room, pen, small), font=small, fill=INK)
    pen.text((WIDTH - MARGIN - pen.textlength(place, font=small), 34), place, font=small, fill=INK)
    top = BAND + 8
    if picture is not None:
        result.paste(picture, ((WIDTH - picture.width) // 2, BAND + (BOX - picture.height) // 2))
        top = BAND + BOX + 8
    for place_of_line, line in enumerate(lines):
        pen.text((MARGIN + line.indent, top + place_of_line * LINE), line.text, font=font, fill=line.colour)
    return result


def _cut(words: str, room: float, pen: ImageDraw.ImageDraw, font: "ImageFont.FreeTypeFont | ImageFont.ImageFont") -> str:
    while words and pen.textlength(words, font=font) > room:
        words = words[:-4] + "..." if len(words) > 4 else ""
    return words
