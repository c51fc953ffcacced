"""Two real Orthancs that the tests of sends share: `server` sends, `pacs` takes."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from tests.component.orthanc_server import OrthancServer, orthanc_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    with orthanc_server(tmp_path_factory.mktemp("orthanc")) as started:
        yield started


@pytest.fixture(scope="session")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    with orthanc_server(tmp_path_factory.mktemp("pacs"), name="PACS") as started:
        yield started


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pause after a failed send: 5 s and more, here 0.1 s and more."""
    monkeypatch.setattr("gantry.delivery.plan.FIRST_PAUSE", timedelta(seconds=0.1))
