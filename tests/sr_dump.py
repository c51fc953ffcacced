"""An SR as short text for golden files: a line an item, UIDs by what they are. Made to be read in a diff."""

from pydicom import Dataset
from tests.sr_structure import children, value_of


def dump(report: Dataset, source: tuple[Dataset, ...]) -> list[str]:
    """The document in one line, then its content."""
    names = {str(image.SOPInstanceUID): f"image {image.get('InstanceNumber') or '?'}" for image in source}
    names |= {str(image.FrameOfReferenceUID): "space" for image in source if image.get("FrameOfReferenceUID")}
    equipment = ", ".join(f"{each.ManufacturerModelName} {each.SoftwareVersions}" for each in report.ContributingEquipmentSequence)
    head = f"{report.SOPClassUID.name} | {report.PatientName} | {report.SeriesNumber} {report.SeriesDescription} | {report.ContentDate} {report.ContentTime} | {equipment}"
    return [head, *_lines(report, "", names)]


def _lines(item: Dataset, indent: str, names: dict[str, str]) -> list[str]:
    lines = []
    for child in children(item):
        template = "".join(f" [{each.TemplateIdentifier}]" for each in child.get("ContentTemplateSequence") or [])
        words = f"{indent}{child.RelationshipType.lower()} {child.ValueType} {_name(child)}{template} {_value(child, names)}"
        lines += [words.rstrip(), *_lines(child, indent + "  ", names)]
    return lines


def _name(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeMeaning)


def _value(item: Dataset, names: dict[str, str]) -> str:
    match item.ValueType:
        case "CODE":
            code = item.ConceptCodeSequence[0]
            return f"= {code.CodeMeaning} ({value_of(code)}, {code.CodingSchemeDesignator})"
        case "TEXT":
            return f"= {item.TextValue!r}"
        case "NUM":
            measured = item.MeasuredValueSequence[0]
            return f"= {measured.NumericValue} {value_of(measured.MeasurementUnitsCodeSequence[0])}"
        case "UIDREF":
            return f"= {_short(item.UID, names)}"
        case "SCOORD" | "SCOORD3D":
            space = f" in {_short(item.ReferencedFrameOfReferenceUID, names)}" if "ReferencedFrameOfReferenceUID" in item else ""
            return f"= {item.GraphicType} {' '.join(f'{number:g}' for number in item.GraphicData)}{space}"
        case "IMAGE" | "COMPOSITE":
            reference = item.ReferencedSOPSequence[0]
            parts = [f"{word} {reference[keyword].value}" for keyword, word in (("ReferencedFrameNumber", "frame"), ("ReferencedSegmentNumber", "segment")) if keyword in reference]
            return " ".join(["->", _short(reference.ReferencedSOPInstanceUID, names), *parts])
        case _:
            return ""


def _short(uid: str, names: dict[str, str]) -> str:
    return names.get(str(uid)) or (f"…{str(uid)[-6:]}" if len(str(uid)) > 16 else str(uid))
