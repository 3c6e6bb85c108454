"""Tests for edgeproxy/quic/receiving.py; that it reads as aioquic does is in properties/."""

import random

import pytest
from aioquic import tls
from aioquic.quic import events
from aioquic.quic.packet import QuicErrorCode, decode_packet_number

from edgeproxy.quic.receiving import _full_number
from edgeproxy.tls.contexts import FrontContext
from tests.support.quic import (
    CLIENT,
    Pair,
    any_identity,
    datagrams_of,
    packet_of,
    settings_of,
    uint_var,
    write_frames,
)
from tests.support.quic import (
    ack_frame as ack,
)

OTHER = ("198.51.100.7", 50000)


@pytest.fixture
def pair():
    settings = settings_of(FrontContext([any_identity()]))
    return Pair(settings, server_name="a.test").run()


def asked(pair, *streams):
    for stream_id in streams:
        pair.client.send_stream_data(stream_id, b"?", end_stream=True)
    pair.run(3)


@pytest.fixture
def slow(pair, monkeypatch):
    """Datagrams that aioquic read."""
    found = []
    receive = pair.server.receive_datagram

    def note(data, address, now):
        found.append(data)
        receive(data, address, now)

    monkeypatch.setattr(pair.server, "receive_datagram", note)
    return found


def test_what_a_client_usually_says_does_not_reach_aioquic(pair, slow):
    asked(pair, 0)
    pair.server.queue(0, bytes(100_000), end=True)
    pair.client.send_ping(1)
    pair.run(30)
    assert len(pair.received(0)) == 100_000
    assert pair.of(events.PingAcknowledged)
    assert slow == []


def test_what_else_comes_goes_to_aioquic_in_order(pair, slow):
    datagrams = []
    for n in range(4):
        pair.now += 0.01
        pair.client.send_stream_data(4 * n, bytes([n]))
        if n == 2:
            pair.client.request_key_update()
        ((data, _),) = pair.client.datagrams_to_send(pair.now)
        datagrams.append((data, OTHER if n == 1 else CLIENT))
    datagrams.insert(1, (b"\x40" + bytes(10), CLIENT))
    pair.server.take(datagrams, pair.now)
    heard = [each for each in pair.server.events() if isinstance(each, events.StreamDataReceived)]
    assert [each.stream_id for each in heard] == [0, 4, 8, 12]
    assert datagrams[0][0] not in slow
    assert datagrams[1][0] in slow
    assert datagrams[2][0] in slow
    assert pair.server.address == CLIENT, "the newest packet came from there"
    assert pair.server.keys.updates == 1


def test_what_was_taken_is_acknowledged_and_not_taken_again(pair):
    space = pair.server._spaces[tls.Epoch.ONE_RTT]
    pair.client.send_stream_data(0, b"once")
    ((data, _),) = pair.client.datagrams_to_send(pair.now)
    for _ in range(3):
        pair.feed(data)
    assert len(pair.of(events.StreamDataReceived, server=True)) == 1
    assert space.ack_at == pytest.approx(pair.now + 0.005), "one packet may wait"
    assert pair.server.keys.forgeries == 0


def test_only_packets_that_want_it_are_acknowledged(pair):
    asked(pair, 0)
    space = pair.server._spaces[tls.Epoch.ONE_RTT]
    pair.run(5)
    assert space.ack_at is None
    pair.server.queue(0, b"x")
    number = pair.server._packet_number
    datagrams_of(pair.server, pair.now)
    write_frames(pair, ack(number))
    assert space.ack_at is None
    write_frames(pair, bytes(20))
    assert space.ack_at is None
    write_frames(pair, b"\x01")
    waits = space.ack_at
    assert waits > pair.now
    write_frames(pair, ack(number) + bytes(3))
    assert space.ack_at == waits
    write_frames(pair, bytes(3) + b"\x01")
    assert space.ack_at == pair.now, "every second one is, at once"


def test_a_packet_puts_the_end_of_an_idle_connection_off(pair):
    before = pair.server._close_at
    pair.now += 7.0
    write_frames(pair, bytes(10))
    assert pair.server._close_at == pytest.approx(pair.now + pair.settings.limits.idle_seconds)
    assert pair.server._close_at > before
    assert not pair.server._ack_eliciting_sent_since_receipt


def test_nothing_is_read_behind_the_end(pair):
    first = packet_of(pair.client, b"\x21", pair.now)
    second = packet_of(pair.client, b"\x08\x00late", pair.now)
    pair.server.take([(first, CLIENT), (second, CLIENT)], pair.now)
    assert pair.server.error_code == QuicErrorCode.FRAME_ENCODING_ERROR
    assert pair.server._spaces[tls.Epoch.ONE_RTT].ack_at is None
    assert datagrams_of(pair.server, pair.now)
    assert pair.server.farewell


def test_what_comes_for_a_connection_that_was_let_go_of_is_nothing(pair, caplog):
    data = packet_of(pair.client, b"\x01", pair.now)
    pair.server.release()
    pair.server.take([(data, CLIENT)], pair.now)
    assert not caplog.records


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (b"\x02\x00", QuicErrorCode.FRAME_ENCODING_ERROR),
        (b"\x02\x00\x00\x01\x00", QuicErrorCode.FRAME_ENCODING_ERROR),
        (ack(3, 4), QuicErrorCode.FRAME_ENCODING_ERROR),
        (ack(3, 0, 2, 0), QuicErrorCode.FRAME_ENCODING_ERROR),
        (ack(3, 0, 0, 2), QuicErrorCode.FRAME_ENCODING_ERROR),
        (ack(3, kind=3), QuicErrorCode.FRAME_ENCODING_ERROR),
        (ack(3, kind=3, counts=(1, 2)), QuicErrorCode.FRAME_ENCODING_ERROR),
        (ack(1 << 40), QuicErrorCode.PROTOCOL_VIOLATION),
        (b"\x02\x03\x00" + uint_var((1 << 62) - 1) + b"\x00", QuicErrorCode.FRAME_ENCODING_ERROR),
        (b"\x01\x40", QuicErrorCode.FRAME_ENCODING_ERROR),
        (ack(3) + b"\x1e", QuicErrorCode.PROTOCOL_VIOLATION),
    ],
)
def test_frames_that_are_wrong_end_the_connection(pair, frames, code):
    write_frames(pair, frames)
    assert pair.server.error_code == code


def test_a_packet_without_frames_is_a_violation(pair):
    sealed = packet_of(pair.client, bytes(30), pair.now)
    context = pair.client._cryptos[tls.Epoch.ONE_RTT].send
    header = bytes([0x43]) + sealed[1:9] + (100).to_bytes(4, "big")
    pair.feed(context.encrypt_packet(header, b"", 100))
    assert pair.server.error_code == QuicErrorCode.PROTOCOL_VIOLATION


def test_reserved_bits_are_a_violation(pair):
    sealed = packet_of(pair.client, bytes(30), pair.now)
    context = pair.client._cryptos[tls.Epoch.ONE_RTT].send
    header = bytes([0x49]) + sealed[1:9] + (100).to_bytes(2, "big")
    pair.feed(context.encrypt_packet(header, bytes(20), 100))
    assert pair.server.error_code == QuicErrorCode.PROTOCOL_VIOLATION


def test_who_sends_pings_over_and_over_is_sent_away(pair):
    write_frames(pair, b"\x01" * 900)
    assert pair.server.error_code is None
    write_frames(pair, b"\x01" * 900)
    assert pair.server.error_code == QuicErrorCode.INTERNAL_ERROR


@pytest.mark.parametrize("bits", [8, 16, 24, 32])
def test_numbers_are_decoded_as_the_rfc_says(bits):
    dice = random.Random(bits)
    for _ in range(500):
        expected = dice.choice([dice.randrange(1 << 20), dice.randrange(1 << 62), (1 << 62) - 1])
        truncated = dice.randrange(1 << bits)
        assert _full_number(truncated, bits, expected) == decode_packet_number(
            truncated, bits, expected
        )
