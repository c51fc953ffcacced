"""Who is next, and what is away: a dead destination costs one send at a time, and drains in order when it is back."""

from collections.abc import Hashable
from datetime import datetime, timedelta

import pytest
from tests.builders import pending
from tests.fake_orthanc import START, Clock, FakeOrthanc
from tests.unit.delivery.test_courier import RESULT

from gantry.api.run import DeliveryStatus
from gantry.delivery import Cargo, Courier, Errand, Target, Terms, ToModality
from gantry.delivery.lanes import CALLED, HELD, Lane
from gantry.orthanc import Modality


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


class Watched:
    """A lane and whom it woke."""

    def __init__(self, size: int = 2) -> None:
        self.woken: list[tuple[Hashable, float]] = []
        self.lane = Lane(lambda who, seconds: self.woken.append((who, seconds)), lambda n: timedelta(seconds=10 * n), size)

    def called(self) -> list[Hashable]:
        now = [who for who, seconds in self.woken if seconds == 0]
        self.woken.clear()
        return now


def test_as_many_send_at_once_as_there_are_places_and_the_most_urgent_is_next() -> None:
    watched = Watched(2)
    lane = watched.lane
    assert [lane.enter(who, (2, at(0)), at(0)) for who in ("a", "b", "c")] == [True, True, False]
    assert not lane.enter("old", (2, at(-5)), at(0))
    assert not lane.enter("urgent", (0, at(0)), at(0))
    assert watched.called() == []
    lane.leave("a", at(1))
    assert watched.called() == ["urgent"]
    lane.leave("b", at(1))
    assert watched.called() == ["old"]
    assert lane.enter("urgent", (0, at(0)), at(1.1))
    assert not lane.enter("c", (2, at(0)), at(1.1)), "the place is kept for whom was called"
    assert lane.enter("old", (2, at(-5)), at(1.2))


def test_who_does_not_come_when_called_loses_its_place() -> None:
    watched = Watched(1)
    lane = watched.lane
    for who, age in (("a", 0), ("deleted", 1), ("c", 2)):
        lane.enter(who, (2, at(age)), at(0))
    lane.leave("a", at(1))
    assert ("deleted", 0.0) in watched.woken
    assert ("c", CALLED.total_seconds() + 1) in watched.woken, "somebody looks after it"
    assert lane.enter("c", (2, at(2)), at(1) + CALLED)


def test_a_send_nobody_hears_of_gives_its_place_back() -> None:
    lane = Watched(1).lane
    assert lane.enter("a", (2, at(0)), at(0))
    assert not lane.enter("b", (2, at(0)), at(1))
    assert lane.enter("b", (2, at(0)), at(0) + HELD)


def test_while_it_is_away_one_probe_at_a_time_is_sent_ever_later() -> None:
    watched = Watched(4)
    lane = watched.lane
    lane.enter("a", (2, at(0)), at(0))
    lane.fails("Unreachable", at(0))
    lane.leave("a", at(0))
    assert not lane.enter("a", (2, at(0)), at(0))
    assert not lane.enter("urgent", (0, at(0)), at(0))
    assert watched.woken[-1] == ("urgent", 10.0), "the most urgent is the probe"
    assert lane.enter("urgent", (0, at(0)), at(10))
    assert not lane.enter("a", (2, at(0)), at(10)), "one probe"
    lane.fails("Unreachable", at(11))
    assert (lane.failures, lane.probe_at) == (2, at(31))


def test_what_was_under_way_when_it_went_away_is_no_probe() -> None:
    lane = Watched(4).lane
    for second in range(4):
        lane.fails("Unreachable", at(second))
    assert (lane.failures, lane.probe_at) == (1, at(10))


def test_when_it_is_back_all_places_are_filled() -> None:
    watched = Watched(3)
    lane = watched.lane
    lane.fails("Unreachable", at(0))
    for number in range(10):
        lane.enter(number, (2, at(number)), at(0))
    assert lane.enter(0, (2, at(0)), at(10))
    watched.woken.clear()
    lane.works()
    lane.leave(0, at(11))
    assert watched.called() == [1, 2, 3]


async def test_a_dead_destination_gets_one_send_at_a_time_and_drains_in_order_when_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """200 Runs; the clock stands but for what the courier asks for."""
    fake = FakeOrthanc(Clock())
    fake.modalities["gantry_pacs"] = {"AET": "PACS", "Host": "pacs", "Port": 104}
    fake.job_end, fake.job_details = "Failure", 'DicomAssociation - connecting to AET "PACS": TCP Initialization Error: Connection refused'
    due: dict[Hashable, datetime] = {}

    def wake(who: Hashable, seconds: float) -> None:
        moment = fake.clock() + timedelta(seconds=seconds)
        due[who] = min(due.get(who, moment), moment)

    courier = Courier(clock=fake.clock, jitter=lambda: 1.0, wake=wake)
    targets = {"pacs": Target(ToModality("gantry_pacs", Modality("PACS", "pacs", 104)), size=4)}
    state: dict[int, DeliveryStatus] = {number: pending("pacs")[0] for number in range(200)}
    deadline = START + timedelta(days=1)
    for number in state:
        due[number] = fake.clock()
    async with fake.client() as orthanc:
        while due:
            who, moment = min(due.items(), key=lambda item: (item[1], item[0] % 7 if isinstance(item[0], int) else 0))
            del due[who]
            fake.clock.now = max(fake.clock.now, moment)
            assert isinstance(who, int)
            result = RESULT.model_copy(update={"orthanc_id": f"run {who}"})
            errand = Errand(who, (0 if who % 10 == 0 else 2, START + timedelta(seconds=who)), "bridge", Cargo([result]), Terms(deadline))
            progress = await courier.advance(orthanc, errand, targets=targets, deliveries=[state[who]])
            state[who] = progress.deliveries[0]
            if progress.again_after is not None:
                wake(who, progress.again_after)
            if fake.clock() > START + timedelta(hours=1) and fake.job_end == "Failure":
                assert len(fake.sent) < 4 + 20, "an hour of a dead PACS is some twenty sends, not twenty a Run"
                assert courier.away() == {"pacs": courier.away()["pacs"]}
                fake.sent.clear()
                fake.job_end = "Success"
    assert {one.state for one in state.values()} == {"Sent"}
    order = [int(instances[0].removeprefix("run ")) for _, instances in fake.sent]
    assert sorted(order) == list(range(200))
    urgent = [order.index(number) for number in range(0, 200, 10)]
    assert max(urgent) < 20 + 4, "the urgent ones go first"
    rest = [number for number in order if number % 10]
    assert sum(abs(rest.index(number) - place) for place, number in enumerate(sorted(rest))) < 4 * len(rest), "then the old ones"
    assert courier.away() == {}


def test_sends_begin_evenly_spread_when_the_destination_has_a_rate() -> None:
    """Ten a second, twenty places, five in the queue: one each tenth of a second, in their order, and none is woken before."""
    woken: list[tuple[object, float]] = []
    lane = Lane(lambda who, seconds: woken.append((who, seconds)), lambda n: timedelta(seconds=5), 20, interval=timedelta(seconds=0.1))
    now, begun = START, []
    assert [lane.enter(who, (2, START + timedelta(seconds=who)), now) for who in range(5)] == [True, False, False, False, False]
    while len(begun) < 4:
        who, seconds = woken[-1]
        assert 0 < seconds <= 0.1
        now += timedelta(seconds=seconds)
        assert lane.enter(who, (2, START + timedelta(seconds=int(str(who)))), now)
        begun.append(((now - START).total_seconds(), who))
    assert begun == [(0.1, 1), (0.2, 2), (0.3, 3), (0.4, 4)]
