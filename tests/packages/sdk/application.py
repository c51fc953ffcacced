"""A MAP application of the MONAI Deploy App SDK's own operators on Holoscan: loader, series selector, series to volume, writers of SEG and Text SR.

A threshold stands in for the model, empty classes for the names of `monai` that the SDK imports without using them here. It says in its report what
came of opening a network socket. `python application.py [exits-7|raises]`: goes wrong in that way instead.
"""

import enum
import os
import socket
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
from monai.deploy.conditions import CountCondition  # noqa: E402
from monai.deploy.core import Application, Image, Operator, OperatorSpec  # noqa: E402
from monai.deploy.operators.dicom_seg_writer_operator import SegmentDescription  # noqa: E402
from pydicom.sr.codedict import codes  # noqa: E402

WAY = sys.argv[1] if len(sys.argv) > 1 else "works"


def network() -> str:
    """What the kernel says to a network socket."""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM).close()
    except OSError as error:
        return f"refused with errno {error.errno}"
    return "open"


class Threshold(Operator):  # type: ignore[misc]  # the SDK has no types
    """Everything above 0 HU."""

    def setup(self, spec: OperatorSpec) -> None:
        spec.input("image")
        spec.output("mask")
        spec.output("text")

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        if WAY == "exits-7":
            os._exit(7)
        if WAY == "raises":
            raise ValueError("the model does not like these images")
        mask = (op_input.receive("image").asnumpy() > 0).astype("uint8")
        op_output.emit(Image(mask), "mask")
        op_output.emit(f"Voxels above 0 HU: {int(mask.sum())}; network: {network()}", "text")


class Bones(Application):  # type: ignore[misc]  # the SDK has no types
    """Loader -> selector -> volume -> threshold -> writers."""

    def compose(self) -> None:
        places = Application.init_app_context([])
        out = Path(places.output_path)
        segment = SegmentDescription(
            segment_label="bone",
            segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
            segmented_property_type=codes.SCT.Nodule,
            algorithm_name="Threshold",
            algorithm_family=codes.DCM.ArtificialIntelligence,
            algorithm_version="1",
        )
        loader = sdk.DICOMDataLoaderOperator(self, CountCondition(self, 1), input_folder=Path(places.input_path), name="loader")
        selector = sdk.DICOMSeriesSelectorOperator(self, name="selector")
        volume = sdk.DICOMSeriesToVolumeOperator(self, name="volume")
        threshold = Threshold(self, name="threshold")
        segmentation = sdk.DICOMSegmentationWriterOperator(self, segment_descriptions=[segment], output_folder=out, name="segmentation")
        model = sdk.ModelInfo(creator="ACME AI", name="Threshold", version="1", uid="1.2.3.4")
        text = sdk.DICOMTextSRWriterOperator(self, copy_tags=True, model_info=model, output_folder=out, name="text")
        series = {("study_selected_series_list", "study_selected_series_list")}
        self.add_flow(loader, selector, {("dicom_study_list", "dicom_study_list")})
        self.add_flow(selector, volume, series)
        self.add_flow(volume, threshold, {("image", "image")})
        self.add_flow(selector, segmentation, series)
        self.add_flow(threshold, segmentation, {("mask", "seg_image")})
        self.add_flow(selector, text, series)
        self.add_flow(threshold, text, {("text", "text")})


if __name__ == "__main__":
    Bones().run()
