"""`gantry sr show --html` and `--png`: writes the page and the pictures of a report."""

import re
from collections.abc import Iterator
from pathlib import Path

from gantry.report import Report

from .failure import Failure
from .sr_page import page
from .sr_pictures import Drawn, Images, pictures


def look(report: Report, *, html: Path | None, png: Path | None, images: Path | None, patient: bool) -> Iterator[Path]:
    """The files that were written. Raises Failure."""
    if images is None and png is not None:
        raise Failure("--png needs the images: --images DIR", code=2)
    drawn = list(pictures(report, Images(images) if images else None))
    try:
        if png is not None:
            yield from _write_pictures(png, drawn)
        if html is not None:
            unfinished = html.with_name(f".{html.name}.unfinished")
            unfinished.write_text(page(report, drawn, patient=patient), encoding="utf-8")
            unfinished.replace(html)
            yield html
    except OSError as error:
        raise Failure(f"{error.filename or html or png} cannot be written: {error.strerror or error}") from error


def _write_pictures(folder: Path, drawn: list[Drawn]) -> Iterator[Path]:
    """`01-nodule-1.png`: the number on the picture and the finding's id, without what a file's name cannot have."""
    folder.mkdir(parents=True, exist_ok=True)
    for one in drawn:
        if one.picture is not None:
            name = re.sub(r"[^A-Za-z0-9_-]+", "-", one.finding.id or "finding")[:64]
            path = folder / f"{one.number:02d}-{name}.png"
            one.picture.save(path, "PNG")
            yield path
