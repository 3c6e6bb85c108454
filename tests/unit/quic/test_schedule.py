"""Tests for edgeproxy/quic/schedule.py."""

import pytest

from edgeproxy.quic.schedule import Schedule


@pytest.fixture
def schedule():
    return Schedule()


def served(schedule, turns):
    """Give so many turns, each of which leaves something over; returns whose they were."""
    found = []
    for _ in range(turns):
        found.append(schedule.first())
        schedule.served()
    return found


def test_nobody_is_first_where_nobody_is(schedule):
    assert schedule.first() is None
    schedule.served()
    schedule.remove(0)
    schedule.forget(0)
    assert not len(schedule)


def test_of_one_urgency_the_oldest_goes_first_and_stays(schedule):
    for stream_id in (8, 0, 12, 4, 4):
        schedule.add(stream_id)
    assert len(schedule) == 4
    assert 12 in schedule
    assert schedule.is_in_order
    order = []
    while (first := schedule.first()) is not None:
        assert served(schedule, 3) == [first] * 3
        order.append(first)
        schedule.remove(first)
    assert order == [0, 4, 8, 12]
    assert 12 not in schedule


def test_incremental_streams_take_turns(schedule):
    for stream_id in (0, 4, 8):
        schedule.prioritise(stream_id, 3, incremental=True)
        schedule.add(stream_id)
    assert not schedule.is_in_order
    assert served(schedule, 6) == [0, 4, 8, 0, 4, 8]
    schedule.remove(4)
    assert served(schedule, 4) == [0, 8, 0, 8]
    schedule.remove(0)
    assert schedule.is_in_order, "it shares its turn with nobody"


def test_urgency_goes_before_everything_and_ours_before_that(schedule):
    schedule.add(0)
    schedule.prioritise(4, 3, incremental=True)
    schedule.prioritise(8, 7, incremental=False)
    schedule.prioritise(12, 0, incremental=True)
    for stream_id in (4, 8, 12):
        schedule.add(stream_id)
    for ours in (3, 7):
        schedule.prioritise(ours, 7, incremental=True)
        schedule.add(ours)
    assert schedule.is_in_order
    order = []
    while (first := schedule.first()) is not None:
        assert served(schedule, 2) == [first] * 2
        order.append(first)
        schedule.remove(first)
    assert order == [3, 7, 12, 0, 4, 8]


def test_a_place_changes_at_once_and_only_of_who_has_one(schedule):
    schedule.add(0)
    schedule.add(4)
    schedule.prioritise(4, 1, incremental=False)
    assert schedule.first() == 4
    schedule.prioritise(4, 3, incremental=False)
    assert schedule.first() == 0
    assert not schedule._lane_of, "the usual place needs no note"
    schedule.prioritise(8, 0, incremental=False)
    assert 8 not in schedule
    assert schedule.lane(8) < schedule.lane(0) == schedule.lane(4)
    assert schedule.lane(3) == 0


def test_what_is_forgotten_leaves_nothing(schedule):
    schedule.prioritise(0, 5, incremental=True)
    schedule.add(0)
    schedule.to_tell[0] = None
    schedule.forget(0)
    assert not len(schedule)
    assert schedule.first() is None
    assert not schedule.to_tell
    assert not schedule._lane_of
    assert not any(schedule._streams)
