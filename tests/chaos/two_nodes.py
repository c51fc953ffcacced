"""The played nodes as the API server knows them: two, each with a Lease that is renewed while it lives.

What becomes of the pods of one that is lost is Kubernetes' own doing: the node lifecycle controller taints it, the taint eviction controller deletes
its pods, and once the Node object is gone pod garbage collection removes what is left of them.
"""

import time
from typing import Any

from tests.component.operator_process import Api

from gantry.api import timestamp
from gantry.kube import LEASES, NODES
from gantry.runtime.process import now

NAMES = ("node-1", "node-2")
LEASE_NAMESPACE = "kube-node-lease"
ON_A_LOST_NODE = [
    {"key": f"node.kubernetes.io/{word}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 2} for word in ("unreachable", "not-ready")
]
"""For pods that are to be deleted 2 s after their node counts as lost; the API server gives them five minutes."""
RENEWED = 2.0
"""Seconds between two renewals; a kubelet takes 10. A node counts as lost after plane.NODE_GRACE."""


class TwoNodes:
    """New pods go to the one that has lived longest. `beat` is called by one thread, again and again."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.lost: set[str] = set()
        self._order = list(NAMES)
        self._known: set[str] = set()
        self._due = 0.0

    @property
    def first(self) -> str:
        return next(name for name in self._order if name not in self.lost)

    def lose(self, name: str) -> None:
        """No word of it any more."""
        self.lost.add(name)
        self._order = [*(other for other in self._order if other != name), name]

    def find(self, name: str) -> None:
        """It is back, and says at once that it is ready."""
        self._known.discard(name)
        self._due = 0.0
        self.lost.discard(name)

    def beat(self) -> None:
        """Renews what is due."""
        if time.monotonic() < self._due:
            return
        for name in NAMES:
            if name not in self.lost:
                self._renew(name)
        self._due = time.monotonic() + RENEWED

    def delete(self, name: str) -> None:
        """The Node object, as a cloud's controller or an administrator does it. It is made anew when the node lives again."""
        self.api.delete(NODES, "", name)

    def _renew(self, name: str) -> None:
        if name not in self._known:
            self._make(name)
        moment = timestamp(now()).replace("Z", ".000000Z")
        spec = {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": moment}
        body = {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": {"name": name}, "spec": spec}
        self._apply(LEASES.path(LEASE_NAMESPACE, name), body)

    def _make(self, name: str) -> None:
        self._apply(NODES.path(None, name), {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
        moment = timestamp(now())
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "played", "lastHeartbeatTime": moment, "lastTransitionTime": moment}
        self.api.patch(NODES, "", name, {"status": {"conditions": [ready]}}, sub="status")
        self._known.add(name)

    def _apply(self, path: str, body: dict[str, Any]) -> None:
        self.api.call("PATCH", f"{path}?fieldManager=kubelet&force=true", body, content="application/apply-patch+yaml")
