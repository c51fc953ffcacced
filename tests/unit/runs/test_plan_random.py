"""Whatever order events come in, and wherever the operator is killed, a Run keeps its promises.

A small world plays API server, Job controller, kubelet and courier. The operator looks at a view of it that may be stale, acts, and may be killed
before it writes the status.
"""

from dataclasses import dataclass, field, replace
from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.builders_runs import NAME, RESULT, RunBuilder, a_run, at, sent, undelivered

from gantry.api.run import DeliveryStatus, RunStatus
from gantry.runs import (
    NOT_KNOWN,
    CreateJob,
    CreateNotice,
    DeleteJob,
    DeleteRun,
    Deliver,
    Held,
    Limit,
    LookUp,
    PublishReceipt,
    notice_name,
    plan,
)
from gantry.runs.notice import NOTHING_TO_TELL

RETRIES = 1


@dataclass
class World:
    run: RunBuilder = field(default_factory=lambda: a_run().with_template(retries=RETRIES))
    status: RunStatus | None = None
    seconds: float = 1.0
    jobs_made: int = 0
    job_there: bool = False
    courier: str = "sent"
    published: bool = False
    lost_unwritten: int = 0
    notices_made: int = 0
    notices_lost: int = 0


class ARunsLife(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.ended: RunStatus | None = None
        self.deleted = False

    # ---- the world ----

    @precondition(lambda self: self.can_start_a_pod())
    @rule()
    def a_pod_starts(self) -> None:
        self.world.run = self.world.run.running()

    def can_start_a_pod(self) -> bool:
        if not self.world.job_there:
            return False
        pods = self.world.run.pods
        if self.world.run.notice:
            return False
        return not pods or (pods[-1]["status"]["phase"] == "Failed" and len(pods) <= RETRIES)

    @precondition(lambda self: self.pod_runs())
    @rule(code=st.sampled_from([1, 65, 124, 137]))
    def a_step_fails(self, code: int) -> None:
        earlier = self.world.run.pods[:-1]
        made = replace(self.world.run, pods=earlier).failed(code, publish=65 if code == 65 else 1)
        self.world.run = made.job_ended("FailureTarget", "PodFailurePolicy") if code == 65 else made

    @precondition(lambda self: self.pod_runs())
    @rule(phase=st.sampled_from(["Running", "Succeeded"]))
    def publish_reports(self, phase: str) -> None:
        self.world.run = replace(self.world.run, pods=self.world.run.pods[:-1]).published(phase=phase)
        self.world.published = True

    def pod_runs(self) -> bool:
        pods = self.world.run.pods
        return bool(self.world.job_there and pods and pods[-1]["status"]["phase"] == "Running" and not self.world.published)

    @precondition(lambda self: self.world.job_there)
    @rule()
    def the_job_is_deleted_by_hand(self) -> None:
        self.world.lost_unwritten += self.world.status is None or self.world.status.job_ref is None
        self.world.run, self.world.job_there = self.world.run.without_job(), False

    @precondition(lambda self: self.world.job_there)
    @rule()
    def the_deadline_passes(self) -> None:
        self.world.run = self.world.run.job_ended("FailureTarget", "DeadlineExceeded")

    @precondition(lambda self: self.world.published)
    @rule()
    def the_job_completes(self) -> None:
        if self.world.job_there:
            self.world.run = self.world.run.job_ended("Complete", "CompletionsReached")

    @rule()
    def someone_cancels(self) -> None:
        self.world.run = self.world.run.cancelled()

    @rule()
    def a_newer_run_takes_its_place(self) -> None:
        self.world.run = self.world.run.superseded_by("newer")

    @rule(held=st.sampled_from([None, NOT_KNOWN, Held(Limit("pipeline", "a", 1), 3), Held(Limit("bridge", "main", 8), 3)]))
    def its_turn_comes_or_not(self, held: Held | None) -> None:
        self.world.run = replace(self.world.run, held=held)

    @rule(suspend=st.booleans())
    def someone_suspends_or_releases(self, suspend: bool) -> None:
        self.world.run = self.world.run.suspended(suspend)

    @rule(there=st.booleans())
    def the_bridge_comes_or_goes(self, there: bool) -> None:
        self.world.run = replace(self.world.run, bridge=a_run().bridge if there else None)

    @rule(outcome=st.sampled_from(["sent", "sending", "failed"]))
    def the_destination_changes(self, outcome: str) -> None:
        self.world.courier = outcome

    @rule(seconds=st.sampled_from([1, 60, 4000]))
    def time_passes(self, seconds: int) -> None:
        self.world.seconds += seconds

    # ---- the operator ----

    @rule(killed=st.booleans(), stale=st.booleans())
    def the_operator_looks_for_a_moment(self, killed: bool, stale: bool) -> None:
        self.the_operator_looks(killed=killed, stale=stale)

    def the_operator_looks(self, *, killed: bool, stale: bool) -> None:
        """`stale`: Job and pods have not been seen yet. `killed`: after the actions, before the status write."""
        world = self.world
        seen = world.run.at(world.seconds)
        if world.status:
            seen = seen.with_status(world.status)
        if stale and not world.jobs_made:
            seen = seen.without_job()
        answer = plan(seen.observed())
        for _ in range(3):  # a pass plans again with what it learnt
            if LookUp in map(type, answer.actions):
                answer = plan(seen.looked_up().observed())
            elif Deliver in map(type, answer.actions):
                answer = plan(seen.delivered(self.courier()).observed())
        for action in answer.actions:
            if isinstance(action, CreateJob):
                assert world.run.held is None, "its turn has not come"
                assert world.run.successor is None, "another has taken its place"
                assert not world.run.view().suspend
                if not world.job_there:
                    world.jobs_made += 1
                    world.job_there, world.run = True, world.run.with_job()
            elif isinstance(action, CreateNotice):
                assert world.status is not None, "the failure is written down first"
                world.run, world.notices_made = world.run.with_notice(), world.notices_made + 1
            elif isinstance(action, DeleteJob) and action.name == notice_name(NAME):
                world.run = replace(world.run, notice=None)
            elif isinstance(action, DeleteJob):
                world.job_there, world.run = False, world.run.without_job()
            elif isinstance(action, DeleteRun):
                self.deleted = True
        if self.ended is not None:
            assert not any(isinstance(a, CreateJob | Deliver) for a in answer.actions), "a finished Run is never worked on again"
            assert answer.status is None, "a finished Run is never written again"
        if answer.status is not None and not killed:
            world.status = answer.status
            if is_over(world.status):
                self.ended = world.status

    def courier(self) -> DeliveryStatus:
        match self.world.courier:
            case "sent":
                return sent()
            case "failed":
                return undelivered("refused")
            case _:
                return DeliveryStatus(destination="pacs", state="Sending", attempts=1)

    # ---- the promises ----

    @invariant()
    def one_job_but_for_those_deleted_by_hand_before_they_were_written_down(self) -> None:
        assert self.world.jobs_made <= 1 + self.world.lost_unwritten

    @invariant()
    def complete_only_with_a_receipt(self) -> None:
        if self.world.status and self.world.status.state == "Succeeded":
            assert self.world.published
            assert self.world.status.results

    @invariant()
    def never_complete_and_failed_at_once(self) -> None:
        held = {c.type for c in (self.world.status.conditions if self.world.status else None) or () if c.status == "True"}
        assert not {"Complete", "Failed"} <= held

    @invariant()
    def what_has_ended_stays_ended(self) -> None:
        assert self.ended is None or self.world.status == self.ended

    @invariant()
    def a_record_is_not_deleted_before_its_time(self) -> None:
        assert not self.deleted or (self.ended is not None and at(self.world.seconds) - at(0) >= timedelta(hours=720))


class ARunThatTellsOfItsFailure(ARunsLife):
    """report.onFailure NotPerformed: a second Job, which may be lost, fail, or never end."""

    def __init__(self) -> None:
        super().__init__()
        self.world.run = self.world.run.telling_of_failure()
        self.first_failure: str | None = None

    # By equal chances most lives would be over before they get here, or nobody would look.

    @rule(times=st.integers(1, 3))
    def the_operator_looks_often(self, times: int) -> None:
        for _ in range(times):
            self.the_operator_looks(killed=False, stale=False)

    @rule(killed=st.booleans())
    def the_operator_looks_after_a_while(self, killed: bool) -> None:
        self.world.seconds += 10
        self.the_operator_looks(killed=killed, stale=False)

    @precondition(lambda self: self.can_start_a_pod())
    @rule()
    def a_pod_fails_for_good(self) -> None:
        self.world.run = self.world.run.failed(65, publish=65).job_ended("FailureTarget", "PodFailurePolicy")

    @rule(rarely=st.integers(0, 19))
    def someone_cancels(self, rarely: int) -> None:
        if rarely == 19:
            self.world.run = self.world.run.cancelled()

    @rule(rarely=st.integers(0, 19))
    def a_newer_run_takes_its_place(self, rarely: int) -> None:
        if rarely == 19:
            self.world.run = self.world.run.superseded_by("newer")

    @precondition(lambda self: self.pod_runs())
    @rule(rarely=st.integers(0, 4))
    def publish_reports(self, rarely: int) -> None:
        if rarely == 4:
            self.world.run = replace(self.world.run, pods=self.world.run.pods[:-1]).published()
            self.world.published = True

    def told(self) -> bool:
        return any(pod["status"]["phase"] == "Succeeded" and pod["metadata"]["name"].startswith(notice_name(NAME)) for pod in self.world.run.pods)

    @precondition(lambda self: self.world.run.notice is not None and not self.told())
    @rule(code=st.sampled_from([0, 0, 1, 65]))
    def its_report_is_made_or_not(self, code: int) -> None:
        self.world.run = self.world.run.notice_ends(code, None if code else PublishReceipt(results=(RESULT,)))

    @precondition(lambda self: self.world.run.notice is not None)
    @rule(kind=st.sampled_from(["Complete", "Failed"]))
    def its_second_job_ends(self, kind: str) -> None:
        self.world.run = self.world.run.with_notice(ended=kind, reason="DeadlineExceeded")

    @precondition(lambda self: self.world.run.notice is not None)
    @rule()
    def its_second_job_is_deleted_by_hand(self) -> None:
        self.world.run = replace(self.world.run, notice=None)
        self.world.notices_lost += 1

    @invariant()
    def one_second_job_but_for_those_deleted_by_hand(self) -> None:
        assert self.world.notices_made <= 1 + self.world.notices_lost

    @invariant()
    def the_first_failure_stays(self) -> None:
        status = self.world.status
        if status is None or status.state in ("Cancelled", "Superseded") or status.failure is None:
            return
        self.first_failure = self.first_failure or status.failure.reason
        assert status.failure.reason == self.first_failure

    @invariant()
    def no_failure_ends_without_a_word_on_its_report(self) -> None:
        status = self.world.status
        if status is not None and status.state == "Failed" and status.failure and status.failure.reason not in NOTHING_TO_TELL:
            reported = next(c for c in status.conditions or () if c.type == "Reported")
            assert reported.reason == "NotPerformed"
            assert (reported.status == "True") == bool(status.results)


def is_over(status: RunStatus) -> bool:
    return any(c.type in ("Complete", "Failed") and c.status == "True" for c in status.conditions or ())


TestARunsLife = ARunsLife.TestCase
TestARunsLife.settings = settings(max_examples=150, stateful_step_count=25)

TestARunThatTellsOfItsFailure = ARunThatTellsOfItsFailure.TestCase
TestARunThatTellsOfItsFailure.settings = settings(max_examples=150, stateful_step_count=40)
