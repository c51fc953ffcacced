"""The department that asked for a study, by the images."""

import pytest
from pydicom import Dataset

from gantry.worker.headers import department


@pytest.mark.parametrize(
    ("elements", "want"),
    [
        ({"RequestingService": "Emergency", "InstitutionalDepartmentName": "Radiology"}, "Emergency"),
        ({"InstitutionalDepartmentName": " Cardiology  II "}, "Cardiology II"),
        ({"RequestingService": "", "InstitutionalDepartmentName": "Radiology"}, "Radiology"),
        ({"RequestingService": "a\x1b[2J"}, ""),
        ({}, ""),
    ],
    ids=["who asked", "who made the images, in one line", "an empty one is none", "control characters", "none"],
)
def test_department(elements: dict[str, str], want: str) -> None:
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    assert department([dataset]) == want


def test_no_images_no_department() -> None:
    assert department([]) == ""
