"""Test objects: valid resources as dictionaries, with the differences a test is about."""

import copy
from typing import Any

from gantry.api.run import DeliveryStatus

BRIDGE: dict[str, Any] = {
    "apiVersion": "gantry.health/v1alpha1",
    "kind": "OrthancBridge",
    "metadata": {"name": "main", "namespace": "default"},
    "spec": {
        "url": "http://orthanc:8042",
        "credentialsSecretRef": {"name": "orthanc"},
        "destinations": [{"name": "pacs", "dicom": {"aet": "PACS", "host": "pacs", "port": 4242}}],
    },
}

PIPELINE: dict[str, Any] = {
    "apiVersion": "gantry.health/v1alpha1",
    "kind": "InferencePipeline",
    "metadata": {"name": "chest-ct-nodules", "namespace": "default"},
    "spec": {
        "bridgeRef": {"name": "main"},
        "match": {"study": [{"tag": "ModalitiesInStudy", "operator": "In", "values": ["CT"]}]},
        "template": {
            "input": {"series": {"match": [{"tag": "Modality", "operator": "In", "values": ["CT"]}]}},
            "steps": [{"name": "detect", "image": "localhost/nodules:1", "command": ["python3", "/app/detect.py"]}],
            "delivery": {"destinations": ["pacs"]},
        },
    },
}

RUN: dict[str, Any] = {
    "apiVersion": "gantry.health/v1alpha1",
    "kind": "InferenceRun",
    "metadata": {"name": "chest-ct-nodules-abcdefghijklm", "namespace": "default"},
    "spec": {
        "pipelineRef": {"name": "chest-ct-nodules", "uid": "0" * 36, "generation": 1},
        "bridgeRef": {"name": "main"},
        "study": {
            "orthancID": "11111111-22222222-33333333-44444444-55555555",
            "seriesIDs": ["aaaaaaaa-22222222-33333333-44444444-55555555"],
            "instances": 20,
            "fingerprint": "a" * 52,
        },
        "trigger": "StableStudy",
        "template": PIPELINE["spec"]["template"],
    },
}

BACKFILL: dict[str, Any] = {
    "apiVersion": "gantry.health/v1alpha1",
    "kind": "InferenceBackfill",
    "metadata": {"name": "chest-2025", "namespace": "default"},
    "spec": {"pipelineRef": {"name": "chest-ct-nodules"}, "from": "2025-01-01", "to": "2025-12-31", "maxActive": 3},
}


def changed(base: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of `base` with the field at dotted `path` (numbers index lists) set; `...` removes it."""
    result = copy.deepcopy(base)
    *parents, last = path.split(".")
    node: Any = result
    for part in parents:
        node = node[int(part)] if part.isdigit() else node.setdefault(part, {})
    key: Any = int(last) if last.isdigit() else last
    if value is ...:
        del node[key]
    else:
        node[key] = value
    return result


def pending(*destinations: str) -> tuple[DeliveryStatus, ...]:
    """The deliveries of a Run whose results have just been reported."""
    return tuple(DeliveryStatus(destination=one, state="Pending") for one in destinations)
