"""Regions of the body, by the codes and words scanners use, and what is known of each.

k: effective dose per dose-length product for adults, mSv/(mGy cm). AAPM Report 96 (2008), table 3; the same in ICRP Publication 102 (2007),
table A.2. Head and neck refer to the 16 cm phantom, the trunk to the 32 cm phantom. They are averages over scanners and patients:
an estimate for comparing protocols, not the dose of a person.
"""

from __future__ import annotations

from dataclasses import dataclass

from .elements import Code

HEAD_PHANTOM, BODY_PHANTOM = "113690", "113691"
"""IEC Head and Body Dosimetry Phantom (DCM)."""
ADULT = 16
"""Years. The factors are for adults; those for children of 10 years and younger are up to five times as high."""


@dataclass(frozen=True)
class Region:
    """One region with reference levels of its own."""

    name: str
    """As in settings.referenceLevels."""
    code: Code
    k: float
    phantom: str
    """To which k refers."""


REGIONS = {
    region.name: region
    for region in (
        Region("head", ("69536005", "SCT", "Head"), 0.0021, HEAD_PHANTOM),
        Region("neck", ("45048000", "SCT", "Neck"), 0.0059, HEAD_PHANTOM),
        Region("headNeck", ("774007", "SCT", "Head and Neck"), 0.0031, HEAD_PHANTOM),
        Region("chest", ("816094009", "SCT", "Chest"), 0.014, BODY_PHANTOM),
        Region("abdomen", ("818981001", "SCT", "Abdomen"), 0.015, BODY_PHANTOM),
        Region("pelvis", ("816092008", "SCT", "Pelvis"), 0.015, BODY_PHANTOM),
        Region("abdomenPelvis", ("818982008", "SCT", "Abdomen and Pelvis"), 0.015, BODY_PHANTOM),
        Region("chestAbdomen", ("416550000", "SCT", "Chest and Abdomen"), 0.015, BODY_PHANTOM),
        Region("trunk", ("416775004", "SCT", "Chest, Abdomen and Pelvis"), 0.015, BODY_PHANTOM),
    )
}
_CODES = {region.code[0]: region.name for region in REGIONS.values()} | {
    # SNOMED CT codes that CID 4031 had before, and SRT codes of older scanners.
    "51185008": "chest", "T-D3000": "chest", "39607008": "chest", "T-28000": "chest",
    "113345001": "abdomen", "T-D4000": "abdomen",
    "12921003": "pelvis", "T-D6000": "pelvis",
    "818983003": "abdomen", "R-FAB57": "abdomenPelvis",
    "R-FAB56": "trunk", "R-FAB55": "chestAbdomen",
    "T-D1100": "head", "12738006": "head", "T-A0100": "head",
    "T-D1600": "neck", "122494005": "neck", "T-D1000": "headNeck",
}  # fmt: skip
_BODY_PARTS = {
    "HEAD": "head", "BRAIN": "head", "SKULL": "head", "NECK": "neck", "CSPINE": "neck", "HEADNECK": "headNeck",
    "CHEST": "chest", "THORAX": "chest", "LUNG": "chest", "ABDOMEN": "abdomen", "LIVER": "abdomen", "PELVIS": "pelvis",
    "ABDOMENPELVIS": "abdomenPelvis", "CHESTABDOMEN": "chestAbdomen", "CHESTABDPELVIS": "trunk", "TRUNK": "trunk",
}  # fmt: skip
"""Body Part Examined (PS3.16 Annex L), as written by scanners."""


def region_of_code(code: Code | None) -> Region | None:
    """The region of Target Region in a dose report."""
    return REGIONS.get(_CODES.get(code[0], "")) if code else None


def region_of_body_part(word: str) -> Region | None:
    """The region of Body Part Examined in an image."""
    return REGIONS.get(_BODY_PARTS.get("".join(filter(str.isalpha, word.upper())), ""))
