#!/usr/bin/env python3
"""Makes images with text burned into their pixels at known places: `make_texts.py OUT --kind US`.

Writes OUT/0001.dcm … and OUT/truth.json: {"texts": [{"image": sopInstanceUID, "text": …, "box": [left, top, right, bottom]}]}, in pixels, 0,0 being
the top left corner of the image. The same options make the same bytes, UIDs included. As a module: `make_texts(folder, Options(...))`.
Names and numbers are invented. What the text is written on is drawn by `backgrounds.py`.
"""

from __future__ import annotations

import argparse
import json
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import convert_color_space
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    UltrasoundImageStorage,
    UltrasoundMultiFrameImageStorage,
)

try:
    from . import backgrounds
except ImportError:  # run by its path, not as a module of the repository
    sys.path.insert(0, str(Path(__file__).parent))
    import backgrounds  # type: ignore[no-redef]

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""
Written = list[tuple[str, Box]]
_NAMESPACE = uuid.UUID("5a0c7c0e-63a2-5a2f-8d0b-0c6a5b7f3c11")
WORDS = (
    "DOE^JANE", "Mustermann, Erika", "ID: 4711-0815", "PID 10023344", "1968-04-23", "23.04.1968 F", "General Hospital", "St. Anna Clinic",
    "Acc 20260117-03", "17 Jan 2026 10:42:07", "MI 1.2 TIS 0.4", "C5-1 Abd Gen", "FR 24Hz", "RT KIDNEY LONG", "LIVER", "Dr. K. Example",
    "DOB 23/04/1968", "Gain 62", "Depth 14 cm", "PORTABLE AP 110 kV",
)  # fmt: skip


@dataclass(frozen=True)
class Options:
    """What images are wanted. Heights in pixels."""

    kind: str = "US"
    """US, US-PALETTE, SC-YBR: a fan of speckle. CR, DX: a chest in 12 bits, CR as MONOCHROME1. SC: a page, SC-COLOR: a coloured screen."""
    images: int = 1
    frames: int = 1
    texts: int = 6
    """On each image."""
    written_on: tuple[int, ...] = ()
    """Frames with the texts, counted from 1; none named: all."""
    smallest: int = 12
    largest: int = 30
    """Size of the font: a capital is 0.7 of it high."""
    bitmap: bool = False
    """The letters of an old scanner: dots of 6 x 11, each of 2 x 2 pixels."""
    rows: int = 0
    """0: what the kind usually has."""
    columns: int = 0
    scratched: float = 1.0
    """Contrast of the text to what is below it: 1 is white or black."""
    seed: int = 1
    patient_id: str = "PHANTOM-2"
    patient_name: str = "Phantom^Text"
    accession: str = ""

    def uid(self, *role: object) -> str:
        """A UID of everything that decides the bytes, so that other options never reuse it."""
        return f"2.25.{uuid.uuid5(_NAMESPACE, repr((self, role))).int}"


@dataclass(frozen=True)
class Text:
    """One line that was written; `box` is that of its ink."""

    image: str
    text: str
    box: Box


@dataclass(frozen=True)
class Kind:
    sop_class: UID
    modality: str
    size: tuple[int, int]
    """Rows, columns."""
    background: Callable[[np.random.Generator, tuple[int, int]], np.ndarray]
    """Rows x columns (0 to 1, grey) or rows x columns x 3 (0 to 255)."""
    photometric: str


KINDS = {
    "US": Kind(UltrasoundImageStorage, "US", (600, 800), backgrounds.ultrasound, "RGB"),
    "SC-YBR": Kind(SecondaryCaptureImageStorage, "OT", (600, 800), backgrounds.ultrasound, "YBR_FULL"),
    "US-PALETTE": Kind(UltrasoundImageStorage, "US", (480, 640), backgrounds.ultrasound, "PALETTE COLOR"),
    "CR": Kind(ComputedRadiographyImageStorage, "CR", (1280, 1024), backgrounds.chest, "MONOCHROME1"),
    "DX": Kind(DigitalXRayImageStorageForPresentation, "DX", (1400, 1200), backgrounds.chest, "MONOCHROME2"),
    "SC": Kind(SecondaryCaptureImageStorage, "OT", (1000, 800), backgrounds.page, "MONOCHROME2"),
    "SC-COLOR": Kind(SecondaryCaptureImageStorage, "OT", (600, 800), backgrounds.screen, "RGB"),
}
CENTRE, WIDTH = 1800, 3200
"""Window of the 12 bit kinds."""


def write_texts(picture: np.ndarray, random: np.random.Generator, options: Options) -> tuple[np.ndarray, Written]:
    """The picture (values 0 to 255) with lines at free places, none nearer to another than its own height."""
    canvas = Image.fromarray(picture)
    draw = ImageDraw.Draw(canvas)
    written: Written = []
    words = list(random.permutation(WORDS))
    for _ in range(300):
        if len(written) == options.texts:
            break
        word = str(words[len(written) % len(words)])
        stencil = _stencil(word, int(random.integers(options.smallest, options.largest + 1)), bitmap=options.bitmap)
        if stencil.width + 8 >= canvas.width or stencil.height + 8 >= canvas.height:
            continue
        left, top = int(random.integers(4, canvas.width - stencil.width - 4)), int(random.integers(4, canvas.height - stencil.height - 4))
        box = (float(left), float(top), float(left + stencil.width), float(top + stencil.height))
        if any(_near(box, other, stencil.height) for _, other in written):
            continue
        below = np.asarray(canvas.crop((left, top, left + stencil.width, top + stencil.height)).convert("L"))
        dark = int(np.median(below)) > 127
        level = round(np.median(below) + ((0 if dark else 255) - np.median(below)) * options.scratched)
        draw.bitmap((left, top), stencil, fill=level if canvas.mode == "L" else (level,) * 3)
        written.append((word, box))
    return np.asarray(canvas), written


def _stencil(word: str, size: int, *, bitmap: bool) -> Image.Image:
    """The ink of a line, cropped to it."""
    font = ImageFont.load_default_imagefont() if bitmap else ImageFont.load_default(size)
    left, top, right, bottom = (round(one) for one in font.getbbox(word))
    image = Image.new("L", (right - left + 8, bottom - top + 8))
    ImageDraw.Draw(image).text((4 - left, 4 - top), word, fill=255, font=font)
    inked = image.crop(image.getbbox())
    return inked.resize((inked.width * 2, inked.height * 2), Image.Resampling.NEAREST) if bitmap else inked


def _near(one: tuple[float, ...], other: tuple[float, ...], height: float) -> bool:
    """A word's width between neighbours on one line, so that nobody would read them as one."""
    return not (one[2] + 4 * height < other[0] or other[2] + 4 * height < one[0] or one[3] + height < other[1] or other[3] + height < one[1])


def make_texts(folder: Path, options: Options) -> list[Text]:
    """Writes the images and truth.json; returns what was written into them."""
    kind = KINDS[options.kind]
    folder.mkdir(parents=True, exist_ok=True)
    truth = []
    for number in range(1, options.images + 1):
        random = np.random.default_rng([options.seed, number])
        size = (options.rows or kind.size[0], options.columns or kind.size[1])
        frames, written = _frames(kind, random, size, options)
        dataset = _dataset(kind, number, frames, options)
        dataset.save_as(folder / f"{number:04d}.dcm", enforce_file_format=True)
        truth += [Text(str(dataset.SOPInstanceUID), word, box) for word, box in written]
    lines = [{"image": one.image, "text": one.text, "box": one.box} for one in truth]
    (folder / "truth.json").write_text(json.dumps({"texts": lines}, indent=1) + "\n", encoding="utf-8")
    return truth


def _frames(kind: Kind, random: np.random.Generator, size: tuple[int, int], options: Options) -> tuple[np.ndarray, Written]:
    """All frames have the same texts at the same places, on a background that moves."""
    state = random.integers(1 << 30)
    frames: list[np.ndarray] = []
    written: Written = []
    for frame in range(1, options.frames + 1):
        picture = kind.background(random, size)
        if not options.written_on or frame in options.written_on:
            picture, written = write_texts(picture, np.random.default_rng(state), options)
        frames.append(picture)
    return np.stack(frames), written


def _dataset(kind: Kind, number: int, frames: np.ndarray, options: Options) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = UltrasoundMultiFrameImageStorage if kind.modality == "US" and len(frames) > 1 else kind.sop_class
    dataset.SOPInstanceUID = options.uid("image", number)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = options.uid("study"), options.uid("series")
    dataset.PatientID, dataset.PatientName = options.patient_id, options.patient_name
    dataset.PatientBirthDate, dataset.PatientSex = "19680423", "F"
    dataset.AccessionNumber = options.accession
    dataset.StudyID, dataset.ReferringPhysicianName = "", ""
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = dataset.AcquisitionDate = "20260117"
    dataset.StudyTime = dataset.SeriesTime = dataset.ContentTime = dataset.AcquisitionTime = "104207"
    dataset.StudyDescription = "Text phantom"
    dataset.Modality, dataset.SeriesNumber, dataset.InstanceNumber = kind.modality, 1, number
    dataset.Manufacturer, dataset.ManufacturerModelName = "Gantry", "phantom"
    dataset.ImageType = ["DERIVED", "SECONDARY"] if kind.modality == "OT" else ["ORIGINAL", "PRIMARY"]
    dataset.PatientOrientation = ["L", "F"] if kind.modality == "DX" else ""
    _class_specific(dataset, kind, options)
    if len(frames) > 1:
        dataset.NumberOfFrames, dataset.FrameTime, dataset.FrameIncrementPointer = len(frames), 40, 0x00181063
    _pixels(dataset, kind, frames)
    return dataset


def _class_specific(dataset: Dataset, kind: Kind, options: Options) -> None:
    if kind.modality == "OT":
        dataset.ConversionType = "WSD"
    if kind.modality in ("US", "OT"):
        dataset.Laterality = ""
    if kind.modality == "CR":
        dataset.BodyPartExamined, dataset.ViewPosition, dataset.KVP = "CHEST", "AP", 110
    if kind.modality == "DX":
        dataset.PresentationIntentType, dataset.ImageLaterality = "FOR PRESENTATION", "U"
        dataset.AnatomicRegionSequence, dataset.AcquisitionContextSequence = [], []
        dataset.LossyImageCompression, dataset.DetectorType, dataset.PositionerType = "00", "", ""
        dataset.BurnedInAnnotation = "YES" if options.texts else "NO"


def _pixels(dataset: Dataset, kind: Kind, frames: np.ndarray) -> None:
    dataset.Rows, dataset.Columns = frames.shape[1:3]
    dataset.PhotometricInterpretation, dataset.PixelRepresentation = kind.photometric, 0
    stored, bits = frames, 8
    dataset.SamplesPerPixel = 3 if frames.ndim == 4 else 1
    if frames.ndim == 4:
        dataset.PlanarConfiguration = 0
    if kind.photometric == "YBR_FULL":
        stored = convert_color_space(frames, "RGB", "YBR_FULL", per_frame=True)
    elif kind.photometric == "PALETTE COLOR":
        stored, dataset.SamplesPerPixel = frames[..., 0], 1
        del dataset.PlanarConfiguration
        _palette(dataset)
    elif kind.modality in ("CR", "DX"):
        stored, bits = _in_twelve_bits(frames, inverted=kind.photometric == "MONOCHROME1"), 12
        dataset.WindowCenter, dataset.WindowWidth = CENTRE, WIDTH
        dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = 0, 1, "US"
        dataset.PresentationLUTShape = "INVERSE" if kind.photometric == "MONOCHROME1" else "IDENTITY"
        dataset.PixelIntensityRelationship, dataset.PixelIntensityRelationshipSign = "LOG", -1
        dataset.ImagerPixelSpacing = [0.2, 0.2]
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    dataset.BitsAllocated = 8 if bits == 8 else 16
    content = np.ascontiguousarray(stored).tobytes()
    dataset.PixelData = content + b"\0" * (len(content) % 2)
    dataset["PixelData"].VR = "OB" if bits == 8 else "OW"


def _in_twelve_bits(frames: np.ndarray, *, inverted: bool) -> np.ndarray:
    """0..255 of the screen into the window, so that white is at its upper end and black at its lower."""
    shown = (255 - frames if inverted else frames).astype(np.float32) / 255
    return np.clip(CENTRE - WIDTH / 2 + shown * WIDTH, 0, 4095).astype("<u2")


def _palette(dataset: Dataset) -> None:
    """Sepia, as some machines have it."""
    ramp = np.arange(256)
    for name, share in (("Red", 1.0), ("Green", 0.9), ("Blue", 0.7)):
        setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(dataset, f"{name}PaletteColorLookupTableData", (ramp * 257 * share).astype("<u2").tobytes())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="OUT")
    parser.add_argument("--kind", choices=sorted(KINDS), default="US")
    for field in fields(Options):
        if field.type in ("int", "float"):
            parser.add_argument(f"--{field.name}", type=int if field.type == "int" else float, default=field.default)
    given = vars(parser.parse_args())
    texts = make_texts(given.pop("folder"), Options(**given))
    print(f"{len(texts)} texts")


if __name__ == "__main__":
    main()
