"""One step of a pipeline: an application, how it is spoken to, what it gets and what it is allowed."""

from typing import Annotated, Literal

from pydantic import Field

from .base import Duration, Free, Name, Part, Quantity, SecretKey, StepName, cel, list_map, rule
from .images import Claim, Model


class EnvSource(Part):
    """Where a variable's value comes from."""

    secret_key_ref: SecretKey
    """From a secret, for example a licence."""


class EnvVar(Part):
    """An environment variable of a step."""

    model_config = {
        "json_schema_extra": cel(rule("!(has(self.value) && has(self.valueFrom))", "give value or valueFrom, not both"))
    }
    name: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    """Name of the variable. GANTRY_* is Gantry's own."""
    value: Annotated[str, Field(max_length=4096)] | None = None
    """Its value."""
    value_from: EnvSource | None = None
    """Where its value comes from."""


class StepClaim(Part):
    """Devices that a step gets by dynamic resource allocation."""

    name: Name
    """An entry of scheduling.resourceClaims."""
    request: Name | None = None
    """One request of that claim; absent: all of its devices."""


class Resources(Part):
    """CPU, memory and GPU of a step."""

    requests: Annotated[dict[str, Quantity], Field(max_length=16)] | None = None
    """What the scheduler sets aside."""
    limits: Annotated[dict[str, Quantity], Field(max_length=16)] | None = None
    """What the step may use at most; GPUs (nvidia.com/gpu) stand here."""
    claims: Annotated[list[StepClaim], Field(min_length=1, max_length=8)] | None = None
    """Devices by dynamic resource allocation."""
    gpu_memory: Quantity | None = None
    """Memory that the GPU must have: of nodes whose label nvidia.com/gpu.memory (MiB, by NVIDIA's GPU feature discovery) tells it, those with less
    are not chosen, nor such flavours of Kueue. Absent: what a MAP declares, else any GPU."""
    shared_memory: Quantity | None = None
    """Size of /dev/shm, a volume in memory: what is used counts against limits.memory. Absent: with contract MAP what its
    manifest asks for, at least 1Gi; else the container runtime's
    own, 64Mi as a rule, which PyTorch's data loaders outgrow."""


class StepSecurity(Part):
    """What a step is allowed beyond the default."""

    run_as_user: Annotated[int, Field(ge=0, le=2147483647, json_schema_extra={"format": "int64"})] | None = None
    """User id; absent: 1000. 0 is root, which a MAP 0.x needs; the namespace's Pod Security has to allow it."""
    read_only_root_filesystem: bool | None = None
    """False for applications that write beside /tmp and /gantry/output. Absent: true, and false for contracts MAP and Mercure, whose packages do."""
    allow_network: bool = False
    """True lets the application open network sockets. False: the launcher refuses them on any CNI."""


class Persistence(Part):
    """What a mercure module keeps from Run to Run."""

    persistent_volume_claim: Claim
    """Mounted writable. Pods of several Runs may have it at once: it needs an access mode that allows that, or concurrency.maxActive 1."""


class Step(Part):
    """One application. It sees `input` and the outputs of the steps before it."""

    model_config = {
        "json_schema_extra": cel(
            rule(
                "!has(self.persistence) || self.contract == 'Mercure'",
                "persistence is MODULE_PERSISTENCE_DIR of contract Mercure; leave it out with other contracts",
            ),
            rule(
                "has(self.command) || size(self.args) == 0 || self.contract != 'MAP'",
                "args go with command: write the whole command, or leave args out",
            ),
        )
    }
    name: Annotated[
        StepName,
        Field(json_schema_extra=cel(rule("!(self in ['fetch', 'publish'])", "fetch and publish are Gantry's own containers; choose another name"))),
    ]
    """Unique within the pipeline."""
    image: Annotated[str, Field(min_length=1, max_length=512, pattern=r"^\S+$")]
    """Image, best by digest (name@sha256:…)."""
    contract: Literal["Native", "MAP", "Mercure"] = "Native"
    """How the application is spoken to; see the container contracts. MAP: a MONAI application package, 1.0 or 0.x, unmodified. Mercure: a processing
    module of mercure, unmodified."""
    command: Annotated[list[Annotated[str, Field(min_length=1, max_length=4096)]], Field(min_length=1, max_length=64)] | None = None
    """The application and its arguments, which the launcher starts in place of the image's entrypoint. Absent: the image's own, which its registry
    tells (with contract MAP: the manifest's)."""
    args: Annotated[list[Annotated[str, Field(max_length=4096)]], Field(max_length=64)] = []
    """Further arguments. Without command: in place of the image's own (Cmd)."""
    env: Annotated[list[EnvVar], Field(max_length=64, json_schema_extra=list_map("name"))] = []
    """Environment variables."""
    settings: Free = {}
    """Free object, handed over as /gantry/settings.json (GANTRY_SETTINGS); with contract Mercure also in task.json, as process.settings."""
    persistence: Persistence | None = None
    """With contract Mercure: MODULE_PERSISTENCE_DIR outlives the Run. Absent: that folder is empty at each start and goes with the pod."""
    resources: Resources = Resources()
    """CPU, memory, GPU."""
    timeout: Annotated[Duration, Field(json_schema_extra=cel(rule("duration(self) >= duration('1s')", "timeout is 1s or more")))] = "10m"
    """The application is ended after it."""
    models: Annotated[list[Model], Field(max_length=8, json_schema_extra=list_map("name"))] = []
    """Weights and other data, mounted read-only."""
    security: StepSecurity = StepSecurity()
    """What the step is allowed."""
