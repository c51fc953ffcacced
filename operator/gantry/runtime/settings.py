"""The operator's settings, from environment variables. Nothing else reads the environment.

Each has its reason and unit beside it; a wrong one is an error that names the variable, its value and what to write.
"""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
YES_NO = ("yes", "no")
PULL_POLICIES = ("Always", "IfNotPresent", "Never")


def installed(*packages: str) -> bool:
    """Whether they can be imported, which is not done."""
    try:
        return all(importlib.util.find_spec(package) is not None for package in packages)
    except ModuleNotFoundError:  # of a package within one that is not there
        return False


@dataclass(frozen=True)
class Prices:
    """What an hour of a GPU costs."""

    currency: str
    per_hour: Mapping[str, float]
    """By resource, for example nvidia.com/gpu."""


NO_PRICES = Prices("", {})


class InvalidSettings(ValueError):
    """One or more variables are missing or wrong; the message names each."""


@dataclass(frozen=True)
class Settings:
    """What the process needs to know."""

    namespaces: tuple[str, ...]
    """GANTRY_NAMESPACES, comma separated. Empty: the whole cluster, which needs a ClusterRole."""
    installation: str
    """GANTRY_INSTALLATION: part of every result's UID. Keep it for ever, or the PACS sees old results as new ones."""
    worker_image: str
    """GANTRY_WORKER_IMAGE: of fetch and publish, best by digest."""
    worker_pull_policy: str = "IfNotPresent"
    """GANTRY_WORKER_PULL_POLICY."""
    port: int = 8080
    """GANTRY_PORT: /metrics, /healthz, /readyz. 0 takes a free one."""
    log_level: str = "INFO"
    """GANTRY_LOG_LEVEL."""
    api_rate: float = 100.0
    """GANTRY_API_RATE: requests a second to the API server. 4 writes a Run: 25 Runs a second, twice what one node's control plane can end."""
    workers: int = 16
    """GANTRY_WORKERS: reconciles at once; each mostly waits for one answer of the API server (7 ms)."""

    image_pull_limit: float = 300.0
    """GANTRY_IMAGE_PULL_LIMIT: seconds an image that cannot be pulled is waited for. A registry's restart or a late pull secret takes minutes."""
    lease: tuple[str, str] | None = None
    """GANTRY_LEASE, as namespace/name: the Lease replicas share, of which one leads. None: this is the only process."""
    identity: str = ""
    """GANTRY_IDENTITY: its name in the Lease; the pod's, so that a container that is started again need not wait for itself. Empty: made anew."""
    notify_hosts: tuple[str, ...] = ()
    """GANTRY_NOTIFY_HOSTS, comma separated: receivers of events that may have an address of the machine itself or of its link."""

    prices: Prices = NO_PRICES
    """GANTRY_PRICES, as `nvidia.com/gpu=2.50,nvidia.com/mig-1g.10gb=0.40`, and GANTRY_CURRENCY: for the metric of costs. Empty: none is told."""

    tracing: bool = False
    """Whether OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is set: finished Runs are told as traces. All other OTEL_* variables
    are the OpenTelemetry SDK's own to read."""
    registries: bool = True
    """GANTRY_REGISTRIES, yes or no: whether registries are asked what images are. No where the operator cannot reach any."""
    registry_ca: str = ""
    """GANTRY_REGISTRY_CA: a file of certificates in PEM that are trusted beside the well-known ones."""
    insecure_registries: tuple[str, ...] = ()
    """GANTRY_INSECURE_REGISTRIES, comma separated: registries that speak plain HTTP, as host:port."""
    images_interval: float = 600.0
    """GANTRY_IMAGES_INTERVAL: seconds between two looks at the tags of a pipeline; a look costs a HEAD request an image."""
    pre_pull: bool = False
    """GANTRY_PRE_PULL, yes or no: whether pipelines with spec.prePull get a DaemonSet, which needs rights on these."""
    read_nodes: bool = False
    """GANTRY_READ_NODES, yes or no: whether images are compared with the nodes' processors, which needs a right on nodes."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Raises InvalidSettings naming every variable that is wrong."""
        read = _Reader(environment)
        made = cls(
            namespaces=read.names("GANTRY_NAMESPACES"),
            installation=read.text("GANTRY_INSTALLATION", "an identifier of this installation that never changes, for example a UUID"),
            worker_image=read.text("GANTRY_WORKER_IMAGE", "the image of fetch and publish"),
            worker_pull_policy=read.choice("GANTRY_WORKER_PULL_POLICY", PULL_POLICIES, cls.worker_pull_policy),
            port=int(read.number("GANTRY_PORT", cls.port, least=0, most=65535)),
            log_level=read.choice("GANTRY_LOG_LEVEL", LEVELS, cls.log_level),
            api_rate=read.number("GANTRY_API_RATE", cls.api_rate, least=1, most=10_000),
            workers=int(read.number("GANTRY_WORKERS", cls.workers, least=1, most=256)),
            lease=read.place("GANTRY_LEASE"),
            identity=environment.get("GANTRY_IDENTITY", "").strip(),
            tracing=read.tracing(),
            prices=read.prices(),
            notify_hosts=read.names("GANTRY_NOTIFY_HOSTS"),
            image_pull_limit=read.number("GANTRY_IMAGE_PULL_LIMIT", cls.image_pull_limit, least=1, most=86_400),
            registries=read.choice("GANTRY_REGISTRIES", YES_NO, "yes") == "yes",
            registry_ca=environment.get("GANTRY_REGISTRY_CA", "").strip(),
            insecure_registries=read.names("GANTRY_INSECURE_REGISTRIES"),
            images_interval=read.number("GANTRY_IMAGES_INTERVAL", cls.images_interval, least=1, most=86_400),
            pre_pull=read.choice("GANTRY_PRE_PULL", YES_NO, "no") == "yes",
            read_nodes=read.choice("GANTRY_READ_NODES", YES_NO, "no") == "yes",
        )
        if read.problems:
            raise InvalidSettings("; ".join(read.problems))
        return made


class _Reader:
    """Reads variables and keeps what is wrong with them, so that all are told at once."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.problems: list[str] = []

    def text(self, name: str, meaning: str) -> str:
        value = self._environment.get(name, "").strip()
        if not value:
            self.problems.append(f"{name} is not set: give {meaning}")
        return value

    def names(self, name: str) -> tuple[str, ...]:
        """Separated by commas."""
        return tuple(sorted({one.strip() for one in self._environment.get(name, "").split(",") if one.strip()}))

    def place(self, name: str) -> tuple[str, str] | None:
        value = self._environment.get(name, "").strip()
        namespace, _, rest = value.partition("/")
        if not value:
            return None
        if not namespace or not rest or "/" in rest:
            self.problems.append(f"{name} is {value!r}: give namespace/name, or leave it out")
        return namespace, rest

    def tracing(self) -> bool:
        """OTLP over HTTP only: gRPC is 20 MB."""
        wanted = any(self._environment.get(f"OTEL_EXPORTER_OTLP_{name}ENDPOINT", "").strip() for name in ("", "TRACES_"))
        if not wanted or self._environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
            return False
        for name in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
            if (value := self._environment.get(name, "").strip()) not in ("", "http/protobuf"):
                self.problems.append(f"{name} is {value!r}: give http/protobuf, or leave it out; the port is mostly 4318")
        if not installed("opentelemetry", "opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"):
            self.problems.append("OTEL_EXPORTER_OTLP_ENDPOINT is set and the OpenTelemetry SDK is not installed: pip install 'gantry[tracing]'")
        return True

    def prices(self) -> Prices:
        """Of an hour, by resource."""
        per_hour: dict[str, float] = {}
        for one in filter(None, (one.strip() for one in self._environment.get("GANTRY_PRICES", "").split(","))):
            resource, _, text = one.partition("=")
            try:
                price = float(text)
            except ValueError:
                price = -1.0
            if not resource or not 0 <= price < 1e6:
                self.problems.append(f"GANTRY_PRICES has {one!r}: give resource=price, for example nvidia.com/gpu=2.50")
            per_hour[resource] = price
        return Prices(self._environment.get("GANTRY_CURRENCY", "").strip() or "EUR", per_hour) if per_hour else NO_PRICES

    def choice(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        """In whatever case it is written."""
        value = self._environment.get(name, "") or default
        chosen = {one.lower(): one for one in allowed}.get(value.lower())
        if chosen is None:
            self.problems.append(f"{name} is {value!r}: give one of {', '.join(allowed)}")
        return chosen or default

    def number(self, name: str, default: float, *, least: float, most: float) -> float:
        text = self._environment.get(name, "") or str(default)
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            self.problems.append(f"{name} is {text!r}: give a number from {least:g} to {most:g}")
            return default
        return value
