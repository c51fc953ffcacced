"""`gantry sr build`: findings.json and the images on disk become SRs, as publish makes them in a Run, without a cluster.

Nothing is written unless everything fits and the reports pass Gantry's own check. UIDs come from what goes in: the same findings.json (with
its time), images and options make the same bytes.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from pydantic import ValidationError
from pydicom import Dataset

from gantry import __version__
from gantry.api import Code
from gantry.api.pipeline import Report as Settings
from gantry.findings import Findings, SegmentRegion

from .dicom_files import Header, headers, read_dicom
from .failure import Failure
from .options import plain

if TYPE_CHECKING:
    from gantry.report import ReportContext

INSTALLATION = "gantry sr build"
"""In place of a cluster's identity: such a report can be told from one of a Run by its Device Serial Number."""
REFUSED = 3
"""Exit code: findings do not follow the schema or do not fit the images."""


@dataclass(frozen=True)
class Options:
    """What a pipeline says under `report`."""

    sop_class: str
    series_number: int
    series_description: str | None
    algorithm: str | None
    evaluated_for: tuple[str, ...]


def settings(options: Options) -> Settings:
    """By the pipeline's own model, so that what is taken here is taken there. Raises Failure (wrong usage)."""
    fields: dict[str, object] = {"sop_class": options.sop_class, "series_number": options.series_number}
    if options.series_description is not None:
        fields["series_description"] = options.series_description
    if options.algorithm is not None:
        fields["algorithm"] = dict(zip(("name", "version", "manufacturer"), _three(options.algorithm, "--algorithm"), strict=True))
    fields["evaluated_for"] = [Code(scheme=a, value=b, meaning=c) for a, b, c in (_three(one, "--evaluated-for") for one in options.evaluated_for)]
    try:
        return Settings.model_validate(fields)
    except ValidationError as fault:
        first = fault.errors(include_url=False)[0]
        name = "--" + str(first["loc"][0]).replace("_", "-")
        raise Failure(f"{name}: {first['msg'].removeprefix('Value error, ')}", code=2) from None


def _three(words: str, option: str) -> tuple[str, str, str]:
    parts = tuple(part.strip() for part in words.split("/"))
    form = "NAME/VERSION/MANUFACTURER" if option == "--algorithm" else "SCHEME/VALUE/MEANING"
    if len(parts) != 3 or not all(parts):
        raise Failure(f"{option} is {form}, none of them empty or with a slash", code=2)
    return parts[0], parts[1], parts[2]


def build(document: Path, images: Path, out: Path, options: Options) -> list[Path]:
    """Writes the SRs and returns their paths. Raises Failure; with exit code 3 after a line for each refused finding on standard error."""
    from gantry.report import ReportError, build_masks, build_report, parse_findings, require_valid
    from gantry.worker.objects import encoder

    report = settings(options)
    content, created = _read_findings(document)
    found = headers(images)
    try:
        findings = parse_findings(content)
        source, delivered = _source(found), _objects(findings, document.parent)
        context = _context(report, created, _identity(content, created, found, options))
        findings, drawn = build_masks(findings, source, context, _masks(findings, document.parent))
        delivered |= drawn
        _refuse(findings, source, context, delivered)
        built = build_report(findings, source, context, delivered)
        require_valid(built, source, list(delivered.values()))
    except ReportError as fault:
        for line in fault.lines:
            typer.echo(f"gantry: {plain(line)}", err=True)
        raise typer.Exit(REFUSED) from None
    return _write([(one.sort.replace(" ", "-"), one.dicom) for one in built], {name: encoder(each)() for name, each in drawn.items()}, out)


def _read_findings(path: Path) -> tuple[bytes, datetime]:
    """The document and its time, which becomes the report's content time."""
    try:
        return path.read_bytes(), datetime.fromtimestamp(int(path.stat().st_mtime), UTC)
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror or error}") from error


def _source(found: Sequence[Header]) -> list[Dataset]:
    """Kept elements of all images, and the whole header of the one whose patient and study elements the report carries."""
    from gantry.report.source import index
    from gantry.report.verbatim import tolerated

    datasets = {str(one.dataset.SOPInstanceUID): one for one in found}
    with tolerated():
        reference = datasets[str(index([one.dataset for one in found]).reference.SOPInstanceUID)]
    return [read_dicom(one.path) if one is reference else one.dataset for one in found]


def _objects(findings: Findings, folder: Path) -> dict[str, Dataset]:
    """The segmentations that regions name, beside findings.json as in an application's output. They keep their UIDs."""
    names = {region.file for finding in findings.findings for region in finding.where if isinstance(region, SegmentRegion)}
    return {name: read_dicom(folder / name) for name in sorted(names) if (folder / name).is_file()}


def _masks(findings: Findings, folder: Path) -> dict[str, bytes]:
    """The masks that findings.json names, beside it."""
    return {mask.file: (folder / mask.file).read_bytes() for mask in findings.masks if (folder / mask.file).is_file()}


def _identity(content: bytes, created: datetime, found: Sequence[Header], options: Options) -> str:
    digest = hashlib.sha256(content)
    for words in (created.isoformat(), repr(options), *sorted(str(one.dataset.SOPInstanceUID) for one in found)):
        digest.update(b"\0" + words.encode())
    return digest.hexdigest()


def _context(report: Settings, created: datetime, identity: str) -> "ReportContext":
    from gantry.report import ReportContext

    return ReportContext(
        installation=INSTALLATION,
        namespace="",
        run=identity,
        created=created,
        algorithm=report.algorithm,
        evaluated_for=tuple(report.evaluated_for),
        sop_class=report.sop_class,
        series_number=report.series_number,
        series_description=report.series_description,
        product_version=__version__,
    )


def _refuse(findings: Findings, source: Sequence[Dataset], context: "ReportContext", delivered: dict[str, Dataset]) -> None:
    """All findings that do not fit, where build_report would name the first."""
    from gantry.report import InvalidReport, refused

    if lines := refused(findings, source, context, delivered):
        raise InvalidReport(lines[0], lines)


def _write(built: Sequence[tuple[str, bytes]], drawn: Mapping[str, bytes], out: Path) -> list[Path]:
    """One file each: in a folder sr-<what its findings have>.dcm; with a file's name given that, and further ones beside it.

    Segmentations are named after their mask: liver.nii.gz.dcm.
    """
    folder, stem, suffix = (out, "sr", ".dcm") if out.is_dir() or not out.suffix else (out.parent, out.stem, out.suffix)
    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        names = [f"{stem}{'' if number == 0 and folder != out else f'-{sort}'}{suffix}" for number, (sort, _) in enumerate(built)]
        contents = [*zip(names, (dicom for _, dicom in built), strict=True), *((f"{mask}.dcm", dicom) for mask, dicom in drawn.items())]
        for name, dicom in contents:
            path = folder / name
            unfinished = path.with_name(f".{path.name}.unfinished")
            unfinished.write_bytes(dicom)
            unfinished.replace(path)
            paths.append(path)
    except OSError as error:
        raise Failure(f"{out} cannot be written: {error.strerror or error}") from error
    return paths
