"""Only a real API server knows structural schemas, CEL and its cost: it takes good objects and refuses bad ones with a word of advice."""

import json
from typing import Any

import pytest
from tests.builders import BACKFILL, BRIDGE, PIPELINE, RUN, changed
from tests.component.control_plane import ControlPlane

STEP = "spec.template.steps.0"

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "certificates for an address without TLS": (changed(BRIDGE, "spec.tls", {"caSecretRef": {"name": "ca", "key": "ca.crt"}}), "tls needs a url that begins with https://"),
    "certificates that name none": (
        changed(changed(BRIDGE, "spec.url", "https://orthanc:8043"), "spec.tls", {}), "tls names caSecretRef, clientCertificateSecretRef or both",
    ),
    "no place to fetch": (changed(BRIDGE, "spec.limits", {"concurrentFetches": 0}), "greater than or equal to 1"),
    "credentials in the url": (changed(BRIDGE, "spec.url", "http://user:pw@orthanc:8042"), "put credentials into credentialsSecretRef"),
    "a url that is none": (changed(BRIDGE, "spec.url", "orthanc:8042"), "spec.url"),
    "a poll interval that would be a storm": (changed(BRIDGE, "spec.watch.pollInterval", "10ms"), "pollInterval is 200ms to 60s"),
    "a duration without unit": (changed(BRIDGE, "spec.watch.lookback", "24"), "spec.watch.lookback"),
    "a port beyond 65535": (changed(BRIDGE, "spec.destinations.0.dicom.port", 70000), "less than or equal to 65535"),
    "an AE title of 17 characters": (changed(BRIDGE, "spec.destinations.0.dicom.aet", "A" * 17), "may not be more than 16"),
    "two destinations of one name": (changed(BRIDGE, "spec.destinations", [BRIDGE["spec"]["destinations"][0]] * 2), "Duplicate value"),
    "a destination of two kinds": (changed(BRIDGE, "spec.destinations.0.orthancPeer", "second"), "give exactly one of dicom, dicomWeb, orthancPeer and orthancModality"),
    "a destination of no kind": (changed(BRIDGE, "spec.destinations.0.dicom", ...), "give exactly one of dicom, dicomWeb, orthancPeer and orthancModality"),
    "a class of reports asked of a DICOMweb server": (
        changed(BRIDGE, "spec.destinations.0", {"name": "web", "dicomWeb": {"url": "https://vna/dicom-web"}, "srFallback": "ComprehensiveSR"}),
        "only DICOM destinations negotiate what they store; leave srFallback at None and set report.sopClass in the pipeline",
    ),
    "a destination with the name of the way back": (changed(BRIDGE, "spec.destinations.0.name", "sender"), "sender is the name of delivery.returnToSender"),
    "credentials in the url of a DICOMweb server": (
        changed(BRIDGE, "spec.destinations.0", {"name": "web", "dicomWeb": {"url": "https://user:pw@vna/dicom-web"}}),
        "put credentials into credentialsSecretRef",
    ),
    "a rate of none": (changed(BRIDGE, "spec.destinations.0.maxPerMinute", 0), "greater than or equal to 1"),
    "a destination that accepts nothing": (changed(BRIDGE, "spec.destinations.0.accept", []), "at least 1 items"),
    "a pipeline without steps": (changed(PIPELINE, "spec.template.steps", []), "at least 1 items"),
    "a model of two sources": (
        changed(PIPELINE, f"{STEP}.models", [{"name": "w", "mountPath": "/models", "configMap": "a", "image": {"reference": "r/b:1"}}]),
        "give exactly one of persistentVolumeClaim, image and configMap",
    ),
    "a model of no source": (
        changed(PIPELINE, f"{STEP}.models", [{"name": "w", "mountPath": "/models"}]), "give exactly one of persistentVolumeClaim, image and configMap",
    ),
    "a model over Gantry's own folders": (
        changed(PIPELINE, f"{STEP}.models", [{"name": "w", "mountPath": "/gantry/input", "configMap": "a"}]), "mountPath is a folder of its own",
    ),
    "a model at no absolute path": (changed(PIPELINE, f"{STEP}.models", [{"name": "w", "mountPath": "models", "configMap": "a"}]), "models[0].mountPath"),
    "two models of one name": (
        changed(PIPELINE, f"{STEP}.models", [{"name": "w", "mountPath": f"/m{n}", "configMap": "a"} for n in (1, 2)]), "Duplicate value",
    ),
    "nine models": (
        changed(PIPELINE, f"{STEP}.models", [{"name": f"w{n}", "mountPath": f"/m{n}", "configMap": "a"} for n in range(9)]), "must have at most 8 items",
    ),
    "a MAP that nobody names": (changed(changed(PIPELINE, f"{STEP}.command", ...), f"{STEP}.contract", "MAP"), "a MAP or mercure module does not say in its results who it is"),
    "arguments of a MAP without its command": (
        changed(PIPELINE, STEP, {"name": "spleen", "image": "localhost/spleen:1", "contract": "MAP", "args": ["-l", "DEBUG"]}),
        "args go with command: write the whole command, or leave args out",
    ),
    "a mapping with two ways to decide": (
        changed(PIPELINE, "spec.template.report", {"algorithm": {"name": "A", "version": "1", "manufacturer": "B"}, "mapping": [
            {"file": "a.json", "type": {"scheme": "SCT", "value": "78961009", "meaning": "Spleen"}, "presence": {"path": "/p", "atLeast": 1, "present": ["x"]}}]}),
        "give one of atLeast, atMost (numbers) and present (values)",
    ),
    "a mapping of a file that is neither JSON nor CSV": (
        changed(PIPELINE, "spec.template.report", {"mapping": [{"file": "a.txt", "type": {"scheme": "SCT", "value": "78961009", "meaning": "Spleen"}}]}),
        "spec.template.report.mapping[0].file",
    ),
    "a wait for a node of less than a minute": (
        changed(PIPELINE, "spec.template.scheduling", {"deadline": "30s"}),
        "deadline is 1m or more",
    ),
    "a mapping without algorithm": (
        changed(PIPELINE, "spec.template.report", {"mapping": [{"file": "a.json", "type": {"scheme": "SCT", "value": "78961009", "meaning": "Spleen"}}]}),
        "mapping needs algorithm: the files it reads do not say who made them",
    ),
    "a mercure module that nobody names": (changed(PIPELINE, f"{STEP}.contract", "Mercure"), "a MAP or mercure module does not say in its results who it is"),
    "a mercure module that gets no images": (
        changed(changed(PIPELINE, f"{STEP}.contract", "Mercure"), "spec.template.input.content", "Metadata"),
        "a mercure module reads DICOM files: input.content has to be Full",
    ),
    "a folder that stays, of another contract": (
        changed(PIPELINE, f"{STEP}.persistence", {"persistentVolumeClaim": {"claimName": "kept"}}),
        "persistence is MODULE_PERSISTENCE_DIR of contract Mercure; leave it out with other contracts",
    ),
    "persistence without a claim": (changed(changed(PIPELINE, f"{STEP}.contract", "Mercure"), f"{STEP}.persistence", {}), "persistentVolumeClaim: Required value"),
    "a claim whose name is a path": (
        changed(changed(PIPELINE, f"{STEP}.contract", "Mercure"), f"{STEP}.persistence", {"persistentVolumeClaim": {"claimName": "../kept"}}), "claimName",
    ),
    "shared memory with a typing error": (changed(PIPELINE, f"{STEP}.resources", {"sharedMemory": "1GB"}), "sharedMemory"),
    "a claim that nobody declares": (
        changed(PIPELINE, f"{STEP}.resources", {"claims": [{"name": "gpu"}]}),
        "resources.claims of a step name entries of scheduling.resourceClaims; add the one that is missing",
    ),
    "a claim of two sources": (
        changed(PIPELINE, "spec.template.scheduling", {"resourceClaims": [{"name": "gpu", "resourceClaimName": "a", "resourceClaimTemplateName": "b"}]}),
        "give exactly one of resourceClaimName and resourceClaimTemplateName",
    ),
    "nine claims": (
        changed(PIPELINE, "spec.template.scheduling", {"resourceClaims": [{"name": f"g{n}", "resourceClaimName": "a"} for n in range(9)]}),
        "must have at most 8 items",
    ),
    "a step without any of its claims": (changed(PIPELINE, f"{STEP}.resources", {"claims": []}), "at least 1 items"),
    "a GPU's memory with a typing error": (changed(PIPELINE, f"{STEP}.resources", {"gpuMemory": "8GB"}), "gpuMemory"),
    "classes of a queue without the queue": (
        changed(PIPELINE, "spec.template.scheduling", {"queueClassNames": {"Stat": "high"}}),
        "queueClassNames are Kueue's: give queueName too, or use priority.classNames of the pipeline",
    ),
    "a queue whose name is a path": (changed(PIPELINE, "spec.template.scheduling", {"queueName": "team/radiology"}), "queueName"),
    "an unknown contract": (changed(PIPELINE, f"{STEP}.contract", "Docker"), "Unsupported value"),
    "a step with Gantry's own name": (changed(PIPELINE, f"{STEP}.name", "publish"), "fetch and publish are Gantry's own containers"),
    "a requirement that needs values": (changed(PIPELINE, "spec.match.study.0.values", ...), "every other operator needs values"),
    "Exists with values": (changed(PIPELINE, "spec.match.study.0.operator", "Exists"), "Exists and DoesNotExist take no values"),
    "a comparison with two numbers": (
        changed(PIPELINE, "spec.match.study.0", {"tag": "SliceThickness", "operator": "Lte", "values": ["1", "2"]}),
        "take exactly one value",
    ),
    "a comparison with what is no number": (
        changed(PIPELINE, "spec.match.study.0", {"tag": "SliceThickness", "operator": "Lte", "values": ["thin"]}),
        'Lt, Lte, Gt and Gte compare numbers; write for example "2.5"',
    ),
    "a comparison with a number and its unit, in a priority rule": (
        changed(PIPELINE, "spec.priority", {"rules": [{"study": [{"tag": "PatientWeight", "operator": "Gt", "values": ["80 kg"]}], "class": "Urgent"}]}),
        'Lt, Lte, Gt and Gte compare numbers; write for example "2.5"',
    ),
    "two series of a pick that gives one": (
        changed(PIPELINE, "spec.template.input.series", {"pick": "Thinnest", "min": 2}),
        "MostInstances, Thinnest and Latest choose one series: leave min at 1",
    ),
    "an expression of 4,097 characters": (changed(PIPELINE, "spec.match.expression", "t" * 4097), "may not be more than 4096"),
    "an empty expression": (changed(PIPELINE, "spec.template.input.series.expression", ""), "should be at least 1 chars long"),
    "a tag that cannot be one": (changed(PIPELINE, "spec.match.study.0.tag", "0008;0060"), "spec.match.study[0].tag"),
    "an unknown operator": (changed(PIPELINE, "spec.match.study.0.operator", "Like"), "Unsupported value"),
    "min above max": (changed(PIPELINE, "spec.template.input.series", {"min": 3, "max": 2}), "min must not be larger than max"),
    "a variable with two values": (
        changed(PIPELINE, f"{STEP}.env", [{"name": "A", "value": "1", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]),
        "give value or valueFrom, not both",
    ),
    "a memory quantity with a typing error": (changed(PIPELINE, f"{STEP}.resources.limits", {"memory": "8GB"}), "memory"),
    "a history shorter than an hour": (changed(PIPELINE, "spec.history.ttl", "5m"), "ttl is 1h or more"),
    "an unknown field": (changed(PIPELINE, "spec.template.retrys", 1), "unknown field"),
    "a run name without room for the Job's suffix": (changed(RUN, "metadata.name", "r" * 61), "at most 60 characters"),
    "a study by its DICOM UID": (changed(RUN, "spec.study.orthancID", "1.2.840.113619.2.55"), "spec.study.orthancID"),
    "a run without series": (changed(RUN, "spec.study.seriesIDs", []), "at least 1 items"),
    "a backfill that ends before it begins": (changed(BACKFILL, "spec.from", "2026-01-01"), "from must not be later than to"),
    "a backfill over a century": (changed(BACKFILL, "spec.from", "1925-01-01"), "from and to are at most 3660 days apart"),
    "a day that does not exist": (changed(BACKFILL, "spec.to", "2025-02-30"), "spec.to"),
    "a backfill without a cap": (changed(BACKFILL, "spec.maxActive", 0), "greater than or equal to 1"),
    "a backfill whose name labels nothing": (changed(BACKFILL, "metadata.name", "b" * 64), "at most 63 characters"),
}  # fmt: skip

IMMUTABLE: dict[str, tuple[str, Any, str]] = {
    "the template": ("spec.template.retries", 5, "template cannot be changed; make a new Run"),
    "settings deep within it": (STEP + ".settings", {"threshold": 0.9}, "template cannot be changed; make a new Run"),
    "the study": ("spec.study.instances", 21, "study cannot be changed; make a new Run"),
    "the trigger": ("spec.trigger", "Manual", "trigger cannot be changed; make a new Run"),
    "the pipeline taken away": ("spec.pipelineRef", ..., "pipelineRef cannot be changed; make a new Run"),
}


FIXED: dict[str, tuple[str, Any, str]] = {
    "the pipeline": ("spec.pipelineRef.name", "other", "pipelineRef cannot be changed; make a new InferenceBackfill"),
    "the first day": ("spec.from", "2025-02-01", "from cannot be changed; make a new InferenceBackfill"),
    "the last day": ("spec.to", "2025-02-01", "to cannot be changed; make a new InferenceBackfill"),
    "the match": ("spec.match", [{"tag": "PatientSex", "operator": "In", "values": ["F"]}], "match cannot be changed; make a new InferenceBackfill"),
    "the class": ("spec.priority", "Stat", "priority cannot be changed; make a new InferenceBackfill"),
    "a dry run once it has begun": ("spec.dryRun", True, "a backfill that has begun cannot become a dry run; set suspend to hold it"),
}


@pytest.mark.parametrize("resource", [BRIDGE, PIPELINE, RUN, BACKFILL], ids=lambda r: r["kind"])
def test_a_good_object_is_taken(api_server: ControlPlane, resource: dict[str, Any]) -> None:
    done = api_server.apply(resource)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("resource", "advice"), REFUSED.values(), ids=REFUSED.keys())
def test_a_mistake_is_refused_with_advice(api_server: ControlPlane, resource: dict[str, Any], advice: str) -> None:
    resource = changed(resource, "metadata.name", resource["metadata"]["name"] + "-bad")
    done = api_server.kubectl("create", "--validate=strict", "-f", "-", stdin=json.dumps(resource))
    assert done.returncode != 0, "the API server took it"
    assert advice in done.stderr


@pytest.mark.parametrize(("path", "value", "advice"), IMMUTABLE.values(), ids=IMMUTABLE.keys())
def test_a_run_is_a_record(api_server: ControlPlane, path: str, value: Any, advice: str) -> None:
    assert api_server.apply(RUN).returncode == 0
    done = api_server.kubectl("replace", "-f", "-", stdin=json.dumps(changed(RUN, path, value)))
    assert done.returncode != 0, "the API server took the change"
    assert advice in done.stderr


@pytest.mark.parametrize(("path", "value", "advice"), FIXED.values(), ids=FIXED.keys())
def test_what_a_backfill_is_about_stays(api_server: ControlPlane, path: str, value: Any, advice: str) -> None:
    assert api_server.apply(BACKFILL).returncode == 0
    done = api_server.kubectl("replace", "-f", "-", stdin=json.dumps(changed(BACKFILL, path, value)))
    assert done.returncode != 0, "the API server took the change"
    assert advice in done.stderr


def test_a_backfill_may_be_begun_held_and_given_more_room(api_server: ControlPlane) -> None:
    backfill = changed(changed(BACKFILL, "metadata.name", "begun"), "spec.dryRun", True)
    assert api_server.apply(backfill).returncode == 0
    for change in ('{"spec":{"dryRun":false}}', '{"spec":{"suspend":true}}', '{"spec":{"suspend":false,"maxActive":9}}'):
        done = api_server.kubectl("patch", "ibf", "begun", "--type=merge", "-p", change)
        assert done.returncode == 0, done.stderr


def test_a_cancelled_run_stays_cancelled(api_server: ControlPlane) -> None:
    run = changed(RUN, "metadata.name", "cancelled")
    assert api_server.apply(run).returncode == 0
    assert api_server.kubectl("patch", "irun", "cancelled", "--type=merge", "-p", '{"spec":{"cancel":true}}').returncode == 0
    back = api_server.kubectl("patch", "irun", "cancelled", "--type=merge", "-p", '{"spec":{"cancel":false}}')
    assert "a cancelled Run stays cancelled" in back.stderr


def test_defaults_are_written_by_the_schema(api_server: ControlPlane) -> None:
    assert api_server.apply(BRIDGE, PIPELINE).returncode == 0
    fields = "jsonpath={.spec.template.timeout} {.spec.template.retries} {.spec.history.ttl}"
    answer = api_server.kubectl("get", "ipl", "chest-ct-nodules", "-o", fields)
    assert answer.stdout == "1h 1 720h"
    answer = api_server.kubectl("get", "obridge", "main", "-o", "jsonpath={.spec.watch.pollInterval} {.spec.limits.connectionsPerFetch}")
    assert answer.stdout == "1s 4"


def test_kubectl_shows_all_kinds_of_the_category(api_server: ControlPlane) -> None:
    assert api_server.apply(BRIDGE, PIPELINE, RUN).returncode == 0
    shown = api_server.kubectl("get", "gantry").stdout
    for title in ("VERSION", "LAG", "BRIDGE", "SUCCEEDED", "PIPELINE", "STATE", "PRESENT", "GPU-S", "AGE"):
        assert title in shown
    explained = api_server.kubectl("explain", "ipl.spec.template.steps.command").stdout
    assert "the launcher starts in place of" in explained
