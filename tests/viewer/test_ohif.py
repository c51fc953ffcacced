"""Every report of the corpus on a CT series in OHIF, stock configuration: regions are drawn on their slices in their places with their numbers, all others
come up as text, and the page reports no fault. `make test-viewer`; with GANTRY_PICTURES=FOLDER there is a picture of every document.
"""

from dataclasses import dataclass

import pytest
from pydicom import Dataset
from tests.builders_corpus import Case, corpus
from tests.builders_dicom import a_segmentation, as_file, changed, ct_series, read_back, uid
from tests.builders_findings import a_box, a_context, a_document, a_finding, parsed
from tests.component.orthanc_server import OrthancServer
from tests.viewer.ohif import Viewer
from tests.viewer.reports import drawings, is_drawn, words

from gantry.report import build_overview, build_report
from gantry.report.display import displayed

FIRST, STEP = 1000, 10
"""Series numbers: each document has ten of its own."""


@dataclass(frozen=True)
class Shown:
    """A document of the corpus and its reports, with series of their own."""

    case: Case
    reports: tuple[Dataset, ...]


def _shown(number: int, case: Case) -> Shown:
    context = a_context(**case.context | {"run": f"run-{number}", "series_number": FIRST + STEP * number})
    objects = {} if case.segmentation is None else {"seg.dcm": case.segmentation}
    return Shown(case, tuple(read_back(built.dicom) for built in build_report(parsed(case.document), case.source, context, objects)))


CASES = corpus()
SHOWN = [_shown(number, case) for number, case in enumerate([*CASES["CT"], *CASES["Comprehensive SR"]])]


@pytest.fixture(scope="module")
def study(archive: OrthancServer) -> str:
    """All images, the segmentation and all reports in one study."""
    ct = [changed(image, WindowCenter=-500, WindowWidth=1500) for image in ct_series(20, pixels=True)]
    archive.upload(*map(as_file, [*ct, a_segmentation(ct)]), *(as_file(report) for shown in SHOWN for report in shown.reports))
    return uid("study")


@pytest.mark.parametrize("shown", SHOWN, ids=lambda shown: shown.case.name)
def test_a_report_is_shown(shown: Shown, study: str, viewer: Viewer) -> None:
    for report in shown.reports:
        number = int(report.SeriesNumber)
        viewer.open(study)  # anew: from one report to the next, OHIF at times stays on the image it shows
        viewer.show(number)
        if not is_drawn(report):
            viewer.says(words(report))
            continue
        first, *further = drawings(report)
        viewer.drawn(first)
        for drawing in further:
            viewer.next()
            viewer.drawn(drawing)
        assert viewer.count_findings(number) == 1 + len(further)
    assert viewer.said == []


VOLUMES = ("CT: ellipsoid3d between slices", "CT: a volume of outlines", "CT: a segment")


@pytest.mark.parametrize("name", VOLUMES)
def test_a_volume_has_an_outline_that_is_drawn(name: str) -> None:
    """Beside its own report, which comes up as text; `test_a_report_is_shown` looks for it on its key slice."""
    (shown,) = (one for one in SHOWN if one.case.name == name)
    assert [is_drawn(report) for report in shown.reports].count(True) == 1


def test_the_overview_opens_as_a_series_of_its_own(archive: OrthancServer, viewer: Viewer) -> None:
    """A page of words and two key images, one below the other as images of a series."""
    ct = ct_series(20, study="overview", pixels=True)
    document = a_document(*(a_finding(f"f{number}", region=a_box(sopInstanceUID=ct[number].SOPInstanceUID)) for number in (5, 9)))
    made = build_overview(parsed(document), ct, a_context(), {}, displayed)
    overview = read_back(made.dicom)
    archive.upload(made.dicom, *map(as_file, ct))
    viewer.open(uid("overview"))
    viewer.show(int(overview.SeriesNumber), str(overview.Modality), pictured=True)
    viewer.at(f"{overview.SOPInstanceUID} 1")
    for page in range(2, int(overview.NumberOfFrames) + 1):
        viewer.page.keyboard.press("ArrowDown")
        viewer.at(f"{overview.SOPInstanceUID} {page}")
    assert viewer.said == []


def test_a_segmentation_lies_over_its_images(study: str, viewer: Viewer) -> None:
    viewer.open(study)
    viewer.show(9002, "SEG")
    viewer.segments(["nodule-1"])
    assert viewer.said == []
