"""What the operator tells of itself while a study passes through it: every metric by its definition, no identifier anywhere, and whose line a log line is."""

import itertools
import re
import signal
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
from tests.component.otlp_receiver import otlp_receiver
from tests.component.promtool import promtool, said
from tests.component.test_operator_journey import a_bridge, a_secret, bridge_says, pipeline_says

from gantry.api.run import Result
from gantry.kube import JOBS, RUNS
from gantry.runs import job_name, trace_id, traceparent
from gantry.runs.trace import WHOLE
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


def test_promtool_has_nothing_to_say_of_a_scrape(ward: Hospital, orthanc: OrthancServer) -> None:
    """Names, units, types and help texts by Prometheus' own rules, after a study has passed through."""
    promtool()
    with ward.operator() as operator:
        name = a_run_of(ward, orthanc)
        is_published(ward, orthanc, name)
        ward.says(name, "Complete", "True/Complete")
        assert said("check", "metrics", stdin=exposed(operator)) == (0, "")



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


def test_a_study_is_one_trace_whoever_was_killed_on_the_way(ward: Hospital, orthanc: OrthancServer) -> None:
    """The operator is killed while the pod works, and again right after the Run's end: every span is there, and a span told twice is the same twice."""
    settings = {"OTEL_BSP_SCHEDULE_DELAY": "50", "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20x", "OTEL_RESOURCE_ATTRIBUTES": "site=north"}
    with otlp_receiver() as receiver, ward.operator(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, **settings) as operator:
        name = a_run_of(ward, orthanc)
        job = ward.has_job(name)
        operator.kill()
        operator.start()
        uid = ward.run(name)["metadata"]["uid"]
        trace = f"{trace_id(uid):032x}"
        pod = job["spec"]["template"]["spec"]
        told = {one["name"]: next(v["value"] for v in one["env"] if v["name"] == "TRACEPARENT") for one in (*pod["initContainers"], *pod["containers"])}
        assert told == {"fetch": traceparent(uid, "fetch"), "detect": traceparent(uid, "step/detect"), "publish": traceparent(uid, "publish")}
        assert ward.api.get(JOBS, ward.namespace, job_name(name)), "the same Job"
        is_published(ward, orthanc, name)
        ward.says(name, "Complete", "True/Complete")
        operator.kill()
        operator.start()
        wanted = {WHOLE, "stable", "seen", "created", "started", "fetch", "step/detect", "publish", "deliver", "deliver/pacs"}
        wait(lambda: set(receiver.of(trace)) == wanted, "the whole trace has come", tell=lambda: (list(receiver.of(trace)), operator.log[-2000:]))
        wait(lambda: 'gantry_traces_total{outcome="queued"} 1.0' in exposed(operator), "the new process tells it again")
        operator.kill(signal.SIGTERM)
        assert {one.trace_id.hex() for one in receiver.spans} == {trace}
        assert all(len(set(tellings)) == 1 for tellings in receiver.of(trace).values()), "nothing differs between two tellings"
        parents = {one.name: one.parent_span_id.hex() for one in receiver.spans}
        assert parents[WHOLE] == ""
        assert len({parents[stage] for stage in wanted - {WHOLE, "deliver/pacs"}}) == 1
        assert receiver.headers[0]["authorization"] == "Bearer x"
        assert {(one["service.name"], one["site"]) for one in receiver.resources} == {("gantry", "north")}
        ends = {one.name: (one.start_time_unix_nano, one.end_time_unix_nano) for one in receiver.spans}
        assert all(ends[WHOLE][0] <= start <= end <= ends[WHOLE][1] for start, end in ends.values())
        study = ward.run(name)["spec"]["study"]
        said = str(receiver.spans) + str(receiver.resources)
        assert not [one for one in (PATIENT, study["orthancID"], *study["seriesIDs"], study["fingerprint"]) if one in said]
        lines = [line for line in operator.lines() if line.get("run") == name and line["message"] == "Run finished"]
        assert {(line["pipeline"], line["bridge"], line["namespace"], line["trace_id"]) for line in lines} == {("chest-ct-nodules", "main", ward.namespace, trace)}


def test_a_receiver_that_is_away_holds_up_no_run(ward: Hospital, orthanc: OrthancServer) -> None:
    with ward.operator(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9", OTEL_BSP_SCHEDULE_DELAY="50") as operator:
        name = a_run_of(ward, orthanc)
        is_published(ward, orthanc, name)
        ward.says(name, "Complete", "True/Complete")
        assert operator.kill(signal.SIGTERM) < 5


def test_without_an_endpoint_nothing_of_opentelemetry_is_loaded(ward: Hospital, orthanc: OrthancServer) -> None:
    with ward.operator() as operator:
        name = a_run_of(ward, orthanc)
        variables = [one["name"] for container in ward.has_job(name)["spec"]["template"]["spec"]["containers"] for one in container["env"]]
        assert "TRACEPARENT" not in variables
        assert operator.process is not None
        mapped = Path(f"/proc/{operator.process.pid}/maps").read_text()
        assert "google/_upb" not in mapped, "protobuf's extension"


def test_each_line_of_the_log_says_whose_it_is(ward: Hospital, orthanc: OrthancServer) -> None:
    """Of a Run: namespace, run, pipeline and bridge; of a bridge: namespace and bridge; also where the words themselves say nothing."""
    with ward.operator() as operator:
        name = a_run_of(ward, orthanc)
        orthanc.kill()
        wait(lambda: [line for line in operator.lines() if line["message"] == "Orthanc cannot be followed"], "Orthanc's absence is told")
        ward.api.patch(RUNS, ward.namespace, name, {"spec": {"cancel": True}})
        ward.says(name, "Failed", "True/Cancelled")
        wait(lambda: [line for line in operator.lines() if line["message"] == "Run finished"], "the end is told")
        (finished,) = [line for line in operator.lines() if line["message"] == "Run finished"]
        assert (finished["namespace"], finished["run"], finished["pipeline"], finished["bridge"]) == (ward.namespace, name, "chest-ct-nodules", "main")
        assert "trace_id" not in finished
        decision = next(line for line in operator.lines() if line["message"] == "decision" and line["outcome"] == "Created")
        assert (decision["namespace"], decision["bridge"], decision["pipeline"]) == (ward.namespace, "main", "chest-ct-nodules")
