"""A MAP application of the MONAI Deploy App SDK's own operators on Holoscan: loader, series selector, series to volume, writers of SEG and Text SR.

A threshold stands in for the model, empty classes for the names of `monai` that the SDK imports without using them here. It says in its report what
came of opening a network socket. `python application.py [exits-7|raises|ends-with-7]`: goes wrong in that way instead, the last when all is written.
SCHEDULER=multi-thread or event-based: by another scheduler of Holoscan than its default. inside.json in the output tells what the process is and may.
"""

import enum
import errno
import json
import os
import socket
import sys
import threading
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

from holoscan.schedulers import EventBasedScheduler, MultiThreadScheduler  # noqa: E402
from monai.deploy import operators as sdk  # noqa: E402
from monai.deploy.conditions import CountCondition  # noqa: E402
from monai.deploy.core import Application, Image, Operator, OperatorSpec  # noqa: E402
from monai.deploy.operators.dicom_seg_writer_operator import SegmentDescription  # noqa: E402
from pydicom.sr.codedict import codes  # noqa: E402

SCHEDULERS = {"multi-thread": MultiThreadScheduler, "event-based": EventBasedScheduler}
QUIET = 2000
"""Milliseconds without a ready operator after which these two take the graph for ended. With Holoscan's default of 0 the multi-thread one may do so while an
operator hands on to the next: 2 of 6 runs on a busy machine ended with exit code 0 and without results, and no launcher was there."""
FAMILIES = {
    "AF_INET": (socket.AF_INET, socket.SOCK_STREAM),
    "AF_INET6": (socket.AF_INET6, socket.SOCK_DGRAM),
    "AF_UNIX": (socket.AF_UNIX, socket.SOCK_STREAM),
    "AF_NETLINK": (socket.AF_NETLINK, socket.SOCK_RAW),
}
WAY = sys.argv[1] if len(sys.argv) > 1 else "works"


def network() -> str:
    """What the kernel says to a network socket."""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM).close()
    except OSError as error:
        return f"refused with errno {error.errno}"
    return "open"


def opened(family: socket.AddressFamily, kind: socket.SocketKind) -> str:
    try:
        socket.socket(family, kind).close()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "opened"


def inside() -> dict[str, Any]:
    """What the kernel says of this process while Holoscan runs in it."""
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines())
    sockets = {name: opened(*one) for name, one in FAMILIES.items()}
    return {"sockets": sockets, "main thread": threading.current_thread() is threading.main_thread(), **{name: status[name] for name in ("Uid", "Seccomp", "NoNewPrivs", "CapEff")}}


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
        (Path(Application.init_app_context([]).output_path) / "inside.json").write_text(json.dumps(inside()))
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
    bones = Bones()
    if chosen := SCHEDULERS.get(os.environ.get("SCHEDULER", "")):
        bones.scheduler(chosen(bones, worker_thread_number=2, stop_on_deadlock_timeout=QUIET, name="scheduler"))
    bones.run()
    if WAY == "ends-with-7":
        sys.exit(7)
