"""Inputs of the burned-in-text application as fetch lays them out, and how its boxes are compared with what was written."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from examples.phantom.make_texts import Options, Text, make_texts

Box = tuple[float, float, float, float]


def an_input(folder: Path, series: Mapping[str, Options]) -> dict[str, list[Text]]:
    """Writes <n>/<m>.dcm and study.json; what was written into the images, by the names of the series."""
    truth, listed = {}, []
    for number, (name, options) in enumerate(series.items(), 1):
        place = folder / str(number)
        truth[name] = make_texts(place, options)
        (place / "truth.json").unlink()
        listed.append({"path": str(number), "instances": [{"path": f"{number}/{path.name}"} for path in sorted(place.glob("*.dcm"))]})
    (folder / "study.json").write_text(json.dumps({"schema": "gantry.health/study/v1", "series": listed}))
    return truth


@dataclass(frozen=True)
class Found:
    """One finding's region."""

    image: str
    box: Box
    frames: tuple[int, ...]
    confidence: float
    characters: int


def found(document: dict[str, Any]) -> list[Found]:
    places = []
    for one in document["findings"]:
        region = one["region"]
        (left, top), (right, bottom) = region["points"]
        frames = tuple(region.get("frames", [region["frame"]] if "frame" in region else []))
        places.append(Found(region["sopInstanceUID"], (left, top, right, bottom), frames, one["confidence"]["value"], one["measurements"][0]["value"]))
    return places


def overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    both = shared(one, other)
    return both / (shared(one, one) + shared(other, other) - both)


def shared(one: Box, other: Box) -> float:
    width, height = min(one[2], other[2]) - max(one[0], other[0]), min(one[3], other[3]) - max(one[1], other[1])
    return width * height if width > 0 and height > 0 else 0.0


def covered(text: Text, places: Sequence[Found]) -> float:
    """Share of the text's ink that lies in the one box that covers most of it: what is left would be seen when the boxes are blackened."""
    return max((shared(text.box, one.box) / shared(text.box, text.box) for one in places if one.image == text.image), default=0.0)


def matched(texts: Sequence[Text], places: Sequence[Found], *, at_least: float) -> list[tuple[Text, Found]]:
    """Pairs of a text and a box that overlap, each used once, the best first."""
    pairs = sorted(((overlap(text.box, one.box), i, k) for i, text in enumerate(texts) for k, one in enumerate(places) if text.image == one.image), reverse=True)
    chosen: list[tuple[Text, Found]] = []
    used: set[tuple[str, int]] = set()
    for share, i, k in pairs:
        if share >= at_least and ("text", i) not in used and ("box", k) not in used:
            used |= {("text", i), ("box", k)}
            chosen.append((texts[i], places[k]))
    return chosen
