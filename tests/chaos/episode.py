"""One fault under a stream of studies: send, strike at the drawn moments, put right, wait for the ends, balance the books."""

import contextlib
import random
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

import httpx
from tests.chaos.fault import Fault
from tests.chaos.journal import IDLE, Stage
from tests.chaos.ledger import Account, Ledger
from tests.chaos.stream import NotTaken, Study
from tests.chaos.world import World

GAP = (0.0, 1.2)
"""Seconds between two studies."""
LOOK = 0.25  # seconds between two looks at how far the studies are
AWAY = (httpx.HTTPError, AssertionError, RuntimeError)
"""What a look meets while a part is away, or on its way back."""


@dataclass(frozen=True)
class Moment:
    """When the study of that number has come so far, and a little later."""

    study: int
    stage: Stage
    delay: float
    lasts: float


@dataclass
class Outcome:
    """A row of the table."""

    fault: str
    seed: int
    injected: int = 0
    studies: int = 0
    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    slowest_recovery: float = 0.0
    """Seconds from the end of a fault until the last study that it may have held up had ended, if no other fault came between."""
    seconds: float = 0.0
    ends: dict[str, int] = field(default_factory=dict)
    sums: dict[str, int] = field(default_factory=dict)
    details: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not (self.lost or self.doubled or self.wrong) and self.injected > 0

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"ok": self.good}


def draw(fault: type[Fault], rng: random.Random, studies: int) -> list[Moment]:
    """In the order in which they are waited for."""
    chosen = sorted(rng.sample(range(studies), min(fault.times, studies)))
    return [Moment(number, rng.choice(fault.stages), rng.uniform(0.0, 0.4), rng.uniform(*fault.lasts)) for number in chosen]


def play(world: World, kind: type[Fault], seed: int, *, studies: int = 0) -> Outcome:
    """The whole episode."""
    began, count = time.monotonic(), studies or kind.studies
    rng = random.Random(f"{seed} {kind.name}")
    moments, gaps = draw(kind, rng, count), [rng.uniform(*GAP) for _ in range(count)]
    fault = kind(world, rng)
    stream = [world.study(f"{kind.name.replace(' ', '-').replace('/', '-')[:40]}-{seed}", number, images=kind.images_of(number)) for number in range(count)]
    fault.studies_of_episode = stream
    outcome = Outcome(kind.name, seed, studies=count)
    fault.prepare()
    sender = threading.Thread(target=_send, args=(world, stream, gaps, outcome), name="scanner")
    sender.start()
    ends = Ends(world, fault, stream)
    healed: list[float] = []
    try:
        for moment in moments:
            _strike(world, fault, moment, stream)
            healed.append(time.monotonic())
        sender.join()
        ends.wait(fault.limit)
        late = {study.number for study in stream} - ends.seen.keys()
    finally:
        ends.close()
        sender.join()
        fault.clean()
    _balance(world, fault, stream, outcome, late)
    outcome.injected = fault.struck
    outcome.slowest_recovery, outcome.seconds = round(_slowest(stream, ends.seen, healed), 1), round(time.monotonic() - began, 1)
    return outcome


def _slowest(stream: list[Study], ended: dict[int, float], healed: list[float]) -> float:
    """From the last mend between a study's coming and its end."""
    slowest = 0.0
    for study in stream:
        mends = [mend for mend in healed if study.sent_at and study.number in ended and study.sent_at <= mend <= ended[study.number]]
        slowest = max(slowest, ended[study.number] - mends[-1] if mends else 0.0)
    return slowest


def _send(world: World, stream: list[Study], gaps: list[float], outcome: Outcome) -> None:
    for study, gap in zip(stream, gaps, strict=True):
        time.sleep(gap)
        try:
            study.send(world.orthanc.dicom_port)
        except NotTaken as error:
            outcome.details.append(str(error))
            return


def _strike(world: World, fault: Fault, moment: Moment, stream: list[Study]) -> None:
    deadline = time.monotonic() + fault.limit
    study = stream[moment.study]
    while not (study.sent_at and world.journal.stage(study.orthanc_id) >= moment.stage) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(moment.delay)
    fault.strike(study)
    time.sleep(moment.lasts)
    fault.heal()


class Ends:
    """A thread that notes when each study was first seen to have come to one of its ends."""

    def __init__(self, world: World, fault: Fault, stream: list[Study]) -> None:
        self.world, self.fault, self.stream = world, fault, stream
        self.seen: dict[int, float] = {}
        self._stop, self._all = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="ends", daemon=True)
        self._thread.start()

    def wait(self, limit: float) -> None:
        self._all.wait(limit)

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        took = 0.0
        while not self._stop.wait(max(LOOK, IDLE * took)) and not self._all.is_set():
            began = time.monotonic()
            with contextlib.suppress(*AWAY):
                self._look()
            took = time.monotonic() - began

    def _look(self) -> None:
        ledger = Ledger(self.world)
        for study in self.stream:
            if study.sent_at and study.number not in self.seen and not ledger.works(study) and ledger.end(study) in self.fault.ends(study):
                self.seen[study.number] = time.monotonic()
        if len(self.seen) == len(self.stream):
            self._all.set()


def _accounts(world: World, fault: Fault, stream: list[Study]) -> tuple[Ledger, list[Account]]:
    """Of all studies at one moment. A study that had come to an end may be under way again: a scan finds one whose Run was deleted. It is waited for."""
    deadline = time.monotonic() + fault.limit
    while True:
        over = time.monotonic() > deadline
        try:
            ledger = Ledger(world)
            accounts = [ledger.account(study, fault.ends(study)) for study in stream]
        except AWAY:  # what was put back last, a moment ago
            if over:
                raise
        else:
            if over or not any(account.lost for account in accounts):
                return ledger, accounts
        time.sleep(LOOK)


def _balance(world: World, fault: Fault, stream: list[Study], outcome: Outcome, late: set[int]) -> None:
    """`late`: studies that had not ended when the fault's time was over. What `clean` puts back may find them, which does not count."""
    ledger, accounts = _accounts(world, fault, stream)
    for account in accounts:
        if account.study.number in late and account.balanced:
            account.lost.append(f"ended only later than {fault.limit:g} s after the last fault")
        outcome.lost += bool(account.lost)
        outcome.doubled += bool(account.doubled)
        outcome.wrong += bool(account.wrong)
        outcome.details += [f"study {account.study.number}: {words}" for words in (*account.lost, *account.doubled, *account.wrong)]
    for words in fault.extra():
        outcome.wrong += 1
        outcome.details.append(words)
    outcome.ends = dict(Counter(str(account.end) for account in accounts))
    outcome.sums = {
        "studies": len(stream),
        "decided": sum(study.orthanc_id in ledger.decisions for study in stream),
        "runs": sum(account.end.runs for account in accounts),
        "reportsInOrthanc": sum(account.end.reports for account in accounts),
        "reportsAtPacs": sum(account.end.delivered for account in accounts),
    }
