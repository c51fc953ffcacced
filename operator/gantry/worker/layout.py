"""Which file of which series lies where, and study.json, which tells the application.

Pure. The layout is a contract with vendors (docs/containers.md): the same images always lie at the same places.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gantry.api.run import Result
from gantry.orthanc import InstanceResource, SeriesResource, StudyResource
from gantry.runs import Earlier

SCHEMA = "gantry.health/study/v1"
Content = Literal["Full", "Metadata"]
SUFFIXES: dict[Content, str] = {"Full": ".dcm", "Metadata": ".json"}
"""DICOM as Orthanc stores it, or DICOM JSON without bulk data."""
AFTER = "after"
"""Folder of what an earlier Run left; series have numbers."""


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """One instance and its place, relative to the input folder."""

    instance: InstanceResource
    path: str
    series_instance_uid: str = ""


@dataclass(frozen=True, slots=True)
class PlannedSeries:
    """One series, in the order of its Instance Numbers."""

    resource: SeriesResource
    path: str
    files: tuple[PlannedFile, ...]


@dataclass(frozen=True, slots=True)
class PlannedResult:
    """A DICOM result of the Run that this one follows."""

    result: Result
    path: str


@dataclass(frozen=True, slots=True)
class PlannedAfter:
    """What the Run that this one follows has found and made."""

    run: str
    findings: str
    """Path of its findings document."""
    results: tuple[PlannedResult, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """The input folder."""

    study: StudyResource
    series: tuple[PlannedSeries, ...]
    content: Content = "Full"
    after: PlannedAfter | None = None

    def files(self) -> Iterator[PlannedFile]:
        for one in self.series:
            yield from one.files


def lay_out(
    study: StudyResource,
    series: Sequence[tuple[SeriesResource, Sequence[InstanceResource]]],
    *,
    content: Content = "Full",
    after: Earlier | None = None,
) -> Layout:
    """Series by Series Number, then UID; instances by Instance Number, then UID: an order that does not depend on Orthanc's.

    Results of an earlier Run lie in the order in which it stored them: its reports last. Metadata: none of those that may hold pixels.
    """
    ordered = sorted(series, key=lambda one: (_number(one[0].tags.get("SeriesNumber")), one[0].tags.get("SeriesInstanceUID", ""), one[0].id))
    numbered = enumerate(ordered, start=1)
    placed = tuple(_series(str(place), resource, instances, SUFFIXES[content]) for place, (resource, instances) in numbered)
    return Layout(study, placed, content, _after(after, content) if after else None)


def _after(earlier: Earlier, content: Content) -> PlannedAfter:
    handed = [one for one in earlier.results if content == "Full" or one.kind == "SR"]
    results = tuple(PlannedResult(one, f"{AFTER}/{place}.dcm") for place, one in enumerate(handed, start=1))
    return PlannedAfter(earlier.run, f"{AFTER}/findings.json", results)


def _series(path: str, resource: SeriesResource, instances: Sequence[InstanceResource], suffix: str) -> PlannedSeries:
    ordered = sorted(instances, key=lambda one: (one.number is None, one.number or 0, one.sop_instance_uid, one.id))
    width = max(4, len(str(len(ordered))))  # sorted names are the order
    uid = resource.tags.get("SeriesInstanceUID", "")
    files = tuple(PlannedFile(one, f"{path}/{place:0{width}d}{suffix}", uid) for place, one in enumerate(ordered, start=1))
    return PlannedSeries(resource, path, files)


def _number(text: str | None) -> tuple[bool, int]:
    stripped = (text or "").strip()
    return (False, int(stripped)) if stripped.lstrip("+-").isdecimal() else (True, 0)


def describe(layout: Layout, *, run: str, sizes: Mapping[str, int]) -> bytes:
    """study.json. `sizes`: bytes of each file by its path."""
    study = layout.study
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "run": run,
        "content": layout.content,
        "study": {
            "orthancID": study.id,
            "studyInstanceUID": study.tags.get("StudyInstanceUID", ""),
            "tags": _by_keyword(study.tags),
        },
        "series": [_described(one, sizes) for one in layout.series],
    }
    if layout.after:
        document["after"] = _described_after(layout.after, sizes)
    return json.dumps(document, ensure_ascii=False, indent=1).encode()


def _described(one: PlannedSeries, sizes: Mapping[str, int]) -> dict[str, Any]:
    return {
        "path": one.path,
        "orthancID": one.resource.id,
        "seriesInstanceUID": one.resource.tags.get("SeriesInstanceUID", ""),
        "modality": one.resource.tags.get("Modality", ""),
        "tags": _by_keyword(one.resource.tags),
        "instances": [
            {
                "path": file.path,
                "orthancID": file.instance.id,
                "sopInstanceUID": file.instance.sop_instance_uid,
                "instanceNumber": file.instance.number,
                "bytes": sizes[file.path],
            }
            for file in one.files
        ],
    }


def _described_after(after: PlannedAfter, sizes: Mapping[str, int]) -> dict[str, Any]:
    return {
        "run": after.run,
        "findings": {"path": after.findings, "bytes": sizes[after.findings]},
        "results": [
            {
                "path": one.path,
                "kind": one.result.kind,
                "sopClassUID": one.result.sop_class_uid,
                "sopInstanceUID": one.result.sop_instance_uid,
                "seriesInstanceUID": one.result.series_instance_uid,
                "orthancID": one.result.orthanc_id,
                "bytes": sizes[one.path],
            }
            for one in after.results
        ],
    }


def _by_keyword(tags: Mapping[str, str]) -> dict[str, str]:
    """Orthanc's elements by keyword alone; the same by number would say everything twice."""
    return {name: value for name, value in sorted(tags.items()) if "," not in name}
