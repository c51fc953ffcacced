"""Handed-over objects get an identity of the Run's own, and what refers to them follows."""

import io
from datetime import UTC, datetime

import pydicom
import pytest
from pydicom import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian
from tests.builders import RUN
from tests.builders_findings import a_context, negative, parsed
from tests.builders_slices import a_ct, encoded, uid

from gantry.api.run import RunSpec
from gantry.runs import Task, result_uid
from gantry.worker.objects import accept, encoder
from gantry.worker.outcome import Stop

TASK = Task(
    installation="here", namespace="ns", run="run-1", uid="run-uid", created=datetime(2026, 1, 1, tzinfo=UTC), orthanc_url="http://orthanc", connections=1,
    spec=RunSpec.model_validate(RUN["spec"]),
)  # fmt: skip
FINDINGS, CONTEXT = parsed(negative()), a_context()
SOURCE = [pydicom.dcmread(io.BytesIO(a_ct(number=number)), stop_before_pixels=True) for number in (1, 2)]


def a_capture(name: str, *, series: str = "made", refers_to: tuple[str, str] | None = None) -> Dataset:
    ds = pydicom.dcmread(io.BytesIO(a_ct(SOPClassUID="1.2.840.10008.5.1.4.1.1.7", Modality="OT")))
    ds.SOPInstanceUID, ds.SeriesInstanceUID = uid(name), series if "." in series else uid(series)
    image = Dataset()
    image.ReferencedSOPInstanceUID = uid("study", "series", 1)
    ds.SourceImageSequence = [image]
    if refers_to:
        other = Dataset()
        other.ReferencedSOPInstanceUID, other.SeriesInstanceUID = refers_to
        ds.ReferencedImageSequence = [other]
    return ds


def accepted(*datasets: Dataset) -> list[Dataset]:
    files = [(f"{place}.dcm", encoded(ds)) for place, ds in enumerate(datasets)]
    made = accept(files, task=TASK, step="detect", source=SOURCE, findings=FINDINGS, context=CONTEXT)
    return [pydicom.dcmread(io.BytesIO(encoder(one.dataset)())) for one in made]


def test_uids_follow_from_the_run_and_the_place_among_the_files() -> None:
    one, two, three = accepted(a_capture("a"), a_capture("b"), a_capture("c", series="other"))
    assert [ds.SOPInstanceUID for ds in (one, two, three)] == [result_uid("here", "ns", "run-1", "sc", place) for place in range(3)]
    assert one.SeriesInstanceUID == two.SeriesInstanceUID == result_uid("here", "ns", "run-1", "sc-series", 0)
    assert three.SeriesInstanceUID == result_uid("here", "ns", "run-1", "sc-series", 1)


def test_other_uids_of_the_application_make_the_same_bytes() -> None:
    """An application draws new UIDs each time; a second attempt must still be the same object for the archive."""
    first = accept([("a.dcm", encoded(a_capture("x")))], task=TASK, step="detect", source=SOURCE, findings=FINDINGS, context=CONTEXT)
    second = accept([("a.dcm", encoded(a_capture("y", series="z")))], task=TASK, step="detect", source=SOURCE, findings=FINDINGS, context=CONTEXT)
    assert encoder(first[0].dataset)() == encoder(second[0].dataset)()


def test_references_to_another_object_of_the_run_follow_it() -> None:
    one, two = accepted(a_capture("a", series="first"), a_capture("b", refers_to=(uid("a"), uid("first"))))
    (reference,) = two.ReferencedImageSequence
    assert (reference.ReferencedSOPInstanceUID, reference.SeriesInstanceUID) == (one.SOPInstanceUID, one.SeriesInstanceUID)


def test_references_to_the_source_stay_also_when_its_series_was_taken() -> None:
    series = uid("study", "series")
    one, two = accepted(a_capture("a", series=series), a_capture("b", refers_to=(uid("study", "series", 2), series)))
    assert one.SeriesInstanceUID != series
    (reference,) = two.ReferencedImageSequence
    assert (reference.ReferencedSOPInstanceUID, reference.SeriesInstanceUID) == (uid("study", "series", 2), series)
    assert two.SourceImageSequence[0].ReferencedSOPInstanceUID == uid("study", "series", 1)


def test_preamble_and_meta_header_are_made_anew() -> None:
    ds = a_capture("a")
    content = b"MZ" + bytes(126) + encoded(ds)[128:]
    (made,) = accept([("a.dcm", content)], task=TASK, step="detect", source=SOURCE, findings=FINDINGS, context=CONTEXT)
    file = encoder(made.dataset)()
    assert file[:128] == bytes(128)
    meta = pydicom.dcmread(io.BytesIO(file)).file_meta
    assert meta.MediaStorageSOPInstanceUID == made.dataset.SOPInstanceUID
    assert meta.ImplementationVersionName == "GANTRY"


def test_a_deflated_object_is_refused_before_it_is_inflated() -> None:
    """A kilobyte of it could hold a gigabyte; what follows the meta header here is not even deflated."""
    ds = a_capture("a")
    encoded(ds)
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    file = io.BytesIO()
    ds.save_as(file, enforce_file_format=True)
    content = file.getvalue()[:600]
    with pytest.raises(Stop) as stop:
        accept([("a.dcm", content)], task=TASK, step="detect", source=SOURCE, findings=FINDINGS, context=CONTEXT)
    assert stop.value.failure.message == "a.dcm is deflated (1.2.840.10008.1.2.1.99); write it uncompressed"
