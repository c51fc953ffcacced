"""How much of the GPUs' time is reserved, by the spans of pods."""

import pytest
from tests.scale.gpus import reserved

FULL = [(0.0, 10.0)] * 4


@pytest.mark.parametrize(
    ("spans", "share"),
    [
        ([*FULL, *[(10.0, 20.0)] * 4, (20.0, 30.0)], 1.0),
        ([*FULL, *[(12.0, 20.0)] * 4, (20.0, 30.0)], 0.9),
        ([*FULL, *[(10.0, 99.0)] * 3, (10.0, 20.0), (20.0, 99.0)], 1.0),
        ([(0.0, 10.0), (10.0, 20.0), (20.0, 30.0)], 0.25),
    ],
    ids=["one after another", "two seconds between pods", "what comes after the last start does not count", "one of four"],
)
def test_the_share_until_the_last_start(spans: list[tuple[float, float]], share: float) -> None:
    assert reserved(spans) == (pytest.approx(share), 20.0)
