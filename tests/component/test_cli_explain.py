"""`gantry explain` as a process: a real Orthanc with studies, pipelines in files or at a real API server."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ConfigDict, TypeAdapter, with_config
from tests.builders import BRIDGE, PIPELINE, RUN, changed
from tests.builders_bridge import requirement
from tests.builders_slices import a_ct, uid
from tests.component.control_plane import ControlPlane, free_port
from tests.component.orthanc_server import PASSWORD, USERNAME, OrthancServer, orthanc_server
from typing_extensions import TypedDict

PLACE = "cli-explain"
EXACTLY = with_config(ConfigDict(extra="forbid", strict=True))


@EXACTLY
class Series(TypedDict):
    id: str
    selected: bool
    reason: str | None


@EXACTLY
class Decision(TypedDict):
    pipeline: str
    matched: bool
    check: str | None
    wanted: str | None
    actual: str | None
    series: list[Series]
    priority: str | None


@EXACTLY
class Answer(TypedDict):
    """What programs may rely on."""

    study: str
    decisions: list[Decision]


def a_pipeline(name: str, *, place: str | None = None, study: list[Any] | None = None, series: list[Any] | None = None) -> dict[str, Any]:
    raw = changed(PIPELINE, "metadata", {"name": name} | ({"namespace": place} if place else {}))
    return changed(changed(raw, "spec.match.study", study or []), "spec.template.input.series.match", series or [])


CHEST = ([requirement("StudyDescription", "Matches", "(?i)thorax")], [requirement("SliceThickness", "Lte", "2.5")])


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    """A CT of the chest in a thin and a thick series, and two studies of one accession number."""
    with orthanc_server(tmp_path_factory.mktemp("explain") / "orthanc") as server:
        more: dict[str, Any] = {"patient": "one", "AccessionNumber": "ACC1"}
        thin = [a_ct("chest", series="thin", number=n, SliceThickness="1", SeriesDescription="Lung", **more) for n in (1, 2, 3)]
        thick = a_ct("chest", series="thick", SliceThickness="5", SeriesDescription="Body", SeriesNumber=3, **more)
        twins = [a_ct(name, patient="two", AccessionNumber="ACC2", StudyDescription="CT Kopf") for name in ("twin", "other twin")]
        server.upload(*thin, thick, *twins, user="other")
        yield server


def gantry(*arguments: str, stdin: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "gantry"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ORTHANC_", "KUBE"))}
    return subprocess.run([program, "explain", *arguments], env=kept | environment, input=stdin, capture_output=True, text=True, check=False)


def answer(done: subprocess.CompletedProcess[str]) -> Answer:
    """What was printed for programs, checked against its schema."""
    assert done.stderr == ""
    return TypeAdapter(Answer).validate_json(done.stdout)


def study_of(server: OrthancServer, accession: str) -> str:
    (found,) = server.rest("POST", "/tools/find", json={"Level": "Study", "Query": {"AccessionNumber": accession}})
    study: str = found
    return study


# -- without a cluster -------------------------------------------------------------------------------------------------


@pytest.fixture
def alone(tmp_path: Path) -> dict[str, str]:
    """Credentials of Orthanc, and a kubeconfig that leads nowhere."""
    return {"KUBECONFIG": str(tmp_path / "nowhere"), "ORTHANC_USERNAME": USERNAME, "ORTHANC_PASSWORD": PASSWORD}


@pytest.mark.parametrize("named", ["ACC1", uid("chest"), None], ids=["accession number", "StudyInstanceUID", "Orthanc id"])
def test_yaml_that_is_not_applied_is_tried_on_a_stored_study_without_any_cluster(
    orthanc: OrthancServer, alone: dict[str, str], named: str | None
) -> None:
    study = study_of(orthanc, "ACC1")
    pipelines = yaml.safe_dump_all([a_pipeline("chest", study=CHEST[0], series=CHEST[1]), a_pipeline("head", study=[requirement("StudyDescription", "In", "Head")])])
    told = answer(gantry(named or study, "-f", "-", "--orthanc-url", orthanc.url, "-o", "json", stdin=pipelines, **alone))
    assert told["study"] == study
    chest, head = told["decisions"]
    assert (chest["pipeline"], chest["matched"], chest["check"]) == ("chest", True, None)
    assert sorted((one["selected"], one["reason"]) for one in chest["series"] if one["reason"] or one["selected"]) == [
        (False, "SliceThickness Lte: wanted <= 2.5, is 5"),
        (True, None),
    ]
    assert (head["matched"], head["check"], head["wanted"], head["actual"]) == (False, "StudyDescription In", "Head", "CT Thorax")


def test_exit_codes_tell_matched_not_matched_and_error_apart(orthanc: OrthancServer, alone: dict[str, str]) -> None:
    yes, no = (yaml.safe_dump(a_pipeline("p", study=[requirement("StudyDescription", "In", text)])) for text in ("CT Thorax", "MR Knee"))
    arguments = ("ACC1", "-f", "-", "--orthanc-url", orthanc.url)
    assert gantry(*arguments, stdin=yes, **alone).returncode == 0
    assert gantry(*arguments, stdin=no, **alone).returncode == 1
    assert gantry(*arguments, stdin="kind: [", **alone).returncode == 2
    assert gantry("--recent", **alone).returncode == 2


def test_a_person_reads_series_by_their_descriptions_and_no_name_of_the_patient(orthanc: OrthancServer, alone: dict[str, str]) -> None:
    pipeline = yaml.safe_dump(a_pipeline("chest", study=CHEST[0], series=CHEST[1]))
    arguments = ("ACC1", "-f", "-", "--orthanc-url", orthanc.url)
    done = gantry(*arguments, stdin=pipeline, **alone)
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert lines[0] == f"Study {study_of(orthanc, 'ACC1')} CT · CT Thorax · 2026-01-01 · 2 series, 4 images"
    assert "✔ 2 CT Lung 3 chosen" in lines
    assert "✘ 3 CT Body 1 SliceThickness Lte, wanted <= 2.5, is 5" in lines
    assert "Name^one" not in done.stdout
    assert "Name^one" in gantry(*arguments, "--patient", stdin=pipeline, **alone).stdout


def test_the_studies_that_came_last_tell_what_a_rule_would_have_caught(orthanc: OrthancServer, alone: dict[str, str]) -> None:
    pipeline = yaml.safe_dump(a_pipeline("chest", study=CHEST[0], series=CHEST[1]))
    done = gantry("--recent", "50", "-f", "-", "--orthanc-url", orthanc.url, "-o", "json", stdin=pipeline, **alone)
    told = TypeAdapter(list[Answer]).validate_json(done.stdout)
    assert {one["study"] for one in told} == set(orthanc.studies())
    assert [one["study"] for one in told if one["decisions"][0]["matched"]] == [study_of(orthanc, "ACC1")]
    assert done.returncode == 0


def test_mistakes_of_the_person_are_one_line(orthanc: OrthancServer, alone: dict[str, str]) -> None:
    pipeline = yaml.safe_dump(a_pipeline("p"))
    nowhere = f"http://127.0.0.1:{free_port()}"
    said = {
        "2 studies have this accession number; give the Orthanc id of one: ": gantry("ACC2", "-f", "-", "--orthanc-url", orthanc.url, stdin=pipeline, **alone),
        f"no study with this Orthanc id, StudyInstanceUID or accession number in {orthanc.url}": gantry("1.2.3", "-f", "-", "--orthanc-url", orthanc.url, stdin=pipeline, **alone),
        f"{orthanc.url} refuses the credentials; set ORTHANC_USERNAME and ORTHANC_PASSWORD": gantry("ACC1", "-f", "-", "--orthanc-url", orthanc.url, stdin=pipeline, **alone | {"ORTHANC_PASSWORD": "wrong"}),
        f"{nowhere}: ": gantry("ACC1", "-f", "-", "--orthanc-url", nowhere, stdin=pipeline, **alone),
        "no cluster: ": gantry("ACC1", "-f", "-", stdin=pipeline, **alone),
    }  # fmt: skip
    for message, done in said.items():
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
        assert done.stderr.startswith(f"gantry: {message}")


# -- with a cluster ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster(api_server: ControlPlane, orthanc: OrthancServer) -> dict[str, str]:
    """A namespace with a bridge to that Orthanc, its secret, four pipelines and a Run. No operator runs."""
    secret = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/basic-auth", "metadata": {"name": "orthanc", "namespace": PLACE}}
    run = changed(changed(RUN, "metadata", {"name": "chest-1", "namespace": PLACE}), "spec.pipelineRef.name", "chest")
    study = study_of(orthanc, "ACC1")
    made = api_server.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PLACE}},
        secret | {"stringData": {"username": USERNAME, "password": PASSWORD}},
        changed(changed(BRIDGE, "metadata.namespace", PLACE), "spec.url", orthanc.url),
        changed(changed(changed(BRIDGE, "metadata.namespace", PLACE), "metadata.name", "away"), "spec.url", "http://orthanc.invalid:8042"),
        a_pipeline("chest", place=PLACE, study=CHEST[0], series=CHEST[1]),
        changed(a_pipeline("asleep", place=PLACE), "spec.suspend", True),
        a_pipeline("broken", place=PLACE, study=[requirement("StudyDescription", "Matches", "(?=x)")]),
        changed(changed(run, "metadata.labels", {"gantry.health/study": study[:8]}), "spec.study.orthancID", study),
    )
    assert made.returncode == 0, made.stderr
    said = {"type": "Ready", "status": "False", "reason": "DestinationUnknown", "message": "the bridge has no destination x", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    patch = ("--subresource=status", "--type=merge", "-p", json.dumps({"status": {"conditions": [said]}}))
    told = api_server.kubectl("patch", "ipl", "chest", "-n", PLACE, *patch)
    assert told.returncode == 0, told.stderr
    return {"KUBECONFIG": str(api_server.kubeconfig)}


def test_the_pipelines_of_a_namespace_are_asked_by_their_bridge_and_its_secret(orthanc: OrthancServer, cluster: dict[str, str]) -> None:
    told = answer(gantry("ACC1", "-n", PLACE, "-o", "json", **cluster))
    decided = {one["pipeline"]: one for one in told["decisions"]}
    assert {name: one["matched"] for name, one in decided.items()} == {"asleep": True, "broken": False, "chest": True}
    assert decided["broken"]["check"] == "Ready"
    assert "patterns are RE2" in str(decided["broken"]["actual"])
    only = answer(gantry("ACC1", "-n", PLACE, "-p", "chest", "-o", "json", **cluster))
    assert [one["pipeline"] for one in only["decisions"]] == ["chest"]


def test_a_person_reads_what_the_bridge_does_beyond_the_decision(orthanc: OrthancServer, cluster: dict[str, str]) -> None:
    text = gantry("ACC1", "-n", PLACE, **cluster).stdout
    assert "analysed by Run chest-1 of 20" in text
    assert "the same images start no further Run; more images: onLateImages Supersede" in text
    assert "not Ready, so that a study that matches starts no Run: DestinationUnknown: the bridge has no destination x" in text
    assert "suspended: a study that matches starts no Run" in text


def test_yaml_that_is_not_applied_is_tried_against_the_clusters_bridge(orthanc: OrthancServer, cluster: dict[str, str]) -> None:
    told = answer(gantry("ACC1", "-n", PLACE, "-f", "-", "-o", "json", stdin=yaml.safe_dump(a_pipeline("new", study=CHEST[0])), **cluster))
    assert [(one["pipeline"], one["matched"]) for one in told["decisions"]] == [("new", True)]


def test_an_address_from_port_forward_is_used_with_the_bridges_secret(orthanc: OrthancServer, cluster: dict[str, str]) -> None:
    done = gantry("ACC1", "-n", PLACE, "-p", "chest", "--orthanc-url", orthanc.url, "-o", "json", **cluster)
    assert answer(done)["decisions"][0]["matched"]


def test_a_bridge_that_cannot_be_reached_from_here_says_how_to(orthanc: OrthancServer, cluster: dict[str, str]) -> None:
    pipeline = yaml.safe_dump(changed(a_pipeline("p"), "spec.bridgeRef.name", "away"))
    done = gantry("ACC1", "-n", PLACE, "-f", "-", stdin=pipeline, **cluster)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("gantry: bridge away at http://orthanc.invalid:8042 cannot be reached from here (")
    assert "run `kubectl -n invalid port-forward svc/orthanc 8042:8042` and add --orthanc-url http://localhost:8042" in done.stderr


def test_what_the_cluster_lacks_is_one_line(orthanc: OrthancServer, cluster: dict[str, str]) -> None:
    without = yaml.safe_dump(changed(a_pipeline("p"), "spec.bridgeRef.name", "missing"))
    said = {
        f"there is no pipeline x in namespace {PLACE}; there is: asleep, broken, chest": gantry("ACC1", "-n", PLACE, "-p", "x", **cluster),
        "namespace cli-empty has no InferencePipeline; choose another with -n, or give one with -f": gantry("ACC1", "-n", "cli-empty", **cluster),
        f"namespace {PLACE} has no OrthancBridge missing; ": gantry("ACC1", "-n", PLACE, "-f", "-", stdin=without, **cluster),
    }
    for message, done in said.items():
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
        assert done.stderr.startswith(f"gantry: {message}")
