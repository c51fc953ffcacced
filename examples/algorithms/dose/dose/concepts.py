"""The coded concepts of the report (PS3.16), as findings.json writes them."""

from __future__ import annotations

from .elements import Code
from .regions import BODY_PHANTOM, HEAD_PHANTOM

Concept = dict[str, str]


def concept(code: Code) -> Concept:
    """A code as findings.json has it."""
    value, scheme, meaning = code
    return {"scheme": scheme, "value": value, "meaning": meaning}


def _dcm(value: str, meaning: str) -> Concept:
    return concept((value, "DCM", meaning))


EVENT = _dcm("113852", "Irradiation Event")
LOCALIZER = _dcm("113805", "Constant Angle Acquisition")
TOTAL = _dcm("113811", "CT Accumulated Dose Data")
CTDI = _dcm("113830", "Mean CTDIvol")
DLP = _dcm("113838", "DLP")
EFFECTIVE = _dcm("113839", "Effective Dose")
FACTOR = _dcm("113840", "Effective Dose Conversion Factor")
EVENTS = _dcm("113812", "Total Number of Irradiation Events")
DLP_TOTAL = _dcm("113813", "CT Dose Length Product Total")
EFFECTIVE_TOTAL = _dcm("113814", "CT Effective Dose Total")
BY_FACTOR = _dcm("113800", "DLP to E conversion via MC computation")
ESTIMATED = concept(("414135002", "SCT", "Estimated"))
PHANTOM_TYPE = _dcm("113835", "CTDIw Phantom Type")
PHANTOMS = {HEAD_PHANTOM: _dcm(HEAD_PHANTOM, "IEC Head Dosimetry Phantom"), BODY_PHANTOM: _dcm(BODY_PHANTOM, "IEC Body Dosimetry Phantom")}
SOURCE = _dcm("113854", "Source of Dose Information")
FROM_REPORT = _dcm("113856", "Automated Data Collection")
FROM_IMAGES = _dcm("113866", "Copied From Image Attributes")

ABOVE = concept(("DRL-ABOVE", "99GANTRY", "Above diagnostic reference level"))
"""Neither DICOM nor SNOMED CT as DICOM uses it has diagnostic reference levels: the dose check concepts (113900 to 113914, DCM) are what a scanner
was told to warn of before a scan, and normality codes speak of the patient. Hence a code of our own, and two for the levels."""
LEVELS = {
    "CTDIvol": concept(("DRL-CTDIVOL", "99GANTRY", "Reference level of CTDIvol")),
    "DLP": concept(("DRL-DLP", "99GANTRY", "Reference level of DLP")),
}
UNITS = {"CTDIvol": "mGy", "DLP": "mGy.cm"}
PER_DLP = "mSv/(mGy.cm)"
