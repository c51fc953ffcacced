"""A real model through a whole cluster: an ultrasound comes in by C-STORE, the report in Orthanc has a box around each text of its pixels."""

import json
from pathlib import Path

from examples.demo.hospital import ROOT, Hospital
from examples.phantom.make_texts import Options, make_texts
from tests.builders_texts import Found, matched
from tests.component.sr_validators import complaints
from tests.component.test_burned_in_text import OVERLAP, outlines


def test_an_ultrasound_gets_a_report_with_a_box_around_each_text(hospital: Hospital, tmp_path: Path) -> None:
    texts = make_texts(tmp_path / "us", Options(texts=4, smallest=16, accession="TEXT"))
    hospital.apply(ROOT / "examples" / "pipelines" / "burned-in-text.yaml")
    hospital.wait_until_ready("ipl/burned-in-text")
    hospital.orthanc.send([tmp_path / "us" / "0001.dcm"], calling="US_1")

    (run,) = hospital.wait_for_finished_runs(1, seconds=180)
    assert run["status"]["state"] == "Succeeded", run["status"]
    (result,) = run["status"]["results"]
    report = hospital.orthanc.download(result["orthancID"])
    report.save_as(tmp_path / "sr.dcm")
    assert complaints(tmp_path / "sr.dcm") == []
    boxes = [Found(image, box, (), 1, 1) for image, box in outlines(report)]
    assert len(matched(texts, boxes, at_least=OVERLAP)) == len(texts) == len(boxes)
    assert run["status"]["findings"]["present"] == len(texts)
    everything = json.dumps(hospital.get("irun,jobs,pods,events")) + hospital.kubectl("logs", "-l", "gantry.health/run", "--all-containers", "--tail=-1")
    assert [text.text for text in texts if text.text in everything] == []
