"""An archive with one CT study, and a pod whose fetch has ended."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.builders_slices import a_ct
from tests.component.orthanc_server import OrthancServer, orthanc_server
from tests.component.publish.outputs import ORIGINALS, fetched
from tests.component.worker_pod import Pod


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    with orthanc_server(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture
def server(shared: OrthancServer) -> OrthancServer:
    """Holds one CT study of three slices and nothing else."""
    for study in shared.studies():
        shared.rest("DELETE", f"/studies/{study}")
    shared.upload(*(a_ct(number=number) for number in range(1, ORIGINALS + 1)))
    return shared


@pytest.fixture
def pod(server: OrthancServer, tmp_path: Path, program: Path) -> Pod:
    """A pod whose fetch has ended."""
    return fetched(server, tmp_path, program)
