"""Tests for edgeproxy/quic/frames.py: what a client with keys of its own may not do."""

import dataclasses

import pytest
from aioquic import tls
from aioquic.quic import events
from aioquic.quic.crypto import CryptoPair
from aioquic.quic.packet import QuicErrorCode, QuicPacketType
from aioquic.quic.packet_builder import QuicPacketBuilder

from edgeproxy.quic import connection
from edgeproxy.quic.frames import CRYPTO_BYTES_MAX, RANGES_MAX
from edgeproxy.tls.contexts import FrontContext
from edgeproxy.wire.limits import Limits
from tests.support.quic import (
    Pair,
    any_identity,
    datagrams_of,
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


def crypto(offset, data):
    return b"\x06" + uint_var(offset) + uint_var(len(data)) + data


def stream(stream_id, offset, data):
    return b"\x0e" + uint_var(stream_id) + uint_var(offset) + uint_var(len(data)) + data


def ended_with(pair):
    pair.run(2)
    return None if pair.closed is None else pair.closed.error_code


def write_initial(pair, frames, number=0):
    """Send raw frames in an Initial packet of the client's."""
    client = pair.client
    original_id = client._original_destination_connection_id
    keys = CryptoPair()
    keys.setup_initial(original_id, is_client=True, version=1)
    builder = QuicPacketBuilder(
        host_cid=client.host_cid,
        peer_cid=original_id,
        version=1,
        is_client=True,
        max_datagram_size=1200,
        packet_number=number,
    )
    builder.start_packet(QuicPacketType.INITIAL, keys)
    builder._buffer.push_bytes(frames)
    builder._packet.is_ack_eliciting = builder._packet.in_flight = True
    ((datagram,), _) = builder.flush()
    pair.feed(datagram)


def held_by(connection):
    """Octets that wait for others in buffers of a connection."""
    receivers = [each.receiver for each in connection._crypto_streams.values()]
    receivers += [each.receiver for each in connection._streams.values()]
    return sum(len(each._buffer) for each in receivers)


@pytest.mark.parametrize("offset", [524_000, CRYPTO_BYTES_MAX])
def test_one_packet_pins_no_half_megabyte(settings, offset):
    pair = Pair(settings, server_name="a.test")
    write_initial(pair, crypto(offset, b"x"))
    assert held_by(pair.server) <= CRYPTO_BYTES_MAX
    assert pair.server.error_code == QuicErrorCode.CRYPTO_BUFFER_EXCEEDED


def test_handshake_data_in_many_pieces(settings):
    pair = Pair(settings, server_name="a.test")
    write_initial(pair, b"".join(crypto(2 * n, b"x") for n in range(1, 200)))
    assert pair.server.error_code is None
    write_initial(pair, b"".join(crypto(2 * n, b"x") for n in range(200, 300)), 1)
    assert pair.server.error_code == QuicErrorCode.INTERNAL_ERROR


def test_handshake_data_behind_the_handshake(pair):
    key_update = b"\x18\x00\x00\x01\x00"
    write_frames(pair, crypto(0, key_update))
    assert ended_with(pair) == QuicErrorCode.CRYPTO_ERROR + 10


def test_handshake_data_of_a_later_level(settings):
    pair = Pair(settings, server_name="a.test")
    pair.to_server()
    pair.to_client()  # the server waits for Finished now, in a packet of the next level
    hello = pair.server._crypto_streams[tls.Epoch.INITIAL].receiver.highest_offset
    write_initial(pair, crypto(hello, b"\x14\x00\x00\x20" + bytes(32)), 10)
    assert pair.server.error_code == QuicErrorCode.PROTOCOL_VIOLATION


def test_content_in_many_pieces(pair):
    for first in range(0, 2 * RANGES_MAX, 80):
        frames = b"".join(stream(0, 1 + 2 * n, b"x") for n in range(first, first + 80))
        write_frames(pair, frames)
    assert ended_with(pair) == QuicErrorCode.INTERNAL_ERROR
    assert held_by(pair.server) <= 64 * 1024


def test_content_that_was_overtaken_is_put_together(pair):
    for n in range(100, 0, -1):
        write_frames(pair, stream(0, n, b"x"))
    write_frames(pair, stream(0, 0, b"x"))
    assert ended_with(pair) is None
    got = pair.of(events.StreamDataReceived, server=True)
    assert b"".join(each.data for each in got) == b"x" * 101


def test_windows_do_not_open_by_what_arrives(pair):
    window = pair.settings.stream_window
    limit = pair.settings.connection_window
    for n in range(7):  # as many small frames as once made 64 MiB of it
        write_frames(pair, stream(0, window // 2 + n, b"x"))
        pair.run(2)
    assert pair.server._streams[0].max_stream_data_local == window
    assert pair.server._local_max_data.value == limit
    assert held_by(pair.server) <= window
    write_frames(pair, stream(0, window, b"x"))
    assert ended_with(pair) == QuicErrorCode.FLOW_CONTROL_ERROR


def test_what_was_not_sent_cannot_be_acknowledged(pair):
    write_frames(pair, b"\x02" + uint_var(100_000) + b"\x00\x00\x00")
    assert ended_with(pair) == QuicErrorCode.PROTOCOL_VIOLATION


@pytest.mark.parametrize(
    "frame",
    [
        b"\x01",  # PING
        b"\x1a" + bytes(8),  # PATH_CHALLENGE
        b"\x14\x00",  # DATA_BLOCKED
        b"\x10\x01",  # MAX_DATA that raises nothing
        b"\x11\x00\x01",  # MAX_STREAM_DATA, the same
        b"\x02\x00\x00\x00\x00",  # ACK after ACK in one packet
        b"\x0a\x00\x00",  # STREAM without anything
        b"\x0b\x00\x00",  # STREAM that ends again
        b"\x0b\x00\x01x",  # the same with content
        b"\x06\x00\x00",  # CRYPTO without anything
        b"\x05\x00\x01",  # STOP_SENDING
    ],
)
def test_frames_that_do_nothing_are_counted(pair, frame):
    count = 1100 // len(frame)
    for _ in range(1 + 1200 // count):
        write_frames(pair, frame * count)
    assert ended_with(pair) == QuicErrorCode.INTERNAL_ERROR


def test_the_ends_of_many_streams_are_not_counted(pair):
    for _ in range(75):
        for _ in range(20):
            stream_id = pair.client.get_next_available_stream_id()
            pair.client.send_stream_data(stream_id, b"x", end_stream=True)
        pair.to_server()
        for each in range(stream_id - 76, stream_id + 4, 4):
            pair.server.queue(each, b"", end=True)
        pair.run(4, step=0.02)
    assert pair.server._local_max_streams_bidi.used == 1500
    assert ended_with(pair) is None


def test_ends_of_streams_that_are_gone_are_counted(pair):
    pair.client.send_stream_data(0, b"hello", end_stream=True)
    pair.run(2)
    pair.server.queue(0, b"hello", end=True)
    pair.run(5)
    assert 0 not in pair.server._streams
    for _ in range(4):
        write_frames(pair, b"\x0b\x00\x00" * 300)
    assert ended_with(pair) == QuicErrorCode.INTERNAL_ERROR


def test_who_acknowledges_content_may_ask_for_acknowledgements_as_often(pair):
    pair.client.send_stream_data(0, b"hello")
    pair.run(2)
    for _ in range(1500):
        pair.server.queue(0, b"x")
        write_frames(pair, b"\x01")
        pair.run(1, step=0.001)
    assert ended_with(pair) is None


def test_content_in_small_pieces_is_counted():
    limits = dataclasses.replace(Limits(), small_data_frames_burst=300)
    pair = Pair(settings_of(FrontContext([any_identity()]), limits=limits), server_name="a.test")
    pair.run()
    for first in range(0, 250, 50):
        write_frames(pair, b"".join(stream(0, n, b"x") for n in range(first, first + 50)))
    assert ended_with(pair) is None
    for first in range(250, 400, 50):
        write_frames(pair, b"".join(stream(0, n, b"x") for n in range(first, first + 50)))
    assert ended_with(pair) == QuicErrorCode.INTERNAL_ERROR


def test_who_acknowledges_nothing_is_not_remembered_for_ever(pair, monkeypatch):
    monkeypatch.setattr(connection, "SENT_PACKETS_MAX", 100)
    for n in range(500):
        write_frames(pair, stream(0, 100 * n, bytes(100)))
        datagrams_of(pair.server, pair.now)  # lost, or not acknowledged
        pair.now += 0.01
    assert len(pair.server._spaces[tls.Epoch.ONE_RTT].sent_packets) <= 103
    assert pair.server.error_code == QuicErrorCode.INTERNAL_ERROR


def test_windows_that_open_are_not_counted(pair):
    pair.client.send_stream_data(0, b"hello")
    pair.run(2)
    limit = 1 << 24
    for n in range(0, 3000, 100):
        frames = b"".join(b"\x11\x00" + uint_var(limit + 2048 * each) for each in range(n, n + 100))
        write_frames(pair, frames)
    assert ended_with(pair) is None


def test_a_client_without_connection_ids_cannot_replace_them(settings):
    pair = Pair(settings, server_name="a.test", connection_id_length=0).run()
    write_frames(pair, b"\x18\x01\x00\x08" + bytes(8) + bytes(16))
    assert ended_with(pair) == QuicErrorCode.PROTOCOL_VIOLATION


def test_the_last_connection_id_cannot_be_retired(pair):
    server = pair.server
    server._peer_cid_available.clear()
    number = max(server._peer_cid_sequence_numbers)
    frame = b"\x18" + uint_var(number) + uint_var(number) + b"\x08" + bytes(8) + bytes(16)
    write_frames(pair, frame)
    assert server.error_code == QuicErrorCode.PROTOCOL_VIOLATION


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (b"\x0a\x03\x01x", QuicErrorCode.STREAM_STATE_ERROR),  # on a stream of ours
        (b"\x0a" + uint_var(4 * 100) + b"\x01x", QuicErrorCode.STREAM_LIMIT_ERROR),
        (b"\x0b\x00\x01x" + b"\x0b\x00\x02xy", QuicErrorCode.FINAL_SIZE_ERROR),
        (b"\x04\x00\x00" + uint_var(1 << 20), QuicErrorCode.FLOW_CONTROL_ERROR),
        (b"\x1e", QuicErrorCode.PROTOCOL_VIOLATION),  # HANDSHAKE_DONE is the server's
        (b"\x07\x01x", QuicErrorCode.PROTOCOL_VIOLATION),  # NEW_TOKEN, too
        (b"\x30x", QuicErrorCode.PROTOCOL_VIOLATION),  # DATAGRAM was not agreed on
        (b"\x19\x40\xff", QuicErrorCode.PROTOCOL_VIOLATION),  # retires what was not given
        (b"\x40\x99", QuicErrorCode.FRAME_ENCODING_ERROR),
    ],
)
def test_limits_and_states_are_kept(pair, frames, code):
    write_frames(pair, frames)
    assert ended_with(pair) == code
