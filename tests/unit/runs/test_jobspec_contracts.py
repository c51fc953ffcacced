"""What a step's container gets by its contract: paths, variables, models, shared memory, and what the launcher is told of them."""

from typing import Any

import pytest
from tests.builders import changed
from tests.builders_jobs import WRITES, container, environment, mounts, pod
from tests.builders_runs import a_run

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
