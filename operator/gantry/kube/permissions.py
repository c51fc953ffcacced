"""Every verb on every resource the operator uses: what its Role must grant, and no more. Data only.

The chart's Role is compared with it, and the component tests run the operator with exactly these rights. Discovery (GET /api, /apis, /version) is
granted to every authenticated user by the cluster itself (system:discovery, system:public-info-viewer).
"""

from dataclasses import dataclass

from .resources import (
    BACKFILLS,
    BRIDGES,
    DAEMON_SETS,
    JOBS,
    LEASES,
    LOCAL_QUEUES,
    NODES,
    PIPELINES,
    PODS,
    RESOURCE_CLAIM_TEMPLATES,
    RESOURCE_CLAIMS,
    RUNS,
    SECRETS,
    WORKLOADS,
    Resource,
)


@dataclass(frozen=True, slots=True)
class Permission:
    """Verbs on one resource or subresource."""

    resource: Resource
    verbs: tuple[str, ...]
    subresource: str = ""
    resource_names: tuple[str, ...] = ()
    """Empty: all of them."""

    @property
    def name(self) -> str:
        """As RBAC names it: plural, or plural/subresource."""
        return "/".join(filter(None, (self.resource.plural, self.subresource)))

    def rule(self) -> dict[str, list[str]]:
        """As it stands in a Role."""
        names = {"resourceNames": list(self.resource_names)} if self.resource_names else {}
        return {"apiGroups": [self.resource.group], "resources": [self.name], "verbs": list(self.verbs)} | names


PERMISSIONS: tuple[Permission, ...] = (
    Permission(RUNS, ("create", "delete", "get", "list", "watch")),  # created by bridges, deleted after history.ttl; get: what a superseded one left
    Permission(RUNS, ("patch",), "status"),
    Permission(PIPELINES, ("list", "watch")),
    Permission(PIPELINES, ("patch",), "status"),
    Permission(BRIDGES, ("list", "watch")),
    Permission(BRIDGES, ("patch",), "status"),
    Permission(BACKFILLS, ("list", "watch")),
    Permission(BACKFILLS, ("patch",), "status"),
    Permission(JOBS, ("create", "delete", "get", "list", "watch")),  # get: whose is the Job of that name; is it really gone
    Permission(PODS, ("delete", "list", "watch")),  # delete: one that waits for a step that is dead, so that its Job makes another
    Permission(SECRETS, ("get",)),  # by name only: credentials of a bridge, keys of receivers
)
"""In each served namespace."""
QUEUE_PERMISSIONS: tuple[Permission, ...] = (Permission(LOCAL_QUEUES, ("get",)), Permission(WORKLOADS, ("list",)))
"""Beside them where Kueue is used: whether the queue a Run names exists and admits, and what Kueue says of its Job. Without these rights the Run
waits in the same way, and says less."""

CLAIM_PERMISSIONS: tuple[Permission, ...] = (Permission(RESOURCE_CLAIMS, ("get",)), Permission(RESOURCE_CLAIM_TEMPLATES, ("get",)))
"""Beside them where pods get devices by resource claims (resourceClaims.enabled of the chart): how many, for `status.usage`. Without these rights
the Run goes on in the same way, and they are not counted."""

PREPULL_PERMISSIONS: tuple[Permission, ...] = (Permission(DAEMON_SETS, ("create", "delete", "get", "update")),)
"""Beside them where images are brought to nodes before Runs need them (prePull.enabled of the chart)."""

NODE_PERMISSIONS: tuple[Permission, ...] = (Permission(NODES, ("list",)),)
"""In the whole cluster, when images are compared with the nodes' processors, and Runs that no node takes say what the nodes offer
(registries.readNodes of the chart)."""


def lease_permissions(name: str) -> tuple[Permission, ...]:
    """In the operator's own namespace, on the Lease of that name. RBAC cannot narrow `create` to a name."""
    return Permission(LEASES, ("create",)), Permission(LEASES, ("get", "patch"), resource_names=(name,))
