"""One study: asked about, decided for each pipeline, and made into Runs.

It raises OrthancError when Orthanc fails on this study and HostAway when a Run could not be recorded; when it returns, everything that had
to exist exists. Who calls it again, and when, is `follower.py`. Log lines name the check that refused, never a value of the study.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import structlog

from gantry.api.run import Trigger
from gantry.orthanc import NotFound, Orthanc, StudyResource
from gantry.routing import Decision, fingerprint
from gantry.runs import run_name

from .facts import decide_study
from .host import Candidate, Decided, Discovered, Drop, Dropped, Faulted, Host, Origin, Outcome, RunRefused
from .run import run_body

log = structlog.get_logger(__name__)

_TRIGGER: dict[Origin, Trigger] = {
    Origin.STABLE_STUDY: "StableStudy",
    Origin.MISSED_STABLE: "Reconcile",
    Origin.RECONCILE: "Reconcile",
    Origin.BACKFILL: "Backfill",
}


class HostAway(Exception):
    """A Run could not be recorded: the API server is away. Nothing may be taken as done."""


class End(StrEnum):
    """How a look at a study ended."""

    DECIDED = "Decided"
    UNSTABLE = "Unstable"
    """Images come again: a further stable event follows."""
    GONE = "Gone"


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of one study."""

    end: End
    runs: int = 0
    """Runs that were made."""
    refused: int = 0
    """Runs the API server refuses: the study is to be looked at again."""
    study: StudyResource | None = None


Admits = Callable[[Candidate, StudyResource], bool]


@dataclass(frozen=True, slots=True)
class Intake:
    """Where studies of one bridge are taken in."""

    namespace: str
    bridge: str
    username: str | None
    orthanc: Orthanc
    host: Host
    clock: Callable[[], datetime]

    async def take(self, study: str, *, origin: Origin, seen: datetime, admits: Admits) -> Taken:
        """Looks at the study as it is now. `admits` says which pipelines may look at it at all."""
        began = self.clock()
        try:
            resource = await self.orthanc.study(study)
        except NotFound:
            self.host.record(Dropped(Drop.GONE))
            return Taken(End.GONE)
        if not resource.is_stable:
            return Taken(End.UNSTABLE, study=resource)
        candidates = [one for one in self.host.pipelines() if admits(one, resource)]
        decisions = await decide_study(self.orthanc, resource, [one.rules for one in candidates], username=self.username)
        self.host.record(Discovered(origin, (self.clock() - began).total_seconds()))
        outcomes: list[Outcome] = []
        uids: dict[str, tuple[str, ...]] = {}
        for candidate, decision in zip(candidates, decisions, strict=True):
            outcome = await self._realise(candidate, decision, study, origin, seen, uids) if decision.matched else Outcome.NOT_MATCHED
            outcomes.append(outcome)
            self._tell(candidate, decision, outcome, study, origin, seen)
        return Taken(
            End.DECIDED, runs=outcomes.count(Outcome.CREATED), refused=outcomes.count(Outcome.REFUSED), study=resource
        )

    async def _realise(
        self, candidate: Candidate, decision: Decision, study: str, origin: Origin, seen: datetime, uids: dict[str, tuple[str, ...]]
    ) -> Outcome:
        """Makes sure the Run exists. `uids` keeps the instances of series that another pipeline chose too."""
        instances = await self._instances(decision.selected, uids)
        identity = fingerprint(self.namespace, candidate.name, study, instances)
        if self.host.run_exists(run_name(candidate.name, identity)):
            return Outcome.KNOWN
        body = run_body(
            namespace=self.namespace,
            bridge=self.bridge,
            candidate=candidate,
            study=study,
            series=decision.selected,
            instances=len(instances),
            fingerprint=identity,
            trigger=_TRIGGER[origin],
            seen=seen,
        )
        try:
            return Outcome.CREATED if await self.host.create_run(body) else Outcome.KNOWN
        except RunRefused as error:
            self.host.record(Faulted("runs", type(error).__name__))
            log.error("the API server refuses a Run", bridge=self.bridge, pipeline=candidate.name, study=study, error=str(error))
            return Outcome.REFUSED
        except Exception as error:  # whatever it was: the Run is not known to exist, and saying so is all that is needed here
            self.host.record(Faulted("runs", type(error).__name__))
            raise HostAway(f"the Run of pipeline {candidate.name} could not be recorded: {error}") from error

    async def _instances(self, series: Sequence[str], known: dict[str, tuple[str, ...]]) -> list[str]:
        for one in series:
            if one not in known:
                known[one] = tuple(instance.sop_instance_uid for instance in await self.orthanc.instances_of_series(one))
        return [uid for one in series for uid in known[one]]

    def _tell(self, candidate: Candidate, decision: Decision, outcome: Outcome, study: str, origin: Origin, seen: datetime) -> None:
        check = decision.refusal.check if decision.refusal else None
        seconds = (self.clock() - seen).total_seconds() if outcome is Outcome.CREATED else None
        self.host.record(Decided(candidate.name, outcome, check, seconds))
        log.info(
            "decision", bridge=self.bridge, pipeline=candidate.name, outcome=outcome.value, check=check, study=study, origin=origin.value
        )
