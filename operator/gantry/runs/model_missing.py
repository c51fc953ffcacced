"""Whether a pod waits for a model that is not there. Checks of `plan`."""

from datetime import timedelta

from gantry.api import RunReason

from . import status as words
from .actions import Plan
from .ending import fail, troubled
from .models import described
from .observed import Observed
from .receipt import failed
from .view import PULL_PROBLEMS


def claim_of_model_is_missing(seen: Observed) -> Plan | None:
    """The scheduler does not find a step's claim: applied a little late, or never."""
    pod = seen.pod
    if pod is None or "persistentvolumeclaim" not in pod.unschedulable or "not found" not in pod.unschedulable:
        return None
    step = next((one for one in seen.run.parsed.template.steps if any(m.persistent_volume_claim for m in one.models)), None)
    if step is None:
        return None
    said = f"a model of step {step.name} is not there, of {described(step.models)}: {pod.unschedulable.rstrip('.')}; create it and make a new Run"
    left = pod.created + seen.limits.container_config - seen.now
    failure = failed(RunReason.MODEL_MISSING, said, step=step.name)
    if left <= timedelta():
        return fail(seen, failure, end_job=True)
    return Plan(status=words.executing(seen, "Queued", failure.reason, failure.message), again_after=left)


def image_of_model_cannot_be_pulled(seen: Observed) -> Plan | None:
    """The kubelet says of an image volume what it says of the image of the container that mounts it, with the other image's name in its words."""
    pod = seen.pod
    if pod is None or pod.trouble not in PULL_PROBLEMS:
        return None
    broken = next(c for c in pod.containers if c.reason == pod.trouble)
    step = next((one for one in seen.run.parsed.template.steps if one.name == broken.name), None)
    models = [one for one in step.models if one.image and _names(one.image.reference, broken.message)] if step else []
    if step is None or not models or _names(step.image, broken.message):
        return None
    advice = "check the image's name, and template.scheduling.imagePullSecrets"
    said = f"a model of step {step.name} cannot be pulled, {described(models)}: {broken.message}; {advice}"
    return troubled(seen, pod, failed(RunReason.MODEL_MISSING, said, step=step.name), seen.limits.image_pull)


def _names(reference: str, message: str) -> bool:
    """With its tag, or as runtimes name an image by digest: without."""
    named, _, digest = reference.partition("@")
    folder, slash, last = named.rpartition("/")
    return named in message or (bool(digest) and f"{folder}{slash}{last.partition(':')[0]}@{digest}" in message)


def volume_of_model_is_missing(seen: Observed) -> Plan | None:
    """A pod whose ConfigMap is missing waits for ever, and only an Event says why. Slow pulls look the same, so it is told and not given up."""
    pod = seen.pod
    models = [model for step in seen.run.parsed.template.steps for model in step.models if model.config_map]
    if pod is None or not models or not pod.node or pod.over or any(c.started or c.ended for c in pod.containers):
        return None
    left = (pod.started or pod.created) + seen.limits.container_config - seen.now
    if left > timedelta():
        return Plan(status=words.executing(seen, "Queued", RunReason.PENDING, "the pod has not started yet"), again_after=left)
    said = f"the pod does not start on node {pod.node}: is {described(models)} there? `kubectl describe pod -n {seen.run.namespace} {pod.name}` says"
    return Plan(status=words.executing(seen, "Queued", RunReason.MODEL_MISSING, f"{said}; waits until template.timeout"))
