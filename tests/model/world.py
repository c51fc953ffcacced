"""The world around the operators of the model: people, Job controller, kubelet, garbage collector, destinations.

Every event is a small method; `events` gives those that can happen now. `settle` lets everything happen that must, without any fault, and demands
that every Run ends within a bounded number of events.
"""

from collections.abc import Callable
from typing import Any

from tests.builders import PIPELINE, changed
from tests.builders_runs import A_BRIDGE, RunBuilder, a_receipt, a_run, an_end, told
from tests.model.api_server import Object
from tests.model.operators import KINDS, Operator
from tests.model.promises import RETRIES, Broken, Promises
from tests.model.reading import at_seconds, code_of, ends, going, is_dead, is_notice, over, owner_uid, uid

from gantry.api import RunReason
from gantry.api.run import Failure
from gantry.runs import PublishReceipt, job_name, notice_name
from gantry.runtime.records import Key

DEADLINE = 3600.0
"""Seconds; `a_run` has it as template.timeout."""
Event = Callable[[], None]


class World(Promises):
    """One walk. `limit` is the pipeline's maxActive; `telling`: a failure is reported (report.onFailure); `alone`: there is one Run."""

    def __init__(self, *, operators: int = 1, limit: int | None = 1, telling: bool = False, alone: bool = False) -> None:
        super().__init__(limit=limit)
        self.now = 1.0
        self.answer, self.fate = "Sent", 0
        """What destinations answer; the code with which every step ends."""
        self.deaths = 0
        """How many steps will die before their launcher has the barrier."""
        self.unseen = False
        """Pods are gone before anybody has read how they ended."""
        self.history: list[str] = []
        pipeline = changed(PIPELINE, "spec.concurrency", {"maxActive": limit} if limit else {})
        self.server.create("orthancbridges", A_BRIDGE, seconds=0)
        self.server.create("inferencepipelines", pipeline, seconds=0)
        self.bridge = self.server.find("orthancbridges", "main")
        self.telling, self.alone = telling, alone
        self.make_run("a", a_run().delivering_to("pacs"))
        if not alone:
            self.make_run("b", a_run().delivering_to())
        self.operators = [self._operator() for _ in range(operators)]
        for operator in self.operators:
            operator.read_all_at_the_start()

    def _operator(self) -> Operator:
        return Operator(self.server, self.orthanc, seconds=lambda: self.now, wrote=self.check_write, courier=lambda: self.answer)

    # ---- people ----

    def make_run(self, name: str, builder: RunBuilder) -> None:
        if self.telling:
            builder = builder.telling_of_failure()
        run = builder.named(name).run
        meta = {"name": name, "labels": {}}
        self.server.create("inferenceruns", {**run, "metadata": meta}, seconds=self.now)

    def unfinished(self) -> list[Object]:
        return [run for run in self.runs() if not over(run)]

    def respec(self, run: Object, **fields: Any) -> None:
        meta = {**run["metadata"], "generation": run["metadata"]["generation"] + 1}
        self.server.put("inferenceruns", {**run, "metadata": meta, "spec": {**run["spec"], **fields}})

    def touch(self, run: Object) -> None:
        """Another field manager writes a condition of its own, so that the version grows."""
        status = run.get("status") or {}
        mine = {"type": "Foreign", "status": "True", "reason": "Seen", "message": "", "lastTransitionTime": told(self.now)}
        kept = [one for one in status.get("conditions", []) if one["type"] != "Foreign"]
        self.server.put("inferenceruns", {**run, "status": {**status, "conditions": [*kept, mine]}})

    def bridge_goes_or_comes(self) -> None:
        if self.server.find("orthancbridges", "main"):
            self.server.remove("orthancbridges", "main")
        else:
            assert self.bridge is not None
            self.server.put("orthancbridges", self.bridge)

    def deleted_by_hand(self, job: Object) -> None:
        run = self.owner(job)
        if run is not None:
            self.touched.add(uid(run))
            known = (operator.store.runs.get(Key("run", "default", run["metadata"]["name"])) for operator in self.operators)
            self.excused[uid(run)] += not is_notice(job) and (len(self.operators) > 1 or not all(view and view.status and view.status.job_ref for view in known))
        self.server.remove("jobs", job["metadata"]["name"])

    def foreign_job(self) -> None:
        owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "nightly", "uid": "cron", "controller": True}
        meta = {"name": job_name("b"), "labels": {"gantry.health/run": "b"}, "ownerReferences": [owner]}
        self.server.create("jobs", {"metadata": meta, "status": {}}, seconds=self.now)

    # ---- Job controller, kubelet, garbage collector ----

    def pods_of(self, job: Object) -> list[Object]:
        return [pod for pod in self.server.all("pods") if owner_uid(pod) == uid(job)]

    def pod_comes(self, job: Object) -> None:
        number = 1 + int(job["metadata"].get("annotations", {}).get("pods", 0))
        name = job["metadata"]["name"]
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid(job), "controller": True}
        meta = {"name": f"{name}-pod{number}-{uid(job)[4:]}", "labels": job["metadata"]["labels"], "ownerReferences": [owner]}
        self.server.create("pods", {"metadata": meta, "spec": {}, "status": {"phase": "Pending"}}, seconds=self.now)
        self.server.put("jobs", {**job, "metadata": {**job["metadata"], "annotations": {"pods": str(number)}}})

    def pod_is(self, pod: Object, phase: str, *, node: str = "gpu-1", reason: str = "", **states: Object) -> None:
        inits = [{"name": "fetch", "state": states["fetch"]}] if "fetch" in states else []
        others = [{"name": name, "state": state} for name, state in states.items() if name != "fetch"]
        status = {"phase": phase, "reason": reason, "startTime": told(self.now), "initContainerStatuses": inits, "containerStatuses": others}
        if reason == "Evicted":
            status["conditions"] = [{"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet", "message": ""}]
        self.server.put("pods", {**pod, "spec": {"nodeName": node} if node else {}, "status": status})

    def works(self, pod: Object) -> None:
        running = {"running": {"startedAt": told(self.now)}}
        self.pod_is(pod, "Running", fetch=an_end(0), detect=running, publish=running)

    def dies_unnoticed(self, pod: Object) -> None:
        """The step, before its launcher has the barrier: publish waits."""
        running = {"running": {"startedAt": told(self.now)}}
        self.deaths -= self.deaths > 0
        self.pod_is(pod, "Running", fetch=an_end(0), detect=an_end(137, started=self.now, finished=self.now), publish=running)

    def is_ended(self, pod: Object) -> None:
        """From outside, while publish waited."""
        failure = Failure(reason=RunReason.PUBLISH_FAILED, message="ended from outside (SIGTERM) before it was done", step="publish")
        receipt = PublishReceipt(failure=failure)
        died = an_end(137, finished=self.now - 60)
        self.pod_is(pod, "Failed", fetch=an_end(0), detect=died, publish=an_end(1, message=receipt.encode(), finished=self.now))

    def is_removed(self, pod: Object, job: Object) -> None:
        """The Job controller has counted it."""
        self.server.remove("pods", pod["metadata"]["name"])
        self.job_is(job, gone=1)

    def publishes(self, pod: Object, *, message: bool = True, keeps: bool = True) -> None:
        """The results are in Orthanc; `message` False: the kubelet lost what publish told of them, `keeps` False: Orthanc did not take the receipt. The
        step of a dead launcher may have said that it ended well before it was killed."""
        run = pod["metadata"]["labels"]["gantry.health/run"]
        notice = pod["metadata"]["name"].startswith(notice_name(run))
        belongs_to = self.run_of[owner_uid(pod)]
        self.reported.setdefault(belongs_to, []).append("notice" if notice else "report")
        if not message:
            self.touched.add(belongs_to)
        if keeps and not notice:
            self.kept.add(belongs_to)
            self.orthanc.keep(run, belongs_to)
        receipt = a_receipt().encode() if message else ""
        code = code_of(pod)
        self.pod_is(pod, "Failed" if code else "Succeeded", fetch=an_end(0), detect=an_end(code), publish=an_end(0, message=receipt))
        self.check_reports(belongs_to)

    def publishes_unseen(self, pod: Object, job: Object) -> None:
        """And is gone at once, while no watch works: a node is drained, or somebody tidies up."""
        name, belongs_to = pod["metadata"]["labels"]["gantry.health/run"], self.run_of[owner_uid(pod)]
        self.reported.setdefault(belongs_to, []).append("report")
        self.touched.add(belongs_to)
        self.kept.add(belongs_to)
        self.orthanc.keep(name, belongs_to)
        self.server.remove("pods", pod["metadata"]["name"])
        self.job_is(job, "Complete", reason="CompletionsReached")
        self.check_reports(belongs_to)

    def fails(self, pod: Object, code: int) -> None:
        self.pod_is(pod, "Failed", fetch=an_end(0), detect=an_end(code), publish=an_end(65 if code == 65 else 1))

    def is_killed(self, pod: Object) -> None:
        self.pod_is(pod, "Failed", fetch=an_end(0), detect=an_end(137), publish=an_end(137))

    def lost_pod(self, pod: Object, job: Object) -> None:
        """Deleted by hand, or with its node: the Job controller counts it as failed."""
        self.touched.add(owner_uid(job))
        self.server.remove("pods", pod["metadata"]["name"])
        self.job_is(job, gone=1)

    def job_is(self, job: Object, *ends: str, reason: str = "", gone: int = 0) -> None:
        status = job.get("status") or {}
        failed = sum(pod["status"]["phase"] == "Failed" for pod in self.pods_of(job))
        lost = status.get("lost", 0) + gone
        made = [{"type": kind, "status": "True", "reason": reason, "message": "", "lastTransitionTime": told(self.now)} for kind in ends]
        self.server.put("jobs", {**job, "status": {"failed": failed + lost, "lost": lost, "conditions": [*status.get("conditions", []), *made]}})

    def job_controller(self, job: Object) -> Event | None:
        """What it does next; None: it waits for a pod."""
        pods, kinds = self.pods_of(job), ends(job)
        live = [pod for pod in pods if pod["status"]["phase"] in ("Pending", "Running")]
        if "Complete" in kinds or "Failed" in kinds or owner_uid(job) == "cron":
            return None
        if "FailureTarget" in kinds:
            reason = next(one["reason"] for one in job["status"]["conditions"])
            return (lambda: self.is_killed(live[0])) if live else (lambda: self.job_is(job, "Failed", reason=reason))
        failed = sum(pod["status"]["phase"] == "Failed" for pod in pods) + (job.get("status") or {}).get("lost", 0)
        disrupted = sum(pod["status"].get("reason") == "Evicted" for pod in pods)
        if any(code_of(pod) == 65 for pod in pods):
            return lambda: self.job_is(job, "FailureTarget", reason="PodFailurePolicy")
        if failed - disrupted > RETRIES:
            return lambda: self.job_is(job, "FailureTarget", reason="BackoffLimitExceeded")
        if any(pod["status"]["phase"] == "Succeeded" for pod in pods):
            return lambda: self.job_is(job, "Complete", reason="CompletionsReached")
        if self.now >= at_seconds(job) + DEADLINE:
            return lambda: self.job_is(job, "FailureTarget", reason="DeadlineExceeded")
        return None if live else (lambda: self.pod_comes(job))

    def garbage(self) -> list[tuple[str, Event]]:
        """What nobody owns any more."""
        runs, jobs = {uid(run) for run in self.runs()}, {uid(job) for job in self.server.all("jobs")}
        gone = [("jobs", job) for job in self.server.all("jobs") if owner_uid(job) not in (*runs, "cron")]
        gone += [("pods", pod) for pod in self.server.all("pods") if owner_uid(pod) not in jobs]
        return [(f"{obj['metadata']['name']} is collected", lambda p=plural, o=obj: self.server.remove(p, o["metadata"]["name"])) for plural, obj in gone]  # type: ignore[misc]

    # ---- what can happen ----

    def events(self, *, faults: bool) -> list[tuple[str, Event]]:
        """All of it, by name."""
        made = [*self.hands_of_the_cluster(faults=faults), *self.garbage()]
        for number, operator in enumerate(self.operators):
            made += [(f"{number} {words}", event) for words, event in self.of_operator(number, operator, faults=faults)]
        if faults:
            made += [*self.people(), *self.jobs_deleted()]
            made += [(f"the destination answers {state}", lambda s=state: setattr(self, "answer", s)) for state in ("Sent", "Sending", "Failed")]  # type: ignore[misc]
            made += [("time passes", lambda: self.time_passes(5.0)), ("a minute of time passes", lambda: self.time_passes(61.0))]
            made.append(("an hour passes", lambda: self.time_passes(DEADLINE)))
        return made

    def people(self) -> list[tuple[str, Event]]:
        made: list[tuple[str, Event]] = [("the bridge goes or comes", self.bridge_goes_or_comes)]
        for run in self.runs():
            name = run["metadata"]["name"]
            made.append((f"{name} is touched", lambda r=run: self.touch(r)))  # type: ignore[misc]
            if not over(run):
                made.append((f"{name} is suspended or released", lambda r=run: self.respec(r, suspend=not r["spec"].get("suspend", False))))  # type: ignore[misc]
            if name == "a":
                made.append((f"{name} is cancelled", lambda r=run: self.respec(r, cancel=True)))  # type: ignore[misc]
            if name == "b":
                made.append(("b is deleted", lambda: self.server.remove("inferenceruns", "b")))
        if self.alone:
            return made
        if not self.server.find("inferenceruns", "b"):
            made.append(("b is made again", lambda: self.make_run("b", a_run().delivering_to())))
            if not self.server.find("jobs", job_name("b")):
                made.append(("somebody takes the name of b's Job", self.foreign_job))
        if not self.server.find("inferenceruns", "c"):
            made.append(("c takes a's place", lambda: self.make_run("c", a_run().delivering_to().superseding("a"))))
        return made

    def jobs_deleted(self) -> list[tuple[str, Event]]:
        return [(f"Job {job['metadata']['name']} is deleted", lambda j=job: self.deleted_by_hand(j)) for job in self.server.all("jobs")]  # type: ignore[misc]

    def hands_of_the_cluster(self, *, faults: bool) -> list[tuple[str, Event]]:
        made: list[tuple[str, Event]] = []
        for job in self.server.all("jobs"):
            if (step := self.job_controller(job)) is not None:
                made.append((f"the Job controller turns to {job['metadata']['name']}", step))
            for pod in self.pods_of(job):
                made += [(f"{pod['metadata']['name']} {words}", event) for words, event in self.kubelet(job, pod, faults=faults)]
        jobs = {uid(job) for job in self.server.all("jobs")}
        ending = [pod for pod in self.server.all("pods") if faults and owner_uid(pod) not in jobs and pod["status"]["phase"] == "Running"]
        return made + [(f"{pod['metadata']['name']} publishes in its grace", lambda p=pod: self.publishes(p)) for pod in ending]  # type: ignore[misc]

    def kubelet(self, job: Object, pod: Object, *, faults: bool) -> list[tuple[str, Event]]:
        phase = pod["status"]["phase"]
        if going(pod) and phase == "Failed":
            return [("is removed", lambda: self.is_removed(pod, job))]
        if phase == "Pending":
            return [("starts", lambda: self.works(pod))]
        if phase != "Running":
            return []
        if going(pod) or is_dead(pod):
            late: list[tuple[str, Event]] = [("is ended", lambda: self.is_ended(pod))] if going(pod) else []
            return late + ([("publishes after all", lambda: self.publishes(pod))] if faults else [])
        if self.deaths and not is_notice(job):
            return [("loses its step", lambda: self.dies_unnoticed(pod))]
        if self.unseen and not is_notice(job):
            return [("publishes and is gone at once", lambda: self.publishes_unseen(pod, job))]
        if self.fate and not is_notice(job):
            return [(f"fails with {self.fate}", lambda: self.fails(pod, self.fate))]
        made: list[tuple[str, Event]] = [("publishes", lambda: self.publishes(pod))]
        if faults:
            made += [(f"fails with {code}", lambda c=code: self.fails(pod, c)) for code in (1, 65)]  # type: ignore[misc]
            made += [
                ("publishes and its message is lost", lambda: self.publishes(pod, message=False)),
                ("publishes, its message is lost and nothing is kept", lambda: self.publishes(pod, message=False, keeps=False)),
                *([] if is_notice(job) else [("publishes and is gone at once", lambda: self.publishes_unseen(pod, job))]),
                ("is evicted", lambda: self.pod_is(pod, "Failed", reason="Evicted", fetch=an_end(0), detect=an_end(137), publish=an_end(137))),
                ("is lost", lambda: self.lost_pod(pod, job)),
                *([] if is_notice(job) else [("loses its step", lambda: self.dies_unnoticed(pod))]),
            ]
        return made

    def of_operator(self, number: int, operator: Operator, *, faults: bool) -> list[tuple[str, Event]]:
        made: list[tuple[str, Event]] = [] if operator.store.complete else [("reads on", operator.read_on)]
        for kind in KINDS if operator.looked else ():
            if operator.behind(kind):
                made.append((f"hears of {kind}", lambda k=kind: operator.hear(k)))  # type: ignore[misc]
                if faults:
                    made.append((f"loses its watch of {kind}", lambda k=kind: operator.lose(k)))  # type: ignore[misc]
            if faults:
                made.append((f"hears again of {kind}", lambda k=kind: operator.hear_again(k, len(self.history))))  # type: ignore[misc]
                made.append((f"lists {kind}", lambda k=kind: operator.list_anew(k)))  # type: ignore[misc]
        made += [(f"begins with {key.name}", lambda k=key: operator.begin(k)) for key in operator.ready()]  # type: ignore[misc]
        for key, (_, pause) in operator.passes.items():
            answer = "the answer to" if pause.sent else "go:"
            made.append((f"{answer} {pause.what}", lambda k=key: operator.go_on(k)))  # type: ignore[misc]
            if faults:
                made.append((f"{answer} {pause.what} is lost", lambda k=key: operator.fail(k)))  # type: ignore[misc]
        if any(due <= self.now for due in operator.timers.values()):
            made.append(("is rung", operator.ring))
        if faults:
            made.append(("dies", lambda: self.dies(number)))
        return made

    def dies(self, number: int) -> None:
        self.operators[number].die()
        self.operators[number] = self._operator()

    def time_passes(self, seconds: float) -> None:
        self.hours += seconds >= DEADLINE
        self.now += seconds

    def happen(self, words: str, event: Event) -> None:
        self.history.append(words)
        event()

    def until(self, words: str, *, most: int = 100) -> None:
        """In order, without faults, until that has happened."""
        for _ in range(most):
            events = self.events(faults=False)
            self.happen(*next((one for one in events if words in one[0]), events[0]))
            if words in self.history[-1]:
                return
        raise AssertionError(f"{words}: never; {self.history}")

    # ---- the end ----

    def settle(self, *, most: int = 1500) -> None:
        """No fault any more: everything that can happen does, in turn, and time passes when nothing else can."""
        self.answer = "Sent"
        if not self.server.find("orthancbridges", "main"):
            self.bridge_goes_or_comes()
        for run in self.unfinished():
            if run["spec"].get("suspend"):
                self.respec(run, suspend=False)
        for operator in self.operators:
            operator.resync()
        for number in range(most):
            events = self.events(faults=False)
            if events:
                self.happen(*events[number % len(events)])
            elif self.unfinished():
                self.next_moment()
            else:
                return self.check_rest()
        raise Broken(f"not over after {most} events: {[(run['metadata']['name'], (run.get('status') or {})) for run in self.unfinished()]}")

    def next_moment(self) -> None:
        """To the next full list, timer or deadline."""
        for operator in self.operators:
            operator.resync()
        if any(operator.ready() for operator in self.operators):
            return
        moments = [due for operator in self.operators for due in operator.timers.values()]
        moments += [at_seconds(job) + DEADLINE for job in self.server.all("jobs") if not ends(job) and owner_uid(job) != "cron"]
        later = [moment for moment in moments if moment > self.now]
        if not later:
            raise Broken(f"nobody will look any more at {[run['metadata']['name'] for run in self.unfinished()]}")
        self.history.append("time passes until something is due")
        self.now = min(later)

    # ---- the last promise ----

    def check_rest(self) -> None:
        """Nothing holds a GPU for a Run that has ended; later its Job goes, too. The control plane itself removes ended ones of notices (their TTL)."""
        for seconds in (120.0, 200_000.0):
            self.now += seconds
            for operator in self.operators:
                operator.list_all()
                operator.sweep()
                while operator.ready() or operator.passes:
                    self.happen(*next(one for one in self.of_operator(0, operator, faults=False) if "hears" not in one[0]))
            left = [job for job in self.server.all("jobs") if self.owner(job) and not (ends(job) and (is_notice(job) or seconds < 1000))]
            if left:
                raise Broken(f"{[job['metadata']['name'] for job in left]} are left {seconds} s after their Runs have ended")
