"""What a step's container looks like to the application in it, by `steps[].contract`.

Pure tables. A MAP's paths are those of its specification and of its builders (github.com/Project-MONAI/monai-deploy, guidelines/
monai-application-package.md; holoscan-cli), of both generations at once: which one an image is, the launcher finds by its manifest. A module's are
those of mercure's runner (github.com/mercure-imaging/mercure, app/process/process_series.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gantry.api.step import Step


@dataclass(frozen=True, slots=True)
class Contract:
    """Beside `/gantry/input`, `/gantry/output` and the variables of every step."""

    input: tuple[str, ...] = ()
    """Further places of the input folder."""
    output: tuple[str, ...] = ()
    """Further places of the output folder."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that are not the pipeline's to change."""
    home: str | None = "/tmp"  # noqa: S108 - a path within the container, on a volume of its own
    """HOME; None: the image's, by its user."""
    read_only_root: bool = True
    shared_memory: str | None = None
    """Size of /dev/shm when the pipeline gives none; None: the runtime's own, of 64 MiB."""
    data: str | None = None
    """Where the application has a writable input folder of its own, which fetch fills for the first step and the launcher for later ones."""
    persistence: str | None = None
    """Where a folder of its own lies that may outlive the Run."""
    manifests: tuple[str, ...] = ()
    """Where the launcher looks for the application, the newest first."""

    def launcher(self, variables: Sequence[str]) -> list[str]:
        """Arguments of the launcher; `variables`: what the pod sets, which a manifest does not change."""
        if not self.manifests:
            return []
        return [*(f"--manifest={path}" for path in self.manifests), *(f"--keep={name}" for name in variables)]


NATIVE = Contract()
MAP = Contract(
    input=("/var/holoscan/input", "/var/monai/input"),
    output=("/var/holoscan/output", "/var/monai/output"),
    environment={
        "HOLOSCAN_INPUT_PATH": "/var/holoscan/input",
        "HOLOSCAN_OUTPUT_PATH": "/var/holoscan/output",
        "MONAI_INPUTPATH": "/var/monai/input",
        "MONAI_OUTPUTPATH": "/var/monai/output",
    },
    home=None,  # packages of a MAP lie below its user's
    read_only_root=False,  # the Holoscan wheel makes its libraries' links at the first start
    shared_memory="1Gi",  # as their reference runner has it
    manifests=("/etc/holoscan/app.json", "/etc/monai/app.json"),
)

MERCURE = Contract(
    output=("/tmp/output",),  # noqa: S108 - where mercure's own runner has them, as the next ones
    environment={
        "MERCURE_IN_DIR": "/tmp/data",  # noqa: S108
        "MERCURE_OUT_DIR": "/tmp/output",  # noqa: S108
        "MODULE_PERSISTENCE_DIR": "/tmp/persistence",  # noqa: S108
        # mercure runs MAPs, too, and sets their variables for every module.
        "HOLOSCAN_INPUT_PATH": "/tmp/data",  # noqa: S108
        "HOLOSCAN_OUTPUT_PATH": "/tmp/output",  # noqa: S108
        "MONAI_INPUTPATH": "/tmp/data",  # noqa: S108
        "MONAI_OUTPUTPATH": "/tmp/output",  # noqa: S108
    },
    read_only_root=False,  # many write into their working directory, which is /
    data="/tmp/data",  # noqa: S108
    persistence="/tmp/persistence",  # noqa: S108
)

_CONTRACTS = {"Native": NATIVE, "MAP": MAP, "Mercure": MERCURE}


def contract_of(step: Step) -> Contract:
    """How this step is spoken to."""
    return _CONTRACTS[step.contract]
