"""What the operator tells of itself while a study passes through it: every metric by its definition, no identifier anywhere, and whose line a log line is."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.builders import PIPELINE
from tests.builders_runs import a_receipt
from tests.builders_slices import a_ct
from tests.component.control_plane import ControlPlane
from tests.component.operator_process import Hospital, Operator, a_hospital, wait
from tests.component.orthanc_server import OrthancServer, orthanc_server
from tests.component.test_operator_journey import a_bridge, a_secret, bridge_says, pipeline_says

from gantry.api.run import Result
from gantry.kube import RUNS
from gantry.runtime import measures

NUMBERS = itertools.count(1)
PATIENT = "MUELLER-4711"


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[OrthancServer]:
    with orthanc_server(tmp_path / "orthanc") as started:
        yield started


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[OrthancServer]:
    with orthanc_server(tmp_path / "pacs", name="PACS") as started:
        yield started


@pytest.fixture
def ward(api_server: ControlPlane, tmp_path: Path, orthanc: OrthancServer, pacs: OrthancServer) -> Iterator[Hospital]:
    made = a_hospital(api_server, tmp_path, f"observed-{next(NUMBERS)}", bridge=None, pipeline=None)
    made.apply(a_secret(), a_bridge(orthanc, pacs), PIPELINE)
    yield made
    made.api.http.close()


def a_run_of(ward: Hospital, orthanc: OrthancServer) -> str:
    """A study comes; gives its Run's name."""
    bridge_says(ward, "Ready", "True/Ready")
    pipeline_says(ward, "True/Ready")
    orthanc.upload(*(a_ct("a", number=number, patient=PATIENT) for number in (1, 2, 3)), user="other")
    (run,) = wait(lambda: ward.api.list(RUNS, ward.namespace), "the study has a Run")
    return str(run["metadata"]["name"])


def is_published(ward: Hospital, orthanc: OrthancServer, name: str) -> None:
    """The pod has ended, and one of the images stands for the report."""
    (stored,) = orthanc.upload(a_ct("a", number=99, patient=PATIENT))
    result = Result(
        kind="SR", sop_class_uid="1.2.3", sop_instance_uid="2.25.1", series_instance_uid="2.25.2", orthanc_id=stored["ID"], md5="0" * 32, bytes=1
    )  # fmt: skip
    ward.publishes(ward.pod(name), a_receipt().model_copy(update={"results": (result,)}))


def exposed(operator: Operator) -> str:
    return operator.http.get(f"http://127.0.0.1:{operator.port}/metrics").text


def test_a_scrape_has_every_metric_by_its_definition_and_no_identifier(ward: Hospital, orthanc: OrthancServer) -> None:
    with ward.operator() as operator:
        name = a_run_of(ward, orthanc)
        is_published(ward, orthanc, name)
        ward.says(name, "Complete", "True/Complete")
        text = exposed(operator)
        families = {one.name: one for one in text_string_to_metric_families(text)}
        defined = {one.name.removesuffix("_total"): one for one in measures.ALL}
        types = {family: str(one.kind).replace("info", "gauge") for family, one in defined.items()}  # an info is a gauge in this format
        assert {family: one.type for family, one in families.items()} == types
        for family, one in families.items():
            for sample in one.samples:
                assert set(sample.labels) - {"le"} == set(defined[family].labels), sample.name
                assert sample.name in defined[family].samples
        for measured in (
            'gantry_stable_to_seen_seconds_count{bridge="main"} 1.0',
            'gantry_delivery_attempts_total{destination="pacs"} 1.0',
            'gantry_delivery_seconds_count{destination="pacs",state="Sent"} 1.0',
            'gantry_run_seconds_count{pipeline="chest-ct-nodules",state="Succeeded"} 1.0',
            'gantry_bridge_reachable{bridge="main"} 1.0',
            'gantry_orthanc_calls_total{bridge="main",call="GET /changes",code="200"}',
            'gantry_orthanc_calls_total{bridge="main",call="POST /modalities/…/store",code="200"} 1.0',
            'gantry_api_call_seconds_count{resource="jobs",verb="create"} 1.0',
        ):
            assert measured in text
        study = ward.run(name)["spec"]["study"]
        tags = orthanc.rest("GET", f"/studies/{study['orthancID']}")["MainDicomTags"]
        for secret in (PATIENT, name, study["orthancID"], study["orthancID"][:8], *study["seriesIDs"], tags["StudyInstanceUID"], study["fingerprint"][:13]):
            assert secret not in text


def test_an_orthanc_that_goes_away_is_not_reachable(ward: Hospital, orthanc: OrthancServer) -> None:
    def said(operator: Operator, name: str) -> float | None:
        return operator.metrics().get(f'{name}{{bridge="main"}}')

    with ward.operator() as operator:
        bridge_says(ward, "Ready", "True/Ready")
        assert wait(lambda: said(operator, "gantry_bridge_reachable") == 1, "Orthanc answers")
        orthanc.kill()
        assert wait(lambda: said(operator, "gantry_bridge_reachable") == 0, "Orthanc is away")
        assert wait(lambda: (said(operator, "gantry_bridge_poll_age_seconds") or 0) > 1, "the last poll grows old")
        assert re.search(r'gantry_orthanc_calls_total\{bridge="main",call="GET /[a-z]+",code="Unreachable"\}', exposed(operator))
        orthanc.start()
        assert wait(lambda: said(operator, "gantry_bridge_reachable") == 1, "Orthanc answers again")
