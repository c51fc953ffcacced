"""`gantry sr diff`: equal or not by exit code, and what differs for a person and for a program."""

import json
from pathlib import Path

import pytest
from tests.builders_dicom import ct_series, uid
from tests.builders_findings import (
    DIAMETER,
    NODULE,
    PNEUMOTHORAX,
    Json,
    a_box,
    a_context,
    a_document,
    a_finding,
    an_ellipse,
    everything,
    in_space,
    parsed,
)
from tests.unit.cli.conftest import Gantry

from gantry.report import build_report


def written(path: Path, document: Json, *, run: str = "a", study: str = "study") -> Path:
    """All SRs of a Run in a folder."""
    path.mkdir(parents=True, exist_ok=True)
    for number, one in enumerate(build_report(parsed(document), ct_series(study=study), a_context(run=run))):
        (path / f"{number}.dcm").write_bytes(one.dicom)
    return path


def nodule(mm: float, **fields: object) -> Json:
    return a_finding(measurements=[{"name": DIAMETER, "value": mm, "unit": "mm"}], **fields)


def test_two_builds_of_one_document_say_the_same(gantry: Gantry, tmp_path: Path) -> None:
    one, other = written(tmp_path / "a", everything()), written(tmp_path / "b", everything(), run="b")
    done = gantry("sr", "diff", one, other)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("Both reports say the same: ")


def test_a_person_reads_what_differs_and_nothing_else(gantry: Gantry, tmp_path: Path) -> None:
    gone = a_finding("gone", type=PNEUMOTHORAX, region=a_box(3))
    same = a_finding("same", region=a_box(7))
    before = a_document(nodule(10, region=an_ellipse(10)), same, gone, summary={"impression": "One nodule."})
    after = a_document(nodule(12.5, region=an_ellipse(10)), same, summary={"impression": "It has grown."})
    done = gantry("sr", "diff", written(tmp_path / "a", before) / "0.dcm", written(tmp_path / "b", after, run="b") / "0.dcm")
    assert done.code == 1
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    assert "Solitary nodule of lung nodule-1 the same by type, site and distance" in lines
    assert "Diameter 10 mm 12.5 mm +2.5 mm (+25.0 %)" in lines
    assert "only before: Pneumothorax gone" in lines
    assert "Impression One nodule. It has grown. changed" in lines
    assert "1 finding the same in both" in lines
    assert not any(word in done.out for word in ("Müller", "PAT-0042", "2.25."))


def test_a_tracking_uid_finds_the_lesion_in_the_next_study(gantry: Gantry, tmp_path: Path) -> None:
    tracked = {"trackingUID": uid("lesion"), "sites": None}
    before = a_document(nodule(10, region=in_space("point3d"), **tracked))
    after = a_document(nodule(8, type=NODULE, presence="absent", region=None, **tracked), evaluatedFor=[NODULE])
    done = gantry("sr", "diff", written(tmp_path / "a", before), written(tmp_path / "b", after, study="next"), "-o", "json")
    assert done.code == 1
    (found,) = json.loads(done.out)["findings"]
    assert found["matchedBy"] == "tracking UID"
    assert {one["name"]: (one["before"], one["after"]) for one in found["changes"]}["Presence"] == ("Present", "Absent")
    assert next(one["difference"] for one in found["measurements"]) == -2


def test_json_tells_everything_also_what_is_equal(gantry: Gantry, tmp_path: Path) -> None:
    folder = written(tmp_path / "a", a_document(nodule(10, region=a_box())))
    done = gantry("sr", "diff", folder, folder, "-o", "json")
    told = json.loads(done.out)
    assert (done.code, told["equal"], told["appeared"], told["disappeared"], told["statements"]) == (0, True, [], [], [])
    assert [one["differs"] for one in told["findings"]] == [False]
    assert told["findings"][0]["measurements"][0] == {"name": {"scheme": "SCT", "value": "81827009", "meaning": "Diameter"}, "unit": "mm", "before": 10, "after": 10, "difference": 0}


def test_what_cannot_be_compared_is_one_line_with_code_2(gantry: Gantry, tmp_path: Path) -> None:
    fine = written(tmp_path / "a", a_document(a_finding()))
    (tmp_path / "empty").mkdir()
    both = tmp_path / "both"
    written(both / "x", a_document(a_finding()))
    written(both / "y", a_document(a_finding()), study="next")
    (tmp_path / "text.dcm").write_text("hello")
    for other, words in (
        ("empty", "holds no measurement report; name a file, or another folder"),
        ("both", "holds reports of 2 studies; name a folder with those of one Run"),
        ("text.dcm", "is not a DICOM file"),
        ("none.dcm", "cannot be read: No such file or directory"),
    ):
        done = gantry("sr", "diff", fine, tmp_path / other)
        assert (done.code, done.out, done.err) == (2, "", f"gantry: {tmp_path}/{other} {words}\n")


@pytest.mark.parametrize("arguments", [(), ("a.dcm",)], ids=["no file", "one file"])
def test_two_reports_are_needed(gantry: Gantry, arguments: tuple[str, ...]) -> None:
    assert gantry("sr", "diff", *arguments).code == 2
