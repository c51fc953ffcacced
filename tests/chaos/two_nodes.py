"""The played nodes as the API server knows them: two, each of which says again and again that it is ready while it lives.

What becomes of the pods of one that is lost is Kubernetes' own doing: the node lifecycle controller taints it, the taint eviction controller deletes
its pods, and once the Node object is gone pod garbage collection removes what is left of them.
"""

import time

from tests.component.operator_process import Api

from gantry.api import timestamp
from gantry.kube import NODES
from gantry.runtime.process import now

NAMES = ("node-1", "node-2")
ON_A_LOST_NODE = [
    {"key": f"node.kubernetes.io/{word}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 2} for word in ("unreachable", "not-ready")
]
"""For pods that are to be deleted 2 s after their node counts as lost; the API server gives them five minutes."""
BEAT = 2.0
"""Seconds between two words of it; a kubelet takes 10. A node counts as lost after plane.NODE_GRACE without any."""


class TwoNodes:
    """New pods go to the one that has lived longest. `beat` is called by one thread, again and again."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.lost: set[str] = set()
        self._order = list(NAMES)
        self._known: set[str] = set()
        self._ready_since: dict[str, str] = {}
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
        """Says what is due."""
        if time.monotonic() < self._due:
            return
        for name in NAMES:
            if name not in self.lost:
                self._say_ready(name)
        self._due = time.monotonic() + BEAT

    def delete(self, name: str) -> None:
        """The Node object, as a cloud's controller or an administrator does it. It is made anew when the node lives again."""
        self.api.delete(NODES, "", name)

    def _say_ready(self, name: str) -> None:
        """In the Node's status, not by a Lease: a node that was taken for lost on a busy machine is ready again by its own word alone."""
        if name not in self._known:
            path = f"{NODES.path(None, name)}?fieldManager=kubelet&force=true"
            self.api.call("PATCH", path, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}, content="application/apply-patch+yaml")
            self._known.add(name)
            self._ready_since[name] = timestamp(now())
        words = {"reason": "KubeletReady", "message": "played", "lastHeartbeatTime": timestamp(now()), "lastTransitionTime": self._ready_since[name]}
        self.api.patch(NODES, "", name, {"status": {"conditions": [{"type": "Ready", "status": "True", **words}]}}, sub="status")
