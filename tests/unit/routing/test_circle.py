"""Pipelines that start each other in a circle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.routing import circle

CASES: dict[str, tuple[dict[str, str], str, tuple[str, ...]]] = {
    "a pipeline that studies start": ({}, "a", ()),
    "one after another": ({"b": "a"}, "b", ()),
    "a chain": ({"b": "a", "c": "b", "d": "c"}, "d", ()),
    "after a pipeline nobody made": ({"b": "gone"}, "b", ()),
    "after itself": ({"a": "a"}, "a", ("a",)),
    "two": ({"a": "b", "b": "a"}, "b", ("a", "b")),
    "three, each starts the next": ({"b": "a", "c": "b", "a": "c"}, "c", ("a", "b", "c")),
    "after a member of a circle, but no member": ({"a": "b", "b": "a", "c": "a"}, "c", ()),
}


@pytest.mark.parametrize(("after", "pipeline", "want"), CASES.values(), ids=CASES.keys())
def test_circles(after: dict[str, str], pipeline: str, want: tuple[str, ...]) -> None:
    assert circle(pipeline, after.get) == want


NAMES = st.sampled_from("abcdefgh")


@given(st.dictionaries(NAMES, NAMES))
def test_every_member_names_the_same_circle_and_nobody_else_does(after: dict[str, str]) -> None:
    for pipeline in after:
        found = circle(pipeline, after.get)
        assert found == () or pipeline in found
        for member in found:
            assert circle(member, after.get) == found
        for before, member in zip(found, (*found[1:], *found[:1]), strict=True):
            assert after[member] == before
