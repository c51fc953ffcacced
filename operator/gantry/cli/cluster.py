"""The cluster a command talks to, by kubeconfig: which namespace is meant, a client, and its errors as one line for a person.

What is asked there is each command's own. It must not print.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import yaml

from gantry.kube import AioKube, KubeError, NotPermitted, Throttle, Unconfigured, api_client, configuration

from .failure import Failure

T = TypeVar("T")

RATE = 50
"""Requests a second a command may send: a person's, not the operator's."""


def namespace_of(given: str | None) -> str:
    """The namespace meant: as given, else that of kubeconfig's context, else `default`. Raises Failure when there is no cluster."""
    context = current_context()
    return given or str(context.get("namespace") or "default")


def asked(question: Callable[[AioKube], Awaitable[T]]) -> T:
    """Runs a command's questions to the cluster. Raises Failure when it cannot be asked; what NotFound means is for `question` to say."""
    current_context()
    try:
        return asyncio.run(_asked(question))
    except Unconfigured as error:
        raise Failure(f"no cluster: {error}; mend the kubeconfig, or set KUBECONFIG to another") from error
    except NotPermitted as error:
        raise Failure(f"the cluster does not let you do this: {error}") from error
    except KubeError as error:
        raise Failure(f"the API server did not answer as wanted: {error}") from error


async def _asked(question: Callable[[AioKube], Awaitable[T]]) -> T:
    async with connected() as kube:
        return await question(kube)


@contextlib.asynccontextmanager
async def connected() -> AsyncIterator[AioKube]:
    """A client, closed with the block."""
    async with api_client(await configuration()) as client:
        yield AioKube(client, throttle=Throttle(RATE, RATE, clock=time.monotonic, sleep=asyncio.sleep), observe=_nobody)


def _nobody(verb: str, resource: str, code: str, seconds: float) -> None:
    """A command counts no requests."""


def current_context() -> dict[str, Any]:
    """The context of the first file of KUBECONFIG that names one. Raises Failure when there is none."""
    paths = [Path(path) for path in os.environ.get("KUBECONFIG", str(Path.home() / ".kube" / "config")).split(os.pathsep) if path]
    contexts: dict[str, dict[str, Any]] = {}
    current = None
    for path in paths:
        if not path.is_file():
            continue
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
            contexts = {one["name"]: one.get("context") or {} for one in content.get("contexts") or []} | contexts
        except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
            raise Failure(f"{path} is no kubeconfig: {str(error).splitlines()[0]}") from error
        current = current or content.get("current-context")
    if current is None or current not in contexts:
        raise Failure(f"no cluster: {':'.join(map(str, paths))} has no current context; set KUBECONFIG, or `kubectl config use-context`")
    return contexts[current]
