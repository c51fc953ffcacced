"""Small DICOM instances for tests, made and forgotten; UIDs are derived from the names given, so that the same call makes the same file."""

import io
import uuid

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian


def uid(*names: object) -> str:
    """A UID under 2.25 that depends on `names` only."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, '/'.join(map(str, names))).int}"


def a_ct(
    study: str = "study", *, series: str = "series", number: int = 1, patient: str = "PATIENT1", rows: int = 8, **elements: object
) -> bytes:
    """One CT slice as a DICOM file. `elements` are set by keyword (Modality="MR"); None removes one."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = CTImageStorage
    ds.SOPInstanceUID = uid(study, series, number)
    ds.StudyInstanceUID = uid(study)
    ds.SeriesInstanceUID = uid(study, series)
    ds.FrameOfReferenceUID = uid(study, series, "frame")
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = f"Name^{patient}", patient, "19500101", "O"
    ds.StudyDate, ds.StudyTime, ds.StudyID, ds.AccessionNumber = "20260101", "101010", "1", f"ACC-{study}"[:16]
    ds.StudyDescription, ds.SeriesDescription, ds.Modality, ds.BodyPartExamined = "CT Thorax", "axial", "CT", "CHEST"
    ds.ReferringPhysicianName, ds.Manufacturer = "", "Test"
    ds.SeriesNumber, ds.InstanceNumber = 2, number
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [-180, -180, float(number)], [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing, ds.SliceThickness, ds.KVP = [0.7, 0.7], "1.25", "120"
    ds.Rows = ds.Columns = rows
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.RescaleIntercept, ds.RescaleSlope = 0, 1
    ds.PixelData = bytes(rows * rows * 2)
    ds["PixelData"].VR = "OW"
    for keyword, value in elements.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    return encoded(ds)


def encoded(ds: Dataset) -> bytes:
    """The Part 10 file of a dataset, in explicit VR little endian."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    ds.file_meta = meta
    file = io.BytesIO()
    ds.save_as(file, enforce_file_format=True)
    return file.getvalue()
