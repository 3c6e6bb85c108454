"""Tests for edgeproxy/quic/windows.py."""

from aioquic.quic import events

from tests.support.quic import datagrams_of, uint_var, write_frames


def asked(pair, *streams):
    for stream_id in streams:
        pair.client.send_stream_data(stream_id, b"?", end_stream=True)
    pair.run(3)


def finished_in_order(pair):
    return [each.stream_id for each in pair.of(events.StreamDataReceived) if each.end_stream]


def test_the_window_of_a_stream_opens_by_what_was_consumed(pair):
    window = pair.settings.stream_window
    pair.client.send_stream_data(0, bytes(3 * window), end_stream=True)
    pair.run(60)

    def got():
        return sum(len(each.data) for each in pair.of(events.StreamDataReceived, server=True))

    assert got() == window
    pair.server.consumed(0, window // 4)
    pair.run(60)
    assert got() == window, "not for every bit"
    pair.server.consumed(0, window // 4)
    pair.run(60)
    assert got() == window + window // 2
    pair.server.consumed(0, 10 * window)  # no more than was handed on
    assert pair.server._receipts[0].consumed == got()
    for _ in range(10):
        pair.run(30)
        pair.server.consumed(0, window)
    assert got() == 3 * window


def test_all_streams_share_the_window_of_the_connection(pair):
    for n in range(10):
        pair.client.send_stream_data(4 * n, bytes(pair.settings.stream_window))
    pair.run(100)
    assert pair.server._local_max_data.used == pair.settings.connection_window
    assert len(pair.server._streams) == 10


def test_what_was_reset_is_not_held_against_the_connection(pair):
    window = pair.settings.connection_window
    for n in range(30):
        pair.client.send_stream_data(4 * n, bytes(60_000))
        pair.run(15)
        pair.client.reset_stream(4 * n, 0x10C)
        pair.run(5)
        pair.server.abandon(4 * n, 0x10C)
        pair.run(5)
    assert pair.closed is None
    assert pair.server._local_max_data.value > 30 * 60_000
    assert pair.server._local_max_data.value - pair.server._local_max_data.used <= window


def test_what_was_stopped_is_credited_as_it_comes(pair):
    pair.client.send_stream_data(0, bytes(10_000))
    pair.run(10)
    pair.server.stop(0, 0x100)
    pair.run(5)
    assert [each.error_code for each in pair.of(events.StopSendingReceived)] == [0x100]
    assert pair.server._consumed_bytes >= 10_000


def test_a_lost_window_is_told_again(pair):
    pair.client.send_stream_data(0, bytes(pair.settings.stream_window))
    pair.run(30)
    pair.server.consumed(0, pair.settings.stream_window)
    pair.now += 0.01
    lost = datagrams_of(pair.server, pair.now)
    assert lost
    pair.run(40)
    assert pair.client._streams[0].max_stream_data_remote == 2 * pair.settings.stream_window


def test_the_peers_window_is_respected_and_opens(pair):
    asked(pair, 0)
    server = pair.server
    server._streams[0].max_stream_data_remote = 1000
    server.queue(0, bytes(5000), end=True)
    pair.run(20)
    assert len(pair.received(0)) == 1000
    write_frames(pair, b"\x11\x00" + uint_var(5000))
    pair.run(20)
    assert len(pair.received(0)) == 5000
    assert finished_in_order(pair) == [0]
