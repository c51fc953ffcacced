"""The Job a Run becomes, field by field where others rely on it: the worker, Pod Security, the Job controller, the scheduler.

What a step gets by its contract is in test_jobspec_contracts.py.
"""

import json
from dataclasses import replace
from typing import Any

import pytest
from kubernetes.aio.client.models.v1_job import V1Job
from tests.builders import changed
from tests.builders_jobs import INSTALLATION, TWO, WRITES, container, environment, made, mounts, pod
from tests.builders_runs import A_BRIDGE, NAME, RUN_UID, RunBuilder, a_run

from gantry.api import RunReason
from gantry.runs import BridgeView, Predecessor, Predecessors, Task, UnfitRun, job, notice_job, traceparent


@pytest.mark.parametrize("run", [a_run(), TWO, a_run().with_gpu(), a_run().made_by_hand()], ids=["plain", "two steps", "GPU", "by hand"])
def test_kubernetes_own_model_reads_every_field(run: RunBuilder) -> None:
    """What the model does not know it drops: nothing may be lost on the way there and back."""
    body = made(run)
    model = V1Job.from_dict(body)
    assert model is not None
    assert model.model_dump(by_alias=True, exclude_none=True) == body


def test_the_job_is_the_runs_and_can_be_found_by_it() -> None:
    metadata = made()["metadata"]
    assert metadata["name"] == f"{NAME}-1"
    assert metadata["ownerReferences"] == [
        {"apiVersion": "gantry.health/v1alpha1", "kind": "InferenceRun", "name": NAME, "uid": RUN_UID, "controller": True}
    ]
    labels = {
        "gantry.health/run": NAME,
        "gantry.health/pipeline": "chest-ct-nodules",
        "app.kubernetes.io/part-of": "gantry",
        "app.kubernetes.io/managed-by": "gantry",
    }
    assert metadata["labels"] == labels
    assert made()["spec"]["template"]["metadata"]["labels"] == labels


def test_a_run_made_by_hand_has_no_pipeline_label() -> None:
    assert "gantry.health/pipeline" not in made(a_run().made_by_hand())["metadata"]["labels"]


def test_attempts_deadline_and_what_is_not_tried_again() -> None:
    spec = made(a_run().with_template(retries=2, timeout="90m"))["spec"]
    assert (spec["backoffLimit"], spec["podReplacementPolicy"]) == (2, "Failed")
    assert spec["template"]["spec"]["activeDeadlineSeconds"] == 5400
    assert spec["activeDeadlineSeconds"] == 86_400 + 3 * 5400, "a day for a node, and each attempt its time"
    patient = made(a_run().with_template(retries=0, timeout="90m", scheduling={"deadline": "72h"}))["spec"]
    assert patient["activeDeadlineSeconds"] == 72 * 3600 + 5400
    assert spec["podFailurePolicy"]["rules"] == [
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": list(range(64, 79))}},
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
    ]


def test_the_pod_is_restricted_and_has_no_token() -> None:
    spec = pod(TWO)
    assert (spec["restartPolicy"], spec["automountServiceAccountToken"], spec["enableServiceLinks"]) == ("Never", False, False)
    assert spec["securityContext"] == {
        "runAsNonRoot": True, "runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 1000, "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip
    for one in (*spec["initContainers"], *spec["containers"]):
        assert one["securityContext"] == {
            "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True,
        }  # fmt: skip


def test_a_step_may_have_another_user_and_a_writable_root() -> None:
    security = container("detect", a_run().with_step(security={"runAsUser": 4711, "readOnlyRootFilesystem": False}))["securityContext"]
    assert (security["runAsUser"], security["readOnlyRootFilesystem"], security["allowPrivilegeEscalation"]) == (4711, False, False)


def test_what_fetch_mounts() -> None:
    assert mounts("fetch") == {
        "/gantry/input": ("input", False, ""),
        "/gantry/private": ("private", False, ""),
        "/gantry/tools": ("tools", False, ""),
        "/tmp": ("tmp-fetch", False, ""),
    }
    assert container("fetch")["command"] == ["python3", "-m", "gantry.worker", "fetch"]


def test_what_the_first_step_mounts() -> None:
    assert mounts("prepare", TWO) == {
        "/gantry/input": ("input", True, ""),
        "/gantry/bin": ("tools", True, "bin"),
        "/gantry/settings.json": ("tools", True, "settings/prepare.json"),
        "/gantry/output": ("output-prepare", False, ""),
        "/gantry/barrier": ("barrier-prepare", False, ""),
        "/tmp": ("tmp-prepare", False, ""),
    }


def test_a_later_step_sees_what_was_before_it_and_waits_for_it() -> None:
    assert mounts("detect", TWO) == {
        "/gantry/input": ("input", True, ""),
        "/gantry/bin": ("tools", True, "bin"),
        "/gantry/settings.json": ("tools", True, "settings/detect.json"),
        "/gantry/output": ("output-detect", False, ""),
        "/gantry/barrier": ("barrier-detect", False, ""),
        "/gantry/before": ("barrier-prepare", True, ""),
        "/gantry/steps/prepare": ("output-prepare", True, ""),
        "/tmp": ("tmp-detect", False, ""),
    }
    assert container("detect", TWO)["command"] == [
        "/gantry/bin/launcher", "--barrier", "/gantry/barrier", "--before", "/gantry/before", "--timeout", "600s", *WRITES, "--", "python3", "/app/detect.py",
    ]  # fmt: skip


def test_what_publish_mounts() -> None:
    assert mounts("publish", TWO) == {
        "/gantry/input": ("input", True, ""),
        "/gantry/private": ("private", True, ""),
        "/gantry/outputs/prepare": ("output-prepare", True, ""),
        "/gantry/outputs/detect": ("output-detect", True, ""),
        "/gantry/barriers/prepare": ("barrier-prepare", True, ""),
        "/gantry/barriers/detect": ("barrier-detect", True, ""),
        "/tmp": ("tmp-publish", False, ""),
    }


def test_every_mount_has_its_volume_and_every_volume_its_limit() -> None:
    spec = pod(TWO)
    volumes = {v["name"]: v["emptyDir"] for v in spec["volumes"]}
    used = {m["name"] for c in (*spec["initContainers"], *spec["containers"]) for m in c["volumeMounts"]}
    assert used == set(volumes)
    assert all(v == {"sizeLimit": "20Gi"} for v in volumes.values())


def test_a_workspace_in_memory_is_not_counted_against_the_workers() -> None:
    run = a_run().with_template(scheduling={"workspace": {"medium": "Memory", "sizeLimit": "4Gi"}})
    assert all(v["emptyDir"] == {"sizeLimit": "4Gi", "medium": "Memory"} for v in pod(run)["volumes"])
    assert "limits" not in container("fetch", run)["resources"]
    assert "limits" in container("fetch")["resources"]


def test_the_launcher_gets_arguments_timeout_and_the_network_switch() -> None:
    run = a_run().with_step(args=["--fast", "-- x"], timeout="1h30m", security={"allowNetwork": True})
    assert container("detect", run)["command"] == [
        "/gantry/bin/launcher", "--barrier", "/gantry/barrier", "--timeout", "5400s", "--allow-network", *WRITES, "--", "python3", "/app/detect.py", "--fast", "-- x",
    ]  # fmt: skip


def test_a_step_sees_no_credentials() -> None:
    text = json.dumps(container("detect"))
    assert "ORTHANC" not in text
    assert "GANTRY_TASK" not in text
    assert "private" not in mounts("detect").values()


def test_a_steps_environment() -> None:
    licence = {"name": "LICENCE", "valueFrom": {"secretKeyRef": {"name": "vendor", "key": "key"}}}
    run = a_run().with_step(env=[{"name": "THRESHOLD", "value": "0.5"}, licence, {"name": "GANTRY_INPUT", "value": "/etc"}])
    assert environment("detect", run) == {
        "GANTRY_INPUT": "/gantry/input",
        "GANTRY_OUTPUT": "/gantry/output",
        "GANTRY_SETTINGS": "/gantry/settings.json",
        "HOME": "/tmp",
        "THRESHOLD": "0.5",
        "LICENCE": {"secretKeyRef": {"name": "vendor", "key": "key"}},
    }


def test_home_may_be_another() -> None:
    assert environment("detect", a_run().with_step(env=[{"name": "HOME", "value": "/home/app"}]))["HOME"] == "/home/app"


def test_fetch_and_publish_get_the_task_and_the_credentials() -> None:
    for name in ("fetch", "publish"):
        variables = environment(name)
        assert variables["ORTHANC_USERNAME"] == {"secretKeyRef": {"name": "orthanc", "key": "username"}}
        assert variables["ORTHANC_PASSWORD"] == {"secretKeyRef": {"name": "orthanc", "key": "password"}}
        task = Task.model_validate_json(variables["GANTRY_TASK"])
        assert (task.installation, task.namespace, task.run, task.orthanc_url, task.connections) == (
            "hospital-a", "default", NAME, "http://orthanc:8042", 4,
        )  # fmt: skip
        assert task.spec == a_run().view().parsed


def test_the_pod_is_told_which_commands_are_their_images_own() -> None:
    run = changed(a_run().run, "metadata.annotations", {"gantry.health/commands-of-images": "detect"})
    assert Task.model_validate_json(environment("publish", RunBuilder(run))["GANTRY_TASK"]).commands_of_images == ("detect",)
    assert Task.model_validate_json(environment("publish")["GANTRY_TASK"]).commands_of_images == ()


def test_the_task_reaches_the_worker_as_it_is_whatever_dollars_it_holds() -> None:
    """The kubelet expands `$(NAME)` and `$$` in values: settings of "$$5" arrived as "$5", and `$(GANTRY_INPUT)` as something else."""
    settings = {"price": "$$5", "path": "$(ORTHANC_PASSWORD)", "end": "$"}
    value = environment("fetch", a_run().with_step(settings=settings))["GANTRY_TASK"]
    assert Task.model_validate_json(value.replace("$$", "$")).spec.template.steps[0].settings == settings
    assert "$" not in value.replace("$$", ""), "every one is doubled"


def test_a_bridge_without_credentials_gives_none() -> None:
    bridge = {**A_BRIDGE, "spec": {"url": "http://orthanc:8042"}}
    names = {e["name"] for e in made(bridge=bridge)["spec"]["template"]["spec"]["initContainers"][0]["env"]}
    assert names == {"GANTRY_TASK"}


def test_certificates_of_the_bridge_are_for_gantrys_own_containers() -> None:
    """The kubelet reads the secrets; no step sees them, and the operator hands none on."""
    tls = {"caSecretRef": {"name": "ca", "key": "root.pem"}, "clientCertificateSecretRef": {"name": "client"}}
    bridge = changed(changed(A_BRIDGE, "spec.url", "https://orthanc:8043"), "spec.tls", tls)
    spec = made(bridge=bridge)["spec"]["template"]["spec"]
    mounting = [c["name"] for c in (*spec["initContainers"], *spec["containers"]) if any(m["name"] == "tls" for m in c["volumeMounts"])]
    assert mounting == ["fetch", "publish"]
    (volume,) = [one for one in spec["volumes"] if one["name"] == "tls"]
    assert volume["projected"]["sources"] == [
        {"secret": {"name": "ca", "items": [{"key": "root.pem", "path": "ca.crt"}]}},
        {"secret": {"name": "client", "items": [{"key": "tls.crt", "path": "tls.crt"}, {"key": "tls.key", "path": "tls.key"}]}},
    ]
    notice = notice_job(a_run().view(), BridgeView.from_object(bridge), INSTALLATION, RunReason.STEP_FAILED)["spec"]["template"]["spec"]
    assert volume in notice["volumes"]
    assert {"name": "tls", "mountPath": "/gantry/tls", "readOnly": True} in notice["containers"][0]["volumeMounts"]
    assert "tls" not in str(pod()["volumes"])


def test_where_the_pod_may_run_is_passed_on() -> None:
    scheduling = {
        "nodeSelector": {"gpu": "a100"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "runtimeClassName": "nvidia",
        "priorityClassName": "stat",
        "imagePullSecrets": [{"name": "registry"}],
    }
    spec = pod(a_run().with_template(scheduling=scheduling))
    assert {name: spec[name] for name in scheduling} == scheduling
    assert not set(scheduling) & set(pod())


CLASSES = {"priorityClassNames": {"Stat": "emergency", "Routine": "daily"}}


@pytest.mark.parametrize(
    ("priority", "classes", "want"),
    [
        ("Stat", CLASSES, "emergency"),
        ("Routine", CLASSES, "daily"),
        ("Background", CLASSES, "any"),
        ("Stat", {}, "any"),
    ],
    ids=["of its class", "of the class it was changed to", "the template's, for a class without one", "the template's, without classes"],
)
def test_the_pods_priority_class(priority: str, classes: dict[str, Any], want: str) -> None:
    """By what the Run itself says, for its pipeline may be gone or changed."""
    run = a_run().with_template(scheduling={"priorityClassName": "any"}).of_class(priority)
    changed_run = RunBuilder({**run.run, "spec": {**run.run["spec"], **classes}})
    assert pod(changed_run)["priorityClassName"] == want


def test_the_reports_it_takes_the_place_of_are_in_the_task() -> None:
    report = Predecessor(sop_class_uid="1.2.3", sop_instance_uid="2.25.1", series_instance_uid="2.25.2")
    body = job(a_run().view(), BridgeView.from_object(A_BRIDGE), INSTALLATION, predecessors=Predecessors((report,)))
    (fetch,) = body["spec"]["template"]["spec"]["initContainers"]
    task = Task.model_validate_json(next(e["value"] for e in fetch["env"] if e["name"] == "GANTRY_TASK").replace("$$", "$"))
    assert (task.predecessors, task.alternatives, task.alternative_predecessors) == ((report,), False, ())


def test_devices_are_claimed_as_in_a_pod() -> None:
    claims = [{"name": "gpu", "resourceClaimTemplateName": "a-gpu"}]
    run = a_run().with_template(scheduling={"resourceClaims": claims}).with_step(
        resources={"limits": {"memory": "8Gi"}, "claims": [{"name": "gpu", "request": "first"}]}
    )
    assert pod(run)["resourceClaims"] == claims
    assert container("detect", run)["resources"] == {"limits": {"memory": "8Gi"}, "claims": [{"name": "gpu", "request": "first"}]}


ZONE = {"key": "zone", "operator": "In", "values": ["a"]}
ARM = {"key": "arch", "operator": "In", "values": ["arm64"]}
ENOUGH, SILENT = {"key": "nvidia.com/gpu.memory", "operator": "Gt", "values": ["20479"]}, {"key": "nvidia.com/gpu.memory", "operator": "DoesNotExist"}


@pytest.mark.parametrize(
    ("before", "want"),
    [
        ([], [[ENOUGH], [SILENT]]),
        ([[ZONE]], [[ZONE, ENOUGH], [ZONE, SILENT]]),
        ([[ZONE], [ARM]], [[ZONE, ENOUGH], [ZONE, SILENT], [ARM, ENOUGH], [ARM, SILENT]]),
    ],
    ids=["without affinity", "beside a condition", "beside alternatives"],
)
def test_the_gpus_memory_chooses_nodes_that_have_it_or_do_not_say(before: list[Any], want: list[Any]) -> None:
    terms = [{"matchExpressions": one} for one in before]
    affinity: dict[str, Any] = {"podAffinity": {}}
    if terms:
        affinity["nodeAffinity"] = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    run = a_run().with_template(scheduling={"affinity": affinity}).with_step(resources={"gpuMemory": "20Gi"})
    made_affinity = pod(run)["affinity"]
    assert made_affinity["podAffinity"] == {}
    required = made_affinity["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert [one["matchExpressions"] for one in required] == want
    assert [one["matchExpressions"] for one in terms] == before, "the Run's own template is not changed"


def test_resources_are_written_as_text() -> None:
    """A number and its text are one quantity, but a difference to server-side apply."""
    run = a_run().with_step(resources={"requests": {"cpu": 2}, "limits": {"nvidia.com/gpu": 1}})
    assert container("detect", run)["resources"] == {"requests": {"cpu": "2"}, "limits": {"nvidia.com/gpu": "1"}}


def test_the_same_run_makes_the_same_job() -> None:
    assert json.dumps(made(TWO)) == json.dumps(made(TWO))


def test_a_task_that_does_not_fit_into_a_variable_is_refused_with_advice() -> None:
    run = a_run().with_step(settings={"table": "x" * 130_000})
    with pytest.raises(UnfitRun, match="shorten settings, args or seriesIDs"):
        made(run)


def test_no_identifier_of_the_study_stands_in_the_job_but_orthancs_ids() -> None:
    text = json.dumps({**made(), "spec": None})
    assert "11111111-22222222" not in text


def test_containers_are_told_their_span_when_there_are_traces() -> None:
    """What the pipeline says of TRACEPARENT is of another trace."""
    run = a_run().with_step(env=[{"name": "TRACEPARENT", "value": "mine"}, {"name": "A", "value": "b"}])
    traced = replace(INSTALLATION, tracing=True)
    spec = job(run.view(), BridgeView.from_object(A_BRIDGE), traced)["spec"]["template"]["spec"]
    told = {one["name"]: [v["value"] for v in one["env"] if v["name"] == "TRACEPARENT"] for one in (*spec["initContainers"], *spec["containers"])}
    assert told == {"fetch": [traceparent(RUN_UID, "fetch")], "detect": [traceparent(RUN_UID, "step/detect")], "publish": [traceparent(RUN_UID, "publish")]}
    assert environment("detect", run)["TRACEPARENT"] == "mine"
    assert "TRACEPARENT" not in environment("fetch") | environment("publish") | environment("detect")


def test_a_step_that_nobody_could_start_makes_no_job() -> None:
    run = a_run().with_step(command=None)
    with pytest.raises(UnfitRun) as caught:
        made(run)
    assert str(caught.value) == "step detect has no command, and its image's was not known when the Run was made; write command and make a new Run"
