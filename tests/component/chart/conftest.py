"""A real helm, and what it renders, parsed."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
CHART = ROOT / "charts" / "gantry"
IMAGES = ("--set", "image.operator=registry.example/gantry/operator:1", "--set", "image.worker=registry.example/gantry/worker:1")

Manifest = dict[str, Any]
Helm = Callable[..., subprocess.CompletedProcess[str]]
Render = Callable[..., list[Manifest]]


@pytest.fixture(scope="session")
def helm() -> Helm:
    """Runs helm: the one of $HELM, else of PATH or the cache, built there once."""
    binary = os.environ.get("HELM") or _helm()

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([binary, *arguments], capture_output=True, text=True, timeout=60, check=False)

    return run


def _helm() -> str:
    found = subprocess.run([ROOT / "cluster" / "tools", "helm"], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return f"{found.stdout.strip()}/helm"


@pytest.fixture(scope="session")
def render(helm: Helm) -> Render:
    """The manifests of a release `gantry` in namespace `radiology`, with the given `--set` settings on top of images."""

    def manifests(*settings: str) -> list[Manifest]:
        done = helm(
            "template", "gantry", str(CHART), "-n", "radiology", "--kube-version", "1.34.0", *IMAGES, *(x for s in settings for x in ("--set", s))
        )
        assert done.returncode == 0, done.stderr
        return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest]

    return manifests


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]
