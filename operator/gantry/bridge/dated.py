"""A condition with the time since when it has its status: the API's convention, which kubectl shows as an age.

Pure. It must not know whose condition it is.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from gantry.api import Condition, timestamp

Status = Literal["True", "False", "Unknown"]
MESSAGE_LENGTH = 1024
"""Of the schema."""


def dated(
    kind: str, status: Status, reason: str, message: str, *, before: Sequence[Condition] | None, generation: int, now: datetime
) -> Condition:
    """The transition time stays while the status stays, whatever reason and message do. `before`: the conditions as they were written last."""
    old = next((one for one in before or () if one.type == kind), None)
    return Condition(
        type=kind,
        status=status,
        reason=reason,
        message=message[:MESSAGE_LENGTH],
        last_transition_time=old.last_transition_time if old and old.status == status else timestamp(now),
        observed_generation=generation,
    )
