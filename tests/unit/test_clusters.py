"""What the clusters of this repository have in common, whoever makes them."""

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def test_a_pods_processes_are_limited_in_every_cluster() -> None:
    """A fork bomb must end at its own pod; only the kubelet can see to that."""
    kubelet = yaml.safe_load((ROOT / "cluster" / "conf" / "kubelet.yaml").read_text(encoding="utf-8"))
    kind = yaml.safe_load((ROOT / "kind-config.yaml").read_text(encoding="utf-8"))
    patches = [yaml.safe_load(text) for node in kind["nodes"] for text in node["kubeadmConfigPatches"]]
    assert [patch["podPidsLimit"] for patch in patches if patch["kind"] == "KubeletConfiguration"] == [kubelet["podPidsLimit"]] * len(kind["nodes"])
    assert 0 < kubelet["podPidsLimit"] <= 4096
