"""Tests for edgeproxy/quic/wheel.py."""

import random

from edgeproxy.quic.wheel import Wheel


def test_members_are_due_at_their_deadlines_and_not_before():
    wheel = Wheel()
    wheel.put("a", 1.0101, 1.0)
    wheel.put("b", 1.0054, 1.0)
    assert wheel.next_at() == 1.006
    assert wheel.due(1.005) == []
    assert wheel.due(1.006) == ["b"]
    assert wheel.due(1.0105) == []
    assert wheel.due(1.011) == ["a"]
    assert wheel.next_at() is None


def test_a_deadline_that_is_over_is_a_tick_away():
    wheel = Wheel()
    wheel.put("a", 0.5, 1.0)
    assert wheel.next_at() == 1.001


def test_one_member_has_one_deadline():
    wheel = Wheel()
    for at in (9.0, 1.5, 3.0):
        wheel.put("a", at, 1.0)
    assert len(wheel) == 1
    assert wheel.due(2.9) == []
    wheel.put("a", None, 1.0)
    wheel.put("never there", None, 1.0)
    assert wheel.due(100.0) == []
    assert not len(wheel)


def test_what_is_far_is_rounded_up_so_that_few_slots_are_made():
    wheel = Wheel()
    for number in range(10_000):
        wheel.put(number, 31.0 + number / 10_000, 1.0)
    assert len(wheel._slots) == 11
    assert wheel.next_at() == 31.0


def test_moving_deadlines_about_leaves_nothing_behind():
    wheel, chance, now = Wheel(), random.Random(1), 1.0
    for _ in range(20_000):
        now += 0.0005
        wheel.put(chance.randrange(50), now + chance.choice((0.005, 0.1, 60.0)), now)
        wheel.due(now)
    assert len(wheel) <= 50
    assert len(wheel._slots) < 1000
    assert len(wheel._ticks) == len(wheel._slots)
