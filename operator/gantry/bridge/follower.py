"""Follows one Orthanc: reads its change log, has each stable study decided, and keeps the bridge's status.

One task, one loop. A turn polls the change log to its end, then does small pieces of background work (studies to try again, `recovery.py`)
until the next poll is due; so a scan over a large archive never delays a new study by more than one piece.
Faults of Orthanc end a turn: the condition says so, the loop waits with back-off and makes contact anew.

No state lives here alone: what a restart forgets (events under watch, studies to try again) the scan at the next contact finds.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta

import structlog

from gantry.api import BridgeReason, parse_duration, parse_timestamp
from gantry.api.bridge import BridgeSpec, BridgeStatus
from gantry.orthanc import Change, Orthanc, OrthancError, SystemInfo, TooSlow, Unauthorized, Unreachable, sender_name

from .cursor import Cursor
from .destinations import Keeper, Kept, Login, wanted
from .host import Drop, Dropped, Faulted, Host, Level, Origin, Polled
from .intake import Admits, End, HostAway, Intake, Taken
from .recovery import Recovery, everybody
from .scan import Window
from .senders import Senders
from .status import Knowledge, compose, conditions_differ, held_status

log = structlog.get_logger(__name__)

PAGE = 1000
"""Rows a poll asks for; 20 ms of Orthanc for a study of 2000 images, whose every instance is a row."""
WIDTH = 8
"""Studies that are looked at at once: one after the other waits for Orthanc and the API server 20 to 30 ms each, which is less than 50 a second."""
TYPES = ("NewStudy", "NewSeries", "StableStudy", "StableSeries")
EVENTS = {Level.STUDY: ("StableStudy", Origin.STABLE_STUDY), Level.SERIES: ("StableSeries", Origin.STABLE_SERIES)}
STATUS_INTERVAL = timedelta(seconds=5)
"""At most one write in it for numbers alone; a changed condition or a new Run is written at once."""
BEHIND_AFTER = timedelta(seconds=5)
"""Reading the log for longer than this is said in CaughtUp; a large study arriving takes less."""
FIRST_PAUSE = 1.0  # seconds
ORTHANC_PAUSE = 30.0  # seconds; an Orthanc that is away is looked for at least that often
HOST_PAUSE = 2.0  # seconds; the goal is to be at work 3 s after the API server returns
SKEW_NOTICED = timedelta(seconds=2)
"""Two clocks with whole seconds differ by less without being wrong."""


class Follower:
    """The loop of one bridge. A changed spec or secret is a new Follower that begins with the status of the old one."""

    def __init__(
        self,
        *,
        namespace: str,
        name: str,
        generation: int,
        spec: BridgeSpec,
        status: BridgeStatus | None,
        orthanc: Orthanc,
        username: str | None,
        host: Host,
        clock: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]],
        jitter: Callable[[], float] = random.random,
        logins: Mapping[str, Login] | None = None,
    ) -> None:
        """`logins`: of DICOMweb destinations, see `destinations.wanted`."""
        self._namespace, self._name, self._generation, self._spec = namespace, name, generation, spec
        self._orthanc, self._host, self._clock, self._sleep, self._jitter = orthanc, host, clock, sleep, jitter
        self._credentials = username is not None
        self._level = Level(spec.watch.level)
        self._trigger, self._origin = EVENTS[self._level]
        self._senders = Senders(name, orthanc, host, clock, {one.aet: sender_name(namespace, name, one.aet) for one in spec.senders})
        beginning = spec.watch.start_from == "Beginning"  # everything the log has is then new to this bridge
        self._intake = Intake(
            namespace,
            name,
            orthanc,
            host,
            clock,
            self._level,
            self._senders,
            lambda: clock() + self._skew,
            None if beginning else lambda: self._recovery.missed.quiet,
            None if beginning else lambda candidate, study: self._recovery.admits(candidate, study),
        )
        self._poll_interval = parse_duration(spec.watch.poll_interval)
        self._reconcile_interval = parse_duration(spec.watch.reconcile_interval)
        self._from_beginning = beginning
        self._recovery = Recovery(
            bridge=name, level=self._level, orthanc=orthanc, host=host, interval=self._reconcile_interval, clock=clock, take=self._take
        )

        before = status or BridgeStatus()
        self._written: BridgeStatus | None = status
        self._written_at: datetime | None = None
        self._runs_made = False
        self._cursor = Cursor(before.cursor or 0)
        self._first_contact = parse_timestamp(before.first_contact_time) if before.first_contact_time and before.cursor is not None else None
        self._last_reconcile = parse_timestamp(before.last_reconcile_time) if before.last_reconcile_time else None
        self._last_change = parse_timestamp(before.last_change_time) if before.last_change_time else None
        self._database = before.orthanc.database_server_identifier if before.orthanc else None
        self._keeper, self._logins = Keeper(orthanc), logins
        self._kept = Kept(managed=tuple(before.managed_modalities or ()), servers=tuple(before.managed_servers or ()))

        self._began: datetime | None = None
        self._connected = False
        self._fault: OrthancError | None = None
        self._system: SystemInfo | None = None
        self._skew = timedelta()
        self._lag = 0
        self._database_changed = False

    async def run(self) -> None:
        """Until cancelled."""
        while self._spec.suspend:
            await self._hold()
        failures, longest = 0, ORTHANC_PAUSE
        while True:
            began = self._clock()
            if self._began is not None and began < self._began - SKEW_NOTICED:
                self._clock_was_put_back(began)
            self._began = began
            try:
                if not self._connected:
                    await self._connect()
                await self._turn(began)
                failures = 0
            except OrthancError as fault:
                failures, longest = failures + 1, ORTHANC_PAUSE
                self._fail(fault)
            except HostAway as away:
                failures, longest = failures + 1, HOST_PAUSE
                log.warning("a Run could not be recorded; trying again", bridge=self._name, error=str(away))
            await self._write_status()
            if failures:
                pause = min(longest, FIRST_PAUSE * 2 ** min(failures - 1, 10)) * (0.5 + self._jitter() / 2)
            else:
                rest = (began + self._poll_interval - self._clock()).total_seconds()
                pause = min(max(0.0, rest), self._poll_interval.total_seconds())  # more: the clock was put back meanwhile
            await self._sleep(pause)

    async def flush(self) -> None:
        """After `run` was cancelled: writes how far the log is done, so that the next one need not read it again."""
        if self._first_contact is not None and not self._spec.suspend and (self._written is None or self._written.cursor != self._cursor.durable):
            now = self._clock()
            await self._write(compose(self._written, self._knowledge(), now), now)

    async def _hold(self) -> None:
        message = "spec.suspend is true: Orthanc is not followed; set it to false to go on from the kept cursor"
        now = self._clock()
        status = held_status(self._written, generation=self._generation, reason=BridgeReason.SUSPENDED, message=message, now=now)
        if status != self._written:
            await self._write(status, now)
        await self._sleep(STATUS_INTERVAL.total_seconds())

    def _clock_was_put_back(self, now: datetime) -> None:
        """What was to be done at a time would wait for the clock to be as late again: it is due, and a new contact looks for the rest."""
        log.warning("the clock was put back; looking at everything anew", bridge=self._name, now=now.isoformat())
        self._connected, self._written_at = False, None
        self._cursor = self._cursor.hurried(now)
        self._recovery.hurry()

    # -- contact -------------------------------------------------------------------------------------------------------

    async def _connect(self) -> None:
        """Who is there? Everything a restart or a replacement of Orthanc may have changed is looked at anew."""
        self._system = await self._orthanc.system()
        now = self._clock()
        theirs = await self._orthanc.now()
        self._skew = theirs - now if theirs and abs(theirs - now) > SKEW_NOTICED else timedelta()
        await self._keep_destinations()
        identity = self._system.database_server_identifier
        if self._first_contact is None:
            self._cursor = Cursor(0 if self._from_beginning else await self._orthanc.last_change())
            self._first_contact = now
            log.info("first contact", bridge=self._name, cursor=self._cursor.position)
        elif identity and self._database and identity != self._database:
            await self._replaced("another DatabaseServerIdentifier")
        self._database = identity or self._database
        self._begin_scan(self._first_contact)
        self._connected = True
        self._fault = None
        await self._write_status()

    async def _keep_destinations(self) -> None:
        want = wanted(self._namespace, self._name, self._spec.destinations, self._spec.senders, self._logins)
        self._kept = await self._keeper.keep(want, self._kept.managed, self._kept.servers)
        for kind in (["Refused"] if self._kept.refused else []) + (["Missing"] if self._kept.missing else []):
            self._host.record(Faulted("destination", kind))

    async def _replaced(self, how: str) -> None:
        """Sequence numbers of the old database mean nothing here; what is within lookback is looked at anew."""
        position = 0 if self._from_beginning else await self._orthanc.last_change()
        log.warning("Orthanc's database was replaced or restored", bridge=self._name, how=how, cursor=position)
        self._cursor = Cursor(position)
        self._recovery.forget()
        self._database_changed = True
        self._begin_scan(self._first_contact or self._clock())

    def _begin_scan(self, first_contact: datetime) -> None:
        now = self._clock()
        first_contact = min(first_contact, now)  # later: by a clock that was put back since
        window = Window(now, parse_duration(self._spec.watch.lookback), first_contact, self._from_beginning, self._skew)
        self._recovery.begin_scan(window, newest_first=self._has("ExtendedFind"))

    def _has(self, feature: str) -> bool:
        return feature in self._orthanc.features

    def _fail(self, fault: OrthancError) -> None:
        self._connected = False
        self._fault = fault
        self._host.record(Faulted("orthanc", type(fault).__name__))
        log.warning("Orthanc cannot be followed", bridge=self._name, error=str(fault), kind=type(fault).__name__)

    # -- a turn --------------------------------------------------------------------------------------------------------

    async def _turn(self, began: datetime) -> None:
        await self._poll(began)
        if not self._recovery.scanning and self._reconcile_due(began):
            await self._keep_destinations()
            self._begin_scan(self._first_contact or began)
        while await self._piece() and self._clock() < began + self._poll_interval:
            continue
        self._last_reconcile = self._recovery.last_scan or self._last_reconcile
        self._database_changed = self._database_changed and self._recovery.scanning

    def _reconcile_due(self, now: datetime) -> bool:
        last = self._recovery.last_scan
        return last is None or now - last >= self._reconcile_interval

    async def _piece(self) -> bool:
        """The most urgent piece of background work; False when there is none."""
        now = self._clock()
        if study := self._cursor.due(now):
            waiting = self._cursor.waiting[study]
            try:
                await self._attempt(study, waiting.seq, seen=now, origin=waiting.origin)
            except (Unreachable, TooSlow) as error:
                self._failed(study, waiting.seq, now, waiting.origin, error)
                raise
            return True
        return await self._recovery.piece()

    async def _poll(self, began: datetime) -> None:
        """Reads the log to its end."""
        rows = 0
        while True:
            types = TYPES if self._has("ExtendedChanges") else ()
            page = await self._orthanc.changes(since=self._cursor.position, limit=PAGE, types=types)
            if not page.changes and page.last < self._cursor.position:
                await self._replaced("its last change is older than the cursor")
                await self._write_status()
                break
            await self._read(page.changes)
            rows += len(page.changes)
            if page.done or not page.changes:
                break
            if self._clock() - began > BEHIND_AFTER:
                self._lag = max(0, await self._orthanc.last_change() - self._cursor.position)
                await self._write_status()
        self._lag = 0
        self._host.record(Polled(rows, self._lag, (self._clock() - began).total_seconds()))

    async def _read(self, changes: tuple[Change, ...]) -> None:
        """Rows in their order, up to WIDTH studies at once. A study that is announced twice is looked at once: as it is now."""
        seen = self._clock()
        done: set[str] = set()
        rows: list[Change] = []
        events: list[Change] = []
        for change in changes:
            rows.append(change)
            if change.type == self._trigger and change.id not in done:
                done.add(change.id)
                events.append(change)
            if len(events) == WIDTH:
                await self._handle(rows, events, seen)
                rows, events = [], []
        await self._handle(rows, events, seen)

    async def _handle(self, rows: list[Change], events: list[Change], seen: datetime) -> None:
        """The cursor passes a row when everything before it is done or waits. An Orthanc that is away ends the turn, and is counted against the
        first study only: the others are read again."""
        for row in rows:
            self._recovery.missed.see(row, seen)
        ends = await asyncio.gather(*(self._event(one, seen) for one in events), return_exceptions=True)
        errors = {one.seq: end for one, end in zip(events, ends, strict=True) if isinstance(end, BaseException)}
        first = min(errors, default=None)
        if first is not None and isinstance(away := errors[first], OrthancError) and not isinstance(away, Unauthorized):
            self._failed(next(one.id for one in events if one.seq == first), first, seen, self._origin, away)
            del errors[first]  # it waits, or was given up
        else:
            away = None
        for row in rows:
            if row.seq in errors:
                break
            self._cursor = self._cursor.read(row.seq)
            self._last_change = row.date or self._last_change
        if away or errors:
            raise away or errors[min(errors)]

    async def _event(self, change: Change, seen: datetime) -> None:
        """A stable study or series. What goes wrong with it alone is put aside, so that the log can be read on."""
        announced = None if change.id in self._cursor.waiting else change.date  # else it would settle what still waits for its turn
        taken = await self._attempt(change.id, change.seq, seen=seen, origin=self._origin, announced=announced)
        missed = self._recovery.missed
        if taken and taken.end is End.DECIDED:
            missed.learn(change.date, taken.last_update)
        elif taken and taken.end is End.UNSTABLE:
            missed.watch(change.id, due=seen + missed.quiet)

    async def _attempt(self, resource: str, seq: int | None, *, seen: datetime, origin: Origin, announced: datetime | None = None) -> Taken | None:
        """None: Orthanc failed on it; it waits for a further attempt, or was given up and is left to a later scan."""
        admits = self._recovery.admits if origin is Origin.RECONCILE else everybody
        try:
            taken = await self._take(resource, level=self._level, origin=origin, seen=seen, admits=admits, seq=seq, announced=announced)
        except (Unauthorized, Unreachable, TooSlow):
            raise  # more than this study: contact is made anew
        except OrthancError as error:
            self._failed(resource, seq, seen, origin, error)
            return None
        if resource not in taken.postponed:
            self._cursor = self._cursor.settled(resource)
        return taken

    def _failed(self, resource: str, seq: int | None, seen: datetime, origin: Origin, error: OrthancError) -> None:
        given_up = self._cursor.gives_up(resource)
        self._cursor = self._cursor.failed(resource, seq, seen, origin)
        self._host.record(Faulted("study", type(error).__name__))
        log.warning("Orthanc fails on a study", bridge=self._name, study=resource, error=str(error), given_up=given_up)
        if given_up:
            self._host.record(Dropped(Drop.FAILING))
            self._recovery.put_aside(resource)

    async def _take(
        self,
        resource: str,
        *,
        level: Level,
        origin: Origin,
        seen: datetime,
        admits: Admits,
        seq: int | None = None,
        announced: datetime | None = None,
    ) -> Taken:
        pipelines = self._recovery.pipelines_now()
        taken = await self._intake.take(resource, level=level, origin=origin, seen=seen, admits=admits, announced=announced)
        self._runs_made = self._runs_made or taken.runs > 0
        for one, due in taken.postponed.items():
            self._cursor = self._cursor.postponed(one, seq, due, origin)
        if taken.end is End.DECIDED and not (taken.refused or taken.postponed or taken.unstable):
            self._recovery.decided(resource, taken.last_update, pipelines)
        return taken

    # -- status --------------------------------------------------------------------------------------------------------

    async def _write_status(self) -> None:
        now = self._clock()
        status = compose(self._written, self._knowledge(), now)
        if status == self._written:
            return
        urgent = self._runs_made or conditions_differ(self._written, status)
        if urgent or self._written_at is None or now - self._written_at >= STATUS_INTERVAL:
            await self._write(status, now)

    async def _write(self, status: BridgeStatus, now: datetime) -> None:
        try:
            await self._host.write_status(status)
        except Exception as error:  # noqa: BLE001 - whatever it was: following Orthanc goes on, and a later turn writes again
            self._host.record(Faulted("status", type(error).__name__))
            log.warning("the bridge's status could not be written", bridge=self._name, error=str(error))
            return
        self._written, self._written_at, self._runs_made = status, now, False

    def _knowledge(self) -> Knowledge:
        return Knowledge(
            generation=self._generation,
            credentials=self._credentials,
            cursor=self._cursor.durable if self._first_contact else None,
            lag=self._lag,
            waiting=self._cursor.failing,
            silent=self._senders.trouble if self._cursor.waiting else "",
            fault=self._fault,
            system=self._system,
            database_changed=self._database_changed,
            kept=self._kept,
            first_contact=self._first_contact,
            last_reconcile=self._last_reconcile,
            last_change=self._last_change,
        )
