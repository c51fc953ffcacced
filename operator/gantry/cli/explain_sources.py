"""Where `gantry explain` looks: which pipelines are asked, and which Orthanc their studies are in.

Pipelines come from files or from the cluster; the Orthanc from --orthanc-url, from a bridge in the files, or from the cluster's bridge.
With files and an address the cluster is never asked. It decides nothing about studies.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from gantry.api import InferencePipeline, OrthancBridge, PipelineReason
from gantry.api.pipeline import PipelineSpec
from gantry.kube import BRIDGES, PIPELINES, Kube, NotFound, NotPermitted
from gantry.orthanc import Credentials, OrthancError, Transient, Trust, Unauthorized, UnfitCertificate, Untrusted
from gantry.routing import InvalidRules, Rules, compile_rules

from .cluster import asked, namespace_of
from .failure import Failure
from .pipeline_files import Written, checked, read_files

USERNAME, PASSWORD = "ORTHANC_USERNAME", "ORTHANC_PASSWORD"


@dataclass(frozen=True, slots=True)
class Asked:
    """A pipeline that is asked about studies."""

    name: str
    namespace: str | None
    """Where it is applied, or would be; None when no cluster is looked at."""
    spec: PipelineSpec
    rules: Rules | None
    problem: str = ""
    """Why a pipeline of the cluster has no rules: the bridge does not use it either."""
    unready: str = ""
    """What the operator says against it, in its condition Ready; empty when nothing, or suspension alone."""


@dataclass(frozen=True, slots=True)
class Source:
    """An Orthanc and the pipelines that are asked about its studies."""

    url: str
    credentials: Credentials | None
    trust: Trust | None
    """Of a bridge in the cluster; without one the system's authorities count."""
    pipelines: tuple[Asked, ...]
    bridge: OrthancBridge | None = None
    bridge_name: str = ""
    in_cluster: bool = False
    """The address is the bridge's own, which may lead nowhere outside of the cluster."""
    namespace: str = ""
    """Of the bridge, when it was read from the cluster."""

    def failure(self, error: OrthancError) -> Failure:
        """One line that also says how to get there from outside of the cluster."""
        where = f"bridge {self.bridge_name} at {self.url}" if self.in_cluster else self.url
        if isinstance(error, Unauthorized) and not self.in_cluster:
            return Failure(f"{where} refuses the credentials; set {USERNAME} and {PASSWORD} ({error})")
        if isinstance(error, Transient) and self.in_cluster and not isinstance(error, Untrusted):
            host, port = urlsplit(self.url).hostname or "", urlsplit(self.url).port or 80
            service, _, rest = host.partition(".")
            namespace = rest.partition(".")[0] or self.namespace
            forward = f"kubectl -n {namespace} port-forward svc/{service} 8042:{port}"
            return Failure(f"{where} cannot be reached from here ({error}); run `{forward}` and add --orthanc-url http://localhost:8042")
        return Failure(f"{where}: {error}")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line says."""

    files: tuple[str, ...]
    pipelines: tuple[str, ...]
    url: str | None
    namespace: str | None


def sources(wanted: Wanted) -> tuple[Source, ...]:
    """One for each bridge whose pipelines are asked. Raises Failure when there is nobody to ask."""
    written = read_files(wanted.files) if wanted.files else ()
    if wanted.url:
        _check_url(wanted.url)
    if written and wanted.url:
        chosen = _chosen([_from_file(one, None) for one in written if isinstance(one.resource, InferencePipeline)], wanted)
        bridges, credentials = _bridges(written), _from_environment()
        return tuple(
            Source(wanted.url, credentials, None, asks, bridge=bridges.get(name), bridge_name=name) for (_, name), asks in _by_bridge(chosen).items()
        )
    place = namespace_of(wanted.namespace)
    return asked(lambda kube: _with_cluster(kube, wanted, written, place))


async def _with_cluster(kube: Kube, wanted: Wanted, written: Sequence[Written], place: str) -> tuple[Source, ...]:
    if written:
        found = [_from_file(one, wanted.namespace or one.namespace or place) for one in written if isinstance(one.resource, InferencePipeline)]
    else:
        found = [_from_cluster(raw, place) for raw in await _pipelines(kube, place)]
        if not found:
            raise Failure(f"namespace {place} has no InferencePipeline; choose another with -n, or give one with -f")
    chosen = _chosen(found, wanted)
    own = _bridges(written)
    made = [await _source(kube, namespace, name, own.get(name), asks, wanted.url) for (namespace, name), asks in _by_bridge(chosen).items()]
    if wanted.url and len(made) > 1:
        names = ", ".join(one.bridge_name for one in made)
        raise Failure(f"--orthanc-url is one Orthanc, and these pipelines are of several bridges ({names}); choose pipelines with --pipeline")
    return tuple(made)


async def _source(kube: Kube, namespace: str, name: str, own: OrthancBridge | None, asks: tuple[Asked, ...], url: str | None) -> Source:
    bridge = own or await _bridge(kube, namespace, name)
    given = _from_environment() if url else None
    credentials = given or await _secret(kube, namespace, bridge)
    trust = await _trust(kube, namespace, bridge)
    return Source(url or bridge.spec.url, credentials, trust, asks, bridge=bridge, bridge_name=name, in_cluster=url is None, namespace=namespace)


async def orthanc_of(kube: Kube, namespace: str, bridge: str, url: str | None) -> Source:
    """The Orthanc of a bridge in the cluster; `url` in place of its address."""
    if url:
        _check_url(url)
    return await _source(kube, namespace, bridge, None, (), url)


async def _pipelines(kube: Kube, namespace: str) -> list[dict[str, Any]]:
    try:
        return [one async for page in kube.pages(PIPELINES, namespace) for one in page]
    except NotFound as error:
        raise Failure("the cluster does not know InferencePipelines: install Gantry's chart, or its crds/; or give -f and --orthanc-url") from error


async def _bridge(kube: Kube, namespace: str, name: str) -> OrthancBridge:
    try:
        raw = await kube.get(BRIDGES, namespace, name)
    except NotFound as error:
        raise Failure(f"namespace {namespace} has no OrthancBridge {name}; create it, change spec.bridgeRef, or give --orthanc-url and -f") from error
    return checked(OrthancBridge, raw, f"OrthancBridge {name}")


async def _secret(kube: Kube, namespace: str, bridge: OrthancBridge) -> Credentials | None:
    reference = bridge.spec.credentials_secret_ref
    if reference is None:
        return None
    instead = f"or give --orthanc-url and set {USERNAME} and {PASSWORD}"
    username, password = await _keys(kube, namespace, reference.name, ("username", "password"), "the bridge's credentials", instead)
    return Credentials(username, password)


async def _trust(kube: Kube, namespace: str, bridge: OrthancBridge) -> Trust | None:
    tls = bridge.spec.tls
    if tls is None:
        return None
    instead = "or give --orthanc-url, and -f for pipelines: then SSL_CERT_FILE names the authorities"
    ca, certificate, key = "", "", ""
    if tls.ca_secret_ref is not None:
        (ca,) = await _keys(kube, namespace, tls.ca_secret_ref.name, (tls.ca_secret_ref.key,), "the bridge's authorities", instead)
    if tls.client_certificate_secret_ref is not None:
        name = tls.client_certificate_secret_ref.name
        certificate, key = await _keys(kube, namespace, name, ("tls.crt", "tls.key"), "the bridge's client certificate", instead)
    made = Trust(ca, certificate, key)
    try:
        made.context()
    except UnfitCertificate as error:
        raise Failure(f"spec.tls of the bridge in namespace {namespace}: {error}; mend the secret, {instead}") from error
    return made


async def _keys(kube: Kube, namespace: str, name: str, keys: tuple[str, ...], what: str, instead: str) -> tuple[str, ...]:
    """Values of a secret. Raises Failure."""
    try:
        data = await kube.read_secret(namespace, name)
    except NotFound as error:
        raise Failure(f"namespace {namespace} has no secret {name} with {what}; create it, {instead}") from error
    except NotPermitted as error:
        raise Failure(f"you may not read the secret {name} in namespace {namespace}; have it granted, {instead}") from error
    if not all(data.get(key) for key in keys):
        raise Failure(f"secret {name} in namespace {namespace} lacks {' or '.join(keys)}; mend it, {instead}")
    return tuple(data[key] for key in keys)


def _from_file(one: Written, namespace: str | None) -> Asked:
    """Raises Failure when a rule cannot be compiled: the person is there to mend it."""
    assert isinstance(one.resource, InferencePipeline)  # noqa: S101 - chosen by the caller
    try:
        rules = compile_rules(one.name, one.resource)
    except InvalidRules as error:
        raise Failure(f"{one.where}: {error}") from error
    return Asked(one.name, namespace, one.resource.spec, rules)


def _from_cluster(raw: dict[str, Any], namespace: str) -> Asked:
    name = str(raw["metadata"]["name"])
    pipeline = checked(InferencePipeline, raw, f"InferencePipeline {name}")
    try:
        return Asked(name, namespace, pipeline.spec, compile_rules(name, pipeline), unready=_unready(raw))
    except InvalidRules as error:
        return Asked(name, namespace, pipeline.spec, None, problem=str(error))


def _unready(raw: dict[str, Any]) -> str:
    conditions = (raw.get("status") or {}).get("conditions") or ()
    ready: dict[str, Any] = next((one for one in conditions if one["type"] == "Ready"), {})
    if ready.get("status") != "False" or ready.get("reason") == PipelineReason.SUSPENDED:
        return ""
    return f"{ready.get('reason')}: {ready.get('message')}"


def _bridges(written: Sequence[Written]) -> dict[str, OrthancBridge]:
    return {one.name: one.resource for one in written if isinstance(one.resource, OrthancBridge)}


def _by_bridge(asks: Sequence[Asked]) -> dict[tuple[str, str], tuple[Asked, ...]]:
    """By namespace and name of the bridge."""
    made: dict[tuple[str, str], tuple[Asked, ...]] = {}
    for one in asks:
        bridge = (one.namespace or "", one.spec.bridge_ref.name)
        made[bridge] = (*made.get(bridge, ()), one)
    return made


def _chosen(found: Sequence[Asked], wanted: Wanted) -> tuple[Asked, ...]:
    names = {one.name for one in found}
    unknown = [name for name in wanted.pipelines if name not in names]
    if unknown:
        where = ", ".join(wanted.files) or f"namespace {found[0].namespace}"
        raise Failure(f"there is no pipeline {', '.join(unknown)} in {where}; there is: {', '.join(sorted(names))}")
    return tuple(one for one in found if not wanted.pipelines or one.name in wanted.pipelines)


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if "@" in url:
        raise Failure(f"--orthanc-url must hold no credentials, other users of this machine would see them; set {USERNAME} and {PASSWORD}")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise Failure(f"--orthanc-url {url!r} is no address; write for example http://localhost:8042")


def _from_environment() -> Credentials | None:
    username, password = os.environ.get(USERNAME), os.environ.get(PASSWORD)
    if bool(username) != bool(password):
        raise Failure(f"set both {USERNAME} and {PASSWORD}, or neither")
    return Credentials(username, password) if username and password else None
