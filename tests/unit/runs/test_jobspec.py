"""The Job a Run becomes, field by field where others rely on it: the launcher, the worker, Pod Security, the Job controller."""

import json
from dataclasses import replace
from typing import Any

import pytest
from kubernetes.aio.client.models.v1_job import V1Job
from tests.builders import changed
from tests.builders_runs import A_BRIDGE, NAME, RUN_UID, RunBuilder, a_run

from gantry.api import RunReason
from gantry.runs import BridgeView, Installation, Predecessor, Predecessors, Task, UnfitRun, job, notice_job, traceparent

INSTALLATION = Installation(identity="hospital-a", worker_image="gantry/worker@sha256:1", worker_pull_policy="IfNotPresent")


def made(run: RunBuilder | None = None, *, bridge: dict[str, Any] | None = None) -> dict[str, Any]:
    return job((run or a_run()).view(), BridgeView.from_object(bridge or A_BRIDGE), INSTALLATION)


def pod(run: RunBuilder | None = None) -> dict[str, Any]:
    spec = made(run)["spec"]["template"]["spec"]
    assert isinstance(spec, dict)
    return spec


def container(name: str, run: RunBuilder | None = None) -> dict[str, Any]:
    spec = pod(run)
    found = next(c for c in (*spec["initContainers"], *spec["containers"]) if c["name"] == name)
    assert isinstance(found, dict)
    return found


def mounts(name: str, run: RunBuilder | None = None) -> dict[str, tuple[str, bool, str]]:
    return {m["mountPath"]: (m["name"], m.get("readOnly", False), m.get("subPath", "")) for m in container(name, run)["volumeMounts"]}


def environment(name: str, run: RunBuilder | None = None) -> dict[str, Any]:
    return {e["name"]: e.get("value", e.get("valueFrom")) for e in container(name, run)["env"]}


WRITES = ("--write=/gantry/output", "--write=/tmp", "--write=/dev/shm")
TWO = a_run().with_steps("prepare", "detect")


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
    assert (spec["backoffLimit"], spec["activeDeadlineSeconds"], spec["podReplacementPolicy"]) == (2, 5400, "Failed")
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


A_MAP = a_run().with_template(
    steps=[{"name": "spleen", "image": "localhost/spleen:1", "contract": "MAP", "env": [{"name": "HOLOSCAN_INPUT_PATH", "value": "elsewhere"}]}],
    report={"algorithm": {"name": "Spleen", "version": "1", "manufacturer": "Test"}},
)


def test_a_map_finds_input_and_output_where_both_generations_look() -> None:
    seen, told = mounts("spleen", A_MAP), environment("spleen", A_MAP)
    for path in ("/gantry/input", "/var/holoscan/input", "/var/monai/input"):
        assert seen[path] == ("input", True, "")
    for path in ("/gantry/output", "/var/holoscan/output", "/var/monai/output"):
        assert seen[path] == ("output-spleen", False, "")
    assert {name: told[name] for name in ("HOLOSCAN_INPUT_PATH", "HOLOSCAN_OUTPUT_PATH", "MONAI_INPUTPATH", "MONAI_OUTPUTPATH")} == {
        "HOLOSCAN_INPUT_PATH": "/var/holoscan/input",
        "HOLOSCAN_OUTPUT_PATH": "/var/holoscan/output",
        "MONAI_INPUTPATH": "/var/monai/input",
        "MONAI_OUTPUTPATH": "/var/monai/output",
    }


def test_a_map_is_started_by_its_manifest_which_does_not_change_the_pods_paths() -> None:
    command = container("spleen", A_MAP)["command"]
    assert "--" not in command
    assert [word for word in command if word.startswith("--manifest")] == ["--manifest=/etc/holoscan/app.json", "--manifest=/etc/monai/app.json"]
    assert {word.removeprefix("--keep=") for word in command if word.startswith("--keep=")} == set(environment("spleen", A_MAP))


def test_a_map_keeps_its_home_and_writes_its_root_and_has_shared_memory() -> None:
    made_of = container("spleen", A_MAP)
    assert "HOME" not in environment("spleen", A_MAP)
    assert made_of["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": False}
    assert mounts("spleen", A_MAP)["/dev/shm"] == ("shm-spleen", False, "")
    assert {"name": "shm-spleen", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}} in pod(A_MAP)["volumes"]


def test_a_command_takes_the_place_of_a_manifests() -> None:
    step = {"name": "spleen", "image": "localhost/spleen:1", "contract": "MAP", "command": ["python3", "/opt/holoscan/app"], "args": ["-l", "DEBUG"]}
    command = container("spleen", a_run().with_template(steps=[step]))["command"]
    assert command[command.index("--") :] == ["--", "python3", "/opt/holoscan/app", "-l", "DEBUG"]


MODULES = a_run().with_template(
    steps=[
        {"name": "one", "image": "localhost/one:1", "contract": "Mercure", "command": ["./run"], "persistence": {"persistentVolumeClaim": {"claimName": "kept"}}},
        {"name": "two", "image": "localhost/two:1", "contract": "Mercure", "command": ["./run"], "resources": {"sharedMemory": "2Gi", "limits": {"memory": "4Gi"}}},
    ],
    report={"algorithm": {"name": "A", "version": "1", "manufacturer": "B"}},
)  # fmt: skip


def test_a_mercure_module_finds_mercures_folders_and_variables() -> None:
    seen, told = mounts("one", MODULES), environment("one", MODULES)
    assert {path: seen[path] for path in ("/tmp/data", "/tmp/output", "/tmp/persistence", "/gantry/input")} == {
        "/tmp/data": ("data", False, ""), "/tmp/output": ("output-one", False, ""), "/tmp/persistence": ("persistence-one", False, ""),
        "/gantry/input": ("input", True, ""),
    }  # fmt: skip
    for name in ("MERCURE_IN_DIR", "MONAI_INPUTPATH", "HOLOSCAN_INPUT_PATH"):
        assert told[name] == "/tmp/data"
    for name in ("MERCURE_OUT_DIR", "MONAI_OUTPUTPATH", "HOLOSCAN_OUTPUT_PATH"):
        assert told[name] == "/tmp/output"
    assert (told["MODULE_PERSISTENCE_DIR"], told["HOME"]) == ("/tmp/persistence", "/tmp")
    assert container("one", MODULES)["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": False}
    assert mounts("fetch", MODULES)["/gantry/data"] == ("data", False, "")
    assert "/gantry/data" not in mounts("fetch")


def test_a_module_behind_another_gets_a_copy_of_its_output_and_its_own_task() -> None:
    seen, command = mounts("two", MODULES), container("two", MODULES)["command"]
    assert (seen["/tmp/data"], seen["/gantry/task.json"]) == (("data-two", False, ""), ("tools", True, "tasks/two.json"))
    copies = [command[place + 1] for place, word in enumerate(command) if word == "--copy"]
    assert copies == ["/gantry/steps/one:/tmp/data", "/gantry/task.json:/tmp/data/task.json"]
    assert "--copy" not in container("one", MODULES)["command"]


def test_what_outlives_a_run_is_a_claim_and_shared_memory_has_the_size_that_is_asked_for() -> None:
    volumes = {one["name"]: one for one in pod(MODULES)["volumes"]}
    assert volumes["persistence-one"] == {"name": "persistence-one", "persistentVolumeClaim": {"claimName": "kept"}}
    assert "emptyDir" in volumes["persistence-two"]
    assert volumes["shm-two"]["emptyDir"] == {"medium": "Memory", "sizeLimit": "2Gi"}
    assert "shm-one" not in volumes
    assert container("two", MODULES)["resources"] == {"limits": {"memory": "4Gi"}}
    mounted = {mount["name"] for one in (*pod(MODULES)["initContainers"], *pod(MODULES)["containers"]) for mount in one["volumeMounts"]}
    assert mounted == set(volumes)


def test_root_is_a_steps_own_wish() -> None:
    step = {"name": "old", "image": "localhost/old:1", "contract": "MAP", "security": {"runAsUser": 0, "readOnlyRootFilesystem": True}}
    run = a_run().with_template(steps=[step])
    assert container("old", run)["securityContext"] == {
        "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True, "runAsUser": 0, "runAsNonRoot": False,
    }  # fmt: skip
    assert "runAsNonRoot" not in container("publish", run)["securityContext"]


def test_containers_are_told_their_span_when_there_are_traces() -> None:
    """What the pipeline says of TRACEPARENT is of another trace."""
    run = a_run().with_step(env=[{"name": "TRACEPARENT", "value": "mine"}, {"name": "A", "value": "b"}])
    traced = replace(INSTALLATION, tracing=True)
    spec = job(run.view(), BridgeView.from_object(A_BRIDGE), traced)["spec"]["template"]["spec"]
    told = {one["name"]: [v["value"] for v in one["env"] if v["name"] == "TRACEPARENT"] for one in (*spec["initContainers"], *spec["containers"])}
    assert told == {"fetch": [traceparent(RUN_UID, "fetch")], "detect": [traceparent(RUN_UID, "step/detect")], "publish": [traceparent(RUN_UID, "publish")]}
    assert environment("detect", run)["TRACEPARENT"] == "mine"
    assert "TRACEPARENT" not in environment("fetch") | environment("publish") | environment("detect")


MODELS = [
    {"name": "weights", "mountPath": "/models", "persistentVolumeClaim": {"claimName": "nodules-v2"}},
    {"name": "atlas", "mountPath": "/data/atlas", "image": {"reference": "r.example/atlas@sha256:1"}},
    {"name": "labels", "mountPath": "/data/labels", "configMap": "labels"},
]


def test_models_are_volumes_that_only_their_step_sees_and_nobody_writes() -> None:
    run = a_run().with_steps("prepare", "detect")
    template = changed(run.run, "spec.template.steps.1.models", MODELS)["spec"]["template"]
    run = run.with_template(steps=template["steps"])
    volumes = {one["name"]: one for one in pod(run)["volumes"] if one["name"].startswith("model-")}
    assert volumes == {
        "model-1-weights": {"name": "model-1-weights", "persistentVolumeClaim": {"claimName": "nodules-v2", "readOnly": True}},
        "model-1-atlas": {"name": "model-1-atlas", "image": {"reference": "r.example/atlas@sha256:1", "pullPolicy": "IfNotPresent"}},
        "model-1-labels": {"name": "model-1-labels", "configMap": {"name": "labels"}},
    }
    seen = {path: where for path, where in mounts("detect", run).items() if where[0].startswith("model-")}
    assert seen == {"/models": ("model-1-weights", True, ""), "/data/atlas": ("model-1-atlas", True, ""), "/data/labels": ("model-1-labels", True, "")}
    for name in ("fetch", "prepare", "publish"):
        assert not any(where[0].startswith("model-") for where in mounts(name, run).values()), name


FOLDERS: dict[str, tuple[list[str], str | None]] = {
    "one model: its folder": (["/models/spleen"], "/models/spleen"),
    "several: the folder they lie in": (["/models/spleen", "/models/liver"], "/models"),
    "several that have none in common": (["/a/spleen", "/b/liver"], None),
    "where the package looks by itself": (["/opt/holoscan/models/spleen"], None),
}


@pytest.mark.parametrize(("paths", "folder"), FOLDERS.values(), ids=FOLDERS.keys())
def test_a_map_is_told_where_its_models_are(paths: list[str], folder: str | None) -> None:
    models = [{"name": f"m{number}", "mountPath": path, "configMap": "m"} for number, path in enumerate(paths)]
    run = a_run().with_step(contract="MAP", models=models)
    seen = environment("detect", run)
    assert (seen.get("HOLOSCAN_MODEL_PATH"), seen.get("MONAI_MODELPATH")) == (folder, folder)
    own = environment("detect", a_run().with_step(contract="MAP", models=models, env=[{"name": "HOLOSCAN_MODEL_PATH", "value": "/mine"}]))
    assert own["HOLOSCAN_MODEL_PATH"] == "/mine"


def test_shared_memory_has_the_size_that_is_asked_for() -> None:
    run = a_run().with_step(resources={"sharedMemory": "2Gi", "limits": {"memory": "4Gi"}})
    assert {"name": "shm-detect", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}} in pod(run)["volumes"]
    assert mounts("detect", run)["/dev/shm"] == ("shm-detect", False, "")
    assert container("detect", run)["resources"] == {"limits": {"memory": "4Gi"}}, "no word that Kubernetes does not know"


def test_a_step_that_nobody_could_start_makes_no_job() -> None:
    run = a_run().with_step(command=None)
    with pytest.raises(UnfitRun) as caught:
        made(run)
    assert str(caught.value) == "step detect has no command, and its image's was not known when the Run was made; write command and make a new Run"


def test_the_launcher_is_told_what_the_application_may_write() -> None:
    """The places mounted for it, never the barrier; with a writable root the image too."""

    def writes(**step: Any) -> list[str]:
        return [word for word in container("detect", a_run().with_step(**step))["command"] if word.startswith("--write")]

    assert writes() == [*WRITES]
    assert writes(security={"readOnlyRootFilesystem": False}) == [*WRITES, "--write-image"]
    assert writes(resources={"sharedMemory": "1Gi"}) == [*WRITES]
    assert writes(contract="MAP", command=None) == [
        "--write=/gantry/output", "--write=/var/holoscan/output", "--write=/var/monai/output", "--write=/tmp", "--write=/dev/shm", "--write-image",
    ]  # fmt: skip
