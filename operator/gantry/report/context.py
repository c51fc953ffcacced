"""What Gantry knows and the application must not decide, and what a build hands back.

Pure values. Every UID of a report comes from here, derived from the Run, so that a second attempt makes the same bytes.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from gantry.api import Code
from gantry.api.pipeline import Algorithm
from gantry.runs import result_uid

UTF_8 = "ISO_IR 192"
SopClass = Literal["Comprehensive3DSR", "ComprehensiveSR"]
SOP_CLASS_UIDS: dict[SopClass, str] = {
    "Comprehensive3DSR": "1.2.840.10008.5.1.4.1.1.88.34",
    "ComprehensiveSR": "1.2.840.10008.5.1.4.1.1.88.33",
}


@dataclass(frozen=True)
class Predecessor:
    """An SR of an earlier Run that the new one replaces, in the same study."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str


@dataclass(frozen=True)
class ReportContext:
    """The Run a report belongs to, and its pipeline's `report` settings."""

    installation: str
    """Identity of this installation of Gantry: part of every UID, and the serial number of the product that built the SR."""
    namespace: str
    run: str
    created: datetime
    """When the Run was made, aware: the content time, in this zone unless the images name theirs."""
    images: tuple[str, ...] = ()
    """Container images of the steps, best by digest: an algorithm in another image is another device."""
    algorithm: Algorithm | None = None
    """Overrides the first algorithm of the findings."""
    evaluated_for: tuple[Code, ...] = ()
    """What the pipeline says its application looks for, in addition to the findings' own."""
    sop_class: SopClass = "Comprehensive3DSR"
    character_set: str = UTF_8
    """What objects are written in, where it holds all their characters."""
    series_number: int = 9001
    series_description: str | None = None
    product_version: str = "0"
    shadow: bool = False
    """The pipeline is in mode Shadow: the report is not for the care of the patient, and says so."""
    role: str = "sr"
    """What the Run's reports are, as part of their UIDs: that nothing was analysed is another document than what was found."""
    key_objects_role: str = "ko"
    """The same of the key object selection."""
    predecessors: tuple[Predecessor, ...] = ()
    """SRs of the Run that this one supersedes (PS3.3 C.17.2, Predecessor Documents Sequence)."""

    def uid(self, role: str, index: int = 0) -> str:
        """A UID of this Run."""
        return result_uid(self.installation, self.namespace, self.run, role, index)


@dataclass(frozen=True)
class BuiltObject:
    """A DICOM file, ready to be stored."""

    kind: Literal["SR", "KO", "SC"]
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    dicom: bytes
    sort: str = ""
    """What the findings of this SR have: regions, segments, no region; `negative` without findings."""
    character_set: str = UTF_8
    """What it is written in."""
