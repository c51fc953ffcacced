"""The other commands: version, schema, runs; exit codes; and that help comes at once."""

import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.builders import RUN, changed
from tests.unit.cli.conftest import Gantry

import gantry as package
from gantry.cli import cluster as reached
from gantry.kube import NotFound, Resource, Unavailable
from gantry.report import findings_schema


def test_version(gantry: Gantry) -> None:
    assert gantry("version") == (0, f"{package.__version__}\n", "")


def test_the_schema_is_printed_or_written(gantry: Gantry, tmp_path: Path) -> None:
    assert json.loads(gantry("schema", "findings").out) == findings_schema()
    assert gantry("schema", "findings", "-o", tmp_path / "schema.json") == (0, "", "")
    assert json.loads((tmp_path / "schema.json").read_text()) == findings_schema()


def test_a_file_that_cannot_be_written_is_said_in_one_line(gantry: Gantry, tmp_path: Path) -> None:
    done = gantry("schema", "findings", "-o", tmp_path / "missing" / "schema.json")
    assert (done.code, done.err) == (1, f"gantry: {tmp_path}/missing/schema.json cannot be written: No such file or directory\n")


@pytest.mark.parametrize("arguments", [("frobnicate",), ("sr", "show"), ("runs", "-o", "yaml")], ids=["an unknown command", "a missing file", "an unknown format"])
def test_wrong_usage_has_an_exit_code_of_its_own(gantry: Gantry, arguments: tuple[str, ...]) -> None:
    done = gantry(*arguments)
    assert done.code == 2
    assert "Usage: gantry" in done.err


def test_help_names_the_exit_codes_and_loads_nothing_heavy() -> None:
    """What makes a command line slow is what it imports: pydicom, numpy and the Kubernetes client take a second."""
    program = "import sys; sys.argv = ['gantry', '--help']\nfrom gantry.cli.main import main\ntry: main()\nfinally: print(sorted({'pydicom', 'numpy', 'kubernetes', 'pydantic', 'highdicom', 'yaml'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "Exit codes: 0 done; 1 it could not be done" in " ".join(done.stdout.split())
    assert done.stdout.rstrip().endswith("[]")


FINISHED = changed(RUN, "metadata.creationTimestamp", "2026-11-20T10:00:00Z") | {
    "status": {
        "state": "Succeeded",
        "startTime": "2026-11-20T10:00:01Z",
        "completionTime": "2026-11-20T10:00:13Z",
        "findings": {"present": 2, "absent": 1},
        "deliveries": [{"destination": "pacs", "state": "Sent"}, {"destination": "vna", "state": "Pending"}],
    }
}
FAILED = changed(changed(RUN, "metadata.name", "failed"), "metadata.creationTimestamp", "2026-11-20T11:00:00Z") | {
    "status": {"state": "Failed", "failure": {"reason": "StepFailed", "message": "detect ended with 3"}}
}
FRESH = changed(changed(changed(RUN, "metadata.name", "fresh"), "metadata.creationTimestamp", "2026-11-20T12:00:00Z"), "spec.pipelineRef", ...)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """A kubeconfig, and in place of the API server a list of Runs or an error; the namespace asked for is kept."""
    (tmp_path / "config").write_text("current-context: a\ncontexts: [{name: a, context: {namespace: radiology}}]\n")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    state: dict[str, Any] = {"runs": [FINISHED, FRESH, FAILED], "error": None, "namespace": ...}

    class Listed:
        """As much of a client as `gantry runs` uses."""

        async def pages(self, resource: Resource, namespace: str | None) -> AsyncIterator[list[dict[str, Any]]]:
            state["namespace"] = namespace
            if state["error"]:
                raise state["error"]
            yield state["runs"]

    @contextlib.asynccontextmanager
    async def connected() -> AsyncIterator[Listed]:
        yield Listed()

    monkeypatch.setattr(reached, "connected", connected)
    return state


def test_runs_are_listed_the_newest_first_with_what_matters(gantry: Gantry, cluster: dict[str, Any]) -> None:
    done = gantry("runs")
    heading, *lines = done.out.splitlines()
    assert heading.split() == ["Run", "Pipeline", "State", "Findings", "Took", "Delivered", "Created", "Reason"]
    assert [line.split()[0] for line in lines] == ["fresh", "failed", FINISHED["metadata"]["name"]]
    assert "by hand" in lines[0]
    assert "StepFailed: detect ended with 3" in lines[1]
    assert all(word in lines[2] for word in ("Succeeded", "2 present, 1 absent", "12 s", "1/2"))
    assert cluster["namespace"] == "radiology"


NAMESPACES = {"named": (("-n", "ct"), "ct"), "all": (("-A",), None), "of the context": ((), "radiology")}


@pytest.mark.parametrize(("arguments", "asked"), NAMESPACES.values(), ids=NAMESPACES.keys())
def test_runs_are_those_of_the_namespace(gantry: Gantry, cluster: dict[str, Any], arguments: tuple[str, ...], asked: str | None) -> None:
    done = gantry("runs", *arguments, "-o", "json")
    assert [run["metadata"]["name"] for run in json.loads(done.out)["items"]] == ["fresh", "failed", FINISHED["metadata"]["name"]]
    assert cluster["namespace"] == asked


def test_no_runs_says_where_to_look(gantry: Gantry, cluster: dict[str, Any]) -> None:
    cluster["runs"] = []
    assert "kubectl describe ipl" in gantry("runs").out


ERRORS = {
    "no CRD": (NotFound("the server could not find the requested resource"), "the cluster does not know InferenceRuns: install Gantry's chart, or its crds/"),
    "no answer": (Unavailable("connection refused"), "the API server did not answer as wanted: connection refused"),
}


@pytest.mark.parametrize(("error", "message"), ERRORS.values(), ids=ERRORS.keys())
def test_faults_of_the_cluster_are_one_line(gantry: Gantry, cluster: dict[str, Any], error: Exception, message: str) -> None:
    cluster["error"] = error
    assert gantry("runs") == (1, "", f"gantry: {message}\n")


KUBECONFIGS = {
    "none": (None, "no cluster: "),
    "without current context": ("contexts: []", "no cluster: "),
    "a context of a cluster it does not have": ("current-context: a\ncontexts: [{name: a, context: {cluster: x, user: y}}]", "no cluster: Invalid kube-config file. "),
    "a CA that is not there": (
        "{current-context: a, contexts: [{name: a, context: {cluster: x, user: y}}], users: [{name: y, user: {token: t}}], clusters: [{name: x, cluster: {server: https://127.0.0.1:1, certificate-authority: /nonexistent}}]}",
        "/nonexistent; mend the kubeconfig, or set KUBECONFIG to another",
    ),
    "not YAML": ("{", "is no kubeconfig: "),
    "of another shape": ("[1]", "is no kubeconfig: "),
}


@pytest.mark.parametrize(("text", "message"), KUBECONFIGS.values(), ids=KUBECONFIGS.keys())
def test_a_kubeconfig_that_leads_nowhere_is_one_line(
    gantry: Gantry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str | None, message: str
) -> None:
    if text is not None:
        (tmp_path / "config").write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    done = gantry("runs")
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert message in done.err


def test_two_ways_to_name_namespaces_exclude_each_other(gantry: Gantry, cluster: dict[str, Any]) -> None:
    assert gantry("runs", "-A", "-n", "ct").err == "gantry: --namespace and --all-namespaces exclude each other\n"
