"""Makes the recorded objects of this folder with the MONAI Deploy App SDK's own writers; needs an environment of its own, which README.md names.

`python monai_deploy.py IMAGES OUT`: IMAGES is a folder with the CT series of `tests.builders_dicom.ct_series(20, pixels=True)`; OUT gets seg.dcm,
sr.dcm and pdf.dcm. No model runs: a threshold stands in for it, and empty classes for the names of `monai` that the SDK imports without using them here.
"""

import enum
import io
import sys
import types
from pathlib import Path
from typing import Any


class StrEnum(str, enum.Enum):  # noqa: UP042 - as the SDK's own `monai.utils` has it
    """What `monai.utils` exports."""


def stand_in(name: str, *names: str, **given: Any) -> None:
    module = types.ModuleType(name)
    vars(module).update({each: type(each, (), {}) for each in names} | given)
    sys.modules[name] = module


stand_in("monai.utils", "ensure_tuple", StrEnum=StrEnum)
stand_in("monai.bundle", "ConfigParser")
stand_in("monai.data", "ImageReader", "Dataset", "DataLoader")
stand_in("monai.transforms", "Compose", "MapTransform")

from monai.deploy import operators as sdk  # noqa: E402
from monai.deploy.core import Image  # noqa: E402
from monai.deploy.operators.dicom_seg_writer_operator import SegmentDescription  # noqa: E402
from pydicom.sr.codedict import codes  # noqa: E402

try:
    from monai.deploy.core import Fragment  # from 1.0 on

    FRAGMENT: tuple[Any, ...] = (Fragment(),)
    from pypdf import PdfWriter
except ImportError:
    FRAGMENT = ()
    from PyPDF2 import PdfWriter

MODEL = {"creator": "ACME AI", "name": "LungNoduleNet", "version": "2.1.0", "uid": "1.2.3.4"}


def main(images: Path, out: Path) -> None:
    segment = SegmentDescription(
        segment_label="nodule",
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Nodule,
        algorithm_name=MODEL["name"],
        algorithm_family=codes.DCM.ArtificialIntelligence,
        algorithm_version=MODEL["version"],
    )
    studies = sdk.DICOMDataLoaderOperator(*FRAGMENT, **named("loader")).load_data_to_studies(images)
    chosen = sdk.DICOMSeriesSelectorOperator(*FRAGMENT, **named("selector")).filter(None, studies)
    volume = sdk.DICOMSeriesToVolumeOperator(*FRAGMENT, **named("volume")).convert_to_image(chosen)
    mask = Image((volume.asnumpy() > 0).astype("uint8"))
    series = chosen[0].selected_series[0].series
    folder = {"output_folder": out} if FRAGMENT else {}
    writer = sdk.DICOMSegmentationWriterOperator(*FRAGMENT, segment_descriptions=[segment], **folder, **named("seg"))
    keep(out, "seg.dcm", lambda: writer.process_images(mask, chosen, out))
    model = sdk.ModelInfo(**MODEL)
    text = sdk.DICOMTextSRWriterOperator(*FRAGMENT, model_info=model, copy_tags=True, **folder, **named("sr"))
    keep(out, "sr.dcm", lambda: text.write("Volume of the nodule: 7238 mm3", series, out))
    document = sdk.DICOMEncapsulatedPDFWriterOperator(*FRAGMENT, model_info=model, copy_tags=True, **folder, **named("pdf"))
    keep(out, "pdf.dcm", lambda: document.write(an_empty_page(), series, out))


def an_empty_page() -> bytes:
    page, file = PdfWriter(), io.BytesIO()
    page.add_blank_page(100, 100)
    page.write(file)
    return file.getvalue()


def named(name: str) -> dict[str, str]:
    return {"name": name} if FRAGMENT else {}


def keep(out: Path, name: str, write: Any) -> None:
    """Runs a writer, which names its file by its UID."""
    before = set(out.glob("*.dcm"))
    write()
    (new,) = set(out.glob("*.dcm")) - before
    new.replace(out / name)


if __name__ == "__main__":
    Path(sys.argv[2]).mkdir(parents=True, exist_ok=True)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
