"""What the corpus says of images of other kinds than CT, in OHIF: regions are drawn, the rest comes up as text, and no document comes up blank."""

from collections.abc import Iterator

import pytest
from pydicom import Dataset
from tests.builders_corpus import STATEMENTS
from tests.builders_dicom import as_file, read_back
from tests.builders_findings import a_context, parsed
from tests.component.orthanc_server import OrthancServer
from tests.viewer.images import a_visible_image
from tests.viewer.ohif import Viewer
from tests.viewer.reports import drawings, is_drawn, words

from gantry.report import build_report

KINDS = ("MR", "DX", "MG", "US", "SC", "PT", "US multi-frame", "Enhanced CT", "Enhanced MR")
FIRST, STEP = 2000, 10


def _reports(image: Dataset) -> Iterator[Dataset]:
    for number, (name, say) in enumerate(STATEMENTS.items()):
        context = a_context(run=f"{image.SOPClassUID} {name}", series_number=FIRST + STEP * number)
        yield from (read_back(built.dicom) for built in build_report(parsed(say(image)), [image], context))


@pytest.mark.parametrize("kind", KINDS)
def test_reports_on_images_of_any_kind_are_shown(kind: str, archive: OrthancServer, viewer: Viewer) -> None:
    image = a_visible_image(kind)
    reports = list(_reports(image))
    archive.upload(as_file(image), *map(as_file, reports))
    assert [is_drawn(report) for report in reports].count(True) == 2
    for report in reports:
        viewer.open(str(image.StudyInstanceUID))
        viewer.show(int(report.SeriesNumber))
        if not is_drawn(report):
            viewer.says(words(report))
            continue
        for drawing in drawings(report):
            viewer.drawn(drawing)
    assert viewer.said == []
