"""What SDKs really write (tests/recorded): mended under Repair until dciodvfy has nothing to say, refused under Strict by file and attribute.

dciodvfy's word on the files as they were made is asserted too, so that a recording which is whole already would be noticed.
"""

import io
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pydicom
import pytest
from pydicom import Dataset
from tests.builders import RUN
from tests.builders_dicom import ct_series
from tests.builders_findings import a_context, negative, parsed
from tests.component.sr_validators import dciodvfy, dsrdump

from gantry.api.run import RunSpec
from gantry.report import UnacceptedObject
from gantry.runs import Task
from gantry.worker.objects import Accepted, accept, encoder

RECORDED = Path(__file__).parents[1] / "recorded"
LATIN = ct_series(20)
CYRILLIC = ct_series(20, SpecificCharacterSet="ISO_IR 144", RequestAttributesSequence=None, PatientName="Люкceмбypг")
REPORT = [
    "CompletionFlag: is missing; Gantry wrote COMPLETE",
    "ReferencedPerformedProcedureStepSequence: is missing; Gantry wrote it empty",
    "PerformedProcedureCodeSequence: is missing; Gantry wrote it empty",
]
NAME = "PatientName: has question marks for letters that its character set lacks; Gantry copied it from the input"
# [file] -> what Gantry says, what dciodvfy says of the file as it was made
CASES: dict[str, tuple[list[str], list[str]]] = {
    "monai-deploy-3.5.0/sr.dcm": (REPORT, ["CompletionFlag", "ReferencedPerformedProcedureStepSequence", "PerformedProcedureCodeSequence"]),
    "monai-deploy-3.5.0/sr-cyrillic.dcm": ([NAME, *REPORT], ["CompletionFlag", "ReferencedPerformedProcedureStepSequence", "PerformedProcedureCodeSequence"]),
    "monai-deploy-3.5.0/seg.dcm": (["ContributingEquipmentSequence[1].Manufacturer: is empty; Gantry wrote the algorithm's"], ["Manufacturer"]),
    "monai-deploy-3.5.0/pdf.dcm": ([], []),
    "monai-deploy-0.5.1/sr.dcm": (REPORT, ["CompletionFlag", "ReferencedPerformedProcedureStepSequence", "PerformedProcedureCodeSequence"]),
    "monai-deploy-0.5.1/seg.dcm": (["SpecificCharacterSet: is missing, but there are texts beyond ASCII; Gantry wrote ISO_IR 100"], ["Patient's Name", "Value Representations"]),
    "monai-deploy-0.5.1/seg-cyrillic.dcm": ([NAME], []),
    "monai-deploy-0.5.1/pdf.dcm": ([], []),
}  # fmt: skip


def source_of(file: str) -> Sequence[Dataset]:
    return CYRILLIC if "cyrillic" in file else LATIN


def taken(file: str, conformance: str) -> Accepted:
    spec = RunSpec.model_validate(RUN["spec"] | {"template": RUN["spec"]["template"] | {"report": {"conformance": conformance}}})
    task = Task(installation="here", namespace="ns", run="run-1", uid="run-uid", created=datetime(2026, 1, 1, tzinfo=UTC), orthanc_url="http://orthanc", connections=1, spec=spec)
    content = (RECORDED / file).read_bytes()
    (one,) = accept([("x.dcm", content)], task=task, step="detect", source=source_of(file), findings=parsed(negative()), context=a_context())
    return one


@pytest.mark.parametrize("file", CASES)
def test_a_recorded_object_is_mended_until_nothing_is_wrong(file: str, tmp_path: Path) -> None:
    wanted, before = CASES[file]
    told = dciodvfy(RECORDED / file)
    assert len(told) == len(before)
    assert all(any(word in line for line in told) for word in before), told
    one = taken(file, "Repair")
    assert list(one.faults) == [f"x.dcm: {fault}" for fault in wanted]
    mended = tmp_path / "mended.dcm"
    mended.write_bytes(encoder(one.dataset)())
    assert dciodvfy(mended) == []
    if one.kind == "SR":
        assert dsrdump(mended) == []


@pytest.mark.parametrize("file", CASES)
def test_the_patient_is_the_images_and_the_content_is_untouched(file: str) -> None:
    made, mended = pydicom.dcmread(RECORDED / file), pydicom.dcmread(io.BytesIO(encoder(taken(file, "Repair").dataset)()))
    assert (str(mended.PatientName), mended.PatientID) == (source_of(file)[0].PatientName, "PAT-0042")
    for keyword in ("PixelData", "EncapsulatedDocument", "ContentSequence", "PerFrameFunctionalGroupsSequence", "SeriesDescription"):
        assert made.get(keyword) == mended.get(keyword)
    assert mended.ContributingEquipmentSequence[-1].Manufacturer == "Gantry"


@pytest.mark.parametrize("file", CASES)
def test_strict_conformance_refuses_a_recorded_object_by_file_and_attribute(file: str) -> None:
    faults, _ = CASES[file]
    if not faults:
        assert taken(file, "Strict").faults == ()
        return
    with pytest.raises(UnacceptedObject) as refused:
        taken(file, "Strict")
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    assert str(refused.value) == f"x.dcm: {faults[0].partition('; Gantry')[0]}{more}; report.conformance of the pipeline is Strict"


@pytest.mark.parametrize("file", [file for file in CASES if "seg" in file])
def test_an_independent_reader_takes_a_mended_segmentation(file: str, tmp_path: Path) -> None:
    """dcmqi's, which people use to get masks back."""
    mended = tmp_path / "mended.dcm"
    mended.write_bytes(encoder(taken(file, "Repair").dataset)())
    program = Path(sys.executable).parent / "segimage2itkimage"
    done = subprocess.run([program, "--inputDICOM", mended, "--outputDirectory", tmp_path], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(tmp_path.glob("*.nrrd"))
