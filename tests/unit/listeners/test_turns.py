"""Everybody has a turn, and no turn is long."""

from edgeproxy.listeners.turns import TURN_SECONDS, Turns
from tests.support.barrier import settle
from tests.support.clock import ManualClock


async def one_turn() -> None:
    await settle(1)


async def test_what_waits_is_done_in_order_and_once():
    turns, done = Turns(ManualClock().monotonic), []
    for number in range(5):
        turns.later(lambda number=number: done.append(number))
    assert (done, turns.waiting) == ([], 5)
    await settle()
    assert (done, turns.waiting) == ([0, 1, 2, 3, 4], 0)


async def test_a_turn_ends_when_its_time_is_over():
    clock = ManualClock()
    turns, done = Turns(clock.monotonic), []

    def work() -> None:
        clock.advance(TURN_SECONDS * 0.6)
        done.append(clock.monotonic())

    for _ in range(5):
        turns.later(work)
    counts = []
    for _ in range(4):
        await one_turn()
        counts.append(len(done))
    assert counts == [2, 4, 5, 5]


async def test_what_work_starts_counts_as_well():
    turns, done = Turns(ManualClock().monotonic), []
    for _ in range(5):
        turns.later(lambda: done.append(None), TURN_SECONDS * 0.6)
    await one_turn()
    assert len(done) == 2


async def test_work_that_wants_another_turn_waits_for_the_others():
    turns, done = Turns(ManualClock().monotonic), []

    def again() -> None:
        done.append("again")
        turns.later(again)

    turns.later(again)
    turns.later(lambda: done.append("other"))
    await one_turn()
    assert done == ["again", "other"]
    await one_turn()
    assert done == ["again", "other", "again"]
    turns.close()
    await one_turn()
    assert len(done) == 3


async def test_faulty_work_stops_nobody(caplog):
    turns, done = Turns(ManualClock().monotonic), []
    turns.later(lambda: 1 // 0)
    turns.later(lambda: done.append(None))
    await one_turn()
    assert done == [None]
    assert "work of a connection failed" in caplog.text


def test_closing_what_never_waited():
    Turns(ManualClock().monotonic).close()


async def test_clients_have_their_turns_one_after_the_other_however_much_each_wants():
    turns, done = Turns(ManualClock().monotonic), []
    for number in range(4):
        turns.later(lambda number=number: done.append(("many", number)), client="many")
    turns.later(lambda: done.append(("one", 0)), client="one")
    assert turns.waiting == 5
    await one_turn()
    assert done == [("many", 0), ("one", 0), ("many", 1), ("many", 2), ("many", 3)]
    assert turns.waiting == 0


async def test_a_long_turn_goes_on_with_the_client_that_was_not_served():
    clock = ManualClock()
    turns, done = Turns(clock.monotonic), []

    def work(whose: str) -> None:
        clock.advance(TURN_SECONDS)
        done.append(whose)

    for whose in ("a", "a", "b"):
        turns.later(lambda whose=whose: work(whose), client=whose)
    for _ in range(3):
        await one_turn()
    assert done == ["a", "b", "a"]


async def test_reading_has_its_time_and_begins_anew_behind_the_turns_of_the_others():
    clock = ManualClock()
    turns = Turns(clock.monotonic)
    seen = []
    for _ in range(6):
        seen.append(turns.is_over())
        clock.advance(TURN_SECONDS / 4)
    assert seen == [False] * 4 + [True] * 2
    turns.later(lambda: None)
    await one_turn()
    assert not turns.is_over()


def test_a_pause_begins_a_turn_of_reading():
    clock = ManualClock()
    turns = Turns(clock.monotonic)
    for _ in range(5):
        over = turns.is_over()
        clock.advance(TURN_SECONDS / 4)
    assert over
    clock.advance(TURN_SECONDS)
    assert not turns.is_over()
