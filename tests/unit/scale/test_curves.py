"""What `make scale` says of growth, and that each of its limits tells where it comes from."""

import pytest
from pydantic import ValidationError
from tests.bench.figures import Figure
from tests.scale.curves import Curve
from tests.scale.plane import receipt
from tests.scale.thresholds import Threshold, judged, read
from tests.scale.workload import a_job, a_run

from gantry.api.run import RunSpec
from gantry.runs import decode_publish

GROWTH = {
    "a cost of each that stays": (Curve("c", "n", "ms", ((100, 2), (1_000, 2), (10_000, 2))), 1.0),
    "a cost of each that grows with the number": (Curve("c", "n", "ms", ((100, 2), (1_000, 20), (10_000, 200))), 100.0),
    "a cost of all that grows in proportion": (Curve("c", "n", "s", ((100, 1), (1_000, 10), (10_000, 100)), each=False), 1.0),
    "a process that takes a second before anything": (Curve("c", "n", "s", ((100, 1.1), (1_000, 2), (10_000, 11)), each=False), 1.0),
    "a cost of all that grows with the square": (Curve("c", "n", "s", ((100, 1), (1_000, 100), (10_000, 10_000)), each=False), 10.0),
    "of two points only their ratio is known": (Curve("c", "n", "s", ((100, 1), (1_000, 20)), each=False), 2.0),
}


@pytest.mark.parametrize(("curve", "want"), GROWTH.values(), ids=GROWTH.keys())
def test_growth(curve: Curve, want: float) -> None:
    assert curve.growth == pytest.approx(want)


ONE = {
    "name": "growth: c by n",
    "limit": 1.5,
    "margin": "half more",
    "measured": {"mean": 1.0, "spread": 0.1, "runs": 2, "date": "2026-11-28", "commit": "abc", "machine": "2 cores"},
    "why": "it is paid for each",
}


def test_a_limit_is_kept_or_missed() -> None:
    flat, steep = (Curve("c", "n", "ms", ((1, 1), (10, y))) for y in (1, 9))
    known = (Threshold.model_validate(ONE), Threshold.model_validate({**ONE, "name": "f", "better": "higher"}))
    assert [one.ok for one in judged(known, [Figure("f", 2, "")], [flat])] == [True, True]
    assert [one.ok for one in judged(known, [Figure("f", 1, "")], [steep])] == [False, False]
    assert list(judged(known, [], [])) == []
    assert "9  ≤ 1.5  MISSED" in next(judged(known, [], [steep])).line()


def test_a_limit_without_the_run_that_set_it_is_refused() -> None:
    with pytest.raises(ValidationError, match="measured"):
        Threshold.model_validate({name: value for name, value in ONE.items() if name != "measured"})


def test_every_limit_of_the_file_can_be_read_and_its_mean_keeps_it() -> None:
    known = read()
    assert len({one.name for one in known}) == len(known) > 0
    for one in known:
        assert one.measured.mean <= one.limit if one.better == "lower" else one.measured.mean >= one.limit, one.name


def test_what_the_nodes_play_is_what_a_run_needs() -> None:
    told = decode_publish(receipt())
    assert told is not None
    assert (told.failure, len(told.results)) == (None, 1)
    assert "'" not in receipt()  # it stands in quotes in stages.yaml
    RunSpec.model_validate(a_run("a", 1)["spec"])
    job, other = a_job("a", 1), a_job("b", 2)
    assert "ownerReferences" not in job["metadata"]
    assert job["spec"]["template"]["spec"]["containers"][0]["resources"] == {"limits": {"nvidia.com/gpu": "1"}}
    assert job["metadata"]["name"] != other["metadata"]["name"]
