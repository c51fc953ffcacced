"""The input folder (docs/containers.md, input without images) to CT images, structured reports and what else is there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from .elements import Dataset, text

CT_CLASSES = frozenset(("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2"))
"""CT, Enhanced CT and Legacy Converted Enhanced CT Image Storage."""


class NoInput(ValueError):
    """There is nothing to read."""


class Unusable(ValueError):
    """There is something, but not what this application can work with."""


@dataclass(frozen=True)
class Study:
    """`other`: instances that are neither, by modality."""

    images: tuple[Dataset, ...]
    reports: tuple[Dataset, ...]
    other: dict[str, int]
    age: float | None
    """Years; None when nothing says it."""


def read_study(folder: Path) -> Study:
    """Raises NoInput and Unusable."""
    try:
        described = json.loads((folder / "study.json").read_text(encoding="utf-8"))
        series = described["series"]
        paths = [(one["modality"], folder / instance["path"]) for one in series for instance in one["instances"]]
    except FileNotFoundError:
        raise NoInput(f"{folder} has no study.json") from None
    except (ValueError, KeyError, TypeError) as error:
        raise Unusable(f"study.json is not what docs/containers.md says: {type(error).__name__}") from error
    if not paths:
        raise NoInput("the study has no instances")
    if any(path.suffix != ".json" for _, path in paths):
        raise Unusable("the input are images; set input.content: Metadata in the pipeline")
    images, reports, other = [], [], dict[str, int]()
    for modality, path in paths:
        instance = _instance(path)
        if text(instance, "00080016") in CT_CLASSES:
            images.append(instance)
        elif modality == "SR":
            reports.append(instance)
        else:
            other[modality] = other.get(modality, 0) + 1
    return Study(tuple(images), tuple(reports), other, _age([*images, *reports]))


def _instance(path: Path) -> Dataset:
    try:
        instance = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise Unusable(f"{path.parent.name}/{path.name} cannot be read: {type(error).__name__}") from error
    if not isinstance(instance, dict):
        raise Unusable(f"{path.parent.name}/{path.name} is no DICOM JSON")
    return instance


def _age(instances: list[Dataset]) -> float | None:
    """Patient's Age, else by birth and study date."""
    for instance in instances:
        stated = text(instance, "00101010")
        if len(stated) == 4 and stated[:3].isdigit() and stated[3] in "DWMY":
            return int(stated[:3]) / {"D": 365.25, "W": 52.18, "M": 12, "Y": 1}[stated[3]]
        birth, date = text(instance, "00100030"), text(instance, "00080020")
        if len(birth) == len(date) == 8 and birth.isdigit() and date.isdigit():
            years = int(date[:4]) - int(birth[:4]) - (date[4:] < birth[4:])
            if 0 <= years < 130:
                return float(years)
    return None
