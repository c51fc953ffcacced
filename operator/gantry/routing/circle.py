"""Pipelines that start each other in a circle: none of them could ever start.

Pure. A pipeline starts after one other at most, so following the names back either ends or comes to where it was.
"""

from collections.abc import Callable


def circle(pipeline: str, starts_after: Callable[[str], str | None]) -> tuple[str, ...]:
    """The circle that `pipeline` is part of, each name starting the next and the first of the alphabet in front; empty when there is none.

    A pipeline that only starts after a member of a circle is no part of it.
    """
    members = [pipeline]
    before = starts_after(pipeline)
    while before is not None and before not in members:
        members.append(before)
        before = starts_after(before)
    if before != pipeline:
        return ()
    members.reverse()  # names were followed back: from the started to the starting
    first = members.index(min(members))
    return (*members[first:], *members[:first])
