"""The App SDK's operators on Holoscan in their step's own container: another user, no capabilities, its folders and no more, the filter and Landlock.

`test_worker_sdk.py` runs the same application as whoever runs the tests. Here every scheduler of Holoscan must find in the container what it needs of the
kernel (threads, AF_UNIX, AF_NETLINK, shared memory), and what the application left must be worth nothing when it then fails.
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.builders_dicom import as_file, ct_series
from tests.component.orthanc_server import OrthancServer, orthanc_server
from tests.component.package_room import Installed, installed, run_package
from tests.component.sr_validators import dciodvfy, dsrdump
from tests.component.worker_pod import ROOT, Pod, a_task

SLICES = ct_series(pixels=True)
STEP = {"name": "bones", "image": "localhost/bones:1", "contract": "MAP"}
ALGORITHM = {"name": "Bones", "version": "1.0", "manufacturer": "Test"}
MENDED = ("CompletionFlag", "ReferencedPerformedProcedureStepSequence", "PerformedProcedureCodeSequence")
INSIDE = {
    "sockets": {"AF_INET": "EPERM", "AF_INET6": "EPERM", "AF_UNIX": "opened", "AF_NETLINK": "opened"},
    "main thread": False,  # the operators' is Holoscan's
    "Uid": "1000\t1000\t1000\t1000",
    "Seccomp": "2",  # a filter: proc(5)
    "NoNewPrivs": "1",
    "CapEff": "0" * 16,
}


@pytest.fixture(scope="module")
def sdk() -> Installed:
    if sys.version_info >= (3, 14):
        pytest.skip("Holoscan 3.11 has no wheel for Python 3.14 or newer")
    if os.geteuid() != 0:
        pytest.skip("the package's image is a copy of this machine's root file system, which only root can make")
    return installed("sdk")


@pytest.fixture(scope="module")
def shared(sdk: Installed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    with orthanc_server(tmp_path_factory.mktemp("orthanc")) as made:
        yield made


@pytest.fixture
def server(shared: OrthancServer) -> OrthancServer:
    for study in shared.studies():
        shared.rest("DELETE", f"/studies/{study}")
    shared.upload(*(as_file(one) for one in SLICES))
    return shared


def fetched(server: OrthancServer, root: Path, program: Path, **report: Any) -> Pod:
    made = Pod(root / "pod", a_task(server, template__steps=[STEP], template__report={"algorithm": ALGORITHM, **report}), program)
    made.root.mkdir()
    assert made.fetch()[0] == 0, made.log
    return made


def run(pod: Pod, sdk: Installed, *way: str, **environment: str) -> int:
    command = [str(sdk.program), "/opt/holoscan/app/application.py", *way]
    image = {"LD_LIBRARY_PATH": str(sdk.libraries / "nvidia" / "cuda_runtime" / "lib"), **environment}
    ended = run_package(pod, ROOT / "tests" / "packages" / "sdk", command, sdk, image)
    assert (ended["launcher"], ended["timedOut"]) == ("", False), said(pod)
    return int(ended["code"])


def said(pod: Pod) -> str:
    return (pod.root / "package.log").read_text()


@pytest.mark.parametrize("scheduler", ["greedy", "multi-thread", "event-based"])
def test_every_scheduler_of_holoscan_works_in_the_container(scheduler: str, server: OrthancServer, tmp_path: Path, program: Path, sdk: Installed) -> None:
    pod = fetched(server, tmp_path, program)
    assert run(pod, sdk, SCHEDULER=scheduler) == 0, said(pod)
    assert "Graph execution finished." in said(pod)
    assert json.loads((pod.output("bones") / "inside.json").read_text()) == INSIDE
    made = list(pod.output("bones").glob("*.dcm"))
    assert len(made) == 2
    assert all(dciodvfy(one) for one in made), "the SDK's objects are whole: what is there to mend?"

    code, receipt = pod.publish()
    assert code == 0, pod.log
    assert sorted(one.kind for one in receipt.results) == ["SEG", "SR"]
    assert all(any(f"{name}: is missing; Gantry wrote" in line for line in receipt.warnings) for name in MENDED), receipt.warnings
    for one in receipt.results:
        (file := tmp_path / f"{one.kind}.dcm").write_bytes(server.rest("GET", f"/instances/{one.orthanc_id}/file"))
        assert dciodvfy(file) == []
    assert dsrdump(tmp_path / "SR.dcm") == []
    (patient,) = server.rest("GET", "/patients?expand")
    assert (patient["MainDicomTags"]["PatientID"], len(patient["Studies"])) == (SLICES[0].PatientID, 1)


def test_strict_conformance_refuses_what_the_sdk_writes(server: OrthancServer, tmp_path: Path, program: Path, sdk: Installed) -> None:
    pod = fetched(server, tmp_path, program, conformance="Strict")
    assert run(pod, sdk) == 0, said(pod)
    code, receipt = pod.publish()
    assert receipt.failure is not None
    assert (code, receipt.failure.reason, receipt.results) == (65, "UnacceptedObject", ())
    assert receipt.failure.message.endswith("; report.conformance of the pipeline is Strict")


def test_what_an_application_left_before_it_failed_is_worth_nothing(server: OrthancServer, tmp_path: Path, program: Path, sdk: Installed) -> None:
    pod = fetched(server, tmp_path, program)
    assert run(pod, sdk, "ends-with-7") == 7, said(pod)
    assert len(list(pod.output("bones").glob("*.dcm"))) == 2
    code, receipt = pod.publish()
    assert receipt.failure is not None
    assert (code, receipt.failure.reason, receipt.failure.message) == (1, "StepFailed", "step bones ended with exit code 7")
    assert receipt.results == ()
    assert len(server.rest("GET", "/instances")) == len(SLICES)
