"""Tests for edgeproxy/quic/paths.py."""

from tests.support.quic import (
    CLIENT,
    Client,
    Pair,
    datagrams_of,
    uint_var,
)


def asked(pair, *streams):
    for stream_id in streams:
        pair.client.send_stream_data(stream_id, b"?", end_stream=True)
    pair.run(3)


def test_the_peers_datagram_size_is_respected(settings):
    for size, used in ((1200, 1200), (1300, 1300), (65527, 1452)):
        client = Client(server_name="a.test")
        serialize = client._serialize_transport_parameters
        client._serialize_transport_parameters = lambda size=size, serialize=serialize: (
            serialize() + uint_var(3) + uint_var(len(uint_var(size))) + uint_var(size)
        )
        pair = Pair(settings, client=client).run()
        asked(pair, 0)
        pair.server.queue(0, bytes(10_000))
        sizes = [len(data) for data, _ in datagrams_of(pair.server, pair.now)]
        assert max(sizes) == used


def test_the_handshake_is_in_small_datagrams(settings):
    pair = Pair(settings, server_name="a.test")
    pair.to_server()
    assert {len(data) for data, _ in datagrams_of(pair.server, pair.now)} == {1200}


def narrow(client, octets=1200):
    """Let nothing larger pass."""
    taken = client.receive_datagram
    client.receive_datagram = lambda data, address, now: (
        taken(data, address, now) if len(data) <= octets else None
    )


def test_large_datagrams_are_not_sent_where_none_arrives(settings):
    client = Client(server_name="a.test")
    narrow(client)
    pair = Pair(settings, client=client).run()
    window = pair.server._loss.congestion_window
    asked(pair, 0)
    pair.server.queue(0, bytes(50_000), end=True)
    pair.run(100)
    assert pair.received(0) == bytes(50_000)
    assert pair.server._max_datagram_size == 1200
    assert pair.server._size_probes == 3
    assert pair.server._loss.congestion_window >= window


def test_the_next_size_is_tried_where_the_largest_does_not_pass(settings):
    client = Client(server_name="a.test")
    narrow(client, 1400)
    pair = Pair(settings, client=client).run()
    asked(pair, 0)
    pair.server.queue(0, bytes(50_000), end=True)
    pair.run(100)
    assert pair.received(0) == bytes(50_000)
    assert pair.server._max_datagram_size == 1350


def test_large_datagrams_are_given_up_when_none_arrives_any_more(pair):
    assert pair.server._max_datagram_size == 1452
    narrow(pair.client)
    asked(pair, 0)
    pair.server.queue(0, bytes(1270 * 10), end=True)  # all of them large
    pair.run(200, step=0.02)
    assert pair.received(0) == bytes(12_700)
    assert pair.server._max_datagram_size == 1200


def test_a_nat_that_changes_its_mind_costs_nothing(pair):
    asked(pair, 0)
    pair.server.queue(0, bytes(60_000), end=True)
    pair.run(4)
    window = pair.server._loss.congestion_window
    pair.client_address = (CLIENT[0], 60_000)
    pair.client.send_ping(1)
    pair.to_server()
    assert pair.server._loss.congestion_window == window
    pair.run(60)
    assert pair.server.address == pair.client_address
    assert pair.server.is_address_validated
    assert pair.received(0) == bytes(60_000)


def test_a_new_address_begins_anew_and_is_asked_for_proof(pair):
    asked(pair, 0)
    pair.server.queue(0, bytes(400_000), end=True)
    pair.run(12)
    assert pair.server._loss.congestion_window > 30_000
    pair.client_address = ("198.51.100.7", 1234)
    pair.client.send_ping(1)
    pair.to_server()
    assert pair.server.address == pair.client_address
    assert not pair.server.is_address_validated
    assert pair.server._loss.congestion_window == 12_000
    assert not pair.server._loss._rtt_initialized
    path = pair.server._network_paths[0]
    datagrams_of(pair.server, pair.now)
    assert path.bytes_sent <= 3 * path.bytes_received
    pair.run(100)
    assert pair.server.is_address_validated
    assert pair.received(0) == bytes(400_000)


def test_an_address_that_was_made_up_does_not_keep_the_connection(pair):
    asked(pair, 0)
    pair.client.send_ping(1)
    for data, _ in pair.client.datagrams_to_send(pair.now):
        pair.feed(data, ("203.0.113.9", 9))  # somebody passes it on from elsewhere
    assert pair.server.address[0] == "203.0.113.9"
    pair.server.queue(0, bytes(50_000), end=True)
    pair.run(60, step=0.05)
    assert pair.server.address == CLIENT
    assert pair.received(0) == bytes(50_000)


def test_a_client_without_connection_ids_may_move(settings):
    pair = Pair(settings, server_name="a.test", connection_id_length=0).run()
    asked(pair, 0)
    pair.server.queue(0, bytes(60_000), end=True)
    pair.client_address = ("198.51.100.7", 1234)
    pair.client.send_ping(1)
    pair.run(100)
    assert pair.server.is_address_validated
    assert pair.received(0) == bytes(60_000)


def test_a_client_that_was_away_goes_on_as_soon_as_it_is_back(pair):
    asked(pair, 0)
    pair.server.queue(0, bytes(60_000), end=True)
    pair.client_address = (CLIENT[0], 60_000)  # which the server does not know: all is lost
    pair.run(400)
    assert pair.server._loss._pto_count == 6
    pair.client.send_ping(1)
    pair.run(2)
    assert pair.received(0)  # and not when the timer would have fired, seconds later
    pair.run(40)
    assert pair.received(0) == bytes(60_000)
