"""Asks the senders of images how many a study has (completeness.expectedInstances), by C-FIND through Orthanc.

A sender that does not answer is left alone for a while, so that it holds up no other study. What it said is never kept: a study is asked about
again when it is looked at again.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from gantry.orthanc import Orthanc, Permanent, ServerFault, Unauthorized

from .host import Faulted, Host

log = structlog.get_logger(__name__)

ANSWER_WITHIN = 2
"""Seconds a sender has for each message; following the log waits for it. An index answers in milliseconds."""
LEFT_ALONE = timedelta(seconds=30)
"""A silent sender costs following ANSWER_WITHIN once in this time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the senders of a study say."""

    asked: bool
    """False: the bridge names none of them, so nothing can be expected."""
    expected: int | None = None
    """The largest number; None when one of them did not answer, or does not say."""


@dataclass(slots=True)
class Senders:
    """The senders a bridge names."""

    bridge: str
    orthanc: Orthanc
    host: Host
    clock: Callable[[], datetime]
    names: Mapping[str, str]
    """Their names in Orthanc's modalities, by AE title."""
    silent: dict[str, tuple[datetime, str]] = field(default_factory=dict)
    """Until when each is left alone, and what Orthanc said."""
    turns: dict[str, asyncio.Lock] = field(default_factory=dict)

    @property
    def trouble(self) -> str:
        """Of silent senders, for the condition; empty when all answered when last asked."""
        return "; ".join(f"sender {aet}: {words}" for aet, (_, words) in sorted(self.silent.items()))

    async def ask(self, senders: Iterable[str | None], *, study_uid: str, series_uid: str | None) -> Answer:
        """Raises OrthancError when Orthanc itself is away."""
        known = sorted({aet for aet in senders if aet in self.names and aet})
        numbers = [await self._ask(aet, study_uid, series_uid) for aet in known]
        if None in numbers:
            return Answer(asked=True)
        return Answer(asked=bool(known), expected=max((number for number in numbers if number is not None), default=None))

    async def _ask(self, aet: str, study_uid: str, series_uid: str | None) -> int | None:
        """One question to a sender at a time: of several studies that are looked at at once only the first waits for a silent one."""
        async with self.turns.setdefault(aet, asyncio.Lock()):
            return await self._ask_now(aet, study_uid, series_uid)

    async def _ask_now(self, aet: str, study_uid: str, series_uid: str | None) -> int | None:
        if aet in self.silent and self.clock() < self.silent[aet][0]:
            return None
        try:
            number = await self.orthanc.count_at(self.names[aet], study_uid=study_uid, series_uid=series_uid, timeout=ANSWER_WITHIN)
        except Unauthorized:
            raise
        except (ServerFault, Permanent) as error:
            self.silent[aet] = (self.clock() + LEFT_ALONE, str(error))
            self.host.record(Faulted("sender", type(error).__name__))
            log.warning("a sender does not answer", bridge=self.bridge, sender=aet, error=str(error))
            return None
        self.silent.pop(aet, None)
        return number
