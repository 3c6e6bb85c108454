"""Tests for edgeproxy/quic/connection.py."""

import gc
import weakref

import pytest
from aioquic import tls
from aioquic.quic import events
from aioquic.quic.packet import QuicErrorCode, QuicFrameType

from edgeproxy.quic.connection import (
    ServerConnection,
)
from edgeproxy.quic.connection_ids import Naming
from edgeproxy.tls.contexts import FrontContext
from tests.support.quic import (
    CLIENT,
    SERVER,
    Client,
    Pair,
    any_identity,
    ca_in,
    datagrams_of,
    identity_of,
    settings_of,
    uint_var,
    write_frames,
)


@pytest.fixture
def front():
    return FrontContext([any_identity()])


@pytest.fixture
def settings(front):
    return settings_of(front)


@pytest.fixture
def pair(settings):
    return Pair(settings, server_name="a.test").run()


def asked(pair, *streams):
    for stream_id in streams:
        pair.client.send_stream_data(stream_id, b"?", end_stream=True)
    pair.run(3)


# --- connection IDs and resets -------------------------------------------------------------------


def test_all_ids_name_the_worker_and_have_reset_tokens_of_all_workers(front):
    settings = settings_of(front, naming=Naming(2, 5))
    pair = Pair(settings, server_name="a.test").run()
    ids = pair.server.connection_ids
    assert len(ids) == 8
    assert {each[0] % 5 for each in ids} == {2}
    known = [pair.client._peer_cid, *pair.client._peer_cid_available]
    assert {each.cid for each in known} == set(ids)
    assert all(
        each.stateless_reset_token == settings.secrets.reset_token(each.cid) for each in known
    )


def test_an_id_that_was_retired_is_replaced(pair):
    before = pair.server.connection_ids
    pair.client.change_connection_id()
    pair.run(5)
    (retired,) = pair.of(events.ConnectionIdRetired, server=True)
    assert retired.connection_id in before
    assert len(set(pair.server.connection_ids) - set(before)) == 1


# --- transport parameters ------------------------------------------------------------------------


def parameters_of(pair, data):
    return pair.server._parse_transport_parameters(data)


def test_an_idle_timeout_of_zero_is_none(settings):
    client = Client(server_name="a.test", idle_timeout=0.0)
    pair = Pair(settings, client=client)
    for _ in range(30):
        pair.now += 0.01
        pair.to_server()
        pair.to_client()
    assert pair.server._handshake_complete
    assert pair.server._remote_max_idle_timeout is None
    assert pair.server.timer() > pair.now + 30


def test_the_shorter_idle_timeout_holds(settings):
    pair = Pair(settings, server_name="a.test", idle_timeout=5.0).run()
    pair.now += 6
    pair.server.on_timer(pair.now)
    assert pair.server.is_over
    assert not pair.server.farewell


def test_the_ack_delay_exponent_is_used(settings):
    client = Client(server_name="a.test")
    client._local_ack_delay_exponent = 5
    pair = Pair(settings, client=client).run()
    assert pair.server._remote_ack_delay_exponent == 5


@pytest.mark.parametrize(
    "more",
    [
        uint_var(0x7F) + b"\x00" + uint_var(0x7F) + b"\x00",  # the same twice
        b"\x03\x02" + uint_var(1199),
        b"\x0a\x01\x15",
        b"\x0e\x01\x01",
        b"\x00\x08" + bytes(8),  # what only servers have
        b"\x02\x10" + bytes(16),
        b"\x40",
    ],
)
def test_parameters_that_cannot_be(settings, more):
    client = Client(server_name="a.test")
    serialize = client._serialize_transport_parameters

    def replaced():
        data = serialize()
        if more[:1] in b"\x0a\x0e":  # the client's own goes
            at = data.index(bytes([more[0], 1]))
            data = data[:at] + data[at + 3 :]
        return data + more

    client._serialize_transport_parameters = replaced
    pair = Pair(settings, client=client).run()
    assert pair.closed.error_code == QuicErrorCode.TRANSPORT_PARAMETER_ERROR


def test_transport_parameters_are_needed(settings):
    client = Client(server_name="a.test", asks_staple=False)
    initialize = client._initialize

    def without(cid):
        initialize(cid)
        client.tls.handshake_extensions = []

    client._initialize = without
    pair = Pair(settings, client=client).run()
    assert pair.closed.error_code == QuicErrorCode.CRYPTO_ERROR + 109


def test_a_session_id_of_tls_over_tcp_is_refused(settings):
    client = Client(server_name="a.test")
    initialize = client._initialize

    def compatible(cid):
        initialize(cid)
        client.tls.legacy_session_id = bytes(32)

    client._initialize = compatible
    pair = Pair(settings, client=client).run()
    assert pair.closed.error_code == QuicErrorCode.PROTOCOL_VIOLATION


# --- amplification -----------------------------------------------------------------------


def test_no_more_than_three_times_what_came_before_the_address_is_proven(tmp_path):
    big = identity_of(ca_in(tmp_path), *(f"{n}.{'x' * 40}.test" for n in range(120)))
    pair = Pair(settings_of(FrontContext([big])), server_name="a.test")
    pair.to_server()
    came = sum(map(len, pair.sent_by_client))
    sent = 0
    for _ in range(20):
        pair.now += 1.0
        sent += sum(len(data) for data, _ in datagrams_of(pair.server, pair.now))
        pair.server.on_timer(pair.now)
    assert 2 * came < sent <= 3 * came


def test_a_proven_address_is_not_held_back(tmp_path):
    big = identity_of(ca_in(tmp_path), *(f"{n}.{'x' * 40}.test" for n in range(120)))
    pair = Pair(settings_of(FrontContext([big])), server_name="a.test")
    pair.server = ServerConnection(pair.settings, original_id=b"original", retry_id=b"retried!")
    pair.to_server()
    assert pair.server.is_address_validated


# --- faults --------------------------------------------------------------------------------------


def test_a_fault_inside_ends_this_connection_only(pair, caplog):
    def fail(*_):
        raise KeyError("inside")

    pair.server._on_max_stream_data_delivery = fail
    pair.server._handle_data_blocked_frame = fail
    table = vars(pair.server)["_QuicConnection__frame_handlers"]
    table[QuicFrameType.DATA_BLOCKED] = (fail, table[QuicFrameType.DATA_BLOCKED][1])
    write_frames(pair, b"\x14\x00")
    pair.run(2)
    assert pair.closed.error_code == QuicErrorCode.INTERNAL_ERROR
    assert "inside" in caplog.text


@pytest.mark.parametrize("part", ["_content", "handle_timer"])
def test_a_fault_while_sending_ends_it_as_well(pair, caplog, monkeypatch, part):
    def fail(*_):
        raise KeyError("inside")

    monkeypatch.setattr(pair.server, part, fail)
    if part == "handle_timer":
        pair.server.on_timer(pair.now)
    assert datagrams_of(pair.server, pair.now) == []
    assert pair.server.is_over
    assert "inside" in caplog.text


def test_garbage_begins_nothing(settings):
    server = ServerConnection(settings, original_id=bytes(8))
    client = Client()
    client.connect(SERVER, now=0.0)
    data = bytearray(client.datagrams_to_send(0.0)[0][0])
    data[200] ^= 1
    server.take([(bytes(data), CLIENT)], 0.0)
    assert not server.is_begun
    assert datagrams_of(server, 0.0) == []
    server.take([(b"", CLIENT)], 0.0)
    server.take([(bytes(30), CLIENT)], 0.0)
    assert not server.is_begun


def test_what_was_released_needs_no_collector(pair):
    asked(pair, 0)
    pair.server.queue(0, bytes(50_000), end=True)
    datagrams_of(pair.server, pair.now)
    gc.collect()
    gc.disable()
    try:
        gone = weakref.ref(pair.server)
        pair.server.release()
        pair.server = None
        assert gone() is None
    finally:
        gc.enable()


def test_every_second_packet_is_acknowledged_at_once(pair):
    pair.client.send_stream_data(0, b"one")
    pair.to_server()
    assert datagrams_of(pair.server, pair.now) == []
    pair.client.send_stream_data(0, b"two")
    pair.to_server()
    assert len(datagrams_of(pair.server, pair.now)) == 1
    space = pair.server._spaces[tls.Epoch.ONE_RTT]
    assert space.ack_at is None
