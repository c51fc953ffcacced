"""IHE AI Results, Table 6.5.3.1-1: every place that names the algorithm says the same."""

from typing import Any

import pytest
from pydicom import Dataset
from tests.builders_dicom import ct_series, read_back
from tests.builders_findings import ALGORITHM, a_context, a_document, a_finding, parsed
from tests.sr_structure import ALGORITHM_NAME, ALGORITHM_VERSION, children, groups

from gantry.api.pipeline import Algorithm
from gantry.report import build_report

SECOND = {"id": "a2", "name": "EffusionNet", "version": "0.3", "manufacturer": "Other AI", "serial": "SN7", "deviceUID": "1.2.3.4"}
IMAGE = "registry.example/nodules@sha256:" + "a" * 64
SOURCE = ct_series(2)


def built(algorithms: list[dict[str, Any]] | None = None, **context: Any) -> Dataset:
    document = a_document(a_finding("a"), a_finding("b", algorithm=(algorithms or [ALGORITHM])[-1]["id"]), algorithms=algorithms or [ALGORITHM])
    return read_back(build_report(parsed(document), SOURCE, a_context(**context))[0].dicom)


def texts(item: Dataset, name: str) -> list[str]:
    return [child.get("TextValue") or child.UID for child in children(item, name)]


def test_equipment_observer_and_identification_are_equal() -> None:
    sr = built([ALGORITHM, SECOND])
    equipment = sr.ContributingEquipmentSequence
    assert [item.Manufacturer for item in equipment] == texts(sr, "121014") == ["ACME AI", "Other AI"]
    assert [item.ManufacturerModelName for item in equipment] == texts(sr, "121015") == texts(sr, "121013") == ["LungNoduleNet", "EffusionNet"]
    assert [item.DeviceUID for item in equipment] == texts(sr, "121012")
    assert [item.SoftwareVersions for item in equipment] == [texts(group, ALGORITHM_VERSION)[0] for group in groups(sr)] == ["2.1.0", "0.3"]
    assert [texts(group, ALGORITHM_NAME)[0] for group in groups(sr)] == ["LungNoduleNet", "EffusionNet"]
    assert {item.PurposeOfReferenceCodeSequence[0].CodeValue for item in equipment} == {"109102"}


def test_the_image_that_ran_is_recorded() -> None:
    assert built().ContributingEquipmentSequence[0].ContributionDescription == f"Container image {IMAGE}"


def test_parameters_and_family_stand_with_the_algorithm() -> None:
    (first, _) = groups(built())
    assert texts(first, "111002") == ["fast=true", "minDiameterMm=4", "threshold=0.5"]
    assert children(first, "111000")[0].ConceptCodeSequence[0].CodeValue == "123110"


def test_the_pipeline_overrides_the_first_algorithm() -> None:
    named = Algorithm(name="Lung AI", version="9", manufacturer="Clinic")
    sr = built([SECOND, ALGORITHM], algorithm=named)
    equipment = [(item.Manufacturer, item.ManufacturerModelName, item.SoftwareVersions) for item in sr.ContributingEquipmentSequence]
    assert equipment == [("Clinic", "Lung AI", "9"), ("ACME AI", "LungNoduleNet", "2.1.0")]
    assert sr.ContributingEquipmentSequence[0].DeviceUID != "1.2.3.4"
    assert sr.SeriesDescription == "AI Lung AI 9"


DEVICES: dict[str, tuple[list[dict[str, Any]], dict[str, Any], bool]] = {
    "the same again": ([ALGORITHM], {}, True),
    "another Run": ([ALGORITHM], {"run": "other"}, True),
    "another installation": ([ALGORITHM], {"installation": "other"}, True),
    "the same image from another registry": ([ALGORITHM], {"images": (IMAGE.replace("registry.example", "mirror.example"),)}, True),
    "another version": ([ALGORITHM | {"version": "2.1.1"}], {}, False),
    "another manufacturer": ([ALGORITHM | {"manufacturer": "ACME"}], {}, False),
    "a retrained model in another image": ([ALGORITHM], {"images": (IMAGE.replace("a" * 64, "b" * 64),)}, False),
    "a further step before it": ([ALGORITHM], {"images": ("registry.example/crop:1", IMAGE)}, False),
}


@pytest.mark.parametrize(("algorithms", "context", "same"), DEVICES.values(), ids=DEVICES)
def test_the_device_uid_changes_with_the_model_and_only_then(algorithms: list[dict[str, Any]], context: dict[str, Any], same: bool) -> None:
    device = built(algorithms, **context).ContributingEquipmentSequence[0].DeviceUID
    assert (device == built().ContributingEquipmentSequence[0].DeviceUID) is same


def test_a_device_uid_of_the_manufacturer_is_kept() -> None:
    assert built([SECOND]).ContributingEquipmentSequence[0].DeviceUID == "1.2.3.4"
    assert built([SECOND]).ContributingEquipmentSequence[0].DeviceSerialNumber == "SN7"
