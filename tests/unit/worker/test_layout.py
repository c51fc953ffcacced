"""Where files lie and what study.json says: a contract with vendors."""

import json

from gantry.orthanc import InstanceResource, SeriesResource, StudyResource
from gantry.runs import Earlier
from gantry.worker.layout import Layout, describe, lay_out

STUDY = StudyResource(id="study-id", tags={"StudyInstanceUID": "1.2.3", "0020,000d": "1.2.3", "PatientID": "P"}, series=(), last_update=None, is_stable=True)


def a_series(name: str, number: str | None) -> SeriesResource:
    tags = {"SeriesInstanceUID": f"1.2.3.{name}", "Modality": "CT", "0008,0060": "CT"}
    return SeriesResource(id=f"id-{name}", study="study-id", tags=tags if number is None else {**tags, "SeriesNumber": number}, instances=(), last_update=None, is_stable=True)


def an_instance(uid: str, number: int | None) -> InstanceResource:
    return InstanceResource(id=f"id-{uid}", sop_instance_uid=uid, size=10, number=number)


def paths(layout: Layout) -> list[tuple[str, str]]:
    return [(file.path, file.instance.sop_instance_uid) for file in layout.files()]


def test_series_lie_by_number_and_those_without_one_last() -> None:
    series = [(a_series("a", "x"), []), (a_series("b", "10"), []), (a_series("c", " 2 "), []), (a_series("d", None), []), (a_series("e", "2"), [])]
    assert [one.resource.id for one in lay_out(STUDY, series).series] == ["id-c", "id-e", "id-b", "id-a", "id-d"]


def test_instances_lie_by_number_and_those_without_one_last() -> None:
    layout = lay_out(STUDY, [(a_series("a", "1"), [an_instance("z", 10), an_instance("b", None), an_instance("y", 2), an_instance("a", None), an_instance("x", -1)])])
    assert paths(layout) == [("1/0001.dcm", "x"), ("1/0002.dcm", "y"), ("1/0003.dcm", "z"), ("1/0004.dcm", "a"), ("1/0005.dcm", "b")]


def test_orthancs_order_does_not_matter() -> None:
    instances = [an_instance(str(number), 1) for number in range(7)]
    one = lay_out(STUDY, [(a_series("a", "1"), instances), (a_series("b", "1"), [])])
    other = lay_out(STUDY, [(a_series("b", "1"), []), (a_series("a", "1"), list(reversed(instances)))])
    assert one == other


def test_sorted_names_are_the_order_in_a_series_of_any_length() -> None:
    names = [path for path, _ in paths(lay_out(STUDY, [(a_series("a", "1"), [an_instance(str(number), number) for number in range(1, 10_002)])]))]
    assert names == sorted(names)
    assert (names[0], names[-1]) == ("1/00001.dcm", "1/10001.dcm")


def test_study_json_names_every_file_and_each_element_once() -> None:
    layout = lay_out(STUDY, [(a_series("a", "4"), [an_instance("1.2.3.a.1", 1)])])
    assert json.loads(describe(layout, run="run-1", sizes={"1/0001.dcm": 10})) == {
        "schema": "gantry.health/study/v1",
        "run": "run-1",
        "content": "Full",
        "study": {"orthancID": "study-id", "studyInstanceUID": "1.2.3", "tags": {"PatientID": "P", "StudyInstanceUID": "1.2.3"}},
        "series": [
            {
                "path": "1",
                "orthancID": "id-a",
                "seriesInstanceUID": "1.2.3.a",
                "modality": "CT",
                "tags": {"Modality": "CT", "SeriesInstanceUID": "1.2.3.a", "SeriesNumber": "4"},
                "instances": [{"path": "1/0001.dcm", "orthancID": "id-1.2.3.a.1", "sopInstanceUID": "1.2.3.a.1", "instanceNumber": 1, "bytes": 10}],
            }
        ],
    }


def test_metadata_lies_at_the_same_places_as_json() -> None:
    layout = lay_out(STUDY, [(a_series("a", "4"), [an_instance("1.2.3.a.2", 2), an_instance("1.2.3.a.1", 1)])], content="Metadata")
    assert [path for path, _ in paths(layout)] == ["1/0001.json", "1/0002.json"]
    assert json.loads(describe(layout, run="run-1", sizes={"1/0001.json": 10, "1/0002.json": 11}))["content"] == "Metadata"


RESULT = {"sopClassUID": "1.2", "seriesInstanceUID": "2.25.3", "md5": "0" * 32, "bytes": 7}
EARLIER = Earlier.model_validate(
    {
        "run": "triage-a",
        "findings": "1" * 8 + "-22222222" * 4,
        "results": [
            {**RESULT, "kind": "SEG", "sopInstanceUID": "2.25.1", "orthancID": "3" * 8 + "-44444444" * 4},
            {**RESULT, "kind": "SR", "sopInstanceUID": "2.25.2", "orthancID": "1" * 8 + "-22222222" * 4},
        ],
    }
)


def test_what_an_earlier_run_left_lies_in_a_folder_of_its_own() -> None:
    layout = lay_out(STUDY, [(a_series("a", "4"), [an_instance("1.2.3.a.1", 1)])], after=EARLIER)
    assert paths(layout) == [("1/0001.dcm", "1.2.3.a.1")]
    sizes = {"1/0001.dcm": 10, "after/findings.json": 5, "after/1.dcm": 7, "after/2.dcm": 7}
    assert json.loads(describe(layout, run="run-1", sizes=sizes))["after"] == {
        "run": "triage-a",
        "findings": {"path": "after/findings.json", "bytes": 5},
        "results": [
            {
                "path": f"after/{place}.dcm",
                "kind": one.kind,
                "sopClassUID": "1.2",
                "sopInstanceUID": one.sop_instance_uid,
                "seriesInstanceUID": "2.25.3",
                "orthancID": one.orthanc_id,
                "bytes": 7,
            }
            for place, one in enumerate(EARLIER.results, start=1)
        ],
    }


def test_metadata_brings_findings_and_reports_of_an_earlier_run_but_no_pixels() -> None:
    after = lay_out(STUDY, [(a_series("a", "4"), [an_instance("1.2.3.a.1", 1)])], content="Metadata", after=EARLIER).after
    assert after is not None
    assert [(one.path, one.result.kind) for one in after.results] == [("after/1.dcm", "SR")]
