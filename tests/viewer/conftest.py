"""A page of OHIF on an Orthanc, and a browser; `make test-viewer` fetches what they need. When a test fails, the picture is in build/failures/viewer/."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright
from tests.component.orthanc_server import OrthancServer, orthanc_server
from tests.viewer.ohif import FLAGS, STARTS, Viewer
from tests.viewer.one_origin import one_origin

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
WHOLE = {"Enable": True, "Root": "/dicom-web/", "StudiesMetadata": "Full", "SeriesMetadata": "Full"}
FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest.fixture(scope="session")
def page_folder() -> Path:
    """OHIF's published page."""
    folder = os.environ.get("GANTRY_OHIF")
    assert folder, "run these tests by `make test-viewer`, or set GANTRY_OHIF to what tests/viewer/prepare prints"
    return Path(folder)


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    """Tells DICOMweb all it knows, to everybody: the viewer has no log-in here."""
    config = {"AuthenticationEnabled": False, "RegisteredUsers": {}, "DicomServerEnabled": False, "DicomWeb": WHOLE, "OverwriteInstances": True}
    with orthanc_server(tmp_path_factory.mktemp("archive"), config=config) as server:
        yield server


@pytest.fixture(scope="session")
def address(page_folder: Path, archive: OrthancServer) -> Iterator[str]:
    with one_origin(page_folder, HERE / "app-config.js", archive.url) as url:
        yield url


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=FLAGS, headless=True)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """One cache for all windows."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, service_workers="block")
    context.add_init_script("localStorage.setItem('shownTours', JSON.stringify(['basicViewerTour']))")  # else a tour dims the page
    context.add_init_script(STARTS)
    yield context
    context.close()


@pytest.fixture
def viewer(context: BrowserContext, address: str, request: pytest.FixtureRequest) -> Iterator[Viewer]:
    """A window of its own; what the page says is kept."""
    page = context.new_page()
    viewer = Viewer(page, address)
    yield viewer
    name = re.sub(r"[^\w]+", "-", request.node.name).strip("-")
    if request.node.stash.get(FAILED, False):
        viewer.picture(ROOT / "build" / "failures" / "viewer" / f"{name}.png")
    elif os.environ.get("GANTRY_PICTURES"):
        viewer.picture(Path(os.environ["GANTRY_PICTURES"]) / f"{name}.png")
    page.close()
