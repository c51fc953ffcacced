"""What people do with kubectl in the midst of work: Jobs, Runs, pipelines and secrets deleted, edited, suspended, rotated."""

from typing import Any

from tests.chaos.fault import WELL, End, Fault, failed
from tests.chaos.journal import Stage
from tests.chaos.stream import Study
from tests.chaos.world import PIPELINE_NAME, pipeline, secret
from tests.component.operator_process import wait

from gantry.kube import JOBS, PIPELINES, RUNS
from gantry.runs import fingerprint, job_name, run_name

BUSY = (Stage.JOB, Stage.FETCH, Stage.STEP, Stage.PUBLISH)


class JobDeleted(Fault):
    """The Run fails as JobLost and says so: a Job is never made twice. If its report was through already, the Run is through."""

    name = "Job deleted by hand"
    stages = BUSY

    def strike(self, study: Study) -> None:
        runs = self.world.journal.runs.get(study.orthanc_id, [])
        for run in runs:
            self.world.api.delete(JOBS, self.world.hospital.namespace, job_name(run["metadata"]["name"]))
            study.marks["victim"] = True
            self.struck += 1

    def ends(self, study: Study) -> tuple[End, ...]:
        # A report that publish had stored and not yet told of stays in Orthanc; nobody delivers it.
        lost = (failed("JobLost"), End("Failed", "JobLost", reports=1, delivered=0))
        return (*WELL, *lost) if "victim" in study.marks else WELL


class RunDeleted(Fault):
    """Somebody does not want it: Job and pod go with it. A scan may find the study again and make the same Run, with the same UIDs."""

    name = "Run deleted while running"
    stages = BUSY

    def strike(self, study: Study) -> None:
        for run in self.world.journal.runs.get(study.orthanc_id, []):
            self.world.api.delete(RUNS, self.world.hospital.namespace, run["metadata"]["name"])
            study.marks["victim"] = True
            self.struck += 1

    def ends(self, study: Study) -> tuple[End, ...]:
        gone = [End("", "", runs=0, reports=reports, delivered=delivered) for reports in (0, 1) for delivered in range(reports + 1)]
        return (*WELL, *gone) if "victim" in study.marks else WELL


class PipelineEdited(Fault):
    """Runs under way keep their template; later ones have the new one. No study is analysed a second time."""

    name = "pipeline edited while running"
    stages = BUSY
    edits = 0

    def strike(self, study: Study) -> None:
        self.edits += 1
        self.world.hospital.apply(pipeline(retries=3 + self.edits))
        self.struck += 1

    def clean(self) -> None:
        self.world.hospital.apply(pipeline())


class PipelineSuspended(Fault):
    """Runs under way go on. What comes meanwhile is found when it is resumed."""

    name = "pipeline suspended while running"
    stages = BUSY
    lasts = (1.0, 4.0)

    def _suspend(self, value: bool) -> None:
        self.world.api.patch(PIPELINES, self.world.hospital.namespace, PIPELINE_NAME, {"spec": {"suspend": value}})

    def strike(self, study: Study) -> None:
        self._suspend(True)
        self.struck += 1

    def heal(self) -> None:
        self._suspend(False)


class PipelineDeleted(Fault):
    """GitOps deletes it and applies it again a moment later: Runs outlive it. A study that became stable without any pipeline is nobody's."""

    name = "pipeline deleted while running"
    stages = BUSY
    lasts = (0.5, 2.0)

    def strike(self, study: Study) -> None:
        self.world.api.delete(PIPELINES, self.world.hospital.namespace, PIPELINE_NAME)
        self.struck += 1
        for one in self.studies_of_episode:
            if not self.world.journal.runs.get(one.orthanc_id):
                one.marks["without"] = True

    def heal(self) -> None:
        self.world.hospital.apply(pipeline())

    def ends(self, study: Study) -> tuple[End, ...]:
        return (*WELL, End("", "", 0, 0, 0)) if "without" in study.marks and study.sent_at else WELL


class SecretRotated(Fault):
    """Orthanc gets another password, and the secret a moment later. Pods that were made with the old one may fail of it, and say so."""

    name = "bridge secret rotated"
    stages = (Stage.SENT, Stage.FINISHED)
    times = 1
    lasts = (0.5, 2.0)
    limit = 240.0

    def _rotate(self, password: str) -> None:
        self.world.orthanc.password = password
        self.world.orthanc.restart()

    def strike(self, study: Study) -> None:
        self.new = f"rotated-{self.rng.randrange(1000)}"
        self._rotate(self.new)
        self.struck += 1

    def heal(self) -> None:
        self.world.hospital.apply(secret(self.new))

    def ends(self, study: Study) -> tuple[End, ...]:
        refused = [End("Failed", reason, reports=reports, delivered=0) for reason in ("FetchFailed", "UploadFailed") for reports in (0, 1)]
        return (*WELL, *refused)


class ForeignJob(Fault):
    """Somebody's Job has the name that a Run's Job will have. The Run says so, and the Job stays as it is."""

    name = "foreign Job under a Run's name"
    stages = (Stage.FINISHED,)
    times = 1
    lasts = (0.0, 0.0)

    def prepare(self) -> None:
        victim = self.studies_of_episode[self.rng.randrange(len(self.studies_of_episode))]
        victim.marks["victim"] = True
        namespace = self.world.hospital.namespace
        mark = fingerprint(namespace, PIPELINE_NAME, victim.orthanc_id, victim.sop_uids)
        self.job = job_name(run_name(PIPELINE_NAME, mark))
        container = {"name": "a", "image": "x", "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}
        pod = {
            "restartPolicy": "Never", "containers": [container],
            "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
        }  # fmt: skip
        spec = {"suspend": True, "template": {"spec": pod}}
        self.made = self.world.api.create(JOBS, namespace, {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": self.job}, "spec": spec})
        self.struck += 1

    def strike(self, study: Study) -> None:
        """It was there before the Run."""

    def _now(self) -> dict[str, Any] | None:
        return self.world.api.get(JOBS, self.world.hospital.namespace, self.job)

    def extra(self) -> list[str]:
        now = self.found
        return [] if now and now["metadata"]["uid"] == self.made["metadata"]["uid"] else ["the foreign Job was deleted"]

    def clean(self) -> None:
        self.found = self._now()
        self.world.api.delete(JOBS, self.world.hospital.namespace, self.job)
        wait(lambda: self._now() is None, "the foreign Job is gone")

    def ends(self, study: Study) -> tuple[End, ...]:
        return (failed("JobRefused"),) if "victim" in study.marks else WELL
