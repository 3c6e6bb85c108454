"""Tests for edgeproxy/quic/connection.py: early data (RFC 9001 section 4.6)."""

import pytest
from aioquic import tls
from aioquic.quic import events
from aioquic.quic.packet import QuicErrorCode, QuicPacketType

from edgeproxy.quic.early import EarlyData
from edgeproxy.tls.contexts import FrontContext
from tests.support.quic import Pair, any_identity, packet_of, settings_of, uint_var


@pytest.fixture
def settings():
    return settings_of(FrontContext([any_identity()]), early=EarlyData(is_on=True))


@pytest.fixture
def ticket(settings):
    (ticket,) = Pair(settings, server_name="a.test").run().client.tickets
    return ticket


@pytest.fixture
def pair(settings, ticket):
    """A client that came back and whose handshake is not complete yet."""
    pair = Pair(settings, server_name="a.test", session_ticket=ticket)
    pair.client.send_stream_data(0, b"early", end_stream=True)
    pair.to_server()
    return pair


def early_keys(pair):
    return pair.server._cryptos[tls.Epoch.ZERO_RTT].recv


def test_it_is_known_as_early(pair):
    assert pair.server.takes_early_data
    assert not pair.server.is_handshake_complete
    assert pair.received_by_server == b"early"
    pair.run()
    assert pair.server.takes_early_data
    assert pair.server.is_handshake_complete


def test_who_brings_none_has_none(settings):
    pair = Pair(settings, server_name="a.test").run()
    assert not pair.server.takes_early_data
    assert not early_keys(pair).is_valid()


def test_answers_wait_for_the_address_to_be_validated(pair):
    pair.server.queue(0, bytes(100_000), end=True)
    received = sum(map(len, pair.sent_by_client))
    sent = 0
    for _ in range(20):  # the client is silent: nobody says that it is there
        pair.now += 0.2
        pair.server.on_timer(pair.now)
        sent += sum(len(burst.data) for burst in pair.server.bursts(pair.now))
    assert 0 < sent <= 3 * received
    pair.run(100)
    assert pair.received(0) == bytes(100_000)


def test_an_answer_comes_with_the_first_flight(pair):
    pair.server.queue(0, b"answer", end=True)
    pair.to_client()
    assert pair.received(0) == b"answer"
    assert not pair.server.is_handshake_complete


def test_keys_are_forgotten_a_while_after_the_handshake(pair):
    assert early_keys(pair).is_valid()
    pair.run(3)
    assert pair.server.is_handshake_complete
    pair.now += 30
    pair.server.take([], pair.now)  # the first one after the handshake
    pair.server.take([], pair.now + 3 * pair.server._loss.get_probe_timeout())
    assert not early_keys(pair).is_valid()
    assert not pair.server._has_early_keys


def test_windows_hold_for_early_data_as_well(settings, ticket):
    pair = Pair(settings, server_name="a.test", session_ticket=ticket)
    pair.client.send_stream_data(0, bytes(settings.stream_window + 1))
    stream = pair.client._streams[0]
    stream.max_stream_data_remote = pair.client._remote_max_data = 2**30
    pair.client._loss._cc.congestion_window = 2**30
    pair.run()
    assert pair.closed.error_code == QuicErrorCode.FLOW_CONTROL_ERROR


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param(b"\x02\x00\x00\x00\x00", id="ACK"),
        pytest.param(b"\x06\x00\x01x", id="CRYPTO"),
        pytest.param(b"\x07\x01x", id="NEW_TOKEN"),
        pytest.param(b"\x19" + uint_var(1), id="RETIRE_CONNECTION_ID"),
        pytest.param(b"\x1e", id="HANDSHAKE_DONE"),
    ],
)
def test_frames_that_do_not_come_early(pair, frames):
    pair.feed(packet_of(pair.client, frames, pair.now, kind=QuicPacketType.ZERO_RTT))
    pair.run()
    assert pair.closed.error_code == QuicErrorCode.PROTOCOL_VIOLATION


def test_what_comes_twice_is_read_once(pair):
    for data in pair.sent_by_client:
        pair.feed(data)
    assert pair.received_by_server == b"early"


def test_a_recording_of_a_whole_connection_completes_nothing(settings, pair):
    pair.run()
    replay = Pair(settings, server_name="a.test")
    for data in pair.sent_by_client:
        replay.feed(data)
    assert replay.server.handshake.session_resumed
    assert not replay.server.is_handshake_complete
    assert not replay.of(events.StreamDataReceived, server=True)
