"""Tests for edgeproxy/quic/pacing.py."""

import pytest

from edgeproxy.quic.pacing import BURST_PACKETS_MAX, Pacer
from edgeproxy.quic.wheel import TICK_SECONDS


def pacer_of(window, seconds):
    pacer = Pacer(max_datagram_size=1200)
    pacer.update_rate(congestion_window=window, smoothed_rtt=seconds)
    return pacer


def test_nothing_is_held_back_before_the_round_trip_is_known():
    pacer = Pacer(max_datagram_size=1200)
    assert pacer.allowed(1.0) == BURST_PACKETS_MAX
    pacer.sent(BURST_PACKETS_MAX)
    assert pacer.allowed(1.0) == BURST_PACKETS_MAX


@pytest.mark.parametrize(("window", "seconds"), [(12_000, 0.1), (600_000, 0.1), (60_000, 0.02)])
def test_in_a_round_trip_a_quarter_more_than_the_window_leaves(window, seconds):
    pacer = pacer_of(window, seconds)
    now, sent = 1.0, 0
    pacer.update_bucket(now=now)
    pacer.bucket_time = 0.0
    while now < 1.0 + seconds:
        now = max(now + TICK_SECONDS, pacer.next_send_time(now=now) or now)
        packets = pacer.allowed(now)
        pacer.sent(packets)
        sent += packets
    octets = 1.25 * window * (now - 1.0) / seconds
    assert abs(1200 * sent - octets) <= 2 * 1200


def test_what_was_not_used_is_saved_up_to_a_burst():
    pacer = pacer_of(120_000, 0.1)
    assert pacer.allowed(100.0) == int(pacer.bucket_max / pacer.packet_time)
    pacer.sent(1000)
    assert pacer.bucket_time == -pacer.packet_time
    assert pacer.allowed(100.0) == 0
    assert pacer.next_send_time(now=100.0) == 100.0 + pacer.packet_time


def test_a_short_path_is_not_held_to_a_burst_a_tick():
    pacer = pacer_of(120_000, 0.0005)
    assert pacer.allowed(1.0) == BURST_PACKETS_MAX
    assert pacer.bucket_max * 1.0001 >= min(TICK_SECONDS, BURST_PACKETS_MAX * pacer.packet_time)


def test_both_ways_to_ask_agree():
    one, other = pacer_of(60_000, 0.05), pacer_of(60_000, 0.05)
    now = 1.0
    for _ in range(50):
        packets = one.allowed(now)
        one.sent(packets)
        singly = 0
        while other.next_send_time(now=now) is None:
            other.update_after_send(now=now)
            singly += 1
        assert abs(packets - singly) <= 1
        now += 0.002


def test_a_portion_is_a_small_part_of_the_window_and_one_where_time_is_short():
    assert Pacer(max_datagram_size=1200).portion == 1
    for packets, portion in ((10, 1), (40, 6), (100, 8), (1000, 1)):
        assert pacer_of(packets * 1200, 0.1).portion == portion
    assert pacer_of(120_000, 0.001).portion == 1
