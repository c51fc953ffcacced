"""What images that come after a Run was made lead to (spec.onLateImages).

Pure. It knows earlier Runs only; that exactly these images have a Run already is seen before. An earlier Run is named by the new one
(spec.supersedes); ending it, or naming its report as predecessor, is derived from that by whoever runs it, so nothing is lost by a kill.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from .host import EarlierRun

LateImages = Literal["Supersede", "Rerun", "Ignore"]

WITHOUT_REPORT = frozenset({"Failed", "Cancelled", "Superseded"})
"""States of Runs that left nothing to supersede."""


@dataclass(frozen=True, slots=True)
class Late:
    """Whether a Run is made, and which earlier one it takes the place of."""

    make: bool
    supersedes: str | None = None


def late(policy: LateImages, earlier: Sequence[EarlierRun], *, series: Sequence[str], alone: bool) -> Late:
    """`alone`: the series was decided by itself, so only Runs that share it are earlier Runs on the same images."""
    same = [one for one in earlier if not alone or set(one.series) & set(series)]
    if not same or policy == "Rerun":
        return Late(make=True)
    if policy == "Ignore":
        return Late(make=False)
    newest = max(same, key=lambda one: (one.state not in WITHOUT_REPORT, one.created, one.name))
    return Late(make=True, supersedes=newest.name)
