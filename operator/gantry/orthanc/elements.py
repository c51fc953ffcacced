"""The elements Orthanc keeps in its database ("main DICOM tags") by keyword and number, and how its answers become one flat mapping.

Pure. Only elements that every Orthanc from 1.10 keeps are listed in PATIENT, STUDY and SERIES: for these, absent in the answer means absent in
the images. Any other element has to be read from an instance: those in READABLE of all series of a study in one request, the rest one by one.
"""

from collections.abc import Mapping
from typing import Any

# https://orthanc.uclouvain.be/book/faq/main-dicom-tags.html, the columns of 1.10 (OrthancFramework, DicomMap.cpp).
PATIENT = {
    "PatientName": "0010,0010",
    "PatientID": "0010,0020",
    "PatientBirthDate": "0010,0030",
    "PatientSex": "0010,0040",
    "OtherPatientIDs": "0010,1000",
}
STUDY = {
    "StudyDate": "0008,0020",
    "StudyTime": "0008,0030",
    "AccessionNumber": "0008,0050",
    "InstitutionName": "0008,0080",
    "ReferringPhysicianName": "0008,0090",
    "StudyDescription": "0008,1030",
    "StudyInstanceUID": "0020,000d",
    "StudyID": "0020,0010",
    "RequestingPhysician": "0032,1032",
    "RequestedProcedureDescription": "0032,1060",
}
SERIES = {
    "SeriesDate": "0008,0021",
    "SeriesTime": "0008,0031",
    "Modality": "0008,0060",
    "Manufacturer": "0008,0070",
    "StationName": "0008,1010",
    "SeriesDescription": "0008,103e",
    "OperatorsName": "0008,1070",
    "ContrastBolusAgent": "0018,0010",
    "BodyPartExamined": "0018,0015",
    "SequenceName": "0018,0024",
    "ProtocolName": "0018,1030",
    "CardiacNumberOfImages": "0018,1090",
    "AcquisitionDeviceProcessingDescription": "0018,1400",
    "SeriesInstanceUID": "0020,000e",
    "SeriesNumber": "0020,0011",
    "ImageOrientationPatient": "0020,0037",
    "NumberOfTemporalPositions": "0020,0105",
    "ImagesInAcquisition": "0020,1002",
    "PerformedProcedureStepDescription": "0040,0254",
    "NumberOfSlices": "0054,0081",
    "NumberOfTimeSlices": "0054,0101",
    "SeriesType": "0054,1000",
}
COMPUTED = {
    "ModalitiesInStudy": "0008,0061",
    "NumberOfStudyRelatedSeries": "0020,1206",
    "NumberOfStudyRelatedInstances": "0020,1208",
}
"""Known from the list of a study's series (PS3.4 C.3.4): never in the images."""

TEXTS = {
    "ImageType": "0008,0008",
    "SOPClassUID": "0008,0016",
    "AcquisitionDate": "0008,0022",
    "ConversionType": "0008,0064",
    "PresentationIntentType": "0008,0068",
    "AdmittingDiagnosesDescription": "0008,1080",
    "ManufacturerModelName": "0008,1090",
    "PatientAge": "0010,1010",
    "EthnicGroup": "0010,2160",
    "ScanningSequence": "0018,0020",
    "SequenceVariant": "0018,0021",
    "ScanOptions": "0018,0022",
    "MRAcquisitionType": "0018,0023",
    "AngioFlag": "0018,0025",
    "DeviceSerialNumber": "0018,1000",
    "SoftwareVersions": "0018,1020",
    "ContrastBolusRoute": "0018,1040",
    "FilterType": "0018,1160",
    "ConvolutionKernel": "0018,1210",
    "ReceiveCoilName": "0018,1250",
    "PatientPosition": "0018,5100",
    "ViewPosition": "0018,5101",
    "AcquisitionType": "0018,9302",
    "FrameOfReferenceUID": "0020,0052",
    "Laterality": "0020,0060",
    "ImageLaterality": "0020,0062",
    "PatientOrientation": "0020,0020",
    "PhotometricInterpretation": "0028,0004",
    "BurnedInAnnotation": "0028,0301",
    "LossyImageCompression": "0028,2110",
}
"""Elements of a text VR (AS, CS, DA, LO, SH, UI)."""
DECIMALS = {
    "PatientSize": "0010,1020",
    "PatientWeight": "0010,1030",
    "SliceThickness": "0018,0050",
    "KVP": "0018,0060",
    "RepetitionTime": "0018,0080",
    "EchoTime": "0018,0081",
    "InversionTime": "0018,0082",
    "NumberOfAverages": "0018,0083",
    "ImagingFrequency": "0018,0084",
    "MagneticFieldStrength": "0018,0087",
    "SpacingBetweenSlices": "0018,0088",
    "DataCollectionDiameter": "0018,0090",
    "ReconstructionDiameter": "0018,1100",
    "GantryDetectorTilt": "0018,1120",
    "ExposureTime": "0018,1150",
    "XRayTubeCurrent": "0018,1151",
    "Exposure": "0018,1152",
    "FlipAngle": "0018,1314",
    "AcquisitionNumber": "0020,0012",
    "TemporalResolution": "0020,0110",
    "PixelSpacing": "0028,0030",
    "ImagerPixelSpacing": "0018,1164",
    "Rows": "0028,0010",
    "Columns": "0028,0011",
    "BitsStored": "0028,0101",
    "NumberOfFrames": "0028,0008",
}
"""Elements of a number VR (DS, IS, US). One server says 5.000, another 5: they are given as the shortest text of the number (`shortest`)."""
READABLE = {**TEXTS, **DECIMALS}
"""Elements of which one request gives an instance's value for each series of a study, where the server can do that."""

_NUMBERS = {**PATIENT, **STUDY, **SERIES, **COMPUTED, **READABLE}
_KEYWORDS = {number: keyword for keyword, number in _NUMBERS.items()}
STUDY_LEVEL = frozenset({*PATIENT, *PATIENT.values(), *STUDY, *STUDY.values()})
"""Known as soon as the study's resource is."""
SERIES_LEVEL = STUDY_LEVEL | {*SERIES, *SERIES.values()}
"""Known of a series as soon as the list of series is."""
COMPUTED_LEVEL = frozenset({*COMPUTED, *COMPUTED.values()})


def with_numbers(tags: Mapping[str, str]) -> dict[str, str]:
    """The mapping by keyword, and each known element by number too, because rules may name it either way."""
    return {**tags, **{_NUMBERS[keyword]: value for keyword, value in tags.items() if keyword in _NUMBERS}}


def keyword_of(tag: str) -> str | None:
    """The keyword of an element in READABLE, however a rule names it; None for any other."""
    keyword = _KEYWORDS.get(tag.lower(), tag)
    return keyword if keyword in READABLE else None


def readable(values: Mapping[str, Any]) -> dict[str, str]:
    """Values of READABLE elements by keyword, as a server gave them, by keyword and number; what is missing or empty is left out."""
    given = {keyword: str(value) for keyword, value in values.items() if keyword in READABLE and value not in (None, "")}
    return with_numbers({keyword: _value(keyword, value) for keyword, value in given.items()})


def _value(keyword: str, text: str) -> str:
    return "\\".join(map(shortest, text.split("\\"))) if keyword in DECIMALS else text


def shortest(text: str) -> str:
    """`5.000` and `+5` as `5`; what is no number stays."""
    try:
        number = float(text)
    except ValueError:
        return text
    if number - number != 0 or "_" in text:
        return text
    return str(int(number)) if number == int(number) else repr(number)


def flat(elements: Mapping[str, Any]) -> dict[str, str]:
    """Orthanc's /instances/{id}/tags as one mapping: by keyword, by `gggg,eeee`, and private ones as `gggg,"CREATOR",ee`.

    Sequences, binary values and texts longer than 256 characters (Type "TooLong") have no place in a rule and are left out.
    """
    result: dict[str, str] = {}
    for number, element in elements.items():
        if not isinstance(element, dict) or element.get("Type") != "String":
            continue
        number = number.lower()
        value = _value(_KEYWORDS.get(number, ""), str(element.get("Value", "")))
        result[number] = value
        group, _, rest = number.partition(",")
        creator = element.get("PrivateCreator")
        if creator:
            result[f'{group},"{creator}",{rest[-2:]}'] = value
        elif int(group, 16) % 2 == 0:
            result[str(element.get("Name", number))] = value
    return result
