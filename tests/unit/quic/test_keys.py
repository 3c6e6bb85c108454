"""Tests for edgeproxy/quic/keys.py."""

import os

import pytest
from aioquic import tls
from aioquic.quic import events
from aioquic.quic.packet import QuicErrorCode

from edgeproxy.quic import connection
from edgeproxy.quic.keys import KEY_UPDATES_MAX
from edgeproxy.tls.contexts import FrontContext
from tests.support.quic import CLIENT, Pair, any_identity, settings_of


@pytest.fixture
def pair():
    settings = settings_of(FrontContext([any_identity()]))
    return Pair(settings, server_name="a.test").run()


def heard(pair):
    return b"".join(each.data for each in pair.of(events.StreamDataReceived, server=True))


def flipped(pair):
    """Return a forged packet whose header, once unmasked, has the other key phase."""
    cid = pair.server.host_cid
    while True:
        packet = bytes([0x40 | (os.urandom(1)[0] & 0x3F)]) + cid + os.urandom(60)
        header, _ = pair.server.keys.recv.hp.remove(packet, 9)
        if (header[0] & 4) >> 2 != pair.server.keys.recv.key_phase:
            return packet


def test_forged_packets_cost_one_derivation_between_them(pair):
    for _ in range(50):
        pair.feed(flipped(pair))
    assert pair.server.keys.derivations == 1
    assert pair.server.keys.forgeries == 50
    pair.client.send_stream_data(0, b"still here", end_stream=True)
    pair.run(3)
    assert heard(pair) == b"still here"


def test_the_peers_key_update_is_followed(pair):
    for n in range(5):
        pair.client.request_key_update()
        pair.client.send_stream_data(4 * n, b"x", end_stream=True)
        pair.run(5)
        assert pair.server.keys.key_phase == (n + 1) % 2
    assert heard(pair) == b"x" * 5
    assert pair.server.keys.updates == 5
    assert pair.closed is None


def test_packets_that_an_update_overtook_are_read(pair):
    pair.client.send_stream_data(0, b"late ")
    (late, _), *_ = pair.client.datagrams_to_send(pair.now)
    pair.client.request_key_update()
    pair.client.send_stream_data(4, b"early")
    pair.to_server()
    assert pair.server.keys.updates == 1
    pair.feed(late)
    assert heard(pair) == b"earlylate "


def test_the_last_keys_go_after_a_while(pair):
    pair.client.request_key_update()
    pair.client.send_stream_data(0, b"x")
    pair.run(3)
    assert pair.server.keys._previous is not None
    pair.now += 5
    pair.client.send_stream_data(0, b"x")
    pair.run(3)
    assert pair.server.keys._previous is None


def test_who_updates_without_end_is_sent_away(pair):
    while pair.closed is None:
        pair.client.request_key_update()
        pair.client.send_stream_data(0, b"x")
        pair.run(3)
    assert pair.server.keys.updates == KEY_UPDATES_MAX + 1
    assert pair.closed.error_code == QuicErrorCode.KEY_UPDATE_ERROR


def test_we_update_before_a_key_has_sealed_too_many_packets(pair, monkeypatch):
    monkeypatch.setattr(connection, "PACKETS_PER_KEY_MAX", 50)
    pair.client.send_stream_data(0, b"hello")
    pair.run(3)
    pair.server.queue(0, bytes(200_000), end=True)
    pair.run(100)
    assert len(pair.received(0)) == 200_000
    assert pair.closed is None
    assert pair.server.keys.send.secret != b""
    assert pair.server._phase_began >= 50


def test_too_many_forgeries_end_the_connection(pair, monkeypatch):
    monkeypatch.setattr(connection, "FORGERIES_MAX", 10)
    for _ in range(11):
        pair.feed(flipped(pair))
    pair.run(2)
    assert pair.closed.error_code == QuicErrorCode.AEAD_LIMIT_REACHED


def test_the_last_keys_stay_until_the_peer_has_the_new_ones(pair):
    pair.client.send_stream_data(0, b"hello")
    pair.run(3)
    pair.server.request_key_update()
    pair.server.queue(0, b"lost")
    assert pair.server.bursts(pair.now)
    for n in range(3):  # it knows nothing of the update, for longer than three timeouts
        pair.now += 2.0
        pair.client.send_stream_data(0, b"%d" % n)
        pair.to_server()
    assert heard(pair) == b"hello012"
    assert pair.server.keys.forgeries == 0
    pair.run(10)
    assert pair.received(0) == b"lost"
    assert pair.client._cryptos[tls.Epoch.ONE_RTT].key_phase == 1
    pair.now += 5
    pair.client.send_stream_data(0, b"x")
    pair.run(3)
    assert pair.server.keys._previous is None
    assert pair.server.keys.updates == 0, "the peer asked for none"


def test_packets_of_each_phase_are_read_in_one_go(pair):
    datagrams = []
    for n in range(3):
        pair.now += 0.01
        pair.client.send_stream_data(0, b"%d" % n)
        if n == 1:
            pair.client.request_key_update()
        datagrams += [(data, CLIENT) for data, _ in pair.client.datagrams_to_send(pair.now)]
    first, *others = datagrams
    pair.server.take([*others, first], pair.now)
    pair.server_events += pair.server.events()
    assert heard(pair) == b"012"
    assert pair.server.keys.forgeries == 0
