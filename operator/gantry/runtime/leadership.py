"""What one contender for the Lease does next, and when it must stop leading. Pure: `election.py` asks the API server and reads the clock.

Why two never lead at once, whatever their clocks show and whichever answers are lost:

    leader    counts from the moment before its last successful renewal was sent, and stops `deadline` after it
    standby   counts from the moment it has first seen that renewal, which is later, and takes the Lease `duration` after it

and each measures durations only, by its own clock. What is left between the two (`duration - deadline`, a fifth) covers clocks of different pace. A
write says which version of the Lease it replaces, so of two standbys one is refused. Two may overlap for as long as

- a request takes that was sent before the deadline and reaches the API server after it (the leader's process ends, which closes its connections);
- the leader needs to see (`renew + call`) that somebody has deleted the Lease or written another holder into it by hand, if a process that has
  never seen the Lease held takes it at once.

An overlap makes nothing twice: names decide what exists (docs/decisions/2026-11-25-leader.md).
"""

from dataclasses import dataclass, replace

from gantry.kube import Lease


@dataclass(frozen=True, slots=True)
class Terms:
    """Seconds. A killed leader is replaced after `duration` and at most two pauses `retry`; the goal is 12."""

    duration: int = 9
    """The Lease holds so long after each renewal."""
    deadline: float = 7.0
    """A leader that could not renew for so long stops: two attempts that hang, or an API server that restarts in 5."""
    renew: float = 2.0
    """Between two renewals, as client-go has it."""
    retry: float = 0.5
    """Between two looks of a standby, and two attempts after a failure. 2 GETs a second and standby are 0.3 % of a core."""
    call: float = 3.0
    """A call's answer is waited for so long. A healthy API server answers in 10 ms, one on a machine that is busy beyond measure in 2 s."""


@dataclass(frozen=True, slots=True)
class Contender:
    """All that one process knows. Times are of its own clock, which never goes back."""

    me: str
    lease: Lease | None = None
    """As it was last seen; kept when it is gone, for its holder may not know yet."""
    there: bool = False
    """Whether it exists, by the last look."""
    known: bool = False
    """Whether `lease` and `there` may be built upon: False before the first look and after a refused write."""
    since: float = 0.0
    """When this version of the Lease was first seen."""
    again: float = 0.0
    """The next call is not made before."""
    renewed: float | None = None
    """When the last successful write of ours was begun; None: not leading."""


@dataclass(frozen=True, slots=True)
class Look:
    """Read the Lease."""


@dataclass(frozen=True, slots=True)
class Write:
    """Take or renew it; `before` is what must be there still, None that there is none."""

    before: Lease | None


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Lost:
    """Stop leading now, and for good."""

    why: str


def decide(one: Contender, terms: Terms, now: float) -> Look | Write | Wait | Lost:
    """The next thing to do."""
    return _stand_by(one, now) if one.renewed is None else _lead(one, one.renewed, terms, now)


def _lead(one: Contender, renewed: float, terms: Terms, now: float) -> Look | Write | Wait | Lost:
    left = renewed + terms.deadline - now
    if left <= 0:
        return Lost(f"it could not be renewed for {terms.deadline:g} s")
    if one.known and one.there and one.lease is not None and one.lease.holder != one.me:
        return Lost(f"{one.lease.holder} holds it" if one.lease.holder else "somebody has taken it away")
    if one.again > now:
        return Wait(min(one.again - now, left))
    return Write(one.lease if one.there else None) if one.known else Look()


def _stand_by(one: Contender, now: float) -> Look | Write | Wait:
    if one.known and (ends := _ends(one)) <= now:
        return Write(one.lease if one.there else None)
    if one.again > now:
        return Wait(min(one.again, ends) - now if one.known else one.again - now)
    return Look()


def _ends(one: Contender) -> float:
    """When the Lease may be taken. It counts as long as its holder has said, which may be of another version."""
    if one.lease is None or one.lease.holder in ("", one.me):  # mine: of a process of this name before, which has ended
        return one.since
    return one.since + one.lease.duration


def leads(one: Contender, terms: Terms, now: float) -> bool:
    """Whether it may write."""
    return one.renewed is not None and now < one.renewed + terms.deadline


def patience(one: Contender, terms: Terms, now: float) -> float:
    """Seconds the next call may take: a leader must not miss its deadline over one."""
    return terms.call if one.renewed is None else max(0.0, min(terms.call, one.renewed + terms.deadline - now))


def saw(one: Contender, lease: Lease | None, terms: Terms, now: float) -> Contender:
    """A look was answered, at `now`."""
    again = now if one.renewed is not None else now + terms.retry
    if lease is None:
        return replace(one, there=False, known=True, again=again)
    news = one.lease is None or one.lease.version != lease.version
    return replace(one, lease=lease, there=True, known=True, again=again, since=now if news else one.since)


def wrote(one: Contender, lease: Lease, terms: Terms, *, began: float, now: float) -> Contender:
    """A write begun at `began` has succeeded: it leads, or goes on leading."""
    return replace(one, lease=lease, there=True, known=True, since=now, again=began + terms.renew, renewed=began)


def failed(one: Contender, terms: Terms, now: float, *, refused: bool) -> Contender:
    """A call had no answer, or was `refused` because the Lease is not what it was: then it is looked at once more, at once."""
    return replace(one, known=False, again=now) if refused else replace(one, again=now + terms.retry)
