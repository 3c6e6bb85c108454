"""Tests for edgeproxy/quic/acknowledged.py; that it does as aioquic does is in properties/."""

import pytest
from aioquic import tls
from aioquic.quic import events
from aioquic.quic.connection import QuicConnectionError
from aioquic.quic.packet import QuicErrorCode

from edgeproxy.quic.acknowledged import _read_ack
from edgeproxy.quic.lane import SentPacket
from edgeproxy.tls.contexts import FrontContext
from tests.support.quic import (
    Pair,
    any_identity,
    datagrams_of,
    settings_of,
    write_frames,
)
from tests.support.quic import (
    ack_frame as ack,
)


@pytest.fixture
def pair():
    settings = settings_of(FrontContext([any_identity()]))
    return Pair(settings, server_name="a.test").run()


def asked(pair, *streams):
    for stream_id in streams:
        pair.client.send_stream_data(stream_id, b"?", end_stream=True)
    pair.run(3)


def test_counts_of_marks_are_read_and_passed_over(pair):
    write_frames(pair, ack(3, kind=3, counts=(1, 1 << 20, 3)) + b"\x08\x00behind")
    (heard,) = pair.of(events.StreamDataReceived, server=True)
    assert heard.data == b"behind"


def test_who_acknowledges_over_and_over_is_sent_away(pair):
    write_frames(pair, ack(3) * 200)
    assert pair.server.error_code is None, "the first thousand are free"
    for _ in range(9):
        write_frames(pair, ack(3) * 200)
    assert pair.server.error_code == QuicErrorCode.INTERNAL_ERROR


def test_losses_are_found_and_content_goes_again(pair):
    asked(pair, 0)
    space = pair.server._spaces[tls.Epoch.ONE_RTT]
    sender = pair.server._streams[0].sender
    pair.server.queue(0, bytes(9000))
    first = pair.server._packet_number
    while pair.server._packet_number < first + 6:
        pair.now += 0.001
        datagrams_of(pair.server, pair.now)
    _, start, stop, _ = space.sent_packets[first + 2].frames[0]
    write_frames(pair, ack(first + 5, 1))
    assert list(space.sent_packets)[:1] == [first + 3]
    assert sender.lost == [(0, stop)]
    assert start < stop
    assert space.loss_time is not None
    pair.run(30)
    assert sender.acknowledged == 9000
    assert not [each for each in space.sent_packets.values() if each.is_ack_eliciting]
    assert pair.server._lowest_sent > first + 5


def test_ranges_are_read_from_the_largest_down():
    frame = b"xx" + ack(100, 10, 0, 0, 5, 20, delay=9) + b"rest"
    assert _read_ack(frame, 2) == ([(90, 100), (88, 88), (61, 81)], 9, len(frame) - 4)
    for size in range(3, len(frame) - 4):
        with pytest.raises(QuicConnectionError):
            _read_ack(frame[:size], 2)


def test_what_is_acknowledged_again_changes_nothing(pair):
    asked(pair, 0)
    loss, space = pair.server._loss, pair.server._spaces[tls.Epoch.ONE_RTT]
    pair.server.queue(0, bytes(3000))
    first = pair.server._packet_number
    datagrams_of(pair.server, pair.now)
    pair.now += 0.05
    write_frames(pair, ack(first))
    rtt = loss._rtt_latest, loss._rtt_smoothed
    assert loss._rtt_latest == pytest.approx(0.05)
    in_flight = loss.bytes_in_flight, list(space.sent_packets)
    pair.now += 0.05
    write_frames(pair, ack(first) * 3)
    assert (loss._rtt_latest, loss._rtt_smoothed) == rtt
    assert (loss.bytes_in_flight, list(space.sent_packets)) == in_flight


def test_the_delay_that_a_peer_owns_up_to_is_taken_off_within_limits(pair):
    asked(pair, 0)
    loss = pair.server._loss
    least = loss._rtt_min
    for delay, seconds in ((10_000 >> 3, 0.01), (1 << 40, loss.max_ack_delay), (0, 0.0)):
        pair.server.queue(0, bytes(100))
        number = pair.server._packet_number
        datagrams_of(pair.server, pair.now)
        pair.now += 0.1
        write_frames(pair, ack(number, delay=delay))
        assert loss._rtt_latest == pytest.approx(0.1 - seconds, abs=1e-4)
    assert loss._rtt_min == least


def test_packets_of_both_lanes_are_acknowledged_by_one_frame(pair):
    asked(pair, 0)
    space = pair.server._spaces[tls.Epoch.ONE_RTT]
    first = pair.server._packet_number
    pair.server.stop(0, 1)
    pair.server.open_unidirectional()
    pair.server.queue(3, b"by one lane")
    datagrams_of(pair.server, pair.now)
    pair.server._probe_pending = True
    pair.server.queue(0, b"by the other", end=True)
    pair.now += 0.05
    datagrams_of(pair.server, pair.now)
    kinds = {isinstance(each, SentPacket) for n, each in space.sent_packets.items() if n >= first}
    assert kinds == {True, False}
    write_frames(pair, ack(pair.server._packet_number - 1, pair.server._packet_number - 1))
    assert not space.sent_packets
    assert space.ack_eliciting_in_flight == 0
    assert pair.server._loss.bytes_in_flight == 0
    assert space.loss_time is None
    assert pair.server._schedule.outstanding_bytes == 0


def test_an_ack_of_all_there_ever_was_costs_what_is_there(pair):
    asked(pair, 0)
    write_frames(pair, ack(pair.server._packet_number - 1, pair.server._packet_number - 1))
    assert pair.server.error_code is None
    assert pair.server._lowest_sent <= pair.server._packet_number
