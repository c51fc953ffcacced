"""The kinds of object the operator deals with, and their paths. Data only."""

from dataclasses import dataclass

from gantry.api import API_VERSION, InferenceBackfill, InferencePipeline, InferenceRun, OrthancBridge


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind at the API server."""

    api_version: str
    kind: str
    plural: str

    @property
    def group(self) -> str:
        """As RBAC names it; empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        """The part after the group."""
        return self.api_version.rpartition("/")[2]

    def path(self, namespace: str | None, name: str = "", subresource: str = "") -> str:
        """Of an object, or of the collection; without namespace, of all of them."""
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.api_version}"
        scope = f"/namespaces/{namespace}" if namespace else ""
        return "/".join(filter(None, (f"{root}{scope}/{self.plural}", name, subresource)))


RUNS = Resource(API_VERSION, InferenceRun.kind, InferenceRun.plural)
PIPELINES = Resource(API_VERSION, InferencePipeline.kind, InferencePipeline.plural)
BRIDGES = Resource(API_VERSION, OrthancBridge.kind, OrthancBridge.plural)
BACKFILLS = Resource(API_VERSION, InferenceBackfill.kind, InferenceBackfill.plural)
JOBS = Resource("batch/v1", "Job", "jobs")
DAEMON_SETS = Resource("apps/v1", "DaemonSet", "daemonsets")
PODS = Resource("v1", "Pod", "pods")
SECRETS = Resource("v1", "Secret", "secrets")
CONFIG_MAPS = Resource("v1", "ConfigMap", "configmaps")
"""Read by the command line alone, with its user's rights."""
NODES = Resource("v1", "Node", "nodes")
RESOURCE_CLAIMS = Resource("resource.k8s.io/v1", "ResourceClaim", "resourceclaims")
RESOURCE_CLAIM_TEMPLATES = Resource("resource.k8s.io/v1", "ResourceClaimTemplate", "resourceclaimtemplates")
"""Devices by dynamic resource allocation, from Kubernetes 1.34 on."""
LOCAL_QUEUES = Resource("kueue.x-k8s.io/v1beta2", "LocalQueue", "localqueues")
WORKLOADS = Resource("kueue.x-k8s.io/v1beta2", "Workload", "workloads")
"""Of Kueue, where it is installed: 0.15 and newer serve this version, which is the one they store, so that reading it needs no webhook of theirs."""
OLDER_LOCAL_QUEUES = Resource("kueue.x-k8s.io/v1beta1", "LocalQueue", "localqueues")
OLDER_WORKLOADS = Resource("kueue.x-k8s.io/v1beta1", "Workload", "workloads")
"""All that Kueue before 0.15 serves."""
LEASES = Resource("coordination.k8s.io/v1", "Lease", "leases")
