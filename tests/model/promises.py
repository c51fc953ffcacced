"""What every walk through the model keeps: it is checked at each write of an operator and at each report that comes into Orthanc."""

from collections import Counter

from tests.model.api_server import ApiServer, Object
from tests.model.operators import Operator
from tests.model.orthanc import Orthanc
from tests.model.reading import ends, going, is_dead, is_notice, over, owner_uid, uid

RETRIES = 1
"""Of every Run."""


class Broken(AssertionError):
    """A promise was not kept."""


class Promises:
    """What has happened so far, as far as a promise is about it."""

    operators: list[Operator]

    def __init__(self, *, limit: int | None) -> None:
        self.server, self.orthanc, self.limit = ApiServer(), Orthanc(), limit
        self.kept: set[str] = set()
        """Runs by their uid, whose pod has kept its receipt in Orthanc."""
        self.hours = 0
        """That have passed without anything happening."""
        self.reported: dict[str, list[str]] = {}
        """By the Run's uid: what its pods have put into Orthanc, in order."""
        self.ended: dict[str, tuple[str, str]] = {}
        """By the Run's uid: how it ended."""
        self.jobs_made: Counter[str] = Counter()
        self.excused: Counter[str] = Counter()
        """Jobs that were lost by hand before every operator had read that they were made (the answer to that write may be lost)."""
        self.pods_deleted: Counter[str] = Counter()
        """By the Job's uid: by an operator."""
        self.run_of: dict[str, str] = {}
        """By the Job's uid: its Run's."""
        self.touched: set[str] = set()
        """Runs whose Job, pod or message somebody or something took away."""

    def runs(self) -> list[Object]:
        return self.server.all("inferenceruns")

    def owner(self, job: Object) -> Object | None:
        """The Run a Job belongs to, if it is there."""
        found = owner_uid(job)
        return next((run for run in self.runs() if uid(run) == found), None)

    def check_write(self, verb: str, plural: str, obj: Object) -> None:
        """An operator has just made, written or is about to delete something."""
        if (verb, plural) == ("create", "jobs"):
            self.run_of[uid(obj)] = owner_uid(obj)
        if (verb, plural) == ("create", "jobs") and not is_notice(obj):
            self.jobs_made[owner_uid(obj)] += 1
            self.check_predecessor(owner_uid(obj))
            if any(uid(run) == owner_uid(obj) and not over(run) for run in self.runs()):
                self.check_jobs(owner_uid(obj))
        elif (verb, plural) == ("delete", "jobs"):
            if not owner_uid(obj).startswith("uid-"):
                raise Broken(f"Job {obj['metadata']['name']} is somebody else's and was deleted")
            self.excused[owner_uid(obj)] += len(self.operators) > 1  # the other may not have heard why; what it makes is ended again
        elif (verb, plural) == ("delete", "pods"):
            self.check_pod(obj)
        elif verb == "status":
            self.check_status(obj)

    def check_pod(self, pod: Object) -> None:
        if not is_dead(pod) or going(pod):
            raise Broken(f"pod {pod['metadata']['name']} is at work, over or going already, and was deleted")
        self.pods_deleted[owner_uid(pod)] += 1
        if self.pods_deleted[owner_uid(pod)] > RETRIES:
            raise Broken("a Run's pods were deleted more often than there are retries")

    def check_predecessor(self, made: str) -> None:
        """What the other has left is known when it has ended, and this one's report has to name it."""
        names = [run["spec"]["supersedes"]["name"] for run in self.runs() if uid(run) == made and run["spec"].get("supersedes")]
        if any(not over(run) for run in self.runs() if run["metadata"]["name"] in names):
            raise Broken("a Run began beside the one whose place it takes")

    def check_jobs(self, run: str) -> None:
        if self.jobs_made[run] > 1 + self.excused[run]:
            raise Broken("a Run's Job was made twice")
        live = [job for job in self.server.all("jobs") if not is_notice(job) and not ends(job)]
        # One that is cancelled while the answer to its Job's POST is lost has left the line; its Job is ended as soon as it is seen.
        kept = [run for job in live if (run := self.owner(job)) and not over(run) and not run["spec"].get("cancel")]
        under_way = [run for run in kept if (run.get("status") or {}).get("state") != "Delivering"]
        if self.limit is not None and len(self.operators) == 1 and len(under_way) > self.limit:
            raise Broken(f"{len(under_way)} Runs are under way and {self.limit} may be")

    def check_status(self, run: Object) -> None:
        status, name = run["status"], run["metadata"]["name"]
        end = (status["state"], (status.get("failure") or {}).get("reason", ""))
        before = self.ended.get(uid(run))
        if before is not None and before != end:
            raise Broken(f"{name} had ended as {before} and was written as {end}")
        if not over(run):
            return
        self.ended[uid(run)] = end
        if status["state"] == "Succeeded" and "report" not in self.reported.get(uid(run), []):
            raise Broken(f"{name} succeeded and nothing of it is in Orthanc")
        if status["state"] == "Succeeded" and not status.get("results"):
            raise Broken(f"{name} succeeded without publish's receipt")
        if end[1] == "JobLost" and uid(run) not in self.touched:
            raise Broken(f"{name} ended as JobLost and nobody took its Job")
        given_up = self.orthanc.silent and self.hours  # it is asked for an hour
        if end[1] in ("JobLost", "PublishFailed") and uid(run) in self.kept and not given_up:
            raise Broken(f"{name} ended as {end[1]} and its report is in Orthanc")

    def check_reports(self, run: str) -> None:
        kinds = self.reported[run]
        if "notice" in kinds and "report" in kinds[kinds.index("notice") :]:
            raise Broken("a report came into Orthanc after the one that says that there is none")
