"""The pods of Runs and their node: containers killed, drained, evicted, deleted by hand."""

import signal
import threading
from functools import partial

from tests.chaos.fault import Fault
from tests.chaos.journal import Stage
from tests.chaos.kubelet import Slot
from tests.chaos.proxy import Asked
from tests.chaos.stream import Study
from tests.chaos.two_nodes import ON_A_LOST_NODE
from tests.chaos.world import pipeline
from tests.component.operator_process import wait
from tests.component.waiting import LIMIT

from gantry.api import labels
from gantry.kube import JOBS, PODS
from gantry.runs import job_name


class ContainerKilled(Fault):
    """SIGKILL to a container, a drawn time after its start; one that had ended by then is not counted, and the next takes its place."""

    container: str
    within: tuple[float, float]
    stages = (Stage.SENT,)
    lasts = (0.0, 0.0)

    def prepare(self) -> None:
        self._hit, self._armed = threading.Event(), False
        self.world.kubelet.observers.append(self._seen)

    def _seen(self, what: str, slot: Slot, name: str) -> None:
        if what == "started" and name == self.container and self._armed:
            self._armed = False
            threading.Timer(self.rng.uniform(*self.within), self._kill, (slot,)).start()

    def _kill(self, slot: Slot) -> None:
        if slot.containers[self.container].send(signal.SIGKILL):
            self.struck += 1
            self._hit.set()
        else:
            self._armed = True

    def strike(self, study: Study) -> None:
        self._hit.clear()
        self._armed = True
        self._hit.wait(LIMIT)

    def clean(self) -> None:
        self.world.kubelet.observers.remove(self._seen)


class FetchKilled(Fault):
    """While it waits for an image: two small ones take it less time than a look at its process."""

    name = "fetch killed (kill -9)"
    stages = (Stage.SENT,)
    lasts = (0.0, 0.0)

    def prepare(self) -> None:
        self._hit, self._armed = threading.Event(), threading.Event()
        self.world.orthanc_proxy.observers.append(self._asked)

    def _asked(self, asked: Asked) -> None:
        if not (self._armed.is_set() and (asked.path.endswith("/file") or asked.path.startswith("/dicom-web/studies"))):
            return
        for slot in self.world.kubelet.working():
            if "fetch" in slot.containers and slot.containers["fetch"].send(signal.SIGKILL):
                self._armed.clear()
                self.struck += 1
                self._hit.set()
                return

    def strike(self, study: Study) -> None:
        self._hit.clear()
        self._armed.set()
        self._hit.wait(LIMIT)

    def heal(self) -> None:
        self._armed.clear()

    def clean(self) -> None:
        self.world.orthanc_proxy.observers.remove(self._asked)


class StepKilled(ContainerKilled):
    name = "step killed (kill -9)"
    container = "detect"
    within = (0.0, 0.4)


class StepStillborn(Fault):
    """A kill so early that publish cannot know of it: the operator deletes the pod after a minute, and its Job makes another."""

    name = "step killed before its launcher has the barrier"
    stages = (Stage.SENT,)
    lasts = (0.0, 0.0)
    limit = 300.0

    def strike(self, study: Study) -> None:
        self.world.kubelet.stillborn += 1
        self.struck += 1

    def clean(self) -> None:
        self.struck -= self.world.kubelet.stillborn
        self.world.kubelet.stillborn = 0


class PublishKilled(ContainerKilled):
    name = "publish killed (kill -9)"
    container = "publish"
    within = (0.3, 0.9)


class NodeDrained(Fault):
    """Every pod is evicted by the API, as `kubectl drain` does it."""

    name = "node drained (eviction API)"
    stages = (Stage.FETCH, Stage.STEP, Stage.PUBLISH)
    times = 3

    def strike(self, study: Study) -> None:
        for slot in self.world.kubelet.working():
            body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": slot.name, "namespace": self.world.hospital.namespace}}
            made = self.world.api.call("POST", PODS.path(self.world.hospital.namespace, slot.name, "eviction"), body, ok=False)
            self.struck += made.get("status") == "Success"


class DiskFull(Fault):
    """The kubelet evicts the pod: an emptyDir is over its limit. The words are the kubelet's own (the real one: level `cluster`)."""

    name = "pod evicted by the kubelet (emptyDir limit)"
    stages = (Stage.STEP,)
    times = 2

    def strike(self, study: Study) -> None:
        for slot in self.world.kubelet.working()[:1]:
            self.world.kubelet.evict(slot, 'Usage of EmptyDir volume "output-detect" exceeds the limit "20Gi". ', disrupted=False)
            self.struck += 1


class PodGoneUnread(Fault):
    """Its Job is complete and it is taken away, a drained node's, while the operator is away: only Orthanc knows what came of it."""

    name = "pod gone before anybody has read its receipt"
    stages = (Stage.STEP, Stage.PUBLISH)
    times = 2

    def strike(self, study: Study) -> None:
        self.world.operator.kill()
        for run in self.world.journal.runs.get(study.orthanc_id, []):
            name = str(run["metadata"]["name"])
            wait(partial(self._has_succeeded, job_name(name)), "its Job is complete", limit=LIMIT)
            self._take_pods(name)

    def _take_pods(self, run: str) -> None:
        namespace = self.world.hospital.namespace
        for pod in self.world.api.list(PODS, namespace):
            if pod["metadata"]["labels"].get(labels.RUN) == run:
                self.world.api.call("DELETE", PODS.path(namespace, pod["metadata"]["name"]), {"gracePeriodSeconds": 0}, ok=False)
                self.struck += 1

    def _has_succeeded(self, job: str) -> bool:
        found = self.world.api.get(JOBS, self.world.hospital.namespace, job)
        return found is not None and found.get("status", {}).get("succeeded", 0) == 1

    def heal(self) -> None:
        self.world.operator.start(ready=False)


class NodeDiskFull(Fault):
    """The kubelet evicts every pod of the node, and no pod gets one until there is room again. Not the pods' fault: no attempt is counted."""

    name = "disk of the node full"
    stages = (Stage.FETCH, Stage.STEP)
    times = 2
    lasts = (3.0, 6.0)
    words = "The node was low on resource: ephemeral-storage. Threshold quantity: 10Gi, available: 9Gi. "

    def strike(self, study: Study) -> None:
        self.world.kubelet.full = True
        for slot in self.world.kubelet.working():
            self.world.kubelet.evict(slot, self.words, disrupted=True)
            self.struck += 1

    def heal(self) -> None:
        self.world.kubelet.full = False


class PodDeleted(Fault):
    """`kubectl delete pod`, half of them with --force. It does not count as an attempt."""

    name = "pod deleted by hand"
    stages = (Stage.FETCH, Stage.STEP)
    times = 2

    def strike(self, study: Study) -> None:
        for slot in self.world.kubelet.working()[:1]:
            grace = {"gracePeriodSeconds": 0} if self.rng.random() < 0.5 else {}
            self.world.api.call("DELETE", PODS.path(self.world.hospital.namespace, slot.name), grace, ok=False)
            self.struck += 1


class NodeLost(Fault):
    """No word of a node any more, by its power or by its kubelet alone; with the kubelet lost, its containers go on and may still bring reports.

    Its pods are being deleted for as long as it is away, and only once it is back is it known that they have ended: until then no Job makes another.
    """

    name = "node lost for half a minute"
    stages = (Stage.FETCH, Stage.STEP, Stage.PUBLISH)
    times = 2
    lasts = (25.0, 30.0)

    def prepare(self) -> None:
        self.world.hospital.apply(pipeline(tolerations=ON_A_LOST_NODE))

    def strike(self, study: Study) -> None:
        wait(self.world.kubelet.working, "a pod is at work", limit=LIMIT)
        self.node, pods = self.world.kubelet.lose(power=self.rng.random() < 0.5)
        self.struck += pods

    def heal(self) -> None:
        self.world.kubelet.find(self.node)

    def clean(self) -> None:
        self.world.hospital.apply(pipeline())


class NodeGone(NodeLost):
    """Its Node object is deleted, pod garbage collection removes the pods 40 to 60 s later, and their Jobs make others, which come to the second node."""

    name = "node lost for good"
    times = 1
    lasts = (15.0, 15.0)

    def heal(self) -> None:
        self.world.kubelet.nodes.delete(self.node)

    def clean(self) -> None:
        self.world.kubelet.find(self.node)
        super().clean()
