"""Who may lead: the steps of one contender as a table, and three of them against one Lease under every fault."""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from gantry.kube import Lease
from gantry.runtime.leadership import Contender, Look, Lost, Terms, Wait, Write, decide, failed, leads, patience, saw, wrote

TERMS = Terms()
THEIRS = Lease("other", 9, 3, "5")
MINE = Lease("me", 9, 4, "6")
NEW = Contender("me")
STANDBY = saw(NEW, THEIRS, TERMS, 100)
LEADER = wrote(NEW, MINE, TERMS, began=100, now=100.1)


def test_a_call_ends_before_the_deadline_and_the_deadline_before_the_lease() -> None:
    assert TERMS.call < TERMS.deadline < TERMS.duration
    assert TERMS.duration + 2 * TERMS.retry <= 10, "the goal of a hand-over after kill -9 is 12 s, with the reading and the first Job"


STEPS = {
    "who knows nothing looks": (NEW, 0, Look()),
    "a Lease that is not there is made": (saw(NEW, None, TERMS, 100), 100, Write(None)),
    "one that was given back is taken at once": (saw(NEW, Lease("", 1, 3, "5"), TERMS, 100), 100, Write(Lease("", 1, 3, "5"))),
    "one of an earlier process of the same name is taken at once": (saw(NEW, MINE, TERMS, 100), 100, Write(MINE)),
    "one that another holds is looked at again": (STANDBY, 100, Wait(0.5)),
    "and again after the pause": (STANDBY, 100.5, Look()),
    "one that another has not renewed is taken when it has ended": (saw(STANDBY, THEIRS, TERMS, 108.9), 109, Write(THEIRS)),
    "and not a moment earlier": (saw(STANDBY, THEIRS, TERMS, 108.5), 108.75, Wait(0.25)),
    "a renewal begins the time anew": (saw(STANDBY, replace(THEIRS, version="6"), TERMS, 108.9), 109, Wait(pytest.approx(0.4))),
    "the holder's word on how long it holds counts": (saw(saw(NEW, replace(THEIRS, duration=30), TERMS, 100), replace(THEIRS, duration=30), TERMS, 120), 120, Wait(0.5)),
    "one that vanished is not taken before its holder must have stopped": (saw(STANDBY, None, TERMS, 101), 101, Wait(0.5)),
    "one that vanished is made when its holder must have stopped": (saw(STANDBY, None, TERMS, 108.9), 109, Write(None)),
    "a standby without an answer looks again after the pause": (failed(STANDBY, TERMS, 102, refused=False), 102, Wait(0.5)),
    "a standby that was refused looks at once": (failed(STANDBY, TERMS, 109, refused=True), 109, Look()),
    "a leader waits until the next renewal": (LEADER, 100.5, Wait(1.5)),
    "a leader renews": (LEADER, 102, Write(MINE)),
    "a leader whose renewal had no answer tries again": (failed(LEADER, TERMS, 104, refused=False), 104.5, Write(MINE)),
    "a leader that was refused looks why": (failed(LEADER, TERMS, 104, refused=True), 104, Look()),
    "a leader whose lost renewal was done renews what it sees": (saw(LEADER, replace(MINE, version="7"), TERMS, 104), 104, Write(replace(MINE, version="7"))),
    "a leader makes a Lease that was deleted": (saw(LEADER, None, TERMS, 104), 104, Write(None)),
    "a leader that could not renew in time has lost": (LEADER, 107, Lost("it could not be renewed for 7 s")),
    "a leader never sleeps over its deadline": (failed(LEADER, TERMS, 106.8, refused=False), 106.8, Wait(pytest.approx(0.2))),
    "a leader that sees another has lost": (saw(LEADER, THEIRS, TERMS, 104), 104, Lost("other holds it")),
    "a leader whose name was taken out has lost": (saw(LEADER, Lease("", 9, 4, "7"), TERMS, 104), 104, Lost("somebody has taken it away")),
}


@pytest.mark.parametrize(("one", "now", "want"), STEPS.values(), ids=STEPS.keys())
def test_the_next_step(one: Contender, now: float, want: object) -> None:
    assert decide(one, TERMS, now) == want


def test_leading_counts_from_before_the_write_was_sent() -> None:
    slow = wrote(NEW, MINE, TERMS, began=100, now=101.9)
    assert leads(slow, TERMS, 106.9)
    assert not leads(slow, TERMS, 107)
    assert not leads(STANDBY, TERMS, 100)


def test_a_call_of_a_leader_ends_by_its_deadline() -> None:
    assert patience(LEADER, TERMS, 101) == 3
    assert patience(LEADER, TERMS, 106.5) == 0.5
    assert patience(LEADER, TERMS, 107) == 0
    assert patience(STANDBY, TERMS, 107) == 3


# ---- all together ----

TICK = 0.25
NEVER = float("inf")
NETWORKS = {"well": (0.0, 0.0), "slow there": (1.5, 0.0), "slow back": (0.0, 1.5), "late": (5.0, 0.0), "lost": (NEVER, NEVER), "no answers": (0.0, NEVER)}
"""Seconds a request and its answer take."""


@dataclass
class Call:
    """A request under way."""

    step: Look | Write
    began: float
    """By the contender's clock."""
    patience: float
    arrives: float
    """By everybody's clock."""
    returns: float
    answer: Lease | None = None
    refused: bool = False


@dataclass
class Process:
    """A contender with a clock of its own: another zero, another pace."""

    one: Contender
    offset: float
    pace: float
    network: str = "well"
    call: Call | None = None
    wake: float = 0.0
    stopped: bool = False
    """By SIGSTOP."""


@dataclass
class Cluster:
    """Some processes and the one Lease. Requests whose answer is not waited for may still arrive; who lost is started again under its name."""

    all: list[Process]
    now: float = 0.0
    lease: Lease | None = None
    version: int = 0
    sent: list[tuple[str, Call]] = field(default_factory=list)
    led: set[str] = field(default_factory=set)

    def clock(self, one: Process) -> float:
        return one.offset + self.now * one.pace

    def passes(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.now += TICK
            for who, call in [pair for pair in self.sent if pair[1].arrives <= self.now]:
                self.sent.remove((who, call))
                self.arrives(who, call)
            for number, one in enumerate(self.all):
                if not one.stopped:
                    self.goes_on(number, one)
            self.judge()

    def goes_on(self, number: int, one: Process) -> None:
        """As far as it comes without waiting."""
        for _ in range(6):
            now = self.clock(one)
            if one.call is not None:
                if not self.hears(one, one.call, now):
                    return
            elif now < one.wake:
                return
            else:
                match decide(one.one, TERMS, now):
                    case Lost():
                        self.all[number] = Process(Contender(one.one.me), one.offset, one.pace, one.network)
                        return
                    case Wait(seconds):
                        one.wake = now + seconds
                    case step:
                        self.sends(one, step, now)
            self.judge()

    def sends(self, one: Process, step: Look | Write, now: float) -> None:
        there, back = NETWORKS[one.network]
        one.call = Call(step, now, patience(one.one, TERMS, now), self.now + there, self.now + there + back)
        if there == 0:
            self.arrives(one.one.me, one.call)
        else:
            self.sent.append((one.one.me, one.call))

    def arrives(self, who: str, call: Call) -> None:
        if isinstance(call.step, Write):
            if (call.step.before.version if call.step.before else None) == (self.lease.version if self.lease else None):
                self.is_written(Lease(who, TERMS.duration, 0, ""))
            else:
                call.refused = True
        call.answer = self.lease

    def is_written(self, lease: Lease) -> None:
        self.version += 1
        self.lease = replace(lease, version=str(self.version))

    def hears(self, one: Process, call: Call, now: float) -> bool:
        """Whether the call is over, by an answer or without."""
        if call.returns <= self.now and (call.answer is not None or call.arrives <= self.now):
            if call.refused:
                one.one = failed(one.one, TERMS, now, refused=True)
            elif isinstance(call.step, Write):
                assert call.answer is not None
                one.one = wrote(one.one, call.answer, TERMS, began=call.began, now=now)
            else:
                one.one = saw(one.one, call.answer, TERMS, now)
        elif now >= call.began + call.patience:
            one.one = failed(one.one, TERMS, now, refused=False)
        else:
            return False
        one.call = None
        return True

    def leaders(self) -> list[Process]:
        return [one for one in self.all if leads(one.one, TERMS, self.clock(one))]

    def judge(self) -> None:
        names = [one.one.me for one in self.leaders()]
        assert len(names) <= 1, f"{names} lead at once"
        self.led.update(names)


class Contest(RuleBasedStateMachine):
    """Requests are lost on the way there or back, or come late; processes stop and go on, or end; clocks differ by a tenth in pace."""

    @initialize(offsets=st.lists(st.floats(0, 1e6), min_size=2, max_size=3), paces=st.lists(st.floats(0.9, 1.1), min_size=3, max_size=3))
    def begin(self, offsets: list[float], paces: list[float]) -> None:
        self.cluster = Cluster([Process(Contender(f"pod-{n}"), offset, paces[n]) for n, offset in enumerate(offsets)])

    def process(self, which: int) -> Process:
        return self.cluster.all[which % len(self.cluster.all)]

    @rule(seconds=st.sampled_from([0.25, 1, 2, 4, 8, 12]))
    def time_passes(self, seconds: float) -> None:
        self.cluster.passes(seconds)

    @rule(which=st.integers(0, 2), network=st.sampled_from(sorted(NETWORKS)))
    def the_network_of_one_changes(self, which: int, network: str) -> None:
        self.process(which).network = network

    @rule(which=st.integers(0, 2))
    def one_is_stopped_or_goes_on(self, which: int) -> None:
        self.process(which).stopped ^= True

    @precondition(lambda self: self.cluster.leaders())
    @rule()
    def the_leader_is_stopped(self) -> None:
        self.cluster.leaders()[0].stopped = True

    @precondition(lambda self: self.cluster.leaders())
    @rule(killed=st.booleans())
    def the_leader_ends(self, killed: bool) -> None:
        """Unless it is killed, it stops leading first and then gives the Lease back. A new pod comes."""
        cluster, one = self.cluster, self.cluster.leaders()[0]
        if not killed and not one.stopped and cluster.lease and one.one.lease and cluster.lease.version == one.one.lease.version:
            cluster.is_written(Lease("", 1, 0, ""))
        cluster.all[cluster.all.index(one)] = Process(Contender(f"{one.one.me}'"), one.offset, one.pace, one.network)

    @rule()
    def all_is_well(self) -> None:
        """Then somebody leads after one duration, by the slowest clock, and its looks."""
        for one in self.cluster.all:
            one.network, one.stopped = "well", False
        self.cluster.passes(TERMS.duration / 0.9 + TERMS.call + 2 * TERMS.retry + TICK)
        assert self.cluster.leaders()


class TestContest(Contest.TestCase):  # type: ignore[misc]  # hypothesis makes it untyped
    settings = settings(max_examples=100, stateful_step_count=30)
