"""The gate every report has to pass: real validators on real files, and planted faults that prove the gate sees.

PixelMed's validator takes minutes and a JDK, which is why it is not in `make test`; `make test-pixelmed` runs it.
"""

import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import highdicom
import pytest
from hypothesis import HealthCheck, assume, given, settings
from pydicom import DataElement, Dataset, config, dcmread
from tests.builders_corpus import corpus
from tests.builders_dicom import (
    SOP_CLASSES,
    a_pdf,
    a_secondary_capture,
    a_segmentation,
    an_image,
    as_file,
    ct_series,
    read_back,
    write_series,
)
from tests.builders_findings import (
    ABNORMAL,
    NODULE,
    a_box,
    a_context,
    a_document,
    a_finding,
    a_segment,
    an_ellipse,
    code,
    everything,
    many,
    negative,
    parsed,
)
from tests.component.sr_validators import complaints, dciodvfy, dcmqi, pixelmed, structure
from tests.schema_documents import DOCUMENTS as VALID
from tests.schema_documents import SCHEMA_SOURCE
from tests.sr_structure import walk

from gantry.api import Code, RunReason
from gantry.api.pipeline import Algorithm
from gantry.report import InvalidFindings, build_alternatives, build_not_performed, build_report, for_comprehensive, reidentify
from gantry.report.absence import CAUSES

Json = dict[str, Any]
SOURCE = ct_series(20, pixels=True)
SEGMENTATION = reidentify(a_segmentation(SOURCE), a_context().uid("seg"), a_context().uid("seg-series"))
FRAMED = ("US multi-frame", "Enhanced CT", "Enhanced MR")

DOCUMENTS: dict[str, Json] = {
    "everything there is": everything() | {"findings": [*everything()["findings"], a_finding("segment", region=a_segment())]},
    "a negative result": negative(),
    "one region": a_document(a_finding(region=an_ellipse())),
    "one finding without region": a_document(a_finding(), evaluatedFor=[NODULE]),
    "a segment beside something absent": a_document(a_finding(region=a_segment()), evaluatedFor=[NODULE, ABNORMAL]),
    "thirty findings": many(30),
    "a finding of bare minimum": a_document({"id": "x", "type": NODULE}),
}


def written(document: Json, folder: Path, source: list[Dataset] | None = None, **context: Any) -> list[Path]:
    built = build_report(parsed(document), source or SOURCE, a_context(**context), {"seg.dcm": SEGMENTATION})
    paths = [folder / f"{number}.dcm" for number in range(len(built))]
    for path, sr in zip(paths, built, strict=True):
        path.write_bytes(sr.dicom)
    return paths


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_every_validator_takes_every_report(document: Json, tmp_path: Path) -> None:
    assert [complaint for path in written(document, tmp_path) for complaint in complaints(path)] == []


def test_every_validator_takes_a_comprehensive_sr(tmp_path: Path) -> None:
    document = everything()
    document["findings"] = [finding for finding in document["findings"] if "3d" not in str(finding)]
    assert [complaint for path in written(document, tmp_path, sop_class="ComprehensiveSR") for complaint in complaints(path)] == []


def test_every_validator_takes_what_stands_for_a_report_with_regions_in_space(tmp_path: Path) -> None:
    context = for_comprehensive(a_context(), ())
    built = build_alternatives(parsed(everything()), SOURCE, context, {"seg.dcm": SEGMENTATION}, key_objects=False)
    for number, one in enumerate(built):
        (tmp_path / f"{number}.dcm").write_bytes(one.dicom)
    assert [complaint for path in sorted(tmp_path.iterdir()) for complaint in complaints(path)] == []


@pytest.mark.parametrize("kind", SOP_CLASSES)
def test_every_validator_takes_a_report_on_any_kind_of_image(kind: str, tmp_path: Path) -> None:
    image = an_image(kind)
    region = a_box(sopInstanceUID=image.SOPInstanceUID) | ({"frame": 3} if kind in FRAMED else {})
    assert [complaint for path in written(a_document(a_finding(region=region)), tmp_path, [image]) for complaint in complaints(path)] == []


CASES = {case.name: case for cases in corpus().values() for case in cases}


@pytest.mark.parametrize("name", CASES)
def test_every_validator_takes_the_corpus_and_an_independent_reader_finds_what_it_says(name: str, tmp_path: Path) -> None:
    """What the source has wrong is copied and complained about; the corpus has no such source."""
    paths = [tmp_path / f"{number}.dcm" for number in range(len(CASES[name].built))]
    for path, report in zip(paths, CASES[name].built, strict=True):
        path.write_bytes(report.dicom)
        assert complaints(path) == []
    assert_read(paths, CASES[name].document)


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(VALID)
def test_every_validator_takes_whatever_the_schema_allows(document: Json) -> None:
    try:
        findings = parsed(document)
    except InvalidFindings:
        assume(False)  # UIDs that are the same by chance
        return
    with TemporaryDirectory() as folder:
        for number, report in enumerate(build_report(findings, SCHEMA_SOURCE, a_context())):
            path = Path(folder) / f"{number}.dcm"
            path.write_bytes(report.dicom)
            assert complaints(path) == []


@pytest.mark.parametrize("character_set", ["ISO_IR 100", "ISO_IR 192"])
def test_every_validator_takes_names_that_are_not_ascii(character_set: str, tmp_path: Path) -> None:
    source = ct_series(2, SpecificCharacterSet=character_set, PatientName="Müller^Jürgen", ReferringPhysicianName="Größe^Änne")
    source = [read_back(as_file(image)) for image in source]
    assert [complaint for path in written(negative(), tmp_path, source) for complaint in complaints(path)] == []


def test_an_invalid_date_of_the_source_is_all_that_is_complained_about(tmp_path: Path) -> None:
    """It is copied, because the archive holds it so."""
    date = DataElement(0x00080020, "DA", "2026-11-20", validation_mode=config.IGNORE)
    source = ct_series(2)
    for image in source:
        image[0x00080020] = date
    (path,) = written(negative(), tmp_path, source)
    found = dciodvfy(path)
    assert found
    assert [line for line in found if "Study Date" not in line and "invalid data values for Value Representations" not in line] == []


def test_an_independent_reader_finds_what_the_document_says(tmp_path: Path) -> None:
    assert_read(written(everything(), tmp_path), everything())


def is_outline(group: Json) -> bool:
    """Of a volume whose own report comes later: it has no numbers."""
    return not group.get("measurementItems")


def assert_read(paths: Sequence[Path], document: Json) -> None:
    """dcmqi finds every finding once, in order, with its type, numbers, presence and side."""
    said = {finding["id"]: finding for finding in document["findings"]}
    every = [group for path in paths for group in dcmqi(path)["Measurements"]]
    last = {group["TrackingIdentifier"]: place for place, group in enumerate(every)}
    every = [group for place, group in enumerate(every) if last[group["TrackingIdentifier"]] == place or not is_outline(group)]
    read = {group["TrackingIdentifier"]: group for group in every if group["TrackingIdentifier"] in said}
    assert set(read) == set(said)
    assert len(every) - len(read) == sum(group["TrackingIdentifier"].startswith(("absent-", "not-evaluated-")) for group in every)
    for identifier, finding in said.items():
        group = read[identifier]
        assert group["Finding"] == dicom_code(finding["type"]), identifier
        numbers = [(item["quantity"]["CodeValue"], item["units"]["CodeValue"], float(item["value"])) for item in group.get("measurementItems", [])]
        assert numbers == [(name, unit, pytest.approx(value, rel=1e-9, abs=0)) for name, unit, value in expected_numbers(finding)], identifier
        coded = [item for item in group.get("qualitativeEvaluations", []) if isinstance(item["conceptValue"], dict)]
        answers = {item["conceptCode"]["CodeValue"]: item["conceptValue"]["CodeValue"] for item in coded}
        assert answers.get("705057003") == PRESENCE.get(finding.get("presence")), identifier
        sides = [site["laterality"].capitalize() for site in finding.get("sites", []) if "laterality" in site]
        assert group.get("Laterality", {}).get("CodeMeaning") == next(iter(sides), None), identifier


def test_another_reader_finds_the_newer_fields(tmp_path: Path) -> None:
    """Scores, follow-up, what was not evaluable and why, quality, words for the patient, a finding's own algorithm: highdicom gives the same back."""
    grown, scale = code("SCT", "15454001", "Increased size"), {"value": 7, "minimum": 0, "maximum": 10}
    score = {"name": code("99ACME", "SCORE", "Score"), "score": scale}
    document = a_document(
        a_finding("known", region=an_ellipse(), algorithm="a2", evaluations=[score], earlier=[{"trackingUID": "2.25.7", "change": grown}]),
        notEvaluable=[{"type": ABNORMAL, "reason": code("DCM", "111210", "Motion blur"), "text": "Breathing"}],
        imageQuality=[{"value": code("SCT", "20572008", "Good")}],
        summary={"impression": "One nodule has grown.", "plainLanguage": "A small spot has grown."},
    )
    document["algorithms"].append({"id": "a2", "name": "GrowthNet", "version": "7", "manufacturer": "Other AI"})
    (path,) = written(document, tmp_path)
    found = [(item.name.value, item) for item in _all(highdicom.sr.srread(path).content)]

    def values(name: str) -> list[str]:
        return [str(item.value.value if hasattr(item.value, "scheme_designator") else item.value) for value, item in found if value == name]

    assert values("112040") == ["2.25.7"], "the lesion keeps its tracking UID"
    assert (values("EARLIER-FINDING"), values("CHANGE")) == (["2.25.7"], ["15454001"])
    (number,) = [item for value, item in found if value == "SCORE"]
    assert (float(number.value), number.unit.value) == (7.0, "{0:10}")
    assert (values(ABNORMAL["value"]), values("NOT-EVALUATED-BECAUSE")) == (["373121007"], ["111210"])
    assert values("111101") == ["20572008"]
    assert (values("121073"), values("PLAIN-LANGUAGE")) == (["One nodule has grown."], ["A small spot has grown."])
    assert (values("111001"), values("111003")) == (["GrowthNet"], ["7"])


def _all(items: Iterable[Any]) -> Iterator[Any]:
    for item in items:
        yield item
        yield from _all(item.get("ContentSequence") or ())


PRESENCE = {"present": "52101004", "absent": "2667000", "indeterminate": "82334004"}


def dicom_code(concept: Json) -> Json:
    return {"CodeValue": concept["value"], "CodingSchemeDesignator": concept["scheme"], "CodeMeaning": concept["meaning"]}


def expected_numbers(finding: Json) -> list[tuple[str, str, float]]:
    numbers = [(m["name"]["value"], m["unit"], float(m["value"])) for m in finding.get("measurements", [])]
    numbers += [("111012", "%", finding["confidence"]["value"] * 100)] if "confidence" in finding else []
    scores = [(one["name"], one["score"]) for one in finding.get("evaluations", []) if "score" in one]
    return numbers + [(name["value"], f"{{{score['minimum']}:{score['maximum']}}}", float(score["value"])) for name, score in scores]


def test_an_independent_reader_finds_the_segment(tmp_path: Path) -> None:
    _, path = written(a_document(a_finding(region=a_segment())), tmp_path)  # the first draws its outline
    (group,) = dcmqi(path)["Measurements"]
    assert (group["segmentationSOPInstanceUID"], group["ReferencedSegment"]) == (SEGMENTATION.SOPInstanceUID, 1)


def test_an_independent_reader_finds_the_negative_result(tmp_path: Path) -> None:
    (path,) = written(negative(), tmp_path)
    groups = dcmqi(path)["Measurements"]
    absent = [{item["conceptCode"]["CodeMeaning"]: item["conceptValue"]["CodeMeaning"] for item in group["qualitativeEvaluations"]}["Presence"] for group in groups]
    assert ([group["Finding"]["CodeMeaning"] for group in groups], absent) == (["Solitary nodule of lung", "Pneumothorax"], ["Absent", "Absent"])


def test_the_test_images_are_valid_themselves(tmp_path: Path) -> None:
    paths = write_series(SOURCE, tmp_path)
    consistent = subprocess.run(["dcentvfy", *map(str, paths)], capture_output=True, text=True, timeout=60, check=True)
    assert (dciodvfy(paths[0]), consistent.stdout + consistent.stderr) == ([], "")


PASSED_THROUGH: dict[str, Dataset] = {"a segmentation": SEGMENTATION, "a PDF": reidentify(a_pdf(SOURCE[0]), "1.2.3", "1.2.4")}


@pytest.mark.parametrize("dataset", PASSED_THROUGH.values(), ids=PASSED_THROUGH)
def test_an_object_under_new_uids_is_still_valid(dataset: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "object.dcm"
    path.write_bytes(as_file(dataset))
    assert dciodvfy(path) == []


def test_a_secondary_capture_under_new_uids_has_no_further_faults(tmp_path: Path) -> None:
    before, after = tmp_path / "before.dcm", tmp_path / "after.dcm"
    before.write_bytes(as_file(a_secondary_capture(SOURCE[0])))
    after.write_bytes(as_file(reidentify(a_secondary_capture(SOURCE[0]), "1.2.3", "1.2.4")))
    assert dciodvfy(after) == dciodvfy(before)


def drop(name: str) -> Callable[[Dataset], None]:
    def change(report: Dataset) -> None:
        for item in [report, *walk(report)]:
            for child in [child for child in item.get("ContentSequence") or [] if child.ConceptNameCodeSequence[0].get("CodeValue") == name]:
                item.ContentSequence.remove(child)

    return change


def set_on(name: str, **values: Any) -> Callable[[Dataset], None]:
    def change(report: Dataset) -> None:
        item = next(item for item in walk(report) if item.ConceptNameCodeSequence[0].get("CodeValue") == name)
        for keyword, value in values.items():
            setattr(item, keyword, value)

    return change


def without(keyword: str) -> Callable[[Dataset], None]:
    return lambda report: delattr(report, keyword)


def no_unit(report: Dataset) -> None:
    number = next(item for item in walk(report) if item.ValueType == "NUM")
    del number.MeasuredValueSequence[0].MeasurementUnitsCodeSequence


def a_unit_in_words(report: Dataset) -> None:
    number = next(item for item in walk(report) if item.ConceptNameCodeSequence[0].CodeValue == "81827009")
    number.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue = "millimetres"


def a_class_without_3d(report: Dataset) -> None:
    item = next(item for item in walk(report) if item.ValueType == "SCOORD")
    item.ValueType, item.ReferencedFrameOfReferenceUID = "SCOORD3D", "1.2.3"
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.33"


def one_tracking_uid_for_all(report: Dataset) -> None:
    for item in walk(report):
        if item.ConceptNameCodeSequence[0].get("CodeValue") == "112040":
            item.UID = "1.2.3"


FAULTS: dict[str, Callable[[Dataset], None]] = {
    "no completion flag": without("CompletionFlag"),
    "no evidence": without("CurrentRequestedProcedureEvidenceSequence"),
    "a number without unit": no_unit,
    "a unit in words": a_unit_in_words,
    "a wrong relationship": set_on("126010", RelationshipType="HAS PROPERTIES"),
    "3D coordinates in a Comprehensive SR": a_class_without_3d,
    "no procedure reported": drop("121058"),
    "no tracking UID": drop("112040"),
    "no language": drop("121049"),
    "no observer": drop("121012"),
    "no image library": drop("111028"),
    "no finding type": drop("121071"),
    "no measurement group": drop("125007"),
    "one tracking UID for all": one_tracking_uid_for_all,
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_the_gate_notices_a_planted_fault(fault: Callable[[Dataset], None], tmp_path: Path) -> None:
    (path,) = written(many(2), tmp_path)
    report = dcmread(path)
    fault(report)
    report.save_as(path, enforce_file_format=True)
    assert complaints(path) != []


NOT_PERFORMED = a_context(
    algorithm=Algorithm(name="LungNoduleNet", version="2.1.0", manufacturer="ACME AI"),
    evaluated_for=(Code(scheme="SCT", value="427359005", meaning="Solitary nodule of lung"), Code(scheme="SCT", value="36118008", meaning="Pneumothorax")),
)


@pytest.mark.parametrize("reason", CAUSES)
def test_every_validator_takes_the_report_of_a_failure(reason: RunReason, tmp_path: Path) -> None:
    path = tmp_path / "report.dcm"
    path.write_bytes(build_not_performed(reason, SOURCE, NOT_PERFORMED).dicom)
    assert complaints(path) == []


@pytest.mark.pixelmed
def test_pixelmed_takes_every_report_and_notices_planted_faults(tmp_path: Path) -> None:
    """All in one run: two documents of every kind of source, everything there is, a failure; then a wrong relationship, and a file it does not know."""
    reports = [report.dicom for cases in corpus().values() for case in cases[:2] for report in case.built]
    reports += [report.dicom for name in ("everything there is", "a negative result") for report in build_report(parsed(DOCUMENTS[name]), SOURCE, a_context(), {"seg.dcm": SEGMENTATION})]
    reports.append(build_not_performed(RunReason.STEP_FAILED, SOURCE, NOT_PERFORMED).dicom)
    wrong = read_back(build_report(parsed(many(1)), SOURCE, a_context())[0].dicom)
    set_on("126010", RelationshipType="HAS PROPERTIES")(wrong)
    files = {f"{number}.dcm": report for number, report in enumerate(reports)} | {"wrong.dcm": as_file(wrong), "image.dcm": as_file(SOURCE[0])}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    found = pixelmed(*(tmp_path / name for name in files))
    assert [line for line in found if not line.startswith(("wrong.dcm: ", "image.dcm: "))] == []
    assert {line.partition(":")[0] for line in found} == {"wrong.dcm", "image.dcm"}


def test_the_structural_test_passes_a_good_report(tmp_path: Path) -> None:
    (path,) = written(many(2), tmp_path)
    assert structure(path) == []
