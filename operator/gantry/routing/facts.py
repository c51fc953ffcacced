"""What is known of a study when it is decided, and what a pipeline's rules need to know.

Values only. `bridge/facts.py` fills them from Orthanc; `gantry explain` and tests too.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from .tags import Tags


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    """What is known of one series. `tags` holds the study's elements too, and TransferSyntaxUID (0002,0010) where it is needed and known."""

    orthanc_id: str
    tags: Tags
    instances: int
    own: bool = False
    """A result of Gantry, known by its UIDs: never an input."""
    sender: str | None = None
    """Calling AE title that stored the series' first instance; None when it came another way or was not asked for."""
    last_update: datetime | None = None
    """When the last image came. No rule looks at it: a decision must not depend on when images are sent again."""


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """What is known of one study."""

    orthanc_id: str
    tags: Tags
    series: tuple[SeriesFacts, ...]
    last_update: datetime | None = None
    """When the last image came; for completeness, not for rules."""

    @property
    def instances(self) -> int:
        return sum(one.instances for one in self.series)

    @property
    def senders(self) -> tuple[str, ...]:
        """Calling AE titles of its series, sorted."""
        return tuple(sorted({one.sender for one in self.series if one.sender}))


@dataclass(frozen=True, slots=True)
class Known:
    """Which facts have been asked for already. Elements by keyword or `gggg,eeee`."""

    study: frozenset[str]
    series: frozenset[str] | None
    """None: not even which series there are."""
    senders: bool = False
    instances: bool = False
    """All elements of one instance of each series were read: whatever is absent now is absent in the images."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What has to be known of a study before rules can be asked. Elements by keyword where the standard has one, else by number."""

    study: frozenset[str] = field(default_factory=frozenset)
    series: frozenset[str] = field(default_factory=frozenset)
    """Of each series: TransferSyntaxUID among them is Orthanc's metadata of an instance, not one of its elements."""
    senders: bool = False
    """The calling AE title of each series."""
    instance: bool = False
    """An expression names elements in a way that cannot be known beforehand: all elements of one instance of each series."""
    every: bool = False
    """An expression looks at every series of the study, not only at those that are chosen."""

    def __or__(self, other: "Needs") -> "Needs":
        return Needs(
            self.study | other.study,
            self.series | other.series,
            senders=self.senders or other.senders,
            instance=self.instance or other.instance,
            every=self.every or other.every,
        )

    def beyond(self, known: Known) -> "Needs":
        """What of it still has to be asked for."""
        if known.series is None:
            return Needs(self.study - known.study, self.series, self.senders, self.instance, self.every)
        return Needs(
            frozenset() if known.instances else self.study - known.study,
            frozenset() if known.instances else self.series - known.series,
            senders=self.senders and not known.senders,
            instance=self.instance and not known.instances,
            every=self.every,
        )

    @property
    def settled(self) -> bool:
        """Nothing has to be asked for."""
        return not (self.study or self.series or self.senders or self.instance)

    @classmethod
    def of(cls, needs: Iterable["Needs"]) -> "Needs":
        """All of them together."""
        total = cls()
        for one in needs:
            total |= one
        return total
