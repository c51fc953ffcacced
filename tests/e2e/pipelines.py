"""Pipelines for tests: the nodule detector, and applications that misbehave in one way each (Python in the detector's image)."""

import json
from typing import Any

from examples.demo.hospital import Hospital, images

NODULE = {"scheme": "SCT", "value": "427359005", "meaning": "Solitary nodule of lung"}
NEGATIVE = {
    "schemaVersion": "v1alpha1",
    "algorithms": [{"id": "a", "name": "Looker", "version": "1", "manufacturer": "Example"}],
    "evaluatedFor": [NODULE],
    "findings": [],
}


def detector() -> list[str]:
    return ["python3", "/app/detect.py"]


def python(text: str) -> list[str]:
    """A command that runs `text`; `negative()` in it writes a valid document without findings."""
    start = f"import json, os, pathlib\nOUT = pathlib.Path(os.environ['GANTRY_OUTPUT'])\nNEGATIVE = json.loads('''{json.dumps(NEGATIVE)}''')\n"
    return ["python3", "-c", start + "def negative(): (OUT / 'findings.json').write_text(json.dumps(NEGATIVE))\n" + text]


def pipeline(name: str, command: list[str], *, modality: str = "CT", step: dict[str, Any] | None = None, **template: Any) -> dict[str, Any]:
    one = {
        "name": "detect",
        "image": images()["gantry/nodules"],
        "command": command,
        "resources": {"requests": {"cpu": "50m"}, "limits": {"memory": "512Mi"}},
        **(step or {}),
    }
    return {
        "apiVersion": "gantry.health/v1alpha1",
        "kind": "InferencePipeline",
        "metadata": {"name": name},
        "spec": {
            "bridgeRef": {"name": "main"},
            "match": {"study": [{"tag": "ModalitiesInStudy", "operator": "In", "values": [modality]}]},
            "template": {"retries": 0, "timeout": "5m", "delivery": {"destinations": ["pacs"]}, **template, "steps": [one]},
        },
    }


def apply(hospital: Hospital, *pipelines: dict[str, Any]) -> None:
    """Applies and waits until each is Ready."""
    hospital.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(pipelines)}))
    hospital.wait_until_ready(*(f"ipl/{one['metadata']['name']}" for one in pipelines))
