"""The template of a new Run: the pipeline's, with what the registries said of its images put in.

Pure. A Run's template is what is executed: digests in place of tags, the image's command where the pipeline names none, and what a MAP asks for
where the pipeline asks for nothing. What the pipeline says itself is never changed.
"""

from collections.abc import Iterable, Mapping, Sequence

from gantry.api.images import ImageStatus, Model, Needs
from gantry.api.pipeline import RunTemplate
from gantry.api.quantities import at_least
from gantry.api.step import Resources, Step

SHARED_MEMORY = "1Gi"
"""Of /dev/shm of a MAP at least, as the reference runner has it; frameworks outgrow the 64Mi that builders declare by default."""
GPU = "nvidia.com/gpu"


def pinned(template: RunTemplate, images: Iterable[ImageStatus]) -> RunTemplate:
    """Images that are not known stay as they are."""
    known = {(one.step, one.model or ""): one for one in images if one.digest}
    steps = [_step(step, known) for step in template.steps]
    return template if steps == template.steps else template.model_copy(update={"steps": steps})


def lacking_command(template: RunTemplate, images: Iterable[ImageStatus]) -> Step | None:
    """The first step that nobody could start: no command, and none of its image known. A MAP's is in its manifest."""
    steps = pinned(template, images).steps
    return next((step for step in steps if step.command is None and step.contract != "MAP"), None)


def _step(step: Step, known: Mapping[tuple[str, str], ImageStatus]) -> Step:
    made = step.model_copy(update={"models": [_model(step, model, known) for model in step.models]}) if step.models else step
    image = known.get((step.name, ""))
    if image is None or image.image != step.image:
        return made
    changes: dict[str, object] = {"image": with_digest(step.image, str(image.digest))}
    if step.command is None and step.contract != "MAP" and (command := _command(step.args, image)):
        changes |= {"command": command, "args": []}
    if image.needs is not None:
        changes["resources"] = _resources(step.resources, image.needs)
    if step.contract == "MAP" and step.security.run_as_user is None and (user := _number(image.user or "")):
        changes["security"] = step.security.model_copy(update={"run_as_user": user})
    return made.model_copy(update=changes)


def _model(step: Step, model: Model, known: Mapping[tuple[str, str], ImageStatus]) -> Model:
    image = known.get((step.name, model.name))
    if model.image is None or image is None or image.image != model.image.reference:
        return model
    return model.model_copy(update={"image": model.image.model_copy(update={"reference": with_digest(image.image, str(image.digest))})})


def with_digest(image: str, digest: str) -> str:
    """`name:1.2@sha256:…`: people read the tag, the kubelet the digest."""
    return f"{image.partition('@')[0]}@{digest}"


def _command(arguments: Sequence[str], image: ImageStatus) -> list[str]:
    """As Kubernetes has it: args take the place of the image's."""
    return [*(image.entrypoint or ()), *(arguments or image.arguments or ())]


def _resources(asked: Resources, needs: Needs) -> Resources:
    """Only what the pipeline does not mention: a request above its limit would be refused. Memory is never a limit: shipped packages declare 1Gi and
    take more."""
    requests, limits = dict(asked.requests or {}), dict(asked.limits or {})
    for name, amount in (("cpu", needs.cpu), ("memory", needs.memory)):
        if amount is not None and name not in requests and name not in limits:
            requests[name] = amount
    if needs.gpu and not any("/" in name for name in (*requests, *limits)):  # else the pipeline has chosen: a share, a MIG slice, another vendor
        limits[GPU] = str(needs.gpu)
    shared = asked.shared_memory
    if shared is None and needs.shared_memory is not None:
        shared = needs.shared_memory if at_least(needs.shared_memory, SHARED_MEMORY) else SHARED_MEMORY
    memory = needs.gpu_memory if asked.gpu_memory is None else asked.gpu_memory
    return asked.model_copy(update={"requests": requests or None, "limits": limits or None, "gpu_memory": memory, "shared_memory": shared})


def _number(user: str) -> int | None:
    """`1000` or `1000:1000`. A name is known within the image only, and root is the pipeline's to allow."""
    first = user.partition(":")[0]
    return int(first) or None if first.isascii() and first.isdigit() and len(first) <= 10 and int(first) < 2**31 else None
