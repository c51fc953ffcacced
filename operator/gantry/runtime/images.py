"""What the images of each pipeline are: registries are asked beside everything else, and what they say is kept.

Once for each generation of a pipeline, and tags again every few minutes. The answer stands in the pipeline's status, which `pipelines` writes and a
new process begins with; new Runs are pinned by it. A registry that is away changes nothing that was known. No Run and no study waits here.
"""

import random
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from gantry.api import PipelineReason, timestamp
from gantry.api.base import Condition
from gantry.api.images import ImageStatus, Needs
from gantry.api.pipeline import PipelineStatus, RunTemplate
from gantry.kube import NODES, Kube, KubeError, NotFound, NotPermitted
from gantry.registry import (
    Away,
    Image,
    InvalidReference,
    Login,
    NotAuthorised,
    Reference,
    Registries,
    RegistryError,
    UnfitSecret,
    logins,
)
from gantry.registry import NotFound as NoSuchImage

from .queue import LONGEST_PAUSE
from .records import Key, PipelineRecord
from .store import Store

WORKERS = 2
"""A look takes 0.1 to 2 s, most of it waiting; the second goes on while the first waits for a registry that is away."""
AGAIN = 60.0
"""Seconds until a registry that could not be asked is asked again; doubled up to the interval."""
ARCH = "kubernetes.io/arch"
LONGEST = 256
"""Characters kept of a label."""


NOT_ASKED = "registries are not asked (registries.enabled of the chart is false): Runs carry the images' names as they stand here"


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a pipeline's images."""

    uid: str
    generation: int
    images: tuple[ImageStatus, ...]
    resolved: bool | None
    """None: not asked yet, or not at all."""
    reason: PipelineReason
    message: str


class Images:
    """Of all pipelines."""

    def __init__(
        self,
        *,
        kube: Kube,
        store: Store,
        registries: Registries | None,
        interval: float,
        read_nodes: bool,
        changed: Callable[[Key], None],
        wake_after: Callable[[Key, float], None],
        clock: Callable[[], datetime],
    ) -> None:
        """`registries`: None when none is to be asked. `changed` is told of a pipeline of which something else is known now."""
        self._kube, self._store, self._registries = kube, store, registries
        self._interval, self._read_nodes = interval, read_nodes
        self._changed, self._wake_after, self._clock = changed, wake_after, clock
        self._known: dict[Key, Known] = {}
        self._failures: dict[Key, int] = {}

    def of(self, key: Key, record: PipelineRecord) -> Known:
        """Never waits: what is in memory, else in the status, else nothing."""
        known = self._known.get(key)
        if known is None or known.uid != record.uid or known.generation != record.generation:
            known = _still(known, record) if known is not None and known.uid == record.uid else self._first(record)
            self._known[key] = known  # every study asks
        return known

    def _first(self, record: PipelineRecord) -> Known:
        if self._registries is None:
            return Known(record.uid, record.generation, (), None, PipelineReason.NOT_ASKED, NOT_ASKED)
        kept, before = _kept(record.spec.template, record.status), _condition(record.status)
        if before is not None and before.status != "Unknown":  # by an earlier process
            reason = PipelineReason(before.reason) if before.reason in list(PipelineReason) else PipelineReason.RESOLVING
            return Known(record.uid, record.generation, kept, before.status == "True", reason, before.message)
        return Known(record.uid, record.generation, kept, None, PipelineReason.RESOLVING, "the registries have not been asked yet")

    async def reconcile(self, key: Key) -> None:
        """One look at all images of a pipeline."""
        record = self._store.pipelines.get(key)
        if record is None or self._registries is None:
            self._known.pop(key, None)
            self._failures.pop(key, None)
            return
        before = self.of(key, record)
        wanted = await self._architectures(record)
        found = await self._look_at_all(self._registries, key, record, before, wanted)
        made = _judged(record, found, wanted)
        failed = made.resolved is False and made.reason not in (PipelineReason.WRONG_ARCHITECTURE, PipelineReason.CONTRACT_UNKNOWN)
        self._failures[key] = self._failures.get(key, 0) + 1 if failed else 0
        if self._store.pipelines.get(key) is not record and not self._same(key, record):
            return  # changed while it was asked about: it has been queued again
        self._known[key] = made
        if made != before:
            self._changed(key)
        pause = min(self._interval, AGAIN * 2 ** min(self._failures[key] - 1, 10)) if failed else self._interval
        self._wake_after(key, pause * (0.9 + 0.2 * random.random()))  # noqa: S311 - so that pipelines do not all ask at once

    def _same(self, key: Key, record: PipelineRecord) -> bool:
        now = self._store.pipelines.get(key)
        return now is not None and (now.uid, now.generation) == (record.uid, record.generation)

    async def _look_at_all(
        self, registries: Registries, key: Key, record: PipelineRecord, before: Known, wanted: Collection[str] | None
    ) -> tuple[ImageStatus, ...]:
        names = _names(record.spec.template)
        last = {(one.step, one.model): one for one in before.images}
        known_logins, fault = await self._logins(key.namespace, record)
        found = []
        for step, model, image in names:
            earlier = last.get((step, model))
            earlier = earlier if earlier is not None and earlier.image == image else ImageStatus(step=step, model=model, image=image)
            found.append(await self._look(registries, earlier, known_logins, fault, wanted or ()))
        return tuple(found)

    async def _look(
        self, registries: Registries, before: ImageStatus, known: Sequence[Login], fault: str, prefer: Collection[str]
    ) -> ImageStatus:
        clean = before.model_copy(update={"reason": None, "message": None})
        try:
            reference = Reference.parse(before.image)
            image = await registries.look(reference, logins=known, prefer=prefer, known=before.digest or "", model=before.model is not None)
        except (RegistryError, InvalidReference) as error:
            more = f"; {fault}" if fault and isinstance(error, NotAuthorised) else ""
            return clean.model_copy(update={"reason": _reason(error).value, "message": f"{error}{more}"[:1024]})
        return clean if image is None else _status(before, image, self._clock())

    async def _logins(self, namespace: str, record: PipelineRecord) -> tuple[tuple[Login, ...], str]:
        """As the kubelet, a secret that is missing is passed over; it is told when the registry then refuses."""
        found: list[Login] = []
        faults = []
        for secret in record.spec.template.scheduling.image_pull_secrets:
            try:
                found.extend(logins(await self._kube.read_secret(namespace, secret.name)))
            except NotFound:
                faults.append(f"secret {secret.name} does not exist or holds no text")
            except NotPermitted:
                faults.append(f"the operator may not read secret {secret.name}: name it in rbac.secretNames of the chart")
            except UnfitSecret as error:
                faults.append(f"secret {secret.name}: {error}")
        return tuple(found), "; ".join(faults)

    async def _architectures(self, record: PipelineRecord) -> frozenset[str] | None:
        """Of the nodes the pipeline's Runs may come to; None where nobody says."""
        selector = record.spec.template.scheduling.node_selector
        if ARCH in selector:
            return frozenset({selector[ARCH]})
        if not self._read_nodes:
            return None
        found: set[str] = set()
        try:
            async for page in self._kube.pages(NODES, None, selector=",".join(f"{name}={value}" for name, value in sorted(selector.items()))):
                found |= {str(arch) for node in page if (arch := (node["metadata"].get("labels") or {}).get(ARCH))}
        except NotPermitted:
            return None
        return frozenset(found) or None


def expected(error: Exception) -> bool:
    """The API server is away; no stack trace tells more."""
    return isinstance(error, KubeError)


def _names(template: RunTemplate) -> tuple[tuple[str, str | None, str], ...]:
    steps: list[tuple[str, str | None, str]] = [(step.name, None, step.image) for step in template.steps]
    return (*steps, *((step.name, model.name, model.image.reference) for step in template.steps for model in step.models if model.image))


def _condition(status: PipelineStatus | None) -> Condition | None:
    return next((one for one in (status.conditions if status else None) or () if one.type == "ImagesResolved"), None)


def _kept(template: RunTemplate, status: PipelineStatus | None) -> tuple[ImageStatus, ...]:
    """Of the status, what is of images the pipeline still has."""
    names = set(_names(template))
    return tuple(one for one in (status.images if status else None) or () if (one.step, one.model, one.image) in names)


def _still(known: Known, record: PipelineRecord) -> Known:
    """The pipeline was changed since; what is of images it still has is still so."""
    names = set(_names(record.spec.template))
    images = tuple(one for one in known.images if (one.step, one.model, one.image) in names)
    if len(images) == len(names):
        return Known(record.uid, record.generation, images, known.resolved, known.reason, known.message)
    return Known(record.uid, record.generation, images, None, PipelineReason.RESOLVING, "the registries have not been asked yet")


def _status(before: ImageStatus, image: Image, now: datetime) -> ImageStatus:
    since = before.since if before.digest == image.digest else timestamp(now)
    named = {"step": before.step, "model": before.model, "image": before.image, "digest": image.digest, "since": since, "bytes": image.size}
    config, package = image.config, image.package
    if config is None:
        return ImageStatus.model_validate(named | {"architectures": list(image.architectures) or None})
    contract = package.contract if package else "MAP" if config.says_map else None
    asked = package.needs if package else None
    needs = None
    if asked is not None and any((asked.cpu, asked.memory, asked.gpu, asked.gpu_memory, asked.shared_memory)):
        needs = Needs(
            cpu=asked.cpu or None,
            memory=asked.memory or None,
            gpu=asked.gpu or None,
            gpu_memory=asked.gpu_memory or None,
            shared_memory=asked.shared_memory or None,
        )
    told = {
        "contract": contract,
        "title": config.labels.get("org.opencontainers.image.title", "")[:LONGEST] or None,
        "version": config.labels.get("org.opencontainers.image.version", "")[:LONGEST] or None,
        "architectures": [one[:LONGEST] for one in image.architectures[:32]] or None,
        "entrypoint": list(config.entrypoint) or None,
        "arguments": list(config.command) or None,
        "user": config.user[:LONGEST] or None,
        "working_directory": config.directory[:LONGEST] or None,
        "needs": needs,
    }
    return ImageStatus.model_validate(named | told)


def _reason(error: RegistryError | InvalidReference) -> PipelineReason:
    match error:
        case Away():
            return PipelineReason.REGISTRY_AWAY
        case NotAuthorised():
            return PipelineReason.NOT_AUTHORISED
        case NoSuchImage() | InvalidReference():
            return PipelineReason.IMAGE_NOT_FOUND
        case _:
            return PipelineReason.MANIFEST_BROKEN


def _judged(record: PipelineRecord, found: tuple[ImageStatus, ...], wanted: Collection[str] | None) -> Known:
    """The first image that is not well gives the reason; the message has all."""
    contracts = {step.name: step.contract for step in record.spec.template.steps}
    troubles: list[tuple[PipelineReason, str]] = []
    notes: list[str] = []
    for one in found:
        who = f"model {one.model} of step {one.step}" if one.model else f"step {one.step}"
        if one.reason:
            troubles.append((PipelineReason(one.reason), f"{who}, image {one.image}: {one.message}"))
        elif one.model is None:
            troubles += [(reason, f"{who}, image {one.image}: {words}") for reason, words in _unfit(one, contracts[one.step], wanted)]
            notes += [f"{who}: {words}" for words in _notes(one, contracts[one.step], wanted)]
    if troubles:
        message = "; ".join([words for _, words in troubles] + notes)
        return Known(record.uid, record.generation, found, False, troubles[0][0], message[:4096])
    count = len(found)
    words = "; ".join(["new Runs carry the image's digest" if count == 1 else f"new Runs carry the digests of {count} images", *notes])
    return Known(record.uid, record.generation, found, True, PipelineReason.RESOLVED, words[:4096])


def _unfit(image: ImageStatus, contract: str, wanted: Collection[str] | None) -> Iterable[tuple[PipelineReason, str]]:
    built = image.architectures or ()
    if wanted and built and not set(wanted) & set(built):
        words = f"it is built for {', '.join(built)}, and the nodes its Runs may come to are {', '.join(sorted(wanted))}"
        yield PipelineReason.WRONG_ARCHITECTURE, f"{words}; build it for them, or choose others by template.scheduling.nodeSelector"
    if contract == "MAP" and image.contract is None:
        words = "contract is MAP, and neither labels nor environment of the image are those of a MONAI application package; check image and contract"
        yield PipelineReason.CONTRACT_UNKNOWN, words


def _notes(image: ImageStatus, contract: str, wanted: Collection[str] | None) -> Iterable[str]:
    built = set(image.architectures or ())
    if wanted and built and set(wanted) & built and (others := sorted(set(wanted) - built)):
        yield f"some nodes are {', '.join(others)}, which the image is not built for: set nodeSelector {{{ARCH}: {sorted(set(wanted) & built)[0]}}}"
    if image.contract and contract != "MAP":
        yield f"the image says that it is a MONAI application package ({image.contract}), and contract is {contract}: set contract: MAP"
    if image.contract == "MAP":
        yield "its manifests lie in a layer too large to be read here, so what it asks for is not known: write resources"


def pause_of(error: Exception) -> float:
    """Seconds at most until it is tried again."""
    return AGAIN if isinstance(error, KubeError) else LONGEST_PAUSE
