"""`gantry sr validate`: Gantry's own check of reports on disk, one line a problem.

What is wrong with a report `gantry.report.validate_report` says; here is which files are asked, and how the answer is told.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer
from pydicom import Dataset

from gantry.report import Problem, validate_report

from .dicom_files import Header, files_below, headers, in_study, is_dicom, read_dicom
from .failure import Failure
from .options import plain

REPORTS = frozenset(f"1.2.840.10008.5.1.4.1.1.88.{number}" for number in (11, 22, 33, 34, 35))
"""Basic Text to Extensible SR: what is taken from a folder. A dose report follows other templates and is passed over."""


@dataclass(frozen=True)
class Checked:
    """One report and what is wrong with it, or why it could not be read."""

    path: Path
    problems: tuple[Problem, ...] = ()
    unreadable: str | None = None

    @property
    def code(self) -> int:
        """0 nothing wrong, 1 problems, 2 not readable."""
        return 2 if self.unreadable else int(bool(self.problems))


def check_files(paths: Sequence[Path], images: Path | None) -> list[Checked]:
    """Every file, and every report in every folder. Raises Failure when the images cannot be read."""
    known = headers(images) if images else []
    return [_checked(path, known, strict=images is not None) for path in _reports(paths)]


def _reports(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        found = False
        for file in files_below(path):
            if is_dicom(file) and str(read_dicom(file).get("SOPClassUID")) in REPORTS:
                found = True
                yield file
        if not found:
            raise Failure(f"{path} holds no structured report; name a file, or another folder", code=2)


def _checked(path: Path, known: Sequence[Header], *, strict: bool) -> Checked:
    try:
        report = read_dicom(path)
        if str(report.get("Modality") or "") != "SR":
            return Checked(path, unreadable=f"{path} is no structured report")
    except Failure as failure:
        return Checked(path, unreadable=str(failure))
    study = in_study(known, str(report.get("StudyInstanceUID") or "")) or known
    if strict and not study:
        return Checked(path, unreadable=f"{path} cannot be checked: --images holds no DICOM file")
    return Checked(path, validate_report(report, *_sources(study)))


def _sources(found: Sequence[Header]) -> tuple[list[Dataset], list[Dataset]]:
    """Images and further objects. A segmentation has rows and columns, too, but is made from images."""
    images: list[Dataset] = []
    others: list[Dataset] = []
    for one in found:
        (images if "Rows" in one.dataset and "SegmentSequence" not in one.dataset else others).append(one.dataset)
    return images, others


def as_json(checked: Sequence[Checked]) -> str:
    """For programs."""
    files = [
        {
            "file": str(one.path),
            "unreadable": one.unreadable,
            "problems": [{"rule": each.rule.value, "where": each.where, "what": each.what, "todo": each.todo} for each in one.problems],
        }
        for one in checked
    ]
    return json.dumps({"files": files}, indent=2, ensure_ascii=False)


def tell(checked: Sequence[Checked]) -> None:
    """One line a problem on standard output, what could not be read on standard error."""
    for one in checked:
        if one.unreadable:
            typer.echo(f"gantry: {plain(one.unreadable)}", err=True)
        elif not one.problems:
            typer.echo(f"{plain(str(one.path))}: nothing wrong")
        for each in one.problems:
            typer.echo(f"{plain(str(one.path))}: {each.where}: {each.what}; {each.todo} ({each.rule.value})")
