"""One study, or one series: asked about, decided for each pipeline, and made into Runs.

It raises OrthancError when Orthanc fails on it and HostAway when a Run could not be recorded; when it returns, everything that had to exist
exists, but for what is `postponed`. Who calls it again, and when, is `follower.py`. Log lines name checks, never a value of the study.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar

import structlog

from gantry.api.run import Trigger
from gantry.orthanc import NotFound, Orthanc, SeriesResource, StudyResource
from gantry.routing import Decision
from gantry.runs import fingerprint, run_name

from .completeness import Incomplete, age_and_count, age_of, as_sender_says, gives_up
from .facts import Inquiry, inquire, is_own
from .host import Candidate, Decided, Discovered, Drop, Dropped, Faulted, Host, Level, Origin, Outcome, RunRefused
from .late import late
from .run import run_body
from .senders import Senders

log = structlog.get_logger(__name__)

T = TypeVar("T")
_TRIGGER: dict[Origin, Trigger] = {
    Origin.STABLE_STUDY: "StableStudy",
    Origin.STABLE_SERIES: "StableSeries",
    Origin.MISSED_STABLE: "Reconcile",
    Origin.RECONCILE: "Reconcile",
    Origin.BACKFILL: "Backfill",
}


class HostAway(Exception):
    """A Run could not be recorded: the API server is away. Nothing may be taken as done."""


class End(StrEnum):
    """How a look at a study or series ended."""

    DECIDED = "Decided"
    UNSTABLE = "Unstable"
    """Images come again: a further stable event follows."""
    GONE = "Gone"


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of one study or series."""

    end: End
    runs: int = 0
    """Runs that were made."""
    refused: int = 0
    """Runs the API server refuses: the study is to be looked at again."""
    last_update: datetime | None = None
    postponed: Mapping[str, datetime] = field(default_factory=dict)
    """Studies or series that are not complete yet, by Orthanc's id, and when to look again."""
    unstable: tuple[str, ...] = ()
    """Series left out because images come again."""


Admits = Callable[[Candidate, StudyResource], bool]


@dataclass(frozen=True, slots=True)
class _Subject:
    """What is decided: a study, or one series of it."""

    study: StudyResource
    alone: SeriesResource | None
    origin: Origin
    seen: datetime
    announced: datetime | None = None
    stable: datetime | None = None
    """When Orthanc announced it, by our clock."""

    @property
    def id(self) -> str:
        return self.alone.id if self.alone else self.study.id

    @property
    def last_update(self) -> datetime | None:
        return self.alone.last_update if self.alone else self.study.last_update


@dataclass(frozen=True, slots=True)
class Intake:
    """Where studies of one bridge are taken in."""

    namespace: str
    bridge: str
    orthanc: Orthanc
    host: Host
    clock: Callable[[], datetime]
    level: Level = Level.STUDY
    senders: Senders | None = None
    """None: no sender is asked."""
    theirs: Callable[[], datetime] | None = None
    """Orthanc's clock; None: ours."""
    quiet: Callable[[], timedelta] | None = None
    """After so long without an image the images' own stable event has been; None: whatever is shown is taken."""
    recent: Admits | None = None
    """Whether a study of that date would be found by a scan; None: any is."""

    async def take(self, resource: str, *, level: Level, origin: Origin, seen: datetime, admits: Admits, announced: datetime | None = None) -> Taken:
        """Looks at a study or series as it is now. `admits` says which pipelines may look at it at all; `announced`: the date of its stable event,
        at the first look that follows one.

        A study given to a bridge of level Series is taken series by series.
        """
        try:
            alone = await self.orthanc.series(resource) if level is Level.SERIES else None
            if alone and not alone.is_stable:
                return Taken(End.UNSTABLE, last_update=alone.last_update)
            study = await self.orthanc.study(alone.study if alone else resource)
            if self.level is Level.SERIES and not alone:
                return await self._take_each(study, origin, seen, admits)
        except NotFound:
            self.host.record(Dropped(Drop.GONE))
            return Taken(End.GONE)
        ahead = self.theirs() - self.clock() if self.theirs else timedelta()
        subject = _Subject(study, alone, origin, seen, announced, announced - ahead if announced else None)
        if alone or study.is_stable:
            return await self._decide(subject, admits)
        series = await self.orthanc.series_of_study(study.id) if origin is Origin.BACKFILL else ()
        if not series or any(not one.is_stable for one in series if not is_own(one)):
            return Taken(End.UNSTABLE, last_update=study.last_update)
        return await self._decide(subject, admits, series)  # only a report came, perhaps by another backfill: its event is no reason to wait

    async def _take_each(self, study: StudyResource, origin: Origin, seen: datetime, admits: Admits) -> Taken:
        """All series that are stable, each by itself."""
        series = await self.orthanc.series_of_study(study.id)
        taken = [await self._decide(_Subject(study, one, origin, seen), admits, series) for one in series if one.is_stable]
        return Taken(
            End.DECIDED,
            runs=sum(one.runs for one in taken),
            refused=sum(one.refused for one in taken),
            last_update=study.last_update,
            postponed={name: due for one in taken for name, due in one.postponed.items()},
            unstable=tuple(one.id for one in series if not one.is_stable),
        )

    async def _decide(self, subject: _Subject, admits: Admits, series: Sequence[SeriesResource] | None = None) -> Taken:
        began = self.clock()
        candidates = [one for one in self.host.pipelines() if admits(one, subject.study)]
        inquiry = await inquire(
            self.orthanc,
            subject.study,
            [one.rules for one in candidates],
            only=subject.alone.id if subject.alone else None,
            series=series,
        )
        since_stable = (subject.seen - subject.stable).total_seconds() if subject.stable else None
        self.host.record(Discovered(subject.origin, (self.clock() - began).total_seconds(), since_stable))
        outcomes: list[Outcome] = []
        again: list[timedelta] = []
        uids = _Uids(self.orthanc, subject.study.id)
        for candidate, decision in zip(candidates, inquiry.decisions, strict=True):
            outcome, check = Outcome.NOT_MATCHED, decision.refusal.check if decision.refusal else None
            if decision.matched:
                outcome, open_check = await self._realise(candidate, decision, subject, inquiry, uids)
                check = open_check.check if open_check else None
                if open_check and outcome is Outcome.INCOMPLETE:
                    again.append(open_check.look_again)
            outcomes.append(outcome)
            self._tell(candidate, outcome, check, subject)
        return Taken(
            End.DECIDED,
            runs=outcomes.count(Outcome.CREATED) + outcomes.count(Outcome.SUPERSEDING),
            refused=outcomes.count(Outcome.REFUSED),
            last_update=subject.last_update,
            postponed={subject.id: self.clock() + min(again)} if again else {},
        )

    async def _realise(
        self, candidate: Candidate, decision: Decision, subject: _Subject, inquiry: Inquiry, uids: "_Uids"
    ) -> tuple[Outcome, Incomplete | None]:
        """Makes sure the Run exists, when it is to. Gives the check of completeness that is open, be it that it was given up."""
        study = subject.study.id
        instances = await uids.of(decision.selected)
        identity = fingerprint(self.namespace, candidate.name, study, instances)
        if self.host.run_exists(run_name(candidate.name, identity)):
            return Outcome.KNOWN, None
        if self._only_results_came(candidate, subject, inquiry):
            return Outcome.OWN_RESULT, None
        series = decision.selected
        earlier = late(
            candidate.spec.on_late_images,
            await self._recorded(candidate, self.host.earlier_runs(candidate.name, study)),
            series=series,
            alone=subject.alone is not None,
        )
        if not earlier.make:
            return Outcome.IGNORED, None
        open_check, given_up = await self._completeness(candidate, subject, inquiry)
        if open_check and not given_up:
            return Outcome.INCOMPLETE, open_check
        body = run_body(
            namespace=self.namespace,
            bridge=self.bridge,
            candidate=candidate,
            study=study,
            series=series,
            instances=len(instances),
            fingerprint=identity,
            trigger=_TRIGGER[subject.origin],
            seen=subject.seen,
            stable=subject.stable,
            decided=self.clock(),
            priority=decision.priority,
            sender=inquiry.sender_of(series),
            supersedes=earlier.supersedes,
        )
        try:
            made = await self._recorded(candidate, self.host.create_run(body))
        except RunRefused as error:
            self.host.record(Faulted("runs", type(error).__name__))
            log.error("the API server refuses a Run", bridge=self.bridge, pipeline=candidate.name, study=study, error=str(error))
            return Outcome.REFUSED, open_check
        if not made:
            return Outcome.KNOWN, None
        return Outcome.SUPERSEDING if earlier.supersedes else Outcome.CREATED, open_check

    def _only_results_came(self, candidate: Candidate, subject: _Subject, inquiry: Inquiry) -> bool:
        """A result makes an old study stable again and young to a scan; without this, a backfill of one pipeline would start all others.

        A scan goes by the date of the images. An event is a result's when that had come before it, and long after the last image.
        """
        images = [one.last_update for one in ((subject.alone,) if subject.alone else inquiry.images) if one.last_update]
        if not images or subject.origin is Origin.BACKFILL:
            return False
        if subject.origin in (Origin.RECONCILE, Origin.MISSED_STABLE):
            return self.recent is not None and not self.recent(candidate, replace(subject.study, last_update=max(images)))
        if self.quiet is None or subject.announced is None:
            return False
        results = [one.last_update for one in inquiry.series if is_own(one) and one.last_update and one.last_update <= subject.announced]
        return bool(results) and max(results) - max(images) > self.quiet()

    async def _completeness(self, candidate: Candidate, subject: _Subject, inquiry: Inquiry) -> tuple[Incomplete | None, bool]:
        """The check that does not hold, and whether it is given up."""
        rule = candidate.spec.match.completeness
        if rule is None:
            return None, False
        images = [one for one in inquiry.images if subject.alone is None or one.id == subject.alone.id]
        count = sum(len(one.instances) for one in images)
        came = [one.last_update for one in images if one.last_update]  # not the study's LastUpdate: a result of ours moves it
        age = age_of(max(came, default=subject.last_update), (self.theirs or self.clock)(), rule)
        open_check = age_and_count(rule, age=age, instances=count)
        if open_check is None and rule.expected_instances and self.senders:
            answer = await self.senders.ask(
                (one.sender for one in images),
                study_uid=subject.study.tags.get("StudyInstanceUID", ""),
                series_uid=subject.alone.tags.get("SeriesInstanceUID") if subject.alone else None,
            )
            open_check = as_sender_says(rule, age=age, instances=count, expected=answer.expected) if answer.asked else None
        return open_check, gives_up(rule, age)

    async def _recorded(self, candidate: Candidate, call: Awaitable[T]) -> T:
        """What the API server says. Raises HostAway when it says nothing."""
        try:
            return await call
        except RunRefused:
            raise
        except Exception as error:  # whatever it was: the Run is not known to exist, and saying so is all that is needed here
            self.host.record(Faulted("runs", type(error).__name__))
            raise HostAway(f"the Run of pipeline {candidate.name} could not be recorded: {error}") from error

    def _tell(self, candidate: Candidate, outcome: Outcome, check: str | None, subject: _Subject) -> None:
        made = outcome in (Outcome.CREATED, Outcome.SUPERSEDING)
        self.host.record(Decided(candidate.name, outcome, check, (self.clock() - subject.seen).total_seconds() if made else None))
        log.info(
            "decision",
            bridge=self.bridge,
            pipeline=candidate.name,
            outcome=outcome.value,
            check=check,
            given_up=made and check is not None,
            study=subject.study.id,
            series=subject.alone.id if subject.alone else None,
            origin=subject.origin.value,
        )


@dataclass(slots=True)
class _Uids:
    """SOP Instance UIDs of series, asked for once however many pipelines chose them."""

    orthanc: Orthanc
    study: str
    known: dict[str, list[str]] = field(default_factory=dict)

    async def of(self, series: Sequence[str]) -> list[str]:
        """One request for a series, one for several. Raises NotFound for a series that is gone."""
        unknown = [one for one in series if one not in self.known]
        if len(unknown) == 1:
            self.known[unknown[0]] = [one.sop_instance_uid for one in await self.orthanc.instances_of_series(unknown[0])]
        elif unknown:
            for one in await self.orthanc.instances_of_study(self.study):
                self.known.setdefault(one.series, []).append(one.sop_instance_uid)
        missing = [one for one in series if not self.known.get(one)]
        if missing:
            raise NotFound("/studies/…/instances: a chosen series is gone")
        return [uid for one in series for uid in self.known[one]]
