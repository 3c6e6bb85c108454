"""Tests for edgeproxy/quic/streams.py."""

import pytest
from aioquic.quic import events

from edgeproxy.quic.streams import CONNECTION_BYTES_MAX, ROOM_BYTES_MIN, STREAM_BYTES_MIN
from edgeproxy.tls.contexts import FrontContext
from tests.support.quic import (
    SERVER,
    Pair,
    any_identity,
    datagrams_of,
    settings_of,
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


def test_what_is_queued_is_bounded_until_it_is_acknowledged(pair):
    asked(pair, 0)
    room = pair.server.room(0)
    assert room == STREAM_BYTES_MIN
    pair.server.queue(0, bytes(room))
    assert pair.server.room(0) == 0
    datagrams_of(pair.server, pair.now)  # sent, and lost
    assert pair.server.room(0) == 0
    pair.run(40)
    assert pair.relieved
    assert set(pair.relieved) == {0}
    assert pair.server.room(0) >= STREAM_BYTES_MIN


def test_all_streams_together_are_bounded(pair):
    streams = [4 * n for n in range(90)]
    asked(pair, *streams)
    queued = 0
    for stream_id in streams:
        room = pair.server.room(stream_id)
        pair.server.queue(stream_id, bytes(room))
        queued += room
    assert queued == CONNECTION_BYTES_MAX
    pair.run(300)
    assert pair.relieved[0] == 0
    assert set(pair.relieved) == set(streams)


def test_incremental_streams_share_the_room_that_becomes_free(pair):
    streams = [4 * n for n in range(8)]
    asked(pair, *streams)
    pair.server._loss._cc.congestion_window = 3_000_000  # as on a path of a large product
    for stream_id in streams:
        pair.server.prioritise(stream_id, 3, incremental=True)
        pair.server.queue(stream_id, bytes(pair.server.room(stream_id)))
    for _ in range(150):
        pair.run(1)
        relieved, pair.relieved = pair.relieved, []
        for stream_id in relieved:
            pair.server.queue(stream_id, bytes(pair.server.room(stream_id)))
    arrived = [len(pair.received(stream_id)) for stream_id in streams]
    assert min(arrived) > 0.9 * max(arrived) > 500_000


def test_nobody_is_woken_up_for_little(pair):
    asked(pair, 0)
    pair.server.queue(0, bytes(pair.server.room(0)))
    (first, *_) = datagrams_of(pair.server, pair.now)
    pair.client.receive_datagram(first[0], SERVER, pair.now)
    pair.now += 0.1
    pair.client.handle_timer(pair.now)
    pair.to_server()
    assert 0 < pair.server.room(0) < ROOM_BYTES_MIN
    assert pair.relieved == []


def test_room_of_what_is_gone_is_none(pair):
    asked(pair, 0, 4)
    assert pair.server.room(400) == 0
    pair.server.queue(0, b"", end=True)
    assert pair.server.room(0) == 0
    pair.server.queue(0, b"behind the end")
    pair.server.abandon(4, 0x10C)
    assert pair.server.room(4) == 0
    pair.server.queue(4, b"behind a reset")
    pair.server.queue(400, b"nowhere")
    pair.server.abandon(400, 1)
    pair.server.stop(400, 1)
    pair.server.consumed(400, 1)
    pair.run(5)
    assert pair.received(0) == b""
    assert [each.stream_id for each in pair.of(events.StreamReset)] == [4]


def test_a_stopped_stream_holds_nothing(pair):
    asked(pair, 0)
    pair.server.queue(0, bytes(60_000))
    pair.client.stop_stream(0, 0x10C)
    pair.run(5)
    assert [each.error_code for each in pair.of(events.StopSendingReceived, server=True)] == [0x10C]
    assert not pair.server._schedule.outstanding_bytes
    assert pair.server.room(0) == 0
    assert pair.of(events.StreamReset)[0].error_code == 0x10C


def test_settled_is_when_all_was_acknowledged(pair):
    assert pair.server.is_settled
    asked(pair, 0, 4)
    pair.server.queue(pair.server.open_unidirectional(), b"control")
    pair.server.queue(0, b"x", end=True)
    pair.server.queue(4, b"")
    assert not pair.server.is_settled
    pair.run(5)
    assert pair.server.is_settled
    pair.server.abandon(4, 1)
    assert not pair.server.is_settled
    pair.run(5)
    assert pair.server.is_settled
