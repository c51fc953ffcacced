"""The reconcile scan: lists the studies Orthanc holds, page by page, so that polling goes on in between.

Newest first with ExtendedFind, ending at the first study that is too old; older servers have no such order and all pages are listed.
What is done with a study is `recovery.py`'s; which pipelines it may be shown to is `Window`'s.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from gantry.orthanc import Orthanc, StudyResource

from .host import Candidate

PAGE = 100
"""Studies a request. LimitFindResults, where it is set, is 100 by Orthanc's advice."""
TOLERANCE = timedelta(seconds=2)
"""LastUpdate has whole seconds, and so has the clock it is compared with."""


@dataclass(frozen=True, slots=True)
class Window:
    """How far back a scan looks, by LastUpdate.

    A new bridge or a new pipeline does not start on yesterday's archive by itself, unless startFrom is Beginning.
    """

    now: datetime
    lookback: timedelta
    first_contact: datetime
    from_beginning: bool
    skew: timedelta
    """Orthanc's clock minus ours."""

    @property
    def not_before(self) -> datetime:
        """By Orthanc's clock."""
        start = self.now - self.lookback
        return (start if self.from_beginning else max(start, self.first_contact)) + self.skew - TOLERANCE

    def admits(self, candidate: Candidate, last_update: datetime | None) -> bool:
        """Whether the scan may show a study to this pipeline. `last_update` is by Orthanc's clock; without one it is not looked at."""
        if last_update is None or last_update < self.not_before:
            return False
        return self.from_beginning or last_update - self.skew + TOLERANCE >= candidate.created


class Scan:
    """One pass over Orthanc's studies."""

    def __init__(self, orthanc: Orthanc, window: Window, *, newest_first: bool, began: datetime) -> None:
        self._orthanc = orthanc
        self._newest_first = newest_first
        self._since = 0
        self.window = window
        self.began = began
        self.ended = False
        self.studies = 0
        """New enough to be looked at."""

    async def page(self) -> tuple[StudyResource, ...]:
        """The studies of the next page that are new enough; sets `ended` behind the last one."""
        page = await self._orthanc.studies(since=self._since, limit=PAGE, newest_first=self._newest_first)
        self._since += len(page)
        recent = tuple(one for one in page if one.last_update is not None and one.last_update >= self.window.not_before)
        self.studies += len(recent)
        self.ended = not page or (self._newest_first and len(recent) < len(page))
        return recent
