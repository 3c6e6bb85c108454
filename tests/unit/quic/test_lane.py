"""Tests for edgeproxy/quic/lane.py."""

import math

import pytest
from aioquic import tls
from aioquic.quic import events
from aioquic.quic.packet import QuicErrorCode
from aioquic.quic.rangeset import RangeSet

from edgeproxy.quic.acknowledged import _read_ack
from edgeproxy.quic.lane import SAMPLE_BYTES, SentPacket, masks
from tests.support.quic import SERVER, Pair, uint_var, write_frames
from tests.support.quic_stories import SlowWriter

SUITES = [
    tls.CipherSuite.AES_128_GCM_SHA256,
    tls.CipherSuite.AES_256_GCM_SHA384,
    tls.CipherSuite.CHACHA20_POLY1305_SHA256,
]


def asked(pair, *streams):
    for stream_id in streams:
        pair.client.send_stream_data(stream_id, b"?", end_stream=True)
    pair.run(3)


def fast(pair):
    """The packets under way that were made here."""
    sent = pair.server._spaces[tls.Epoch.ONE_RTT].sent_packets.values()
    return [each for each in sent if isinstance(each, SentPacket)]


@pytest.mark.parametrize("suite", SUITES)
def test_content_goes_in_packets_of_ours_with_any_cipher(settings, suite):
    pair = Pair(settings, server_name="a.test", cipher_suites=[suite]).run()
    asked(pair, 0)
    content = bytes(range(256)) * 400
    pair.server.queue(0, content, end=True)
    (burst,) = pair.server.bursts(pair.now)
    assert len(fast(pair)) == -(-len(burst.data) // burst.size) > 1
    for at in range(0, len(burst.data), burst.size):
        data = bytes(burst.data[at : at + burst.size])
        pair.client.receive_datagram(data, SERVER, pair.now)
    assert (
        pair.client._spaces[tls.Epoch.ONE_RTT].largest_received_packet
        == fast(pair)[-1].packet_number
    )
    pair.run(30)
    assert pair.received(0) == content
    assert pair.closed is None


def test_the_lane_is_shut_while_anything_else_is_to_be_said(pair):
    server = pair.server
    assert server.is_lane_open
    server._network_paths[0].is_validated = False
    assert not server.is_lane_open
    server._network_paths[0].is_validated = True
    server._probe_pending = True
    assert not server.is_lane_open
    server._probe_pending = False
    server.request_key_update()
    assert not server.is_lane_open
    asked(pair, 0)
    server.queue(0, b"!", end=True)
    pair.run(5)
    assert server.is_lane_open
    assert server.keys.send.key_phase == pair.client._cryptos[tls.Epoch.ONE_RTT].key_phase == 1
    server.finish(0x100)
    assert not server.is_lane_open


def test_no_more_leaves_than_the_window_and_the_pacer_allow(pair):
    asked(pair, 0)
    server, cc = pair.server, pair.server._loss._cc
    server.queue(0, bytes(60_000))
    pair.now += 1.0
    while server.bursts(pair.now) and cc.congestion_window - cc.bytes_in_flight >= 1452:
        assert server._pacing_at > pair.now
        pair.now = server._pacing_at
    assert cc.congestion_window - 1452 < cc.bytes_in_flight <= cc.congestion_window
    assert not server.bursts(pair.now)
    assert server._pacing_at is None, "what waits for an acknowledgement needs no timer for pacing"


def test_packets_are_registered_with_what_is_in_them(pair):
    asked(pair, 0, 4)
    pair.server.queue(0, b"a" * 100, end=True)
    pair.server.queue(4, b"b" * 3000)
    first = pair.server._packet_number
    (burst,) = pair.server.bursts(pair.now)
    one, two, three = fast(pair)
    names = [(sender.stream_id, *rest) for sender, *rest in one.frames]
    assert names[0] == (0, 0, 100, True)
    assert names[1][:2] == (4, 0)
    assert [each.packet_number for each in (one, two, three)] == [first, first + 1, first + 2]
    assert one.sent_bytes == two.sent_bytes == burst.size
    assert sum(each.sent_bytes for each in fast(pair)) == len(burst.data)
    (_, start, stop, is_end), *_ = three.frames
    assert start > 0
    assert (stop, is_end) == (3000, False)
    assert pair.server._remote_max_data_used == 3100


def test_packets_that_are_lost_are_said_to_be_as_aioquic_asks():
    told = []

    class Sender:
        def on_data_delivery(self, *what):
            told.append(what)

    packet = SentPacket(3, 1.0, 1200, ((Sender(), 5, 9, True),), (told.append, ("an ACK",)))
    for handler, arguments in packet.delivery_handlers:
        handler(*arguments)
    assert told == ["an ACK", (5, 9, True)]


def test_an_acknowledgement_that_is_due_goes_along(pair):
    asked(pair, 0)
    space = pair.server._spaces[tls.Epoch.ONE_RTT]
    pair.client.send_ping(7)
    pair.to_server()
    assert space.ack_at > pair.now, "it could wait"
    pair.server.queue(0, b"content")
    (burst,) = pair.server.bursts(pair.now)
    assert space.ack_at is None
    pair.client.receive_datagram(bytes(burst.data), SERVER, pair.now)
    pair.to_client()
    assert [each.uid for each in pair.of(events.PingAcknowledged)] == [7]
    packet, *_ = fast(pair)
    assert packet.acknowledging is not None
    pair.run(3)
    assert len(space.ack_queue) <= 1, "what was said and heard is not said again"


def test_what_nothing_goes_with_is_acknowledged_alone_in_time(pair):
    pair.run(5)
    pair.client.send_ping(7)
    pair.to_server()
    assert not pair.server.bursts(pair.now)
    pair.now = pair.server.timer()
    (burst,) = pair.server.bursts(pair.now)
    assert len(burst.data) < 100
    assert pair.server._spaces[tls.Epoch.ONE_RTT].ack_at is None


def test_ranges_of_an_acknowledgement_are_the_newest(pair):
    space = pair.server._spaces[tls.Epoch.ONE_RTT]
    space.ack_queue = RangeSet([range(10 * n, 10 * n + 1 + n % 3) for n in range(50)])
    space.largest_received_time = pair.now - 0.008
    frame = pair.server._ack_frame(space, pair.now)
    ranges, delay, end = _read_ack(frame, 0)
    assert end == len(frame)
    assert delay << 3 == 8000
    assert ranges == [(each.start, each.stop - 1) for each in reversed(list(space.ack_queue)[-32:])]


def test_an_end_alone_is_a_frame_and_so_is_one_that_was_lost(pair):
    asked(pair, 0)
    server = pair.server
    server.queue(0, b"content")
    pair.run(3)
    server.queue(0, b"", end=True)
    assert server.bursts(pair.now)  # and lost
    packet, *_ = fast(pair)
    ((_, start, stop, is_end),) = packet.frames
    assert (start, stop, is_end) == (7, 7, True)
    pair.run(60)
    assert [each.end_stream for each in pair.of(events.StreamDataReceived)] == [False, True]
    assert not fast(pair)


def test_a_window_that_is_shut_is_waited_for(pair):
    asked(pair, 0, 4)
    server = pair.server
    for stream_id in (0, 4):
        server._streams[stream_id].max_stream_data_remote = 5000
        server.queue(stream_id, bytes(20_000), end=True)
    server._remote_max_data = 7000
    pair.run(10)
    assert (len(pair.received(0)), len(pair.received(4))) == (5000, 2000)
    assert server._shut == {0, 4}
    assert not len(server._schedule)
    write_frames(pair, b"\x11\x00" + uint_var(6000))
    pair.run(10)
    assert len(pair.received(0)) == 5000, "the connection's is shut"
    write_frames(pair, b"\x10" + uint_var(100_000))
    pair.run(10)
    assert (len(pair.received(0)), len(pair.received(4))) == (6000, 5000)
    write_frames(pair, b"\x11\x00" + uint_var(1 << 20) + b"\x11\x04" + uint_var(1 << 20))
    pair.run(20)
    assert (len(pair.received(0)), len(pair.received(4))) == (20_000, 20_000)
    assert server._remote_max_data_used == 40_000
    assert pair.closed is None


def test_both_lanes_put_off_the_end_of_an_idle_connection_alike(settings):
    ends = []
    for kind in (None, SlowWriter):
        pair = Pair(
            settings, server_name="a.test", **({} if kind is None else {"kind": kind})
        ).run()
        asked(pair, 0)
        heard = pair.now
        for _ in range(5):  # the first of these does, and no other
            pair.now += 1.0
            pair.server.queue(0, b"nobody hears this")
            assert pair.server.bursts(pair.now)
        ends.append(pair.server._close_at - heard)
        pair.now = pair.server._close_at
        pair.server.on_timer(pair.now)
        assert pair.server.is_over
        assert pair.server.error_code == QuicErrorCode.INTERNAL_ERROR
    assert ends[0] == pytest.approx(ends[1])
    assert ends[0] == pytest.approx(1.0 + settings.limits.idle_seconds)


@pytest.mark.parametrize("suite", SUITES)
def test_masks_of_many_are_those_of_each(settings, suite):
    pair = Pair(settings, server_name="a.test", cipher_suites=[suite]).run(5)
    protection = pair.server.keys.send.hp
    samples = [bytes([n]) * SAMPLE_BYTES for n in range(5)]
    found = masks(protection, samples)
    for n, sample in enumerate(samples):
        assert found[n * SAMPLE_BYTES :][:5] == protection._mask(sample)[:5]


def test_much_content_leaves_in_portions_where_the_path_is_long(pair):
    asked(pair, 0)
    server = pair.server
    server._loss._cc.congestion_window = 240_000
    server._loss._pacer.update_rate(congestion_window=240_000, smoothed_rtt=0.1)
    portion = server._loss._pacer.portion
    assert portion == 8
    server.queue(0, bytes(150_000))
    of_much, of_the_rest = [], []
    now = pair.now
    while now < pair.now + 0.09:
        left = server._schedule.outstanding_bytes - server._loss._cc.bytes_in_flight
        for each in server.bursts(now):
            packets = math.ceil(len(each.data) / each.size)
            (of_much if left >= portion * 1452 else of_the_rest).append(packets)
        now = max(now + 0.0005, min(server.timer(), now + 0.001))
    assert len(of_much) > 5
    assert min(of_much) >= portion
    assert 0 < min(of_the_rest) < portion
    assert sum(of_much) + sum(of_the_rest) >= 150_000 // 1452


def test_a_client_without_connection_ids_of_its_own_reads_them_as_well(settings):
    pair = Pair(settings, server_name="a.test", connection_id_length=0).run()
    asked(pair, 0)
    assert pair.server._peer_cid.cid == b""
    pair.server.queue(0, bytes(30_000), end=True)
    assert pair.server.bursts(pair.now)
    assert fast(pair)
    pair.run(60)
    assert pair.received(0) == bytes(30_000)


def test_all_packets_of_a_burst_are_of_one_size_but_the_last(pair):
    streams = [4 * n for n in range(12)]
    asked(pair, *streams)
    pair.server._loss._pacer.packet_time = None
    for n, stream_id in enumerate(streams):
        pair.server.prioritise(stream_id, 3, incremental=n % 3 == 0)
        pair.server.queue(stream_id, bytes(900 + 97 * n), end=True)
    (burst,) = pair.server.bursts(pair.now)
    sizes = [each.sent_bytes for each in fast(pair)]
    assert len(sizes) > 5
    assert set(sizes[:-1]) == {burst.size}
    assert sizes[-1] <= burst.size
    assert sum(sizes) == len(burst.data)
    first = fast(pair)[0].packet_number
    for at in range(0, len(burst.data), burst.size):
        pair.client.receive_datagram(bytes(burst.data[at : at + burst.size]), SERVER, pair.now)
    received = list(pair.client._spaces[tls.Epoch.ONE_RTT].ack_queue)[-1]
    assert received.stop - 1 == first + len(sizes) - 1
    assert received.start <= first
