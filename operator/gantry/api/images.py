"""What a pipeline's images and models are: where models come from (spec), and what the registries said of images (status)."""

from typing import Annotated

from pydantic import Field

from .base import Name, Observed, Part, Quantity, StepName, Text, Timestamp, cel, rule

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$", max_length=71)]
ImageName = Annotated[str, Field(min_length=1, max_length=512, pattern=r"^\S+$")]
Word = Annotated[str, Field(max_length=4096)]


class Claim(Part):
    """A PersistentVolumeClaim."""

    claim_name: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$")]
    """Its name, in the same namespace."""


class ModelImage(Part):
    """An OCI image or artifact whose content is mounted; it is not run."""

    reference: ImageName
    """Name of the image, best by digest. Needs image volumes (KEP-4639): on by default from Kubernetes 1.35, with containerd 2.1 or CRI-O 1.33."""


class Model(Part):
    """Weights or other data of an application, mounted read-only."""

    model_config = {
        "json_schema_extra": cel(
            rule(
                "[has(self.persistentVolumeClaim), has(self.image), has(self.configMap)].filter(given, given).size() == 1",
                "give exactly one of persistentVolumeClaim, image and configMap",
            )
        )
    }
    name: Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
    """Unique within the step."""
    mount_path: Annotated[
        str,
        Field(
            min_length=2,
            max_length=256,
            pattern=r"^(/[A-Za-z0-9._-]+)+$",
            json_schema_extra=cel(
                rule(
                    "!(self in ['/gantry', '/tmp', '/dev', '/proc', '/sys', '/etc', '/var', '/usr', '/bin', '/lib', '/lib64', '/opt']) "
                    "&& !self.startsWith('/gantry/') && !self.startsWith('/proc/') && !self.startsWith('/sys/') && !self.contains('/..')",
                    "mountPath is a folder of its own, for example /models: not the system's and not Gantry's",
                )
            ),
        ),
    ]
    """Where the application finds it."""
    persistent_volume_claim: Claim | None = None
    """A claim that holds it, of an access mode that lets pods on several nodes read."""
    image: ModelImage | None = None
    """An image that holds it; its digest is pinned into the Run."""
    config_map: Name | None = None
    """A ConfigMap that holds it, for small ones: at most 1 MiB."""


class Needs(Observed):
    """What the application asks for itself: `resources` of a MAP's pkg.json."""

    cpu: Quantity | None = None
    """Processors."""
    memory: Quantity | None = None
    """Main memory."""
    gpu: Annotated[int, Field(ge=0)] | None = None
    """GPUs, rounded up."""
    gpu_memory: Quantity | None = None
    """Memory of the GPU."""
    shared_memory: Quantity | None = None
    """Size of /dev/shm."""


class ImageStatus(Observed):
    """One image of the pipeline, as its registry has it."""

    step: StepName
    """The step it belongs to."""
    model: Name | None = None
    """The model it holds; absent: it is the step's application."""
    image: ImageName
    """As the pipeline names it."""
    digest: Digest | None = None
    """What that name means now; new Runs carry it. Absent: not known."""
    since: Timestamp | None = None
    """When the name was first seen to mean it."""
    contract: Text | None = None
    """What labels, environment and manifests say it is: MAP 1.0, MAP 0.x or MAP. Absent: they say nothing."""
    title: Text | None = None
    """Label org.opencontainers.image.title."""
    version: Text | None = None
    """Label org.opencontainers.image.version."""
    architectures: Annotated[list[Text], Field(max_length=32)] | None = None
    """Processors it is built for."""
    entrypoint: Annotated[list[Word], Field(max_length=64)] | None = None
    """What is started when the pipeline names no command."""
    arguments: Annotated[list[Word], Field(max_length=64)] | None = None
    """Its arguments (Cmd of the image), unless the pipeline names others."""
    user: Text | None = None
    """User of the image."""
    working_directory: Text | None = None
    """Folder its command begins in."""
    needs: Needs | None = None
    """What a MAP asks for; becomes the step's resources where the pipeline names none."""
    bytes: Annotated[int, Field(ge=0, json_schema_extra={"format": "int64"})] | None = None
    """What a node pulls, compressed."""
    reason: Text | None = None
    """Why it could not be looked at; what stands above is then what was known before."""
    message: Word | None = None
    """For people."""
