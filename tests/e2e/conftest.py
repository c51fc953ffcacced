"""A hospital for each test: a namespace with Orthanc, a PACS and Gantry installed by its chart. The cluster is there already (KUBECONFIG)."""

import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from examples.demo.hospital import ROOT, Hospital, HospitalError, run
from examples.phantom.make_ct import Options, make_series

FAILURES = ROOT / "build" / "failures"
LOOKED_AT = {
    "resources.txt": ("get", "obridge,ipl,ibf,irun,jobs,pods,events", "-o", "wide"),
    "runs.yaml": ("get", "obridge,ipl,ibf,irun,jobs", "-o", "yaml"),
    "pods.txt": ("describe", "pods"),
    "operator.log": ("logs", "-l", "app.kubernetes.io/name=gantry", "--tail=-1", "--prefix"),
    "jobs.log": ("logs", "-l", "gantry.health/run", "--all-containers", "--tail=200", "--prefix", "--max-log-requests=50"),
}
BESIDE_OTHERS = ("crds.enabled=false", "rbac.aggregateRoles=false", "imagePullLimitSeconds=20", "replicas=1")
"""What belongs to the whole cluster is installed once, not by each test's release; a missing image is given up early; test_conservation has replicas."""
_numbers = itertools.count(1)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Remembers that the test failed, for the fixture that saves what there is to see."""
    report: Any = yield
    if report.when == "call" and report.failed:
        item.stash[FAILED] = True
    return report


FAILED = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
def crds() -> None:
    """The kinds, once for all namespaces."""
    run("kubectl", "apply", "--server-side", "-f", str(ROOT / "crds"))
    names = [f"crd/{path.stem}.gantry.health" for path in (ROOT / "crds").glob("*.yaml")]
    run("kubectl", "wait", "--for=condition=Established", "--timeout=60s", *names)


@pytest.fixture
def hospital(request: pytest.FixtureRequest, crds: None) -> Iterator[Hospital]:
    made = Hospital(f"e2e-{os.environ.get('PYTEST_XDIST_WORKER', 'one')}-{next(_numbers)}")
    try:
        made.create_namespace()
        made.start_servers()
        made.install_gantry(*BESIDE_OTHERS)
        made.wait_for_servers()
        made.apply(ROOT / "tests" / "e2e" / "bridge.yaml")
        made.wait_until_ready("obridge/main")
        yield made
    except HospitalError:
        request.node.stash[FAILED] = True
        raise
    finally:
        if request.node.stash.get(FAILED, False):
            save(made, FAILURES / re.sub(r"\W+", "_", request.node.name))
        made.close()
        run("kubectl", "delete", "namespace", made.namespace, "--wait=false")


def save(hospital: Hospital, folder: Path) -> None:
    """Everything one would look at, in build/failures/<test>/."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, command in LOOKED_AT.items():
        try:
            text = hospital.kubectl(*command)
        except HospitalError as error:
            text = str(error)
        (folder / name).write_text(text)


@pytest.fixture
def study(tmp_path: Path, request: pytest.FixtureRequest) -> list[Path]:
    """A small CT with two spheres; truth.json beside it."""
    make_series(tmp_path / "study", Options(slices=40, matrix=192, spheres=2, smallest=10, accession=request.node.name[-16:]))
    return sorted((tmp_path / "study").glob("*.dcm"))
