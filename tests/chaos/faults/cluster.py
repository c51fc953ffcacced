"""Faults that need a real kubelet and containers; played in the one-node cluster (`make chaos CLUSTER=yes`)."""

import os
import signal
from typing import cast

from tests.chaos.cluster_world import NAMESPACE, PIPELINE_NAME, WORK, ClusterWorld, kubelet
from tests.chaos.fault import WELL, End, Fault, failed
from tests.chaos.journal import Stage
from tests.chaos.stream import Study
from tests.chaos.two_nodes import ON_A_LOST_NODE
from tests.e2e.pipelines import pipeline, python

from gantry.kube import PODS

FILLS = python("(OUT / 'x.bin').write_bytes(bytes(64 << 20)); import time; time.sleep(120); negative()")


class InCluster(Fault):
    level = "cluster"
    stages = (Stage.SENT, Stage.RUN, Stage.JOB, Stage.FETCH, Stage.STEP)
    studies = 4
    times = 2
    limit = 300.0

    @property
    def cluster(self) -> ClusterWorld:
        return cast(ClusterWorld, self.world)


class CalmCluster(InCluster):
    name = "cluster: no fault"
    times = 1

    def strike(self, study: Study) -> None:
        self.struck += 1


class Killed(InCluster):
    """The container's first process; the kubelet does the rest."""

    words: tuple[str, ...]
    pod = ""

    def strike(self, study: Study) -> None:
        self.struck += self.cluster.kill(*self.words, pod=self.pod)


class OperatorContainer(Killed):
    name = "cluster: operator's container killed (kill -9)"
    words = ("gantry.runtime",)


class FetchContainer(Killed):
    name = "cluster: fetch's container killed (kill -9)"
    stages = (Stage.SENT,)
    words = ("gantry.worker", "fetch")


class StepContainer(Killed):
    """One that is killed before its launcher could say that it is there is told of as failed: nobody may wait for it until the timeout."""

    name = "cluster: step's container killed (kill -9)"
    stages = (Stage.SENT, Stage.JOB)
    words = ("/gantry/bin/launcher",)

    def ends(self, study: Study) -> tuple[End, ...]:
        return (*WELL, failed("StepFailed"))


class PublishContainer(Killed):
    name = "cluster: publish's container killed (kill -9)"
    stages = (Stage.JOB, Stage.STEP)
    words = ("gantry.worker", "publish")


class OrthancContainer(Killed):
    name = "cluster: Orthanc's container killed (kill -9)"
    words = ("Orthanc",)
    pod = "orthanc-"


class OperatorPod(InCluster):
    name = "cluster: operator's pod deleted by force"

    def strike(self, study: Study) -> None:
        self.cluster.place.kubectl("delete", "pod", "-l", "app.kubernetes.io/name=gantry", "--grace-period=0", "--force")
        self.struck += 1


class Drained(InCluster):
    """The pods of Runs; Orthanc's own pod would lose its emptyDir."""

    name = "cluster: node drained (kubectl drain)"
    stages = (Stage.FETCH, Stage.STEP)

    def _node(self) -> str:
        return str(self.cluster.place.get("nodes")["items"][0]["metadata"]["name"])

    def strike(self, study: Study) -> None:
        options = ("--pod-selector=gantry.health/run", "--delete-emptydir-data", "--force", "--ignore-daemonsets", "--grace-period=1", "--timeout=60s")
        self.struck += "evicting pod" in self.cluster.place.kubectl("drain", self._node(), *options)

    def heal(self) -> None:
        self.cluster.place.kubectl("uncordon", self._node())


class KubeletStopped(InCluster):
    """No word of the node for so long that its pods are deleted; containers go on. Once it is back, it ends them, and their Jobs make others."""

    name = "cluster: kubelet stopped for 80 s"
    stages = (Stage.FETCH, Stage.STEP)
    times = 1
    lasts = (80.0, 80.0)

    def prepare(self) -> None:
        self.cluster.apply(pipeline(PIPELINE_NAME, WORK, retries=3, timeout="10m", scheduling={"tolerations": ON_A_LOST_NODE}))

    def strike(self, study: Study) -> None:
        os.kill(kubelet(), signal.SIGSTOP)
        self.struck += 1

    def heal(self) -> None:
        os.kill(kubelet(), signal.SIGCONT)

    def clean(self) -> None:
        self.cluster.apply(pipeline(PIPELINE_NAME, WORK, retries=3, timeout="10m"))


class EmptyDirFull(InCluster):
    """An application that writes more than the workspace may hold: the kubelet evicts each attempt, and the Run says so."""

    name = "cluster: emptyDir over its limit"
    studies = 2
    times = 1

    def prepare(self) -> None:
        workspace = {"sizeLimit": "16Mi"}
        self.cluster.apply(pipeline(PIPELINE_NAME, FILLS, retries=0, scheduling={"workspace": workspace}))

    def strike(self, study: Study) -> None:
        """The application does it."""

    def clean(self) -> None:
        pods = self.cluster.api.list(PODS, NAMESPACE)
        self.struck += sum(pod["status"].get("reason") == "Evicted" for pod in pods)
        self.cluster.apply(pipeline(PIPELINE_NAME, WORK, retries=3, timeout="10m"))

    def ends(self, study: Study) -> tuple[End, ...]:
        return (failed("Evicted"),)


class RunDeletedInCluster(InCluster):
    name = "cluster: Run deleted while running"
    stages = (Stage.STEP,)
    times = 1

    def strike(self, study: Study) -> None:
        for run in self.cluster.journal.runs.get(study.orthanc_id, []):
            self.cluster.place.kubectl("delete", "irun", run["metadata"]["name"], "--wait=false")
            study.marks["victim"] = True
            self.struck += 1

    def ends(self, study: Study) -> tuple[End, ...]:
        gone = [End("", "", runs=0, reports=count, delivered=0) for count in (0, 1)]
        return (*WELL, *gone) if "victim" in study.marks else WELL
