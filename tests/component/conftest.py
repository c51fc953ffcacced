"""Real parts for component tests, started once for the session, and the order of files: the longest first."""

import fcntl
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from tests.component.control_plane import ControlPlane, control_plane, started
from tests.component.worker_pod import launcher

CRDS = Path(__file__).parents[2] / "crds"
SECONDS = {"test_burned": 2.0, "chart": 0.5, "delivery": 2.0, "publish": 2.0, "test_chaos": 30.0, "test_examples": 6.0, "test_masks": 2.0, "test_operator": 5.0, "test_sr": 2.0, "test_worker_sdk": 4.0, "test_worker": 2.0}
"""What a test of a folder or of files that begin so takes, on an idle machine and roughly; others take less than half a second."""

SHARED: list[Any] = []
"""Processes that outlive this one."""


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[ControlPlane]:
    """A real API server that knows Gantry's kinds. The workers of one session share it: each test has namespaces of its own."""
    shared = getattr(request.config, "workerinput", {}).get("control_plane")
    if shared is None:
        with control_plane(tmp_path_factory.mktemp("control-plane")) as plane:
            _install(plane)
            yield plane
    else:
        yield _shared(Path(shared))


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The launcher, built by Go."""
    return launcher(tmp_path_factory.mktemp("launcher"))


def _shared(folder: Path) -> ControlPlane:
    """Started by whichever worker comes first; the session ends it."""
    written = folder / "plane.json"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not written.exists():
            plane, processes = started(folder)
            SHARED.extend(processes)
            (folder / "pids").write_text(" ".join(str(one.pid) for one in processes))
            _install(plane)
            written.write_text(json.dumps(asdict(plane), default=str))
    known = json.loads(written.read_text())
    return ControlPlane(known["url"], Path(known["ca"]), known["token"], Path(known["kubeconfig"]), Path(known["kubectl_path"]))


def _install(plane: ControlPlane) -> None:
    applied = plane.kubectl("apply", "--server-side", "-f", str(CRDS))
    assert applied.returncode == 0, applied.stderr
    plural = ("orthancbridges", "inferencepipelines", "inferenceruns", "inferencebackfills")
    wait = ("wait", "--for=condition=Established", "--timeout=30s", *(f"crd/{p}.gantry.health" for p in plural))
    established = plane.kubectl(*wait)
    if "accessor error" in established.stderr:  # kubectl, of a CRD so fresh that it has no conditions at all
        established = plane.kubectl(*wait)
    assert established.returncode == 0, established.stderr


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """xdist, before it starts a worker: where the workers share what they start."""
    if not hasattr(node.config, "gantry_shared"):
        node.config.gantry_shared = tempfile.mkdtemp(prefix="gantry-component-")
    node.workerinput["control_plane"] = node.config.gantry_shared


def pytest_unconfigure(config: pytest.Config) -> None:
    """Ends what the workers shared."""
    if folder := getattr(config, "gantry_shared", None):
        pids = Path(folder) / "pids"
        for pid in reversed(pids.read_text().split() if pids.exists() else ()):
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)  # nothing of it is kept
        shutil.rmtree(folder, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole files go to workers; a long one at the end would leave the others idle."""
    files: dict[Path, float] = {}
    for item in items:
        files[item.path] = files.get(item.path, 0.0) + _seconds(item.path)
    items.sort(key=lambda item: (-files[item.path], str(item.path)))


def _seconds(file: Path) -> float:
    here = Path(__file__).parent
    first = file.relative_to(here).parts[0] if file.is_relative_to(here) else ""
    return next((seconds for start, seconds in SECONDS.items() if first.startswith(start)), 0.3)
