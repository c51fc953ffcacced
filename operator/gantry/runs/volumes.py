"""The volumes of a Run's pod, and where each step sees them.

Pure. Every volume is an emptyDir with a limit, but models, and a mercure module's persistence, which may be a claim. It must not decide who may
write: a volume is mounted read-only wherever it is not somebody's own.
"""

from typing import Any

from gantry.api.pipeline import RunTemplate, Workspace
from gantry.api.step import Step

from .contracts import contract_of
from .models import model_mounts, model_volumes

TASK_JSON = "/gantry/task.json"
"""A later mercure module's, in its container; the launcher puts it beside what the step before left."""

BARRIER = "/gantry/barrier"
"""Of a step, in its own container."""
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - a path within the container; the runtime's own where no volume is mounted


def mount(name: str, path: str, *, read_only: bool = False, part: str = "") -> dict[str, Any]:
    """A volumeMount. `part`: the file or folder of the volume that is mounted."""
    return {"name": name, "mountPath": path} | ({"readOnly": True} if read_only else {}) | ({"subPath": part} if part else {})


def volume(name: str, workspace: Workspace) -> dict[str, Any]:
    """An emptyDir with the pipeline's limit."""
    directory = {"sizeLimit": str(workspace.size_limit)} | ({"medium": "Memory"} if workspace.medium == "Memory" else {})
    return {"name": name, "emptyDir": directory}


def volumes_of(template: RunTemplate) -> list[dict[str, Any]]:
    """Of the pod, in the order of its containers, without the bridge's certificates."""
    steps, workspace = template.steps, template.scheduling.workspace
    of_steps = [name for step in steps for name in (output(step), barrier(step), f"tmp-{step.name}")]
    inputs = [data(template, position) for position, step in enumerate(steps) if contract_of(step).data]
    names = ["input", "private", "tools", "tmp-fetch", *of_steps, *inputs, "tmp-publish"]
    sizes = [(_shm(step), shared_memory(step)) for step in steps]
    memory = [{"name": name, "emptyDir": {"medium": "Memory", "sizeLimit": size}} for name, size in sizes if size]
    return [*(volume(name, workspace) for name in names), *memory, *_persistence(template), *model_volumes(template)]


def mounts_of(template: RunTemplate, position: int) -> list[dict[str, Any]]:
    """What a step sees: the input, its own output, and the outputs of the steps before it."""
    step, earlier = template.steps[position], template.steps[:position]
    contract = contract_of(step)
    mounts = [
        *(mount("input", path, read_only=True) for path in ("/gantry/input", *contract.input)),
        mount("tools", "/gantry/bin", read_only=True, part="bin"),
        mount("tools", "/gantry/settings.json", read_only=True, part=f"settings/{step.name}.json"),
        *(mount(output(step), path) for path in ("/gantry/output", *contract.output)),
        mount(barrier(step), BARRIER),
        *(mount(output(before), f"/gantry/steps/{before.name}", read_only=True) for before in earlier),
        mount(f"tmp-{step.name}", "/tmp"),  # noqa: S108 - a path within the container, on a volume of its own
        *([mount(_shm(step), SHARED_MEMORY)] if shared_memory(step) else []),
        *([mount(data(template, position), contract.data)] if contract.data else []),
        *([mount(_kept(step), contract.persistence)] if contract.persistence else []),
        *model_mounts(template, position),
    ]
    if earlier:
        mounts.append(mount(barrier(earlier[-1]), "/gantry/before", read_only=True))
    if earlier and contract.data:
        mounts.append(mount("tools", TASK_JSON, read_only=True, part=f"tasks/{step.name}.json"))
    return mounts


def written(template: RunTemplate, position: int) -> list[str]:
    """What the application of a step may change, for the launcher: the places mounted for it, but not the barrier, which is the launcher's."""
    places = [one["mountPath"] for one in mounts_of(template, position) if not one.get("readOnly") and one["mountPath"] != BARRIER]
    return places if SHARED_MEMORY in places else [*places, SHARED_MEMORY]


def shared_memory(step: Step) -> str | None:
    """Size of the step's /dev/shm; None: the container runtime's own."""
    given = step.resources.shared_memory
    return contract_of(step).shared_memory if given is None else str(given)


def _persistence(template: RunTemplate) -> list[dict[str, Any]]:
    made = []
    for step in template.steps:
        if step.persistence:
            claim = step.persistence.persistent_volume_claim.claim_name
            made.append({"name": _kept(step), "persistentVolumeClaim": {"claimName": claim}})
        elif contract_of(step).persistence:
            made.append(volume(_kept(step), template.scheduling.workspace))
    return made


def output(step: Step) -> str:
    """The step's own, which later steps and publish read."""
    return f"output-{step.name}"


def barrier(step: Step) -> str:
    """Of its launcher."""
    return f"barrier-{step.name}"


def data(template: RunTemplate, position: int) -> str:
    """A writable input of the step's own. The first step's is filled by fetch, in a folder of that name."""
    return f"data-{template.steps[position].name}" if position else "data"


def _kept(step: Step) -> str:
    return f"persistence-{step.name}"


def _shm(step: Step) -> str:
    return f"shm-{step.name}"
