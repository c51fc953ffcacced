"""`gantry runs` as a process against a real API server."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.builders import RUN, changed
from tests.component.control_plane import ControlPlane


def gantry(*arguments: str, kubeconfig: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "gantry"
    return subprocess.run([program, *arguments], env={**os.environ, "KUBECONFIG": str(kubeconfig)}, capture_output=True, text=True, check=False)


def test_lists_the_runs_of_a_namespace_and_of_the_cluster(api_server: ControlPlane) -> None:
    for place in ("cli-ct", "cli-mr"):
        made = api_server.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place}},
            changed(changed(RUN, "metadata.namespace", place), "metadata.name", f"run-{place}"),
        )
        assert made.returncode == 0, made.stderr
    one = gantry("runs", "-n", "cli-ct", "-o", "json", kubeconfig=api_server.kubeconfig)
    assert [run["metadata"]["name"] for run in json.loads(one.stdout)["items"]] == ["run-cli-ct"]
    everywhere = gantry("runs", "-A", kubeconfig=api_server.kubeconfig)
    assert everywhere.stderr == ""
    assert {"run-cli-ct", "run-cli-mr"} <= set(everywhere.stdout.split())
    assert "Queued" in everywhere.stdout


def test_an_api_server_that_is_away_is_one_line(api_server: ControlPlane, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(api_server.kubeconfig.read_text().replace(api_server.url, "https://127.0.0.1:1"))
    done = gantry("runs", kubeconfig=kubeconfig)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("gantry: the API server did not answer as wanted: ")
    assert done.stderr.count("\n") == 1
