"""A CT series that nobody needs to have: water with a ball in it, for checking applications. Invented patient, the same bytes each time."""

from pathlib import Path

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

SLICES, SIDE, RADIUS = 24, 96, 12
"""Slices of 1 mm with pixels of 1 mm; the ball's radius in mm."""
_ROOT = "2.25.2207513904.1"


def make_phantom(folder: Path) -> None:
    """Writes the files into `folder`."""
    folder.mkdir(parents=True)
    z, y, x = np.mgrid[0:SLICES, 0:SIDE, 0:SIDE].astype(np.float32)
    middle = (SLICES / 2, SIDE / 2, SIDE / 2)
    ball = sum((axis - centre) ** 2 for axis, centre in zip((z, y, x), middle, strict=True)) < RADIUS**2
    volume = np.where(ball, 1100, 1024).astype("<u2")  # 76 HU in water
    for number, pixels in enumerate(volume):
        image = _header(number)
        image.PixelData = pixels.tobytes()
        image.save_as(folder / f"ct{number + 1:03d}.dcm", enforce_file_format=True)


def _header(number: int) -> Dataset:
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID = CTImageStorage
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID = UID(f"{_ROOT}.3.{number + 1}")
    image.SpecificCharacterSet = "ISO_IR 192"
    image.PatientName, image.PatientID, image.PatientBirthDate, image.PatientSex = "Phantom^Contract", "GANTRY-CHECK", "19600101", "O"
    image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = f"{_ROOT}.1", f"{_ROOT}.2", f"{_ROOT}.4"
    image.StudyDate = image.SeriesDate = image.AcquisitionDate = image.ContentDate = "20260105"
    image.StudyTime = image.SeriesTime = image.AcquisitionTime = image.ContentTime = "101500"
    image.AccessionNumber, image.StudyID, image.ReferringPhysicianName, image.PositionReferenceIndicator = "CHECK-1", "1", "", ""
    image.StudyDescription, image.SeriesDescription, image.Modality = "Phantom", "Phantom, ball in water", "CT"
    image.SeriesNumber, image.AcquisitionNumber, image.InstanceNumber = 1, 1, number + 1
    image.Manufacturer, image.ManufacturerModelName, image.PatientPosition, image.BodyPartExamined = "Gantry", "Phantom", "HFS", "CHEST"
    image.ImageType, image.KVP = ["ORIGINAL", "PRIMARY", "AXIAL"], "120"
    image.SliceThickness, image.PixelSpacing = "1", ["1", "1"]
    image.ImageOrientationPatient, image.ImagePositionPatient = ["1", "0", "0", "0", "1", "0"], ["0", "0", str(number)]
    image.SamplesPerPixel, image.PhotometricInterpretation, image.Rows, image.Columns = 1, "MONOCHROME2", SIDE, SIDE
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
    image.RescaleIntercept, image.RescaleSlope, image.RescaleType = "-1024", "1", "HU"
    image.WindowCenter, image.WindowWidth = "40", "400"
    return image
