"""The index that `make scale` grows is one that Orthanc takes for its own."""

from pathlib import Path

from tests.component.orthanc_server import orthanc_server
from tests.scale.index import grown


def test_a_grown_index_holds_as_many_studies_each_by_itself(tmp_path: Path) -> None:
    grown(tmp_path / "orthanc", 30)
    with orthanc_server(tmp_path / "orthanc") as orthanc:
        counted = orthanc.rest("GET", "/statistics")
        assert [counted[f"Count{kind}"] for kind in ("Patients", "Studies", "Series", "Instances")] == [30] * 4
        studies = orthanc.rest("GET", "/studies?expand")
        assert len({one["ID"] for one in studies}) == len({one["MainDicomTags"]["StudyInstanceUID"] for one in studies}) == 30
        assert sum(one["LastUpdate"] == "20250101T000000" for one in studies) == 29
        assert all(one["IsStable"] for one in studies)
        assert orthanc.rest("GET", "/changes?last")["Last"] == 7 * 30
