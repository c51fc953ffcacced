"""Coded concepts of the report, each built once a document.

highdicom makes a new code sequence item for every use; a report of 100 findings has some 10,000 of them and spends half its time there.
Items are never changed after they are made, so that one may stand in many places.
"""

from highdicom.sr import CodedConcept

from gantry.findings import Concept, Score
from gantry.findings.units import unit_meaning

LANGUAGES = {
    "cs": "Czech",
    "da": "Danish",
    "de": "German",
    "en": "English",
    "en-GB": "English (United Kingdom)",
    "en-US": "English (United States)",
    "es": "Spanish",
    "fi": "Finnish",
    "fr": "French",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "nb": "Norwegian Bokmål",
    "nl": "Dutch",
    "pl": "Polish",
    "pt": "Portuguese",
    "sv": "Swedish",
    "zh": "Chinese",
}
"""Meanings of RFC 5646 tags; a tag that is not here is its own meaning."""
PROCEDURES = {
    "CT": ("25045-6", "LN", "CT unspecified body region"),
    "MR": ("25056-3", "LN", "MRI unspecified body region"),
    "NM": ("49118-3", "LN", "NM unspecified body region"),
    "PT": ("44136-0", "LN", "PET unspecified body region"),
}
"""CID 100 by modality: PixelMed's validator refuses codes outside of it."""
ANY_PROCEDURE = ("363679005", "SCT", "Imaging procedure")
LATERALITIES = {
    "right": ("24028007", "SCT", "Right"),
    "left": ("7771000", "SCT", "Left"),
    "bilateral": ("51440002", "SCT", "Right and left"),
    "unilateral": ("66459002", "SCT", "Unilateral"),
}
PRESENCES = {
    "present": ("52101004", "SCT", "Present"),
    "absent": ("2667000", "SCT", "Absent"),
    "indeterminate": ("82334004", "SCT", "Indeterminate"),
}
NOT_EVALUATED = ("373121007", "SCT", "Not Evaluated")
"""CID 3703."""
OWN_SCHEME = "99GANTRY"
"""For what neither PS3.16 nor SNOMED CT as DICOM uses it has a code."""
NOT_EVALUATED_BECAUSE = ("NOT-EVALUATED-BECAUSE", OWN_SCHEME, "Reason for not evaluating")
EARLIER_FINDING = ("EARLIER-FINDING", OWN_SCHEME, "Tracking UID of earlier finding")
CHANGE = ("CHANGE", OWN_SCHEME, "Change since earlier finding")
MEASUREMENT_REPORT = ("126000", "DCM", "Imaging Measurement Report")
FINDINGS_REPORT = ("FINDINGS-REPORT", OWN_SCHEME, "Imaging Findings Report")
"""Titles (CID 7021, extensible). OHIF draws the regions of every report with the first, and shows nothing at all when a group has none."""
RESULT_OBJECT = ("RESULT-OBJECT", OWN_SCHEME, "Further object of this result")
PLAIN_LANGUAGE = ("PLAIN-LANGUAGE", OWN_SCHEME, "Impression in plain language")
OUTLINE = "Outline on one slice; the volume and its numbers stand in another report of this result, under the same tracking identifier."
"""Comment of a group that only draws what another document reports."""
MODALITIES = {
    "CR": "Computed Radiography",
    "CT": "Computed Tomography",
    "DX": "Digital Radiography",
    "IO": "Intra-oral Radiography",
    "MG": "Mammography",
    "MR": "Magnetic Resonance",
    "NM": "Nuclear Medicine",
    "OT": "Other Modality",
    "PT": "Positron emission tomography",
    "PX": "Panoramic X-Ray",
    "RF": "Radiofluoroscopy",
    "US": "Ultrasound",
    "XA": "X-Ray Angiography",
}
"""CID 29 Acquisition Modality, those that images come from in practice."""


class Vocabulary:
    """Makes codes of one document."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, str, str, str | None], CodedConcept] = {}

    def code(self, value: str, scheme: str, meaning: str, version: str | None = None) -> CodedConcept:
        """A code sequence item; the same for the same words."""
        key = (value, scheme, meaning, version)
        if key not in self._made:
            self._made[key] = CodedConcept(*key)
        return self._made[key]

    def concept(self, concept: Concept) -> CodedConcept:
        """A concept of findings.json."""
        return self.code(concept.value, concept.scheme, concept.meaning, concept.scheme_version)

    def optional(self, concept: Concept | None) -> CodedConcept | None:
        """A concept of findings.json that may be missing."""
        return None if concept is None else self.concept(concept)

    def unit(self, unit: str) -> CodedConcept:
        """A UCUM unit."""
        return self.code(unit, "UCUM", unit_meaning(unit))

    def score_unit(self, score: Score) -> CodedConcept:
        """The range of a scale as PS3.16 writes it: ({0:10}, UCUM, range: 0:10)."""
        if score.minimum is None or score.maximum is None:
            return self.unit("{score}")
        scale = f"{score.minimum:g}:{score.maximum:g}"
        return self.code(f"{{{scale}}}", "UCUM", f"range: {scale}")

    @property
    def has_own_codes(self) -> bool:
        """Whether a code of Gantry's own scheme was made."""
        return any(scheme == OWN_SCHEME for _, scheme, _, _ in self._made)

    def dcm(self, value: str, meaning: str) -> CodedConcept:
        """A code of PS3.16 Annex D."""
        return self.code(value, "DCM", meaning)
