"""RFC 9000 and 9002 as a stock client sees them: packets, acknowledgements, loss, paths.

In memory, with time in hand; what is asked of single frames is in `unit/quic`.
"""

from itertools import pairwise

import pytest
from aioquic import tls
from aioquic.buffer import Buffer
from aioquic.quic.packet import QuicPacketType, pull_quic_header
from aioquic.quic.recovery import MAX_ACK_RANGES

from edgeproxy.tls.contexts import FrontContext
from tests.support.quic import (
    CLIENT,
    SERVER,
    Pair,
    any_identity,
    datagrams_of,
    packet_of,
    settings_of,
    uint_var,
    write_frames,
)


@pytest.fixture
def settings():
    return settings_of(FrontContext([any_identity()]))


@pytest.fixture
def pair(settings):
    return Pair(settings, server_name="a.test").run()


def packets_in(data):
    buf, kinds = Buffer(data=data), []
    while not buf.eof():
        start = buf.tell()
        try:
            header = pull_quic_header(buf, 8)
        except ValueError:
            break  # padding behind the last packet
        kinds.append(header.packet_type)
        buf.seek(start + header.packet_length)
    return kinds


def downloading(pair, octets):
    pair.client.send_stream_data(0, b"?", end_stream=True)
    pair.run(3)
    pair.server.queue(0, bytes(octets), end=True)


def deaf(pair, is_deaf):
    pair.client_address = ("nowhere", 0) if is_deaf else CLIENT


# --- packets and acknowledgements ----------------------------------------------------------------


def test_packets_of_one_flight_share_datagrams(settings):
    pair = Pair(settings, server_name="a.test")
    pair.to_server()
    (first, _), *_ = datagrams_of(pair.server, pair.now)
    assert packets_in(first) == [QuicPacketType.INITIAL, QuicPacketType.HANDSHAKE]
    assert len(first) == 1200


def test_a_client_may_do_the_same(settings):
    pair = Pair(settings, server_name="a.test").run()
    assert any(len(packets_in(data)) > 1 for data in pair.sent_by_client)
    assert pair.server._handshake_complete


def test_an_acknowledgement_comes_within_the_delay_that_was_promised(pair):
    pair.client.send_stream_data(0, b"x")
    pair.to_server()
    assert pair.server.timer() <= pair.now + 0.025
    pair.now = pair.server.timer()
    pair.server.on_timer(pair.now)
    pair.to_client()
    assert not pair.client._spaces[tls.Epoch.ONE_RTT].sent_packets


def test_acknowledgements_are_not_acknowledged(pair):
    pair.client.send_stream_data(0, b"x")
    pair.run(10)
    for _ in range(20):
        write_frames(pair, b"\x02\x00\x00\x00\x00")
        assert datagrams_of(pair.server, pair.now) == []
        assert pair.server._spaces[tls.Epoch.ONE_RTT].ack_at is None


def test_ranges_of_acknowledgements_are_bounded(pair):
    for number in range(400):
        data = packet_of(pair.client, b"\x01", pair.now)
        if number % 2:
            pair.feed(data)
    space = pair.server._spaces[tls.Epoch.ONE_RTT]
    assert len(space.ack_queue) <= MAX_ACK_RANGES
    assert len(space.received_packets._received) <= 4 * MAX_ACK_RANGES


def test_a_packet_that_comes_twice_counts_once(pair):
    data = packet_of(pair.client, b"\x0a\x00\x03abc", pair.now)
    for _ in range(5):
        pair.feed(data)
    assert pair.server._receipts[0].delivered == 3


def test_counts_of_ecn_are_read_and_not_used(pair):
    write_frames(pair, b"\x03\x00\x00\x00\x00" + uint_var(5) + uint_var(6) + uint_var(7))
    pair.run(3)
    assert pair.closed is None


# --- loss and congestion -------------------------------------------------------------------------


def test_what_is_lost_is_sent_again_and_halves_the_window(pair):
    downloading(pair, 300_000)
    pair.run(3)
    pair.to_server()
    pair.now += 0.01
    assert pair.server._loss._cc.ssthresh is None
    lost = datagrams_of(pair.server, pair.now)
    assert lost
    pair.run(5)
    assert pair.server._loss._cc.ssthresh is not None
    pair.run(200)
    assert pair.received(0) == bytes(300_000)


def test_silence_is_probed_at_doubling_intervals(pair):
    downloading(pair, 5000)
    assert datagrams_of(pair.server, pair.now)
    times = []
    for _ in range(200):
        pair.now = max(pair.now, pair.server.timer())
        pair.server.on_timer(pair.now)
        if datagrams_of(pair.server, pair.now):
            times.append(pair.now)
        if len(times) > 6:
            break
    gaps = [later - earlier for earlier, later in pairwise(times[1:])]
    assert all(later > 1.8 * earlier for earlier, later in pairwise(gaps))


def test_persistent_congestion_shuts_the_window(pair):
    downloading(pair, 400_000)
    pair.run(8)
    deaf(pair, True)
    pair.run(100, step=0.02)
    deaf(pair, False)
    pair.client.send_ping(1)
    pair.run(20)
    assert pair.server._loss.congestion_window <= 20_000
    pair.run(400)
    assert pair.received(0) == bytes(400_000)


def test_a_full_window_is_not_sent_at_once(pair):
    downloading(pair, 500_000)
    pair.run(10)
    pair.server._loss._cc.congestion_window = 200_000
    pair.server._loss._pacer.update_rate(200_000, 0.05)
    pair.now += 1.0
    burst = len(datagrams_of(pair.server, pair.now))
    assert 0 < burst <= 20
    assert pair.server.timer() <= pair.now + 0.01


# --- paths ---------------------------------------------------------------------------------------


def test_a_challenge_is_answered_where_it_came_from(pair):
    other = ("198.51.100.1", 99)
    data = packet_of(pair.client, b"\x1a" + b"12345678", pair.now)
    pair.feed(data, other)
    assert pair.server.address == CLIENT, "a probe moves nothing"
    answers = [(data, to) for data, to in datagrams_of(pair.server, pair.now) if to == other]
    assert answers
    seen = []
    table = vars(pair.client)["_QuicConnection__frame_handlers"]
    table[0x1B] = (lambda _context, _kind, buf: seen.append(buf.pull_bytes(8)), table[0x1B][1])
    for data, _ in answers:
        pair.client.receive_datagram(data, SERVER, pair.now)
    assert seen == [b"12345678"]
    assert sum(len(data) for data, _ in answers) <= 3 * 1200
