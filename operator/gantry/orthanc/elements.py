"""The elements Orthanc keeps in its database ("main DICOM tags") by keyword and number, and how its answers become one flat mapping.

Pure. Only elements that every Orthanc from 1.10 keeps are listed: for these, absent in the answer means absent in the images.
An element that is not listed has to be read from an instance.
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

_NUMBERS = {**PATIENT, **STUDY, **SERIES, **COMPUTED}
STUDY_LEVEL = frozenset({*PATIENT, *PATIENT.values(), *STUDY, *STUDY.values()})
"""Known as soon as the study's resource is."""
SERIES_LEVEL = STUDY_LEVEL | {*SERIES, *SERIES.values()}
"""Known of a series as soon as the list of series is."""
COMPUTED_LEVEL = frozenset({*COMPUTED, *COMPUTED.values()})


def with_numbers(tags: Mapping[str, str]) -> dict[str, str]:
    """The mapping by keyword, and each listed element by number too, because rules may name it either way."""
    return {**tags, **{_NUMBERS[keyword]: value for keyword, value in tags.items() if keyword in _NUMBERS}}


def flat(elements: Mapping[str, Any]) -> dict[str, str]:
    """Orthanc's /instances/{id}/tags as one mapping: by keyword, by `gggg,eeee`, and private ones as `gggg,"CREATOR",ee`.

    Sequences, binary values and texts longer than 256 characters (Type "TooLong") have no place in a rule and are left out.
    """
    result: dict[str, str] = {}
    for number, element in elements.items():
        if not isinstance(element, dict) or element.get("Type") != "String":
            continue
        value = str(element.get("Value", ""))
        number = number.lower()
        result[number] = value
        group, _, rest = number.partition(",")
        creator = element.get("PrivateCreator")
        if creator:
            result[f'{group},"{creator}",{rest[-2:]}'] = value
        elif int(group, 16) % 2 == 0:
            result[str(element.get("Name", number))] = value
    return result
