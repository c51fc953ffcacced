"""The burned-in-text application without its models: settings, frames, pixels as a screen shows them, and what the document says of what was seen.

With the models: tests/component/test_burned_in_text.py.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from examples.phantom.make_texts import Options, make_texts
from pydicom import Dataset, dcmread
from tests.builders_texts import an_input

from burned_in_text.document import MOST, findings_document
from burned_in_text.images import NoImages, Unusable, read_study, sampled
from burned_in_text.look import Seen, look_at
from burned_in_text.places import Line, Place, overlap, together
from burned_in_text.rendering import Picture, Undecodable, pictures
from burned_in_text.settings import Settings, WrongSettings
from gantry.findings import parse_findings

SMALL = {"rows": 64, "columns": 80, "texts": 0}
WRONG_SETTINGS = {
    "not JSON": ("{", "is not JSON"),
    "an unknown name": ('{"confidence": 0.5}', "settings may hold maxFrames, maxSide, minCharacters, minConfidence, minSide, threads; given"),
    "a list": ("[]", "settings may hold"),
    "a confidence in percent": ('{"minConfidence": 60}', "minConfidence is a number from 0 to 1; given: 60"),
    "half a frame": ('{"maxFrames": 0.5}', "maxFrames is a whole number from 0 to 100000; given: 0.5"),
    "a truth for a number": ('{"threads": true}', "threads is a whole number from 1 to 256; given: True"),
    "a side of nothing": ('{"maxSide": 10}', "maxSide is a whole number from 256 to 8192; given: 10"),
}


@pytest.mark.parametrize(("text", "message"), WRONG_SETTINGS.values(), ids=WRONG_SETTINGS.keys())
def test_wrong_settings_are_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "settings.json").write_text(text)
    with pytest.raises(WrongSettings, match=message):
        Settings.read(tmp_path / "settings.json")


def test_settings_go_over_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text('{"maxFrames": 0, "minConfidence": 1}')
    assert Settings.read(tmp_path / "settings.json") == Settings(maxFrames=0, minConfidence=1)
    assert Settings.read(tmp_path / "none.json") == Settings()


SAMPLES = {
    "fewer than the limit": ((3, 5), (1, 2, 3)),
    "as many": ((5, 5), (1, 2, 3, 4, 5)),
    "more: first and last are among them": ((60, 5), (1, 15, 30, 45, 60)),
    "one": ((60, 1), (1,)),
    "no limit": ((4, 0), (1, 2, 3, 4)),
}


@pytest.mark.parametrize(("given", "frames"), SAMPLES.values(), ids=SAMPLES.keys())
def test_frames_are_spread_evenly(given: tuple[int, int], frames: tuple[int, ...]) -> None:
    assert sampled(*given) == frames


def an_image(folder: Path, change: Callable[[Dataset], None] = lambda _: None, **options: Any) -> Dataset:
    make_texts(folder, Options(**(SMALL | options)))
    dataset = dcmread(folder / "0001.dcm")
    change(dataset)
    return dataset


def a_ramp(dataset: Dataset) -> None:
    """Values 200 to 3400 from left to right; the last row is 4000."""
    ramp = np.tile(np.linspace(200, 3400, 80), (64, 1))
    ramp[-1] = 4000
    dataset.PixelData = ramp.astype("<u2").tobytes()


def test_the_window_decides_what_is_black_and_white(tmp_path: Path) -> None:
    def windowed(dataset: Dataset) -> None:
        a_ramp(dataset)
        dataset.WindowCenter, dataset.WindowWidth = [1800, 40], [3200, 400]

    shown, whole = pictures(an_image(tmp_path, windowed, kind="DX"), 1)
    assert (shown[0, 0, 0], shown[0, -1, 0], shown[-1, 0, 0]) == (0, 255, 255)
    assert abs(int(shown[0, 40, 0]) - 129) <= 2
    assert whole[0, -1, 0] < whole[-1, 0, 0] == 255, "what lies beyond the window can be told from its end"


def test_a_window_that_holds_all_values_is_shown_once(tmp_path: Path) -> None:
    def windowed(dataset: Dataset) -> None:
        a_ramp(dataset)
        dataset.WindowCenter, dataset.WindowWidth = 2100, 3800

    assert len(pictures(an_image(tmp_path, windowed, kind="DX"), 1)) == 1


def test_monochrome1_is_inverted(tmp_path: Path) -> None:
    (first, *_), (other, *_) = (pictures(an_image(tmp_path / kind, a_ramp, kind=kind), 1) for kind in ("DX", "CR"))
    assert (first.astype(int) + other == 255).all()


def test_no_window_no_value_is_hidden(tmp_path: Path) -> None:
    def without(dataset: Dataset) -> None:
        a_ramp(dataset)
        del dataset.WindowCenter, dataset.WindowWidth

    shown = pictures(an_image(tmp_path, without, kind="DX"), 1)
    assert shown[-1][0, 0, 0] == 0
    assert shown[-1][-1, 0, 0] == 255


def test_padding_does_not_stretch_the_scale(tmp_path: Path) -> None:
    def padded(dataset: Dataset) -> None:
        a_ramp(dataset)
        values = np.frombuffer(dataset.PixelData, "<u2").copy()
        values[:80] = 0
        dataset.PixelData, dataset.PixelPaddingValue = values.tobytes(), 0
        dataset.WindowCenter, dataset.WindowWidth = 2100, 3800

    assert len(pictures(an_image(tmp_path, padded, kind="DX"), 1)) == 1


def test_a_table_of_values_stands_for_the_window(tmp_path: Path) -> None:
    def with_table(dataset: Dataset) -> None:
        a_ramp(dataset)
        table = Dataset()
        table.LUTDescriptor, table.LUTData = [4096, 0, 8], (255 - np.arange(4096) // 16).astype("<u2").tobytes()
        dataset.VOILUTSequence = [table]

    shown, whole = pictures(an_image(tmp_path, with_table, kind="DX"), 1)
    assert shown[0, 0, 0] > 240 > 50 > shown[0, -1, 0]
    assert whole[0, 0, 0] == 0


@pytest.mark.parametrize("kind", ["US", "SC-YBR"])
def test_colours_are_rgb(tmp_path: Path, kind: str) -> None:
    """The callipers are yellow."""
    (shown,) = pictures(an_image(tmp_path, kind=kind, rows=200, columns=200), 1)
    yellow = (shown[..., 0] > 250) & (shown[..., 1] > 250) & (shown[..., 2] < 5)
    assert yellow.sum() > 20


def test_a_palette_is_looked_up(tmp_path: Path) -> None:
    dataset = an_image(tmp_path, kind="US-PALETTE")
    (shown,) = pictures(dataset, 1)
    brightest = np.unravel_index(np.argmax(dataset.pixel_array), (64, 80))
    red, green, blue = (int(one) for one in shown[brightest])
    assert red > green > blue > 0


def test_pixels_that_break_off_are_said(tmp_path: Path) -> None:
    def cut(dataset: Dataset) -> None:
        dataset.PixelData = dataset.PixelData[:100]

    with pytest.raises(Undecodable, match=r"^Explicit VR Little Endian: ValueError$"):
        pictures(an_image(tmp_path, cut), 1)


def line(left: float, top: float = 10, *, confidence: float = 0.9, characters: int = 5) -> Line:
    return Line((left, top, left + 100, top + 20), confidence, characters)


def test_one_line_on_several_frames_is_one_place() -> None:
    seen = [(1, line(50)), (1, line(50, 200)), (30, line(52, 11, confidence=0.95, characters=6)), (60, line(300))]
    first, other, below = together("2.25.1", seen)
    assert first == Place("2.25.1", (50, 10, 152, 31), 0.95, 6, (1, 30))
    assert (other.frames, below.frames) == ((60,), (1,))


def test_overlap_is_of_areas() -> None:
    assert overlap((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 10, 10), (10, 0, 20, 10)) == 0


def reading(found: dict[int, tuple[Line, ...]]) -> Callable[[Picture], tuple[Line, ...]]:
    """Answers one picture after the other."""
    answers = iter(sorted(found.items()))
    return lambda picture: next(answers)[1]


def test_what_was_not_looked_at_is_counted(tmp_path: Path) -> None:
    truth = an_input(tmp_path, {"loop": Options(frames=7, **SMALL), "still": Options(**SMALL), "broken": Options(seed=2, **SMALL)})
    assert set(truth) == {"loop", "still", "broken"}
    path = tmp_path / "3" / "0001.dcm"
    path.write_bytes(path.read_bytes()[:-5000])
    seen = look_at(read_study(tmp_path), reading({1: (line(1),), 2: (), 3: (line(2),), 4: ()}), Settings(maxFrames=3))
    assert (seen.images, seen.frames, seen.left_out) == (2, 4, 4)
    assert [place.frames for place in seen.places] == [(1, 7)]
    assert seen.unreadable == ("3/0001.dcm: the pixels cannot be read (Explicit VR Little Endian: ValueError)",)


def test_no_readable_image_is_no_result(tmp_path: Path) -> None:
    an_input(tmp_path, {"broken": Options(**SMALL)})
    path = tmp_path / "1" / "0001.dcm"
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(Unusable, match=r"^1/0001\.dcm: the pixels cannot be read"):
        look_at(read_study(tmp_path), reading({}), Settings())


def test_reports_are_no_images(tmp_path: Path) -> None:
    an_input(tmp_path, {"one": Options(**SMALL)})
    path = tmp_path / "1" / "0001.dcm"
    dataset = dcmread(path)
    del dataset.PixelData, dataset.Rows
    dataset.save_as(path)
    with pytest.raises(NoImages, match="none of the 1 files of the study is an image"):
        read_study(tmp_path)


UNUSABLE_INPUT: dict[str, tuple[Callable[[Path], Any], type[Unusable], str]] = {
    "nothing at all": (lambda folder: (folder / "study.json").unlink(), NoImages, "no study.json in"),
    "a study.json of another kind": (lambda folder: (folder / "study.json").write_text("[]"), Unusable, "study.json is not what Gantry writes: TypeError"),
    "a file that is not DICOM": (lambda folder: (folder / "1" / "0001.dcm").write_bytes(b"x" * 200), Unusable, r"1/0001\.dcm is not a DICOM file: InvalidDicomError"),
}


@pytest.mark.parametrize(("spoil", "error", "message"), UNUSABLE_INPUT.values(), ids=UNUSABLE_INPUT.keys())
def test_input_that_cannot_be_used_is_refused(tmp_path: Path, spoil: Callable[[Path], Any], error: type[Unusable], message: str) -> None:
    an_input(tmp_path, {"one": Options(**SMALL)})
    spoil(tmp_path)
    with pytest.raises(error, match=message):
        read_study(tmp_path)


def document(*places: Place, **seen: Any) -> dict[str, Any]:
    values = {"images": 2, "frames": 2, "left_out": 0, "unreadable": ()} | seen
    made = findings_document(Seen(places, **values), Settings(), provider="CPUExecutionProvider")
    parse_findings(json.dumps(made).encode())
    return made


def test_a_finding_is_a_box_with_confidence_and_a_count() -> None:
    made = document(Place("2.25.1", (10.04, 20, 110, 40), 0.98765, 12, ()), Place("2.25.2", (1, 2, 30, 40), 0.9, 3, (4,)), Place("2.25.2", (1, 50, 30, 70), 0.9, 3, (4, 5)))
    first, *others = made["findings"]
    assert first["region"] == {"kind": "box", "sopInstanceUID": "2.25.1", "points": [[10.0, 20], [110, 40]]}
    assert (first["confidence"], first["measurements"][0]["value"]) == ({"value": 0.988}, 12)
    assert [{key: one["region"].get(key) for key in ("frame", "frames")} for one in others] == [{"frame": 4, "frames": None}, {"frame": None, "frames": [4, 5]}]
    assert made["summary"]["impression"] == "Text in the pixels of 2 of 2 images: 3 lines."
    assert "evaluatedFor" not in made


NOTHING_FOUND: dict[str, tuple[dict[str, Any], bool]] = {
    "all was looked at": ({}, True),
    "frames were left out": ({"left_out": 55}, False),
    "an image cannot be read": ({"unreadable": ("2/1.dcm: the pixels cannot be read",)}, False),
}


@pytest.mark.parametrize(("seen", "absent"), NOTHING_FOUND.values(), ids=NOTHING_FOUND.keys())
def test_text_is_absent_only_where_all_was_looked_at(seen: dict[str, Any], absent: bool) -> None:
    made = document(**seen)
    assert ("evaluatedFor" in made, "notEvaluable" in made) == (absent, not absent)
    assert made["summary"]["impression"].startswith("No text found in the pixels of 2 frames of 2 images.")


def test_more_lines_than_anybody_reads_are_counted() -> None:
    made = document(*(Place("2.25.1", (0, 10.0 * k, 50, 10.0 * k + 8), 0.9, 3, ()) for k in range(MOST + 7)))
    assert len(made["findings"]) == MOST
    assert made["summary"]["impression"].endswith(f": {MOST + 7} lines. {MOST} are reported.")


def test_many_unreadable_images_are_named_in_part() -> None:
    made = document(unreadable=tuple(f"1/{k}.dcm: x" for k in range(9)))
    assert made["summary"]["impression"].endswith("9 of 11 images could not be read: 1/0.dcm: x; 1/1.dcm: x; 1/2.dcm: x; and 6 more.")
