"""Which studies and series a pipeline wants, and how urgent they are: the rules that `gantry.routing` compiles."""

from typing import Annotated, Literal

from pydantic import Field

from .base import LIST_SET, AETitle, Duration, Name, Part, Text, cel, rule

Priority = Literal["Stat", "Urgent", "Routine", "Background"]
"""How urgent a Run is, the most urgent first."""
Expression = Annotated[str, Field(min_length=1, max_length=4096)]
"""A CEL expression (https://cel.dev) that gives true or false. It is compiled by the operator: see the condition Ready."""
Operator = Literal["In", "NotIn", "Exists", "DoesNotExist", "Matches", "Lt", "Lte", "Gt", "Gte"]


_NUMBER = "^ *[-+]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][-+]?[0-9]+)? *$"
"""Decimal String (PS3.5 6.2)."""


class TagRequirement(Part):
    """One requirement on one DICOM element. A missing element satisfies only NotIn and DoesNotExist."""

    model_config = {
        "json_schema_extra": cel(
            rule(
                "self.operator in ['Exists', 'DoesNotExist'] ? !has(self.values) : has(self.values)",
                "Exists and DoesNotExist take no values; every other operator needs values",
            ),
            rule(
                "!(self.operator in ['Lt', 'Lte', 'Gt', 'Gte']) || (has(self.values) && self.values.size() == 1)",
                "Lt, Lte, Gt and Gte take exactly one value, a number in quotes",
            ),
            rule(
                "!(self.operator in ['Lt', 'Lte', 'Gt', 'Gte']) || !has(self.values) || self.values.size() != 1"
                f" || self.values[0].matches('{_NUMBER}')",
                'Lt, Lte, Gt and Gte compare numbers; write for example "2.5"',
            ),
        )
    }
    tag: Annotated[
        str,
        Field(
            min_length=1,
            max_length=128,
            pattern=r"^([A-Z][A-Za-z0-9]*|[0-9A-Fa-f]{4},[0-9A-Fa-f]{4}|[0-9A-Fa-f]{3}[13579BDFbdf],\"[^\"\\]{1,64}\",[0-9A-Fa-f]{2})$",
        ),
    ]
    """DICOM keyword (Modality), `gggg,eeee`, or a private element as `gggg,"CREATOR",ee`."""
    operator: Operator
    """In, NotIn, Exists, DoesNotExist, Matches (RE2, search), Lt, Lte, Gt, Gte."""
    values: Annotated[list[Text], Field(min_length=1, max_length=64)] | None = None
    """What the element is compared with. Any value of a multi-valued element may satisfy In and Matches."""


Requirements = Annotated[list[TagRequirement], Field(max_length=32)]


class Completeness(Part):
    """When a study is complete enough to be analysed: a stable event only says that no image came for a while."""

    min_age: Annotated[Duration, Field(json_schema_extra=cel(rule("duration(self) >= duration('1s')", "minAge is 1s or more")))] | None = None
    """Time since the last image came. Beyond Orthanc's StableAge."""
    min_instances: Annotated[int, Field(ge=1, le=1000000)] | None = None
    """Fewer instances in the study than this: it waits for more."""
    expected_instances: Literal["Sender"] | None = None
    """Sender: ask the sender of the images (bridge.senders) by C-FIND for NumberOfStudyRelatedInstances, and wait for as many."""
    give_up_after: Annotated[Duration, Field(json_schema_extra=cel(rule("duration(self) >= duration('1m')", "giveUpAfter is 1m or more")))] = "30m"
    """Time since the last image after which the study is taken as it is: a late image must not keep the others from being analysed."""


class Match(Part):
    """Which studies start a Run. All parts must hold; an absent part holds."""

    study: Requirements = []
    """Requirements on the study (patient and study elements, ModalitiesInStudy)."""
    senders: Annotated[list[AETitle], Field(max_length=64, json_schema_extra=LIST_SET)] = []
    """Calling AE titles that stored the images; one of them must have stored an instance of a chosen series. Empty: any."""
    expression: Expression | None = None
    """CEL over `study` that must give true, for example `study.series.exists(s, s.tags.Modality == 'CT' && s.instances > 50)`."""
    completeness: Completeness | None = None
    """When the study is complete enough. Absent: as soon as it is stable."""


class SeriesSelection(Part):
    """Which series of a matching study go to the application. No series chosen: the study does not match."""

    model_config = {
        "json_schema_extra": cel(
            rule("self.min <= self.max", "min must not be larger than max"),
            rule("self.pick == 'All' || self.min == 1", "MostInstances, Thinnest and Latest choose one series: leave min at 1"),
        )
    }
    match: Requirements = []
    """Requirements every chosen series meets."""
    expression: Expression | None = None
    """CEL over `series` and `study` that must give true for every chosen series, for example `series.orientation == 'AXIAL'`."""
    pick: Literal["All", "MostInstances", "Thinnest", "Latest"] = "All"
    """Which of the series that meet all of it: All, or the one with the most instances, the thinnest slices, the latest time."""
    min: Annotated[int, Field(ge=1, le=10000)] = 1
    """Fewer series than this: the study does not match."""
    max: Annotated[int, Field(ge=1, le=10000)] = 50
    """More series than this: the study does not match."""


class PriorityRule(Part):
    """Gives a class to studies."""

    model_config = {
        "json_schema_extra": cel(
            rule("self.study.size() > 0 || self.senders.size() > 0", "give study requirements or senders; the default class is Routine")
        )
    }
    study: Requirements = []
    """Requirements on the study."""
    senders: Annotated[list[AETitle], Field(max_length=64, json_schema_extra=LIST_SET)] = []
    """Calling AE titles that stored the images. Empty: any."""
    priority: Annotated[Priority, Field(alias="class")]
    """Stat, Urgent, Routine, Background."""


class PriorityClassNames(Part):
    """PriorityClasses of Kubernetes for the pods of each class."""

    stat: Name | None = Field(default=None, alias="Stat")
    """Of Stat."""
    urgent: Name | None = Field(default=None, alias="Urgent")
    """Of Urgent."""
    routine: Name | None = Field(default=None, alias="Routine")
    """Of Routine."""
    background: Name | None = Field(default=None, alias="Background")
    """Of Background."""


class PriorityRules(Part):
    """Which Runs go first."""

    rules: Annotated[list[PriorityRule], Field(max_length=16)] = []
    """The first rule that matches gives the class; none: Routine."""
    class_names: PriorityClassNames = PriorityClassNames()
    """PriorityClasses of the pods, so that the scheduler too takes the most urgent first. Absent: scheduling.priorityClassName."""
