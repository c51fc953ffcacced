"""Synthetic DICOM: a small CT series, single images of other kinds, and objects an application might hand over. Nothing is read from files.

`ct_series()` passes dciodvfy and dcentvfy without a word. Everything is derived from names, so two calls give equal datasets.
"""

import uuid
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
from highdicom.sr import CodedConcept
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

NAMESPACE = uuid.UUID("6f0e7a1e-2c39-5d3f-9d6a-0f3d7c1b2a44")
SIZE = 128
SPACING = 0.7
SLICE = 5.0
FIRST_SLICE = -100.0

STUDY = {
    "SpecificCharacterSet": "ISO_IR 100",
    "PatientName": "Müller^Jürgen",
    "PatientID": "PAT-0042",
    "IssuerOfPatientID": "HOSP1",
    "PatientBirthDate": "19600101",
    "PatientSex": "M",
    "PatientAge": "066Y",
    "StudyDate": "20261120",
    "StudyTime": "101500",
    "StudyID": "S1",
    "StudyDescription": "CT Thorax nativ",
    "AccessionNumber": "ACC20260001",
    "ReferringPhysicianName": "House^Gregory",
}
SOP_CLASSES = {
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "DX": "1.2.840.10008.5.1.4.1.1.1.1",
    "MG": "1.2.840.10008.5.1.4.1.1.1.2",
    "US": "1.2.840.10008.5.1.4.1.1.6.1",
    "US multi-frame": "1.2.840.10008.5.1.4.1.1.3.1",
    "SC": "1.2.840.10008.5.1.4.1.1.7",
    "PT": "1.2.840.10008.5.1.4.1.1.128",
    "Enhanced CT": "1.2.840.10008.5.1.4.1.1.2.1",
    "Enhanced MR": "1.2.840.10008.5.1.4.1.1.4.1",
}


def uid(name: str) -> str:
    """A UID that is the same for the same name."""
    return f"2.25.{uuid.uuid5(NAMESPACE, name).int}"


def ct_series(slices: int = 20, *, series: str = "ct", study: str = "study", pixels: bool = False, **changes: Any) -> list[Dataset]:
    """Axial CT slices of 128 x 128, 0.7 mm apart, every 5 mm, with a sphere as nodule. `changes` by keyword; None leaves an element out.

    Slice k lies at z = -100 + 5 k mm; pixel (column, row) at x = y = -44.8 + 0.7 * index mm.
    """
    return [_ct_slice(number, slices, series=series, study=study, pixels=pixels, changes=changes) for number in range(slices)]


def _ct_slice(number: int, slices: int, *, series: str, study: str, pixels: bool, changes: dict[str, Any]) -> Dataset:
    z = FIRST_SLICE + SLICE * number
    image = _image("CT", f"{series}-{number}", series=series, study=study)
    image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    image.InstanceNumber = number + 1
    image.FrameOfReferenceUID = uid(f"{study}-space")
    image.PositionReferenceIndicator = ""
    image.PatientPosition = "HFS"
    image.ImagePositionPatient = [-SIZE * SPACING / 2, -SIZE * SPACING / 2, z]
    image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    image.PixelSpacing = [SPACING, SPACING]
    image.SliceThickness, image.SpacingBetweenSlices, image.SliceLocation = SLICE, SLICE, z
    image.KVP, image.AcquisitionNumber = 120, 1
    image.RescaleIntercept, image.RescaleSlope, image.RescaleType = -1024, 1, "HU"
    if pixels:
        image.PixelData = _sphere(number, slices).tobytes()
        image["PixelData"].VR = "OW"
    return changed(image, **changes)


def _sphere(number: int, slices: int) -> "np.ndarray[Any, np.dtype[np.int16]]":
    """Air around a soft cylinder with a sphere of 12 pixels at column 70, row 60."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    radius = 12 * np.sqrt(max(0.0, 1 - ((number - slices / 2) / 4) ** 2))
    body = (columns - SIZE / 2) ** 2 + (rows - SIZE / 2) ** 2 < (SIZE * 0.4) ** 2
    nodule = (columns - 70) ** 2 + (rows - 60) ** 2 < radius**2
    return np.where(nodule, 1060, np.where(body, 200, 24)).astype("<i2")


def an_image(kind: str, **changes: Any) -> Dataset:
    """The header of one image of a kind named in SOP_CLASSES, with no more than such images are sure to have."""
    modality = kind.split()[-1] if kind.startswith("Enhanced") else kind.split()[0]
    image = _image(kind, kind, series=kind, study="study")
    image.Modality = {"SC": "OT"}.get(modality, modality)
    if kind in ("MR", "PT", "Enhanced CT", "Enhanced MR"):
        image.FrameOfReferenceUID = uid("study-space")
    if kind in ("US multi-frame", "Enhanced CT", "Enhanced MR"):
        image.NumberOfFrames = 4
    return changed(image, **changes)


def _image(kind: str, name: str, *, series: str, study: str) -> Dataset:
    image = Dataset()
    for keyword, value in STUDY.items():
        setattr(image, keyword, value)
    image.SOPClassUID = UID(SOP_CLASSES[kind])
    image.SOPInstanceUID = UID(uid(f"{study}-{name}"))
    image.StudyInstanceUID = uid(study)
    image.SeriesInstanceUID = uid(f"{study}-{series}")
    image.Modality, image.SeriesNumber, image.SeriesDescription = "CT", 3, "Thorax 5.0 lung"
    image.SeriesDate = image.AcquisitionDate = image.ContentDate = "20261120"
    image.SeriesTime = image.AcquisitionTime = image.ContentTime = "101500"
    image.Manufacturer, image.InstitutionName, image.BodyPartExamined = "Scanner Works", "Test Hospital", "CHEST"
    image.InstanceNumber = 1
    request = Dataset()
    request.RequestedProcedureID, request.ScheduledProcedureStepID = "RP1", "SPS1"
    request.RequestedProcedureDescription = "CT Thorax für Ärzte"
    image.RequestAttributesSequence = [request]
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.Rows = image.Columns = SIZE
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 1
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return image


def changed(dataset: Dataset, **changes: Any) -> Dataset:
    """The dataset with elements set; None leaves one out."""
    for keyword, value in changes.items():
        if value is not None:
            setattr(dataset, keyword, value)
        elif keyword in dataset:
            delattr(dataset, keyword)
    return dataset


def deflated(image: Dataset, *, private: int = 0, pixels: int = 0) -> bytes:
    """The image in the deflated transfer syntax (PS3.5 A.5). `private`, `pixels`: so many bytes of zeros, a thousandth of that in the file."""
    image.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    if private:
        image.add_new(0x00110010, "LO", "ACME")
        image.add_new(0x00111001, "OB", bytes(private))
    if pixels:
        image.PixelData = bytes(pixels)
    return as_file(image)


def as_file(dataset: Dataset) -> bytes:
    """The dataset as a DICOM file."""
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def read_back(dicom: bytes) -> Dataset:
    """A DICOM file as a dataset, headers decoded."""
    dataset = dcmread(BytesIO(dicom))
    dataset.decode()
    return dataset


def write_series(datasets: Sequence[Dataset], folder: Path) -> list[Path]:
    """Writes 0000.dcm, 0001.dcm, … and returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:04d}.dcm" for number in range(len(datasets))]
    for path, dataset in zip(paths, datasets, strict=True):
        path.write_bytes(as_file(dataset))
    return paths


def a_segmentation(source: Sequence[Dataset], *, tracking_uid: str | None = None, **changes: Any) -> Dataset:
    """A SEG with one segment on slices 6 to 13; `source` needs its pixels."""
    mask = np.zeros((len(source), SIZE, SIZE), np.uint8)
    mask[6:14, 52:68, 62:78] = 1
    algorithm = highdicom.AlgorithmIdentificationSequence("LungNoduleNet", CodedConcept("123110", "DCM", "Artificial Intelligence"), "2.1.0")
    segment = highdicom.seg.SegmentDescription(
        1,
        "nodule-1",
        CodedConcept("49755003", "SCT", "Morphologically Abnormal Structure"),
        CodedConcept("27925004", "SCT", "Nodule"),
        highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm,
        tracking_uid=tracking_uid or uid("segment"),
        tracking_id="nodule-1",
        anatomic_regions=[CodedConcept("39607008", "SCT", "Lung")],
    )
    segmentation = highdicom.seg.Segmentation(
        list(source),
        mask,
        highdicom.seg.SegmentationTypeValues.BINARY,
        [segment],
        uid("seg-series"),
        9002,
        uid("seg"),
        1,
        "ACME AI",
        "LungNoduleNet",
        "2.1.0",
        "SN1",
        series_description="AI LungNoduleNet 2.1.0 SEG",
        omit_empty_frames=True,
    )
    return changed(read_back(as_file(segmentation)), **changes)


def a_parametric_map(source: Sequence[Dataset]) -> Dataset:
    """A map of numbers on every slice of a CT series."""
    shape = (len(source), SIZE, SIZE)
    window = highdicom.content.VOILUTTransformation(window_center=0.5, window_width=1)
    mapping = highdicom.pm.RealWorldValueMapping(
        lut_label="1", lut_explanation="probability", unit=CodedConcept("1", "UCUM", "no units"), value_range=[0.0, 1.0], slope=1, intercept=0
    )
    made = highdicom.pm.ParametricMap(
        source_images=list(source),
        pixel_array=np.zeros(shape, np.float32),
        series_instance_uid=uid("pm-series"),
        series_number=100,
        sop_instance_uid=uid("pm"),
        instance_number=1,
        manufacturer="ACME AI",
        manufacturer_model_name="LungNoduleNet",
        software_versions="2.1.0",
        device_serial_number="1",
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[mapping],
        voi_lut_transformations=[window],
    )
    return read_back(as_file(made))


def a_pdf(image: Dataset, **changes: Any) -> Dataset:
    """An Encapsulated PDF of the image's study."""
    pdf = _of_the_study(image, "1.2.840.10008.5.1.4.1.1.104.1", "pdf", modality="DOC")
    pdf.ConversionType, pdf.BurnedInAnnotation, pdf.DocumentTitle = "WSD", "YES", "AI report"
    pdf.AcquisitionDateTime, pdf.ConceptNameCodeSequence = "", []
    pdf.MIMETypeOfEncapsulatedDocument = "application/pdf"
    document = b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF"
    pdf.EncapsulatedDocument, pdf.EncapsulatedDocumentLength = document + b"\0" * (len(document) % 2), len(document)
    return changed(pdf, **changes)


def a_secondary_capture(image: Dataset, **changes: Any) -> Dataset:
    """An RGB Secondary Capture of the image's study."""
    capture = _of_the_study(image, SOP_CLASSES["SC"], "sc", modality="OT")
    capture.ConversionType, capture.Rows, capture.Columns = "WSD", 16, 16
    capture.SamplesPerPixel, capture.PhotometricInterpretation, capture.PlanarConfiguration = 3, "RGB", 0
    capture.BitsAllocated, capture.BitsStored, capture.HighBit, capture.PixelRepresentation = 8, 8, 7, 0
    capture.PixelData = bytes(16 * 16 * 3)
    capture["PixelData"].VR = "OB"
    return changed(capture, **changes)


def _of_the_study(image: Dataset, sop_class: str, name: str, *, modality: str) -> Dataset:
    result = Dataset()
    for keyword in (*STUDY, "StudyInstanceUID"):
        if keyword in image:
            setattr(result, keyword, image[keyword].value)
    result.SOPClassUID, result.SOPInstanceUID, result.SeriesInstanceUID = UID(sop_class), UID(uid(name)), uid(f"{name}-series")
    result.Modality, result.Manufacturer, result.SeriesNumber, result.InstanceNumber = modality, "ACME AI", 9004, 1
    result.ContentDate, result.ContentTime = "20261120", "110203"
    result.file_meta = FileMetaDataset()
    result.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return result
