"""The only calls to the API server: a small Protocol, its form on `kubernetes.aio`, and what the operator may do there.

It must not decide anything; the work queue in `runtime` retries.
"""

from kubernetes.aio.client import Configuration

from .client import AioKube, Kube, Object
from .connection import CallObserver, Freshness, api_client, configuration, watch_session
from .errors import (
    AlreadyExists,
    Conflict,
    Expired,
    KubeError,
    NotFound,
    NotLeading,
    NotPermitted,
    Permanent,
    Rejected,
    Transient,
    Unavailable,
    Unconfigured,
)
from .lease import Lease, LeaseLock
from .permissions import CLAIM_PERMISSIONS, NODE_PERMISSIONS, PERMISSIONS, PREPULL_PERMISSIONS, QUEUE_PERMISSIONS, Permission, lease_permissions
from .resources import (
    BACKFILLS,
    BRIDGES,
    CONFIG_MAPS,
    DAEMON_SETS,
    JOBS,
    LEASES,
    LOCAL_QUEUES,
    NODES,
    OLDER_LOCAL_QUEUES,
    OLDER_WORKLOADS,
    PIPELINES,
    PODS,
    RESOURCE_CLAIM_TEMPLATES,
    RESOURCE_CLAIMS,
    RUNS,
    SECRETS,
    WORKLOADS,
    Resource,
)
from .throttle import Throttle
from .watching import Change, changes

__all__ = [
    "BACKFILLS",
    "BRIDGES",
    "CLAIM_PERMISSIONS",
    "CONFIG_MAPS",
    "DAEMON_SETS",
    "JOBS",
    "LEASES",
    "LOCAL_QUEUES",
    "NODES",
    "NODE_PERMISSIONS",
    "OLDER_LOCAL_QUEUES",
    "OLDER_WORKLOADS",
    "PERMISSIONS",
    "PIPELINES",
    "PODS",
    "PREPULL_PERMISSIONS",
    "QUEUE_PERMISSIONS",
    "RESOURCE_CLAIMS",
    "RESOURCE_CLAIM_TEMPLATES",
    "RUNS",
    "SECRETS",
    "WORKLOADS",
    "AioKube",
    "AlreadyExists",
    "CallObserver",
    "Change",
    "Configuration",
    "Conflict",
    "Expired",
    "Freshness",
    "Kube",
    "KubeError",
    "Lease",
    "LeaseLock",
    "NotFound",
    "NotLeading",
    "NotPermitted",
    "Object",
    "Permanent",
    "Permission",
    "Rejected",
    "Resource",
    "Throttle",
    "Transient",
    "Unavailable",
    "Unconfigured",
    "api_client",
    "changes",
    "configuration",
    "lease_permissions",
    "watch_session",
]
