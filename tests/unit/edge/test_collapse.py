import asyncio

import pytest

from edgeproxy.edge.collapse import Confirmed, Flight, Flights, Unavailable
from edgeproxy.edge.growing import GrowingBody
from tests.support.barrier import Barrier, settle
from tests.support.clock import ManualClock
from tests.support.stored import stored

TOLD = Confirmed(stored())


def flights(clock: ManualClock | None = None, fills_max: int = 10) -> Flights:
    return Flights(
        fills_max=fills_max,
        uncacheable_seconds=10,
        uncacheable_keys_max=3,
        monotonic=(clock or ManualClock()).monotonic,
    )


class Fill:
    """A fill that waits at a gate, then announces."""

    def __init__(self) -> None:
        self.gate = Barrier()

    async def __call__(self, flight: Flight) -> None:
        await self.gate.passed()
        flight.announce(TOLD)


async def test_a_flight_is_found_until_its_fill_has_ended() -> None:
    registry, fill = flights(), Fill()
    flight = registry.lead(b"k", fill)
    assert registry.find(b"k") is flight
    assert registry.find(b"other") is None
    assert registry.count == 1
    fill.gate.open()
    assert await flight.told() is TOLD
    await settle()
    assert registry.find(b"k") is None
    assert registry.count == 0
    assert registry._by_key == {}


async def test_all_who_wait_are_told_and_all_who_come_later() -> None:
    registry, fill = flights(), Fill()
    flight = registry.lead(b"k", fill)
    loop = asyncio.get_running_loop()
    waiting = [loop.create_task(flight.told()) for _ in range(3)]
    await settle()
    fill.gate.open()
    assert [await each for each in waiting] == [TOLD] * 3
    assert await flight.told() is TOLD


async def test_one_waiter_that_is_cancelled_takes_nobody_along() -> None:
    registry, fill = flights(), Fill()
    flight = registry.lead(b"k", fill)
    loop = asyncio.get_running_loop()
    leaving, staying = loop.create_task(flight.told()), loop.create_task(flight.told())
    await settle()
    leaving.cancel()
    await settle()
    fill.gate.open()
    assert await staying is TOLD


async def test_selections_have_flights_of_their_own() -> None:
    registry = flights()
    german, english = ((b"accept-language", b"de"),), ((b"accept-language", b"en"),)
    general, special = registry.lead(b"k", Fill()), registry.lead(b"k", Fill(), selection=german)
    assert registry.find(b"k") is general
    assert registry.find(b"k", german) is special
    assert registry.find(b"k", english) is None
    await registry.aclose()


async def test_nobody_finds_a_solitary_flight() -> None:
    registry = flights()
    flight = registry.lead(b"k", Fill(), is_solitary=True)
    assert registry.find(b"k") is None
    assert flight.selection is flight
    await registry.aclose()


async def test_a_released_flight_gives_way_to_the_next() -> None:
    registry = flights()
    first = registry.lead(b"k", Fill())
    registry.release(first)
    second = registry.lead(b"k", Fill())
    registry.release(first)
    assert registry.find(b"k") is second
    await registry.aclose()


async def test_an_invalidated_flight_may_not_commit_and_is_not_joined() -> None:
    registry = flights()
    each = [registry.lead(b"k", Fill()), registry.lead(b"k", Fill(), is_solitary=True)]
    other = registry.lead(b"o", Fill())
    registry.invalidate(b"k")
    assert [flight.may_commit for flight in each] == [False, False]
    assert registry.find(b"k") is None
    assert other.may_commit
    registry.invalidate(b"nothing")
    await registry.aclose()


async def test_a_fill_that_fails_by_a_defect_tells_those_who_wait(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(_flight: Flight) -> None:
        raise RuntimeError("a defect")

    told = await flights().lead(b"k", broken).told()
    assert isinstance(told, Unavailable)
    assert told.error.word == "proxy_internal_error"
    assert "a defect" in caplog.text


async def test_a_fill_that_says_nothing_leaves_nobody_waiting() -> None:
    async def silent(_flight: Flight) -> None:
        pass

    assert isinstance(await flights().lead(b"k", silent).told(), Unavailable)


async def test_a_fill_cancelled_before_its_first_step_leaves_nobody_waiting() -> None:
    registry = flights()
    flight = registry.lead(b"k", Fill())
    flight.abort()
    assert isinstance(await flight.told(), Unavailable)
    assert registry.count == 0


async def test_closing_ends_what_runs() -> None:
    registry = flights()
    running = [registry.lead(b"%d" % number, Fill()) for number in range(3)]
    await settle()
    await registry.aclose()
    assert registry.count == 0
    assert all(flight.is_announced for flight in running)
    await registry.aclose()


async def test_the_budget_counts_what_runs() -> None:
    registry = flights(fills_max=2)
    registry.lead(b"a", Fill())
    assert not registry.is_full
    registry.lead(b"b", Fill())
    assert registry.is_full
    await registry.aclose()


async def test_one_household_leads_half_of_the_fills() -> None:
    registry = flights(fills_max=5)
    running = [registry.lead(b"%d" % n, Fill(), client=f"2001:db8::{n}") for n in range(3)]
    assert registry.is_full_for("2001:db8::99")
    assert not registry.is_full_for("2001:db8:0:1::1")
    assert not registry.is_full_for("192.0.2.1")
    registry.lead(b"background", Fill())
    assert not registry.is_full_for("192.0.2.1")
    registry.lead(b"other", Fill(), client="192.0.2.1")
    assert registry.is_full_for("192.0.2.2")
    running[0].abort()
    await settle()
    assert not registry.is_full_for("2001:db8::99")
    await registry.aclose()
    assert not registry._led


async def test_a_single_fill_may_be_anybodys() -> None:
    assert not flights(fills_max=1).is_full_for("192.0.2.1")


def test_uncacheable_keys_are_remembered_for_a_while_and_in_bounds() -> None:
    registry = flights(clock := ManualClock())
    for number in range(5):
        registry.remember_uncacheable(b"%d" % number)
    assert [registry.is_uncacheable(b"%d" % number) for number in range(5)].count(True) == 3
    assert registry.is_uncacheable(b"4")
    clock.advance(10)
    assert not registry.is_uncacheable(b"4")


async def test_a_leader_that_leaves_closes_the_reader_that_it_did_not_take() -> None:
    flight = Flight(b"k", None, has_leader=True)
    body = GrowingBody(keep_bytes_max=10, window_bytes=10, on_abandoned=flight.abort)
    flight.reader = body.read()
    flight.leave()
    assert not flight.has_leader
    assert not body._readers


async def test_there_is_no_reader_to_take_before_there_is_content() -> None:
    with pytest.raises(RuntimeError):
        Flight(b"k", None, has_leader=True).take()
